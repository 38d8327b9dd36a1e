//! What keeps a service from being repaired or verified, as it is known before a step.

use serde::{Deserialize, Serialize};

use super::NoteReason;

/// Something that a person must put right, and that no look and no wait will. Told before a step, for after it is too late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Obstacle {
    /// What kind.
    pub reason: NoteReason,
    /// What is wrong, in words.
    pub message: String,
    /// What to do about it: a command where one exists.
    pub next: String,
}

impl Obstacle {
    /// For people, in one sentence.
    #[must_use]
    pub fn in_words(&self) -> String {
        format!("{}; next: {}", self.message, self.next)
    }
}

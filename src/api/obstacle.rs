//! What keeps a service from being repaired or verified, known before a step.

use serde::{Deserialize, Serialize};

use super::NoteReason;

/// A fault that a person must fix, and that neither an observation nor a wait will. Reported before a step, because
/// afterwards is too late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Obstacle {
    /// Its kind.
    pub reason: NoteReason,
    /// The fault, in words.
    pub message: String,
    /// What to do about it: a command if there is one.
    pub next: String,
}

impl Obstacle {
    /// For people, in one sentence.
    #[must_use]
    pub fn in_words(&self) -> String {
        format!("{}; next: {}", self.message, self.next)
    }
}

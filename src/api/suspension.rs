//! A suspension: a person's instruction that undrift takes no step for an object for a while.

use serde::{Deserialize, Serialize};

use super::Time;

/// A stored suspension; the spec's own `suspend` is separate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// Since when.
    pub since: Time,
    /// Until when; `None`: until a person resumes the object.
    pub until: Option<Time>,
    /// Why, in the person's words.
    pub reason: String,
    /// Who, as in the trail.
    pub actor: String,
}

impl Suspension {
    /// Whether it has expired at this time.
    #[must_use]
    pub fn has_passed(&self, now: Time) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// For people: why, by whom, until when.
    #[must_use]
    pub fn in_words(&self) -> String {
        let until = self.until.map_or_else(
            || "until it is resumed".to_owned(),
            |until| format!("until {}", until.format("%Y-%m-%d %H:%M:%S UTC")),
        );
        format!("{} ({}, {until})", self.reason, self.actor)
    }
}

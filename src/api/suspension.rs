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

/// The end of a suspension, as its record tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndedSuspension {
    /// Since when it held; `None` if the record does not have that.
    pub since: Option<Time>,
    /// Why, in the person's words.
    pub reason: String,
    /// Who suspended the object.
    pub suspended_by: String,
    /// Who resumed it; `None`: its time passed.
    pub resumed_by: Option<String>,
}

impl Suspension {
    /// Whether it has expired at this time.
    #[must_use]
    pub fn has_passed(&self, now: Time) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// Its end; `resumed_by` is `None` if its time passed.
    #[must_use]
    pub fn ended(&self, resumed_by: Option<&str>) -> EndedSuspension {
        EndedSuspension {
            since: Some(self.since),
            reason: self.reason.clone(),
            suspended_by: self.actor.clone(),
            resumed_by: resumed_by.map(str::to_owned),
        }
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

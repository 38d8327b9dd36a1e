//! Whether the environment alone makes the project another one than in the last verified state.
//!
//! Compose puts the environment of whoever calls it into the files: `${SHOP_PASSWORD:-…}` in another shell is another
//! configuration, though no file has changed. To act on that would replace a container that works by one with the wrong
//! password.

use super::{Diagnosis, Inputs};
use crate::api::{Note, NoteReason};

/// How many variables are named in words.
const NAMED: usize = 8;

/// The variables that differ from those of the last verified state, where they alone make the project another one.
pub(super) fn differing(inputs: Inputs<'_>) -> Vec<String> {
    let both = inputs.history.verified_from.as_ref().zip(inputs.observed.resolved_from.as_ref());
    both.map(|(before, now)| now.differs_by_environment_from(before)).unwrap_or_default()
}

/// Why no step is taken in this environment, in words, if so.
pub(super) fn holding_back(inputs: Inputs<'_>) -> Option<String> {
    if inputs.history.is_verified_from_altered {
        return Some(ALTERED.into());
    }
    let variables = differing(inputs);
    (!variables.is_empty()).then(|| in_words(&variables))
}

/// Where nobody knows which environment was verified.
const ALTERED: &str = "what the last verified state was resolved from was altered, and not by undrift, so this environment may be \
    another one; `apply --accept-environment` goes on with it";

/// The same in words.
fn in_words(variables: &[String]) -> String {
    let mut names = variables.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if variables.len() > NAMED {
        names = format!("{names} and {} more", variables.len() - NAMED);
    }
    format!(
        "no file has changed since the last verified state, and this environment has another value of {names}; \
         `apply --accept-environment` goes on with it"
    )
}

/// The note on a service: on those that drift, and on all where none does.
pub(super) fn note(variables: &[String], service: &Diagnosis, all: &[Diagnosis]) -> Option<Note> {
    let concerned = service.drift.is_some() || all.iter().all(|other| other.drift.is_none());
    (concerned && !variables.is_empty())
        .then(|| Note { reason: NoteReason::EnvironmentDiffers, message: in_words(variables) })
}

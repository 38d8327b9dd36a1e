//! Whether only the environment makes the project differ from the last verified state.
//!
//! Compose interpolates the caller's environment into the files: `${SHOP_PASSWORD:-…}` in another shell is another
//! configuration, though no file has changed. Acting on that would replace a working container by one with the wrong
//! password.

use super::{Diagnosis, Inputs};
use crate::api::{Note, NoteReason};

/// How many variables the message names.
const NAMED: usize = 8;

/// The variables that differ from the last verified state, if nothing else makes the project differ.
pub(super) fn differing(inputs: Inputs<'_>) -> Vec<String> {
    let both = inputs.history.verified_from.as_ref().zip(inputs.observed.resolved_from.as_ref());
    both.map(|(before, now)| now.differs_by_environment_from(before)).unwrap_or_default()
}

/// Why undrift takes no step in this environment, in words, if so.
pub(super) fn holding_back(inputs: Inputs<'_>) -> Option<String> {
    if inputs.history.is_verified_from_altered {
        return Some(ALTERED.into());
    }
    let variables = differing(inputs);
    (!variables.is_empty()).then(|| in_words(&variables))
}

/// If nobody knows which environment was verified.
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

/// The note on a service: on those that drift, or on all if none does.
pub(super) fn note(variables: &[String], service: &Diagnosis, all: &[Diagnosis]) -> Option<Note> {
    let concerned = service.drift.is_some() || all.iter().all(|other| other.drift.is_none());
    (concerned && !variables.is_empty())
        .then(|| Note { reason: NoteReason::EnvironmentDiffers, message: in_words(variables) })
}

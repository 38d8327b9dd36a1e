//! Shared parts of the verbs that read the recorded state.

use std::io::{self, Write};

use serde::Serialize;

use super::{safe, style::Style};
use crate::{
    api::{Duration, Time},
    store::StoreError,
};

/// How to print an answer.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// As JSON, or for a person.
    pub json: bool,
    /// For a person: with colours or without.
    pub style: Style,
    /// Now, for ages.
    pub now: Time,
}

/// Why a verb has no answer. Each is exit code 2.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerbError {
    /// The state cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing with this name was ever recorded.
    #[error("no object {name} is recorded{}", nearest.as_ref().map(|n| format!("; did you mean {n}?")).unwrap_or_default())]
    NoSuchObject {
        /// The name.
        name: String,
        /// The most similar recorded one.
        nearest: Option<String>,
    },
    /// No incident has this ID, or this prefix.
    #[error("no incident {0} is recorded: see `undrift incident list`")]
    NoSuchIncident(String),
    /// The answer cannot be printed.
    #[error("cannot print the answer")]
    Write(#[from] io::Error),
}

/// The given text is not a point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a time: write how long ago, as in 30m or 2h, or a date and time such as 2026-01-31T12:00:00Z")]
pub struct ParseWhenError;

/// A point in time as a person writes it: how long before `now` (`2h`), or RFC 3339.
///
/// # Errors
/// [`ParseWhenError`] if it is neither.
pub fn parse_when(text: &str, now: Time) -> Result<Time, ParseWhenError> {
    if let Ok(ago) = text.parse::<Duration>() {
        return Ok(now - ago.delta());
    }
    text.parse::<Time>().map_err(|_| ParseWhenError)
}

/// Prints one JSON document, indented, with a line end.
pub(super) fn print_json(out: &mut dyn Write, value: &impl Serialize) -> Result<(), VerbError> {
    Ok(write_json(out, value)?)
}

/// The same if nothing else can fail.
pub(super) fn write_json(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    safe::document(out, value)
}

/// The error for a name without a record, with the nearest recorded one.
pub(super) fn no_such_object<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> VerbError {
    let nearest = known
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        // A name further away than this was not meant.
        .filter(|(distance, _)| *distance <= 1 + name.len() / 3)
        .min()
        .map(|(_, known)| known.to_owned());
    VerbError::NoSuchObject { name: name.to_owned(), nearest }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Time {
        "2026-03-01T10:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_time_is_given_as_an_age_or_in_full() {
        let at = |text: &str| text.parse::<Time>().unwrap();
        assert_eq!(parse_when("2h", now()), Ok(at("2026-03-01T08:00:00Z")));
        assert_eq!(parse_when("2026-02-28T12:00:00+02:00", now()), Ok(at("2026-02-28T10:00:00Z")));
        for text in ["", "yesterday", "-2h", "2026-02-30T00:00:00Z", "2", "9999999h"] {
            assert_eq!(parse_when(text, now()), Err(ParseWhenError), "{text}");
        }
    }

    #[test]
    fn the_nearest_name_is_offered_where_one_is_near() {
        let known = ["ai-backoffice", "shop"];
        let text = |name| no_such_object(name, known.into_iter()).to_string();
        assert_eq!(text("ai-backofice"), "no object ai-backofice is recorded; did you mean ai-backoffice?");
        assert_eq!(text("bank"), "no object bank is recorded");
    }
}

//! How times are written in the state: RFC 3339 in UTC with microseconds, so that their order is that of the text.

use chrono::SecondsFormat;

use crate::api::Time;

/// The time as text.
pub(super) fn stamp(time: Time) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// The time that a text of the state says; an error of SQLite's kind, for it is met while rows are read.
pub(super) fn read(text: &str) -> rusqlite::Result<Time> {
    text.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    })
}

/// As [`read`], of a value that may be missing.
pub(super) fn read_option(text: Option<&str>) -> rusqlite::Result<Option<Time>> {
    text.map(read).transpose()
}

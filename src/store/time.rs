//! How the state stores times: RFC 3339 in UTC with microseconds, so that they sort as text.

use crate::api::Time;

pub(super) use crate::api::stamp;

/// Parses a stored time; the error is of SQLite's kind, because it occurs while rows are read.
pub(super) fn read(text: &str) -> rusqlite::Result<Time> {
    text.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    })
}

/// As [`read`], of a value that may be missing.
pub(super) fn read_option(text: Option<&str>) -> rusqlite::Result<Option<Time>> {
    text.map(read).transpose()
}

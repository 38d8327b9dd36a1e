//! A field of a table that says something else than the records, in words.

use std::fmt;

/// A field of a table that says something else than the records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contradiction {
    /// The table's name.
    pub(super) table: &'static str,
    /// The row, as a noun: an incident with its ID, an object.
    pub(super) row: String,
    /// The field: a column's name, or a path in its JSON.
    pub(super) field: &'static str,
    /// What the table shows.
    pub(super) shown: String,
    /// What the records say, and the number of the record that says so; `None` if no record is of it.
    pub(super) recorded: Option<(String, u64)>,
}

/// How many characters of a value are shown.
const MOST: usize = 80;

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, row, field, .. } = self;
        write!(f, "the table {table} shows {field} {} for {}", shortened(&self.shown), shortened(row))?;
        match &self.recorded {
            Some((recorded, seq)) => write!(f, ", and by record {seq} it is {}", shortened(recorded)),
            None => f.write_str(", and no record says so"),
        }
    }
}

/// Somebody else may have written the value: no control character of it reaches a terminal.
fn shortened(value: &str) -> String {
    let mut characters = value.chars();
    let short: String = characters.by_ref().take(MOST).flat_map(char::escape_debug).collect();
    if characters.next().is_some() { format!("{short}…") } else { short }
}

/// A value, or that there is none.
pub(super) fn or_none(value: Option<&str>) -> String {
    value.unwrap_or("none").to_owned()
}

//! The only way by which text for people leaves a verb: no content can begin a line or control the terminal.
//!
//! The arguments of `write!` and `writeln!` are text, and each call is one line: a line end within it came with a value. Raw
//! bytes are a document of another kind (JSON, a script for a shell), whose writer has made them safe ([`document`]).

use std::{
    fmt,
    io::{self, Write},
};

use serde::Serialize;

use super::style::Style;
use crate::{
    api::API_VERSION,
    plain::{self, clean},
};

/// The beginning and end of each piece of painted text; see [`Paint`](super::style::Paint).
const PAINTS: [&str; 6] = ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m"];

/// A writer of text for people.
#[derive(Debug)]
pub(super) struct Safe<W> {
    out: W,
    style: Style,
}

impl<W: Write> Safe<W> {
    /// Text in this style goes to `out`.
    pub(super) const fn new(out: W, style: Style) -> Self {
        Self { out, style }
    }
}

impl<W: Write> Write for Safe<W> {
    fn write(&mut self, document: &[u8]) -> io::Result<usize> {
        self.out.write(document)
    }

    fn write_fmt(&mut self, line: fmt::Arguments<'_>) -> io::Result<()> {
        self.out.write_all(safe(&line.to_string(), self.style).as_bytes())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A line as it may be shown: blank lines before it, the line, and its end. Colours stay if there are any.
fn safe(text: &str, style: Style) -> String {
    let line = text.trim_start_matches('\n');
    let blank = text.len() - line.len();
    let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
    let mut shown = "\n".repeat(blank);
    let mut rest = line;
    while let Some((at, paint)) = next_paint(rest) {
        shown.push_str(&clean(&rest[..at]));
        shown.push_str(if style.colour { paint } else { "" });
        rest = &rest[at + paint.len()..];
    }
    shown.push_str(&clean(rest));
    shown.push_str(end);
    shown
}

fn next_paint(text: &str) -> Option<(usize, &'static str)> {
    let found = PAINTS.iter().filter_map(|paint| text.find(paint).map(|at| (at, *paint)));
    found.min_by_key(|(at, _)| *at)
}

/// Prints each line of a text that has several by design, such as an error with its excerpt. Its content must have been cleaned.
///
/// # Errors
/// The error of `out`.
pub(super) fn lines(out: &mut dyn Write, text: &str) -> io::Result<()> {
    text.split('\n').try_for_each(|line| writeln!(out, "{line}"))
}

/// Prints a value as a JSON document, indented, with a line end.
///
/// # Errors
/// The error of `out`.
pub(super) fn document(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    out.write_all(plain::json(&text).as_bytes())?;
    out.write_all(b"\n")
}

/// Prints a list as a JSON document, an item at a time: the same text as [`document`] prints of the whole, in flat memory.
pub(super) struct DocumentList<'o> {
    out: &'o mut dyn Write,
    kind: &'static str,
    has_items: bool,
}

impl<'o> DocumentList<'o> {
    /// Begins the document.
    ///
    /// # Errors
    /// The error of `out`.
    pub(super) fn begin(out: &'o mut dyn Write, kind: &'static str) -> io::Result<Self> {
        let begin = format!("{{\n  \"apiVersion\": \"{API_VERSION}\",\n  \"items\": [");
        out.write_all(begin.as_bytes())?;
        Ok(Self { out, kind, has_items: false })
    }

    /// Prints the next item.
    ///
    /// # Errors
    /// The error of `out`.
    pub(super) fn item(&mut self, item: &impl Serialize) -> io::Result<()> {
        // As a value its keys are sorted, as those of the whole document are. A string in JSON has no line break, so every one is
        // between tokens.
        let text = serde_json::to_string_pretty(&serde_json::to_value(item)?)?.replace('\n', "\n    ");
        let between = if std::mem::replace(&mut self.has_items, true) { ",\n    " } else { "\n    " };
        self.out.write_all(between.as_bytes())?;
        self.out.write_all(plain::json(&text).as_bytes())
    }

    /// Ends the document.
    ///
    /// # Errors
    /// The error of `out`.
    pub(super) fn end(self) -> io::Result<()> {
        let end = if self.has_items { "\n  ]" } else { "]" };
        self.out.write_all(format!("{end},\n  \"kind\": \"{}\"\n}}\n", self.kind).as_bytes())
    }
}

/// Prints a value as a JSON document of one line.
///
/// # Errors
/// The error of `out`.
pub(super) fn document_line(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_string(value)?;
    out.write_all(plain::json(&text).as_bytes())?;
    out.write_all(b"\n")
}

#[cfg(test)]
#[path = "safe_tests.rs"]
mod tests;

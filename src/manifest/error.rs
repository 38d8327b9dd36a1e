//! What is wrong with manifests, as a person reads it.

use std::{collections::BTreeSet, fmt};

use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use crate::plain::clean;

/// One fault of one manifest. Printed as a compiler would: what, where, the line, and what would be right.
///
/// A secret that stands in the line is not in here: it was masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ManifestError {
    /// The path as it was given, or `<stdin>`.
    pub file: String,
    /// From 1; 0 where the file as a whole is meant.
    pub line: u64,
    /// In characters, from 1; 0 where the file as a whole is meant.
    pub column: u64,
    /// What is wrong.
    pub message: String,
    /// What would be right, where that can be said.
    pub help: Option<String>,
    /// The line itself.
    pub excerpt: Option<Box<Excerpt>>,
}

/// A line of a manifest with the part of it that is meant. Long lines are cut, secrets are masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Excerpt {
    /// The line, without control characters.
    pub text: String,
    /// Where the part starts in `text`, in characters, from 0.
    pub start: usize,
    /// How long the part is, in characters; at least 1.
    pub len: usize,
}

impl ManifestError {
    /// A fault of a file as a whole.
    pub(super) fn of_file(file: &str, message: impl Into<String>, help: Option<&str>) -> Self {
        Self {
            file: file.into(),
            line: 0,
            column: 0,
            message: message.into(),
            help: help.map(Into::into),
            excerpt: None,
        }
    }
}

impl ManifestError {
    /// Where and what, in one line, for logs and a status.
    #[must_use]
    pub fn in_a_line(&self) -> String {
        let Self { file, line, column, message, .. } = self;
        let (file, message) = (clean(file), clean(message));
        if *line == 0 { format!("{file}: {message}") } else { format!("{file}:{line}:{column}: {message}") }
    }
}

impl ManifestError {
    /// As a compiler would print it; `severity` is the first word.
    fn write(&self, severity: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, message, help, excerpt } = self;
        // The names of files and fields may hold anything, and must begin no line.
        write!(f, "{severity}: {}", clean(message))?;
        let gutter = line.to_string().len();
        let file = clean(file);
        let place = if *line == 0 { file.into_owned() } else { format!("{file}:{line}:{column}") };
        write!(f, "\n{:gutter$}--> {place}", "")?;
        if let Some(excerpt) = excerpt {
            let Excerpt { text, start, len } = excerpt.as_ref();
            let before: String = text.chars().take(*start).collect();
            let part: String = text.chars().skip(*start).take(*len).collect();
            write!(f, "\n{:gutter$} |\n{line} |", "")?;
            if !text.is_empty() {
                write!(f, " {text}")?;
            }
            write!(
                f,
                "\n{:gutter$} | {:pad$}{}",
                "",
                "",
                "^".repeat(part.width().max(1)),
                pad = before.width()
            )?;
        }
        if let Some(help) = help {
            write!(f, "\n{:gutter$} = help: {}", "", clean(help))?;
        }
        Ok(())
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write("error", f)
    }
}

impl std::error::Error for ManifestError {}

/// What the writer of a valid manifest should know. Printed as an error is, and none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning(pub(super) ManifestError);

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write("warning", f)
    }
}

/// All that is wrong with all manifests that were loaded, in order of file and line. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ManifestErrors(pub(super) Vec<ManifestError>);

impl ManifestErrors {
    /// All of these; `None` where there are none.
    #[must_use]
    pub fn of(errors: Vec<ManifestError>) -> Option<Self> {
        (!errors.is_empty()).then_some(Self(errors))
    }

    /// The errors, in order of file and line.
    pub fn iter(&self) -> std::slice::Iter<'_, ManifestError> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a ManifestErrors {
    type Item = &'a ManifestError;
    type IntoIter = std::slice::Iter<'a, ManifestError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for ManifestErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in &self.0 {
            write!(f, "{error}\n\n")?;
        }
        let files = self.0.iter().map(|error| &error.file).collect::<BTreeSet<_>>().len();
        write!(f, "{} in {}", count(self.0.len(), "error"), count(files, "manifest"))
    }
}

impl std::error::Error for ManifestErrors {}

/// `1 error`, `2 errors`.
pub(crate) fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_wide_characters() {
        let error = ManifestError {
            file: "a.yaml".into(),
            line: 12,
            column: 5,
            message: "wrong".into(),
            help: Some("right".into()),
            excerpt: Some(Box::new(Excerpt { text: "名前: x名y".into(), start: 4, len: 3 })),
        };
        let expected =
            "error: wrong\n  --> a.yaml:12:5\n   |\n12 | 名前: x名y\n   |       ^^^^\n   = help: right";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn nothing_that_stands_in_a_manifest_begins_a_line_or_steers_a_terminal() {
        let hostile = "a\nerror: forged\u{1b}[2J\u{202e}\u{9b}2J";
        let error = ManifestError {
            file: hostile.into(),
            line: 1,
            column: 1,
            message: hostile.into(),
            help: Some(hostile.into()),
            excerpt: Some(Box::new(Excerpt { text: "a".into(), start: 0, len: 1 })),
        };
        for shown in [error.to_string(), Warning(error.clone()).to_string(), error.in_a_line()] {
            assert!(shown.chars().all(|c| c == '\n' || !crate::plain::steers(c)), "{shown:?}");
            assert!(!shown.contains("\nerror: forged"), "{shown}");
        }
        assert_eq!((error.to_string().lines().count(), error.in_a_line().lines().count()), (6, 1));
    }

    #[test]
    fn the_report_counts() {
        let one = ManifestError::of_file("a.yaml", "cannot be read", None);
        let other = ManifestError { file: "b.yaml".into(), ..one.clone() };
        assert!(ManifestErrors(vec![one.clone()]).to_string().ends_with("\n\n1 error in 1 manifest"));
        assert!(
            ManifestErrors(vec![one.clone(), one, other]).to_string().ends_with("3 errors in 2 manifests")
        );
    }
}

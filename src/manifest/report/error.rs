//! What is wrong with manifests, as a person reads it.

use std::{collections::BTreeSet, fmt, ops::Range};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;

use crate::plain::clean;

/// Columns of the widest line that is printed as it is: an excerpt was cut already, and wide characters take two columns.
const TERM_WIDTH: usize = 300;

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
    pub(crate) fn of_file(file: &str, message: impl Into<String>, help: Option<&str>) -> Self {
        Self {
            file: file.into(),
            line: 0,
            column: 0,
            message: message.into(),
            help: help.map(Into::into),
            excerpt: None,
        }
    }

    /// Where and what, in one line, for logs and a status.
    #[must_use]
    pub fn in_a_line(&self) -> String {
        let Self { file, line, column, message, .. } = self;
        let (file, message) = (clean(file), clean(message));
        if *line == 0 { format!("{file}: {message}") } else { format!("{file}:{line}:{column}: {message}") }
    }

    /// As a compiler would print it, without colours; `severity` is the first word.
    fn render(&self, severity: &str) -> String {
        let Self { file, line, column, message, help, excerpt } = self;
        // The names of files and fields may hold anything, and must begin no line.
        let (file, message) = (clean(file), clean(message));
        let place = if *line == 0 { file.into() } else { format!("{file}:{line}:{column}") };
        // The place is part of the title: the renderer would count the column in an excerpt, which is cut and masked.
        let gutter = excerpt.as_ref().map_or(0, |_| line.to_string().len());
        let title = format!("{severity}: {message}\n{:gutter$}--> {place}", "");
        let snippet = excerpt.as_deref().map(|excerpt| {
            let part = AnnotationKind::Primary.span(excerpt.bytes());
            let line = usize::try_from(*line).unwrap_or(usize::MAX);
            Snippet::source(excerpt.text.as_str()).line_start(line).annotation(part)
        });
        let help = help.as_deref().map(|help| Level::HELP.message(clean(help)));
        let title = Level::ERROR.no_name().primary_title(title);
        Renderer::plain().term_width(TERM_WIDTH).render(&[title.elements(snippet).elements(help)])
    }
}

impl Excerpt {
    /// Where the part stands in `text`, in bytes; as much of it as is there.
    fn bytes(&self) -> Range<usize> {
        let byte = |at| self.text.char_indices().nth(at).map_or(self.text.len(), |(byte, _)| byte);
        byte(self.start)..byte(self.start.saturating_add(self.len))
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render("error"))
    }
}

impl std::error::Error for ManifestError {}

/// What the writer of a valid manifest should know. Printed as an error is, and none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning(pub(crate) ManifestError);

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.render("warning"))
    }
}

/// All that is wrong with all manifests that were loaded, in order of file and line. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ManifestErrors(pub(crate) Vec<ManifestError>);

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
            "error: wrong\n  --> a.yaml:12:5\n   |\n12 | 名前: x名y\n   |       ^^^^\n   |\n   = help: right";
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
        assert_eq!((error.to_string().lines().count(), error.in_a_line().lines().count()), (7, 1));
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

//! What is wrong with one file, and where.

use super::{
    error::{Excerpt, ManifestError},
    excerpt::excerpt,
    lines::{LineIndex, Spot},
};
use crate::nearest::nearest;

/// Faults of one file that are shown. Behind that a person fixes the first ones first, and a hostile file cannot
/// make the report larger than itself.
const MOST_FAULTS: usize = 100;

/// What is wrong, without the place.
#[derive(Debug)]
pub(crate) struct Fault {
    message: String,
    help: Option<String>,
    secret: bool,
}

impl Fault {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, secret: false }
    }

    /// Says what would be right.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says what would be right, where that is known.
    pub(crate) fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    /// Says which of these words was meant, or else what would be right.
    pub(crate) fn meant<'w>(
        self,
        text: &str,
        words: impl IntoIterator<Item = &'w str> + Clone,
        otherwise: &str,
    ) -> Self {
        let meant = nearest(text, words).map(|word| format!("did you mean `{word}`?"));
        self.help(meant.unwrap_or_else(|| otherwise.into()))
    }

    /// The part of the line that is meant may be a secret: it is not shown.
    pub(crate) fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}

/// As much of a name as a message has room for.
pub(crate) fn short(name: &str) -> String {
    name.chars().take(40).collect()
}

/// A place with the line it is in.
pub(crate) struct Excerpted {
    pub(crate) file: String,
    pub(crate) line: u64,
    pub(crate) column: u64,
    pub(crate) excerpt: Excerpt,
}

impl Excerpted {
    /// The fault at this place.
    pub(crate) fn error(&self, fault: Fault) -> ManifestError {
        ManifestError {
            file: self.file.clone(),
            line: self.line,
            column: self.column,
            message: fault.message,
            help: fault.help,
            excerpt: Some(Box::new(self.excerpt.clone())),
        }
    }
}

/// The faults of one file so far.
pub(crate) struct Report<'t> {
    file: &'t str,
    lines: LineIndex<'t>,
    errors: Vec<ManifestError>,
    dropped: usize,
}

impl<'t> Report<'t> {
    pub(crate) fn new(file: &'t str, text: &'t str) -> Self {
        Self { file, lines: LineIndex::new(text), errors: Vec::new(), dropped: 0 }
    }

    pub(crate) fn lines(&self) -> &LineIndex<'t> {
        &self.lines
    }

    /// How many faults there are.
    pub(crate) fn len(&self) -> usize {
        self.errors.len() + self.dropped
    }

    pub(crate) fn add(&mut self, spot: Spot, fault: Fault) {
        if self.errors.len() >= MOST_FAULTS {
            self.dropped += 1;
            return;
        }
        let place = Excerpted { excerpt: excerpt(&self.lines, spot, fault.secret), ..self.place(spot) };
        self.errors.push(place.error(fault));
    }

    /// A place with its line, for a fault that is found later.
    pub(crate) fn place(&self, spot: Spot) -> Excerpted {
        Excerpted {
            file: self.file.into(),
            line: spot.line.into(),
            column: spot.column.into(),
            excerpt: excerpt(&self.lines, spot, false),
        }
    }

    /// All faults, in order of line and column, each once.
    pub(crate) fn finish(mut self) -> Vec<ManifestError> {
        self.errors.sort_by_key(|error| (error.line, error.column));
        self.errors.dedup();
        if self.dropped > 0 {
            let message = format!("{} more errors in this file are not shown", self.dropped);
            self.errors.push(ManifestError::of_file(self.file, message, Some("fix the first ones first")));
        }
        self.errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_shows_a_hundred_faults_and_counts_the_others() {
        let mut report = Report::new("a.yaml", "");
        for column in 1..=103 {
            report.add(Spot { line: 1, column, len: 1 }, Fault::new("wrong"));
        }
        let errors = report.finish();
        assert_eq!(errors.len(), 101);
        assert_eq!(errors[100].message, "3 more errors in this file are not shown");
    }
}

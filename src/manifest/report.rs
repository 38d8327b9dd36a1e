//! Collects the faults of one file and shows the lines they are in.

use super::{
    error::{Excerpt, ManifestError},
    mask,
    tree::Spot,
};
use crate::plain::steers;

/// Faults of one file that are shown. Behind that a person fixes the first ones first, and a hostile file cannot
/// make the report larger than itself.
const MOST_FAULTS: usize = 100;

/// Characters of a line that are shown.
const WIDEST: usize = 100;

/// Characters that are shown before the part that is meant, where the line is too long.
const LEAD: usize = 40;

/// Characters on either side of a spot that are looked at at all: what it costs to show a line does not grow with
/// the line.
const AROUND: usize = 1_000;

/// What is wrong, without the place.
#[derive(Debug)]
pub(super) struct Fault {
    message: String,
    help: Option<String>,
    secret: bool,
}

impl Fault {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, secret: false }
    }

    /// Says what would be right.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says what would be right, where that is known.
    pub(super) fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    /// The part of the line that is meant may be a secret: it is not shown.
    pub(super) fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}

/// A text with its lines, as YAML counts them: ended by `\n`, `\r\n` or `\r`.
pub(super) struct LineIndex<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> LineIndex<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let bytes = text.as_bytes();
        let ends = bytes.iter().enumerate().filter(|(at, byte)| match **byte {
            b'\n' => true,
            b'\r' => bytes.get(at + 1) != Some(&b'\n'),
            _ => false,
        });
        let starts = std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// How many there are; an empty text has one.
    pub(super) fn count(&self) -> usize {
        self.starts.len()
    }

    /// The line of this index (from 0) without its end; empty where there is none.
    pub(super) fn get(&self, index: usize) -> &'t str {
        let Some(start) = self.starts.get(index) else { return "" };
        let end = self.starts.get(index + 1).copied().unwrap_or(self.text.len());
        self.text[*start..end].trim_end_matches(['\n', '\r'])
    }

    /// The text from the line of this index on.
    pub(super) fn text_from(&self, index: usize) -> &'t str {
        self.starts.get(index).map_or("", |start| &self.text[*start..])
    }

    /// What stands at a spot, up to the end of its line.
    pub(super) fn at(&self, spot: Spot) -> String {
        let line = self.get((spot.line as usize).saturating_sub(1));
        line.chars().skip((spot.column as usize).saturating_sub(1)).take(spot.len as usize).collect()
    }
}

/// A place with the line it is in.
pub(super) struct Excerpted {
    pub(super) file: String,
    pub(super) line: u64,
    pub(super) column: u64,
    pub(super) excerpt: Excerpt,
}

impl Excerpted {
    /// The fault at this place.
    pub(super) fn error(&self, fault: Fault) -> ManifestError {
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
pub(super) struct Report<'t> {
    file: &'t str,
    lines: LineIndex<'t>,
    errors: Vec<ManifestError>,
    dropped: usize,
}

impl<'t> Report<'t> {
    pub(super) fn new(file: &'t str, text: &'t str) -> Self {
        Self { file, lines: LineIndex::new(text), errors: Vec::new(), dropped: 0 }
    }

    pub(super) fn lines(&self) -> &LineIndex<'t> {
        &self.lines
    }

    /// How many faults there are.
    pub(super) fn len(&self) -> usize {
        self.errors.len() + self.dropped
    }

    pub(super) fn add(&mut self, spot: Spot, fault: Fault) {
        if self.errors.len() >= MOST_FAULTS {
            self.dropped += 1;
            return;
        }
        let place = Excerpted { excerpt: excerpt(&self.lines, spot, fault.secret), ..self.place(spot) };
        self.errors.push(place.error(fault));
    }

    /// A place with its line, for a fault that is found later.
    pub(super) fn place(&self, spot: Spot) -> Excerpted {
        Excerpted {
            file: self.file.into(),
            line: spot.line.into(),
            column: spot.column.into(),
            excerpt: excerpt(&self.lines, spot, false),
        }
    }

    /// All faults, in order of line and column, each once.
    pub(super) fn finish(mut self) -> Vec<ManifestError> {
        self.errors.sort_by_key(|error| (error.line, error.column));
        self.errors.dedup();
        if self.dropped > 0 {
            let message = format!("{} more errors in this file are not shown", self.dropped);
            self.errors.push(ManifestError::of_file(self.file, message, Some("fix the first ones first")));
        }
        self.errors
    }
}

/// The line of a spot: masked, cut to a width that fits a screen, without control characters.
pub(super) fn excerpt(lines: &LineIndex<'_>, spot: Spot, secret: bool) -> Excerpt {
    let index = (spot.line as usize).saturating_sub(1);
    let column = (spot.column as usize).saturating_sub(1);
    let skipped = column.saturating_sub(AROUND);
    let mut line: Vec<char> = lines.get(index).chars().skip(skipped).take(2 * AROUND + 1).collect();
    let more = line.len() > 2 * AROUND;
    line.truncate(2 * AROUND);
    let start = (column - skipped).min(line.len());
    let len = (spot.len as usize).clamp(1, (line.len() - start).max(1));
    let hide = secret.then_some(start..start + len);
    let continued = mask::continued_secret(lines, index);
    let shown = |at: usize| at.saturating_sub(skipped).min(line.len());
    let continued = continued.map(|part| shown(part.start)..shown(part.end));
    let masked = mask::line(&line, continued, hide);
    let (start, end) = (masked.position(start), masked.position(start + len));
    cut(&masked.text, start, end.saturating_sub(start), (skipped > 0, more))
}

/// Cuts a line around a part of it; `cut_already` says whether it was cut at its start and at its end.
fn cut(line: &[char], start: usize, len: usize, cut_already: (bool, bool)) -> Excerpt {
    let from = if line.len() <= WIDEST { 0 } else { start.saturating_sub(LEAD) };
    let to = line.len().min(from + WIDEST);
    let visible = |c: &char| match c {
        '\t' => ' ',
        c if steers(*c) => '\u{FFFD}',
        c => *c,
    };
    let mut text: String = line[from..to].iter().map(visible).collect();
    let mut start = start - from;
    if from > 0 || cut_already.0 {
        text.insert(0, '…');
        start += 1;
    }
    if to < line.len() || cut_already.1 {
        text.push('…');
    } else {
        text.truncate(text.trim_end().len());
    }
    let shown = text.chars().count();
    Excerpt { text, start, len: len.min(shown.saturating_sub(start)).max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_as_yaml_says() {
        let lines = LineIndex::new("a\nb\r\nc\rd\n");
        let all: Vec<_> = (0..lines.count()).map(|index| lines.get(index)).collect();
        assert_eq!(all, ["a", "b", "c", "d", ""]);
        assert_eq!(lines.text_from(2), "c\rd\n");
    }

    #[test]
    fn a_long_line_is_cut_around_the_part_that_is_meant() {
        let text = format!("{}here{}", "x".repeat(5_000), "y".repeat(5_000));
        let shown = excerpt(&LineIndex::new(&text), Spot { line: 1, column: 5_001, len: 4 }, false);
        assert_eq!(shown.text.chars().count(), WIDEST + 2);
        assert_eq!(shown.text.chars().skip(shown.start).take(shown.len).collect::<String>(), "here");
    }

    #[test]
    fn a_line_that_goes_on_with_a_secret_is_not_shown() {
        let lines = LineIndex::new("password: |\n  hunter2\n");
        assert_eq!(excerpt(&lines, Spot { line: 2, column: 5, len: 2 }, false).text, "  ********");
    }

    #[test]
    fn a_spot_outside_the_text_shows_nothing_and_does_not_panic() {
        let shown = excerpt(&LineIndex::new("a"), Spot { line: 9, column: 9, len: 9 }, true);
        assert_eq!(shown, Excerpt { text: String::new(), start: 0, len: 1 });
    }

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

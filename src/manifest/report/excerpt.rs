//! The line that a fault is in, as a person may see it.

use super::{
    continued::continued_secret,
    error::Excerpt,
    lines::{LineIndex, Spot},
};
use crate::{plain::steers, secret::mask};

/// Characters of a line that are shown.
const WIDEST: usize = 100;

/// Characters that are shown before the part that is meant, where the line is too long.
const LEAD: usize = 40;

/// Characters on either side of a spot that are looked at at all: what it costs to show a line does not grow with
/// the line.
const AROUND: usize = 1_000;

/// The line of a spot: masked, cut to a width that fits a screen, without control characters.
pub(crate) fn excerpt(lines: &LineIndex<'_>, spot: Spot, secret: bool) -> Excerpt {
    let index = (spot.line as usize).saturating_sub(1);
    let column = (spot.column as usize).saturating_sub(1);
    let skipped = column.saturating_sub(AROUND);
    let mut line: Vec<char> = lines.get(index).chars().skip(skipped).take(2 * AROUND + 1).collect();
    let more = line.len() > 2 * AROUND;
    line.truncate(2 * AROUND);
    let start = (column - skipped).min(line.len());
    let len = (spot.len as usize).clamp(1, (line.len() - start).max(1));
    let hide = secret.then_some(start..start + len);
    let continued = continued_secret(lines, index);
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
}

//! The output of a child, as clean lines: valid UTF-8, without control bytes, of bounded length.

use std::collections::VecDeque;

use crate::plain::{is_bidi_control, without_escapes};

/// The longest line that is kept, in bytes as printed. The rest is dropped up to the line's end.
const LONGEST_LINE: usize = 4 * 1024;

/// The end of a cut line. Other lines often end with an ellipsis alone.
pub(in crate::host) const CUT: &str = "… (cut)";

/// How much of the end of an output is kept, in bytes.
pub(super) const TAIL: usize = 16 * 1024;

/// Cuts a stream of bytes into clean lines.
#[derive(Debug, Default)]
pub(in crate::host) struct Lines {
    raw: Vec<u8>,
    cut: bool,
}

impl Lines {
    /// Takes the next bytes and emits each line that they complete. Blank lines are left out.
    pub(in crate::host) fn push(&mut self, bytes: &[u8], mut line: impl FnMut(&str)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            self.add(text);
            if text.len() < part.len() {
                self.end(&mut line);
            }
        }
    }

    /// Adds to the line while there is room.
    fn add(&mut self, mut text: &[u8]) {
        if self.cut {
            // The dropped part may have contained the start of an escape sequence: reading resumes only when the line is
            // redrawn.
            let Some(at) = text.iter().position(|byte| *byte == b'\r') else { return };
            self.raw.clear();
            self.cut = false;
            text = &text[at + 1..];
        }
        // A progress bar redraws one line forever: text before a carriage return is overwritten, so it is dropped.
        if self.raw.len() + text.len() > LONGEST_LINE
            && let Some(at) = self.raw.iter().rposition(|byte| *byte == b'\r')
        {
            self.raw.drain(..=at);
        }
        let room = LONGEST_LINE.saturating_sub(self.raw.len());
        self.cut = text.len() > room;
        self.raw.extend_from_slice(&text[..text.len().min(room)]);
    }

    /// The stream is not read to its end, so the rest of a line is incomplete.
    pub(in crate::host) fn tear(&mut self) {
        self.cut |= !self.raw.is_empty();
    }

    /// Emits the rest if the stream ended in the middle of a line.
    pub(in crate::host) fn end(&mut self, mut line: impl FnMut(&str)) {
        let mut text = clean(&self.raw);
        if self.cut {
            text.push_str(CUT);
        }
        if !text.is_empty() {
            line(&text);
        }
        self.raw.clear();
        self.cut = false;
    }
}

/// One line for a reader: the text that a terminal would show after the last carriage return, without escape sequences and
/// control characters.
pub(super) fn clean(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    // A carriage return may be inside a sequence, so sequences are removed first.
    let text: String = without_escapes(&text).collect();
    text.rsplit('\r').map(strip).find(|part| !part.is_empty()).unwrap_or_default()
}

fn strip(text: &str) -> String {
    let shown = text.chars().filter_map(|c| match c {
        '\t' => Some(' '),
        c if c.is_control() || is_bidi_control(c) => None,
        c => Some(c),
    });
    let mut out: String = shown.collect();
    out.truncate(out.trim_end().len());
    out
}

/// The end of an output: at most [`TAIL`] bytes, whole lines.
#[derive(Debug, Default)]
pub(super) struct Tail {
    lines: VecDeque<String>,
    bytes: usize,
}

impl Tail {
    /// Adds a line and drops the oldest ones that no longer fit.
    pub(super) fn push(&mut self, line: &str) {
        self.bytes += line.len() + 1;
        self.lines.push_back(line.to_owned());
        while self.bytes > TAIL {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= oldest.len() + 1;
        }
    }

    /// The lines, joined.
    pub(super) fn text(&self) -> String {
        self.lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let mut all = Vec::new();
        let mut cutter = Lines::default();
        for chunk in chunks {
            cutter.push(chunk, |line| all.push(line.to_owned()));
        }
        cutter.end(|line| all.push(line.to_owned()));
        all
    }

    #[test]
    fn cuts_lines_wherever_the_chunks_end() {
        assert_eq!(lines(&[b"on", b"e\ntw", b"o\r", b"\n\n", b"three"]), ["one", "two", "three"]);
    }

    #[test]
    fn terminal_control_sequences_are_removed() {
        assert_eq!(clean(b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07on\x1b(B\x07\x08e\ttab"), "red one tab");
        assert_eq!(clean(b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\"), "link");
        assert_eq!(clean("a\u{202e}b\u{9b}2Jc".as_bytes()), "abc");
        assert_eq!(clean(b"\x1b\x1b[2Ja\x1b[\x1b[2Jb\x1b[2\rJc"), "c");
        assert_eq!(clean(b"bad \xff byte"), "bad \u{fffd} byte");
        assert_eq!(clean(b"\x1b[31"), "");
    }

    #[test]
    fn a_sequence_is_one_wherever_the_chunks_end() {
        let whole = b"one\x1b[1;31mtwo\x1b]0;title\x1b\\three\n";
        for cut in 0..whole.len() {
            assert_eq!(lines(&[&whole[..cut], &whole[cut..]]), ["onetwothree"], "cut at {cut}");
        }
    }

    #[test]
    fn a_sequence_whose_begin_was_dropped_leaves_no_letters() {
        // The line is too long; the last byte, which no longer fits, is the ESC.
        let long = [b"\r".as_slice(), &vec![b'.'; LONGEST_LINE - 1], b"\x1b"].concat();
        let all = lines(&[&long, b"[2Jx", b"\n", &long, b"[2Jx\r100%\n"]);
        assert!(all[0].trim_end_matches(CUT).bytes().all(|byte| byte == b'.'), "{all:?}");
        assert_eq!(all[1..], ["100%"]);
    }

    #[test]
    fn keeps_the_last_state_of_a_progress_line() {
        assert_eq!(clean(b" 10%\r 50%\r100%\r"), "100%");
        let mut bar = vec![b'.'; 3 * LONGEST_LINE];
        for at in (0..bar.len()).step_by(100) {
            bar[at] = b'\r';
        }
        bar.extend_from_slice(b"\rdone\n");
        let mut seen = Vec::new();
        let mut cutter = Lines::default();
        for chunk in bar.chunks(512) {
            cutter.push(chunk, |line| seen.push(line.to_owned()));
        }
        assert_eq!(seen, ["done"]);
    }

    #[test]
    fn a_line_without_end_stays_bounded() {
        let long = vec![b'x'; 10 * LONGEST_LINE];
        let all = lines(&[&long, &long, b"\nnext"]);
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].len(), LONGEST_LINE + CUT.len());
        assert_eq!(all[1], "next");
    }

    #[test]
    fn a_line_that_is_not_read_to_its_end_is_marked_and_no_other() {
        for (read, shown) in [("one\ntw", vec!["one", "tw… (cut)"]), ("one\n", vec!["one"])] {
            let (mut all, mut cutter) = (Vec::new(), Lines::default());
            cutter.push(read.as_bytes(), |line| all.push(line.to_owned()));
            cutter.tear();
            cutter.end(|line| all.push(line.to_owned()));
            assert_eq!(all, shown);
        }
    }

    #[test]
    fn keeps_the_end_within_its_limit() {
        let mut tail = Tail::default();
        for n in 0..10_000 {
            tail.push(&format!("line {n}"));
        }
        let text = tail.text();
        assert!(text.len() <= TAIL && text.len() > TAIL - 100);
        assert!(text.ends_with("line 9999"));
    }

    proptest::proptest! {
        #[test]
        fn is_always_clean(raw in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            for line in lines(&[&raw]) {
                proptest::prop_assert!(!line.contains(char::is_control), "{line:?}");
            }
        }
    }
}

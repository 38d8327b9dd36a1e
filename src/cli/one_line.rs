//! One event, one line, whatever its content: an error of Compose about a project has many lines, and a path may contain any
//! character.

use std::io::{self, Write};

use crate::plain::{self, clean};

/// Replaces a line end within an event.
const JOINT: &str = " | ";

/// Standard error, for events as text.
pub(super) fn text() -> OneLine<io::Stderr> {
    text_on(io::stderr())
}

/// The same on another screen.
pub(super) const fn text_on<W>(out: W) -> OneLine<W> {
    OneLine { out, form: EventFormat::Text }
}

/// Standard error, for events as JSON.
pub(super) fn json() -> OneLine<io::Stderr> {
    OneLine { out: io::stderr(), form: EventFormat::Json }
}

/// How events are written.
#[derive(Debug, Clone, Copy)]
enum EventFormat {
    Text,
    Json,
}

/// Writes its input at once as one line without control sequences: the log passes it one event at a time.
#[derive(Debug)]
pub(super) struct OneLine<W> {
    out: W,
    form: EventFormat,
}

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        match self.form {
            EventFormat::Text => self.out.write_all(in_a_line(&text).as_bytes())?,
            EventFormat::Json => self.out.write_all(plain::json(&text).as_bytes())?,
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// An event as text. The subscriber escapes the escape sequences in values, so that the remaining ones are its own colours.
fn in_a_line(event: &str) -> String {
    let lines: Vec<&str> = event.trim_end().lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let line = match lines[..] {
        // An indent, or spaces at the end, belong to the event.
        [_] | [] => event.trim_end_matches('\n').to_owned(),
        _ => lines.join(JOINT),
    };
    let end = if event.ends_with('\n') { "\n" } else { "" };
    format!("{}{end}", with_colours(&line))
}

/// A text of several lines, each cleaned.
pub(super) fn in_lines(text: &str) -> String {
    text.split('\n').map(with_colours).collect::<Vec<_>>().join("\n")
}

/// A line without control sequences except colours.
fn with_colours(line: &str) -> String {
    let (mut shown, mut rest) = (String::with_capacity(line.len()), line);
    while let Some((at, colour)) = next_colour(rest) {
        shown.push_str(&clean(&rest[..at]));
        shown.push_str(colour);
        rest = &rest[at + colour.len()..];
    }
    shown.push_str(&clean(rest));
    shown
}

/// The next change of colour: `ESC [ … m` with only numbers in it.
fn next_colour(text: &str) -> Option<(usize, &str)> {
    text.match_indices("\u{1b}[").find_map(|(at, begin)| {
        let parameters = &text[at + begin.len()..];
        let len = parameters.find(|c: char| !c.is_ascii_digit() && c != ';')?;
        parameters[len..].starts_with('m').then(|| (at, &text[at..=at + begin.len() + len]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(event: &str, form: EventFormat) -> String {
        let mut line = OneLine { out: Vec::new(), form };
        line.write_all(event.as_bytes()).unwrap();
        String::from_utf8(line.out).unwrap()
    }

    #[test]
    fn an_event_of_many_lines_is_one() {
        let event =
            "WARN refused: validating compose.yaml:\n\n  services.api must be a mapping\r\n reason=x\n";
        let expected = "WARN refused: validating compose.yaml: | services.api must be a mapping | reason=x\n";
        assert_eq!(written(event, EventFormat::Text), expected);
    }

    #[test]
    fn an_event_of_one_line_is_left_as_it_is() {
        for event in ["INFO  started\n", "  an indent, and a space at the end \n", ""] {
            assert_eq!(written(event, EventFormat::Text), event);
        }
    }

    #[test]
    fn nothing_in_an_event_steers_the_terminal_but_its_colours() {
        let event =
            "\u{1b}[33m WARN\u{1b}[0m a\u{9b}2Jb\u{202e}c\u{1b}[2Jd\u{2028}e\u{7}f\u{85}g\u{1b}]0;t\u{7}h\n";
        let expected = "\u{1b}[33m WARN\u{1b}[0m abcd efgh\n";
        assert_eq!(written(event, EventFormat::Text), expected);
    }

    #[test]
    fn an_event_in_json_is_the_same_json() {
        let event = format!("{}\n", serde_json::json!({"message": "a\u{9b}2J\u{202e}\u{7f}\nb"}));
        let shown = written(&event, EventFormat::Json);
        assert!(shown.chars().all(|c| c == '\n' || !plain::steers(c)), "{shown}");
        let (one, other): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(&shown).unwrap(), serde_json::from_str(&event).unwrap());
        assert_eq!(one, other);
    }
}

//! A transcript as text: what happens, what is typed, and what is printed.

use std::fmt::Write as _;

use chrono::TimeDelta;

/// A line of a transcript that somebody writes by hand; what is printed is written by the harness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// `# …`: the story, for who reads it.
    Story(String),
    /// `* …`: something happens on the host.
    Event(String),
    /// `… 10 minutes pass`: nobody does anything.
    Pause(TimeDelta, String),
    /// `$ undrift …`: a command.
    Command(String),
}

/// The lines that were written by hand. Blank lines, what is indented and exit codes are the harness's own.
pub(super) fn parse(text: &str) -> Result<Vec<Line>, String> {
    let written = |line: &&str| !(line.is_empty() || line.starts_with("  ") || line.starts_with("[exit "));
    text.lines().filter(written).map(parse_line).collect()
}

fn parse_line(line: &str) -> Result<Line, String> {
    let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
    match mark {
        "#" => Ok(Line::Story(rest.to_owned())),
        "*" => Ok(Line::Event(rest.to_owned())),
        "$" => Ok(Line::Command(rest.to_owned())),
        "…" => Ok(Line::Pause(parse_pause(rest)?, rest.to_owned())),
        _ => Err(format!("a line begins with `# `, `* `, `… `, `$ ` or two spaces: {line}")),
    }
}

/// `10 minutes pass`.
fn parse_pause(text: &str) -> Result<TimeDelta, String> {
    let unknown = || format!("a pause is written as `… 10 minutes pass`: {text}");
    let [number, unit, "pass" | "passes"] = text.split(' ').collect::<Vec<_>>()[..] else {
        return Err(unknown());
    };
    let number = number.parse().map_err(|_| unknown())?;
    match unit.trim_end_matches('s') {
        "second" => Ok(TimeDelta::seconds(number)),
        "minute" => Ok(TimeDelta::minutes(number)),
        "hour" => Ok(TimeDelta::hours(number)),
        _ => Err(unknown()),
    }
}

/// A transcript while it is written.
#[derive(Debug, Default)]
pub(super) struct Writer {
    text: String,
    last: Option<Line>,
}

impl Writer {
    /// Writes a line as it was read, apart from the one before it where another paragraph begins.
    pub(super) fn line(&mut self, line: &Line) {
        let is_story = matches!(line, Line::Story(_));
        let begins = match &self.last {
            None => false,
            Some(Line::Command(_)) => true,
            Some(Line::Story(_)) => !is_story,
            Some(_) => is_story,
        };
        self.text.push_str(if begins { "\n" } else { "" });
        let (mark, rest) = match line {
            Line::Story(rest) => ('#', rest),
            Line::Event(rest) => ('*', rest),
            Line::Pause(_, rest) => ('…', rest),
            Line::Command(rest) => ('$', rest),
        };
        self.text.push_str(format!("{mark} {rest}").trim_end());
        self.text.push('\n');
        self.last = Some(line.clone());
    }

    /// Writes what a command printed, indented, and its exit code.
    pub(super) fn output(&mut self, printed: &str, exit: u8) {
        for line in printed.lines() {
            self.text.push_str(format!("  {line}").trim_end());
            self.text.push('\n');
        }
        let _ = writeln!(self.text, "[exit {exit}]");
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

//! Progress on standard error: one line per event, and the running command's last line on a terminal.

use std::io::Write;

use super::{
    event_text,
    machine::{Stopwatch, Stream},
    safe::{self, Safe},
    style::{Style, clean},
};
use crate::api::Event;

/// Back to the begin of the line, and nothing left on it.
const ERASE: &[u8] = b"\r\x1b[2K";

/// Shows what happens, line by line.
pub(super) struct ProgressPrinter {
    err: Box<dyn Write + Send>,
    style: Style,
    live: bool,
    named: bool,
    elapsed: Stopwatch,
    unfinished: bool,
}

impl ProgressPrinter {
    /// `named`: each line begins with the object's name, because there are several.
    pub(super) fn new(stderr: Stream, elapsed: Stopwatch, named: bool) -> Self {
        let Stream { out: err, style, is_terminal: live } = stderr;
        Self { err, style, live, named, elapsed, unfinished: false }
    }

    /// Shows one event of an object.
    pub(super) fn print(&mut self, object: &str, event: &Event) {
        let passing = is_passing(event);
        if passing && !self.live {
            return;
        }
        for text in event_text::live(self.style, event) {
            self.print_line(object, &text, passing);
        }
    }

    /// Shows a remark on an object that is no event.
    pub(super) fn remark(&mut self, object: &str, text: &str) {
        self.print_line(object, &clean(text), false);
    }

    /// Shows a line, whose place the next one takes where it is passing. A terminal that is gone must not end a repair: write
    /// errors are dropped.
    fn print_line(&mut self, object: &str, text: &str, passing: bool) {
        self.end();
        let clock = self.style.dim(&format!("{:6.1}s", (self.elapsed)().as_secs_f32()));
        let name = if self.named { format!("{object}  ") } else { String::new() };
        let mut err = Safe::new(&mut self.err, self.style);
        let _ = if passing {
            let short: String = text.chars().take(90).collect();
            write!(err, "{clock}  {name}{short}")
        } else {
            safe::lines(&mut err, &format!("{clock}  {name}{text}"))
        };
        let _ = err.flush();
        self.unfinished = passing;
    }

    /// Clears a line that was passing.
    pub(super) fn end(&mut self) {
        if self.unfinished {
            let _ = self.err.write_all(ERASE);
            self.unfinished = false;
        }
    }
}

/// Whether an event is only worth a line until the next one.
const fn is_passing(event: &Event) -> bool {
    matches!(event, Event::Output { .. })
}

//! Progress on standard error: one line per event, and the running command's last line on a terminal.

use std::io::Write;

use super::{
    incident::arrow,
    ladder,
    machine::{Stopwatch, Stream},
    safe::{self, Safe},
    style::{Style, clean},
};
use crate::api::{EndedStep, Event, RouteTransition, StepOutcome};

/// Back to the begin of the line, and nothing left on it.
const ERASE: &[u8] = b"\r\x1b[2K";

/// How many of the last lines of a failed command are shown: the reason stands there.
const LINES: usize = 12;

/// How many they may be where BuildKit's summary is longer. It begins with what the failed `RUN` printed; from Compose 2.37 on
/// an excerpt of the Dockerfile follows.
const LINES_OF_SUMMARY: usize = 30;

/// The last lines of what a failed command printed, from BuildKit's summary on where there is one: `------`, ` > [api 2/2] RUN
/// …:`, what that has printed.
pub(super) fn last_lines(output: &str) -> Vec<&str> {
    let lines: Vec<&str> = output.lines().collect();
    let is_summary = |pair: &[&str]| pair[0].starts_with("------") && pair[1].starts_with(" > ");
    let summary = lines.windows(2).rposition(is_summary).unwrap_or(lines.len());
    let from = summary.clamp(lines.len().saturating_sub(LINES_OF_SUMMARY), lines.len().saturating_sub(LINES));
    lines[from..].to_vec()
}

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
        for text in lines(self.style, event) {
            self.print_line(object, &text, passing);
        }
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

/// An event in words, with the time before each; none for what the summary says.
fn lines(style: Style, event: &Event) -> Vec<String> {
    vec![match event {
        Event::DriftDetected { service, drift } => {
            let place = style.red(&format!("{}: {} layer, {}", clean(service), drift.layer, drift.reason));
            format!("{place}  {}", clean(&drift.message))
        }
        Event::StepIntended { step, services } => {
            style.bold(&format!("{} …", clean(&ladder::in_words(*step, services))))
        }
        Event::Output { line } => style.dim(&format!("  {}", clean(line))),
        Event::StepEnded(ended) => step_ended(style, ended),
        Event::Verifying { services, window_ms } => {
            let window = std::time::Duration::from_millis(*window_ms).as_secs_f32();
            format!("{} as declared; verifying it for {window:.1} s …", clean(&services.join(", ")))
        }
        Event::NotVerified { service, why } => {
            style.yellow(&format!("{}: not verified: {}", clean(service), clean(why)))
        }
        Event::Waiting { until, why } => {
            let until = until.map(|until| format!(" until {} at most", until.format("%H:%M:%S UTC")));
            format!("waiting{}: {}", until.unwrap_or_default(), clean(why))
        }
        Event::Reconciled { transitions } => {
            let lines = transitions.iter().map(|RouteTransition { service, route, transition }| {
                format!("{}: route {} {}", clean(service), clean(route), style.green(&arrow(*transition)))
            });
            return lines.collect();
        }
        Event::Stalled { reason, message } | Event::GivenUp { reason, message } => {
            style.red(&format!("stalled: {}: {}", clean(reason.as_str()), clean(message)))
        }
        _ => return Vec::new(),
    }]
}

/// How a step ended; of one that failed the end of what its command printed.
fn step_ended(style: Style, ended: &EndedStep) -> String {
    let words = format!("{} {}", ended.kind, in_words(ended.outcome));
    let Some(command) = &ended.command else { return style.yellow(&words) };
    let took = format!("in {:.1} s", std::time::Duration::from_millis(command.duration_ms).as_secs_f32());
    if ended.outcome == StepOutcome::Succeeded {
        return format!("{} {took}", style.green(&words));
    }
    let tail = last_lines(&command.output).into_iter().map(|line| format!("           {}", clean(line)));
    let tail: Vec<String> = tail.collect();
    format!("{} {took}\n{}", style.red(&words), tail.join("\n"))
}

const fn in_words(outcome: StepOutcome) -> &'static str {
    match outcome {
        StepOutcome::Succeeded => "succeeded",
        StepOutcome::Failed => "failed",
        StepOutcome::TimedOut => "timed out",
        StepOutcome::Cancelled => "was cancelled",
        StepOutcome::Interrupted => "was interrupted",
        StepOutcome::NotBegun => "was not begun",
    }
}

#[cfg(test)]
mod tests;

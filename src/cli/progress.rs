//! Progress on standard error: one line per event, and the running command's last line on a terminal.

use std::{
    io::{self, IsTerminal, Write},
    time::Instant,
};

use super::{
    incident::arrow,
    ladder,
    safe::{self, Safe},
    style::{Style, clean},
};
use crate::{api::StepOutcome, reconcile::Progress};

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

/// Tells what happens, line by line.
pub(super) struct ProgressPrinter {
    style: Style,
    live: bool,
    named: bool,
    began: Instant,
    unfinished: bool,
}

impl ProgressPrinter {
    /// `named`: each line begins with the object's name, because there are several.
    pub(super) fn new(style: Style, named: bool) -> Self {
        Self { style, live: io::stderr().is_terminal(), named, began: Instant::now(), unfinished: false }
    }

    /// Tells one thing.
    pub(super) fn print_progress(&mut self, object: &str, progress: &Progress<'_>) {
        if let Some(line) = line(self.style, progress) {
            self.print_line(object, &line, is_passing(progress));
        }
    }

    /// Says a line, or shows one whose place the next line takes. A terminal that is gone must not end a repair: write
    /// errors are dropped.
    pub(super) fn print_line(&mut self, object: &str, line: &str, passing: bool) {
        let clock = self.style.dim(&format!("{:6.1}s", self.began.elapsed().as_secs_f32()));
        let name = if self.named { format!("{object}  ") } else { String::new() };
        if passing && !self.live {
            return;
        }
        self.end();
        let mut err = Safe::new(io::stderr().lock(), self.style);
        let _ = if passing {
            let short: String = line.chars().take(90).collect();
            write!(err, "{clock}  {name}{short}")
        } else {
            safe::lines(&mut err, &format!("{clock}  {name}{line}"))
        };
        let _ = err.flush();
        self.unfinished = passing;
    }

    /// Clears a line that was passing.
    pub(super) fn end(&mut self) {
        if self.unfinished {
            let _ = io::stderr().write_all(ERASE);
            self.unfinished = false;
        }
    }
}

/// Whether a thing is only worth a line until the next one.
pub(super) const fn is_passing(progress: &Progress<'_>) -> bool {
    matches!(progress, Progress::Line(_))
}

/// A thing in words; none for what the summary says.
pub(super) fn line(style: Style, progress: &Progress<'_>) -> Option<String> {
    Some(match progress {
        Progress::Drift { service, drift } => {
            let place = style.red(&format!("{service}: {} layer, {}", drift.layer, drift.reason));
            format!("{place}  {}", clean(&drift.message))
        }
        Progress::Interrupted(what) => style.yellow(what),
        Progress::StepBegins(step) => {
            style.bold(&format!("{} …", ladder::in_words(step.step, &step.services)))
        }
        Progress::Line(line) => style.dim(&format!("  {}", clean(line))),
        Progress::StepEnds(step, report) => {
            let words = format!("{} {}", step.step.kind(), in_words(report.outcome));
            let took =
                format!("in {:.1} s", std::time::Duration::from_millis(report.duration_ms).as_secs_f32());
            if report.outcome == StepOutcome::Succeeded {
                format!("{} {took}", style.green(&words))
            } else {
                let shown = last_lines(&report.output).into_iter();
                let tail: Vec<String> = shown.map(|l| format!("           {}", clean(l))).collect();
                format!("{} {took}\n{}", style.red(&words), tail.join("\n"))
            }
        }
        Progress::Verifying { services, window } => {
            let services = services.join(", ");
            format!("{} as declared; verifying it for {:.1} s …", clean(&services), window.as_secs_f32())
        }
        Progress::NotVerified { service, why } => {
            style.yellow(&format!("{service}: not verified: {}", clean(why)))
        }
        Progress::Waiting { until, why } => {
            let until = until.map(|until| format!(" until {} at most", until.format("%H:%M:%S UTC")));
            format!("waiting{}: {}", until.unwrap_or_default(), clean(why))
        }
        Progress::Transition { service, route, transition } => {
            format!("{}: route {} {}", clean(service), clean(route), style.green(&arrow(*transition)))
        }
        Progress::Observed | Progress::Reconciled => return None,
        Progress::Stalled { reason, message } => style.red(&format!("stalled: {reason}: {}", clean(message))),
    })
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

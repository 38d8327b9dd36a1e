//! What happens, live on a terminal, and the colours of what happened.

use super::style::{Paint, Style, clean};
use crate::{
    api::{AuditKind, AuditRecord, EndedStep, Event, RouteTransition, StepOutcome},
    event_words::{arrow, last_lines, outcome_in_words, step_in_words},
};

/// An event in words, with the time before each; none for what the summary says.
pub(super) fn live(style: Style, event: &Event) -> Vec<String> {
    vec![match event {
        Event::DriftDetected { service, drift } => {
            let place = style.red(&format!("{}: {} layer, {}", clean(service), drift.layer, drift.reason));
            format!("{place}  {}", clean(&drift.message))
        }
        Event::StepIntended { step, services } => {
            style.bold(&format!("{} …", clean(&step_in_words(*step, services))))
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
            let changed =
                transitions.iter().filter(|route| route.transition.before != route.transition.after);
            let lines = changed.map(|RouteTransition { service, route, transition }| {
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
    let words = format!("{} {}", ended.kind, outcome_in_words(ended.outcome));
    let Some(command) = &ended.command else { return style.yellow(&words) };
    let took = format!("in {:.1} s", std::time::Duration::from_millis(command.duration_ms).as_secs_f32());
    if ended.outcome == StepOutcome::Succeeded {
        return format!("{} {took}", style.green(&words));
    }
    let tail = last_lines(&command.output).into_iter().map(|line| format!("           {}", clean(line)));
    let head = format!("{} {took}", style.red(&words));
    std::iter::once(head).chain(tail).collect::<Vec<_>>().join("\n")
}

/// The colour of a kind: drift, repair, or stall.
pub(super) fn kind_paint(record: &AuditRecord) -> Paint {
    match AuditKind::named(&record.kind) {
        Some(
            AuditKind::DriftDetected
            | AuditKind::StepInterrupted
            | AuditKind::RolledBack
            | AuditKind::AnchorFailed,
        ) => Paint::Yellow,
        Some(AuditKind::Reconciled | AuditKind::Verified) => Paint::Green,
        Some(AuditKind::Stalled | AuditKind::TrailLost) => Paint::Red,
        _ => Paint::Plain,
    }
}

/// The outcome of a step in its colour. An incident's outcome, and one that was not begun, have none.
pub(super) fn outcome_paint(outcome: &str) -> Paint {
    match StepOutcome::named(outcome) {
        Some(StepOutcome::Succeeded) => Paint::Green,
        Some(StepOutcome::Failed | StepOutcome::TimedOut | StepOutcome::Interrupted) => Paint::Red,
        _ => Paint::Plain,
    }
}

#[cfg(test)]
mod tests;

//! The ladder: a row per service, a column per layer, the first broken layer in words under it.

use std::io::{self, Write};

use super::{
    standing_text::unstable,
    style::{Cell, Paint, Style, cell, clean, heading, table},
};
use crate::{
    api::{Desired, DriftReason, Layer, Reason, RouteStatus, ServiceStatus, StallReason, UnknownReason},
    decide::{Decision, Diagnosis, HeldBack, LayerVerdict, Repair, RepairOption, UnknownLayer},
    event_words::step_in_words,
    reconcile::Assessment,
};

/// Writes the ladder of one object.
pub(super) fn write(
    out: &mut dyn Write,
    style: Style,
    desired: &Desired,
    looked: &Assessment,
) -> io::Result<()> {
    writeln!(out, "{}  {}", style.bold(desired.name()), style.dim(&desired.directory.display().to_string()))?;
    if let Some(held_back) = &looked.decision.held_back {
        writeln!(out, "  {}", style.yellow(&why_held_back(held_back)))?;
    }
    if let Some(activity) = &looked.decision.waits_for {
        writeln!(out, "  {}", style.yellow(&clean(activity)))?;
    }
    let mut rows = vec![heading(&["SERVICE", "SOURCE", "ARTIFACT", "CONTAINER", "ROUTE", "AUTH"])];
    let services = looked.decision.services.iter().zip(&looked.object.status.services);
    rows.extend(services.map(|(diagnosis, status)| row(diagnosis, status)));
    table(out, style, 2, &rows)?;
    words(out, style, looked)
}

fn row(diagnosis: &Diagnosis, status: &ServiceStatus) -> Vec<Cell> {
    let mut cells = vec![cell(diagnosis.service.clone(), Paint::Plain)];
    let broken_at = diagnosis.drift.as_ref().map(|drift| drift.layer);
    for (layer, verdict) in Layer::ALL.into_iter().zip(&diagnosis.layers) {
        let explained = broken_at.is_some_and(|broken| layer > broken);
        cells.push(rung(layer, verdict, status, explained));
    }
    cells
}

/// The layers behind the first broken one explain nothing: they are shown, but not judged.
fn rung(layer: Layer, verdict: &LayerVerdict, status: &ServiceStatus, explained: bool) -> Cell {
    let seen = seen(layer, status);
    match verdict {
        LayerVerdict::Undeclared => cell("–", Paint::Dim),
        _ if explained => cell(format!("·{seen}"), Paint::Dim),
        LayerVerdict::AsDeclared(None) => cell(format!("✓{seen}"), Paint::Green),
        LayerVerdict::AsDeclared(Some(_)) => cell(format!("✓{seen}"), Paint::Yellow),
        LayerVerdict::Broken(reason, _) => cell(format!("✗ {reason}"), Paint::Red),
        LayerVerdict::Unknown(..) | LayerVerdict::Unverifiable(..) => cell("?", Paint::Yellow),
    }
}

/// The answered statuses, for the two layers that have any.
fn seen(layer: Layer, status: &ServiceStatus) -> String {
    let of = |route: &RouteStatus| match layer {
        Layer::Route => route.observed,
        Layer::Auth => route.auth.as_ref().and_then(|auth| auth.observed),
        _ => None,
    };
    let mut all: Vec<String> = status.routes.iter().filter_map(of).map(|status| status.to_string()).collect();
    all.dedup();
    if all.is_empty() { String::new() } else { format!(" {}", all.join(" ")) }
}

fn words(out: &mut dyn Write, style: Style, looked: &Assessment) -> io::Result<()> {
    let services = looked.decision.services.iter().zip(&looked.decision.repair_options);
    for ((diagnosis, option), status) in services.zip(&looked.object.status.services) {
        if let Some(drift) = &diagnosis.drift {
            let place = style.red(&format!("{}: {} layer", diagnosis.service, drift.layer));
            writeln!(out, "\n  {place}  {}", clean(&drift.message))?;
        }
        for UnknownLayer { layer, message, .. } in diagnosis.unknown.iter().chain(&diagnosis.unverifiable) {
            let place = style.yellow(&format!("{}: {layer} layer unknown", diagnosis.service));
            writeln!(out, "\n  {place}  {}", clean(message))?;
        }
        for (layer, note) in notes(diagnosis) {
            let place = style.yellow(&format!("{}: {layer} layer", diagnosis.service));
            writeln!(out, "\n  {place}  {}", clean(note))?;
        }
        // If this is why no step is taken, it is shown as the reason.
        let why = match &option.repair {
            Repair::Stalled { reason, .. } => Some(reason),
            _ => None,
        };
        for note in status.notes.iter().filter(|note| !why.is_some_and(|why| why.is(note.reason))) {
            let place = style.yellow(&format!("{}: {}", diagnosis.service, note.reason));
            writeln!(out, "\n  {place}  {}", clean(&note.message))?;
        }
        if let Some(unstable) = unstable(status) {
            let place = style.yellow(&format!("{}: {}", diagnosis.service, unstable.reason));
            writeln!(out, "\n  {place}  {}", clean(&unstable.message))?;
        }
        if let Some(help) = help(option, &looked.decision) {
            writeln!(out, "    {} {}", style.dim("→"), clean(&help))?;
        }
    }
    Ok(())
}

fn notes(diagnosis: &Diagnosis) -> impl Iterator<Item = (Layer, &str)> {
    Layer::ALL.into_iter().zip(&diagnosis.layers).filter_map(|(layer, verdict)| match verdict {
        LayerVerdict::AsDeclared(Some(note)) => Some((layer, note.as_str())),
        _ => None,
    })
}

/// Reasons that are not the drift's own: undrift has tried.
const GIVEN_UP: [StallReason; 4] = [
    StallReason::BudgetSpent,
    StallReason::RepairsExhausted,
    StallReason::RolledBack,
    StallReason::RollbackInVain,
];

/// The help if no step helps and time may.
fn wait(reason: &Reason) -> &'static str {
    match reason {
        Reason::Unknown(UnknownReason::RateLimited) => {
            "no step: the server wants fewer requests; apply would ask it again, ever less often"
        }
        Reason::Stall(StallReason::Unknown) => {
            "no step on what is not known; apply would look again for a while"
        }
        Reason::Drift(DriftReason::Indistinguishable) => {
            "no step: no build makes the answers of other paths other ones"
        }
        _ => "no step: it may pass by itself, so apply would look again for a while",
    }
}

/// The repair, in words; if undrift must not repair it, why.
fn help(option: &RepairOption, decision: &Decision) -> Option<String> {
    match &option.repair {
        Repair::Nothing => None,
        Repair::Steps(steps, at) => {
            let service = std::slice::from_ref(&option.service);
            let steps: Vec<String> = steps.iter().map(|step| step_in_words(*step, service)).collect();
            let steps = steps.join(", then ");
            if let Some(held_back) = &decision.held_back {
                return Some(format!("no step while {}; otherwise {steps}", held_back_in_a_word(held_back)));
            }
            let at = at.map(|at| format!(", not before {}", at.format("%H:%M:%S UTC"))).unwrap_or_default();
            let rate = option.rate_exceeded.as_ref().map(|why| format!("; RateExceeded: {why}"));
            let quiet = if decision.waits_for.is_some() { "wait for that, and then " } else { "" };
            Some(format!("apply would {quiet}{steps}{at}{}", rate.unwrap_or_default()))
        }
        Repair::Wait { reason, .. } => Some(wait(reason).into()),
        Repair::Stalled { reason, message } if GIVEN_UP.iter().any(|given_up| reason.is(*given_up)) => {
            Some(format!("stalled, {reason}: {message}"))
        }
        Repair::Stalled { message, .. } => Some(format!("no step: {message}")),
    }
}

/// Why undrift takes no step.
const fn held_back_in_a_word(held_back: &HeldBack) -> &'static str {
    match held_back {
        HeldBack::Suspended(_) => "suspended",
        HeldBack::ObserveOnly => "only observed",
        HeldBack::EnvironmentDiffers(_) => "the environment differs",
    }
}

/// The same with its reason, once for the object.
fn why_held_back(held_back: &HeldBack) -> String {
    let why = match held_back {
        HeldBack::Suspended(words) | HeldBack::EnvironmentDiffers(words) => words.as_str(),
        HeldBack::ObserveOnly => "spec.reconcile.mode is observe",
    };
    format!("{}: {why}", held_back_in_a_word(held_back))
}

/// Writes the plan under the ladder.
pub(super) fn write_plan(out: &mut dyn Write, style: Style, looked: &Assessment) -> io::Result<()> {
    if looked.decision.plan.is_empty() {
        let all = looked.decision.as_declared();
        return writeln!(out, "\n  {}", if all { "nothing to do" } else { "no step" });
    }
    writeln!(out, "\n  {}", style.bold("plan"))?;
    for (number, planned) in looked.decision.plan.iter().enumerate() {
        writeln!(out, "  {}. {}", number + 1, step_in_words(planned.step, &planned.services))?;
        let is_repeated =
            number.checked_sub(1).is_some_and(|before| looked.decision.plan[before].reason == planned.reason);
        if !is_repeated {
            writeln!(out, "     {}", style.dim(&clean(&planned.reason)))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;

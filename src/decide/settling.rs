//! How long a service may still become as declared by itself.

use super::Inputs;
use crate::api::{Attempt, Drift, Layer, ServiceObservation, Time};

/// Until when a service may still become as declared by itself.
pub(super) fn deadline(inputs: Inputs<'_>) -> Time {
    waiting_since(inputs) + inputs.desired.object.spec.reconcile.verify.timeout.delta()
}

/// Since when undrift waits for services to become as declared: the last step, or when it began to look.
pub(super) fn waiting_since(inputs: Inputs<'_>) -> Time {
    // The last step of any service: another one's long build or restart is no fault of this one.
    let steps = inputs.history.incident.iter().flat_map(|incident| &incident.steps);
    let last = steps.map(|done| done.at).max();
    let since = last.max(inputs.history.watching_since).unwrap_or(inputs.now);
    // What a clock that was set back shows as lying ahead was as long ago: it would otherwise be waited for until the clock has
    // caught up, be it hours.
    since.min(inputs.now - (since - inputs.now))
}

/// Since when undrift looks in this series: the last step, or its beginning.
pub(super) fn looking_since(inputs: Inputs<'_>) -> Time {
    let steps = inputs.history.incident.iter().flat_map(|incident| &incident.steps);
    let last = steps.map(|done| done.at).max();
    last.max(inputs.history.looking_since.or(inputs.history.watching_since)).unwrap_or(inputs.now)
}

/// After a step a route may be absent for a while: a server that has just started answers 404 first. A rung is
/// judged only after the verification's time limit.
pub(super) fn still_settling(
    inputs: Inputs<'_>,
    seen: &ServiceObservation,
    drift: &Drift,
    row: Option<&Attempt>,
) -> Option<Time> {
    if drift.layer < Layer::Route {
        return None;
    }
    let ours = row.is_some_and(|row| row.pending.is_some()) || stepped_since_watching(inputs, seen);
    let until = if ours { deadline(inputs) } else { young_until(inputs, seen)? };
    (inputs.now < until).then_some(until)
}

/// Someone else's start of a replica is owed the same time: a build over their deployment, because its first answers are
/// 404, would be the worse fault.
fn young_until(inputs: Inputs<'_>, seen: &ServiceObservation) -> Option<Time> {
    let starts = seen.containers.known().into_iter().flatten().filter_map(|c| c.started_at);
    // A start that lies ahead, by a clock that was set back, was long ago for all that is known.
    let youngest = starts.filter(|start| *start <= inputs.now).max()?;
    Some(youngest + inputs.desired.object.spec.reconcile.verify.timeout.delta())
}

fn stepped_since_watching(inputs: Inputs<'_>, seen: &ServiceObservation) -> bool {
    let last = inputs.history.incident.as_ref().and_then(|incident| incident.last_step_at(&seen.name));
    last.is_some_and(|last| inputs.history.watching_since.is_none_or(|since| last >= since))
}

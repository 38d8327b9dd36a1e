//! How long a service may still become as declared by itself.

use super::{DoneStep, Inputs};
use crate::api::{Attempt, Drift, DriftReason, Layer, ServiceObservation, Step, Time};

/// Until when a service may still become as declared by itself.
pub(super) fn deadline(inputs: Inputs<'_>, service: &str) -> Time {
    waiting_since(inputs, service) + inputs.desired.object.spec.reconcile.verify.timeout.delta()
}

/// Since when undrift waits for a service to become as declared: the last step, or its first observation.
pub(super) fn waiting_since(inputs: Inputs<'_>, service: &str) -> Time {
    // The last step of any service: another one's long build or restart is not this one's fault.
    let steps = inputs.history.incident.iter().flat_map(|incident| &incident.steps);
    let steps = steps.filter(|done| !is_anothers_start_beyond_its_budget(inputs, done, service));
    let last = steps.map(|done| done.at).max();
    let since = last.max(inputs.history.watching_since).unwrap_or(inputs.now);
    // If the clock was set back, a time in the future counts as equally long ago: otherwise undrift would wait until the clock
    // has caught up, possibly for hours.
    since.min(inputs.now - (since - inputs.now))
}

/// Whether undrift started a service again that something else ends each time, and this service has no part in it. That
/// repeats for as long as it is ended: a service that waited for it would never be judged.
fn is_anothers_start_beyond_its_budget(inputs: Inputs<'_>, done: &DoneStep, service: &str) -> bool {
    let budget = inputs.desired.object.spec.reconcile.attempts;
    let is_spent = |of: &String| {
        let mut rows = inputs.history.attempts.iter().filter(|row| row.service == *of);
        rows.any(|row| row.layer == Layer::Container && row.attempts >= budget)
    };
    done.step == Step::Start
        && !done.services.iter().any(|of| of == service)
        && done.services.iter().all(is_spent)
}

/// Since when undrift observes in this series: the last step, or its beginning.
pub(super) fn looking_since(inputs: Inputs<'_>) -> Time {
    let steps = inputs.history.incident.iter().flat_map(|incident| &incident.steps);
    let last = steps.map(|done| done.at).max();
    last.max(inputs.history.looking_since.or(inputs.history.watching_since)).unwrap_or(inputs.now)
}

/// Whether a drift may pass by itself while a server starts. A server that answers with another revision has started.
pub(super) fn may_pass(drift: &Drift) -> bool {
    drift.layer >= Layer::Route && drift.reason != DriftReason::RevisionDiffers
}

/// After a step a route may be absent for a while: a server that has just started answers 404 first. undrift judges a step
/// only after the verification's time limit.
pub(super) fn still_settling(
    inputs: Inputs<'_>,
    seen: &ServiceObservation,
    drift: &Drift,
    row: Option<&Attempt>,
) -> Option<Time> {
    if !may_pass(drift) {
        return None;
    }
    let ours = row.is_some_and(|row| row.pending.is_some()) || stepped_since_watching(inputs, seen);
    let until = if ours { deadline(inputs, &seen.name) } else { young_until(inputs, seen)? };
    (inputs.now < until).then_some(until)
}

/// A start of a replica by someone else gets the same time: a build over their deployment, because its first answers are
/// 404, would be the worse fault.
fn young_until(inputs: Inputs<'_>, seen: &ServiceObservation) -> Option<Time> {
    let starts = seen.containers.known().into_iter().flatten().filter_map(|c| c.started_at);
    // If the clock was set back, a start in the future counts as long ago.
    let youngest = starts.filter(|start| *start <= inputs.now).max()?;
    Some(youngest + inputs.desired.object.spec.reconcile.verify.timeout.delta())
}

fn stepped_since_watching(inputs: Inputs<'_>, seen: &ServiceObservation) -> bool {
    let last = inputs.history.incident.as_ref().and_then(|incident| incident.last_step_at(&seen.name));
    last.is_some_and(|last| inputs.history.watching_since.is_none_or(|since| last >= since))
}

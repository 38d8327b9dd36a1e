//! A service that ran and can run is kept running, whatever is wrong in an earlier layer.
//!
//! A module that is gone from the source, an image that cannot be built, a build context that cannot be read: keeping a
//! container down repairs none of these, and its users lack it meanwhile. Nor does a budget mean anything for a service that
//! something else ends each time.

use super::{Diagnosis, Inputs, Repair, UnknownLayer, attempts, checks::namespace, rate, repair};
use crate::api::{
    Attempt, ContainerState, Drift, Layer, Reason, ServiceObservation, StallReason, Step, Time,
};

/// The repair, or if there is none, a start of a stopped service that can run.
pub(super) fn at_least(
    inputs: Inputs<'_>,
    rows: &[Attempt],
    seen: &ServiceObservation,
    diagnosis: &Diagnosis,
    repair: Repair,
) -> Repair {
    if !matches!(repair, Repair::Stalled { .. } | Repair::Wait { .. }) || !may_be_touched(inputs, rows, seen)
    {
        return repair;
    }
    if is_behind_an_earlier_layer(diagnosis) {
        return behind_an_earlier_layer(inputs, seen, diagnosis).unwrap_or(repair);
    }
    match started_again(inputs, rows, seen, diagnosis, &repair) {
        Some(StartedAgain { due, at }) if due <= inputs.now && was_stalled_in_between(inputs, seen) => {
            Repair::Steps(vec![Step::Start], Some(at).filter(|at| *at > inputs.now))
        }
        _ => repair,
    }
}

fn behind_an_earlier_layer(
    inputs: Inputs<'_>,
    seen: &ServiceObservation,
    diagnosis: &Diagnosis,
) -> Option<Repair> {
    let policy = &inputs.desired.object.spec.reconcile;
    let in_this_incident: Vec<Time> = starts(inputs, seen).collect();
    // A service that dies at every start cannot run.
    let has_budget = number(in_this_incident.len()) < policy.attempts;
    let start = rate::start_at(inputs, seen, diagnosis, None).filter(|_| has_budget)?;
    // The incident ends while the started service runs, and reopens when it dies. So the wait grows with the starts of the
    // hour; those before its last verification did not help against this.
    let verified = inputs.history.verified_since.get(&seen.name);
    let begun: Vec<Time> =
        rate::starts(inputs, &seen.name).filter(|at| verified.is_none_or(|since| at > since)).collect();
    let count = number(begun.len().max(in_this_incident.len()));
    let last = begun.into_iter().chain(in_this_incident).max();
    let paced = last.map(|last| last + attempts::wait_after(policy, count, inputs.jitter_seed));
    let start = paced.map_or(start, |paced| paced.max(start));
    Some(Repair::Steps(vec![Step::Start], Some(start).filter(|at| *at > inputs.now)))
}

/// When undrift starts a service again that something else ends.
pub(super) struct StartedAgain {
    /// The longest backoff after the end of the last step for it.
    due: Time,
    /// The same, or later if the rate delays it.
    pub(super) at: Time,
}

/// A service that something else ends each time, before it could be verified, can run, and so can one that only waits for a port
/// in use: a spent budget proves nothing about the service. undrift starts it once per longest backoff, and stalls in between,
/// so that a person is notified.
pub(super) fn started_again(
    inputs: Inputs<'_>,
    rows: &[Attempt],
    seen: &ServiceObservation,
    diagnosis: &Diagnosis,
    repair: &Repair,
) -> Option<StartedAgain> {
    let Repair::Stalled { reason, .. } = repair else { return None };
    let is_somebody_elses = was_ended_from_outside(rows, seen) || was_refused_its_port(seen);
    if !is_spent(reason) || is_behind_an_earlier_layer(diagnosis) || !is_somebody_elses {
        return None;
    }
    let may = rate::start_at(inputs, seen, diagnosis, None)?;
    let begun = rows.iter().filter(|row| row.service == seen.name).map(|row| before_now(inputs, row.last_at));
    let last = begun.chain(last_end(inputs, seen)).max();
    let longest = inputs.desired.object.spec.reconcile.backoff.max.delta();
    let due = last.map_or(may, |last| last + longest);
    Some(StartedAgain { due, at: due.max(may) })
}

/// When the last step for it in this occurrence of the incident ended. The row of an attempt has its start, and a start may take
/// longer than the longest backoff.
fn last_end(inputs: Inputs<'_>, seen: &ServiceObservation) -> Option<Time> {
    let steps = inputs.history.incident.iter().flat_map(|incident| &incident.steps);
    let of_service = steps.filter(|done| done.services.contains(&seen.name));
    of_service.map(|done| before_now(inputs, done.at)).max()
}

/// Whether a person could be notified since the last step: an incident ends once nothing else is to be done. If another
/// service keeps it open, this does not wait longer than one verification may take. Otherwise, if an observation takes
/// longer than the longest backoff, a start would follow it each time, and `apply` would never end.
fn was_stalled_in_between(inputs: Inputs<'_>, seen: &ServiceObservation) -> bool {
    let timeout = inputs.desired.object.spec.reconcile.verify.timeout.delta();
    last_end(inputs, seen).is_none_or(|last| last + timeout <= inputs.now)
}

fn is_spent(reason: &Reason) -> bool {
    matches!(reason, Reason::Stall(StallReason::BudgetSpent | StallReason::RepairsExhausted))
}

/// Whether something else ended the stopped service: its container ended by a signal that others send, or is gone although a
/// step brought it up.
fn was_ended_from_outside(rows: &[Attempt], seen: &ServiceObservation) -> bool {
    let Some(containers) = seen.containers.known() else { return false };
    let mut down = containers.iter().filter(|c| c.state != ContainerState::Running).peekable();
    if down.peek().is_none() {
        return rows.iter().any(|row| row.service == seen.name && has_brought_up(row));
    }
    down.all(|c| c.state == ContainerState::Exited && c.exit_code.is_some_and(is_by_a_signal))
}

/// Whether a repair of this drift ended well, whatever its effect: a failed one waits, and does not count as a tried step.
const fn has_brought_up(row: &Attempt) -> bool {
    row.attempts > 0 && (row.next_at.is_none() || !row.tried.is_empty())
}

/// Whether HUP, INT, QUIT, KILL (which includes out of memory) or TERM ended a process with this exit code: 128 and the
/// signal's number. The signals of a process's own faults, such as SEGV and ABRT, are none of these.
const fn is_by_a_signal(exit_code: i64) -> bool {
    matches!(exit_code, 129..=131 | 137 | 143)
}

/// Whether a container of the service is down because a port that it publishes was in use at its start. No image is at fault
/// for that.
pub(super) fn was_refused_its_port(seen: &ServiceObservation) -> bool {
    seen.containers.known().into_iter().flatten().any(|container| container.port_taken)
}

/// When it was started in this occurrence of the incident.
fn starts(inputs: Inputs<'_>, seen: &ServiceObservation) -> impl Iterator<Item = Time> {
    let steps = inputs.history.incident.iter().flat_map(|incident| &incident.steps);
    let starts = steps.filter(|done| done.step == Step::Start && done.services.contains(&seen.name));
    starts.map(move |done| before_now(inputs, done.at))
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// A time; if the clock was set back and the time is in the future, one equally far in the past. Otherwise every deadline
/// computed from it would move on with the clock until that has caught up.
fn before_now(inputs: Inputs<'_>, at: Time) -> Time {
    at.min(inputs.now - (at - inputs.now))
}

fn is_behind_an_earlier_layer(diagnosis: &Diagnosis) -> bool {
    let layer = match (&diagnosis.unknown, &diagnosis.drift) {
        (Some(UnknownLayer { layer, .. }), _) | (None, Some(Drift { layer, .. })) => *layer,
        (None, None) => return false,
    };
    layer < Layer::Container
}

/// Whether undrift may start it, and it could run: a service that a rollback restored, or failed to restore, is left alone.
fn may_be_touched(inputs: Inputs<'_>, rows: &[Attempt], seen: &ServiceObservation) -> bool {
    !seen.runs_undrift
        && attempts::given_up(inputs, rows, seen).is_none()
        && repair::of_another_directory(inputs, seen).is_none()
        && namespace::blocking(inputs, seen).is_none()
}

//! The budget's memory: what an earlier step changed, and when the next one may be taken.

use backon::{BackoffBuilder, ExponentialBuilder};
use chrono::TimeDelta;

use super::{
    Diagnosis, Inputs, OpenIncident,
    escalation::source_has_moved_on,
    rollback, settling,
    start::{is_current, is_of_another_revision, start_of},
    undone,
};
use crate::api::{
    Attempt, Drift, DriftReason, Layer, Reason, ReconcilePolicy, ServiceObservation, StallReason, Step,
    StepOutcome, Time, is_torn,
};

/// The rows after this observation: steps judged by what they changed, rows dropped after a healthy period or a change of
/// the spec.
pub(super) fn settle(inputs: Inputs<'_>, services: &[Diagnosis]) -> Vec<Attempt> {
    let diagnosis_of = |row: &Attempt| services.iter().find(|diagnosis| diagnosis.service == row.service);
    let rows = inputs.history.attempts.iter().filter(|row| row.generation == inputs.history.generation);
    let drift_of = |row: &Attempt| diagnosis_of(row).and_then(|diagnosis| diagnosis.drift.as_ref());
    let kept =
        rows.filter(|row| !is_well_again(inputs, row) || undone::is_to_keep(inputs, row, drift_of(row)));
    let kept: Vec<Attempt> = kept.filter_map(|row| Some(judged(inputs, row, diagnosis_of(row)?))).collect();
    let rows =
        kept.iter().filter_map(|row| Some(given_up_on(inputs, &kept, row.clone(), diagnosis_of(row)?)));
    rows.collect()
}

/// A failed or impossible rollback is remembered beyond its incident: otherwise the next incident would begin with a build
/// again.
fn given_up_on(inputs: Inputs<'_>, rows: &[Attempt], mut row: Attempt, diagnosis: &Diagnosis) -> Attempt {
    let seen = inputs.observed.service(&row.service);
    let Some(seen) = seen.filter(|seen| is_current(inputs, &row, seen)) else { return row };
    // A server that was only just started may not listen yet: that is no loss.
    let is_impossible = |drift| {
        settling::still_settling(inputs, seen, drift, self::row(inputs, rows, seen, drift)).is_none()
            && rollback::is_impossible(inputs, seen, drift)
            && !rollback::can_start_what_ran(inputs, seen)
    };
    if rollback::was_in_vain(inputs, seen, diagnosis) {
        row.gave_up = Some(StallReason::RollbackInVain.into());
    } else if diagnosis.unknown.is_none() && diagnosis.drift.as_ref().is_some_and(is_impossible) {
        row.gave_up = Some(StallReason::RollbackImageGone.into());
    }
    row
}

/// The least time after which a repair counts as history.
const HEALTHY_PERIOD: TimeDelta = TimeDelta::minutes(10);

/// How long a service must stay as declared until its last repair counts as history, and a later failure as something new.
#[must_use]
pub fn healthy_period(policy: &ReconcilePolicy) -> TimeDelta {
    policy.backoff.max.delta().max(HEALTHY_PERIOD)
}

/// A service is healthy again once it was verified after the last repair and has stayed so for the longest wait between
/// attempts, and for at least ten minutes. One good observation is not enough, however long after the repair: undrift would
/// repair a flapping service without end.
fn is_well_again(inputs: Inputs<'_>, row: &Attempt) -> bool {
    let period = healthy_period(&inputs.desired.object.spec.reconcile);
    let verified_since = inputs.history.verified_since.get(&row.service);
    verified_since.is_some_and(|since| *since >= row.last_at && inputs.now - *since >= period)
}

fn judged(inputs: Inputs<'_>, row: &Attempt, diagnosis: &Diagnosis) -> Attempt {
    let mut row = row.clone();
    let (Some(step), Some(drift), None) = (row.pending, &diagnosis.drift, &diagnosis.unknown) else {
        return row;
    };
    if (drift.layer, drift.reason) != (row.layer, row.reason) {
        // The service moved on to another drift, which has a row of its own. An earlier layer says nothing about this one,
        // and neither does the answer of a server that is still within its start time.
        let settling = drift.layer == row.layer && drift.layer == Layer::Route;
        let settling = settling && inputs.now < settling::deadline(inputs, &row.service);
        if drift.layer >= row.layer && !settling && !is_middle_of(step, drift) {
            row.pending = None;
        }
        return row;
    }
    if !settling::may_pass(drift) || inputs.now >= settling::deadline(inputs, &row.service) {
        row.pending = None;
        let seen = inputs.observed.service(&row.service);
        let has_moved = |seen| source_has_moved_on(drift, seen) || is_of_another_revision(&row, seen);
        if seen.is_some_and(has_moved) {
            return after_another_change(inputs, row, diagnosis);
        }
        if !row.tried.contains(&step) {
            row.tried.push(step);
        }
        row.next_at = Some(inputs.now + backoff(inputs, row.attempts));
    }
    row
}

/// The row notes the source digest from before the build: the source has changed again since, and no attempt failed. The
/// next build waits all the same, and bringing up the built image comes first, unless its build was torn.
fn after_another_change(inputs: Inputs<'_>, row: Attempt, diagnosis: &Diagnosis) -> Attempt {
    let seen = inputs.observed.service(&row.service);
    let built_from = seen.and_then(|seen| seen.artifact.built_from.as_deref());
    let comes_first = diagnosis.awaits_up() && !built_from.is_some_and(is_torn);
    let next_at = (!comes_first).then(|| inputs.now + backoff(inputs, row.attempts));
    Attempt { next_at, ..row }
}

/// After a build the container is outdated: that is the middle of the repair, not its result.
fn is_middle_of(step: Step, drift: &Drift) -> bool {
    matches!(step, Step::Build { .. }) && drift.reason == DriftReason::ImageOutdated
}

/// The wait after the n-th attempt: doubling, jittered, capped.
fn backoff(inputs: Inputs<'_>, attempts: u32) -> TimeDelta {
    wait_after(&inputs.desired.object.spec.reconcile, attempts, inputs.jitter_seed)
}

pub(super) fn wait_after(policy: &ReconcilePolicy, attempts: u32, jitter_seed: u64) -> TimeDelta {
    let (initial, max) = (policy.backoff.initial.get(), policy.backoff.max.get());
    let nth = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX).min(63);
    let wait = ExponentialBuilder::new()
        .with_min_delay(initial)
        .with_max_delay(max)
        .with_factor(2.0)
        .without_max_times()
        .with_jitter()
        .with_jitter_seed(jitter_seed)
        .build()
        .nth(nth)
        .unwrap_or(max)
        .min(max);
    TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX)
}

/// The row of a drift as it is now.
pub(super) fn row<'a>(
    inputs: Inputs<'_>,
    rows: &'a [Attempt],
    seen: &ServiceObservation,
    drift: &Drift,
) -> Option<&'a Attempt> {
    let of_drift =
        current(inputs, rows, seen).filter(|row| (row.layer, row.reason) == (drift.layer, drift.reason));
    of_drift.max_by_key(|row| row.last_at)
}

/// The rows that count for the service in its present state.
fn current<'a>(
    inputs: Inputs<'_>,
    rows: &'a [Attempt],
    seen: &ServiceObservation,
) -> impl Iterator<Item = &'a Attempt> {
    rows.iter().filter(move |row| is_current(inputs, row, seen))
}

/// Why undrift tries nothing more for the service with this spec and this source, if so: it was rolled back, or the rollback
/// failed.
pub(super) fn given_up(inputs: Inputs<'_>, rows: &[Attempt], seen: &ServiceObservation) -> Option<Reason> {
    if inputs.history.incident.as_ref().is_some_and(|incident| incident.is_rolled_back(&seen.name)) {
        return Some(StallReason::RolledBack.into());
    }
    current(inputs, rows, seen).find_map(|row| row.gave_up.clone())
}

/// The rows after a step has begun: one more attempt for each of its services. Store them together with the intent.
#[must_use]
pub fn begin_step(
    inputs: Inputs<'_>,
    rows: &[Attempt],
    services: &[Diagnosis],
    step: Step,
    of: &[String],
) -> Vec<Attempt> {
    let begun = of.iter().filter_map(|service| {
        let drift = services.iter().find(|d| d.service == *service)?.drift.as_ref()?;
        // A start while the rate delays the repair is meant for a stopped container, and repairs nothing in an earlier layer.
        if step == Step::Start && drift.layer != Layer::Container {
            return None;
        }
        let seen = inputs.observed.service(service)?;
        let before = row(inputs, rows, seen, drift);
        let mut row = before.cloned().unwrap_or_else(|| new_row(inputs, seen, drift));
        // A start beyond the spent budget does not count as a further attempt.
        let is_over = step == Step::Start && row.attempts >= inputs.desired.object.spec.reconcile.attempts;
        row.attempts += u32::from(!is_over);
        row.pending = Some(step);
        row.last_at = inputs.now;
        row.next_at = None;
        row.healed = false;
        row.continued = false;
        row.cause = undone::cause(seen, drift);
        // Within one incident a budget goes on, and what its next step is judged by is the revision of now.
        let other = before.filter(|row| is_of_another_revision(row, seen));
        if other.is_some() {
            row.source_digest = start_of(seen, row.reason);
        }
        Some(other.map(continued).into_iter().chain([row]))
    });
    begun.flatten().collect()
}

/// The row of a source whose budget goes on with another one. It stays, so that this source is known to be tried, and counts as
/// no further chance.
fn continued(row: &Attempt) -> Attempt {
    Attempt { continued: true, pending: None, cause: None, verified_repairs: Vec::new(), ..row.clone() }
}

/// The same for the services whose repair a step prepares. Nothing is pending: what the step leaves of their drift proves
/// nothing.
#[must_use]
pub fn begin_preparation(
    inputs: Inputs<'_>,
    rows: &[Attempt],
    services: &[Diagnosis],
    step: Step,
    of: &[String],
) -> Vec<Attempt> {
    let begun = begin_step(inputs, rows, services, step, of).into_iter();
    begun.map(|row| Attempt { pending: None, ..row }).collect()
}

/// The rows of a preparation after the step ended: a successful one was not a repair yet.
#[must_use]
pub fn end_preparation(
    begun: Vec<Attempt>,
    outcome: StepOutcome,
    policy: &ReconcilePolicy,
    now: Time,
    jitter_seed: u64,
) -> Vec<Attempt> {
    let outcome = if outcome == StepOutcome::Succeeded { StepOutcome::NotBegun } else { outcome };
    end_step(begun, outcome, policy, now, jitter_seed)
}

fn new_row(inputs: Inputs<'_>, seen: &ServiceObservation, drift: &Drift) -> Attempt {
    Attempt {
        object: inputs.desired.name().to_owned(),
        service: seen.name.clone(),
        layer: drift.layer,
        reason: drift.reason,
        source_digest: start_of(seen, drift.reason),
        generation: inputs.history.generation,
        attempts: 0,
        tried: Vec::new(),
        pending: None,
        last_at: inputs.now,
        next_at: None,
        gave_up: None,
        healed: false,
        continued: false,
        cause: None,
        verified_repairs: Vec::new(),
    }
}

/// The begun rows after the step ended. The next observation judges a success; a failure waits; an interruption was nobody's
/// fault and does not; a step that never began was no attempt.
#[must_use]
pub fn end_step(
    begun: Vec<Attempt>,
    outcome: StepOutcome,
    policy: &ReconcilePolicy,
    now: Time,
    jitter_seed: u64,
) -> Vec<Attempt> {
    let end = |mut row: Attempt| {
        match outcome {
            _ if row.continued => {}
            StepOutcome::Succeeded => {}
            StepOutcome::Failed | StepOutcome::TimedOut => {
                row.pending = None;
                row.next_at = Some(now + wait_after(policy, row.attempts, jitter_seed));
            }
            // No repair was made, so none can be undone.
            StepOutcome::Cancelled | StepOutcome::Interrupted => (row.pending, row.cause) = (None, None),
            StepOutcome::NotBegun => {
                (row.pending, row.cause) = (None, None);
                row.attempts = row.attempts.saturating_sub(1);
            }
        }
        row
    };
    begun.into_iter().map(end).collect()
}

/// The rows after a successful rollback: undrift tries nothing more.
#[must_use]
pub fn end_rollback(begun: Vec<Attempt>) -> Vec<Attempt> {
    let end = |row: Attempt| {
        let gave_up = if row.continued { row.gave_up } else { Some(StallReason::RolledBack.into()) };
        Attempt { pending: None, gave_up, ..row }
    };
    begun.into_iter().map(end).collect()
}

/// The rows that the verification of a service settles: only unverified attempts count, so none counts any more, and rows
/// without a stall start anew.
///
/// A step that had an effect has repaired the service: its escalation begins with the first step again. That also holds for a
/// step that left another drift behind which passed by itself, such as a slow server start. It does not hold for a step that
/// failed or changed nothing, which would be as useless the next time, nor for any step after a rollback.
pub fn after_verification(
    incident: Option<&OpenIncident>,
    service: &str,
    rows: &[Attempt],
) -> impl Iterator<Item = Attempt> {
    let repaired = incident.filter(|incident| !incident.has_done(service, |step| step == Step::Rollback));
    let moved_on = move |row: &Attempt| {
        row.next_at.is_none() && repaired.is_some_and(|incident| row.last_at >= incident.opened_at)
    };
    let rows = rows.iter().filter(move |row| row.service == service && row.gave_up.is_none());
    rows.filter_map(move |row| {
        let counted = Attempt { attempts: 0, ..row.clone() };
        if row.pending.is_some() || moved_on(row) {
            let healed = Attempt { pending: None, healed: true, tried: Vec::new(), ..counted };
            return Some(undone::after_verified_repair(healed));
        }
        (row.attempts > 0).then_some(counted)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_differ_by_seed() {
        let policy = ReconcilePolicy::default();
        let (initial, max) = (policy.backoff.initial.delta(), policy.backoff.max.delta());
        for seed in 0..50 {
            for attempt in 1..80 {
                let wait = wait_after(&policy, attempt, seed);
                let least = initial * 2_i32.pow(attempt.min(7) - 1);
                assert!(wait >= least.min(max) && wait <= max, "attempt {attempt} waits {wait}");
            }
        }
        assert_ne!(wait_after(&policy, 1, 1), wait_after(&policy, 1, 2));
        assert_eq!(wait_after(&policy, 3, 9), wait_after(&policy, 3, 9));
    }
}

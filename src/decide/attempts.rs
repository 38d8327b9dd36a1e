//! The budget's memory: what an earlier step has changed, and when the next one may be taken.

use backon::{BackoffBuilder, ExponentialBuilder};
use chrono::TimeDelta;

use super::{
    Diagnosis, Inputs, OpenIncident, rollback, settling,
    start::{is_current, start},
};
use crate::api::{
    Attempt, Drift, DriftReason, Layer, Reason, ReconcilePolicy, ServiceObservation, StallReason, Step,
    StepOutcome, Time,
};

/// The rows as this look leaves them: steps judged by what they changed, rows dropped after a healthy period
/// or a change of the spec.
pub(super) fn settle(inputs: Inputs<'_>, services: &[Diagnosis]) -> Vec<Attempt> {
    let diagnosis_of = |row: &Attempt| services.iter().find(|diagnosis| diagnosis.service == row.service);
    let rows = inputs.history.attempts.iter().filter(|row| row.generation == inputs.history.generation);
    let kept = rows.filter(|row| !is_well_again(inputs, row));
    let kept: Vec<Attempt> = kept.filter_map(|row| Some(judged(inputs, row, diagnosis_of(row)?))).collect();
    let rows =
        kept.iter().filter_map(|row| Some(given_up_on(inputs, &kept, row.clone(), diagnosis_of(row)?)));
    rows.collect()
}

/// A rollback that was in vain, or that cannot be, is remembered beyond its incident: the next one would begin with a build
/// again.
fn given_up_on(inputs: Inputs<'_>, rows: &[Attempt], mut row: Attempt, diagnosis: &Diagnosis) -> Attempt {
    let seen = inputs.observed.service(&row.service);
    let Some(seen) = seen.filter(|seen| is_current(inputs, &row, seen)) else { return row };
    // A server that has only just been started may not listen yet: that is no loss.
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

/// How long a service must stay as declared until its last repair counts as history, and what breaks then as something new.
#[must_use]
pub fn healthy_period(policy: &ReconcilePolicy) -> TimeDelta {
    policy.backoff.max.delta().max(HEALTHY_PERIOD)
}

/// A service that was verified after the last repair, and has stayed so for as long as the longest wait between attempts and
/// for ten minutes, is well. A good look is not enough, however long after the repair: a flapping service would be
/// repaired without end.
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
        // It moved on to another drift, which has a row of its own. An earlier layer says nothing of this one, and
        // neither does what a server answers that has its time to start yet.
        let settling = drift.layer == row.layer && drift.layer == Layer::Route;
        let settling = settling && inputs.now < settling::deadline(inputs, &row.service);
        if drift.layer >= row.layer && !settling && !is_middle_of(step, drift) {
            row.pending = None;
        }
        return row;
    }
    if drift.layer < Layer::Route || inputs.now >= settling::deadline(inputs, &row.service) {
        row.pending = None;
        if drift.reason == DriftReason::SourceChanged {
            return after_another_change(inputs, row, diagnosis);
        }
        if !row.tried.contains(&step) {
            row.tried.push(step);
        }
        row.next_at = Some(inputs.now + backoff(inputs, row.attempts));
    }
    row
}

/// What an image was built from is noted from before the build: the source has changed once more since, and nothing was in
/// vain. The next build waits all the same, and what was built comes first.
fn after_another_change(inputs: Inputs<'_>, row: Attempt, diagnosis: &Diagnosis) -> Attempt {
    let next_at = (!diagnosis.awaits_up()).then(|| inputs.now + backoff(inputs, row.attempts));
    Attempt { next_at, ..row }
}

/// After a build the container is outdated: that is half of the repair, not its result.
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

/// The rows that count for the service as it is now.
fn current<'a>(
    inputs: Inputs<'_>,
    rows: &'a [Attempt],
    seen: &ServiceObservation,
) -> impl Iterator<Item = &'a Attempt> {
    rows.iter().filter(move |row| is_current(inputs, row, seen))
}

/// Why nothing more is tried for the service with this spec and this source, if so: it was rolled back, or that was
/// in vain.
pub(super) fn given_up(inputs: Inputs<'_>, rows: &[Attempt], seen: &ServiceObservation) -> Option<Reason> {
    if inputs.history.incident.as_ref().is_some_and(|incident| incident.is_rolled_back(&seen.name)) {
        return Some(StallReason::RolledBack.into());
    }
    current(inputs, rows, seen).find_map(|row| row.gave_up.clone())
}

/// The rows after a step has begun: one more attempt for each of its services. To be stored together with the
/// intent.
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
        // A start while the rate makes the repair wait is meant for what is down, and mends nothing before it.
        if step == Step::Start && drift.layer != Layer::Container {
            return None;
        }
        let seen = inputs.observed.service(service)?;
        let mut row = row(inputs, rows, seen, drift).cloned().unwrap_or_else(|| new_row(inputs, seen, drift));
        // What is started again although its budget is spent counts for no more.
        let is_over = step == Step::Start && row.attempts >= inputs.desired.object.spec.reconcile.attempts;
        row.attempts += u32::from(!is_over);
        row.pending = Some(step);
        row.last_at = inputs.now;
        row.next_at = None;
        row.healed = false;
        Some(row)
    });
    begun.collect()
}

/// The same for the services that a step prepares the repair of. Nothing is pending: what it leaves of their drift says
/// nothing of it.
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

/// The rows of a preparation after the step ended: one that ended well was no repair yet.
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
        source_digest: start(seen),
        generation: inputs.history.generation,
        attempts: 0,
        tried: Vec::new(),
        pending: None,
        last_at: inputs.now,
        next_at: None,
        gave_up: None,
        healed: false,
    }
}

/// The begun rows after the step ended. A success is not judged here but by the next look; a failure waits; an
/// interruption was nobody's fault and does not; what never began was no attempt.
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
            StepOutcome::Succeeded => {}
            StepOutcome::Failed | StepOutcome::TimedOut => {
                row.pending = None;
                row.next_at = Some(now + wait_after(policy, row.attempts, jitter_seed));
            }
            StepOutcome::Cancelled | StepOutcome::Interrupted => row.pending = None,
            StepOutcome::NotBegun => {
                row.pending = None;
                row.attempts = row.attempts.saturating_sub(1);
            }
        }
        row
    };
    begun.into_iter().map(end).collect()
}

/// The rows after a rollback that worked: nothing more is tried.
#[must_use]
pub fn end_rollback(begun: Vec<Attempt>) -> Vec<Attempt> {
    let end = |row: Attempt| Attempt { pending: None, gave_up: Some(StallReason::RolledBack.into()), ..row };
    begun.into_iter().map(end).collect()
}

/// The rows that the verification of a service settles: what counts is what was not verified, so none counts any more, and rows
/// of which nothing was given up begin anew.
///
/// A step that was not in vain has healed: its escalation begins with the first step again. That holds also for one that left
/// another drift behind which passed by itself, as a server does that takes its time to start; not for one that failed
/// or changed nothing, which would be as much in vain the next time, and for none after a rollback.
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
            return Some(Attempt { pending: None, healed: true, tried: Vec::new(), ..counted });
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

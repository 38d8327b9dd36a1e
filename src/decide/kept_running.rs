//! What ran and can run is kept running, whatever an earlier layer says.
//!
//! A module that is gone from the source, an image that cannot be built, a build context that cannot be read: nothing of that is
//! mended by a container that stays down, and its users are without it meanwhile.

use chrono::TimeDelta;

use super::{Diagnosis, Inputs, Repair, UnknownLayer, attempts, checks::namespace, rate, repair};
use crate::api::{Attempt, Drift, Layer, ReconcilePolicy, ServiceObservation, Step, Time};

/// The repair, or where nothing is done about an earlier layer, a start of what is down behind it.
pub(super) fn at_least(
    inputs: Inputs<'_>,
    rows: &[Attempt],
    seen: &ServiceObservation,
    diagnosis: &Diagnosis,
    repair: Repair,
) -> Repair {
    let is_idle = matches!(repair, Repair::Stalled { .. } | Repair::Wait { .. });
    if !is_idle || !is_behind_an_earlier_layer(diagnosis) || !may_be_touched(inputs, rows, seen) {
        return repair;
    }
    let tried = starts(inputs, seen);
    let policy = &inputs.desired.object.spec.reconcile;
    // One that dies at every start cannot run.
    let has_budget = u32::try_from(tried.len()).is_ok_and(|count| count < policy.attempts);
    let Some(start) = rate::start_at(inputs, seen, diagnosis, None).filter(|_| has_budget) else {
        return repair;
    };
    let paced = tried.iter().max().map(|last| *last + wait_after(policy, tried.len(), inputs.jitter_seed));
    let start = paced.map_or(start, |paced| paced.max(start));
    Repair::Steps(vec![Step::Start], Some(start).filter(|at| *at > inputs.now))
}

/// When it was started in this incident.
fn starts(inputs: Inputs<'_>, seen: &ServiceObservation) -> Vec<Time> {
    let steps = inputs.history.incident.iter().flat_map(|incident| &incident.steps);
    let starts = steps.filter(|done| done.step == Step::Start && done.services.contains(&seen.name));
    starts.map(|done| done.at.min(inputs.now)).collect()
}

/// The n-th start waits as the n-th attempt does.
fn wait_after(policy: &ReconcilePolicy, count: usize, jitter_seed: u64) -> TimeDelta {
    attempts::wait_after(policy, u32::try_from(count).unwrap_or(u32::MAX), jitter_seed)
}

fn is_behind_an_earlier_layer(diagnosis: &Diagnosis) -> bool {
    let layer = match (&diagnosis.unknown, &diagnosis.drift) {
        (Some(UnknownLayer { layer, .. }), _) | (None, Some(Drift { layer, .. })) => *layer,
        (None, None) => return false,
    };
    layer < Layer::Container
}

/// Whether it is undrift's to start, and could run: what a rollback brought back, or could not, is left as it is.
fn may_be_touched(inputs: Inputs<'_>, rows: &[Attempt], seen: &ServiceObservation) -> bool {
    !seen.runs_undrift
        && attempts::given_up(inputs, rows, seen).is_none()
        && repair::of_another_directory(inputs, seen).is_none()
        && namespace::blocking(inputs, seen).is_none()
}

//! When the routes of a verified service are asked again: `verify.watchFor`.
//!
//! The times follow from the verification alone, which the status keeps. So a new undrift goes on where the last one ended.

use chrono::TimeDelta;

use super::{Inputs, identities};
use crate::api::{Drift, DriftReason, Layer, ReconcilePolicy, Time};

/// How long after the verification the routes are asked again first. Each further time is four times as long after it: 30 s,
/// 2 min, 8 min, 32 min. The last time is the end of the watch.
const FIRST: TimeDelta = TimeDelta::seconds(30);

/// How much longer after the verification each further time is.
const FACTOR: i32 = 4;

/// An observation at the very end of the watch is still part of it, however busy the host is.
const LATE: TimeDelta = TimeDelta::seconds(30);

/// The next time at which the routes of a service are to be asked again, though nothing else is to be done.
#[must_use]
pub fn ask_routes_again_at(inputs: Inputs<'_>) -> Option<Time> {
    let watch_for = inputs.desired.object.spec.reconcile.verify.watch_for.delta();
    let with_routes = inputs.desired.services().iter().filter(|spec| !spec.routes.is_empty());
    let verified = with_routes.filter_map(|spec| {
        let seen = inputs.observed.service(&spec.name)?;
        let is_as_verified = inputs.history.verified.get(&spec.name) == Some(&identities(seen));
        inputs.history.verified_since.get(&spec.name).copied().filter(|_| is_as_verified)
    });
    verified.filter_map(|since| next(since, watch_for, inputs.now)).min()
}

fn next(since: Time, watch_for: TimeDelta, now: Time) -> Option<Time> {
    let later = std::iter::successors(Some(FIRST), |after| after.checked_mul(FACTOR));
    let times = later.take_while(|after| *after < watch_for).chain([watch_for]);
    times.filter_map(|after| since.checked_add_signed(after)).find(|at| *at > now)
}

/// For how long after its end an incident may still matter for the routes of its services.
pub(super) fn judged_for(policy: &ReconcilePolicy) -> TimeDelta {
    let watch_for = policy.verify.watch_for.delta();
    if watch_for.is_zero() { watch_for } else { watch_for + LATE + policy.verify.timeout.delta() }
}

/// Whether a route of a service that was verified then failed within the watch. A server gets its time to come up again:
/// undrift judges the failure when that is over.
pub(super) fn is_failure_within(inputs: Inputs<'_>, verified_at: Time, drift: &Drift) -> bool {
    let policy = &inputs.desired.object.spec.reconcile;
    let watch_for = policy.verify.watch_for.delta();
    let opened = inputs.history.incident.as_ref().map(|incident| incident.opened_at);
    let failed_at = opened.filter(|opened| *opened > verified_at).unwrap_or(inputs.now);
    // No image makes a certificate valid again.
    let is_of_image = drift.layer == Layer::Route && drift.reason != DriftReason::Untrusted;
    is_of_image
        && !watch_for.is_zero()
        && (failed_at - verified_at).abs() < watch_for + LATE
        && (inputs.now - verified_at).abs() < judged_for(policy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fixtures::at;

    fn times(watch_for: i64) -> Vec<i64> {
        let next = |now: &Time| next(at(0), TimeDelta::seconds(watch_for), *now);
        std::iter::successors(next(&at(0)), next).map(|time| (time - at(0)).num_seconds()).collect()
    }

    #[test]
    fn the_times_grow_to_the_end_of_the_watch_and_no_watch_has_none() {
        assert_eq!(times(0), [0_i64; 0]);
        assert_eq!(times(5), [5]);
        assert_eq!(times(30), [30]);
        assert_eq!(times(600), [30, 120, 480, 600]);
        assert_eq!(times(3600), [30, 120, 480, 1920, 3600]);
        assert_eq!(next(at(0), TimeDelta::MAX, at(3600)), Some(at(7680)));
    }
}

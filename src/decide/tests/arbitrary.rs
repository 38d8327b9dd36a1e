//! Hosts and histories of every kind, for properties of all of them.

use proptest::prelude::*;

use super::{after_a_repair, cases::CASES, decided, history, rollback::after_a_rollback, row};
use crate::{
    api::{Attempt, ContainerState, Fact, Health, ProjectObservation, StallReason, Step, StepOutcome},
    decide::{History, identities},
    testing::fixtures::{answer_mut, at, container_mut, healthy, incident, status},
};

/// Any combination of broken things.
pub(super) fn any_host() -> impl Strategy<Value = ProjectObservation> {
    proptest::collection::vec(0..CASES.len(), 0..4).prop_map(|cases| {
        let mut seen = healthy();
        for case in cases {
            // A case that needs a container has one only if no other case removed it.
            let has_container = seen.services[0].containers.known().is_some_and(|c| !c.is_empty());
            if has_container {
                (CASES[case].break_it)(&mut seen);
            }
        }
        seen
    })
}

/// The possible faults of a service that declares neither a module nor a route.
const BROKEN_NEIGHBOUR: [fn(&mut ProjectObservation); 6] = [
    |seen| seen.services[1].artifact.image = Fact::Known(None),
    |seen| seen.services[1].artifact.built_from = Some("sha256:source-1".into()),
    |seen| seen.services[1].containers = Fact::Known(vec![]),
    |seen| container_mut(&mut seen.services[1]).state = ContainerState::Exited,
    |seen| container_mut(&mut seen.services[1]).config_changed = Fact::Known(true),
    |seen| container_mut(&mut seen.services[1]).health = Some(Health::Unhealthy),
];

/// Any combination of broken things of `api`, and one or none of `dashboard`.
fn any_host_of_two() -> impl Strategy<Value = ProjectObservation> {
    (any_host(), prop::option::of(0..BROKEN_NEIGHBOUR.len())).prop_map(|(mut seen, neighbour)| {
        if let Some(neighbour) = neighbour {
            BROKEN_NEIGHBOUR[neighbour](&mut seen);
        }
        seen
    })
}

/// Variants of a healthy host that differ from the fixture.
const SOUND: [fn(&mut ProjectObservation); 5] = [
    |_| {},
    |seen| container_mut(&mut seen.services[0]).restart_count = 5,
    |seen| container_mut(&mut seen.services[0]).health = Some(Health::Healthy),
    |seen| seen.services[0].artifact.built_from = None,
    |seen| {
        answer_mut(&mut seen.services[0]).control = Some(status(401));
        answer_mut(&mut seen.services[0]).auth_control = Some(status(404));
    },
];

pub(super) fn any_sound_host() -> impl Strategy<Value = ProjectObservation> {
    proptest::collection::vec(0..SOUND.len(), 0..3).prop_map(|which| {
        let mut seen = healthy();
        for which in which {
            SOUND[which](&mut seen);
        }
        seen
    })
}

/// Every step of an escalation.
pub(super) const STEPS: [Step; 5] = [
    Step::Build { no_cache: false },
    Step::Build { no_cache: true },
    Step::Up { force_recreate: false },
    Step::Up { force_recreate: true },
    Step::Restart,
];

/// The record of any drift, in any state of its repair.
fn any_row() -> impl Strategy<Value = Attempt> {
    let step = || prop::sample::select(STEPS.to_vec());
    let tried = prop::sample::subsequence(STEPS.to_vec(), 0..STEPS.len());
    let times = (-7200..=0_i64, prop::option::of(-60..600_i64));
    let gave_up = prop::option::weighted(0.1, Just(StallReason::RolledBack.into()));
    (0..CASES.len(), 0..7_u32, tried, prop::option::of(step()), times, gave_up).prop_map(
        |(case, attempts, tried, pending, (last, next), gave_up)| Attempt {
            layer: CASES[case].layer,
            reason: CASES[case].reason,
            attempts,
            tried,
            next_at: next.map(at),
            gave_up,
            ..row(pending, at(last))
        },
    )
}

/// Any attempts, in no incident, in one, or after a rollback in it; `api` verified as it is, or not.
pub(super) fn any_history() -> impl Strategy<Value = History> {
    let outcomes = [StepOutcome::Succeeded, StepOutcome::Failed, StepOutcome::Interrupted];
    let before = (0..3_usize, prop::sample::select(outcomes.to_vec()));
    (proptest::collection::vec(any_row(), 0..4), before, any::<bool>()).prop_map(
        |(attempts, (how, outcome), verified)| {
            let mut before = match how {
                0 => history(),
                1 => after_a_repair(&incident()),
                _ => after_a_rollback(outcome),
            };
            if verified {
                before.verified.insert("api".into(), identities(&healthy().services[0]));
            }
            History { attempts, ..before }
        },
    )
}

/// Broken things, and earlier repairs of the very drift of `api`: by chance alone hardly a row is about it, and no later
/// step would be reached.
pub(super) fn any_repair() -> impl Strategy<Value = (ProjectObservation, History)> {
    (any_host_of_two(), any_history()).prop_map(|(seen, mut history)| {
        let drift = decided(&seen).services[0].drift.clone();
        if let Some((row, drift)) = history.attempts.first_mut().zip(drift) {
            (row.layer, row.reason) = (drift.layer, drift.reason);
        }
        (seen, history)
    })
}

//! More replicas than declared, and none that is declared.

use super::*;
use crate::api::{ContainerObservation, Time};

/// `api` with so many replicas, of which the last was created then, if so many are declared.
fn replicas(there: usize, declared: u32, created: Time) -> ProjectObservation {
    let mut seen = healthy();
    seen.services[0].replicas = declared;
    let one = container_mut(&mut seen.services[0]).clone();
    let nth = |n: usize| ContainerObservation {
        id: format!("new-api-{n}"),
        name: format!("backoffice-api-{n}"),
        created_at: Some(if n == there { created } else { at(-3600) }),
        ..one.clone()
    };
    seen.services[0].containers = Fact::Known((1..=there).map(nth).collect());
    seen
}

#[test]
fn surplus_is_unknown_while_one_replica_is_young_and_a_drift_after_the_time_of_a_verification() {
    for declared in [0, 1, 2] {
        let young = decided(&replicas(3, declared, at(-118)));
        assert_eq!((drift(&young), young.plan.len()), (None, 0), "{declared}");
        assert!(
            young.services[0].unknown.as_ref().is_some_and(|u| u.message.contains("api-3")),
            "{declared}"
        );
        for created in [at(-119), at(9000)] {
            let old = decided(&replicas(3, declared, created));
            assert_eq!(drift(&old), Some((Layer::Container, DriftReason::Surplus)), "{declared}");
            assert_eq!(old.plan[0].step, Step::Up { force_recreate: false });
        }
    }
    assert!(decided(&replicas(3, 3, at(0))).as_declared());
}

#[test]
fn surplus_is_never_recreated() {
    let (desired, mut history) = (desired(), history());
    let seen = replicas(2, 1, at(-3600));
    for hour in 0..5 {
        let step = take_in_vain(&desired, &seen, &mut history, at(hour * 3600));
        assert!(step.is_none_or(|step| step == Step::Up { force_recreate: false }), "{step:?}");
    }
}

#[test]
fn what_up_repairs_comes_first_and_a_spare_one_that_does_not_run_is_no_service_that_is_down() {
    let with_last = |change: fn(&mut ContainerObservation)| {
        let mut seen = replicas(2, 1, at(-3600));
        if let Fact::Known(containers) = &mut seen.services[0].containers {
            change(&mut containers[1]);
        }
        drift(&decided(&seen)).map(|(_, reason)| reason)
    };
    assert_eq!(with_last(|c| c.state = ContainerState::Exited), Some(DriftReason::Surplus));
    assert_eq!(with_last(|c| c.image_id = OLD.into()), Some(DriftReason::ImageOutdated));
    assert_eq!(with_last(|c| c.state = ContainerState::Paused), Some(DriftReason::Paused));
    assert_eq!(with_last(|c| c.health = Some(crate::api::Health::Unhealthy)), Some(DriftReason::Surplus));
    assert_eq!(with_last(|c| c.state = ContainerState::Removing), None);
    assert_eq!(with_last(|c| c.state = ContainerState::Dead), None);
    let mut all_down = replicas(2, 1, at(-3600));
    if let Fact::Known(containers) = &mut all_down.services[0].containers {
        for container in containers {
            container.state = ContainerState::Exited;
        }
    }
    assert_eq!(drift(&decided(&all_down)), Some((Layer::Container, DriftReason::NotRunning)));
}

/// Engine 28 reports this at the end of a removal; starting it again would fail.
#[test]
fn what_is_dead_is_as_good_as_gone() {
    for state in [ContainerState::Removing, ContainerState::Dead] {
        let mut seen = healthy();
        container_mut(&mut seen.services[0]).state = state;
        assert_eq!(drift(&decided(&seen)), Some((Layer::Container, DriftReason::Missing)), "{state:?}");
    }
}

#[test]
fn of_a_service_of_which_none_is_declared_no_route_is_asked_for() {
    let mut seen = replicas(0, 0, at(0));
    seen.services[0].routes[0].answers.clear();
    let decision = decided(&seen);
    assert!(decision.as_declared(), "{:?}", decision.services[0]);
    assert_eq!(decision.services[0].layer(Layer::Route), &LayerVerdict::Undeclared);
    assert_eq!(decision.next, Next::Verify(vec!["api".into()]));
}

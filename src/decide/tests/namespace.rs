//! Containers that live in another's namespaces.

use super::*;
use crate::api::{DeclaredJoin, JoinOwner, Joined, OtherContainer, Shared, Time};

fn joined(what: Shared, other: Option<OtherContainer>) -> ProjectObservation {
    let mut seen = healthy();
    let joined = Joined { what, id: "vpn".into(), other: Fact::Known(other) };
    container_mut(&mut seen.services[0]).joined = vec![joined];
    seen
}

fn other(started: Time) -> OtherContainer {
    OtherContainer { name: "backoffice-vpn-1".into(), is_running: true, started_at: Some(started) }
}

fn lost(decision: &Decision) -> Option<Step> {
    let is_lost = drift(decision) == Some((Layer::Container, DriftReason::NamespaceLost));
    is_lost.then(|| decision.plan[0].step)
}

#[test]
fn a_namespace_of_before_the_others_last_start_is_lost() {
    for what in [Shared::Network, Shared::Ipc, Shared::Pid] {
        let of = |started| decided(&joined(what, Some(other(started))));
        assert_eq!(lost(&of(at(-60))), Some(Step::Restart), "{what}");
        assert!(of(at(-3600)).as_declared() && of(at(-7200)).as_declared(), "{what}");
        assert!(of(at(9000)).as_declared(), "{what}: a clock was set back since");
        let young = of(at(-8));
        assert!(young.services[0].unknown.is_some() && young.plan.is_empty(), "{what}: its turn may come");
        assert_eq!(lost(&of(at(-9))), Some(Step::Restart), "{what}");
    }
    assert!(decided(&joined(Shared::Volumes, Some(other(at(-60))))).as_declared(), "volumes stay");
}

#[test]
fn what_is_shared_with_a_container_that_is_gone_needs_another_container() {
    for what in [Shared::Network, Shared::Ipc, Shared::Pid, Shared::Volumes] {
        assert_eq!(lost(&decided(&joined(what, None))), Some(Step::Up { force_recreate: true }), "{what}");
    }
}

#[test]
fn with_a_container_that_does_not_run_nothing_can_be_joined() {
    let stopped = OtherContainer { is_running: false, ..other(at(-60)) };
    let decision = decided(&joined(Shared::Network, Some(stopped)));
    assert!(decision.services[0].unknown.is_some() && decision.plan.is_empty());
    let mut unknown = joined(Shared::Network, None);
    container_mut(&mut unknown.services[0]).joined[0].other = Fact::unknown("the engine did not answer");
    assert!(decided(&unknown).plan.is_empty());
}

#[test]
fn a_restart_that_joined_nothing_is_followed_by_a_recreation() {
    let (desired, mut history) = (desired(), history());
    let seen = joined(Shared::Network, Some(other(at(-60))));
    let steps: Vec<Step> =
        (0..6).filter_map(|hour| take_in_vain(&desired, &seen, &mut history, at(hour * 3600))).collect();
    let recreate = Step::Up { force_recreate: true };
    assert_eq!(steps[..2], [Step::Restart, recreate]);
}

/// `api` should share something with this one, and its container has lost it.
fn to_share(what: Shared, owner: JoinOwner, other: Option<OtherContainer>) -> ProjectObservation {
    let mut seen = joined(what, None);
    seen.services[0].joins = vec![DeclaredJoin { what, owner, other: Fact::Known(other) }];
    seen
}

#[test]
fn without_the_container_to_share_no_step_is_taken_and_the_remedy_is_named() {
    let stopped = || Some(OtherContainer { is_running: false, ..other(at(-60)) });
    let service = || JoinOwner::Service("vpn".into());
    let recreate = Some(Step::Up { force_recreate: true });
    for (what, owner, there, remedy) in [
        (Shared::Network, service(), None, "docker compose up -d vpn"),
        (Shared::Network, service(), stopped(), "docker compose up -d vpn"),
        (Shared::Volumes, service(), None, "docker compose up -d vpn"),
        (Shared::Ipc, JoinOwner::Container("box".into()), None, "start it"),
    ] {
        let decision = decided(&to_share(what, owner, there));
        assert!(decision.plan.is_empty() && matches!(decision.next, Next::Wait(_)), "{:?}", decision.next);
        let drift = decision.services[0].drift.as_ref().unwrap();
        assert!(
            drift.reason == DriftReason::NamespaceLost && drift.message.contains(remedy),
            "{}",
            drift.message
        );
        assert!(
            matches!(&decision.repair_options[0].repair, Repair::Wait { message, .. } if message.contains(remedy))
        );
    }
    let back = decided(&to_share(Shared::Network, service(), Some(other(at(-1)))));
    assert_eq!(lost(&back), recreate, "it is there again");
    assert_eq!(lost(&decided(&to_share(Shared::Volumes, service(), stopped()))), recreate, "volumes stay");
    let named = decided(&to_share(Shared::Network, JoinOwner::Service("dashboard".into()), None));
    assert_eq!(lost(&named), recreate, "the object repairs it by itself");
    let mut unknown = to_share(Shared::Network, service(), None);
    unknown.services[0].joins[0].other = Fact::unknown("the engine did not answer");
    assert_eq!(lost(&decided(&unknown)), recreate);
}

//! Obstacles known before a step: which steps are not begun, what is started all the same, and what undrift does not wait for.

use super::*;
use crate::api::{Answer, GitLock, Health, NoteReason, Obstacle, Reason};

fn obstacle(reason: NoteReason) -> Obstacle {
    Obstacle { reason, message: "something is wrong".into(), next: "mend it".into() }
}

/// The host with this obstacle for `api`.
fn with(mut seen: ProjectObservation, reason: NoteReason) -> ProjectObservation {
    seen.services[0].obstacles = vec![obstacle(reason)];
    seen
}

fn repair(seen: &ProjectObservation) -> Repair {
    decided(seen).repair_options[0].repair.clone()
}

#[track_caller]
fn stalled(seen: &ProjectObservation) -> (Reason, String) {
    match repair(seen) {
        Repair::Stalled { reason, message } => (reason, message),
        other => panic!("not stalled: {other:?}"),
    }
}

/// The auth layer if the credentials cannot be read.
fn unread(mut seen: ProjectObservation) -> ProjectObservation {
    answer_mut(&mut seen.services[0]).auth = Some(Fact::unknown("the environment variable TOKEN is not set"));
    with(seen, NoteReason::CredentialsUnreadable)
}

#[test]
fn no_step_that_could_not_be_verified_ends_a_working_container() {
    for reason in [NoteReason::CredentialsUnreadable, NoteReason::PortNotExposed, NoteReason::NotReachable] {
        let (why, message) = stalled(&with(incident(), reason));
        assert_eq!(why, reason.as_str());
        assert!(
            message.contains("ends a working container") && message.ends_with("next: mend it"),
            "{message}"
        );
    }
    assert!(matches!(repair(&incident()), Repair::Steps(..)), "without one it is repaired");
    assert!(decided(&with(incident(), NoteReason::NotReachable)).plan.is_empty(), "nor is it built");
}

#[test]
fn a_build_without_its_files_is_not_tried_and_all_else_is() {
    assert_eq!(stalled(&with(incident(), NoteReason::BuildFilesMissing)).0, "BuildFilesMissing");
    let mut outdated = with(healthy(), NoteReason::BuildFilesMissing);
    container_mut(&mut outdated.services[0]).image_id = OLD.into();
    assert!(matches!(repair(&outdated), Repair::Steps(..)));
}

#[test]
fn no_build_begins_while_git_changes_its_files_and_all_else_does() {
    let locked = |mut seen: ProjectObservation, since| {
        let lock = GitLock { path: "/srv/.git/index.lock".into(), since: at(since) };
        seen.services[0].source.git_lock = Some(lock);
        seen
    };
    let waits = repair(&locked(incident(), -1));
    let Repair::Wait { until, reason, message } = &waits else { panic!("{waits:?}") };
    assert_eq!(*until, at(599));
    assert_eq!(reason, "ModuleMissing");
    assert!(message.contains("git is changing the work tree (/srv/.git/index.lock)"), "{message}");
    assert!(matches!(decided(&locked(incident(), -1)).next, Next::Wait(_)));
    let mut outdated = locked(healthy(), -1);
    container_mut(&mut outdated.services[0]).image_id = OLD.into();
    assert!(matches!(repair(&outdated), Repair::Steps(..)), "an up reads no source");
    let mut down = locked(incident(), -1);
    container_mut(&mut down.services[0]).state = ContainerState::Exited;
    assert_eq!(repair(&down), Repair::Steps(vec![Step::Start], None), "what is down is started meanwhile");

    let left = locked(incident(), -700);
    assert!(matches!(repair(&left), Repair::Steps(..)), "one that was left behind blocks nothing");
    let reasons = |seen: &ProjectObservation| -> Vec<NoteReason> {
        notes::notes(at(1), &seen.services[0]).into_iter().map(|note| note.reason).collect()
    };
    assert_eq!(reasons(&left), [NoteReason::GitLockStale]);
    assert_eq!(reasons(&locked(incident(), -1)), []);
}

#[test]
fn a_service_that_works_is_not_made_anew_while_somebody_else_has_its_port() {
    let (why, message) = stalled(&with(incident(), NoteReason::PortTaken));
    assert_eq!(why, "PortTaken");
    assert!(message.contains("a working service without its port"), "{message}");
    let mut outdated = with(healthy(), NoteReason::PortTaken);
    container_mut(&mut outdated.services[0]).image_id = OLD.into();
    assert_eq!(stalled(&outdated).0, "PortTaken");
    container_mut(&mut outdated.services[0]).state = ContainerState::Exited;
    assert!(matches!(repair(&outdated), Repair::Steps(..)), "nothing is lost by trying");
    // It keeps its port.
    let mut unhealthy = with(healthy(), NoteReason::PortTaken);
    answer_mut(&mut unhealthy.services[0]).plain = status(404);
    unhealthy.services[0].buildable = false;
    assert_eq!(repair(&unhealthy), Repair::Steps(vec![Step::Restart], None));
}

/// `api` should get a port that `dashboard` has, and both are to be brought up.
fn handed_over() -> ProjectObservation {
    let mut seen = healthy();
    for service in &mut seen.services {
        container_mut(service).config_changed = Fact::Known(true);
    }
    seen.services[0].ports_of = ["dashboard".to_owned()].into();
    seen
}

#[test]
fn who_is_to_have_a_port_of_another_service_is_brought_up_with_it_or_after_it() {
    let services = |seen: &ProjectObservation| -> Vec<(StepKind, Vec<String>)> {
        let plan = decided(seen).plan.into_iter();
        plan.map(|planned| (planned.step.kind(), planned.services)).collect()
    };
    let both = vec!["api".to_owned(), "dashboard".to_owned()];
    assert_eq!(services(&handed_over()), [(StepKind::Up, both)]);
    // A build of the other one comes first, and meanwhile it has its port.
    let mut built = handed_over();
    built.services[1].artifact.image = Fact::Known(None);
    let dashboard = vec!["dashboard".to_owned()];
    assert_eq!(services(&built), [(StepKind::Build, dashboard.clone()), (StepKind::Up, dashboard)]);
    let waits = repair(&built);
    assert!(matches!(&waits, Repair::Wait { reason, .. } if reason == "PortTaken"), "{waits:?}");
    assert!(matches!(decided(&built).next, Next::Execute(_)));
    // Two that swap their ports do not wait for each other.
    let mut swapped = built.clone();
    swapped.services[1].ports_of = ["api".to_owned()].into();
    assert!(matches!(repair(&swapped), Repair::Wait { .. }));
    assert!(matches!(decided(&swapped).next, Next::Execute(step) if step.step.kind() == StepKind::Build));
    // A broken service loses nothing.
    container_mut(&mut built.services[0]).state = ContainerState::Exited;
    assert!(matches!(repair(&built), Repair::Steps(..)));
}

#[test]
fn who_is_to_have_a_port_of_a_service_that_keeps_it_is_left_as_it_is() {
    let mut kept = handed_over();
    kept.services[1].obstacles = vec![obstacle(NoteReason::PortTaken)];
    let (reason, message) = stalled(&kept);
    assert_eq!(reason, "PortTaken");
    assert!(message.contains("dashboard has one that api is to publish"), "{message}");
    assert!(decided(&kept).plan.is_empty());
    // And so is the service that waits for that one.
    let mut chain = kept;
    chain.services[0].ports_of = ["third".to_owned()].into();
    let mut third = chain.services[0].clone();
    (third.name, third.ports_of) = ("third".into(), ["dashboard".to_owned()].into());
    let mut desired = desired();
    let mut spec = desired.object.spec.services[1].clone();
    spec.name = "third".into();
    (third.routes, third.source.modules, third.artifact.modules) = (vec![], vec![], vec![]);
    container_mut(&mut third).modules = vec![];
    desired.object.spec.services.push(spec);
    chain.services.push(third);
    assert!(with_history(&desired, &chain, &history()).plan.is_empty());
    chain.services[1].obstacles = vec![];
    assert_eq!(with_history(&desired, &chain, &history()).plan.len(), 1);
}

#[test]
fn what_does_not_work_is_repaired_all_the_same() {
    let down = |change: fn(&mut crate::api::ContainerObservation)| {
        let mut seen = unread(incident());
        change(container_mut(&mut seen.services[0]));
        matches!(repair(&seen), Repair::Steps(..))
    };
    assert!(down(|container| container.state = ContainerState::Exited));
    assert!(down(|container| container.health = Some(Health::Unhealthy)));
    let mut looping = unread(incident());
    container_mut(&mut looping.services[0]).restart_count = 5;
    let history = History { restarts: [("old".to_owned(), 0)].into(), ..history() };
    let repair = &with_history(&desired(), &looping, &history).repair_options[0].repair;
    assert!(matches!(repair, Repair::Steps(..)), "{repair:?}");
}

#[test]
fn a_replica_that_is_down_is_started_beside_one_that_works() {
    let mut seen = unread(healthy());
    let api = &mut seen.services[0];
    api.replicas = 2;
    let Fact::Known(containers) = &mut api.containers else { panic!("the fixture knows them") };
    let second = crate::api::ContainerObservation {
        id: "second".into(),
        number: 2,
        state: ContainerState::Exited,
        ..containers[0].clone()
    };
    containers.push(second);
    assert_eq!(repair(&seen), Repair::Steps(vec![Step::Start], None));
}

#[test]
fn credentials_that_cannot_be_read_are_not_waited_for() {
    let seen = unread(healthy());
    let (reason, message) = stalled(&seen);
    assert_eq!(reason, "CredentialsUnreadable");
    assert_eq!(message, "something is wrong; next: mend it");
    // undrift waits for what may pass, whatever else is wrong.
    let mut engine = unread(healthy());
    engine.services[0].artifact.image = Fact::unknown("the engine did not say");
    assert!(matches!(repair(&engine), Repair::Wait { .. }));
}

#[test]
fn a_port_that_nothing_exposes_is_given_a_moment_before_it_keeps_a_step_back() {
    let refused = |mut seen: ProjectObservation, started: i64| {
        let api = &mut seen.services[0];
        answer_mut(api).plain = Fact::Known(Answer::None("connection refused".into()));
        container_mut(api).started_at = Some(at(started));
        repair(&with(seen, NoteReason::PortNotExposed))
    };
    for (started, until) in [(-28, at(2)), (0, at(30))] {
        let waits = refused(incident(), started);
        assert!(matches!(waits, Repair::Wait { until: u, .. } if u == until), "{waits:?}");
    }
    let stalled = refused(incident(), -29);
    assert!(matches!(&stalled, Repair::Stalled { reason, .. } if reason == "PortNotExposed"), "{stalled:?}");
    // Without a step to hold back a slow server has the whole time of a verification.
    let slow = refused(healthy(), -40);
    assert!(matches!(&slow, Repair::Wait { until, .. } if *until > at(60)), "{slow:?}");
}

#[test]
fn refused_credentials_are_not_waited_for_and_a_server_that_starts_is() {
    let answered = |code, started: i64| {
        let mut seen = healthy();
        let api = &mut seen.services[0];
        answer_mut(api).auth = Some(status(code));
        container_mut(api).started_at = Some(at(started));
        repair(&seen)
    };
    for code in [401, 403] {
        assert!(
            matches!(answered(code, -3600), Repair::Stalled { reason, .. } if reason == "Rejected"),
            "{code}"
        );
        assert!(matches!(answered(code, -10), Repair::Stalled { .. }), "{code}, the window has passed");
        assert!(
            matches!(answered(code, 0), Repair::Wait { until, .. } if until == at(3)),
            "{code}, within the window"
        );
    }
    for code in [404, 503] {
        assert!(matches!(answered(code, -10), Repair::Wait { until, .. } if until > at(60)), "{code}");
    }
}

#[test]
fn an_obstacle_is_a_note_and_changes_no_condition() {
    let status = |seen: &ProjectObservation| {
        let (desired, history) = (desired(), history());
        let inputs =
            Inputs { desired: &desired, observed: seen, history: &history, now: at(1), jitter_seed: 7 };
        let decision = decide(inputs);
        status::status(StatusInputs {
            desired: &desired,
            generation: 1,
            observed: seen,
            decision: &decision,
            suspended: None,
            previous: None,
            verified: &[],
            transitions: &BTreeMap::new(),
            incident: None,
            reconciling: false,
            now: at(1),
        })
    };
    let (plain, obstructed) = (status(&healthy()), status(&with(healthy(), NoteReason::NotReachable)));
    assert_eq!(plain.conditions, obstructed.conditions);
    let notes: Vec<_> =
        obstructed.services[0].notes.iter().map(|note| (note.reason, note.message.as_str())).collect();
    assert_eq!(notes, [(NoteReason::NotReachable, "something is wrong; next: mend it")]);
}

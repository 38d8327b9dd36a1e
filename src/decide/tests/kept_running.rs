//! A service that ran and can run is kept running, whatever is wrong in an earlier layer.

use super::{properties::recent_step, *};
use crate::api::{
    ContainerObservation, ObjectStatus, Presence, RecentStep, ServiceObservation, StepOutcome, Ties,
};

/// The container is down, and the source layer has this fact.
fn down(source: Fact<Presence>) -> ProjectObservation {
    let mut seen = healthy();
    container_mut(&mut seen.services[0]).state = ContainerState::Exited;
    seen.services[0].source.modules[0] = Some(source);
    seen
}

/// An incident that opened then, with these steps.
fn incident_of(opened_at: Time, steps: Vec<DoneStep>) -> OpenIncident {
    OpenIncident { steps, ..OpenIncident::fold("01".into(), opened_at, ObjectStatus::default(), []) }
}

fn repair(seen: &ProjectObservation, history: &History) -> Repair {
    with_history(&desired(), seen, history).repair_options[0].repair.clone()
}

#[test]
fn what_is_down_behind_a_layer_that_no_step_repairs_is_started_as_it_is() {
    let start = Repair::Steps(vec![Step::Start], None);
    for source in [Fact::Known(Presence::Missing), Fact::unknown("the file system is away")] {
        assert_eq!(repair(&down(source.clone()), &history()), start, "{source:?}");
        let mut running = down(source);
        container_mut(&mut running.services[0]).state = ContainerState::Running;
        assert_ne!(repair(&running, &history()), start, "it runs");
    }
    let decision = with_history(&desired(), &down(Fact::Known(Presence::Missing)), &history());
    assert_eq!(
        decision.services[0].drift.as_ref().unwrap().reason,
        DriftReason::ModuleMissing,
        "and it is said"
    );
}

#[test]
fn it_is_not_started_where_it_may_not_be_touched_or_has_nothing_to_run() {
    let start = Repair::Steps(vec![Step::Start], None);
    let with = |change: fn(&mut ServiceObservation)| {
        let mut seen = down(Fact::Known(Presence::Missing));
        change(&mut seen.services[0]);
        repair(&seen, &history())
    };
    assert_ne!(with(|seen| seen.runs_undrift = true), start);
    assert_ne!(with(|seen| seen.other_directory = Fact::Known(Some("/srv/other".into()))), start);
    assert_ne!(with(|seen| seen.replicas = 0), start);
    let job = with(|seen| {
        seen.ties = Ties { is_job: true, ..Ties::default() };
        container_mut(seen).exit_code = Some(0);
    });
    assert_ne!(job, start, "a job that has ended well has done its work");
}

#[test]
fn one_that_dies_at_every_start_is_started_ever_later_and_then_left() {
    let after = |starts: u32| {
        let start = || DoneStep {
            step: Step::Start,
            services: vec!["api".into()],
            at: at(1),
            outcome: StepOutcome::Succeeded,
        };
        let incident = incident_of(at(0), (0..starts).map(|_| start()).collect());
        repair(&down(Fact::Known(Presence::Missing)), &History { incident: Some(incident), ..history() })
    };
    let wait = |starts| match after(starts) {
        Repair::Steps(steps, Some(until)) if steps == [Step::Start] => until - at(1),
        other => panic!("{starts}: {other:?}"),
    };
    assert!(wait(1) < wait(2) && wait(2) < wait(4));
    let attempts = desired().object.spec.reconcile.attempts;
    assert!(matches!(after(attempts), Repair::Stalled { .. } | Repair::Wait { .. }));
}

/// The incident ends while it runs: the starts within the hour show how often it has died.
#[test]
fn one_that_dies_behind_an_earlier_layer_once_its_incident_is_over_is_started_ever_later_as_well() {
    let wait = |starts: usize| {
        let recent_steps = vec![RecentStep { at: at(0), ..recent_step(StepKind::Up) }; starts];
        match repair(&down(Fact::Known(Presence::Missing)), &History { recent_steps, ..history() }) {
            Repair::Steps(steps, Some(until)) if steps == [Step::Start] => until - at(0),
            other => panic!("{starts}: {other:?}"),
        }
    };
    let longest = desired().object.spec.reconcile.backoff.max.delta();
    assert!(wait(1) < wait(2) && wait(2) < wait(4) && wait(4) < wait(8));
    assert_eq!(wait(12), longest, "and kept running all the same");
    let recent_steps = vec![RecentStep { at: at(0), ..recent_step(StepKind::Up) }; 2];
    let history_of_starts = History { recent_steps, ..history() };
    let down_now = down(Fact::Known(Presence::Missing));
    let waiting = with_history(&desired(), &down_now, &history_of_starts);
    assert_eq!(waiting.repair_options[0].backs_off, None, "a start is no attempt");
    // Seven ordinary changes, each of which was verified.
    let recent_steps = vec![RecentStep { at: at(0), ..recent_step(StepKind::Up) }; 7];
    let verified_since = [("api".to_owned(), at(1))].into();
    let history = History { recent_steps, verified_since, ..history() };
    let started = repair(&down(Fact::Known(Presence::Missing)), &history);
    assert_eq!(started, Repair::Steps(vec![Step::Start], None));
}

/// The decision for `api` with these containers once its budget for `reason` is spent, this many seconds after the longest
/// backoff.
fn spent(containers: Vec<ContainerObservation>, reason: DriftReason, later: i64) -> Decision {
    let desired = desired();
    let mut seen = healthy();
    seen.services[0].containers = Fact::Known(containers);
    let attempts = desired.object.spec.reconcile.attempts;
    let tried = vec![Step::Up { force_recreate: false }];
    let source_digest = super::super::start::start(&seen.services[0]);
    let row = crate::api::Attempt { reason, source_digest, attempts, tried, ..row(None, at(0)) };
    let history = History { attempts: vec![row], ..history() };
    let wait = desired.object.spec.reconcile.backoff.max.delta();
    let now = at(later) + wait;
    decide(Inputs { desired: &desired, observed: &seen, history: &history, now, jitter_seed: 7 })
}

fn exited(code: i64) -> Vec<ContainerObservation> {
    let mut seen = healthy();
    let container = container_mut(&mut seen.services[0]);
    (container.state, container.exit_code) = (ContainerState::Exited, Some(code));
    vec![container.clone()]
}

#[test]
fn what_something_else_ends_before_each_verification_is_started_once_in_the_longest_backoff_and_stalled_in_between()
 {
    for (containers, reason) in [
        (exited(137), DriftReason::NotRunning),
        (exited(143), DriftReason::NotRunning),
        (vec![], DriftReason::Missing),
    ] {
        let before = spent(containers.clone(), reason, -1);
        let Next::GiveUp { reason: stalled, message } = before.next else { panic!("{:?}", before.next) };
        assert_eq!(stalled, "BudgetSpent");
        assert!(message.contains("something else ends it each time"), "{message}");
        let due = at(0) + desired().object.spec.reconcile.backoff.max.delta();
        assert_eq!(before.repair_options[0].started_again_at, Some(due));
        assert_eq!(
            spent(containers, reason, 0).repair_options[0].repair,
            Repair::Steps(vec![Step::Start], None)
        );
    }
}

/// A start that takes longer than the longest backoff is over when the next one would be due, and so may an observation be.
#[test]
fn a_start_that_takes_longer_than_the_longest_backoff_is_stalled_in_between_as_well() {
    let mut desired = desired();
    desired.object.spec.reconcile.backoff.max = crate::api::Duration::from_secs(1);
    let (policy, mut seen) = (&desired.object.spec.reconcile, healthy());
    let refused =
        ContainerObservation { port_taken: true, state: ContainerState::Created, ..exited(128)[0].clone() };
    let tried = vec![Step::Up { force_recreate: false }];
    for containers in [vec![refused], exited(137)] {
        seen.services[0].containers = Fact::Known(containers);
        let source_digest = super::super::start::start(&seen.services[0]);
        let (attempts, tried) = (policy.attempts, tried.clone());
        let row = crate::api::Attempt {
            reason: DriftReason::NotRunning,
            source_digest,
            attempts,
            tried,
            ..row(None, at(0))
        };
        let services = vec!["api".to_owned()];
        let start = DoneStep { step: Step::Start, services, at: at(10), outcome: StepOutcome::Failed };
        let incident = |opened, steps| incident_of(opened, steps);
        let decided = |incident, now| {
            let history = History { incident, attempts: vec![row.clone()], ..history() };
            decide(Inputs { desired: &desired, observed: &seen, history: &history, now, jitter_seed: 7 })
        };
        let start_now = Repair::Steps(vec![Step::Start], None);
        let in_this = || Some(incident(at(0), vec![start.clone()]));
        // The start began at 0 and ended at 10; the observation after it takes 3 s.
        for later in [10, 13] {
            let decision = decided(in_this(), at(later));
            assert!(
                matches!(&decision.next, Next::GiveUp { reason, .. } if reason == "BudgetSpent"),
                "{later}"
            );
            assert_eq!(decision.repair_options[0].started_again_at, Some(at(later.max(11))), "{later}");
        }
        // Another service keeps the incident open.
        let much_later = at(10) + policy.verify.timeout.delta();
        assert_eq!(decided(in_this(), much_later).repair_options[0].repair, start_now);
        // It has ended.
        assert_eq!(decided(None, at(13)).repair_options[0].repair, start_now);
        assert_eq!(decided(Some(incident(at(12), vec![])), at(13)).repair_options[0].repair, start_now);
    }
}

#[test]
fn what_ends_by_itself_is_given_up_when_the_budget_is_spent() {
    let created =
        exited(137).into_iter().map(|c| ContainerObservation { state: ContainerState::Created, ..c });
    for containers in [exited(1), exited(0), exited(139), created.collect()] {
        let decision = spent(containers, DriftReason::NotRunning, 1_000_000);
        let Next::GiveUp { reason, message } = decision.next else { panic!("{:?}", decision.next) };
        assert_eq!(reason, "BudgetSpent");
        assert!(!message.contains("something else"), "{message}");
        assert_eq!(decision.repair_options[0].started_again_at, None);
    }
}

#[test]
fn what_could_not_have_its_port_is_started_once_in_the_longest_backoff() {
    let refused = exited(128)
        .into_iter()
        .map(|c| ContainerObservation { state: ContainerState::Created, port_taken: true, ..c })
        .collect::<Vec<_>>();
    let before = spent(refused.clone(), DriftReason::NotRunning, -1);
    assert!(matches!(before.next, Next::GiveUp { reason, .. } if reason == "BudgetSpent"));
    let due = at(0) + desired().object.spec.reconcile.backoff.max.delta();
    assert_eq!(before.repair_options[0].started_again_at, Some(due));
    let start = Repair::Steps(vec![Step::Start], None);
    assert_eq!(spent(refused, DriftReason::NotRunning, 0).repair_options[0].repair, start);
}

/// A clock that was a day ahead when the last step was recorded, and was corrected since.
#[test]
fn a_clock_that_was_set_back_keeps_nothing_down() {
    let desired = desired();
    let policy = &desired.object.spec.reconcile;
    let mut seen = healthy();
    seen.services[0].containers = Fact::Known(exited(137));
    let tried = vec![Step::Up { force_recreate: false }];
    let source_digest = super::super::start::start(&seen.services[0]);
    let row =
        crate::api::Attempt { source_digest, attempts: policy.attempts, tried, ..row(None, at(86_400)) };
    let start = DoneStep {
        step: Step::Start,
        services: vec!["api".into()],
        at: at(86_400),
        outcome: StepOutcome::Succeeded,
    };
    let incident = incident_of(at(0), vec![start]);
    for incident in [None, Some(incident)] {
        let history = History { incident, attempts: vec![row.clone()], ..history() };
        let inputs =
            Inputs { desired: &desired, observed: &seen, history: &history, now: at(60), jitter_seed: 7 };
        assert_eq!(decide(inputs).repair_options[0].repair, Repair::Steps(vec![Step::Start], None));
    }
}

/// A service that something else ends each time is started once per longest backoff, for as long as that goes on.
#[test]
fn a_start_beyond_its_budget_prolongs_nobody_elses_wait() {
    let desired = desired();
    let policy = &desired.object.spec.reconcile;
    let services = vec!["api".to_owned()];
    let start = DoneStep { step: Step::Start, services, at: at(100), outcome: StepOutcome::Succeeded };
    let incident = incident_of(at(0), vec![start]);
    let until = |attempts, service| {
        let row = crate::api::Attempt { attempts, ..row(None, at(0)) };
        let history = History {
            incident: Some(incident.clone()),
            attempts: vec![row],
            watching_since: Some(at(0)),
            ..history()
        };
        let observed = healthy();
        let inputs = Inputs {
            desired: &desired,
            observed: &observed,
            history: &history,
            now: at(110),
            jitter_seed: 7,
        };
        super::super::settling::deadline(inputs, service) - policy.verify.timeout.delta()
    };
    assert_eq!(until(policy.attempts, "web"), at(0));
    assert_eq!(until(policy.attempts, "api"), at(100), "its own server takes its time");
    assert_eq!(until(1, "web"), at(100), "a repair of another one may be what it waits for");
}

//! Decisions, case by case.

mod arbitrary;
mod attachments;
mod budget;
mod cases;
mod content;
mod environment;
mod kept_running;
mod mounts;
mod namespace;
mod obstacles;
mod properties;
mod rate;
mod replicas;
mod revision;
mod rollback;
mod routes;
mod source;
mod start;
mod suspects;
mod undone;

use cases::CASES;
use serde_json::json;

use super::*;
use crate::{
    api::{ContainerState, DriftReason, Fact, Layer, PlannedStep, ProjectObservation, Step, StepKind},
    testing::fixtures::{
        NEW, OLD, answer_mut, at, container_mut, desired, desired_with, healthy, incident, status,
    },
};

fn decided(observed: &ProjectObservation) -> Decision {
    with_history(&desired(), observed, &history())
}

/// No earlier steps; `dashboard` is verified as it is.
fn history() -> History {
    let verified = [("dashboard".to_owned(), identities(&healthy().services[1]))].into();
    History { generation: 1, watching_since: Some(at(0)), verified, ..History::default() }
}

fn with_history(desired: &Desired, observed: &ProjectObservation, history: &History) -> Decision {
    decide(Inputs { desired, observed, history, now: at(1), jitter_seed: 7 })
}

fn drift(decision: &Decision) -> Option<(Layer, DriftReason)> {
    decision.services[0].drift.as_ref().map(|drift| (drift.layer, drift.reason))
}

fn kinds(plan: &[PlannedStep]) -> Vec<StepKind> {
    plan.iter().map(|planned| planned.step.kind()).collect()
}

#[test]
fn each_layer_broken_alone_gives_its_drift_and_its_plan() {
    for case in CASES {
        let mut seen = healthy();
        (case.break_it)(&mut seen);
        let decision = decided(&seen);
        assert_eq!(drift(&decision), Some((case.layer, case.reason)), "{}", case.name);
        assert_eq!(kinds(&decision.plan), case.steps, "{}", case.name);
        let named = decision.plan.iter().all(|planned| planned.services == ["api"]);
        assert!(named, "{}: only the service that drifted is touched", case.name);
    }
}

#[test]
fn a_healthy_host_is_verified_and_then_left_alone() {
    let seen = healthy();
    assert_eq!(decided(&seen).next, Next::Verify(vec!["api".into()]));
    let verified = seen.services.iter().map(|s| (s.name.clone(), identities(s))).collect();
    let decision = with_history(&desired(), &seen, &History { verified, ..history() });
    assert!(decision.as_declared());
    assert_eq!(decision.next, Next::Nothing);
}

#[test]
fn blanket_401_is_settled_by_credentials() {
    let mut seen = healthy();
    answer_mut(&mut seen.services[0]).control = Some(status(401));
    answer_mut(&mut seen.services[0]).auth_control = Some(status(404));
    assert!(decided(&seen).as_declared());
}

#[test]
fn the_worst_answer_of_all_replicas_counts() {
    for worst in 0..2 {
        let mut seen = healthy();
        let answers = &mut seen.services[0].routes[0].answers;
        answers.push(answers[0].clone());
        answers[worst].plain = status(404);
        assert_eq!(drift(&decided(&seen)), Some((Layer::Route, DriftReason::Absent)), "{worst}");
    }
}

#[test]
fn a_single_page_app_verifies_nothing() {
    let mut desired = desired();
    desired.object.spec.services[0].routes[0].expect = vec![200];
    desired.object.spec.services[0].routes[0].auth = None;
    let mut seen = healthy();
    answer_mut(&mut seen.services[0]).plain = status(200);
    answer_mut(&mut seen.services[0]).control = Some(status(200));
    let decision = with_history(&desired, &seen, &history());
    assert_eq!(drift(&decision), Some((Layer::Route, DriftReason::Indistinguishable)));
}

/// An upgrade of undrift needs no repair.
#[test]
fn a_digest_that_another_version_made_is_no_changed_source() {
    let mut seen = healthy();
    seen.services[0].source.digest = Fact::Known(Some("v2:sha256:source-2".into()));
    for (built_from, changed) in [("v1:sha256:source-2", false), ("v2:sha256:source-1", true)] {
        seen.services[0].artifact.built_from = Some(built_from.into());
        let drift = drift(&decided(&seen));
        assert_eq!(drift, changed.then_some((Layer::Artifact, DriftReason::SourceChanged)), "{built_from}");
    }
}

#[test]
fn two_services_are_built_by_one_command() {
    let mut seen = incident();
    seen.services[1].artifact.image = Fact::Known(None);
    let decision = decided(&seen);
    assert_eq!(kinds(&decision.plan), [StepKind::Build, StepKind::Up]);
    assert_eq!(decision.plan[0].services, ["api", "dashboard"]);
}

#[test]
fn a_build_that_failed_no_longer_shares_a_command() {
    let mut seen = incident();
    seen.services[1].artifact.image = Fact::Known(None);
    let mut failed = row(None, at(0));
    (failed.layer, failed.reason, failed.attempts) = (Layer::Artifact, DriftReason::ModuleMissing, 1);
    let other = Attempt { service: "dashboard".into(), reason: DriftReason::ImageMissing, ..failed.clone() };
    let decision = with_history(&desired(), &seen, &History { attempts: vec![failed, other], ..history() });
    assert_eq!(kinds(&decision.plan), [StepKind::Build, StepKind::Build, StepKind::Up]);
    assert_eq!(decision.plan[0].services, ["api"]);
    assert_eq!(decision.plan[1].services, ["dashboard"]);
}

#[test]
fn a_stopped_container_does_not_wait_for_another_services_build() {
    let mut seen = incident();
    container_mut(&mut seen.services[1]).state = ContainerState::Exited;
    assert_eq!(kinds(&decided(&seen).plan), [StepKind::Up, StepKind::Build, StepKind::Up]);
}

#[test]
fn while_someone_else_is_at_work_undrift_waits() {
    let mut seen = incident();
    seen.external_activity = Some("a container was created just now".into());
    let decision = decided(&seen);
    assert!(matches!(decision.next, Next::Wait(until) if until > at(1)), "{:?}", decision.next);
    assert_eq!(kinds(&decision.plan), [StepKind::Build, StepKind::Up], "the plan is shown all the same");
}

#[test]
fn undrift_never_touches_the_service_that_it_runs_in_and_repairs_the_others() {
    for case in CASES {
        let mut seen = healthy();
        (case.break_it)(&mut seen);
        seen.services[0].runs_undrift = true;
        let decision = decided(&seen);
        assert!(decision.plan.is_empty(), "{}: {:?}", case.name, decision.plan);
        assert!(!decision.as_declared(), "{}: it is reported all the same", case.name);
        container_mut(&mut seen.services[1]).state = ContainerState::Exited;
        let decision = decided(&seen);
        assert_eq!(kinds(&decision.plan), [StepKind::Up], "{}", case.name);
        assert_eq!(decision.plan[0].services, ["dashboard"], "{}", case.name);
    }
    let mut seen = incident();
    seen.services[0].runs_undrift = true;
    let next = decided(&seen).next;
    assert!(
        matches!(&next, Next::GiveUp { reason, message } if reason == "RunsUndrift" && message.contains("itself")),
        "{next:?}"
    );
}

#[test]
fn suspended_or_observing_takes_no_step() {
    let healthy_one = with_history(&desired_with(&json!({ "mode": "observe" })), &healthy(), &history());
    assert!(matches!(healthy_one.next, Next::Verify(_)), "looking is no step");
    for reconcile in [json!({ "suspend": true }), json!({ "mode": "observe" })] {
        for case in CASES {
            let mut seen = healthy();
            (case.break_it)(&mut seen);
            let decision = with_history(&desired_with(&reconcile), &seen, &history());
            assert!(decision.plan.is_empty(), "{}", case.name);
            assert!(!matches!(decision.next, Next::Execute(_)), "{}", case.name);
            assert!(!decision.as_declared(), "{}: it is reported all the same", case.name);
        }
    }
}

/// Takes one step as the reconciler does, and observes the same host again: nothing has changed.
fn take_in_vain(
    desired: &Desired,
    seen: &ProjectObservation,
    history: &mut History,
    now: Time,
) -> Option<Step> {
    let before = history.clone();
    let inputs = Inputs { desired, observed: seen, history: &before, now, jitter_seed: 7 };
    let decision = decide(inputs);
    history.attempts = decision.attempts.clone();
    let Next::Execute(step) = decision.next.clone() else { return None };
    let begun = begin_step(inputs, &decision.attempts, &decision.services, step.step, &step.services);
    let outcome = crate::api::StepOutcome::Succeeded;
    for row in end_step(begun, outcome, &desired.object.spec.reconcile, now, 7) {
        history.attempts.retain(|kept| !kept.is_of_the_same(&row));
        history.attempts.push(row);
    }
    Some(step.step)
}

#[test]
fn a_repair_that_changes_nothing_escalates_and_ends() {
    let seen = incident();
    let (desired, mut history) = (desired(), history());
    let steps: Vec<Step> =
        (0..40).filter_map(|hour| take_in_vain(&desired, &seen, &mut history, at(hour * 3600))).collect();
    assert_eq!(steps, [Step::Build { no_cache: false }, Step::Build { no_cache: true }]);
    let last = decide(Inputs {
        desired: &desired,
        observed: &seen,
        history: &history,
        now: at(200_000),
        jitter_seed: 7,
    });
    assert!(
        matches!(&last.next, Next::GiveUp { reason, .. } if reason == "RepairsExhausted"),
        "{:?}",
        last.next
    );
}

/// A history in which undrift has built and recreated `api`, which ran well on the old image before.
pub(crate) fn after_a_repair(before: &ProjectObservation) -> History {
    let (desired, empty) = (desired(), history());
    let inputs = Inputs { desired: &desired, observed: before, history: &empty, now: at(0), jitter_seed: 7 };
    let decision = decide(inputs);
    let status = status::status(StatusInputs {
        desired: &desired,
        generation: 1,
        observed: before,
        decision: &decision,
        suspended: None,
        previous: None,
        verified: &[],
        transitions: &BTreeMap::new(),
        incident: None,
        reconciling: true,
        now: at(0),
    });
    let outcome = crate::api::StepOutcome::Succeeded;
    let done = |step| DoneStep { step, services: vec!["api".to_owned()], at: at(0), outcome };
    let steps = vec![done(Step::Build { no_cache: false }), done(Step::Up { force_recreate: false })];
    History {
        incident: Some(OpenIncident {
            id: "01".into(),
            opened_at: at(0),
            before: status,
            steps,
            verified: vec![],
        }),
        ..empty
    }
}

/// The new container has died twice, and the engine is about to start it again.
fn dying() -> ProjectObservation {
    let mut seen = healthy();
    let container = container_mut(&mut seen.services[0]);
    (container.state, container.restart_count) = (ContainerState::Restarting, 2);
    seen
}

#[test]
fn a_container_that_is_worse_than_before_is_rolled_back_once() {
    let seen = dying();
    let mut history = after_a_repair(&incident());
    assert_eq!(kinds(&with_history(&desired(), &seen, &history).plan), [StepKind::Rollback]);
    let off = desired_with(&json!({ "rollback": false }));
    assert_eq!(kinds(&with_history(&off, &seen, &history).plan), [StepKind::Restart]);

    let desired = desired();
    let inputs = Inputs { desired: &desired, observed: &seen, history: &history, now: at(1), jitter_seed: 7 };
    let decision = decide(inputs);
    let begun =
        begin_step(inputs, &decision.attempts, &decision.services, Step::Rollback, &["api".to_owned()]);
    history.attempts = end_rollback(begun);
    let after = with_history(&desired, &incident(), &history);
    assert!(after.plan.is_empty(), "what was rolled back is not built again");
    assert!(matches!(&after.next, Next::GiveUp { reason, .. } if reason == "RolledBack"), "{:?}", after.next);
}

#[test]
fn an_up_that_was_interrupted_is_taken_again_rather_than_rolled_back() {
    let mut seen = healthy();
    container_mut(&mut seen.services[0]).state = ContainerState::Exited;
    for outcome in [crate::api::StepOutcome::Interrupted, crate::api::StepOutcome::Cancelled] {
        let mut history = after_a_repair(&incident());
        history
            .incident
            .iter_mut()
            .flat_map(|incident| &mut incident.steps)
            .for_each(|done| done.outcome = outcome);
        assert_eq!(kinds(&with_history(&desired(), &seen, &history).plan), [StepKind::Up], "{outcome:?}");
    }
}

#[test]
fn a_route_of_a_container_that_was_just_started_is_given_time() {
    let mut seen = healthy();
    answer_mut(&mut seen.services[0]).plain = status(404);
    container_mut(&mut seen.services[0]).started_at = Some(at(0));
    assert!(matches!(decided(&seen).next, Next::Wait(_)), "{:?}", decided(&seen).next);
    container_mut(&mut seen.services[0]).started_at = Some(at(-118));
    assert!(matches!(decided(&seen).next, Next::Wait(_)), "for as long as one of ours is");
    container_mut(&mut seen.services[0]).started_at = Some(at(-119));
    assert!(matches!(decided(&seen).next, Next::Execute(_)));
    container_mut(&mut seen.services[0]).started_at = Some(at(7200));
    assert!(
        matches!(decided(&seen).next, Next::Execute(_)),
        "a start that lies ahead was before a clock was set back"
    );
}

#[test]
fn a_step_that_a_clock_has_put_far_ahead_is_not_waited_for_until_then() {
    let mut lost = healthy();
    answer_mut(&mut lost.services[0]).plain = status(500);
    for (ahead, waits) in [(60, true), (7200, false)] {
        let mut history = after_a_repair(&incident());
        history.incident.iter_mut().flat_map(|open| &mut open.steps).for_each(|done| done.at = at(ahead));
        history.watching_since = Some(at(-9000));
        let next = with_history(&desired(), &lost, &history).next;
        assert_eq!(matches!(next, Next::Wait(_)), waits, "{ahead} s: {next:?}");
    }
}

/// A container that is starting refuses connections at first, which is no other drift.
#[test]
fn a_restart_is_not_repeated_because_the_server_took_its_time_to_answer() {
    let mut absent = healthy();
    answer_mut(&mut absent.services[0]).plain = status(404);
    let mut silent = absent.clone();
    answer_mut(&mut silent.services[0]).plain =
        Fact::Known(crate::api::Answer::None("connection refused".into()));
    let mut begun = row(Some(Step::Restart), at(0));
    (begun.layer, begun.reason, begun.attempts) = (Layer::Route, DriftReason::Absent, 1);
    let (desired, mut history) = (desired(), History { attempts: vec![begun], ..history() });
    for (seen, now) in [(&silent, 1), (&absent, 2), (&absent, 3600)] {
        let inputs =
            Inputs { desired: &desired, observed: seen, history: &history, now: at(now), jitter_seed: 7 };
        history.attempts = decide(inputs).attempts;
    }
    let decision = with_history(&desired, &absent, &history);
    let steps: Vec<Step> = decision.plan.iter().map(|planned| planned.step).collect();
    assert_eq!(steps, [Step::Build { no_cache: true }, Step::Up { force_recreate: false }]);
}

/// A row of a repair that began at `last_at` and is pending or failed.
fn row(pending: Option<Step>, last_at: Time) -> Attempt {
    Attempt {
        object: "backoffice".into(),
        service: "api".into(),
        layer: Layer::Container,
        reason: DriftReason::NotRunning,
        source_digest: Some("sha256:source-2 config:hash".into()),
        generation: 1,
        attempts: 3,
        tried: vec![],
        pending,
        last_at,
        next_at: None,
        gave_up: None,
        healed: false,
        continued: false,
        cause: None,
        verified_repairs: vec![],
    }
}

#[test]
fn attempts_are_forgotten_after_a_healthy_period_and_not_by_one_good_look() {
    let kept = |verified_since: Option<Time>, seen: &ProjectObservation| {
        let verified_since = verified_since.map(|since| ("api".to_owned(), since)).into_iter().collect();
        let history = History { attempts: vec![row(None, at(-3600))], verified_since, ..history() };
        with_history(&desired(), seen, &history).attempts.len()
    };
    assert_eq!(kept(None, &healthy()), 1, "one good look, an hour after the repair");
    assert_eq!(kept(Some(at(-598)), &healthy()), 1, "well for less than ten minutes");
    assert_eq!(kept(Some(at(-600)), &healthy()), 0, "well for ten minutes");
    assert_eq!(kept(Some(at(-3601)), &healthy()), 1, "what was proven before the repair says nothing of it");
    let mut stopped = healthy();
    container_mut(&mut stopped.services[0]).state = ContainerState::Exited;
    assert_eq!(kept(Some(at(-3590)), &stopped), 0, "healed an hour ago, and broken anew");
    assert_eq!(kept(None, &stopped), 1, "never healed");
}

#[test]
fn a_rollback_that_failed_is_tried_again_rather_than_built_over() {
    let mut history = after_a_repair(&incident());
    let outcome = crate::api::StepOutcome::Failed;
    let failed = DoneStep { step: Step::Rollback, services: vec!["api".into()], at: at(0), outcome };
    history.incident.iter_mut().for_each(|incident| incident.steps.push(failed.clone()));
    let mut seen = incident();
    seen.services[0].containers = Fact::Known(vec![]);
    assert_eq!(kinds(&with_history(&desired(), &seen, &history).plan), [StepKind::Rollback]);
}

#[test]
fn what_was_broken_before_is_not_rolled_back() {
    let mut before = incident();
    container_mut(&mut before.services[0]).state = ContainerState::Exited;
    let mut seen = healthy();
    container_mut(&mut seen.services[0]).state = ContainerState::Exited;
    assert_eq!(kinds(&with_history(&desired(), &seen, &after_a_repair(&before)).plan), [StepKind::Up]);
}

#[test]
fn two_deaths_of_late_are_a_loop_and_one_is_waited_for() {
    let seen = |count: i64, started: Time| {
        let mut seen = healthy();
        let container = container_mut(&mut seen.services[0]);
        (container.restart_count, container.started_at) = (count, Some(started));
        seen
    };
    let after = |before: i64, seen: &ProjectObservation| {
        let restarts = [("new-api".to_owned(), before)].into();
        with_history(&desired(), seen, &History { restarts, ..history() })
    };
    let once = after(5, &seen(6, at(-5)));
    assert_eq!(drift(&once), None);
    assert!(once.services[0].unknown.is_some(), "it may die again");
    assert!(after(5, &seen(6, at(-10))).as_declared(), "the engine has mended it");
    for started in [at(-5), at(-60)] {
        assert_eq!(drift(&after(5, &seen(7, started))), Some((Layer::Container, DriftReason::CrashLooping)));
    }
    assert!(decided(&seen(6, at(-60))).as_declared(), "deaths long ago are none");
}

#[test]
fn a_look_supports_a_verification_where_it_is_as_declared_by_the_same_containers() {
    let good = healthy();
    let mut replaced = healthy();
    container_mut(&mut replaced.services[0]).id = "another".into();
    let mut broken = healthy();
    answer_mut(&mut broken.services[0]).plain = status(404);
    let first = identities_of("api", &good);
    let weight = |seen: &ProjectObservation| weigh("api", &first, seen, &decided(seen).services);
    assert_eq!(weight(&good), Weight::Supports);
    for (seen, why) in [(replaced, "replaced"), (broken, "404")] {
        assert!(matches!(weight(&seen), Weight::Contradicts(said) if said.contains(why)), "{why}");
    }
}

#[test]
fn the_fixture_is_the_incident() {
    assert_ne!(OLD, NEW);
    assert_eq!(drift(&decided(&incident())), Some((Layer::Artifact, DriftReason::ModuleMissing)));
}

#[test]
fn what_may_pass_by_itself_is_looked_at_again_also_where_no_step_may_be_taken() {
    let mut seen = healthy();
    answer_mut(&mut seen.services[0]).plain =
        Fact::Known(crate::api::Answer::None("connection refused".into()));
    for reconcile in [json!({ "suspend": true }), json!({ "mode": "observe" })] {
        let decision = with_history(&desired_with(&reconcile), &seen, &history());
        assert!(matches!(decision.next, Next::Wait(until) if until > at(1)), "{:?}", decision.next);
        assert!(decision.plan.is_empty());
    }
}

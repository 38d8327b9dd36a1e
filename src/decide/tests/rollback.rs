//! Rollbacks that cannot help are not repeated.

use super::*;
use crate::api::{Answer, StallReason, StepOutcome};

/// A repair after which `api` was rolled back with this outcome.
pub(super) fn after_a_rollback(outcome: StepOutcome) -> History {
    let mut history = after_a_repair(&incident());
    let done = DoneStep { step: Step::Rollback, services: vec!["api".into()], at: at(0), outcome };
    history.incident.iter_mut().for_each(|incident| incident.steps.push(done.clone()));
    history.attempts = vec![Attempt { attempts: 1, ..row(None, at(0)) }];
    history
}

/// The previous image is back, and its container cannot start either: a bad command, a port in use.
fn cannot_start() -> ProjectObservation {
    let mut seen = incident();
    container_mut(&mut seen.services[0]).state = ContainerState::Created;
    seen
}

fn gives_up(decision: &Decision) -> (&str, &str) {
    match &decision.next {
        Next::GiveUp { reason, message } => (reason.as_str(), message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_rollback_in_vain_is_not_repeated_and_is_the_reason_for_giving_up() {
    for outcome in [StepOutcome::Failed, StepOutcome::TimedOut] {
        let decision = with_history(&desired(), &cannot_start(), &after_a_rollback(outcome));
        assert!(decision.plan.is_empty(), "{outcome:?}: {:?}", decision.plan);
        let (reason, message) = gives_up(&decision);
        assert_eq!(reason, "RollbackInVain", "{outcome:?}");
        assert!(message.contains("the image is not at fault"), "{message}");
    }
}

#[test]
fn it_stays_given_up_beyond_its_incident_until_the_configuration_is_another() {
    let settled = with_history(&desired(), &cannot_start(), &after_a_rollback(StepOutcome::Failed));
    let later = History { attempts: settled.attempts, ..history() };
    assert_eq!(gives_up(&with_history(&desired(), &cannot_start(), &later)).0, "RollbackInVain");
    let mut fixed = cannot_start();
    fixed.services[0].config_hash = Some("mended".into());
    assert_eq!(kinds(&with_history(&desired(), &fixed, &later).plan), [StepKind::Build, StepKind::Up]);
}

#[test]
fn a_rollback_that_was_interrupted_or_has_not_replaced_the_container_is_taken_again() {
    for outcome in [StepOutcome::Interrupted, StepOutcome::Cancelled] {
        let decision = with_history(&desired(), &cannot_start(), &after_a_rollback(outcome));
        assert_eq!(kinds(&decision.plan), [StepKind::Rollback], "{outcome:?}");
    }
    let mut not_replaced = cannot_start();
    container_mut(&mut not_replaced.services[0]).image_id = NEW.into();
    let decision = with_history(&desired(), &not_replaced, &after_a_rollback(StepOutcome::Failed));
    assert_eq!(
        kinds(&decision.plan),
        [StepKind::Rollback],
        "its container is not made of the image of before"
    );
    let decision = with_history(&desired(), &incident(), &after_a_rollback(StepOutcome::Failed));
    assert_eq!(kinds(&decision.plan), [StepKind::Rollback], "it runs, so the rollback may yet succeed");
}

#[test]
fn without_a_new_image_there_is_nothing_to_roll_back_to() {
    let mut seen = healthy();
    container_mut(&mut seen.services[0]).state = ContainerState::Created;
    let history = after_a_repair(&healthy());
    assert_eq!(kinds(&with_history(&desired(), &seen, &history).plan), [StepKind::Up]);
}

#[test]
fn a_container_that_dies_after_its_rollback_is_reported_as_no_image_fault() {
    let rolled_back = after_a_rollback(StepOutcome::Succeeded);
    let (well, dying) = (with_history(&desired(), &incident(), &rolled_back), {
        let mut seen = incident();
        let container = container_mut(&mut seen.services[0]);
        (container.state, container.restart_count) = (ContainerState::Restarting, 2);
        with_history(&desired(), &seen, &rolled_back)
    });
    assert_eq!((gives_up(&well).0, gives_up(&dying).0), ("RolledBack", "RolledBack"));
    assert!(gives_up(&well).1.contains("was rolled back"), "{}", gives_up(&well).1);
    assert!(gives_up(&dying).1.contains("the image is not at fault"), "{}", gives_up(&dying).1);
}

#[test]
fn a_container_that_someone_removed_before_its_verification_is_made_again_and_no_image_put_back() {
    let mut seen = healthy();
    seen.services[0].containers = Fact::Known(vec![]);
    seen.services[0].routes[0].answers.clear();
    let history = after_a_repair(&incident());
    assert_eq!(kinds(&with_history(&desired(), &seen, &history).plan), [StepKind::Up]);
}

#[test]
fn no_image_is_put_back_for_a_port_that_somebody_else_has() {
    let mut history = after_a_repair(&incident());
    let open = history.incident.as_mut().unwrap();
    open.steps[1].outcome = StepOutcome::Failed;
    open.steps.push(open.steps[1].clone());
    let plan = |port_taken: bool| {
        let mut seen = healthy();
        let container = container_mut(&mut seen.services[0]);
        (container.state, container.port_taken) = (ContainerState::Created, port_taken);
        kinds(&with_history(&desired(), &seen, &history).plan)
    };
    assert_eq!(plan(false), [StepKind::Rollback], "it was brought up twice, and never ran");
    assert_eq!(plan(true), [StepKind::Up]);
}

#[test]
fn an_up_that_failed_before_its_container_ran_is_taken_once_more() {
    let mut never_ran = healthy();
    container_mut(&mut never_ran.services[0]).state = ContainerState::Created;
    let mut died = healthy();
    container_mut(&mut died.services[0]).state = ContainerState::Exited;
    let mut history = after_a_repair(&incident());
    history.incident.iter_mut().for_each(|open| open.steps[1].outcome = StepOutcome::Failed);
    assert_eq!(kinds(&with_history(&desired(), &never_ran, &history).plan), [StepKind::Up]);
    assert_eq!(kinds(&with_history(&desired(), &died, &history).plan), [StepKind::Rollback]);
    let again = history.incident.as_ref().map(|open| open.steps[1].clone());
    history.incident.iter_mut().for_each(|open| open.steps.extend(again.clone()));
    assert_eq!(kinds(&with_history(&desired(), &never_ran, &history).plan), [StepKind::Rollback]);
}

/// A container that has ended with this code.
fn ended(code: i64) -> ProjectObservation {
    let mut seen = healthy();
    let container = container_mut(&mut seen.services[0]);
    (container.state, container.exit_code) = (ContainerState::Exited, Some(code));
    seen
}

#[test]
fn after_the_verification_only_a_death_of_its_own_is_rolled_back() {
    let mut within = after_a_repair(&incident());
    let verification = Verified { service: "api".into(), at: at(0), image: NEW.into() };
    within.incident.iter_mut().for_each(|open| open.verified.push(verification.clone()));
    // In the next incident: the repair's own ended reconciled.
    let after = History { last_healed: within.incident.clone(), incident: None, ..within.clone() };
    for history in [&within, &after] {
        let plan = |seen: &ProjectObservation| kinds(&with_history(&desired(), seen, history).plan);
        assert_eq!(plan(&ended(137)), [StepKind::Up], "a person has stopped it");
        assert_eq!(plan(&ended(0)), [StepKind::Up]);
        assert_eq!(plan(&ended(1)), [StepKind::Rollback]);
        let mut another = ended(1);
        another.services[0].artifact.image = Fact::Known(Some("sha256:another".into()));
        container_mut(&mut another.services[0]).image_id = "sha256:another".into();
        another.services[0].artifact.built_from = None;
        assert_eq!(plan(&another), [StepKind::Up], "a person has brought up another image since");
        assert_eq!(plan(&dying()), [StepKind::Rollback]);
        assert_eq!(rollback_target(history, "api"), Some(OLD));
        let desired = desired();
        let (observed, now) = (&dying(), at(600));
        let later = decide(Inputs { desired: &desired, observed, history, now, jitter_seed: 7 });
        assert_eq!(kinds(&later.plan), [StepKind::Restart], "ten minutes later it is a drift of its own");
    }
}

#[test]
fn a_route_that_fails_after_the_verification_is_rolled_back_within_the_watch_only() {
    let mut before = healthy();
    container_mut(&mut before.services[0]).image_id = OLD.into();
    let mut healed = after_a_repair(&before).incident.unwrap();
    healed.verified.push(Verified { service: "api".into(), at: at(10), image: NEW.into() });
    let mut lost = healthy();
    answer_mut(&mut lost.services[0]).plain = status(500);
    // The failure is first seen, in an incident of its own, and judged at these times.
    let plan = |watch_for: &str, observed: &ProjectObservation, opened: i64, now: i64| {
        let mut desired = desired_with(&json!({ "verify": { "watchFor": watch_for } }));
        desired.object.spec.services[0].mounts = crate::api::MountPolicy::Report;
        let open = OpenIncident { opened_at: at(opened), steps: vec![], verified: vec![], ..healed.clone() };
        let last_healed = Some(healed.clone());
        let history = History { incident: Some(open), last_healed, ..history() };
        let (history, now) = (&history, at(now));
        kinds(&decide(Inputs { desired: &desired, observed, history, now, jitter_seed: 7 }).plan)
    };
    let rolls_back = [StepKind::Rollback];
    assert_eq!(plan("10m", &lost, 40, 40), rolls_back);
    assert_eq!(plan("10m", &lost, 610, 610), rolls_back, "the last look is at the end");
    assert_eq!(plan("10m", &lost, 610, 720), rolls_back, "its server got its time to come up");
    assert_eq!(plan("10m", &lost, 641, 641), [], "it is a drift of its own");
    assert_eq!(plan("0s", &lost, 40, 40), [], "nobody watches");
    let mut another = lost.clone();
    another.services[0].artifact.image = Fact::Known(Some("sha256:another".into()));
    container_mut(&mut another.services[0]).image_id = "sha256:another".into();
    another.services[0].artifact.built_from = None;
    assert_eq!(plan("10m", &another, 40, 40), [], "a person has brought up another image since");
    let mut expired = healthy();
    answer_mut(&mut expired.services[0]).plain = Fact::Known(Answer::Untrusted("it has expired".into()));
    assert_eq!(plan("10m", &expired, 40, 40), [], "no image has that certificate");
}

#[test]
fn what_is_as_declared_because_it_was_rolled_back_is_verified_and_ends_as_no_success() {
    let mut before = healthy();
    container_mut(&mut before.services[0]).image_id = OLD.into();
    // Someone built an image that dies; undrift brought it up, and restored the old one.
    let mut history = after_a_repair(&before);
    let outcome = StepOutcome::Succeeded;
    let done = DoneStep { step: Step::Rollback, services: vec!["api".into()], at: at(0), outcome };
    history.incident.iter_mut().for_each(|open| open.steps.push(done.clone()));
    let mut seen = healthy();
    seen.services[0].artifact.image = Fact::Known(Some(OLD.into()));
    seen.services[0].artifact.built_from = None;
    container_mut(&mut seen.services[0]).image_id = OLD.into();
    let decision = with_history(&desired(), &seen, &history);
    assert!(decision.as_declared());
    assert_eq!(decision.next, Next::Verify(vec!["api".into()]));
    history.verified.insert("api".into(), identities(&seen.services[0]));
    assert_eq!(gives_up(&with_history(&desired(), &seen, &history)).0, "RolledBack");
    let observe = with_history(&desired_with(&json!({ "mode": "observe" })), &seen, &history);
    assert_eq!(gives_up(&observe).0, "RolledBack", "also where it may not act any more");
    // An interrupted one may have had its effect.
    let mut cut_off = history.clone();
    cut_off.incident.iter_mut().for_each(|open| open.steps[2].outcome = StepOutcome::Interrupted);
    assert_eq!(gives_up(&with_history(&desired(), &seen, &cut_off)).0, "RolledBack");
    let next_incident = History { incident: None, ..history };
    assert_eq!(with_history(&desired(), &seen, &next_incident).next, Next::Nothing);
}

#[test]
fn a_route_counts_as_lost_only_where_the_same_route_worked_before() {
    let mut seen = healthy();
    answer_mut(&mut seen.services[0]).plain = status(404);
    let mut before = healthy();
    container_mut(&mut before.services[0]).image_id = OLD.into();
    let plan = |seen: &ProjectObservation, history: &History| {
        let desired = desired();
        let (observed, now) = (seen, at(300));
        kinds(&decide(Inputs { desired: &desired, observed, history, now, jitter_seed: 7 }).plan)
    };
    assert_eq!(plan(&seen, &after_a_repair(&before)), [StepKind::Rollback]);
    let mut renamed = after_a_repair(&before);
    renamed.incident.iter_mut().for_each(|open| open.before.services[0].routes[0].name = "another".into());
    assert_eq!(plan(&seen, &renamed), [StepKind::Restart], "what worked before was another route");
    let mut other = after_a_repair(&before);
    other.incident.iter_mut().for_each(|open| open.before.services[0].routes[0].expected = vec![200, 401]);
    assert_eq!(plan(&seen, &other), [StepKind::Restart], "two routes may be shown by one name");
}

/// The plan of an observation so many seconds after the repair, whose last step was taken then.
fn plan_at(
    desired: &Desired,
    observed: &ProjectObservation,
    history: &History,
    (last, now): (i64, i64),
) -> Vec<StepKind> {
    let mut history = history.clone();
    let (services, outcome) = (vec!["dashboard".to_owned()], StepOutcome::Failed);
    let of_another = DoneStep { step: Step::Build { no_cache: false }, services, at: at(last), outcome };
    history.incident.iter_mut().for_each(|open| open.steps.push(of_another.clone()));
    let (history, now) = (&history, at(now));
    kinds(&decide(Inputs { desired, observed, history, now, jitter_seed: 7 }).plan)
}

#[test]
fn what_was_lost_is_given_back_however_long_another_service_was_built_meanwhile() {
    let mut before = healthy();
    container_mut(&mut before.services[0]).image_id = OLD.into();
    let mut lost = healthy();
    answer_mut(&mut lost.services[0]).plain = status(500);
    let history = after_a_repair(&before);
    let (desired, minute) = (desired(), 60);
    let plan = |observed: &ProjectObservation, times| plan_at(&desired, observed, &history, times);
    assert_eq!(
        plan(&lost, (14 * minute, 16 * minute)),
        [StepKind::Rollback],
        "nobody looked while it was built"
    );
    assert_eq!(plan(&dying(), (14 * minute, 14 * minute)), [StepKind::Rollback]);
    assert_eq!(plan(&dying(), (14 * minute, 26 * minute)), [StepKind::Restart], "it stood for long enough");
    // A slow server gets its time first, and is judged after it.
    let slow = desired_with(&json!({ "verify": { "timeout": "15m" } }));
    assert_eq!(plan_at(&slow, &lost, &history, (0, 15 * minute + 1)), [StepKind::Rollback]);
}

#[test]
fn what_a_person_has_started_since_is_not_taken_away() {
    let mut theirs = dying();
    theirs.services[0].artifact.image = Fact::Known(Some("sha256:another".into()));
    let container = container_mut(&mut theirs.services[0]);
    (container.state, container.exit_code, container.restart_count) = (ContainerState::Exited, Some(1), 0);
    let history = after_a_repair(&incident());
    for (started_at, is_ours) in [(-1, true), (0, true), (20, false)] {
        let mut seen = theirs.clone();
        container_mut(&mut seen.services[0]).started_at = Some(at(started_at));
        let (desired, now) = (desired(), at(25));
        let inputs = Inputs { desired: &desired, observed: &seen, history: &history, now, jitter_seed: 7 };
        let plan = kinds(&decide(inputs).plan);
        assert_eq!(plan.contains(&StepKind::Rollback), is_ours, "{started_at}: {plan:?}");
    }
}

#[test]
fn what_was_lost_is_given_back_whatever_the_repairs_have_cost() {
    let mut history = after_a_repair(&incident());
    let mut spent = row(None, at(0));
    (spent.layer, spent.reason, spent.attempts) = (Layer::Container, DriftReason::CrashLooping, 99);
    spent.next_at = Some(at(500));
    history.attempts = vec![spent];
    let decision = with_history(&desired(), &dying(), &history);
    assert!(
        matches!(&decision.next, Next::Execute(step) if step.step == Step::Rollback),
        "{:?}",
        decision.next
    );
}

#[test]
fn a_build_keeps_what_runs_unless_its_incident_has_replaced_it_already() {
    let within = after_a_repair(&incident());
    assert_eq!(to_keep(&within, "api"), Some(OLD));
    let mut before_any_up = within.clone();
    before_any_up.incident.iter_mut().for_each(|open| open.steps.truncate(1));
    assert_eq!(to_keep(&before_any_up, "api"), None);
    let after = History { last_healed: within.incident, incident: None, ..history() };
    assert_eq!((to_keep(&after, "api"), rollback_target(&after, "api")), (None, Some(OLD)));
}

/// A history in which the engine no longer has the previous image.
fn without_the_old_image(history: History) -> History {
    History { gone_images: [OLD.to_owned()].into(), ..history }
}

#[test]
fn a_rollback_whose_image_is_gone_is_no_step_and_stays_given_up() {
    let mut tried = after_a_repair(&incident());
    tried.attempts = vec![Attempt { attempts: 1, ..row(Some(Step::Up { force_recreate: false }), at(0)) }];
    assert_eq!(images_to_restore(&tried, &dying()), [OLD.to_owned()].into());
    assert_eq!(kinds(&with_history(&desired(), &dying(), &tried).plan), [StepKind::Rollback], "it is there");
    let failed = after_a_rollback(StepOutcome::Failed);
    for history in [without_the_old_image(tried), without_the_old_image(failed)] {
        let decision = with_history(&desired(), &dying(), &history);
        assert_eq!((gives_up(&decision).0, decision.plan.len()), ("RollbackImageGone", 0));
        assert!(gives_up(&decision).1.contains("is gone from the engine"), "{}", gives_up(&decision).1);
        // Beyond its incident, too: no build starts again from the source that made it worse.
        let later = History { attempts: decision.attempts, ..super::history() };
        assert_eq!(gives_up(&with_history(&desired(), &dying(), &later)).0, "RollbackImageGone");
    }
    // The image that the reference names need not be restored.
    let mut back = dying();
    back.services[0].artifact.image = Fact::Known(Some(OLD.into()));
    assert!(images_to_restore(&after_a_repair(&incident()), &back).is_empty());
}

/// On a store that drops an image with its name, a build by hand removes the previous image. The server that is then brought
/// up does not answer for a moment.
#[test]
fn a_server_that_is_only_starting_is_not_given_up_for_want_of_an_image() {
    let mut before = healthy();
    container_mut(&mut before.services[0]).image_id = OLD.into();
    let mut history = without_the_old_image(after_a_repair(&before));
    history.attempts = vec![Attempt { attempts: 1, ..row(Some(Step::Up { force_recreate: false }), at(0)) }];
    let mut starting = healthy();
    answer_mut(&mut starting.services[0]).plain = Fact::Known(Answer::None("connection refused".into()));
    let decided = |now| {
        let desired = desired();
        decide(Inputs { desired: &desired, observed: &starting, history: &history, now, jitter_seed: 7 })
    };
    let early = decided(at(1));
    assert!(matches!(early.next, Next::Wait(_)), "{:?}", early.next);
    assert_eq!(early.attempts[0].gave_up, None);
    let late = at(0) + desired().object.spec.reconcile.verify.timeout.delta();
    assert_eq!(gives_up(&decided(late)).0, "RollbackImageGone");
    // A daemon that has just started gives no more time to a service that an earlier one brought up, and remembers that it
    // gave up.
    history.watching_since = Some(late);
    (history.attempts[0].layer, history.attempts[0].reason) = (Layer::Route, DriftReason::Absent);
    let restarted = {
        let now = late + chrono::TimeDelta::seconds(1);
        decide(Inputs { desired: &desired(), observed: &starting, history: &history, now, jitter_seed: 7 })
    };
    assert_eq!(gives_up(&restarted).0, "RollbackImageGone");
    assert_eq!(restarted.attempts[0].gave_up, Some(StallReason::RollbackImageGone.into()));
}

#[test]
fn what_ran_is_started_once_where_only_its_image_is_gone() {
    let mut seen = ended(1);
    container_mut(&mut seen.services[0]).image_id = OLD.into();
    let mut history = without_the_old_image(after_a_repair(&incident()));
    history.incident.iter_mut().for_each(|open| open.steps[1].outcome = StepOutcome::Failed);
    let steps = |history: &History| {
        let decision = with_history(&desired(), &seen, history);
        decision.plan.into_iter().map(|planned| planned.step).collect::<Vec<_>>()
    };
    assert_eq!(steps(&history), [Step::Start]);
    let (services, outcome) = (vec!["api".to_owned()], StepOutcome::Succeeded);
    let started = DoneStep { step: Step::Start, services, at: at(0), outcome };
    history.incident.iter_mut().for_each(|open| open.steps.push(started.clone()));
    assert!(steps(&history).is_empty());
}

#[test]
fn what_was_verified_and_runs_is_to_be_kept_and_nothing_where_undrift_changes_nothing() {
    let kept = |desired: &Desired, seen: &ProjectObservation, change: &dyn Fn(&mut History)| {
        let mut history = history();
        history.verified.insert("api".into(), identities(&healthy().services[0]));
        change(&mut history);
        let inputs = Inputs { desired, observed: seen, history: &history, now: at(1), jitter_seed: 7 };
        verified_images(inputs, &decide(inputs).services).into_keys().collect::<Vec<_>>()
    };
    let nothing = |_: &mut History| ();
    assert_eq!(kept(&desired(), &healthy(), &nothing), ["api", "dashboard"]);
    for off in [json!({ "mode": "observe" }), json!({ "rollback": false }), json!({ "suspend": true })] {
        assert!(kept(&desired_with(&off), &healthy(), &nothing).is_empty(), "{off}");
    }
    let unverified = |history: &mut History| drop(history.verified.remove("api"));
    assert_eq!(kept(&desired(), &healthy(), &unverified), ["dashboard"]);
    let mut seen = healthy();
    seen.services[0].artifact.is_kept = true;
    assert_eq!(kept(&desired(), &seen, &nothing), ["dashboard"], "it is already");
    let mut seen = healthy();
    seen.services[0].artifact.image = Fact::Known(Some(OLD.into()));
    assert_eq!(kept(&desired(), &seen, &nothing), ["dashboard"], "someone has built");
}

#[test]
fn only_a_step_that_brings_containers_up_and_ends_well_is_a_repair() {
    let done = |step, outcome| {
        let mut open = after_a_repair(&incident()).incident.unwrap();
        open.steps = vec![DoneStep { step, services: vec!["api".into()], at: at(0), outcome }];
        open.has_brought_up("api")
    };
    let up = Step::Up { force_recreate: false };
    assert!(done(up, StepOutcome::Succeeded) && done(Step::Rollback, StepOutcome::Succeeded));
    assert!(
        !done(Step::Build { no_cache: false }, StepOutcome::Succeeded),
        "somebody else brought its image up"
    );
    assert!(!done(up, StepOutcome::Failed) && !done(up, StepOutcome::Interrupted));
}

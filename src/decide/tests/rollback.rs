//! Rollbacks that cannot help are not repeated.

use super::*;
use crate::api::StepOutcome;

/// A repair after which `api` was rolled back with this outcome.
pub(super) fn after_a_rollback(outcome: StepOutcome) -> History {
    let mut history = after_a_repair(&incident());
    let done = DoneStep { step: Step::Rollback, services: vec!["api".into()], at: at(0), outcome };
    history.incident.iter_mut().for_each(|incident| incident.steps.push(done.clone()));
    history.attempts = vec![Attempt { attempts: 1, ..row(None, at(0)) }];
    history
}

/// The image of before is back, and its container cannot start either: a bad command, a port that is taken.
fn cannot_start() -> ProjectObservation {
    let mut seen = incident();
    container_mut(&mut seen.services[0]).state = ContainerState::Created;
    seen
}

fn gives_up(decision: &Decision) -> (&str, &str) {
    match &decision.next {
        Next::GiveUp { reason, message } => (reason, message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_rollback_that_did_not_help_is_not_repeated_and_says_so() {
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
    let mut mended = cannot_start();
    mended.services[0].config_hash = Some("mended".into());
    assert_eq!(kinds(&with_history(&desired(), &mended, &later).plan), [StepKind::Build, StepKind::Up]);
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
fn a_rollback_whose_container_dies_all_the_same_says_where_to_look() {
    let rolled_back = after_a_rollback(StepOutcome::Succeeded);
    let (well, dying) = (with_history(&desired(), &incident(), &rolled_back), {
        let mut seen = incident();
        container_mut(&mut seen.services[0]).state = ContainerState::Restarting;
        with_history(&desired(), &seen, &rolled_back)
    });
    assert_eq!((gives_up(&well).0, gives_up(&dying).0), ("RolledBack", "RolledBack"));
    assert!(gives_up(&well).1.contains("was rolled back"), "{}", gives_up(&well).1);
    assert!(gives_up(&dying).1.contains("the image is not at fault"), "{}", gives_up(&dying).1);
}

#[test]
fn a_container_that_someone_removed_before_its_proof_is_made_again_and_no_image_put_back() {
    let mut seen = healthy();
    seen.services[0].containers = Fact::Known(vec![]);
    seen.services[0].routes[0].answers.clear();
    let mut history = after_a_repair(&incident());
    assert_eq!(kinds(&with_history(&desired(), &seen, &history).plan), [StepKind::Up]);
    for done in history.incident.iter_mut().flat_map(|open| &mut open.steps) {
        done.outcome = StepOutcome::Failed;
    }
    assert_eq!(kinds(&with_history(&desired(), &seen, &history).plan), [StepKind::Rollback]);
}

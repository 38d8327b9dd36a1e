//! The limits of a budget, and which steps count as an attempt.

use super::*;

#[test]
fn a_failed_step_waits_and_an_interrupted_one_does_not() {
    let (desired, seen) = (desired(), incident());
    let history = history();
    let inputs = Inputs { desired: &desired, observed: &seen, history: &history, now: at(1), jitter_seed: 7 };
    let decision = decide(inputs);
    let of = vec!["api".to_owned()];
    let begun = begin_step(inputs, &decision.attempts, &decision.services, decision.plan[0].step, &of);
    for (outcome, waits) in
        [(crate::api::StepOutcome::Failed, true), (crate::api::StepOutcome::Interrupted, false)]
    {
        let attempts = end_step(begun.clone(), outcome, &desired.object.spec.reconcile, at(1), 7);
        let next = with_history(&desired, &seen, &History { attempts, ..history.clone() }).next;
        assert_eq!(matches!(next, Next::Wait(until) if until > at(1)), waits, "{outcome:?}: {next:?}");
    }
}

#[test]
fn a_step_that_was_not_begun_is_no_attempt() {
    let (desired, seen) = (desired(), incident());
    let history = history();
    let inputs = Inputs { desired: &desired, observed: &seen, history: &history, now: at(1), jitter_seed: 7 };
    let decision = decide(inputs);
    let of = vec!["api".to_owned()];
    let mut attempts = Vec::new();
    for _ in 0..10 {
        let begun = begin_step(inputs, &attempts, &decision.services, decision.plan[0].step, &of);
        let policy = &desired.object.spec.reconcile;
        attempts = end_step(begun, crate::api::StepOutcome::NotBegun, policy, at(1), 7);
        let next = with_history(&desired, &seen, &History { attempts: attempts.clone(), ..history.clone() });
        assert_eq!(next.next, decision.next, "the same step, at once, whatever the budget");
        assert!(next.repair_options.iter().all(|option| !option.build_separately));
    }
}

#[test]
fn a_build_that_was_in_vain_gets_a_command_of_its_own_and_one_that_healed_does_not() {
    let (desired, mut seen) = (desired(), incident());
    seen.services[1].artifact.image = Fact::Known(None);
    let history = history();
    let inputs = Inputs { desired: &desired, observed: &seen, history: &history, now: at(1), jitter_seed: 7 };
    let first = decide(inputs);
    let begun =
        begin_step(inputs, &first.attempts, &first.services, first.plan[0].step, &first.plan[0].services);
    let next = |healed: bool| {
        let row = |row: &crate::api::Attempt| crate::api::Attempt { pending: None, healed, ..row.clone() };
        let attempts = begun.iter().map(row).collect();
        with_history(&desired, &seen, &History { attempts, ..history.clone() }).plan[0].services.clone()
    };
    assert_eq!(first.plan[0].services, ["api", "dashboard"]);
    assert_eq!(next(false), ["api"]);
    assert_eq!(next(true), ["api", "dashboard"]);
}

#[test]
fn the_budget_ends_what_would_go_on() {
    let mut seen = healthy();
    container_mut(&mut seen.services[0]).config_changed = Fact::Known(true);
    let (desired, mut history) = (desired_with(&json!({ "attempts": 4 })), history());
    let steps: Vec<Step> =
        (0..40).filter_map(|hour| take_in_vain(&desired, &seen, &mut history, at(hour * 3600))).collect();
    let (up, again) = (Step::Up { force_recreate: false }, Step::Up { force_recreate: true });
    assert_eq!(steps, [up, again, again, again]);
    let last = decide(Inputs {
        desired: &desired,
        observed: &seen,
        history: &history,
        now: at(200_000),
        jitter_seed: 7,
    });
    assert!(matches!(&last.next, Next::GiveUp { reason, .. } if reason == "BudgetSpent"), "{:?}", last.next);
}

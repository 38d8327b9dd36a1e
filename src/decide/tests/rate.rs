//! How often a service may be built and brought up within an hour, and what undrift does for it meanwhile.

use super::*;
use crate::api::{Attempt, BeyondRate, RecentStep};

/// Steps of this kind for `api`, one every `every` seconds, the last one `ago` seconds before the decision.
pub(super) fn recent(kind: StepKind, count: i64, every: i64, ago: i64) -> Vec<RecentStep> {
    let step = |nth| RecentStep {
        project: "backoffice".into(),
        service: "api".into(),
        object: "backoffice".into(),
        generation: 1,
        kind,
        at: at(1 - ago - (count - 1 - nth) * every),
        beyond: None,
    };
    (0..count).map(step).collect()
}

fn after(recent_steps: Vec<RecentStep>) -> History {
    History { recent_steps, ..history() }
}

fn stopped() -> ProjectObservation {
    let mut seen = healthy();
    container_mut(&mut seen.services[0]).state = ContainerState::Exited;
    seen
}

fn outdated() -> ProjectObservation {
    let mut seen = healthy();
    container_mut(&mut seen.services[0]).image_id = OLD.into();
    seen
}

fn repair_of(seen: &ProjectObservation, history: &History) -> Repair {
    with_history(&desired(), seen, history).repair_options[0].repair.clone()
}

#[test]
fn the_twenty_first_up_and_the_seventh_build_within_an_hour_wait_until_the_first_is_an_hour_old() {
    let ups = [StepKind::Up, StepKind::Restart, StepKind::Rollback];
    for kind in ups {
        let free = repair_of(&outdated(), &after(recent(kind, 19, 60, 30)));
        assert_eq!(free, Repair::Steps(vec![Step::Up { force_recreate: false }], None), "{kind}");
        let decision = with_history(&desired(), &outdated(), &after(recent(kind, 20, 60, 30)));
        assert_eq!(decision.next, Next::Wait(at(1 - 30 - 19 * 60 + 3600)), "{kind}");
        let words = decision.rate_exceeded().unwrap();
        assert!(words.contains("20 ups or restarts within an hour") && words.contains("api"), "{words}");
    }
    assert!(matches!(
        repair_of(&incident(), &after(recent(StepKind::Build, 5, 60, 30))),
        Repair::Steps(_, None)
    ));
    let decision = with_history(&desired(), &incident(), &after(recent(StepKind::Build, 6, 60, 30)));
    assert_eq!(decision.next, Next::Wait(at(1 - 30 - 5 * 60 + 3600)));
    assert!(decision.rate_exceeded().unwrap().contains("6 builds within an hour"));
    assert_eq!(kinds(&decision.plan), [StepKind::Build, StepKind::Up], "the plan is shown all the same");
    let of_another = recent(StepKind::Build, 6, 60, 30).into_iter();
    let of_another = of_another.map(|step| RecentStep { service: "dashboard".into(), ..step }).collect();
    assert!(matches!(repair_of(&incident(), &after(of_another)), Repair::Steps(_, None)));
}

#[test]
fn a_build_waits_also_where_its_image_could_not_be_brought_up() {
    let next = with_history(&desired(), &incident(), &after(recent(StepKind::Up, 20, 60, 30))).next;
    assert_eq!(next, Next::Wait(at(1 - 30 - 19 * 60 + 3600)));
}

#[test]
fn what_is_down_is_started_from_its_own_image_after_the_longest_backoff_at_the_latest() {
    let mut starts = recent(StepKind::Up, 20, 10, 30);
    let decision = with_history(&desired(), &stopped(), &after(starts.clone()));
    assert_eq!(decision.repair_options[0].repair, Repair::Steps(vec![Step::Start], Some(at(1 - 30 + 600))));
    assert!(decision.rate_exceeded().is_some(), "who applies once does not wait for that");
    // Each further one beyond the rate follows after the same interval, and none of them is counted.
    let beyond = RecentStep { at: at(-600), beyond: Some(BeyondRate::Down), ..starts[0].clone() };
    for step in &mut starts {
        step.at -= chrono::TimeDelta::minutes(30);
    }
    starts.push(beyond);
    assert_eq!(repair_of(&stopped(), &after(starts.clone())), Repair::Steps(vec![Step::Start], None));
    starts.push(RecentStep { at: at(0), ..starts[20].clone() });
    assert_eq!(
        repair_of(&stopped(), &after(starts.clone())),
        Repair::Steps(vec![Step::Start], Some(at(600)))
    );
    starts.drain(..1);
    let up = vec![Step::Up { force_recreate: false }];
    assert_eq!(repair_of(&stopped(), &after(starts)), Repair::Steps(up, None));
}

#[test]
fn what_is_down_while_its_build_waits_is_started_at_once_and_not_from_an_unknown_image() {
    let builds = after(recent(StepKind::Build, 6, 60, 30));
    let mut seen = incident();
    container_mut(&mut seen.services[0]).state = ContainerState::Exited;
    assert_eq!(repair_of(&seen, &builds), Repair::Steps(vec![Step::Start], None));
    // That repairs nothing of the drift, and is no attempt at it.
    let (desired, decision) = (desired(), with_history(&desired(), &seen, &builds));
    let inputs = Inputs { desired: &desired, observed: &seen, history: &builds, now: at(1), jitter_seed: 7 };
    assert_eq!(begin_step(inputs, &[], &decision.services, Step::Start, &["api".to_owned()]), []);
    seen.services[0].containers = Fact::Known(vec![]);
    assert!(matches!(repair_of(&seen, &builds), Repair::Steps(steps, Some(_)) if steps.len() == 2));
    let ran =
        History { verified: [("api".to_owned(), identities(&incident().services[0]))].into(), ..builds };
    assert_eq!(repair_of(&seen, &ran), Repair::Steps(vec![Step::Start], None));
}

#[test]
fn a_changed_spec_ends_one_wait_an_hour() {
    let wait = after(recent(StepKind::Up, 20, 60, 30));
    let changed = History { generation: 2, ..wait.clone() };
    let is_due = |history: &History| matches!(repair_of(&outdated(), history), Repair::Steps(_, None));
    assert!(!is_due(&wait) && is_due(&changed));
    let (desired, seen) = (desired(), outdated());
    let inputs = Inputs { desired: &desired, observed: &seen, history: &changed, now: at(1), jitter_seed: 7 };
    let taken = recent_steps(inputs, Step::Up { force_recreate: false }, &["api".to_owned()]);
    assert_eq!(taken[0].beyond, Some(BeyondRate::Spec));
    let mut steps = wait.recent_steps;
    steps.extend(taken);
    for generation in [2, 3] {
        assert!(!is_due(&History { generation, recent_steps: steps.clone(), ..history() }), "{generation}");
    }
}

#[test]
fn what_a_clock_has_put_ahead_is_waited_for_an_hour_at_most() {
    let ahead = after(recent(StepKind::Up, 20, 0, -9000));
    assert_eq!(with_history(&desired(), &outdated(), &ahead).next, Next::Wait(at(1 + 3600)));
}

#[test]
fn the_rate_never_stalls_and_a_rollback_never_waits() {
    let mut steps = recent(StepKind::Up, 20, 10, 30);
    steps.extend(recent(StepKind::Build, 6, 10, 30));
    for case in CASES {
        let mut seen = healthy();
        (case.break_it)(&mut seen);
        let (free, paced) = (decided(&seen), with_history(&desired(), &seen, &after(steps.clone())));
        let stalls =
            |decision: &Decision| matches!(decision.repair_options[0].repair, Repair::Stalled { .. });
        assert_eq!(stalls(&free), stalls(&paced), "{}", case.name);
        assert_eq!(free.services, paced.services, "{}: what is seen is called the same", case.name);
        assert!(!matches!(paced.next, Next::Execute(_)), "{}: {:?}", case.name, paced.next);
    }
    let repaired = History { recent_steps: steps, ..after_a_repair(&incident()) };
    assert_eq!(repair_of(&dying(), &repaired), Repair::Steps(vec![Step::Rollback], None));
}

#[test]
fn verified_repairs_spend_no_budget_and_end_no_repair() {
    let (desired, mut history) = (desired_with(&json!({ "attempts": 2 })), history());
    for death in 0..12 {
        let now = at(death * 20);
        let taken = take_in_vain(&desired, &stopped(), &mut history, now);
        assert_eq!(taken, Some(Step::Up { force_recreate: false }), "{death}");
        let rows: Vec<Attempt> = attempts::after_verification(None, "api", &history.attempts).collect();
        assert_eq!(rows[0].attempts, 0);
        history.attempts = rows;
    }
}

#[test]
fn a_verification_counts_what_failed_before_as_nothing_and_leaves_what_was_in_vain_tried() {
    let tried = vec![Step::Up { force_recreate: false }];
    let in_vain = Attempt { tried: tried.clone(), next_at: Some(at(9)), ..row(None, at(0)) };
    let healed =
        Attempt { reason: DriftReason::Missing, tried: tried.clone(), ..row(Some(Step::Restart), at(0)) };
    let given_up = Attempt { gave_up: Some("RolledBack".into()), ..in_vain.clone() };
    let rows: Vec<Attempt> =
        attempts::after_verification(None, "api", &[in_vain.clone(), healed, given_up]).collect();
    let [in_vain, healed] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((in_vain.attempts, in_vain.healed, &in_vain.tried), (0, false, &tried));
    assert_eq!((healed.attempts, healed.healed, &healed.tried), (0, true, &vec![]));
}

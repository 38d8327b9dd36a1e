//! Verified repairs that something undoes again and again.

use super::{cases::differs, *};
use crate::{
    api::{
        ContentComparison, ContentObservation, ObjectStatus, Presence, ReplicaRevision, RevisionFact,
        RevisionSpec,
    },
    testing::fixtures::revision,
};

/// What drifts, and the step that repairs it.
struct Loop {
    name: &'static str,
    undo: fn(&mut ProjectObservation),
    step: StepKind,
}

const OTHER: &str = "0000000000000000000000000000000000000000";

const LOOPS: [Loop; 4] = [
    Loop {
        name: "files of the container",
        undo: |seen| container_mut(&mut seen.services[0]).modules[0].content = Some(differs()),
        step: StepKind::Up,
    },
    Loop {
        name: "a module of the container",
        undo: |seen| {
            container_mut(&mut seen.services[0]).modules[0].presence = Fact::Known(Presence::Missing);
        },
        step: StepKind::Up,
    },
    Loop {
        name: "the file with the revision",
        undo: |seen| {
            let mut observed = revision();
            observed.containers[0].revision = RevisionFact::Known(OTHER.into());
            seen.services[0].revision = Some(observed);
        },
        step: StepKind::Up,
    },
    Loop {
        name: "the revision that a route answers",
        undo: |seen| {
            let mut observed = revision();
            observed.image = None;
            observed.containers.clear();
            let revision = RevisionFact::Known(OTHER.into());
            observed.routes = vec![ReplicaRevision { container: "new-api".into(), revision }];
            seen.services[0].revision = Some(observed);
        },
        step: StepKind::Build,
    },
];

fn undone(one: &Loop) -> (Desired, ProjectObservation) {
    let (mut desired, mut seen) = (desired(), healthy());
    (one.undo)(&mut seen);
    if one.step == StepKind::Build {
        let route = json!({ "from": { "route": { "path": "/version", "port": 3000, "json": "/commit" } } });
        desired.object.spec.services[0].revision =
            Some(serde_json::from_value::<RevisionSpec>(route).unwrap());
    }
    (desired, seen)
}

/// The step at this time; the service is then verified, and stays so until the next time.
fn repaired(
    desired: &Desired,
    seen: &ProjectObservation,
    history: &mut History,
    now: i64,
) -> Option<StepKind> {
    let step = take_in_vain(desired, seen, history, at(now))?;
    let verified: Vec<Attempt> = after_verification(None, "api", &history.attempts).collect();
    for row in verified {
        history.attempts.retain(|kept| !kept.is_of_the_same(&row));
        history.attempts.push(row);
    }
    history.verified_since.insert("api".into(), at(now + 10));
    Some(step.kind())
}

/// Looks at a healthy host every ten minutes, as `run` does.
fn well(desired: &Desired, history: &mut History, from: i64, until: i64) {
    for now in (from..until).step_by(600) {
        let seen = healthy();
        let before = history.clone();
        let inputs = Inputs { desired, observed: &seen, history: &before, now: at(now), jitter_seed: 7 };
        history.attempts = decide(inputs).attempts;
    }
}

fn last(desired: &Desired, seen: &ProjectObservation, history: &History, now: i64) -> Next {
    decide(Inputs { desired, observed: seen, history, now: at(now), jitter_seed: 7 }).next
}

#[test]
fn a_service_that_undoes_each_repair_some_time_after_its_start_is_given_up_after_three() {
    for one in &LOOPS {
        for every in [120, 300, 3600, 6 * 3600] {
            let ((desired, seen), mut history) = (undone(one), history());
            let mut steps = Vec::new();
            for round in 0..30 {
                let Some(step) = repaired(&desired, &seen, &mut history, round * every) else { break };
                steps.push(step);
                well(&desired, &mut history, round * every + 20, (round + 1) * every);
            }
            assert_eq!(steps, [one.step; 3], "{} every {every} s", one.name);
            let next = last(&desired, &seen, &history, 3 * every);
            let Next::GiveUp { reason, message } = next else { panic!("{}: {next:?}", one.name) };
            assert_eq!(reason, "RepairsExhausted");
            for words in ["3 repairs in a row", "its own files after its start"] {
                assert!(message.contains(words), "{}: no {words} in {message}", one.name);
            }
        }
    }
}

#[test]
fn what_was_given_up_stays_so_while_it_lasts_and_a_person_is_told_what_to_do() {
    let ((desired, seen), mut history) = (undone(&LOOPS[0]), history());
    let steps = (0..3).filter_map(|round| repaired(&desired, &seen, &mut history, round * 300)).count();
    assert_eq!(steps, 3);
    // It is no longer verified, its incident stays open, and it is looked at for a week.
    history.verified_since.clear();
    history.incident = Some(OpenIncident::fold("01".into(), at(900), ObjectStatus::default(), []));
    for hour in 1..168 {
        assert_eq!(take_in_vain(&desired, &seen, &mut history, at(hour * 3600)), None, "hour {hour}");
    }
    let Next::GiveUp { message, .. } = last(&desired, &seen, &history, 604_800) else { panic!() };
    assert!(message.contains("`ignore`") && message.contains("on a volume"), "{message}");
    // `retry` forgets the rows.
    history.attempts.clear();
    history.incident = None;
    assert_eq!(repaired(&desired, &seen, &mut history, 700_000), Some(StepKind::Up));
}

type Change = fn(&mut ProjectObservation, &mut History);

#[test]
fn another_spec_configuration_or_image_or_other_differences_are_another_matter() {
    let changes: [(&str, Change); 4] = [
        ("spec", |_, history| history.generation += 1),
        ("configuration", |seen, _| {
            seen.services[0].config_hash = Some("other".into());
            container_mut(&mut seen.services[0]).config_hash = Some("other".into());
        }),
        ("image", |seen, _| {
            seen.services[0].artifact.image = Fact::Known(Some("sha256:newer".into()));
            container_mut(&mut seen.services[0]).image_id = "sha256:newer".into();
        }),
        ("differences", |seen, _| {
            let named = vec!["b".to_owned()];
            let compared = ContentComparison { differing: 1, named, ..ContentComparison::default() };
            container_mut(&mut seen.services[0]).modules[0].content =
                Some(ContentObservation::Compared(compared));
        }),
    ];
    for (what, change) in changes {
        let ((desired, mut seen), mut history) = (undone(&LOOPS[0]), history());
        for round in 0..3 {
            repaired(&desired, &seen, &mut history, round * 300).unwrap();
        }
        assert_eq!(repaired(&desired, &seen, &mut history, 900), None);
        change(&mut seen, &mut history);
        assert_eq!(repaired(&desired, &seen, &mut history, 1200), Some(StepKind::Up), "{what}");
    }
}

/// A service that writes one file after a minute and another one later: what a look finds depends on when it comes.
#[test]
fn a_service_that_changes_other_files_each_time_is_given_up_after_six() {
    let ((desired, mut seen), mut history) = (undone(&LOOPS[0]), history());
    let mut steps = 0;
    for round in 0..20 {
        let named = vec![format!("file-{}", round % 5)];
        let compared = ContentComparison { differing: 1, named, ..ContentComparison::default() };
        let module = &mut container_mut(&mut seen.services[0]).modules[0];
        module.content = Some(ContentObservation::Compared(compared));
        steps += usize::from(repaired(&desired, &seen, &mut history, round * 600).is_some());
    }
    assert_eq!(steps, 6);
}

/// A log in the build context: another digest at each look, of which undrift knows that the image is built from it.
#[test]
fn a_build_context_that_changes_by_itself_hides_no_loop() {
    let ((desired, mut seen), mut history) = (undone(&LOOPS[0]), history());
    let mut steps = 0;
    for round in 0..20 {
        let digest = format!("sha256:source-{round}");
        seen.services[0].source.digest = Fact::Known(Some(digest.clone()));
        seen.services[0].artifact.built_from = Some(digest);
        steps += usize::from(repaired(&desired, &seen, &mut history, round * 600).is_some());
    }
    assert_eq!(steps, 3);
}

#[test]
fn what_a_person_copies_in_once_a_day_is_undone_each_time() {
    for looks_in_between in [true, false] {
        let ((desired, seen), mut history) = (undone(&LOOPS[0]), history());
        for day in 0..10 {
            let now = day * 86_400;
            assert_eq!(repaired(&desired, &seen, &mut history, now), Some(StepKind::Up), "day {day}");
            if looks_in_between {
                well(&desired, &mut history, now + 600, now + 86_400);
            }
        }
    }
}

/// Three copies on one day, and a fourth one two days later, while undrift was stopped.
#[test]
fn a_change_by_hand_long_after_the_last_repair_is_undone_whether_anybody_looked_in_between() {
    let ((desired, seen), mut history) = (undone(&LOOPS[0]), history());
    for round in 0..3 {
        repaired(&desired, &seen, &mut history, round * 3600).unwrap();
    }
    let soon = last(&desired, &seen, &history, 3 * 3600);
    assert!(matches!(soon, Next::GiveUp { .. }), "{soon:?}");
    let later = 2 * 86_400;
    history.incident = Some(OpenIncident::fold("01".into(), at(later), ObjectStatus::default(), []));
    assert_eq!(repaired(&desired, &seen, &mut history, later + 60), Some(StepKind::Up));
}

#[test]
fn verified_repairs_outlive_the_healthy_period_by_half_a_day_and_count_as_nothing_else() {
    let ((desired, seen), mut history) = (undone(&LOOPS[0]), history());
    repaired(&desired, &seen, &mut history, 0).unwrap();
    well(&desired, &mut history, 600, 40_000);
    let [row] = &history.attempts[..] else { panic!("{:?}", history.attempts) };
    assert_eq!((row.attempts, row.healed, row.pending, row.verified_repairs.len()), (0, true, None, 1));
    well(&desired, &mut history, 43_200, 43_900);
    assert_eq!(history.attempts, []);
}

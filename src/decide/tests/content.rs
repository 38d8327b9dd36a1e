//! Modules whose files are to be the same as in the source.

use super::{cases::differs, *};
use crate::{
    api::{ContentComparison, ContentObservation, NoteReason, Reason},
    testing::fixtures::desired_with,
};

const BUILD: Step = Step::Build { no_cache: false };

fn in_image(content: ContentObservation) -> ProjectObservation {
    let mut seen = healthy();
    seen.services[0].artifact.modules[0].content = Some(content);
    seen
}

fn in_container(content: ContentObservation) -> ProjectObservation {
    let mut seen = healthy();
    container_mut(&mut seen.services[0]).modules[0].content = Some(content);
    seen
}

fn added() -> ContentObservation {
    let named_added = vec!["upload".to_owned()];
    ContentObservation::Compared(ContentComparison { added: 1, named_added, ..ContentComparison::default() })
}

/// The steps that are taken in vain, hour by hour, and how it ends.
fn in_vain(seen: &ProjectObservation) -> (Vec<Step>, Next) {
    let (desired, mut history) = (desired_with(&json!({ "attempts": 9 })), history());
    let steps = (0..40).filter_map(|hour| take_in_vain(&desired, seen, &mut history, at(hour * 3600)));
    let steps = steps.collect();
    let inputs =
        Inputs { desired: &desired, observed: seen, history: &history, now: at(200_000), jitter_seed: 7 };
    (steps, decide(inputs).next)
}

#[test]
fn one_build_that_leaves_it_different_is_the_last_and_a_person_is_told_where_to_look() {
    let (steps, next) = in_vain(&in_image(differs()));
    assert_eq!(steps, [BUILD]);
    let Next::GiveUp { reason, message } = next else { panic!("{next:?}") };
    assert_eq!(reason, "RepairsExhausted");
    for words in ["1 differs (a)", "Dockerfile", "a step of the build", ".dockerignore", "`ignore`"] {
        assert!(message.contains(words), "no {words} in {message}");
    }
}

#[test]
fn one_new_container_that_is_different_again_is_the_last() {
    let (steps, next) = in_vain(&in_container(differs()));
    assert_eq!(steps, [Step::Up { force_recreate: true }]);
    assert!(matches!(&next, Next::GiveUp { reason, .. } if reason == "RepairsExhausted"), "{next:?}");
}

#[test]
fn another_source_gets_another_build() {
    let mut seen = in_image(differs());
    let (desired, mut history) = (desired(), history());
    let mut steps = Vec::new();
    for round in 0..2 {
        seen.services[0].source.digest = Fact::Known(Some(format!("sha256:{round}")));
        seen.services[0].artifact.built_from = Some(format!("sha256:{round}"));
        let hours = round * 100..round * 100 + 40;
        steps.extend(hours.filter_map(|hour| take_in_vain(&desired, &seen, &mut history, at(hour * 3600))));
    }
    assert_eq!(steps, [BUILD, BUILD]);
}

#[test]
fn a_build_that_the_source_has_outrun_was_not_in_vain() {
    let mut seen = in_image(differs());
    let (desired, mut history) = (desired(), history());
    assert_eq!(take_in_vain(&desired, &seen, &mut history, at(1)), Some(BUILD));
    // It took in the source of before it, and that has changed meanwhile.
    seen.services[0].artifact.built_from = Some("sha256:source-1".into());
    assert_eq!(take_in_vain(&desired, &seen, &mut history, at(2)), None, "the next one waits");
    assert!(history.attempts[0].tried.is_empty());
    assert_eq!(take_in_vain(&desired, &seen, &mut history, at(10_000)), Some(BUILD));
}

#[test]
fn what_only_a_container_has_is_a_note_and_in_an_image_a_drift() {
    let decision = decided(&in_container(added()));
    assert!(decision.as_declared() && decision.plan.is_empty());
    let [note] = &decision.services[0].notes[..] else { panic!("{:?}", decision.services[0].notes) };
    assert_eq!(note.reason, NoteReason::ContentAdded);
    assert!(note.message.contains("1 entry") && note.message.ends_with(": upload"), "{}", note.message);
    assert_eq!(drift(&decided(&in_image(added()))), Some((Layer::Artifact, DriftReason::ContentDiffers)));
}

#[test]
fn what_cannot_be_compared_is_not_as_declared_and_keeps_nothing_down() {
    for (content, reason) in [
        (ContentObservation::TooLarge("more than 1 GiB".into()), "TooLarge"),
        (ContentObservation::Unknown("cannot read x".into()), "NotKnown"),
    ] {
        for seen in [in_image(content.clone()), in_container(content)] {
            let decision = decided(&seen);
            assert!(!decision.as_declared() && decision.plan.is_empty(), "{reason}");
            let unknown = decision.services[0].unverifiable.as_ref().unwrap();
            assert_eq!(Reason::from(unknown.reason), reason);
            let mut down = seen.clone();
            container_mut(&mut down.services[0]).state = ContainerState::Exited;
            assert_eq!(kinds(&decided(&down).plan), [StepKind::Up], "{reason}");
        }
    }
}

#[test]
fn what_may_be_read_at_the_next_look_is_waited_for_and_what_is_too_large_is_not() {
    let next = |content, since| {
        let mut history = history();
        history.verified =
            healthy().services.iter().map(|seen| (seen.name.clone(), identities(seen))).collect();
        history.watching_since = Some(at(since));
        with_history(&desired(), &in_container(content), &history).next
    };
    let unknown = || ContentObservation::Unknown("the engine is busy".into());
    assert!(matches!(next(unknown(), 0), Next::Wait(_)));
    assert!(matches!(next(unknown(), -100_000), Next::GiveUp { .. }));
    assert!(matches!(next(ContentObservation::TooLarge("x".into()), 0), Next::GiveUp { .. }));
}

#[test]
fn where_only_presence_is_declared_no_content_counts() {
    let mut desired = desired();
    desired.object.spec.services[0].modules[0].content = crate::api::Content::Present;
    for seen in [in_image(differs()), in_container(differs()), in_container(added())] {
        let decision = with_history(&desired, &seen, &history());
        assert!(decision.as_declared() && decision.services[0].notes.is_empty());
    }
}

#[test]
fn the_middle_of_a_repair_is_no_new_attempt() {
    let (desired, mut history) = (desired(), history());
    assert_eq!(take_in_vain(&desired, &in_image(differs()), &mut history, at(1)), Some(BUILD));
    let mut built = healthy();
    built.services[0].artifact.image = Fact::Known(Some("sha256:built".into()));
    assert_eq!(
        take_in_vain(&desired, &built, &mut history, at(2)),
        Some(Step::Up { force_recreate: false }),
        "the image holds the source, and is brought up"
    );
    let rows = history.attempts.iter().filter(|row| row.reason == DriftReason::ContentDiffers);
    assert!(rows.clone().count() == 1 && rows.clone().all(|row| row.tried.is_empty()));
}

//! The effect of a source that has changed since the build, by policy.

use super::*;
use crate::api::SourceDrift;

/// The artifact layer's verdict on `api`, whose image was built from another source, or from an unknown one.
fn artifact(policy: SourceDrift, now: Fact<Option<String>>) -> LayerVerdict {
    let (mut desired, mut seen) = (desired(), healthy());
    desired.object.spec.source.drift = policy;
    seen.services[0].source.digest = now;
    seen.services[0].artifact.built_from = Some("sha256:source-1".into());
    with_history(&desired, &seen, &history()).services[0].layer(Layer::Artifact).clone()
}

#[test]
fn a_changed_source_is_ignored_reported_or_drift_as_declared() {
    let changed = |policy| artifact(policy, Fact::Known(Some("sha256:source-2".into())));
    assert_eq!(changed(SourceDrift::Ignore), LayerVerdict::AsDeclared(None), "not even said");
    let reported = changed(SourceDrift::Report);
    assert!(matches!(&reported, LayerVerdict::AsDeclared(Some(_))), "{reported:?}");
    let enforced = changed(SourceDrift::Enforce);
    assert!(matches!(&enforced, LayerVerdict::Broken(DriftReason::SourceChanged, _)), "{enforced:?}");
}

#[test]
fn a_source_that_cannot_be_read_is_unknown_only_where_it_is_enforced() {
    let unread = |policy| artifact(policy, Fact::unknown("no such folder"));
    assert_eq!(unread(SourceDrift::Ignore), LayerVerdict::AsDeclared(None));
    assert_eq!(unread(SourceDrift::Report), LayerVerdict::AsDeclared(None));
    let enforced = unread(SourceDrift::Enforce);
    assert!(matches!(&enforced, LayerVerdict::Unverifiable(..)), "{enforced:?}");
}

/// `api` under `enforce`, with an input that no digest covers.
fn unreadable() -> (crate::api::Desired, crate::api::ProjectObservation) {
    let (mut desired, mut seen) = (desired(), healthy());
    desired.object.spec.source.drift = SourceDrift::Enforce;
    seen.services[0].source.unreadable = Some("the build context itself".into());
    (desired, seen)
}

#[test]
fn a_source_that_cannot_be_known_is_never_as_declared_and_keeps_nothing_down() {
    let (desired, mut seen) = unreadable();
    let decision = with_history(&desired, &seen, &history());
    assert!(!decision.as_declared() && decision.plan.is_empty());
    assert!(
        matches!(&decision.next, Next::Verify(services) if services.contains(&"api".to_owned())),
        "{decision:?}"
    );
    // Everything visible is verified: now the report is that this is not all.
    let mut verified = history();
    verified.verified =
        seen.services.iter().map(|s| (s.name.clone(), crate::decide::identities(s))).collect();
    let decision = with_history(&desired, &seen, &verified);
    assert!(matches!(&decision.next, Next::GiveUp { reason, .. } if reason == "Unknown"), "{decision:?}");
    assert!(!decision.as_declared());

    container_mut(&mut seen.services[0]).state = crate::api::ContainerState::Exited;
    let decision = with_history(&desired, &seen, &verified);
    assert!(matches!(&decision.next, Next::Execute(step) if step.step == Step::Up { force_recreate: false }));
    // The readable part of it has changed.
    let (_, mut changed) = unreadable();
    changed.services[0].artifact.built_from = Some("sha256:source-1".into());
    let decision = with_history(&desired, &changed, &verified);
    assert!(matches!(&decision.next, Next::Execute(step) if matches!(step.step, Step::Build { .. })));
}

#[test]
fn a_file_that_went_while_it_was_read_is_looked_at_again() {
    let (desired, mut seen) = unreadable();
    seen.services[0].source.unreadable = None;
    seen.services[0].artifact.built_from = Some("sha256:source-2".into());
    seen.services[0].source.digest = Fact::unknown("no such file");
    let mut verified = history();
    verified.verified =
        seen.services.iter().map(|s| (s.name.clone(), crate::decide::identities(s))).collect();
    verified.watching_since = Some(at(0));
    assert!(matches!(with_history(&desired, &seen, &verified).next, Next::Wait(_)));
    verified.watching_since = Some(at(-100_000));
    let late = with_history(&desired, &seen, &verified).next;
    assert!(matches!(&late, Next::GiveUp { reason, .. } if reason == "Unknown"), "{late:?}");
}

#[test]
fn what_undrift_built_is_known_better_than_what_it_saw_first() {
    let mut desired = desired();
    desired.object.spec.source.drift = SourceDrift::Enforce;
    let verdict = |built_from: Option<&str>, digest: &str, now: Fact<Option<String>>| {
        let mut seen = healthy();
        seen.services[0].source.digest = now;
        let artifact = &mut seen.services[0].artifact;
        artifact.built_from = built_from.map(str::to_owned);
        let sight = crate::api::FirstSight { digest: digest.into(), at: at(-60), changed_at: Some(at(-5)) };
        artifact.first_sight = Some(sight);
        with_history(&desired, &seen, &history()).services[0].layer(Layer::Artifact).clone()
    };
    let two = || Fact::Known(Some("sha256:source-2".to_owned()));
    assert_eq!(verdict(Some("sha256:source-2"), "sha256:source-1", two()), LayerVerdict::AsDeclared(None));
    assert_eq!(verdict(None, "sha256:source-2", two()), LayerVerdict::AsDeclared(None));
    let LayerVerdict::Broken(DriftReason::SourceChanged, words) = verdict(None, "sha256:source-1", two())
    else {
        panic!("it is older than the change");
    };
    for time in ["(seen at 2025-12-31T23:59:55Z)", "seen first, at 2025-12-31T23:59:00Z"] {
        assert!(words.contains(time), "no {time} in {words}");
    }
    let unread = verdict(None, "sha256:source-1", Fact::unknown("no right"));
    assert!(matches!(unread, LayerVerdict::Unverifiable(..)), "{unread:?}");
    let by_another_rule = verdict(None, "v0:1", two());
    assert!(matches!(by_another_rule, LayerVerdict::AsDeclared(Some(_))), "{by_another_rule:?}");
}

#[test]
fn a_source_that_changes_faster_than_it_is_built_runs_all_the_same() {
    let mut desired = desired();
    desired.object.spec.source.drift = crate::api::SourceDrift::Enforce;
    let mut history = history();
    let mut taken = Vec::new();
    let mut seen = healthy();
    let mut now = 0;
    for change in 1..40 {
        // Each build takes in the source from before it, and meanwhile the source has changed.
        seen.services[0].source.digest = Fact::Known(Some(format!("sha256:{change}")));
        let inputs =
            Inputs { desired: &desired, observed: &seen, history: &history, now: at(now), jitter_seed: 7 };
        let decision = decide(inputs);
        let step = match &decision.next {
            Next::Execute(step) => step.clone(),
            Next::Wait(until) => {
                now = (*until - at(0)).num_seconds() + 1;
                history.attempts = decision.attempts;
                continue;
            }
            Next::GiveUp { reason, .. } => {
                assert_eq!(reason, "BudgetSpent");
                break;
            }
            other => panic!("{other:?}"),
        };
        let begun = begin_step(inputs, &decision.attempts, &decision.services, step.step, &step.services);
        history.attempts = decision.attempts;
        history.attempts.retain(|row| !begun.iter().any(|new| new.is_of_the_same(row)));
        history.attempts.extend(begun);
        history.incident.get_or_insert_with(|| OpenIncident {
            steps: vec![],
            opened_at: at(0),
            ..after_a_repair(&healthy()).incident.unwrap()
        });
        let (outcome, services) = (crate::api::StepOutcome::Succeeded, step.services.clone());
        let done = DoneStep { step: step.step, services, at: at(now), outcome };
        history.incident.iter_mut().for_each(|open| open.steps.push(done.clone()));
        taken.push(step.step);
        let image = format!("sha256:image-{change}");
        if matches!(step.step, Step::Build { .. }) {
            seen.services[0].artifact.image = Fact::Known(Some(image));
            seen.services[0].artifact.built_from = Some(format!("sha256:{change}"));
        } else {
            let built = seen.services[0].artifact.image.known().cloned().flatten().unwrap();
            container_mut(&mut seen.services[0]).image_id = built;
        }
        now += 1;
    }
    let (build, up) = (Step::Build { no_cache: false }, Step::Up { force_recreate: false });
    assert_eq!(taken, [build, up, build, up, build], "each image is brought up, and the budget ends it");
}

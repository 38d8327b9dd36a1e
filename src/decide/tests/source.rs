//! The effect of a source that has changed since the build, by policy.

use super::*;
use crate::api::{BuildCheck, BuildDifference, BuildResult, SameBy, SourceDrift, UnknownReason};

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
fn an_unreadable_source_is_never_as_declared_and_keeps_nothing_down() {
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
fn the_source_undrift_built_from_counts_before_the_source_seen_first() {
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

/// The steps that undrift takes for a source that changes all the time (during each build, or right after it), and how that
/// ends.
fn steps_of_a_changing_source(policy: SourceDrift, is_torn: bool) -> (Vec<Step>, String) {
    let mut desired = desired();
    desired.object.spec.source.drift = policy;
    let is_enforced = policy == SourceDrift::Enforce;
    let (mut history, mut seen) = (history(), if is_enforced { healthy() } else { incident() });
    let (mut now, mut taken) = (0, Vec::new());
    for change in 1..60 {
        let source = |change: i32| format!("sha256:{change}");
        seen.services[0].source.digest = Fact::Known(Some(source(change)));
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
            Next::GiveUp { reason, .. } => return (taken, reason.to_string()),
            Next::Verify(_) => return (taken, "as declared".into()),
            Next::Nothing => panic!("nothing"),
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
        let api = &mut seen.services[0];
        if matches!(step.step, Step::Build { .. }) {
            let after = source(if is_torn { change + 1 } else { change });
            api.artifact.image = Fact::Known(Some(format!("sha256:image-{change}")));
            api.artifact.built_from = Some(crate::api::built_between(&source(change), &after));
            api.artifact.modules[0].presence = Fact::Known(crate::api::Presence::Present);
        } else {
            *container_mut(api) = container_mut(&mut healthy().services[0]).clone();
            container_mut(api).image_id = api.artifact.image.known().cloned().flatten().unwrap();
            api.routes = healthy().services[0].routes.clone();
        }
        now += 1;
    }
    panic!("it goes on for ever: {taken:?}");
}

const BUILD: Step = Step::Build { no_cache: false };
const UP: Step = Step::Up { force_recreate: false };

#[test]
fn a_source_that_changes_faster_than_it_is_built_runs_all_the_same() {
    let (taken, end) = steps_of_a_changing_source(SourceDrift::Enforce, false);
    assert_eq!(taken, [BUILD, UP, BUILD, UP, BUILD], "each image is brought up, and the budget ends it");
    assert_eq!(end, "BudgetSpent");
}

#[test]
fn a_torn_build_is_not_brought_up_where_the_source_is_enforced_and_the_budget_ends_it() {
    let (taken, end) = steps_of_a_changing_source(SourceDrift::Enforce, true);
    assert_eq!(taken, [BUILD; 5]);
    assert_eq!(end, "BudgetSpent");
}

#[test]
fn of_two_torn_builds_the_second_is_brought_up_where_nobody_asks_about_the_source() {
    for policy in [SourceDrift::Report, SourceDrift::Ignore] {
        let (taken, end) = steps_of_a_changing_source(policy, true);
        assert_eq!(taken[..2], [BUILD; 2], "{policy:?}");
        assert!(matches!(taken[2..], [Step::Up { .. }]), "{taken:?}");
        assert_eq!(end, "as declared");
    }
}

#[test]
fn a_torn_image_that_runs_is_judged_by_the_policy_alone() {
    let verdict = |policy| {
        let (mut desired, mut seen) = (desired(), healthy());
        desired.object.spec.source.drift = policy;
        seen.services[0].artifact.built_from = Some("sha256:source-1..source-2".into());
        with_history(&desired, &seen, &history()).services[0].layer(Layer::Artifact).clone()
    };
    assert!(matches!(verdict(SourceDrift::Enforce), LayerVerdict::Broken(DriftReason::SourceChanged, _)));
    assert!(matches!(verdict(SourceDrift::Report), LayerVerdict::AsDeclared(Some(_))));
    assert_eq!(verdict(SourceDrift::Ignore), LayerVerdict::AsDeclared(None));
}

/// The artifact layer's verdict on `api`, of which `check --build` found this at `source-2`.
fn checked(
    result: BuildResult,
    policy: SourceDrift,
    (digest, now, built_from): (Option<&str>, &str, Option<&str>),
) -> LayerVerdict {
    let (mut desired, mut seen) = (desired(), healthy());
    desired.object.spec.source.drift = policy;
    seen.services[0].source.digest = Fact::Known(Some(now.to_owned()));
    let artifact = &mut seen.services[0].artifact;
    artifact.built_from = built_from.map(str::to_owned);
    artifact.build_check =
        Some(BuildCheck { at: at(0), digest: digest.map(str::to_owned), also_built_by: vec![], result });
    with_history(&desired, &seen, &history()).services[0].layer(Layer::Artifact).clone()
}

fn differs() -> BuildResult {
    let difference =
        BuildDifference { settings: 1, named: vec!["user".into()], ..BuildDifference::default() };
    BuildResult::Differs(difference)
}

#[test]
fn an_image_that_a_build_does_not_give_is_drift_by_policy_while_the_source_is_that_one() {
    let (now, later) = ("sha256:source-2", "sha256:source-3");
    let adopted = (Some(now), now, None);
    let words = "gives another image than backoffice-api (check --build, at 2026-01-01T00:00:00Z)";
    match checked(differs(), SourceDrift::Enforce, adopted) {
        LayerVerdict::Broken(DriftReason::SourceChanged, message) => {
            assert!(message.contains(words), "{message}");
        }
        other => panic!("{other:?}"),
    }
    for policy in [SourceDrift::Report, SourceDrift::Ignore] {
        let reported = checked(differs(), policy, adopted);
        assert!(matches!(&reported, LayerVerdict::AsDeclared(Some(m)) if m.contains(words)), "{reported:?}");
    }
    let changed = checked(differs(), SourceDrift::Enforce, (Some(now), later, None));
    assert_eq!(changed, LayerVerdict::AsDeclared(None), "of another source it says nothing");
    let in_its_run = checked(differs(), SourceDrift::Enforce, (None, now, None));
    assert!(matches!(in_its_run, LayerVerdict::Broken(DriftReason::SourceChanged, _)), "{in_its_run:?}");
    // A build that stamps a date never gives the same image: undrift's own would be built again and again.
    let own = checked(differs(), SourceDrift::Enforce, (Some(now), now, Some(now)));
    assert!(matches!(&own, LayerVerdict::AsDeclared(Some(m)) if m.contains("this very source")), "{own:?}");
}

#[test]
fn what_a_build_did_not_show_is_unknown_and_holds_up_nothing() {
    let now = "sha256:source-2";
    let of = (None, now, Some(now));
    for policy in [SourceDrift::Enforce, SourceDrift::Report, SourceDrift::Ignore] {
        let failed = checked(BuildResult::Unknown("the build fails: x".into()), policy, of);
        let is_so = matches!(&failed, LayerVerdict::Unverifiable(UnknownReason::NotKnown, m) if m.ends_with("the build fails: x"));
        assert!(is_so, "{failed:?}");
        let large = checked(BuildResult::TooLarge("x".into()), policy, of);
        assert!(matches!(large, LayerVerdict::Unverifiable(UnknownReason::TooLarge, _)), "{large:?}");
    }
    let same = checked(BuildResult::Same(SameBy::Id), SourceDrift::Enforce, (Some(now), now, Some(now)));
    assert!(matches!(&same, LayerVerdict::AsDeclared(Some(m)) if m.ends_with("the same ID")), "{same:?}");
}

//! The revision that image, container and route carry.

use super::*;
use crate::{
    api::{
        NoteReason, ReplicaRevision, RevisionFact, RevisionObservation, RevisionSpec, ServiceObservation,
        StepOutcome, UnknownReason, UnknownVariable,
    },
    decide::DoneStep,
    testing::fixtures::{REVISION, revision},
};

const OTHER: &str = "0000000000000000000000000000000000000000";

fn known(revision: &str) -> RevisionFact {
    RevisionFact::Known(revision.into())
}

/// `api` with this revision in the manifest.
fn declared(spec: &serde_json::Value) -> Desired {
    let mut desired = desired();
    desired.object.spec.services[0].revision =
        Some(serde_json::from_value::<RevisionSpec>(spec.clone()).unwrap());
    desired
}

fn of_route() -> Desired {
    declared(&json!({ "from": { "route": { "path": "/version", "port": 3000, "json": "/commit" } } }))
}

fn with(change: impl FnOnce(&mut RevisionObservation)) -> ProjectObservation {
    let mut seen = healthy();
    let mut observed = revision();
    change(&mut observed);
    seen.services[0].revision = Some(observed);
    seen
}

fn answers(found: RevisionFact) -> impl FnOnce(&mut RevisionObservation) {
    move |seen| {
        seen.image = None;
        seen.containers.clear();
        seen.routes = vec![ReplicaRevision { container: "new-api".into(), revision: found }];
    }
}

fn unknown(decision: &Decision) -> Option<(Layer, UnknownReason)> {
    let found = &decision.services[0];
    found.unknown.as_ref().or(found.unverifiable.as_ref()).map(|unknown| (unknown.layer, unknown.reason))
}

#[test]
fn the_same_revision_in_any_length_is_as_declared() {
    for found in [REVISION, &REVISION[..7], &REVISION.to_uppercase()] {
        let seen = with(|seen| {
            seen.image = Some(known(found));
            seen.containers[0].revision = known(found);
        });
        let decision = decided(&seen);
        assert!(decision.as_declared() && decision.plan.is_empty(), "{found}");
    }
}

#[test]
fn another_one_or_none_in_the_image_is_built() {
    for found in [known(OTHER), known("4f6d1c0-dirty"), RevisionFact::Missing("it has no label x".into())] {
        let decision = decided(&with(|seen| seen.image = Some(found.clone())));
        assert_eq!(drift(&decision), Some((Layer::Artifact, DriftReason::RevisionDiffers)), "{found:?}");
        assert_eq!(kinds(&decision.plan), [StepKind::Build, StepKind::Up]);
    }
}

#[test]
fn another_one_in_a_container_of_that_image_is_recreated_once() {
    let seen = with(|seen| seen.containers[0].revision = known(OTHER));
    let mut history = history();
    let steps: Vec<Step> =
        (0..5).filter_map(|hour| take_in_vain(&desired(), &seen, &mut history, at(hour * 3600))).collect();
    assert_eq!(steps, [Step::Up { force_recreate: true }]);
}

#[test]
fn one_build_that_leaves_it_is_the_last_and_says_what_to_put_where() {
    for (from, parts) in [
        (json!({ "label": "rev" }), ["`labels: { rev: \"${GIT_SHA}\" }`", "`variable: GIT_SHA`"]),
        (json!({ "env": "REV" }), ["`ENV REV=$GIT_SHA`", "`args: { GIT_SHA: \"${GIT_SHA}\" }`"]),
        (json!({ "file": "/REV" }), ["`RUN echo \"$GIT_SHA\" > /REV`", "`ARG GIT_SHA`"]),
    ] {
        let desired = declared(&json!({ "from": from }));
        let seen = with(|seen| seen.image = Some(RevisionFact::Missing("nothing".into())));
        let mut history = history();
        let steps: Vec<Step> =
            (0..5).filter_map(|hour| take_in_vain(&desired, &seen, &mut history, at(hour * 3600))).collect();
        assert_eq!(steps, [Step::Build { no_cache: false }], "{from}");
        let last = decide(Inputs { now: at(100_000), ..inputs(&desired, &seen, &history) });
        let Next::GiveUp { reason, message } = &last.next else { panic!("{:?}", last.next) };
        assert!(
            *reason == "RepairsExhausted" && parts.iter().all(|part| message.contains(part)),
            "{message}"
        );
        // Another commit is another source.
        let committed = with(|seen| {
            (seen.expected, seen.image) = (known(OTHER), Some(RevisionFact::Missing("nothing".into())));
        });
        let anew = decide(Inputs { now: at(100_000), ..inputs(&desired, &committed, &history) });
        assert!(matches!(&anew.next, Next::Execute(step) if step.step.kind() == StepKind::Build), "{from}");
    }
}

fn inputs<'a>(desired: &'a Desired, observed: &'a ProjectObservation, history: &'a History) -> Inputs<'a> {
    Inputs { desired, observed, history, now: at(1), jitter_seed: 7 }
}

/// A commit that comes while its predecessor is built: that one is brought up, and then the next one is built. Otherwise
/// commits that come faster than a build takes would never run at all.
#[test]
fn a_commit_during_the_build_of_another_one_loses_nothing() {
    let (desired, mut history) = (desired(), history());
    let first = with(|seen| seen.image = Some(known(OTHER)));
    assert_eq!(take_in_vain(&desired, &first, &mut history, at(1)), Some(Step::Build { no_cache: false }));
    let built = DoneStep {
        step: Step::Build { no_cache: false },
        services: vec!["api".into()],
        outcome: StepOutcome::Succeeded,
        ..after_a_repair(&incident()).incident.unwrap().steps[0].clone()
    };
    history.incident =
        after_a_repair(&incident()).incident.map(|open| OpenIncident { steps: vec![built], ..open });
    let mut next = with(|seen| {
        (seen.expected, seen.image) =
            (known("1111111111111111111111111111111111111111"), Some(known(REVISION)));
    });
    container_mut(&mut next.services[0]).image_id = OLD.into();
    // It is brought up also where nothing runs; but a job that has ended must not run again.
    let is_brought_up = |change: fn(&mut ServiceObservation)| {
        let mut seen = next.clone();
        change(&mut seen.services[0]);
        let repair = decide(inputs(&desired, &seen, &history)).repair_options[0].repair.clone();
        matches!(repair, Repair::Steps(steps, _) if steps == [Step::Up { force_recreate: false }])
    };
    assert!(is_brought_up(|api| api.containers = Fact::Known(vec![])));
    assert!(is_brought_up(|api| container_mut(api).state = ContainerState::Exited));
    let of_a_job = is_brought_up(|api| {
        api.ties.is_job = true;
        api.containers = Fact::Known(vec![]);
    });
    assert!(!of_a_job);
    let steps = take_in_vain(&desired, &next, &mut history, at(2));
    assert_eq!(steps, Some(Step::Up { force_recreate: false }), "the image that was built");
    container_mut(&mut next.services[0]).image_id = NEW.into();
    history.incident.as_mut().unwrap().steps.clear();
    // The first look judges the step, and the next one comes after the backoff.
    let step = [700, 1400].into_iter().find_map(|now| take_in_vain(&desired, &next, &mut history, at(now)));
    assert_eq!(step, Some(Step::Build { no_cache: false }), "and then the commit that came meanwhile");
}

/// Commits that come one after the other while a build fails.
#[test]
fn commits_within_one_incident_share_one_budget_and_are_one_chance() {
    let expecting = |number: u32| {
        with(|seen| {
            seen.expected = known(&format!("{number:040}"));
            seen.image = Some(RevisionFact::Missing("nothing".into()));
        })
    };
    let (desired, mut history) = (desired_with(&json!({ "attempts": 3 })), history());
    let open = after_a_repair(&incident()).incident.map(|open| OpenIncident { steps: vec![], ..open });
    history.incident = open;
    let outcome = StepOutcome::Failed;
    for number in 0..3 {
        let (seen, before) = (expecting(number), history.clone());
        let now = at(i64::from(number) * 3600);
        let inputs = Inputs { now, ..inputs(&desired, &seen, &before) };
        let decision = decide(inputs);
        let Next::Execute(step) = &decision.next else { panic!("{number}: {:?}", decision.next) };
        let begun = begin_step(inputs, &decision.attempts, &decision.services, step.step, &step.services);
        for row in end_step(begun, outcome, &desired.object.spec.reconcile, now, 7) {
            history.attempts.retain(|kept| !kept.is_of_the_same(&row));
            history.attempts.push(row);
        }
    }
    let counted: Vec<(u32, bool)> =
        history.attempts.iter().map(|row| (row.attempts, row.continued)).collect();
    assert_eq!(counted, [(1, true), (2, true), (3, false)], "each commit is known, and one row counts");
    let next = |number: u32, history: &History| {
        let seen = expecting(number);
        // A minute after the last attempt.
        decide(Inputs { now: at(2 * 3600 + 60), ..inputs(&desired, &seen, history) }).next
    };
    let spent = next(3, &history);
    assert!(matches!(&spent, Next::GiveUp { reason, .. } if reason == "BudgetSpent"), "{spent:?}");
    // The incident has ended: the first other commit is free, and what was tried is not.
    history.incident = None;
    let build = |next: &Next| matches!(next, Next::Execute(step) if step.step.kind() == StepKind::Build);
    assert!(build(&next(3, &history)), "{:?}", next(3, &history));
    let tried = next(2, &history);
    assert!(matches!(&tried, Next::GiveUp { reason, .. } if reason == "BudgetSpent"), "{tried:?}");
    // Nor do they count once the service was verified by somebody else's repair.
    let well: Vec<Attempt> = after_verification(None, "api", &history.attempts).collect();
    assert!(well.iter().all(|row| row.attempts == 0));
    history.attempts = well;
    assert!(build(&next(3, &history)), "{:?}", next(3, &history));
}

#[test]
fn a_route_with_another_one_is_built_unless_the_image_carries_it() {
    let seen = with(answers(known(OTHER)));
    let decision = with_history(&of_route(), &seen, &history());
    assert_eq!(drift(&decision), Some((Layer::Route, DriftReason::RevisionDiffers)));
    assert_eq!(kinds(&decision.plan), [StepKind::Build, StepKind::Up]);
    let mut carried = with(answers(known(OTHER)));
    carried.services[0].revision.as_mut().unwrap().image = Some(known(REVISION));
    let decision = with_history(&of_route(), &carried, &history());
    assert!(decision.plan.is_empty(), "{:?}", decision.plan);
    assert!(matches!(&decision.next, Next::GiveUp { reason, .. } if reason == "RevisionDiffers"));
}

#[test]
fn a_route_without_one_is_unknown_and_no_drift() {
    for (found, reason) in [
        (RevisionFact::Missing("no header".into()), UnknownReason::NotARevision),
        (RevisionFact::NotARevision("no JSON".into()), UnknownReason::NotARevision),
        (RevisionFact::Unknown("connection refused".into()), UnknownReason::NotKnown),
        (RevisionFact::Limited { again_at: at(9) }, UnknownReason::RateLimited),
    ] {
        let decision = with_history(&of_route(), &with(answers(found)), &history());
        assert_eq!((drift(&decision), unknown(&decision)), (None, Some((Layer::Route, reason))));
        assert!(decision.plan.is_empty() && matches!(decision.next, Next::Wait(_)), "{:?}", decision.next);
    }
}

#[test]
fn what_is_not_known_keeps_nothing_down_unless_the_compose_files_need_it() {
    let plain = json!({ "from": { "label": "rev" } });
    let needed = json!({ "from": { "label": "rev" }, "variable": "GIT_SHA" });
    let mut seen = with(|seen| seen.expected = RevisionFact::Unknown("no work tree".into()));
    container_mut(&mut seen.services[0]).state = ContainerState::Exited;
    let decision = with_history(&declared(&plain), &seen, &history());
    assert_eq!(kinds(&decision.plan), [StepKind::Up]);
    // Without the variable the container looks as if it were made otherwise.
    let mut seen = with(|seen| seen.expected = RevisionFact::Unknown("no work tree".into()));
    container_mut(&mut seen.services[0]).config_changed = Fact::Known(true);
    let decision = with_history(&declared(&needed), &seen, &history());
    assert!(decision.plan.is_empty(), "{:?}", decision.plan);
    let mut by_route = of_route();
    by_route.object.spec.services[0].revision.as_mut().unwrap().variable = Some("GIT_SHA".into());
    assert!(with_history(&by_route, &seen, &history()).plan.is_empty());
    let decision = with_history(&declared(&plain), &seen, &history());
    assert_eq!(kinds(&decision.plan), [StepKind::Up]);
}

/// As the host shows a service whose variable is not known.
fn without_its_variable(seen: &mut ProjectObservation, service: usize) {
    let message =
        "the variable GIT_SHA is the expected revision of api, which is not known: a lock".to_owned();
    let service = &mut seen.services[service];
    service.unresolved = Some(UnknownVariable {
        name: "GIT_SHA".into(),
        reason: UnknownReason::NotKnown,
        message: message.clone(),
    });
    (service.config_hash, service.artifact.image) = (None, Fact::unknown(&message));
    container_mut(service).config_changed = Fact::unknown(&message);
}

#[test]
fn nothing_is_made_of_a_service_whose_variable_is_not_known_and_an_existing_container_is_started() {
    for buildable in [true, false] {
        let of_dashboard = |change: fn(&mut ProjectObservation)| {
            let mut seen = healthy();
            seen.services[1].buildable = buildable;
            without_its_variable(&mut seen, 1);
            change(&mut seen);
            with_history(&desired(), &seen, &history())
        };
        let well = of_dashboard(|_| {});
        assert!(!well.as_declared() && well.plan.is_empty());
        let unknown = well.services[1].unknown.as_ref().unwrap();
        assert!(unknown.layer == Layer::Artifact && unknown.message.contains("GIT_SHA"), "{unknown:?}");
        let container = well.services[1].layer(Layer::Container);
        assert!(matches!(container, LayerVerdict::Unknown(..)), "{container:?}");
        let stopped =
            of_dashboard(|seen| container_mut(&mut seen.services[1]).state = ContainerState::Exited);
        let steps: Vec<Step> = stopped.plan.iter().map(|planned| planned.step).collect();
        assert_eq!(steps, [Step::Start]);
        // Created anew it would have another value.
        let gone = of_dashboard(|seen| seen.services[1].containers = Fact::Known(vec![]));
        assert!(gone.plan.is_empty(), "{:?}", gone.plan);
    }
}

#[test]
fn dirt_is_a_note_and_nothing_else() {
    let seen = with(|seen| seen.dirty = Some(Fact::Known(true)));
    let decision = decided(&seen);
    let reasons: Vec<_> = decision.services[0].notes.iter().map(|note| note.reason).collect();
    assert!(decision.as_declared() && reasons == [NoteReason::WorkTreeDirty], "{reasons:?}");
}

#[test]
fn a_start_that_was_not_known_is_no_other_revision() {
    let seen = with(|_| {});
    let moved = |start: Option<&str>| {
        let mut tried = row(None, at(0));
        (tried.reason, tried.source_digest) = (DriftReason::RevisionDiffers, start.map(str::to_owned));
        crate::decide::start::is_of_another_revision(&tried, &seen.services[0])
    };
    assert!(moved(Some(&format!("config:hash revision:{OTHER}"))));
    assert!(!moved(Some(&format!("config:hash revision:{REVISION}"))));
    assert!(!moved(None), "it would make every look a new chance");
}

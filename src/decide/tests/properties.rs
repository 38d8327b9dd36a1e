//! Properties of every observation.

use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};

use serde_json::json;

use super::{
    arbitrary::{STEPS, any_history, any_host, any_repair, any_sound_host},
    decided, drift as drift_of, history, kinds, row, with_history,
};
use crate::{
    api::{Fact, Layer, ProjectObservation, RecentStep, SourceDrift, Step, StepKind, Time},
    decide::{Decision, History, Next, Repair, StatusInputs, UnknownLayer, identities, status},
    testing::fixtures::{answer_mut, at, desired, desired_with, healthy},
};

/// Every single fact that can be unknown, made unknown.
const MASKS: &[fn(&mut ProjectObservation)] = &[
    |seen| seen.services[0].source.modules[0] = Some(Fact::unknown("masked")),
    |seen| seen.services[0].source.digest = Fact::unknown("masked"),
    |seen| seen.services[0].artifact.image = Fact::unknown("masked"),
    |seen| seen.services[0].artifact.modules[0].presence = Fact::unknown("masked"),
    |seen| seen.services[0].containers = Fact::unknown("masked"),
    |seen| {
        for container in known_containers(seen) {
            container.config_changed = Fact::unknown("masked");
        }
    },
    |seen| {
        for container in known_containers(seen) {
            container.modules[0].presence = Fact::unknown("masked");
        }
    },
    |seen| answer_mut(&mut seen.services[0]).plain = Fact::unknown("masked"),
    |seen| answer_mut(&mut seen.services[0]).control = Some(Fact::unknown("masked")),
    |seen| answer_mut(&mut seen.services[0]).auth = Some(Fact::unknown("masked")),
];

fn known_containers(
    seen: &mut ProjectObservation,
) -> impl Iterator<Item = &mut crate::api::ContainerObservation> {
    match &mut seen.services[0].containers {
        Fact::Known(containers) => containers.iter_mut(),
        Fact::Unknown(_) => [].iter_mut(),
    }
}

/// The time of every decision in these tests.
fn at_now() -> Time {
    at(1)
}

proptest! {
    #[test]
    fn the_same_inputs_give_the_same_decision(seen in any_host(), history in any_history()) {
        let decided = || with_history(&desired(), &seen, &history);
        prop_assert_eq!(decided(), decided());
    }

    #[test]
    fn as_declared_means_no_step_whatever_was_done_before(seen in any_sound_host(), history in any_history()) {
        let decision = with_history(&desired(), &seen, &history);
        prop_assert!(decision.as_declared(), "{:?}", decision.services);
        prop_assert_eq!(&decision.plan, &[]);
        let rolled_back = history.incident.as_ref().is_some_and(|incident| incident.is_rolled_back("api"));
        match &decision.next {
            Next::Verify(_) => {}
            Next::GiveUp { reason, .. } => prop_assert!(rolled_back && reason == "RolledBack", "{reason}"),
            next => prop_assert!(!rolled_back && *next == Next::Nothing, "{next:?}"),
        }
    }

    #[test]
    fn what_is_held_back_takes_no_step_whatever_is_seen_and_was_done(
        seen in any_host(),
        history in any_history(),
        setting in prop::sample::select(vec![json!({ "suspend": true }), json!({ "mode": "observe" })]),
    ) {
        let decision = with_history(&desired_with(&setting), &seen, &history);
        prop_assert_eq!(&decision.plan, &[]);
        match &decision.next {
            Next::Execute(step) => prop_assert!(false, "{step:?}"),
            // The end of an incident that a rollback has made as declared.
            Next::GiveUp { reason, .. } => prop_assert!(decision.as_declared() && reason == "RolledBack"),
            Next::Nothing | Next::Verify(_) | Next::Wait(_) => {}
        }
        let free = with_history(&desired(), &seen, &history);
        prop_assert_eq!(free.services, decision.services, "what is seen is called the same");
    }

    #[test]
    fn a_budget_that_is_spent_ends_every_repair_of_its_drift(seen in any_host(), history in any_history()) {
        let desired = desired();
        let Some(drift) = decided(&seen).services[0].drift.clone() else { return Ok(()) };
        let mut spent = row(None, at(0));
        (spent.layer, spent.reason) = (drift.layer, drift.reason);
        spent.attempts = desired.object.spec.reconcile.attempts;
        // With another source it would be no budget of this one.
        spent.source_digest = super::super::start::start_of(&seen.services[0], drift.reason);
        let mut history = history;
        history.attempts.retain(|row| (row.layer, row.reason) != (drift.layer, drift.reason));
        history.attempts.push(spent);
        let decision = with_history(&desired, &seen, &history);
        prop_assert_eq!(drift_of(&decision), Some((drift.layer, drift.reason)));
        let has_rolled_back =
            history.incident.is_some_and(|open| open.has_done("api", |step| step == Step::Rollback));
        // A rollback restores what was lost, and is tried once. A service that is down behind an earlier layer, or that
        // something else ended, is kept running.
        let repairs = decision.plan.iter().filter(|p| p.step != Step::Rollback || has_rolled_back);
        let mut repairs = repairs.filter(|p| p.step != Step::Start);
        prop_assert!(repairs.all(|p| !p.services.contains(&"api".to_owned())), "{:?}", decision.plan);
    }

    #[test]
    fn beyond_the_rate_only_what_is_down_is_started_and_nothing_is_given_up((seen, history) in any_repair()) {
        let recent = |kind| (0..20).map(move |_| recent_step(kind));
        let recent_steps = recent(StepKind::Build).chain(recent(StepKind::Up)).collect();
        let free = with_history(&desired(), &seen, &history);
        let paced = with_history(&desired(), &seen, &History { recent_steps, ..history });
        if let Next::Execute(step) = &paced.next {
            let is_exempt = matches!(step.step, Step::Start | Step::Rollback);
            prop_assert!(is_exempt || !step.services.contains(&"api".to_owned()), "{step:?}");
        }
        let stalls = |decision: &Decision| matches!(decision.repair_options[0].repair, Repair::Stalled { .. });
        prop_assert_eq!(stalls(&free), stalls(&paced));
    }

    #[test]
    fn what_is_taken_is_the_head_of_the_plan_and_due(seen in any_host(), history in any_history()) {
        let decision = with_history(&desired(), &seen, &history);
        if let Next::Execute(step) = &decision.next {
            prop_assert!(decision.plan.contains(step), "{step:?} of {:?}", decision.plan);
            let due = decision.repair_options.iter().filter(|p| step.services.contains(&p.service));
            for option in due {
                let at = match &option.repair {
                    Repair::Steps(_, at) => *at,
                    other => return Err(TestCaseError::fail(format!("{other:?}"))),
                };
                prop_assert!(at.is_none_or(|due| due <= at_now()), "{at:?}");
            }
        }
    }

    #[test]
    fn not_knowing_never_leads_to_a_build(seen in any_host(), mask in 0..MASKS.len()) {
        let mut masked = seen.clone();
        MASKS[mask](&mut masked);
        let (before, after) = (decided(&seen), decided(&masked));
        let builds = |decision: &Decision| kinds(&decision.plan).contains(&StepKind::Build);
        prop_assert!(builds(&before) || !builds(&after), "a build only because something is unknown");
        if let Some(UnknownLayer { layer, .. }) = &after.services[0].unknown {
            let drift_below = after.services[0].drift.as_ref().is_none_or(|d| d.layer >= *layer);
            prop_assert!(drift_below);
            // But a stopped service behind it is kept running.
            let may_start = *layer < Layer::Container;
            let mut steps = after.plan.iter().filter(|p| p.services.contains(&"api".to_owned()));
            prop_assert!(steps.all(|p| may_start && p.step == Step::Start), "{:?}", after.plan);
        }
    }

    #[test]
    fn with_an_unreadable_source_all_else_is_repaired_as_in_report_mode(
        (mut seen, history) in any_repair(),
        verified in any::<bool>(),
    ) {
        let with = |drift| {
            let mut desired = desired();
            desired.object.spec.source.drift = drift;
            desired
        };
        let (report, enforce) = (with(SourceDrift::Report), with(SourceDrift::Enforce));
        // Everything that can be read is unchanged.
        for service in &mut seen.services {
            (service.artifact.built_from, service.artifact.first_sight) = (None, None);
        }
        seen.services[0].source.unreadable = Some("the build context itself".into());
        let mut history = history;
        if verified {
            history.verified = seen.services.iter().map(|s| (s.name.clone(), identities(s))).collect();
        }
        let decision = with_history(&enforce, &seen, &history);
        prop_assert_eq!(&decision.plan, &with_history(&report, &seen, &history).plan);
        prop_assert!(!decision.as_declared());
        prop_assert!(decision.next != Next::Nothing, "it is said");
        let names: Vec<String> = seen.services.iter().map(|s| s.name.clone()).collect();
        let status = status_of(&enforce, &seen, &decision, &names);
        let is_true = |conditions: &[crate::api::Condition], kind| {
            conditions.iter().any(|c| c.kind == kind && c.status == crate::api::ConditionStatus::True)
        };
        prop_assert!(!is_true(&status.conditions, crate::api::ConditionType::Ready));
        prop_assert!(!is_true(&status.services[0].conditions, crate::api::ConditionType::Reconciled));
    }

    #[test]
    fn an_engine_without_answers_is_no_drift(seen in any_host()) {
        let mut masked = seen;
        for mask in MASKS {
            mask(&mut masked);
        }
        masked.services[1] = healthy().services[1].clone();
        let decision = decided(&masked);
        prop_assert_eq!(&decision.services[0].drift, &None);
        prop_assert!(decision.plan.is_empty());
    }

    #[test]
    fn every_step_is_in_the_table_of_its_layer((seen, history) in any_repair()) {
        let decision = with_history(&desired(), &seen, &history);
        for planned in &decision.plan {
            for service in &planned.services {
                let diagnosis = decision.services.iter().find(|d| d.service == *service).unwrap();
                let layer = diagnosis.unknown.as_ref().map(|unknown| unknown.layer);
                if planned.step == Step::Start && layer.is_some_and(|layer| layer < Layer::Container) {
                    continue;
                }
                let Some(drift) = &diagnosis.drift else {
                    return Err(TestCaseError::fail(format!("{planned:?} for no drift")));
                };
                let is_in_it = match planned.step {
                    // Of any layer, if undrift replaced the containers itself.
                    Step::Rollback => history.incident.as_ref().is_some_and(|open| open.last_up(service).is_some()),
                    Step::Start if drift.layer <= Layer::Container => true,
                    step => steps_of(drift.layer).contains(&step),
                };
                prop_assert!(is_in_it, "{planned:?} for {drift:?}");
            }
        }
    }
}

fn status_of(
    desired: &crate::api::Desired,
    seen: &ProjectObservation,
    decision: &Decision,
    verified: &[String],
) -> crate::api::ObjectStatus {
    status(StatusInputs {
        desired,
        generation: 1,
        observed: seen,
        decision,
        suspended: None,
        previous: None,
        verified,
        transitions: &std::collections::BTreeMap::new(),
        incident: None,
        reconciling: true,
        now: at_now(),
    })
}

/// A step for `api` a moment ago.
pub(super) fn recent_step(kind: StepKind) -> RecentStep {
    RecentStep {
        project: "backoffice".into(),
        service: "api".into(),
        object: "backoffice".into(),
        generation: history().generation,
        kind,
        at: at_now(),
        beyond: None,
    }
}

/// The steps of the whole escalation of a layer, each build with the `Up` behind it.
fn steps_of(layer: Layer) -> &'static [Step] {
    const BUILD: Step = Step::Build { no_cache: false };
    const UNCACHED: Step = Step::Build { no_cache: true };
    const UP: Step = Step::Up { force_recreate: false };
    const RECREATE: Step = Step::Up { force_recreate: true };
    match layer {
        Layer::Artifact => &[BUILD, UNCACHED, UP],
        Layer::Container => &[UP, RECREATE, Step::Restart],
        Layer::Route => &[BUILD, UNCACHED, UP, Step::Restart],
        Layer::Source | Layer::Auth => &[],
    }
}

/// The properties above cover a rollback and the later steps of an escalation only if these are planned at all.
#[test]
fn every_rung_and_a_rollback_are_among_what_is_decided() {
    let (mut runner, mut planned) = (TestRunner::deterministic(), Vec::new());
    for _ in 0..1000 {
        let (seen, history) = any_repair().new_tree(&mut runner).unwrap().current();
        let plan = with_history(&desired(), &seen, &history).plan;
        planned.extend(plan.into_iter().flat_map(|it| it.services.into_iter().map(move |of| (of, it.step))));
    }
    for step in STEPS.into_iter().chain([Step::Rollback]) {
        assert!(planned.contains(&("api".into(), step)), "{step:?}");
    }
    for step in [STEPS[0], STEPS[2], STEPS[4]] {
        assert!(planned.contains(&("dashboard".into(), step)), "{step:?} of the neighbour");
    }
}

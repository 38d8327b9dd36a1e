//! What holds for every observation.

use proptest::prelude::*;

use super::{cases::CASES, decided, kinds};
use crate::{
    api::{Fact, Layer, ProjectObservation, StepKind},
    decide::Decision,
    fixtures::{answer_mut, healthy},
};

/// Every single thing that can be unknown, made unknown.
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

/// Any combination of broken things.
fn any_host() -> impl Strategy<Value = ProjectObservation> {
    proptest::collection::vec(0..CASES.len(), 0..4).prop_map(|cases| {
        let mut seen = healthy();
        for case in cases {
            // A case that needs a container finds one only where no other has taken it away.
            let has_container = seen.services[0].containers.known().is_some_and(|c| !c.is_empty());
            if has_container {
                (CASES[case].break_it)(&mut seen);
            }
        }
        seen
    })
}

proptest! {
    #[test]
    fn the_same_inputs_give_the_same_decision(seen in any_host()) {
        prop_assert_eq!(decided(&seen), decided(&seen));
    }

    #[test]
    fn as_declared_and_known_means_no_step(seen in any_host()) {
        let decision = decided(&seen);
        if decision.as_declared() {
            prop_assert!(decision.plan.is_empty());
        } else {
            prop_assert!(decision.services.iter().any(|d| !d.as_declared()));
        }
    }

    #[test]
    fn not_knowing_never_leads_to_a_build(seen in any_host(), mask in 0..MASKS.len()) {
        let mut masked = seen.clone();
        MASKS[mask](&mut masked);
        let (before, after) = (decided(&seen), decided(&masked));
        let builds = |decision: &Decision| kinds(&decision.plan).contains(&StepKind::Build);
        prop_assert!(builds(&before) || !builds(&after), "a build only because something is unknown");
        if let Some((layer, _)) = &after.services[0].unknown {
            let drift_below = after.services[0].drift.as_ref().is_none_or(|d| d.layer >= *layer);
            prop_assert!(drift_below);
            prop_assert!(after.plan.iter().all(|p| !p.services.contains(&"api".to_owned())));
        }
    }

    #[test]
    fn an_engine_that_says_nothing_is_no_drift(seen in any_host()) {
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
    fn every_step_is_in_the_table_of_its_layer(seen in any_host()) {
        let decision = decided(&seen);
        for planned in &decision.plan {
            for service in &planned.services {
                let diagnosis = decision.services.iter().find(|d| d.service == *service).unwrap();
                let layer = diagnosis.drift.as_ref().map(|drift| drift.layer);
                let allowed: &[StepKind] = match layer {
                    Some(Layer::Artifact) => &[StepKind::Build, StepKind::Up],
                    Some(Layer::Container) => &[StepKind::Up, StepKind::Restart],
                    Some(Layer::Route) => &[StepKind::Build, StepKind::Up, StepKind::Restart],
                    _ => &[],
                };
                prop_assert!(allowed.contains(&planned.step.kind()), "{planned:?} for {layer:?}");
            }
        }
    }
}

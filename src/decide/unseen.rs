//! The status of an object that could not be observed: its declaration, and nothing from earlier observations.

use super::status::ConditionBuilder;
use crate::api::{
    ConditionStatus, ConditionType, Content, Layer, ModuleContent, ModulePresence, ModuleStatus,
    ObjectStatus, Reason, RevisionPlace, RevisionStatus, RouteAuthStatus, RouteSpec, RouteStatus, Sameness,
    ServiceSpec, ServiceStatus, Time, without_query_values,
};

/// The status of an object of which nothing is known: no engine, Compose files that Compose rejects, or no undrift that
/// observes it.
///
/// It claims no drift, and presents no earlier observation as this one. Each declared service has a row in which every
/// condition and every module is unknown and no container, image or answer is named. The history stays: the incident, its
/// attempts and its transitions.
#[must_use]
pub fn failed_status(
    services: &[ServiceSpec],
    previous: Option<&ObjectStatus>,
    generation: i64,
    reason: &Reason,
    message: &str,
    now: Time,
) -> ObjectStatus {
    let maker = ConditionBuilder { previous: previous.map(|p| p.conditions.as_slice()), generation, now };
    let service = |spec: &ServiceSpec| {
        let before = previous.and_then(|p| p.service(&spec.name));
        unseen(spec, before, generation, reason, now)
    };
    ObjectStatus {
        observed_generation: generation,
        observed_at: previous.and_then(|p| p.observed_at),
        engine: previous.and_then(|p| p.engine.clone()),
        suspension: previous.and_then(|p| p.suspension.clone()),
        conditions: vec![
            maker.make(ConditionType::Ready, ConditionStatus::Unknown, reason.clone(), message),
            maker.make(ConditionType::Reconciling, ConditionStatus::False, reason.clone(), ""),
            maker.make(ConditionType::Stalled, ConditionStatus::Unknown, reason.clone(), ""),
        ],
        services: services.iter().map(service).collect(),
        plan: Vec::new(),
        incident: previous.and_then(|p| p.incident.clone()),
        attempts: previous.map_or(0, |p| p.attempts),
        next_attempt_time: None,
    }
}

fn unseen(
    spec: &ServiceSpec,
    before: Option<&ServiceStatus>,
    generation: i64,
    reason: &Reason,
    now: Time,
) -> ServiceStatus {
    let maker =
        ConditionBuilder { previous: before.map(|before| before.conditions.as_slice()), generation, now };
    let layers = Layer::ALL.into_iter().filter(|layer| is_declared(*layer, spec, before));
    let kinds = layers.map(Layer::condition).chain([ConditionType::Reconciled]);
    let route = |route: &RouteSpec| {
        let same = |before: &&RouteStatus| before.name == route.display_name();
        unasked(route, before.and_then(|before| before.routes.iter().find(same)))
    };
    ServiceStatus {
        name: spec.name.clone(),
        drift: None,
        conditions: kinds
            .map(|kind| maker.make(kind, ConditionStatus::Unknown, reason.clone(), ""))
            .collect(),
        containers: Vec::new(),
        image: None,
        modules: spec.modules.iter().map(unknown_module).collect(),
        routes: spec.routes.iter().map(route).collect(),
        revision: spec.revision.as_ref().map(|_| RevisionStatus::default()),
        notes: Vec::new(),
    }
}

/// Whether the spec declares something for the layer. Of a service without modules only Compose knows whether it has an
/// artifact: then it has one if it had one when last observed.
fn is_declared(layer: Layer, spec: &ServiceSpec, before: Option<&ServiceStatus>) -> bool {
    let is_answered = |from: &RevisionPlace| matches!(from, RevisionPlace::Route(_));
    let revision = spec.revision.as_ref().map(|revision| is_answered(&revision.from));
    match layer {
        Layer::Source => spec.modules.iter().any(|module| module.source.is_some()),
        Layer::Artifact => {
            let had = |before: &ServiceStatus| before.conditions.iter().any(|c| c.kind == layer.condition());
            !spec.modules.is_empty() || revision == Some(false) || before.is_some_and(had)
        }
        Layer::Container => true,
        Layer::Route => !spec.routes.is_empty() || revision == Some(true),
        Layer::Auth => spec.routes.iter().any(|route| route.auth.is_some()),
    }
}

fn unknown_module(spec: &crate::api::ModuleSpec) -> ModuleStatus {
    let source = spec.source.as_ref().map_or(ModulePresence::Undeclared, |_| ModulePresence::Unknown);
    ModuleStatus {
        name: spec.display_name().into(),
        source,
        artifact: ModulePresence::Unknown,
        container: ModulePresence::Unknown,
        content: (spec.content == Content::Same)
            .then_some(ModuleContent { artifact: Sameness::Unknown, container: Sameness::Unknown }),
    }
}

fn unasked(spec: &RouteSpec, before: Option<&RouteStatus>) -> RouteStatus {
    RouteStatus {
        name: spec.display_name().into(),
        url: spec.url.as_deref().map(|url| without_query_values(url).into_owned()),
        expected: spec.expect.clone(),
        observed: None,
        control: None,
        transition: before.and_then(|before| before.transition),
        auth: spec.auth.as_ref().map(|auth| RouteAuthStatus {
            expected: auth.expect.clone(),
            observed: None,
            control: None,
            transition: before.and_then(|before| before.auth.as_ref()?.transition),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        api::Transition,
        decide::{History, Inputs, StatusInputs, decide, status},
        testing::fixtures::{at, desired, healthy},
    };

    fn away(services: &[ServiceSpec], previous: Option<&ObjectStatus>) -> ObjectStatus {
        failed_status(services, previous, 2, &"EngineUnavailable".into(), "no engine answers", at(60))
    }

    /// A healthy host, just repaired.
    fn seen() -> ObjectStatus {
        let (desired, observed) = (desired(), healthy());
        let history = History::default();
        let decision = decide(Inputs {
            desired: &desired,
            observed: &observed,
            history: &history,
            now: at(1),
            jitter_seed: 7,
        });
        let repaired = |before, after| Transition { before: Some(before), after: Some(after) };
        let transitions: BTreeMap<_, _> =
            [(("api".to_owned(), 0), (repaired(404, 401), Some(repaired(404, 200))))].into();
        status(StatusInputs {
            desired: &desired,
            generation: 1,
            observed: &observed,
            decision: &decision,
            suspended: None,
            previous: None,
            verified: &["api".into(), "dashboard".into()],
            transitions: &transitions,
            incident: Some("01J"),
            reconciling: false,
            now: at(1),
        })
    }

    #[test]
    fn while_the_engine_is_away_nothing_seen_earlier_is_shown() {
        let before = seen();
        let now = away(desired().services(), Some(&before));
        assert!(
            now.services.iter().flat_map(|s| &s.conditions).all(|c| c.status == ConditionStatus::Unknown)
        );
        let kinds = |status: &ObjectStatus| {
            let of = |s: &ServiceStatus| s.conditions.iter().map(|c| c.kind).collect::<Vec<_>>();
            status.services.iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(kinds(&now), kinds(&before), "the layers are those that are declared");
        for service in &now.services {
            assert!(service.containers.is_empty() && service.image.is_none() && service.drift.is_none());
        }
        let module = &now.services[0].modules[0];
        let unknown = ModulePresence::Unknown;
        assert_eq!((module.source, module.artifact, module.container), (unknown, unknown, unknown));
        let route = &now.services[0].routes[0];
        let auth = route.auth.as_ref().unwrap();
        assert_eq!((route.observed, route.control, &route.url), (None, None, &None));
        assert_eq!((auth.observed, auth.control), (None, None));
        // The history stays.
        let was = &before.services[0].routes[0];
        assert!(was.transition.is_some() && was.transition == route.transition);
        assert_eq!(was.auth.as_ref().unwrap().transition, auth.transition);
        assert_eq!(now.incident, before.incident);
    }

    #[test]
    fn the_rows_are_those_of_the_spec_and_not_of_an_earlier_one() {
        let mut renamed = desired();
        renamed.object.spec.services[1].name = "web".into();
        let names =
            |status: &ObjectStatus| status.services.iter().map(|s| s.name.clone()).collect::<Vec<_>>();
        for previous in [None, Some(&seen())] {
            let now = away(renamed.services(), previous);
            assert_eq!(names(&now), ["api", "web"]);
            let web = &now.services[1].conditions;
            let kinds: Vec<ConditionType> = web.iter().map(|condition| condition.kind).collect();
            assert_eq!(kinds, [ConditionType::ContainerCurrent, ConditionType::Reconciled]);
        }
    }

    #[test]
    fn a_condition_that_was_unknown_already_keeps_its_time() {
        let first = away(desired().services(), None);
        let later =
            failed_status(desired().services(), Some(&first), 2, &"EngineUnavailable".into(), "", at(90));
        let times = later.services.iter().flat_map(|s| &s.conditions).chain(&later.conditions);
        assert!(times.into_iter().all(|condition| condition.last_transition_time == at(60)));
    }
}

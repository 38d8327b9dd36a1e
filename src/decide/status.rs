//! Observation and decision in the shape that is reported.

use std::collections::BTreeMap;

use super::{
    Decision, Diagnosis, HeldBack, LayerVerdict, Next, Repair, Stability, UnknownLayer, churn::times,
    environment, notes,
};
use crate::api::{
    Answer, Condition, ConditionStatus, ConditionType, ContainerStatus, Content, ContentComparison,
    ContentObservation, Desired, Fact, ImageStatus, Layer, ModuleContent, ModulePresence, ModuleStatus,
    NoteReason, ObjectStatus, Presence, ProjectObservation, Reason, RevisionStatus, RouteAnswer,
    RouteAuthStatus, RouteObservation, RouteSpec, RouteStatus, Sameness, ServiceObservation, ServiceSpec,
    ServiceStatus, StandingReason, Suspension, Time, Transition, UnknownReason, without_query_values,
};

/// Whether a service's condition `Reconciled` states that everything visible of it was verified.
#[must_use]
pub fn is_verified(reconciled: &Condition) -> bool {
    reconciled.status == ConditionStatus::True || reconciled.reason.is(StandingReason::NotAllSeen)
}

/// All inputs of a status.
#[derive(Debug, Clone, Copy)]
pub struct StatusInputs<'a> {
    /// The declaration.
    pub desired: &'a Desired,
    /// The spec's generation.
    pub generation: i64,
    /// The observation.
    pub observed: &'a ProjectObservation,
    /// The decision.
    pub decision: &'a Decision,
    /// The person's suspension that holds.
    pub suspended: Option<&'a Suspension>,
    /// The previous status, for the times of transitions.
    pub previous: Option<&'a ObjectStatus>,
    /// The services that are verified as they are.
    pub verified: &'a [String],
    /// The transitions of a repair that was just verified: `(service, index of the route) → (plain, with
    /// credentials)`.
    pub transitions: &'a BTreeMap<(String, usize), (Transition, Option<Transition>)>,
    /// The incident that is open, or the last one.
    pub incident: Option<&'a str>,
    /// Whether undrift is working on the object, or only observes.
    pub reconciling: bool,
    /// The current time.
    pub now: Time,
}

/// The status of an object.
#[must_use]
pub fn status(inputs: StatusInputs<'_>) -> ObjectStatus {
    let StatusInputs { desired, decision, observed, .. } = inputs;
    let services = desired.services().iter().zip(&decision.services);
    let services = services.filter_map(|(spec, diagnosis)| {
        let seen = observed.service(&spec.name)?;
        Some(service(inputs, spec, seen, diagnosis))
    });
    let services: Vec<ServiceStatus> = services.collect();
    ObjectStatus {
        observed_generation: inputs.generation,
        observed_at: Some(observed.at),
        engine: observed.engine.clone().or_else(|| inputs.previous.and_then(|p| p.engine.clone())),
        suspension: inputs.suspended.cloned(),
        conditions: object_conditions(inputs, &services),
        services,
        plan: decision.plan.clone(),
        incident: inputs.incident.map(str::to_owned),
        attempts: current_attempts(inputs),
        next_attempt_time: next_attempt(decision),
    }
}

fn object_conditions(inputs: StatusInputs<'_>, services: &[ServiceStatus]) -> Vec<Condition> {
    let previous = inputs.previous.map(|p| p.conditions.as_slice());
    let maker = ConditionBuilder { previous, generation: inputs.generation, now: inputs.now };
    vec![ready(inputs, services, &maker), reconciling(inputs, &maker), stalled(inputs, &maker)]
}

fn ready(inputs: StatusInputs<'_>, services: &[ServiceStatus], maker: &ConditionBuilder<'_>) -> Condition {
    let kind = ConditionType::Ready;
    let drifts: Vec<String> = services
        .iter()
        .filter_map(|s| s.drift.as_ref().map(|d| format!("{}: {} layer, {}", s.name, d.layer, d.reason)))
        .collect();
    let unknowns: Vec<String> = inputs
        .decision
        .services
        .iter()
        .flat_map(|d| d.unknown.iter().chain(&d.unverifiable).map(move |unknown| (&d.service, unknown)))
        .map(|(service, unknown)| format!("{service}: {} layer, {}", unknown.layer, unknown.message))
        .collect();
    let ready = if !drifts.is_empty() {
        maker.make(kind, ConditionStatus::False, StandingReason::DriftDetected, &drifts.join("; "))
    } else if !unknowns.is_empty() {
        maker.make(kind, ConditionStatus::Unknown, common_reason(inputs.decision), &unknowns.join("; "))
    } else {
        let is_valid = inputs.desired.superseded_by.is_none();
        let reason = if is_valid { StandingReason::AsDeclared } else { StandingReason::ManifestInvalid };
        maker.make(kind, ConditionStatus::True, reason, AS_DECLARED)
    };
    Condition { message: with_superseded_by(ready.message, inputs.desired), ..ready }
}

fn reconciling(inputs: StatusInputs<'_>, maker: &ConditionBuilder<'_>) -> Condition {
    let rate_exceeded = inputs.decision.rate_exceeded();
    let waits = waits(inputs.decision);
    let (status, reason, words) = match (&inputs.decision.held_back, &inputs.decision.next) {
        (Some(HeldBack::Suspended(words)), _) => {
            (ConditionStatus::False, Reason::from(StandingReason::Suspended), words.as_str())
        }
        (Some(HeldBack::ObserveOnly), _) => {
            (ConditionStatus::False, StandingReason::ObserveOnly.into(), "spec.reconcile.mode is observe")
        }
        (Some(HeldBack::EnvironmentDiffers(words)), _) => {
            (ConditionStatus::False, NoteReason::EnvironmentDiffers.into(), words.as_str())
        }
        (None, _) if rate_exceeded.is_some() => {
            let words = rate_exceeded.as_deref().unwrap_or_default();
            (ConditionStatus::False, StandingReason::RateExceeded.into(), words)
        }
        (None, Next::Execute(_) | Next::Wait(_) | Next::Verify(_)) if inputs.reconciling => {
            (ConditionStatus::True, StandingReason::Progressing.into(), waits.as_str())
        }
        _ => (ConditionStatus::False, StandingReason::Idle.into(), ""),
    };
    maker.make(ConditionType::Reconciling, status, reason, words)
}

fn stalled(inputs: StatusInputs<'_>, maker: &ConditionBuilder<'_>) -> Condition {
    let kind = ConditionType::Stalled;
    match &inputs.decision.next {
        Next::GiveUp { reason, message } => maker.make(kind, ConditionStatus::True, reason.clone(), message),
        _ => maker.make(kind, ConditionStatus::False, StandingReason::NotStalled, ""),
    }
}

/// The name of the unknown fact if it is one for all services.
fn common_reason(decision: &Decision) -> UnknownReason {
    let mut reasons =
        decision.services.iter().flat_map(|d| d.unknown.iter().chain(&d.unverifiable)).map(|u| u.reason);
    let first = reasons.next().unwrap_or(UnknownReason::NotKnown);
    if reasons.all(|reason| reason == first) { first } else { UnknownReason::NotKnown }
}

/// What undrift waits for, in words, if nothing else is to be done.
fn waits(decision: &Decision) -> String {
    if !matches!(decision.next, Next::Wait(_)) {
        return String::new();
    }
    let waits = decision.repair_options.iter().filter_map(|option| match &option.repair {
        Repair::Wait { message, .. } => Some(format!("{}: {message}", option.service)),
        _ => None,
    });
    waits.collect::<Vec<_>>().join("; ")
}

/// The message of an object that is as declared.
pub const AS_DECLARED: &str = "every layer is as declared";

/// A person who edited a manifest must not mistake an earlier spec's status for the new one's.
#[must_use]
pub fn with_superseded_by(message: String, desired: &Desired) -> String {
    match &desired.superseded_by {
        None => message,
        Some(fault) => with_fault(&message, fault),
    }
}

/// A message about an object, with the fault of the manifest on disk, which is not in effect.
#[must_use]
pub fn with_fault(message: &str, fault: &str) -> String {
    format!("{message}; this is of the last valid manifest: the one on disk is not in effect ({fault})")
}

/// Makes conditions whose transition time moves only when their status flips.
pub(super) struct ConditionBuilder<'a> {
    pub(super) previous: Option<&'a [Condition]>,
    pub(super) generation: i64,
    pub(super) now: Time,
}

impl ConditionBuilder<'_> {
    pub(super) fn make(
        &self,
        kind: ConditionType,
        status: ConditionStatus,
        reason: impl Into<Reason>,
        message: &str,
    ) -> Condition {
        let before = self.previous.and_then(|all| all.iter().find(|c| c.kind == kind));
        let since = before.filter(|c| c.status == status).map_or(self.now, |c| c.last_transition_time);
        Condition {
            kind,
            status,
            reason: reason.into(),
            message: message.into(),
            last_transition_time: since,
            observed_generation: self.generation,
        }
    }
}

fn service(
    inputs: StatusInputs<'_>,
    spec: &ServiceSpec,
    seen: &ServiceObservation,
    diagnosis: &Diagnosis,
) -> ServiceStatus {
    let previous = inputs.previous.and_then(|p| p.service(&spec.name));
    let environment =
        environment::note(&inputs.decision.environment_differs, diagnosis, &inputs.decision.services);
    ServiceStatus {
        name: spec.name.clone(),
        drift: diagnosis.drift.clone(),
        conditions: service_conditions(inputs, diagnosis, previous),
        containers: containers(seen),
        image: Some(ImageStatus {
            reference: seen.artifact.reference.clone(),
            id: seen.artifact.image.known().cloned().flatten(),
        }),
        modules: modules(spec, seen),
        routes: routes(inputs, spec, seen, previous),
        revision: seen.revision.as_ref().map(RevisionStatus::from),
        notes: notes::notes(inputs.now, seen)
            .into_iter()
            .chain(diagnosis.notes.iter().cloned())
            .chain(environment)
            .collect(),
    }
}

fn service_conditions(
    inputs: StatusInputs<'_>,
    diagnosis: &Diagnosis,
    previous: Option<&ServiceStatus>,
) -> Vec<Condition> {
    let previous = previous.map(|p| p.conditions.as_slice());
    let maker = ConditionBuilder { previous, generation: inputs.generation, now: inputs.now };
    let layers = Layer::ALL.into_iter().zip(&diagnosis.layers).filter_map(|(layer, verdict)| {
        let kind = layer.condition();
        match verdict {
            LayerVerdict::Undeclared => None,
            LayerVerdict::AsDeclared(note) => {
                let note = note.as_deref().unwrap_or_default();
                Some(maker.make(kind, ConditionStatus::True, StandingReason::AsDeclared, note))
            }
            LayerVerdict::Broken(reason, message) => {
                Some(maker.make(kind, ConditionStatus::False, *reason, message))
            }
            LayerVerdict::Unknown(reason, why) | LayerVerdict::Unverifiable(reason, why) => {
                Some(maker.make(kind, ConditionStatus::Unknown, *reason, why))
            }
        }
    });
    let stability = inputs.decision.stability.get(&diagnosis.service);
    let stable = stability.map(|stability| stable(inputs, stability, &maker));
    layers.chain([reconciled(inputs, diagnosis, &maker)]).chain(stable).collect()
}

fn stable(inputs: StatusInputs<'_>, stability: &Stability, maker: &ConditionBuilder<'_>) -> Condition {
    let kind = ConditionType::Stable;
    match stability {
        Stability::RestartsOften(words) => {
            maker.make(kind, ConditionStatus::False, StandingReason::RestartsOften, words)
        }
        Stability::Stable(0) => maker.make(kind, ConditionStatus::True, StandingReason::AsDeclared, ""),
        Stability::Stable(most) => {
            let within = inputs.desired.object.spec.reconcile.churn.within;
            let words = format!("restarted {} within {within}", times(*most));
            maker.make(kind, ConditionStatus::True, StandingReason::AsDeclared, &words)
        }
    }
}

fn reconciled(inputs: StatusInputs<'_>, diagnosis: &Diagnosis, maker: &ConditionBuilder<'_>) -> Condition {
    let kind = ConditionType::Reconciled;
    if let Some(drift) = &diagnosis.drift {
        return maker.make(kind, ConditionStatus::False, drift.reason, &drift.message);
    }
    if let Some(unknown) = &diagnosis.unknown {
        return maker.make(kind, ConditionStatus::Unknown, unknown.reason, &unknown.message);
    }
    let was_verified = inputs.verified.contains(&diagnosis.service);
    if let Some(UnknownLayer { reason, message: why, .. }) = &diagnosis.unverifiable {
        let (reason, message) = if was_verified {
            (
                Reason::from(StandingReason::NotAllSeen),
                format!("all else was as declared for the whole stability window; {why}"),
            )
        } else {
            ((*reason).into(), why.clone())
        };
        return maker.make(kind, ConditionStatus::Unknown, reason, &message);
    }
    if was_verified {
        return maker.make(
            kind,
            ConditionStatus::True,
            StandingReason::Verified,
            "as declared for the whole stability window",
        );
    }
    maker.make(
        kind,
        ConditionStatus::Unknown,
        StandingReason::NotVerified,
        "as declared in one look; no stability window was held",
    )
}

fn containers(seen: &ServiceObservation) -> Vec<ContainerStatus> {
    let row = |c: &crate::api::ContainerObservation| ContainerStatus {
        id: c.id.clone(),
        name: c.name.clone(),
        image_id: c.image_id.clone(),
        state: c.state.as_str().into(),
        started_at: c.started_at,
        restart_count: c.restart_count,
        differences: c.differences.known().cloned().unwrap_or_default(),
    };
    seen.containers.known().into_iter().flatten().map(row).collect()
}

fn modules(spec: &ServiceSpec, seen: &ServiceObservation) -> Vec<ModuleStatus> {
    let rows = spec.modules.iter().enumerate().map(|(index, module)| ModuleStatus {
        name: module.display_name().into(),
        source: match (&module.source, seen.source.modules.get(index)) {
            (Some(_), Some(Some(fact))) => presence(fact),
            (Some(_), _) => ModulePresence::Unknown,
            (None, _) => ModulePresence::Undeclared,
        },
        artifact: match (&seen.artifact.image, seen.artifact.modules.get(index)) {
            (Fact::Known(None), _) if seen.buildable => ModulePresence::Missing,
            (Fact::Known(Some(_)), Some(module)) => presence(&module.presence),
            _ => ModulePresence::Unknown,
        },
        container: in_containers(seen, index),
        content: (module.content == Content::Same).then(|| content(seen, index)),
    });
    rows.collect()
}

/// How the files of a module compare with its source. Of several containers the worst one counts.
fn content(seen: &ServiceObservation, index: usize) -> ModuleContent {
    let in_image = seen.artifact.modules.get(index).and_then(|module| module.content.as_ref());
    let containers = seen.containers.known().into_iter().flatten();
    let in_container = containers.map(|container| {
        let content = container.modules.get(index).and_then(|module| module.content.as_ref());
        sameness(content, ContentComparison::holds_the_source)
    });
    ModuleContent {
        artifact: sameness(in_image, ContentComparison::is_same),
        container: in_container.max().unwrap_or(Sameness::Unknown),
    }
}

fn sameness(content: Option<&ContentObservation>, is_same: impl Fn(&ContentComparison) -> bool) -> Sameness {
    match content {
        Some(ContentObservation::Compared(compared)) if is_same(compared) => Sameness::Same,
        Some(ContentObservation::Compared(_)) => Sameness::Differs,
        _ => Sameness::Unknown,
    }
}

/// In every container: missing from one means missing.
fn in_containers(seen: &ServiceObservation, index: usize) -> ModulePresence {
    let Fact::Known(containers) = &seen.containers else { return ModulePresence::Unknown };
    if containers.is_empty() && seen.replicas == 0 {
        return ModulePresence::Undeclared;
    }
    let of = |c: &crate::api::ContainerObservation| {
        c.modules.get(index).map_or(ModulePresence::Unknown, |m| presence(&m.presence))
    };
    let each: Vec<ModulePresence> = containers.iter().map(of).collect();
    if each.is_empty() || each.contains(&ModulePresence::Missing) {
        ModulePresence::Missing
    } else if each.contains(&ModulePresence::Unknown) {
        ModulePresence::Unknown
    } else {
        ModulePresence::Present
    }
}

const fn presence(fact: &Fact<Presence>) -> ModulePresence {
    match fact {
        Fact::Known(Presence::Present) => ModulePresence::Present,
        Fact::Known(Presence::Missing | Presence::WrongType) => ModulePresence::Missing,
        Fact::Unknown(_) => ModulePresence::Unknown,
    }
}

fn routes(
    inputs: StatusInputs<'_>,
    spec: &ServiceSpec,
    seen: &ServiceObservation,
    previous: Option<&ServiceStatus>,
) -> Vec<RouteStatus> {
    let rows = spec.routes.iter().enumerate().map(|(index, route_spec)| {
        let key = (spec.name.clone(), index);
        let before = previous.and_then(|p| before_of(p, index, route_spec)).filter(|_| same_incident(inputs));
        let (plain, auth) = match inputs.transitions.get(&key) {
            Some((plain, auth)) => (Some(*plain), *auth),
            None => (before.and_then(|b| b.transition), before.and_then(|b| b.auth.as_ref()?.transition)),
        };
        route(route_spec, seen.routes.get(index), plain, auth)
    });
    rows.collect()
}

/// The route as it was reported before: by its place, or where an `each` has moved it, by its name.
fn before_of<'a>(previous: &'a ServiceStatus, index: usize, spec: &RouteSpec) -> Option<&'a RouteStatus> {
    let name = spec.display_name();
    let is_same = |route: &&RouteStatus| route.name == name;
    previous.routes.get(index).filter(is_same).or_else(|| previous.routes.iter().find(is_same))
}

/// A transition belongs to its incident: it stays in the status until the next one opens.
fn same_incident(inputs: StatusInputs<'_>) -> bool {
    inputs.previous.is_some_and(|p| p.incident.is_some() && p.incident.as_deref() == inputs.incident)
}

fn route(
    spec: &RouteSpec,
    seen: Option<&RouteObservation>,
    transition: Option<Transition>,
    auth_transition: Option<Transition>,
) -> RouteStatus {
    let telling = seen.and_then(|seen| telling(spec, seen));
    let status = |fact: Option<&Fact<Answer>>| fact.and_then(Fact::known).and_then(Answer::status);
    RouteStatus {
        name: spec.display_name().into(),
        url: telling
            .map(|answer| answer.url.clone())
            .or_else(|| spec.url.as_deref().map(|url| without_query_values(url).into_owned())),
        expected: spec.expect.clone(),
        observed: status(telling.map(|answer| &answer.plain)),
        control: status(telling.and_then(|answer| answer.control.as_ref())),
        transition,
        auth: spec.auth.as_ref().map(|auth| RouteAuthStatus {
            expected: auth.expect.clone(),
            observed: status(telling.and_then(|answer| answer.auth.as_ref())),
            control: status(telling.and_then(|answer| answer.auth_control.as_ref())),
            transition: auth_transition,
        }),
    }
}

/// Of several replicas' answers the first that is not as declared, otherwise the first.
fn telling<'a>(spec: &RouteSpec, seen: &'a RouteObservation) -> Option<&'a RouteAnswer> {
    let wrong = |answer: &&RouteAnswer| {
        let status = answer.plain.known().and_then(Answer::status);
        !status.is_some_and(|status| spec.expect.contains(&status))
    };
    seen.answers.iter().find(wrong).or_else(|| seen.answers.first())
}

/// The count of the present drifts, the largest; if there are none, of the repairs that led here.
fn current_attempts(inputs: StatusInputs<'_>) -> u32 {
    let rows = &inputs.decision.attempts;
    let now = rows.iter().filter(|row| {
        let diagnosis = inputs.decision.services.iter().find(|d| d.service == row.service);
        let drift = diagnosis.and_then(|d| d.drift.as_ref());
        drift.is_some_and(|drift| (drift.layer, drift.reason) == (row.layer, row.reason))
    });
    let now = now.map(|row| row.attempts).max();
    now.or_else(|| rows.iter().map(|row| row.attempts).max()).unwrap_or(0)
}

fn next_attempt(decision: &Decision) -> Option<Time> {
    let times = decision.repair_options.iter().filter_map(|p| match &p.repair {
        Repair::Steps(_, at) => *at,
        _ => p.started_again_at,
    });
    times.min()
}

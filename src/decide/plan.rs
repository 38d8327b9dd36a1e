//! The steps of several services as one plan, and the one thing to do now.

use chrono::TimeDelta;

use super::{
    Diagnosis, Inputs, Repair, RepairOption, held_back, identities,
    order::{RESTARTS_LAST, UpPhase},
    settling,
};
use crate::api::{
    PlannedStep, Reason, RouteAnswer, StallReason, StandingReason, Step, StepKind, Time, UnknownReason,
};

/// The least and the longest wait before observing again something that may pass by itself.
const LOOK_AGAIN_AFTER: (TimeDelta, TimeDelta) = (TimeDelta::milliseconds(100), TimeDelta::seconds(2));

/// The next action.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Nothing: everything is as declared and verified, or undrift must not act.
    Nothing,
    /// Keep observing for the stability window: these services are as declared and not yet verified.
    Verify(Vec<String>),
    /// Take this step, then observe again.
    Execute(PlannedStep),
    /// Observe again at that time: a backoff, or something that may pass by itself.
    Wait(Time),
    /// Give up until the spec or the source changes.
    GiveUp {
        /// Why.
        reason: Reason,
        /// Why, in words.
        message: String,
    },
}

/// The plan of the services that `wanted` selects. Quick repairs come first, so that a stopped container does not wait for
/// another service's build.
pub(super) fn plan(
    repair_options: &[RepairOption],
    wanted: impl Fn(&RepairOption) -> bool,
) -> Vec<PlannedStep> {
    let mut plan: Vec<PlannedStep> = Vec::new();
    let mut places: Vec<(PlanPosition, Option<&str>)> = Vec::new();
    for option in repair_options.iter().filter(|p| wanted(p)) {
        let Repair::Steps(steps, _) = &option.repair else { continue };
        for (index, step) in steps.iter().enumerate() {
            let apart = option.build_separately && matches!(step, Step::Build { .. });
            let place = (place(option, index, *step), apart.then_some(option.service.as_str()));
            let words = format!("{}: {}", option.service, option.why);
            if let Some(at) = places.iter().position(|p| *p == place) {
                let same = &mut plan[at];
                same.services.push(option.service.clone());
                same.reason = format!("{}; {words}", same.reason);
                let more = option.order.on_behalf_of.iter().filter(|s| !same.on_behalf_of.contains(s));
                same.on_behalf_of.extend(more.cloned().collect::<Vec<_>>());
            } else {
                places.push(place);
                plan.push(PlannedStep {
                    step: *step,
                    services: vec![option.service.clone()],
                    reason: words,
                    on_behalf_of: option.order.on_behalf_of.clone(),
                });
            }
        }
    }
    let mut order: Vec<usize> = (0..plan.len()).collect();
    order.sort_by_key(|at| places[*at]);
    order.into_iter().map(|at| plan[at].clone()).collect()
}

/// The position of a step among those of others; one command takes the steps of one position.
pub(super) type PlanPosition = (u8, UpPhase, Step);

/// The position of a service's step, by its index among those of that service.
pub(super) fn place(option: &RepairOption, index: usize, step: Step) -> PlanPosition {
    let phase = if step.kind() == StepKind::Up { option.order.phase } else { UpPhase::Anybody };
    (rank(step, index + option.order.after), phase, step)
}

fn rank(step: Step, index: usize) -> u8 {
    match (step.kind(), index) {
        (StepKind::Rollback, _) => 0,
        // A service that restarts with another comes when that one is there.
        (StepKind::Restart, RESTARTS_LAST..) => 5,
        (StepKind::Restart | StepKind::Reload, _) => 1,
        (StepKind::Up, 0) => 2,
        (StepKind::Build, _) => 3,
        (StepKind::Up, _) => 4,
    }
}

/// The one thing to do now.
pub(super) fn next(inputs: Inputs<'_>, services: &[Diagnosis], repair_options: &[RepairOption]) -> Next {
    if held_back(inputs).is_some() {
        // Observing is no step: undrift verifies a person's repair all the same.
        return next_look(inputs, services, repair_options);
    }
    let ready = plan(
        repair_options,
        |p| matches!(p.repair, Repair::Steps(_, at) if at.is_none_or(|at| at <= inputs.now)),
    );
    if !ready.is_empty() && inputs.observed.external_activity.is_some() {
        return Next::Wait(look_again(inputs));
    }
    if let Some(step) = ready.into_iter().next() {
        return Next::Execute(step);
    }
    let unverified = unverified(inputs, services);
    if let Some(verifiable) = verifiable(inputs, &unverified) {
        return Next::Verify(verifiable);
    }
    if let Some(at) = repair_options.iter().filter_map(|p| look_again_at(inputs, p)).min() {
        return Next::Wait(at);
    }
    give_up(services, repair_options, &unverified)
}

/// What to do if no step may be taken: undrift observes anything that may pass by itself until it has, so that a person who
/// just repaired something by hand sees it.
fn next_look(inputs: Inputs<'_>, services: &[Diagnosis], repair_options: &[RepairOption]) -> Next {
    if let Some(verifiable) = verifiable(inputs, &unverified(inputs, services)) {
        return Next::Verify(verifiable);
    }
    let passing = repair_options.iter().filter(|p| matches!(p.repair, Repair::Wait { .. }));
    match passing.filter_map(|p| look_again_at(inputs, p)).min() {
        Some(at) => Next::Wait(at),
        // As declared because it was rolled back: reported even if undrift may not act any more.
        None if services.iter().all(Diagnosis::as_declared) => give_up(services, repair_options, &[]),
        None => Next::Nothing,
    }
}

/// Services that look as declared, and were not verified as they are.
fn unverified(inputs: Inputs<'_>, services: &[Diagnosis]) -> Vec<String> {
    let verified = |diagnosis: &&Diagnosis| {
        let seen = inputs.observed.service(&diagnosis.service);
        let verification = inputs.history.verified.get(&diagnosis.service);
        seen.is_some_and(|seen| verification.is_some_and(|verification| *verification == identities(seen)))
    };
    let unverified = services.iter().filter(|d| d.holds()).filter(|d| !verified(d));
    unverified.map(|d| d.service.clone()).collect()
}

/// Those of them that may be verified now. A window that has begun runs to its end, even past the time that services have to
/// become as declared; no service begins a new one then.
fn verifiable(inputs: Inputs<'_>, unverified: &[String]) -> Option<Vec<String>> {
    let may_be = |service: &&String| {
        inputs.now < settling::deadline(inputs, service) || inputs.history.verifying.contains(*service)
    };
    let verifiable: Vec<String> = unverified.iter().filter(may_be).cloned().collect();
    (!verifiable.is_empty()).then_some(verifiable)
}

/// Soon at first, for a server that has just started, then less and less often: after a tenth of the time that it has
/// lasted. A condition that has lasted for minutes is not worth ten observations a second.
fn look_again(inputs: Inputs<'_>) -> Time {
    let (least, longest) = LOOK_AGAIN_AFTER;
    let lasted = inputs.now - settling::looking_since(inputs);
    // If the clock was set back, the beginning lies in the future: its age is unknown.
    let wait = if lasted < TimeDelta::zero() { longest } else { (lasted / 10).clamp(least, longest) };
    inputs.now + wait
}

fn look_again_at(inputs: Inputs<'_>, option: &RepairOption) -> Option<Time> {
    match &option.repair {
        Repair::Steps(_, at) => *at,
        Repair::Wait { until, reason, .. } => {
            let is_limited = reason.is(UnknownReason::RateLimited);
            let opens = is_limited.then(|| opens_at(inputs, &option.service)).flatten();
            Some(look_again(inputs).max(opens.unwrap_or(inputs.now)).min(*until))
        }
        Repair::Nothing | Repair::Stalled { .. } => None,
    }
}

/// When a route whose server limits requests may be probed again. An earlier observation would learn nothing about it.
fn opens_at(inputs: Inputs<'_>, service: &str) -> Option<Time> {
    let seen = inputs.observed.service(service)?;
    seen.routes.iter().flat_map(|route| &route.answers).filter_map(RouteAnswer::limited_until).max()
}

fn give_up(services: &[Diagnosis], repair_options: &[RepairOption], unverified: &[String]) -> Next {
    let mut stalled = repair_options.iter().filter_map(|p| match &p.repair {
        Repair::Stalled { reason, message } => Some((reason, in_words(p, message))),
        _ => None,
    });
    if let Some((reason, first)) = stalled.next() {
        let messages: Vec<String> = std::iter::once(first).chain(stalled.map(|(_, words)| words)).collect();
        return Next::GiveUp { reason: reason.clone(), message: messages.join("; ") };
    }
    if unverified.is_empty() {
        return not_known(services);
    }
    let message = format!("{} did not stay as declared for the stability window", unverified.join(", "));
    Next::GiveUp { reason: StandingReason::NotVerified.into(), message }
}

/// Why undrift tries nothing more for a service, and what it does for it all the same.
fn in_words(option: &RepairOption, message: &str) -> String {
    let service = &option.service;
    match option.started_again_at {
        None => format!("{service}: {message}"),
        Some(at) => {
            let at = at.format("%H:%M:%S UTC");
            format!(
                "{service}: {message}; something else ends it each time or has its port, and it is started again at {at}"
            )
        }
    }
}

/// Everything visible is as declared and verified. The invisible rest keeps the object from being reported as reconciled.
fn not_known(services: &[Diagnosis]) -> Next {
    let unverifiable = services
        .iter()
        .filter_map(|d| d.unverifiable.as_ref().map(|u| format!("{}: {}", d.service, u.message)));
    let messages: Vec<String> = unverifiable.collect();
    if messages.is_empty() {
        return Next::Nothing;
    }
    Next::GiveUp { reason: StallReason::Unknown.into(), message: messages.join("; ") }
}

//! How a known obstacle restricts a repair.
//!
//! undrift does not begin a step that ends a working container and cannot be verified afterwards: it would replace a working
//! container by one of unknown state. A stopped service is started all the same. And undrift does not wait for what cannot
//! pass by itself.

use chrono::TimeDelta;

use super::{Diagnosis, Inputs, Repair, checks, rate};
use crate::api::{
    Answer, ContainerObservation, ContainerState, Drift, DriftReason, Fact, Health, Layer, NoteReason,
    Obstacle, Reason, ServiceObservation, StallReason, Step, StepKind, Time,
};

/// How long a server may take until it listens at a port that nothing exposes. After that undrift no longer expects one.
const LISTENS_WITHIN: TimeDelta = TimeDelta::seconds(30);

/// The obstacles that do not pass with time.
pub(super) fn certain(now: Time, seen: &ServiceObservation) -> impl Iterator<Item = &Obstacle> {
    seen.obstacles.iter().filter(move |obstacle| may_listen_until(now, seen, obstacle).is_none())
}

/// The repair, restricted by what is known beforehand.
pub(super) fn held(
    inputs: Inputs<'_>,
    seen: &ServiceObservation,
    diagnosis: &Diagnosis,
    repair: Repair,
) -> Repair {
    match repair {
        Repair::Steps(steps, at) => match steps_that_may_be_taken(inputs, seen, diagnosis, steps, at) {
            Repair::Steps(steps, at) => steps_beside_git(inputs, seen, diagnosis, steps, at),
            other => other,
        },
        Repair::Wait { until, reason, message } => {
            wait_that_may_end(inputs, seen, diagnosis, (until, reason, message))
        }
        other => other,
    }
}

fn steps_that_may_be_taken(
    inputs: Inputs<'_>,
    seen: &ServiceObservation,
    diagnosis: &Diagnosis,
    steps: Vec<Step>,
    at: Option<Time>,
) -> Repair {
    let works = works(inputs, seen);
    let builds = steps.iter().any(|step| step.kind() == StepKind::Build);
    // A rollback restores what was lost, and a reload ends no container.
    let ends = works && steps.iter().any(|step| !matches!(step, Step::Start | Step::Rollback | Step::Reload));
    // A container keeps its ports across a restart.
    let replaces = works && steps.iter().any(|step| matches!(step, Step::Up { .. }));
    let Some(obstacle) = seen.obstacles.iter().find(|obstacle| match obstacle.reason {
        NoteReason::BuildFilesMissing => builds,
        NoteReason::PortTaken => replaces,
        _ => ends,
    }) else {
        return Repair::Steps(steps, at);
    };
    if let Some(start) = rate::start_at(inputs, seen, diagnosis, at) {
        return Repair::Steps(vec![Step::Start], Some(start).filter(|at| *at > inputs.now));
    }
    let why = match obstacle.reason {
        NoteReason::BuildFilesMissing => "a build could not work",
        NoteReason::PortTaken => "no step is begun that would leave a working service without its port",
        _ => "no step is begun that ends a working container and could not be verified afterwards",
    };
    let message = format!("{why}: {}", obstacle.in_words());
    match may_listen_until(inputs.now, seen, obstacle) {
        Some(until) => Repair::Wait { until, reason: obstacle.reason.into(), message },
        None => Repair::Stalled { reason: obstacle.reason.into(), message },
    }
}

/// No build begins while git changes the files that it would read. What is down is started meanwhile.
fn steps_beside_git(
    inputs: Inputs<'_>,
    seen: &ServiceObservation,
    diagnosis: &Diagnosis,
    steps: Vec<Step>,
    at: Option<Time>,
) -> Repair {
    let builds = steps.iter().any(|step| step.kind() == StepKind::Build);
    let is_due = at.is_none_or(|at| at <= inputs.now);
    let lock = seen.source.git_lock.as_ref().filter(|_| builds && is_due);
    let Some((lock, until)) = lock.and_then(|lock| Some((lock, lock.waited_for_until(inputs.now)?))) else {
        return Repair::Steps(steps, at);
    };
    if let Some(start) = rate::start_at(inputs, seen, diagnosis, at) {
        return Repair::Steps(vec![Step::Start], Some(start).filter(|at| *at > inputs.now));
    }
    let reason = diagnosis.drift.as_ref().map_or(StallReason::Unknown.into(), |drift| drift.reason.into());
    Repair::Wait { until, reason, message: format!("no build begins now: {}", lock.in_words()) }
}

/// Until when a server may yet listen at a port that nothing exposes.
fn may_listen_until(now: Time, seen: &ServiceObservation, obstacle: &Obstacle) -> Option<Time> {
    if obstacle.reason != NoteReason::PortNotExposed {
        return None;
    }
    let starts = running(seen).filter_map(|container| container.started_at);
    // If the clock was set back, a start in the future counts as long ago.
    let youngest = starts.filter(|start| *start <= now).max()?;
    Some(youngest + LISTENS_WITHIN).filter(|until| now < *until)
}

/// Whether a container of the service works: it runs, does not die again and again, and does not fail its health check,
/// whatever its routes answer.
pub(super) fn works(inputs: Inputs<'_>, seen: &ServiceObservation) -> bool {
    running(seen).any(|container| {
        container.health != Some(Health::Unhealthy) && !checks::is_looping(inputs, container)
    })
}

fn running(seen: &ServiceObservation) -> impl Iterator<Item = &ContainerObservation> {
    let containers = seen.containers.known().into_iter().flatten();
    containers.filter(|container| container.state == ContainerState::Running && !container.restarting)
}

/// A wait for something that cannot pass by itself ends at once. A port that nothing exposes is different: a server may take its
/// time to listen there.
fn wait_that_may_end(
    inputs: Inputs<'_>,
    seen: &ServiceObservation,
    diagnosis: &Diagnosis,
    (until, reason, message): (Time, Reason, String),
) -> Repair {
    if let Some(obstacle) = waited_for_in_vain(diagnosis, seen, &reason) {
        return Repair::Stalled { reason: obstacle.reason.into(), message: obstacle.in_words() };
    }
    let refused = diagnosis.drift.as_ref().is_some_and(|drift| is_refused(drift, seen));
    let until = if refused { until.min(judged_from(inputs, seen)) } else { until };
    if refused && until <= inputs.now {
        let message = format!("{message}; credentials that are refused are not accepted by waiting");
        return Repair::Stalled { reason, message };
    }
    Repair::Wait { until, reason, message }
}

/// The obstacle that makes undrift wait for a service.
fn waited_for_in_vain<'a>(
    diagnosis: &Diagnosis,
    seen: &'a ServiceObservation,
    reason: &Reason,
) -> Option<&'a Obstacle> {
    let unknown = diagnosis.unknown.as_ref().map(|unknown| unknown.layer);
    let is_unknown = reason.is(StallReason::Unknown);
    let kind = match (&diagnosis.drift, unknown) {
        (None, Some(Layer::Auth)) if is_unknown => NoteReason::CredentialsUnreadable,
        (_, Some(Layer::Route)) if is_unknown => NoteReason::NotReachable,
        // Only credentials would settle it.
        (Some(drift), None) if drift.reason == DriftReason::Indistinguishable => {
            NoteReason::CredentialsUnreadable
        }
        _ => return None,
    };
    seen.obstacles.iter().find(|obstacle| obstacle.reason == kind)
}

/// Whether the server knows the credentials and rejects them (401 or 403): a server that is just starting does not answer so,
/// as it may with 404 or 503.
fn is_refused(drift: &Drift, seen: &ServiceObservation) -> bool {
    let status = |auth: &Fact<Answer>| auth.known().and_then(Answer::status);
    let answers = seen.routes.iter().flat_map(|route| &route.answers);
    drift.reason == DriftReason::Rejected
        && answers
            .filter_map(|answer| answer.auth.as_ref().and_then(status))
            .any(|code| matches!(code, 401 | 403))
}

/// From when on a refusal counts: a server that was only just started has the stability window to load its users.
fn judged_from(inputs: Inputs<'_>, seen: &ServiceObservation) -> Time {
    let starts = running(seen).filter_map(|container| container.started_at);
    let youngest = starts.filter(|start| *start <= inputs.now).max().unwrap_or(inputs.now);
    youngest + inputs.desired.object.spec.reconcile.verify.stable_for.delta()
}

//! Whether the image that ran before a repair should run again, and whether that has helped.

use chrono::TimeDelta;

use super::{
    Diagnosis, Inputs, LayerVerdict,
    repair::{ROLLBACK_IN_VAIN, ROLLED_BACK},
};
use crate::api::{
    ConditionType, Drift, Fact, Layer, ObjectStatus, Reason, ServiceObservation, ServiceStatus, Step,
    StepOutcome,
};

/// For how long after an `Up` a container that goes wrong is taken for that step's doing.
const JUDGED_FOR: TimeDelta = TimeDelta::minutes(10);

/// Whether the service is worse off than before undrift replaced its container, so that the image that ran
/// before should run again.
pub(super) fn is_worse(inputs: Inputs<'_>, seen: &ServiceObservation, drift: &Drift) -> bool {
    let Some(incident) = &inputs.history.incident else { return false };
    let Some(before) = service_before(&incident.before, &seen.name) else { return false };
    // What goes wrong long after a repair is a drift of its own, not that repair's doing.
    let fresh = incident.unproven_up(&seen.name).is_some_and(|up| {
        // What an `up` that succeeded has made, and is gone, was removed by someone: the image is not at fault.
        let removed = drift.reason == Reason::Missing && up.outcome == StepOutcome::Succeeded;
        inputs.now - up.at < JUDGED_FOR && !removed
    });
    inputs.desired.object.spec.reconcile.rollback
        && fresh
        && !incident.has_done(&seen.name, |step| step == Step::Rollback)
        && rollback_target(before).is_some_and(|old| seen.artifact.image != Fact::Known(Some(old.to_owned())))
        && lost_something(seen, drift, before)
}

/// The image to put back: the one that all replicas ran before.
pub(super) fn rollback_target(before: &ServiceStatus) -> Option<&str> {
    let first = before.containers.first()?;
    let all_ran = before.containers.iter().all(|c| c.state == "running" && c.image_id == first.image_id);
    all_ran.then_some(first.image_id.as_str())
}

fn service_before<'a>(before: &'a ObjectStatus, service: &str) -> Option<&'a ServiceStatus> {
    before.services.iter().find(|status| status.name == service)
}

/// How a container is when it does no work.
const DYING: [Reason; 4] = [Reason::CrashLooping, Reason::Unhealthy, Reason::NotRunning, Reason::Missing];

/// Its verdict, not its drift: the image of before may lack what the source has, which is an earlier layer's.
fn is_dying(diagnosis: &Diagnosis) -> bool {
    matches!(diagnosis.layer(Layer::Container), LayerVerdict::Broken(reason, _) if DYING.contains(reason))
}

/// Whether a rollback was carried out and has not helped: its command failed, the containers are made of the image of
/// before, and they do no work. That image worked once, so the fault lies elsewhere: in the configuration, in a port that
/// is taken. A second rollback would end like the first.
pub(super) fn was_in_vain(inputs: Inputs<'_>, seen: &ServiceObservation, diagnosis: &Diagnosis) -> bool {
    let Some(incident) = &inputs.history.incident else { return false };
    let Some(old) = service_before(&incident.before, &seen.name).and_then(rollback_target) else {
        return false;
    };
    let containers = seen.containers.known().map(Vec::as_slice).unwrap_or_default();
    incident.has_failed_to_roll_back(&seen.name)
        && seen.artifact.image == Fact::Known(Some(old.to_owned()))
        && !containers.is_empty()
        && containers.iter().all(|container| container.image_id == old)
        && is_dying(diagnosis)
}

/// Why nothing more is tried after a rollback, in words.
pub(super) fn words(reason: &str, diagnosis: &Diagnosis) -> &'static str {
    match reason {
        ROLLED_BACK if !is_dying(diagnosis) => {
            "the repair made it worse and was rolled back; not tried again until the source or the spec changes"
        }
        ROLLED_BACK | ROLLBACK_IN_VAIN => {
            "the image that ran before is back and does no better, so the image is not at fault: look at the service's \
             configuration; nothing is tried again until that, the source or the spec changes"
        }
        _ => "it was given up",
    }
}

fn lost_something(seen: &ServiceObservation, drift: &Drift, before: &ServiceStatus) -> bool {
    match drift.layer {
        Layer::Container => {
            // Its condition, not its drift: an earlier layer may have been broken as well.
            let mut of_layer = before.conditions.iter().filter(|c| c.kind == ConditionType::ContainerCurrent);
            let was_dying = of_layer.any(|c| DYING.map(Reason::as_str).contains(&c.reason.as_str()));
            DYING.contains(&drift.reason) && !was_dying
        }
        Layer::Route => before.routes.iter().zip(&seen.routes).any(|(before, now)| {
            let worked = before.observed.is_some_and(|status| before.expected.contains(&status));
            let works = now.answers.iter().all(|answer| {
                let status = answer.plain.known().and_then(crate::api::Answer::status);
                status.is_some_and(|status| before.expected.contains(&status))
            });
            worked && !works
        }),
        _ => false,
    }
}

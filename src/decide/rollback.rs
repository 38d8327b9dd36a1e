//! Whether the image from before a repair should run again, and whether that has helped.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use super::{Diagnosis, History, Inputs, LayerVerdict, OpenIncident, identities, kept_running, route_watch};
use crate::api::{
    Answer, ConditionType, ContainerObservation, ContainerState, Drift, DriftReason, Fact, Layer,
    MountedFile, ObjectStatus, ProjectObservation, Reason, ReconcilePolicy, RouteObservation, RouteStatus,
    ServiceObservation, ServiceSpec, ServiceStatus, StallReason, Step, StepOutcome, Time,
};

/// For how long after an `Up` and its verification that step is blamed for a failing container; if it was never verified since,
/// for as long after the last step and the time limit of its verification.
const JUDGED_FOR: TimeDelta = TimeDelta::minutes(10);

/// For how long after its end an incident may still be blamed for a failure of its services.
#[must_use]
pub fn judged_for(policy: &ReconcilePolicy) -> TimeDelta {
    JUDGED_FOR.max(route_watch::judged_for(policy))
}

/// The exit codes of a process that ended well, or on request: by an interrupt, a kill, a stop.
const TOLD_TO_END: [i64; 4] = [0, 130, 137, 143];

/// Whether the service is worse off than before undrift replaced its container, so that the previous image should run again.
pub(super) fn is_worse(inputs: Inputs<'_>, seen: &ServiceObservation, drift: &Drift) -> bool {
    is_worse_than_before(inputs, seen, drift) && changed_since_verification(inputs, seen).is_none()
}

/// What else than the image may be to blame for the drift of a service whose repair was verified, in words: something that changed
/// after that. If the service is worse off for it, its image stays all the same.
pub(super) fn other_suspect(inputs: Inputs<'_>, seen: &ServiceObservation, drift: &Drift) -> Option<String> {
    match changed_since_verification(inputs, seen) {
        Some(changed) => is_worse_than_before(inputs, seen, drift)
            .then(|| format!("{changed} after the image was verified, so that the image is not rolled back")),
        None => Some(format!("{} after the image was verified", changed_before_up(inputs, seen)?)),
    }
}

/// What of the service changed since undrift verified its repair, beside the image. A container that was made anew since may have
/// another configuration.
fn changed_since_verification(inputs: Inputs<'_>, seen: &ServiceObservation) -> Option<String> {
    let repair = last_repair(inputs.history, &seen.name)?;
    let verified = repair.verified_since(&seen.name, repair.last_up(&seen.name)?.at)?.at;
    changed_file(seen, verified).or_else(|| {
        let mut containers = seen.containers.known()?.iter();
        let anew = containers.find(|c| c.created_at.is_some_and(|created| created > verified))?;
        Some(format!("{} was made anew", anew.name))
    })
}

/// The file that changed since the previous incident's verification of this very image, if the open incident has brought the
/// service up again meanwhile, in vain: the containers are new because of that.
fn changed_before_up(inputs: Inputs<'_>, seen: &ServiceObservation) -> Option<String> {
    inputs.history.incident.as_ref()?.last_up(&seen.name)?;
    let healed = inputs.history.last_healed.as_ref()?;
    let verified = healed.verified_since(&seen.name, healed.opened_at)?;
    changed_file(seen, verified.at).filter(|_| runs_only(seen, &verified.image))
}

/// A mounted file that changed since this time. One that the container may write changes in normal work (a log, a database): it
/// counts only if another file has taken its place.
fn changed_file(seen: &ServiceObservation, since: Time) -> Option<String> {
    seen.containers.known()?.iter().find_map(|container| {
        let is_other = |file: &MountedFile| !file.writable || file.replaced == Fact::Known(true);
        let is_since = |file: &MountedFile| file.changed_at.is_some_and(|changed| changed > since);
        let file = container.mounted.iter().find(|file| is_since(file) && is_other(file))?;
        Some(format!("{}, which {} mounts at {}, changed", file.source, container.name, file.target))
    })
}

fn is_worse_than_before(inputs: Inputs<'_>, seen: &ServiceObservation, drift: &Drift) -> bool {
    let Some(repair) = last_repair(inputs.history, &seen.name) else { return false };
    let Some(before) = service_before(&repair.before, &seen.name) else { return false };
    let Some(spec) = inputs.desired.service(&seen.name) else { return false };
    let is_tried = inputs
        .history
        .incident
        .as_ref()
        .is_some_and(|incident| incident.has_done(&seen.name, |step| step == Step::Rollback));
    inputs.desired.object.spec.reconcile.rollback
        && !is_tried
        && is_to_blame(inputs, repair, seen, drift)
        && image_of(before).is_some_and(|old| seen.artifact.image != Fact::Known(Some(old.to_owned())))
        && lost_something(spec, seen, drift, before)
}

/// Whether a rollback began and did not succeed.
pub(super) fn is_half_done(inputs: Inputs<'_>, service: &str) -> bool {
    inputs.history.incident.as_ref().is_some_and(|incident| incident.is_half_rolled_back(service))
}

/// Whether the previous image should run again, but the engine no longer has it.
pub(super) fn is_impossible(inputs: Inputs<'_>, seen: &ServiceObservation, drift: &Drift) -> bool {
    let is_gone = rollback_target(inputs.history, &seen.name)
        .is_some_and(|old| inputs.history.gone_images.contains(old));
    is_gone && (is_half_done(inputs, &seen.name) || is_worse(inputs, seen, drift))
}

/// Whether the previous containers still exist and are only stopped. They are started once after each `Up`.
pub(super) fn can_start_what_ran(inputs: Inputs<'_>, seen: &ServiceObservation) -> bool {
    let containers = seen.containers.known().map(Vec::as_slice).unwrap_or_default();
    let started = inputs.history.incident.as_ref().is_some_and(|open| open.has_started_since_up(&seen.name));
    let old = rollback_target(inputs.history, &seen.name);
    !started
        && !containers.is_empty()
        && containers.iter().all(|c| Some(c.image_id.as_str()) == old)
        && containers.iter().any(|c| c.state == ContainerState::Exited)
}

/// The images that undrift keeps by a tag of its own, by service: verified images that still run, before somebody builds
/// over them by hand. None if no rollback is wanted, and none if undrift may change nothing.
#[must_use]
pub fn verified_images(inputs: Inputs<'_>, services: &[Diagnosis]) -> BTreeMap<String, String> {
    if !inputs.desired.object.spec.reconcile.rollback || super::held_back(inputs).is_some() {
        return BTreeMap::new();
    }
    let well = services.iter().filter(|diagnosis| diagnosis.as_declared());
    let verified = well.filter_map(|diagnosis| {
        let seen = inputs.observed.service(&diagnosis.service)?;
        let is_verified = inputs.history.verified.get(&seen.name) == Some(&identities(seen));
        let image = seen.artifact.image.known()?.as_ref()?;
        let containers = seen.containers.known()?;
        let runs = |c: &ContainerObservation| c.state == ContainerState::Running && c.image_id == *image;
        let is_to_keep = is_verified && !seen.artifact.is_kept && !containers.is_empty();
        (is_to_keep && containers.iter().all(runs)).then(|| (seen.name.clone(), image.clone()))
    });
    verified.collect()
}

/// The images that rollbacks would restore, if the reference names another one.
#[must_use]
pub fn images_to_restore(history: &History, observed: &ProjectObservation) -> BTreeSet<String> {
    let targets = observed.services.iter().filter_map(|seen| {
        let target = rollback_target(history, &seen.name)?;
        let is_behind = seen.artifact.image.known().is_some_and(|image| image.as_deref() == Some(target));
        (!is_behind).then(|| target.to_owned())
    });
    targets.collect()
}

/// The incident in which undrift last replaced the service's containers: the open one, or the one just before it.
fn last_repair<'a>(history: &'a History, service: &str) -> Option<&'a OpenIncident> {
    let replaced = |incident: &&OpenIncident| incident.last_up(service).is_some();
    history.incident.as_ref().filter(replaced).or(history.last_healed.as_ref().filter(replaced))
}

/// Whether its last `Up` may be to blame for the present state of the service.
fn is_to_blame(inputs: Inputs<'_>, repair: &OpenIncident, seen: &ServiceObservation, drift: &Drift) -> bool {
    let Some(up) = repair.last_up(&seen.name).filter(|up| up.has_ended_by_itself()) else { return false };
    // The previous image could not have had that port either.
    if kept_running::was_refused_its_port(seen) {
        return false;
    }
    // After the verification only a death of its own counts, or a route within the watch, and only of the verified image: a
    // person may stop a container, or have brought up another image since.
    if let Some(verified) = repair.verified_since(&seen.name, up.at) {
        let has_died = is_recent(inputs, up.at, JUDGED_FOR) && died_by_itself(seen, drift);
        let is_worse = has_died || route_watch::is_failure_within(inputs, verified.at, drift);
        return is_worse && runs_only(seen, &verified.image);
    }
    // It was never observed to work. The deadline counts from the last step of any service: after each step all services get
    // time, in which undrift may not observe this one because it builds another.
    let last = repair.steps.iter().map(|done| done.at).max().unwrap_or(up.at);
    if was_started_since(seen, up.at)
        || !is_recent(inputs, last, JUDGED_FOR + inputs.desired.object.spec.reconcile.verify.timeout.delta())
    {
        return false;
    }
    if up.outcome == StepOutcome::Succeeded {
        // Someone removed the container that it made: the image is not at fault.
        return drift.reason != DriftReason::Missing;
    }
    // A port that was not free yet, a slow dependency: a container that never ran gets one more try.
    repair.ups(&seen.name) > 1 || has_run(seen)
}

/// Whether a person has started a container of the service since. undrift's `up` has started its containers by the time it
/// ends, and the engine counts its own restarts.
fn was_started_since(seen: &ServiceObservation, up: Time) -> bool {
    let mut containers = seen.containers.known().into_iter().flatten();
    containers.any(|c| c.restart_count == 0 && c.started_at.is_some_and(|started| started > up))
}

/// A failure long after a repair is a drift of its own, and not caused by that repair.
fn is_recent(inputs: Inputs<'_>, at: Time, limit: TimeDelta) -> bool {
    (inputs.now - at).abs() < limit
}

fn died_by_itself(seen: &ServiceObservation, drift: &Drift) -> bool {
    let mut codes = seen.containers.known().into_iter().flatten().filter_map(|c| c.exit_code);
    match drift.reason {
        DriftReason::CrashLooping => true,
        DriftReason::NotRunning => codes.any(|code| !TOLD_TO_END.contains(&code)),
        _ => false,
    }
}

fn runs_only(seen: &ServiceObservation, image: &str) -> bool {
    seen.containers.known().is_some_and(|all| all.iter().all(|c| c.image_id == image))
}

fn has_run(seen: &ServiceObservation) -> bool {
    seen.containers.known().into_iter().flatten().any(|c| c.state != ContainerState::Created)
}

/// The image that a build must not discard: the one that a rollback would restore. Before the incident's first `Up` that is
/// the running one, whatever an earlier incident replaced.
#[must_use]
pub fn to_keep<'a>(history: &'a History, service: &str) -> Option<&'a str> {
    let open = history.incident.as_ref().filter(|open| open.last_up(service).is_some())?;
    image_of(service_before(&open.before, service)?)
}

/// The image to roll a service back to: the one that all of its replicas ran before undrift replaced them.
#[must_use]
pub fn rollback_target<'a>(history: &'a History, service: &str) -> Option<&'a str> {
    image_of(service_before(&last_repair(history, service)?.before, service)?)
}

fn image_of(before: &ServiceStatus) -> Option<&str> {
    let first = before.containers.first()?;
    let all_ran = before.containers.iter().all(|c| c.state == "running" && c.image_id == first.image_id);
    all_ran.then_some(first.image_id.as_str())
}

fn service_before<'a>(before: &'a ObjectStatus, service: &str) -> Option<&'a ServiceStatus> {
    before.service(service)
}

/// The drifts of a container that does no work.
const DYING: [DriftReason; 4] =
    [DriftReason::CrashLooping, DriftReason::Unhealthy, DriftReason::NotRunning, DriftReason::Missing];

/// Its verdict, not its drift: the previous image may lack something that the source has, which is drift in an earlier layer.
fn is_dying(diagnosis: &Diagnosis) -> bool {
    matches!(diagnosis.layer(Layer::Container), LayerVerdict::Broken(reason, _) if DYING.contains(reason))
}

/// Whether a rollback was carried out and has not helped: its command failed, the containers use the previous image, and
/// they do no work. That image worked once, so the fault lies elsewhere: in the configuration, in a port in use. A second
/// rollback would end like the first.
pub(super) fn was_in_vain(inputs: Inputs<'_>, seen: &ServiceObservation, diagnosis: &Diagnosis) -> bool {
    let Some(incident) = &inputs.history.incident else { return false };
    let Some(old) = rollback_target(inputs.history, &seen.name) else { return false };
    let containers = seen.containers.known().map(Vec::as_slice).unwrap_or_default();
    incident.has_failed_to_roll_back(&seen.name)
        && seen.artifact.image == Fact::Known(Some(old.to_owned()))
        && !containers.is_empty()
        && containers.iter().all(|container| container.image_id == old)
        && is_dying(diagnosis)
}

/// For a drift that was given up for a reason that this undrift does not know.
const GIVEN_UP: &str = "it was given up";

/// Why undrift tries nothing more after a rollback, in words.
pub(super) fn words(reason: &Reason, diagnosis: &Diagnosis) -> &'static str {
    let Reason::Stall(reason) = reason else { return GIVEN_UP };
    match reason {
        StallReason::RolledBack if !is_dying(diagnosis) => {
            "the repair made it worse and was rolled back; not tried again until the source or the spec changes"
        }
        StallReason::RolledBack | StallReason::RollbackInVain => {
            "the image that ran before is back and does no better, so the image is not at fault: look at the service's \
             configuration; nothing is tried again until that, the source or the spec changes"
        }
        StallReason::RollbackImageGone => {
            "the repair made it worse, and the image that ran before is gone from the engine, so it cannot be put back: bring \
             up a release that works; nothing is tried again until the source, the configuration or the spec changes"
        }
        _ => GIVEN_UP,
    }
}

fn lost_something(
    spec: &ServiceSpec,
    seen: &ServiceObservation,
    drift: &Drift,
    before: &ServiceStatus,
) -> bool {
    match drift.layer {
        Layer::Container => {
            // Its condition, not its drift: an earlier layer may have been broken as well.
            let mut of_layer = before.conditions.iter().filter(|c| c.kind == ConditionType::ContainerCurrent);
            let was_dying = of_layer.any(|c| DYING.iter().any(|reason| c.reason.is(*reason)));
            DYING.contains(&drift.reason) && !was_dying
        }
        Layer::Route => spec.routes.iter().zip(&seen.routes).any(|(route, now)| {
            let is_same = |before: &&RouteStatus| {
                before.name == route.display_name() && before.expected == route.expect
            };
            let mut same = before.routes.iter().filter(is_same);
            same.any(|before| worked(before) && no_longer_works(before, now))
        }),
        _ => false,
    }
}

fn worked(before: &RouteStatus) -> bool {
    before.observed.is_some_and(|status| before.expected.contains(&status))
}

/// Unknown does not mean lost.
fn no_longer_works(before: &RouteStatus, now: &RouteObservation) -> bool {
    let answers = now.answers.iter().filter_map(|answer| answer.plain.known());
    let mut telling = answers.filter(|answer| !matches!(answer, Answer::Limited { .. }));
    telling.any(|answer| answer.status().is_none_or(|status| !before.expected.contains(&status)))
}

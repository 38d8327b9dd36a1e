//! How often undrift may build, bring up or restart a service within an hour.
//!
//! A budget counts failures, and a verified repair is not one: without a rate, undrift would endlessly repair a service that dies
//! again after each verification. The rate counts every step of a service, across incidents, specs and sources. Beyond it a step
//! waits, and nothing is given up. Meanwhile a stopped service is started from the image that it ran, as often as the longest
//! backoff allows.

use chrono::TimeDelta;

use super::{
    Diagnosis, Inputs, Repair,
    checks::{has_ended_well, network},
};
use crate::api::{
    BeyondRate, ContainerObservation, ContainerState, Fact, Layer, RecentStep, ServiceObservation, Step,
    StepKind, Time,
};

/// The time within which steps are counted.
const WINDOW: TimeDelta = TimeDelta::hours(1);

/// Steps that are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Builds,
    /// Every step that starts a container: `Up`, `Restart`, `Rollback`. `Reload` counts with them: it takes the place of a
    /// restart.
    Starts,
}

impl Class {
    const fn of(step: StepKind) -> Self {
        match step {
            StepKind::Build => Self::Builds,
            StepKind::Up | StepKind::Restart | StepKind::Reload | StepKind::Rollback => Self::Starts,
        }
    }

    /// How many steps are allowed within [`WINDOW`], by the contract.
    const fn limit(self) -> usize {
        match self {
            Self::Builds => 6,
            Self::Starts => 20,
        }
    }

    const fn in_words(self) -> &'static str {
        match self {
            Self::Builds => "6 builds",
            Self::Starts => "20 ups or restarts",
        }
    }
}

/// How the rate changes a repair: it waits, or a stopped service is at least started meanwhile. The message names the rate
/// and its end.
pub(super) fn limited(
    inputs: Inputs<'_>,
    seen: &ServiceObservation,
    diagnosis: &Diagnosis,
    repair: Repair,
) -> (Repair, Option<String>) {
    let Repair::Steps(steps, at) = repair else { return (repair, None) };
    let exceeded = exceeded(inputs, &seen.name, &steps).filter(|(_, until)| at.is_none_or(|at| at < *until));
    // Lost images are restored at once, whatever that has cost. It is tried once per incident.
    let Some((class, until)) = exceeded.filter(|_| !steps.contains(&Step::Rollback)) else {
        return (Repair::Steps(steps, at), None);
    };
    let message = format!(
        "{} within an hour is the most that {} gets; the next step may be taken at {}",
        class.in_words(),
        seen.name,
        until.format("%H:%M:%S UTC")
    );
    match start_at(inputs, seen, diagnosis, at).filter(|start| *start < until) {
        Some(start) => {
            (Repair::Steps(vec![Step::Start], Some(start).filter(|at| *at > inputs.now)), Some(message))
        }
        None => (Repair::Steps(steps, Some(until)), Some(message)),
    }
}

/// The class of these steps that has reached its limit within the hour, and when the next one may be taken: of several the
/// one with the longest wait, so that undrift builds no image that it could not bring up.
fn exceeded(inputs: Inputs<'_>, service: &str, steps: &[Step]) -> Option<(Class, Time)> {
    let classes = steps.iter().map(|step| Class::of(step.kind()));
    let waits = classes.filter_map(|class| Some((class, free_at(inputs, service, class)?)));
    waits.max_by_key(|(_, until)| *until)
}

/// When the next step of this class may be taken, if that is in the future.
fn free_at(inputs: Inputs<'_>, service: &str, class: Class) -> Option<Time> {
    let counted: Vec<&RecentStep> = counted(inputs, service, class).collect();
    let oldest = counted.len().checked_sub(class.limit()).map(|at| counted[at])?;
    (!ends_the_wait(inputs, &counted)).then_some(dated(inputs, oldest) + WINDOW)
}

/// The steps of a class that count, oldest first. Steps taken beyond the rate because the service was down do not: otherwise
/// one that dies every few minutes would never get the repair that ends it.
fn counted<'a>(
    inputs: Inputs<'a>,
    service: &'a str,
    class: Class,
) -> impl Iterator<Item = &'a RecentStep> + 'a {
    of(inputs, service, class).filter(|step| step.beyond != Some(BeyondRate::Down))
}

fn of<'a>(inputs: Inputs<'a>, service: &'a str, class: Class) -> impl Iterator<Item = &'a RecentStep> + 'a {
    let within = move |step: &&RecentStep| inputs.now - dated(inputs, step) < WINDOW;
    let recent = inputs.history.recent_steps.iter().filter(move |step| step.service == service);
    recent.filter(move |step| Class::of(step.kind) == class).filter(within)
}

/// When its containers were brought up, started or restarted within the hour.
pub(super) fn starts<'a>(inputs: Inputs<'a>, service: &'a str) -> impl Iterator<Item = Time> + 'a {
    of(inputs, service, Class::Starts).map(move |step| dated(inputs, step))
}

/// If the clock was set back, a step in the future happened just now at the latest.
fn dated(inputs: Inputs<'_>, step: &RecentStep) -> Time {
    step.at.min(inputs.now)
}

/// A person who changed the spec may expect a step, once an hour: no step of this class was taken for this spec yet, and none
/// beyond the rate for one before it.
fn ends_the_wait(inputs: Inputs<'_>, counted: &[&RecentStep]) -> bool {
    let is_of_this_spec = |step: &RecentStep| {
        step.object == inputs.desired.name() && step.generation == inputs.history.generation
    };
    counted.iter().all(|step| !is_of_this_spec(step) && step.beyond != Some(BeyondRate::Spec))
}

/// When a stopped service may be started from the image that it ran; `None` if it is not down, or if the image that would
/// start is not known to be that one.
pub(super) fn start_at(
    inputs: Inputs<'_>,
    seen: &ServiceObservation,
    diagnosis: &Diagnosis,
    at: Option<Time>,
) -> Option<Time> {
    if !is_down(seen) || !starts_what_ran(inputs, seen, diagnosis) {
        return None;
    }
    let is_its_own = diagnosis.drift.as_ref().is_some_and(|drift| drift.layer == Layer::Container);
    let backoff = at.filter(|_| is_its_own).unwrap_or(inputs.now);
    let is_exceeded = free_at(inputs, &seen.name, Class::Starts).is_some();
    let starts = of(inputs, &seen.name, Class::Starts).filter(|_| is_exceeded);
    let last = starts.map(|step| dated(inputs, step)).max();
    let longest = inputs.desired.object.spec.reconcile.backoff.max.delta();
    let paced = last.map_or(inputs.now, |last| last + longest);
    Some(backoff.max(paced))
}

/// Whether fewer containers run than declared. A start does not help one that the engine restarts again and again, and a job
/// that has ended well has done its work.
fn is_down(seen: &ServiceObservation) -> bool {
    count(seen, |c| {
        matches!(c.state, ContainerState::Running | ContainerState::Restarting | ContainerState::Paused)
            || seen.ties.is_job && has_ended_well(c)
    })
    .is_some_and(|up| up < seen.replicas)
}

/// An existing container is started as it is. A missing one is created from the image that the reference names, which must
/// be the one that the service was observed to run, or be as declared.
fn starts_what_ran(inputs: Inputs<'_>, seen: &ServiceObservation, diagnosis: &Diagnosis) -> bool {
    let is_gone = count(seen, |c| !c.state.is_being_removed()).is_none_or(|there| there < seen.replicas);
    // An `up` creates missing containers, and would take down those that run: see `network::blocking`.
    if is_gone && network::blocking(seen).is_some() {
        return false;
    }
    let is_examined = diagnosis.drift.as_ref().is_some_and(|drift| drift.layer > Layer::Artifact);
    let Fact::Known(Some(image)) = &seen.artifact.image else { return !is_gone };
    let verified = inputs.history.verified.get(&seen.name);
    !is_gone || is_examined || verified.is_some_and(|all| all.iter().any(|ran| ran.image == *image))
}

fn count(seen: &ServiceObservation, which: impl Fn(&ContainerObservation) -> bool) -> Option<u32> {
    let containers = seen.containers.known()?;
    u32::try_from(containers.iter().filter(|container| which(container)).count()).ok()
}

/// What the rate counts of a step that begins now. Store it together with the intent.
#[must_use]
pub fn recent_steps(inputs: Inputs<'_>, step: Step, services: &[String]) -> Vec<RecentStep> {
    let class = Class::of(step.kind());
    let of_service = |service: &String| {
        let is_exceeded = counted(inputs, service, class).count() >= class.limit();
        let beyond = if step == Step::Start { BeyondRate::Down } else { BeyondRate::Spec };
        RecentStep {
            project: inputs.observed.project.clone(),
            service: service.clone(),
            object: inputs.desired.name().to_owned(),
            generation: inputs.history.generation,
            kind: step.kind(),
            at: inputs.now,
            beyond: is_exceeded.then_some(beyond),
        }
    };
    services.iter().map(of_service).collect()
}

//! The table of repairs: which steps could help against a drift, and how they escalate.

use super::checks::{is_fixed_by_a_restart, mounted, network, revision};
use crate::api::{
    Attempt, Drift, DriftReason, Fact, Layer, ServiceObservation, SourceComparison, Step, compare_sources,
};

/// The steps of the table.
pub(super) const BUILD: Step = Step::Build { no_cache: false };
const UNCACHED: Step = Step::Build { no_cache: true };
pub(super) const UP: Step = Step::Up { force_recreate: false };
const RECREATE: Step = Step::Up { force_recreate: true };

/// How the repairs of a drift escalate.
pub(super) enum Escalation {
    /// No step can fix it; why, in words.
    None(String),
    /// No step is tried; it may pass.
    Wait,
    /// One after the other, and then none: a step that changed nothing would change nothing again.
    UntilTried(Vec<Step>),
    /// One after the other, the last one until the budget is spent.
    UntilSpent(Vec<Step>),
}

/// The table of repairs; `reloads` if the service declares a signal to reload.
pub(super) fn escalation(drift: &Drift, seen: &ServiceObservation, reloads: bool) -> Escalation {
    match (drift.layer, drift.reason) {
        (Layer::Source, _) => Escalation::none("what the source does not have cannot be built"),
        (Layer::Artifact, _) if !seen.buildable => Escalation::none(
            "the service has no `build:`, so its image comes from elsewhere: a person must look",
        ),
        // The cache knows files by their bytes, and arguments by their values: a build without it would leave the same.
        (Layer::Artifact, DriftReason::ContentDiffers | DriftReason::RevisionDiffers) => {
            Escalation::UntilTried(vec![BUILD])
        }
        (Layer::Artifact, _) => Escalation::UntilTried(vec![BUILD, UNCACHED]),
        (Layer::Container, DriftReason::MountChanged) if reloads && !mounted::needs_restart(seen) => {
            Escalation::UntilSpent(vec![Step::Reload])
        }
        (Layer::Container, reason) => of_container(reason, seen),
        (Layer::Route, DriftReason::Absent) => absent(seen),
        (Layer::Route, DriftReason::RevisionDiffers) => another_revision_answers(seen),
        (Layer::Route, DriftReason::Untrusted) => Escalation::none(
            "no step makes a certificate trusted: declare `tls.caFile`, `tls.serverName` or `tls.verify: false` with the route, \
             or give the server another one",
        ),
        (Layer::Route, _) => Escalation::Wait,
        (Layer::Auth, _) => {
            Escalation::none("the route is there; credentials are the next thing for a person to look at")
        }
    }
}

/// Drifts of containers: first those that no step can repair.
fn of_container(reason: DriftReason, seen: &ServiceObservation) -> Escalation {
    let is_blocked = network::blocking(seen).is_some();
    match reason {
        DriftReason::OtherDirectory => Escalation::none(
            "the containers are those of a project in another directory: a person must say whose they are",
        ),
        DriftReason::Paused => Escalation::none("a pause is a person's choice and is respected"),
        DriftReason::ShadowedByMount => Escalation::none(
            "a mount hides the image's files and no rebuild changes that: a person must look",
        ),
        // A new container that is different again was changed as it started, and so would be the next one.
        DriftReason::ContentDiffers => Escalation::UntilTried(vec![RECREATE]),
        DriftReason::NetworkDefinitionChanged => Escalation::None(definition_changed(seen)),
        DriftReason::Surplus if is_blocked => Escalation::None(definition_changed(seen)),
        // A container of the same image that carries another revision again was not made so by accident.
        DriftReason::RevisionDiffers if !is_blocked => Escalation::UntilTried(vec![RECREATE]),
        _ => Escalation::UntilSpent(container_steps(reason, seen, is_blocked)),
    }
}

/// The steps against the other ones; `is_blocked` if an `up` would leave the containers down.
fn container_steps(reason: DriftReason, seen: &ServiceObservation, is_blocked: bool) -> Vec<Step> {
    let containers = seen.containers.known().map(Vec::as_slice).unwrap_or_default();
    match reason {
        // Every start mounts the files of now.
        DriftReason::MountChanged => vec![Step::Restart],
        // If the hash is the same, an `up` without force would change nothing.
        DriftReason::ModuleMissing | DriftReason::NetworkChanged => vec![RECREATE],
        DriftReason::ConfigChanged if !is_other_hash(seen) => vec![RECREATE],
        _ if is_blocked => vec![Step::Restart],
        DriftReason::CrashLooping | DriftReason::Unhealthy => vec![Step::Restart, RECREATE],
        DriftReason::NamespaceLost if is_fixed_by_a_restart(containers) => vec![Step::Restart, RECREATE],
        DriftReason::NamespaceLost => vec![RECREATE],
        // Recreating would end working containers and leave their number unchanged.
        DriftReason::Surplus => vec![UP],
        _ => vec![UP, RECREATE],
    }
}

impl Escalation {
    fn none(message: &str) -> Self {
        Self::None(message.to_owned())
    }
}

/// Whether Compose itself would create a different container.
fn is_other_hash(seen: &ServiceObservation) -> bool {
    let containers = seen.containers.known().into_iter().flatten();
    containers.into_iter().any(|container| container.config_changed == Fact::Known(true))
}

fn definition_changed(seen: &ServiceObservation) -> String {
    let networks = seen.networks.known().into_iter().flatten();
    let changed = networks.into_iter().find(|network| !network.differences.is_empty());
    changed.map_or_else(String::new, |network| {
        let remedy = network::remedy(seen, network);
        format!("a network is made anew only without its containers, which a person must choose: {remedy}")
    })
}

/// A route that is absent although the container is current. A build helps unless the image is known to come from the
/// current source; a restart may help; an uncached build is the last resort.
fn absent(seen: &ServiceObservation) -> Escalation {
    if !seen.buildable {
        return Escalation::UntilTried(vec![Step::Restart]);
    }
    match (&seen.source.digest, &seen.artifact.built_from) {
        // Whether the image is current is unknown: no build on an unknown fact.
        (Fact::Unknown(_), Some(_)) => Escalation::UntilTried(vec![Step::Restart]),
        (Fact::Known(Some(now)), Some(built)) if now == built => {
            Escalation::UntilTried(vec![Step::Restart, UNCACHED])
        }
        _ => Escalation::UntilTried(vec![BUILD, Step::Restart, UNCACHED]),
    }
}

/// A route that answers with another revision: a build helps unless the image and the containers are known to carry it.
fn another_revision_answers(seen: &ServiceObservation) -> Escalation {
    if revision::only_the_route_differs(seen) {
        return Escalation::none(
            "image and container carry the expected revision, so no build changes the answer: look at what the program \
             answers with, and at what stands in front of it",
        );
    }
    if !seen.buildable {
        return Escalation::none(
            "the service has no `build:`, so its image comes from elsewhere: a person must look",
        );
    }
    Escalation::UntilTried(vec![BUILD])
}

pub(super) fn untried(steps: &[Step], row: Option<&Attempt>) -> Option<Step> {
    steps.iter().copied().find(|step| row.is_none_or(|row| !row.tried.contains(step)))
}

/// What to say when every repair of a drift was tried.
pub(super) fn exhausted(drift: &Drift) -> String {
    let message = &drift.message;
    match (drift.layer, drift.reason) {
        (Layer::Artifact, DriftReason::ContentDiffers) => format!(
            "a build left it so: {message}; see whether the Dockerfile copies all of it there, whether a step of the build \
             changes the files, and what `.dockerignore` leaves out; what may differ belongs in the module's `ignore`"
        ),
        (Layer::Container, DriftReason::ContentDiffers) => format!(
            "a new container left it so: {message}; see what changes the files when the container starts; what may differ \
             belongs in the module's `ignore`"
        ),
        _ => format!("every repair was tried, and still: {message}"),
    }
}

/// Whether a change of the source alone makes such a drift.
pub(super) fn follows_the_source(drift: &Drift) -> bool {
    drift.layer == Layer::Artifact
        && matches!(drift.reason, DriftReason::SourceChanged | DriftReason::ContentDiffers)
}

/// Whether the drift may be one because the source has changed again since the build that should have repaired it.
pub(super) fn source_has_moved_on(drift: &Drift, seen: &ServiceObservation) -> bool {
    let is_newer = || match (&seen.artifact.built_from, &seen.source.digest) {
        (Some(then), Fact::Known(Some(now))) => compare_sources(then, now) == SourceComparison::Changed,
        _ => false,
    };
    follows_the_source(drift) && (drift.reason == DriftReason::SourceChanged || is_newer())
}

/// A build alone does not change any running container.
pub(super) fn with_up(step: Step) -> Vec<Step> {
    match step {
        Step::Build { .. } => vec![step, UP],
        _ => vec![step],
    }
}

//! How many replicas exist, and how many are declared.

use super::{LayerVerdict, ServiceView};
use crate::api::{ContainerObservation, ContainerState, DriftReason, Time};

/// Whether there are fewer than declared.
pub(super) fn missing(view: ServiceView<'_>, containers: &[ContainerObservation]) -> Option<LayerVerdict> {
    let (there, wanted) = (count(containers), wanted(view));
    (there < wanted).then(|| {
        let message = match (there, wanted) {
            (0, 1) => "there is no container".to_owned(),
            _ => format!("there are {there} of {wanted} containers"),
        };
        LayerVerdict::Broken(DriftReason::Missing, message)
    })
}

/// Whether there are more than declared. While one of them is young somebody may be rolling the service out, and the final
/// number is unknown.
pub(super) fn surplus(view: ServiceView<'_>, containers: &[ContainerObservation]) -> LayerVerdict {
    let (there, wanted) = (count(containers), wanted(view));
    if there <= wanted {
        return LayerVerdict::AsDeclared(None);
    }
    let are = |count| if count == 1 { "is" } else { "are" };
    let message = format!("there {} {there} replicas, and {wanted} {} declared", are(there), are(wanted));
    let timeout = view.inputs.desired.object.spec.reconcile.verify.timeout.delta();
    let now = view.inputs.now;
    // If the clock was set back, a creation in the future counts as old as its distance from now.
    let within_timeout = |created: Time| (now - created).abs() < timeout;
    match present(containers).find(|c| c.created_at.is_some_and(within_timeout)) {
        Some(young) => LayerVerdict::not_known(format!(
            "{message}; {} is younger than the time that a repair has to be verified, so somebody may be rolling it out",
            young.name
        )),
        None => LayerVerdict::Broken(DriftReason::Surplus, message),
    }
}

/// Whether a stopped replica is surplus, because as many run as are declared.
pub(super) fn is_spare(view: ServiceView<'_>, c: &ContainerObservation) -> bool {
    let containers = view.seen.containers.known().map(Vec::as_slice).unwrap_or_default();
    let running = containers.iter().filter(|c| c.state == ContainerState::Running).count();
    c.state != ContainerState::Running && running >= wanted(view) && count(containers) > wanted(view)
}

/// Whether no replica is declared: then no route can be probed either.
pub(super) fn none_is_declared(view: ServiceView<'_>) -> bool {
    view.seen.replicas == 0
}

fn wanted(view: ServiceView<'_>) -> usize {
    usize::try_from(view.seen.replicas).unwrap_or(usize::MAX)
}

fn count(containers: &[ContainerObservation]) -> usize {
    present(containers).count()
}

fn present(containers: &[ContainerObservation]) -> impl Iterator<Item = &ContainerObservation> {
    containers.iter().filter(|c| !c.state.is_being_removed())
}

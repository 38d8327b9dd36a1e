//! How many replicas there are, and how many are declared.

use super::{LayerVerdict, ServiceView};
use crate::api::{ContainerObservation, ContainerState, DriftReason, Time};

/// Whether fewer are there than declared.
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

/// Whether more are there than declared. While one of them is young somebody may be rolling the service out, and what will be
/// left of it nobody knows.
pub(super) fn surplus(view: ServiceView<'_>, containers: &[ContainerObservation]) -> LayerVerdict {
    let (there, wanted) = (count(containers), wanted(view));
    if there <= wanted {
        return LayerVerdict::AsDeclared(None);
    }
    let are = |count| if count == 1 { "is" } else { "are" };
    let message = format!("there {} {there} replicas, and {wanted} {} declared", are(there), are(wanted));
    let timeout = view.inputs.desired.object.spec.reconcile.verify.timeout.delta();
    let now = view.inputs.now;
    // A creation that a clock that was set back shows as lying ahead is as old as it is far from now.
    let within_timeout = |created: Time| (now - created).abs() < timeout;
    match present(containers).find(|c| c.created_at.is_some_and(within_timeout)) {
        Some(young) => LayerVerdict::not_known(format!(
            "{message}; {} is younger than the time that a repair has to be verified, so somebody may be rolling it out",
            young.name
        )),
        None => LayerVerdict::Broken(DriftReason::Surplus, message),
    }
}

/// Whether a replica that does not run is one too many, besides as many as are declared that do.
pub(super) fn is_spare(view: ServiceView<'_>, c: &ContainerObservation) -> bool {
    let containers = view.seen.containers.known().map(Vec::as_slice).unwrap_or_default();
    let running = containers.iter().filter(|c| c.state == ContainerState::Running).count();
    c.state != ContainerState::Running && running >= wanted(view) && count(containers) > wanted(view)
}

/// Whether none is declared: then there is no route to ask either.
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

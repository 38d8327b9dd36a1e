//! The container layer of a job: a container that should end.

use super::{LayerVerdict, ServiceView};
use crate::api::{ContainerObservation, ContainerState, Fact};

/// The verdict on a job that has ended well, or that undrift waits for while it runs; `None` if it is judged like any other
/// service.
///
/// An `up` of a service that waits for a job runs the job again; a change of its image or configuration does not: its work
/// is done. A service with routes must answer, whatever its restart policy is.
pub(super) fn check(view: ServiceView<'_>, containers: &[ContainerObservation]) -> Option<LayerVerdict> {
    let ties = &view.seen.ties;
    let is_done = |c: &ContainerObservation| {
        has_ended_well(c) || ties.is_awaited && c.state == ContainerState::Running && !c.restarting
    };
    if !ties.is_job
        || !view.spec.routes.is_empty()
        || containers.is_empty()
        || !containers.iter().all(is_done)
    {
        return None;
    }
    let note = containers.iter().find(|c| is_outdated(view, c)).map(|c| {
        let when = if ties.is_awaited {
            "it is run anew before a service that waits for it is brought up"
        } else {
            "nothing waits for it, so it is not run anew"
        };
        format!("the job {} is of an earlier image or configuration: {when}", c.name)
    });
    Some(LayerVerdict::AsDeclared(note))
}

/// Whether a container completed its work.
pub(in crate::decide) fn has_ended_well(c: &ContainerObservation) -> bool {
    c.state == ContainerState::Exited && c.exit_code == Some(0) && !c.restarting
}

fn is_outdated(view: ServiceView<'_>, c: &ContainerObservation) -> bool {
    let image = view.seen.artifact.image.known().and_then(Option::as_ref);
    image.is_some_and(|image| *image != c.image_id) || c.config_changed == Fact::Known(true)
}

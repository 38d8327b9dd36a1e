//! The container layer of a job: a container that is to end.

use super::{LayerVerdict, ServiceView};
use crate::api::{ContainerObservation, ContainerState, Fact};

/// The verdict on a job that has ended well, or that runs and is waited for; `None` where it is judged like any other
/// service.
///
/// A job is run anew by an `up` of a service that waits for it, and not because its image or its configuration is another
/// one now: what it has done it has done. A service with routes is to answer, whatever its restart policy says.
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

/// Whether a container did what it was for.
pub(in crate::decide) fn has_ended_well(c: &ContainerObservation) -> bool {
    c.state == ContainerState::Exited && c.exit_code == Some(0) && !c.restarting
}

fn is_outdated(view: ServiceView<'_>, c: &ContainerObservation) -> bool {
    let image = view.seen.artifact.image.known().and_then(Option::as_ref);
    image.is_some_and(|image| *image != c.image_id) || c.config_changed == Fact::Known(true)
}

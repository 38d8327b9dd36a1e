//! The namespaces and volumes that a service's containers share with others, and whether those others exist.

use futures_util::future::join_all;

use super::{
    LocalHost,
    compose::Resolved,
    engine::{Container, joined::other},
};
use crate::api::{ContainerState, DeclaredJoin, Desired, Fact, JoinOwner, OtherContainer};

/// The services, not named by the object, whose namespaces or volumes its services share.
pub(super) fn owners<'a>(desired: &'a Desired, resolved: &'a Resolved) -> impl Iterator<Item = &'a str> {
    let models = desired.services().iter().filter_map(|service| resolved.model.services.get(&service.name));
    let owners = models.flat_map(|model| &model.joins).filter_map(|(_, owner)| match owner {
        JoinOwner::Service(name) => Some(name.as_str()),
        JoinOwner::Container(_) => None,
    });
    owners.filter(|name| desired.service(name).is_none())
}

impl LocalHost {
    /// One entry per declared join of the service, from these containers of the project.
    pub(super) async fn joins(
        &self,
        resolved: &Resolved,
        service: &str,
        found: &[Container],
    ) -> Vec<DeclaredJoin> {
        let joins = resolved.model.services.get(service).into_iter().flat_map(|model| &model.joins);
        join_all(joins.map(async |(what, owner)| {
            let other = match owner {
                JoinOwner::Service(name) => Fact::Known(of_service(name, found)),
                JoinOwner::Container(name) => {
                    self.engine.container(name).await.map(|found| found.as_ref().map(other)).into()
                }
            };
            DeclaredJoin { what: *what, owner: owner.clone(), other }
        }))
        .await
    }
}

/// The running one, if there are several: Compose joins any.
fn of_service(service: &str, found: &[Container]) -> Option<OtherContainer> {
    let is_there =
        |container: &&Container| container.service == service && !container.seen.state.is_being_removed();
    let mut own = found.iter().filter(is_there);
    let runs = own.clone().find(|container| container.seen.state == ContainerState::Running);
    runs.or_else(|| own.next()).map(other)
}

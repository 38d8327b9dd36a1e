//! Observes the services that the object does not name, and that the Compose files tie to those that it does.

use futures_util::future::join_all;

use super::{LocalHost, compose::Resolved, engine::Container};
use crate::api::{ContainerObservation, Desired, Fact, RelatedObservation};

/// The names of those services.
pub(super) fn names<'a>(desired: &Desired, resolved: &'a Resolved) -> Vec<&'a str> {
    let named = desired.services().iter().map(|service| service.name.as_str()).collect();
    resolved.model.related(&named).into_iter().collect()
}

impl LocalHost {
    /// One entry per service, from these containers of all services.
    pub(super) async fn related(
        &self,
        desired: &Desired,
        resolved: &Resolved,
        found: &[Container],
        config_changed: impl Fn(&str, &ContainerObservation) -> Fact<bool>,
    ) -> Vec<RelatedObservation> {
        let each = names(desired, resolved).into_iter().filter_map(|name| {
            let model = resolved.model.services.get(name)?;
            let of_service = found.iter().filter(|container| container.service == name);
            let containers = of_service.map(|container| ContainerObservation {
                config_changed: config_changed(name, &container.seen),
                ..container.seen.clone()
            });
            let containers = Fact::Known(containers.collect());
            Some(async move {
                RelatedObservation {
                    name: name.to_owned(),
                    buildable: model.build.is_some(),
                    replicas: model.replicas,
                    reference: model.image.clone(),
                    image: self.engine.image_id(&model.image).await.into(),
                    ties: resolved.ties(name),
                    containers,
                    runs_undrift: false,
                }
            })
        });
        join_all(each).await
    }
}

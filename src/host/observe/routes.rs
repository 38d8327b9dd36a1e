//! The routes of a service, each asked at the containers that run.

use futures_util::future::join_all;

use crate::{
    api::{ContainerState, Desired, RouteObservation, RouteTarget, Scheme, ServiceSpec},
    host::{
        LocalHost,
        engine::{Container, Network},
        probe::{ProbeTarget, ReplicaEndpoint, replica_url},
    },
};

impl LocalHost {
    /// The routes of one service at all of its running containers. If none runs, the server at a fixed URL is someone else: a
    /// proxy in front, or another program that has the port now.
    pub(in crate::host) async fn routes(
        &self,
        desired: &Desired,
        service: &ServiceSpec,
        containers: Vec<&Container>,
    ) -> Vec<RouteObservation> {
        let running: Vec<&Container> = containers
            .into_iter()
            .filter(|container| container.seen.state == ContainerState::Running)
            .collect();
        join_all(service.routes.iter().map(async |route| {
            let places = match route.target() {
                Some(RouteTarget::Url(_)) if running.is_empty() => Vec::new(),
                Some(RouteTarget::Url(url)) => vec![ProbeTarget::fixed(url.to_owned())],
                Some(RouteTarget::Replica { path, port }) => {
                    let scheme = route.scheme.unwrap_or(Scheme::Http);
                    let asked = ReplicaEndpoint { scheme, path, port };
                    join_all(running.iter().map(|container| self.place(container, asked))).await
                }
                None => Vec::new(),
            };
            self.prober.route(route, &places, &desired.manifest_directory).await
        }))
        .await
    }

    /// The target of a container's probes; one that shares another's network is reached at the other's address.
    pub(in crate::host) async fn place(
        &self,
        container: &Container,
        asked: ReplicaEndpoint<'_>,
    ) -> ProbeTarget {
        let network = self.network_of(container).await;
        let is_on_host_network = network.as_ref().is_ok_and(Network::is_the_hosts);
        let url = network.and_then(|network| replica_url(&network, asked, self.engine.endpoint_host()));
        ProbeTarget { container: Some(container.seen.id.clone()), url, is_on_host_network }
    }

    async fn network_of(&self, container: &Container) -> Result<Network, String> {
        let Some(other) = container.network.mode.strip_prefix("container:") else {
            return Ok(container.network.clone());
        };
        match self.engine.container(other).await {
            Ok(Some(other)) if !other.network.mode.starts_with("container:") => Ok(other.network),
            Ok(Some(_)) => Err("it shares the network of a container that itself shares one".into()),
            Ok(None) => Err("the container whose network it shares is gone".into()),
            Err(error) => Err(error.to_string()),
        }
    }
}

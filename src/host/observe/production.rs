//! What runs: the container, route and auth layers of each service.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::config_changed::made_otherwise;
use crate::{
    api::{
        ContainerObservation, DeclaredJoin, Desired, Obstacle, RelatedObservation, RouteObservation,
        ServiceSpec,
    },
    host::{
        HostError, LocalHost, compose,
        compose::{Ownership, Resolved},
        content::{ModuleContents, ServiceContents},
        engine::{Container, ProjectContainers},
        joins,
        obstacles::ServiceFacts,
        related,
        revision::{Carried, Revisions},
    },
};

/// What runs of one service.
pub(super) struct Production {
    pub(super) containers: Vec<ContainerObservation>,
    pub(super) routes: Vec<RouteObservation>,
    /// What they carry as their revision.
    pub(super) revision: Carried,
    pub(super) joins: Vec<DeclaredJoin>,
    /// What keeps it from being repaired or verified.
    pub(super) obstacles: Vec<Obstacle>,
    /// The services of the object that have its ports yet.
    pub(super) ports_of: BTreeSet<String>,
}

/// The running part.
pub(super) struct Running {
    /// One entry per service of the spec.
    pub(super) services: Vec<Production>,
    /// The services that are tied to those.
    pub(super) related: Vec<RelatedObservation>,
    /// The sign that somebody changes it.
    pub(super) external_activity: Option<String>,
    /// The services that undrift itself runs in.
    pub(super) own: BTreeSet<String>,
    /// The owner of the containers.
    pub(super) ownership: Ownership,
}

impl LocalHost {
    /// The containers of the project, with the services of the object, those tied to them and those whose namespace they join.
    async fn project_containers(
        &self,
        desired: &Desired,
        resolved: &Resolved,
    ) -> Result<ProjectContainers, HostError> {
        let names = desired.services().iter().map(|service| service.name.as_str());
        let mut wanted = resolved.model.to_run(names);
        // Whether the others run does not concern the object.
        wanted.extend(related::names(desired, resolved).into_iter().map(|name| (name, 0)));
        // A named service must run all the same.
        wanted.extend(joins::owners(desired, resolved).map(|name| (name, 0)));
        let found = self.engine.project_containers(&resolved.model.name, &wanted).await;
        found.map_err(|error| error.into_host_error(self.engine.endpoint(), "list the project's containers"))
    }

    /// The container, route and auth layers of each service. Without the list of containers, nothing can be observed at all.
    pub(super) async fn production(
        &self,
        desired: &Desired,
        resolved: &Resolved,
        contents: &ModuleContents,
        revisions: &Revisions<'_>,
    ) -> Result<Running, HostError> {
        let found = self.project_containers(desired, resolved).await?;
        let declared =
            resolved.model.replicas(desired.services().iter().map(|service| service.name.as_str()));
        let young_for = desired.object.spec.reconcile.verify.timeout.get();
        let roll_out = || self.engine.roll_out(&resolved.model.name, &declared, &found.containers, young_for);
        let external_activity = found.external_activity.clone().or_else(roll_out);
        let of = |service: &ServiceSpec| -> Vec<&Container> {
            found.containers.iter().filter(|container| container.service == service.name).collect()
        };
        let services = desired.services();
        let (ownership, joins, changed, modules, routes, carried) = tokio::join!(
            compose::ownership(desired, &*self.cache, &found.origins),
            join_all(services.iter().map(|s| self.joins(resolved, &s.name, &found.containers))),
            Box::pin(self.config_changed(desired, resolved, &found.containers)),
            join_all(services.iter().enumerate().map(|(index, service)| {
                self.contents(resolved, service, of(service), contents.of(index))
            })),
            join_all(services.iter().map(|service| self.routes(desired, service, of(service)))),
            join_all(services.iter().map(|service| revisions.in_production(service, of(service)))),
        );
        let obstacles = join_all(services.iter().zip(&routes).map(|(spec, routes)| {
            self.obstacles(ServiceFacts { desired, resolved, spec, containers: of(spec), routes })
        }));
        let obstacles = obstacles.await;
        let made = made_otherwise(&changed, resolved, &found.containers);
        let endpoint = self.engine.endpoint();
        let upgraded =
            compose::made_from_this_model(desired, endpoint, resolved, &made, &changed.provided).await;
        let looks =
            services.iter().zip(modules).zip(routes.into_iter().zip(carried)).zip(joins).zip(obstacles);
        let looks = looks.map(|((((service, mut containers), (routes, revision)), joins), obstacles)| {
            for container in &mut containers {
                container.config_changed = changed.of(&service.name, container);
                container.only_upgraded = upgraded.contains(&container.id.as_str());
            }
            let (obstacles, ports_of) = obstacles;
            Production { containers, routes, revision, joins, obstacles, ports_of }
        });
        let mut looks: Vec<Production> = looks.collect();
        let all = services.iter().zip(&mut looks).flat_map(|(service, look)| {
            look.containers.iter_mut().map(|container| (service.name.as_str(), container))
        });
        self.add_differences(desired, resolved, all.collect()).await;
        let of_related = |service: &str, seen: &ContainerObservation| changed.of(service, seen);
        let mut related = self.related(desired, resolved, &found.containers, of_related).await;
        for service in &mut related {
            service.runs_undrift = found.own_services.contains(&service.name);
        }
        Ok(Running { services: looks, related, external_activity, own: found.own_services, ownership })
    }

    /// The containers of one service, with their modules, the configs and secrets that Compose copied into them, and the files
    /// that are mounted.
    async fn contents(
        &self,
        resolved: &Resolved,
        service: &ServiceSpec,
        containers: Vec<&Container>,
        of_modules: ServiceContents<'_>,
    ) -> Vec<ContainerObservation> {
        let copied = resolved.declared.services.get(&service.name).map(|declared| &declared.contents[..]);
        let copied = copied.unwrap_or_default();
        join_all(containers.into_iter().map(async |container| {
            let contents = copied.iter().map(|content| self.engine.content_in_container(container, content));
            let modules = service.modules.iter().enumerate();
            let modules = modules.map(|module| self.module_in_container(container, module, of_modules));
            let mounted = self.mounted_files(container, service.mounts);
            let (modules, contents, mounted) = tokio::join!(join_all(modules), join_all(contents), mounted);
            ContainerObservation { contents, mounted, modules, ..container.seen.clone() }
        }))
        .await
    }
}

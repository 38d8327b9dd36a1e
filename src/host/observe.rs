//! One observation of every layer of every service, all layers at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use futures_util::future::join_all;

use super::{
    HostError, LocalHost, compose,
    compose::{Made, Ownership, Program, Provided, Recreations, Resolved, ServiceModel},
    content::{ModuleContents, ServiceContents},
    definitions::Definitions,
    engine::{Container, Network, ProjectContainers, verified_reference},
    joins, ms_since,
    obstacles::ServiceFacts,
    probe::{ProbeTarget, ReplicaEndpoint, replica_url},
    related,
    revision::{Carried, Revisions},
    source, source_paths,
    sources::Sources,
};
use crate::api::{
    ArtifactObservation, ContainerObservation, ContainerState, DeclaredJoin, Desired, Fact,
    ModuleObservation, NetworkObservation, Obstacle, ProjectObservation, RelatedObservation, RevisionFact,
    RevisionObservation, RouteObservation, RouteTarget, Scheme, ServiceObservation, ServiceSpec,
    SourceObservation,
};
use crate::files;

/// The cache's space: by container, the names of the variables that its service declared while it was as declared.
const DECLARED: &str = "declared-variables";

/// What runs of one service.
struct Production {
    containers: Vec<ContainerObservation>,
    routes: Vec<RouteObservation>,
    /// What they carry as their revision.
    revision: Carried,
    joins: Vec<DeclaredJoin>,
    /// What keeps it from being repaired or verified.
    obstacles: Vec<Obstacle>,
    /// The services of the object that have its ports yet.
    ports_of: BTreeSet<String>,
}

/// What is seen of one service.
struct ServiceLayers {
    source: SourceObservation,
    artifact: ArtifactObservation,
    networks: Fact<Vec<NetworkObservation>>,
    production: Production,
    revision: Option<RevisionObservation>,
}

/// The running part.
struct Running {
    /// One entry per service of the spec.
    services: Vec<Production>,
    /// The services that are tied to those.
    related: Vec<RelatedObservation>,
    /// The sign that somebody changes it.
    external_activity: Option<String>,
    /// The services that undrift itself runs in.
    own: BTreeSet<String>,
    /// The owner of the containers.
    ownership: Ownership,
}

/// What the services of a look share.
struct LookedAt<'a> {
    resolved: &'a Resolved,
    definitions: &'a Definitions,
    own: &'a BTreeSet<String>,
    ownership: &'a Ownership,
}

fn service_observation(name: &str, of: &LookedAt<'_>, layers: ServiceLayers) -> ServiceObservation {
    let LookedAt { resolved, definitions, own, ownership } = of;
    let ServiceLayers { source, artifact, networks, production, revision } = layers;
    let Production { containers, routes, joins, obstacles, ports_of, .. } = production;
    let declared = resolved.declared.services.get(name);
    let model = resolved.model.services.get(name);
    let replicas = model.map_or(1, |model| model.replicas);
    ServiceObservation {
        name: name.to_owned(),
        buildable: model.is_some_and(|model| model.build.is_some()),
        replicas,
        config_hash: resolved.hashes.get(name).cloned(),
        attachments: declared.map(|declared| declared.attachments.clone()).unwrap_or_default(),
        networks,
        volumes: definitions.volumes_of(resolved, name),
        source,
        artifact,
        containers: Fact::Known(containers),
        other_directory: ownership.of(name, replicas),
        runs_undrift: own.contains(name),
        ties: resolved.ties(name),
        joins,
        routes,
        revision,
        obstacles,
        ports_of,
    }
}

impl LocalHost {
    /// See [`Host::observe`](super::Host::observe).
    #[tracing::instrument(name = "observe", skip_all, fields(object = desired.name()))]
    pub(super) async fn look(&self, desired: &Desired) -> Result<ProjectObservation, HostError> {
        let (at, began) = (chrono::Utc::now(), Instant::now());
        let expected = self.expected_revisions(desired).await;
        let desired = &*expected.in_variables(desired);
        let resolved = compose::resolve(desired, self.engine.endpoint(), self.memory()).await;
        let resolved = resolved.map_err(|error| expected.explain(desired, error))?;
        let revisions = Revisions::new(self, desired, &resolved, &expected);
        let contents = self.module_contents(desired, &resolved).await;
        let services = desired.services().iter().map(|service| service.name.as_str());
        // One after the other: the digest of a file that both need is computed once.
        let read = async {
            let sources = Sources::read(&resolved.builds, services, &*self.cache).await;
            self.read_sources(&contents).await;
            sources
        };
        let artifacts = desired.services().iter().enumerate();
        let artifacts = artifacts
            .map(|(index, service)| self.artifact(&resolved, &revisions, service, contents.of(index)));
        // A killed undrift's leftovers do not affect the observation, so the sweep runs concurrently.
        let (sources, artifacts, production, (networks, definitions), engine, ()) = tokio::join!(
            read,
            join_all(artifacts),
            Box::pin(self.production(desired, &resolved, &contents, &revisions)),
            self.networks(desired, &resolved),
            self.engine_id(),
            self.sweep_once(),
        );
        let Running { services: running, related, external_activity, own, ownership } = production?;
        let sources = desired.services().iter().map(|service| source(desired, &resolved, &sources, service));
        let layers = sources.zip(artifacts).zip(networks).zip(running);
        let layers = layers.zip(desired.services()).map(async |(layers, service)| {
            let (((source, (artifact, image)), networks), mut production) = layers;
            let carried = std::mem::take(&mut production.revision);
            let sources = format!("{:?} {:?}", source.digest, resolved.hashes.get(&service.name));
            let revision = revisions.observation(service, image, carried, &sources).await;
            ServiceLayers { source, artifact, networks, production, revision }
        });
        let layers = join_all(layers).await;
        let of =
            LookedAt { resolved: &resolved, definitions: &definitions, own: &own, ownership: &ownership };
        let services = desired.services().iter().zip(layers);
        let services = services.map(|(service, layers)| service_observation(&service.name, &of, layers));
        let mut services: Vec<_> = services.collect();
        for service in &mut services {
            self.key_hashes(service);
        }
        tracing::debug!(services = services.len(), ms = ms_since(began), "looked");
        let project = resolved.model.name.clone();
        let endpoint = self.engine.endpoint();
        let resolved_from =
            self.has_lasting_key.then(|| resolved.resolved_from(desired, endpoint, &self.digests)).flatten();
        let whose = (desired.clone(), resolved.clone());
        let source_paths = files::looked(move || source_paths::source_paths(&whose.0, &whose.1)).await;
        let seen = ProjectObservation {
            at,
            project,
            engine,
            external_activity,
            services,
            related,
            resolved_from,
            source_paths: source_paths?,
        };
        Ok(self.without_secrets(desired, &resolved, seen).await)
    }

    /// Replaces the config hashes with keyed digests, so that only the key's holder can compare them: Compose computes them
    /// over values that may be guessable secrets, and observations are recorded.
    fn key_hashes(&self, service: &mut ServiceObservation) {
        let keyed = |hash: &mut Option<String>| {
            *hash = hash.take().map(|hash| (self.digests)("config hash", hash.as_bytes()));
        };
        keyed(&mut service.config_hash);
        if let Fact::Known(containers) = &mut service.containers {
            for container in containers {
                keyed(&mut container.config_hash);
            }
        }
    }

    /// The networks of each service, and all definitions.
    async fn networks(
        &self,
        desired: &Desired,
        resolved: &Resolved,
    ) -> (Vec<Fact<Vec<NetworkObservation>>>, Definitions) {
        let definitions = self.definitions(resolved).await;
        let services = desired.services().iter();
        let networks = services.map(|service| self.networks_of(resolved, &definitions, &service.name));
        (join_all(networks).await, definitions)
    }

    /// The artifact layer, without the inputs of the image, which the store knows; and the revision that the image carries.
    async fn artifact(
        &self,
        resolved: &Resolved,
        revisions: &Revisions<'_>,
        service: &ServiceSpec,
        contents: ServiceContents<'_>,
    ) -> (ArtifactObservation, Option<RevisionFact>) {
        let reference = reference(resolved, &service.name);
        let found = self.engine.tagged_image(&reference).await;
        let kept = verified_reference(&resolved.model.name, &service.name);
        let is_kept = matches!(&found, Ok(Some(image)) if image.has_tag(&kept));
        let image: Fact<Option<String>> = found.map(|image| image.map(|image| image.id)).into();
        let unknown = |why: &str| {
            let unknown = ModuleObservation { presence: Fact::unknown(why), content: None };
            vec![unknown; service.modules.len()]
        };
        let modules = async {
            match &image {
                _ if service.modules.is_empty() => Vec::new(),
                Fact::Known(Some(image)) => self.modules_in_image(image, service, contents).await,
                Fact::Known(None) => unknown(&format!("there is no image {reference}")),
                Fact::Unknown(reason) => unknown(reason),
            }
        };
        let (modules, revision) = tokio::join!(modules, revisions.in_image(service, &image));
        let artifact = ArtifactObservation {
            reference,
            image,
            built_from: None,
            first_sight: None,
            build_check: None,
            modules,
            is_kept,
        };
        (artifact, revision)
    }

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
    async fn production(
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

    /// The routes of one service at all of its running containers. If none runs, the server at a fixed URL is someone else: a
    /// proxy in front, or another program that has the port now.
    pub(super) async fn routes(
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
    pub(super) async fn place(&self, container: &Container, asked: ReplicaEndpoint<'_>) -> ProbeTarget {
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

    /// Asks Compose itself about the services with a container whose config hash differs from the current one: the hash alone
    /// is wrong for some kinds of service.
    async fn config_changed(
        &self,
        desired: &Desired,
        resolved: &Resolved,
        containers: &[Container],
    ) -> Changed {
        let unlike = |container: &&Container| !same_hash(resolved, &container.service, &container.seen);
        let endpoint = self.engine.endpoint();
        let printed = if containers.iter().any(|container| unlike(&container)) {
            compose::printed_hashes(desired, endpoint, resolved, self.memory()).await
        } else {
            BTreeMap::new()
        };
        let as_printed = |container: &Container| {
            let hash = container.seen.config_hash.as_ref();
            hash.is_some() && hash == printed.get(&container.service)
        };
        let same = containers.iter().filter(|container| !unlike(container) || as_printed(container));
        let same: BTreeSet<String> = same.map(|container| container.seen.id.clone()).collect();
        let differing: BTreeSet<&String> = containers
            .iter()
            .filter(|container| !same.contains(&container.seen.id))
            // A service that only restarts with another is restarted as it is.
            .filter(|container| {
                desired.service(&container.service).is_some()
                    || resolved.model.ties(&container.service).is_job
            })
            .map(|container| &container.service)
            .collect();
        let services: Vec<String> = differing.into_iter().cloned().collect();
        let provided = self.provided(resolved, containers, &services).await;
        let uses_models = |container: &&Container| {
            services.contains(&container.service)
                && !same.contains(&container.seen.id)
                && resolved.model.program(&container.service) == Some(Program::ModelRunner)
        };
        let of_models: Vec<Made<'_>> = containers.iter().filter(uses_models).filter_map(made).collect();
        let judged =
            compose::judge_by_hash(desired, endpoint, resolved, &printed, &of_models, &provided).await;
        let judged = judged.into_iter().map(|(id, is_same)| (id.to_owned(), !is_same)).collect();
        let recreations =
            compose::would_recreate_beside(desired, endpoint, resolved, &services, &provided).await;
        let changed = Changed { same, judged, provided, recreations };
        self.remember_declared(resolved, &changed, containers);
        changed
    }

    /// Remembers which variables a service with a provider declares while its container is as declared: one that is later
    /// undeclared is then known not to be the provider's.
    fn remember_declared(&self, resolved: &Resolved, changed: &Changed, containers: &[Container]) {
        for container in containers {
            let (service, seen) = (&container.service, &container.seen);
            if resolved.model.providers_of(service).is_empty()
                || changed.of(service, seen) != Fact::Known(false)
            {
                continue;
            }
            let declared = resolved.model.services.get(service).map(|model| &model.environment);
            if let Some(Ok(names)) = declared.map(serde_json::to_string)
                && self.cache.get(DECLARED, &seen.id).as_ref() != Some(&names)
            {
                self.cache.put(DECLARED, &seen.id, &names);
            }
        }
    }

    /// The variables that programs gave the containers of these services; unknown if the engine does not report them.
    async fn provided(&self, resolved: &Resolved, containers: &[Container], services: &[String]) -> Provided {
        let mut provided = Provided::default();
        for service in services.iter().filter(|service| resolved.model.is_given_variables(service)) {
            // One `up` creates them all; any other one differs, whichever of them is asked.
            let Some(container) = containers.iter().find(|container| container.service == **service) else {
                continue;
            };
            match self.engine.variables(&container.seen.id).await {
                Ok(variables) => {
                    let names = self.cache.get(DECLARED, &container.seen.id);
                    let names = names.and_then(|names| serde_json::from_str(&names).ok()).unwrap_or_default();
                    provided.insert(service, variables, names);
                }
                Err(error) => tracing::debug!(%service, %error, "a container's variables are not known"),
            }
        }
        provided
    }
}

/// Which of the containers with a differing hash `up` would recreate.
struct Changed {
    /// The IDs of containers that bear a current hash.
    same: BTreeSet<String>,
    /// By ID, whether a container differs that only its hash can judge.
    judged: BTreeMap<String, bool>,
    /// The variables that programs gave them.
    provided: Provided,
    recreations: Recreations,
}

impl Changed {
    fn of(&self, service: &str, container: &ContainerObservation) -> Fact<bool> {
        if self.same.contains(&container.id) {
            return Fact::Known(false);
        }
        if let Some(differs) = self.judged.get(&container.id) {
            return Fact::Known(*differs);
        }
        self.recreations.of(service, &container.name)
    }
}

/// The source layer of a service.
fn source(
    desired: &Desired,
    resolved: &Resolved,
    sources: &Sources<'_>,
    service: &ServiceSpec,
) -> SourceObservation {
    let modules = service.modules.iter().map(|module| {
        let path = module.source.as_ref()?;
        Some(source::source_presence(&desired.directory, path, module.kind))
    });
    SourceObservation {
        modules: modules.collect(),
        digest: sources.digest(&service.name),
        unreadable: resolved.builds.unreadable(&service.name),
        expansions: desired.expansions(&service.name).to_vec(),
        git_lock: sources.git_lock(&service.name),
    }
}

/// The containers that Compose would recreate, and that another version of it created.
fn made_otherwise<'a>(changed: &Changed, resolved: &Resolved, containers: &'a [Container]) -> Vec<Made<'a>> {
    let other = containers.iter().filter(|container| {
        let seen = &container.seen;
        let is_other =
            seen.made_by.is_some() && resolved.version.is_some() && seen.made_by != resolved.version;
        is_other && changed.of(&container.service, seen) != Fact::Known(false)
    });
    other.filter_map(made).collect()
}

fn made(container: &Container) -> Option<Made<'_>> {
    Some(Made {
        container: &container.seen.id,
        service: &container.service,
        hash: container.seen.config_hash.as_deref()?,
        joined: &container.seen.joined,
    })
}

fn same_hash(resolved: &Resolved, service: &str, container: &ContainerObservation) -> bool {
    container.config_hash.is_some() && container.config_hash.as_ref() == resolved.hashes.get(service)
}

/// The image reference that Compose uses for a service.
pub(super) fn reference(resolved: &Resolved, service: &str) -> String {
    resolved.model.services.get(service).map(|model: &ServiceModel| model.image.clone()).unwrap_or_default()
}

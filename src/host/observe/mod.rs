//! One observation of every layer of every service, all layers at once.

mod artifact;
mod config_changed;
mod production;
mod routes;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use futures_util::future::join_all;

use self::production::{Production, Running};
use super::{
    HostError, LocalHost, compose,
    compose::{Ownership, Resolved, ServiceModel},
    definitions::Definitions,
    ms_since,
    revision::{Revisions, withhold, withhold_related},
    source, source_paths,
    sources::Sources,
};
use crate::api::{
    ArtifactObservation, Desired, Fact, NetworkObservation, ProjectObservation, RelatedObservation,
    RevisionObservation, ServiceObservation, ServiceSpec, SourceObservation, UnknownVariable,
};
use crate::files;

/// What is seen of one service.
struct ServiceLayers {
    source: SourceObservation,
    artifact: ArtifactObservation,
    networks: Fact<Vec<NetworkObservation>>,
    production: Production,
    revision: Option<RevisionObservation>,
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
        unresolved: None,
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
        let unknown = expected.unknown_variables(desired);
        let desired = &*expected.in_variables(desired);
        let resolved = compose::resolve(desired, self.engine.endpoint(), self.memory()).await;
        let resolved = resolved.map_err(|error| expected.explain(desired, error))?;
        let revisions = Revisions::new(self, desired, &resolved, &expected);
        let contents = self.module_contents(desired, &resolved).await;
        let services = desired.services().iter().map(|service| service.name.as_str());
        // One after the other: the digest of a file that both need is computed once.
        let read = async {
            let sources = Sources::read(&resolved.builds, services, &*self.cache).await;
            self.read_sources(&contents, &sources).await;
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
        let Running { services: running, mut related, external_activity, own, ownership } = production?;
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
        self.withhold_unresolved(desired, &resolved, &unknown, (&mut services, &mut related)).await;
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

    /// Takes back what Compose resolved without a variable that is not known.
    async fn withhold_unresolved(
        &self,
        desired: &Desired,
        resolved: &Resolved,
        unknown: &[UnknownVariable],
        (services, related): (&mut [ServiceObservation], &mut [RelatedObservation]),
    ) {
        let names = services.iter().map(|service| &service.name);
        let jobs = services.iter().flat_map(|service| &service.ties.waits_for);
        let names: BTreeSet<String> =
            names.chain(jobs).chain(related.iter().map(|service| &service.name)).cloned().collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let found = self.unknown_variables_of(desired, resolved, unknown, &names).await;
        let of: BTreeMap<&str, &UnknownVariable> =
            names.into_iter().zip(found).filter_map(|(name, variable)| Some((name, variable?))).collect();
        for service in services {
            if let Some(variable) = of.get(service.name.as_str()) {
                withhold(service, variable);
            }
            // The identity of the jobs holds what Compose resolved of them.
            if service.ties.waits_for.iter().any(|job| of.contains_key(job.as_str())) {
                service.ties.jobs = None;
            }
        }
        for service in related {
            if let Some(variable) = of.get(service.name.as_str()) {
                withhold_related(service, variable);
            }
        }
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

/// The image reference that Compose uses for a service.
pub(super) fn reference(resolved: &Resolved, service: &str) -> String {
    resolved.model.services.get(service).map(|model: &ServiceModel| model.image.clone()).unwrap_or_default()
}

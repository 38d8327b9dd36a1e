//! Which containers Compose would create anew.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    api::{ContainerObservation, Desired, Fact},
    host::{
        LocalHost, compose,
        compose::{Made, Program, Provided, Recreations, Resolved},
        engine::Container,
    },
};

/// The cache's space: by container, the names of the variables that its service declared while it was as declared.
const DECLARED: &str = "declared-variables";

impl LocalHost {
    /// Asks Compose itself about the services with a container whose config hash differs from the current one: the hash alone
    /// is wrong for some kinds of service.
    pub(super) async fn config_changed(
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
pub(super) struct Changed {
    /// The IDs of containers that bear a current hash.
    same: BTreeSet<String>,
    /// By ID, whether a container differs that only its hash can judge.
    judged: BTreeMap<String, bool>,
    /// The variables that programs gave them.
    pub(super) provided: Provided,
    recreations: Recreations,
}

impl Changed {
    pub(super) fn of(&self, service: &str, container: &ContainerObservation) -> Fact<bool> {
        if self.same.contains(&container.id) {
            return Fact::Known(false);
        }
        if let Some(differs) = self.judged.get(&container.id) {
            return Fact::Known(*differs);
        }
        self.recreations.of(service, &container.name)
    }
}

/// The containers that Compose would recreate, and that another version of it created.
pub(super) fn made_otherwise<'a>(
    changed: &Changed,
    resolved: &Resolved,
    containers: &'a [Container],
) -> Vec<Made<'a>> {
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

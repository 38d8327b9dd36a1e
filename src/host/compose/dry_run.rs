//! What `up` would do: asked of Compose by a dry run, because config hashes alone are wrong for `env_file`, shared
//! namespaces and more.
//!
//! Without their dependencies (`--no-deps`) Compose 2.26 gives services another config hash than with them, and
//! recreates each service that has any (measured; docker/compose#12069). Whatever made a container, one of both
//! hashes fits it, so a container differs only where both dry runs say so.

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    Environment, Resolved,
    argv::{self, Pull, UpOptions},
    refusal,
    resolve::run_quietly,
    said::Said,
};
use crate::{
    api::{Desired, Fact, StepOutcome},
    host::endpoint::Endpoint,
};

/// How many services are asked about at once; each takes up to two processes.
const AT_ONCE: usize = 4;

/// The names of the containers of these services that `up` would recreate because they differ from what is
/// declared, or because something that they depend on does. Changes nothing.
///
/// It is meant for services whose config hash differs, and settles whether that means something. Unknown where a
/// dry run fails or says something that is not understood.
pub async fn would_recreate(
    desired: &Desired,
    endpoint: &Endpoint,
    resolved: &Resolved,
    services: &[String],
) -> Fact<BTreeSet<String>> {
    let ask =
        &Asking { desired, env: Environment::of_this_process().for_docker(endpoint, &desired.directory) };
    // Mapped before it is a stream: a closure in the stream would keep the future from being `Send`.
    let each: Vec<_> = services.iter().map(|service| of_service(ask, resolved, service)).collect();
    let all: Result<Vec<_>, String> = stream::iter(each).buffer_unordered(AT_ONCE).try_collect().await;
    Fact::from(all.map(|sets| sets.into_iter().flatten().collect::<BTreeSet<_>>()))
}

async fn of_service(
    ask: &Asking<'_>,
    resolved: &Resolved,
    service: &str,
) -> Result<BTreeSet<String>, String> {
    let services = [service.to_owned()];
    let model = resolved.model.services.get(service);
    if model.is_some_and(|model| model.depends_on.is_empty()) {
        return Ok(ask.up(&services, false, true).await?.recreated);
    }
    let (alone, together) = tokio::join!(ask.up(&services, false, true), ask.up(&services, false, false));
    let alone = alone?;
    if alone.recreated.is_empty() {
        return Ok(BTreeSet::new());
    }
    let together = together?;
    let own: BTreeSet<String> = together.recreated.intersection(&alone.recreated).cloned().collect();
    // With what it joins, a service is recreated although it differs in nothing itself. Where the object names
    // that one too, its own recreation takes this one along.
    let named = ask.desired.services().iter().map(|service| service.name.as_str()).collect();
    if !own.is_empty()
        && model.is_some_and(|model| model.joins_another)
        && argv::depend_on_others(&resolved.model, &services, &named)
        && together.recreated.len() > own.len()
    {
        return Err(format!("{service} shares a namespace or volumes with a service that differs itself"));
    }
    Ok(own)
}

/// The `up` command for these services that touches no service outside them: another one that the object names may
/// have to keep its container, because its new image lacks a module.
///
/// Without `--no-deps` where that is safe: no dependency lies outside, or a dry run says that Compose would leave
/// those that do alone. Otherwise with it; the container then has the other one of its two config hashes.
pub async fn up_command(
    desired: &Desired,
    endpoint: &Endpoint,
    resolved: &Resolved,
    services: &[String],
    force_recreate: bool,
    pull: Pull,
) -> Vec<String> {
    let step = services.iter().map(String::as_str).collect();
    let no_deps = argv::depend_on_others(&resolved.model, services, &step)
        && !leaves_others_alone(desired, endpoint, services, force_recreate).await;
    argv::up(desired, services, UpOptions { force_recreate, no_deps, pull })
}

/// Whether an `up` with dependencies would touch the containers of these services only.
async fn leaves_others_alone(
    desired: &Desired,
    endpoint: &Endpoint,
    services: &[String],
    force_recreate: bool,
) -> bool {
    let ask =
        Asking { desired, env: Environment::of_this_process().for_docker(endpoint, &desired.directory) };
    let (ours, all) =
        tokio::join!(ask.up(services, force_recreate, true), ask.up(services, force_recreate, false));
    match (ours, all) {
        (Ok(ours), Ok(all)) => all.touched.is_subset(&ours.containers),
        _ => false,
    }
}

/// Whom to ask.
struct Asking<'a> {
    desired: &'a Desired,
    env: Environment,
}

impl Asking<'_> {
    async fn up(&self, services: &[String], force_recreate: bool, no_deps: bool) -> Result<Said, String> {
        let argv = argv::up_dry_run(self.desired, services, force_recreate, no_deps);
        let finished = run_quietly(self.desired, &self.env, &argv)
            .await
            .map_err(|error| format!("the dry run of `docker compose up` could not start: {error}"))?;
        match finished.outcome {
            StepOutcome::Succeeded => {
                let stdout = String::from_utf8_lossy(&finished.stdout);
                Said::read(stdout.lines().chain(finished.output.lines()))
            }
            StepOutcome::Failed => {
                let message = refusal::message(&finished);
                let last = message.lines().last().unwrap_or_default();
                Err(format!("the dry run of `docker compose up` failed: {last}"))
            }
            _ => Err("the dry run of `docker compose up` did not end in time".to_owned()),
        }
    }
}

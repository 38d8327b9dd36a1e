//! Whether `up` would recreate a container: asked of Compose by a dry run, because config hashes alone are
//! wrong for `env_file`, shared namespaces and more.

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{Environment, Resolved, argv, command::Finished, refusal, resolve::run_quietly};
use crate::{
    api::{Desired, Fact, StepOutcome},
    host::endpoint::Endpoint,
};

/// How many dry runs are under way at once.
const AT_ONCE: usize = 4;

/// What Compose says of a container that stays what it is or is only started, stopped or added.
const OTHER_STATES: [&str; 24] = [
    "Created",
    "Creating",
    "Starting",
    "Started",
    "Running",
    "Restart",
    "Restarting",
    "Restarted",
    "Stopping",
    "Stopped",
    "Removing",
    "Removed",
    "Killing",
    "Killed",
    "Waiting",
    "Healthy",
    "Exited",
    "Skipped",
    "Error",
    "Warning",
    "Pausing",
    "Paused",
    "Unpausing",
    "Unpaused",
];

/// What Compose says of a container that it would replace.
const RECREATED: [&str; 2] = ["Recreate", "Recreated"];

/// The names of the containers of these services that `up` would recreate *because of the service itself*, not
/// because something that it depends on would be. Changes nothing.
///
/// Unknown where a dry run fails or says something that is not understood.
pub async fn would_recreate(
    desired: &Desired,
    endpoint: &Endpoint,
    resolved: &Resolved,
    services: &[String],
) -> Fact<BTreeSet<String>> {
    let env = &Environment::of_this_process().for_docker(endpoint);
    // Not a stream that maps: its closure would keep the future from being `Send`.
    let each: Vec<_> = services.iter().map(|service| of_service(desired, env, resolved, service)).collect();
    let all: Result<Vec<_>, String> = stream::iter(each).buffer_unordered(AT_ONCE).try_collect().await;
    Fact::from(all.map(|sets| sets.into_iter().flatten().collect()))
}

/// One service by itself, without its dependencies: a service is recreated along with one that it depends on, and
/// that is no difference of its own.
///
/// A service that shares a namespace or volumes must be asked with its dependencies: without them Compose does not
/// resolve what it shares, and would always recreate it (measured with 2.26.1). The run without them then only
/// tells which containers are its own.
async fn of_service(
    desired: &Desired,
    env: &Environment,
    resolved: &Resolved,
    service: &str,
) -> Result<BTreeSet<String>, String> {
    if !resolved.model.services.get(service).is_some_and(|service| service.joins_another) {
        return Ok(dry_run(desired, env, service, true).await?.recreated);
    }
    let (alone, together) =
        tokio::join!(dry_run(desired, env, service, true), dry_run(desired, env, service, false));
    let (own, mut recreated) = (alone?.containers, together?.recreated);
    recreated.retain(|name| own.contains(name));
    Ok(recreated)
}

/// What a dry run said of containers, by name.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    containers: BTreeSet<String>,
    recreated: BTreeSet<String>,
}

async fn dry_run(desired: &Desired, env: &Environment, service: &str, no_deps: bool) -> Result<Said, String> {
    let argv = argv::up_dry_run(desired, service, no_deps);
    let finished: Finished = run_quietly(desired, env, &argv)
        .await
        .map_err(|error| format!("the dry run of `docker compose up` could not start: {error}"))?;
    match finished.outcome {
        StepOutcome::Succeeded => {
            let stdout = String::from_utf8_lossy(&finished.stdout);
            read(stdout.lines().chain(finished.output.lines()))
        }
        StepOutcome::Failed => {
            let message = refusal::message(&finished);
            let last = message.lines().last().unwrap_or_default();
            Err(format!("the dry run of `docker compose up {service}` failed: {last}"))
        }
        _ => Err(format!("the dry run of `docker compose up {service}` did not end in time")),
    }
}

/// Reads ` DRY-RUN MODE -  Container NAME  STATE`, with whatever spaces and with or without the mark.
fn read<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Said, String> {
    let mut said = Said::default();
    for line in lines.filter(|line| !refusal::is_warning(line)) {
        let line = line.trim();
        let line = line.strip_prefix("DRY-RUN MODE -").unwrap_or(line);
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            // What happens to networks, volumes and images is no recreation of a container.
            [] | ["Network" | "Volume" | "Image" | "[+]", ..] | [_, "Pulling" | "Pulled"] => {}
            ["Container", name, state] if RECREATED.contains(&state) => {
                said.containers.insert(name.to_owned());
                said.recreated.insert(name.to_owned());
            }
            ["Container", name, state] if OTHER_STATES.contains(&state) => {
                said.containers.insert(name.to_owned());
            }
            _ => {
                return Err(format!(
                    "the dry run of `docker compose up` says what is not understood: {line}"
                ));
            }
        }
    }
    if said.containers.is_empty() {
        return Err("the dry run of `docker compose up` says nothing of any container".to_owned());
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recreated(output: &str) -> Result<Vec<String>, String> {
        read(output.lines()).map(|said| said.recreated.into_iter().collect())
    }

    #[test]
    fn reads_what_compose_2_26_says() {
        let output = r#"time="2026-11-23T10:29:55Z" level=warning msg="Found orphan containers ([x-n-1])"
 DRY-RUN MODE -  Network x_default  Creating
 DRY-RUN MODE -  Container x-a-1  Recreate
 DRY-RUN MODE -  Container x-a-1  Recreated
 DRY-RUN MODE -  Container x-b-1  Running
 DRY-RUN MODE -  Container x-a-2  Creating
 DRY-RUN MODE -  Container x-a-2  Created
 DRY-RUN MODE -  Container 59fff5ca76b7_x-a-1  Starting
 DRY-RUN MODE -  Container 59fff5ca76b7_x-a-1  Started
"#;
        assert_eq!(recreated(output).unwrap(), ["x-a-1"]);
        assert!(recreated(" DRY-RUN MODE -  Container x-b-1  Running\n").unwrap().is_empty());
        assert_eq!(recreated("Container x-a-1 Recreate").unwrap(), ["x-a-1"]);
    }

    #[test]
    fn what_it_does_not_understand_is_unknown() {
        for output in
            [" DRY-RUN MODE -  Container x-a-1  Transmuted", "x-a-1 will be recreated", "", "Container x"]
        {
            assert!(recreated(output).is_err(), "{output}");
        }
    }
}

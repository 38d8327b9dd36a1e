//! The engine: where undrift looks for it, whether it answers, and whether its API is new enough.

use std::{env, io, path::Path, time::Duration};

use chrono::TimeDelta;
use tokio::{net::UnixStream, time::timeout};

use super::Check;
use crate::{
    api::Time,
    host::{
        HostError,
        endpoint::{Endpoint, EndpointSource},
        engine::{API_OLDEST, Engine, EngineError, Versions},
    },
};

/// How long the engine may take for one answer here.
const LIMIT: Duration = Duration::from_secs(4);

/// The findings at the engine's address.
#[derive(Debug)]
pub(super) struct EngineFindings {
    pub(super) origin: EndpointSource,
    /// The address, or why it cannot be used.
    pub(super) endpoint: Result<String, String>,
    pub(super) answer: EngineReply,
    /// How far the engine's clock is ahead of this one; `None` if it is not known.
    pub(super) clock: Option<Offset>,
    /// Whether systemd runs this host, and starts its services.
    pub(super) systemd: bool,
}

/// The difference of two clocks, with its precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offset {
    pub(super) ahead: TimeDelta,
    pub(super) give_or_take: TimeDelta,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum EngineReply {
    /// There is no address to contact.
    NotAsked,
    /// There is no such socket.
    NoSocket,
    /// This user may not use the socket.
    Denied,
    /// Nothing listens.
    Refused,
    /// It accepts, but does not answer.
    Silent,
    /// Its answer is not an engine's, or it cannot be reached; the message.
    Broken(String),
    Versions(Versions),
}

/// Finds the engine as every verb does, and requests its versions and its time.
pub(super) async fn read() -> EngineFindings {
    let (origin, endpoint) = Endpoint::locate(&|name| env::var_os(name));
    let systemd = Path::new("/run/systemd/system").is_dir();
    let endpoint = match endpoint {
        Ok(endpoint) => endpoint,
        Err(error) => {
            let why = match error {
                HostError::EngineUnsupported { endpoint, cause } => format!("{endpoint}: {cause}"),
                error => error.to_string(),
            };
            return EngineFindings {
                origin,
                endpoint: Err(why),
                answer: EngineReply::NotAsked,
                clock: None,
                systemd,
            };
        }
    };
    let address = Ok(endpoint.docker_host());
    if let Endpoint::Unix(path) = &endpoint
        && let Some(answer) = closed(path).await
    {
        return EngineFindings { origin, endpoint: address, answer, clock: None, systemd };
    }
    let engine = Engine::new(endpoint).with_limit(LIMIT);
    let (versions, clock) = tokio::join!(engine.versions(), offset(&engine));
    let answer = match versions {
        Ok(versions) => EngineReply::Versions(versions),
        Err(EngineError::TimedOut(_)) => EngineReply::Silent,
        // Every engine supports this request.
        Err(EngineError::NotFound(_)) => EngineReply::Broken("something else than an engine answers".into()),
        Err(error) => EngineReply::Broken(error.to_string()),
    };
    EngineFindings { origin, endpoint: address, answer, clock, systemd }
}

/// Why nothing answers at this socket, as the operating system's error, which a client does not pass on.
async fn closed(path: &Path) -> Option<EngineReply> {
    let error = match timeout(LIMIT, UnixStream::connect(path)).await {
        Ok(Ok(_)) => return None,
        Ok(Err(error)) => error,
        Err(_) => return Some(EngineReply::Silent),
    };
    Some(match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => EngineReply::NoSocket,
        io::ErrorKind::PermissionDenied => EngineReply::Denied,
        io::ErrorKind::ConnectionRefused => EngineReply::Refused,
        _ => EngineReply::Broken(error.to_string()),
    })
}

/// The engine's clock against this one. The answer was created between request and receipt.
async fn offset(engine: &Engine) -> Option<Offset> {
    let asked = crate::reconcile::now();
    let theirs: Time = engine.clock().await.ok()??;
    let half = (crate::reconcile::now() - asked) / 2;
    Some(Offset { ahead: theirs - (asked + half), give_or_take: half.abs() })
}

/// Judges the findings.
pub(super) fn judge(found: &EngineFindings) -> Vec<Check> {
    vec![reachable(found), api(&found.answer)]
}

fn reachable(found: &EngineFindings) -> Check {
    let name = "EngineReachable";
    let origin = &found.origin;
    let address = match &found.endpoint {
        Ok(address) => format!("{address} ({origin})"),
        Err(why) => {
            return Check::failed(
                name,
                format!("the engine's address cannot be used: {why} ({origin})"),
                elsewhere(origin),
            );
        }
    };
    match &found.answer {
        EngineReply::Versions(versions) if versions.podman => Check::ok(
            name,
            format!(
                "Podman {} at {address}: it has no BuildKit, so undrift builds with DOCKER_BUILDKIT=0",
                versions.engine
            ),
        ),
        EngineReply::Versions(versions) => {
            Check::ok(name, format!("engine {} at {address}", versions.engine))
        }
        EngineReply::NotAsked => Check::unknown(name, format!("the engine at {address} was not asked")),
        EngineReply::NoSocket => {
            Check::failed(name, format!("there is no socket at {address}"), start(found))
        }
        EngineReply::Refused => Check::failed(name, format!("nobody listens at {address}"), start(found)),
        EngineReply::Denied => Check::failed(
            name,
            format!("this user may not use the socket at {address}"),
            "sudo usermod -aG docker \"$USER\", then log in again; whoever is in this group is root on this host",
        ),
        EngineReply::Silent => Check::failed(
            name,
            format!("{address} accepts, and does not answer within {} s", LIMIT.as_secs()),
            format!("look at the engine's log, then restart it: {}", restart(found.systemd)),
        ),
        EngineReply::Broken(why) => Check::failed(name, format!("{address}: {why}"), start(found)),
    }
}

fn api(answer: &EngineReply) -> Check {
    let name = "EngineApi";
    let EngineReply::Versions(versions) = answer else { return Check::unknown(name, "no engine answered") };
    let (major, minor) = API_OLDEST;
    let number = versions
        .api
        .split_once('.')
        .and_then(|(major, minor)| Some((major.parse::<usize>().ok()?, minor.parse::<usize>().ok()?)));
    match number {
        None => Check::unknown(name, format!("the engine calls its API {}", versions.api)),
        Some(number) if number < API_OLDEST => Check::failed(
            name,
            format!(
                "the engine speaks API {} at most, and {major}.{minor} is needed (engine 20.10)",
                versions.api
            ),
            "sudo apt-get install --only-upgrade docker.io (docker-ce where the engine is Docker's own package)",
        ),
        Some(_) => Check::ok(name, format!("{}; {major}.{minor} or later is needed", versions.api)),
    }
}

/// How to get an engine if none listens.
fn start(found: &EngineFindings) -> String {
    if found.origin != EndpointSource::Default {
        return elsewhere(&found.origin);
    }
    let start = if found.systemd { "sudo systemctl start docker" } else { "sudo service docker start" };
    format!("{start}; where it is not installed: sudo apt-get install docker.io")
}

/// An address that someone configured: it may be wrong.
fn elsewhere(origin: &EndpointSource) -> String {
    match origin {
        EndpointSource::Variable => {
            "start the engine there, or take this host's own: unset DOCKER_HOST".into()
        }
        EndpointSource::Context { by_variable: true, .. } => {
            "see docker context ls, or take this host's own engine: unset DOCKER_CONTEXT".into()
        }
        EndpointSource::Context { .. } => {
            "see docker context ls, or take this host's own engine: docker context use default".into()
        }
        EndpointSource::Default => {
            "mend the docker CLI's configuration, or have DOCKER_CONFIG name the folder of another one".into()
        }
    }
}

const fn restart(systemd: bool) -> &'static str {
    if systemd {
        "sudo journalctl -u docker; sudo systemctl restart docker"
    } else {
        "less /var/log/docker.log; sudo service docker restart"
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;

//! The engine's address, resolved as the docker CLI does it, so that undrift and its children ask the same engine.
//!
//! bollard does not support docker contexts while the Compose plugin follows them; undrift therefore gives both the address
//! that it resolves here.

use std::{
    ffi::OsString,
    fmt, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{HostError, docker_config};
use crate::{
    files::{self, LARGEST_TEXT},
    secret::url::without_user_info,
};

/// The engine's socket by default, the same as the docker CLI's.
pub const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// The context that means "no context": the environment and the default socket.
pub const DEFAULT_CONTEXT: &str = "default";

/// An engine's address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// A Unix socket.
    Unix(PathBuf),
    /// `host:port`, plain HTTP.
    Tcp(String),
}

/// The source of an engine's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointSource {
    /// The variable `DOCKER_HOST`.
    Variable,
    /// A docker context.
    Context {
        /// Its name.
        name: String,
        /// Named by the variable `DOCKER_CONTEXT`; else it is the current one of the docker CLI's configuration.
        by_variable: bool,
    },
    /// No source sets an address: the default socket.
    Default,
}

impl fmt::Display for EndpointSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable => f.write_str("from DOCKER_HOST"),
            Self::Context { name, by_variable: true } => {
                write!(f, "docker context {name}, from DOCKER_CONTEXT")
            }
            Self::Context { name, by_variable: false } => write!(f, "the current docker context, {name}"),
            Self::Default => f.write_str("the default"),
        }
    }
}

/// The fields read from `config.json`.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct CliConfig {
    current_context: Option<String>,
}

/// The fields read from a context's `meta.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContextMeta {
    endpoints: ContextEndpoints,
}

#[derive(Deserialize)]
struct ContextEndpoints {
    docker: Option<ContextEndpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContextEndpoint {
    #[serde(default)]
    host: Option<String>,
}

impl Endpoint {
    /// Resolves the engine from `DOCKER_HOST`, `DOCKER_CONTEXT`, the current context of the docker CLI's configuration, or the
    /// default socket: the first of these that is set, as in the docker CLI.
    ///
    /// # Errors
    /// [`HostError::EngineUnsupported`] for addresses that undrift does not support (ssh, npipe, TLS) and for a context that
    /// cannot be read; the message includes the remedy. [`HostError::DockerConfigUnusable`] if the docker CLI's configuration
    /// is unusable.
    pub fn resolve(env: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, HostError> {
        Self::locate(env).1
    }

    /// As [`resolve`](Self::resolve), and the source of the address, which is known even if the address cannot be used.
    pub fn locate(env: &dyn Fn(&str) -> Option<OsString>) -> (EndpointSource, Result<Self, HostError>) {
        let text = |name: &str| {
            env(name).filter(|value| !value.is_empty()).map(|value| value.to_string_lossy().into_owned())
        };
        if let Some(host) = text("DOCKER_HOST") {
            // The docker CLI reads any non-empty value as "verify".
            let tls = text("DOCKER_TLS_VERIFY").is_some() || text("DOCKER_TLS").is_some();
            return (EndpointSource::Variable, Self::parse(&host, tls));
        }
        let folder = docker_config::folder(env);
        let named = text("DOCKER_CONTEXT");
        let by_variable = named.is_some();
        let context = match named {
            Some(name) => Ok(Some(name)),
            None => folder.as_deref().map(current_context).transpose().map(Option::flatten),
        };
        match context.map(|context| context.filter(|name| name != DEFAULT_CONTEXT)) {
            Err(error) => (EndpointSource::Default, Err(error)),
            Ok(None) => (EndpointSource::Default, Ok(Self::Unix(DEFAULT_SOCKET.into()))),
            Ok(Some(name)) => {
                let endpoint = match folder {
                    Some(folder) => from_context(&folder, &name),
                    None => Err(unsupported(
                        &name,
                        "there is no HOME to read docker contexts from; set DOCKER_HOST",
                    )),
                };
                (EndpointSource::Context { name, by_variable }, endpoint)
            }
        }
    }

    /// The address, equal for all spellings of a socket's path.
    #[must_use]
    pub fn canonical(&self) -> String {
        match self {
            Self::Unix(path) => match files::canonicalize(path) {
                Ok(path) => Self::Unix(path).docker_host(),
                Err(_) => self.docker_host(),
            },
            Self::Tcp(_) => self.docker_host(),
        }
    }

    /// The identity of this socket file, which also differs from earlier ones at the same path; `None` if there is none.
    #[must_use]
    pub fn socket_file(&self) -> Option<String> {
        let Self::Unix(path) = self else { return None };
        let file = files::metadata(path).ok()?;
        let (device, number) = (file.dev(), file.ino());
        Some(format!("{} {device} {number} {} {}", path.display(), file.ctime(), file.ctime_nsec()))
    }

    /// Reads an address in the form of `DOCKER_HOST`.
    fn parse(host: &str, tls: bool) -> Result<Self, HostError> {
        let (scheme, rest) = host.split_once("://").unwrap_or(("tcp", host));
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Self::Unix(rest.into())),
            "unix" => Err(unsupported(host, "the socket's path must be absolute: unix:///run/docker.sock")),
            "tcp" | "http" if tls => {
                Err(unsupported(host, "undrift speaks no TLS to the engine; run it on the engine's own host"))
            }
            "tcp" | "http" => tcp(host, rest),
            "https" => {
                Err(unsupported(host, "undrift speaks no TLS to the engine; run it on the engine's own host"))
            }
            "ssh" => {
                Err(unsupported(host, "undrift does not go through ssh; run it on the engine's own host"))
            }
            "npipe" => Err(unsupported(host, "undrift runs on Linux engines only")),
            _ => Err(unsupported(host, "write it as unix:///run/docker.sock or tcp://127.0.0.1:2375")),
        }
    }

    /// The address as `DOCKER_HOST` takes it, for child processes.
    #[must_use]
    pub fn docker_host(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

/// `host:port` with the docker CLI's defaults filled in: `127.0.0.1` and 2375.
fn tcp(whole: &str, rest: &str) -> Result<Endpoint, HostError> {
    let address = rest.trim_end_matches('/');
    if address.contains('@') {
        return Err(unsupported(whole, "the engine is asked for no user: write it as tcp://127.0.0.1:2375"));
    }
    if address.is_empty() || address.contains('/') {
        return Err(unsupported(whole, "write it as tcp://127.0.0.1:2375, without a path"));
    }
    let (host, port) = match address.rsplit_once(':') {
        // A colon inside the brackets of an IPv6 address starts no port.
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (address, "2375"),
    };
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    if port.parse::<u16>().is_err() {
        return Err(unsupported(whole, "its port is not a number from 0 to 65535"));
    }
    Ok(Endpoint::Tcp(format!("{host}:{port}")))
}

fn unsupported(endpoint: &str, cause: &str) -> HostError {
    // An address may contain a password, with a scheme or without.
    HostError::EngineUnsupported { endpoint: without_user_info(endpoint), cause: cause.into() }
}

/// The current context of the docker CLI's configuration, if it names one.
fn current_context(folder: &Path) -> Result<Option<String>, HostError> {
    let Some(text) = docker_config::settings(folder)? else { return Ok(None) };
    let config: Option<CliConfig> =
        docker_config::parsed(&text).map_err(not_understood(&folder.join(docker_config::SETTINGS)))?;
    Ok(config.and_then(|config| config.current_context).filter(|name| !name.is_empty()))
}

fn not_understood(path: &Path) -> impl Fn(serde_json::Error) -> HostError {
    let path = path.display().to_string();
    move |error| {
        let (line, column) = (error.line(), error.column());
        // The error itself may quote a value, and the file holds credentials.
        let cause = format!("{path} is not as the docker CLI writes it, in line {line}, column {column}");
        HostError::DockerConfigUnusable { path: path.clone(), cause }
    }
}

/// The address in a context. The docker CLI keeps it below the SHA-256 of the context's name.
fn from_context(folder: &Path, name: &str) -> Result<Endpoint, HostError> {
    let id = hex::encode(Sha256::digest(name.as_bytes()));
    let label = format!("docker context {name}");
    let path = folder.join("contexts/meta").join(&id).join("meta.json");
    let text = match files::read_to_string(&path, LARGEST_TEXT) {
        Ok(text) => text,
        Err(error) if is_absent(&error) => {
            return Err(unsupported(&label, "there is no such context; see docker context ls"));
        }
        Err(error) => return Err(docker_config::unusable(&path, &error)),
    };
    // As the docker CLI reads it: missing fields get no defaults. A truncated file must not lead to the engine of this host.
    let meta: ContextMeta = serde_json::from_str(&text).map_err(not_understood(&path))?;
    let Some(endpoint) = meta.endpoints.docker else {
        return Err(unsupported(&label, "it names no docker engine; see docker context inspect"));
    };
    let host = endpoint.host.unwrap_or_default();
    if host.is_empty() {
        return Ok(Endpoint::Unix(DEFAULT_SOCKET.into()));
    }
    Endpoint::parse(&host, files::is_dir(&folder.join("contexts/tls").join(&id).join("docker")))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests;

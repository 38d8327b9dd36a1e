//! What a container has of another one: a namespace, or its volumes.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Fact, Time};

/// One thing that a container has of another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Joined {
    /// What it is.
    pub what: Shared,
    /// The ID of the other container, as the engine keeps it from when this one was created.
    pub id: String,
    /// That container as it is now; `Known(None)` where it is gone.
    pub other: Fact<Option<OtherContainer>>,
}

/// One thing that a service's containers are to have of another one by the Compose files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeclaredJoin {
    /// What it is.
    pub what: Shared,
    /// Whose it is.
    pub owner: JoinOwner,
    /// The container that would be joined now; `Known(None)` where there is none.
    pub other: Fact<Option<OtherContainer>>,
}

/// Whose namespaces or volumes a service's containers are to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JoinOwner {
    /// A service of the same project: `service:x`.
    Service(String),
    /// A container by its name or ID: `container:x`. Whoever makes it, Compose does not.
    Container(String),
}

/// The container that something is shared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OtherContainer {
    /// The name, without the leading slash.
    pub name: String,
    /// Whether it runs.
    pub is_running: bool,
    /// Its last start.
    pub started_at: Option<Time>,
}

/// What can be shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shared {
    /// `network_mode: service:x` or `container:x`.
    Network,
    /// `ipc: service:x` or `container:x`.
    Ipc,
    /// `pid: service:x` or `container:x`.
    Pid,
    /// `volumes_from`.
    Volumes,
}

impl Shared {
    /// Whether it lives and dies with a run of the other container. Volumes stay.
    #[must_use]
    pub const fn is_namespace(self) -> bool {
        !matches!(self, Self::Volumes)
    }
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Network => "network namespace",
            Self::Ipc => "IPC namespace",
            Self::Pid => "PID namespace",
            Self::Volumes => "volumes",
        })
    }
}

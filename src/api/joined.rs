//! What a container shares of another one: a namespace, or its volumes.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Fact, Time};

/// One thing that a container shares of another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Joined {
    /// The shared thing.
    pub what: Shared,
    /// The ID of the other container, which the engine keeps from when this one was created.
    pub id: String,
    /// That container as it is now; `Known(None)` if it is gone.
    pub other: Fact<Option<OtherContainer>>,
}

/// One thing that a service's containers should share of another one by the Compose files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeclaredJoin {
    /// The shared thing.
    pub what: Shared,
    /// Its owner.
    pub owner: JoinOwner,
    /// The container that would be joined now; `Known(None)` if there is none.
    pub other: Fact<Option<OtherContainer>>,
}

/// The owner of the namespaces or volumes that a service's containers should share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JoinOwner {
    /// A service of the same project: `service:x`.
    Service(String),
    /// A container by its name or ID: `container:x`. Compose does not create it.
    Container(String),
}

/// The container that owns a shared thing.
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

/// The things that can be shared.
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
    /// Whether it ends with a run of the other container. Volumes stay.
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

//! The resources that a container shares with the host: networks, names on them, published ports, copied configs, volumes.
//!
//! Compose's config hash does not cover them: a container that was taken off its network, or whose inline config was edited,
//! has the same hash as before.

use std::{collections::BTreeSet, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::Fact;

/// The attachments that the Compose files declare for each container of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeclaredAttachments {
    /// The networks that it joins.
    pub networks: Vec<DeclaredNetwork>,
    /// The ports that it publishes.
    pub ports: Vec<DeclaredPort>,
}

/// A network that a service joins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeclaredNetwork {
    /// The engine's name for it, or its ID.
    pub name: String,
    /// The names that it must have there: the service's own and those of `aliases:`.
    pub aliases: BTreeSet<String>,
    /// The addresses that it must have there.
    pub addresses: Vec<IpAddr>,
}

/// A port that a service publishes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeclaredPort {
    /// The container's port, as the engine writes it: `80/tcp`.
    pub target: String,
    /// The host's address; `None` for any.
    pub host: Option<IpAddr>,
    /// The host's port lies between these two; `None` if the engine chooses.
    pub published: Option<(u16, u16)>,
}

/// The attachments of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Attachments {
    /// Its networks.
    pub networks: Vec<AttachedNetwork>,
    /// Its published ports, as they are bound now.
    pub ports: Vec<BoundPort>,
}

/// A network that a container is attached to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttachedNetwork {
    /// The engine's name for it.
    pub name: String,
    /// The engine's ID.
    pub id: String,
    /// The names that the container has there.
    pub aliases: BTreeSet<String>,
    /// The addresses that it has there; empty while it does not run.
    pub addresses: Vec<IpAddr>,
}

/// A port of a container that is bound on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BoundPort {
    /// The container's port, as the engine writes it: `80/tcp`.
    pub target: String,
    /// The host's address; `None` if the engine reports none.
    pub host: Option<IpAddr>,
    /// The host's port.
    pub published: u16,
}

/// A config or secret that Compose copies into a container when it creates it: an inline one, or one from the environment.
/// Its content is not stored anywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CopiedContent {
    /// Its name in words: `config nginx`.
    pub name: String,
    /// Its path in the container.
    pub target: String,
    /// Whether the container was created with other content than the Compose files have now. Known to differ only if nobody
    /// has written to the file since.
    pub differs: Fact<bool>,
}

/// A network that a service joins and Compose creates, compared with its definition in the Compose files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkObservation {
    /// The engine's name for it.
    pub name: String,
    /// The parts of its definition that differ, in words: `label tier`, `subnet`.
    pub differences: Vec<String>,
    /// Whether Compose would recreate it at the next `up` of any service that joins it.
    pub remade: bool,
    /// Whether the ports of a container that joins it are bound on the host.
    pub publishes: bool,
    /// The other containers that are attached to it, running or not; listed only if the definition differs.
    pub others: Vec<NetworkUser>,
}

/// A container that is attached to a network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NetworkUser {
    /// A container of another service of the same project, by the service's name.
    Service(String),
    /// A container of another project, or of none, by its own name.
    Stranger(String),
}

/// A volume that a service mounts and Compose creates, compared with its definition in the Compose files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeObservation {
    /// The engine's name for it.
    pub name: String,
    /// The parts of its definition that differ, in words.
    pub differences: Vec<String>,
}

//! The settings that Compose's config hash leaves out, read from `docker compose config --format json`: networks, published
//! ports, copied configs and secrets, the definitions of networks and volumes.
//!
//! Contents, labels and driver options may be secrets, and this is stored on disk, so only their digests are kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::digest;
use crate::api::DeclaredAttachments;

mod content;
mod definition;
mod service;

pub use content::DeclaredContent;
pub use definition::{NetworkModel, Subnet, VolumeModel};

/// Declarations of a project that its config hashes do not cover.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// By service.
    pub services: BTreeMap<String, DeclaredService>,
    /// The networks that Compose makes, by their key in the Compose files; no external ones.
    pub networks: BTreeMap<String, NetworkModel>,
    /// The volumes that Compose makes, by their key in the Compose files; no external ones.
    pub volumes: BTreeMap<String, VolumeModel>,
}

/// Declarations of a service that its config hash does not cover.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredService {
    /// The networks and ports that its containers are to have.
    pub attachments: DeclaredAttachments,
    /// The keys of the networks that it joins.
    pub networks: BTreeSet<String>,
    /// The keys of the volumes that it mounts.
    pub volumes: BTreeSet<String>,
    /// The configs and secrets that Compose copies.
    pub contents: Vec<DeclaredContent>,
    /// The paths of this host that it mounts: of binds, and of file-based configs and secrets. They may be folders.
    #[serde(default)]
    pub mounted: BTreeSet<PathBuf>,
}

#[derive(Deserialize)]
struct RawDeclarations {
    name: String,
    #[serde(default)]
    services: BTreeMap<String, service::RawServiceDeclaration>,
    #[serde(default)]
    networks: BTreeMap<String, Box<RawValue>>,
    #[serde(default)]
    volumes: BTreeMap<String, definition::RawVolume>,
    #[serde(default)]
    configs: BTreeMap<String, content::RawObject>,
    #[serde(default)]
    secrets: BTreeMap<String, content::RawObject>,
}

impl Declared {
    /// Reads Compose's JSON. `variable` returns the value of an environment variable as Compose sees it; `None` if it is not
    /// set or not known, and then values that come from it are left out.
    ///
    /// # Errors
    /// If it is not the JSON of a project.
    pub fn parse(json: &[u8], variable: impl Fn(&str) -> Option<String>) -> Result<Self, serde_json::Error> {
        let raw: RawDeclarations = serde_json::from_slice(json)?;
        let mut names = BTreeMap::new();
        let mut networks = BTreeMap::new();
        for (key, text) in raw.networks {
            let network: definition::RawNetwork = serde_json::from_str(text.get())?;
            names.insert(key.clone(), network.name(&raw.name, &key));
            if !network.is_external() {
                let hash = hex::encode(digest(dense(text.get()).as_bytes()));
                let network = network.read(&raw.name, &key, hash);
                networks.insert(key, network);
            }
        }
        let volumes = raw.volumes.into_iter().filter(|(_, volume)| !volume.is_external());
        let volumes = volumes.map(|(key, volume)| (key.clone(), volume.read(&raw.name, &key))).collect();
        let copied = content::Copied { configs: raw.configs, secrets: raw.secrets, variable: &variable };
        let services = raw.services.into_iter();
        let services = services.map(|(name, service)| {
            let service = service.read(&name, &raw.name, &names, &copied);
            (name, service)
        });
        Ok(Self { services: services.collect(), networks, volumes })
    }
}

/// The bytes that Compose hashes into a config hash: the JSON as it prints it, on one line, and without the doubled dollar
/// signs that `config` adds (measured with 2.26.1 and 5.6.1: the digest of these bytes equals the label's value).
pub(super) fn dense(json: &str) -> String {
    let (mut text, mut escaped, mut dense) = (false, false, String::with_capacity(json.len()));
    for c in json.chars() {
        if text || !c.is_ascii_whitespace() {
            dense.push(c);
        }
        (text, escaped) = match (c, escaped) {
            ('"', false) => (!text, false),
            ('\\', false) => (text, text),
            _ => (text, false),
        };
    }
    dense.replace("$$", "$")
}

#[cfg(test)]
mod tests;

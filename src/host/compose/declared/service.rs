//! Declarations of a service that its config hash does not cover.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::PathBuf,
};

use serde::Deserialize;

use super::{
    DeclaredService,
    content::{Copied, RawReference},
};
use crate::api::{DeclaredAttachments, DeclaredNetwork, DeclaredPort};

/// The engine's own network, which containers join if they declare no other.
const BRIDGE: &str = "bridge";

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RawServiceDeclaration {
    networks: Option<BTreeMap<String, Option<RawEndpoint>>>,
    network_mode: Option<String>,
    ports: Vec<RawPort>,
    configs: Vec<RawReference>,
    secrets: Vec<RawReference>,
    volumes: Vec<RawServiceVolume>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawEndpoint {
    aliases: Option<Vec<String>>,
    ipv4_address: Option<String>,
    ipv6_address: Option<String>,
}

#[derive(Deserialize)]
struct RawPort {
    target: u16,
    /// A number, a range, or nothing.
    #[serde(default)]
    published: serde_json::Value,
    #[serde(default)]
    host_ip: Option<String>,
    #[serde(default)]
    protocol: Option<String>,
}

#[derive(Deserialize)]
struct RawServiceVolume {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    source: Option<String>,
}

impl RawServiceDeclaration {
    /// `networks` maps the keys of the Compose files to the engine's names.
    pub(super) fn read(
        self,
        service: &str,
        project: &str,
        networks: &BTreeMap<String, String>,
        copied: &Copied<'_>,
    ) -> DeclaredService {
        let contents = copied.of_service(&self.configs, &self.secrets);
        let mode = self.network_mode.filter(|mode| !mode.is_empty());
        let joined = if mode.is_some() { BTreeMap::new() } else { self.networks.unwrap_or_default() };
        let declared: Vec<DeclaredNetwork> = match &mode {
            Some(mode) => by_mode(mode).into_iter().collect(),
            None => joined
                .iter()
                .map(|(key, endpoint)| {
                    let name = networks.get(key).cloned().unwrap_or_else(|| format!("{project}_{key}"));
                    network(name, service, endpoint.as_ref())
                })
                .collect(),
        };
        // A container without a network of its own publishes nothing, whatever the file contains.
        let has_its_own = mode.is_none() || !declared.is_empty();
        let ports: Vec<DeclaredPort> =
            if has_its_own { self.ports.into_iter().map(port).collect() } else { Vec::new() };
        let binds = self.volumes.iter().filter(|volume| volume.kind == "bind");
        let binds = binds.filter_map(|volume| volume.source.as_ref().map(PathBuf::from));
        let files = copied.mounted(&self.configs, &self.secrets);
        let mounted = binds.chain(files).filter(|path| path.is_absolute()).collect();
        let volumes = self.volumes.into_iter().filter(|volume| volume.kind == "volume");
        DeclaredService {
            attachments: DeclaredAttachments { networks: declared, ports },
            networks: joined.into_keys().collect(),
            volumes: volumes.filter_map(|volume| volume.source).collect(),
            contents,
            mounted,
        }
    }
}

/// `network_mode` may name a network; the other modes give it none of its own.
fn by_mode(mode: &str) -> Option<DeclaredNetwork> {
    let name = match mode {
        "host" | "none" => return None,
        "default" => BRIDGE,
        other if other.contains(':') => return None,
        other => other,
    };
    Some(DeclaredNetwork { name: name.into(), aliases: BTreeSet::new(), addresses: Vec::new() })
}

fn network(name: String, service: &str, endpoint: Option<&RawEndpoint>) -> DeclaredNetwork {
    // The engine has no names on its default network.
    let has_names = name != BRIDGE;
    let aliases = endpoint.and_then(|endpoint| endpoint.aliases.clone()).unwrap_or_default();
    let aliases = aliases.into_iter().chain([service.to_owned()]).filter(|_| has_names).collect();
    let addresses = endpoint.into_iter().flat_map(|e| [&e.ipv4_address, &e.ipv6_address]);
    let addresses = addresses.flatten().filter_map(|address| address.parse::<IpAddr>().ok()).collect();
    DeclaredNetwork { name, aliases, addresses }
}

fn port(raw: RawPort) -> DeclaredPort {
    let protocol = raw.protocol.filter(|protocol| !protocol.is_empty()).unwrap_or_else(|| "tcp".into());
    let published = match &raw.published {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    let (first, last) = published.split_once('-').unwrap_or((&published, &published));
    let published = first.trim().parse::<u16>().ok().zip(last.trim().parse::<u16>().ok());
    DeclaredPort {
        target: format!("{}/{protocol}", raw.target),
        // The unspecified address, in any form, means any address.
        host: raw.host_ip.and_then(|host| host.parse::<IpAddr>().ok()).filter(|host| !host.is_unspecified()),
        // Port 0 leaves the choice to the engine.
        published: published.filter(|(first, _)| *first > 0),
    }
}

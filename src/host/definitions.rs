//! Compares a project's networks and volumes with their definitions in the Compose files.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

use bollard::models::{IpamConfig, Network, Volume};
use futures_util::future::try_join_all;

use super::{
    LocalHost,
    compose::{NetworkModel, Resolved, Subnet, VolumeModel, secret_digest},
    engine::EngineError,
};
use crate::api::{Fact, NetworkObservation, VolumeObservation};

/// The labels that Compose itself puts on networks and volumes.
const OWN_LABELS: &str = "com.docker.compose.";
const CONFIG_HASH: &str = "com.docker.compose.config-hash";
const VERSION: &str = "com.docker.compose.version";

/// The first Compose that recreates a network with another definition at an `up`.
const REMAKES_SINCE: (u32, u32) = (2, 31);

/// All definitions of a project, as the engine has them.
pub(super) struct Definitions {
    networks: Result<BTreeMap<String, Network>, EngineError>,
    volumes: BTreeMap<String, Volume>,
}

impl LocalHost {
    /// The engine's view of the project's networks and volumes; undrift asks only if the files declare any.
    pub(super) async fn definitions(&self, resolved: &Resolved) -> Definitions {
        let project = &resolved.model.name;
        let networks = async {
            if resolved.declared.networks.is_empty() {
                return Ok(BTreeMap::new());
            }
            self.engine.networks_by_key(project).await
        };
        let volumes = async {
            if resolved.declared.volumes.is_empty() {
                return BTreeMap::new();
            }
            // They only yield notes, so missing information changes nothing.
            self.engine.volumes_by_key(project).await.unwrap_or_default()
        };
        let (networks, volumes) = tokio::join!(networks, volumes);
        Definitions { networks, volumes }
    }

    /// The networks that a service joins and Compose makes.
    pub(super) async fn networks_of(
        &self,
        resolved: &Resolved,
        definitions: &Definitions,
        service: &str,
    ) -> Fact<Vec<NetworkObservation>> {
        let networks = match &definitions.networks {
            Ok(networks) => networks,
            Err(error) => return Fact::unknown(error.to_string()),
        };
        let keys = resolved.declared.services.get(service).into_iter().flat_map(|of| &of.networks);
        let found = keys.filter_map(|key| Some((resolved.declared.networks.get(key)?, networks.get(key)?)));
        // A network with that key and another name dates from before a rename; an `up` leaves it behind.
        let found = found.filter(|(declared, found)| found.name.as_ref() == Some(&declared.name));
        let all = found.map(async |(declared, found)| {
            let mut seen = network(declared, found, resolved.version.as_deref());
            if seen.remade || !seen.differences.is_empty() {
                let id = found.id.as_deref().unwrap_or(&declared.name);
                let others = self.engine.others_on_network(id, &resolved.model.name, service).await?;
                seen.others = others.into_iter().collect();
            }
            Ok::<_, EngineError>(seen)
        });
        Fact::from(try_join_all(all.collect::<Vec<_>>()).await)
    }
}

impl Definitions {
    /// The volumes that a service mounts and Compose makes.
    pub(super) fn volumes_of(&self, resolved: &Resolved, service: &str) -> Vec<VolumeObservation> {
        let keys = resolved.declared.services.get(service).into_iter().flat_map(|of| &of.volumes);
        let found =
            keys.filter_map(|key| Some((resolved.declared.volumes.get(key)?, self.volumes.get(key)?)));
        let found = found.filter(|(declared, found)| found.name == declared.name);
        found.map(|(declared, found)| volume(declared, found)).collect()
    }
}

/// Compares a network with its definition. Compose's own hash decides if the network has one of the same version; the
/// differences are then only named. Without one, the parts decide.
fn network(declared: &NetworkModel, found: &Network, compose: Option<&str>) -> NetworkObservation {
    let none = HashMap::new();
    let labels = found.labels.as_ref().unwrap_or(&none);
    let hash = labels.get(CONFIG_HASH).filter(|hash| !hash.is_empty());
    let mut differences = match hash {
        Some(hash) if *hash == declared.hash => Vec::new(),
        _ => differences(declared, found, labels),
    };
    let another = hash.is_some_and(|hash| *hash != declared.hash);
    let same_version = compose.is_some() && labels.get(VERSION).map(String::as_str) == compose;
    if another && same_version && differences.is_empty() {
        differences.push("its definition".to_owned());
    }
    let driver = found.driver.as_deref().unwrap_or_default();
    let options = found.options.as_ref().unwrap_or(&none);
    // With a gateway mode, ports may be reachable without being bound.
    let gateway = options.keys().any(|key| key.contains("gateway_mode"));
    NetworkObservation {
        name: declared.name.clone(),
        differences,
        remade: another && remakes(compose),
        publishes: driver == "bridge" && found.internal != Some(true) && !gateway,
        others: Vec::new(),
    }
}

/// Whether this Compose recreates networks; an unknown version may.
fn remakes(compose: Option<&str>) -> bool {
    let Some(version) = compose else { return true };
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) >= REMAKES_SINCE,
        _ => true,
    }
}

fn differences(declared: &NetworkModel, found: &Network, labels: &HashMap<String, String>) -> Vec<String> {
    let none = HashMap::new();
    let mut all = Vec::new();
    let driver = declared.driver.as_deref().unwrap_or("bridge");
    if found.driver.as_deref().is_some_and(|found| found != driver) {
        all.push("driver".to_owned());
    }
    let options = found.options.as_ref().unwrap_or(&none);
    all.extend(other_values("option", &declared.options, options, |_| false));
    all.extend(other_values("label", &declared.labels, labels, |name| !name.starts_with(OWN_LABELS)));
    let flags = [
        ("internal", Some(declared.internal), found.internal),
        ("attachable", Some(declared.attachable), found.attachable),
        ("enable_ipv6", declared.ipv6, found.enable_ipv6),
    ];
    let other = |(_, declared, found): &(&str, Option<bool>, Option<bool>)| {
        declared.zip(*found).is_some_and(|(declared, found)| declared != found)
    };
    all.extend(flags.iter().filter(|flag| other(flag)).map(|(name, ..)| (*name).to_owned()));
    let ipam = found.ipam.as_ref();
    let driver = ipam.and_then(|ipam| ipam.driver.as_ref());
    if declared.ipam_driver.as_ref().zip(driver).is_some_and(|(declared, found)| declared != found) {
        all.push("ipam driver".to_owned());
    }
    let options = ipam.and_then(|ipam| ipam.options.as_ref()).unwrap_or(&none);
    all.extend(other_values("ipam option", &declared.ipam_options, options, |_| false));
    let subnets = ipam.and_then(|ipam| ipam.config.as_deref()).unwrap_or_default();
    let missing = |subnet: &&Subnet| !subnets.iter().any(|found| is_subnet(subnet, found));
    all.extend(declared.subnets.iter().find(missing).map(|_| "subnet".to_owned()));
    all
}

/// The names whose values differ, and those that only the engine has, if `counts` reports that they came from a file: the
/// engine adds options of its own.
fn other_values(
    kind: &str,
    declared: &BTreeMap<String, String>,
    found: &HashMap<String, String>,
    counts: impl Fn(&str) -> bool,
) -> Vec<String> {
    let differs = declared.iter().filter(|(name, digest)| {
        found.get(*name).is_none_or(|value| secret_digest(name, value.as_bytes()) != **digest)
    });
    let differs = differs.map(|(name, _)| name);
    let more = found.keys().filter(|name| !declared.contains_key(*name) && counts(name));
    let names: BTreeSet<&String> = differs.chain(more).collect();
    names.into_iter().map(|name| format!("{kind} {name}")).collect()
}

/// Whether the engine's subnet matches the declared one in all declared fields.
fn is_subnet(declared: &Subnet, found: &IpamConfig) -> bool {
    let same = |declared: &str, found: Option<&String>| {
        declared.is_empty() || found.is_some_and(|found| range(found) == range(declared))
    };
    let none = HashMap::new();
    let kept = found.auxiliary_addresses.as_ref().unwrap_or(&none);
    same(&declared.subnet, found.subnet.as_ref())
        && same(&declared.gateway, found.gateway.as_ref())
        && same(&declared.ip_range, found.ip_range.as_ref())
        && declared.aux_addresses.iter().all(|(name, address)| same(address, kept.get(name)))
}

/// An address or a range of them in any spelling: its first address and the length of its prefix. Other text is returned as it
/// is.
fn range(text: &str) -> (String, Option<u8>) {
    let (address, prefix) = text.split_once('/').unwrap_or((text, ""));
    let prefix = prefix.parse::<u8>().ok();
    let first = match (address.parse::<IpAddr>(), prefix) {
        (Ok(IpAddr::V4(address)), Some(prefix @ 0..=32)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V4((u32::from(address) & mask).into()).to_string()
        }
        (Ok(IpAddr::V6(address)), Some(prefix @ 0..=128)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6((u128::from(address) & mask).into()).to_string()
        }
        (Ok(address), _) => address.to_string(),
        (Err(_), _) => address.to_owned(),
    };
    (first, prefix)
}

fn volume(declared: &VolumeModel, found: &Volume) -> VolumeObservation {
    let mut differences = Vec::new();
    if declared.driver.as_deref().unwrap_or("local") != found.driver {
        differences.push("driver".to_owned());
    }
    // The engine adds no options to a volume.
    differences.extend(other_values("option", &declared.options, &found.options, |_| true));
    let of_file = |name: &str| !name.starts_with(OWN_LABELS);
    differences.extend(other_values("label", &declared.labels, &found.labels, of_file));
    VolumeObservation { name: declared.name.clone(), differences }
}

#[cfg(test)]
#[path = "definitions_tests.rs"]
mod tests;

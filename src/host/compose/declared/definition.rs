//! The definitions of networks and volumes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::secret_digest;

/// A network that Compose makes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkModel {
    /// The engine's name for it.
    pub name: String,
    /// The hash that Compose (2.31 and later) puts on a network that it creates from this definition.
    pub hash: String,
    /// The driver; `None` for the engine's default.
    pub driver: Option<String>,
    /// The driver's options: digests of the values.
    pub options: BTreeMap<String, String>,
    /// The labels: digests of the values.
    pub labels: BTreeMap<String, String>,
    /// Whether it is cut off from the outside.
    pub internal: bool,
    /// Whether containers that Compose did not make may join.
    pub attachable: bool,
    /// Whether it has IPv6; `None` for the engine's default.
    pub ipv6: Option<bool>,
    /// The IPAM driver; `None` for the engine's default.
    pub ipam_driver: Option<String>,
    /// The options of the IPAM driver, as digests.
    pub ipam_options: BTreeMap<String, String>,
    /// Its subnets; none if the engine chooses.
    pub subnets: Vec<Subnet>,
}

/// A subnet of a network; the engine chooses empty fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Subnet {
    /// `10.0.0.0/24`.
    pub subnet: String,
    /// The gateway's address.
    pub gateway: String,
    /// The part of it from which addresses are assigned.
    pub ip_range: String,
    /// Reserved addresses, by name.
    pub aux_addresses: BTreeMap<String, String>,
}

/// A volume that Compose makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeModel {
    /// The engine's name for it.
    pub name: String,
    /// The driver; `None` for the engine's default.
    pub driver: Option<String>,
    /// The driver's options: digests of the values, because they may hold the password of a share.
    pub options: BTreeMap<String, String>,
    /// The labels: digests of the values.
    pub labels: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RawNetwork {
    name: Option<String>,
    external: serde_json::Value,
    driver: Option<String>,
    driver_opts: BTreeMap<String, serde_json::Value>,
    labels: BTreeMap<String, serde_json::Value>,
    internal: bool,
    attachable: bool,
    enable_ipv6: Option<bool>,
    ipam: RawIpam,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawIpam {
    driver: Option<String>,
    options: BTreeMap<String, serde_json::Value>,
    config: Vec<Subnet>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RawVolume {
    name: Option<String>,
    external: serde_json::Value,
    driver: Option<String>,
    driver_opts: BTreeMap<String, serde_json::Value>,
    labels: BTreeMap<String, serde_json::Value>,
}

impl RawNetwork {
    pub(super) fn is_external(&self) -> bool {
        is_set(&self.external)
    }

    pub(super) fn name(&self, project: &str, key: &str) -> String {
        self.name.clone().unwrap_or_else(|| format!("{project}_{key}"))
    }

    pub(super) fn read(self, project: &str, key: &str, hash: String) -> NetworkModel {
        NetworkModel {
            name: self.name(project, key),
            hash,
            driver: self.driver.filter(|driver| !driver.is_empty()),
            options: digests(&self.driver_opts),
            labels: digests(&self.labels),
            internal: self.internal,
            attachable: self.attachable,
            ipv6: self.enable_ipv6,
            ipam_driver: self.ipam.driver.filter(|driver| !driver.is_empty()),
            ipam_options: digests(&self.ipam.options),
            subnets: self.ipam.config,
        }
    }
}

impl RawVolume {
    pub(super) fn is_external(&self) -> bool {
        is_set(&self.external)
    }

    pub(super) fn read(self, project: &str, key: &str) -> VolumeModel {
        VolumeModel {
            name: self.name.unwrap_or_else(|| format!("{project}_{key}")),
            driver: self.driver.filter(|driver| !driver.is_empty()),
            options: digests(&self.driver_opts),
            labels: digests(&self.labels),
        }
    }
}

/// `true`, or an object as older files have it.
fn is_set(external: &serde_json::Value) -> bool {
    !matches!(external, serde_json::Value::Null | serde_json::Value::Bool(false))
}

/// The digest of each value. Compose doubles the dollar signs of what `config` prints.
fn digests(values: &BTreeMap<String, serde_json::Value>) -> BTreeMap<String, String> {
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.replace("$$", "$"),
        serde_json::Value::Null => String::new(),
        other => other.to_string(),
    };
    values.iter().map(|(name, value)| (name.clone(), secret_digest(name, text(value).as_bytes()))).collect()
}

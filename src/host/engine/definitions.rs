//! The networks and volumes that Compose made for a project, as the engine has them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bollard::{
    models::{Network, Volume},
    query_parameters::{ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder},
};

use super::{
    Engine, EngineError,
    containers::{PROJECT, SERVICE, bare},
    networks::NETWORK,
    request::EngineRequest,
};
use crate::api::NetworkUser;

/// Compose's label for the key of a volume in the Compose files.
const VOLUME: &str = "com.docker.compose.volume";

impl Engine {
    /// The networks of a project by their key in the Compose files. If several have one key, none is returned: it is unclear
    /// which one is meant.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn networks_by_key(&self, project: &str) -> Result<BTreeMap<String, Network>, EngineError> {
        let filters = labelled(project, NETWORK);
        let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
        let request = EngineRequest::networks();
        let list = self.ask(&request, async |docker| docker.list_networks(Some(options)).await).await?;
        let keyed = list.into_iter().map(|network| keyed(&request, network));
        Ok(unambiguous(keyed.collect::<Result<Vec<_>, _>>()?.into_iter()))
    }

    /// The volumes of a project by their key in the Compose files.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn volumes_by_key(&self, project: &str) -> Result<BTreeMap<String, Volume>, EngineError> {
        let filters = labelled(project, VOLUME);
        let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
        let request = EngineRequest::get("volumes");
        let list = self.ask(&request, async |docker| docker.list_volumes(Some(options)).await).await?;
        let keyed = list.volumes.into_iter().flatten().filter_map(|volume| {
            let key = volume.labels.get(VOLUME)?.clone();
            Some((key, volume))
        });
        Ok(unambiguous(keyed))
    }

    /// The containers on a network, running or not, without those of one service.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn others_on_network(
        &self,
        network: &str,
        project: &str,
        service: &str,
    ) -> Result<BTreeSet<NetworkUser>, EngineError> {
        let filters = HashMap::from([("network".to_owned(), vec![network.to_owned()])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let request = EngineRequest::containers();
        let list = self.ask(&request, async |docker| docker.list_containers(Some(options)).await).await?;
        let users = list.into_iter().map(|container| {
            let mut labels = container.labels.unwrap_or_default();
            match (labels.remove(PROJECT), labels.remove(SERVICE)) {
                (Some(of), Some(service)) if of == project => NetworkUser::Service(service),
                _ => {
                    let name = container.names.unwrap_or_default().first().map(|name| bare(name));
                    NetworkUser::Stranger(name.or(container.id).unwrap_or_default())
                }
            }
        });
        Ok(users.filter(|user| *user != NetworkUser::Service(service.to_owned())).collect())
    }
}

/// A network with its key. All compared fields must be present, or a difference would be meaningless.
fn keyed(request: &EngineRequest, network: Network) -> Result<(String, Network), EngineError> {
    let label = network.labels.as_ref().and_then(|labels| labels.get(NETWORK));
    let key = request.required(&format!("Labels[{NETWORK}]"), label)?.clone();
    request.required("Id", network.id.as_ref())?;
    request.required("Name", network.name.as_ref())?;
    request.required("Driver", network.driver.as_ref())?;
    let ipam = request.required("IPAM", network.ipam.as_ref())?;
    if has_addresses(&network) {
        request.required("IPAM.Config", ipam.config.as_ref())?;
    }
    Ok((key, network))
}

/// Whether it has addresses. Engines from 28 on can create networks without any, and list no subnet for them (null).
fn has_addresses(network: &Network) -> bool {
    network.enable_ipv4 != Some(false) || network.enable_ipv6 == Some(true)
}

fn labelled(project: &str, kind: &str) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), vec![format!("{PROJECT}={project}"), kind.to_owned()])])
}

fn unambiguous<T>(keyed: impl Iterator<Item = (String, T)>) -> BTreeMap<String, T> {
    let mut found: BTreeMap<String, Option<T>> = BTreeMap::new();
    for (key, value) in keyed {
        found.entry(key).and_modify(|found| *found = None).or_insert(Some(value));
    }
    found.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_network_without_addresses_may_have_no_subnets() {
        let listed = |config: serde_json::Value, enabled: [Option<bool>; 2]| {
            let mut listed =
                json!({"Id": "1", "Name": "shop_l2", "Driver": "macvlan", "Labels": {NETWORK: "l2"}});
            listed["IPAM"] = json!({"Driver": "default", "Config": config});
            (listed["EnableIPv4"], listed["EnableIPv6"]) = (json!(enabled[0]), json!(enabled[1]));
            keyed(&EngineRequest::networks(), serde_json::from_value(listed).unwrap()).map(|(key, _)| key)
        };
        assert_eq!(listed(json!(null), [Some(false), Some(false)]).unwrap(), "l2");
        assert_eq!(listed(json!([]), [None, Some(false)]).unwrap(), "l2");
        for enabled in [[None, Some(false)], [Some(true), Some(false)], [Some(false), Some(true)]] {
            let error = listed(json!(null), enabled).unwrap_err();
            assert!(matches!(error, EngineError::Incomplete { .. }), "{enabled:?}: {error}");
        }
    }
}

//! Namespaces and volumes that containers share with others.
//!
//! The engine keeps the other one's ID from the creation on, whatever name was given (measured with 20.10). After a restart of
//! the other one, under the same ID, the container still has the namespaces of the previous run: of the network only the
//! loopback interface is left, and the IPC namespace is another one. A container in another's PID namespace dies with it. A
//! restart joins the new ones. If the other one was recreated, a restart fails: `No such container`.

use std::collections::{BTreeMap, btree_map::Entry};

use bollard::models::HostConfig;

use super::{Container, Engine};
use crate::api::{ContainerState, Fact, Joined, OtherContainer, Shared};

/// The namespaces and volumes that a container was created to share, from its settings; the engine must look up the other ones.
pub(super) fn declared(host_config: &HostConfig) -> Vec<Joined> {
    let modes = [
        (Shared::Network, &host_config.network_mode),
        (Shared::Ipc, &host_config.ipc_mode),
        (Shared::Pid, &host_config.pid_mode),
    ];
    let namespaces = modes
        .into_iter()
        .filter_map(|(what, mode)| Some((what, mode.as_deref()?.strip_prefix("container:")?)));
    let volumes = host_config.volumes_from.iter().flatten();
    let volumes = volumes.map(|from| (Shared::Volumes, from.split(':').next().unwrap_or_default()));
    let joined = |(what, id): (Shared, &str)| Joined {
        what,
        id: id.to_owned(),
        other: Fact::unknown("it was not looked up"),
    };
    namespaces.chain(volumes).map(joined).collect()
}

impl Engine {
    /// Looks up the containers that these share something with, each once.
    pub(super) async fn look_up_joined(&self, containers: &mut [Container]) {
        let mut others: BTreeMap<String, Fact<Option<OtherContainer>>> = BTreeMap::new();
        let ids: Vec<String> = containers
            .iter()
            .flat_map(|container| &container.seen.joined)
            .map(|joined| joined.id.clone())
            .collect();
        for id in ids {
            if let Entry::Vacant(unknown) = others.entry(id) {
                let found = self.container(unknown.key()).await;
                unknown.insert(found.map(|found| found.map(|found| other(&found))).into());
            }
        }
        for joined in containers.iter_mut().flat_map(|container| &mut container.seen.joined) {
            if let Some(other) = others.get(&joined.id) {
                joined.other.clone_from(other);
            }
        }
    }
}

/// A container as the owner of something shared.
pub(in crate::host) fn other(found: &Container) -> OtherContainer {
    OtherContainer {
        name: found.seen.name.clone(),
        is_running: found.seen.state == ContainerState::Running,
        started_at: found.seen.started_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_is_read_from_the_settings() {
        let settings = HostConfig {
            network_mode: Some("container:aaa".into()),
            ipc_mode: Some("private".into()),
            pid_mode: Some("container:bbb".into()),
            volumes_from: Some(vec!["ccc".into(), "ddd:ro".into()]),
            ..HostConfig::default()
        };
        let found: Vec<_> = declared(&settings).into_iter().map(|joined| (joined.what, joined.id)).collect();
        let expected = [
            (Shared::Network, "aaa"),
            (Shared::Pid, "bbb"),
            (Shared::Volumes, "ccc"),
            (Shared::Volumes, "ddd"),
        ];
        assert_eq!(found, expected.map(|(what, id)| (what, id.to_owned())));
        assert_eq!(declared(&HostConfig { network_mode: Some("host".into()), ..HostConfig::default() }), []);
    }
}

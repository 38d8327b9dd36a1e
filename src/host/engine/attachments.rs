//! A container's attachments: networks and published ports, as the engine has them now.

use bollard::models::{EndpointSettings, NetworkSettings, PortBinding};

use crate::api::{AttachedNetwork, Attachments, BoundPort};

/// The networks and ports of a container, from the engine's settings.
pub(super) fn attachments(settings: &NetworkSettings) -> Attachments {
    let networks = settings.networks.iter().flatten();
    let mut networks: Vec<AttachedNetwork> = networks.map(|(name, at)| network(name, at)).collect();
    networks.sort_by(|a, b| a.name.cmp(&b.name));
    let ports = settings.ports.iter().flatten();
    let mut ports: Vec<BoundPort> = ports
        .flat_map(|(target, bindings)| bindings.iter().flatten().filter_map(|binding| bound(target, binding)))
        .collect();
    ports.sort_by(|a, b| (&a.target, a.host, a.published).cmp(&(&b.target, b.host, b.published)));
    Attachments { networks, ports }
}

fn network(name: &str, at: &EndpointSettings) -> AttachedNetwork {
    let addresses = [&at.ip_address, &at.global_ipv6_address];
    AttachedNetwork {
        name: name.to_owned(),
        id: at.network_id.clone().unwrap_or_default(),
        // From engine 26 on the second list is the whole one.
        aliases: [&at.aliases, &at.dns_names].into_iter().flatten().flatten().cloned().collect(),
        addresses: addresses.into_iter().flatten().filter_map(|address| address.parse().ok()).collect(),
    }
}

fn bound(target: &str, binding: &PortBinding) -> Option<BoundPort> {
    let published = binding.host_port.as_ref()?.parse().ok()?;
    let host = binding.host_ip.as_ref().and_then(|host| host.parse().ok());
    Some(BoundPort { target: target.to_owned(), host, published })
}

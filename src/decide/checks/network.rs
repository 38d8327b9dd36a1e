//! The parts that Compose's config hash leaves out: the networks and ports of a container, the content copied into it, and
//! the definitions of the networks that its service joins.

use super::{LayerVerdict, ServiceView};
use crate::api::{
    AttachedNetwork, Attachments, BoundPort, ContainerObservation, ContainerState, DeclaredNetwork,
    DeclaredPort, DriftReason, Fact, NetworkObservation, NetworkUser, ServiceObservation,
};

/// The engine's own network, whose containers' ports are bound.
const BRIDGE: &str = "bridge";

/// Whether a running container is attached as the Compose files declare. Somebody else added any extra network, for instance
/// for a proxy.
pub(super) fn attachments(view: ServiceView<'_>, c: &ContainerObservation) -> LayerVerdict {
    if c.state != ContainerState::Running {
        return LayerVerdict::AsDeclared(None);
    }
    let declared = &view.seen.attachments;
    let network = declared.networks.iter().find_map(|network| off_network(network, &c.attachments));
    let wrong = network.or_else(|| {
        let mut ports = declared.ports.iter().filter(|_| publishes(view.seen, &c.attachments));
        ports.find_map(|port| unpublished(port, &c.attachments))
    });
    match wrong {
        Some(what) => LayerVerdict::Broken(DriftReason::NetworkChanged, format!("{} {what}", c.name)),
        None => LayerVerdict::AsDeclared(None),
    }
}

fn off_network(declared: &DeclaredNetwork, attached: &Attachments) -> Option<String> {
    let name = &declared.name;
    let Some(found) = attached.networks.iter().find(|found| is_network(declared, found)) else {
        return Some(format!("is not attached to the network {name}"));
    };
    if let Some(alias) = declared.aliases.iter().find(|alias| !found.aliases.contains(*alias)) {
        return Some(format!("does not have the name {alias} on the network {name}"));
    }
    let address = declared.addresses.iter().find(|address| !found.addresses.contains(address))?;
    Some(format!("does not have the address {address} on the network {name}"))
}

/// A network may be declared by its ID.
fn is_network(declared: &DeclaredNetwork, found: &AttachedNetwork) -> bool {
    declared.name == found.name || (declared.name.len() >= 12 && found.id.starts_with(&declared.name))
}

/// Whether any network of the container is known to bind its ports on the host: internal ones do not, and neither do most
/// drivers.
fn publishes(seen: &ServiceObservation, attached: &Attachments) -> bool {
    let own = seen.networks.known().into_iter().flatten().filter(|network| network.publishes);
    let mut names = own.map(|network| network.name.as_str()).chain([BRIDGE]);
    names.any(|name| attached.networks.iter().any(|found| found.name == name))
}

fn unpublished(declared: &DeclaredPort, attached: &Attachments) -> Option<String> {
    let is_bound = |bound: &BoundPort| {
        let host = declared.host.is_none_or(|host| bound.host.is_none_or(|bound| bound == host));
        let port = declared.published.is_none_or(|(first, last)| (first..=last).contains(&bound.published));
        bound.target == declared.target && host && port
    };
    let missing = !attached.ports.iter().any(is_bound);
    missing.then(|| match declared.published {
        None => format!("does not publish its port {}", declared.target),
        Some((first, last)) if first == last => {
            format!("does not publish its port {} as {first}", declared.target)
        }
        Some((first, last)) => format!("does not publish its port {} as {first} to {last}", declared.target),
    })
}

/// Whether a container holds the current configs and secrets of the Compose files.
pub(super) fn contents(_: ServiceView<'_>, c: &ContainerObservation) -> LayerVerdict {
    let verdicts = c.contents.iter().map(|content| match &content.differs {
        Fact::Known(false) => LayerVerdict::AsDeclared(None),
        Fact::Known(true) => LayerVerdict::Broken(
            DriftReason::ConfigChanged,
            format!(
                "{} was created with another content of {} than the Compose files have now",
                c.name, content.name
            ),
        ),
        Fact::Unknown(why) => LayerVerdict::not_known(format!("{} in {}: {why}", content.name, c.name)),
    });
    super::worst(verdicts)
}

/// Whether the networks that the service joins were created from the current definitions in the Compose files.
pub(super) fn definitions(view: ServiceView<'_>) -> LayerVerdict {
    let networks = match &view.seen.networks {
        Fact::Known(networks) => networks,
        Fact::Unknown(why) => return LayerVerdict::not_known(format!("networks: {why}")),
    };
    match networks.iter().find(|network| !network.differences.is_empty()) {
        None => LayerVerdict::AsDeclared(None),
        Some(network) => LayerVerdict::Broken(
            DriftReason::NetworkDefinitionChanged,
            format!(
                "the network {} was made from another definition ({}) than the Compose files have now",
                network.name,
                network.differences.join(", ")
            ),
        ),
    }
}

/// A network that makes every `up` of the service fail: Compose would stop the service, fail to remove the network while
/// others use it, and leave the service down.
pub(in crate::decide) fn blocking(seen: &ServiceObservation) -> Option<&NetworkObservation> {
    let networks = seen.networks.known().into_iter().flatten();
    networks.into_iter().find(|network| network.remade && !network.others.is_empty())
}

/// The remedy for a network whose definition differs.
pub(in crate::decide) fn remedy(seen: &ServiceObservation, network: &NetworkObservation) -> String {
    let strangers: Vec<&str> = network
        .others
        .iter()
        .filter_map(|user| match user {
            NetworkUser::Stranger(name) => Some(name.as_str()),
            NetworkUser::Service(_) => None,
        })
        .collect();
    let mut services: Vec<&str> = network
        .others
        .iter()
        .filter_map(|user| match user {
            NetworkUser::Service(name) => Some(name.as_str()),
            NetworkUser::Stranger(_) => None,
        })
        .chain([seen.name.as_str()])
        .collect();
    services.sort_unstable();
    services.dedup();
    let (name, services) = (&network.name, services.join(" "));
    let first = match &strangers[..] {
        [] => String::new(),
        others => format!("disconnect {} from it first, then ", others.join(", ")),
    };
    if network.remade {
        format!(
            "{first}`docker compose up --detach --no-deps {services}` makes it anew, with all of them at once"
        )
    } else {
        format!(
            "{first}`docker compose rm --stop --force {services}`, `docker network rm {name}` and `docker compose up --detach {services}` \
             make it anew"
        )
    }
}

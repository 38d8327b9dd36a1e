//! Ports of the host that a service is to publish and that somebody else has. Compose stops and removes the old container
//! before it starts the new one: if the new one cannot get its port, it stays down, and the old one is gone.
//!
//! The engine knows the ports of its containers, even if no socket listens for them (without its userland proxy). The sockets
//! of this host show all other processes; on another host, only the engine's containers are known. undrift never tests a port
//! by binding it: another process that comes just then would be refused it.

use std::{collections::BTreeSet, net::IpAddr};

use super::{
    LocalHost,
    compose::Resolved,
    engine::{Container, PublishedPort, Publisher},
    probe::{self, BoundSocket, Transport, are_in_each_others_way},
};
use crate::api::{ContainerObservation, ContainerState, DeclaredPort, Desired, NoteReason, Obstacle};

/// The most ports of a range that undrift checks. A longer range means any of them.
const MOST: usize = 1024;

/// A port that a service is to publish: one of these, for each of so many containers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    transport: Transport,
    host: Option<IpAddr>,
    first: u16,
    last: u16,
    times: usize,
}

/// A port that somebody else has.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Taken {
    port: u16,
    transport: Transport,
    holder: PortHolder,
}

/// The holder of a port.
#[derive(Debug, Clone, PartialEq, Eq)]
enum PortHolder {
    /// A container, by its name.
    Container(String),
    /// The process that has this socket.
    Socket(u64),
}

/// Everything that has ports.
struct Holders<'a> {
    publishers: &'a [Publisher],
    sockets: &'a [BoundSocket],
    /// Whether the same step ends it, which frees its ports.
    is_replaced: &'a (dyn Fn(&Publisher, PublishedPort) -> bool + Sync),
}

impl Holders<'_> {
    /// The first port that is in the way, if too few of the suitable ones are free.
    fn in_the_way(&self, wanted: &Wanted) -> Option<Taken> {
        let range = (wanted.first..=wanted.last).take(MOST);
        let needed = wanted.times.min(range.clone().count());
        let (mut free, mut first) = (0, None);
        for port in range {
            match self.of(wanted, port) {
                None => free += 1,
                Some(holder) => {
                    first.get_or_insert(Taken { port, transport: wanted.transport, holder });
                }
            }
            if free >= needed {
                return None;
            }
        }
        first
    }

    fn of(&self, wanted: &Wanted, port: u16) -> Option<PortHolder> {
        let conflicts = |at: &PublishedPort| {
            at.port == port
                && at.transport == wanted.transport
                && are_in_each_others_way(wanted.host, at.host)
        };
        let container = self.publishers.iter().find(|publisher| {
            publisher.ports.iter().any(|at| conflicts(at) && !(self.is_replaced)(publisher, *at))
        });
        if let Some(container) = container {
            return Some(PortHolder::Container(container.name.clone()));
        }
        let mut sockets = self.sockets.iter().filter(|socket| {
            socket.transport == wanted.transport
                && socket.address.port() == port
                && are_in_each_others_way(wanted.host, Some(socket.address.ip()))
        });
        sockets.find(|socket| !self.is_the_engines(socket)).map(|socket| PortHolder::Socket(socket.inode))
    }

    /// Whether the engine listens there, for a container.
    fn is_the_engines(&self, socket: &BoundSocket) -> bool {
        let address = Some(socket.address.ip().to_canonical()).filter(|ip| !ip.is_unspecified());
        let is_its = |at: &PublishedPort| {
            at.transport == socket.transport && at.port == socket.address.port() && at.host == address
        };
        self.publishers.iter().flat_map(|publisher| &publisher.ports).any(is_its)
    }
}

/// The known facts about the ports that an `up` of a service needs. If they are unknown, nothing counts as in the way: the step
/// is then as good as without the check.
#[derive(Debug, Default)]
pub(super) struct PortsFound {
    /// A port that somebody else has and keeps.
    pub(super) taken: Option<Obstacle>,
    /// The other services of the object that have one, and give it up when they are brought up.
    pub(super) of_services: BTreeSet<String>,
}

impl LocalHost {
    /// The holders of the ports that an `up` of this service needs. These are its containers.
    pub(super) async fn ports(
        &self,
        desired: &Desired,
        resolved: &Resolved,
        service: &str,
        own: &[&Container],
    ) -> PortsFound {
        let wanted = wanted(resolved, service);
        if wanted.is_empty() {
            return PortsFound::default();
        }
        let publishers = match self.engine.publishers().await {
            Ok(publishers) => publishers,
            Err(error) => {
                tracing::debug!(%error, "ports are not known");
                return PortsFound::default();
            }
        };
        let is_here = self.engine.shares_its_network().await;
        let listen = own.iter().filter(|own| own.network.is_the_hosts());
        let listen = listen.filter(|own| own.seen.state == ContainerState::Running);
        let listen = listen.map(|own| own.seen.id.clone()).collect();
        let sockets = if is_here { sockets(listen).await } else { Vec::new() };
        let is_replaced =
            |publisher: &Publisher, at: PublishedPort| gives_up(desired, resolved, service, publisher, at);
        let holders = Holders { publishers: &publishers, sockets: &sockets, is_replaced: &is_replaced };
        if let Some(taken) = wanted.iter().find_map(|wanted| holders.in_the_way(wanted)) {
            let taken = Some(obstacle(service, &taken, is_here).await);
            return PortsFound { taken, of_services: BTreeSet::new() };
        }
        let is_its_own = |publisher: &Publisher, _| service_of(publisher, resolved) == Some(service);
        let others = Holders { is_replaced: &is_its_own, ..holders };
        PortsFound { taken: None, of_services: of_services(&others, &wanted, resolved) }
    }
}

/// The services whose containers have these ports.
fn of_services(holders: &Holders<'_>, wanted: &[Wanted], resolved: &Resolved) -> BTreeSet<String> {
    let names = wanted.iter().filter_map(|wanted| match holders.in_the_way(wanted)?.holder {
        PortHolder::Container(name) => Some(name),
        PortHolder::Socket(_) => None,
    });
    let services = names.filter_map(|name| {
        let publisher = holders.publishers.iter().find(|publisher| publisher.name == name)?;
        service_of(publisher, resolved).map(str::to_owned)
    });
    services.collect()
}

/// The service of this project that a container is a replica of.
fn service_of<'a>(publisher: &'a Publisher, resolved: &Resolved) -> Option<&'a str> {
    let (project, service) = publisher.of.as_ref()?;
    (*project == resolved.model.name).then_some(service)
}

/// Whether one of these, its own, already holds every port that the service is to publish: then undrift asks nothing.
pub(super) fn are_held<'a>(
    resolved: &Resolved,
    service: &str,
    containers: impl Iterator<Item = &'a ContainerObservation> + Clone,
) -> bool {
    let running = containers.filter(|container| container.state == ContainerState::Running);
    declared(resolved, service).all(|declared| {
        let mut bound = running.clone().flat_map(|container| &container.attachments.ports);
        let Some((first, last)) = declared.published else { return true };
        bound.any(|bound| {
            let is_there = declared.host.is_none_or(|host| bound.host.is_none_or(|bound| bound == host));
            bound.target == declared.target && is_there && (first..=last).contains(&bound.published)
        })
    })
}

/// The ports that Compose is to publish. A container in internal networks only publishes nothing.
fn declared<'a>(resolved: &'a Resolved, service: &str) -> impl Iterator<Item = &'a DeclaredPort> {
    let declared = resolved.declared.services.get(service);
    let is_internal =
        |key: &String| resolved.declared.networks.get(key).is_some_and(|network| network.internal);
    let publishes = declared
        .filter(|declared| declared.networks.is_empty() || !declared.networks.iter().all(is_internal));
    publishes.into_iter().flat_map(|declared| &declared.attachments.ports)
}

/// The ports of the host that it needs; if the engine chooses, nothing can be in the way.
fn wanted(resolved: &Resolved, service: &str) -> Vec<Wanted> {
    let replicas = resolved.model.services.get(service).map_or(1, |model| model.replicas);
    let times = usize::try_from(replicas).unwrap_or(usize::MAX);
    let each = declared(resolved, service).filter_map(|declared| {
        let (first, last) = declared.published?;
        let transport = match declared.target.split_once('/')?.1 {
            "tcp" => Transport::Tcp,
            "udp" => Transport::Udp,
            _ => return None,
        };
        Some(Wanted { transport, host: declared.host, first, last, times })
    });
    each.collect()
}

/// Whether an `up` of the service makes this container give up its port: it is its own, or belongs to another service that the
/// object names and that is no longer to have the port.
fn gives_up(
    desired: &Desired,
    resolved: &Resolved,
    service: &str,
    publisher: &Publisher,
    at: PublishedPort,
) -> bool {
    let Some(other) = service_of(publisher, resolved) else { return false };
    let still_wants =
        |wanted: &Wanted| wanted.transport == at.transport && (wanted.first..=wanted.last).contains(&at.port);
    other == service || desired.service(other).is_some() && !wanted(resolved, other).iter().any(still_wants)
}

/// The sockets of this host, without those of these containers on the host's network, which the step ends. None if they cannot
/// be read, or these cannot be distinguished: the engine's list is still known.
async fn sockets(own: Vec<String>) -> Vec<BoundSocket> {
    let read = move || {
        let mut sockets = probe::bound().map_err(|error| error.to_string())?;
        for container in own {
            let of_container = probe::sockets_of(&container)?;
            sockets.retain(|socket| !of_container.contains(&socket.inode));
        }
        Ok::<_, String>(sockets)
    };
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(sockets)) => sockets,
        Ok(Err(error)) => {
            tracing::debug!(error, "the sockets of this host cannot be read");
            Vec::new()
        }
        Err(_) => Vec::new(),
    }
}

async fn obstacle(service: &str, taken: &Taken, is_here: bool) -> Obstacle {
    let Taken { port, transport, holder } = taken;
    let (protocol, flag) = match transport {
        Transport::Tcp => ("TCP", 't'),
        Transport::Udp => ("UDP", 'u'),
    };
    let whose = if is_here { "this host" } else { "the engine's host" };
    let (who, free_it) = match holder {
        PortHolder::Container(name) => (format!("the container {name}"), format!("docker stop {name}")),
        PortHolder::Socket(inode) => {
            (process(*inode).await, format!("ss -Hlnp{flag} 'sport = :{port}' shows who"))
        }
    };
    Obstacle {
        reason: NoteReason::PortTaken,
        message: format!("{service} is to publish {protocol} port {port} of {whose}, which {who} has"),
        next: format!("free it ({free_it}), or publish another port in the Compose files"),
    }
}

async fn process(inode: u64) -> String {
    let found = tokio::task::spawn_blocking(move || probe::holder(inode)).await.ok().flatten();
    found.unwrap_or_else(|| "another process".to_owned())
}

#[cfg(test)]
#[path = "ports_tests.rs"]
mod tests;

//! The listener at a port of this host. A container with `network_mode: host` has no address of its own: if it does not listen
//! there, another program may, and undrift would take its answers for the container's.
//!
//! The kernel lists the listening sockets (`/proc/net/tcp`, `tcp6`), and which process has which of them open (`/proc/PID/fd`).
//! Reading the latter for a process with more rights, or of another user, takes `CAP_SYS_PTRACE` (`PTRACE_MODE_READ_FSCREDS` in
//! proc(5)). A process belongs to a container if its control group contains the container's ID, which Docker and Podman write
//! into it with either cgroup driver and in either version of cgroups.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use procfs::{
    ProcError,
    process::{FDTarget, Process},
};
use reqwest::Url;

use super::sockets::listening;
use crate::api::{Answer, Fact};

/// The process that would answer at an address of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Listener {
    /// None does.
    Nobody,
    /// The container, through these sockets only.
    Container(BTreeSet<u64>),
    /// Another process, or it cannot be known: the reason, as a fragment.
    NotTheContainer(String),
}

/// What `ask` gets at this URL, if the container gave it. undrift checks that before and after: a socket that listened at both
/// times, and belongs to the container, has answered.
///
/// # Errors
/// What is known instead.
pub(super) async fn answered_by<T>(
    url: &Url,
    container: &str,
    ask: impl Future<Output = T>,
) -> Result<T, Fact<Answer>> {
    let own = match at(url, container).await {
        Listener::Container(sockets) => sockets,
        Listener::NotTheContainer(why) => return Err(Fact::unknown(why)),
        // A process that begins to listen at this moment is unknown, and gets no password.
        Listener::Nobody => return Err(Fact::Known(Answer::None("nobody listens there".into()))),
    };
    let answer = ask.await;
    match at(url, container).await {
        Listener::Container(sockets) if sockets == own => Ok(answer),
        Listener::NotTheContainer(why) => Err(Fact::unknown(why)),
        _ => Err(Fact::unknown("while it was asked, whoever listens there has changed")),
    }
}

/// The listener at the address of this URL.
async fn at(url: &Url, container: &str) -> Listener {
    let (Some(port), container) = (url.port_or_known_default(), container.to_owned()) else {
        return Listener::NotTheContainer("the URL has no port".into());
    };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let found = tokio::task::spawn_blocking(move || {
        let Ok(address) = host.parse::<IpAddr>() else {
            return Listener::NotTheContainer(format!("{host} is no address of this host"));
        };
        of_container(SocketAddr::new(address, port), &container)
    });
    found.await.unwrap_or_else(|_| Listener::NotTheContainer("the sockets could not be looked at".into()))
}

/// Whether undrift may see the sockets of this container's processes.
///
/// # Errors
/// Why not, as a fragment.
pub(in crate::host) fn may_see(container: &str) -> Result<(), String> {
    sockets_of(container).map(|_| ())
}

fn of_container(address: SocketAddr, container: &str) -> Listener {
    let listening = match listening() {
        Ok(all) => first_in_line(&all, address),
        Err(error) => {
            return Listener::NotTheContainer(format!("which sockets listen cannot be read: {error}"));
        }
    };
    if listening.is_empty() {
        return Listener::Nobody;
    }
    match sockets_of(container) {
        Ok(own) if listening.is_subset(&own) => Listener::Container(listening),
        Ok(own) => {
            let strange = listening.difference(&own).next().copied();
            let holder = strange.and_then(holder).map_or_else(String::new, |who| format!(" ({who})"));
            Listener::NotTheContainer(format!(
                "port {} of this host is served by another process than the container's{holder}",
                address.port()
            ))
        }
        Err(why) => Listener::NotTheContainer(why),
    }
}

/// The sockets to which the kernel hands a connection to this address: those bound to it before those bound to every address,
/// and of these the ones of its own family first (`inet_lookup_listener`). An IPv6 socket may accept IPv4 connections as well.
fn first_in_line(all: &[(SocketAddr, u64)], address: SocketAddr) -> BTreeSet<u64> {
    let rank = |bound: IpAddr| match bound.to_canonical() {
        ip if ip == address.ip().to_canonical() => Some(0),
        ip if !ip.is_unspecified() => None,
        ip if ip.is_ipv4() == address.is_ipv4() => Some(1),
        ip => ip.is_ipv6().then_some(2),
    };
    let at_port = all.iter().filter(|(bound, _)| bound.port() == address.port());
    let ranked: Vec<(u8, u64)> =
        at_port.filter_map(|(bound, inode)| Some((rank(bound.ip())?, *inode))).collect();
    let first = ranked.iter().map(|(rank, _)| *rank).min();
    ranked.into_iter().filter(|(rank, _)| Some(*rank) == first).map(|(_, inode)| inode).collect()
}

/// The sockets that the processes of a container have open.
///
/// # Errors
/// Why they cannot be seen, as a fragment.
pub(in crate::host) fn sockets_of(container: &str) -> Result<BTreeSet<u64>, String> {
    let not_read = |error: &ProcError| format!("the processes of this host cannot be read: {error}");
    let (mut sockets, mut is_seen) = (BTreeSet::new(), false);
    for process in procfs::process::all_processes().map_err(|error| not_read(&error))? {
        // A process may end at any moment.
        let Ok(process) = process else { continue };
        if !is_of(&process, container) {
            continue;
        }
        match sockets_of_process(&process) {
            Ok(own) => sockets.extend(own),
            Err(ProcError::NotFound(_)) => continue,
            Err(ProcError::PermissionDenied(_)) => {
                return Err("whose sockets listen cannot be seen: that takes CAP_SYS_PTRACE".into());
            }
            Err(error) => return Err(not_read(&error)),
        }
        is_seen = true;
    }
    if is_seen {
        Ok(sockets)
    } else {
        Err("no process of the container is seen from here, so whose sockets listen is not known".into())
    }
}

/// Whether a process belongs to this container.
pub(in crate::host) fn is_of(process: &Process, container: &str) -> bool {
    let Ok(groups) = process.cgroups() else { return false };
    !container.is_empty() && groups.into_iter().any(|group| group.pathname.contains(container))
}

fn sockets_of_process(process: &Process) -> Result<Vec<u64>, ProcError> {
    // The list of open files omits those that undrift may not see. This link is under the same rule, and fails instead.
    process.exe()?;
    let mut sockets = Vec::new();
    for open in process.fd()? {
        if let FDTarget::Socket(inode) = open?.target {
            sockets.push(inode);
        }
    }
    Ok(sockets)
}

/// A process that has the socket, in words; `None` if no visible one does.
pub(in crate::host) fn holder(inode: u64) -> Option<String> {
    let mut processes = procfs::process::all_processes().ok()?.flatten();
    let holds = |process: &Process| sockets_of_process(process).is_ok_and(|own| own.contains(&inode));
    let process = processes.find(holds)?;
    Some(format!("process {}", process.pid()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_most_exact_binding_is_first_in_line() {
        let all: Vec<(SocketAddr, u64)> = [
            ("127.0.0.1:80", 1),
            ("0.0.0.0:80", 2),
            ("[::]:80", 3),
            ("[::1]:80", 4),
            ("[::ffff:127.0.0.1]:81", 5),
            ("0.0.0.0:82", 6),
            ("[::]:82", 7),
            ("[::]:83", 8),
            ("10.0.0.1:84", 9),
            ("0.0.0.0:85", 10),
            ("0.0.0.0:85", 11),
        ]
        .map(|(address, inode)| (address.parse().unwrap(), inode))
        .to_vec();
        let first = |address: &str| Vec::from_iter(first_in_line(&all, address.parse().unwrap()));
        assert_eq!(first("127.0.0.1:80"), [1]);
        assert_eq!(first("[::1]:80"), [4]);
        assert_eq!(first("10.0.0.1:80"), [2]);
        assert_eq!(first("127.0.0.1:81"), [5], "an IPv4 address in an IPv6 socket");
        assert_eq!(first("127.0.0.1:82"), [6]);
        assert_eq!(first("[::1]:82"), [7]);
        assert_eq!(first("127.0.0.1:83"), [8], "it may take both families");
        assert_eq!(first("127.0.0.1:84"), [0_u64; 0], "bound to another address");
        assert_eq!(first("127.0.0.1:85"), [10, 11], "two share the port");
        assert_eq!(first("[::1]:85"), [0_u64; 0], "IPv4 takes no connection of IPv6");
    }

    #[test]
    fn a_socket_of_this_process_is_found_and_is_no_containers() {
        let here = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = here.local_addr().unwrap();
        let found: Vec<u64> = first_in_line(&listening().unwrap(), address).into_iter().collect();
        assert_eq!(found.len(), 1);
        let own = sockets_of_process(&Process::myself().unwrap()).unwrap();
        assert!(own.contains(&found[0]), "{found:?} in {own:?}");
        assert_eq!(holder(found[0]), Some(format!("process {}", std::process::id())));
        let of_nobody = "0".repeat(64);
        assert!(matches!(of_container(address, &of_nobody), Listener::NotTheContainer(_)));
        drop(here);
        assert_eq!(of_container(address, &of_nobody), Listener::Nobody);
    }
}

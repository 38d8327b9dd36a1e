//! The bound server sockets of this network namespace, as the kernel lists them in `/proc/net`.

use std::net::{IpAddr, SocketAddr};

use procfs::{
    ProcError,
    net::{TcpState, UdpNetEntry},
};

/// The transport protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::host) enum Transport {
    Tcp,
    Udp,
}

/// A socket that keeps its address from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::host) struct BoundSocket {
    pub(in crate::host) transport: Transport,
    pub(in crate::host) address: SocketAddr,
    /// Identifies the process that has it.
    pub(in crate::host) inode: u64,
}

/// Every socket that listens (TCP), or that accepts data from anybody (UDP). A connected one is a client's.
///
/// # Errors
/// If they cannot be read.
pub(in crate::host) fn bound() -> Result<Vec<BoundSocket>, ProcError> {
    let tcp = listening()?.into_iter();
    let tcp = tcp.map(|(address, inode)| BoundSocket { transport: Transport::Tcp, address, inode });
    let mut udp = procfs::net::udp()?;
    udp.extend(six(procfs::net::udp6())?);
    let is_open = |entry: &UdpNetEntry| entry.remote_address.port() == 0;
    let udp = udp.into_iter().filter(is_open).map(|entry| BoundSocket {
        transport: Transport::Udp,
        address: entry.local_address,
        inode: entry.inode,
    });
    Ok(tcp.chain(udp).collect())
}

/// Every socket that listens, and its inode.
pub(super) fn listening() -> Result<Vec<(SocketAddr, u64)>, ProcError> {
    let mut all = procfs::net::tcp()?;
    all.extend(six(procfs::net::tcp6())?);
    let listens = all.into_iter().filter(|entry| entry.state == TcpState::Listen);
    Ok(listens.map(|entry| (entry.local_address, entry.inode)).collect())
}

/// A kernel without IPv6 has no such file.
fn six<T>(entries: Result<Vec<T>, ProcError>) -> Result<Vec<T>, ProcError> {
    match entries {
        Err(ProcError::NotFound(_)) => Ok(Vec::new()),
        entries => entries,
    }
}

/// Whether a server could not bind the one address while another has bound the other, at the same port. `None` is any address
/// of both families, as Docker binds it. A socket bound to every IPv6 address counts as bound to those of IPv4 as well, which
/// is the default on Linux.
pub(in crate::host) fn are_in_each_others_way(wanted: Option<IpAddr>, bound: Option<IpAddr>) -> bool {
    let bound = bound.map(|bound| bound.to_canonical());
    match (wanted.map(|wanted| wanted.to_canonical()), bound) {
        (None, _) | (_, None) => true,
        (Some(wanted), Some(bound)) if bound.is_unspecified() => bound.is_ipv6() || wanted.is_ipv4(),
        (Some(wanted), Some(bound)) => wanted == bound,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;

    #[test]
    fn servers_are_seen_and_clients_are_not() {
        let (tcp, udp) = (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let (tcp, udp_at) = (tcp.local_addr().map(|at| (tcp, at)).unwrap(), udp.local_addr().unwrap());
        let client = TcpStream::connect(tcp.1).unwrap();
        let connected = UdpSocket::bind("127.0.0.1:0").unwrap();
        connected.connect(udp_at).unwrap();
        let has = |transport, address| {
            bound().unwrap().iter().any(|socket| (socket.transport, socket.address) == (transport, address))
        };
        assert!(has(Transport::Tcp, tcp.1) && has(Transport::Udp, udp_at));
        assert!(!has(Transport::Udp, tcp.1) && !has(Transport::Tcp, client.local_addr().unwrap()));
        assert!(!has(Transport::Udp, connected.local_addr().unwrap()));
    }

    #[test]
    fn addresses_are_in_each_others_way_as_the_kernel_has_it() {
        for (wanted, bound, expected) in [
            ("", "127.0.0.1", true),
            ("", "::1", true),
            ("127.0.0.1", "", true),
            ("127.0.0.1", "0.0.0.0", true),
            ("127.0.0.1", "::", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "::ffff:127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("127.0.0.1", "::1", false),
            ("::1", "0.0.0.0", false),
            ("::1", "::", true),
        ] {
            let found = are_in_each_others_way(wanted.parse().ok(), bound.parse().ok());
            assert_eq!(found, expected, "{wanted:?} beside {bound:?}");
        }
    }
}

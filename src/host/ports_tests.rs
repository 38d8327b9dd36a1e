use super::*;

fn tcp(host: &str, port: u16) -> PublishedPort {
    PublishedPort { transport: Transport::Tcp, host: host.parse().ok(), port }
}

fn container(name: &str, ports: &[PublishedPort]) -> Publisher {
    let of = name.split_once('-').map(|(project, service)| (project.to_owned(), service.to_owned()));
    Publisher { name: name.to_owned(), of, ports: ports.to_vec() }
}

fn socket(address: &str, inode: u64) -> BoundSocket {
    BoundSocket { transport: Transport::Tcp, address: address.parse().unwrap(), inode }
}

fn wants(host: &str, first: u16, last: u16, times: usize) -> Wanted {
    Wanted { transport: Transport::Tcp, host: host.parse().ok(), first, last, times }
}

/// The holder of this port, if containers of `own` are replaced.
fn in_the_way(wanted: &Wanted, publishers: &[Publisher], sockets: &[BoundSocket]) -> Option<Taken> {
    let is_replaced =
        |publisher: &Publisher, _| publisher.of.as_ref().is_some_and(|(project, _)| project == "own");
    Holders { publishers, sockets, is_replaced: &is_replaced }.in_the_way(wanted)
}

fn taken(port: u16, holder: PortHolder) -> Taken {
    Taken { port, transport: Transport::Tcp, holder }
}

#[test]
fn a_port_that_another_container_or_process_has_is_in_the_way() {
    let by_container = Some(taken(80, PortHolder::Container("other".into())));
    let other = [container("other", &[tcp("", 80)])];
    assert_eq!(in_the_way(&wants("", 80, 80, 1), &other, &[]), by_container, "no socket listens for it");
    assert_eq!(in_the_way(&wants("127.0.0.1", 80, 80, 1), &other, &[]), by_container);
    let process = [socket("127.0.0.1:80", 7)];
    assert_eq!(in_the_way(&wants("", 80, 80, 1), &[], &process), Some(taken(80, PortHolder::Socket(7))));
    assert_eq!(in_the_way(&wants("127.0.0.2", 80, 80, 1), &[], &process), None);
    assert_eq!(in_the_way(&wants("", 81, 81, 1), &other, &process), None);
}

#[test]
fn a_port_that_the_step_frees_is_not_in_the_way() {
    let own = [container("own-api", &[tcp("127.0.0.1", 80)])];
    let proxy = [socket("127.0.0.1:80", 7)];
    assert_eq!(in_the_way(&wants("", 80, 80, 1), &own, &proxy), None);
    let any = [container("own-api", &[tcp("", 80)])];
    let proxies = [socket("0.0.0.0:80", 7), socket("[::]:80", 8)];
    assert_eq!(in_the_way(&wants("127.0.0.1", 80, 80, 1), &any, &proxies), None);
    let beside = [socket("0.0.0.0:80", 7), socket("127.0.0.5:80", 9)];
    assert_eq!(in_the_way(&wants("", 80, 80, 1), &any, &beside), Some(taken(80, PortHolder::Socket(9))));
}

#[test]
fn tcp_and_udp_are_two_ports() {
    let udp = BoundSocket { transport: Transport::Udp, ..socket("0.0.0.0:53", 7) };
    assert_eq!(in_the_way(&wants("", 53, 53, 1), &[], &[udp]), None);
    let wanted = Wanted { transport: Transport::Udp, ..wants("", 53, 53, 1) };
    assert_eq!(in_the_way(&wanted, &[], &[udp]).unwrap().holder, PortHolder::Socket(7));
}

#[test]
fn of_a_range_as_many_must_be_free_as_there_are_replicas() {
    let other = [container("other", &[tcp("", 8001)])];
    assert_eq!(in_the_way(&wants("", 8000, 8002, 2), &other, &[]), None);
    let holder = PortHolder::Container("other".into());
    assert_eq!(in_the_way(&wants("", 8000, 8002, 3), &other, &[]), Some(taken(8001, holder)));
    assert_eq!(
        in_the_way(&wants("", 8000, 8000, 2), &other, &[]),
        None,
        "that two want one is no other's doing"
    );
    assert_eq!(in_the_way(&wants("", 1, u16::MAX, 1), &other, &[]), None);
}

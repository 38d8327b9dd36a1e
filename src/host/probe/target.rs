//! URLs: of a replica, and of the control request next to a route.

use std::net::IpAddr;

use reqwest::Url;

use crate::{
    api::{Control, Scheme},
    host::engine::Network,
};

/// The target of a route's requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeTarget {
    /// The container's ID; `None` for a fixed URL.
    pub container: Option<String>,
    /// The URL, or why there is none.
    pub url: Result<String, String>,
    /// Whether the container's ports are those of this host, so that another program may answer in its place.
    pub is_on_host_network: bool,
}

impl ProbeTarget {
    /// At this URL, whichever server answers there.
    #[must_use]
    pub const fn fixed(url: String) -> Self {
        Self { container: None, url: Ok(url), is_on_host_network: false }
    }
}

/// The parts of a replica's URL.
#[derive(Debug, Clone, Copy)]
pub struct ReplicaEndpoint<'a> {
    /// Plain or with TLS.
    pub scheme: Scheme,
    /// The path, with its query.
    pub path: &'a str,
    /// The port in the container.
    pub port: u16,
}

/// The URL of a path at one replica, or why it has none.
///
/// It prefers the published port, then the container's own address; the latter is useless if the engine is on another host.
/// `engine_host` is this host's loopback address for an engine behind a Unix socket.
///
/// # Errors
/// The reason, as a fragment in lower case.
pub fn replica_url(
    network: &Network,
    asked: ReplicaEndpoint<'_>,
    engine_host: &str,
) -> Result<String, String> {
    let ReplicaEndpoint { scheme, path, port } = asked;
    let path = path.strip_prefix('/').unwrap_or(path);
    let url = |host: &str, port: u16| format!("{}://{}:{port}/{path}", scheme.as_str(), bracketed(host));
    if network.is_the_hosts() {
        let why = "its ports are those of another host, where nobody sees from here who listens";
        return if is_loopback(engine_host) { Ok(url(engine_host, port)) } else { Err(why.into()) };
    }
    if let Some((address, published)) = network.published.get(&port) {
        let everywhere = address.parse::<IpAddr>().map_or(address.is_empty(), |ip| ip.is_unspecified());
        return Ok(url(if everywhere { engine_host } else { address }, *published));
    }
    match network.address {
        _ if network.mode == "none" => Err("the container has no network".into()),
        Some(_) if !is_loopback(engine_host) => {
            Err(format!("port {port} is not published, and the engine is on another host"))
        }
        Some(address) => Ok(url(&address.to_string(), port)),
        None => Err(format!("port {port} is not published, and the container has no address of its own")),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn bracketed(host: &str) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() }
}

/// A URL without user and password: they do not belong there, and would end up in the trail.
pub(super) fn without_user(url: &str) -> Result<Url, String> {
    let mut url = Url::parse(url).map_err(|error| format!("the URL is not one: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("the URL is neither http nor https".into());
    }
    // Only URLs without a host refuse these, and http has none of those.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Ok(url)
}

/// The URLs of the control requests.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Controls {
    /// A path that cannot exist, different at each observation, or the declared one.
    pub(super) control: Option<Url>,
    /// A path whose name has the shape of the route's own, different at each observation.
    pub(super) shape: Option<Url>,
}

/// The controls of a route.
pub(super) fn controls(url: &Url, control: &Control) -> Controls {
    let mut plain = url.clone();
    plain.set_fragment(None);
    match control {
        Control::Off => Controls::default(),
        Control::Auto => {
            plain.set_query(None);
            let name = plain.path().trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            let shape = shape(name).map(|name| beside(&plain, &name));
            let control = beside(&plain, &format!("undrift-control-{:016x}", random()));
            Controls { control: Some(control), shape }
        }
        Control::Path(path) => {
            let (path, query) = path.split_once('?').map_or((path.as_str(), None), |(p, q)| (p, Some(q)));
            plain.set_path(path);
            plain.set_query(query);
            Controls { control: Some(plain), shape: None }
        }
    }
}

/// The URL with another last name, keeping its trailing slash.
fn beside(url: &Url, name: &str) -> Url {
    let (path, mut url) = (url.path().trim_end_matches('/'), url.clone());
    let slash = &url.path()[path.len()..];
    let folder = path.rfind('/').map_or("", |at| &path[..at]);
    // The root is no name: nothing is next to it, so the control goes below it.
    let slash = if path.is_empty() { "" } else { slash };
    let path = format!("{folder}/{name}{slash}");
    url.set_path(&path);
    url
}

/// A shorter name leaves no room for an unused one.
const SHORTEST_SHAPE: usize = 4;

/// Another name of the same shape: the same length, letters for letters, digits for digits, hexadecimal for hexadecimal, and
/// the same ending after a dot. `None` if there is no other, or if it may well exist: a number.
fn shape(name: &str) -> Option<String> {
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
    let letters = || name.bytes().filter(u8::is_ascii_alphabetic);
    if name.len() < SHORTEST_SHAPE || is_number || letters().count() == 0 {
        return None;
    }
    let stem = name.rfind('.').filter(|at| *at > 0).unwrap_or(name.len());
    let letter_count = if letters().all(|letter| letter.is_ascii_hexdigit()) { 6 } else { 26 };
    // One in 26 letters or more is equal by chance: that is no other name.
    (0..SHAPE_TRIES).map(|_| of_same_shape(name, stem, letter_count)).find(|other| other != name)
}

const SHAPE_TRIES: usize = 16;

fn of_same_shape(name: &str, stem: usize, letter_count: u64) -> String {
    let mut escaped = 0_u8;
    let other = name.char_indices().map(|(at, c)| {
        if c == '%' {
            escaped = 3;
        }
        if escaped > 0 || at >= stem {
            escaped = escaped.saturating_sub(1);
            return c;
        }
        let base = match c {
            'a'..='z' => b'a',
            'A'..='Z' => b'A',
            '0'..='9' => b'0',
            _ => return c,
        };
        let count = if base == b'0' { 10 } else { letter_count };
        char::from(base + u8::try_from(random() % count).unwrap_or_default())
    });
    other.collect()
}

/// 64 of a ULID's random bits: a guess would have to be lucky, and no secret depends on it.
fn random() -> u64 {
    let [_, low @ ..] = ulid::Ulid::generate().to_bytes();
    low.iter().rev().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(mode: &str, published: &[(u16, &str, u16)], address: Option<&str>) -> Network {
        Network {
            mode: mode.into(),
            published: published.iter().map(|(port, ip, host)| (*port, ((*ip).into(), *host))).collect(),
            address: address.map(|address| address.parse().unwrap()),
        }
    }

    #[test]
    fn replicas_are_asked_where_they_are_seen() {
        let asked = ReplicaEndpoint { scheme: Scheme::Http, path: "/api/x?y=1", port: 3000 };
        let at = |network: &Network, host| replica_url(network, asked, host);
        let own = Some("172.18.0.2");
        for (network, host, url) in [
            (
                network("p_default", &[(3000, "0.0.0.0", 32768)], own),
                "127.0.0.1",
                "http://127.0.0.1:32768/api/x?y=1",
            ),
            (
                network("p_default", &[(3000, "::", 32768)], own),
                "127.0.0.1",
                "http://127.0.0.1:32768/api/x?y=1",
            ),
            (
                network("p_default", &[(3000, "", 32768)], own),
                "127.0.0.1",
                "http://127.0.0.1:32768/api/x?y=1",
            ),
            (
                network("p_default", &[(3000, "10.0.0.5", 80)], own),
                "127.0.0.1",
                "http://10.0.0.5:80/api/x?y=1",
            ),
            (network("p_default", &[(3000, "::1", 80)], own), "127.0.0.1", "http://[::1]:80/api/x?y=1"),
            (
                network("p_default", &[(80, "0.0.0.0", 80)], own),
                "127.0.0.1",
                "http://172.18.0.2:3000/api/x?y=1",
            ),
            (network("p_default", &[], Some("fd00::2")), "127.0.0.1", "http://[fd00::2]:3000/api/x?y=1"),
            (network("host", &[], None), "127.0.0.1", "http://127.0.0.1:3000/api/x?y=1"),
            (network("p_default", &[(3000, "0.0.0.0", 81)], own), "10.1.1.1", "http://10.1.1.1:81/api/x?y=1"),
        ] {
            assert_eq!(at(&network, host).as_deref(), Ok(url));
        }
        for (network, host, word) in [
            (network("none", &[], None), "127.0.0.1", "no network"),
            (network("host", &[], None), "10.1.1.1", "another host"),
            (network("p_default", &[], None), "127.0.0.1", "no address"),
            (network("p_default", &[], own), "10.1.1.1", "another host"),
        ] {
            assert!(at(&network, host).unwrap_err().contains(word), "{network:?}");
        }
    }

    #[test]
    fn users_and_foreign_schemes_have_no_place_in_urls() {
        assert_eq!(without_user("http://ops:secret@h/x").unwrap().as_str(), "http://h/x");
        for url in ["file:///etc/passwd", "nonsense", "ftp://h/"] {
            assert!(without_user(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_replica_is_asked_with_tls_where_that_is_declared() {
        let asked = ReplicaEndpoint { scheme: Scheme::Https, path: "/x", port: 8443 };
        let url = replica_url(&network("p_default", &[], Some("172.18.0.2")), asked, "127.0.0.1");
        assert_eq!(url.as_deref(), Ok("https://172.18.0.2:8443/x"));
    }

    fn of(url: &str, control: &Control) -> Controls {
        controls(&Url::parse(url).unwrap(), control)
    }

    #[test]
    fn both_automatic_controls_stand_beside_the_route_also_where_it_ends_in_a_slash() {
        for (url, folder, end) in [
            ("http://h/api/workflow?x=1#y", "http://h/api/", ""),
            ("http://h/api/workflow/", "http://h/api/", "/"),
            ("http://h/api//", "http://h/", "//"),
            ("http://h/workflow", "http://h/", ""),
            ("http://h/", "http://h/", ""),
            ("http://h", "http://h/", ""),
        ] {
            let [first, second] = [(); 2].map(|()| of(url, &Control::Auto));
            let control = first.control.as_ref().unwrap().as_str();
            let name =
                control.strip_prefix(folder).and_then(|rest| rest.strip_suffix(end)).expect("beside it");
            let token = name.strip_prefix("undrift-control-").expect("a name of its own");
            assert!(token.len() == 16 && token.bytes().all(|b| b.is_ascii_hexdigit()), "{token}");
            assert_ne!(first, second);
            if let Some(shape) = first.shape {
                let name = shape.as_str().strip_prefix(folder).and_then(|rest| rest.strip_suffix(end));
                assert_eq!(
                    name.map(str::len),
                    Some("workflow".len()).filter(|_| url.contains("workflow")),
                    "{shape}"
                );
            }
        }
    }

    #[test]
    fn the_second_control_has_the_shape_of_the_routes_own_name() {
        for (name, pattern) in [
            ("workflow", "aaaaaaaa"),
            ("Work-Flow_2", "Aaaa-Aaaa_0"),
            ("v2.1-rc", "a0.1-rc"),
            ("status.json", "aaaaaa.json"),
            (".env", ".aaa"),
            ("r%C3%A9sum%C3%A9", "a%C3%A9aaa%C3%A9"),
            ("3f2a9c", "0f0f0f"),
        ] {
            let other = shape(name).unwrap_or_else(|| panic!("{name} has a shape"));
            assert!(other != name && other.len() == pattern.len(), "{name}: {other}");
            let fits = other.chars().zip(pattern.chars()).all(|(c, kind)| match kind {
                'a' => c.is_ascii_lowercase(),
                'A' => c.is_ascii_uppercase(),
                '0' => c.is_ascii_digit(),
                'f' => matches!(c, 'a'..='f'),
                kind => c == kind,
            });
            assert!(fits, "{name}: {other}");
        }
        for name in ["", "api", "1234", "20260101", "----", "1-2-3"] {
            assert_eq!(shape(name), None, "{name}");
        }
        assert_ne!(shape("workflow"), shape("workflow"));
    }

    #[test]
    fn a_declared_control_stays_on_the_host_and_is_the_only_one() {
        let at = |path: &str| {
            let controls = of("http://h:1/api/workflow?x=1", &Control::Path(path.into()));
            assert_eq!(controls.shape, None);
            controls.control.unwrap().to_string()
        };
        assert_eq!(at("/no?z=2"), "http://h:1/no?z=2");
        assert_eq!(at("//evil/x"), "http://h:1//evil/x");
        assert_eq!(of("http://h:1/api/workflow", &Control::Off), Controls::default());
    }
}

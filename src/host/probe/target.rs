//! URLs: of a replica, and of the control request next to a route.

use std::net::IpAddr;

use reqwest::Url;

use crate::{api::Control, host::engine::Network};

/// Where a route is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The container's ID; `None` for a fixed URL.
    pub container: Option<String>,
    /// The URL, or why there is none.
    pub url: Result<String, String>,
}

/// The URL of a path at one replica, or why it has none.
///
/// The port that is published is preferred, then the container's own address; that one is of no use where the
/// engine is on another host. `engine_host` is this host's loopback address for an engine behind a Unix socket.
///
/// # Errors
/// The reason, as a fragment in lower case.
pub fn replica_url(network: &Network, path: &str, port: u16, engine_host: &str) -> Result<String, String> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let url = |host: &str, port: u16| format!("http://{}:{port}/{path}", bracketed(host));
    if network.mode == "host" {
        return Ok(url(engine_host, port));
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

/// A URL without user and password: they have no place there, and would end up in the trail.
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

/// The control request's URL: a sibling that cannot exist, another one at each look, or the declared path.
pub(super) fn control_url(url: &Url, control: &Control) -> Option<Url> {
    let mut url = url.clone();
    url.set_fragment(None);
    match control {
        Control::Off => return None,
        Control::Auto => {
            url.set_query(None);
            if let Ok(mut segments) = url.path_segments_mut() {
                segments.pop().push(&format!("undrift-control-{:016x}", random()));
            }
        }
        Control::Path(path) => {
            let (path, query) = path.split_once('?').map_or((path.as_str(), None), |(p, q)| (p, Some(q)));
            url.set_path(path);
            url.set_query(query);
        }
    }
    Some(url)
}

/// 64 of a ULID's random bits: a guess would have to be lucky, no secret hangs on it.
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
        let at = |network: &Network, host| replica_url(network, "/api/x?y=1", 3000, host);
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
    fn the_automatic_control_is_a_random_sibling() {
        for (url, folder) in [
            ("http://h/api/workflow?x=1#y", "http://h/api/undrift-control-"),
            ("http://h/api/", "http://h/api/undrift-control-"),
            ("http://h/", "http://h/undrift-control-"),
            ("http://h", "http://h/undrift-control-"),
        ] {
            let url = Url::parse(url).unwrap();
            let [first, second] = [(); 2].map(|()| control_url(&url, &Control::Auto).unwrap());
            let token = first.as_str().strip_prefix(folder).expect("next to the route");
            assert!(token.len() == 16 && token.bytes().all(|b| b.is_ascii_hexdigit()), "{token}");
            assert_ne!(first, second);
        }
    }

    #[test]
    fn a_declared_control_stays_on_the_host() {
        let url = Url::parse("http://h:1/api/workflow?x=1").unwrap();
        let at = |path: &str| control_url(&url, &Control::Path(path.into())).unwrap().to_string();
        assert_eq!(at("/no?z=2"), "http://h:1/no?z=2");
        assert_eq!(at("//evil/x"), "http://h:1//evil/x");
        assert_eq!(control_url(&url, &Control::Off), None);
    }
}

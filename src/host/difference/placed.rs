//! Ports, mounts and networks: the parts of the host that the container uses.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Compared, texts};

/// Published ports: the host's addresses and ports by the container's port.
pub(super) fn ports(compared: Compared<'_>) -> Vec<String> {
    let mut declared: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    for port in compared.declared()["ports"].as_array().into_iter().flatten() {
        let protocol = text(&port["protocol"]).unwrap_or_else(|| "tcp".into());
        let target = format!("{}/{protocol}", text(&port["target"]).unwrap_or_default());
        let published = text(&port["published"]).unwrap_or_default();
        let address = any_as_empty(&text(&port["host_ip"]).unwrap_or_default());
        declared.entry(target).or_default().insert((address, published));
    }
    let mut found: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    for (target, bindings) in compared.host()["PortBindings"].as_object().into_iter().flatten() {
        let bindings = bindings.as_array().into_iter().flatten().map(|binding| {
            let address = any_as_empty(&text(&binding["HostIp"]).unwrap_or_default());
            (address, text(&binding["HostPort"]).unwrap_or_default())
        });
        found.insert(target.clone(), bindings.collect());
    }
    // A range yields one port of it, which the engine chose.
    let is_range = declared.values().flatten().any(|(_, published)| published.contains('-'));
    let same = if is_range { declared.keys().eq(found.keys()) } else { declared == found };
    if same { Vec::new() } else { vec!["ports".to_owned()] }
}

fn any_as_empty(address: &str) -> String {
    if address == "0.0.0.0" { String::new() } else { address.to_owned() }
}

/// Mounts, by their path in the container.
pub(super) fn mounts(compared: Compared<'_>) -> Vec<String> {
    let declared = compared.declared();
    let listed = |key: &str| declared[key].as_array().into_iter().flatten();
    let target = |mount: &Value| clean(&text(&mount["target"]).unwrap_or_default());
    let mut places: BTreeSet<String> = listed("volumes").map(target).collect();
    let differing = listed("volumes").filter(|mount| {
        let place = target(mount);
        !found(compared).any(|found| {
            clean(&text(&found["Destination"]).unwrap_or_default()) == place && is(compared, mount, found)
        })
    });
    let mut keys: BTreeSet<String> = differing.map(|mount| format!("volumes.{}", target(mount))).collect();
    // Mounts that are no longer declared. Mounts that Compose and the engine add by themselves are ignored.
    places.extend(listed("configs").chain(listed("secrets")).map(|file| {
        let name = text(&file["target"]).or_else(|| text(&file["source"])).unwrap_or_default();
        if name.starts_with('/') { clean(&name) } else { format!("/run/secrets/{name}") }
    }));
    places.extend(
        texts(&declared["tmpfs"]).into_iter().map(|entry| clean(entry.split(':').next().unwrap_or(entry))),
    );
    let is_own = |mount: &&Value| {
        let kind = mount["Type"].as_str().unwrap_or_default();
        let name = mount["Name"].as_str().unwrap_or_default();
        kind == "bind" || (kind == "volume" && !is_anonymous(name))
    };
    let has_volumes_from = !declared["volumes_from"].is_null();
    let more =
        found(compared).filter(is_own).map(|mount| clean(&text(&mount["Destination"]).unwrap_or_default()));
    let more = more
        .filter(|place| !has_volumes_from && !places.contains(place) && !place.starts_with("/run/secrets"));
    keys.extend(more.map(|place| format!("volumes.{place}")));
    keys.into_iter().collect()
}

/// The container's mounts, and those that the engine lists separately: `tmpfs` of a mount.
fn found(compared: Compared<'_>) -> impl Iterator<Item = &Value> {
    compared.container["Mounts"].as_array().into_iter().flatten()
}

/// Whether a mount of the container is this one of the files.
fn is(compared: Compared<'_>, declared: &Value, found: &Value) -> bool {
    let kind = declared["type"].as_str().unwrap_or("volume");
    if kind != found["Type"].as_str().unwrap_or_default() {
        return false;
    }
    let read_only = declared["read_only"].as_bool().unwrap_or_default();
    if read_only == found["RW"].as_bool().unwrap_or(true) && kind != "tmpfs" {
        return false;
    }
    let source = declared["source"].as_str().unwrap_or_default();
    match kind {
        "bind" => clean(source) == clean(found["Source"].as_str().unwrap_or_default()),
        "volume" if source.is_empty() => is_anonymous(found["Name"].as_str().unwrap_or_default()),
        "volume" => {
            let volume = &compared.project["volumes"][source];
            let name = volume["name"].as_str().map_or_else(
                || format!("{}_{source}", compared.project["name"].as_str().unwrap_or_default()),
                str::to_owned,
            );
            found["Name"].as_str() == Some(&name)
        }
        _ => true,
    }
}

/// Whether the engine named the volume.
fn is_anonymous(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn clean(path: &str) -> String {
    let path = path.trim_end_matches('/');
    if path.is_empty() { "/".to_owned() } else { path.to_owned() }
}

/// Networks, by the engine's names.
pub(super) fn networks(compared: Compared<'_>) -> Vec<String> {
    let declared = compared.declared();
    let mode = declared["network_mode"].as_str().unwrap_or_default();
    if !mode.is_empty() {
        let found = compared.host()["NetworkMode"].as_str().unwrap_or_default();
        let same = mode == found || mode.contains(':') && found.contains(':');
        return if same { Vec::new() } else { vec!["network_mode".to_owned()] };
    }
    let project = compared.project["name"].as_str().unwrap_or_default();
    let name = |key: &String| {
        let named = compared.project["networks"][key]["name"].as_str();
        named.map_or_else(|| format!("{project}_{key}"), str::to_owned)
    };
    let wanted: BTreeSet<String> =
        declared["networks"].as_object().into_iter().flatten().map(|(key, _)| name(key)).collect();
    let found = compared.container["NetworkSettings"]["Networks"].as_object();
    let found: BTreeSet<String> = found.into_iter().flatten().map(|(name, _)| name.clone()).collect();
    if wanted.is_empty() || wanted == found { Vec::new() } else { vec!["networks".to_owned()] }
}

/// A text, or a number as one.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

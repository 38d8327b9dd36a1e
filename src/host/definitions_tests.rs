use bollard::models::Ipam;

use super::*;

fn digests(values: &[(&str, &str)]) -> BTreeMap<String, String> {
    values.iter().map(|(name, value)| ((*name).to_owned(), secret_digest(name, value.as_bytes()))).collect()
}

fn values(values: &[(&str, &str)]) -> HashMap<String, String> {
    values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn declared() -> NetworkModel {
    NetworkModel {
        name: "shop_default".into(),
        hash: "now".into(),
        labels: digests(&[("tier", "one")]),
        ..NetworkModel::default()
    }
}

/// As the engine reports the network that Compose made.
fn made(labels: &[(&str, &str)]) -> Network {
    let own = [("com.docker.compose.network", "default"), ("com.docker.compose.version", "2.40.3")];
    Network {
        name: Some("shop_default".into()),
        driver: Some("bridge".into()),
        internal: Some(false),
        attachable: Some(false),
        enable_ipv6: Some(false),
        options: Some(values(&[("com.docker.network.enable_ipv4", "true")])),
        labels: Some(values(&[&own[..], labels].concat())),
        ipam: Some(Ipam {
            driver: Some("default".into()),
            config: Some(vec![IpamConfig {
                subnet: Some("172.20.0.0/16".into()),
                gateway: Some("172.20.0.1".into()),
                ..IpamConfig::default()
            }]),
            ..Ipam::default()
        }),
        ..Network::default()
    }
}

fn differing(declared: &NetworkModel, found: &Network) -> Vec<String> {
    network(declared, found, Some("2.26.1")).differences
}

#[test]
fn what_the_engine_chooses_is_no_difference() {
    assert_eq!(differing(&declared(), &made(&[("tier", "one")])), [""; 0]);
    let full = NetworkModel {
        driver: Some("bridge".into()),
        ipv6: Some(false),
        ipam_driver: Some("default".into()),
        // Another spelling of the same range.
        subnets: vec![Subnet { subnet: "172.20.9.9/16".into(), ..Subnet::default() }],
        ..declared()
    };
    assert_eq!(differing(&full, &made(&[("tier", "one")])), [""; 0]);
}

#[test]
fn each_part_that_differs_is_named() {
    let found = made(&[("tier", "one"), ("old", "1")]);
    assert_eq!(differing(&declared(), &found), ["label old"]);
    let found = made(&[("tier", "one")]);
    let subnet = |subnet: Subnet| NetworkModel { subnets: vec![subnet], ..declared() };
    for (other, named) in [
        (NetworkModel { driver: Some("macvlan".into()), ..declared() }, "driver"),
        (NetworkModel { options: digests(&[("mtu", "1400")]), ..declared() }, "option mtu"),
        (NetworkModel { labels: digests(&[("tier", "two")]), ..declared() }, "label tier"),
        (NetworkModel { ipam_options: digests(&[("a", "b")]), ..declared() }, "ipam option a"),
        (NetworkModel { internal: true, ..declared() }, "internal"),
        (NetworkModel { attachable: true, ..declared() }, "attachable"),
        (NetworkModel { ipv6: Some(true), ..declared() }, "enable_ipv6"),
        (NetworkModel { ipam_driver: Some("dhcp".into()), ..declared() }, "ipam driver"),
        (subnet(Subnet { subnet: "10.0.0.0/8".into(), ..Subnet::default() }), "subnet"),
        (subnet(Subnet { gateway: "172.20.0.9".into(), ..Subnet::default() }), "subnet"),
        (subnet(Subnet { ip_range: "172.20.0.0/17".into(), ..Subnet::default() }), "subnet"),
        (
            subnet(Subnet { aux_addresses: [("r".into(), "172.20.0.5".into())].into(), ..Subnet::default() }),
            "subnet",
        ),
    ] {
        assert_eq!(differing(&other, &found), [named]);
    }
}

#[test]
fn the_hash_of_compose_decides_where_the_network_has_one() {
    let hashed = |hash| made(&[("tier", "two"), (CONFIG_HASH, hash)]);
    // undrift sees a difference, but for Compose it is the same.
    let same = network(&declared(), &hashed("now"), Some("2.40.3"));
    assert_eq!((same.differences.len(), same.remade), (0, false));
    let changed = network(&declared(), &hashed("before"), Some("2.40.3"));
    assert_eq!((changed.differences, changed.remade), (vec!["label tier".to_owned()], true));
    // A part that undrift does not compare.
    let unnamed = network(&declared(), &made(&[("tier", "one"), (CONFIG_HASH, "before")]), Some("2.40.3"));
    assert_eq!((unnamed.differences, unnamed.remade), (vec!["its definition".to_owned()], true));
    // Another version of Compose may hash the same definition differently: no drift, but it would be recreated.
    let upgraded = network(&declared(), &made(&[("tier", "one"), (CONFIG_HASH, "before")]), Some("5.6.1"));
    assert_eq!((upgraded.differences.len(), upgraded.remade), (0, true));
}

#[test]
fn only_a_compose_that_does_it_makes_a_network_anew() {
    let remade = |compose| network(&declared(), &made(&[(CONFIG_HASH, "before")]), compose).remade;
    let versions = [Some("2.26.1"), Some("2.30.3"), Some("2.31.0"), Some("5.6.1"), Some("dev"), None];
    assert_eq!(versions.map(remade), [false, false, true, true, true, true]);
    assert!(!network(&declared(), &made(&[]), Some("5.6.1")).remade, "2.26 puts no hash on a network");
}

#[test]
fn only_an_open_bridge_binds_ports() {
    let publishes = |found: Network| network(&declared(), &found, None).publishes;
    let found = || made(&[]);
    assert!(publishes(found()));
    assert!(!publishes(Network { internal: Some(true), ..found() }));
    assert!(!publishes(Network { driver: Some("macvlan".into()), ..found() }));
    let routed = values(&[("com.docker.network.bridge.gateway_mode_ipv4", "routed")]);
    assert!(!publishes(Network { options: Some(routed), ..found() }));
}

#[test]
fn volumes_differ_by_driver_options_and_labels() {
    let declared = |options, labels| VolumeModel { name: "shop_data".into(), driver: None, options, labels };
    let found = Volume {
        driver: "local".into(),
        options: values(&[("type", "tmpfs")]),
        labels: values(&[("com.docker.compose.volume", "data"), ("a", "1")]),
        ..Volume::default()
    };
    let same = declared(digests(&[("type", "tmpfs")]), digests(&[("a", "1")]));
    assert_eq!(volume(&same, &found).differences, [""; 0]);
    assert_eq!(
        volume(&declared(BTreeMap::new(), BTreeMap::new()), &found).differences,
        ["option type", "label a"]
    );
    let driver = VolumeModel { driver: Some("nfs".into()), ..same };
    assert_eq!(volume(&driver, &found).differences, ["driver"]);
}

use serde_json::json;

use super::*;

fn parse(json: &serde_json::Value) -> Declared {
    // As Compose prints it, over many lines.
    let text = serde_json::to_string_pretty(json).unwrap();
    let outside = [("SET", "from outside"), ("EMPTY", "")];
    let value =
        |name: &str| outside.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned());
    Declared::parse(text.as_bytes(), value).unwrap()
}

fn api(service: &serde_json::Value) -> DeclaredService {
    let whole = json!({"name": "shop", "services": {"api": service},
        "networks": {"default": {"name": "shop_default", "ipam": {}}, "far": {"name": "wide", "external": true}},
        "configs": {"inline": {"content": "a$$b"}, "set": {"environment": "SET"}, "unset": {"environment": "UNSET"},
            "file": {"file": "/srv/x"}, "empty": {"content": ""}},
        "secrets": {"set": {"environment": "SET"}}});
    parse(&whole).services["api"].clone()
}

/// The output of Compose 2.26.1 and 5.6.1, and the label that 5.6.1 puts on the network.
#[test]
fn hash_of_a_network_is_the_one_of_compose() {
    let json = "{\"name\": \"h2m2\", \"networks\": {\n  \"n\": {\n    \"name\": \"h2m2_n\",\n    \"ipam\": {},\n    \"labels\": \
                {\n      \"l\": \"a\\u003cb\\u0026c $$d\"\n    }\n  }\n}}";
    let declared = Declared::parse(json.as_bytes(), |_| None).unwrap();
    let hash = "245df7005962c607b5d18723287a6be061a736ab52bea516c4f6da69d1cb6f5d";
    assert_eq!(declared.networks["n"].hash, hash);
}

#[test]
fn spaces_within_a_text_stay() {
    assert_eq!(dense("{ \"a b\" : \"c \\\" d\\\\\" , \"e\": 1 }"), "{\"a b\":\"c \\\" d\\\\\",\"e\":1}");
}

#[test]
fn networks_are_those_that_a_container_joins() {
    let names = |service: serde_json::Value| -> Vec<(String, Vec<String>)> {
        let networks = api(&service).attachments.networks.into_iter();
        networks.map(|network| (network.name, network.aliases.into_iter().collect())).collect()
    };
    let own = |name: &str, aliases: &[&str]| {
        (name.to_owned(), aliases.iter().map(|alias| (*alias).to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(names(json!({"networks": {"default": null}})), [own("shop_default", &["api"])]);
    let aliases = json!({"networks": {"far": {"aliases": ["b", "a"]}, "default": {}}});
    assert_eq!(names(aliases), [own("shop_default", &["api"]), own("wide", &["a", "api", "b"])]);
    for mode in ["host", "none", "service:web", "container:abc"] {
        assert_eq!(names(json!({"network_mode": mode})), [], "{mode}");
    }
    assert_eq!(names(json!({"network_mode": "bridge"})), [own("bridge", &[])]);
    assert_eq!(names(json!({"network_mode": "default"})), [own("bridge", &[])]);
    assert_eq!(names(json!({"network_mode": "shop_default"})), [own("shop_default", &[])]);
}

#[test]
fn ports_are_read_in_every_form() {
    let port = |port: serde_json::Value| api(&json!({"ports": [port]})).attachments.ports[0].clone();
    let plain = port(json!({"mode": "ingress", "target": 80, "protocol": "tcp"}));
    assert_eq!((plain.target.as_str(), plain.host, plain.published), ("80/tcp", None, None));
    let range =
        port(json!({"target": 53, "protocol": "udp", "published": "5300-5302", "host_ip": "127.0.0.1"}));
    assert_eq!((range.target.as_str(), range.published), ("53/udp", Some((5300, 5302))));
    assert_eq!(range.host, "127.0.0.1".parse().ok());
    assert_eq!(port(json!({"target": 80, "published": 8080})).published, Some((8080, 8080)));
    assert_eq!(port(json!({"target": 80, "published": "0"})).published, None, "the engine chooses");
    assert_eq!(port(json!({"target": 80, "host_ip": "0.0.0.0"})).host, None, "any address");
    let in_mode =
        |mode: &str| api(&json!({"network_mode": mode, "ports": [{"target": 80}]})).attachments.ports;
    for mode in ["host", "none", "service:web", "container:abc"] {
        assert_eq!(in_mode(mode), [], "{mode}: a container without a network of its own publishes nothing");
    }
    for mode in ["bridge", "default", "shop_default"] {
        assert_eq!(in_mode(mode).len(), 1, "{mode}");
    }
}

#[test]
fn only_what_compose_copies_has_a_content_and_only_its_digest_is_kept() {
    let service = api(&json!({
        "configs": [{"source": "inline", "target": "/etc/inline"}, {"source": "set"}, {"source": "unset"},
            {"source": "file", "target": "/f"}, {"source": "empty", "target": "/e"}],
        "secrets": [{"source": "set"}, {"source": "set", "target": "/etc/own"}]}));
    let found: Vec<_> =
        service.contents.iter().map(|c| (c.name.as_str(), c.target.as_str(), c.size)).collect();
    assert_eq!(
        found,
        [
            ("config inline", "/etc/inline", 3),
            ("config set", "/set", 12),
            ("secret set", "/run/secrets/set", 12),
            ("secret set", "/etc/own", 12)
        ]
    );
    assert_eq!(service.contents[0].digest, super::super::secret_digest("config inline", b"a$b"));
    assert_ne!(service.contents[1].digest, service.contents[2].digest, "equal contents do not look equal");
    assert!(!serde_json::to_string(&service).unwrap().contains("outside"));
}

#[test]
fn definitions_keep_no_value_and_leave_out_what_is_external() {
    let declared = parse(&json!({"name": "shop", "services": {},
        "networks": {"own": {"labels": {"a": "hunter2"}, "internal": true, "enable_ipv6": false,
            "ipam": {"driver": "default", "config": [{"subnet": "10.0.0.0/8"}]}}, "far": {"external": true}},
        "volumes": {"share": {"driver_opts": {"o": "password=hunter2"}}, "far": {"external": {"name": "x"}}}}));
    assert_eq!(declared.networks.keys().collect::<Vec<_>>(), ["own"]);
    assert_eq!(declared.volumes.keys().collect::<Vec<_>>(), ["share"]);
    let own = &declared.networks["own"];
    assert_eq!((own.name.as_str(), own.internal, own.ipv6), ("shop_own", true, Some(false)));
    assert_eq!(own.subnets[0].subnet, "10.0.0.0/8");
    assert!(!serde_json::to_string(&declared).unwrap().contains("hunter2"));
}

#[test]
fn a_secret_that_became_empty_is_compared_and_an_empty_config_is_the_images() {
    let project = json!({"name": "shop", "services": {"api": {"image": "x",
            "secrets": [{"source": "gone"}, {"source": "gone", "target": "/etc/own"}], "configs": [{"source": "gone"}]}},
        "secrets": {"gone": {"environment": "EMPTY"}}, "configs": {"gone": {"environment": "EMPTY"}}});
    let found = &parse(&project).services["api"].contents;
    let found: Vec<_> = found.iter().map(|content| (content.target.as_str(), content.size)).collect();
    assert_eq!(found, [("/run/secrets/gone", 0)]);
}

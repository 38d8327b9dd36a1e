//! A service with one of everything, and the container that the engine makes of it; each test then changes one thing.

use serde_json::json;

use super::*;

fn project() -> Value {
    json!({"name": "shop", "networks": {"default": {"name": "shop_default"}}, "volumes": {"named": {"name": "shop_named"}},
    "services": {"api": {
        "image": "shop/api", "command": ["serve", "$$HOME"], "entrypoint": null, "user": "1000",
        "environment": {"URL": "a$$b", "UNSET": null, "N": "1"}, "labels": {"tier": "front"},
        "init": true, "restart": "on-failure:3", "mem_limit": "67108864", "cap_add": ["NET_ADMIN"],
        "extra_hosts": ["db=10.0.0.1"], "stop_grace_period": "1m30s", "networks": {"default": null},
        "healthcheck": {"test": ["CMD", "true"], "interval": "1m30s", "retries": 3},
        "ports": [{"mode": "ingress", "target": 80, "published": "8080", "protocol": "tcp"},
            {"mode": "ingress", "host_ip": "127.0.0.1", "target": 81, "protocol": "tcp"}],
        "volumes": [{"type": "bind", "source": "/srv/data", "target": "/data", "bind": {}},
            {"type": "volume", "source": "named", "target": "/n/", "read_only": true}],
        "tmpfs": ["/run:size=1m"]
    }}})
}

fn container() -> Value {
    json!({"Name": "/shop-api-1",
        "Config": {"Image": "shop/api", "Cmd": ["serve", "$HOME"], "Entrypoint": ["/entry"], "User": "1000",
            "Env": ["URL=a$b", "N=1", "PATH=/bin", "LANG=C"], "StopTimeout": 90, "WorkingDir": "/app",
            "Labels": {"tier": "front", "of": "image", "com.docker.compose.project": "shop"},
            "Healthcheck": {"Test": ["CMD", "true"], "Interval": 90_000_000_000_i64, "Retries": 3, "Timeout": 5}},
        "HostConfig": {"Init": true, "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
            "Memory": 67_108_864, "CapAdd": ["CAP_NET_ADMIN"], "ExtraHosts": ["db:10.0.0.1"], "NetworkMode": "shop_default",
            "ShmSize": 67_108_864, "Tmpfs": {"/run": "size=1m"},
            "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}], "81/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}},
        "Mounts": [{"Type": "bind", "Source": "/srv/data", "Destination": "/data", "RW": true},
            {"Type": "volume", "Name": "shop_named", "Source": "/var/lib/x", "Destination": "/n", "RW": false},
            {"Type": "volume", "Name": "0".repeat(64), "Destination": "/of-image", "RW": true}],
        "NetworkSettings": {"Networks": {"shop_default": {}}}})
}

fn image() -> Value {
    json!({"Env": ["LANG=C"], "Cmd": ["old"], "Entrypoint": ["/entry"], "Labels": {"of": "image"}, "WorkingDir": "/app"})
}

fn differing(project: &Value, container: &Value) -> Vec<String> {
    keys(project, "api", container, &image()).into_iter().collect()
}

#[test]
fn a_container_that_was_made_of_this_differs_in_nothing() {
    assert_eq!(differing(&project(), &container()), [""; 0]);
    assert_eq!(
        keys(&project(), "api", &container(), &Value::Null),
        BTreeSet::new(),
        "nor where the image is not known"
    );
    assert_eq!(keys(&project(), "gone", &container(), &image()), BTreeSet::new());
}

#[test]
fn each_key_that_differs_is_named_alone_and_no_value_is() {
    let cases: &[(&str, Value, &[&str])] = &[
        ("/environment/URL", json!("hunter2"), &["environment.URL"]),
        ("/environment", json!({"URL": "a$$b", "NEW": "hunter2"}), &["environment.N", "environment.NEW"]),
        ("/labels", json!({}), &["labels.tier"]),
        ("/image", json!("shop/api:2"), &["image"]),
        ("/command", json!(["serve"]), &["command"]),
        ("/command", json!(null), &["command"]),
        ("/entrypoint", json!(["/other"]), &["entrypoint"]),
        ("/user", json!(null), &["user"]),
        ("/init", json!(null), &["init"]),
        ("/restart", json!("always"), &["restart"]),
        ("/restart", json!("on-failure"), &["restart"]),
        ("/mem_limit", json!("1"), &["mem_limit"]),
        ("/cap_add", json!([]), &["cap_add"]),
        ("/extra_hosts", json!(["db=10.0.0.2"]), &["extra_hosts"]),
        ("/stop_grace_period", json!("2s"), &["stop_grace_period"]),
        ("/healthcheck/interval", json!("2m"), &["healthcheck"]),
        ("/healthcheck/test", json!(["CMD", "false"]), &["healthcheck"]),
        ("/healthcheck", json!({"disable": true}), &["healthcheck"]),
        ("/ports", json!([]), &["ports"]),
        ("/ports/0/published", json!("8081"), &["ports"]),
        ("/volumes/0/source", json!("/srv/other"), &["volumes./data"]),
        ("/volumes/0/target", json!("/other"), &["volumes./data", "volumes./other"]),
        ("/volumes/1/read_only", json!(false), &["volumes./n"]),
        ("/tmpfs", json!([]), &["tmpfs"]),
        ("/networks", json!({"back": null}), &["networks"]),
        ("/network_mode", json!("host"), &["network_mode"]),
    ];
    for (path, value, expected) in cases {
        let mut changed = project();
        let path = format!("/services/api{path}");
        *changed.pointer_mut(&path).unwrap_or(&mut Value::Null) = value.clone();
        if changed.pointer(&path).is_none() {
            let (parent, key) = path.rsplit_once('/').unwrap();
            changed.pointer_mut(parent).unwrap()[key] = value.clone();
        }
        assert_eq!(differing(&changed, &container()), *expected, "{path} {value}");
    }
}

#[test]
fn reads_durations_of_go() {
    let ns = super::plain::nanoseconds;
    assert_eq!(
        (ns("1m30s"), ns("1.5s"), ns("250ms")),
        (Some(90_000_000_000), Some(1_500_000_000), Some(250_000_000))
    );
    assert_eq!((ns(""), ns("x"), ns("5")), (None, None, None));
}

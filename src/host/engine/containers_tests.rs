use serde_json::{Value, json};

use super::*;

/// As engine 20.10.24 reports a running container with a health check.
fn details() -> Value {
    json!({
        "Id": "0123", "Name": "/shop-api-1", "Created": "2026-01-01T00:00:00Z", "Image": "sha256:4",
        "RestartCount": 0, "Mounts": [{"Type": "volume", "Name": "v", "Destination": "/data"}],
        "State": {"Status": "running", "Restarting": false, "ExitCode": 0, "StartedAt": "2026-01-01T00:00:01Z",
            "Health": {"Status": "healthy"}},
        "Config": {"Labels": {SERVICE: "api", CONFIG_HASH: "abc", NUMBER: "1"},
            "Healthcheck": {"Test": ["CMD", "true"]}},
        "HostConfig": {"NetworkMode": "shop_default", "VolumesFrom": null},
        "NetworkSettings": {"Ports": {}, "Networks": {"shop_default": {"Aliases": ["api"], "IPAddress": "10.0.0.2"}}},
    })
}

/// As the engine lists it.
fn listed() -> Value {
    json!({
        "Id": "0123", "Names": ["/shop-api-1"], "State": "running", "Status": "Up 3 seconds", "Created": 1,
        "Labels": {PROJECT: "shop", SERVICE: "api", CONFIG_HASH: "abc", ONE_OFF: "False"},
    })
}

fn read(details: Value) -> Result<Container, EngineError> {
    container(&EngineRequest::container("0123"), serde_json::from_value(details).unwrap())
}

fn read_row(listed: Value) -> Result<ContainerRow, EngineError> {
    row(&EngineRequest::containers(), "shop", serde_json::from_value(listed).unwrap())
}

/// The same without the value at this JSON pointer.
fn without(mut value: Value, pointer: &str) -> Value {
    let (above, name) = pointer.rsplit_once('/').unwrap();
    let above = value.pointer_mut(above).unwrap();
    assert!(above.as_object_mut().unwrap().remove(name).is_some(), "{pointer}");
    value
}

/// The error names the request and the last part of the pointer.
#[track_caller]
fn assert_incomplete<T: std::fmt::Debug>(result: Result<T, EngineError>, question: &str, pointer: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, EngineError::Incomplete { .. }), "without {pointer}: {error}");
    let last = pointer.rsplit('/').next().unwrap();
    let error = error.to_string();
    assert!(error.contains(question) && error.contains(last), "without {pointer}: {error}");
}

#[test]
fn container_details_without_a_required_field_are_rejected() {
    assert!(read(details()).is_ok());
    for pointer in [
        "/Id",
        "/Name",
        "/Created",
        "/Image",
        "/RestartCount",
        "/Mounts",
        "/State",
        "/State/Status",
        "/State/Restarting",
        "/State/ExitCode",
        "/State/StartedAt",
        "/State/Health",
        "/Config",
        "/HostConfig",
        "/HostConfig/NetworkMode",
        "/NetworkSettings",
        "/NetworkSettings/Ports",
        "/NetworkSettings/Networks",
        "/NetworkSettings/Networks/shop_default/Aliases",
        "/NetworkSettings/Networks/shop_default/IPAddress",
    ] {
        assert_incomplete(read(without(details(), pointer)), "GET /containers/0123/json", pointer);
    }
    assert!(matches!(read(json!({})), Err(EngineError::Incomplete { .. })));
}

#[test]
fn what_docker_leaves_out_by_right_is_none() {
    let mut ended = details();
    ended["State"]["Status"] = "exited".into();
    ended["NetworkSettings"]["Ports"] = Value::Null;
    ended["State"]["Health"] = Value::Null;
    assert_eq!(read(ended).unwrap().seen.health, None);
    let mut unwatched = without(details(), "/State/Health");
    // The engine does not know a test of the last kind, and runs none: an image that was not built from a Dockerfile may have
    // it.
    for test in [json!(null), json!([]), json!(["NONE"]), json!(["curl", "-f", "http://localhost"])] {
        unwatched["Config"]["Healthcheck"] = json!({"Test": test});
        assert!(read(unwatched.clone()).is_ok(), "{test}");
    }
    let mut on_host = details();
    on_host["HostConfig"]["NetworkMode"] = "host".into();
    on_host["NetworkSettings"] = json!({"Ports": null, "Networks": null});
    assert!(read(on_host).unwrap().network.is_the_hosts());
    let mut newer = without(details(), "/NetworkSettings/Networks/shop_default/Aliases");
    newer["NetworkSettings"]["Networks"]["shop_default"]["DNSNames"] = json!(["api"]);
    assert!(read(newer).unwrap().seen.attachments.networks[0].aliases.contains("api"));
}

#[test]
fn a_list_with_an_incomplete_row_is_rejected() {
    assert_eq!(read_row(listed()).unwrap().service, "api");
    let labels = "/Labels";
    for name in ["/Id", "/Names", "/State", "/Status", "/Created", labels] {
        assert_incomplete(read_row(without(listed(), name)), "GET /containers/json", name);
    }
    for label in [PROJECT, SERVICE, CONFIG_HASH] {
        let pointer = format!("/Labels/{label}");
        assert_incomplete(read_row(without(listed(), &pointer)), "GET /containers/json", &pointer);
    }
}

#[test]
fn what_is_half_gone_may_have_no_name_and_hides_no_other_container() {
    let nameless = |state: &str| {
        let mut listed = listed();
        (listed["Names"], listed["State"]) = (json!([]), state.into());
        listed["Id"] = "0123456789abcdef".into();
        read_row(listed)
    };
    for state in ["dead", "removing"] {
        let row = nameless(state).unwrap();
        assert_eq!((row.name.as_str(), row.is_removing()), ("0123456789ab", true));
    }
    assert_incomplete(nameless("running"), "GET /containers/json", "Names");
}

#[test]
fn a_list_with_a_container_of_another_project_is_rejected() {
    let mut strange = listed();
    strange["Labels"][PROJECT] = "another".into();
    assert_incomplete(read_row(strange), "GET /containers/json", "Labels");
}

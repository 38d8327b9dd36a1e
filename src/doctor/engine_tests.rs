use std::os::unix::net::UnixListener;

use super::*;
use crate::doctor::Status;

fn found(answer: EngineReply) -> EngineFindings {
    let endpoint = Ok("unix:///var/run/docker.sock".into());
    EngineFindings { origin: EndpointSource::Default, endpoint, answer, clock: None, systemd: true }
}

fn versions(api: &str) -> EngineReply {
    EngineReply::Versions(Versions { engine: "20.10.24".into(), api: api.into(), podman: false })
}

#[test]
fn podman_is_reported_with_how_undrift_builds_on_it() {
    let podman = EngineReply::Versions(Versions { engine: "5.8.6".into(), api: "1.44".into(), podman: true });
    let checks = judged(&found(podman));
    assert_eq!((checks[0].0, checks[1].0), (Status::Ok, Status::Ok));
    assert!(
        checks[0].1.starts_with("Podman 5.8.6 at ") && checks[0].1.contains("DOCKER_BUILDKIT=0"),
        "{checks:?}"
    );
}

/// The two checks as `(status, found, help)`.
fn judged(found: &EngineFindings) -> Vec<(Status, String, String)> {
    judge(found)
        .into_iter()
        .map(|check| (check.status, check.found, check.help.unwrap_or_default()))
        .collect()
}

#[test]
fn each_way_to_have_no_engine_has_its_help() {
    for (answer, part, help) in [
        (
            EngineReply::NoSocket,
            "no socket at unix:///var/run/docker.sock (the default)",
            "systemctl start docker",
        ),
        (EngineReply::Refused, "nobody listens", "systemctl start docker"),
        (EngineReply::Denied, "may not use the socket", "usermod -aG docker"),
        (EngineReply::Silent, "does not answer within 4 s", "systemctl restart docker"),
        (EngineReply::Broken("the engine reports: no (500)".into()), "no (500)", "systemctl start docker"),
    ] {
        let checks = judged(&found(answer));
        let (status, what, how) = &checks[0];
        assert_eq!(*status, Status::Failed, "{what}");
        assert!(what.contains(part) && how.contains(help), "{what} → {how}");
        // If an engine does not answer, its API is not known: neither well nor too old.
        assert_eq!(checks[1].0, Status::Unknown);
    }
}

#[test]
fn the_help_for_an_unusable_engine_fits_the_source_of_its_address() {
    let context = |by_variable| EndpointSource::Context { name: "far".into(), by_variable };
    for (origin, words, help) in [
        (EndpointSource::Variable, "from DOCKER_HOST", "unset DOCKER_HOST"),
        (context(true), "docker context far, from DOCKER_CONTEXT", "unset DOCKER_CONTEXT"),
        (context(false), "the current docker context, far", "docker context use default"),
    ] {
        let checks = judged(&EngineFindings { origin: origin.clone(), ..found(EngineReply::NoSocket) });
        assert!(checks[0].1.contains(words) && checks[0].2.contains(help), "{checks:?}");
        let unusable =
            EngineFindings { origin, endpoint: Err("no ssh".into()), ..found(EngineReply::NotAsked) };
        let checks = judged(&unusable);
        assert!(checks[0].1.contains("no ssh") && checks[0].2.contains(help), "{checks:?}");
    }
    let no_systemd = EngineFindings { systemd: false, ..found(EngineReply::Refused) };
    assert!(judged(&no_systemd)[0].2.starts_with("sudo service docker start"));
}

#[test]
fn an_api_is_new_enough_by_number_and_not_by_text() {
    for (api, status) in [
        ("1.40", Status::Failed),
        ("1.9", Status::Failed),
        ("0.99", Status::Failed),
        ("1.41", Status::Ok),
        ("1.100", Status::Ok),
        ("2.0", Status::Ok),
        ("new", Status::Unknown),
    ] {
        assert_eq!(judged(&found(versions(api)))[1].0, status, "{api}");
    }
}

#[tokio::test]
async fn a_socket_without_a_listener_is_distinguished_from_a_missing_one() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("engine.sock");
    assert_eq!(closed(&path).await, Some(EngineReply::NoSocket));
    let listener = UnixListener::bind(&path).unwrap();
    assert_eq!(closed(&path).await, None);
    drop(listener);
    assert_eq!(closed(&path).await, Some(EngineReply::Refused));
}

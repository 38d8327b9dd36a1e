//! More replicas than declared: somebody's roll-out while one is young, and a drift once none is.

use std::process::Command;

use crate::{
    compose_binaries::Compose,
    daemon::Daemon,
    support::{MANIFEST, Project, docker, inspect, run, wait_for},
};

/// A healthy project whose verification, and so whose youth, is this long.
fn healthy(timeout: &str) -> Project {
    let project = Project::healthy();
    project.manifest(&MANIFEST.replace("timeout: 60s", &format!("timeout: {timeout}")));
    project.apply().expect(0);
    project
}

/// What a person does who rolls out without a gap: one more replica, of the new configuration.
fn scale(project: &Project, replicas: usize) {
    project.compose(&["up", "-d", "--no-recreate", "--scale", &format!("api={replicas}")]);
}

const CONFIGURED: &str =
    "services:\n  api: { build: ./api, init: true, stop_grace_period: 1s, environment: { A: b } }\n";

/// Whether the server of a container has its socket.
fn listens(id: &str) -> bool {
    let table = docker(&["exec", id, "cat", "/proc/net/tcp", "/proc/net/tcp6"]);
    // Port 3000 in hexadecimal, in the state LISTEN.
    table.lines().any(|line| line.contains(":0BB8 ") && line.contains(" 0A "))
}

fn state(id: &str) -> String {
    inspect(id, "{{.State.Status}}").unwrap_or_default()
}

/// The steps whose command ran. One that finds somebody at work right before it does not begin.
fn steps_that_began(project: &Project) -> Vec<String> {
    let ended =
        project.trail().into_iter().filter(|r| r["kind"] == "StepFinished" && r["outcome"] != "NotBegun");
    ended.map(|record| record["step"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn rolling_update_by_hand_is_let_finish() {
    let project = healthy("60s");
    let old = project.containers("api");
    let daemon = Daemon::start_with(&project, &[]);
    project.write("compose.yaml", CONFIGURED);
    scale(&project, 2);
    daemon.wait_for_looks(4);
    assert_eq!(project.containers("api").len(), 2, "neither the old one nor the new one is taken away");
    let check = project.check().expect(1);
    // Compose 2.26 would remove the new one and make the old one anew. Later versions would remove the old one: that is what
    // somebody is at, and no drift.
    let (drift, ready) = if Compose::own().version() < vec![2, 40] {
        ("container ConfigChanged", "False DriftDetected")
    } else {
        ("", "Unknown NotKnown")
    };
    assert_eq!((check.drift("api").as_str(), check.condition("Ready").as_str()), (drift, ready));
    docker(&["rm", "-f", &old[0]]);
    daemon.wait_for_looks(2);
    project.check().expect(0);
    assert_eq!(steps_that_began(&project), [""; 0]);
    let left = project.containers("api");
    assert!(left.len() == 1 && left != old);
    assert!(daemon.end().success());
}

#[test]
fn roll_out_that_is_abandoned_half_way_is_brought_to_what_is_declared() {
    let project = healthy("8s");
    let old = project.containers("api");
    project.write("compose.yaml", CONFIGURED);
    scale(&project, 2);
    project.apply().expect(0);
    assert_eq!(steps_that_began(&project), ["Up"]);
    let left = project.containers("api");
    assert!(left.len() == 1 && left != old, "of the new configuration");
    project.assert_trail_is_whole();
}

#[test]
fn surplus_replicas_are_unknown_while_young_and_then_removed() {
    let project = healthy("8s");
    let before = project.containers("api");
    scale(&project, 3);
    // One that does not listen yet is a drift of its own, which passes.
    for id in project.containers("api") {
        wait_for("its server", || listens(&id));
    }
    let check = project.check().expect(1);
    assert_eq!((check.drift("api").as_str(), check.condition("Ready").as_str()), ("", "Unknown NotKnown"));
    assert_eq!(check.plan(), [""; 0]);
    project.apply().expect(0);
    let drifts: Vec<_> = project.trail().into_iter().filter(|r| r["kind"] == "DriftDetected").collect();
    assert_eq!((drifts.len(), &drifts[0]["evidence"]["reason"]), (1, &"Surplus".into()));
    assert_eq!(project.steps(), ["Up"]);
    assert_eq!(project.containers("api"), before, "the first one was never touched");
}

#[test]
fn surplus_replica_that_somebody_has_paused_is_theirs() {
    let project = healthy("1s");
    scale(&project, 2);
    let second = docker(&["ps", "-q", "--no-trunc", "--filter", &format!("name={}-api-2", project.name)]);
    docker(&["pause", second.trim()]);
    let apply = project.apply().expect(1);
    assert_eq!(apply.drift("api"), "container Paused");
    assert_eq!((project.steps().len(), state(second.trim()).as_str()), (0, "paused"));
    docker(&["unpause", second.trim()]);
    docker(&["kill", second.trim()]);
    // One that has exited is as much too many, and no service that is down.
    let apply = project.apply().expect(0);
    assert_eq!((project.containers("api").len(), apply.drift("api").as_str()), (1, ""));
    let drifts: Vec<_> = project.trail().into_iter().filter(|r| r["kind"] == "DriftDetected").collect();
    assert_eq!(drifts.last().unwrap()["evidence"]["reason"], "Surplus");
}

#[test]
fn replica_made_by_docker_run_and_one_off_container_are_distinguished() {
    let project = healthy("8s");
    let first = project.containers("api");
    project.compose(&["run", "-d", "api", "sleep", "1000"]);
    project.check().expect(0);
    let one_off: Vec<String> =
        project.containers("api").into_iter().filter(|id| !first.contains(id)).collect();
    let label = |key: &str, value: &str| format!("com.docker.compose.{key}={value}");
    let hash =
        docker(&["inspect", "-f", "{{index .Config.Labels \"com.docker.compose.config-hash\"}}", &first[0]]);
    let labels = [
        label("project", &project.name),
        label("service", "api"),
        label("oneoff", "False"),
        label("container-number", "7"),
        label("config-hash", hash.trim()),
        label("project.working_dir", &project.path("").canonicalize().unwrap().display().to_string()),
    ];
    let mut command = Command::new("docker");
    command.args(["run", "-d", "--init"]);
    for label in &labels {
        command.args(["--label", label]);
    }
    assert_eq!(run(command.arg(project.image())).code, Some(0));
    // It is on no network of the project's, which is a drift of its own, and young: somebody is at work.
    assert_eq!(project.check().expect(1).drift("api"), "container NetworkChanged");
    project.apply().expect(0);
    assert_eq!(steps_that_began(&project), ["Up"]);
    let left = project.containers("api");
    assert!(left.len() == 2 && left.contains(&one_off[0]), "the one-off container is no replica");
}

#[test]
fn service_of_which_none_is_declared_is_as_declared_without_and_drifted_with_a_container() {
    let project = healthy("3s");
    let none =
        "services:\n  api: { build: ./api, init: true, stop_grace_period: 1s, deploy: { replicas: 0 } }\n";
    project.write("compose.yaml", none);
    let before = project.containers("api");
    docker(&["rm", "-f", &before[0]]);
    let apply = project.apply().expect(0);
    assert_eq!((apply.condition("Ready"), project.steps().len()), ("True AsDeclared".to_owned(), 0));
    let service = &apply.status()["services"][0];
    let kinds: Vec<_> = service["conditions"].as_array().unwrap().iter().map(|c| c["type"].clone()).collect();
    assert!(!kinds.contains(&"RouteExposed".into()), "no route can be asked: {kinds:?}");
    scale(&project, 1);
    let apply = project.apply().expect(0);
    assert_eq!((apply.drift("api"), project.containers("api").len()), (String::new(), 0));
    assert_eq!(project.steps(), ["Up"]);
    // An exited one is one too many as well.
    scale(&project, 1);
    docker(&["kill", &project.containers("api")[0]]);
    project.apply().expect(0);
    assert_eq!((project.containers("api").len(), project.steps()), (0, vec!["Up".into(), "Up".into()]));
}

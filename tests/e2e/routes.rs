//! Routes and credentials: what is absent, what proves nothing, and what none of it is answered with.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    thread,
};

use crate::support::{MANIFEST, Project, SERVE, docker, wait_for};

/// What may pass by itself is waited for no longer than a server here may take to start.
fn impatient(project: &Project) {
    project.manifest(&MANIFEST.replace("timeout: 60s", "timeout: 8s"));
}

#[test]
fn route_absent_behind_a_current_container_escalates_and_stops() {
    let project = Project::healthy();
    // The image has the module, and a server that never heard of it.
    project.write(
        "api/serve",
        "touch /httpd.conf; mkdir -p /www; exec httpd -f -p 3000 -c /httpd.conf -h /www\n",
    );
    project.manifest(&MANIFEST.replace("timeout: 60s", "timeout: 1s"));
    project.rebuild();
    project.compose(&["up", "-d"]);
    assert_eq!(project.check().expect(1).drift("api"), "route Absent");
    let apply = project.apply().expect(1);
    assert_eq!(apply.drift("api"), "route Absent");
    assert_eq!(apply.condition("Stalled"), "True RepairsExhausted", "{}", apply.stderr);
    let steps = project.steps();
    // Whether an `up` lies between them depends on whether the engine makes the same image again.
    let tried: Vec<_> = steps.iter().filter(|step| *step != "Up").collect();
    assert_eq!(tried, ["Build", "Restart", "Build"], "the image's origin is not known: {steps:?}");
    let trail = project.trail();
    let builds = trail.iter().filter(|r| r["kind"] == "StepIntended" && r["step"] == "Build");
    let uncached: Vec<bool> = builds.map(|r| r["evidence"]["noCache"] == true).collect();
    assert_eq!(uncached, [false, true]);
    project.assert_trail_is_whole();
    project.apply().expect(1);
    assert_eq!(project.steps(), steps, "what was given up is not begun again");
}

/// Has the server in this container forget its route, as if it had never known of it.
fn lose_the_route(project: &Project, id: &str) {
    docker(&[
        "exec",
        id,
        "sh",
        "-c",
        "grep -q workflow /httpd.conf && : > /httpd.conf && rm -rf /www/api && killall -HUP httpd",
    ]);
    wait_for("the route to be gone", || project.check().drift("api") == "route Absent");
}

#[test]
fn route_that_the_running_server_lost_comes_back_with_a_restart() {
    let project = Project::in_incident();
    impatient(&project);
    project.apply().expect(0);
    // The process forgets the route; the image, built by undrift from this very source, still has it.
    let id = &project.containers("api")[0];
    lose_the_route(&project, id);
    let before = project.steps().len();
    project.apply().expect(0);
    assert_eq!(project.steps()[before..], ["Restart"]);
    assert_eq!(project.containers("api"), std::slice::from_ref(id));
}

#[test]
fn blanket_401_verifies_nothing_and_rebuilds_nothing() {
    let project = Project::healthy();
    project.write("api/serve", &SERVE.replace("\"/api/$name:ops:secret\"", "\"/:ops:secret\""));
    project.manifest(&MANIFEST.lines().filter(|line| !line.contains("auth:")).collect::<Vec<_>>().join("\n"));
    project.rebuild();
    project.compose(&["up", "-d"]);
    assert_eq!(project.check().expect(1).drift("api"), "route Indistinguishable");
    project.manifest(
        &MANIFEST
            .replace("timeout: 60s", "timeout: 1s")
            .lines()
            .filter(|l| !l.contains("auth:"))
            .collect::<Vec<_>>()
            .join("\n"),
    );
    project.apply().expect(1);
    assert_eq!(project.steps(), [""; 0]);
    project.manifest(MANIFEST);
    assert_eq!(project.check().expect(0).drift("api"), "", "credentials settle it");
}

#[test]
fn wrong_credentials_are_the_last_layer_and_nobodys_rebuild() {
    let project = Project::healthy();
    impatient(&project);
    let wrong = |verb: &str| {
        let mut command = project.command(&[verb, "-f", "undrift.yaml", "-o", "json"]);
        crate::support::run(command.env("E2E_PASSWORD", "wrong"))
    };
    let check = wrong("check").expect(1);
    assert_eq!(check.drift("api"), "auth Rejected");
    assert!(!check.stdout.contains("wrong"), "{}", check.stdout);
    wrong("apply").expect(1);
    assert_eq!(project.steps(), [""; 0]);
}

#[test]
fn credentials_that_are_not_there_are_unknown_and_no_drift() {
    let project = Project::healthy();
    let mut command = project.command(&["check", "-f", "undrift.yaml", "-o", "json"]);
    let check = crate::support::run(command.env_remove("E2E_PASSWORD")).expect(1);
    assert_eq!(check.drift("api"), "");
    assert_eq!(check.condition("Ready"), "Unknown NotKnown");
    assert!(check.stdout.contains("E2E_PASSWORD"), "it says which variable: {}", check.stdout);
}

/// Two replicas answer in turn, and one of them knows nothing of the route: the worst answer counts.
#[test]
fn route_that_one_of_two_replicas_lost_is_absent() {
    let project = Project::new();
    project.write(
        "compose.yaml",
        "services:\n  api: { build: ./api, init: true, stop_grace_period: 1s, scale: 2 }\n",
    );
    impatient(&project);
    project.compose(&["up", "-d", "--build"]);
    project.add_module("api", "workflow");
    project.apply().expect(0);
    let ids = project.containers("api");
    assert_eq!(ids.len(), 2);
    for id in &ids {
        let before = project.steps().len();
        lose_the_route(&project, id);
        let check = project.check().expect(1);
        let route = &check.status()["services"][0]["routes"][0];
        assert_eq!((&route["observed"], &route["control"]), (&404.into(), &404.into()), "{id}");
        assert_eq!(project.apply().expect(0).drift("api"), "");
        assert_eq!(project.steps()[before..], ["Restart"], "{id}");
    }
}

/// A single-page app, or a proxy in front, that answers 200 for everything.
#[test]
fn answer_that_every_path_gives_verifies_nothing_and_rebuilds_nothing() {
    let app = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = app.local_addr().unwrap().port();
    // It ends with the test's process: nobody waits for it.
    thread::spawn(move || app.incoming().flatten().for_each(|client| answer_200(&client)));
    let project = Project::healthy();
    let url = format!("- url: http://127.0.0.1:{port}/api/workflow");
    let text = MANIFEST.replace("- path: /api/workflow\n          port: 3000", &url);
    let text = text.replace("timeout: 60s", "timeout: 1s").replace("expect: [401]", "expect: [200]");
    project.manifest(&text.lines().filter(|line| !line.contains("auth:")).collect::<Vec<_>>().join("\n"));
    let check = project.check().expect(1);
    assert_eq!(check.drift("api"), "route Indistinguishable");
    let route = &check.status()["services"][0]["routes"][0];
    assert_eq!((&route["observed"], &route["control"]), (&200.into(), &200.into()));
    assert_eq!(project.apply().expect(1).drift("api"), "route Indistinguishable");
    assert_eq!(project.steps(), [""; 0]);
}

fn answer_200(mut client: &TcpStream) {
    let mut head = BufReader::new(client).lines();
    while head.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    // One who has gone needs no answer.
    let _ = client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
}

//! Each layer broken by itself: what it is called, which steps are taken, and which never.

use std::fs;

use crate::support::{MANIFEST, Project, SERVE, docker, wait_for};

#[test]
fn module_missing_in_source_takes_no_step_at_all() {
    let project = Project::in_incident();
    fs::remove_dir_all(project.path("api/src/workflow")).unwrap();
    let before = project.containers("api");
    assert_eq!(project.check().expect(1).drift("api"), "source ModuleMissing");
    let apply = project.apply().expect(1);
    assert_eq!(apply.condition("Stalled"), "True ModuleMissing");
    assert_eq!(project.steps(), [""; 0]);
    assert_eq!(project.containers("api"), before);
}

#[test]
fn image_built_but_not_recreated_needs_up_only() {
    let project = Project::in_incident();
    project.compose(&["build"]);
    assert_eq!(project.check().expect(1).drift("api"), "container ImageOutdated");
    let apply = project.apply().expect(0);
    assert_eq!(project.steps(), ["Up"]);
    assert_eq!(apply.status()["services"][0]["routes"][0]["transition"]["before"], 404);
}

#[test]
fn stopped_container_is_started() {
    let project = Project::healthy();
    project.compose(&["stop"]);
    assert_eq!(project.check().expect(1).drift("api"), "container NotRunning");
    let apply = project.apply().expect(0);
    assert_eq!(project.steps(), ["Up"]);
    let transition = &apply.status()["services"][0]["routes"][0]["transition"];
    assert_eq!(*transition, serde_json::json!({ "before": null, "after": 401 }), "no answer is no baseline");
}

#[test]
fn removed_container_is_created() {
    let project = Project::healthy();
    project.compose(&["rm", "-fs"]);
    assert_eq!(project.check().expect(1).drift("api"), "container Missing");
    project.apply().expect(0);
    assert_eq!(project.steps(), ["Up"]);
}

#[test]
fn changed_configuration_recreates() {
    let project = Project::healthy();
    let before = project.containers("api");
    project.write(
        "compose.yaml",
        "services:\n  api: { build: ./api, init: true, stop_grace_period: 1s, environment: { LEVEL: high } }\n",
    );
    assert_eq!(project.check().expect(1).drift("api"), "container ConfigChanged");
    project.apply().expect(0);
    assert_eq!(project.steps(), ["Up"]);
    assert_ne!(project.containers("api"), before);
}

#[test]
fn override_file_is_compose_own_affair_and_is_followed() {
    let project = Project::healthy();
    project.check().expect(0);
    project.write("compose.override.yaml", "services:\n  api: { environment: { LEVEL: high } }\n");
    assert_eq!(project.check().expect(1).drift("api"), "container ConfigChanged");
    project.apply().expect(0);
    let env = docker(&["inspect", "-f", "{{.Config.Env}}", &project.containers("api")[0]]);
    assert!(env.contains("LEVEL=high"), "{env}");
}

#[test]
fn route_absent_behind_a_current_container_escalates_and_stops() {
    let project = Project::healthy();
    // The image has the module, and a server that never heard of it.
    project.write(
        "api/serve",
        "touch /httpd.conf; mkdir -p /www; exec httpd -f -p 3000 -c /httpd.conf -h /www\n",
    );
    project.manifest(&MANIFEST.replace("timeout: 8s", "timeout: 1s"));
    project.compose(&["up", "-d", "--build"]);
    assert_eq!(project.check().expect(1).drift("api"), "route Absent");
    let apply = project.apply().expect(1);
    assert_eq!(apply.drift("api"), "route Absent");
    let steps = project.steps();
    assert_eq!(
        steps.first().map(String::as_str),
        Some("Build"),
        "the image's origin is not known: {steps:?}"
    );
    assert!(steps.contains(&"Restart".to_owned()), "{steps:?}");
    assert!(steps.iter().filter(|step| *step == "Build").count() <= 2, "one cached, one uncached: {steps:?}");
    assert!(apply.condition("Stalled").starts_with("True"));
    project.assert_trail_is_whole();
    let taken = steps.len();
    project.apply().expect(1);
    assert_eq!(project.steps().len(), taken, "what was given up is not begun again");
}

#[test]
fn route_that_the_running_server_lost_comes_back_with_a_restart() {
    let project = Project::in_incident();
    project.apply().expect(0);
    // The process forgets the route; the image, built by undrift from this very source, still has it.
    let id = &project.containers("api")[0];
    docker(&[
        "exec",
        id,
        "sh",
        "-c",
        "grep -q workflow /httpd.conf && : > /httpd.conf && rm -rf /www/api && killall -HUP httpd",
    ]);
    wait_for("the route to be gone", || project.check().drift("api") == "route Absent");
    let before = project.steps().len();
    project.apply().expect(0);
    assert_eq!(project.steps()[before..], ["Restart"]);
    assert_eq!(project.containers("api"), std::slice::from_ref(id));
}

#[test]
fn blanket_401_proves_nothing_and_rebuilds_nothing() {
    let project = Project::healthy();
    project.write("api/serve", &SERVE.replace("\"/api/$name:ops:secret\"", "\"/:ops:secret\""));
    project.manifest(&MANIFEST.lines().filter(|line| !line.contains("auth:")).collect::<Vec<_>>().join("\n"));
    project.compose(&["up", "-d", "--build"]);
    assert_eq!(project.check().expect(1).drift("api"), "route Indistinguishable");
    project.manifest(
        &MANIFEST
            .replace("timeout: 8s", "timeout: 1s")
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
    assert!(check.condition("Ready").starts_with("Unknown"));
    assert!(check.stdout.contains("E2E_PASSWORD"), "it says which variable: {}", check.stdout);
}

#[test]
fn service_without_build_is_never_built() {
    let project = Project::new();
    project.write(
        "compose.yaml",
        "services:\n  api: { image: undrift-example-base, init: true, stop_grace_period: 1s, command: [sleep, \"1000\"] }\n",
    );
    project.add_module("api", "workflow");
    project.compose(&["up", "-d"]);
    let check = project.check().expect(1);
    assert_eq!(check.drift("api"), "artifact ModuleMissing");
    assert_eq!(check.plan(), [""; 0]);
    project.apply().expect(1);
    assert_eq!(project.steps(), [""; 0]);
}

#[test]
fn volume_over_the_module_is_named_and_left_to_a_person() {
    let project = Project::in_incident();
    project.write(
        "compose.yaml",
        "services:\n  api: { build: ./api, init: true, stop_grace_period: 1s, volumes: [\"data:/app/dist/modules\"] }\nvolumes: { data: {} }\n",
    );
    // The volume is filled from the old image, and hides the new one's files from then on. (An empty one would be
    // filled again.)
    project.add_module("api", "customers");
    fs::rename(project.path("api/src/workflow"), project.path("later")).unwrap();
    project.compose(&["up", "-d", "--build"]);
    fs::rename(project.path("later"), project.path("api/src/workflow")).unwrap();
    project.compose(&["up", "-d", "--build"]);
    assert_eq!(project.check().expect(1).drift("api"), "container ShadowedByMount");
    project.apply().expect(1);
    assert_eq!(project.steps(), [""; 0]);
}

#[test]
fn dangling_link_is_no_module() {
    let project = Project::new();
    std::os::unix::fs::symlink("/nowhere", project.path("api/src/workflow")).unwrap();
    project.manifest(&MANIFEST.replace("source: api/src/workflow, ", ""));
    project.compose(&["up", "-d", "--build"]);
    assert_eq!(project.check().expect(1).drift("api"), "artifact ModuleMissing");
}

#[test]
fn stale_replica_beside_a_current_one_is_drift() {
    let project = Project::new();
    project.write(
        "compose.yaml",
        "services:\n  api: { build: ./api, init: true, stop_grace_period: 1s, scale: 2 }\n",
    );
    project.compose(&["up", "-d", "--build", "--scale", "api=1"]);
    project.add_module("api", "workflow");
    project.compose(&["build"]);
    project.compose(&["up", "-d", "--no-recreate", "--scale", "api=2"]);
    assert_eq!(project.containers("api").len(), 2);
    let check = project.check().expect(1);
    assert_eq!(check.drift("api"), "container ImageOutdated", "{}", check.stdout);
    let apply = project.apply().expect(0);
    let service = &apply.status()["services"][0];
    let images: Vec<_> =
        service["containers"].as_array().unwrap().iter().map(|c| c["imageId"].clone()).collect();
    assert_eq!(images.len(), 2);
    assert!(images.iter().all(|image| *image == service["image"]["id"]));
}

#[test]
fn paused_container_is_a_persons_choice() {
    let project = Project::healthy();
    project.compose(&["pause"]);
    assert_eq!(project.check().expect(1).drift("api"), "container Paused");
    project.apply().expect(1);
    assert_eq!(project.steps(), [""; 0]);
    project.compose(&["unpause"]);
}

//! Each layer below the route broken by itself: what it is called, which steps are taken, and which never.

use std::fs;

use crate::support::{MANIFEST, Project, docker};

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
    project.rebuild();
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
    project.rebuild();
    project.compose(&["up", "-d"]);
    fs::rename(project.path("later"), project.path("api/src/workflow")).unwrap();
    project.rebuild();
    project.compose(&["up", "-d"]);
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
    let before = project.containers("api");
    assert_eq!(project.check().expect(1).drift("api"), "artifact ModuleMissing");
    let apply = project.apply().expect(1);
    assert_eq!(apply.drift("api"), "artifact ModuleMissing");
    assert_eq!(apply.condition("Stalled"), "True RepairsExhausted");
    assert_eq!(project.steps(), ["Build", "Build"], "once, once without the cache, and no up");
    assert_eq!(project.containers("api"), before);
}

/// `up` takes an anonymous volume over into the new container, and with it the files of the old image.
#[test]
fn anonymous_volume_over_the_module_ends_in_a_stall_and_no_loop() {
    let project = Project::new();
    project.write(
        "compose.yaml",
        "services:\n  api: { build: ./api, init: true, stop_grace_period: 1s, volumes: [/app/dist/modules] }\n",
    );
    project.add_module("api", "customers");
    project.compose(&["up", "-d", "--build"]);
    project.add_module("api", "workflow");
    let apply = project.apply().expect(1);
    assert_eq!(apply.drift("api"), "container ShadowedByMount", "{}", apply.stderr);
    assert_eq!(apply.condition("Stalled"), "True ShadowedByMount");
    assert_eq!(project.steps_that_counted(), ["Build", "Up"]);
    assert!(project.runs_its_image());
    let (steps, containers) = (project.steps(), project.containers("api"));
    assert_eq!(project.apply().expect(1).drift("api"), "container ShadowedByMount");
    assert_eq!((project.steps(), project.containers("api")), (steps, containers), "it is left to a person");
    project.assert_trail_is_whole();
}

/// The last of two builds would win, for both services.
#[test]
fn two_services_that_build_one_image_are_refused_with_both_names() {
    let project = Project::healthy();
    project.add_service("web");
    project.write(
        "compose.yaml",
        "services:\n  api: { build: ./api, image: NAME-one }\n  web: { build: ./web, image: NAME-one }\n"
            .replace("NAME", &project.name)
            .as_str(),
    );
    let before = project.containers("api");
    for verb in ["check", "plan", "apply"] {
        let run = project.with_manifest(verb, &[]).expect(2);
        assert!(run.stderr.contains("api") && run.stderr.contains("web"), "{verb}: {}", run.stderr);
        assert!(run.stderr.contains(&format!("{}-one", project.name)), "{verb}: {}", run.stderr);
    }
    assert_eq!(project.steps(), [""; 0]);
    assert_eq!(project.containers("api"), before);
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
    project.rebuild();
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

#[test]
fn container_that_is_down_behind_a_source_that_is_gone_is_started_as_it_ran() {
    let project = Project::healthy();
    project.apply().expect(0);
    let ran = docker(&["inspect", "-f", "{{.Id}} {{.Image}}", &project.containers("api")[0]]);
    fs::remove_dir_all(project.path("api/src/workflow")).unwrap();
    docker(&["kill", &project.containers("api")[0]]);
    let apply = project.apply().expect(1);
    assert_eq!(apply.drift("api"), "source ModuleMissing");
    assert_eq!(project.steps(), ["Up"]);
    let id = &project.containers("api")[0];
    assert_eq!(docker(&["inspect", "-f", "{{.Id}} {{.Image}}", id]), ran, "the very container");
    assert_eq!(docker(&["inspect", "-f", "{{.State.Running}}", id]).trim(), "true");
}

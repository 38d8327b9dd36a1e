//! A service that uses language models (`models:`, Compose 2.38): an `up` runs `docker model`, and no look does.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::{
    compose_binaries::Compose,
    providers::{undrift, variables},
    support::{Project, run},
};

/// Stands in for Docker Model Runner, and writes down what it was asked for.
const PLUGIN: &str = r#"#!/bin/sh
case "$1" in docker-cli-plugin-metadata)
    echo '{"SchemaVersion":"0.1.0","Vendor":"undrift tests","Version":"0.0.1"}'; exit;;
esac
echo "$@" >> LOG
case "$*" in
    *status*) echo '{"running":true,"endpoint":"http://models.invalid/?a&b"}';;
    *ls*) echo '[{"id":"0","tags":["ai/one","ai/two"],"created":0}]';;
esac
"#;

/// `api` uses a model, `web` waits for `api`.
fn project() -> Project {
    let project = Project::new();
    project.manifest(
        "apiVersion: undrift.dev/v1alpha1\nkind: ComposeProject\nmetadata: { name: NAME }\nspec:\n  \
         project: { directory: ., name: NAME }\n  services: [{ name: api }, { name: web }]\n  \
         reconcile: { verify: { timeout: 20s, stableFor: 500ms }, backoff: { initial: 100ms, max: 1s } }\n",
    );
    Compose::newer().install(&project);
    let plugin = project.path("docker/cli-plugins/docker-model");
    fs::write(&plugin, PLUGIN.replace("LOG", &project.path("model.log").display().to_string())).unwrap();
    fs::set_permissions(plugin, fs::Permissions::from_mode(0o755)).unwrap();
    declare(&project, "ai/one", "one");
    up(&project);
    project
}

fn declare(project: &Project, model: &str, value: &str) {
    let service = "image: undrift-example-base, command: sleep 1000, init: true";
    project.write(
        "compose.yaml",
        &format!(
            "models: {{ my-llm: {{ model: {model} }} }}\nservices:\n  \
             api: {{ {service}, models: [my-llm], environment: {{ V: {value} }} }}\n  \
             web: {{ {service}, depends_on: [api] }}\n"
        ),
    );
}

/// By hand, with the newer Compose.
fn up(project: &Project) {
    let mut command = std::process::Command::new("docker");
    command.args(["compose", "--project-name", &project.name, "up", "-d"]);
    run(command.current_dir(project.path("")).env("DOCKER_CONFIG", project.path("docker"))).expect(0);
}

/// What `docker model` was asked for since it was last looked.
fn asked(project: &Project) -> String {
    let log = project.path("model.log");
    let asked = fs::read_to_string(&log).unwrap_or_default();
    let _ = fs::remove_file(log);
    asked
}

#[test]
#[ignore = "needs another Compose: scripts/test-engines"]
fn models_are_asked_by_an_up_and_by_no_look() {
    let project = project();
    assert!(asked(&project).contains("status"), "the test's own `up` asks");
    assert!(variables(&project).contains("MY_LLM_URL=http://models.invalid/?a&b"), "{}", variables(&project));
    let before = (project.containers("api"), project.containers("web"));
    undrift(&project, "check", 0);
    undrift(&project, "apply", 0);
    assert_eq!((project.containers("api"), project.containers("web")), before);
    assert_eq!(asked(&project), "", "a look has asked `docker model`");

    // A variable of the service, and which model it is: both are differences.
    for (model, value, shown) in [("ai/one", "two", "V=two"), ("ai/two", "two", "MY_LLM_MODEL=ai/two")] {
        declare(&project, model, value);
        let check = undrift(&project, "check", 1);
        assert_eq!(check.drift("api"), "container ConfigChanged", "{model} {value}");
        assert_eq!(check.drift("web"), "", "{model} {value}");
        assert_eq!(asked(&project), "", "a look has asked `docker model`");
        undrift(&project, "apply", 0);
        assert!(asked(&project).contains("status"), "the step's own `up` asks");
        assert!(variables(&project).contains(shown), "{}", variables(&project));
        undrift(&project, "check", 0);
    }
    assert_eq!(project.steps(), ["Up", "Up"]);
    project.assert_trail_is_whole();
}

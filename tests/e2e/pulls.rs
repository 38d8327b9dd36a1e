//! No look and no `up` fetches another release: `pull_policy: always` names a registry where nobody listens, so whoever
//! asks it fails.

use std::process::Command;

use crate::support::{MANIFEST, Project};

/// Built, brought up by hand and as declared, but for the service's `pull_policy` and its environment file.
fn with_a_registry_that_is_away() -> Project {
    let project = Project::new();
    project.add_module("api", "workflow");
    project.write("api.env", "A=1\n");
    let compose = format!(
        "services:\n  api:\n    build: ./api\n    image: 127.0.0.1:1/{}:1\n    pull_policy: always\n    \
         env_file: [api.env]\n    init: true\n    stop_grace_period: 1s\n",
        project.name
    );
    project.write("compose.yaml", &compose);
    project.compose(&["build"]);
    project.compose(&["up", "-d", "--pull", "never"]);
    project
}

#[test]
fn look_at_a_service_that_is_always_pulled_asks_no_registry() {
    let project = with_a_registry_that_is_away();
    let before = project.containers("api");
    project.check().expect(0);
    project.apply().expect(0);
    assert_eq!((project.containers("api"), project.steps().len()), (before, 0), "adoption disturbs nothing");
}

#[test]
fn up_of_what_was_just_built_fetches_no_other_release() {
    let project = with_a_registry_that_is_away();
    let before = project.containers("api");
    // A configuration that differs needs an `up`, and no build.
    project.write("api.env", "A=2\n");
    project.apply().expect(0);
    assert_ne!(project.containers("api"), before);
    project.check().expect(0);
}

/// Compose 2.26 does not know all of them.
fn compose_accepts(policy: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let compose = format!("services: {{ a: {{ image: a, pull_policy: {policy} }} }}\n");
    std::fs::write(folder.path().join("compose.yaml"), compose).unwrap();
    let asked = Command::new("docker").args(["compose", "config", "-q"]).current_dir(folder.path()).output();
    asked.unwrap().status.success()
}

#[test]
fn up_of_services_with_and_without_a_build_makes_no_other_image_whatever_the_policy() {
    let known: Vec<&str> =
        ["build", "always", "daily"].into_iter().filter(|policy| compose_accepts(policy)).collect();
    assert!(known.starts_with(&["build", "always"]));
    for policy in known {
        let project = Project::new();
        // A build that answers otherwise each time would not go unseen.
        project.append("api/Dockerfile", "ARG NOW=one\nRUN echo $NOW > /now\n");
        let compose = |value: &str| {
            let rest = format!(
                "pull_policy: {policy}, init: true, stop_grace_period: 0s, environment: {{ V: {value} }}"
            );
            let api = format!("  api: {{ build: ./api, image: '127.0.0.1:1/{}:1', {rest} }}\n", project.name);
            let base = "image: undrift-example-base, command: [sleep, '86400']";
            format!("services:\n{api}  db: {{ {base}, {} }}\n", rest.replace("build", "missing"))
        };
        project.write("compose.yaml", &compose("one"));
        project.manifest(&MANIFEST.replace("  services:\n", "  services:\n    - name: db\n"));
        project.add_module("api", "workflow");
        project.compose(&["build"]);
        project.compose(&["up", "-d", "--no-build", "--pull", "never"]);
        project.apply().expect(0);
        // What a build would make now is another image than the one that is looked into.
        project.write("compose.yaml", &compose("two"));
        project.append("api/Dockerfile", "RUN echo not-yet-built > /now\n");
        let reference = format!("127.0.0.1:1/{}:1", project.name);
        let id = || crate::support::docker(&["image", "inspect", "-f", "{{.Id}}", &reference]);
        let before = id();
        project.apply().expect(0);
        assert_eq!(project.steps(), ["Up"], "{policy}");
        assert_eq!(id(), before, "{policy}");
        let runs = crate::support::docker(&["inspect", "-f", "{{.Image}}", &project.containers("api")[0]]);
        assert_eq!(runs, before, "{policy}");
        project.check().expect(0);
        crate::support::docker(&["rmi", "-f", &reference]);
    }
}

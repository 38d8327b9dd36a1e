//! No look and no `up` fetches another release: `pull_policy: always` names a registry where nobody listens, so whoever
//! asks it fails.

use crate::support::Project;

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

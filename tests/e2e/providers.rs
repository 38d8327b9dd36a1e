//! A service that a program outside the engine provides (Compose 2.36): no look runs the program, and each `up` does.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::{
    compose_binaries::Compose,
    support::{Project, Run, docker, run},
};

/// `api` gets a variable of the provider `database`, which writes down each time that it is run.
fn project() -> Project {
    let project = Project::new();
    project.manifest(
        "apiVersion: undrift.dev/v1alpha1\nkind: ComposeProject\nmetadata: { name: NAME }\nspec:\n  \
         project: { directory: ., name: NAME }\n  services: [{ name: api }]\n  \
         reconcile: { verify: { timeout: 20s, stableFor: 500ms }, backoff: { initial: 100ms, max: 1s } }\n",
    );
    let log = project.path("provider.log").display().to_string();
    project.write(
        "provider",
        &format!(
            "#!/bin/sh\necho \"$@\" >> {log}\necho '{{\"type\":\"setenv\",\"message\":\"URL=db://given\"}}'\n"
        ),
    );
    fs::set_permissions(project.path("provider"), fs::Permissions::from_mode(0o755)).unwrap();
    Compose::newer().install(&project);
    declare(&project, "{ V: one, DATABASE_NAME: shop }");
    Compose::newer().run(&project, &["up", "-d"]);
    project
}

fn declare(project: &Project, environment: &str) {
    let provider = project.path("provider").display().to_string();
    project.write(
        "compose.yaml",
        &format!(
            "services:\n  database: {{ provider: {{ type: {provider} }} }}\n  \
             api: {{ image: undrift-example-base, command: sleep 1000, init: true, depends_on: [database], environment: {environment} }}\n"
        ),
    );
}

/// A verb with the newer Compose.
pub(crate) fn undrift(project: &Project, verb: &str, code: i32) -> Run {
    run(&mut Compose::undrift(project, verb)).expect(code)
}

/// How often the provider was run.
fn runs(project: &Project) -> usize {
    fs::read_to_string(project.path("provider.log")).unwrap().lines().count()
}

/// The variables of `api`'s container.
pub(crate) fn variables(project: &Project) -> String {
    docker(&["inspect", "-f", "{{.Config.Env}}", &project.containers("api")[0]])
}

#[test]
#[ignore = "needs another Compose: scripts/test-engines"]
fn provider_is_run_by_an_up_and_by_no_look_and_its_variables_stay() {
    let project = project();
    let before = (runs(&project), project.containers("api"));
    undrift(&project, "check", 0);
    undrift(&project, "apply", 0);
    assert_eq!((runs(&project), project.containers("api")), before);

    declare(&project, "{ V: two, DATABASE_NAME: shop }");
    assert_eq!(undrift(&project, "check", 1).drift("api"), "container ConfigChanged");
    assert_eq!(runs(&project), before.0, "a look has run the provider");
    undrift(&project, "apply", 0);
    assert_eq!(project.steps(), ["Up"]);
    assert!(runs(&project) > before.0, "the container is made with what the provider gives");
    let now = variables(&project);
    assert!(now.contains("V=two") && now.contains("DATABASE_URL=db://given"), "{now}");
    undrift(&project, "check", 0);

    docker(&["rm", "-f", &project.containers("api")[0]]);
    undrift(&project, "apply", 0);
    assert!(variables(&project).contains("DATABASE_URL=db://given"));
}

#[test]
#[ignore = "needs another Compose: scripts/test-engines"]
fn variable_that_is_declared_no_more_is_drift_where_the_container_was_seen_as_declared() {
    let project = project();
    // A state to remember in.
    undrift(&project, "apply", 0);
    // Each of the names: one of nobody's, and one that could be the provider's.
    for left in ["{ V: one }", "{}"] {
        undrift(&project, "check", 0);
        declare(&project, left);
        assert_eq!(undrift(&project, "check", 1).drift("api"), "container ConfigChanged", "{left}");
        undrift(&project, "apply", 0);
        undrift(&project, "check", 0);
    }
    let now = variables(&project);
    assert!(!now.contains("V=") && !now.contains("DATABASE_NAME"), "{now}");
    assert_eq!(project.steps(), ["Up", "Up"]);
}

#[test]
#[ignore = "needs another Compose: scripts/test-engines"]
fn variable_that_nobody_declares_is_unknown_where_the_container_was_never_seen_as_declared() {
    let project = project();
    declare(&project, "{ DATABASE_NAME: shop }");
    let check = undrift(&project, "check", 1);
    assert_eq!((check.drift("api"), check.condition("Ready")), (String::new(), "Unknown NotKnown".into()));
    assert!(check.stdout.contains("variables that nobody declares"), "{}", check.stdout);
}

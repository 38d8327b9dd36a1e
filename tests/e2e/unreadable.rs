//! A build input that cannot be read, where the source is to be enforced: what is known is repaired, and nothing is called
//! reconciled.

use crate::support::{MANIFEST, Project, Run, docker};

const ELSEWHERE: &str = "the additional context lib";

/// An input that is fetched from elsewhere, which an engine as old as 20.10 does not build.
const COMPOSE: &str = "services:\n  api:\n    build: { context: ./api, additional_contexts: { lib: 'https://example.org/shop.git' } }\n    \
    init: true\n    stop_grace_period: 1s\n";

fn with_compose(project: &Project, compose: &str) {
    project.write("compose.yaml", compose);
    let manifest = MANIFEST.replace("  reconcile:\n", "  source: { drift: enforce }\n  reconcile:\n");
    project.manifest(&manifest);
}

fn healthy() -> Project {
    let project = Project::healthy();
    with_compose(&project, COMPOSE);
    project.compose(&["up", "-d", "--no-build"]);
    project
}

/// Nothing says that it is reconciled, and the reason is said.
#[track_caller]
fn is_not_called_reconciled(project: &Project, run: &Run, why: &str) {
    assert_eq!(run.code, Some(1), "{run:?}");
    assert_eq!((run.drift("api"), run.condition("Ready")), (String::new(), "Unknown NotKnown".into()));
    let service = run.status()["services"][0].clone();
    let conditions = service["conditions"].as_array().unwrap();
    let reconciled = conditions.iter().find(|condition| condition["type"] == "Reconciled").unwrap();
    assert_eq!(reconciled["status"], "Unknown", "{reconciled}");
    assert!(run.stdout.contains(why), "no {why}: {}", run.stdout);
    // Neither the end of an incident nor a record does.
    let trail = project.trail();
    assert!(trail.iter().all(|record| record["kind"] != "Reconciled"), "{trail:?}");
}

#[test]
fn unreadable_source_is_unknown_and_leads_to_no_step() {
    let project = healthy();
    is_not_called_reconciled(&project, &project.check(), ELSEWHERE);
    let apply = project.apply();
    is_not_called_reconciled(&project, &apply, ELSEWHERE);
    assert_eq!(apply.condition("Stalled"), "True Unknown");
    assert!(project.steps().is_empty());
    project.manifest(MANIFEST);
    project.apply().expect(0);
}

#[test]
fn what_is_down_is_started_however_often_with_an_unreadable_source() {
    let project = healthy();
    // More often than `attempts`: each of them mended it.
    for round in 0..5 {
        let container = &project.containers("api")[0];
        if round % 2 == 0 {
            docker(&["kill", container]);
        } else {
            docker(&["rm", "-f", container]);
        }
        assert_ne!(project.check().expect(1).drift("api"), "");
        is_not_called_reconciled(&project, &project.apply(), ELSEWHERE);
        assert!(project.runs_its_image(), "round {round}");
    }
    assert!(project.steps_that_counted().iter().all(|step| step == "Up"), "{:?}", project.steps());
    let trail = project.trail();
    let verified: Vec<_> = trail.iter().filter(|record| record["kind"] == "Verified").collect();
    assert_eq!(verified.len(), 5, "each was verified as far as it can be seen");
    assert!(verified.iter().all(|record| record["evidence"]["notKnown"].is_string()), "{verified:?}");
}

#[test]
fn missing_module_is_built_and_a_source_that_is_seen_to_change_as_well() {
    let project = Project::in_incident();
    // A profile that cannot be resolved may build what the image is made of.
    let compose = "services:\n  api: { build: ./api, init: true, stop_grace_period: 1s }\n  \
                   debug: { image: x, profiles: [debug], env_file: none.env }\n";
    with_compose(&project, compose);
    let why = "which a profile that is not enabled may build";
    is_not_called_reconciled(&project, &project.apply(), why);
    assert_eq!(project.steps_that_counted(), ["Build", "Up"]);
    is_not_called_reconciled(&project, &project.check(), why);
    // What can be read of the source has changed, whatever the rest is.
    project.write("api/src/workflow/index", "new\n");
    assert_eq!(project.check().expect(1).drift("api"), "artifact SourceChanged");
    is_not_called_reconciled(&project, &project.apply(), why);
    assert_eq!(project.steps_that_counted(), ["Build", "Up", "Build", "Up"]);
    // The file is there again: all is known.
    project.write("none.env", "");
    project.apply().expect(0);
    assert_eq!(project.steps_that_counted(), ["Build", "Up", "Build", "Up"]);
}

#[test]
fn base_that_is_built_from_elsewhere_is_named() {
    let project = healthy();
    let name = &project.name;
    let compose = format!(
        "services:\n  base: {{ image: {name}-base, profiles: [build], build: {{ context: ./api, additional_contexts: {{ lib: 'https://example.org/shop.git' }} }} }}\n  \
         api: {{ build: ./api, init: true, stop_grace_period: 1s }}\n"
    );
    with_compose(&project, &compose);
    let dockerfile = std::fs::read_to_string(project.path("api/Dockerfile")).unwrap();
    project.check().expect(0);
    project.write("api/Dockerfile", &format!("FROM {name}-base AS unused\n{dockerfile}"));
    let check = project.check().expect(1);
    assert!(
        check.stdout.contains("the additional context lib of base, which it is made of"),
        "{}",
        check.stdout
    );
}

#[test]
fn context_that_may_not_be_read_keeps_nothing_down() {
    let project = Project::healthy();
    with_compose(&project, "services:\n  api: { build: ./api, init: true, stop_grace_period: 1s }\n");
    project.apply().expect(0);
    project.write("api/.dockerignore", "[\n");
    docker(&["kill", &project.containers("api")[0]]);
    let manifest = MANIFEST.replace("  reconcile:\n", "  source: { drift: enforce }\n  reconcile:\n");
    project.manifest(&manifest.replace("timeout: 60s", "timeout: 3s"));
    let apply = project.apply().expect(1);
    assert!(project.runs_its_image(), "{apply:?}");
    assert!(apply.condition("Ready").starts_with("Unknown"), "{apply:?}");
}

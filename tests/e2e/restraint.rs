//! What undrift must not do: disturb what works, repeat what is in vain, call a loop a success.

use crate::support::{MANIFEST, Project, docker};

#[test]
fn adoption_of_a_healthy_project_performs_no_step() {
    let project = Project::healthy();
    let before = project.containers("api");
    for _ in 0..3 {
        let apply = project.apply().expect(0);
        assert_eq!(apply.condition("Ready"), "True AsDeclared");
        assert_eq!(project.containers("api"), before);
    }
    let kinds: Vec<_> = project.trail().iter().map(|record| record["kind"].clone()).collect();
    assert_eq!(kinds, ["ManifestChanged"]);
}

#[test]
fn build_that_fails_is_retried_within_the_budget_and_touches_no_container() {
    let project = Project::in_incident();
    let before = project.containers("api");
    project.write("api/Dockerfile", "FROM undrift-example-base\nRUN echo no such compiler >&2; exit 3\n");
    let apply = project.apply().expect(1);
    assert_eq!(project.steps(), ["Build", "Build", "Build"]);
    assert_eq!(apply.condition("Stalled"), "True BudgetSpent");
    assert_eq!(apply.status()["attempts"], 3);
    assert_eq!(project.containers("api"), before);
    let shown = project.undrift(&["incident", "list", "-o", "json"]).json();
    let id = shown["items"][0]["id"].as_str().unwrap();
    let shown = project.undrift(&["incident", "show", id]).expect(0).stdout;
    assert!(shown.contains("no such compiler"), "the reason is in the trail: {shown}");
    project.apply().expect(1);
    assert_eq!(project.steps().len(), 3, "the budget survives a restart of undrift");
}

#[test]
fn build_whose_image_lacks_the_module_replaces_no_container() {
    let project = Project::in_incident();
    let before = project.containers("api");
    project.write("api/.dockerignore", "src/workflow\n");
    let apply = project.apply().expect(1);
    assert_eq!(apply.drift("api"), "artifact ModuleMissing");
    assert_eq!(project.steps(), ["Build", "Build"], "once, once without the cache, and no up");
    assert_eq!(project.containers("api"), before);
    assert_eq!(apply.condition("Stalled"), "True RepairsExhausted");
}

#[test]
fn container_that_answers_and_then_crashes_is_rolled_back_and_never_called_reconciled() {
    let project = Project::in_incident();
    let old_image = docker(&["inspect", "-f", "{{.Image}}", &project.containers("api")[0]]);
    project.write(
        "compose.yaml",
        "services:\n  api: { build: ./api, init: true, stop_grace_period: 1s, restart: always }\n",
    );
    project.compose(&["up", "-d", "--no-build"]);
    let serve = crate::support::SERVE.replace("exec httpd -f", "httpd").clone() + "sleep 1; exit 1\n";
    project.write("api/serve", &serve);
    project.manifest(&MANIFEST.replace("stableFor: 1s", "stableFor: 3s"));
    let apply = project.apply().expect(1);
    assert_eq!(apply.condition("Stalled"), "True RolledBack", "{}", apply.stderr);
    assert_eq!(project.steps_that_counted(), ["Build", "Up", "Rollback"]);
    let steps = project.steps();
    let image = docker(&["inspect", "-f", "{{.Image}} {{.State.Running}}", &project.containers("api")[0]]);
    assert_eq!(image.trim(), format!("{} true", old_image.trim()), "the old image runs again");
    let kinds: Vec<_> = project.trail().iter().map(|record| record["kind"].clone()).collect();
    assert!(kinds.iter().any(|kind| kind == "RolledBack"));
    assert!(!kinds.iter().any(|kind| kind == "Reconciled"), "a rollback is no success: {kinds:?}");
    project.assert_trail_is_whole();
    project.apply().expect(1);
    assert_eq!(project.steps(), steps, "not built again until the source changes");
}

#[test]
fn observe_mode_and_suspension_take_no_step() {
    let project = Project::in_incident();
    let before = project.containers("api");
    for setting in ["mode: observe", "suspend: true"] {
        project.manifest(&MANIFEST.replace("    attempts: 3", &format!("    {setting}")));
        let apply = project.apply().expect(1);
        assert_eq!(apply.drift("api"), "artifact ModuleMissing");
        assert_eq!(apply.plan(), [""; 0]);
    }
    assert_eq!(project.steps(), [""; 0]);
    assert_eq!(project.containers("api"), before);
}

#[test]
fn images_that_undrift_built_are_removed_once_they_are_superseded() {
    let project = Project::in_incident();
    project.manifest(&MANIFEST.replace("  reconcile:", "  source: { drift: enforce }\n  reconcile:"));
    let mut images = Vec::new();
    for text in ["one", "two", "three"] {
        project.write("api/src/workflow/index", text);
        let apply = project.apply().expect(0);
        images.push(apply.status()["services"][0]["image"]["id"].as_str().unwrap().to_owned());
    }
    let there = |id: &String| {
        let found = std::process::Command::new("docker").args(["image", "inspect", id]).output().unwrap();
        found.status.success()
    };
    assert_eq!(
        images.iter().map(there).collect::<Vec<_>>(),
        [false, true, true],
        "the last one before it is kept"
    );
    project.assert_trail_is_whole();
}

#[test]
fn observe_mode_verifies_what_a_person_has_fixed() {
    let project = Project::in_incident();
    project.manifest(&MANIFEST.replace("    attempts: 3", "    mode: observe"));
    project.apply().expect(1);
    project.rebuild();
    project.compose(&["up", "-d"]);
    let apply = project.apply().expect(0);
    assert_eq!(apply.condition("Ready"), "True AsDeclared");
    assert_eq!(project.steps(), [""; 0]);
    let incidents = project.undrift(&["incident", "list", "-o", "json"]).json();
    assert_eq!(incidents["items"][0]["outcome"], "Reconciled");
    let trail = serde_json::to_string(&project.trail()).unwrap();
    assert!(trail.contains("something other than undrift"), "it does not claim the repair: {trail}");
}

#[test]
fn services_that_the_object_does_not_name_are_left_alone() {
    let project = Project::new();
    project.add_service("db");
    project.write(
        "compose.yaml",
        "services:\n  api: { build: ./api, init: true, stop_grace_period: 1s, depends_on: [db] }\n  db: { build: ./db, init: true, stop_grace_period: 1s }\n",
    );
    project.compose(&["up", "-d", "--build"]);
    project.add_module("api", "workflow");
    // The dependency has diverged: a plain `up api` would recreate it.
    project.write(
        "compose.yaml",
        "services:\n  api: { build: ./api, init: true, stop_grace_period: 1s, depends_on: [db] }\n  db: { build: ./db, init: true, stop_grace_period: 1s, environment: { LEVEL: high } }\n",
    );
    let db = project.containers("db");
    project.apply().expect(0);
    assert_eq!(project.containers("db"), db);
}

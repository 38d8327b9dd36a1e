//! An image that is older than a change of its source cannot hold it, whoever built it.

use std::fs;

use crate::support::{MANIFEST, Project, docker};

/// A healthy project that undrift did not build, adopted by one `apply`.
fn adopted(drift: &str) -> Project {
    let project = Project::healthy();
    project.manifest(&with_drift(drift));
    project.apply().expect(0);
    project
}

fn with_drift(drift: &str) -> String {
    MANIFEST.replace("  reconcile:", &format!("  source: {{ drift: {drift} }}\n  reconcile:"))
}

/// What is said of the artifact layer of `api`.
fn artifact(run: &crate::support::Run) -> String {
    let conditions = run.status()["services"][0]["conditions"].clone();
    let all = conditions.as_array().unwrap();
    let found = all.iter().find(|condition| condition["type"] == "ArtifactCurrent").unwrap();
    found["message"].as_str().unwrap().to_owned()
}

/// The content of the module in the container that runs.
fn running_module(project: &Project) -> String {
    docker(&["exec", &project.containers("api")[0], "cat", "/app/dist/modules/workflow/index"])
}

#[test]
fn change_of_an_adopted_project_is_found_and_built_where_it_is_enforced() {
    let project = adopted("enforce");
    let before = project.containers("api");
    project.write("api/src/workflow/index", "new\n");
    let check = project.check().expect(1);
    assert_eq!((check.drift("api").as_str(), project.steps().len()), ("artifact SourceChanged", 0));
    let said = artifact(&check);
    let times = said.split([' ', ')', ':']).filter(|word| word.starts_with("20")).count();
    assert_eq!(times, 2, "both times: {said}");
    assert!(said.contains("(seen at ") && said.contains("was seen first, at "), "{said}");
    assert_eq!(artifact(&project.check().expect(1)), said, "the change keeps its time");

    // As it was: nothing is to be done, and nothing is.
    project.write("api/src/workflow/index", "ok\n");
    project.check().expect(0);
    project.apply().expect(0);
    assert_eq!((project.containers("api"), project.steps().len()), (before, 0));

    project.write("api/src/workflow/index", "new\n");
    project.apply().expect(0);
    assert_eq!(project.steps_that_counted(), ["Build", "Up"]);
    assert_eq!(running_module(&project), "new\n");
    // From now on undrift knows what it has built, which is more.
    project.write("api/src/workflow/index", "newer\n");
    assert!(artifact(&project.check().expect(1)).ends_with("was built"));
}

#[test]
fn change_is_said_where_it_is_reported_and_not_said_where_it_is_ignored() {
    let project = adopted("report");
    project.write("api/src/workflow/index", "new\n");
    let check = project.check().expect(0);
    assert!(artifact(&check).starts_with("the source has changed (seen at "), "{check:?}");
    project.apply().expect(0);
    project.manifest(&with_drift("ignore"));
    assert_eq!(artifact(&project.check().expect(0)), "");
    assert_eq!(project.steps(), [""; 0]);
}

#[test]
fn what_was_built_by_hand_is_remembered_anew_by_a_check_too() {
    let project = adopted("enforce");
    project.write("api/src/workflow/index", "new\n");
    project.rebuild();
    project.compose(&["up", "-d", "--no-build"]);
    project.check().expect(0);
    project.write("api/src/workflow/index", "newer\n");
    assert_eq!(project.check().expect(1).drift("api"), "artifact SourceChanged");
    assert_eq!(project.steps(), [""; 0]);
}

#[test]
fn source_that_was_newer_at_the_first_look_already_is_not_known_to_be() {
    let project = Project::healthy();
    project.manifest(&with_drift("enforce"));
    project.write("api/src/workflow/index", "newer than the image\n");
    project.apply().expect(0);
    assert_eq!(artifact(&project.check().expect(0)), "", "nobody knows, and nothing is claimed");
    assert_eq!(project.steps(), [""; 0]);
}

#[test]
fn services_of_one_image_and_of_another_context_are_told_apart() {
    let project = Project::healthy();
    // One image under two references, as a person tags it; of two contexts.
    project.add_service("web");
    project.add_module("web", "workflow");
    let both = "services:\n  api: { build: ./api, init: true, stop_grace_period: 1s }\n  web: { build: ./web, init: true, \
                stop_grace_period: 1s }\n  worker: { image: NAME-api, init: true, stop_grace_period: 1s }\n";
    project.write("compose.yaml", &both.replace("NAME", &project.name));
    docker(&["tag", &format!("{}-api", project.name), &format!("{}-web", project.name)]);
    project.compose(&["up", "-d", "--no-build"]);
    project.manifest(
        &with_drift("enforce").replace("  source:", "    - name: web\n    - name: worker\n  source:"),
    );
    project.apply().expect(0);
    project.check().expect(0);
    project.write("web/src/workflow/index", "new\n");
    let check = project.check().expect(1);
    let drifts = ["api", "web", "worker"].map(|service| check.drift(service));
    assert_eq!(drifts, ["", "artifact SourceChanged", ""]);
    fs::remove_dir_all(project.path("web")).unwrap();
    let check = project.check();
    assert_ne!(check.code, Some(0), "what cannot be read is not as declared: {check:?}");
}

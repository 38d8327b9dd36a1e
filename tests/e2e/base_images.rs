//! What another service builds is a part of the source of every image that is made of it.

use std::fs;

use crate::{
    builds::{API, on_a_base},
    support::{MANIFEST, Project, Run, docker},
};

fn enforce(project: &Project) {
    let manifest = MANIFEST.replace("source: api/src/workflow", "source: base/src/workflow");
    project.manifest(&manifest.replace("  reconcile:\n", "  source: { drift: enforce }\n  reconcile:\n"));
}

/// The module in the container that runs.
fn running_module(project: &Project) -> String {
    docker(&["exec", &project.containers("api")[0], "cat", "/app/dist/modules/workflow/index.js"])
}

/// A change of the base's context is a drift of `api`, going back is none, and its repair builds the base first.
#[track_caller]
fn change_is_found_and_built(project: &Project, file: &str) {
    let before = fs::read_to_string(project.path(file)).unwrap();
    let taken = project.steps_that_counted().len();
    project.check().expect(0);
    project.write(file, "changed\n");
    assert_eq!(project.check().expect(1).drift("api"), "artifact SourceChanged");
    project.write(file, &before);
    project.check().expect(0);
    project.write(file, "changed\n");
    project.apply().expect(0);
    assert_eq!(project.steps_that_counted()[taken..], ["Build", "Up"]);
    let trail = project.undrift(&["audit", "list", "-o", "json"]).expect(0).stdout;
    assert!(trail.contains("built first, for others are made of it: "), "{trail}");
    project.check().expect(0);
}

#[test]
fn change_of_a_base_is_a_change_of_what_undrift_has_built_on_it() {
    let project = on_a_base("FROM BASE_IMAGE\nRUN true\n", API);
    enforce(&project);
    project.apply().expect(0);
    change_is_found_and_built(&project, "base/src/workflow/index.js");
    assert_eq!(running_module(&project), "changed\n");
    // What is not of the base is no change of what stands on it.
    project.write("elsewhere/file", "new\n");
    project.check().expect(0);
}

#[test]
fn change_of_what_files_are_copied_from_is_one_of_an_adopted_image_too() {
    let api = "FROM undrift-example-base\nCOPY --from=BASE_IMAGE /serve /serve\nCOPY --from=BASE_IMAGE /app/dist /app/dist\n\
               CMD [\"/bin/sh\", \"/serve\"]\n";
    let project = on_a_base(api, API);
    enforce(&project);
    // By hand, as it is declared.
    project.compose(&["build", "--no-cache", "base"]);
    project.compose(&["build", "--no-cache", "api"]);
    project.compose(&["up", "-d", "--no-build", "api"]);
    project.apply().expect(0);
    assert!(project.steps().is_empty());
    change_is_found_and_built(&project, "base/src/workflow/index.js");
    assert_eq!(running_module(&project), "changed\n");
}

#[test]
fn change_two_builds_below_is_found_and_built_from_the_bottom() {
    let compose = format!("  root: {{ build: ./root, image: BASE_IMAGE-root, profiles: [build] }}\n{API}");
    let project = on_a_base("FROM BASE_IMAGE\nRUN true\n", &compose);
    let root = format!("{}-base-root", project.name);
    project.write("root/note", "first\n");
    project.write("root/Dockerfile", "FROM undrift-example-base\nCOPY note /note\n");
    let base = fs::read_to_string(project.path("base/Dockerfile")).unwrap();
    project.write("base/Dockerfile", &base.replace("FROM undrift-example-base", &format!("FROM {root}")));
    enforce(&project);
    project.compose(&["build", "root"]);
    project.apply().expect(0);
    change_is_found_and_built(&project, "root/note");
    assert_eq!(docker(&["exec", &project.containers("api")[0], "cat", "/note"]), "changed\n");
}

/// Compose before 2.37 refuses to build such a service; what is declared and what runs can be judged all the same.
#[test]
fn context_that_another_service_builds_is_judged_by_that_services_own_source() {
    let compose = "  api: { build: { context: ./api, additional_contexts: { os: \"service:base\" } }, init: true, stop_grace_period: 1s }\n";
    let project = on_a_base("FROM BASE_IMAGE\nRUN true\n", API);
    project.apply().expect(0);
    let text = fs::read_to_string(project.path("compose.yaml")).unwrap();
    // Compose refuses it where that service's profile is not enabled.
    project.write("compose.yaml", &text.replace(API, compose).replace(", profiles: [build]", ""));
    project.write("api/Dockerfile", "FROM os\nRUN true\n");
    enforce(&project);
    let judged = |run: &Run| (run.drift("api"), run.condition("Ready"));
    // undrift built it from another Dockerfile.
    assert_eq!(project.check().expect(1).drift("api"), "artifact SourceChanged");
    let image = format!("{}-api", project.name);
    let folder = project.path("base").display().to_string();
    docker(&["build", "-q", "--no-cache", "-t", &image, &folder]);
    project.compose(&["up", "-d", "--no-build", "api"]);
    assert_eq!(judged(&project.check().expect(0)), (String::new(), "True AsDeclared".into()));
    project.write("base/src/workflow/index.js", "changed\n");
    assert_eq!(judged(&project.check().expect(1)).0, "artifact SourceChanged");
}

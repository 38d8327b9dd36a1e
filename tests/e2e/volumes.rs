//! Images that declare a volume above a module. Docker fills it from the image when a container is created, Podman when it is
//! started: what an image has is to be seen in both.

use crate::support::{MANIFEST, Project, SECOND_MODULE};

/// Nothing is up yet, and the image declares a volume there.
fn with_volume(path: &str) -> Project {
    let project = Project::new();
    project.add_module("api", "workflow");
    project.append("api/Dockerfile", &format!("VOLUME {path}\n"));
    project
}

#[test]
fn module_below_a_volume_of_the_image_is_seen_there() {
    for path in ["/app", "/app/dist/modules", "/app/dist/modules/workflow", "/elsewhere"] {
        let project = with_volume(path);
        let apply = project.apply().expect(0);
        assert_eq!(apply.condition("Ready").split(' ').next(), Some("True"), "{path}");
        let builds = project.steps_that_counted().iter().filter(|step| *step == "Build").count();
        assert!(builds <= 1, "{path}: what was built is seen: {:?}", project.steps());
        assert_eq!(project.check().expect(0).drift("api"), "", "{path}");
        project.assert_trail_is_whole();
    }
}

#[test]
fn module_that_an_image_lacks_below_its_volume_is_missing() {
    let project = with_volume("/app");
    project.compose(&["up", "-d", "--build"]);
    project.check().expect(0);
    project.add_module("api", "invoices");
    project.manifest(&MANIFEST.replace("workflow }]", SECOND_MODULE));
    assert_eq!(project.check().expect(1).drift("api"), "artifact ModuleMissing");
}

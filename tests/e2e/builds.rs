//! What a build is of, and that what was examined is what comes up.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::support::{MANIFEST, Project, docker, run};

#[test]
fn identical_builds_under_one_reference_are_built_once_and_all_brought_up() {
    let project = Project::new();
    let service =
        format!("{{ image: {}-app, build: ./api, init: true, stop_grace_period: 1s }}", project.name);
    project
        .write("compose.yaml", &format!("services:\n  api: &api {service}\n  worker: *api\n  cron: *api\n"));
    project.manifest(&MANIFEST.replace("  services:\n", "  services:\n    - name: worker\n"));
    project.compose(&["up", "-d", "--build"]);
    project.add_module("api", "workflow");
    project.apply().expect(0);
    let image = |service: &str| docker(&["inspect", "-f", "{{.Image}}", &project.containers(service)[0]]);
    assert_eq!(image("api"), image("worker"));
    assert_eq!(project.steps_that_counted(), ["Build", "Up"]);
    // Two that differ would take the image away from each other.
    let other = service.replace("./api", "{ context: ./api, args: { A: b } }");
    project.write("compose.yaml", &format!("services:\n  api: {service}\n  worker: {other}\n"));
    project.check().expect(2);
}

#[test]
fn build_input_that_cannot_be_read_is_unknown_where_the_source_is_to_be_enforced() {
    let project = Project::healthy();
    let compose = "services:\n  base: { build: ./api, profiles: [never] }\n  api:\n    build: { context: ./api, additional_contexts: { base: 'https://example.org/shop.git' } }\n    \
                   init: true\n    stop_grace_period: 1s\n";
    project.write("compose.yaml", compose);
    project.compose(&["up", "-d", "--no-build"]);
    project.check().expect(0);
    project.manifest(&MANIFEST.replace("  reconcile:\n", "  source: { drift: enforce }\n  reconcile:\n"));
    let check = project.check().expect(1);
    assert_eq!((check.drift("api"), check.condition("Ready")), (String::new(), "Unknown NotKnown".into()));
    assert!(check.stdout.contains("the additional context base"), "{check:?}");
}

#[test]
fn container_of_another_image_than_the_one_examined_is_a_failed_repair() {
    let project = Project::in_incident();
    let image = format!("{}-api", project.name);
    docker(&["tag", &image, &format!("{image}:old")]);
    // Somebody moves the reference between the last look and the containers.
    let plugin = ["/usr/local/lib", "/usr/local/libexec", "/usr/lib", "/usr/libexec"]
        .map(|folder| format!("{folder}/docker/cli-plugins/docker-compose"));
    let plugin = plugin.iter().find(|path| fs::exists(path).unwrap()).unwrap();
    let moves =
        format!("case \" $* \" in *' --dry-run '*) ;; *' up '*) docker tag {image}:old {image} ;; esac");
    project
        .write("docker/cli-plugins/docker-compose", &format!("#!/bin/sh\n{moves}\nexec {plugin} \"$@\"\n"));
    let path = project.path("docker/cli-plugins/docker-compose");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    let mut apply = project.command(&["apply", "-f", "undrift.yaml", "-o", "json"]);
    run(apply.env("DOCKER_CONFIG", project.path("docker"))).expect(1);
    let trail = project.undrift(&["audit", "list", "-o", "json"]).expect(0).stdout;
    assert!(trail.contains("which was examined: somebody else moved the reference"), "{trail}");
}

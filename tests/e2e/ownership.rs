//! Two directories of one name are one Compose project to Compose. undrift tells whose containers they are, and leaves
//! another's alone.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use crate::support::{MANIFEST, Project, docker};

/// Runs Compose by this project's name in another directory.
fn compose_in(project: &Project, directory: &Path, args: &[&str]) {
    let mut command = Command::new("docker");
    command.args(["compose", "--project-name", &project.name]).args(args).current_dir(directory);
    let out = command.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// Another directory of this name, with services of its own, brought up in it.
fn stranger(project: &Project, compose: &str) {
    project.write("../stranger/compose.yaml", compose);
    compose_in(project, &project.path("../stranger"), &["up", "-d"]);
}

/// A service that runs the image of this project, in other words than it declares.
fn other_api(project: &Project) -> String {
    format!(
        "services:\n  api: {{ image: {}-api, init: true, stop_grace_period: 1s, environment: {{ OF: stranger }} }}\n",
        project.name
    )
}

fn with_take_over(manifest: &str) -> String {
    manifest.replace("name: NAME }\n  services", "name: NAME, takeOver: true }\n  services")
}

/// Nothing was done, and why is said.
#[track_caller]
fn assert_left_alone(project: &Project) {
    let before = docker(&[
        "ps",
        "-aq",
        "--no-trunc",
        "--filter",
        &format!("label=com.docker.compose.project={}", project.name),
    ]);
    let image = docker(&["images", "-q", &format!("{}-api", project.name)]);
    project.check().expect(1);
    let apply = project.apply().expect(1);
    assert_eq!(apply.condition("Stalled"), "True OtherDirectory", "{}", apply.stdout);
    assert_eq!(project.steps(), [""; 0]);
    let after = docker(&[
        "ps",
        "-aq",
        "--no-trunc",
        "--filter",
        &format!("label=com.docker.compose.project={}", project.name),
    ]);
    assert_eq!(after, before);
    assert_eq!(docker(&["images", "-q", &format!("{}-api", project.name)]), image);
}

#[test]
fn containers_of_another_directory_are_left_alone_until_they_may_be_taken_over() {
    let project = Project::healthy();
    project.check().expect(0);
    stranger(&project, &other_api(&project));
    let check = project.check().expect(1);
    assert_eq!((check.drift("api").as_str(), check.plan().len()), ("container OtherDirectory", 0));
    assert!(check.stdout.contains("/stranger, which is another project of the name"), "{}", check.stdout);
    assert_left_alone(&project);

    // Whatever else is wrong: a build would take the stranger's reference away.
    project.write("api/src/invoices/index", "ok\n");
    project.manifest(&MANIFEST.replace("workflow }]", crate::support::SECOND_MODULE));
    assert_eq!(project.check().expect(1).drift("api"), "artifact ModuleMissing");
    assert_left_alone(&project);

    project.manifest(&with_take_over(&MANIFEST.replace("workflow }]", crate::support::SECOND_MODULE)));
    project.apply().expect(0);
    assert_eq!(project.steps(), ["Build", "Up"]);
}

#[test]
fn service_without_container_is_not_brought_up_into_a_stranger_s_project() {
    let project = Project::new();
    project.add_module("api", "workflow");
    stranger(
        &project,
        "services:\n  web: { image: undrift-example-base, command: sleep 1000, init: true, stop_grace_period: 1s }\n",
    );
    assert_left_alone(&project);
    project.manifest(&with_take_over(MANIFEST));
    project.apply().expect(0);
    assert_eq!((project.containers("api").len(), project.containers("web").len()), (1, 1));
}

#[test]
fn release_that_a_link_led_to_before_is_no_stranger() {
    let project = Project::new();
    project.add_module("api", "workflow");
    for release in ["42", "43"] {
        let to = project.path(&format!("../releases/{release}"));
        fs::create_dir_all(&to).unwrap();
        let copied = Command::new("cp")
            .arg("-a")
            .arg(project.path("compose.yaml"))
            .arg(project.path("api"))
            .arg(&to)
            .status();
        assert!(copied.unwrap().success());
    }
    let current = project.path("current");
    symlink("../releases/42", &current).unwrap();
    project.manifest(&MANIFEST.replace("directory: .,", "directory: current,"));
    // As a deployment does it that knows nothing of the link.
    compose_in(&project, &project.path("../releases/42"), &["up", "-d", "--build"]);
    let before = project.containers("api");
    project.apply().expect(0);
    fs::remove_file(&current).unwrap();
    symlink("../releases/43", &current).unwrap();
    project.check().expect(0);
    project.apply().expect(0);
    assert_eq!((project.containers("api"), project.steps().len()), (before, 0));
    // Who has not seen it lead there cannot know.
    fs::remove_dir_all(project.state_dir()).unwrap();
    assert_eq!(project.check().expect(1).drift("api"), "container OtherDirectory");
}

#[test]
fn directory_that_is_gone_and_other_ways_to_the_same_files_are_no_strangers() {
    let project = Project::healthy();
    // From elsewhere, by the path of its file; the labels then name the folder above.
    let file = project.path("compose.yaml");
    project.compose(&["down"]);
    let above = project.path("..");
    let args = [
        "--file",
        file.to_str().unwrap(),
        "--project-directory",
        above.to_str().unwrap(),
        "up",
        "-d",
        "--no-build",
    ];
    compose_in(&project, &above, &args);
    project.check().expect(0);
    // A directory that was moved.
    project.compose(&["down"]);
    project.write("../old/compose.yaml", &fs::read_to_string(project.path("compose.yaml")).unwrap());
    compose_in(&project, &project.path("../old"), &["up", "-d", "--no-build"]);
    assert_eq!(project.check().expect(1).drift("api"), "container OtherDirectory");
    fs::remove_dir_all(project.path("../old")).unwrap();
    let before = project.containers("api");
    project.check().expect(0);
    project.apply().expect(0);
    assert_eq!(project.containers("api"), before);
}

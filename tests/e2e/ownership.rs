//! Two directories of one name are one Compose project to Compose. undrift tells whose containers they are, and leaves
//! another's alone.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use crate::{
    daemon::Daemon,
    support::{MANIFEST, Project, Run, docker, wait_for},
};

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
    assert_eq!(project.steps_that_counted(), ["Build", "Up"]);
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

/// A second object beside the project's own, `NAME-b`, for the services `declared`.
fn second_object(project: &Project, declared: &str) {
    let manifest = format!(
        "apiVersion: undrift.dev/v1alpha1\nkind: ComposeProject\nmetadata: {{ name: {0}-b }}\nspec:\n  project: {{ directory: ., \
         name: {0} }}\n  services: [{declared}]\n  reconcile: {{ verify: {{ timeout: 10s, stableFor: 1s }} }}\n",
        project.name
    );
    project.write("zz.yaml", &manifest);
}

/// A verb on both manifests.
fn on_both(project: &Project, verb: &str, more: &[&str]) -> Run {
    project.undrift(&[&[verb, "-f", "undrift.yaml", "-f", "zz.yaml"], more].concat())
}

/// Why nothing can be said of the second object, which is the last item.
fn found_of_second(run: &Run) -> String {
    let items = run.json();
    let ready = &items["items"].as_array().unwrap().last().unwrap()["status"]["conditions"][0];
    format!("{} {}", ready["reason"].as_str().unwrap(), ready["message"].as_str().unwrap())
}

#[test]
fn service_of_two_objects_is_the_first_one_s_and_the_second_is_refused() {
    let project = Project::in_incident();
    second_object(&project, "{ name: api }");
    for verb in ["check", "plan"] {
        let run = on_both(&project, verb, &["-o", "json"]).expect(2);
        assert_eq!(run.drift("api"), "artifact ModuleMissing", "the first one is looked at");
        let found = found_of_second(&run);
        assert!(found.starts_with("ServiceTaken ") && found.contains("zz.yaml:6:"), "{found}");
        assert!(found.contains("undrift.yaml:7:13 has it, in the object"), "both places: {found}");
        assert!(run.stderr.contains("zz.yaml:6:") && run.stderr.contains("undrift.yaml:7:13"), "{run:?}");
    }
    let second = format!("{}-b", project.name);
    on_both(&project, "check", &[&second]).expect(2);
    on_both(&project, "check", &[&project.name]).expect(1);
    let doctor = on_both(&project, "doctor", &["-o", "json"]).expect(1).json();
    let once =
        doctor["checks"].as_array().unwrap().iter().find(|c| c["name"] == "ServicesDeclaredOnce").unwrap();
    assert!(
        once["status"] == "failed" && once["found"].as_str().unwrap().contains("undrift.yaml:7:13"),
        "{once}"
    );

    let apply = on_both(&project, "apply", &["-o", "json"]).expect(2);
    assert_eq!(
        (apply.drift("api").as_str(), project.steps_that_counted()),
        ("", vec!["Build".into(), "Up".into()])
    );
    assert!(found_of_second(&apply).starts_with("ServiceTaken "), "{apply:?}");

    // Other services of the same project are another object's to declare.
    second_object(&project, "{ name: web }");
    let web =
        "  web: { image: undrift-example-base, command: sleep 1000, init: true, stop_grace_period: 1s }\n";
    let compose = fs::read_to_string(project.path("compose.yaml")).unwrap();
    project.write("compose.yaml", &format!("{compose}{web}"));
    on_both(&project, "apply", &[]).expect(0);
}

#[test]
fn daemon_refuses_the_later_object_alone() {
    let project = Project::in_incident();
    second_object(&project, "{ name: api }");
    let mut command = project.command(&["run", "-f", "undrift.yaml", "-f", "zz.yaml"]);
    let daemon = Daemon::spawn(&mut command, &project);
    daemon.wait_until_ready();
    wait_for("the first object to be healed", || project.steps_that_counted() == ["Build", "Up"]);
    let described =
        project.undrift(&["describe", &format!("{}-b", project.name), "-o", "json"]).expect(0).json();
    let ready = &described["status"]["conditions"][0];
    assert_eq!((&ready["status"], &ready["reason"]), (&"Unknown".into(), &"ServiceTaken".into()), "{ready}");
    // Once it declares another one it goes on.
    second_object(&project, "{ name: web }");
    let web =
        "  web: { image: undrift-example-base, command: sleep 1000, init: true, stop_grace_period: 1s }\n";
    let compose = fs::read_to_string(project.path("compose.yaml")).unwrap();
    project.write("compose.yaml", &format!("{compose}{web}"));
    wait_for("the second object to bring up its own", || project.containers("web").len() == 1);
    assert!(daemon.end().success());
}

//! `content: same`: the files of a module are those of its source, in the image and in the containers.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt as _, symlink},
        net::UnixListener,
    },
    process::Command,
};

use crate::{
    daemon::Daemon,
    support::{MANIFEST, Project, Run, SERVE, docker, run, wait_for},
};

const INDEX: &str = "/app/dist/modules/workflow/index";

/// The manifest with the content of its module declared, and what a test adds to the module.
fn manifest(more: &str) -> String {
    let module = format!("path: /app/dist/modules/workflow, content: same{more} }}");
    MANIFEST.replace("path: /app/dist/modules/workflow }", &module)
}

/// A healthy project whose content is declared.
fn healthy() -> Project {
    let project = Project::healthy();
    project.manifest(&manifest(""));
    project
}

fn index(project: &Project) -> String {
    docker(&["exec", &project.containers("api")[0], "cat", INDEX])
}

/// Copies a file with this text over one in the container.
fn copy_in(project: &Project, text: &str, to: &str) {
    project.write("copied", text);
    let to = format!("{}:{to}", project.containers("api")[0]);
    docker(&["cp", project.path("copied").to_str().unwrap(), &to]);
}

/// What is said of the drift of `api`.
fn message(run: &Run) -> String {
    run.status()["services"][0]["drift"]["message"].as_str().unwrap_or_default().to_owned()
}

fn content(run: &Run) -> [String; 2] {
    let module = run.status()["services"][0]["modules"][0]["content"].clone();
    ["artifact", "container"].map(|place| module[place].as_str().unwrap_or_default().to_owned())
}

#[test]
fn old_bytes_in_the_image_are_built_and_brought_up() {
    let project = healthy();
    // A healthy project is adopted without a step, however often it is looked at.
    for _ in 0..3 {
        project.apply().expect(0);
    }
    assert_eq!(
        (project.steps().len(), content(&project.check().expect(0))),
        (0, ["same".into(), "same".into()])
    );
    project.write("api/src/workflow/index", "new\n");
    project.write("api/src/workflow/more", "new\n");
    let check = project.check().expect(1);
    assert_eq!(check.drift("api"), "artifact ContentDiffers");
    assert!(message(&check).contains("1 differs, 1 is missing (index, more)"), "{}", message(&check));
    assert_eq!(content(&check), ["differs", "differs"]);
    project.apply().expect(0);
    assert_eq!(
        (project.steps_that_counted(), index(&project)),
        (vec!["Build".into(), "Up".into()], "new\n".into())
    );
    let shown =
        project.undrift(&["describe", "NAME".replace("NAME", &project.name).as_str()]).expect(0).stdout;
    assert!(shown.contains("content") && shown.contains("same"), "{shown}");
}

#[test]
fn a_source_that_goes_back_is_as_declared_again_without_a_build() {
    let project = healthy();
    project.apply().expect(0);
    let before = project.containers("api");
    project.write("api/src/workflow/index", "new\n");
    assert_eq!(project.check().expect(1).drift("api"), "artifact ContentDiffers");
    project.write("api/src/workflow/index", "ok\n");
    project.apply().expect(0);
    assert_eq!((project.steps().len(), project.containers("api")), (0, before));
}

#[test]
fn a_copy_into_a_container_is_undone_by_a_new_container() {
    let project = healthy();
    project.apply().expect(0);
    let before = project.containers("api");
    copy_in(&project, "by hand\n", INDEX);
    let check = project.check().expect(1);
    assert_eq!(
        (check.drift("api").as_str(), content(&check)),
        ("container ContentDiffers", ["same".into(), "differs".into()])
    );
    project.apply().expect(0);
    assert_eq!((project.steps_that_counted(), index(&project)), (vec!["Up".into()], "ok\n".into()));
    assert_ne!(project.containers("api"), before);
    // More than in the source is a note.
    copy_in(&project, "more\n", "/app/dist/modules/workflow/upload");
    let check = project.check().expect(0);
    let notes = check.status()["services"][0]["notes"].to_string();
    assert!(notes.contains("ContentAdded") && notes.contains("upload"), "{notes}");
}

#[test]
fn a_copy_and_a_command_are_noticed_between_two_resyncs() {
    let project = healthy();
    project.apply().expect(0);
    let daemon = Daemon::start(&project);
    copy_in(&project, "by hand\n", INDEX);
    let reconciled = || project.trail().iter().filter(|record| record["kind"] == "Reconciled").count();
    wait_for("the copy to be undone", || reconciled() == 1);
    assert_eq!((project.steps_that_counted(), index(&project)), (vec!["Up".into()], "ok\n".into()));
    docker(&["exec", &project.containers("api")[0], "sh", "-c", &format!("echo edited > {INDEX}")]);
    wait_for("the edit to be undone", || reconciled() == 2);
    assert_eq!((project.steps_that_counted().len(), index(&project)), (2, "ok\n".into()));
    drop(daemon);
}

#[test]
fn a_dockerfile_that_changes_the_files_is_built_once_and_never_again() {
    let project = healthy();
    project.append("api/Dockerfile", &format!("RUN echo stamped >> {INDEX}\n"));
    project.rebuild();
    project.compose(&["up", "-d", "--no-build"]);
    let apply = project.apply().expect(1);
    assert_eq!(
        (apply.drift("api").as_str(), apply.condition("Stalled")),
        ("artifact ContentDiffers", "True RepairsExhausted".into())
    );
    assert_eq!(project.steps_that_counted(), ["Build"]);
    let said = apply.status()["conditions"].to_string();
    assert!(said.contains("Dockerfile") && said.contains("`ignore`"), "{said}");
    project.apply().expect(1);
    assert_eq!(project.steps_that_counted(), ["Build"], "another run builds nothing either");
    // What may differ is said.
    project.manifest(&manifest(", ignore: [index]"));
    project.apply().expect(0);
}

#[test]
fn what_is_ignored_is_not_compared() {
    let project = Project::new();
    project.add_module("api", "workflow");
    project.write("api/.dockerignore", "**/*.log\n**/generated\n");
    project.append(
        "api/Dockerfile",
        "RUN mkdir /app/dist/modules/workflow/generated && touch /app/dist/modules/workflow/generated/x\n",
    );
    project.compose(&["up", "-d", "--build"]);
    project.manifest(&manifest(", ignore: [\"*.bak\", docs/notes]"));
    for path in ["a.log", "b.bak", "docs/notes", "__pycache__/x", "deep/y.pyc"] {
        project.write(&format!("api/src/workflow/{path}"), "x\n");
    }
    let check = project.check().expect(1);
    assert!(
        message(&check).contains("2 are missing (deep, docs)"),
        "the folders are compared: {}",
        message(&check)
    );
    project.rebuild();
    project.compose(&["up", "-d", "--no-build"]);
    wait_for("the server to listen", || project.check().code == Some(0));
    for path in ["a.log", "b.bak", "docs/notes", "__pycache__/x", "deep/y.pyc"] {
        project.write(&format!("api/src/workflow/{path}"), "another\n");
    }
    project.check().expect(0);
}

#[test]
fn what_a_service_changes_some_seconds_after_its_start_is_seen_before_it_is_verified() {
    let project = Project::new();
    project.add_module("api", "workflow");
    let late = SERVE.replace(
        "exec httpd -f",
        "(sleep 2; echo other > /app/dist/modules/workflow/index) &\nexec httpd -f",
    );
    project.write("api/serve", &late);
    project.compose(&["up", "-d", "--build"]);
    project.manifest(&manifest("").replace("stableFor: 1s", "stableFor: 6s"));
    let apply = project.apply().expect(1);
    assert_eq!(apply.drift("api"), "container ContentDiffers");
    assert_eq!(project.steps_that_counted(), ["Up"], "one new container, and no loop of them");
}

#[test]
fn pipes_and_sockets_are_no_files_of_a_source() {
    let project = healthy();
    let at = |name: &str| project.path(&format!("api/src/workflow/{name}"));
    assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    let _socket = UnixListener::bind(at("socket")).unwrap();
    project.check().expect(0);
}

/// Root reads every file: undrift runs without that right here.
fn without_roots_rights(project: &Project, args: &[&str]) -> Run {
    let plain = project.command(args);
    let mut command = Command::new("setpriv");
    command
        .arg("--bounding-set=-dac_override,-dac_read_search")
        .arg(plain.get_program())
        .args(plain.get_args());
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    run(command.current_dir(project.path("")))
}

#[test]
fn a_file_that_cannot_be_read_is_unknown_by_its_path() {
    let project = healthy();
    let secret = project.path("api/src/workflow/secret");
    fs::write(&secret, "x").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    let check = without_roots_rights(&project, &["check", "-f", "undrift.yaml", "-o", "json"]).expect(1);
    assert_eq!((check.drift("api"), check.condition("Ready")), (String::new(), "Unknown NotKnown".into()));
    assert!(check.stdout.contains("api/src/workflow/secret: Permission denied"), "{}", check.stdout);
    assert_eq!(content(&check), ["unknown", "unknown"]);
}

#[test]
fn a_source_that_a_link_leads_to_another_release_is_that_release() {
    let project = Project::new();
    let release = |name: &str, text: &str| {
        project.write(&format!("api/src/releases/{name}/index"), text);
        let link = project.path("api/src/workflow");
        let _ = fs::remove_file(&link);
        symlink(format!("releases/{name}"), link).unwrap();
    };
    release("1", "one\n");
    project.compose(&["up", "-d", "--build"]);
    project.manifest(&manifest(""));
    project.check().expect(0);
    release("2", "two\n");
    assert_eq!(project.check().expect(1).drift("api"), "artifact ContentDiffers");
    project.apply().expect(0);
    assert_eq!(index(&project), "two\n");
    release("1", "one\n");
    assert_eq!(project.check().expect(1).drift("api"), "artifact ContentDiffers");
}

#[test]
fn ten_thousand_files_are_compared_one_by_one() {
    let project = Project::new();
    for n in 0..10_000 {
        project.write(&format!("api/src/workflow/{}/{n}", n % 100), &format!("{n}\n"));
    }
    project.compose(&["up", "-d", "--build"]);
    project.manifest(&manifest("").replace("      routes:\n        - path: /api/workflow\n          port: 3000\n          expect: [401]\n          auth: { basic: { username: ops, passwordFrom: { env: E2E_PASSWORD } }, expect: [200] }\n", ""));
    project.check().expect(0);
    project.write("api/src/workflow/42/42", "other\n");
    fs::remove_file(project.path("api/src/workflow/7/7")).unwrap();
    let check = project.check().expect(1);
    assert!(message(&check).ends_with("1 differs, 1 is more (42/42, 7/7)"), "{}", message(&check));
}

#[test]
fn under_a_mount_it_is_what_the_process_sees() {
    let project = healthy();
    let service = "  api: { build: ./api, init: true, stop_grace_period: 1s, volumes: ['WHAT:/app/dist/modules/workflow'] }\n";
    let with = |what: &str, more: &str| {
        project.write("compose.yaml", &format!("services:\n{}{more}", service.replace("WHAT", what)));
        project.compose(&["up", "-d", "--build"]);
    };
    with("./api/src/workflow", "");
    project.check().expect(0);
    // The folder is another one now, and the process has the old one.
    fs::rename(project.path("api/src/workflow"), project.path("old")).unwrap();
    project.add_module("api", "workflow");
    let check = project.check().expect(1);
    assert!(check.stdout.contains("a bind mount covers it"), "{}", check.stdout);
    // A copy of the source is as good as the source, and another one is not.
    project.write("copy/index", "ok\n");
    with("./copy", "");
    project.check().expect(0);
    project.write("copy/index", "another\n");
    assert_eq!(project.check().expect(1).drift("api"), "container ShadowedByMount");

    with("data", "volumes: { data: {} }\n");
    project.check().expect(0);
    project.write("api/src/workflow/index", "new\n");
    let apply = project.apply().expect(1);
    assert_eq!(
        (apply.drift("api").as_str(), apply.condition("Stalled")),
        ("container ShadowedByMount", "True ShadowedByMount".into())
    );
    assert_eq!(project.steps_that_counted(), ["Build", "Up"], "no rebuild changes what a volume holds");
}

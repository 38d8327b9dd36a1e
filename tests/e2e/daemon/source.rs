//! What changes in the source is seen at once, and no build reads a source that is being changed.

use std::{fs, os::unix::fs::symlink, process::Command};

use super::{Daemon, watch};
use crate::{
    bind_mount::BindMount,
    support::{MANIFEST, Project, docker, wait_for},
};

/// The resync is an hour away: what is seen, the watch has seen.
fn watched(drift: &str) -> String {
    MANIFEST.replace(
        "  reconcile:\n",
        &format!("  source: {{ drift: {drift} }}\n  reconcile:\n    interval: 1h\n"),
    )
}

fn at_rest(project: &Project) {
    wait_for("the proof", || {
        let status = project.recorded();
        status["conditions"][1]["reason"] == "Idle"
            && status["services"][0].to_string().contains("\"Proven\"")
    });
}

/// The content of the module in the container that runs; nothing while it is being replaced.
fn running_module(project: &Project) -> String {
    let Some(id) = project.containers("api").pop() else { return String::new() };
    let read = ["exec", &id, "cat", "/app/dist/modules/workflow/index"];
    let read = Command::new("docker").args(read).output().unwrap();
    String::from_utf8_lossy(&read.stdout).into_owned()
}

/// Waits until this many builds have begun.
fn wait_for_builds(project: &Project, count: usize) {
    wait_for("a build to begin", || {
        let trail = project.trail();
        let begun =
            trail.iter().filter(|record| record["kind"] == "StepIntended" && record["step"] == "Build");
        begun.count() >= count
    });
}

fn git(project: &Project, arguments: &[&str]) {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]).args(arguments);
    assert!(git.current_dir(project.path("")).status().unwrap().success());
}

#[test]
fn edited_source_is_built_long_before_the_resync() {
    let project = Project::healthy();
    project.manifest(&watched("enforce"));
    let daemon = Daemon::start_with(&project, &[]);
    at_rest(&project);
    // In place, by a rename, and a new file in a new folder.
    project.write("api/src/workflow/index", "edited\n");
    project.wait_for_healed(1);
    assert_eq!(running_module(&project), "edited\n");
    project.write("api/src/workflow/.new", "renamed\n");
    fs::rename(project.path("api/src/workflow/.new"), project.path("api/src/workflow/index")).unwrap();
    project.wait_for_healed(2);
    assert_eq!(running_module(&project), "renamed\n");
    project.add_module("api", "billing");
    project.wait_for_healed(3);
    docker(&["exec", &project.containers("api")[0], "test", "-e", "/app/dist/modules/billing/index"]);
    assert_eq!(project.steps_that_counted(), ["Build", "Up", "Build", "Up", "Build", "Up"]);
    // Its own looks and builds wake it no more.
    at_rest(&project);
    let looks = daemon.looks();
    project.write("beside", "no build sees it\n");
    project.write("api/src/workflow/index", "last\n");
    project.wait_for_healed(4);
    at_rest(&project);
    assert!(daemon.looks() > looks);
    drop(daemon);
    project.assert_trail_is_whole();
}

#[test]
fn module_that_comes_into_the_source_heals_the_service() {
    let project = Project::healthy();
    fs::rename(project.path("api/src/workflow"), project.path("workflow")).unwrap();
    project.manifest(&watched("report"));
    let daemon = Daemon::start_with(&project, &[]);
    project.wait_for_record("Stalled");
    fs::rename(project.path("workflow"), project.path("api/src/workflow")).unwrap();
    wait_for("the status to be ready", || project.recorded()["conditions"][0]["status"] == "True");
    drop(daemon);
    project.assert_trail_is_whole();
}

#[test]
fn release_that_is_swapped_by_a_link_is_brought_up() {
    let project = Project::new();
    project.add_module("api", "workflow");
    let release = |name: &str| {
        let to = project.path(&format!("../releases/{name}"));
        fs::create_dir_all(&to).unwrap();
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(project.path("compose.yaml")).arg(project.path("api")).arg(&to);
        assert!(copy.status().unwrap().success());
        fs::write(to.join("api/src/workflow/index"), format!("{name}\n")).unwrap();
        symlink(&to, project.path("new")).unwrap();
        fs::rename(project.path("new"), project.path("current")).unwrap();
    };
    release("1");
    project.manifest(&watched("enforce").replace("directory: .,", "directory: current,"));
    let daemon = Daemon::start_with(&project, &[]);
    at_rest(&project);
    for name in ["2", "3"] {
        release(name);
        wait_for("the release", || running_module(&project) == format!("{name}\n"));
        at_rest(&project);
    }
    drop(daemon);
    project.assert_trail_is_whole();
}

/// Of a mount there is no event.
#[test]
fn context_that_is_mounted_over_is_built_and_watched_and_so_is_what_was_there_before() {
    let project = Project::healthy();
    project.manifest(&watched("enforce"));
    let mut copy = Command::new("cp");
    copy.arg("-a").arg(project.path("api")).arg(project.path("other"));
    assert!(copy.status().unwrap().success());
    project.write("api/src/workflow/index", "below\n");
    project.write("other/src/workflow/index", "mounted\n");
    let daemon = Daemon::start_with(&project, &[]);
    at_rest(&project);
    let mount = BindMount::of(&project.path("other"), &project.path("api"));
    wait_for("what is mounted", || running_module(&project) == "mounted\n");
    at_rest(&project);
    // By the path that is not watched.
    project.write("other/src/workflow/index", "edited\n");
    wait_for("an edit", || running_module(&project) == "edited\n");
    at_rest(&project);
    drop(mount);
    wait_for("what was there before", || running_module(&project) == "below\n");
    at_rest(&project);
    project.write("api/src/workflow/index", "edited below\n");
    wait_for("an edit of it", || running_module(&project) == "edited below\n");
    drop(daemon);
    project.assert_trail_is_whole();
}

#[test]
fn everything_that_a_look_rests_on_wakes_it() {
    let project = Project::healthy();
    let compose = "services:
  api:
    build: { context: ./api, additional_contexts: { more: ./more } }
    init: true
    stop_grace_period: 1s
    environment: { COLOUR: \"${COLOUR}\" }
    volumes: [./conf/app.conf:/app.conf:ro, ./data:/data]
    secrets: [token]
secrets: { token: { file: ./token.txt } }
";
    project.write("compose.yaml", compose);
    for path in ["conf/app.conf", "more/a", "data/db", "token.txt"] {
        project.write(path, "1\n");
    }
    project.write(".env", "COLOUR=red\n");
    git(&project, &["init", "-q"]);
    git(&project, &["commit", "-qm", "one", "--allow-empty"]);
    project
        .manifest(&watched("report").replace("    interval: 1h\n", "    interval: 1h\n    mode: observe\n"));
    let daemon = Daemon::start_with(&project, &[]);
    let triggers = || daemon.log().matches("its source has changed").count();
    let woken_by = |what: &str, change: &dyn Fn()| {
        let (triggers_before, looks) = (triggers(), daemon.looks());
        change();
        wait_for(what, || triggers() > triggers_before && daemon.looks() > looks);
    };
    wait_for("the watch", || daemon.log().contains("its source is watched"));
    for path in ["conf/app.conf", "more/a", "token.txt", "api/Dockerfile", "api/src/new/file"] {
        woken_by(path, &|| project.write(path, "# 2\n"));
    }
    woken_by("the env file", &|| project.write(".env", "COLOUR=blue\n"));
    woken_by("the Compose file", &|| project.append("compose.yaml", "# edited\n"));
    woken_by("an override that comes into being", &|| {
        project.write("compose.override.yaml", "services: {}\n");
    });
    woken_by("a commit", &|| git(&project, &["commit", "-qm", "two", "--allow-empty"]));
    // A folder of data is none of it: the next trigger is of the file after it.
    let before = triggers();
    project.write("data/db", "2\n");
    woken_by("a mounted file", &|| project.write("conf/app.conf", "3\n"));
    assert_eq!(triggers(), before + 1);
}

#[test]
fn no_build_begins_while_git_changes_the_work_tree() {
    let project = Project::healthy();
    git(&project, &["init", "-q"]);
    project.manifest(&watched("enforce"));
    let daemon = Daemon::start_with(&project, &[]);
    at_rest(&project);
    // As a `git pull` does it: the lock, then the files.
    project.write(".git/index.lock", "");
    project.write("api/src/workflow/index", "pulled\n");
    let waits = || project.recorded()["conditions"][1]["message"].as_str().unwrap_or_default().to_owned();
    wait_for("undrift to wait for git", || waits().contains("git is changing the work tree"));
    assert!(waits().contains("/.git/index.lock"), "{}", waits());
    daemon.wait_for_looks(5);
    assert_eq!(project.steps(), [""; 0]);
    fs::remove_file(project.path(".git/index.lock")).unwrap();
    project.wait_for_healed(1);
    assert_eq!(running_module(&project), "pulled\n");
    assert_eq!(project.steps_that_counted(), ["Build", "Up"]);
    drop(daemon);
    project.assert_trail_is_whole();
}

#[test]
fn build_whose_context_changed_meanwhile_is_not_brought_up() {
    let project = Project::healthy();
    project.slow_down_build(4);
    project.rebuild();
    project.compose(&["up", "-d", "--no-build"]);
    project.manifest(&watched("enforce"));
    let daemon = Daemon::start_with(&project, &[]);
    at_rest(&project);
    let before = project.containers("api");
    project.write("api/src/workflow/index", "half\n");
    wait_for_builds(&project, 1);
    project.write("api/src/workflow/index", "whole\n");
    wait_for_builds(&project, 2);
    assert_eq!(project.containers("api"), before, "the first one is not brought up");
    project.wait_for_healed(1);
    assert_eq!(running_module(&project), "whole\n");
    assert_eq!(project.steps_that_counted(), ["Build", "Build", "Up"]);
    drop(daemon);
    project.assert_trail_is_whole();
}

#[test]
fn torn_build_of_a_repair_is_followed_by_another_where_the_source_is_only_reported() {
    let project = Project::in_incident();
    project.slow_down_build(4);
    project.manifest(&watched("report"));
    let daemon = watch(&project, &[]);
    wait_for_builds(&project, 1);
    project.add_module("api", "billing");
    project.wait_for_healed(1);
    assert_eq!(project.steps_that_counted(), ["Build", "Build", "Up"]);
    docker(&["exec", &project.containers("api")[0], "test", "-e", "/app/dist/modules/billing/index"]);
    drop(daemon);
    project.assert_trail_is_whole();
}

//! Files that are mounted into containers, and processes that have read them.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use crate::support::{Project, Run, docker, inspect, wait_for};

/// A server that reads its file at its start, and again at a hangup.
const SERVER: &str =
    "read_it() { cat /etc/app.conf > /read; }; trap read_it HUP; read_it; while :; do sleep 0.1; done";

const MANIFEST: &str = "apiVersion: undrift.dev/v1alpha1
kind: ComposeProject
metadata: { name: NAME }
spec:
  project: { directory: ., name: NAME }
  services: [{ name: api, MOUNTS }]
  reconcile:
    verify: { timeout: 20s, stableFor: 500ms }
    backoff: { initial: 200ms, max: 1s }
    attempts: 3
";

/// A project whose `api` has this of its mounts, in the manifest and in the Compose file; nothing is up yet.
fn project(mounts: &str, more: &str, rest: &str) -> Project {
    let project = Project::new();
    project.write("app.conf", "old\n");
    let service = format!(
        "image: undrift-example-base:latest, stop_grace_period: 0s, command: [sh, -c, \"{SERVER}\"], {more}"
    );
    project.write("compose.yaml", &format!("services:\n  api: {{ {service} }}\n{rest}\n"));
    project.manifest(&MANIFEST.replace("MOUNTS", mounts));
    project
}

const READ_ONLY: &str = "volumes: [\"./app.conf:/etc/app.conf:ro\"]";

/// The same, up, and the process has read its file.
fn running(mounts: &str) -> Project {
    let project = project(mounts, READ_ONLY, "");
    up(&project);
    project
}

fn up(project: &Project) {
    project.compose(&["up", "-d"]);
    wait_for("the server to have read its file", || read(project) == "old");
}

/// What the process has read.
fn read(project: &Project) -> String {
    docker(&["exec", &project.containers("api")[0], "cat", "/read"]).trim().to_owned()
}

/// The container and its start.
fn run_of(project: &Project) -> String {
    let [id] = &project.containers("api")[..] else { panic!("not one container") };
    inspect(id, "{{.Id}} {{.State.StartedAt}}").unwrap()
}

fn notes(run: &Run) -> Vec<String> {
    let status = run.status();
    let notes = status["services"][0]["notes"].as_array().unwrap();
    notes.iter().map(|note| format!("{}: {}", note["reason"], note["message"]).replace('"', "")).collect()
}

/// As an editor does.
fn replace(project: &Project, file: &str, text: &str) {
    project.write(&format!("{file}~"), text);
    fs::rename(project.path(&format!("{file}~")), project.path(file)).unwrap();
}

/// `apply` finds the drift once the file is quiet, and takes this one step.
#[track_caller]
fn is_repaired_by(project: &Project, step: &str) {
    wait_for("the file to be quiet", || project.check().drift("api") == "container MountChanged");
    assert_eq!(project.check().expect(1).plan(), [step]);
    let apply = project.apply().expect(0);
    assert_eq!((apply.drift("api"), project.steps()), (String::new(), vec![step.to_owned()]));
    for _ in 0..3 {
        project.apply().expect(0);
        assert_eq!(notes(&project.check().expect(0)), [""; 0]);
    }
    assert_eq!(project.steps().len(), 1, "once is enough");
    project.assert_trail_is_whole();
}

#[test]
fn file_that_changed_is_reported_and_nothing_is_done_unless_the_manifest_says_so() {
    let project = running("mounts: report");
    for _ in 0..3 {
        assert_eq!(notes(&project.apply().expect(0)), [""; 0]);
    }
    project.write("app.conf", "new\n");
    for _ in 0..3 {
        let apply = project.apply().expect(0);
        let [note] = &notes(&apply)[..] else { panic!("{apply:?}") };
        assert!(
            note.starts_with("MountChanged: ") && note.contains("app.conf (mounted at /etc/app.conf)"),
            "{note}"
        );
    }
    assert_eq!((read(&project).as_str(), project.steps().len()), ("old", 0));
    project.manifest(&MANIFEST.replace("MOUNTS", "mounts: ignore"));
    assert_eq!(notes(&project.apply().expect(0)), [""; 0]);
    // What was read is remembered: the same bytes are the same file, whatever its times.
    project.manifest(&MANIFEST.replace("MOUNTS", "mounts: enforce"));
    project.write("app.conf", "old\n");
    assert_eq!(notes(&project.apply().expect(0)), [""; 0]);
    assert_eq!(project.steps().len(), 0);
}

#[test]
fn file_that_changed_is_read_anew_by_a_restart_where_that_is_enforced() {
    let project = running("mounts: enforce");
    project.apply().expect(0);
    let before = run_of(&project);
    project.write("app.conf", "new\n");
    is_repaired_by(&project, "Restart");
    assert_ne!(run_of(&project), before);
    wait_for("the server to have read it", || read(&project) == "new");
}

#[test]
fn file_that_changed_is_read_anew_at_the_declared_signal_by_the_same_process() {
    let project = running("mounts: enforce, reload: { signal: HUP }");
    project.apply().expect(0);
    let before = run_of(&project);
    project.write("app.conf", "new\n");
    is_repaired_by(&project, "Reload");
    assert_eq!(run_of(&project), before);
    assert_eq!(read(&project), "new");
    let trail = project.trail();
    let of = |kind: &str| trail.iter().find(|record| record["kind"] == kind).unwrap()["evidence"].clone();
    assert_eq!(of("Verified")["changedByRepair"], true);
    assert_eq!(of("Reconciled")["healedBy"], "undrift");
    // Compared is with the last reload, and not with the start.
    project.write("app.conf", "old\n");
    wait_for("the next drift", || project.check().drift("api") == "container MountChanged");
    project.apply().expect(0);
    assert_eq!((read(&project).as_str(), project.steps().len()), ("old", 2));
}

#[test]
fn file_that_an_editor_replaced_is_mounted_by_a_restart_and_no_signal_would_do() {
    let project = running("mounts: enforce, reload: { signal: HUP }");
    project.apply().expect(0);
    replace(&project, "app.conf", "old\n");
    project.apply().expect(0);
    assert_eq!(project.steps().len(), 0, "it has the same bytes");
    replace(&project, "app.conf", "new\n");
    is_repaired_by(&project, "Restart");
    wait_for("the server to have read it", || read(&project) == "new");
}

#[test]
fn undrift_that_comes_later_knows_by_the_times_and_the_mounted_file() {
    let project = running("mounts: enforce");
    // A new mode is no other byte.
    let mode = fs::metadata(project.path("app.conf")).unwrap().permissions();
    fs::set_permissions(project.path("app.conf"), mode).unwrap();
    for _ in 0..3 {
        project.apply().expect(0);
    }
    assert_eq!(project.steps().len(), 0);

    let project = running("mounts: enforce");
    project.write("app.conf", "new\n");
    is_repaired_by(&project, "Restart");

    let project = running("mounts: enforce");
    replace(&project, "app.conf", "old\n");
    project.apply().expect(0);
    assert_eq!(project.steps().len(), 0, "it has the bytes that are mounted");
    replace(&project, "app.conf", "new\n");
    is_repaired_by(&project, "Restart");
}

#[test]
fn configs_and_secrets_that_are_files_count_and_leave_no_trace() {
    let rest = "configs: { app: { file: ./app.conf } }\nsecrets: { key: { file: ./key.txt } }";
    let more = "configs: [{ source: app, target: /etc/app.conf }], secrets: [key]";
    for file in ["app.conf", "key.txt"] {
        let project = project("mounts: enforce", more, rest);
        project.write("key.txt", "correct-horse-battery\n");
        up(&project);
        project.apply().expect(0);
        project.write(file, "staple-horse-battery\n");
        is_repaired_by(&project, "Restart");
        let files = fs::read_dir(project.state_dir()).unwrap().map(|entry| entry.unwrap().path());
        for path in files.filter(|path| path.is_file()) {
            let bytes = fs::read(&path).unwrap();
            assert!(!bytes.windows(13).any(|seen| seen == b"horse-battery"), "{}", path.display());
        }
    }
}

#[test]
fn file_that_the_container_may_write_counts_only_if_another_one_is_in_its_place() {
    let project = project("mounts: enforce", "volumes: [\"./app.conf:/etc/app.conf\"]", "");
    up(&project);
    project.apply().expect(0);
    docker(&["exec", &project.containers("api")[0], "sh", "-c", "echo theirs > /etc/app.conf"]);
    project.apply().expect(0);
    assert_eq!(project.steps().len(), 0);
    replace(&project, "app.conf", "new\n");
    is_repaired_by(&project, "Restart");
    wait_for("the server to have read it", || read(&project) == "new");
}

#[test]
fn folders_are_not_judged_and_a_file_that_is_gone_is_a_note() {
    let more = "volumes: [\"./app.conf:/etc/app.conf:ro\", \"./folder:/folder:ro\"]";
    let project = project("mounts: enforce", more, "");
    project.write("folder/file", "old\n");
    up(&project);
    project.apply().expect(0);
    project.write("folder/file", "new\n");
    project.write("folder/another", "new\n");
    assert_eq!(notes(&project.apply().expect(0)), [""; 0]);
    fs::remove_file(project.path("app.conf")).unwrap();
    let apply = project.apply().expect(0);
    let [note] = &notes(&apply)[..] else { panic!("{apply:?}") };
    assert!(note.contains("is not known: "), "{note}");
    assert_eq!(project.steps().len(), 0);
}

#[test]
fn file_that_changes_all_the_time_restarts_nothing_all_the_time() {
    let project = running("mounts: enforce");
    project.apply().expect(0);
    project.manifest(&MANIFEST.replace("MOUNTS", "mounts: enforce").replace("timeout: 20s", "timeout: 6s"));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for count in 0.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                project.write("app.conf", &format!("{count}\n"));
                thread::sleep(Duration::from_millis(300));
            }
        });
        let applies: Vec<Run> = (0..2).map(|_| project.apply()).collect();
        is_over.store(true, Ordering::Relaxed);
        for apply in applies {
            let apply = apply.expect(1);
            assert!(apply.stderr.contains("mounts: report"), "{}", apply.stderr);
        }
    });
    assert_eq!(project.steps().len(), 0, "it may be half written at any time");
    is_repaired_by(&project, "Restart");
}

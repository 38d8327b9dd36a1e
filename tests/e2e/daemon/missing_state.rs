//! The state is taken away under an undrift that runs: no step and no answer until it is there again, and no second undrift
//! in its place.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Daemon, faults::Manager, watching};
use crate::{
    processes::Running,
    support::{Project, Run, docker, inspect, run, wait_for},
};

/// How the state is taken away, and how it comes back.
struct Taken {
    what: &'static str,
    away: fn(&Project),
    back: fn(&Project),
    /// What is said of which file of the folder.
    expected: (&'static str, &'static str),
}

const ALL: [Taken; 5] = [
    Taken { what: "the folder is moved", away: move_folder, back: return_folder, expected: ("", MISSING) },
    Taken {
        what: "a backup takes the folder's place",
        away: |project| {
            move_folder(project);
            fs::create_dir(project.state_dir()).unwrap();
            for name in ["lock", "step.lock", "state.db", "digest.key"] {
                fs::copy(kept(project).join(name), project.state_dir().join(name)).unwrap();
            }
        },
        back: |project| {
            fs::remove_dir_all(project.state_dir()).unwrap();
            return_folder(project);
        },
        expected: ("", REPLACED),
    },
    Taken {
        what: "the database is removed",
        away: |project| fs::rename(project.db(), kept(project)).unwrap(),
        back: |project| fs::rename(kept(project), project.db()).unwrap(),
        expected: ("state.db", MISSING),
    },
    Taken {
        what: "a backup is renamed over the database",
        away: |project| {
            let backup = kept(project).with_extension("backup");
            project.sql(&format!("VACUUM INTO '{}'", backup.display()));
            fs::hard_link(project.db(), kept(project)).unwrap();
            fs::rename(backup, project.db()).unwrap();
        },
        back: |project| fs::rename(kept(project), project.db()).unwrap(),
        expected: ("state.db", REPLACED),
    },
    Taken {
        what: "the lock is made anew",
        away: |project| {
            fs::rename(project.state_dir().join("lock"), kept(project)).unwrap();
            fs::write(project.state_dir().join("lock"), "").unwrap();
        },
        back: |project| fs::rename(kept(project), project.state_dir().join("lock")).unwrap(),
        expected: ("lock", REPLACED),
    },
];

const MISSING: &str = "was moved or removed";
const REPLACED: &str = "was replaced by another one";
const NOT_READY: &str = "not ready: no step is taken";
const AGAIN: &str = "the state is where it was opened again";

/// Where what is taken away is kept.
fn kept(project: &Project) -> PathBuf {
    project.state_dir().with_extension("kept")
}

fn move_folder(project: &Project) {
    fs::rename(project.state_dir(), kept(project)).unwrap();
}

fn return_folder(project: &Project) {
    fs::rename(kept(project), project.state_dir()).unwrap();
}

impl Project {
    fn db(&self) -> PathBuf {
        self.state_dir().join("state.db")
    }
}

fn is_running(container: &str) -> bool {
    inspect(container, "{{.State.Running}}").is_some_and(|running| running == "true")
}

/// Every verb that speaks of the running undrift, or would begin beside it, is refused or says so.
fn assert_nobody_is_misled(project: &Project, what: &str) {
    let name = project.name.as_str();
    for verb in [&["suspend", name, "--reason", "x"][..], &["resume", name], &["retry", name]] {
        let refused = project.undrift(verb).expect(2);
        assert!(refused.stderr.contains("has other files open"), "{what}: {refused:?}");
        assert_eq!(refused.stdout, "", "{what}");
    }
    for verb in [&["get"][..], &["audit", "list"], &["incident", "list"]] {
        let shown = project.undrift(verb);
        assert!(shown.stderr.contains("has other files open"), "{what}: {shown:?}");
        assert!(!shown.stdout.contains("`undrift apply` records"), "{what}: {shown:?}");
    }
    let verified = project.undrift(&["audit", "verify"]);
    assert_ne!(verified.code, Some(0), "{what}: {verified:?}");
    assert!(format!("{verified:?}").contains("has other files open"), "{what}: {verified:?}");
    let diagnosis = project.undrift(&["doctor", "-o", "json"]).expect(1).json();
    let lock = diagnosis["checks"].as_array().unwrap().iter().find(|check| check["name"] == "StateLock");
    assert_eq!(lock.unwrap()["status"], "failed", "{what}: {diagnosis}");
    for verb in ["run", "apply"] {
        let refused = second(project, verb).expect(2);
        let words = ["runs on the state folder", "is held by undrift run", "is not where it was opened"];
        assert!(words.iter().any(|words| refused.stderr.contains(words)), "{what}: {refused:?}");
    }
}

/// Another undrift on the same manifest and the same path of the state.
fn second(project: &Project, verb: &str) -> Run {
    run(&mut project.command(&[verb, "-f", "undrift.yaml"]))
}

#[test]
fn state_that_is_taken_away_holds_every_step_and_answer_back_until_it_is_there_again() {
    holds_back(&ALL[..2]);
}

#[test]
fn state_that_is_taken_away_in_other_ways_does_so_too() {
    holds_back(&ALL[2..]);
}

fn holds_back(ways: &[Taken]) {
    let project = Project::healthy();
    let daemon = Daemon::start_every_second(&project);
    for (nth, taken) in ways.iter().enumerate() {
        let (what, (file, why)) = (taken.what, taken.expected);
        let reported = |words: &str| daemon.log().matches(words).count();
        (taken.away)(&project);
        wait_for(what, || reported(NOT_READY) == nth + 1);
        let path = if file.is_empty() { project.state_dir() } else { project.state_dir().join(file) };
        assert!(daemon.log().contains(&format!("{} {why}", path.display())), "{what}: {}", daemon.log());
        let one_more_held_back = || {
            let before = reported("no turn without the state");
            wait_for(what, || reported("no turn without the state") > before);
        };
        // An observation that was under way when the state went may still end.
        one_more_held_back();
        let (looks, container) = (daemon.looks(), project.containers("api"));
        docker(&["kill", &container[0]]);
        one_more_held_back();
        assert_nobody_is_misled(&project, what);
        assert_eq!(daemon.looks(), looks, "{what}: it has looked");
        assert!(!is_running(&container[0]), "{what}: it was repaired");
        assert_eq!(project.state_dir().exists(), taken.what != "the folder is moved", "{what}");

        (taken.back)(&project);
        wait_for(what, || reported(AGAIN) == nth + 1);
        project.wait_for_healed(nth + 1);
        assert_eq!(project.steps(), vec!["Up"; nth + 1], "{what}");
        assert!(is_running(&container[0]), "{what}");
        assert_eq!(reported(NOT_READY), nth + 1, "{what}: once for each change");
        project.assert_trail_is_whole();
    }
    assert!(daemon.end().success());
    project.assert_trail_is_whole();
}

/// The same file, and another content: SQLite goes on in what it has in memory and in its log.
#[test]
fn backup_that_is_copied_over_the_database_holds_every_step_back_until_undrift_is_restarted() {
    let project = Project::healthy();
    let daemon = Daemon::start_every_second(&project);
    let backup = kept(&project);
    project.sql(&format!("VACUUM INTO '{}'", backup.display()));
    daemon.wait_for_looks(2);
    docker(&["kill", &project.containers("api")[0]]);
    project.wait_for_healed(1);
    fs::copy(&backup, project.db()).unwrap();
    let container = project.containers("api");
    docker(&["kill", &container[0]]);
    let expected = format!("{} was overwritten with other content", project.db().display());
    daemon.wait_for_log(&expected);
    let looks = daemon.looks();
    let held_back = || daemon.log().matches("no turn without the state").count();
    let before = held_back();
    wait_for("a look that is held back", || held_back() > before);
    assert_eq!(daemon.looks(), looks, "it has looked");
    assert!(!is_running(&container[0]), "it was repaired");
    for verb in [&["suspend", &project.name, "--reason", "x"][..], &["retry", &project.name]] {
        assert!(project.undrift(verb).expect(2).stderr.contains("has another database open"));
    }
    assert!(daemon.end().success());
    assert!(fs::read(project.db()).unwrap() == fs::read(&backup).unwrap(), "it was written into");

    for name in ["state.db-wal", "state.db-shm"] {
        fs::remove_file(project.state_dir().join(name)).unwrap();
    }
    let daemon = Daemon::start_with(&project, &[]);
    project.wait_for_healed(1);
    assert!(daemon.end().success());
    project.assert_trail_is_whole();
}

#[test]
fn service_manager_is_notified_that_the_state_is_away_and_back_again() {
    let project = Project::healthy();
    let manager = Manager::new(&project);
    let mut command = watching(&project, &[]);
    let daemon = Daemon::spawn(command.env("NOTIFY_SOCKET", manager.path()), &project).started();
    manager.expect_messages(&["READY=1"]);
    move_folder(&project);
    let dir = project.state_dir();
    let status = format!(
        "STATUS=not ready: the state is not where it was opened: {} was moved or removed; no step is taken until it is there \
         again, or undrift is restarted",
        dir.display()
    );
    manager.expect_messages(&[&status]);
    return_folder(&project);
    manager.expect_messages(&[&format!("STATUS={AGAIN}")]);
    assert!(daemon.end().success());
}

/// By the folder's new path it is still the state of the undrift that runs.
#[test]
fn suspension_given_in_the_moved_folder_holds_once_it_is_back() {
    let project = Project::healthy();
    let daemon = Daemon::start_every_second(&project);
    move_folder(&project);
    daemon.wait_for_log(NOT_READY);
    let suspended = run(&mut at(&project, &kept(&project), &["suspend", &project.name, "--reason", "moved"]));
    assert!(suspended.expect(0).stderr.contains("the running undrift does not look at once"));
    return_folder(&project);
    daemon.wait_for_log(AGAIN);
    docker(&["kill", &project.containers("api")[0]]);
    wait_for("it to be held", || project.condition("Reconciling") == "False Suspended");
    daemon.wait_for_looks(3);
    assert_eq!(project.steps(), [""; 0]);
    project.undrift(&["resume", &project.name]).expect(0);
    project.wait_for_healed(1);

    // Without its socket it cannot be told, and goes by it all the same.
    fs::remove_file(project.state_dir().join("control.sock")).unwrap();
    let suspended = project.undrift(&["suspend", &project.name, "--reason", "no socket"]).expect(0);
    assert!(suspended.stderr.contains("does not look at once (its socket is not there)"), "{suspended:?}");
    assert!(!suspended.stdout.contains("no daemon runs"), "{suspended:?}");
    wait_for("it to be held", || {
        let store = undrift::store::Store::open_read_only(&project.state_dir()).unwrap().unwrap();
        let object = store.object(&project.name).unwrap().unwrap();
        object
            .status
            .conditions
            .iter()
            .any(|condition| condition.reason.is(undrift::api::StandingReason::Suspended))
    });
    assert!(daemon.end().success());
}

/// undrift with another state folder than the project's.
fn at(project: &Project, dir: &Path, args: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_undrift"));
    command.arg("--state-dir").arg(dir).args(args).current_dir(project.path(""));
    command
}

#[test]
fn apply_takes_no_further_step_once_its_state_is_taken_away() {
    let project = Project::in_incident();
    project.slow_down_build(6);
    let before = project.containers("api");
    let mut command = project.command(&["apply", "-f", "undrift.yaml"]);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
    let mut apply = Running(command.spawn().unwrap());
    wait_for("the build", || project.is_at(" build "));
    move_folder(&project);
    let mut status = None;
    wait_for("apply to end", || {
        status = apply.0.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(2));
    assert_eq!(project.containers("api"), before, "what was built is not brought up");
    assert!(!project.state_dir().exists(), "no other state is begun in its place");
    return_folder(&project);
    assert_eq!(project.steps(), ["Build"]);
    project.apply().expect(0);
    project.assert_trail_is_whole();
}

/// Two states of one engine are two states: none is in the other's way.
#[test]
fn second_state_of_the_same_engine_is_nobodys_business() {
    let (one, other) = (Project::healthy(), Project::healthy());
    let _daemon = Daemon::start(&one);
    other.apply().expect(0);
    let _second = Daemon::start(&other);
    one.apply().expect(0);
}

/// How the database is taken away while no undrift runs, and what is said of it.
type Lost = (fn(&Project), &'static str);

/// A copy of `state.db` alone, which was taken while an undrift ran.
fn restore_without_log(project: &Project) {
    let another = tempfile::tempdir().unwrap();
    let state = another.path().join("state");
    let _store = undrift::store::Store::open(&state, "test".into()).unwrap();
    fs::copy(state.join("state.db"), project.db()).unwrap();
}

#[test]
fn trail_that_is_missing_at_the_start_is_a_hole_that_the_next_one_begins_with() {
    let ways: [Lost; 3] = [
        (|project| fs::write(project.db(), "").unwrap(), "state.db was emptied"),
        (|project| fs::remove_file(project.db()).unwrap(), "state.db is gone"),
        (restore_without_log, "state.db has nothing in it without its log"),
    ];
    for (take_away, expected) in ways {
        let project = Project::healthy();
        project.apply().expect(0);
        take_away(&project);
        let verified = project.undrift(&["audit", "verify", "-o", "json"]).expect(1).json();
        assert_eq!(verified["whole"], false);
        assert!(verified["missing"].as_str().unwrap().contains(expected), "{verified}");

        docker(&["kill", &project.containers("api")[0]]);
        let daemon = Daemon::start_with(&project, &[]);
        project.wait_for_healed(1);
        assert!(daemon.log().contains(expected), "{}", daemon.log());
        let first = project.trail()[0].clone();
        assert_eq!(first["kind"], "TrailLost");
        assert!(first["evidence"]["message"].as_str().unwrap().contains(expected), "{first}");
        let verified = project.undrift(&["audit", "verify"]).expect(0).stdout;
        assert!(verified.starts_with("begun anew: an earlier trail is missing; "), "{verified}");
        let diagnosis = project.undrift(&["doctor", "-o", "json"]).json();
        let trail =
            diagnosis["checks"].as_array().unwrap().iter().find(|check| check["name"] == "TrailWhole");
        assert_eq!(trail.unwrap()["status"], "warning", "{diagnosis}");
        assert!(daemon.end().success());

        // On purpose it is begun anew without a word of the earlier one.
        fs::rename(project.state_dir(), kept(&project)).unwrap();
        project.apply().expect(0);
        assert_ne!(project.trail()[0]["kind"], "TrailLost");
    }
}

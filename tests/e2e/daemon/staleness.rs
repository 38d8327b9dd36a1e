//! Green means looked at, and when: a daemon that died or hangs does not look like a quiet one.

use rustix::process::Signal;
use serde_json::Value;

use super::Daemon;
use crate::support::{MANIFEST, Project, docker, wait_for};

/// The manifest with another interval.
fn every(interval: &str) -> String {
    MANIFEST.replace("  reconcile:\n", &format!("  reconcile:\n    interval: {interval}\n"))
}

fn get(project: &Project) -> String {
    project.undrift(&["get"]).expect(0).stdout
}

fn describe(project: &Project) -> String {
    project.undrift(&["describe", &project.name]).expect(0).stdout
}

/// The status of one check of `doctor`, and what it found.
fn doctor(project: &Project, name: &str) -> (String, String) {
    let json = project.undrift(&["doctor", "-o", "json"]).json();
    let check = json["checks"].as_array().unwrap().iter().find(|check| check["name"] == name).cloned();
    let check = check.unwrap_or_else(|| panic!("no {name}: {json}"));
    let word = |field: &str| check[field].as_str().unwrap_or_default().to_owned();
    (word("status"), word("found"))
}

/// Waits until the service is as declared for the whole stability window: nothing of its status changes any more.
fn wait_for_verified(project: &Project) {
    wait_for("the object to be verified", || {
        let conditions = project.recorded()["services"][0]["conditions"].clone();
        let mut conditions = conditions.as_array().into_iter().flatten();
        conditions.any(|condition| condition["type"] == "Reconciled" && condition["status"] == "True")
    });
}

/// Whether a mark stands in the text, and never without a star behind it.
fn is_marked(text: &str, mark: &str) -> bool {
    let marks = text.matches(mark).count();
    marks > 0 && marks == text.matches(&format!("{mark}*")).count()
}

#[test]
fn killed_daemon_is_reported_and_its_last_status_marked() {
    let project = Project::healthy();
    let daemon = Daemon::start(&project);
    wait_for_verified(&project);
    assert!(!get(&project).contains('*'), "{}", get(&project));
    assert_eq!(doctor(&project, "DaemonRuns").0, "ok");
    daemon.kill();
    docker(&["stop", "-t", "1", &project.containers("api")[0]]);

    let shown = get(&project);
    assert!(is_marked(&shown, "✓") && is_marked(&shown, "True"), "{shown}");
    assert!(shown.contains("no daemon runs on this state"), "{shown}");
    let shown = describe(&project);
    assert!(shown.contains("no daemon runs on this state"), "{shown}");
    assert!(shown.contains("Service api: as declared, as of "), "{shown}");
    let (status, found) = doctor(&project, "DaemonRuns");
    assert_eq!(status, "failed");
    assert!(found.contains("gone without a record of its end"), "{found}");
    project.undrift(&["doctor"]).expect(1);
    // One that was asked to end is known to have ended.
    let _ = Daemon::start(&project).end();
    assert_eq!(doctor(&project, "DaemonRuns").0, "warning");
}

#[test]
fn look_that_is_older_than_twice_the_interval_is_marked_though_a_daemon_runs() {
    let project = Project::healthy();
    project.manifest(&every("2s"));
    let daemon = Daemon::start(&project);
    wait_for_verified(&project);
    daemon.signal(Signal::STOP);
    wait_for("the look to be old", || is_marked(&get(&project), "True"));
    let shown = get(&project);
    assert!(shown.contains("older than twice the interval of 2s") && !shown.contains("no daemon"), "{shown}");
    assert!(describe(&project).contains("older than twice the interval"), "{}", describe(&project));
    assert_eq!(doctor(&project, "ObjectsLookedAt").0, "failed");
    daemon.signal(Signal::CONT);
    wait_for("a look", || !get(&project).contains('*'));
}

#[test]
fn looks_at_what_is_as_declared_write_their_time_and_nothing_else() {
    let project = Project::healthy();
    project.manifest(&every("1s"));
    let daemon = Daemon::start_with(&project, &[]);
    wait_for_verified(&project);
    daemon.wait_for_looks(3);
    let state = || {
        let state = rusqlite::Connection::open(project.state_dir().join("state.db")).unwrap();
        let ask = |sql: &str| state.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
        let rows = ask("SELECT count(*) || ' ' || (SELECT recorded_at FROM objects) FROM trail");
        (rows, ask("SELECT at FROM looks"))
    };
    let (before, looked) = state();
    daemon.wait_for_looks(5);
    let (after, looked_since) = state();
    assert_eq!(after, before, "no record, and no other status");
    assert!(looked_since > looked, "{looked_since} after {looked}");
    let status: Value = project.recorded();
    assert!(status["observedAt"].as_str().unwrap() >= looked.as_str(), "{status}");
}

#[test]
fn invalid_manifest_and_suspension_are_shown_at_once_in_the_middle_of_a_step() {
    let project = Project::in_incident();
    project.slow_down_build(20);
    let daemon = Daemon::spawn(&mut project.command(&["run", "-f", "undrift.yaml"]), &project);
    project.wait_for_record("StepIntended");
    project.manifest(&MANIFEST.replace("expect: [401]", "expect: [never]"));
    wait_for("the fault to be shown", || get(&project).contains("ManifestInvalid"));
    project.undrift(&["suspend", &project.name, "--reason", "a migration"]).expect(0);
    let shown = get(&project);
    assert!(shown.contains("ModuleMissing (suspended, ManifestInvalid)"), "{shown}");
    assert!(shown.contains("undrift.yaml:12:20: ") && shown.contains("suspended: a migration"), "{shown}");
    let status = project.recorded();
    let (suspension, actor) = (&status["suspension"], status["suspension"]["actor"].as_str().unwrap());
    assert_eq!((&suspension["reason"], &suspension["until"]), (&"a migration".into(), &Value::Null));
    assert!(suspension["since"].is_string() && actor.ends_with(" suspend"), "{suspension}");
    assert!(
        !project.trail().iter().any(|record| record["kind"] == "StepFinished"),
        "all of it during the build"
    );
    for (name, status) in [("ManifestsInEffect", "failed"), ("ObjectsNotSuspended", "warning")] {
        assert_eq!(doctor(&project, name).0, status, "{name}");
    }
    let shown = describe(&project);
    assert!(shown.contains("not in effect: ") && shown.contains("a migration ("), "{shown}");

    project.undrift(&["resume", &project.name]).expect(0);
    project.manifest(MANIFEST);
    wait_for("the fault to go", || !get(&project).contains("ManifestInvalid"));
    assert!(!get(&project).contains("uspended") && project.recorded()["suspension"].is_null());
    let _ = daemon.end();
    project.assert_trail_is_whole();
}

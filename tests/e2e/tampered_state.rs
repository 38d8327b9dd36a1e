//! A state that was altered beside undrift: the trail counts, and `audit verify` and `doctor` say so.

use std::{fs::File, os::unix::fs::FileExt as _};

use rusqlite::Connection;
use serde_json::Value;

use crate::{
    daemon::Daemon,
    support::{MANIFEST, Project, SECOND_MODULE, docker, wait_for},
};

impl Project {
    /// Alters the state's database as any other program could.
    fn alter(&self, sql: &str) {
        let state = Connection::open(self.state_dir().join("state.db")).unwrap();
        state.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        state.execute_batch(sql).unwrap();
    }

    /// Asserts that the trail itself is whole, and that something of this name beside it is said not to be.
    #[track_caller]
    fn assert_differs(&self, what: &str) {
        let verify = self.undrift(&["audit", "verify", "-o", "json"]).expect(1).json();
        assert_eq!((&verify["whole"], &verify["firstBad"]), (&false.into(), &Value::Null), "{verify}");
        assert!(verify["differs"].to_string().contains(what), "{verify}");
        let text = self.undrift(&["audit", "verify"]).expect(1).stdout;
        assert!(text.starts_with("broken: the ") && text.contains(what), "{text}");
        let doctor = self.undrift(&["doctor", "-o", "json"]).json();
        let mut checks = doctor["checks"].as_array().unwrap().iter();
        let trail = checks.find(|check| check["name"] == "TrailWhole").unwrap();
        assert_eq!(trail["status"], "failed", "{trail}");
        assert!(trail["found"].as_str().unwrap().contains(what), "{trail}");
    }

    fn stop_api(&self) {
        docker(&["stop", "-t", "1", &self.containers("api")[0]]);
    }
}

#[test]
fn suspension_counts_by_its_record_whatever_the_table_holds() {
    let project = Project::healthy();
    project.apply().expect(0);
    project.undrift(&["suspend", &project.name, "--reason", "a migration"]).expect(0);
    project.stop_api();
    for sql in [
        "DELETE FROM suspensions",
        "UPDATE suspensions SET object = 'other'",
        "UPDATE suspensions SET until = '2020-01-01T00:00:00.000000Z'",
    ] {
        project.alter(sql);
        project.assert_differs("table of suspensions");
        let apply = project.apply().expect(1);
        assert_eq!(apply.condition("Reconciling"), "False Suspended", "{sql}");
        assert!(apply.stderr.contains("the state was altered"), "{sql}: {}", apply.stderr);
        assert_eq!(project.steps(), [""; 0], "{sql}");
        project.alter("DELETE FROM suspensions WHERE object = 'other'");
        project.assert_trail_is_whole();
    }
    project.undrift(&["resume", &project.name]).expect(0);
    project.apply().expect(0);
    assert_eq!(project.steps(), ["Up"]);
}

#[test]
fn daemon_goes_by_the_record_of_a_suspension_that_is_deleted_under_it() {
    let project = Project::healthy();
    let daemon = Daemon::start_every_second(&project);
    project.undrift(&["suspend", &project.name, "--reason", "a migration"]).expect(0);
    project.alter("DELETE FROM suspensions");
    project.stop_api();
    wait_for("the alteration to be said", || daemon.log().contains("the state was altered"));
    daemon.wait_for_looks(3);
    assert_eq!(project.steps(), [""; 0]);
    drop(daemon);
    project.assert_trail_is_whole();
}

#[test]
fn spent_budget_and_counted_rate_stay_whatever_the_tables_hold() {
    let project = Project::healthy();
    let once = MANIFEST.replace("attempts: 3", "attempts: 1").replace("workflow }]", SECOND_MODULE);
    project.manifest(&once);
    project.add_module("api", "invoices");
    project.append("api/Dockerfile", "RUN false\n");
    let apply = project.apply().expect(1);
    assert_eq!(apply.condition("Stalled").split(' ').next(), Some("True"));
    assert_eq!(project.steps(), ["Build"]);
    for (sql, table) in [
        ("DELETE FROM attempts", "table of attempts"),
        (
            "UPDATE attempts SET attempt = json_set(attempt, '$.attempts', 0, '$.nextAt', null)",
            "table of attempts",
        ),
        ("UPDATE attempts SET attempt = json_set(attempt, '$.generation', 0)", "table of attempts"),
        ("UPDATE generations SET number = 2, digest = 'v1:sha256:0'", "table of generations"),
        ("DELETE FROM recent_steps", "table of the last hour's steps"),
    ] {
        project.alter(sql);
        project.assert_differs(table);
        let apply = project.apply().expect(1);
        assert_eq!(apply.condition("Stalled").split(' ').next(), Some("True"), "{sql}");
        assert_eq!(project.steps(), ["Build"], "{sql}");
        project.assert_trail_is_whole();
    }
    // A person's word is a record, and gives a new budget.
    project.undrift(&["retry", &project.name]).expect(0);
    project.apply().expect(1);
    assert_eq!(project.steps(), ["Build", "Build"]);
    project.assert_trail_is_whole();
}

#[test]
fn step_of_a_killed_undrift_gets_its_end_whatever_the_table_holds() {
    for sql in ["DELETE FROM open_steps", "UPDATE open_steps SET step = 'Nothing', services = 'none'"] {
        let project = Project::in_incident();
        project.slow_down_build(3);
        let mut apply = project.command(&["apply", "-f", "undrift.yaml"]).spawn().unwrap();
        project.wait_for_record("StepIntended");
        apply.kill().unwrap();
        apply.wait().unwrap();
        project.alter(sql);
        project.assert_differs("table of open steps");
        project.apply().expect(0);
        project.assert_trail_is_whole();
    }
}

#[test]
fn what_no_record_covers_is_used_only_as_undrift_wrote_it() {
    let project = Project::healthy();
    project.apply().expect(0);
    project.stop_api();
    project.apply().expect(0);
    let steps = project.steps();
    for (sql, what) in [
        ("UPDATE objects SET object = json_set(object, '$.status.attempts', 7)", "the recorded status of"),
        (
            "UPDATE images SET source_digest = 'v1:sha256:0', built_by_undrift = 1",
            "what is known of the image",
        ),
        ("UPDATE incidents SET before = '{}'", "in the table of incidents is not as undrift wrote it"),
        ("UPDATE engines SET id = 'other'", "the engine that"),
    ] {
        project.alter(sql);
        project.assert_differs(what);
        let apply = project.apply().expect(0);
        assert!(apply.stderr.contains("the state was altered"), "{sql}: {}", apply.stderr);
        assert_eq!(project.steps(), steps, "{sql}");
        project.assert_trail_is_whole();
    }
}

#[test]
fn no_environment_was_verified_where_somebody_else_has_written_which_one() {
    let project = Project::healthy();
    project.apply().expect(0);
    project.stop_api();
    for sql in ["UPDATE verified_from SET digests = 'null'", "DELETE FROM verified_from"] {
        project.alter(sql);
        project.assert_differs("was verified from");
        let apply = project.apply().expect(1);
        assert_eq!(apply.condition("Reconciling"), "False EnvironmentDiffers", "{sql}: {}", apply.stderr);
        assert_eq!(project.steps(), [""; 0], "{sql}");
        project.assert_trail_is_whole();
    }
    project.with_manifest("apply", &["--accept-environment"]).expect(0);
    assert_eq!(project.steps(), ["Up"]);
    project.stop_api();
    project.apply().expect(0);
}

#[test]
fn index_that_hides_a_record_and_a_damaged_page_of_statuses_are_found() {
    let project = Project::in_incident();
    project.apply().expect(0);
    let state = Connection::open(project.state_dir().join("state.db")).unwrap();
    let asked = |sql: &str| state.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    let index = asked("SELECT sql FROM sqlite_schema WHERE name = 'trail_object'");
    let alter = format!(
        "DROP INDEX trail_object; {index} WHERE kind <> 'StepIntended'; PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = '{index}' WHERE name = 'trail_object'"
    );
    project.alter(&alter);
    let list = project.undrift(&["audit", "list", "--object", &project.name]).expect(0).stdout;
    assert!(!list.contains("StepIntended"), "it is hidden: {list}");
    project.assert_differs("trail_object");
    project.alter("REINDEX");
    project.assert_trail_is_whole();

    state.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let page: u64 =
        asked("SELECT CAST(rootpage AS TEXT) FROM sqlite_schema WHERE name = 'objects'").parse().unwrap();
    drop(state);
    let file = File::options().write(true).open(project.state_dir().join("state.db")).unwrap();
    file.write_all_at(&[0; 100], (page - 1) * 4096).unwrap();
    project.assert_differs("state.db is damaged");
}

//! The command line beside a running daemon: what it asks over the control socket, and what it only reads.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    process::Stdio,
};

use serde_json::json;

use super::Daemon;
use crate::{
    processes::Running,
    support::{MANIFEST, Project, docker, wait_for},
};

/// A daemon that rests at a drift that the source has and no event tells of: the module has come since it gave up, and
/// its resync is minutes away.
fn at_rest_in_incident() -> (Project, Daemon) {
    let project = Project::new();
    project.compose(&["up", "-d", "--build"]);
    let daemon = Daemon::start_with(&project, &[]);
    // Once its events are subscribed to it looks once more, and no later than it looks for a person.
    wait_for("the subscription", || daemon.log().contains("change=Everything"));
    project.apply().expect(1);
    project.add_module("api", "workflow");
    (project, daemon)
}

#[test]
fn apply_has_the_daemon_work_and_reports_what_came_of_it() {
    let (project, _daemon) = at_rest_in_incident();
    let apply = project.apply().expect(0);
    let status = apply.status();
    let route = &status["services"][0]["routes"][0];
    assert_eq!(route["transition"], json!({ "before": 404, "after": 401 }));
    assert_eq!(apply.condition("Ready"), "True AsDeclared");
    for expected in ["api: artifact layer, ModuleMissing", "build api …", "Up succeeded", "404 → 401"] {
        assert!(apply.stderr.contains(expected), "{expected}: {}", apply.stderr);
    }
    assert_eq!(project.steps_that_counted(), ["Build", "Up"]);
    let actors: Vec<_> = project.trail().iter().map(|r| r["actor"].to_string()).collect();
    assert!(actors.iter().all(|actor| actor.ends_with(" run\"")), "the daemon did it: {actors:?}");
    project.assert_trail_is_whole();

    // What is as declared is reported as such, without a step.
    let again = project.with_manifest("apply", &[]).expect(0);
    assert_eq!(again.stdout.lines().count(), 1, "{}", again.stdout);
    assert!(again.stdout.contains("reconciled"));
    assert_eq!(project.steps_that_counted(), ["Build", "Up"]);
}

#[test]
fn apply_by_the_daemon_is_printed_as_text_too() {
    let (project, _daemon) = at_rest_in_incident();
    let apply = project.with_manifest("apply", &[]).expect(0);
    let summary: Vec<&str> = apply.stdout.lines().collect();
    assert!(summary[0].starts_with(&format!("{}  reconciled  (undrift incident show ", project.name)));
    assert_eq!(summary[1..], ["  api: route /api/workflow  404 → 401"]);
}

#[test]
fn apply_of_what_the_daemon_cannot_repair_is_reported_as_stalled() {
    let project = Project::new();
    project.compose(&["up", "-d", "--build"]);
    let _daemon = Daemon::start(&project);
    let apply = project.apply().expect(1);
    assert_eq!(apply.drift("api"), "source ModuleMissing");
    assert_eq!(apply.condition("Stalled"), "True ModuleMissing");
}

#[test]
fn apply_with_another_spec_than_the_daemons_is_refused() {
    let project = Project::healthy();
    let _daemon = Daemon::start(&project);
    let (trail, other) = (project.trail(), MANIFEST.replace("expect: [401]\n", "expect: [403]\n"));
    project.write("other.yaml", &other.replace("NAME", &project.name));
    let refused = project.undrift(&["apply", "-f", "other.yaml", "-o", "json"]).expect(2);
    let words = format!(
        "the running undrift watches {} as declared in undrift.yaml, which differs from what was given here",
        project.name
    );
    assert!(refused.stderr.contains(&words), "{}", refused.stderr);
    assert_eq!(refused.json()["reason"], "Refused");
    project.write("other.yaml", &MANIFEST.replace("NAME", "stranger"));
    let refused = project.undrift(&["apply", "-f", "other.yaml"]).expect(2);
    assert!(refused.stderr.contains("does not watch stranger"), "{}", refused.stderr);
    assert_eq!(project.trail(), trail);
}

#[test]
fn second_daemon_on_the_same_state_is_refused_with_the_holder_named() {
    let project = Project::healthy();
    let daemon = Daemon::start(&project);
    let mut second = Daemon::spawn(&mut project.command(&["run", "-f", "undrift.yaml"]), &project);
    wait_for("the second one to end", || second.child.try_wait().unwrap().is_some());
    assert_eq!(second.child.wait().unwrap().code(), Some(2));
    let holder = format!("is held by undrift run, process {}, since ", daemon.pid());
    assert!(second.log().contains(&holder), "{}", second.log());
    // It took nothing from the first.
    project.apply().expect(0);
    assert!(daemon.end().success());
}

/// All that the state holds, row by row, but for the cache and the times of the daemon's own looks, which it takes when the
/// engine tells it to.
fn held(project: &Project) -> Vec<String> {
    let state = rusqlite::Connection::open(project.state_dir().join("state.db")).unwrap();
    let column = |query: &str| -> Vec<String> {
        let mut query = state.prepare(query).unwrap();
        query.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let tables = column(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('cache', 'looks') ORDER BY name",
    );
    assert!(tables.iter().any(|table| table == "objects"), "{tables:?}");
    let rows = |table: &String| {
        let columns = column(&format!("SELECT name FROM pragma_table_info('{table}')"));
        let quoted: Vec<_> = columns.iter().map(|column| format!("quote({column})")).collect();
        column(&format!("SELECT '{table}: ' || {} FROM {table} ORDER BY 1", quoted.join(" || ', ' || ")))
    };
    let version = column("SELECT 'version ' || user_version FROM pragma_user_version");
    version.into_iter().chain(tables.iter().flat_map(rows)).collect()
}

#[test]
fn reading_beside_a_daemon_writes_nothing() {
    let project = Project::in_incident();
    let _daemon = Daemon::start(&project);
    let incident = project.wait_for_healed(1);
    wait_for("the end of it", || project.recorded()["conditions"][1]["reason"] == "Idle");
    let (held_before, containers) = (held(&project), project.containers("api"));
    for verb in ["check", "plan"] {
        project.with_manifest(verb, &[]).expect(0);
        project.with_manifest(verb, &["-o", "json"]).expect(0);
    }
    let name = project.name.as_str();
    for args in [
        &["get"][..],
        &["get", name, "-o", "json"],
        &["describe", name],
        &["audit", "list"],
        &["audit", "verify"],
        &["incident", "list"],
        &["incident", "show", &incident],
    ] {
        let read = project.undrift(args).expect(0);
        assert!(!read.stdout.is_empty(), "{args:?}");
    }
    let held_now = held(&project);
    let new: Vec<_> = held_now.iter().filter(|row| !held_before.contains(row)).collect();
    assert_eq!((new, held_now.len()), (vec![], held_before.len()));
    assert_eq!(project.containers("api"), containers);
}

#[test]
fn socket_is_its_owners_alone_and_gone_with_the_daemon() {
    let project = Project::healthy();
    let daemon = Daemon::start(&project);
    let socket = project.state_dir().join("control.sock");
    assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(project.state_dir().metadata().unwrap().permissions().mode() & 0o077, 0);
    assert!(daemon.end().success());
    assert!(!fs::exists(socket).unwrap());
}

/// A person's `apply` that the daemon has told something.
fn accepted_apply(project: &Project) -> Running {
    let mut command = project.command(&["apply", "-f", "undrift.yaml"]);
    let mut apply = Running(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(apply.0.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("api"), "{line}");
    apply
}

#[test]
fn person_who_is_killed_in_the_middle_is_not_missed() {
    let (project, daemon) = at_rest_in_incident();
    drop(accepted_apply(&project));
    wait_for("the repair to go on", || project.trail().iter().any(|record| record["kind"] == "Reconciled"));
    assert_eq!(project.steps_that_counted(), ["Build", "Up"]);
    project.apply().expect(0);
    docker(&["stop", "-t", "1", &project.containers("api")[0]]);
    project.wait_for_healed(2);
    assert!(daemon.end().success());
    project.assert_trail_is_whole();
}

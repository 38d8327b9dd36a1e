//! `suspend`, `resume` and `retry`, with a daemon and without one.

use serde_json::Value;
use undrift::{
    api::{Object, StandingReason},
    store::Store,
};

use super::Daemon;
use crate::support::{MANIFEST, Project, docker, wait_for};

const NO_DAEMON: &str = "no daemon runs on this state";

fn stop(project: &Project) {
    docker(&["stop", "-t", "1", &project.containers("api")[0]]);
}

/// The object's condition of this kind, as recorded.
fn condition(project: &Project, kind: &str) -> Value {
    let status = project.recorded();
    let all = status["conditions"].as_array().unwrap();
    all.iter().find(|condition| condition["type"] == kind).unwrap().clone()
}

fn wait_for_reason(project: &Project, kind: &str, reason: &str) {
    wait_for(reason, || condition(project, kind)["reason"] == reason);
}

fn records(project: &Project, kind: &str) -> Vec<Value> {
    project.trail().into_iter().filter(|record| record["kind"] == kind).collect()
}

#[test]
fn suspended_object_is_looked_at_and_not_touched_until_a_person_resumes_it() {
    let project = Project::healthy();
    let daemon = Daemon::start_every_second(&project);
    let name = project.name.as_str();
    let stdout = project.undrift(&["suspend", name, "--reason", "a migration"]).expect(0).stdout;
    assert!(stdout.starts_with(&format!("{name} is suspended: a migration (")), "{stdout}");
    assert!(stdout.contains("until it is resumed") && !stdout.contains(NO_DAEMON), "{stdout}");
    stop(&project);
    wait_for_reason(&project, "Reconciling", "Suspended");
    wait_for_reason(&project, "Ready", "DriftDetected");
    daemon.wait_for_looks(4);
    assert_eq!(project.steps(), [""; 0]);

    let message = condition(&project, "Reconciling")["message"].as_str().unwrap().to_owned();
    assert!(message.contains("a migration"), "{message}");
    let row = project.undrift(&["get"]).expect(0).stdout;
    assert!(row.contains("NotRunning (suspended)"), "{row}");
    let shown = project.undrift(&["describe", name]).expect(0).stdout;
    assert!(shown.contains("Suspended") && shown.contains("a migration"), "{shown}");
    let suspended = records(&project, "Suspended");
    assert_eq!(suspended[0]["evidence"]["reason"], "a migration");
    assert!(suspended[0]["actor"].as_str().unwrap().ends_with(" suspend"));

    let stdout = project.undrift(&["resume", name]).expect(0).stdout;
    assert!(stdout.contains("is resumed") && !stdout.contains(NO_DAEMON), "{stdout}");
    project.wait_for_healed(1);
    assert_eq!(project.steps(), ["Up"]);
    assert_eq!(records(&project, "Resumed")[0]["evidence"]["passed"], false);
    wait_for_reason(&project, "Reconciling", "Idle");
    drop(daemon);
    project.assert_trail_is_whole();
}

#[test]
fn suspension_holds_the_next_step_of_a_repair_that_is_under_way() {
    let project = Project::in_incident();
    let (name, before) = (project.name.as_str(), project.containers("api"));
    project.slow_down_build(8);
    let mut command = project.command(&["run", "-f", "undrift.yaml"]);
    let daemon = Daemon::spawn(&mut command, &project);
    project.wait_for_record("StepIntended");
    project.undrift(&["suspend", name, "--reason", "not now"]).expect(0);
    assert_eq!(records(&project, "StepFinished"), [Value::Null; 0], "the build is at work");
    wait_for_reason(&project, "Reconciling", "Suspended");
    assert_eq!(
        records(&project, "StepFinished"),
        [Value::Null; 0],
        "that is said at once, in the middle of the build"
    );
    project.wait_for_record("StepFinished");
    // What it was to do after the build it has done by its next decision, which it records.
    let store = Store::open_read_only(&project.state_dir()).unwrap().unwrap();
    let is_held = |object: Object| {
        let mut conditions = object.status.conditions.into_iter();
        conditions.any(|condition| condition.reason.is(StandingReason::Suspended))
    };
    wait_for("the next step to be held", || store.object(name).unwrap().is_some_and(is_held));
    project.undrift(&["resume", name]).expect(0);
    project.wait_for_healed(1);
    let kinds: Vec<_> = project.trail().iter().map(|record| record["kind"].clone()).collect();
    let at = |kind: &str| kinds.iter().rposition(|other| other == kind).unwrap();
    assert!(at("Resumed") < at("StepIntended"), "no step in between: {kinds:?}");
    assert_ne!(project.containers("api"), before);
    assert!(daemon.end().success());
    project.assert_trail_is_whole();
}

/// The resync is minutes away: the daemon itself knows when a suspension ends.
#[test]
fn suspension_that_has_passed_ends_by_itself() {
    let project = Project::healthy();
    let _daemon = Daemon::start(&project);
    let name = project.name.as_str();
    project.undrift(&["suspend", name, "--for", "10s", "--reason", "a look"]).expect(0);
    stop(&project);
    project.wait_for_healed(1);
    let order = ["Suspended", "DriftDetected", "Resumed", "StepIntended"];
    let kinds: Vec<_> = project.trail().iter().map(|r| r["kind"].as_str().unwrap().to_owned()).collect();
    let at = |kind: &str| kinds.iter().position(|other| other == kind).unwrap();
    assert!(order.is_sorted_by_key(|kind| at(kind)), "{kinds:?}");
    assert_eq!(records(&project, "Resumed")[0]["evidence"]["passed"], true);
    project.assert_trail_is_whole();
}

#[test]
fn suspension_outlives_the_daemon_that_received_it() {
    let project = Project::healthy();
    let daemon = Daemon::start(&project);
    let name = project.name.as_str();
    project.undrift(&["suspend", name, "--reason", "a migration"]).expect(0);
    assert!(daemon.end().success());
    stop(&project);
    let daemon = Daemon::start_with(&project, &[]);
    wait_for_reason(&project, "Reconciling", "Suspended");
    project.undrift(&["resume", name]).expect(0);
    project.wait_for_healed(1);
    assert!(daemon.end().success());
}

#[test]
fn retry_tries_a_stalled_object_again_with_a_new_budget() {
    let project = Project::in_incident();
    let (name, good) =
        (project.name.as_str(), std::fs::read_to_string(project.path("api/Dockerfile")).unwrap());
    // What is asked for in vain at a place that is no part of the build's source: its mend is not seen from outside.
    let compose = |target: &str| {
        let build = format!("{{ context: ./api, target: {target} }}");
        format!("services:\n  api: {{ build: {build}, init: true, stop_grace_period: 1s }}\n")
    };
    project.write(
        "api/Dockerfile",
        &good.replace("FROM undrift-example-base", "FROM undrift-example-base AS it"),
    );
    project.write("compose.yaml", &compose("nosuchstage"));
    project.manifest(&MANIFEST.replace("attempts: 3", "attempts: 1"));
    let daemon = Daemon::start(&project);
    project.wait_for_record("Stalled");
    assert_eq!(project.steps(), ["Build"]);

    let stdout = project.undrift(&["retry", name]).expect(0).stdout;
    assert!(stdout.contains("has a new budget") && !stdout.contains(NO_DAEMON), "{stdout}");
    wait_for("the second stall", || records(&project, "Stalled").len() == 2);
    assert_eq!(project.steps(), ["Build", "Build"], "tried once more, and no more");

    project.write("compose.yaml", &compose("it"));
    project.undrift(&["retry", name]).expect(0);
    project.wait_for_healed(1);
    assert_eq!(records(&project, "Retried").len(), 2);
    assert!(daemon.end().success());
    project.assert_trail_is_whole();
}

#[test]
fn without_a_daemon_they_are_recorded_and_its_absence_is_printed() {
    let project = Project::healthy();
    project.apply().expect(0);
    let name = project.name.as_str();
    for (args, kind) in [
        (&["suspend", name, "--reason", "a migration"][..], "Suspended"),
        (&["resume", name], "Resumed"),
        (&["retry", name], "Retried"),
    ] {
        let stdout = project.undrift(args).expect(0).stdout;
        assert!(stdout.contains(NO_DAEMON), "{stdout}");
        assert_eq!(records(&project, kind).len(), 1, "{kind}");
    }
    project.assert_trail_is_whole();
}

#[test]
fn unknown_name_is_refused_with_the_nearest() {
    let project = Project::healthy();
    let _daemon = Daemon::start(&project);
    let wrong = format!("{}x", project.name);
    for args in [&["suspend", &wrong, "--reason", "x"][..], &["resume", &wrong], &["retry", &wrong]] {
        let refused = project.undrift(args).expect(2);
        let words = format!("no object {wrong} is recorded; did you mean {}?", project.name);
        assert!(refused.stderr.contains(&words), "{}", refused.stderr);
    }
    let kinds: Vec<_> = project.trail().iter().map(|record| record["kind"].clone()).collect();
    assert_eq!(kinds, ["Started", "ManifestChanged"]);
}

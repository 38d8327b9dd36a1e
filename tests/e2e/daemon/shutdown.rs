//! The daemon is asked to end, or is killed, at the worst moments: what it leaves, and what the next one makes of it.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;

use super::{Daemon, engine_proxy::EngineProxy, watch, watching};
use crate::support::{MANIFEST, Project, SECOND_MODULE, wait_for};

/// How long a whole end may take beside a short grace period, which keeps no time for it: this test's own looks at whether the
/// process is gone, a second in which undrift waits for threads that hang, and a machine of two processors that builds for
/// other tests at the same time.
const AND_A_MOMENT: Duration = Duration::from_secs(5);

/// In the incident's state, with a build that takes a while.
fn with_a_build_of(seconds: u32) -> Project {
    let project = Project::in_incident();
    project.slow_down_build(seconds);
    project
}

fn wait_for_build(project: &Project) {
    wait_for("a build to be at work", || project.is_at("compose") && project.is_at(" build "));
}

/// Asks it to end; how long that took.
fn end(daemon: Daemon) -> Duration {
    let began = Instant::now();
    let log = daemon.log();
    let ended = daemon.end();
    assert!(ended.success(), "{ended}\n{log}");
    began.elapsed()
}

/// What must be so after any orderly end.
#[track_caller]
fn assert_ended(project: &Project) {
    let trail = project.trail();
    assert_eq!(trail.last().unwrap()["kind"], "Stopped");
    let reconciling = project.condition("Reconciling");
    // Before a first look is done there is no status at all.
    assert!(!reconciling.starts_with("True"), "nobody is at work: {reconciling}");
    assert_eq!(project.processes(), [""; 0], "nothing is left of its commands");
    project.assert_trail_is_whole();
}

/// The next daemon heals what is left, in the one incident that there is, with these steps in all.
#[track_caller]
fn assert_next_heals(project: &Project, steps: &[&str]) {
    next_heals(project);
    assert_eq!(project.steps_that_counted(), steps, "nothing is done twice");
}

#[track_caller]
fn next_heals(project: &Project) {
    heals(project, Daemon::start(project));
}

#[track_caller]
fn heals(project: &Project, daemon: Daemon) {
    let incident = project.wait_for_healed(1);
    end(daemon);
    let trail = project.trail();
    assert!(trail.iter().all(|r| r["incident"].is_null() || r["incident"] == incident.as_str()), "{trail:?}");
    assert_eq!(project.containers("api").len(), 1);
    assert_ended(project);
}

#[track_caller]
fn assert_outcome_of_the_build(project: &Project, outcome: &str) {
    let trail = project.trail();
    let build = trail.iter().find(|record| record["kind"] == "StepFinished").unwrap();
    assert_eq!((build["step"].as_str(), build["outcome"].as_str()), (Some("Build"), Some(outcome)));
}

#[test]
fn build_that_outlasts_the_grace_period_is_ended_and_recorded() {
    let project = with_a_build_of(600);
    let daemon = watch(&project, &["--grace-period", "1s"]);
    wait_for_build(&project);
    let took = end(daemon);
    assert!(took < Duration::from_secs(1) + AND_A_MOMENT, "{took:?}");
    assert_outcome_of_the_build(&project, "Cancelled");
    assert_ended(&project);

    let dockerfile = fs::read_to_string(project.path("api/Dockerfile")).unwrap();
    project.write("api/Dockerfile", &dockerfile.replace("RUN sleep 600\n", ""));
    assert_next_heals(&project, &["Build", "Build", "Up"]);
}

/// In place of `docker` in the daemon's `PATH`: a build by Compose that does not end when it is asked to.
const STUBBORN: &str = r#"#!/bin/sh
case "$*" in
compose*" build "*)
    trap '' TERM
    while :; do sleep 0.1; done
    ;;
esac
exec DOCKER "$@"
"#;

#[test]
fn command_that_must_be_killed_ends_within_the_grace_period_too() {
    let project = Project::in_incident();
    let path = std::env::var_os("PATH").unwrap();
    let docker = std::env::split_paths(&path).map(|folder| folder.join("docker")).find(|file| file.exists());
    project.write("../bin/docker", &STUBBORN.replace("DOCKER", docker.unwrap().to_str().unwrap()));
    let bin = project.path("../bin");
    fs::set_permissions(bin.join("docker"), fs::Permissions::from_mode(0o755)).unwrap();
    let grace = Duration::from_secs(18);
    let mut command = watching(&project, &["--grace-period", "18s"]);
    let with_it = std::env::join_paths([bin].into_iter().chain(std::env::split_paths(&path))).unwrap();
    let daemon = Daemon::spawn(command.env("PATH", with_it), &project).started();
    wait_for_build(&project);
    let took = end(daemon);
    assert!(took >= Duration::from_secs(10), "it was not killed at once: {took:?}");
    assert!(took < grace, "{took:?}");
    assert_outcome_of_the_build(&project, "Cancelled");
    assert_ended(&project);
}

#[test]
fn build_within_the_grace_period_has_its_time_and_its_outcome() {
    let project = with_a_build_of(4);
    let daemon = watch(&project, &["--grace-period", "1m"]);
    wait_for_build(&project);
    end(daemon);
    assert_outcome_of_the_build(&project, "Succeeded");
    assert_eq!(project.steps(), ["Build"], "no step begins any more");
    assert_ended(&project);
    assert_next_heals(&project, &["Build", "Up"]);
}

#[test]
fn verification_ends_at_once() {
    let project = Project::healthy();
    project.manifest(&MANIFEST.replace("stableFor: 1s", "stableFor: 1h"));
    let daemon = watch(&project, &[]);
    daemon.wait_for_log("next=Verify");
    let took = end(daemon);
    assert!(took < AND_A_MOMENT, "{took:?}");
    assert!(project.trail().iter().all(|record| record["kind"] != "Verified"), "it is not proven");
    assert_ended(&project);
}

#[test]
fn backoff_ends_at_once() {
    let project = Project::in_incident();
    project.write("api/Dockerfile", "FROM undrift-example-base\nRUN false\n");
    project.manifest(&MANIFEST.replace("initial: 200ms, max: 1s", "initial: 1h, max: 1h"));
    let daemon = watch(&project, &[]);
    daemon.wait_for_log("next=Wait");
    let took = end(daemon);
    assert!(took < AND_A_MOMENT, "{took:?}");
    assert_outcome_of_the_build(&project, "Failed");
    assert_ended(&project);
}

#[test]
fn look_at_an_engine_that_hangs_ends_with_the_grace_period() {
    let (project, proxy) = (Project::healthy(), EngineProxy::new());
    proxy.hang();
    let daemon = proxy.watch(&project, &["--grace-period", "500ms"]);
    wait_for("it to ask", || proxy.in_vain() > 0);
    let took = end(daemon);
    assert!(took < AND_A_MOMENT, "{took:?}");
    assert_ended(&project);
}

#[test]
fn killed_before_its_first_look_is_done() {
    let (project, proxy) = (Project::in_incident(), EngineProxy::new());
    proxy.hang();
    let daemon = proxy.watch(&project, &[]);
    wait_for("it to ask", || proxy.in_vain() > 0);
    daemon.kill();
    // What it had Compose ask waits for an engine that hangs, as long as that does.
    drop(proxy);
    wait_for("its questions to end", || project.processes().is_empty());
    assert_next_heals(&project, &["Build", "Up"]);
}

#[test]
fn killed_in_a_build() {
    let project = with_a_build_of(8);
    let before = project.image();
    let daemon = watch(&project, &[]);
    wait_for_build(&project);
    daemon.kill();
    let first = project.who_is_at(" build ");
    assert!(!first.is_empty(), "it is at work on its own");
    // Which waits for the end of it, and then takes a look before it does anything.
    let next = watch(&project, &[]);
    wait_for("the first build to end", || !first.iter().any(|process| process.exists()));
    // It ends when it finds that nobody reads what it prints, and may have made its image before that.
    let steps: &[&str] = if project.image() == before { &["Build", "Build", "Up"] } else { &["Build", "Up"] };
    heals(&project, next);
    assert_eq!(project.steps_that_counted(), steps, "nothing is done twice");
    assert_interrupted(&project, "Build");
}

#[test]
fn killed_after_a_build_whose_outcome_is_not_written() {
    let project = Project::in_incident();
    let before = project.image();
    let daemon = watch(&project, &[]);
    project.sql(&full_for("StepFinished", "Build"));
    // Where there is no room for the outcome there is none for its end as interrupted either.
    project.sql(&full_for("StepInterrupted", "Build").replace("full", "still_full"));
    daemon.wait_for_log("the disk is full");
    daemon.kill();
    project.sql("DROP TRIGGER full; DROP TRIGGER still_full");
    // The image is there: it is not built again. Where the engine answered from a stale cache it is not, and no output
    // of that build is in the trail to tell it by.
    let steps: &[&str] = if project.image() == before { &["Build", "Build", "Up"] } else { &["Build", "Up"] };
    next_heals(&project);
    assert_eq!(project.steps(), steps, "nothing is done twice");
    let trail = project.trail();
    let past_the_cache = |r: &&Value| r["kind"] == "StepIntended" && r["evidence"]["noCache"] == true;
    assert_eq!(
        trail.iter().filter(past_the_cache).count(),
        steps.len() - 2,
        "a second build is past a stale cache"
    );
    assert_interrupted(&project, "Build");
}

/// No record of this kind can be written about this step.
fn full_for(kind: &str, step: &str) -> String {
    format!(
        "CREATE TRIGGER full BEFORE INSERT ON trail WHEN NEW.kind = '{kind}' AND NEW.step = '{step}'
         BEGIN SELECT RAISE(FAIL, 'the disk is full'); END"
    )
}

#[test]
fn killed_between_build_and_up() {
    let project = Project::in_incident();
    let daemon = watch(&project, &[]);
    // It comes as far as the intent of the next step, and no further.
    project.sql(&full_for("StepIntended", "Up"));
    project.wait_for_record("StepFinished");
    daemon.kill();
    project.sql("DROP TRIGGER full");
    assert_next_heals(&project, &["Build", "Up"]);
}

#[test]
fn killed_in_an_up() {
    let project = Project::in_incident();
    project.be_stubborn(4);
    project.add_module("api", "invoices");
    project.manifest(&MANIFEST.replace("workflow }]", SECOND_MODULE));
    let daemon = watch(&project, &[]);
    wait_for("the recreate", || project.is_at(" up ") && project.containers("api").len() == 2);
    daemon.kill();
    wait_for("the up that is on its own to end", || !project.is_at(" up "));
    // As far as it came before it ended, the next one has nothing to do or the rest.
    let steps: &[&str] = if project.runs_its_image() { &["Build", "Up"] } else { &["Build", "Up", "Up"] };
    assert_next_heals(&project, steps);
    assert_interrupted(&project, "Up");
}

#[test]
fn killed_in_the_verification() {
    let project = Project::in_incident();
    project.manifest(&MANIFEST.replace("stableFor: 1s", "stableFor: 5s"));
    let daemon = watch(&project, &[]);
    daemon.wait_for_log("next=Verify");
    daemon.kill();
    assert!(project.trail().iter().all(|record| record["kind"] != "Verified"), "it was in the proof");
    assert_next_heals(&project, &["Build", "Up"]);
}

/// Asserts that the one intent that was open was closed, and which it was.
#[track_caller]
fn assert_interrupted(project: &Project, step: &str) {
    let trail = project.trail();
    let interrupted: Vec<_> = trail.iter().filter(|record| record["kind"] == "StepInterrupted").collect();
    assert_eq!(interrupted.len(), 1);
    assert_eq!(interrupted[0]["step"], step);
}

#[test]
fn second_signal_while_it_ends_changes_nothing() {
    let project = with_a_build_of(4);
    let daemon = watch(&project, &["--grace-period", "1m"]);
    wait_for_build(&project);
    daemon.signal(Signal::TERM);
    daemon.wait_for_log("ending");
    end(daemon);
    assert_outcome_of_the_build(&project, "Succeeded");
    assert_ended(&project);
}

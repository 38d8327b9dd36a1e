//! undrift killed, the engine away, a step that hangs, someone else at work.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;

use crate::{
    daemon::engine_proxy::EngineProxy,
    processes::Running,
    support::{MANIFEST, Project, SECOND_MODULE, docker, run, wait_for},
};

/// Starts `apply`; what it says is for who wants it.
fn start(project: &Project) -> Running {
    let mut command = project.command(&["apply", "-f", "undrift.yaml"]);
    Running(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
}

/// Starts `apply` and returns when its standard error has said this.
fn apply_until(project: &Project, text: &str) -> Running {
    let mut apply = start(project);
    let mut stderr = BufReader::new(apply.0.stderr.take().unwrap());
    let mut all = String::new();
    while !all.contains(text) {
        let read = stderr.read_line(&mut all).unwrap();
        assert!(read > 0, "undrift ended before it said {text:?}:\n{all}");
    }
    apply.0.stderr = Some(stderr.into_inner());
    apply
}

/// Starts `apply` and returns when Compose is at this for it.
fn apply_until_at(project: &Project, words: &str) -> Running {
    let apply = start(project);
    wait_for(words, || project.is_at(words));
    apply
}

/// The next `apply` closes this one intent, heals the rest within the incident that there is, and has then taken these
/// steps in all.
#[track_caller]
fn assert_next_heals(project: &Project, interrupted: &[&str], steps: &[&str]) {
    let apply = project.apply().expect(0);
    assert_eq!(apply.drift("api"), "");
    assert_eq!(project.steps_that_counted(), steps, "nothing is done twice");
    let trail = project.trail();
    let closed = trail.iter().filter(|record| record["kind"] == "StepInterrupted");
    assert_eq!(closed.map(|record| record["step"].as_str().unwrap()).collect::<Vec<_>>(), interrupted);
    let incident = &apply.status()["incident"];
    assert!(trail.iter().all(|r| r["incident"].is_null() || r["incident"] == *incident), "{trail:?}");
    assert_eq!(project.containers("api").len(), 1, "nothing doubled");
    project.assert_trail_is_whole();
}

#[test]
fn killed_between_build_and_up_converges_at_the_next_apply() {
    let project = Project::in_incident();
    drop(apply_until(&project, "Build succeeded"));
    assert_eq!(project.steps(), ["Build"], "it has not come to the next one");
    assert_next_heals(&project, &[], &["Build", "Up"]);
}

#[test]
fn killed_in_the_build_is_closed_as_interrupted() {
    let project = Project::in_incident();
    project.slow_down_build(4);
    let before = project.image();
    drop(apply_until_at(&project, " build "));
    assert_eq!(project.steps(), ["Build"]);
    wait_for("the build that is on its own to end", || !project.is_at(" build "));
    // It ends when it finds that nobody reads what it prints, and may have made its image before that.
    let steps: &[&str] = if project.image() == before { &["Build", "Build", "Up"] } else { &["Build", "Up"] };
    assert_next_heals(&project, &["Build"], steps);
}

#[test]
fn killed_during_up_converges_at_the_next_apply() {
    let project = Project::in_incident();
    project.be_stubborn(4);
    project.add_module("api", "invoices");
    project.manifest(&MANIFEST.replace("workflow }]", SECOND_MODULE));
    let apply = apply_until_at(&project, " up ");
    wait_for("the recreate", || project.containers("api").len() == 2);
    drop(apply);
    wait_for("the up that is on its own to end", || !project.is_at(" up "));
    // As far as it came before it ended, the next one has nothing to do or the rest.
    let steps: &[&str] = if project.runs_its_image() { &["Build", "Up"] } else { &["Build", "Up", "Up"] };
    assert_next_heals(&project, &["Up"], steps);
}

/// `docker compose up` by hand, in a process group of its own.
fn up_by_hand(project: &Project) -> Running {
    use std::os::unix::process::CommandExt as _;
    let mut up = Command::new("docker");
    up.args(["compose", "--project-name", &project.name, "up", "-d"]).current_dir(project.path(""));
    Running(up.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

#[test]
fn someone_elses_up_is_let_finish() {
    let project = Project::healthy();
    project.be_stubborn(10);
    let compose = std::fs::read_to_string(project.path("compose.yaml")).unwrap();
    project.write("compose.yaml", &compose.replace(" }", ", labels: { a: b } }"));
    let count = || project.containers("api").len();
    let mut other = up_by_hand(&project);
    wait_for("the other up to be at work", || count() == 2);
    let apply = project.apply().expect(0);
    assert!(other.0.wait().unwrap().success(), "the other up was not disturbed");
    assert_eq!(count(), 1);
    assert!(apply.stderr.contains("another Compose command"), "{}", apply.stderr);
    assert_eq!(project.steps(), [""; 0], "the other one has done the work");
}

#[test]
fn leftover_of_a_killed_recreate_is_removed_first() {
    let project = Project::in_incident();
    project.be_stubborn(10);
    let old = project.containers("api").remove(0);
    project.add_module("api", "invoices");
    project.rebuild();
    // Compose is killed in the middle of a recreate: its replacement is created and the old one not yet stopped.
    let mut up = up_by_hand(&project);
    wait_for("the replacement to be created", || project.containers("api").len() == 2);
    // Not kill(1): procps' reads a group whose number begins with 1 as "-1", which is everyone.
    kill_process_group(Pid::from_child(&up.0), Signal::KILL).unwrap();
    up.0.wait().unwrap();
    let new = project.containers("api").into_iter().find(|id| *id != old).unwrap();
    let left = docker(&["inspect", "-f", "{{.Name}} {{.State.Status}}", &new]);
    let leftover = format!("{}_{}-api-1", &old[..12], project.name);
    assert_eq!(left.trim(), format!("/{leftover} created"));

    project.apply().expect(0);
    assert_eq!(project.steps(), ["Up"]);
    let trail = project.trail();
    let up = trail.iter().find(|record| record["kind"] == "StepFinished").unwrap();
    let note = format!("removed {leftover}, which a killed recreate left behind");
    assert_eq!(up["evidence"]["notes"], serde_json::json!([note]));
    assert_eq!(project.containers("api").len(), 1);
    assert!(project.runs_its_image());
    project.assert_trail_is_whole();
}

/// The outcomes of the steps that ended, in order.
fn outcomes(trail: &[Value]) -> Vec<&str> {
    let ended = trail.iter().filter(|record| record["kind"] == "StepFinished");
    ended.map(|record| record["outcome"].as_str().unwrap()).collect()
}

#[test]
fn terminated_in_a_build_leaves_its_outcome_in_the_trail() {
    let project = Project::in_incident();
    project.write("api/Dockerfile", "FROM undrift-example-base\nRUN sleep 600\n");
    let mut apply = apply_until_at(&project, " build ");
    kill_process(Pid::from_child(&apply.0), Signal::INT).unwrap();
    assert_eq!(apply.0.wait().unwrap().code(), Some(1));
    assert_eq!(outcomes(&project.trail()), ["Cancelled"]);
    assert_eq!(project.steps(), ["Build"]);
    assert_eq!(project.processes(), [""; 0], "nothing is left of its command");
    project.assert_trail_is_whole();
}

#[test]
fn build_that_hangs_is_ended_at_its_limit() {
    let project = Project::in_incident();
    project.write("api/Dockerfile", "FROM undrift-example-base\nRUN sleep 600\n");
    project.manifest(&MANIFEST.replace("    attempts: 3", "    attempts: 1\n    buildTimeout: 3s"));
    let apply = project.apply().expect(1);
    assert_eq!(apply.condition("Stalled"), "True BudgetSpent");
    assert_eq!(outcomes(&project.trail()), ["TimedOut"]);
    assert_eq!(project.steps(), ["Build"]);
    project.assert_trail_is_whole();
}

#[test]
fn engine_away_is_an_error_and_no_drift() {
    let project = Project::healthy();
    let proxy = EngineProxy::new();
    let at_engine = |verb: &str, address: &str| {
        run(project.command(&[verb, "-f", "undrift.yaml", "-o", "json"]).env("DOCKER_HOST", address))
    };
    let address = proxy.docker_host();
    at_engine("apply", &address).expect(0);
    let records = project.trail().len();
    // Another address says nothing of what was recorded at this one.
    at_engine("apply", "unix:///nowhere/docker.sock").expect(2);
    assert_eq!(project.undrift(&["get", "-o", "json"]).expect(0).condition("Ready"), "True AsDeclared");
    proxy.cut();
    for verb in ["check", "plan", "apply"] {
        let away = at_engine(verb, &address).expect(2);
        assert_eq!(away.condition("Ready"), "Unknown EngineUnavailable", "{}", away.stdout);
        let service = &away.status()["services"][0];
        assert_eq!(service["drift"], serde_json::json!(null), "no drift is claimed");
        let conditions = service["conditions"].as_array().unwrap();
        let statuses: Vec<_> = conditions.iter().map(|condition| condition["status"].clone()).collect();
        assert_eq!(statuses, ["Unknown"; 6], "{conditions:?}");
        assert!(away.stderr.contains(address.trim_start_matches("unix://")), "{}", away.stderr);
    }
    assert_eq!(project.trail().len(), records, "nothing was done, so nothing is told");
    let get = project.undrift(&["get", "-o", "json"]).expect(0);
    let ready = get.condition("Ready");
    assert_eq!(ready, "Unknown EngineUnavailable", "what was recorded is not known to be so any more");
    proxy.restore();
    let again = at_engine("apply", &address).expect(0);
    assert_eq!(again.condition("Ready"), "True AsDeclared", "and it is seen again");
}

#[test]
fn second_apply_names_who_holds_the_state() {
    let project = Project::in_incident();
    project.write("api/Dockerfile", "FROM undrift-example-base\nRUN sleep 600\n");
    let mut apply = apply_until_at(&project, " build ");
    let second = project.apply().expect(2);
    let holder = format!("process {}, ", apply.0.id());
    assert!(second.stderr.contains(&holder), "{}", second.stderr);
    assert_eq!(project.steps(), ["Build"], "it took nothing from the first");
    kill_process(Pid::from_child(&apply.0), Signal::INT).unwrap();
    assert_eq!(apply.0.wait().unwrap().code(), Some(1));
}

#[test]
fn unset_variable_is_an_error_before_any_step() {
    let project = Project::in_incident();
    project.write(
        "compose.yaml",
        "services:\n  api: { build: ./api, init: true, environment: { KEY: \"${UNDRIFT_E2E_UNSET}\" } }\n",
    );
    for verb in ["check", "apply"] {
        let run = project.with_manifest(verb, &[]).expect(2);
        assert!(run.stderr.contains("UNDRIFT_E2E_UNSET"), "{}", run.stderr);
    }
    assert_eq!(project.steps(), [""; 0]);
}

#[test]
fn service_that_compose_does_not_have_is_named_with_its_place() {
    let project = Project::healthy();
    project.manifest(&MANIFEST.replace("- name: api", "- name: apo"));
    let run = project.with_manifest("check", &[]).expect(2);
    assert!(run.stderr.contains("undrift.yaml:7:") && run.stderr.contains("api"), "{}", run.stderr);
}

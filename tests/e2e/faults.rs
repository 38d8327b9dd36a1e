//! undrift killed, the engine away, a step that hangs, someone else at work.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Stdio},
};

use crate::support::{MANIFEST, Project, run, wait_for};

/// Starts `apply` and returns when its standard error has said this.
fn apply_until(project: &Project, said: &str) -> Child {
    let mut command = project.command(&["apply", "-f", "undrift.yaml"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut all = String::new();
    while !all.contains(said) {
        let read = stderr.read_line(&mut all).unwrap();
        assert!(read > 0, "undrift ended before it said {said:?}:\n{all}");
    }
    child.stderr = Some(stderr.into_inner());
    child
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn killed_between_build_and_up_converges_at_the_next_apply() {
    let project = Project::in_incident();
    kill(apply_until(&project, "Build succeeded"));
    project.apply().expect(0);
    project.assert_trail_is_whole();
}

#[test]
fn killed_in_the_build_is_closed_as_interrupted() {
    let project = Project::in_incident();
    let child = apply_until(&project, "docker compose build");
    kill(child);
    let apply = project.apply().expect(0);
    assert_eq!(apply.drift("api"), "");
    let trail = project.trail();
    assert!(trail.iter().any(|record| record["kind"] == "StepInterrupted"), "{trail:?}");
    project.assert_trail_is_whole();
}

#[test]
fn killed_during_up_converges_at_the_next_apply() {
    let project = Project::in_incident();
    let child = apply_until(&project, "docker compose up");
    kill(child);
    let apply = project.apply().expect(0);
    assert_eq!(apply.drift("api"), "");
    assert_eq!(project.containers("api").len(), 1, "nothing doubled");
    project.assert_trail_is_whole();
}

#[test]
fn someone_elses_up_is_let_finish() {
    let project = Project::healthy();
    // The old container takes its time to stop, so that the other `up` is in the middle of its recreate.
    project.write("api/serve", &crate::support::SERVE.replace("exec httpd -f", "trap '' TERM; httpd -f"));
    project.write("compose.yaml", "services:\n  api: { build: ./api, stop_grace_period: 4s }\n");
    project.compose(&["up", "-d", "--build"]);
    project.write(
        "compose.yaml",
        "services:\n  api: { build: ./api, stop_grace_period: 4s, labels: { a: b } }\n",
    );
    let count = || project.containers("api").len();
    let mut other = std::process::Command::new("docker");
    other.args(["compose", "--project-name", &project.name, "up", "-d"]).current_dir(project.path(""));
    let mut other = other.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("the other up to be at work", || count() == 2);
    let apply = project.apply().expect(0);
    assert!(other.wait().unwrap().success(), "the other up was not disturbed");
    assert_eq!(count(), 1);
    assert!(apply.stderr.contains("another Compose command"), "{}", apply.stderr);
    assert_eq!(project.steps(), [""; 0], "the other one has done the work");
}

#[test]
fn leftover_of_a_killed_recreate_is_removed_first() {
    let project = Project::in_incident();
    project.compose(&["build"]);
    // Compose is killed in the middle of a recreate: its replacement is created and the old one not yet removed.
    let old = project.containers("api");
    let mut up = std::process::Command::new("docker");
    up.args(["compose", "--project-name", &project.name, "up", "-d"]).current_dir(project.path(""));
    let mut up = {
        use std::os::unix::process::CommandExt;
        up.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    wait_for("the replacement to be created", || {
        project.containers("api").len() > 1 || project.containers("api") != old
    });
    // Not kill(1): procps' reads a group whose number begins with 1 as "-1", which is everyone.
    let group = rustix::process::Pid::from_child(&up);
    rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
    up.wait().unwrap();
    project.apply().expect(0);
    assert_eq!(project.containers("api").len(), 1);
    project.assert_trail_is_whole();
}

#[test]
fn terminated_in_a_build_leaves_its_outcome_in_the_trail() {
    let project = Project::in_incident();
    project.write("api/Dockerfile", "FROM undrift-example-base\nRUN sleep 600\n");
    let mut child = apply_until(&project, "docker compose build");
    let status = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    let ended = child.wait().unwrap();
    assert_eq!(ended.code(), Some(1));
    let trail = project.trail();
    let finished = trail.iter().find(|record| record["kind"] == "StepFinished").expect("an outcome");
    assert_eq!(finished["outcome"], "Cancelled");
    project.assert_trail_is_whole();
}

#[test]
fn build_that_hangs_is_ended_at_its_limit() {
    let project = Project::in_incident();
    project.write("api/Dockerfile", "FROM undrift-example-base\nRUN sleep 600\n");
    project.manifest(&MANIFEST.replace("    attempts: 3", "    attempts: 1\n    buildTimeout: 3s"));
    let apply = project.apply().expect(1);
    assert_eq!(apply.condition("Stalled"), "True BudgetSpent");
    let trail = project.trail();
    assert!(trail.iter().any(|record| record["outcome"] == "TimedOut"), "{trail:?}");
}

#[test]
fn engine_away_is_an_error_and_no_drift() {
    let project = Project::healthy();
    project.apply().expect(0);
    let records = project.trail().len();
    for verb in ["check", "plan", "apply"] {
        let mut command = project.command(&[verb, "-f", "undrift.yaml", "-o", "json"]);
        let away = run(command.env("DOCKER_HOST", "unix:///nowhere/docker.sock")).expect(2);
        assert!(away.condition("Ready").starts_with("Unknown EngineUnavailable"), "{}", away.stdout);
        let service = &away.status()["services"][0];
        assert_eq!(service["drift"], serde_json::json!(null), "no drift is claimed");
        let conditions = service["conditions"].as_array().unwrap();
        assert!(conditions.iter().all(|condition| condition["status"] == "Unknown"), "{conditions:?}");
        assert!(away.stderr.contains("/nowhere/docker.sock"), "{}", away.stderr);
    }
    assert_eq!(project.trail().len(), records, "nothing was done, so nothing is told");
    let get = project.undrift(&["get", "-o", "json"]).expect(0);
    assert!(
        get.condition("Ready").starts_with("Unknown"),
        "what was recorded is not known to be so any more"
    );
    assert!(project.apply().expect(0).condition("Ready").starts_with("True"), "and it is seen again");
}

#[test]
fn second_apply_says_who_holds_the_state() {
    let project = Project::in_incident();
    project.write("api/Dockerfile", "FROM undrift-example-base\nRUN sleep 600\n");
    let mut child = apply_until(&project, "docker compose build");
    let second = project.apply().expect(2);
    assert!(second.stderr.contains(&child.id().to_string()), "{}", second.stderr);
    let _ = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    child.wait().unwrap();
    let mut rest = String::new();
    child.stderr.take().unwrap().read_to_string(&mut rest).unwrap();
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

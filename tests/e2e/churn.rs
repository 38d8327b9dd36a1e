//! A service that is restarted again and again, and looks healthy in between.

use chrono::TimeDelta;
use serde_json::Value;
use undrift::api::Time;

use crate::{
    daemon::Daemon,
    support::{Project, docker, inspect, wait_for},
};

/// A service from the base image that runs this, and more than one restart of which is too many.
fn project(command: &str) -> Project {
    let project = Project::new();
    project.write(
        "compose.yaml",
        &format!(
            "services:\n  api: {{ image: undrift-example-base, init: true, restart: always, stop_grace_period: 0s, \
             command: ['sh', '-c', '{command}'] }}\n"
        ),
    );
    project.manifest(
        "apiVersion: undrift.dev/v1alpha1\nkind: ComposeProject\nmetadata: { name: NAME }\nspec:\n  \
         project: { directory: ., name: NAME }\n  services: [{ name: api }]\n  reconcile:\n    \
         interval: 1s\n    churn: { restarts: 2, within: 1h }\n    verify: { timeout: 60s, stableFor: 1s }\n",
    );
    project
}

/// The condition `Stable` of the service, as `status reason`.
fn stable(status: &Value) -> Option<String> {
    let conditions = status["services"][0]["conditions"].as_array()?;
    let stable = conditions.iter().find(|condition| condition["type"] == "Stable")?;
    Some(format!("{} {}", stable["status"].as_str()?, stable["reason"].as_str()?))
}

fn recorded(project: &Project) -> Value {
    project.undrift(&["get", "-o", "json"]).status()
}

const OFTEN: &str = "False RestartsOften";

#[test]
fn restarts_by_the_engine_are_reported_and_change_neither_readiness_nor_the_container() {
    let project = project("echo >> /runs; [ $$(wc -l < /runs) -gt 2 ] || exit 1; exec sleep 1000");
    project.compose(&["up", "-d"]);
    let id = project.containers("api")[0].clone();
    // So long after the last one it is no crash loop any more: it looks healthy.
    wait_for("both restarts, long ago", || {
        let found = inspect(&id, "{{.RestartCount}} {{.State.StartedAt}}").unwrap();
        let (count, started) = found.split_once(' ').unwrap();
        count == "2" && chrono::Utc::now() - started.parse::<Time>().unwrap() > TimeDelta::seconds(11)
    });
    let daemon = Daemon::start(&project);
    wait_for("the report", || stable(&recorded(&project)).as_deref() == Some(OFTEN));
    project.undrift(&["wait", &project.name, "--timeout", "100s"]).expect(0);
    let words = "api: RestartsOften: ";
    assert!(project.undrift(&["get"]).expect(0).stdout.contains(words));
    assert!(project.undrift(&["describe", &project.name]).expect(0).stdout.contains("RestartsOften"));
    drop(daemon);
    // Also without a recorded state: all restarts are of the container's short life.
    std::fs::remove_dir_all(project.state_dir()).unwrap();
    let check = project.with_manifest("check", &[]).expect(0).stdout;
    assert!(
        check.contains("api: RestartsOften  ") && check.contains("restarted 2 times within 1h"),
        "{check}"
    );
    assert_eq!((project.containers("api"), project.steps()), (vec![id], Vec::new()));
}

/// The engine's count is 0 after each of these.
#[test]
fn restarts_by_hand_count_across_restarts_of_undrift_and_undrifts_own_steps_do_not() {
    let project = project("exec sleep 1000");
    project.apply().expect(0);
    let counted = |expected: &str| {
        let run = project.apply().expect(0);
        assert_eq!(stable(&run.status()).as_deref(), Some(expected), "{}", run.stdout);
        assert_eq!(run.condition("Ready"), "True AsDeclared");
    };
    let id = project.containers("api")[0].clone();
    docker(&["restart", "-t", "0", &id]);
    counted("True AsDeclared");
    // undrift starts it again: a drift that is repaired, and no restart.
    docker(&["stop", "-t", "0", &id]);
    counted("True AsDeclared");
    docker(&["restart", "-t", "0", &id]);
    assert_eq!(inspect(&id, "{{.RestartCount}}").as_deref(), Some("0"));
    counted(OFTEN);
    assert_eq!(project.containers("api"), [id]);
}

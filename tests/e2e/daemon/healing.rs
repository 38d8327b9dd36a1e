//! What goes wrong on the host is noticed and healed without a command, and what is fine or meant is left alone.

use std::time::Instant;

use serde_json::Value;
use undrift::{api::Time, store::Store};

use super::Daemon;
use crate::support::{Project, SERVE, docker, every_second, inspect, wait_for};

/// Layer and reason of each drift that the trail tells of.
fn drifts(project: &Project) -> Vec<String> {
    let trail = project.trail();
    let detected = trail.iter().filter(|record| record["kind"] == "DriftDetected");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    detected
        .map(|r| format!("{} {}", text(&r["evidence"]["layer"]), text(&r["evidence"]["reason"])))
        .collect()
}

fn state_of(id: &str) -> String {
    inspect(id, "{{.State.Status}}").unwrap_or_default()
}

/// When the recorded status was last written.
fn status_since(project: &Project) -> Vec<Time> {
    let store = Store::open_read_only(&project.state_dir()).unwrap().unwrap();
    store.recorded_at().unwrap().into_values().collect()
}

#[test]
fn stopped_container_is_started_again() {
    let project = Project::healthy();
    let daemon = Daemon::start(&project);
    docker(&["stop", "-t", "1", &project.containers("api")[0]]);
    project.wait_for_healed(1);
    assert_eq!(project.steps(), ["Up"]);
    assert!(daemon.end().success());
    project.assert_trail_is_whole();
}

#[test]
fn removed_container_is_created_again() {
    let project = Project::healthy();
    let daemon = Daemon::start(&project);
    let before = project.containers("api");
    docker(&["rm", "-f", &before[0]]);
    project.wait_for_healed(1);
    // What it met first depends on how long the engine takes to remove it; in the end it is missing.
    assert_eq!(
        drifts(&project).last().map(String::as_str),
        Some("container Missing"),
        "{:#?}",
        project.trail()
    );
    assert_eq!(project.steps(), ["Up"], "{:#?}", project.trail());
    let after = project.containers("api");
    assert_ne!(after, before);
    assert_eq!(state_of(&after[0]), "running");
    drop(daemon);
    project.assert_trail_is_whole();
}

/// Engine 28 lists a container that is being removed as one that has exited, and refuses to start it.
#[test]
fn container_whose_removal_takes_its_time_is_created_again_when_it_is_gone() {
    let project = Project::new();
    project.add_module("api", "workflow");
    let files = "(mkdir /many; cd /many; seq 10000 | xargs touch; touch /made) &\n";
    project.write("api/serve", &format!("{files}{SERVE}"));
    project.compose(&["up", "-d", "--build"]);
    let container = project.containers("api")[0].clone();
    wait_for("its files", || docker(&["exec", &container, "sh", "-c", "ls /made || true"]).contains("/made"));
    let daemon = Daemon::start(&project);
    docker(&["rm", "-f", &container]);
    project.wait_for_healed(1);
    assert_eq!(project.steps(), ["Up"], "{:#?}", project.trail());
    drop(daemon);
    project.assert_trail_is_whole();
}

/// `BuildKit` emits no event on this engine, and the resync is minutes away: only the poll of the images can tell.
#[test]
fn image_that_was_built_by_hand_is_put_into_effect() {
    let project = Project::healthy();
    let daemon = Daemon::start_with(&project, &["--image-period", "1s"]);
    let before = project.containers("api");
    project.add_module("api", "billing");
    project.rebuild();
    project.wait_for_healed(1);
    assert_eq!(drifts(&project), ["container ImageOutdated"]);
    assert_eq!(project.steps(), ["Up"], "what is built is not built again");
    let after = project.containers("api");
    assert_ne!(after, before);
    docker(&["exec", &after[0], "test", "-e", "/app/dist/modules/billing/index"]);
    drop(daemon);
    project.assert_trail_is_whole();
}

/// By the resync or by the watch, whichever comes first: see `source`.
#[test]
fn changed_source_is_built_where_it_is_enforced() {
    let project = Project::in_incident();
    project.manifest(&every_second().replace("  services:", "  source: { drift: enforce }\n  services:"));
    let daemon = Daemon::start(&project);
    project.wait_for_healed(1);
    let (steps, detected) = (project.steps_that_counted().len(), drifts(&project).len());
    project.add_module("api", "billing");
    project.wait_for_healed(2);
    assert_eq!(drifts(&project)[detected..], ["artifact SourceChanged"]);
    assert_eq!(project.steps_that_counted()[steps..], ["Build", "Up"]);
    docker(&["exec", &project.containers("api")[0], "test", "-e", "/app/dist/modules/billing/index"]);
    drop(daemon);
    project.assert_trail_is_whole();
}

#[test]
fn paused_container_is_left_alone_and_what_a_person_ends_is_seen() {
    let project = Project::healthy();
    let daemon = Daemon::start_every_second(&project);
    let id = project.containers("api").remove(0);
    docker(&["pause", &id]);
    project.wait_for_record("Stalled");
    daemon.wait_for_looks(5);
    assert_eq!(state_of(&id), "paused");
    assert_eq!(drifts(&project), ["container Paused"], "told once, however often it is looked at");
    docker(&["unpause", &id]);
    wait_for("the status to be ready", || project.recorded()["conditions"][0]["status"] == "True");
    assert_eq!(project.steps(), [""; 0]);
    assert_eq!(project.containers("api"), [id]);
}

#[test]
fn healthy_host_is_looked_at_and_nothing_else() {
    let project = Project::healthy();
    project.manifest(&every_second());
    let before = project.containers("api");
    let daemon = Daemon::start_with(&project, &["--image-period", "1s"]);
    wait_for("the proof", || {
        let status = project.recorded();
        let idle = status["conditions"][1]["reason"] == "Idle";
        idle && status["services"][0].to_string().contains("\"Proven\"")
    });
    let shown = || {
        let mut shown = project.undrift(&["get", "-o", "json"]).json();
        let observed = shown["items"][0]["status"]["observedAt"].take();
        (shown, observed)
    };
    let (recorded, observed_before) = shown();
    let since = status_since(&project);

    let (looks, began) = (daemon.looks(), Instant::now());
    daemon.wait_for_looks(10);
    // A resync comes after 0.9 s at the earliest.
    let (looks, resyncs) = (daemon.looks() - looks, began.elapsed().as_millis() / 900);
    assert!(looks as u128 <= resyncs + 2, "it wakes itself: {looks} looks, {resyncs} resyncs");

    let (now, observed) = shown();
    assert!(now == recorded, "before: {recorded}\nafter: {now}");
    assert_ne!(observed, observed_before, "only its age is new");
    assert_eq!(status_since(&project), since, "the status was written again");
    let kinds: Vec<_> = project.trail().iter().map(|record| record["kind"].clone()).collect();
    assert_eq!(kinds, ["Started", "ManifestChanged"]);
    assert_eq!(project.containers("api"), before);
    drop(daemon);
    project.assert_trail_is_whole();
}

//! Manifests that are edited, broken, removed and added while `run` watches them.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;

use super::Daemon;
use crate::support::{MANIFEST, Project, docker, inspect, run, wait_for};

/// Not a status, on line 12.
fn broken() -> String {
    MANIFEST.replace("expect: [401]", "expect: [never]")
}

fn stop(project: &Project) {
    docker(&["stop", "-t", "1", &project.containers("api")[0]]);
}

fn state_of(project: &Project) -> String {
    inspect(&project.containers("api")[0], "{{.State.Status}}").unwrap_or_default()
}

/// The message of the object's `Ready`.
fn ready(project: &Project) -> String {
    project.recorded()["conditions"][0]["message"].as_str().unwrap().to_owned()
}

/// Projects of which the first one's state folder and daemon watch all, by a folder of manifests.
struct Watched<'a> {
    home: &'a Project,
}

impl Watched<'_> {
    fn file(&self, of: &Project) -> PathBuf {
        self.home.path(&format!("manifests/{}.yaml", of.name))
    }

    fn declare(&self, of: &Project, text: &str) {
        let directory = format!("directory: {}", of.path("").display());
        let text = text.replace("NAME", &of.name).replace("directory: .", &directory);
        self.home.write(&format!("manifests/{}.yaml", of.name), &text);
    }

    fn command(&self) -> Command {
        self.home.command(&["run", "-f", "manifests"])
    }

    fn start(&self) -> Daemon {
        let daemon = Daemon::spawn(&mut self.command(), self.home);
        daemon.wait_until_ready();
        daemon
    }

    /// The recorded object of a project; null where there is none.
    fn object(&self, of: &Project) -> Value {
        let json = self.home.undrift(&["get", "-o", "json"]).expect(0).json();
        let items = json["items"].as_array().unwrap();
        items.iter().find(|item| item["metadata"]["name"] == of.name).cloned().unwrap_or_default()
    }

    fn is_ready(&self, of: &Project) -> bool {
        self.object(of)["status"]["conditions"][0]["status"] == "True"
    }

    /// The kinds of the trail's records about a project.
    fn kinds(&self, of: &Project) -> Vec<String> {
        let trail = self.home.trail();
        let about = trail.iter().filter(|record| record["object"] == of.name);
        about.map(|record| record["kind"].as_str().unwrap().to_owned()).collect()
    }

    #[track_caller]
    fn wait_for_reconciled(&self, of: &Project) {
        wait_for("a repair", || self.kinds(of).iter().any(|kind| kind == "Reconciled"));
    }
}

#[test]
fn edit_takes_effect_without_a_command() {
    let project = Project::healthy();
    let _daemon = Daemon::start(&project);
    let api = project.containers("api");
    // A service more, and another status that the old one's route may answer.
    project.add_service("web");
    project.add_module("web", "billing");
    let service = |name| format!("  {name}: {{ build: ./{name}, init: true, stop_grace_period: 1s }}\n");
    project.write("compose.yaml", &format!("services:\n{}{}", service("api"), service("web")));
    let web =
        "    - { name: web, routes: [{ path: /api/billing, port: 3000, expect: [401] }] }\n  reconcile:";
    let edited = MANIFEST.replace("  reconcile:", web).replace("expect: [401]\n", "expect: [401, 403]\n");
    project.manifest(&edited);
    project.wait_for_healed(1);
    let status = project.recorded();
    assert_eq!(status["observedGeneration"], 2);
    assert_eq!(status["services"][0]["routes"][0]["expected"], serde_json::json!([401, 403]));
    assert_eq!(status["services"][1]["routes"][0]["observed"], 401);
    assert_eq!(project.steps_that_counted(), ["Build", "Up"]);
    assert_eq!(project.containers("api"), api, "only what was missing is made");
    project.assert_trail_is_whole();
}

#[test]
fn invalid_edit_leaves_the_last_valid_spec_in_effect_and_is_reported() {
    let project = Project::healthy();
    let daemon = Daemon::start(&project);
    project.manifest(&broken());
    wait_for("the status to say so", || ready(&project).contains("is not in effect"));
    assert!(ready(&project).contains("undrift.yaml:12:20: "), "{}", ready(&project));
    assert!(daemon.log().contains("not valid, and not in effect"));
    stop(&project);
    project.wait_for_healed(1);
    assert!(ready(&project).starts_with("every layer is as declared; "), "{}", ready(&project));
    project.manifest(MANIFEST);
    wait_for("the note to go", || ready(&project) == "every layer is as declared");
    assert_eq!(project.recorded()["observedGeneration"], 1, "what holds was never another");
    assert_eq!(project.steps(), ["Up"]);
    project.assert_trail_is_whole();
}

#[test]
fn removed_manifest_ends_the_watch_and_touches_nothing_until_it_is_back() {
    let (home, other) = (Project::healthy(), Project::healthy());
    let watched = Watched { home: &home };
    watched.declare(&home, MANIFEST);
    watched.declare(&other, MANIFEST);
    let _daemon = watched.start();
    let containers = other.containers("api");
    fs::remove_file(watched.file(&other)).unwrap();
    let conditions = || watched.object(&other)["status"]["conditions"].to_string();
    wait_for("the status to say so", || conditions().contains("NotWatched"));
    let trail = home.trail();
    let last = trail.iter().rfind(|record| record["object"] == other.name).unwrap();
    assert_eq!((&last["kind"], &last["evidence"]["removed"]), (&"ManifestChanged".into(), &true.into()));

    // Both stop; where the one that is watched runs again, the daemon has had its time for the other.
    stop(&other);
    stop(&home);
    watched.wait_for_reconciled(&home);
    assert_eq!(state_of(&other), "exited");
    assert!(conditions().contains("NotWatched"), "{}", conditions());

    watched.declare(&other, MANIFEST);
    watched.wait_for_reconciled(&other);
    assert_eq!((state_of(&other).as_str(), other.containers("api")), ("running", containers));
    wait_for("the status to be of now", || watched.is_ready(&other) && !conditions().contains("NotWatched"));
    home.assert_trail_is_whole();
}

/// A reconcile that is at work does not have the last word.
#[test]
fn manifest_that_is_removed_during_a_reconcile_is_reported_as_not_watched() {
    let project = Project::healthy();
    let watched = Watched { home: &project };
    watched.declare(&project, &MANIFEST.replace("stableFor: 1s", "stableFor: 5s"));
    let daemon = Daemon::spawn(&mut watched.command(), &project);
    let reason = |at: usize| watched.object(&project)["status"]["conditions"][at]["reason"].clone();
    wait_for("the proof to begin", || reason(1) == "Progressing");
    fs::remove_file(watched.file(&project)).unwrap();
    wait_for("the status to say so", || reason(0) == "NotWatched");
    assert!(daemon.end().success());
    assert_eq!(reason(0), "NotWatched", "it stays so");
}

#[test]
fn new_manifest_in_the_folder_is_picked_up() {
    let (home, other) = (Project::healthy(), Project::in_incident());
    let watched = Watched { home: &home };
    watched.declare(&home, MANIFEST);
    let _daemon = watched.start();
    assert!(watched.object(&other).is_null());
    watched.declare(&other, MANIFEST);
    watched.wait_for_reconciled(&other);
    let route = &watched.object(&other)["status"]["services"][0]["routes"][0];
    assert_eq!(route["transition"], serde_json::json!({ "before": 404, "after": 401 }));
    assert!(!watched.kinds(&home).iter().any(|kind| kind == "StepIntended"));
}

#[test]
fn thousand_edits_are_one_reconcile_of_the_last() {
    let project = Project::healthy();
    let watched = Watched { home: &project };
    watched.declare(&project, MANIFEST);
    let mut command = project.command(&["--log", "undrift=debug", "run", "-f", "manifests"]);
    let daemon = Daemon::spawn(&mut command, &project);
    wait_for("the first proof", || watched.is_ready(&project));
    let memory = resident(daemon.pid());
    let began = Instant::now();
    let expect = |number: u32| MANIFEST.replace("expect: [401]\n", &format!("expect: [401, {number}]\n"));
    for number in 0..1000 {
        watched.declare(&project, &expect(402 + number % 197));
    }
    watched.declare(&project, &expect(599));
    let burst = began.elapsed();
    let expected = || project.recorded()["services"][0]["routes"][0]["expected"].clone();
    wait_for("the last edit", || expected() == serde_json::json!([401, 599]));
    wait_for("its proof", || project.recorded()["services"][0].to_string().contains("\"Proven\""));
    // Each read comes after 200 ms of quiet, or of two seconds: so many at most may lie within the edits, and one
    // after them.
    let reads = daemon.log().matches(" declared object=").count();
    let most = 1 + burst.as_millis() / 200;
    assert!((1..=most).contains(&(reads as u128)), "{reads} reads of edits that took {burst:?}");
    let trail = project.trail();
    let generations: Vec<_> = trail.iter().filter(|r| r["evidence"]["generation"].is_u64()).collect();
    assert!(generations.len() <= 1 + reads, "{reads} reads, and the generations {generations:?}");
    let last = &generations.last().unwrap()["evidence"];
    assert_eq!(project.recorded()["observedGeneration"], last["generation"]);
    let of_the_last =
        generations.iter().filter(|r| r["evidence"]["specDigest"] == last["specDigest"]).count();
    assert_eq!(of_the_last, 1, "{generations:?}");
    assert_eq!(proofs_since_the_last_declaration(&daemon.log()), 1, "{}", daemon.log());
    let more = resident(daemon.pid()).saturating_sub(memory);
    assert!(more < 8 * 1024, "{more} KiB more than before");
    assert_eq!(project.steps(), [""; 0]);
    project.assert_trail_is_whole();
}

/// How many reconciles that began after the last edit was read have verified something, by a log with each look.
fn proofs_since_the_last_declaration(log: &str) -> usize {
    let (before, after) = log.rsplit_once(" declared object=").unwrap();
    let run = |line: &str| Some(line.split_once(" run=")?.1.split([' ', '}']).next()?.to_owned());
    let earlier: BTreeSet<String> = before.lines().filter_map(run).collect();
    let verifying = after.lines().filter(|line| line.contains(" decided next=Verify")).filter_map(run);
    verifying.filter(|run| !earlier.contains(run)).collect::<BTreeSet<_>>().len()
}

/// Resident memory, in KiB.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The project's folder is no manifest, so nothing wakes the watch when it comes.
#[test]
fn hangup_has_the_manifests_read_again() {
    let (home, other) = (Project::healthy(), Project::healthy());
    let watched = Watched { home: &home };
    watched.declare(&home, MANIFEST);
    let (directory, away) = (other.path(""), other.path("").with_file_name("away"));
    watched.declare(&other, MANIFEST);
    fs::rename(&directory, &away).unwrap();
    // A file that is this young is looked at twice, and the second look would find what the signal is for.
    let age = || watched.file(&other).metadata().unwrap().modified().unwrap().elapsed().unwrap();
    wait_for("the manifests to be older", || age() > Duration::from_millis(200));
    let daemon = watched.start();
    assert!(watched.object(&other).is_null(), "one that is not valid keeps no other from being watched");
    assert!(watched.is_ready(&home));
    assert!(daemon.log().contains("does not exist"), "{}", daemon.log());
    fs::rename(&away, &directory).unwrap();
    daemon.signal(Signal::HUP);
    wait_for("the other to be watched", || watched.is_ready(&other));
}

#[test]
fn without_any_valid_manifest_it_does_not_run() {
    let project = Project::new();
    project.manifest(&broken());
    let run = run(&mut project.command(&["run", "-f", "undrift.yaml"])).expect(2);
    assert_eq!(run.stdout, "");
    assert!(run.stderr.starts_with("error: "), "as every verb says it: {}", run.stderr);
    assert!(run.stderr.contains("undrift.yaml:12:20"), "{}", run.stderr);
    let left = project.state_dir().join("control.sock");
    assert!(!left.exists(), "the socket is gone with it");
}

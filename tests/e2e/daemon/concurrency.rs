//! Ten projects on one host: all of them are seen to, at once, and none waits for another.

use std::{path::PathBuf, thread};

use serde_json::Value;

use super::{Daemon, engine_proxy::EngineProxy};
use crate::support::{MANIFEST, Project, SECOND_MODULE, docker, wait_for};

/// How many.
const MANY: usize = 10;

/// Several projects of two services each, up and as declared.
fn healthy(count: usize) -> Vec<Project> {
    let projects: Vec<Project> = (0..count).map(|_| two_services()).collect();
    thread::scope(|scope| {
        for project in &projects {
            scope.spawn(|| project.compose(&["up", "-d", "--build"]));
        }
    });
    projects
}

fn two_services() -> Project {
    let project = Project::new();
    project.add_module("api", "workflow");
    project.write(
        "compose.yaml",
        "services:
  api: { build: ./api, init: true, stop_grace_period: 1s }
  web: { image: undrift-example-base, command: [sleep, infinity], init: true, stop_grace_period: 1s }
",
    );
    project.manifest(&MANIFEST.replace("  reconcile:", "    - name: web\n  reconcile:"));
    project
}

/// One daemon for all of them, with the state of the first.
fn watch(projects: &[Project], more: &[&str], proxy: Option<&EngineProxy>) -> Daemon {
    let mut command = projects[0].command(&["run", "--log", "undrift=debug"]);
    command.args(more);
    for project in projects {
        command.arg("-f").arg(project.path("undrift.yaml"));
    }
    if let Some(proxy) = proxy {
        command.env("DOCKER_HOST", proxy.docker_host());
    }
    Daemon::spawn(&mut command, &projects[0]).started()
}

/// How many questions to the engine may be open at once: the eight that have a turn, and the subscription to its events.
const OPEN_AT_ONCE: usize = 9;

/// How many questions to Compose may be open at once, each of which is a process.
const COMPOSE_AT_ONCE: usize = 4;

#[test]
fn ten_that_start_together_are_all_seen_to_and_are_no_stampede() {
    let proxy = EngineProxy::new();
    let projects = healthy(MANY);
    // Two of them are in the incident's state, and are built one after the other.
    for project in &projects[..2] {
        project.add_module("api", "invoices");
        project.manifest(&incident_manifest());
    }
    let daemon = watch(&projects, &[], Some(&proxy));
    let most_children = most_while(&daemon, || daemon.log().contains("ready: every object was looked at"));
    assert!((1..=COMPOSE_AT_ONCE).contains(&most_children), "{most_children} processes at once");

    for project in &projects[2..] {
        docker(&["kill", &project.containers("web")[0]]);
    }
    let reconciled = || of_kind(&projects[0].trail(), "Reconciled").len();
    wait_for("all to be healed", || reconciled() == MANY);
    let (asked, most) = proxy.questions();
    assert!(asked > 10 * MANY && most <= OPEN_AT_ONCE, "{most} of {asked} questions open at once");
    let trail = projects[0].trail();
    assert_one_at_a_time(&trail, |intent| intent["step"] == "Build");
    assert!(of_kind(&trail, "Stalled").is_empty());
    assert!(daemon.end().success());
    projects[0].assert_trail_is_whole();
}

#[test]
fn one_that_fails_one_that_hangs_and_one_that_is_not_valid_keep_no_other_from_being_healed() {
    let (fails, hangs, invalid) = (Project::in_incident(), Project::in_incident(), Project::in_incident());
    let well = Project::healthy();
    fails.write("api/Dockerfile", "FROM undrift-example-base\nRUN false\n");
    hangs.write("api/Dockerfile", "FROM undrift-example-base\nRUN sleep 600\n");
    invalid.manifest(&MANIFEST.replace("services:", "servises:"));
    let all = [well, fails, hangs, invalid];
    let [well, fails, hangs, _] = &all;
    // Two slots, so that one build fails while the other hangs.
    let daemon = watch(&all, &["--builds", "2", "--grace-period", "100ms"], None);
    let trail = || well.trail();
    wait_for("a build that hangs", || !of(&trail(), hangs, "StepIntended").is_empty());
    wait_for("a build that failed", || !of(&trail(), fails, "StepFinished").is_empty());
    wait_for("the healthy one to be settled", || well.recorded_of(well)["conditions"][0]["status"] == "True");

    docker(&["kill", &well.containers("api")[0]]);
    wait_for("it to be healed", || !of(&trail(), well, "Reconciled").is_empty());
    let trail = trail();
    assert!(of(&trail, hangs, "StepFinished").is_empty(), "the one that hangs is still at work");
    assert_eq!(of(&trail, well, "StepIntended").len(), 1);
    let outcome = |record: &&Value| record["outcome"] == "Failed";
    assert!(of(&trail, fails, "StepFinished").iter().all(outcome));
    assert!(daemon.log().contains("servises"), "the one that is not valid is told");
    assert!(daemon.end().success());
    well.assert_trail_is_whole();
}

/// The one slot that there is for builds by default is taken for as long as this test goes on.
#[test]
fn build_that_hangs_keeps_nobody_waiting_who_needs_none() {
    let (well, hangs, waits) = (Project::healthy(), Project::in_incident(), Project::healthy());
    hangs.write("api/Dockerfile", "FROM undrift-example-base\nRUN sleep 600\n");
    let all = [well, hangs, waits];
    let [well, hangs, waits] = &all;
    let daemon = watch(&all, &["--grace-period", "100ms"], None);
    let trail = || well.trail();
    wait_for("a build that hangs", || hangs.is_at(" build "));
    // One more that is to be built has to wait for its turn.
    waits.add_module("api", "invoices");
    waits.manifest(&MANIFEST.replace("workflow }]", SECOND_MODULE));
    wait_for("its drift", || !of(&trail(), waits, "DriftDetected").is_empty());
    wait_for("the healthy one to be settled", || well.recorded_of(well)["conditions"][0]["status"] == "True");

    docker(&["kill", &well.containers("api")[0]]);
    wait_for("it to be healed", || !of(&trail(), well, "Reconciled").is_empty());
    let trail = trail();
    assert_eq!(of(&trail, well, "StepIntended").len(), 1);
    assert_eq!(of(&trail, waits, "StepIntended"), [&Value::Null; 0], "one build at a time");
    assert_eq!(of(&trail, hangs, "StepFinished"), [&Value::Null; 0], "and that one is still at work");
    assert!(daemon.end().success());
    well.assert_trail_is_whole();
}

#[test]
fn two_objects_of_one_directory_are_never_at_work_at_once() {
    let project = two_services();
    project.compose(&["up", "-d", "--build"]);
    let object = |name: &str| {
        format!(
            "apiVersion: undrift.dev/v1alpha1
kind: ComposeProject
metadata: {{ name: {name} }}
spec:
  project: {{ directory: ., name: NAME }}
  services: [{{ name: {name} }}]
  reconcile: {{ verify: {{ timeout: 60s, stableFor: 1s }} }}
"
        )
    };
    project.manifest(&format!("{}---\n{}", object("api"), object("web")));
    let daemon = Daemon::start(&project);
    let ids: Vec<String> = ["api", "web"].iter().flat_map(|service| project.containers(service)).collect();
    docker(&["kill", &ids[0], &ids[1]]);
    wait_for("both to be healed", || of_kind(&project.trail(), "Reconciled").len() == 2);
    let trail = project.trail();
    assert_eq!(of_kind(&trail, "StepIntended").len(), 2);
    assert_one_at_a_time(&trail, |_| true);
    assert!(daemon.end().success());
    project.assert_trail_is_whole();
}

/// A spec that declares a second module, which is in the source only.
fn incident_manifest() -> String {
    let text = MANIFEST.replace("  reconcile:", "    - name: web\n  reconcile:");
    text.replace("workflow }]", SECOND_MODULE)
}

/// The most questions to Compose that the daemon had open at once until something holds.
fn most_while(daemon: &Daemon, mut until: impl FnMut() -> bool) -> usize {
    let mut most = 0;
    wait_for("it, while processes are counted", || {
        most = most.max(questions_of(daemon.pid()));
        until()
    });
    most
}

fn questions_of(parent: u32) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let is_question = |process: &PathBuf| {
        let read = |file: &str| std::fs::read(process.join(file)).unwrap_or_default();
        let (stat, argv) = (read("stat"), read("cmdline"));
        // The name, in brackets, may hold anything; the parent is the second field after it.
        let stat = String::from_utf8_lossy(&stat).into_owned();
        let rest = stat.rsplit_once(") ").map(|(_, rest)| rest);
        let is_child = rest.and_then(|rest| rest.split(' ').nth(1)) == Some(&parent.to_string());
        let asks = |word: &[u8]| argv.split(|byte| *byte == 0).any(|argument| argument == word);
        is_child && (asks(b"config") || asks(b"--dry-run"))
    };
    processes.map(|entry| entry.path()).filter(is_question).count()
}

fn of_kind<'a>(trail: &'a [Value], kind: &str) -> Vec<&'a Value> {
    trail.iter().filter(|record| record["kind"] == kind).collect()
}

fn of<'a>(trail: &'a [Value], project: &Project, kind: &str) -> Vec<&'a Value> {
    of_kind(trail, kind).into_iter().filter(|record| record["object"] == project.name.as_str()).collect()
}

/// Asserts that of these steps none began before the one before it had ended.
#[track_caller]
fn assert_one_at_a_time(trail: &[Value], which: impl Fn(&Value) -> bool) {
    let steps = trail.iter().filter(|r| r["kind"] == "StepIntended" || r["kind"] == "StepFinished");
    let kinds: Vec<&str> =
        steps.filter(|record| which(record)).map(|r| r["kind"].as_str().unwrap()).collect();
    assert!(kinds.chunks(2).all(|pair| pair == ["StepIntended", "StepFinished"]), "{kinds:?}");
}

impl Project {
    /// The recorded status of another project's object, in the state of this one.
    fn recorded_of(&self, other: &Self) -> Value {
        let run = self.undrift(&["get", &other.name, "-o", "json"]);
        serde_json::from_str::<Value>(&run.stdout).unwrap_or_default()["items"][0]["status"].take()
    }
}

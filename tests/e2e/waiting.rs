//! Verbs that wait: `wait`, `get --watch`, `audit list --follow`.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    daemon::Daemon,
    processes::Running,
    support::{MANIFEST, Project, Run, docker, run, wait_for},
};

/// A verb that goes on, with the lines that it has printed so far.
struct Shown {
    child: Running,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Shown {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (out, lines) = (child.stdout.take().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let shown = Arc::clone(&lines);
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                shown.lock().unwrap().push(line);
            }
        });
        Self { child: Running(child), lines }
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    fn has(&self, words: &[&str]) -> bool {
        self.lines().iter().any(|line| words.iter().all(|word| line.contains(word)))
    }

    fn wait_for(&self, words: &[&str]) {
        wait_for(&format!("a line with {words:?}"), || self.has(words));
    }

    /// Presses Ctrl-C; its exit code.
    fn interrupt(mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child.0), Signal::INT).unwrap();
        self.child.0.wait().unwrap().code()
    }
}

/// A `wait` that has begun, with a limit that is beyond every other.
fn waiting(project: &Project, more: &[&str]) -> Child {
    let mut command = project.command(&["wait", &project.name]);
    command.env("UNDRIFT_TIMEOUT", "100s");
    command.args(more).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn ended(child: Child) -> Run {
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[test]
fn wait_ends_when_the_drift_is_there_and_when_it_is_healed() {
    let project = Project::healthy();
    let _daemon = Daemon::start(&project);
    let reconciled = project.undrift(&["wait", &project.name]).expect(0);
    assert_eq!(reconciled.stdout, format!("{}  reconciled\n", project.name));
    project.undrift(&["suspend", &project.name, "--reason", "a look"]).expect(0);
    let drifted = waiting(&project, &["--for", "drifted", "-o", "json"]);
    docker(&["stop", "-t", "1", &project.containers("api")[0]]);
    let drifted = ended(drifted).expect(0);
    assert_eq!((drifted.drift("api").as_str(), drifted.stderr.as_str()), ("container NotRunning", ""));
    let healed = waiting(&project, &[]);
    project.undrift(&["resume", &project.name]).expect(0);
    ended(healed).expect(0);
    assert_eq!(project.steps(), ["Up"]);
}

#[test]
fn wait_says_in_which_state_the_object_is_where_it_does_not_come_in_time() {
    let project = Project::in_incident();
    project.append("api/Dockerfile", "RUN echo no such registry; exit 1\n");
    let _daemon = Daemon::start(&project);
    ended(waiting(&project, &["--for", "stalled"])).expect(0);
    let run = project.undrift(&["wait", &project.name, "--timeout", "1s", "-o", "json"]).expect(1);
    assert_eq!(run.condition("Stalled"), "True BudgetSpent");
    let words = format!("{}: not reconciled within 1s: Stalled is True, BudgetSpent: ", project.name);
    assert!(run.stderr.contains(&words), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
}

#[test]
fn what_no_daemon_stands_for_satisfies_no_wait_until_one_is_there() {
    let project = Project::healthy();
    let unknown = project.undrift(&["wait", &project.name, "-o", "json"]).expect(2);
    assert_eq!(unknown.json()["reason"], "NoSuchObject");
    project.apply().expect(0);
    let run = project.undrift(&["wait", &project.name, "--timeout", "1s"]).expect(1);
    assert!(run.stderr.contains("no daemon runs on this state"), "{}", run.stderr);
    assert_eq!(run.stdout, "");
    let came = waiting(&project, &[]);
    let daemon = Daemon::start(&project);
    ended(came).expect(0);
    // One that ends meanwhile stands for nothing any more.
    let stalled = waiting(&project, &["--for", "stalled", "--timeout", "8s"]);
    daemon.kill();
    let run = ended(stalled).expect(1);
    assert!(run.stderr.contains("no daemon runs on this state"), "{}", run.stderr);
}

/// The daemon notes the generation, and then observes for as long as the server of a new route does not answer.
#[test]
fn status_of_an_earlier_spec_satisfies_no_wait() {
    let project = Project::healthy();
    let daemon = Daemon::start(&project);
    ended(waiting(&project, &[])).expect(0);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let route = format!("      routes:\n        - {{ url: '{url}', expect: [200], timeout: 60s }}\n");
    project.manifest(&MANIFEST.replace("      routes:\n", &route));
    wait_for("the second generation", || project.trail().iter().any(|it| it["evidence"]["generation"] == 2));
    let run = project.undrift(&["wait", &project.name, "--timeout", "1s"]).expect(1);
    assert!(run.stderr.contains("is of generation 1, and the spec is of generation 2"), "{}", run.stderr);
    drop(silent);
    ended(waiting(&project, &["--for", "drifted"])).expect(0);
    drop(daemon);
}

#[test]
fn get_watch_prints_the_table_and_then_each_row_that_changes() {
    let project = Project::healthy();
    let _daemon = Daemon::start(&project);
    project.undrift(&["wait", &project.name]).expect(0);
    project.undrift(&["suspend", &project.name, "--reason", "a look"]).expect(0);
    let shown = Shown::start(&mut project.command(&["get", "--watch", "-o", "wide"]));
    shown.wait_for(&["OBJECT", "IMAGE ID"]);
    shown.wait_for(&["api", "True", "1/1"]);
    let documents = Shown::start(&mut project.command(&["get", "-w", &project.name, "-o", "json"]));
    wait_for("a first document", || documents.lines().len() == 1);
    docker(&["stop", "-t", "1", &project.containers("api")[0]]);
    shown.wait_for(&["api", "False", "NotRunning (suspended)", "0/1"]);
    project.undrift(&["resume", &project.name]).expect(0);
    wait_for("the row of the healed service", || {
        let lines = shown.lines();
        let last = lines.iter().rfind(|line| line.starts_with(&project.name) && line.contains(" api "));
        last.is_some_and(|row| row.contains("True") && row.contains("1/1"))
    });
    assert_eq!(shown.lines().iter().filter(|line| line.contains("OBJECT")).count(), 1);
    assert_eq!(shown.interrupt(), Some(0));
    let ready = |line: &String| {
        let object: Value = serde_json::from_str(line).unwrap();
        object["status"]["conditions"][0]["status"].clone()
    };
    wait_for("the documents", || {
        let all: Vec<Value> = documents.lines().iter().map(ready).collect();
        all.first().is_some_and(|first| first == "True")
            && all.iter().any(|ready| ready == "False")
            && all.last().is_some_and(|last| last == "True")
    });
    assert_eq!(documents.interrupt(), Some(0));
    project.undrift(&["get", "-w", "shop"]).expect(2);
}

#[test]
fn follower_of_the_trail_gets_each_record_once_whoever_writes_it() {
    let project = Project::healthy();
    // Nothing is recorded yet.
    let all = Shown::start(&mut project.command(&["audit", "list", "--follow", "-o", "json"]));
    project.apply().expect(0);
    wait_for("the first record", || !all.lines().is_empty());
    let suspended = |reason: &str| {
        project.undrift(&["suspend", &project.name, "--reason", reason]).expect(0);
        project.undrift(&["resume", &project.name]).expect(0);
    };
    suspended("without a daemon");
    let text = Shown::start(&mut project.command(&["audit", "list", "--follow", "--since", "1h"]));
    text.wait_for(&["SEQ", "KIND"]);
    let daemon = Daemon::start(&project);
    for _ in 0..5 {
        suspended("with a daemon");
    }
    docker(&["stop", "-t", "1", &project.containers("api")[0]]);
    project.wait_for_healed(1);
    assert!(daemon.end().success());
    let trail = project.trail();
    let seqs = |lines: &[Value]| lines.iter().map(|record| record["seq"].clone()).collect::<Vec<_>>();
    wait_for("the last record", || all.lines().len() >= trail.len());
    let lines = all.lines();
    let records: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((seqs(&records), &records), (seqs(&trail), &trail));
    text.wait_for(&["Stopped"]);
    assert_eq!(text.lines().len(), trail.len() + 1, "a row each, below one heading");
    assert_eq!((all.interrupt(), text.interrupt()), (Some(0), Some(0)));
}

/// As `undrift get -w | head -1` does.
#[test]
fn verb_that_goes_on_ends_quietly_once_nobody_reads_it_though_nothing_happens() {
    let project = Project::healthy();
    project.apply().expect(0);
    let errors = project.path("errors.txt");
    for verb in [&["get", "-w"][..], &["audit", "list", "--follow"][..]] {
        let file = File::create(&errors).unwrap();
        let mut command = project.command(verb);
        let mut child = Running(command.stdout(Stdio::piped()).stderr(file).spawn().unwrap());
        let mut out: ChildStdout = child.0.stdout.take().unwrap();
        out.read_exact(&mut [0; 1]).unwrap();
        drop(out);
        assert_eq!(child.0.wait().unwrap().code(), Some(0), "{verb:?}");
        assert_eq!(std::fs::read_to_string(&errors).unwrap(), "", "{verb:?}");
    }
    assert!(run(&mut project.command(&["audit", "list", "--follow", "--until", "1h"])).code == Some(2));
}

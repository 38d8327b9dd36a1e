//! `undrift run` on a real engine: what it notices, what it heals, and what it leaves alone.

mod concurrency;
mod control_socket;
pub(crate) mod engine_proxy;
mod faults;
mod healing;
mod http;
mod maintenance;
mod manifests;
mod missing_state;
mod shutdown;
mod source;
mod staleness;
mod startup;

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Project, every_second, wait_for};

/// A running `undrift run` on the manifest and the state of a project. Asked to end when it is dropped.
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts it, and waits until it has looked at every object once.
    pub(crate) fn start(project: &Project) -> Self {
        let daemon = Self::spawn(&mut project.command(&["run", "-f", "undrift.yaml"]), project);
        daemon.wait_until_ready();
        daemon
    }

    /// Starts it with more options, and waits until it is ready. It logs each of its looks.
    pub(crate) fn start_with(project: &Project, more: &[&str]) -> Self {
        let mut command = project.command(&["--log", "undrift=debug", "run", "-f", "undrift.yaml"]);
        let daemon = Self::spawn(command.args(more), project);
        daemon.wait_until_ready();
        daemon
    }

    /// Starts it on the project's manifest, looked at every second, and waits until it is ready. It logs each of its looks.
    pub(crate) fn start_every_second(project: &Project) -> Self {
        project.manifest(&every_second());
        Self::start_with(project, &[])
    }

    /// How often it has looked at the host, where it was started with [`Self::start_with`].
    pub(crate) fn looks(&self) -> usize {
        self.log().matches(" decided next=").count()
    }

    /// Waits until it has looked so many times more: what it was to do by itself it has done by then.
    pub(crate) fn wait_for_looks(&self, more: usize) {
        let end = self.looks() + more;
        wait_for("the daemon to look on", || self.looks() >= end);
    }

    /// Starts this command, whose log goes to a file beside the project.
    pub(crate) fn spawn(command: &mut Command, project: &Project) -> Self {
        let log = project.state_dir().with_extension(format!("log.{}", log_number(project)));
        fs::create_dir_all(log.parent().unwrap()).unwrap();
        let file = File::create(&log).unwrap();
        command.env("UNDRIFT_LOG", "undrift=info").stdout(Stdio::null()).stderr(file);
        let child = command.spawn().unwrap();
        Self { child, log }
    }

    pub(crate) fn wait_until_ready(&self) {
        wait_for("the daemon to be ready", || self.is_ready());
    }

    /// Whether it has looked at every object once.
    pub(crate) fn is_ready(&self) -> bool {
        self.log().contains("ready: every object was looked at")
    }

    /// Waits until it has its state, and is about to look.
    fn started(self) -> Self {
        self.wait_for_log("started objects=");
        self
    }

    /// Waits until it has logged this.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, text: &str) {
        wait_for(text, || self.log().contains(text));
    }

    /// All that it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn end(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait_for_end()
    }

    /// Waits until it has ended.
    pub(crate) fn wait_for_end(&mut self) -> ExitStatus {
        let mut status = None;
        wait_for("the daemon to end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Kills it: nothing of it can clear up.
    pub(crate) fn kill(mut self) {
        self.signal(Signal::KILL);
        self.child.wait().unwrap();
    }
}

/// Starts it on the project's manifest with a log of every look; does not wait for any.
fn watch(project: &Project, more: &[&str]) -> Daemon {
    Daemon::spawn(&mut watching(project, more), project).started()
}

fn watching(project: &Project, more: &[&str]) -> Command {
    let mut command = project.command(&["run", "-f", "undrift.yaml", "--log", "undrift=debug"]);
    command.args(more);
    command
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let mut signal = Signal::TERM;
        let since = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill_process(Pid::from_child(&self.child), signal);
            thread::sleep(Duration::from_millis(20));
            // The test has failed already: what is left of its project is removed by force.
            if since.elapsed() > Duration::from_secs(10) {
                signal = Signal::KILL;
            }
        }
        if thread::panicking() {
            // It says why the test waited in vain. The file goes with the project's folder.
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let _ = writeln!(io::stderr(), "the daemon's log:\n{log}");
        }
    }
}

fn log_number(project: &Project) -> usize {
    let folder = project.state_dir();
    fs::read_dir(folder.parent().unwrap()).map_or(0, Iterator::count)
}

impl Project {
    /// The recorded status of the only object, as `get` prints it.
    pub(crate) fn recorded(&self) -> Value {
        let run = self.undrift(&["get", "-o", "json"]);
        run.json()["items"][0]["status"].clone()
    }

    /// A recorded condition of the only object, as `status reason`; empty before there is a status.
    pub(crate) fn condition(&self, kind: &str) -> String {
        let run = self.undrift(&["get", "-o", "json"]);
        let status: Value = serde_json::from_str(&run.stdout).unwrap_or_default();
        let conditions = status["items"][0]["status"]["conditions"].as_array();
        let found = conditions.and_then(|all| all.iter().find(|condition| condition["type"] == kind));
        let word = |name: &str| found.and_then(|condition| condition[name].as_str()).unwrap_or_default();
        format!("{} {}", word("status"), word("reason"))
    }

    /// Changes the state behind undrift's back.
    pub(crate) fn sql(&self, statement: &str) {
        let state = rusqlite::Connection::open(self.state_dir().join("state.db")).unwrap();
        state.busy_timeout(Duration::from_secs(10)).unwrap();
        state.execute_batch(statement).unwrap();
    }

    /// Waits until the incident that is the n-th of the object has ended `Reconciled`; its ID.
    #[track_caller]
    pub(crate) fn wait_for_healed(&self, nth: usize) -> String {
        let mut id = String::new();
        wait_for(&format!("incident {nth} to be reconciled"), || {
            let trail = self.trail();
            let reconciled = trail.iter().filter(|record| record["kind"] == "Reconciled").nth(nth - 1);
            reconciled.is_some_and(|record| {
                record["incident"].as_str().unwrap().clone_into(&mut id);
                true
            })
        });
        id
    }

    /// Waits until a record of this kind is in the trail.
    #[track_caller]
    pub(crate) fn wait_for_record(&self, kind: &str) {
        wait_for(kind, || self.trail().iter().any(|record| record["kind"] == kind));
    }
}

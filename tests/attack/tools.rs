//! What all kinds use: a verdict, the binary with a limit, a daemon, and what the trail says.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Project, Run, docker};

/// Why an attempt did not hold.
#[derive(Debug)]
pub(crate) enum Fail {
    /// undrift did what it must never do.
    Fell(String),
    /// This host cannot try it.
    NotTried(String),
    /// The attempt itself broke.
    Unjudged,
}

pub(crate) type Verdict = Result<(), Fail>;

/// Longer than any verb may take with the manifests used here, on a busy machine.
const LIMIT: Duration = Duration::from_secs(180);

/// Falls, with these words, unless it holds.
macro_rules! hold {
    ($holds:expr, $($otherwise:tt)+) => {
        if $holds { Ok(()) } else { Err($crate::tools::Fail::Fell(format!($($otherwise)+))) }
    };
}
pub(crate) use hold;

/// Not tried without this.
pub(crate) fn need(there: bool, otherwise: &str) -> Verdict {
    if there { Ok(()) } else { Err(Fail::NotTried(otherwise.into())) }
}

/// Runs undrift to its end. A crash, and no end within [`LIMIT`], is a fall.
pub(crate) fn finish(command: &mut Command) -> Result<Run, Fail> {
    // Files and not pipes: what outlives undrift may hold a pipe open.
    let (out, err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(err.try_clone().unwrap());
    let mut child = command.spawn().unwrap();
    let end = Instant::now() + LIMIT;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if Instant::now() > end {
            child.kill().unwrap();
            child.wait().unwrap();
            break None;
        }
        thread::sleep(Duration::from_millis(10));
    };
    let run = Run { code: status.and_then(|s| s.code()), stdout: text(out), stderr: text(err) };
    let verb = || command.get_args().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" ");
    hold!(status.is_some(), "no end within {} s: {}\n{}", LIMIT.as_secs(), verb(), tail(&run.stderr))?;
    let crashed = run.code.is_none_or(|code| code == 101) || run.stderr.contains("panicked at");
    hold!(!crashed, "crashed: {}\n{}", verb(), tail(&run.stderr))?;
    Ok(run)
}

fn text(mut file: File) -> String {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Starts undrift, and does not listen.
pub(crate) fn start(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// The last lines.
pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}

/// undrift on a project.
pub(crate) fn undrift(project: &Project, args: &[&str]) -> Result<Run, Fail> {
    finish(&mut project.command(args))
}

/// `apply` on the project's manifest.
pub(crate) fn apply(project: &Project) -> Result<Run, Fail> {
    undrift(project, &["apply", "-f", "undrift.yaml", "-o", "json"])
}

/// `apply` that must reconcile.
pub(crate) fn must_apply(project: &Project) -> Verdict {
    let run = apply(project)?;
    hold!(run.code == Some(0), "apply did not reconcile: {:?}\n{}", run.code, tail(&run.stderr))
}

/// The trail.
pub(crate) fn records(project: &Project) -> Result<Vec<Value>, Fail> {
    let run = undrift(project, &["audit", "list", "-o", "json"])?;
    let list: Value = serde_json::from_str(&run.stdout).unwrap_or_default();
    let items = list["items"].as_array().cloned();
    items.ok_or_else(|| Fail::Fell(format!("the trail cannot be read: {}", run.stderr)))
}

/// How many steps were intended, of this kind where one is named.
pub(crate) fn intended(records: &[Value], step: &str) -> usize {
    let is =
        |record: &&Value| record["kind"] == "StepIntended" && (step.is_empty() || record["step"] == step);
    records.iter().filter(is).count()
}

/// The trail is whole, and no intent is without its end.
pub(crate) fn must_be_whole(project: &Project) -> Verdict {
    let verify = undrift(project, &["audit", "verify"])?;
    hold!(verify.code == Some(0), "audit verify: {}{}", verify.stdout, verify.stderr)?;
    let records = records(project)?;
    let ended =
        records.iter().filter(|r| r["kind"] == "StepFinished" || r["kind"] == "StepInterrupted").count();
    let begun = intended(&records, "");
    hold!(begun == ended, "{begun} steps intended, {ended} ended")
}

/// A healthy project that undrift has verified. `reconcile` takes the place of what its manifest has there.
pub(crate) fn verified(reconcile: &str) -> Project {
    let project = Project::healthy();
    project.manifest(&with_reconcile(reconcile));
    must_apply(&project).unwrap();
    project
}

/// The usual manifest with these lines in `reconcile`.
pub(crate) fn with_reconcile(lines: &str) -> String {
    let (head, _) = crate::support::MANIFEST.split_once("  reconcile:\n").unwrap();
    format!("{head}  reconcile:\n{lines}")
}

/// Copies the files of a folder into another one, which is made, with their modes.
pub(crate) fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir(to).unwrap();
    for (path, _) in files(from) {
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// All bytes of the files in a folder, by path.
pub(crate) fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    paths
        .flat_map(|path| match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => files(&path),
            Ok(found) if found.is_file() => {
                fs::read(&path).map(|bytes| vec![(path, bytes)]).unwrap_or_default()
            }
            _ => Vec::new(),
        })
        .collect()
}

/// `undrift run`, ended when it is dropped.
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts `run` on the project's manifest.
    pub(crate) fn start(project: &Project) -> Self {
        Self::spawn(project.command(&["--log", "undrift=info", "run", "-f", "undrift.yaml"]), project)
    }

    pub(crate) fn spawn(mut command: Command, project: &Project) -> Self {
        let log = project.path("../run.log");
        let file = File::options().create(true).append(true).open(&log).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        Self { child: command.spawn().unwrap(), log }
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    /// Whether it runs.
    pub(crate) fn must_run(&mut self) -> Verdict {
        let ended = self.child.try_wait().unwrap();
        hold!(
            ended.is_none() && !self.log().contains("panicked at"),
            "run ended with {ended:?}\n{}",
            tail(&self.log())
        )
    }

    /// SIGKILL, for it alone.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let since = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            let late = since.elapsed() > Duration::from_secs(15);
            let _ =
                kill_process(Pid::from_child(&self.child), if late { Signal::KILL } else { Signal::TERM });
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Waits for a condition for so long; whether it came.
pub(crate) fn comes(within: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + within;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// Whether a container of the service runs.
pub(crate) fn is_up(project: &Project) -> bool {
    let name = format!("label=com.docker.compose.project={}", project.name);
    !docker(&["ps", "-q", "--filter", &name]).trim().is_empty()
}

pub(crate) fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

/// Of what it is attacked on.
pub(crate) fn versions() -> String {
    let engine = docker(&["version", "--format", "Engine {{.Server.Version}}"]);
    let compose = docker(&["compose", "version", "--short"]);
    format!("{}, Compose {}", engine.trim(), compose.trim())
}

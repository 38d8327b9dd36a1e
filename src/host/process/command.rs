//! Runs one child process and leaves no process behind.

use std::{
    future::Future,
    io,
    os::fd::{BorrowedFd, OwnedFd},
    path::Path,
    pin::pin,
    process::Stdio,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::FusedFuture};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Environment,
    lines::{Lines, Tail},
};
use crate::{
    api::StepOutcome,
    files,
    host::{ms_since, redact::Redactor},
};

/// How long a process group may take to end after SIGTERM, before SIGKILL. Compose needs some seconds to clean up a half-done
/// recreate.
pub const GRACE: Duration = Duration::from_secs(10);

/// How long undrift reads output after the command itself has exited: a grandchild may hold the pipe open.
const DRAIN: Duration = Duration::from_secs(1);

/// How long the kernel may take to remove a killed group.
const KILL_WAIT: Duration = Duration::from_secs(2);

/// How often undrift checks whether a process group is gone; the kernel offers no event for it.
const LOOK: Duration = Duration::from_millis(10);

/// The size limit of a standard output that is kept whole.
const WHOLE_STDOUT: usize = 64 * 1024 * 1024;

/// A command and its parameters.
pub struct Invocation<'a> {
    /// The program and its arguments.
    pub argv: &'a [String],
    /// Its working folder.
    pub directory: &'a Path,
    /// All of its environment; nothing else is inherited.
    pub env: &'a Environment,
    /// After this, undrift ends it: [`StepOutcome::TimedOut`].
    pub limit: Duration,
    /// How long it may then take to end; see [`GRACE`].
    pub grace: Duration,
    /// Ends it when cancelled: [`StepOutcome::Cancelled`].
    pub cancel: &'a CancellationToken,
    /// Takes each clean line of its output.
    pub progress: &'a (dyn Fn(&str) + Send + Sync),
    /// A file that the child holds open while it lives: a lock that must outlive undrift itself if undrift is killed. Other
    /// children that start at the same instant may hold it too.
    pub hold: Option<BorrowedFd<'a>>,
    /// Whether standard output is data: kept whole and apart, and not given to `progress`.
    pub keep_stdout: bool,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The outcome.
    pub outcome: StepOutcome,
    /// Its exit code, if it exited by itself.
    pub exit_code: Option<i32>,
    /// The end of its output: at most 16 KiB, clean lines.
    pub output: String,
    /// Standard output, if it was to be kept whole.
    pub stdout: Vec<u8>,
    /// Its duration.
    pub duration: Duration,
}

/// Runs a command to its end, or ends it.
///
/// # Guarantees
/// When this returns, no process of the command's group is left (short of one that the kernel cannot end), and
/// when the future is dropped the whole group is killed.
///
/// # Errors
/// If it could not be started at all. [`io::ErrorKind::NotFound`]: the program or the folder does not exist.
pub async fn run(invocation: Invocation<'_>) -> io::Result<Finished> {
    let started = Instant::now();
    answers(invocation.directory).await?;
    let (mut child, group) = spawn(&invocation)?;
    let sink = Sink { tail: Mutex::default(), stdout: Mutex::default(), progress: invocation.progress };
    let pump = pump(child.stdout.take(), child.stderr.take(), &sink, invocation.keep_stdout).fuse();
    let mut pump = pin!(pump);
    let ended = tokio::select! {
        status = while_pumping(&mut pump, child.wait()) => Ok(status?),
        () = invocation.cancel.cancelled() => Err(StepOutcome::Cancelled),
        () = sleep(invocation.limit) => Err(StepOutcome::TimedOut),
    };
    if ended.is_ok() {
        // Drains the pipe; a grandchild that keeps it open does not block undrift.
        let _ = timeout(DRAIN, while_open(&mut pump)).await;
    }
    group.end(&mut child, &mut pump, invocation.grace).await;
    let _ = timeout(DRAIN, while_open(&mut pump)).await;
    let (outcome, exit_code) = match ended {
        Ok(status) if status.success() => (StepOutcome::Succeeded, status.code()),
        Ok(status) => (StepOutcome::Failed, status.code()),
        Err(outcome) => (outcome, None),
    };
    let duration = started.elapsed();
    // Log neither the environment nor the output: they hold secrets.
    tracing::debug!(
        argv = %Redactor::of_this_process().own(&invocation.argv.join(" ")),
        outcome = outcome.as_str(),
        exit = exit_code,
        ms = ms_since(started),
        "command ended"
    );
    Ok(Finished {
        outcome,
        exit_code,
        output: lock(&sink.tail).text(),
        stdout: std::mem::take(&mut lock(&sink.stdout)),
        duration,
    })
}

/// A child that changes into a folder that hangs blocks the thread that starts it.
async fn answers(directory: &Path) -> io::Result<()> {
    let directory = directory.to_owned();
    let found = files::looked(move || files::metadata(&directory)).await;
    found.unwrap_or_else(|hangs| Err(hangs.into())).map(drop)
}

fn spawn(invocation: &Invocation<'_>) -> io::Result<(Child, Group)> {
    let (program, arguments) = invocation
        .argv
        .split_first()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "an empty command"))?;
    // A duplicate has no close-on-exec flag, so the child inherits it; undrift closes its own after the start.
    let _held: Option<OwnedFd> = invocation.hold.map(rustix::io::dup).transpose()?;
    let child = Command::new(program)
        .args(arguments)
        .current_dir(invocation.directory)
        .env_clear()
        .envs(invocation.env.iter())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let leader = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let leader = leader.ok_or_else(|| io::Error::other("the child has no process ID"))?;
    Ok((child, Group { leader, armed: true }))
}

/// A process group, killed when dropped.
struct Group {
    leader: Pid,
    armed: bool,
}

impl Group {
    fn is_gone(&self) -> bool {
        test_kill_process_group(self.leader) == Err(rustix::io::Errno::SRCH)
    }

    fn signal(&self, signal: Signal) {
        // It may be gone already, which is fine; other errors have no recipient, and the waits are bounded.
        let _ = kill_process_group(self.leader, signal);
    }

    /// Ends the rest of the group, and waits for it: SIGTERM, the grace, SIGKILL.
    async fn end<P: FusedFuture<Output = ()> + Unpin>(
        mut self,
        child: &mut Child,
        pump: &mut P,
        grace: Duration,
    ) {
        for (signal, wait) in [(Signal::TERM, grace), (Signal::KILL, KILL_WAIT)] {
            if child.id().is_none() && self.is_gone() {
                break;
            }
            self.signal(signal);
            let gone = async {
                let _ = child.wait().await;
                while !self.is_gone() {
                    sleep(LOOK).await;
                }
            };
            if timeout(wait, while_pumping(pump, gone)).await.is_ok() {
                break;
            }
        }
        self.armed = false;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.armed {
            self.signal(Signal::KILL);
        }
    }
}

/// Waits for something while reading output: a child blocks if its output is not read.
async fn while_pumping<T>(
    pump: &mut (impl FusedFuture<Output = ()> + Unpin),
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = &mut *pump, if !pump.is_terminated() => {}
        }
    }
}

/// Reads to the end of the output.
async fn while_open(pump: &mut (impl FusedFuture<Output = ()> + Unpin)) {
    if !pump.is_terminated() {
        pump.await;
    }
}

/// The destination of output.
struct Sink<'a> {
    tail: Mutex<Tail>,
    stdout: Mutex<Vec<u8>>,
    progress: &'a (dyn Fn(&str) + Send + Sync),
}

/// The value behind a lock that only one task of this file takes at a time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sink<'_> {
    fn line(&self, line: &str) {
        lock(&self.tail).push(line);
        (self.progress)(line);
    }

    fn data(&self, bytes: &[u8]) {
        let mut all = lock(&self.stdout);
        let room = WHOLE_STDOUT.saturating_sub(all.len());
        all.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

async fn pump(
    stdout: Option<impl AsyncRead + Unpin>,
    stderr: Option<impl AsyncRead + Unpin>,
    sink: &Sink<'_>,
    keep_stdout: bool,
) {
    let out = async {
        if keep_stdout {
            read(stdout, |bytes| sink.data(bytes)).await;
        } else {
            read_lines(stdout, sink).await;
        }
    };
    tokio::join!(out, read_lines(stderr, sink));
}

async fn read_lines(stream: Option<impl AsyncRead + Unpin>, sink: &Sink<'_>) {
    let mut lines = Lines::default();
    read(stream, |bytes| lines.push(bytes, |line| sink.line(line))).await;
    lines.end(|line| sink.line(line));
}

async fn read(stream: Option<impl AsyncRead + Unpin>, mut take: impl FnMut(&[u8])) {
    let Some(mut stream) = stream else { return };
    let mut buffer = vec![0; 8 * 1024];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(n) => take(&buffer[..n]),
        }
    }
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;

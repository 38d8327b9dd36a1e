//! The threads on which files are accessed. Nobody joins them: one that hangs costs neither a look nor the end of undrift.

use std::{
    cell::RefCell,
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::Duration,
};

use tokio::sync::oneshot;

use super::accesses::{Access, Accesses, Hangs, Sharing};

/// How often a worker is looked at that is between two accesses, or waits until it may begin one.
const BETWEEN: Duration = Duration::from_millis(250);

/// How often a look at many files is begun. A file system costs eight of them at most.
const MOST_ROUNDS: u32 = 20;

thread_local! {
    static SELF: RefCell<Option<Worker>> = const { RefCell::new(None) };
}

/// A thread for accesses, as itself and as who waits for it see it.
#[derive(Clone)]
struct Worker {
    accesses: &'static Accesses,
    current: Arc<Mutex<Option<Arc<Access>>>>,
}

impl Worker {
    fn start(accesses: &'static Accesses, work: impl FnOnce() + Send + 'static) -> Result<Self, Hangs> {
        let worker = Self { accesses, current: Arc::default() };
        let itself = worker.clone();
        let begin = move || {
            SELF.set(Some(itself));
            work();
        };
        match thread::Builder::new().name("undrift-files".into()).spawn(begin) {
            Ok(_) => Ok(worker),
            Err(error) => {
                tracing::error!(%error, "no thread can be started to look at files");
                Err(Hangs::BrokenOff)
            }
        }
    }

    fn current(&self) -> MutexGuard<'_, Option<Arc<Access>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long to wait until it is looked at whether it hangs.
    fn time_left(&self) -> Duration {
        self.current().as_ref().map_or(BETWEEN, |access| access.left().max(Duration::from_millis(1)))
    }

    /// What it hangs at, if it does.
    fn hangs(&self) -> Option<Hangs> {
        let current = self.current().clone()?;
        current.left().is_zero().then(|| current.given_up())
    }
}

/// Whether this thread is one for accesses.
pub(super) fn is_one() -> bool {
    SELF.with_borrow(Option::is_some)
}

/// Runs work on a worker, and waits for it while it gets on.
pub(super) fn run<T: Send + 'static>(
    accesses: &'static Accesses,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Hangs> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let worker = Worker::start(accesses, move || drop(sender.send(work())))?;
    loop {
        match receiver.recv_timeout(worker.time_left()) {
            Ok(done) => return Ok(done),
            Err(mpsc::RecvTimeoutError::Disconnected) => return Err(Hangs::BrokenOff),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                if let Some(hangs) = worker.hangs() {
                    // It may have ended just now.
                    return receiver.try_recv().map_err(|_| hangs);
                }
            }
        }
    }
}

/// The same, begun anew where it hangs; what it hung at is refused then.
pub(super) fn run_past<T: Send + 'static>(
    accesses: &'static Accesses,
    work: impl FnOnce() -> T + Clone + Send + 'static,
) -> Result<T, Hangs> {
    for _ in 1..MOST_ROUNDS {
        if let Ok(done) = run(accesses, work.clone()) {
            return Ok(done);
        }
    }
    run(accesses, work)
}

/// The same as [`run`] for who may not block.
pub(super) async fn run_beside<T: Send + 'static>(
    accesses: &'static Accesses,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Hangs> {
    let (sender, mut receiver) = oneshot::channel();
    let worker = Worker::start(accesses, move || drop(sender.send(work())))?;
    loop {
        match tokio::time::timeout(worker.time_left(), &mut receiver).await {
            Ok(done) => return done.map_err(|_| Hangs::BrokenOff),
            Err(_) => {
                if let Some(hangs) = worker.hangs() {
                    return receiver.try_recv().map_err(|_| hangs);
                }
            }
        }
    }
}

/// The same as [`run_past`] for who may not block.
pub(super) async fn run_past_beside<T: Send + 'static>(
    accesses: &'static Accesses,
    work: impl FnOnce() -> T + Clone + Send + 'static,
) -> Result<T, Hangs> {
    for _ in 1..MOST_ROUNDS {
        if let Ok(done) = run_beside(accesses, work.clone()).await {
            return Ok(done);
        }
    }
    run_beside(accesses, work).await
}

/// One access, on this very thread, which is a worker: elsewhere nobody would wait beside it.
pub(super) fn access<T>(
    path: &Path,
    sharing: Sharing,
    work: impl FnOnce(&Path, &Access) -> io::Result<T>,
) -> io::Result<T> {
    let worker = SELF.with_borrow(Clone::clone);
    debug_assert!(cfg!(test) || worker.is_some(), "{} is accessed where nothing has a limit", path.display());
    let accesses = worker.as_ref().map_or(&super::ACCESSES, |worker| worker.accesses);
    let begun = accesses.begin(path, sharing, |mount| answers(accesses, mount))?;
    let _current = worker.as_ref().map(|worker| Current::set(worker, &begun.access));
    // Of the many files of a folder each is named by the folder that was asked for.
    if sharing == Sharing::Alone {
        begun.access.note_target();
    }
    work(path, &begun.access)
}

/// What a worker is at, until this is dropped.
struct Current<'a>(&'a Worker);

impl<'a> Current<'a> {
    fn set(worker: &'a Worker, access: &Arc<Access>) -> Self {
        *worker.current() = Some(Arc::clone(access));
        Self(worker)
    }
}

impl Drop for Current<'_> {
    fn drop(&mut self) {
        *self.0.current() = None;
    }
}

/// Whether a file system answers. Asked is what no client answers from what it remembers.
fn answers(accesses: &'static Accesses, mount: &Path) -> bool {
    let mount = mount.to_owned();
    let asked = run(accesses, move || {
        access(&mount, Sharing::Alone, |mount, _| Ok(rustix::fs::statvfs(mount).map(drop)?))
    });
    asked.is_ok_and(|answer| !answer.is_err_and(|error| Hangs::is_why(&error)))
}

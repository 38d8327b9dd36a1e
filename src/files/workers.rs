//! The threads on which files are accessed. Nobody joins them: one that hangs blocks neither its caller nor the shutdown of
//! undrift.

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

/// How often to check a worker that is between two accesses, or waits until it may begin one.
const BETWEEN: Duration = Duration::from_millis(250);

/// How often work on many files is started. A file system costs eight of them at most.
const MOST_ROUNDS: u32 = 20;

thread_local! {
    static SELF: RefCell<Option<Worker>> = const { RefCell::new(None) };
}

/// A thread for accesses, as seen by itself and by its waiting caller.
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

    /// How long to wait before checking whether it hangs.
    fn time_left(&self) -> Duration {
        self.current().as_ref().map_or(BETWEEN, |access| access.left().max(Duration::from_millis(1)))
    }

    /// The path that it hangs at, if it does.
    fn hangs(&self) -> Option<Hangs> {
        let current = self.current().clone()?;
        current.left().is_zero().then(|| current.given_up())
    }
}

/// Whether this thread is one for accesses.
pub(super) fn is_one() -> bool {
    SELF.with_borrow(Option::is_some)
}

/// Runs work on a worker, and waits for it while it makes progress.
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

/// The same, restarted if it hangs; the path that hung is then refused.
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

/// The same as [`run`] for callers that may not block.
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

/// The same as [`run_past`] for callers that may not block.
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

/// One access, on this very thread, which is a worker: on another thread nobody would check whether it hangs.
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
    // The many files of a folder are named by the requested folder.
    if sharing == Sharing::Alone {
        begun.access.note_target();
    }
    work(path, &begun.access)
}

/// A worker's present access, until this is dropped.
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

/// Whether a file system answers, by a query that no client answers from its cache.
fn answers(accesses: &'static Accesses, mount: &Path) -> bool {
    let mount = mount.to_owned();
    let asked = run(accesses, move || {
        access(&mount, Sharing::Alone, |mount, _| Ok(rustix::fs::statvfs(mount).map(drop)?))
    });
    asked.is_ok_and(|answer| !answer.is_err_and(|error| Hangs::is_why(&error)))
}

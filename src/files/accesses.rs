//! Which accesses to files are in progress, which of them hang, and which are therefore not begun.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{
    mounts::{self, Mount},
    named::{Named, follow_links},
};

/// The limits for files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How long an access may take. It takes well under a millisecond; a disk that must spin up, seconds.
    pub(super) time: Duration,
    /// The same beside one that hangs on the same file system: probably the server is gone.
    pub(super) time_beside: Duration,
    /// How many accesses may be in progress at once on one file system, if that counts: from that many on in all.
    pub(super) on_a_mount: usize,
    /// How many may hang in all. A thread that hangs costs some ten kilobytes; this many are far below the limits of systemd
    /// and the kernel for a service.
    pub(super) hanging: usize,
}

impl Limits {
    pub(super) const OF_A_PROCESS: Self = Self {
        time: Duration::from_secs(5),
        time_beside: Duration::from_secs(1),
        on_a_mount: 8,
        hanging: 128,
    };
}

/// Why an access was given up or not begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Hangs {
    /// The path has not answered in time, now or before.
    #[error("{0} does not answer: what it is on hangs")]
    Path(Named),
    /// The whole file system does not.
    #[error("{} does not answer: the file system at {} hangs", path.display(), mount.display())]
    Mount {
        /// The requested path.
        path: PathBuf,
        /// Its mount point.
        mount: PathBuf,
    },
    /// See [`super::spent`].
    #[error("{} is not asked for: too many files hang already, and only a new start of undrift helps", .0.display())]
    Spent(PathBuf),
    /// There is no thread for it, or it ended before it was complete.
    #[error("the look at the files broke off")]
    BrokenOff,
}

impl From<Hangs> for io::Error {
    fn from(hangs: Hangs) -> Self {
        Self::new(io::ErrorKind::TimedOut, hangs)
    }
}

impl Hangs {
    /// Whether this is why an access failed.
    pub(crate) fn is_why(error: &io::Error) -> bool {
        error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Self>)
    }
}

/// Whether others may access the same path at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sharing {
    /// One after the other: if a path hangs, only one access does.
    Alone,
    /// An access that takes long even normally, and that few make.
    Shared,
}

/// One access in progress.
#[derive(Debug)]
pub(super) struct Access {
    path: PathBuf,
    began: Instant,
    /// When it last made progress, in milliseconds after it began.
    touched: AtomicU64,
    limit: Duration,
    /// Its mount, as of when it was first needed.
    mount: OnceLock<Option<Mount>>,
    /// The target of its links, as far as they have been followed.
    target: Mutex<Option<PathBuf>>,
}

impl Access {
    /// It makes progress.
    pub(super) fn touch(&self) {
        self.touched.store(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    /// How long it may still take; zero if it hangs.
    pub(super) fn left(&self) -> Duration {
        let idle = self.began.elapsed().saturating_sub(Duration::from_millis(self.touched.load(Relaxed)));
        self.limit.saturating_sub(idle)
    }

    fn hangs(&self) -> bool {
        self.left().is_zero()
    }

    fn mount(&self) -> Option<&Mount> {
        self.mount.get_or_init(|| mounts::of(&self.path)).as_ref()
    }

    /// Notes the target of the path's links. That may hang itself, and then the last noted target is the place.
    pub(super) fn note_target(&self) {
        follow_links(&self.path, |at| *self.target() = Some(at));
    }

    fn target(&self) -> MutexGuard<'_, Option<PathBuf>> {
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The error for a caller that has stopped waiting for it.
    pub(super) fn given_up(&self) -> Hangs {
        // It is on the present mount; at the next request that may be another one.
        let _ = self.mount();
        Hangs::Path(Named::new(&self.path, self.target().clone()))
    }
}

/// All accesses in progress.
#[derive(Debug)]
pub(crate) struct Accesses {
    open: Mutex<Vec<Arc<Access>>>,
    /// One has ended.
    ended: Condvar,
    limits: Limits,
    spent: Notify,
}

/// How to proceed with a new access.
enum Admission {
    /// It has this long.
    Begin(Duration),
    /// Others must end first: wait this long for that.
    Wait(Duration),
    /// All accesses in progress on this file system hang: test whether it answers at all.
    Try(Mount),
    Refuse(Hangs),
}

impl Accesses {
    pub(super) const fn new(limits: Limits) -> Self {
        Self { open: Mutex::new(Vec::new()), ended: Condvar::new(), limits, spent: Notify::const_new() }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Access>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`super::hanging`].
    pub(super) fn hanging(&self) -> Vec<PathBuf> {
        self.lock().iter().filter(|access| access.hangs()).map(|access| access.path.clone()).collect()
    }

    /// See [`super::spent`].
    pub(super) async fn spent(&self) {
        self.spent.notified().await;
    }

    pub(super) fn declare_spent(&self) {
        self.spent.notify_one();
    }

    /// Begins an access, once it may; `answers` is whether a file system does, by its mount point.
    pub(super) fn begin(
        &'static self,
        path: &Path,
        sharing: Sharing,
        answers: impl Fn(&Path) -> bool,
    ) -> Result<AccessGuard, Hangs> {
        let mut open = self.lock();
        let limit = loop {
            match self.admit(&open, path, sharing) {
                Admission::Begin(limit) => break limit,
                Admission::Wait(left) => {
                    let waited = self.ended.wait_timeout(open, left);
                    open = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                Admission::Refuse(hangs) => return Err(hangs),
                Admission::Try(mount) => {
                    drop(open);
                    if !answers(&mount.point) {
                        return Err(Hangs::Mount { path: path.to_owned(), mount: mount.point });
                    }
                    open = self.lock();
                    break self.limits.time_beside;
                }
            }
        };
        let access = Arc::new(Access {
            path: path.to_owned(),
            began: Instant::now(),
            touched: AtomicU64::new(0),
            limit,
            mount: OnceLock::new(),
            target: Mutex::default(),
        });
        open.push(Arc::clone(&access));
        Ok(AccessGuard { accesses: self, access })
    }

    fn admit(&self, open: &[Arc<Access>], path: &Path, sharing: Sharing) -> Admission {
        let same = |access: &&Arc<Access>| access.path.as_os_str() == path.as_os_str();
        let here = mounts::LazyMount::new(path);
        for access in open.iter().filter(same) {
            if !access.hangs() {
                if sharing == Sharing::Alone {
                    return Admission::Wait(access.left());
                }
            // An access that hangs on an unmounted file system proves nothing about the present content of the path.
            } else if access.mount() == here.mount() {
                return Admission::Refuse(access.given_up());
            }
        }
        let hanging = open.iter().filter(|access| access.hangs()).count();
        if hanging >= self.limits.hanging {
            self.declare_spent();
            // If nothing hangs, no more threads are lost: the state folder must accept the last writes.
            let is_well = here.mount().is_some_and(|mount| {
                !open.iter().any(|access| access.hangs() && access.mount() == Some(mount))
            });
            if !is_well {
                return Admission::Refuse(Hangs::Spent(path.to_owned()));
            }
        }
        if hanging == 0 && open.len() < self.limits.on_a_mount {
            return Admission::Begin(self.limits.time);
        }
        self.beside(open, path, here.mount())
    }

    /// The turn of an access on this file system, beside those in progress there.
    fn beside(&self, open: &[Arc<Access>], path: &Path, mount: Option<&Mount>) -> Admission {
        let Some(mount) = mount else { return Admission::Begin(self.limits.time) };
        let beside: Vec<_> = open.iter().filter(|access| access.mount() == Some(mount)).collect();
        // Its mount point is used to test whether it answers: see `Admission::Try`.
        if beside.len() < self.limits.on_a_mount || path == mount.point {
            let one_hangs = beside.iter().any(|access| access.hangs());
            return Admission::Begin(if one_hangs { self.limits.time_beside } else { self.limits.time });
        }
        let first = beside.iter().map(|access| access.left()).filter(|left| !left.is_zero()).min();
        first.map_or_else(|| Admission::Try(mount.clone()), Admission::Wait)
    }
}

/// An access in progress; dropping this ends it.
pub(super) struct AccessGuard {
    accesses: &'static Accesses,
    pub(super) access: Arc<Access>,
}

impl Drop for AccessGuard {
    fn drop(&mut self) {
        self.accesses.lock().retain(|open| !Arc::ptr_eq(open, &self.access));
        self.accesses.ended.notify_all();
    }
}

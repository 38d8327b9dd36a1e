//! Which accesses to files are under way, which of them hang, and which is not begun for that.

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

/// What files may cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How long an access may take. It takes well under a millisecond; a disk that is to wake up, seconds.
    pub(super) time: Duration,
    /// The same beside one that hangs on the same file system: it is probably the server that is gone.
    pub(super) time_beside: Duration,
    /// How many accesses are under way at once on one file system, where that counts: from as many on in all.
    pub(super) on_a_mount: usize,
    /// How many may hang in all. A thread that hangs costs some ten kilobytes; this many are far below what systemd and
    /// the kernel leave a service.
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
        /// What was asked for.
        path: PathBuf,
        /// Where it is mounted.
        mount: PathBuf,
    },
    /// See [`super::spent`].
    #[error("{} is not asked for: too many files hang already, and only a new start of undrift helps", .0.display())]
    Spent(PathBuf),
    /// There is no thread for it, or it ended before its work.
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

/// Whether others may be at the same path meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sharing {
    /// One after the other: of a path that hangs only one will.
    Alone,
    /// What takes long while all is well, and is done by few.
    Shared,
}

/// One access that is under way.
#[derive(Debug)]
pub(super) struct Access {
    path: PathBuf,
    began: Instant,
    /// When it was last seen to get on, in milliseconds after it began.
    touched: AtomicU64,
    limit: Duration,
    /// Where it is, as it was when that was first of interest.
    mount: OnceLock<Option<Mount>>,
    /// Where its links lead to, as far as they have been followed.
    target: Mutex<Option<PathBuf>>,
}

impl Access {
    /// It gets on.
    pub(super) fn touch(&self) {
        self.touched.store(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    /// How long it may yet take; zero where it hangs.
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

    /// Notes where the links of the path lead to. It may hang there itself, and what was noted until then is the place.
    pub(super) fn note_target(&self) {
        follow_links(&self.path, |at| *self.target() = Some(at));
    }

    fn target(&self) -> MutexGuard<'_, Option<PathBuf>> {
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why whoever waits for it is told no more than this.
    pub(super) fn given_up(&self) -> Hangs {
        // It is on what is mounted now; by the time it is asked for again that may be something else.
        let _ = self.mount();
        Hangs::Path(Named::new(&self.path, self.target().clone()))
    }
}

/// All accesses that are under way.
#[derive(Debug)]
pub(crate) struct Accesses {
    open: Mutex<Vec<Arc<Access>>>,
    /// One has ended.
    ended: Condvar,
    limits: Limits,
    spent: Notify,
}

/// What is to be done with an access that somebody wants to begin.
enum Admission {
    /// It has this long.
    Begin(Duration),
    /// Others must end first, for which this is to be waited.
    Wait(Duration),
    /// All that are under way on this file system hang: it is to be tried whether it answers at all.
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

    /// Begins an access, once it may; `answers` says whether a file system does, by its mount point.
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
            // What hangs on a file system that is not there any more says nothing of what is at the path now.
            } else if access.mount() == here.mount() {
                return Admission::Refuse(access.given_up());
            }
        }
        let hanging = open.iter().filter(|access| access.hangs()).count();
        if hanging >= self.limits.hanging {
            self.declare_spent();
            // Where nothing hangs nothing more is lost: the state folder must take the end.
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

    /// The turn of an access on this file system, beside those that are under way there.
    fn beside(&self, open: &[Arc<Access>], path: &Path, mount: Option<&Mount>) -> Admission {
        let Some(mount) = mount else { return Admission::Begin(self.limits.time) };
        let beside: Vec<_> = open.iter().filter(|access| access.mount() == Some(mount)).collect();
        // By its mount point it is tried whether it answers: see `Admission::Try`.
        if beside.len() < self.limits.on_a_mount || path == mount.point {
            let one_hangs = beside.iter().any(|access| access.hangs());
            return Admission::Begin(if one_hangs { self.limits.time_beside } else { self.limits.time });
        }
        let first = beside.iter().map(|access| access.left()).filter(|left| !left.is_zero()).min();
        first.map_or_else(|| Admission::Try(mount.clone()), Admission::Wait)
    }
}

/// An access that has begun, and ends with this.
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

//! When to read the manifests again.
//!
//! The kernel (inotify) only wakes; whether anything has changed is seen by looking at the files. So a busy
//! neighbour in the same folder costs a look, not a load, and a change that the kernel does not tell of (a network
//! file system, a parent folder that was moved) is found by the look that a timer brings.

mod stamps;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use notify::{ErrorKind, Event, RecursiveMode, Watcher};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::ManifestSource;
use crate::files::kernel_watch;
use stamps::Stamps;

/// When to look.
#[derive(Debug, Clone, Copy)]
struct Timing {
    /// A burst of changes is over after this long without one.
    quiet: Duration,
    /// A burst without end is looked at after this.
    latest: Duration,
    /// Between looks that nothing asked for, where the kernel wakes.
    spare: Duration,
    /// The same where it does not.
    blind: Duration,
}

const TIMING: Timing = Timing {
    quiet: Duration::from_millis(200),
    latest: Duration::from_secs(2),
    spare: Duration::from_secs(30),
    blind: Duration::from_secs(3),
};

/// Makes the kernel's watcher, which is to wake.
type Connect = fn(Arc<Notify>) -> notify::Result<Box<dyn Watcher + Send>>;

/// A stream that says when to read the manifests again: some of the files or folders that these sources name may have
/// changed, appeared or gone. Standard input is read once and cannot change.
///
/// The first look is taken before this returns, and changes count from then on: call it before the first load. It is
/// a look at files, so it may block for some milliseconds. The stream is to be polled within a Tokio runtime.
///
/// # Guarantees
/// - A change is told of 200 ms after the last one of a burst, or 2 s after its first.
/// - All changes that happen while the consumer is busy are told of once.
/// - A file may be replaced, be a symbolic link that is swapped anywhere on its way (as Kubernetes does with a
///   `ConfigMap`), or not exist yet; a folder may be removed and made again.
/// - Where the kernel does not wake, the files are looked at every 3 s, and the log says so once.
pub fn watch(sources: &[ManifestSource]) -> impl Stream<Item = ()> + Send + use<> {
    watch_with(sources, TIMING, inotify)
}

fn watch_with(
    sources: &[ManifestSource],
    timing: Timing,
    connect: Connect,
) -> impl Stream<Item = ()> + Send + use<> {
    let paths = sources.iter().filter_map(|source| match source {
        ManifestSource::Path(path) => Some(std::path::absolute(path).unwrap_or_else(|_| path.clone())),
        ManifestSource::Stdin => None,
    });
    let mut watched = WatchedPaths::new(paths.collect(), connect);
    let wake = Arc::clone(&watched.wake);
    watched.look();
    stream::unfold(watched, move |mut watched| {
        let wake = Arc::clone(&wake);
        async move {
            loop {
                settled(&wake, if watched.blind { timing.blind } else { timing.spare }, timing).await;
                // It fails only where the runtime is ending.
                let look = tokio::task::spawn_blocking(move || (watched.look(), watched));
                let (changed, again) = look.await.ok()?;
                watched = again;
                if changed {
                    return Some(((), watched));
                }
            }
        }
    })
}

/// Returns after a burst of wakes, or after the period if there was none.
async fn settled(wake: &Notify, period: Duration, timing: Timing) {
    if timeout_at(Instant::now() + period, wake.notified()).await.is_err() {
        return;
    }
    let latest = Instant::now() + timing.latest;
    while Instant::now() < latest {
        let quiet = Instant::now() + timing.quiet;
        if timeout_at(quiet.min(latest), wake.notified()).await.is_err() {
            return;
        }
    }
}

struct WatchedPaths {
    paths: Vec<PathBuf>,
    wake: Arc<Notify>,
    connect: Connect,
    kernel: Option<Box<dyn Watcher + Send>>,
    /// Those that the kernel was told to watch.
    folders: BTreeSet<PathBuf>,
    seen: Stamps,
    /// Whether some folder is not watched by the kernel.
    blind: bool,
    /// Whether the log has said so.
    warned: bool,
}

impl WatchedPaths {
    fn new(paths: Vec<PathBuf>, connect: Connect) -> Self {
        Self {
            paths,
            wake: Arc::default(),
            connect,
            kernel: None,
            folders: BTreeSet::new(),
            seen: Stamps::default(),
            blind: false,
            warned: false,
        }
    }

    /// Whether the manifests may have changed since the last look.
    fn look(&mut self) -> bool {
        // To be watched before it is looked at, or a change in between would be missed.
        let early = Stamps::take(&self.paths);
        self.arm(early.folders());
        let now = Stamps::take(&self.paths);
        let changed = now.differs_from(&self.seen);
        if now.folders() != early.folders() {
            // They moved meanwhile: these are to be watched too.
            self.wake.notify_one();
        }
        self.seen = now;
        changed
    }

    /// Tells the kernel of these folders, and of no others. Also of those that it knows: of a folder that was made
    /// again it knows only the old one, and telling it twice does nothing.
    fn arm(&mut self, folders: &BTreeSet<PathBuf>) {
        let failed = self.try_arm(folders).err();
        self.blind = failed.is_some();
        if let Some(error) = failed.filter(|_| !std::mem::replace(&mut self.warned, true)) {
            let s = TIMING.blind.as_secs();
            tracing::warn!(%error, "the manifests cannot be watched; looking at them every {s} s instead");
        }
    }

    fn try_arm(&mut self, folders: &BTreeSet<PathBuf>) -> notify::Result<()> {
        let kernel = match &mut self.kernel {
            Some(kernel) => kernel,
            none => none.insert((self.connect)(Arc::clone(&self.wake))?),
        };
        for gone in self.folders.difference(folders) {
            // The kernel forgets a removed folder by itself.
            let _ = kernel.unwatch(gone);
        }
        self.folders.clone_from(folders);
        let mut watched = Ok(());
        for folder in folders {
            match kernel.watch(folder, RecursiveMode::NonRecursive) {
                // Removed since it was found, of which the watch on its parent tells.
                Err(error) if matches!(error.kind, ErrorKind::PathNotFound) => self.wake.notify_one(),
                Err(error) => watched = Err(error),
                Ok(()) => {}
            }
        }
        watched
    }
}

fn inotify(wake: Arc<Notify>) -> notify::Result<Box<dyn Watcher + Send>> {
    kernel_watch::inotify(move |event| wake_on_change(&wake, event))
}

fn wake_on_change(wake: &Notify, event: notify::Result<Event>) {
    // An error may hide anything, so it wakes too.
    if !event.is_ok_and(|event| kernel_watch::only_reads(event.kind)) {
        wake.notify_one();
    }
}

#[cfg(test)]
mod tests;

//! The sources as a trigger: a change of the files that an observation of an object rests on names the object.
//!
//! After each look the reconciler reports the paths that it rests on. The kernel wakes where one of them changes; where it cannot,
//! the metadata is polled. A burst (a checkout, a compiler) is one trigger, and [`pace`] bounds those of a source that never
//! keeps still. A look only reads, and reads are no events: it does not trigger itself. Where a service writes into its source
//! because of a look, [`echoes`] has the next one wait ever longer.
//!
//! | file | holds |
//! | --- | --- |
//! | `requests` | what the reconciles ask for |
//! | `roots` | what is watched of an object, and how it looks now |
//! | `table` | which objects an event concerns |
//! | `kernel` | the watches, and their bound |
//! | `identity` | which folder a path leads to, and on which mounts |
//! | `object_watch` | how the roots of one object are watched or polled |
//! | `watched` | the objects, and what is done when |
//! | `pace` | how often a source may cause an observation |
//! | `echoes` | changes that come with each observation |
//! | `due` | the objects whose time is yet to come |
//!
//! # Guarantees
//! - A change after a look is a trigger, also one between the look and the watch.
//! - Folders that appear are watched before the look that follows.
//! - Where the kernel's queue overflows, every object is looked at.
//!
//! # Caveats
//! A folder above a root is watched only if it is a link, or directly above. If another is renamed away, or something is mounted
//! there, no event reports it: what is at the paths is compared with what is watched, at each look and each [`Timing::poll`].

mod due;
mod echoes;
mod identity;
mod kernel;
mod object_watch;
mod pace;
mod requests;
mod roots;
mod table;
#[cfg(test)]
mod tests;
mod watched;

use std::{
    collections::BTreeSet,
    path::PathBuf,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use futures_util::{StreamExt as _, future::OptionFuture};
use notify::Event;
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::work_queue::WorkQueue;
use crate::{
    api::{SourcePaths, Time},
    files::{self, kernel_watch},
    runtime::debounce,
};
use due::Due;
use echoes::Echoes;
use kernel::{Handler, Kernel};
use pace::Pace;
use requests::{Request, Requests};
use table::Table;
use watched::{PolledRoot, Watched};

/// When to look.
#[derive(Debug, Clone, Copy)]
struct Timing {
    /// A burst is over after this long without an event.
    quiet: Duration,
    /// A burst without end is acted on after this: each look of a large context reads all of it again, and a compiler in it
    /// may write for minutes.
    latest: Duration,
    /// How many looks a source causes at once.
    at_once: u32,
    /// The longest that a change waits which comes with each look. The resync looks as often.
    echo: Duration,
    /// How often what is at the roots' paths is compared with what is watched, and the metadata of a root is read where the
    /// kernel does not wake. A change is seen ten times sooner than by the
    /// resync, and a walk through 50,000 files takes 0.3 s.
    poll: Duration,
}

const TIMING: Timing = Timing {
    quiet: Duration::from_millis(500),
    latest: Duration::from_secs(30),
    at_once: 10,
    echo: Duration::from_secs(300),
    poll: Duration::from_secs(30),
};

/// A poll may take at most one part in so many of the time: on a slow file system it comes less often.
const POLL_SHARE: u32 = 20;

/// What the reconciles tell the watch.
#[derive(Debug, Clone, Default)]
pub(super) struct SourceWatch(Requests);

impl SourceWatch {
    /// Has these paths watched, and no others of the object. An observation that rests on them began then.
    pub(super) fn watch(&self, object: &str, (began, paths): (Time, SourcePaths)) {
        self.0.add(object, Request::Watch(began, paths));
    }

    /// Has nothing of the object watched any more.
    pub(super) fn forget(&self, object: &str) {
        self.0.add(object, Request::Forget);
    }

    /// Queues the objects whose sources change. It looks into no folder `apart`: undrift's own, which each look writes.
    pub(super) async fn run(self, queue: WorkQueue, apart: Vec<PathBuf>) {
        run_with(self.0, queue, apart, TIMING, Kernel::new(connect)).await;
    }
}

fn connect(handler: Handler) -> notify::Result<Box<dyn notify::Watcher + Send>> {
    kernel_watch::inotify(handler)
}

/// What the kernel's thread and the watch share.
#[derive(Debug, Default)]
struct Hits {
    table: Mutex<Table>,
    /// Objects that may have changed.
    changed: WorkQueue,
    /// What of that comes with each observation.
    echoes: Mutex<Echoes>,
    /// Those whose folders may be others now.
    moved: Mutex<BTreeSet<String>>,
    /// Events were lost.
    lost: Notify,
}

impl Hits {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn moved(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn echoes(&self) -> MutexGuard<'_, Echoes> {
        self.echoes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something of the object may have changed.
    fn suspect(&self, object: &str) {
        self.echoes().note_other(object);
        self.changed.add(object);
    }

    fn note(&self, event: &notify::Result<Event>) {
        match event {
            Ok(event) if !event.need_rescan() => {
                let concerned = self.table().concerned(event);
                if !concerned.objects.is_empty() {
                    let (mut echoes, now) = (self.echoes(), SystemTime::now());
                    concerned.objects.iter().for_each(|object| echoes.note(object, &event.paths, now));
                    drop(echoes);
                    self.moved().extend(concerned.moved);
                    self.changed.add_all(concerned.objects);
                }
            }
            // An error may hide anything.
            _ => self.lost.notify_one(),
        }
    }

    fn handler(self: &Arc<Self>) -> Handler {
        let hits = Arc::clone(self);
        Box::new(move |event| hits.note(&event))
    }
}

/// A poll that has ended: the root, how it looks, and how long that took.
type Polled = (PolledRoot, Option<roots::Scan>, Duration);

async fn run_with(requests: Requests, queue: WorkQueue, apart: Vec<PathBuf>, timing: Timing, kernel: Kernel) {
    let hits = Arc::<Hits>::default();
    let mut watched = Watched::new(Arc::clone(&hits), kernel, apart, timing.poll);
    let mut bursts = pin!(debounce(hits.changed.stream(), timing.quiet, timing.latest));
    let mut pace = Pace::new(timing.at_once, timing.latest);
    let mut due = Due::default();
    let mut polls = JoinSet::<Polled>::new();
    let mut losses = None;
    let mut recheck = Instant::now() + timing.poll;
    loop {
        let (next_poll, next_loss) =
            (OptionFuture::from(watched.next_poll().map(sleep_until)), losses.map(sleep_until));
        tokio::select! {
            (object, request) = requests.next() => watched = watched.apply(object, request).await,
            Some(object) = bursts.next() => {
                // Before the look: what appears in a new folder after it must not be missed.
                watched = watched.follow(object.clone()).await;
                let times = hits.echoes().take(&object);
                let echo = times.map(|times| echoes::wait(times, timing.latest, timing.echo));
                if due.add(&object, echo, &mut pace) {
                    queue.add(&object);
                }
            }
            object = due.next() => queue.add(&object),
            () = sleep_until(recheck) => {
                watched = watched.recheck_all().await;
                recheck = Instant::now() + timing.poll;
            }
            Some(()) = next_poll => watched.start_polls(&mut polls),
            Some(Ok((root, scan, took))) = polls.join_next() => {
                watched.finish_poll(&root, scan.as_ref(), took);
            }
            () = hits.lost.notified() => {
                // A look may itself be what fills the kernel's queue: it must not follow itself at once.
                losses.get_or_insert(Instant::now() + timing.latest);
            }
            Some(()) = OptionFuture::from(next_loss) => {
                losses = None;
                watched.suspect_all();
            }
        }
    }
}

/// Looks at a root; nothing if it does not answer.
fn scan(root: &roots::Root, apart: &[PathBuf]) -> Option<roots::Scan> {
    let (root, apart) = (root.clone(), apart.to_vec());
    files::look(move || root.scan(&apart)).ok()
}

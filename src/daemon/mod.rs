//! `run`: watches a host, and repairs it without being asked.
//!
//! Triggers (the manifests' folder, the sources, the engine's events, a poll of images, requests at the socket, the clock) add
//! names of objects; the [loop](crate::runtime) runs one reconcile for each, the same that `apply` runs. A trigger gives no reason.

mod anchors;
mod bounded_host;
mod claims;
mod client;
mod connections;
mod heartbeat;
mod http;
mod objects;
mod protocol;
mod readiness;
mod reconciler;
mod session_cache;
mod signals;
mod socket;
mod source_watch;
mod state;
mod subscribers;
#[cfg(test)]
mod testing;
mod triggers;
mod work_queue;
mod writable;

use std::{num::NonZeroUsize, path::PathBuf, sync::Arc, time::Duration};

use futures_util::{
    Stream, StreamExt as _,
    stream::{self, BoxStream},
};
use sd_notify::NotifyState;
use tokio::sync::{Semaphore, broadcast::Sender};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use client::{AskError, Events, Replies, follow, reconcile};
pub(crate) use protocol::{ObjectOutcome, ReconcileRequest, Reply};
pub(crate) use signals::Signals;
pub(crate) use socket::{FILE as CONTROL_SOCKET, is_listening};
pub(crate) use writable::once_writable;

use crate::{
    anchor::Anchor,
    api::{Desired, NewRecord},
    files,
    host::{Host, LocalHost},
    manifest::{self, ManifestErrors, ManifestSource},
    reconcile::{ReconcileError, deregister, hold_registration, register},
    runtime::Controller,
    store::{Store, StoreError},
};
use objects::{ManagedObjects, Reloaded};
use readiness::notify;
use reconciler::DaemonContext;
use socket::ControlSocket;
use triggers::NOT_DECLARED;

/// Events that wait for a follower. A slower one loses some, never a record of the trail.
const FEED: usize = 1_024;

/// The options of a daemon.
#[derive(Debug)]
pub(crate) struct Options {
    /// What `-f` names.
    pub(crate) sources: Vec<ManifestSource>,
    /// The state folder, whose lock is held.
    pub(crate) state_dir: PathBuf,
    /// How many objects to work on at once.
    pub(crate) concurrency: NonZeroUsize,
    /// How many to build at once.
    pub(crate) builds: NonZeroUsize,
    /// How often to poll the engine for its images.
    pub(crate) image_period: Duration,
    /// How long shutdown may take.
    pub(crate) grace: Duration,
    /// Where to deliver each checkpoint of the trail.
    pub(crate) anchors: Vec<Anchor>,
}

/// Why a daemon did not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DaemonError {
    /// No object is declared by a valid manifest.
    #[error("{0}")]
    Manifests(#[from] ManifestErrors),
    /// The state folder failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The same, seen by the reconciler.
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
    /// No thread is left to read files with.
    #[error(
        "so many files hang that no more can be looked at; undrift has ended, for only a new start helps. Mount anew what \
         does not answer, or bring its server back"
    )]
    FilesHang,
    /// The socket or the signals cannot be used.
    #[error("cannot {action}: {source}")]
    Io {
        /// What.
        action: &'static str,
        /// The operating system's error.
        source: std::io::Error,
    },
}

/// Runs until the process is asked to end, then ends within the grace period.
///
/// # Errors
/// Before anything was done; and if so many files hang that nothing more can be.
pub(crate) async fn run(
    options: Options,
    host: Arc<LocalHost>,
    store: Arc<Store>,
    mut signals: Signals,
) -> Result<(), DaemonError> {
    let Some(started) = start(&options, host, store, &mut signals).await? else { return Ok(()) };
    let Started { socket, shared, edits } = started;
    let tasks = TaskTracker::new();
    let why = work(&shared, &socket, edits, &options, &mut signals, &tasks).await;
    end(&shared, socket, &tasks, &why).await;
    match why {
        End::Signal(_) => Ok(()),
        End::FilesHang => Err(DaemonError::FilesHang),
    }
}

/// A daemon that has recorded its start.
struct Started {
    socket: ControlSocket,
    shared: Arc<DaemonContext<LocalHost>>,
    edits: BoxStream<'static, ()>,
}

/// Opens the socket, reads the manifests, and records the start; `None` if the process was asked to end before.
async fn start(
    options: &Options,
    host: Arc<LocalHost>,
    store: Arc<Store>,
    signals: &mut Signals,
) -> Result<Option<Started>, DaemonError> {
    let io = |action| move |source| DaemonError::Io { action, source };
    let dir = &options.state_dir;
    let socket = once_writable(dir, signals, || ControlSocket::open(dir)).await;
    let Some(socket) = socket.map_err(io("open the socket in the state folder"))? else { return Ok(None) };
    let declared = store.declarations()?;
    let (edits, objects, loaded) = tokio::select! {
        first = first_read(options.sources.clone(), declared) => first.map_err(io("read the manifests"))?,
        // A file system that hangs does not block shutdown.
        signal = signals.end() => {
            tracing::info!(signal, "ended before the manifests were read");
            return Ok(None);
        }
    };
    let shared = Arc::new(shared(options, host, store, objects));
    shared.report_faults(loaded)?;
    let begun = once_writable(dir, signals, || shared.begin()).await?;
    Ok(begun.map(|()| Started { socket, shared, edits: edits.boxed() }))
}

/// Works until it must end; returns why. The tasks that it starts are in `tasks`.
async fn work(
    shared: &Arc<DaemonContext<LocalHost>>,
    socket: &ControlSocket,
    edits: BoxStream<'static, ()>,
    options: &Options,
    signals: &mut Signals,
    tasks: &TaskTracker,
) -> End {
    let until_stopped = |work: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
        let stop = shared.stop.clone();
        tasks.spawn(async move { stop.run_until_cancelled(work).await });
    };
    let engine = shared.host.engine();
    let changes = stream::select(engine.changes(), engine.image_changes(options.image_period));
    until_stopped(Box::pin(Arc::clone(shared).follow(changes)));
    let apart = vec![files::canonicalize(&options.state_dir).unwrap_or_else(|_| options.state_dir.clone())];
    until_stopped(Box::pin(shared.sources.clone().run(shared.queue.clone(), apart)));
    until_stopped(Box::pin(Arc::clone(shared).watch_state()));
    until_stopped(Box::pin(Arc::clone(shared).read_again(stream::select(edits, signals.hangups()))));
    until_stopped(Box::pin(anchors::grow_tree(Arc::clone(&shared.store))));
    let deliveries = anchors::Deliveries {
        store: Arc::clone(&shared.store),
        anchors: options.anchors.clone(),
        recording: shared.instructions.clone(),
    };
    until_stopped(Box::pin(deliveries.run()));
    let controller = Controller::new(Arc::clone(shared), options.concurrency);
    let keys = Box::pin(shared.queue.stream());
    let working = controller.run(keys, shared.stop.clone(), || {
        shared.heartbeat.beat();
        notify(&[NotifyState::Watchdog]);
    });
    let ending = end_when_asked(shared, signals, options.grace);
    tokio::select! {
        ((), end) = async { tokio::join!(working, ending) } => end,
        never = shared.accept_connections(socket, tasks) => match never {},
    }
}

/// Records what is still unrecorded, and waits for all tasks.
async fn end(shared: &Arc<DaemonContext<LocalHost>>, socket: ControlSocket, tasks: &TaskTracker, why: &End) {
    // Objects whose last reconcile has ended only now.
    for name in shared.objects.pending_removals() {
        // The next start records what cannot be recorded now.
        let _ = shared.finish_removal(&name);
    }
    shared.subscribers.disconnect(None);
    shared.reject_pending(socket, tasks);
    tasks.close();
    tasks.wait().await;
    shared.instructions.close();
    shared.instructions.wait().await;
    // It has ended properly, whether there is space to record that or not.
    if let Err(error) = shared.record_end(why) {
        tracing::error!(error = %shared.store.in_full(&error), "the end could not be recorded");
    }
}

/// Why a daemon ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// This signal asked it to.
    Signal(&'static str),
    /// See [`files::spent`].
    FilesHang,
}

/// The manifests, read for the first time, and a stream of their edits. The watch begins before the first read: an edit in
/// between is not lost.
async fn first_read(
    sources: Vec<ManifestSource>,
    declared: Vec<Desired>,
) -> std::io::Result<(impl Stream<Item = ()> + Send, ManagedObjects, Reloaded)> {
    let read = tokio::task::spawn_blocking(move || {
        let edits = manifest::watch(&sources);
        let objects = ManagedObjects::new(sources).resume(declared);
        let loaded = objects.reload();
        (edits, objects, loaded)
    });
    read.await.map_err(std::io::Error::other)
}

/// Everything that the reconciles share.
fn shared(
    options: &Options,
    host: Arc<LocalHost>,
    store: Arc<Store>,
    objects: ManagedObjects,
) -> DaemonContext<LocalHost> {
    DaemonContext {
        host,
        store,
        objects: Arc::new(objects),
        sessions: session_cache::SessionCache::default(),
        subscribers: Arc::default(),
        queue: work_queue::WorkQueue::default(),
        sources: source_watch::SourceWatch::default(),
        readiness: Arc::default(),
        heartbeat: heartbeat::Heartbeat::default(),
        instructions: TaskTracker::new(),
        feed: Sender::new(FEED),
        state_found: state::StateFound::default(),
        projects: claims::Projects::default(),
        active_projects: Arc::default(),
        hung_reads: Arc::default(),
        reading: Arc::default(),
        builds: Arc::new(Semaphore::new(options.builds.get())),
        stop: CancellationToken::new(),
        cancel: CancellationToken::new(),
    }
}

impl<H: Host + 'static> DaemonContext<H> {
    /// Reports the faults of the manifests. It is an error if none is valid.
    fn report_faults(&self, loaded: Reloaded) -> Result<(), DaemonError> {
        let Some(errors) = ManifestErrors::of(loaded.errors) else { return Ok(()) };
        if self.objects.names().is_empty() {
            return Err(errors.into());
        }
        for error in &errors {
            tracing::warn!(manifest = %error.in_a_line(), "not valid, and not in effect");
        }
        Ok(())
    }

    /// Records the start, and queues every object. An attempt that fails half-way has queued no declared one.
    fn begin(&self) -> Result<(), DaemonError> {
        let names = self.objects.names();
        let faults = self.objects.faults();
        if faults.is_some() {
            // An undeclared object may be in an invalid manifest under another name.
            self.objects.drop_pending_removals();
        }
        let parting = self.objects.pending_removals();
        self.queue.add_all(parting.clone());
        for object in self.store.objects()? {
            let name = &object.declared.metadata.name;
            match (self.objects.get(name), &faults) {
                _ if parting.contains(name) => {}
                (Some(desired), _) => register(&self.store, name, &desired.manifest)?,
                (None, None) => deregister(&self.store, name, NOT_DECLARED, self.store.now())?,
                // It may be in one of those that are not valid.
                (None, Some(faults)) => {
                    let why = format!("no manifest that is valid declares it: {faults}");
                    hold_registration(&self.store, name, &why, self.store.now())?;
                    self.objects.add_undecided(name);
                }
            }
        }
        self.store.append(&NewRecord::started(env!("CARGO_PKG_VERSION"), &names))?;
        self.keep_declared();
        tracing::info!(objects = names.len(), "started");
        self.readiness.expect(names.clone());
        self.queue.add_all(names);
        Ok(())
    }
}

/// Asked to end: no step begins any more, and a running command has most of the grace period to end by itself.
async fn end_when_asked(shared: &DaemonContext<LocalHost>, signals: &mut Signals, grace: Duration) -> End {
    let end = tokio::select! {
        signal = signals.end() => End::Signal(signal),
        () = files::spent() => End::FilesHang,
    };
    match end {
        End::Signal(signal) => tracing::info!(signal, "ending"),
        End::FilesHang => tracing::error!("ending: {}", DaemonError::FilesHang),
    }
    shared.readiness.forgo();
    notify(&[NotifyState::Stopping]);
    shared.stop.cancel();
    let cancel = shared.cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(of_its_own(grace)).await;
        cancel.cancel();
    });
    end
}

/// The part of the grace period for the work after the command's own time: an abandoned step takes longest, then come the
/// last records, and the exit of the process.
const LAST: Duration = bounded_host::STEP_END.saturating_add(Duration::from_secs(2));

/// How long a command may continue by itself, so that everything ends within the grace period. A short period leaves it a
/// quarter: most commands end at once when asked, and an observation is over by then.
fn of_its_own(grace: Duration) -> Duration {
    grace.saturating_sub(LAST).max(grace / 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::process::GRACE;

    #[test]
    fn the_whole_end_is_within_the_grace_period() {
        let seconds = Duration::from_secs;
        assert_eq!(of_its_own(seconds(60)), seconds(44));
        assert_eq!(of_its_own(seconds(2)), Duration::from_millis(500));
        for grace in (14..600).map(seconds) {
            assert!(of_its_own(grace) + GRACE < grace, "a command that must be killed, {grace:?}");
        }
        for grace in (22..600).map(seconds) {
            assert!(of_its_own(grace) + bounded_host::STEP_END < grace, "a step that hangs, {grace:?}");
        }
    }
}

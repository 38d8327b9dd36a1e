//! `run`: the daemon.

use std::{num::NonZeroUsize, path::Path, sync::Arc, time::Duration};

use super::{
    Context, Failure,
    args::{AnchorText, RunArgs},
    context,
    machine::SETTLE_LIMIT,
};
use crate::{
    anchor::Anchor,
    daemon::{self, DaemonError, Options, Signals},
    host::{Cache, LocalHost},
    manifest::ManifestSource,
    reconcile::close_interrupted,
    store::{StateLock, StepLock, Store},
};

/// The minimum `--image-period`: below it the engine would do little else than list its images.
const LEAST_PERIOD: Duration = Duration::from_secs(1);

/// How long file reads may still take at the end: one that takes longer hangs, and has nothing to lose.
const LAST_READS: Duration = Duration::from_secs(1);

/// Runs until a signal.
pub(super) fn run(context: &mut Context<'_>, verb: &RunArgs) -> Result<u8, Failure> {
    let runtime = runtime(verb.concurrency)?;
    // Before all else: from here on no signal is lost.
    let mut signals = runtime.block_on(async { Signals::new() })?;
    if verb.image_period.get() < LEAST_PERIOD {
        let given = verb.image_period;
        return Err(Failure::Usage(format!("--image-period {given} is too short: give 1s or more")));
    }
    // Two spaces in the variable name nothing between them.
    let texts = verb.anchor.iter().map(|AnchorText(text)| text.as_str()).filter(|text| !text.is_empty());
    let anchors = Anchor::all(texts).map_err(|error| Failure::Usage(format!("--anchor: {error}")))?;
    let dir = context.state_dir()?;
    let opened = runtime.block_on(daemon::once_writable(&dir, &mut signals, || open(context, &dir)))?;
    let Some((_lock, steps, store)) = opened else { return Ok(0) };
    let options = Options {
        sources: ManifestSource::all(&verb.manifests.files),
        state_dir: dir,
        concurrency: verb.concurrency,
        builds: verb.builds,
        image_period: verb.image_period.get(),
        grace: verb.grace_period.get(),
        anchors,
    };
    let ended = runtime.block_on(begin(context, options, &store, &steps, signals));
    // Otherwise a request to a file system that hangs would block without end.
    runtime.shutdown_timeout(LAST_READS);
    ended
}

/// The locks and the state, in this order: the state notes which files are open.
fn open(context: &Context<'_>, dir: &Path) -> Result<(StateLock, Arc<StepLock>, Arc<Store>), Failure> {
    let lock = StateLock::acquire(dir, "run")?;
    let steps = Arc::new(StepLock::open(dir)?);
    let store = Arc::new(Store::open_locked(dir, context.actor("run"), &lock)?);
    Ok((lock, steps, store))
}

async fn begin(
    context: &mut Context<'_>,
    options: Options,
    store: &Arc<Store>,
    steps: &Arc<StepLock>,
    mut signals: Signals,
) -> Result<u8, Failure> {
    tokio::select! {
        waited = context::wait_for_orphan(context, steps) => waited?,
        _ = signals.end() => return Ok(0),
    }
    watch(options, store, steps, signals).await
}

async fn watch(
    options: Options,
    store: &Arc<Store>,
    steps: &Arc<StepLock>,
    mut signals: Signals,
) -> Result<u8, Failure> {
    let _while_at_work = steps.acquire()?;
    let closed = daemon::once_writable(store.dir(), &mut signals, || close_interrupted(store)).await?;
    let Some(closed) = closed else { return Ok(0) };
    for step in closed {
        tracing::warn!(what = step, "closed");
    }
    let cache = Arc::clone(store) as Arc<dyn Cache>;
    let host = LocalHost::connect(cache, Some(context::inheritable(steps)))?;
    let host = Arc::new(host.with_digests(context::digests(store)));
    let ended = daemon::run(options, Arc::clone(&host), Arc::clone(store), signals).await;
    host.settle(SETTLE_LIMIT).await;
    ended.map(|()| 0).map_err(|error| match error {
        // As every verb reports the faults of manifests.
        DaemonError::Manifests(errors) => errors.into(),
        error => error.into(),
    })
}

/// A thread for each object that is being reconciled, and some for the rest: a reconcile writes the state, and keeps its
/// thread for as long as a slow disk takes. With none left there would be no clock, and no heartbeat.
fn runtime(concurrency: NonZeroUsize) -> std::io::Result<tokio::runtime::Runtime> {
    let threads = concurrency.get().saturating_add(4);
    // Each observation has one of these besides, and waits for others that read for it.
    let for_files = threads.saturating_mul(2).saturating_add(512);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(threads).max_blocking_threads(for_files).enable_all().build()
}

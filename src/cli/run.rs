//! `run`: the daemon.

use std::sync::Arc;

use super::{Context, Failure, args::Run, context, narrator, style::Style};
use crate::{
    daemon::{self, DaemonError, Narrate, Options},
    host::{Cache, LocalHost},
    reconcile::close_interrupted,
    store::{StateLock, StepLock, Store},
};

/// Watches until a signal.
pub(super) fn run(context: &mut Context<'_>, verb: &Run) -> Result<u8, Failure> {
    let dir = context.state_dir()?;
    let store = Arc::new(Store::open(&dir, context::actor("run"))?);
    let _lock = StateLock::acquire(&dir, "run")?;
    let steps = Arc::new(StepLock::open(&dir)?);
    let options = Options {
        sources: context::sources(&verb.manifests.files),
        state_dir: dir,
        concurrency: verb.concurrency,
        builds: verb.builds,
        image_period: verb.image_period.get(),
        grace: verb.grace_period.get(),
        narrate: NARRATE,
    };
    context::runtime()?.block_on(async {
        context::wait_for_orphan(context, &steps).await?;
        let _while_at_work = steps.acquire()?;
        for told in close_interrupted(&store)? {
            tracing::warn!(what = told, "closed");
        }
        let cache = Arc::clone(&store) as Arc<dyn Cache>;
        let host = Arc::new(LocalHost::connect(cache, Some(context::inheritable(&steps)))?);
        let ended = daemon::run(options, Arc::clone(&host), store).await;
        host.settle(context::SETTLE_LIMIT).await;
        ended.map(|()| 0).map_err(|error| match error {
            // As every verb says what is wrong with manifests.
            DaemonError::Manifests(errors) => errors.into(),
            error => error.into(),
        })
    })
}

/// How progress is said to a person whose `apply` the daemon carries out.
const NARRATE: Narrate = |progress, colour| {
    narrator::line(Style { colour }, progress).map(|line| (line, narrator::is_passing(progress)))
};

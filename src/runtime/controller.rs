//! The loop itself.

use std::{fmt::Debug, hash::Hash, num::NonZeroUsize, pin::pin, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt, stream};
use tokio::{
    sync::mpsc,
    time::{Interval, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    runner::{Ended, Reconcile, Runner},
    scheduler::Scheduler,
};

#[cfg(test)]
mod tests;

/// How often the loop pulses: well within half of any sensible watchdog timeout, as `sd_watchdog_enabled(3)` recommends.
const PULSE: Duration = Duration::from_secs(2);

/// Runs a reconciler for every key that is triggered or whose time has come. Its guarantees are in the [room](super).
#[derive(Debug)]
pub struct Controller<K, R> {
    scheduler: Scheduler<K>,
    runner: Runner<K, R>,
    ended: mpsc::UnboundedReceiver<Ended<K>>,
}

/// Why the loop wakes up.
enum Wakeup<K> {
    Triggered(K),
    Ended(Ended<K>),
}

impl<K, R> Controller<K, R>
where
    K: Clone + Eq + Hash + Debug + Send + 'static,
    R: Reconcile<K>,
{
    /// A loop that runs at most `concurrency` keys at once.
    #[must_use]
    pub fn new(reconciler: Arc<R>, concurrency: NonZeroUsize) -> Self {
        let (runner, ended) = Runner::new(reconciler, concurrency);
        Self { scheduler: Scheduler::new(), runner, ended }
    }

    /// Runs until `stop` is cancelled: then nothing starts any more, and the loop awaits the present runs. It never cuts one
    /// off, so the reconciler must end it within the grace period: it gets the same token.
    ///
    /// Every item of `triggers` makes its key due now. If they end the loop goes on with its timers.
    ///
    /// The loop itself calls `pulse` at once, then every two seconds, also while it awaits its last runs: if the loop is
    /// stuck there is no pulse. It must not block.
    ///
    /// If the future is dropped, present runs go on to their end, unobserved.
    pub async fn run(
        self,
        triggers: impl Stream<Item = K>,
        stop: CancellationToken,
        mut pulse: impl FnMut(),
    ) {
        let Self { mut scheduler, mut runner, mut ended } = self;
        // `select` polls them in turns: endless triggers do not hide that a run has ended, nor the other way round.
        let ended = stream::poll_fn(move |cx| ended.poll_recv(cx)).map(Wakeup::Ended);
        let mut events = pin!(stream::select(triggers.map(Wakeup::Triggered), ended));
        let mut heartbeat = heartbeat();
        loop {
            // Otherwise triggers that are always ready would keep the thread from the runs.
            tokio::task::consume_budget().await;
            tokio::select! {
                // The first branches are bounded, the pulses by time and the starts by slots, so the events, which can be
                // endless, come last.
                biased;
                () = stop.cancelled() => break,
                _ = heartbeat.tick() => pulse(),
                key = scheduler.due(|key| runner.can_start(key)) => runner.start(key),
                Some(event) = events.next() => match event {
                    Wakeup::Triggered(key) => scheduler.schedule(key, tokio::time::Instant::now()),
                    Wakeup::Ended(ended) => {
                        if let Some((key, at)) = runner.finish(ended) {
                            scheduler.schedule(key, at);
                        }
                    }
                },
            }
        }
        tracing::debug!("stopping: nothing starts any more");
        let mut idle = pin!(runner.idle());
        loop {
            tokio::select! {
                biased;
                () = &mut idle => return,
                _ = heartbeat.tick() => pulse(),
            }
        }
    }
}

/// A missed beat is not made up for: it would show the loop as alive when it was not.
fn heartbeat() -> Interval {
    let mut heartbeat = interval(PULSE);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeat
}

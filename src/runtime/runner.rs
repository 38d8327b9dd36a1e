//! How many keys run at once, and the consequence of each run's end.
//!
//! By hand, because the loop checks whether a key can start while it waits for the next end: tokio-util's `JoinMap` is borrowed
//! as a whole for that wait.

use std::{
    any::Any,
    collections::{HashMap, HashSet},
    fmt::Debug,
    hash::Hash,
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use tokio::{sync::mpsc, task::JoinError, time::Instant};
use tokio_util::task::TaskTracker;

#[cfg(test)]
mod tests;

/// The wait after a panic. It doubles with every further one in a row, up to [`LONGEST_WAIT`]: a panic is a bug that the
/// next run most likely hits again, and must neither cause a storm nor end the key.
const FIRST_WAIT: Duration = Duration::from_secs(10);
/// The longest wait after a panic.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// The loop drives this. It observes the world as it is, and never learns why it runs.
pub trait Reconcile<K>: Send + Sync + 'static {
    /// One run for one key.
    ///
    /// It runs in a task of its own and is never cut off: it ends by itself in bounded time, soon once its caller has asked
    /// it to stop. A panic is logged, and the key runs again after 10 s, after 20 s if that panics too, and so on up to 10
    /// min.
    fn reconcile(&self, key: K) -> impl Future<Output = Requeue> + Send;
}

/// When a key runs again, unless it is triggered before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requeue {
    /// At once, behind those that are due already.
    Now,
    /// At that time. More than a year ahead counts as a year.
    At(Instant),
    /// Not before the next trigger. The loop keeps nothing of the key: this also forgets it.
    Never,
}

/// A run that has ended.
#[derive(Debug)]
pub(super) struct Ended<K> {
    key: K,
    outcome: Result<Requeue, Panicked>,
}

#[derive(Debug)]
struct Panicked;

/// Starts runs: never two of one key at once, never more than the bound.
#[derive(Debug)]
pub(super) struct Runner<K, R> {
    reconciler: Arc<R>,
    concurrency: NonZeroUsize,
    running: HashSet<K>,
    /// Panics in a row, of the keys whose last run panicked.
    panics: HashMap<K, u32>,
    tasks: TaskTracker,
    ended: mpsc::UnboundedSender<Ended<K>>,
}

impl<K, R> Runner<K, R>
where
    K: Clone + Eq + Hash + Debug + Send + 'static,
    R: Reconcile<K>,
{
    /// A runner, and the channel of its ended runs: pass each to [`Runner::finish`].
    pub(super) fn new(
        reconciler: Arc<R>,
        concurrency: NonZeroUsize,
    ) -> (Self, mpsc::UnboundedReceiver<Ended<K>>) {
        // Never holds more than one message per run, and there are at most `concurrency` of those.
        let (ended, ends) = mpsc::unbounded_channel();
        let (running, panics) = (HashSet::new(), HashMap::new());
        (Self { reconciler, concurrency, running, panics, tasks: TaskTracker::new(), ended }, ends)
    }

    /// Whether a slot is free, and `key` is in none.
    pub(super) fn can_start(&self, key: &K) -> bool {
        self.running.len() < self.concurrency.get() && !self.running.contains(key)
    }

    /// Starts a run of `key`, which must be one that [can start](Self::can_start).
    pub(super) fn start(&mut self, key: K) {
        debug_assert!(self.can_start(&key), "{key:?} runs, or all slots are taken");
        self.running.insert(key.clone());
        let run = {
            let (reconciler, key) = (Arc::clone(&self.reconciler), key.clone());
            async move { reconciler.reconcile(key).await }
        };
        let ended = self.ended.clone();
        self.tasks.spawn(async move {
            // Two tasks: however the inner one ends, the outer one reports it, or the key would hold its slot for ever.
            let outcome = tokio::spawn(run).await.map_err(|error| into_panicked(&key, error));
            // Nobody listens once the loop has ended. The run has ended all the same.
            let _ = ended.send(Ended { key, outcome });
        });
    }

    /// Frees the slot of a run. Returns when its key runs again, if it does.
    pub(super) fn finish(&mut self, ended: Ended<K>) -> Option<(K, Instant)> {
        let Ended { key, outcome } = ended;
        self.running.remove(&key);
        let Ok(requeue) = outcome else {
            let panics = self.panics.entry(key.clone()).or_default();
            let wait = wait_after(*panics);
            *panics = panics.saturating_add(1);
            return Some((key, Instant::now() + wait));
        };
        self.panics.remove(&key);
        match requeue {
            Requeue::Now => Some((key, Instant::now())),
            Requeue::At(at) => Some((key, at)),
            Requeue::Never => None,
        }
    }

    /// Waits until nothing runs. Start nothing meanwhile.
    pub(super) async fn idle(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// The wait after a panic that follows `before` others in a row.
fn wait_after(before: u32) -> Duration {
    2_u32
        .checked_pow(before)
        .map_or(LONGEST_WAIT, |factor| FIRST_WAIT.saturating_mul(factor))
        .min(LONGEST_WAIT)
}

/// Logs why a run has no result.
fn into_panicked<K: Debug>(key: &K, error: JoinError) -> Panicked {
    match error.try_into_panic() {
        Ok(payload) => tracing::error!(?key, panic = message(&*payload), "reconcile panicked"),
        // Only the end of the tokio runtime that it runs on cancels a run.
        Err(error) => tracing::error!(?key, %error, "reconcile was cut off"),
    }
    Panicked
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

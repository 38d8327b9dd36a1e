//! Many triggers in a burst become one.

use std::{collections::HashMap, hash::Hash, pin::Pin, time::Duration};

use futures_util::{
    Stream, StreamExt,
    stream::{self, Fuse},
};
use tokio::time::Instant;

use super::timers::{FARTHEST, Timers};

#[cfg(test)]
mod tests;

/// Passes each key on once it was quiet for `quiet`, and at the latest `at_most` after the burst began.
///
/// Saving a file is several events, a checkout of a branch is thousands. Without the second bound a key that is never
/// quiet, such as a log file in a watched folder, would never be passed on.
///
/// It holds each key at most once. If `keys` end, those that it holds are passed on when their time has come; then it ends
/// too.
pub fn debounce<K>(keys: impl Stream<Item = K>, quiet: Duration, at_most: Duration) -> impl Stream<Item = K>
where
    K: Clone + Eq + Hash,
{
    let bursts = Bursts { quiet, at_most, begun: HashMap::new(), timers: Timers::new() };
    stream::unfold((Box::pin(keys.fuse()), bursts), |(keys, bursts)| next(keys, bursts))
}

/// A key whose burst is over, and the remaining state.
async fn next<K, S>(
    mut keys: Pin<Box<Fuse<S>>>,
    mut bursts: Bursts<K>,
) -> Option<(K, (Pin<Box<Fuse<S>>>, Bursts<K>))>
where
    K: Clone + Eq + Hash,
    S: Stream<Item = K>,
{
    while !(keys.is_done() && bursts.timers.is_empty()) {
        // Otherwise keys that are always ready would keep the thread, and with it the clock, from everyone.
        tokio::task::consume_budget().await;
        tokio::select! {
            // Bursts that are over come first: they are no more than there were keys, while keys can be endless.
            biased;
            key = bursts.over() => return Some((key, (keys, bursts))),
            key = keys.next(), if !keys.is_done() => if let Some(key) = key {
                bursts.note(key);
            },
        }
    }
    None
}

/// The keys that were triggered and not yet passed on.
struct Bursts<K> {
    quiet: Duration,
    at_most: Duration,
    begun: HashMap<K, Instant>,
    timers: Timers<K>,
}

impl<K: Clone + Eq + Hash> Bursts<K> {
    fn note(&mut self, key: K) {
        let now = Instant::now();
        let begun = *self.begun.entry(key.clone()).or_insert(now);
        let quiet = now + self.quiet.min(FARTHEST);
        self.timers.set(key, quiet.min(begun + self.at_most.min(FARTHEST)));
    }

    async fn over(&mut self) -> K {
        let key = self.timers.expired().await;
        self.begun.remove(&key);
        key
    }
}

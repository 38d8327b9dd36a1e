//! When which key is due.
//!
//! By hand, because `due` takes the condition under which a key may run: tokio-util's `DelayQueue` hands out whatever is due.

use std::{
    collections::{BTreeMap, HashSet},
    future::poll_fn,
    hash::Hash,
    task::{Context, Poll},
};

use tokio::time::Instant;

use super::timers::Timers;

#[cfg(test)]
mod tests;

/// Holds each key at most once: before its time, or in the line of due keys.
///
/// The line is ordered by the time since when a key is due. A [`DelayQueue`](tokio_util::time::DelayQueue) by itself returns
/// the latest first if several are due, which under load leaves the first one waiting for ever.
#[derive(Debug)]
pub(super) struct Scheduler<K> {
    timers: Timers<K>,
    line: BTreeMap<QueuePosition, K>,
    in_line: HashSet<K>,
    next_ticket: u64,
}

/// A position in the line. The ticket distinguishes keys that are due since the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct QueuePosition {
    since: Instant,
    ticket: u64,
}

impl<K: Clone + Eq + Hash> Scheduler<K> {
    pub(super) fn new() -> Self {
        Self { timers: Timers::new(), line: BTreeMap::new(), in_line: HashSet::new(), next_ticket: 0 }
    }

    /// Makes `key` due at `at`, or keeps the earlier time that it already has.
    ///
    /// A time in the past counts as now: no key overtakes the line by asking for yesterday.
    pub(super) fn schedule(&mut self, key: K, at: Instant) {
        if self.in_line.contains(&key) {
            return;
        }
        let now = Instant::now();
        if at <= now {
            // Its timer may have fired unseen: then it is due since that time.
            let since = self.timers.remove(&key).map_or(now, |set| set.min(now));
            self.line_up(key, since);
        } else if self.timers.get(&key).is_none_or(|set| at < set) {
            self.timers.set(key, at);
        }
    }

    /// Waits for the first key in the line that `can_start`. The others keep their places.
    ///
    /// Nothing is lost if the future is dropped. `can_start` is called for every key in the line, up to the first that can;
    /// when its answer changes, this must be called again.
    pub(super) async fn due(&mut self, can_start: impl Fn(&K) -> bool) -> K {
        poll_fn(|cx| self.poll_due(cx, &can_start)).await
    }

    fn poll_due(&mut self, cx: &mut Context<'_>, can_start: impl Fn(&K) -> bool) -> Poll<K> {
        while let Poll::Ready((key, since)) = self.timers.poll_expired(cx) {
            self.line_up(key, since);
        }
        let first = self.line.iter().find(|(_, key)| can_start(key)).map(|(place, _)| *place);
        match first.and_then(|place| self.line.remove(&place)) {
            Some(key) => {
                self.in_line.remove(&key);
                Poll::Ready(key)
            }
            None => Poll::Pending,
        }
    }

    fn line_up(&mut self, key: K, since: Instant) {
        self.in_line.insert(key.clone());
        self.line.insert(QueuePosition { since, ticket: self.next_ticket }, key);
        self.next_ticket += 1;
    }
}

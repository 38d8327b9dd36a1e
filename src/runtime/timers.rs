//! Timers by key: at most one each, near or far.

use std::{
    collections::HashMap,
    future::poll_fn,
    hash::Hash,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::time::{DelayQueue, delay_queue};

/// The farthest time that a timer is set to: a later one fires after this, and costs one check too many.
///
/// [`DelayQueue`] panics on a deadline more than 2³⁶ − 1 ms, some 795 days, after the last one that fired, or after its own
/// beginning (tokio-util 0.7, `time/wheel/mod.rs`: six levels of 64 slots, the finest of 1 ms). That is no distance from
/// now: while nothing fires the wheel stands still. So it is recreated after a year, and a deadline is at most a year ahead:
/// two years, 730 days, at the most.
pub(super) const FARTHEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// At most one timer per key.
#[derive(Debug)]
pub(super) struct Timers<K> {
    wheel: DelayQueue<K>,
    wheel_since: Instant,
    set: HashMap<K, Timer>,
}

#[derive(Debug)]
struct Timer {
    at: Instant,
    in_wheel: delay_queue::Key,
}

impl<K: Clone + Eq + Hash> Timers<K> {
    pub(super) fn new() -> Self {
        Self { wheel: DelayQueue::new(), wheel_since: Instant::now(), set: HashMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// When the timer of `key` fires, if one is set.
    pub(super) fn get(&self, key: &K) -> Option<Instant> {
        self.set.get(key).map(|timer| timer.at)
    }

    /// Sets the timer of `key`; replaces an earlier one.
    pub(super) fn set(&mut self, key: K, at: Instant) {
        let now = Instant::now();
        self.renew_wheel(now);
        let at = at.min(now + FARTHEST);
        if let Some(timer) = self.set.get_mut(&key) {
            self.wheel.reset_at(&timer.in_wheel, at);
            timer.at = at;
        } else {
            let in_wheel = self.wheel.insert_at(key.clone(), at);
            self.set.insert(key, Timer { at, in_wheel });
        }
    }

    /// Removes the timer of `key`, and returns when it would have fired.
    pub(super) fn remove(&mut self, key: &K) -> Option<Instant> {
        let timer = self.set.remove(key)?;
        self.wheel.remove(&timer.in_wheel);
        Some(timer.at)
    }

    /// The next key whose timer has fired, with the time for which it was set. Pending if none is set.
    pub(super) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<(K, Instant)> {
        match self.wheel.poll_expired(cx) {
            Poll::Ready(Some(expired)) => {
                let rounded = expired.deadline();
                let key = expired.into_inner();
                let at = self.set.remove(&key).map_or(rounded, |timer| timer.at);
                Poll::Ready((key, at))
            }
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    /// Waits for the next key whose timer fires. Nothing is lost if the future is dropped.
    pub(super) async fn expired(&mut self) -> K {
        poll_fn(|cx| self.poll_expired(cx)).await.0
    }

    fn renew_wheel(&mut self, now: Instant) {
        if now.duration_since(self.wheel_since) <= FARTHEST {
            return;
        }
        self.wheel = DelayQueue::new();
        self.wheel_since = now;
        for (key, timer) in &mut self.set {
            timer.in_wheel = self.wheel.insert_at(key.clone(), timer.at);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::time::advance;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    #[tokio::test(start_paused = true)]
    async fn a_timer_in_a_century_is_one_in_a_year() {
        let (mut timers, begin) = (Timers::new(), Instant::now());
        timers.set('a', begin + 36_500 * DAY);
        assert_eq!(timers.expired().await, 'a');
        assert_eq!(begin.elapsed(), FARTHEST);
    }

    #[tokio::test(start_paused = true)]
    async fn timers_that_stood_empty_for_three_years_take_one_more() {
        let mut timers = Timers::new();
        advance(3 * FARTHEST).await;
        let begin = Instant::now();
        timers.set('a', begin + DAY);
        assert_eq!(timers.expired().await, 'a');
        assert_eq!(begin.elapsed(), DAY);
    }

    #[tokio::test(start_paused = true)]
    async fn timers_of_which_none_ever_goes_off_stay_settable() {
        let (mut timers, begin) = (Timers::new(), Instant::now());
        timers.set('b', begin + 5 * DAY);
        // Never empty and never polled: the wheel never moves by itself.
        for key in ['a', 'b', 'a', 'b', 'a', 'b'] {
            advance(364 * DAY).await;
            timers.set(key, Instant::now() + 2 * FARTHEST);
        }
        let due = [timers.expired().await, timers.expired().await];
        assert_eq!(due, ['a', 'b']);
        assert_eq!(begin.elapsed(), 6 * 364 * DAY + FARTHEST);
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_set_anew_goes_off_once_and_one_that_is_removed_never() {
        let (mut timers, begin) = (Timers::new(), Instant::now());
        timers.set('a', begin + DAY);
        timers.set('a', begin + 2 * DAY);
        timers.set('b', begin + DAY);
        assert_eq!(timers.remove(&'b'), Some(begin + DAY));
        assert_eq!(timers.expired().await, 'a');
        assert_eq!(begin.elapsed(), 2 * DAY);
        assert!(timers.is_empty());
        assert_eq!(timers.expired().now_or_never(), None);
    }
}

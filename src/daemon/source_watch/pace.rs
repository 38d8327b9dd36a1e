//! How often the events of a source may cause an observation.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

/// An object's allowance: some observations at once, and then one after each interval.
///
/// A person who saves a file again and again sees each save at once. Something that never keeps still (a log in a build context,
/// a compiler) costs one observation for each interval, and is never starved.
#[derive(Debug)]
pub(super) struct Pace {
    at_once: u32,
    every: Duration,
    /// For each object, the time from which on its whole allowance is there again.
    full_at: HashMap<String, Instant>,
}

impl Pace {
    pub(super) fn new(at_once: u32, every: Duration) -> Self {
        Self { at_once, every, full_at: HashMap::new() }
    }

    /// Takes one observation of the object; returns when it may be made.
    pub(super) fn take(&mut self, object: &str, now: Instant) -> Instant {
        // Objects whose allowance is whole need no entry.
        self.full_at.retain(|_, full_at| *full_at > now);
        let full_at = self.full_at.get(object).copied().unwrap_or(now) + self.every;
        self.full_at.insert(object.to_owned(), full_at);
        now.max(full_at.checked_sub(self.every * self.at_once).unwrap_or(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn some_are_made_at_once_then_one_for_each_interval_and_others_do_not_wait() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(3, 30 * second);
        let now = Instant::now();
        let waits: Vec<u64> = (0..5).map(|_| (pace.take("shop", now) - now).as_secs()).collect();
        assert_eq!(waits, [0, 0, 0, 30, 60]);
        assert_eq!(pace.take("bank", now), now);
        let later = now + 300 * second;
        assert_eq!(pace.take("shop", later), later, "the allowance comes back");
        // One a second, as a log does it: never more than the interval apart, and never starved.
        let mut made = Vec::new();
        let mut at = later + 300 * second;
        let end = at + 600 * second;
        while at < end {
            let due = pace.take("shop", at);
            made.push(due);
            at = due + second;
        }
        let most = 3 + 600 / 30 + 1;
        assert!(made.len() <= most && made.len() >= 600 / 30, "{}", made.len());
        assert!(made.windows(2).all(|pair| pair[1] - pair[0] <= 31 * second));
    }
}

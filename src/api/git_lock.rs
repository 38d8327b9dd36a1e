//! The lock of a git work tree.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::Time;

/// After this, a lock counts as left behind. A git that is killed leaves its lock, and nobody removes it; no build may wait for
/// that for ever. A git that does take longer is at work on files meanwhile, so that a build beside it is torn.
const STALE_AFTER: TimeDelta = TimeDelta::minutes(10);

/// A work tree's `index.lock`: git holds it while it changes the files there (`checkout`, `pull`, `reset`, `stash`), and
/// a moment for `add`, `commit` and `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GitLock {
    /// The file.
    pub path: String,
    /// When it was made.
    pub since: Time,
}

impl GitLock {
    /// Until when a build waits for it; `None` if it was left behind. One from the future counts so, too: the clock was set
    /// back.
    #[must_use]
    pub fn waited_for_until(&self, now: Time) -> Option<Time> {
        let until = self.since + STALE_AFTER;
        (now < until && now + STALE_AFTER >= self.since).then_some(until)
    }

    /// For people: what goes on.
    #[must_use]
    pub fn in_words(&self) -> String {
        format!("git is changing the work tree ({})", self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fixtures::at;

    #[test]
    fn a_lock_is_waited_for_and_not_for_ever() {
        let lock = GitLock { path: "/srv/.git/index.lock".into(), since: at(0) };
        assert_eq!(lock.waited_for_until(at(0)), Some(at(600)));
        assert_eq!(lock.waited_for_until(at(599)), Some(at(600)));
        assert_eq!(lock.waited_for_until(at(600)), None);
        assert!(lock.waited_for_until(at(-600)).is_some() && lock.waited_for_until(at(-601)).is_none());
    }
}

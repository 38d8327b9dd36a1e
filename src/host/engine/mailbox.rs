//! Connects the engine, which does not wait, to a consumer, which may be slow.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::Change;

/// The most distinct changes that are kept for a slow consumer. One that is so far behind should observe everything.
const MOST: usize = 1_000;

/// Changes that wait to be taken, each once, in the order in which they first came.
///
/// # Guarantees
/// It never holds more than [`MOST`]. Nothing is lost: if there are more, [`Change::Everything`] stands for all.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    waiting: Mutex<VecDeque<Change>>,
    filled: Notify,
}

impl Mailbox {
    /// Never waits.
    pub(super) fn put(&self, change: Change) {
        let mut waiting = self.lock();
        if waiting.contains(&Change::Everything) || waiting.contains(&change) {
            return;
        }
        if change == Change::Everything || waiting.len() == MOST {
            waiting.clear();
            waiting.push_back(Change::Everything);
        } else {
            waiting.push_back(change);
        }
        self.filled.notify_one();
    }

    /// The oldest change, as soon as there is one.
    pub(super) async fn take(&self) -> Change {
        loop {
            let oldest = self.lock().pop_front();
            match oldest {
                Some(change) => return change,
                None => self.filled.notified().await,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Change>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(name: &str) -> Change {
        Change::Project(name.to_owned())
    }

    fn numbered(count: usize) -> impl Iterator<Item = Change> {
        (0..count).map(|number| project(&number.to_string()))
    }

    fn put(changes: impl IntoIterator<Item = Change>) -> Vec<Change> {
        let mailbox = Mailbox::default();
        changes.into_iter().for_each(|change| mailbox.put(change));
        mailbox.lock().iter().cloned().collect()
    }

    #[test]
    fn each_change_waits_once_in_the_order_of_its_coming() {
        assert_eq!(put(["b", "a", "b", "a"].map(project)), ["b", "a"].map(project));
    }

    #[test]
    fn everything_stands_for_all_that_wait_and_come() {
        assert_eq!(put([project("a"), Change::Everything, project("b")]), [Change::Everything]);
    }

    #[test]
    fn a_consumer_that_is_too_slow_gets_one_change_of_everything() {
        assert_eq!(put(numbered(MOST)).len(), MOST);
        assert_eq!(put(numbered(MOST + 1)), [Change::Everything]);
        assert_eq!(put(numbered(10 * MOST)), [Change::Everything]);
    }

    #[tokio::test]
    async fn what_was_put_before_and_what_is_put_later_is_taken() {
        let mailbox = std::sync::Arc::new(Mailbox::default());
        mailbox.put(project("before"));
        assert_eq!(mailbox.take().await, project("before"));
        let taker = tokio::spawn({
            let mailbox = std::sync::Arc::clone(&mailbox);
            async move { mailbox.take().await }
        });
        tokio::task::yield_now().await;
        mailbox.put(project("later"));
        assert_eq!(taker.await.unwrap(), project("later"));
    }
}

//! The queue of objects that may have something to do.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{Stream, stream};
use tokio::sync::Notify;

/// Names that were added and not taken yet, each once: for any number of triggers, it holds no more than there are objects.
#[derive(Debug, Clone, Default)]
pub(super) struct WorkQueue(Arc<QueueState>);

#[derive(Debug, Default)]
struct QueueState {
    pending: Mutex<BTreeSet<String>>,
    filled: Notify,
}

impl WorkQueue {
    pub(super) fn add(&self, object: &str) {
        self.add_all([object.to_owned()]);
    }

    pub(super) fn add_all(&self, objects: impl IntoIterator<Item = String>) {
        let mut pending = self.0.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.extend(objects);
        if !pending.is_empty() {
            self.0.filled.notify_one();
        }
    }

    /// Whether it holds this one.
    #[cfg(test)]
    pub(super) fn has(&self, object: &str) -> bool {
        self.0.pending.lock().unwrap_or_else(PoisonError::into_inner).contains(object)
    }

    /// The names as they come; for one consumer. It never ends.
    pub(super) fn stream(&self) -> impl Stream<Item = String> + Send + use<> {
        stream::unfold(self.clone(), |queue| async {
            let name = queue.next().await;
            Some((name, queue))
        })
    }

    async fn next(&self) -> String {
        loop {
            let first = self.0.pending.lock().unwrap_or_else(PoisonError::into_inner).pop_first();
            match first {
                Some(name) => return name,
                None => self.0.filled.notified().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn a_name_that_is_left_often_is_taken_once_and_none_is_lost() {
        let queue = WorkQueue::default();
        for _ in 0..1000 {
            queue.add("shop");
        }
        queue.add("bank");
        let mut names = Box::pin(queue.stream());
        assert_eq!(names.next().await.as_deref(), Some("bank"));
        assert_eq!(names.next().await.as_deref(), Some("shop"));
        let waiting = tokio::spawn(async move { names.next().await });
        queue.add("shop");
        assert_eq!(waiting.await.unwrap().as_deref(), Some("shop"));
    }
}

//! Where triggers leave the names of objects that may have something to do.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{Stream, stream};
use tokio::sync::Notify;

/// Names that were left and not taken yet, each once: however many triggers there are, it holds no more than there
/// are objects.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    named: Mutex<BTreeSet<String>>,
    filled: Notify,
}

impl Keys {
    pub(super) fn name(&self, object: &str) {
        self.name_all([object.to_owned()]);
    }

    pub(super) fn name_all(&self, objects: impl IntoIterator<Item = String>) {
        let mut named = self.0.named.lock().unwrap_or_else(PoisonError::into_inner);
        named.extend(objects);
        if !named.is_empty() {
            self.0.filled.notify_one();
        }
    }

    /// The names as they come; for one consumer. It never ends.
    pub(super) fn stream(&self) -> impl Stream<Item = String> + Send + use<> {
        stream::unfold(self.clone(), |keys| async {
            let name = keys.take().await;
            Some((name, keys))
        })
    }

    async fn take(&self) -> String {
        loop {
            let first = self.0.named.lock().unwrap_or_else(PoisonError::into_inner).pop_first();
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
        let keys = Keys::default();
        for _ in 0..1000 {
            keys.name("shop");
        }
        keys.name("bank");
        let mut names = Box::pin(keys.stream());
        assert_eq!(names.next().await.as_deref(), Some("bank"));
        assert_eq!(names.next().await.as_deref(), Some("shop"));
        let waiting = tokio::spawn(async move { names.next().await });
        keys.name("shop");
        assert_eq!(waiting.await.unwrap().as_deref(), Some("shop"));
    }
}

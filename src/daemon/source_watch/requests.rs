//! What the reconciles ask of the watch.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Notify;

use crate::api::{SourcePaths, Time};

/// A request for one object.
#[derive(Debug, Clone)]
pub(super) enum Request {
    /// Watch these paths, which an observation that began then rests on.
    Watch(Time, SourcePaths),
    /// Watch nothing of it.
    Forget,
}

/// The newest request for each object, for one consumer.
#[derive(Debug, Clone, Default)]
pub(super) struct Requests(Arc<Pending>);

#[derive(Debug, Default)]
struct Pending {
    newest: Mutex<BTreeMap<String, Request>>,
    filled: Notify,
}

impl Requests {
    pub(super) fn add(&self, object: &str, request: Request) {
        self.0.newest.lock().unwrap_or_else(PoisonError::into_inner).insert(object.to_owned(), request);
        self.0.filled.notify_one();
    }

    pub(super) async fn next(&self) -> (String, Request) {
        loop {
            let first = self.0.newest.lock().unwrap_or_else(PoisonError::into_inner).pop_first();
            match first {
                Some(request) => return request,
                None => self.0.filled.notified().await,
            }
        }
    }
}

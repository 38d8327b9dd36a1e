//! Whether every object was looked at once, and what the service manager is told.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use sd_notify::NotifyState;

/// The objects that were not looked at yet since the start.
#[derive(Debug, Default)]
pub(super) struct Readiness(Mutex<Option<BTreeSet<String>>>);

impl Readiness {
    /// Ready once all of these were looked at.
    pub(super) fn expect(&self, objects: Vec<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(objects.into_iter().collect());
        self.settle();
    }

    /// An object was looked at, or will never be.
    pub(super) fn observed(&self, object: &str) {
        if let Some(missing) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            missing.remove(object);
        }
        self.settle();
    }

    /// undrift was asked to end: nobody is told any more that it is ready.
    pub(super) fn forgo(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether that was said.
    #[cfg(test)]
    pub(super) fn is_ready(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    fn settle(&self) {
        let mut missing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if missing.as_ref().is_some_and(BTreeSet::is_empty) {
            *missing = None;
            tracing::info!("ready: every object was looked at");
            notify(&[NotifyState::Ready]);
        }
    }
}

/// Tells the service manager; without one nothing happens.
pub(super) fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager was not told");
    }
}

//! Whether every object was looked at once, and what the service manager is told.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use sd_notify::NotifyState;

/// The objects that were not looked at yet since the start; `None` once there is nothing to say any more.
#[derive(Debug, Default)]
pub(super) struct Readiness(Mutex<Option<Missing>>);

#[derive(Debug, Default)]
struct Missing {
    objects: BTreeSet<String>,
    /// Whether one was seen: the engine answers then.
    one_was_seen: bool,
}

impl Readiness {
    /// Ready once all of these were looked at.
    pub(super) fn expect(&self, objects: Vec<String>) {
        let objects = objects.into_iter().collect();
        *self.lock() = Some(Missing { objects, one_was_seen: false });
        self.settle(|_| {});
    }

    /// An object was looked at, and seen.
    pub(super) fn observed(&self, object: &str) {
        self.settle(|missing| {
            missing.objects.remove(object);
            missing.one_was_seen = true;
        });
    }

    /// An object that nobody needs to wait for: it will never be seen, or what is wrong is wrong with it alone.
    pub(super) fn excuse(&self, object: &str) {
        self.settle(|missing| {
            missing.objects.remove(object);
        });
    }

    /// An object that could not be seen, as if the engine were away. Where another one was seen before, that is one
    /// container's fault, and no reason to wait without limit.
    pub(super) fn unseen(&self, object: &str) {
        self.settle(|missing| {
            if missing.one_was_seen {
                missing.objects.remove(object);
            }
        });
    }

    /// undrift was asked to end: nobody is told any more that it is ready.
    pub(super) fn forgo(&self) {
        *self.lock() = None;
    }

    /// Whether that was said.
    #[cfg(test)]
    pub(super) fn is_ready(&self) -> bool {
        self.lock().is_none()
    }

    fn settle(&self, change: impl FnOnce(&mut Missing)) {
        let mut all = self.lock();
        let Some(missing) = &mut *all else { return };
        change(missing);
        if missing.objects.is_empty() {
            *all = None;
            tracing::info!("ready: every object was looked at");
            notify(&[NotifyState::Ready]);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Missing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the service manager; without one nothing happens.
pub(super) fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager was not told");
    }
}

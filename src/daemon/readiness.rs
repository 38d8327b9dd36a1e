//! Whether every object was observed once, and the notifications to the service manager.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use sd_notify::NotifyState;

/// How far undrift is since its start.
#[derive(Debug, Default)]
pub(super) struct Readiness(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    /// The objects to observe are not known yet.
    #[default]
    New,
    /// Some objects were not observed yet.
    Starting(Unobserved),
    Ready,
    Ending,
}

/// How far undrift is since its start, for callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// These objects were not observed yet.
    Starting(Vec<String>),
    Ready,
    Ending,
}

#[derive(Debug, Default)]
struct Unobserved {
    objects: BTreeSet<String>,
    /// Those that were not observed, and that readiness does not wait for.
    unseen: BTreeSet<String>,
    /// Whether any was observed: then the engine answers.
    one_was_seen: bool,
}

impl Unobserved {
    fn observed(&mut self, object: &str) {
        self.objects.remove(object);
        self.unseen.remove(object);
        self.one_was_seen = true;
    }

    fn excuse(&mut self, object: &str) {
        self.unseen.extend(self.objects.take(object));
    }

    /// Once readiness waits for none: those that were not observed, in words.
    fn is_over(&self) -> Option<String> {
        let names: Vec<&str> = self.unseen.iter().map(String::as_str).collect();
        self.objects.is_empty().then(|| names.join(", "))
    }
}

impl Readiness {
    /// Ready once all of these were observed.
    pub(super) fn expect(&self, objects: Vec<String>) {
        let objects = objects.into_iter().collect();
        *self.lock() = State::Starting(Unobserved { objects, ..Unobserved::default() });
        self.settle(|_| {});
    }

    /// An object was observed.
    pub(super) fn observed(&self, object: &str) {
        self.settle(|missing| missing.observed(object));
    }

    /// An object that readiness does not need to wait for: its fault is its own.
    pub(super) fn excuse(&self, object: &str) {
        self.settle(|missing| missing.excuse(object));
    }

    /// An object that is no longer declared.
    pub(super) fn forget(&self, object: &str) {
        self.settle(|missing| {
            missing.objects.remove(object);
            missing.unseen.remove(object);
        });
    }

    /// An object that could not be observed, as if the engine were away. If another one was observed before, that is one
    /// container's fault, and no reason to wait without limit.
    pub(super) fn unseen(&self, object: &str) {
        self.settle(|missing| {
            if missing.one_was_seen {
                missing.excuse(object);
            }
        });
    }

    /// undrift was asked to end: it no longer notifies that it is ready.
    pub(super) fn forgo(&self) {
        *self.lock() = State::Ending;
    }

    /// How far undrift is.
    pub(super) fn stage(&self) -> Stage {
        match &*self.lock() {
            State::New => Stage::Starting(Vec::new()),
            State::Starting(missing) => Stage::Starting(missing.objects.iter().cloned().collect()),
            State::Ready => Stage::Ready,
            State::Ending => Stage::Ending,
        }
    }

    /// Whether the service manager was notified.
    #[cfg(test)]
    pub(super) fn is_ready(&self) -> bool {
        self.stage() == Stage::Ready
    }

    fn settle(&self, change: impl FnOnce(&mut Unobserved)) {
        let mut all = self.lock();
        let State::Starting(missing) = &mut *all else { return };
        change(missing);
        let Some(unseen) = missing.is_over() else { return };
        *all = State::Ready;
        if unseen.is_empty() {
            tracing::info!("ready: every object was looked at");
        } else {
            tracing::warn!(unseen, "ready: every object was looked at that can be");
        }
        notify(&[NotifyState::Ready]);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notifies the service manager; does nothing without one.
pub(super) fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager was not notified");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_excused_and_not_seen_since_is_named() {
        let names = ["api", "hangs", "refused", "web"].map(str::to_owned);
        let mut missing = Unobserved { objects: names.into(), ..Unobserved::default() };
        missing.excuse("refused");
        missing.excuse("web");
        missing.observed("api");
        missing.observed("web");
        assert_eq!(missing.is_over(), None, "one is waited for");
        missing.excuse("hangs");
        // Only the expected objects count.
        missing.excuse("later");
        assert_eq!(missing.is_over().as_deref(), Some("hangs, refused"));
    }
}

//! Whether every object was looked at once, and what the service manager is notified of.

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
    /// What is to be looked at is not known yet.
    #[default]
    New,
    /// Not every object was looked at.
    Starting(Unobserved),
    Ready,
    Ending,
}

/// How far undrift is since its start, for who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// These objects were not looked at yet.
    Starting(Vec<String>),
    Ready,
    Ending,
}

#[derive(Debug, Default)]
struct Unobserved {
    objects: BTreeSet<String>,
    /// Those that nobody waits for although they were not seen.
    unseen: BTreeSet<String>,
    /// Whether one was seen: the engine answers then.
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

    /// Once nobody is waited for: those that were not seen, in words.
    fn is_over(&self) -> Option<String> {
        let names: Vec<&str> = self.unseen.iter().map(String::as_str).collect();
        self.objects.is_empty().then(|| names.join(", "))
    }
}

impl Readiness {
    /// Ready once all of these were looked at.
    pub(super) fn expect(&self, objects: Vec<String>) {
        let objects = objects.into_iter().collect();
        *self.lock() = State::Starting(Unobserved { objects, ..Unobserved::default() });
        self.settle(|_| {});
    }

    /// An object was looked at, and seen.
    pub(super) fn observed(&self, object: &str) {
        self.settle(|missing| missing.observed(object));
    }

    /// An object that nobody needs to wait for: what is wrong is wrong with it alone.
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

    /// An object that could not be seen, as if the engine were away. Where another one was seen before, that is one
    /// container's fault, and no reason to wait without limit.
    pub(super) fn unseen(&self, object: &str) {
        self.settle(|missing| {
            if missing.one_was_seen {
                missing.excuse(object);
            }
        });
    }

    /// undrift was asked to end: nobody is notified any more that it is ready.
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

    /// Whether the service manager was notified of it.
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

/// Tells the service manager; without one nothing happens.
pub(super) fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager was not told");
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
        // No other is meant than those that were expected.
        missing.excuse("later");
        assert_eq!(missing.is_over().as_deref(), Some("hangs, refused"));
    }
}

//! What is remembered of each object between its turns. Losing all of it costs time, never correctness.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    api::Object,
    host::reference,
    reconcile::{Session, now},
};

/// The memory of a daemon.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    sessions: HashMap<String, Session>,
    /// Objects that are to be looked at as if for the first time.
    fresh: BTreeSet<String>,
    /// Failures in a row.
    failures: HashMap<String, u32>,
    /// What each object was seen to consist of.
    seen: BTreeMap<String, Seen>,
    /// Objects that wait for another's step.
    waiting: BTreeMap<String, Way>,
}

/// What stands in the way of an object's step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// As many builds as may be are at work.
    Builds,
    /// Another object's step is at work on this Compose project.
    Project(String),
}

/// By what an object is known to the engine.
#[derive(Debug)]
struct Seen {
    project: String,
    images: BTreeSet<String>,
}

impl Memory {
    /// Takes the session of an object, for one turn.
    pub(super) fn take(&self, object: &str) -> Option<Session> {
        let mut inner = self.lock();
        let session = inner.sessions.remove(object);
        inner.waiting.remove(object);
        if inner.fresh.remove(object) { session.map(|session| session.begin_anew(now())) } else { session }
    }

    pub(super) fn put(&self, object: &str, session: Session) {
        self.lock().sessions.insert(object.to_owned(), session);
    }

    /// Has an object looked at as if for the first time: a person wants it tried again.
    pub(super) fn refresh(&self, object: &str) {
        self.lock().fresh.insert(object.to_owned());
    }

    pub(super) fn forget(&self, object: &str) {
        let mut inner = self.lock();
        inner.sessions.remove(object);
        inner.failures.remove(object);
        inner.seen.remove(object);
        inner.waiting.remove(object);
    }

    /// Counts a failure; how many there were in a row, this one included.
    pub(super) fn failed(&self, object: &str) -> u32 {
        let mut inner = self.lock();
        let failures = inner.failures.entry(object.to_owned()).or_default();
        *failures = failures.saturating_add(1);
        *failures
    }

    /// Whether nothing could be said of the object the last time.
    pub(super) fn has_failed(&self, object: &str) -> bool {
        self.lock().failures.contains_key(object)
    }

    /// Notes what an object consists of; a look that succeeded also ends its failures.
    pub(super) fn saw(&self, project: &str, object: &Object) {
        let images = object.status.services.iter().filter_map(|service| service.image.as_ref());
        // Some events name an image by its ID alone.
        let images = images.flat_map(|image| [Some(reference::full(&image.reference)), image.id.clone()]);
        let images = images.flatten().collect();
        let name = object.declared.metadata.name.clone();
        let mut inner = self.lock();
        inner.failures.remove(&name);
        inner.seen.insert(name, Seen { project: project.to_owned(), images });
    }

    /// The objects of `all` that a Compose project belongs to, and those of which that is not known yet.
    pub(super) fn of_project(&self, all: Vec<String>, project: &str) -> Vec<String> {
        self.select(all, |seen| seen.project == project)
    }

    /// The objects of `all` that an image reference belongs to, and those of which that is not known yet.
    pub(super) fn of_image(&self, all: Vec<String>, reference: &str) -> Vec<String> {
        let reference = reference::full(reference);
        self.select(all, |seen| seen.images.contains(&reference))
    }

    fn select(&self, all: Vec<String>, is_meant: impl Fn(&Seen) -> bool) -> Vec<String> {
        let inner = self.lock();
        let may_be_meant = |object: &String| match inner.seen.get(object) {
            Some(seen) => is_meant(seen),
            // One that fails is tried again by its own timer, not at every event of a busy host.
            None => !inner.failures.contains_key(object),
        };
        all.into_iter().filter(may_be_meant).collect()
    }

    /// Notes that an object waits until another's step has ended.
    pub(super) fn wait_for(&self, object: &str, way: Way) {
        self.lock().waiting.insert(object.to_owned(), way);
    }

    /// The objects whose way is free now, each once.
    pub(super) fn may_begin(&self, is_free: impl Fn(&Way) -> bool) -> Vec<String> {
        let mut inner = self.lock();
        let free = inner.waiting.iter().filter(|(_, way)| is_free(way));
        let free: Vec<String> = free.map(|(object, _)| object.clone()).collect();
        inner.waiting.retain(|object, _| !free.contains(object));
        free
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_yet_may_be_meant() {
        let memory = Memory::default();
        let mut object = crate::store::testing::object();
        object.declared.metadata.name = "shop".into();
        memory.saw("shop-project", &object);
        let all = || vec!["shop".to_owned(), "bank".to_owned()];
        assert_eq!(memory.of_project(all(), "shop-project"), ["shop", "bank"]);
        assert_eq!(memory.of_project(all(), "another"), ["bank"]);
        let reference = object.status.services[0].image.as_ref().unwrap().reference.clone();
        for spelling in [reference.clone(), format!("docker.io/library/{reference}")] {
            assert_eq!(memory.of_image(all(), &spelling), ["shop", "bank"], "{spelling}");
        }
        assert_eq!(memory.of_image(all(), "another:latest"), ["bank"]);
        memory.forget("shop");
        assert_eq!(memory.of_project(all(), "another"), ["shop", "bank"]);
    }

    #[test]
    fn a_session_that_is_to_be_fresh_is_not_given_again() {
        let memory = Memory::default();
        let session = || Session::new(chrono::DateTime::UNIX_EPOCH);
        let is_old =
            |taken: Option<Session>| taken.is_some_and(|taken| taken.began() == chrono::DateTime::UNIX_EPOCH);
        memory.put("shop", session());
        assert!(is_old(memory.take("shop")));
        memory.refresh("shop");
        // One that was out while it was asked for is not given again either.
        memory.put("shop", session());
        assert!(!is_old(memory.take("shop")));
        memory.put("shop", session());
        assert!(is_old(memory.take("shop")));
    }
}

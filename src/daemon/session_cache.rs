//! The memory of each object between its reconciles. Losing all of it costs time, never correctness.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    api::{Object, Time},
    reconcile::Session,
    reference,
};

/// A daemon's memory of its objects.
#[derive(Debug, Default)]
pub(super) struct SessionCache(Mutex<CacheState>);

#[derive(Debug, Default)]
struct CacheState {
    sessions: HashMap<String, Session>,
    /// Objects to observe as if for the first time.
    fresh: BTreeSet<String>,
    /// Consecutive failures.
    failures: HashMap<String, u32>,
    /// The engine's identifiers of each object, as last observed.
    seen: BTreeMap<String, EngineIdentity>,
    /// Objects that wait for another's step.
    blocked: BTreeMap<String, BlockedOn>,
}

/// What blocks an object's step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BlockedOn {
    /// The maximum number of builds is running.
    Builds,
    /// Another object's step is running on this Compose project.
    Project(String),
}

/// The identifiers of an object in the engine.
#[derive(Debug)]
struct EngineIdentity {
    project: String,
    images: BTreeSet<String>,
}

impl SessionCache {
    /// Takes the session of an object, for one reconcile.
    pub(super) fn take(&self, object: &str, now: Time) -> Option<Session> {
        let mut inner = self.lock();
        let session = inner.sessions.remove(object);
        inner.blocked.remove(object);
        if inner.fresh.remove(object) { session.map(|session| session.restart(now)) } else { session }
    }

    pub(super) fn put(&self, object: &str, session: Session) {
        self.lock().sessions.insert(object.to_owned(), session);
    }

    /// Has an object observed as if for the first time: a person wants it retried.
    pub(super) fn refresh(&self, object: &str) {
        self.lock().fresh.insert(object.to_owned());
    }

    pub(super) fn forget(&self, object: &str) {
        let mut inner = self.lock();
        inner.sessions.remove(object);
        inner.failures.remove(object);
        inner.seen.remove(object);
        inner.blocked.remove(object);
    }

    /// Counts a failure; returns how many there were in a row, including this one.
    pub(super) fn failed(&self, object: &str) -> u32 {
        let mut inner = self.lock();
        let failures = inner.failures.entry(object.to_owned()).or_default();
        *failures = failures.saturating_add(1);
        *failures
    }

    /// Whether the last observation of the object failed.
    pub(super) fn has_failed(&self, object: &str) -> bool {
        self.lock().failures.contains_key(object)
    }

    /// Notes the identifiers of an object; a successful observation also resets its failures.
    pub(super) fn record_observed(&self, project: &str, object: &Object) {
        let images = object.status.services.iter().filter_map(|service| service.image.as_ref());
        // Some events name an image by its ID alone.
        let images = images.flat_map(|image| [Some(reference::full(&image.reference)), image.id.clone()]);
        let images = images.flatten().collect();
        let name = object.declared.metadata.name.clone();
        let mut inner = self.lock();
        inner.failures.remove(&name);
        inner.seen.insert(name, EngineIdentity { project: project.to_owned(), images });
    }

    /// The objects of `all` that a Compose project belongs to, and those whose project is not known yet.
    pub(super) fn of_project(&self, all: Vec<String>, project: &str) -> Vec<String> {
        self.select(all, |seen| seen.project == project)
    }

    /// The objects of `all` that an image reference belongs to, and those whose images are not known yet.
    pub(super) fn of_image(&self, all: Vec<String>, reference: &str) -> Vec<String> {
        let reference = reference::full(reference);
        self.select(all, |seen| seen.images.contains(&reference))
    }

    fn select(&self, all: Vec<String>, is_meant: impl Fn(&EngineIdentity) -> bool) -> Vec<String> {
        let inner = self.lock();
        let may_be_meant = |object: &String| match inner.seen.get(object) {
            Some(seen) => is_meant(seen),
            // An object that fails is retried by its own timer, not at every event of a busy host.
            None => !inner.failures.contains_key(object),
        };
        all.into_iter().filter(may_be_meant).collect()
    }

    /// Notes that an object is blocked until another's step has ended.
    pub(super) fn block(&self, object: &str, blocked_on: BlockedOn) {
        self.lock().blocked.insert(object.to_owned(), blocked_on);
    }

    /// The objects that are unblocked now, each once.
    pub(super) fn unblocked(&self, is_free: impl Fn(&BlockedOn) -> bool) -> Vec<String> {
        let mut inner = self.lock();
        let free = inner.blocked.iter().filter(|(_, blocked_on)| is_free(blocked_on));
        let free: Vec<String> = free.map(|(object, _)| object.clone()).collect();
        inner.blocked.retain(|object, _| !free.contains(object));
        free
    }

    fn lock(&self) -> MutexGuard<'_, CacheState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::now;

    #[test]
    fn an_object_without_an_observation_matches_every_project_and_image() {
        let sessions = SessionCache::default();
        let mut object = crate::store::testing::object();
        object.declared.metadata.name = "shop".into();
        sessions.record_observed("shop-project", &object);
        let all = || vec!["shop".to_owned(), "bank".to_owned()];
        assert_eq!(sessions.of_project(all(), "shop-project"), ["shop", "bank"]);
        assert_eq!(sessions.of_project(all(), "another"), ["bank"]);
        let reference = object.status.services[0].image.as_ref().unwrap().reference.clone();
        for spelling in [reference.clone(), format!("docker.io/library/{reference}")] {
            assert_eq!(sessions.of_image(all(), &spelling), ["shop", "bank"], "{spelling}");
        }
        assert_eq!(sessions.of_image(all(), "another:latest"), ["bank"]);
        sessions.forget("shop");
        assert_eq!(sessions.of_project(all(), "another"), ["shop", "bank"]);
    }

    #[test]
    fn a_session_that_is_to_be_fresh_is_not_given_again() {
        let sessions = SessionCache::default();
        let session = || Session::new(chrono::DateTime::UNIX_EPOCH);
        let is_old =
            |taken: Option<Session>| taken.is_some_and(|taken| taken.began() == chrono::DateTime::UNIX_EPOCH);
        sessions.put("shop", session());
        assert!(is_old(sessions.take("shop", now())));
        sessions.refresh("shop");
        // A session that was out during the request is not returned either.
        sessions.put("shop", session());
        assert!(!is_old(sessions.take("shop", now())));
        sessions.put("shop", session());
        assert!(is_old(sessions.take("shop", now())));
    }
}

//! Whether an object may be reconciled beside the others that are watched: see [`service_taken`].

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::reconciler::Shared;
use crate::{
    api::Desired,
    host::{Host, HostError},
    reconcile::{is_before, service_taken, share_a_service},
};

/// How long another object's Compose files are waited for. One whose files hang takes nothing from others.
const LIMIT: Duration = Duration::from_secs(10);

/// The Compose project of each object, with the digest of the spec that it was asked for.
#[derive(Debug, Default)]
pub(super) struct Projects(Mutex<HashMap<String, (String, String)>>);

impl Projects {
    fn get(&self, desired: &Desired) -> Option<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (digest, project) = all.get(desired.name())?;
        (*digest == desired.spec_digest).then(|| project.clone())
    }

    fn put(&self, desired: &Desired, project: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(desired.name().to_owned(), (desired.spec_digest.clone(), project.to_owned()));
    }
}

impl<H: Host + 'static> Shared<H> {
    /// Why this object must not be reconciled, where an object before it declares a service of the same Compose project.
    pub(super) async fn taken(&self, desired: &Desired) -> Option<HostError> {
        let names = self.objects.names().into_iter();
        let others: Vec<Arc<Desired>> = names.filter_map(|name| self.objects.get(&name)).collect();
        let others: Vec<Arc<Desired>> =
            others.into_iter().filter(|other| share_a_service(desired, other)).collect();
        if others.is_empty() {
            return None;
        }
        // Asked at each turn, for the others to know it when the Compose files give it another name.
        let project = self.host().project(desired).await.ok()?;
        self.projects.put(desired, &project);
        let mut same = Vec::new();
        for other in others.iter().filter(|other| is_before(other, desired)) {
            if self.project_of(other).await.as_ref() == Some(&project) {
                same.push(&**other);
            }
        }
        service_taken(desired, &project, same)
    }

    async fn project_of(&self, other: &Desired) -> Option<String> {
        if let Some(known) = self.projects.get(other) {
            return Some(known);
        }
        // It has said what is wrong with it already, and is asked again by its own turns.
        if self.memory.has_failed(other.name()) {
            return None;
        }
        let host = self.host();
        let project = tokio::time::timeout(LIMIT, host.project(other)).await.ok()?.ok()?;
        self.projects.put(other, &project);
        Some(project)
    }
}

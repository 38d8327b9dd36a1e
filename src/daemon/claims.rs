//! Whether an object may be reconciled beside the other managed ones: see [`service_taken`].

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::reconciler::DaemonContext;
use crate::{
    api::Desired,
    host::{Host, HostError},
    reconcile::{is_before, service_taken, share_a_service},
};

/// How long to wait for another object's Compose files. Compose takes less than a second for them; an object whose files hang
/// holds up others no longer than that. A slower one is known from its own reconcile on.
const LIMIT: Duration = Duration::from_secs(3);

/// The known facts about an object's Compose project.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ProjectAnswer {
    /// The project's name.
    Named(String),
    /// It did not answer in time. undrift waits for it once, or it would hold up every reconcile of every other object; the
    /// object's own reconcile supplies the name once Compose answers.
    Unanswered,
}

/// The Compose project of each object, with the digest of the spec that it was resolved from.
#[derive(Debug, Default)]
pub(super) struct Projects(Mutex<HashMap<String, (String, ProjectAnswer)>>);

impl Projects {
    fn get(&self, desired: &Desired) -> Option<ProjectAnswer> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (digest, known) = all.get(desired.name())?;
        (*digest == desired.spec_digest).then(|| known.clone())
    }

    fn put(&self, desired: &Desired, known: ProjectAnswer) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(desired.name().to_owned(), (desired.spec_digest.clone(), known));
    }
}

impl<H: Host + 'static> DaemonContext<H> {
    /// Why this object must not be reconciled, if an object before it declares a service of the same Compose project.
    pub(super) async fn taken(&self, desired: &Desired) -> Option<HostError> {
        let names = self.objects.names().into_iter();
        let others: Vec<Arc<Desired>> = names.filter_map(|name| self.objects.get(&name)).collect();
        let others: Vec<Arc<Desired>> =
            others.into_iter().filter(|other| share_a_service(desired, other)).collect();
        if others.is_empty() {
            return None;
        }
        // Resolved at each reconcile, so that the others know it when the Compose files change the name.
        let project = match self.host().project(desired).await {
            Ok(project) => project,
            // undrift observes nothing more: an observation would only find that this request is still open.
            Err(error @ HostError::Ending) => return Some(error),
            // The observation reports the error.
            Err(_) => return None,
        };
        self.projects.put(desired, ProjectAnswer::Named(project.clone()));
        let mut same = Vec::new();
        for other in others.iter().filter(|other| is_before(other, desired)) {
            if self.project_of(other).await.as_ref() == Some(&project) {
                same.push(&**other);
            }
        }
        service_taken(desired, &project, same)
    }

    async fn project_of(&self, other: &Desired) -> Option<String> {
        match self.projects.get(other) {
            Some(ProjectAnswer::Named(project)) => return Some(project),
            Some(ProjectAnswer::Unanswered) => return None,
            None => {}
        }
        // Its error is reported already, and its own reconciles ask Compose again.
        if self.sessions.has_failed(other.name()) {
            return None;
        }
        let host = self.host();
        let Ok(answer) = tokio::time::timeout(LIMIT, host.project(other)).await else {
            self.projects.put(other, ProjectAnswer::Unanswered);
            return None;
        };
        let project = answer.ok()?;
        self.projects.put(other, ProjectAnswer::Named(project.clone()));
        Some(project)
    }
}

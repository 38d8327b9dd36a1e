//! What one observation adds to the verification of a service.

use super::Diagnosis;
use crate::api::{
    ContainerStatus, ProjectObservation, ServiceObservation, ServiceStatus, Time, UnknownReason,
};

/// The minimum number of observations, spread over the stability window, that verify anything: the first, one in between,
/// and the last.
pub const LEAST_LOOKS: usize = 3;

/// The identity of a container, so that a replaced or restarted one differs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// The container.
    pub container: String,
    /// The image it runs.
    pub image: String,
    /// Its last start.
    pub started_at: Option<Time>,
    /// How often the engine started it again.
    pub restart_count: i64,
}

/// The containers of a service; empty if they are not known.
#[must_use]
pub fn identities(seen: &ServiceObservation) -> Vec<Identity> {
    let containers = seen.containers.known().into_iter().flatten();
    let mut all: Vec<Identity> = containers
        .map(|c| Identity {
            container: c.id.clone(),
            image: c.image_id.clone(),
            started_at: c.started_at,
            restart_count: c.restart_count,
        })
        .collect();
    all.sort();
    all
}

impl From<&ContainerStatus> for Identity {
    fn from(status: &ContainerStatus) -> Self {
        Self {
            container: status.id.clone(),
            image: status.image_id.clone(),
            started_at: status.started_at,
            restart_count: status.restart_count,
        }
    }
}

/// What one observation adds to a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Weight {
    /// As declared, by the same containers.
    Supports,
    /// Neither: a server wanted fewer requests. Why, in words.
    Inconclusive(String),
    /// Not as declared, not known, or other containers. Why, in words.
    Contradicts(String),
}

/// What an observation adds to a series that began with these containers.
#[must_use]
pub fn weigh(service: &str, first: &[Identity], seen: &ProjectObservation, verdicts: &[Diagnosis]) -> Weight {
    let Some(diagnosis) = verdicts.iter().find(|d| d.service == service) else {
        return Weight::Contradicts("it was not looked at".into());
    };
    if let Some(drift) = &diagnosis.drift {
        return Weight::Contradicts(drift.message.clone());
    }
    let is_replaced = identities_of(service, seen) != first;
    match &diagnosis.unknown {
        Some(unknown) if unknown.reason == UnknownReason::RateLimited && !is_replaced => {
            Weight::Inconclusive(unknown.message.clone())
        }
        Some(unknown) => Weight::Contradicts(unknown.message.clone()),
        None if is_replaced => {
            Weight::Contradicts("its containers were replaced or started again meanwhile".into())
        }
        None => Weight::Supports,
    }
}

/// The containers of a project's service.
#[must_use]
pub fn identities_of(service: &str, seen: &ProjectObservation) -> Vec<Identity> {
    seen.service(service).map(identities).unwrap_or_default()
}

/// Whether anything that a step could have changed differs from before: an image, a container or a start. A repair after
/// which this is false repaired nothing, whatever the exit code was.
#[must_use]
pub fn unlike_before(before: &ServiceStatus, now: &ServiceObservation) -> bool {
    let mut then: Vec<Identity> = before.containers.iter().map(Identity::from).collect();
    then.sort();
    then != identities(now)
        || before.image.as_ref().map(|i| i.id.clone()) != now.artifact.image.known().cloned()
}

//! What the Compose files order among services: which one must have ended before another starts, and which one restarts
//! with another.

use serde::{Deserialize, Serialize};

use super::{ContainerObservation, Fact};

/// What the Compose files say of a service and others, by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ties {
    /// Whether its containers are to end: nothing restarts one that exited with 0, and another service waits for that
    /// (`condition: service_completed_successfully`), or the service itself says `restart: "no"`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_job: bool,
    /// Whether another service waits for its end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_awaited: bool,
    /// The jobs that must have ended well before it is brought up.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<String>,
    /// What those jobs are of: a digest over their names and Compose's config hashes. Who mends a job is owed a new chance
    /// for the services that wait for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs: Option<String>,
    /// The services with which it restarts (`restart: true`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restarts_with: Vec<String>,
}

/// One look at a service that the object does not name, and that the Compose files tie to one that it does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RelatedObservation {
    /// The service's name.
    pub name: String,
    /// Whether Compose can build it: there is a `build:`.
    pub buildable: bool,
    /// How many containers Compose would run.
    pub replicas: u32,
    /// The image reference that Compose uses for it.
    pub reference: String,
    /// The ID behind it; `Known(None)` where the engine has nothing of that name.
    pub image: Fact<Option<String>>,
    /// What the files order of it and others.
    pub ties: Ties,
    /// Its containers. Their modules are not looked at.
    pub containers: Fact<Vec<ContainerObservation>>,
    /// Whether undrift itself runs in one of them: then it takes no step for the service.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub runs_undrift: bool,
}

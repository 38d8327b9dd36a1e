//! The order that the Compose files declare among services: which one must have ended before another starts, and which one
//! restarts with another.

use serde::{Deserialize, Serialize};

use super::{ContainerObservation, Fact};

/// The order in the Compose files between a service and others, by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ties {
    /// Whether its containers should end: nothing restarts one that exited with 0, and another service waits for that
    /// (`condition: service_completed_successfully`), or the service itself has `restart: "no"`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_job: bool,
    /// Whether another service waits for its end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_awaited: bool,
    /// The jobs that must have ended well before it is brought up.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<String>,
    /// The identity of those jobs: a digest over their names and Compose's config hashes. A fixed job gives a new chance to
    /// the services that wait for it. `None` without such jobs, or if Compose cannot resolve one of them now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs: Option<String>,
    /// The services with which it restarts (`restart: true`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restarts_with: Vec<String>,
}

/// One observation of a service that the object does not name, and that the Compose files tie to one that it does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RelatedObservation {
    /// The service's name.
    pub name: String,
    /// Whether Compose can build it: it has a `build:`.
    pub buildable: bool,
    /// How many containers Compose would run.
    pub replicas: u32,
    /// The image reference that Compose uses for it.
    pub reference: String,
    /// The ID that it names; `Known(None)` if the engine has nothing of that name.
    pub image: Fact<Option<String>>,
    /// The order in the files between it and others.
    pub ties: Ties,
    /// Its containers. undrift does not inspect their modules.
    pub containers: Fact<Vec<ContainerObservation>>,
    /// Whether undrift itself runs in one of them: then it takes no step for the service.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub runs_undrift: bool,
}

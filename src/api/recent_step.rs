//! The steps of the last hour, which the rate counts.

use super::{StepKind, Time};

/// A step that was begun for a service within the last hour.
///
/// Keyed by the Compose project and service, not by the object or its spec: the rate protects the service, whoever
/// declares it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecentStep {
    /// The Compose project's name, as Compose resolved it.
    pub project: String,
    /// The service.
    pub service: String,
    /// The object for which it was taken.
    pub object: String,
    /// The generation of that object's spec.
    pub generation: i64,
    /// Its kind.
    pub kind: StepKind,
    /// When its intent was recorded.
    pub at: Time,
    /// Why it was taken although the rate was exceeded; null if it was not.
    pub beyond: Option<BeyondRate>,
}

/// Why a step was taken although the rate was exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BeyondRate {
    /// The service was down, and was started from the image that it ran.
    Down,
    /// The spec had changed, which ends one wait an hour.
    Spec,
}

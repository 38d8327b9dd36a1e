//! The five layers, the reasons for which each can be broken, and the drift they add up to.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{DriftReason, names::names};

/// A layer of the path from a feature in the source to a feature that a user can reach.
///
/// The order of the variants is the order of the checks. The first broken layer of a service is its drift;
/// later layers then explain nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// The feature is in the project directory.
    Source,
    /// The image behind the service's reference holds it.
    Artifact,
    /// Every replica runs that image, as Compose's files describe it.
    Container,
    /// The route answers as declared, without credentials.
    Route,
    /// The route answers as declared, with credentials.
    Auth,
}

impl Layer {
    /// All layers, in the order in which they are checked.
    pub const ALL: [Self; 5] = [Self::Source, Self::Artifact, Self::Container, Self::Route, Self::Auth];

    /// The layer's name as it is printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Artifact => "artifact",
            Self::Container => "container",
            Self::Route => "route",
            Self::Auth => "auth",
        }
    }

    /// The service condition that reports on this layer.
    #[must_use]
    pub const fn condition(self) -> ConditionType {
        match self {
            Self::Source => ConditionType::SourcePresent,
            Self::Artifact => ConditionType::ArtifactCurrent,
            Self::Container => ConditionType::ContainerCurrent,
            Self::Route => ConditionType::RouteExposed,
            Self::Auth => ConditionType::AuthVerified,
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

names! {
    /// The conditions of an object and of a service.
    ConditionType {
        /// The object is as declared.
        Ready,
        /// undrift is at work on the object.
        Reconciling,
        /// undrift has given up until the spec or the source changes, or a person runs `retry`.
        Stalled,
        /// The source layer.
        SourcePresent,
        /// The artifact layer.
        ArtifactCurrent,
        /// The container layer.
        ContainerCurrent,
        /// The route layer.
        RouteExposed,
        /// The auth layer.
        AuthVerified,
        /// Every layer was observed as declared, after the last step, for the whole stability window.
        Reconciled,
        /// No container of the service was restarted as often as `reconcile.churn` has it. Only where that is known.
        Stable,
    }
}

impl Drift {
    /// What the drift is of, for telling news from the same trouble: a route that is refused now and answers 502 then is
    /// one trouble, for which nothing but waiting is done.
    #[must_use]
    pub const fn class(&self) -> (Layer, DriftReason) {
        match (self.layer, self.reason) {
            (Layer::Route, DriftReason::UnexpectedStatus | DriftReason::Indistinguishable) => {
                (Layer::Route, DriftReason::Unreachable)
            }
            // What is killed and removed in turn is down.
            (Layer::Container, DriftReason::Missing) => (Layer::Container, DriftReason::NotRunning),
            same => same,
        }
    }
}

/// The first layer of a service whose evidence contradicts the spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// Where.
    pub layer: Layer,
    /// What kind.
    pub reason: DriftReason,
    /// What was expected and what was observed, in one sentence for a person.
    pub message: String,
}

//! The five layers, the reasons for which each can be broken, and the drift they add up to.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A layer of the path from a feature in the source to a feature that a user can reach.
///
/// The order of the variants is the order of the checks. The first broken layer of a service is its drift;
/// later layers then explain nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
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

/// The conditions of an object and of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ConditionType {
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
}

/// Why a layer is broken. The names are a contract: scripts match on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// Source, artifact or container: the module's path does not exist there.
    ModuleMissing,
    /// Artifact: nothing is behind the service's image reference.
    ImageMissing,
    /// Artifact: the build context changed since the image was built (only where the spec enforces it).
    SourceChanged,
    /// Container: a Compose project of the same name in another directory has made it.
    OtherDirectory,
    /// Container: there are fewer replicas than the Compose project declares.
    Missing,
    /// Container: there are more replicas than the Compose project declares, and none of them is young.
    Surplus,
    /// Container: a replica exists and does not run.
    NotRunning,
    /// Container: a replica runs another image than the one its reference points to.
    ImageOutdated,
    /// Container: a replica was created from another configuration than the Compose files describe.
    ConfigChanged,
    /// Container: a replica is not attached to its networks, or its ports are not published, as the Compose files
    /// declare it.
    NetworkChanged,
    /// Container: a network was made from another definition than the Compose files hold.
    NetworkDefinitionChanged,
    /// Container: the namespaces or volumes of another container that it shares are those of an earlier run, or of one that is
    /// gone.
    NamespaceLost,
    /// Container: a volume or mount hides the module's path of the image.
    ShadowedByMount,
    /// Container: the replica dies and is started again and again.
    CrashLooping,
    /// Container: the health check fails.
    Unhealthy,
    /// Container: a person paused it.
    Paused,
    /// Route: the answer says that the route does not exist.
    Absent,
    /// Route: no answer.
    Unreachable,
    /// Route: an answer that is neither expected nor says that the route is absent.
    UnexpectedStatus,
    /// Route: a path that cannot exist answers the same, so the answer shows nothing.
    Indistinguishable,
    /// Route: the server's certificate is not one that undrift was told to trust.
    Untrusted,
    /// Auth: the credentials were not accepted.
    Rejected,
    /// Auth: the route answers without credentials as it does with them.
    NotEnforced,
}

impl Drift {
    /// What the drift is of, for telling news from the same trouble: a route that is refused now and answers 502 then is
    /// one trouble, for which nothing but waiting is done.
    #[must_use]
    pub const fn class(&self) -> (Layer, Reason) {
        match (self.layer, self.reason) {
            (Layer::Route, Reason::UnexpectedStatus | Reason::Indistinguishable) => {
                (Layer::Route, Reason::Unreachable)
            }
            // What is killed and removed in turn is down.
            (Layer::Container, Reason::Missing) => (Layer::Container, Reason::NotRunning),
            same => same,
        }
    }
}

impl Reason {
    /// The reason in `PascalCase`, as in conditions.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ModuleMissing => "ModuleMissing",
            Self::ImageMissing => "ImageMissing",
            Self::SourceChanged => "SourceChanged",
            Self::OtherDirectory => "OtherDirectory",
            Self::Missing => "Missing",
            Self::Surplus => "Surplus",
            Self::NotRunning => "NotRunning",
            Self::ImageOutdated => "ImageOutdated",
            Self::ConfigChanged => "ConfigChanged",
            Self::NetworkChanged => "NetworkChanged",
            Self::NetworkDefinitionChanged => "NetworkDefinitionChanged",
            Self::NamespaceLost => "NamespaceLost",
            Self::ShadowedByMount => "ShadowedByMount",
            Self::CrashLooping => "CrashLooping",
            Self::Unhealthy => "Unhealthy",
            Self::Paused => "Paused",
            Self::Absent => "Absent",
            Self::Unreachable => "Unreachable",
            Self::UnexpectedStatus => "UnexpectedStatus",
            Self::Indistinguishable => "Indistinguishable",
            Self::Untrusted => "Untrusted",
            Self::Rejected => "Rejected",
            Self::NotEnforced => "NotEnforced",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why nothing can be concluded of a layer. The names are a contract: scripts match on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum UnknownReason {
    /// Something that the conclusion needs could not be seen; the message names it.
    NotKnown,
    /// A server has had enough requests for now.
    RateLimited,
}

impl UnknownReason {
    /// The reason in `PascalCase`, as in conditions.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotKnown => "NotKnown",
            Self::RateLimited => "RateLimited",
        }
    }
}

impl fmt::Display for UnknownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The first layer of a service whose evidence contradicts the spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// Where.
    pub layer: Layer,
    /// What kind.
    pub reason: Reason,
    /// What was expected and what was observed, in one sentence for a person.
    pub message: String,
}

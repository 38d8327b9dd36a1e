//! Reasons in a word that scripts match on: of conditions, of repairs and of their ends, and of errors.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ErrorReason, NoteReason, names::names};

names! {
    /// Why a layer is broken.
    DriftReason {
    /// Source, artifact or container: the module's path does not exist there.
    ModuleMissing,
    /// Artifact: the service's image reference names no image.
    ImageMissing,
    /// Artifact, container or route: it carries another source revision than the expected one, or none.
    RevisionDiffers,
    /// Artifact: the build context changed since the image was built (only if the spec enforces it).
    SourceChanged,
    /// Artifact or container: the module's files differ from the source (only if the spec wants them to be the same).
    ContentDiffers,
    /// Container: a Compose project of the same name in another directory created it.
    OtherDirectory,
    /// Container: there are fewer replicas than the Compose project declares.
    Missing,
    /// Container: there are more replicas than the Compose project declares, and none of them is young.
    Surplus,
    /// Container: a replica exists and does not run.
    NotRunning,
    /// Container: a replica runs another image than the one that its reference names.
    ImageOutdated,
    /// Container: a replica was created from another configuration than the Compose files describe.
    ConfigChanged,
    /// Container: a replica is not attached to its networks, or its ports are not published, as the Compose files declare
    /// it.
    NetworkChanged,
    /// Container: a network was created from another definition than the Compose files hold.
    NetworkDefinitionChanged,
    /// Container: the namespaces or volumes of another container that it shares are those of an earlier run, or of one that is
    /// gone.
    NamespaceLost,
    /// Container: a file that is mounted into it has other bytes than at its start (only if the spec enforces it).
    MountChanged,
    /// Container: a volume or mount hides the image's path of the module.
    ShadowedByMount,
    /// Container: the replica dies and is restarted again and again.
    CrashLooping,
    /// Container: the health check fails.
    Unhealthy,
    /// Container: a person paused it.
    Paused,
    /// Route: the answer means that the route does not exist.
    Absent,
    /// Route: no answer.
    Unreachable,
    /// Route: an answer that is neither expected nor means that the route is absent.
    UnexpectedStatus,
    /// Route: a path that cannot exist answers the same, so the answer shows nothing.
    Indistinguishable,
    /// Route: undrift is not configured to trust the server's certificate.
    Untrusted,
    /// Auth: the credentials were not accepted.
    Rejected,
    /// Auth: the route answers without credentials as it does with them.
    NotEnforced,
}
}

names! {
    /// Why there is no conclusion about a layer.
    UnknownReason {
    /// A fact that the conclusion needs could not be observed; the message names it.
    NotKnown,
    /// A server limits requests for now.
    RateLimited,
    /// A folder has more entries than an `each` is expanded to.
    TooMany,
    /// A module has more files, or more bytes, than are compared.
    TooLarge,
    /// What a service gives as its revision has not the form of one, or may be a secret.
    NotARevision,
}
}

names! {
    /// Why there is no conclusion about an object at all.
    FailureReason {
        /// No engine answers.
        EngineUnavailable,
        /// The engine is older than undrift can work with.
        EngineUnsupported,
        /// Another engine answers than the one that the state belongs to.
        OtherEngine,
        /// undrift is ending.
        Ending,
        /// An observation exceeded its time limit.
        ObservationTimedOut,
        /// A file system does not answer.
        FileHangs,
        /// A file of the project cannot be read.
        FileUnusable,
        /// The configuration of Docker's command line cannot be used.
        DockerConfigUnusable,
        /// There is no Compose.
        ComposeMissing,
        /// Compose refuses the project's files.
        ComposeRefused,
        /// The Compose files name variables that are not set.
        UnsetVariables,
        /// The Compose project has no service of a declared name.
        NoSuchService,
        /// Another object declares the same service.
        ServiceTaken,
        /// Two services build one image.
        SharedImage,
        /// The engine refused a request.
        EngineError,
    }
}

names! {
    /// The standing of an object or a service, apart from drifts.
    StandingReason {
        /// `Ready`, or a layer: nothing contradicts the spec.
        AsDeclared,
        /// `Ready`: at least one layer of one service is broken.
        DriftDetected,
        /// `Ready`: the manifest on disk is not valid, and the last valid one is in effect.
        ManifestInvalid,
        /// `Ready`: the object is no longer managed, because no manifest declares it.
        NotManaged = "NotWatched",
        /// `Reconciling`: a repair is in progress.
        Progressing,
        /// `Reconciling`: nothing is to be done.
        Idle,
        /// `Reconciling`: a person, or the spec, has suspended the object.
        Suspended,
        /// `Reconciling`: the spec's mode is `observe`.
        ObserveOnly,
        /// `Reconciling`: the next step waits, because too many were taken lately.
        RateExceeded,
        /// `Stable`: a container was restarted as often as `reconcile.churn` has it, or more often.
        RestartsOften,
        /// `Stalled`: undrift has not given up.
        NotStalled,
        /// `Reconciled`: as declared for the whole stability window.
        Verified = "Proven",
        /// `Reconciled`: as declared, and not for the whole stability window.
        NotVerified = "NotProven",
        /// `Reconciled`: everything visible was verified, and something is not visible.
        NotAllSeen,
    }
}

names! {
    /// Why undrift tries nothing more.
    StallReason {
        /// The repair made it worse and was rolled back.
        RolledBack,
        /// The previous image is back and does no better.
        RollbackInVain,
        /// The repair made it worse, and the previous image is gone from the engine.
        RollbackImageGone,
        /// A fact that a step would rest on cannot be observed.
        Unknown,
        /// The step would end the container that undrift runs in.
        RunsUndrift,
        /// The spec's attempts are spent.
        BudgetSpent,
        /// Every step that might help was taken, and none did.
        RepairsExhausted,
    }
}

/// The reason of a condition, of a wait, of an end, or of an error.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A layer is broken.
    Drift(DriftReason),
    /// There is no conclusion about a layer.
    Unknown(UnknownReason),
    /// There is no conclusion about the object.
    Failure(FailureReason),
    /// The standing of the object or the service.
    Standing(StandingReason),
    /// undrift tries nothing more.
    Stall(StallReason),
    /// The subject of a note holds a step back, too.
    Note(NoteReason),
    /// A request or a verb has no answer.
    Error(ErrorReason),
    /// A reason that this undrift does not know: a later one wrote it, or somebody else.
    Other(Box<str>),
}

impl Reason {
    /// The reason in `PascalCase`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Drift(reason) => reason.as_str(),
            Self::Unknown(reason) => reason.as_str(),
            Self::Failure(reason) => reason.as_str(),
            Self::Standing(reason) => reason.as_str(),
            Self::Stall(reason) => reason.as_str(),
            Self::Note(reason) => reason.as_str(),
            Self::Error(reason) => reason.as_str(),
            Self::Other(reason) => reason,
        }
    }

    /// Whether this is it.
    pub fn is(&self, reason: impl Into<Self>) -> bool {
        *self == reason.into()
    }
}

impl Reason {
    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let drift = || DriftReason::named(name).map(Self::Drift);
        let unknown = || UnknownReason::named(name).map(Self::Unknown);
        let failure = || FailureReason::named(name).map(Self::Failure);
        let standing = || StandingReason::named(name).map(Self::Standing);
        let stall = || StallReason::named(name).map(Self::Stall);
        let note = || NoteReason::named(name).map(Self::Note);
        let error = || ErrorReason::named(name).map(Self::Error);
        let known = drift().or_else(unknown).or_else(failure).or_else(standing).or_else(stall);
        known.or_else(note).or_else(error).unwrap_or_else(|| Self::Other(name.into()))
    }
}

macro_rules! of_group {
    ($($variant:ident($group:ident)),+) => {
        $(impl From<$group> for Reason {
            fn from(reason: $group) -> Self {
                Self::$variant(reason)
            }
        })+
    };
}

of_group!(
    Drift(DriftReason),
    Unknown(UnknownReason),
    Failure(FailureReason),
    Standing(StandingReason),
    Stall(StallReason),
    Note(NoteReason),
    Error(ErrorReason)
);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|name| Self::named(&name))
    }
}

/// Tests name a reason as its users read it.
#[cfg(test)]
impl From<&str> for Reason {
    fn from(name: &str) -> Self {
        Self::named(name)
    }
}

#[cfg(test)]
impl PartialEq<str> for Reason {
    fn eq(&self, name: &str) -> bool {
        self.as_str() == name
    }
}

#[cfg(test)]
impl PartialEq<&str> for Reason {
    fn eq(&self, name: &&str) -> bool {
        self.as_str() == *name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Reason> {
        let drift = DriftReason::ALL.iter().copied().map(Reason::from);
        let unknown = UnknownReason::ALL.iter().copied().map(Reason::from);
        let failure = FailureReason::ALL.iter().copied().map(Reason::from);
        let standing = StandingReason::ALL.iter().copied().map(Reason::from);
        let stall = StallReason::ALL.iter().copied().map(Reason::from);
        let note = NoteReason::ALL.iter().copied().map(Reason::from);
        let error = ErrorReason::ALL.iter().copied().map(Reason::from);
        drift.chain(unknown).chain(failure).chain(standing).chain(stall).chain(note).chain(error).collect()
    }

    /// Scripts match on them, and every state on disk has them.
    #[test]
    fn the_names_are_what_they_were() {
        let names: Vec<String> = all().iter().map(|reason| format!("{reason:?}: {reason}")).collect();
        insta::assert_snapshot!(names.join("\n"));
    }

    #[test]
    fn every_reason_round_trips_and_one_of_another_version_keeps_its_name() {
        // A note and a drift share this name: what the spec reports, and what it enforces. As a reason it is the drift.
        let is_drift = |reason: &Reason| *reason != Reason::Note(NoteReason::MountChanged);
        for reason in all().into_iter().filter(is_drift).chain([Reason::Other("Tired".into())]) {
            let json = serde_json::to_value(&reason).unwrap();
            assert_eq!(json, reason.as_str());
            assert_eq!(serde_json::from_value::<Reason>(json).unwrap(), reason);
        }
    }
}

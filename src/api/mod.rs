//! The vocabulary of undrift as types: declarations, observations, reports.
//!
//! Nothing here performs I/O or knows the time.

mod attachment;
mod attempt;
mod build_check;
mod cache;
mod content;
mod desired;
mod difference;
mod duration;
mod each;
mod error_reason;
mod event;
mod evidence;
mod git_lock;
mod incident;
mod joined;
mod layer;
mod mounted;
mod names;
mod note;
mod observed;
mod obstacle;
mod order;
mod pointed;
mod policy;
mod reason;
mod recent_step;
mod record_kind;
mod record_reader;
mod record_writer;
mod recorded_event;
mod replaced;
mod resolved_from;
mod revision;
mod route;
mod sameness;
mod source_digest;
mod source_paths;
mod spec;
mod status;
mod step;
mod suspension;

pub use attachment::{
    AttachedNetwork, Attachments, BoundPort, CopiedContent, DeclaredAttachments, DeclaredNetwork,
    DeclaredPort, NetworkObservation, NetworkUser, VolumeObservation,
};
pub use attempt::{Attempt, VerifiedRepair};
pub use build_check::{BuildCheck, BuildDifference, BuildResult, SameBy};
pub use cache::Cache;
pub use content::{ContentComparison, ContentObservation, MOST_BYTES, MOST_FILES, MOST_NAMED};
pub use desired::{Desired, Expanded};
pub use difference::ConfigDifference;
pub use duration::{Duration, ParseDurationError};
pub use each::{
    EachPattern, EachQuery, Entries, Expansion, LONGEST_NAME, MOST_ENTRIES, has_place_for_a_name,
};
pub use error_reason::ErrorReason;
pub use event::{Anchored, CommandEnd, EndedStep, Event, ManifestChange, RouteTransition, StopCause};
pub use evidence::{Fact, Presence};
pub use git_lock::GitLock;
pub use incident::{
    AuditKind, AuditRecord, Earlier, Incident, IncidentOutcome, NewRecord, Occurrence, StepOutcome,
};
pub use joined::{DeclaredJoin, JoinOwner, Joined, OtherContainer, Shared};
pub use layer::{ConditionType, Drift, Layer};
pub use mounted::MountedFile;
pub use note::{Note, NoteReason};
pub use observed::{
    Answer, ArtifactObservation, ContainerObservation, ContainerState, FirstSight, GitState, Health,
    ModuleInContainer, ModuleObservation, MountCover, OtherMethod, ProjectObservation, RouteAnswer,
    RouteObservation, ServiceObservation, SourceObservation, TOO_MANY_REQUESTS, speaks_of_its_path,
};
pub use obstacle::Obstacle;
pub use order::{RelatedObservation, Ties};
pub use pointed::Pointed;
pub use policy::{Backoff, Churn, Mode, ReconcilePolicy, SourceDrift, SourcePolicy, Upgrades, Verify};
pub use reason::{DriftReason, FailureReason, Reason, StallReason, StandingReason, UnknownReason};
pub use recent_step::{BeyondRate, RecentStep};
pub(crate) use record_reader::{HealedBy, RecordReader, VerifiedBy};
pub(crate) use record_writer::stamp;
pub use recorded_event::{EventError, RecordedEvent};
pub use replaced::{LastWords, signal_of};
pub use resolved_from::ResolvedFrom;
pub use revision::{
    ReplicaRevision, RevisionFact, RevisionObservation, RevisionStatus, UnknownVariable, is_dirty_revision,
    is_same_revision, short_revision,
};
pub use route::{
    Auth, BasicAuth, Control, RouteSpec, RouteTarget, Scheme, SecretSource, Tls, is_this_host,
    without_query_values,
};
pub use sameness::{
    Content, ExpectedRevision, MountPolicy, Reload, RevisionPlace, RevisionRoute, RevisionSpec, is_revision,
};
pub use source_digest::{SourceComparison, built_between, compare_sources, is_torn, knows_less, on_bases};
pub use source_paths::{SourcePaths, WatchedContext};
pub use spec::{
    API_VERSION, ComposeProject, ComposeProjectSpec, KIND, Metadata, ModuleSpec, ModuleType, ProjectRef,
    ServiceSpec,
};
pub use status::{
    Condition, ConditionStatus, ContainerStatus, ImageStatus, ModuleContent, ModulePresence, ModuleStatus,
    Object, ObjectList, ObjectStatus, RouteAuthStatus, RouteStatus, Sameness, ServiceStatus, Transition,
};
pub use step::{PlannedStep, Step, StepKind, StepReport};
pub use suspension::{EndedSuspension, Suspension};

/// A point in time, always UTC.
pub type Time = chrono::DateTime<chrono::Utc>;

/// Returns the current time. Nothing in this module calls one.
pub type Clock = std::sync::Arc<dyn Fn() -> Time + Send + Sync>;

//! The words of undrift as types: what is declared, what was observed, what is reported.
//!
//! Nothing here performs I/O or knows the time.

mod attempt;
mod cache;
mod desired;
mod duration;
mod evidence;
mod incident;
mod layer;
mod observed;
mod spec;
mod status;
mod step;
mod suspension;

pub use attempt::Attempt;
pub use cache::Cache;
pub use desired::Desired;
pub use duration::{Duration, ParseDurationError};
pub use evidence::{Fact, Presence};
pub use incident::{AuditKind, AuditRecord, Incident, IncidentOutcome, NewRecord, StepOutcome};
pub use layer::{ConditionType, Drift, Layer, Reason};
pub use observed::{
    Answer, ArtifactObservation, ContainerObservation, ContainerState, GitState, Health, ModuleInContainer,
    ModuleObservation, MountCover, ProjectObservation, RouteAnswer, RouteObservation, ServiceObservation,
    SourceObservation,
};
pub use spec::{
    API_VERSION, Auth, Backoff, BasicAuth, ComposeProject, ComposeProjectSpec, Control, KIND, Metadata, Mode,
    ModuleSpec, ModuleType, ProjectRef, ReconcilePolicy, RouteSpec, RouteTarget, SecretSource, ServiceSpec,
    SourceDrift, SourcePolicy, Verify,
};
pub use status::{
    Condition, ConditionStatus, ContainerStatus, ImageStatus, ModulePresence, ModuleStatus, Object,
    ObjectList, ObjectStatus, RouteAuthStatus, RouteStatus, ServiceStatus, Transition,
};
pub use step::{PlannedStep, Step, StepKind, StepReport};
pub use suspension::Suspension;

/// A point in time, always UTC.
pub type Time = chrono::DateTime<chrono::Utc>;

//! undrift's report on an object, in the shape that scripts read.

use serde::{Deserialize, Serialize};

use super::{
    API_VERSION, ComposeProject, ConditionType, ConfigDifference, Drift, Note, PlannedStep, Reason,
    RevisionStatus, StepKind, Suspension, Time,
};

/// The manifest's object together with its status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// The object as declared. It holds no secret: credentials are declared by reference.
    #[serde(flatten)]
    pub declared: ComposeProject,
    /// Its observed status.
    pub status: ObjectStatus,
}

/// A list of objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectList {
    /// Always `undrift.dev/v1alpha1`.
    pub api_version: String,
    /// Always `List`.
    pub kind: String,
    /// The objects.
    pub items: Vec<Object>,
}

impl ObjectList {
    /// The list of these objects.
    #[must_use]
    pub fn new(items: Vec<Object>) -> Self {
        Self { api_version: API_VERSION.into(), kind: "List".into(), items }
    }
}

/// The status of an object.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectStatus {
    /// The generation that this status describes.
    pub observed_generation: i64,
    /// When the last observation began that saw the host; null if none ever did. An observation that found no engine, or
    /// Compose files that Compose rejects, saw nothing.
    #[serde(default)]
    pub observed_at: Option<Time>,
    /// The engine's ID; null if it is not known, or the engine has none that lasts (Podman).
    #[serde(default)]
    pub engine: Option<String>,
    /// The person's suspension that holds; null if there is none. The spec's own is `spec.reconcile.suspend`.
    #[serde(default)]
    pub suspension: Option<Suspension>,
    /// `Ready`, `Reconciling`, `Stalled`.
    pub conditions: Vec<Condition>,
    /// One entry per service of the spec, in its order.
    pub services: Vec<ServiceStatus>,
    /// The steps that would repair the drift, in order; empty if there is none, or no step for it.
    #[serde(with = "plan_as_contract")]
    pub plan: Vec<PlannedStep>,
    /// The open incident, or the last one.
    pub incident: Option<String>,
    /// How many repairs of the open incident were not verified: the largest count of its services; a verified one sets it to 0.
    pub attempts: u32,
    /// When the next attempt may begin.
    pub next_attempt_time: Option<Time>,
}

impl ObjectStatus {
    /// The status of a declared service.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&ServiceStatus> {
        self.services.iter().find(|service| service.name == name)
    }
}

/// A condition as in Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: ConditionType,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why.
    pub reason: Reason,
    /// Why, for a person.
    pub message: String,
    /// When `status` last changed; a new reason or message does not move it.
    pub last_transition_time: Time,
    /// The generation that it describes.
    pub observed_generation: i64,
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "Kubernetes' own words")]
pub enum ConditionStatus {
    True,
    False,
    Unknown,
}

/// The status of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStatus {
    /// The service's name.
    pub name: String,
    /// Null if the service is as declared.
    pub drift: Option<Drift>,
    /// One per declared layer, and `Reconciled`.
    pub conditions: Vec<Condition>,
    /// Its containers; empty if they could not be observed.
    pub containers: Vec<ContainerStatus>,
    /// The image that its reference names; null if the service was not observed.
    pub image: Option<ImageStatus>,
    /// Its modules, in the order of the spec.
    pub modules: Vec<ModuleStatus>,
    /// Its routes, in the order of the spec.
    pub routes: Vec<RouteStatus>,
    /// The source revision that it must carry, and the ones that it does; null if none is declared.
    #[serde(default)]
    pub revision: Option<RevisionStatus>,
    /// Further remarks; they change no condition.
    #[serde(default)]
    pub notes: Vec<Note>,
}

/// A container, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerStatus {
    /// The engine's ID.
    pub id: String,
    /// The name.
    pub name: String,
    /// The image it runs.
    pub image_id: String,
    /// The engine's word for its state.
    pub state: String,
    /// The last start, to distinguish a restart from a container left alone.
    pub started_at: Option<Time>,
    /// How often the engine's restart policy restarted it.
    pub restart_count: i64,
    /// The keys in which it differs from the present Compose files, if it was created from another configuration and that is
    /// visible. Keys only, never a value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<ConfigDifference>,
}

/// An image reference and the image that it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageStatus {
    /// The reference.
    pub reference: String,
    /// The ID, null if the reference names no image or it could not be observed.
    pub id: Option<String>,
}

/// A module at its three locations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleStatus {
    /// The module's name.
    pub name: String,
    /// In the project directory.
    pub source: ModulePresence,
    /// In the image.
    pub artifact: ModulePresence,
    /// In every container.
    pub container: ModulePresence,
    /// With `content: same`: how its files compare with the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<ModuleContent>,
}

/// How the files of a module compare with its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModuleContent {
    /// In the image.
    pub artifact: Sameness,
    /// In every container.
    pub container: Sameness,
}

/// How files compare with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sameness {
    /// The same names, types and bytes; a container may have more.
    Same,
    /// They could not be compared, or are not there.
    Unknown,
    /// At least one differs.
    Differs,
}

/// Whether a module is at a location.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words say it")]
pub enum ModulePresence {
    Present,
    Missing,
    Unknown,
    Undeclared,
}

/// A route and its answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RouteStatus {
    /// The route's name.
    pub name: String,
    /// The probed URL; of several replicas the one whose status is reported. Null if no replica runs that could be probed,
    /// and if nothing was observed; a declared `url` is always reported.
    pub url: Option<String>,
    /// The declared statuses.
    pub expected: Vec<u16>,
    /// The status without credentials; of several replicas the first that is not as declared. Null without an
    /// answer.
    pub observed: Option<u16>,
    /// The control request's status.
    pub control: Option<u16>,
    /// Before and after a repair; null if nothing was repaired.
    pub transition: Option<Transition>,
    /// Null if no credentials are declared.
    pub auth: Option<RouteAuthStatus>,
}

/// A route with credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteAuthStatus {
    /// The declared statuses.
    pub expected: Vec<u16>,
    /// The status with credentials.
    pub observed: Option<u16>,
    /// The control request's status with credentials.
    pub control: Option<u16>,
    /// Before and after a repair.
    pub transition: Option<Transition>,
}

/// A route's status before and after a repair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// Null if the baseline was no answer: refused, timeout, 5xx.
    pub before: Option<u16>,
    /// After the verification.
    pub after: Option<u16>,
}

/// In the contract a step of a plan is its kind's name; its options are for people, in the reason.
mod plan_as_contract {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{PlannedStep, StepKind};

    #[derive(Serialize, Deserialize)]
    struct Row {
        step: StepKind,
        services: Vec<String>,
        reason: String,
    }

    pub(super) fn serialize<S: Serializer>(plan: &[PlannedStep], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(plan.iter().map(|planned| Row {
            step: planned.step.kind(),
            services: planned.services.clone(),
            reason: planned.reason.clone(),
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<PlannedStep>, D::Error> {
        let rows = Vec::<Row>::deserialize(deserializer)?;
        Ok(rows
            .into_iter()
            .map(|row| PlannedStep {
                step: row.step.plain(),
                services: row.services,
                reason: row.reason,
                on_behalf_of: Vec::new(),
            })
            .collect())
    }
}

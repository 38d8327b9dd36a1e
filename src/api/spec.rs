//! The manifest as types. Names and defaults are a contract with everyone who writes one.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Duration;

/// The only version of the manifest so far.
pub const API_VERSION: &str = "undrift.dev/v1alpha1";

/// The only kind of object.
pub const KIND: &str = "ComposeProject";

/// One Compose project on one host: the unit of locking and of reconciling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ComposeProject {
    /// Always `undrift.dev/v1alpha1`.
    #[schemars(extend("const" = API_VERSION))]
    pub api_version: String,
    /// Always `ComposeProject`.
    #[schemars(extend("const" = KIND))]
    pub kind: String,
    /// Name and labels.
    pub metadata: Metadata,
    /// What is declared.
    pub spec: ComposeProjectSpec,
}

/// Name and labels of an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// Unique among what is loaded; lower-case letters, digits and dashes, at most 63.
    #[schemars(regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"), length(max = 63))]
    pub name: String,
    /// For people and their scripts; undrift does not read them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// For people and their scripts; undrift does not read them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What is declared of a Compose project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ComposeProjectSpec {
    /// Which Compose project.
    pub project: ProjectRef,
    /// The services that must run, at least one. undrift touches no other.
    #[schemars(length(min = 1))]
    pub services: Vec<ServiceSpec>,
    /// What a changed build context means.
    #[serde(default)]
    pub source: SourcePolicy,
    /// How undrift repairs.
    #[serde(default)]
    pub reconcile: ReconcilePolicy,
}

/// Which Compose project, in Compose's own terms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProjectRef {
    /// The project directory, relative to the manifest; must exist.
    pub directory: String,
    /// Compose files, relative to the directory. Without it Compose looks them up itself, with
    /// `compose.override.yaml` and `COMPOSE_FILE`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// The project name. Without it Compose's own rule holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Profiles to enable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
    /// Env files for interpolation, relative to the directory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env_files: Vec<String>,
}

/// What is declared of one Compose service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceSpec {
    /// A service of the Compose project; named once.
    pub name: String,
    /// Paths that must exist in each of its containers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<ModuleSpec>,
    /// Requests and the status that each must answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteSpec>,
}

/// A path that must exist in a service's container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModuleSpec {
    /// The last part of `path` without it. Unique in the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is built from, relative to the project directory and never out of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Absolute, in the container.
    #[schemars(regex(pattern = "^/"))]
    pub path: String,
    /// What must be there.
    #[serde(default, rename = "type")]
    pub kind: ModuleType,
}

impl ModuleSpec {
    /// The declared name, or the last part of the path.
    #[must_use]
    pub fn display_name(&self) -> &str {
        self.name
            .as_deref()
            .unwrap_or_else(|| self.path.trim_end_matches('/').rsplit('/').next().unwrap_or(&self.path))
    }
}

/// What kind of thing a module's path must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ModuleType {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Anything that is there.
    #[default]
    Any,
}

/// An HTTP request to a service, and the status that it must answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteSpec {
    /// The path without it. Unique in the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The path at each replica; with `port`, instead of `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The container's port; with `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// A whole URL, instead of `path` and `port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// `GET` without it.
    #[serde(default = "default_method")]
    pub method: String,
    /// Request headers. Secrets have no place here: see `auth`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The statuses that are as declared, without credentials; in the manifest one number or a list.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(schema_with = "statuses_schema")]
    pub expect: Vec<u16>,
    /// The statuses that say that the route is not there: `[404]` without it.
    #[serde(default = "default_absent", deserialize_with = "one_or_many")]
    #[schemars(schema_with = "statuses_schema")]
    pub absent: Vec<u16>,
    /// The request that must *not* answer as the route does.
    #[serde(default)]
    pub control: Control,
    /// The last layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// How long one request may take: `5s` without it.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
}

/// Where a route is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteTarget<'a> {
    /// At each replica.
    Replica {
        /// The request's path, with its query.
        path: &'a str,
        /// The container's port.
        port: u16,
    },
    /// At one fixed URL.
    Url(&'a str),
}

impl RouteSpec {
    /// The declared name, or the path, or the URL.
    #[must_use]
    pub fn display_name(&self) -> &str {
        self.name.as_deref().or(self.path.as_deref()).or(self.url.as_deref()).unwrap_or_default()
    }

    /// Where to ask. `None` only for a spec that was never validated.
    #[must_use]
    pub fn target(&self) -> Option<RouteTarget<'_>> {
        match (&self.url, &self.path, self.port) {
            (Some(url), None, None) => Some(RouteTarget::Url(url)),
            (None, Some(path), Some(port)) => Some(RouteTarget::Replica { path, port }),
            _ => None,
        }
    }
}

/// The control request: to a path that cannot exist, next to the route.
///
/// Written `auto`, `off` or an absolute path.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(from = "String", into = "String")]
#[schemars(with = "String")]
pub enum Control {
    /// A random sibling path, another one at each look.
    #[default]
    Auto,
    /// None: the answer of the route is taken at its word.
    Off,
    /// A path that must not exist.
    Path(String),
}

impl From<String> for Control {
    fn from(text: String) -> Self {
        match text.as_str() {
            "auto" => Self::Auto,
            "off" => Self::Off,
            _ => Self::Path(text),
        }
    }
}

impl From<Control> for String {
    fn from(control: Control) -> Self {
        match control {
            Control::Auto => "auto".into(),
            Control::Off => "off".into(),
            Control::Path(path) => path,
        }
    }
}

/// Credentials for the auth layer and the status that they must earn. Exactly one of `basic` and `bearerFrom`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Auth {
    /// HTTP Basic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<BasicAuth>,
    /// `Authorization: Bearer …` with a token from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_from: Option<SecretSource>,
    /// The statuses that are as declared, with credentials.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(schema_with = "statuses_schema")]
    pub expect: Vec<u16>,
}

/// A user name, and where its password is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BasicAuth {
    /// The user name.
    pub username: String,
    /// Where the password is; never the password itself.
    pub password_from: SecretSource,
}

/// Where a secret is read from, at each use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum SecretSource {
    /// An environment variable of undrift.
    Env(String),
    /// A file, relative to the manifest; one trailing newline is not part of the secret.
    File(String),
}

/// What a build context that changed since the image was built means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourcePolicy {
    /// `report` without it.
    #[serde(default)]
    pub drift: SourceDrift,
}

/// See [`SourcePolicy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SourceDrift {
    /// Not looked at.
    Ignore,
    /// Said, not repaired.
    #[default]
    Report,
    /// A drift of the artifact layer.
    Enforce,
}

/// How undrift repairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ReconcilePolicy {
    /// Whether undrift acts at all.
    pub mode: Mode,
    /// No step while this is true.
    pub suspend: bool,
    /// The resync: how long undrift trusts that no event was lost.
    pub interval: Duration,
    /// The limit of one `docker compose build`.
    pub build_timeout: Duration,
    /// The proof.
    pub verify: Verify,
    /// How long to wait between attempts.
    pub backoff: Backoff,
    /// The budget of one drift.
    pub attempts: u32,
    /// Whether to put the old image back where the new container is worse than the old one.
    pub rollback: bool,
}

impl Default for ReconcilePolicy {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            suspend: false,
            interval: Duration::from_secs(300),
            build_timeout: Duration::from_secs(1800),
            verify: Verify::default(),
            backoff: Backoff::default(),
            attempts: 5,
            rollback: true,
        }
    }
}

/// Whether undrift acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// Drift is repaired.
    #[default]
    Enforce,
    /// Drift is reported; never a step.
    Observe,
}

/// How long to wait for the proof of a repair, and how long it must then hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Verify {
    /// From the end of the last step to the start of the window, at most.
    pub timeout: Duration,
    /// The stability window.
    pub stable_for: Duration,
}

impl Default for Verify {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(120), stable_for: Duration::from_secs(3) }
    }
}

/// The wait between attempts: doubles from `initial` up to `max`, with jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Backoff {
    /// After the first failed attempt.
    pub initial: Duration,
    /// At most.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial: Duration::from_secs(10), max: Duration::from_secs(600) }
    }
}

fn default_method() -> String {
    "GET".into()
}

fn default_absent() -> Vec<u16> {
    vec![404]
}

fn default_timeout() -> Duration {
    Duration::from_secs(5)
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u16>, D::Error> {
    struct OneOrMany;
    impl<'de> serde::de::Visitor<'de> for OneOrMany {
        type Value = Vec<u16>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an HTTP status such as 401, or a list of them such as [401, 403]")
        }

        fn visit_u64<E: serde::de::Error>(self, status: u64) -> Result<Self::Value, E> {
            u16::try_from(status)
                .map(|status| vec![status])
                .map_err(|_| E::invalid_value(serde::de::Unexpected::Unsigned(status), &self))
        }

        fn visit_i64<E: serde::de::Error>(self, status: i64) -> Result<Self::Value, E> {
            u16::try_from(status)
                .map(|status| vec![status])
                .map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(status), &self))
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut statuses = Vec::new();
            while let Some(status) = list.next_element()? {
                statuses.push(status);
            }
            Ok(statuses)
        }
    }
    deserializer.deserialize_any(OneOrMany)
}

fn statuses_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "oneOf": [
            { "type": "integer", "minimum": 100, "maximum": 599 },
            { "type": "array", "minItems": 1, "items": { "type": "integer", "minimum": 100, "maximum": 599 } }
        ]
    })
}

//! The manifest as types. Names and defaults are a contract with everyone who writes one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Content, MountPolicy, ReconcilePolicy, Reload, RevisionSpec, RouteSpec, SourcePolicy};

/// The only version of the manifest so far.
pub const API_VERSION: &str = "undrift.dev/v1alpha1";

/// The only kind of object.
pub const KIND: &str = "ComposeProject";

/// A Compose project on one host, and what must be so in it: the unit of locking and of reconciling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ComposeProject {
    /// Always `undrift.dev/v1alpha1`.
    pub api_version: String,
    /// Always `ComposeProject`.
    pub kind: String,
    /// Name and labels.
    pub metadata: Metadata,
    /// What is declared.
    pub spec: ComposeProjectSpec,
}

/// Name and labels of an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// Unique among what is loaded; lower-case letters, digits and dashes, at most 63.
    pub name: String,
    /// For people and their scripts; undrift does not read them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// For people and their scripts; undrift does not read them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What is declared of a Compose project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ComposeProjectSpec {
    /// Which Compose project.
    pub project: ProjectRef,
    /// The services that must run, at least one. undrift touches no other.
    pub services: Vec<ServiceSpec>,
    /// What a build context that changed since the image was built means.
    #[serde(default)]
    pub source: SourcePolicy,
    /// How undrift repairs.
    #[serde(default)]
    pub reconcile: ReconcilePolicy,
}

/// Which Compose project, in Compose's own terms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProjectRef {
    /// The project directory, relative to the manifest; must exist.
    pub directory: String,
    /// Compose files, relative to the directory. Without it Compose looks them up itself, with
    /// `compose.override.yaml` and `COMPOSE_FILE`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// The name of the Compose project. Compose's own rule if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Profiles to enable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
    /// Env files for interpolation, relative to the directory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env_files: Vec<String>,
    /// Whether containers that a Compose project of the same name in another directory has made may be replaced.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub take_over: bool,
}

/// What is declared of one Compose service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceSpec {
    /// The name of a service of the Compose project; each once.
    pub name: String,
    /// Paths that must exist in each of its containers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<ModuleSpec>,
    /// Requests and the status that each must answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteSpec>,
    /// The source revision that it must carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<RevisionSpec>,
    /// What mounted files that changed since a container's start mean. `report` if left out.
    #[serde(default, skip_serializing_if = "MountPolicy::is_default")]
    pub mounts: MountPolicy,
    /// What makes it read mounted files anew, in place of a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload: Option<Reload>,
}

/// A path that must exist in a service's container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModuleSpec {
    /// A folder and a pattern, in place of `name` and `source`: one module for each entry that is there now. None where it has
    /// been expanded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<String>,
    /// With `each`: names that are no entries of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
    /// What the module is called in reports; unique in the service. The last part of `path` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is built from, relative to the project directory and never out of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The module's absolute path in the container.
    pub path: String,
    /// What must be at the path. `any` if left out.
    #[serde(default, rename = "type")]
    pub kind: ModuleType,
    /// Whether what is at the path must be there only, or be the same as `source`. `present` if left out.
    #[serde(default, skip_serializing_if = "Content::is_default")]
    pub content: Content,
    /// With `content: same`: patterns of what is not compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
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

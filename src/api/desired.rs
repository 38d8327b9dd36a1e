//! A declared object, ready to be reconciled.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ComposeProject, ServiceSpec};

/// A valid object with the context that its text lacks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Desired {
    /// The object as declared, defaults filled in.
    pub object: ComposeProject,
    /// The project directory, absolute, as it was written: symbolic links in it stay, because Compose names a project by the
    /// path of the caller's working directory.
    pub directory: PathBuf,
    /// Where the manifest is, for messages: a path, or `<stdin>`.
    pub manifest: String,
    /// The base folder of relative paths of secrets: the manifest's own.
    pub manifest_directory: PathBuf,
    /// The line and column (both from 1) at which each service of the spec is declared, in its order.
    pub service_positions: Vec<(u64, u64)>,
    /// The digest of the meaning of the spec, `v1:sha256:…`: comments, key order and spelled-out defaults do not change it.
    /// The version identifies the rule that made it.
    pub spec_digest: String,
    /// The fault of the manifest on disk, if this is an earlier spec that stays in effect.
    #[serde(skip)]
    pub superseded_by: Option<String>,
}

impl Desired {
    /// The object's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.object.metadata.name
    }

    /// The declared services.
    #[must_use]
    pub fn services(&self) -> &[ServiceSpec] {
        &self.object.spec.services
    }

    /// The declared service of this name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&ServiceSpec> {
        self.services().iter().find(|service| service.name == name)
    }
}

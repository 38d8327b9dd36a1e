//! A declared object, ready to be reconciled.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ComposeProject, ServiceSpec};

/// A valid object with what its text alone does not say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Desired {
    /// The object as declared, defaults filled in.
    pub object: ComposeProject,
    /// The project directory, absolute, as it was written: symbolic links in it stay, for Compose names a project by
    /// the path at which a person stands.
    pub directory: PathBuf,
    /// Where the manifest is, for messages: a path, or `<stdin>`.
    pub manifest: String,
    /// The folder that relative paths of secrets start at: the manifest's own.
    pub manifest_directory: PathBuf,
    /// The line and column (both from 1) at which each service of the spec is declared, in its order.
    pub service_positions: Vec<(u64, u64)>,
    /// The digest of what the spec means, `v1:sha256:…`: comments, key order and spelled-out defaults do not
    /// change it. The version says by which rule it was made.
    pub spec_digest: String,
    /// What is wrong with the manifest as it is on disk now, where this is an earlier one that goes on.
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

//! A declared object, ready to be reconciled.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use super::{ComposeProject, EachQuery, Expansion, ServiceSpec};

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
    /// The services with what each `each` gives now; `None` where the spec has none, or it has not been expanded yet.
    #[serde(skip)]
    pub expanded: Option<Expanded>,
    /// The variables that each Compose command gets in addition: the `variable` of each revision, with the expected revision
    /// of this moment. Empty before the host has found them out.
    #[serde(skip)]
    pub variables: BTreeMap<String, String>,
}

/// The services with ordinary modules and routes in place of each `each`.
#[derive(Debug, Clone, PartialEq)]
pub struct Expanded {
    /// The services, in the order of the spec.
    services: Vec<ServiceSpec>,
    /// For each of them, what each `each` of it gave.
    expansions: Vec<Vec<Expansion>>,
}

impl Desired {
    /// The object's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.object.metadata.name
    }

    /// The declared services, expanded where they have been.
    #[must_use]
    pub fn services(&self) -> &[ServiceSpec] {
        self.expanded.as_ref().map_or(&self.object.spec.services, |expanded| &expanded.services)
    }

    /// The declared service of this name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&ServiceSpec> {
        self.services().iter().find(|service| service.name == name)
    }

    /// What each `each` of this service gave; nothing where it has not been expanded.
    #[must_use]
    pub fn expansions(&self, service: &str) -> &[Expansion] {
        let index = self.services().iter().position(|spec| spec.name == service);
        let expansions = self.expanded.as_ref().map(|expanded| &expanded.expansions);
        index.and_then(|index| expansions?.get(index)).map(Vec::as_slice).unwrap_or_default()
    }

    /// The folders that must be listed to expand it.
    #[must_use]
    pub fn each_queries(&self) -> BTreeSet<EachQuery> {
        self.object.spec.services.iter().flat_map(ServiceSpec::each_queries).collect()
    }

    /// The same, expanded by these answers.
    #[must_use]
    pub fn expanded_by(&self, answers: &BTreeMap<EachQuery, Expansion>) -> Self {
        let entries = |query: &EachQuery| answers.get(query).map(|of| of.entries.found()).unwrap_or_default();
        let declared = &self.object.spec.services;
        let services = declared.iter().map(|service| service.expanded(entries)).collect();
        let of = |service: &ServiceSpec| {
            service.each_queries().iter().filter_map(|query| answers.get(query)).cloned().collect()
        };
        let expansions = declared.iter().map(of).collect();
        Self { expanded: Some(Expanded { services, expansions }), ..self.clone() }
    }

    /// Whether both are one declaration, whatever is in the folders of an `each`.
    #[must_use]
    pub fn declares_the_same(&self, other: &Self) -> bool {
        let plain = |desired: &Self| Self { expanded: None, variables: BTreeMap::new(), ..desired.clone() };
        let is_plain = |desired: &Self| desired.expanded.is_none() && desired.variables.is_empty();
        if is_plain(self) && is_plain(other) {
            return self == other;
        }
        plain(self) == plain(other)
    }
}

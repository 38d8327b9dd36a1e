//! Shared helpers of the tests in this folder.

use std::collections::BTreeMap;

use crate::api::{
    API_VERSION, ComposeProject, ComposeProjectSpec, Desired, KIND, Metadata, ProjectRef, ReconcilePolicy,
    ServiceSpec, SourcePolicy,
};

/// An object with these services, for this folder.
pub(super) fn desired(directory: &str, services: &[&str]) -> Desired {
    let project = ProjectRef {
        directory: directory.into(),
        files: vec![],
        name: None,
        profiles: vec![],
        env_files: vec![],
        take_over: false,
    };
    let named =
        |name: &&str| serde_json::from_value::<ServiceSpec>(serde_json::json!({"name": name})).unwrap();
    let spec = ComposeProjectSpec {
        project,
        services: services.iter().map(named).collect(),
        source: SourcePolicy::default(),
        reconcile: ReconcilePolicy::default(),
    };
    let metadata = Metadata { name: "test".into(), labels: BTreeMap::new(), annotations: BTreeMap::new() };
    Desired {
        object: ComposeProject { api_version: API_VERSION.into(), kind: KIND.into(), metadata, spec },
        directory: directory.into(),
        manifest: "manifest.yaml".into(),
        manifest_directory: directory.into(),
        service_positions: (1..).map(|line| (line, 7)).take(services.len()).collect(),
        spec_digest: "v1:sha256:0".into(),
        superseded_by: None,
        expanded: None,
        variables: BTreeMap::new(),
    }
}

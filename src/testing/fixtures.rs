//! A declared object and a healthy host, for the tests of the pure rooms and of the glue.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use serde_json::json;

use crate::api::{
    Answer, ArtifactObservation, Attachments, ContainerObservation, ContainerState, DeclaredAttachments,
    Desired, Fact, GitState, ModuleInContainer, ModuleObservation, Presence, ProjectObservation,
    ReplicaRevision, RevisionFact, RevisionObservation, RouteAnswer, RouteObservation, ServiceObservation,
    SourceObservation, Ties, Time,
};

/// The image before a repair, and after it.
pub(crate) const OLD: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000001";
pub(crate) const NEW: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000002";

/// The commit that the project directory has checked out.
pub(crate) const REVISION: &str = "4f6d1c0b9a8e7d6c5b4a39281706f5e4d3c2b1a0";

/// A fixed moment, and moments after it.
pub(crate) fn at(seconds: i64) -> Time {
    chrono::DateTime::from_timestamp(1_767_225_600 + seconds, 0).unwrap()
}

/// Two services; `api` with a module, a route and credentials, `dashboard` with nothing declared.
pub(crate) fn desired() -> Desired {
    desired_with(&json!({}))
}

/// The same with another `reconcile`.
pub(crate) fn desired_with(reconcile: &serde_json::Value) -> Desired {
    let object = json!({
        "apiVersion": "undrift.dev/v1alpha1",
        "kind": "ComposeProject",
        "metadata": { "name": "backoffice" },
        "spec": {
            "project": { "directory": "." },
            "services": [
                {
                    "name": "api",
                    "mounts": "enforce",
                    "revision": { "from": { "label": "org.opencontainers.image.revision" } },
                    "modules": [{ "source": "src/workflow", "path": "/app/dist/modules/workflow", "content": "same" }],
                    "routes": [{
                        "path": "/api/workflow", "port": 3000, "expect": [401],
                        "auth": { "bearerFrom": { "env": "TOKEN" }, "expect": [200] },
                    }],
                },
                { "name": "dashboard" },
            ],
            "source": { "drift": "enforce" },
            "reconcile": reconcile,
        },
    });
    Desired {
        object: serde_json::from_value(object).unwrap(),
        directory: PathBuf::from("/srv/backoffice"),
        manifest: "backoffice.yaml".into(),
        manifest_directory: PathBuf::from("/srv"),
        service_positions: vec![(9, 7), (16, 7)],
        spec_digest: "v1:sha256:0".into(),
        superseded_by: None,
        expanded: None,
        variables: BTreeMap::new(),
    }
}

/// Everything as declared.
pub(crate) fn healthy() -> ProjectObservation {
    ProjectObservation {
        at: at(0),
        project: "backoffice".into(),
        engine: Some("ENGINE:1".into()),
        external_activity: None,
        services: vec![api(), dashboard()],
        related: vec![],
        resolved_from: None,
        source_paths: crate::api::SourcePaths::default(),
    }
}

/// The incident: the module is in the source and nowhere else.
pub(crate) fn incident() -> ProjectObservation {
    let mut seen = healthy();
    let api = &mut seen.services[0];
    api.artifact.image = Fact::Known(Some(OLD.into()));
    api.artifact.modules[0].presence = Fact::Known(Presence::Missing);
    api.artifact.built_from = None;
    let container = container_mut(api);
    container.image_id = OLD.into();
    container.id = "old".into();
    container.modules[0].presence = Fact::Known(Presence::Missing);
    answer_mut(api).plain = status(404);
    answer_mut(api).auth = Some(status(404));
    seen
}

pub(crate) fn container_mut(service: &mut ServiceObservation) -> &mut ContainerObservation {
    match &mut service.containers {
        Fact::Known(containers) => &mut containers[0],
        Fact::Unknown(why) => panic!("the fixture's containers are unknown: {why}"),
    }
}

pub(crate) fn answer_mut(service: &mut ServiceObservation) -> &mut RouteAnswer {
    &mut service.routes[0].answers[0]
}

pub(crate) fn status(code: u16) -> Fact<Answer> {
    Fact::Known(Answer::Status { code, challenge: code == 401, allow: None, location: None })
}

fn api() -> ServiceObservation {
    let present = || Fact::Known(Presence::Present);
    ServiceObservation {
        source: SourceObservation { modules: vec![Some(present())], ..source() },
        artifact: ArtifactObservation {
            modules: vec![ModuleObservation { presence: present(), content: None }],
            ..artifact("api")
        },
        containers: Fact::Known(vec![ContainerObservation {
            modules: vec![ModuleInContainer { presence: present(), covered_by: None, content: None }],
            ..container("api")
        }]),
        routes: vec![RouteObservation {
            answers: vec![RouteAnswer {
                container: Some("backoffice-api-1".into()),
                url: "http://172.18.0.2:3000/api/workflow".into(),
                plain: status(401),
                control: Some(status(404)),
                shape: Some(status(404)),
                auth: Some(status(200)),
                auth_control: None,
                other_method: None,
                in_the_clear: false,
                head: None,
            }],
        }],
        ..dashboard_named("api")
    }
}

fn dashboard() -> ServiceObservation {
    dashboard_named("dashboard")
}

fn dashboard_named(name: &str) -> ServiceObservation {
    ServiceObservation {
        name: name.into(),
        buildable: true,
        replicas: 1,
        config_hash: Some("hash".into()),
        attachments: DeclaredAttachments::default(),
        networks: Fact::Known(vec![]),
        volumes: vec![],
        source: source(),
        artifact: artifact(name),
        containers: Fact::Known(vec![container(name)]),
        other_directory: Fact::Known(None),
        runs_undrift: false,
        ties: Ties::default(),
        joins: vec![],
        routes: vec![],
        revision: None,
        unresolved: None,
        obstacles: vec![],
        ports_of: BTreeSet::new(),
    }
}

/// The declared revision of `api`, carried by its image and its container. In no other observation it was looked for.
pub(crate) fn revision() -> RevisionObservation {
    let carried = RevisionFact::Known(REVISION.into());
    RevisionObservation {
        expected: carried.clone(),
        dirty: Some(Fact::Known(false)),
        image: Some(carried.clone()),
        containers: vec![ReplicaRevision { container: "new-api".into(), revision: carried }],
        routes: vec![],
    }
}

/// The work tree of the project directory.
pub(crate) fn git() -> GitState {
    GitState { revision: Some(REVISION.into()), dirty: true }
}

fn source() -> SourceObservation {
    SourceObservation {
        modules: vec![],
        digest: Fact::Known(Some("sha256:source-2".into())),
        unreadable: None,
        expansions: vec![],
        git_lock: None,
    }
}

fn artifact(name: &str) -> ArtifactObservation {
    ArtifactObservation {
        reference: format!("backoffice-{name}"),
        image: Fact::Known(Some(NEW.into())),
        built_from: Some("sha256:source-2".into()),
        first_sight: None,
        build_check: None,
        modules: vec![],
        is_kept: false,
    }
}

pub(crate) fn container(name: &str) -> ContainerObservation {
    ContainerObservation {
        id: format!("new-{name}"),
        name: format!("backoffice-{name}-1"),
        number: 1,
        state: ContainerState::Running,
        restart_count: 0,
        exit_code: None,
        restarting: false,
        created_at: Some(at(-3600)),
        started_at: Some(at(-3600)),
        health: None,
        image_id: NEW.into(),
        config_hash: Some("hash".into()),
        config_changed: Fact::Known(false),
        differences: Fact::Known(vec![]),
        made_by: Some("2.26.1".into()),
        only_upgraded: false,
        port_taken: false,
        attachments: Attachments::default(),
        contents: vec![],
        mounted: vec![],
        modules: vec![],
        joined: vec![],
    }
}

//! Every JSON shape that other programs rely on, read as a stranger's program would.

use serde::de::DeserializeOwned;

use crate::{
    stranger::{Condition, List, Object, Record, Transition},
    support::{Project, Run},
};

#[track_caller]
fn read<T: DeserializeOwned>(run: &Run) -> T {
    serde_json::from_str(&run.stdout)
        .unwrap_or_else(|error| panic!("{error}\n{}\n{}", run.stdout, run.stderr))
}

const KINDS: &[&str] = &[
    "DriftDetected",
    "StepIntended",
    "StepFinished",
    "StepInterrupted",
    "Verified",
    "Reconciled",
    "RolledBack",
    "Stalled",
    "Suspended",
    "Resumed",
    "Retried",
    "ManifestChanged",
    "Started",
    "Stopped",
];

fn assert_conditions(conditions: &[Condition], expected: &[&str]) {
    let kinds: Vec<&str> = conditions.iter().map(|condition| condition.kind.as_str()).collect();
    assert_eq!(kinds, expected);
    for condition in conditions {
        assert!(["True", "False", "Unknown"].contains(&condition.status.as_str()));
        assert!(condition.reason.chars().all(|c| c.is_ascii_alphanumeric()), "{}", condition.reason);
        assert!(!condition.reason.is_empty());
        assert!(condition.last_transition_time <= chrono::Utc::now());
        assert!(condition.observed_generation >= 1, "{} {}", condition.kind, condition.message);
    }
}

fn assert_object(object: &Object, name: &str) {
    assert_eq!(
        (object.api_version.as_str(), object.kind.as_str()),
        ("undrift.dev/v1alpha1", "ComposeProject")
    );
    assert_eq!(object.metadata["name"], name);
    assert_eq!(object.spec["services"][0]["name"], "api");
    assert_eq!(object.status.observed_generation, 1);
    assert_conditions(&object.status.conditions, &["Ready", "Reconciling", "Stalled"]);
    let service = &object.status.services[0];
    assert_eq!(service.name, "api");
    let layers = [
        "SourcePresent",
        "ArtifactCurrent",
        "ContainerCurrent",
        "RouteExposed",
        "AuthVerified",
        "Reconciled",
        "Stable",
    ];
    assert_conditions(&service.conditions, &layers);
    let container = &service.containers[0];
    assert_eq!((container.id.len(), container.state.as_str()), (64, "running"));
    assert!(container.name.starts_with(name) && container.image_id.starts_with("sha256:"));
    let image = service.image.as_ref().unwrap();
    assert_eq!(image.reference, format!("{name}-api"));
    assert!(image.id.as_ref().is_some_and(|id| id.starts_with("sha256:")));
    assert_eq!(service.modules[0].name, "workflow");
    let route = &service.routes[0];
    assert_eq!((route.name.as_str(), route.expected.as_slice()), ("/api/workflow", [401].as_slice()));
    let url = route.url.as_deref().unwrap();
    assert!(url.starts_with("http://") && url.ends_with("/api/workflow"));
    assert_eq!(route.auth.as_ref().map(|auth| auth.expected.clone()), Some(vec![200]));
}

#[test]
fn every_document_has_the_shape_of_the_contract() {
    let project = Project::in_incident();
    let name = project.name.clone();

    for verb in ["check", "plan"] {
        let list: List<Object> = read(&project.with_manifest(verb, &["-o", "json"]));
        assert_eq!((list.api_version.as_str(), list.kind.as_str()), ("undrift.dev/v1alpha1", "List"));
        assert_object(&list.items[0], &name);
        let status = &list.items[0].status;
        let drift = status.services[0].drift.as_ref().unwrap();
        assert_eq!((drift.layer.as_str(), drift.reason.as_str()), ("artifact", "ModuleMissing"));
        assert!(!drift.message.is_empty());
        let module = &status.services[0].modules[0];
        assert_eq!(module.places(), ["present", "missing", "missing"]);
        let route = &status.services[0].routes[0];
        assert_eq!((route.observed, route.control, route.transition.is_none()), (Some(404), Some(404), true));
        assert_eq!(status.plan.iter().map(|step| step.kind.as_str()).collect::<Vec<_>>(), ["Build", "Up"]);
        assert!(status.plan.iter().all(|step| step.services == ["api"] && !step.reason.is_empty()));
        assert_eq!((status.attempts, status.incident.is_none(), status.next_attempt_time), (0, true, None));
    }

    let apply = project.apply();
    let applied: List<Object> = read(&apply);
    let recorded: List<Object> = read(&project.undrift(&["get", "-o", "json"]));
    let described: Object = read(&project.undrift(&["describe", &name, "-o", "json"]));
    for object in [&applied.items[0], &recorded.items[0], &described] {
        assert_object(object, &name);
        let service = &object.status.services[0];
        assert!(service.drift.is_none());
        assert!(service.conditions.iter().all(|condition| condition.status == "True"));
        let route = &service.routes[0];
        assert_eq!(route.transition, Some(Transition { before: Some(404), after: Some(401) }));
        let auth = route.auth.as_ref().unwrap();
        assert_eq!((auth.observed, auth.control), (Some(200), None));
        assert_eq!(auth.transition, Some(Transition { before: Some(404), after: Some(200) }));
        assert!(object.status.plan.is_empty());
        assert_eq!(object.status.attempts, 0, "a verified repair is no failure: {}", apply.stderr);
    }
    let incident = described.status.incident.clone().unwrap();

    let trail: List<Record> = read(&project.undrift(&["audit", "list", "-o", "json"]));
    for (index, record) in trail.items.iter().enumerate() {
        assert_eq!(record.seq, index as u64 + 1);
        assert!(KINDS.contains(&record.kind.as_str()), "{}", record.kind);
        assert_eq!(record.hash.len(), 64);
        let before =
            index.checked_sub(1).map_or_else(|| "0".repeat(64), |before| trail.items[before].hash.clone());
        assert_eq!(record.prev_hash, before);
        assert!(!record.actor.is_empty() && record.time <= chrono::Utc::now());
        assert_eq!(record.object.as_deref(), Some(name.as_str()), "{}", record.evidence);
    }
    let steps: Vec<_> = trail.items.iter().filter(|r| r.kind == "StepFinished").collect();
    assert_eq!(steps.iter().map(|r| r.step.as_deref().unwrap()).collect::<Vec<_>>(), project.steps());
    assert_eq!(project.steps_that_counted(), ["Build", "Up"]);
    assert!(
        steps
            .iter()
            .all(|r| r.outcome.as_deref() == Some("Succeeded") && r.incident.as_ref() == Some(&incident))
    );
    let drift = trail.items.iter().find(|r| r.kind == "DriftDetected").unwrap();
    assert_eq!(drift.service.as_deref(), Some("api"));

    let verified = project.undrift(&["audit", "verify", "-o", "json"]).expect(0).json();
    assert_eq!(verified["whole"], true);
    let incidents = project.undrift(&["incident", "list", "-o", "json"]).expect(0).json();
    assert_eq!(incidents["items"][0]["id"], incident.as_str());
    let shown = project.undrift(&["incident", "show", &incident, "-o", "json"]).expect(0).json();
    assert_eq!(shown["id"], incident.as_str());
    assert_eq!(shown["outcome"], "Reconciled");
}

#[test]
fn errors_are_one_document_too() {
    let project = Project::new();
    project.manifest("apiVersion: undrift.dev/v1alpha1\nkind: Nothing\n");
    for args in [
        vec!["check", "-f", "undrift.yaml", "-o", "json"],
        vec!["apply", "-f", "undrift.yaml", "-o", "json"],
        vec!["describe", "nobody", "-o", "json"],
        vec!["get", "nobody", "-o", "json"],
        vec!["incident", "show", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "-o", "json"],
    ] {
        let run = project.undrift(&args).expect(2);
        assert!(
            run.json()["message"].as_str().is_some_and(|message| !message.is_empty()),
            "{args:?}: {run:?}"
        );
        assert!(!run.stderr.is_empty(), "{args:?}");
    }
}

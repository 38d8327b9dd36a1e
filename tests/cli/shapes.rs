//! Every document as a stranger's program reads it, in the states that a healthy host never shows.

use std::fs;

use serde_json::{Value, json};
use undrift::{
    api::{AuditKind, NewRecord, Object as Ours, Step as OurStep, Time as OurTime},
    store::{NewIncident, Store},
};

use crate::{
    home::{Home, Run},
    stranger::{Incident, List, Object, Record, Shown, Time, Transition},
};

/// An object in the words of the contract: one service waits for its next attempt, with everything null that may be;
/// one was repaired.
fn waiting() -> Value {
    let condition = |kind: &str, status: &str, reason: &str| {
        json!({ "type": kind, "status": status, "reason": reason, "message": "", "observedGeneration": 3,
                "lastTransitionTime": "2026-03-01T10:00:00Z" })
    };
    let message = "shop-api-1 is exited";
    json!({
        "apiVersion": "undrift.dev/v1alpha1", "kind": "ComposeProject", "metadata": { "name": "shop" },
        "spec": {
            "project": { "directory": "." },
            "services": [
                { "name": "api", "modules": [{ "path": "/app/x" }],
                  "routes": [{ "path": "/x", "port": 3000, "expect": [200] }] },
                { "name": "web", "routes": [{
                    "url": "http://127.0.0.1:8080/x", "expect": [401],
                    "auth": { "bearerFrom": { "env": "TOKEN" }, "expect": [200] } }] },
            ],
        },
        "status": {
            "observedGeneration": 3, "observedAt": "2026-03-01T10:00:00Z", "engine": "ABCD:1234",
            "conditions": [
                condition("Ready", "False", "DriftDetected"),
                condition("Reconciling", "True", "Progressing"),
                condition("Stalled", "False", "NotStalled"),
            ],
            "services": [
                { "name": "api", "drift": { "layer": "container", "reason": "NotRunning", "message": message },
                  "conditions": [condition("ContainerCurrent", "False", "NotRunning")],
                  "containers": [{ "id": "1", "name": "shop-api-1", "imageId": "sha256:1", "state": "exited",
                                   "startedAt": null, "restartCount": 2 }],
                  "image": { "reference": "shop-api", "id": null },
                  "modules": [{ "name": "x", "source": "undeclared", "artifact": "present", "container": "unknown" }],
                  "routes": [{ "name": "/x", "url": null, "expected": [200], "observed": null, "control": null,
                               "transition": null, "auth": null }] },
                { "name": "web", "drift": null, "conditions": [condition("Reconciled", "True", "Proven")],
                  "containers": [], "image": null, "modules": [],
                  "revision": { "expected": "4f6d1c0", "image": null, "containers": ["4f6d1c0", null], "routes": [] },
                  "notes": [{ "reason": "VolumeChanged", "message": "the volume shop_data differs" }],
                  "routes": [{ "name": "x", "url": "http://127.0.0.1:8080/x", "expected": [401], "observed": 401,
                               "control": 404, "transition": { "before": null, "after": 401 },
                               "auth": { "expected": [200], "observed": 200, "control": null,
                                         "transition": { "before": 404, "after": 200 } } }] },
            ],
            "plan": [{ "step": "Up", "services": ["api"], "reason": "api: shop-api-1 is exited" }],
            "incident": "01J0000000000000000000000A", "attempts": 1, "nextAttemptTime": "2026-03-01T10:00:20Z",
        },
    })
}

fn store(home: &Home) -> Store {
    Store::open(&home.state(), "ops@host undrift[1] test".into()).unwrap()
}

fn assert_waiting(object: &Object) {
    let of = (object.api_version.as_str(), object.kind.as_str(), &object.metadata["name"]);
    assert_eq!(of, ("undrift.dev/v1alpha1", "ComposeProject", &json!("shop")));
    assert_eq!(object.spec["services"][1]["name"], "web");
    let status = &object.status;
    assert_eq!((status.observed_generation, status.attempts), (3, 1));
    let looked: Time = "2026-03-01T10:00:00Z".parse().unwrap();
    assert_eq!((status.observed_at, status.engine.as_deref()), (Some(looked), Some("ABCD:1234")));
    let suspension = status.suspension.as_ref().unwrap();
    let actor = "ops@host undrift[1] test";
    assert_eq!((suspension.reason.as_str(), suspension.actor.as_str()), ("a migration", actor));
    assert!(suspension.until.is_none() && suspension.since > looked, "{suspension:?}");
    assert_eq!(status.incident.as_deref(), Some("01J0000000000000000000000A"));
    let next: Time = "2026-03-01T10:00:20Z".parse().unwrap();
    assert_eq!(status.next_attempt_time, Some(next));
    assert_eq!(
        (status.plan[0].kind.as_str(), status.plan[0].services.as_slice()),
        ("Up", &["api".into()][..])
    );
    assert!(!status.plan[0].reason.is_empty());
    let [api, web] = status.services.as_slice() else { panic!("{status:?}") };
    let drift = api.drift.as_ref().unwrap();
    assert_eq!((drift.layer.as_str(), drift.reason.as_str()), ("container", "NotRunning"));
    assert_eq!(drift.message, "shop-api-1 is exited");
    let container = &api.containers[0];
    assert_eq!(
        (container.state.as_str(), container.started_at, container.restart_count),
        ("exited", None, 2)
    );
    let image = api.image.as_ref().unwrap();
    assert_eq!((image.reference.as_str(), image.id.as_ref()), ("shop-api", None));
    assert_eq!(api.modules[0].places(), ["undeclared", "present", "unknown"]);
    let route = &api.routes[0];
    assert!(route.url.is_none() && route.observed.is_none() && route.control.is_none(), "{route:?}");
    assert!(route.transition.is_none() && route.auth.is_none(), "{route:?}");
    let notes = web.notes.iter().map(|note| (note.reason.as_str(), note.message.as_str()));
    assert_eq!(notes.collect::<Vec<_>>(), [("VolumeChanged", "the volume shop_data differs")]);
    assert!(api.notes.is_empty() && api.revision.is_none(), "nothing is made up");
    let revision = web.revision.as_ref().unwrap();
    assert_eq!((revision.expected.as_deref(), revision.image.as_deref()), (Some("4f6d1c0"), None));
    assert_eq!((&revision.containers[..], revision.routes.len()), (&[Some("4f6d1c0".into()), None][..], 0));
    let route = &web.routes[0];
    assert!(web.drift.is_none() && web.image.is_none() && web.containers.is_empty());
    assert_eq!(route.transition, Some(Transition { before: None, after: Some(401) }));
    let auth = route.auth.as_ref().unwrap();
    assert_eq!((auth.expected.as_slice(), auth.observed, auth.control), (&[200][..], Some(200), None));
    assert_eq!(auth.transition, Some(Transition { before: Some(404), after: Some(200) }));
    assert_eq!(
        web.conditions.iter().map(|c| (c.kind.as_str(), c.status.as_str())).collect::<Vec<_>>(),
        [("Reconciled", "True")]
    );
}

#[test]
fn get_and_describe_print_every_field_also_where_it_is_null() {
    let home = Home::new();
    let object: Ours = serde_json::from_value(waiting()).unwrap();
    store(&home).save_object(&object).unwrap();
    let never: Value = home.undrift(&["get", "-o", "json"]).expect(0).json();
    let status = never["items"][0]["status"].as_object().unwrap();
    assert_eq!(status.get("suspension"), Some(&Value::Null), "null, and there");
    store(&home).suspend("shop", None, "a migration").unwrap();
    let list: List<Object> = home.undrift(&["get", "-o", "json"]).expect(0).json();
    assert_eq!((list.api_version.as_str(), list.kind.as_str()), ("undrift.dev/v1alpha1", "List"));
    assert_waiting(&list.items[0]);
    assert_waiting(&home.undrift(&["describe", "shop", "-o", "json"]).expect(0).json());
}

/// A manifest that declares something of every kind.
const EVERYTHING: &str = "
apiVersion: undrift.dev/v1alpha1
kind: ComposeProject
metadata: { name: shop }
spec:
  project: { directory: . }
  services:
    - name: web
      modules: [{ source: src, path: /app/x }, { name: y, path: /app/y }]
      routes:
        - { path: /x, port: 3000, expect: [200, 204] }
        - { url: 'http://127.0.0.1:9/y', expect: 401, auth: { bearerFrom: { env: TOKEN }, expect: 200 } }
";

#[test]
fn an_object_without_an_observation_has_the_same_shape_and_no_values() {
    let home = Home::new();
    home.manifest("unused");
    fs::create_dir(home.0.path().join("src")).unwrap();
    fs::write(home.0.path().join("all.yaml"), EVERYTHING).unwrap();
    let assert_unseen = |run: Run, code: i32| {
        let list: List<Object> = run.expect(code).json();
        let status = &list.items[0].status;
        let all = status.services.iter().flat_map(|service| &service.conditions);
        for condition in all.chain(status.conditions.iter().filter(|c| c.kind == "Ready")) {
            let shown = (condition.status.as_str(), condition.reason.as_str());
            assert_eq!(shown, ("Unknown", "EngineUnavailable"), "{}", condition.kind);
            assert_eq!(condition.observed_generation, status.observed_generation);
        }
        let [web] = status.services.as_slice() else { panic!("{status:?}") };
        let kinds: Vec<&str> = web.conditions.iter().map(|condition| condition.kind.as_str()).collect();
        let layers = ["SourcePresent", "ArtifactCurrent", "ContainerCurrent", "RouteExposed", "AuthVerified"];
        assert_eq!(kinds, [&layers[..], &["Reconciled"]].concat());
        assert_eq!(web.name, "web");
        assert!(web.drift.is_none() && web.image.is_none() && web.containers.is_empty(), "{web:?}");
        assert_eq!(web.modules[0].places(), ["unknown"; 3]);
        assert_eq!(web.modules[1].places(), ["undeclared", "unknown", "unknown"]);
        let [path, url] = web.routes.as_slice() else { panic!("{web:?}") };
        assert!(path.url.is_none() && path.observed.is_none() && path.auth.is_none(), "{path:?}");
        assert_eq!(path.expected, [200, 204]);
        assert_eq!(url.url.as_deref(), Some("http://127.0.0.1:9/y"));
        let auth = url.auth.as_ref().unwrap();
        assert!(auth.observed.is_none() && auth.transition.is_none(), "{auth:?}");
        assert!(status.plan.is_empty() && status.incident.is_none() && status.next_attempt_time.is_none());
    };
    for verb in ["check", "plan", "apply"] {
        assert_unseen(home.undrift(&[verb, "-f", "all.yaml", "-o", "json"]), 2);
    }
    assert_unseen(home.undrift(&["get", "-o", "json"]), 0);
}

#[test]
fn incidents_and_their_records_print_every_field_also_where_it_is_null() {
    let home = Home::new();
    let store = store(&home);
    let object = waiting();
    let at: OurTime = "2026-03-01T10:00:00Z".parse().unwrap();
    let drift = json!({ "api": object["status"]["services"][0]["drift"] });
    let new = NewIncident { object: "shop", at, drift: &drift, before: &object["status"] };
    let id = store.open_incident(new, None).unwrap().id;
    let intent = NewRecord {
        object: Some("shop".into()),
        incident: Some(id.clone()),
        ..NewRecord::of(AuditKind::StepIntended)
    };
    store.intend(&intent, OurStep::Up { force_recreate: false }, &["api".into()]).unwrap();

    let list: List<Incident> = home.undrift(&["incident", "list", "-o", "json"]).expect(0).json();
    assert_eq!((list.api_version.as_str(), list.kind.as_str()), ("undrift.dev/v1alpha1", "IncidentList"));
    let [open] = list.items.as_slice() else { panic!("{list:?}") };
    assert_eq!((open.id.as_str(), open.object.as_str(), open.opened_at), (id.as_str(), "shop", at));
    assert!(open.closed_at.is_none() && open.outcome.is_none() && open.after.is_none(), "{open:?}");
    assert_eq!((open.occurrences, open.since == open.opened_at), (1, true));
    assert_eq!(open.drift["api"].reason, "NotRunning");
    assert_eq!(open.before.attempts, 1);

    let shown: Shown = home.undrift(&["incident", "show", &id, "-o", "json"]).expect(0).json();
    assert_eq!((shown.api_version.as_str(), shown.kind.as_str()), ("undrift.dev/v1alpha1", "Incident"));
    assert!(shown.id == id && shown.closed_at.is_none() && shown.outcome.is_none() && shown.after.is_none());
    let records: List<Record> = home.undrift(&["audit", "list", "-o", "json"]).expect(0).json();
    assert_eq!(records.kind, "AuditList");
    for record in shown.timeline.iter().chain(&records.items) {
        let about = (record.object.as_deref(), record.service.as_deref(), record.incident.as_deref());
        assert_eq!(about, (Some("shop"), None, Some(id.as_str())));
        let step = (record.kind.as_str(), record.step.as_deref(), record.outcome.as_deref());
        assert_eq!(step, ("StepIntended", Some("Up"), None));
        assert_eq!((record.seq, record.actor.as_str()), (1, "ops@host undrift[1] test"));
        assert_eq!(record.evidence["services"], json!(["api"]));
        assert_eq!((record.prev_hash.as_str(), record.hash.len()), ("0".repeat(64).as_str(), 64));
    }
    assert_eq!((shown.timeline.len(), records.items.len()), (1, 1));
}

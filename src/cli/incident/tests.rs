use chrono::TimeDelta;
use serde_json::{Value, json};

use super::*;
use crate::{
    api::{API_VERSION, AuditKind, CommandEnd, EndedStep, NewRecord, Step, StepKind},
    store::testing,
};

fn view(json: bool) -> View {
    View { json, style: Style::default(), now: testing::start() + TimeDelta::minutes(3) }
}

fn report(outcome: StepOutcome, exit_code: i32, output: &str, duration_ms: u64) -> NewRecord {
    let command = CommandEnd { exit_code: Some(exit_code), duration_ms, output: output.into() };
    let ended = EndedStep {
        intent: None,
        kind: StepKind::Build,
        services: Vec::new(),
        outcome,
        at: testing::start() + TimeDelta::milliseconds(i64::try_from(duration_ms).unwrap()),
        command: Some(command),
    };
    NewRecord::step_ended(&ended)
        .with(json!({ "command": ["docker", "compose", "build", "api"], "notes": [] }))
}

/// A store with the incident: a build that fails, one that does not, an `Up`, the verification.
pub(crate) fn repaired() -> (tempfile::TempDir, Store, Incident) {
    let (home, store) = testing::store();
    let mut object = testing::object();
    object.status.observed_at = Some(testing::start() + chrono::TimeDelta::minutes(1));
    store.save_object(&object).unwrap();
    let drift = json!({ "api": object.status.services[0].drift });
    let incident =
        testing::incident(&store, "ai-backoffice", testing::start(), &drift, &json!(object.status));
    let of = |kind, evidence: Value| NewRecord {
        object: Some("ai-backoffice".into()),
        incident: Some(incident.id.clone()),
        evidence,
        ..NewRecord::of(kind)
    };
    let service = Some("api".to_owned());
    let mut seen = drift["api"].clone();
    seen["git"] = json!({"revision": "4f6d1c0b9a8e7d6c5b4a39281706f5e4d3c2b1a0", "dirty": true});
    store.append(&NewRecord { service, ..of(AuditKind::DriftDetected, seen) }).unwrap();
    let api = ["api".to_owned()];
    let why = json!({"reason": "the image has no workflow"});
    let many_lines: Vec<String> = (1..=14).map(|n| format!("#{n} \u{1b}[2Jstep {n}")).collect();
    let many_lines = many_lines.join("\n");
    for (step, outcome, code, output, ms) in [
        (Step::Build { no_cache: false }, StepOutcome::Failed, 17, many_lines.as_str(), 12_345),
        (Step::Build { no_cache: true }, StepOutcome::Succeeded, 0, "built", 71_000),
        (Step::Up { force_recreate: false }, StepOutcome::Succeeded, 0, "started", 1_900),
    ] {
        let intent = store.intend(&of(AuditKind::StepIntended, why.clone()), step, &api).unwrap();
        store.finish(intent, &report(outcome, code, output, ms)).unwrap();
    }
    store.append(&of(AuditKind::Reconciled, json!({"message": "held for 3s"}))).unwrap();
    let mut after = object.status;
    after.services[0].routes[0].transition = Some(Transition { before: Some(404), after: Some(401) });
    if let Some(auth) = after.services[0].routes[0].auth.as_mut() {
        auth.transition = Some(Transition { before: None, after: Some(200) });
    }
    let end = testing::start() + TimeDelta::milliseconds(90_500);
    store.close_incident(&incident.id, end, IncidentOutcome::Reconciled, Some(json!(after))).unwrap();
    (home, store, incident)
}

/// The text without the random part of the incident's ID.
pub(crate) fn settled(text: &str, incident: &Incident) -> String {
    text.replace(&incident.id, "01KJM0K6G0AAAAAAAAAAAAAAAA")
}

#[test]
fn a_repaired_incident_reads_like_a_post_mortem() {
    let (_home, store, incident) = repaired();
    let mut out = Vec::new();
    show(Some(&store), &incident.id.to_lowercase(), &view(false), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    insta::assert_snapshot!(settled(&text, &incident));
}

#[test]
fn the_json_is_the_incident_with_its_timeline() {
    let (_home, store, incident) = repaired();
    let mut out = Vec::new();
    show(Some(&store), &incident.id, &view(true), &mut out).unwrap();
    let json: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(
        (&json["apiVersion"], &json["kind"], &json["id"], &json["outcome"]),
        (&json!(API_VERSION), &json!("Incident"), &json!(incident.id), &json!("Reconciled"))
    );
    assert_eq!(json["timeline"].as_array().unwrap().len(), 8);
    assert_eq!(json["timeline"][2]["evidence"]["exitCode"], 17);
    assert_eq!(json["after"]["services"][0]["routes"][0]["transition"], json!({"before": 404, "after": 401}));
}

#[test]
fn what_cannot_be_understood_is_named_and_not_left_out() {
    let (home, store, incident) = repaired();
    testing::unpack_evidence(home.path());
    testing::tamper(
        home.path(),
        r#"UPDATE incidents SET drift = json_set(drift, '$.web', json('{"layer":"roof"}')),
                                before = '{"services":3}', after = '[3]';
           UPDATE trail SET evidence = '{}' WHERE kind = 'DriftDetected'"#,
    );
    let mut out = Vec::new();
    show(Some(&store), &incident.id, &view(false), &mut out).unwrap();
    list(Some(&store), None, &view(false), &mut out).unwrap();
    insta::assert_snapshot!(settled(&String::from_utf8(out).unwrap(), &incident));
}

#[test]
fn incidents_are_listed_newest_first() {
    let (_home, store, first) = repaired();
    let drift = json!({
        "api": {"layer": "route", "reason": "Absent", "message": ""},
        "web": {"layer": "container", "reason": "NotRunning", "message": ""},
    });
    let opened = testing::start() + TimeDelta::minutes(2);
    let second = testing::incident(&store, "ai-backoffice", opened, &drift, &json!({}));
    let mut out = Vec::new();
    list(Some(&store), None, &view(false), &mut out).unwrap();
    let text = settled(&String::from_utf8(out).unwrap(), &first);
    insta::assert_snapshot!(text.replace(&second.id, "01KJM0NVP0BBBBBBBBBBBBBBBB"));

    let mut out = Vec::new();
    list(Some(&store), None, &view(true), &mut out).unwrap();
    let json: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(json["kind"], "IncidentList");
    assert_eq!(json["items"][0]["closedAt"], Value::Null);
    assert_eq!(json["items"][1]["id"], json!(first.id));
}

#[test]
fn no_duration_is_negative_after_a_clock_that_was_set_back() {
    let (_home, store, incident) = repaired();
    // Opened by a clock that was two hours ahead, and corrected before the end.
    let (early, ahead) = (testing::start(), testing::start() + TimeDelta::hours(2));
    let second = testing::incident(&store, "ai-backoffice", ahead, &json!({}), &json!({}));
    let record = NewRecord { incident: Some(second.id.clone()), ..NewRecord::of(AuditKind::Stalled) };
    store.end_incident(&second.id, early, IncidentOutcome::Stalled, None, &record).unwrap();
    let mut out = Vec::new();
    list(Some(&store), None, &view(false), &mut out).unwrap();
    show(Some(&store), &second.id, &view(false), &mut out).unwrap();
    crate::cli::describe::describe(
        Some(&store),
        "ai-backoffice",
        crate::standing::Watcher::Runs,
        &view(false),
        &mut out,
    )
    .unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.matches("clock set back").count(), 4, "{text}");
    assert!(!text.contains("-2h") && text.contains(&incident.id), "{text}");
}

#[test]
fn an_incident_that_is_not_there_is_an_error() {
    let (_home, store, _) = repaired();
    for store in [None, Some(&store)] {
        let error = show(store, "01ZZZZ", &view(false), &mut Vec::new()).unwrap_err();
        assert!(matches!(error, VerbError::NoSuchIncident(_)), "{error:?}");
    }
}

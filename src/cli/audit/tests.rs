use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
};

use serde_json::Value;

use super::*;
use crate::{
    api::{AuditKind, HealedBy, ManifestChange, NewRecord, Step, StepKind, StopCause, Suspension},
    cli::style::Style,
    store::{canonical, record_hash, testing},
};

const DOC: &str = include_str!("../../../docs/audit-trail.md");

fn view(json: bool) -> View {
    View { json, style: Style::default(), now: testing::start() }
}

fn recorded() -> (tempfile::TempDir, Store) {
    let (home, store) = testing::store();
    let of = |kind, evidence| NewRecord {
        object: Some("ai-backoffice".into()),
        incident: Some("01KJM0K6G0ZZZZZZZZZZZZZZZZ".into()),
        evidence,
        ..NewRecord::of(kind)
    };
    store.append(&NewRecord::of(AuditKind::Started)).unwrap();
    let incident = "INSERT INTO incidents (id, object, opened_at, drift, before)
        VALUES ('01KJM0K6G0ZZZZZZZZZZZZZZZZ', 'ai-backoffice', '2026-03-01T06:15:27.488000Z', '{}', '{}')";
    testing::raw(home.path()).execute(incident, []).unwrap();
    store.seal_all();
    let drift = json!({"layer": "artifact", "reason": "ModuleMissing", "message": "no \u{1b}[31mworkflow in the image"});
    store.append(&NewRecord { service: Some("api".into()), ..of(AuditKind::DriftDetected, drift) }).unwrap();
    let services = ["api".to_owned(), "dashboard".to_owned()];
    let step = Step::Build { no_cache: false };
    let intent = store
        .intend(&of(AuditKind::StepIntended, json!({"reason": "no workflow"})), step, &services)
        .unwrap();
    let ended = json!({"exitCode": 17, "durationMs": 12_345, "output": "é \"quoted\"\n漢\u{1}\u{7f}", "command": ["docker"]});
    let failed = NewRecord { outcome: Some("Failed".into()), ..of(AuditKind::StepFinished, ended) };
    store.finish(intent, &failed).unwrap();
    let verification =
        json!({"routes": [{"before": 404, "after": 401}], "window": 3.5, "long": "x".repeat(100)});
    store.append(&NewRecord { step: Some(StepKind::Up), ..of(AuditKind::Verified, verification) }).unwrap();
    (home, store)
}

fn listed(store: &Store, json: bool) -> String {
    let mut out = Vec::new();
    list(Some(store), &RecordFilter::default(), &view(json), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn report(store: Option<&Store>, json: bool) -> (bool, String) {
    let mut out = Vec::new();
    let report = verify(store, None, false, &[]).unwrap();
    print_verification(&report, &view(json), &mut out).unwrap();
    (report.is_whole(), String::from_utf8(out).unwrap())
}

#[test]
fn a_line_per_record() {
    let (_home, store) = recorded();
    insta::assert_snapshot!(listed(&store, false));
}

#[test]
fn what_happens_between_steps_is_told_in_words() {
    let (_home, store) = testing::store();
    let until = testing::start() + chrono::TimeDelta::hours(2);
    let spec = |generation| ManifestChange::Spec { generation, spec_digest: "v1:sha256:a".into() };
    let suspension = |until| Suspension {
        since: testing::start(),
        until,
        reason: "moving the \u{1b}[31mdatabase".into(),
        actor: "ops@host undrift[2] suspend".into(),
    };
    let images =
        ["api", "web"].map(|service| (service.to_owned(), format!("sha256:{}", service.repeat(8)))).into();
    let fault = StopCause::Fault("the files of a manifest hang".into());
    for record in [
        NewRecord::trail_lost("state.db is gone"),
        NewRecord::started("0.1.0", &["bank".into(), "shop".into()]),
        NewRecord::manifest_changed("shop", &spec(1)),
        NewRecord::manifest_changed("shop", &spec(2)),
        NewRecord::manifest_changed("shop", &ManifestChange::Removed { why: "its manifest is gone".into() }),
        NewRecord::manifest_changed("shop", &ManifestChange::Restored { manifest: "shop.yaml".into() }),
        NewRecord::suspended("shop", &suspension(None)),
        NewRecord::resumed("shop", &suspension(None).ended(Some("ops@host undrift[3] resume"))),
        NewRecord::suspended("shop", &suspension(Some(until))),
        NewRecord::resumed("shop", &suspension(Some(until)).ended(None)),
        NewRecord::retried("shop", "ops@host undrift[4] retry", 0),
        NewRecord::retried("shop", "ops@host undrift[5] retry", 2),
        NewRecord::rolled_back(&["api".into(), "web".into()], &images),
        NewRecord::rolled_back(&["api".into()], &BTreeMap::new()),
        NewRecord::reconciled(&[], HealedBy { is_undrift: true, steps: 2 }),
        NewRecord::reconciled(&[], HealedBy { is_undrift: false, steps: 2 }),
        NewRecord::stopped(&StopCause::Signal("SIGTERM".into())),
        NewRecord::stopped(&fault),
    ] {
        store.append(&record).unwrap();
    }
    insta::assert_snapshot!(listed(&store, false));
}

#[test]
fn without_a_state_there_is_no_record_and_nothing_is_broken() {
    let mut out = Vec::new();
    list(None, &RecordFilter::default(), &view(true), &mut out).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&out).unwrap()["items"], json!([]));
    let (whole, text) = report(None, false);
    assert_eq!((whole, text), (true, format!("whole: 0 records, head {GENESIS}\n")));
}

#[test]
fn verification_reports_a_whole_trail_or_the_first_bad_record() {
    let (home, store) = recorded();
    let (whole, text) = report(Some(&store), true);
    let json: Value = serde_json::from_str(&text).unwrap();
    assert!(whole);
    assert_eq!(json["whole"], true);
    assert_eq!((&json["records"], &json["firstBad"]), (&json!(5), &Value::Null));
    assert_eq!(json["head"].as_str().map(str::len), Some(64));

    testing::tamper(home.path(), "UPDATE trail SET outcome = 'Succeeded' WHERE seq = 4");
    let problem = "was altered: its hash is not that of its fields";
    assert_eq!(report(Some(&store), false), (false, format!("broken: record 4 {problem}\n")));
    let (whole, text) = report(Some(&store), true);
    let json: Value = serde_json::from_str(&text).unwrap();
    assert!(!whole);
    assert_eq!((&json["whole"], &json["head"]), (&json!(false), &Value::Null));
    assert_eq!(json["firstBad"], json!({"seq": 4, "problem": problem}));
}

#[test]
fn what_differs_beside_whole_records_is_listed_and_is_no_whole_trail() {
    let (home, store) = recorded();
    testing::tamper(home.path(), "UPDATE incidents SET object = 'other'");
    let (whole, text) = report(Some(&store), false);
    let expected = "broken: the chain of 5 records is whole, and contradicted:\n  the incident 01KJM0K6G0ZZZZZZZZZZZZZZZZ \
                    of ai-backoffice, of record 2, is open, and the table of incidents contradicts it\n  \
                    the table incidents shows object other for the incident 01KJM0K6G0ZZZZZZZZZZZZZZZZ, and by record 2 \
                    it is ai-backoffice\n";
    assert_eq!((whole, text.as_str()), (false, expected));
    let json: Value = serde_json::from_str(&report(Some(&store), true).1).unwrap();
    assert_eq!(
        (&json["whole"], &json["records"], &json["firstBad"]),
        (&json!(false), &json!(5), &Value::Null)
    );
    assert_eq!(json["differs"].as_array().map(Vec::len), Some(2), "{json}");
}

#[test]
fn missing_records_are_reported_beside_a_whole_chain() {
    let (_home, store) = recorded();
    let report = verify(Some(&store), Some("they are elsewhere".into()), false, &[]).unwrap();
    assert!(!report.is_whole());
    let text = |json: bool| {
        let mut out = Vec::new();
        print_verification(&report, &view(json), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    assert!(
        text(false).starts_with("missing: they are elsewhere\nwhole: 5 records, head "),
        "{}",
        text(false)
    );
    let json: Value = serde_json::from_str(&text(true)).unwrap();
    assert_eq!((&json["whole"], &json["missing"]), (&json!(false), &json!("they are elsewhere")));
}

#[test]
fn a_trail_that_replaces_a_missing_one_is_whole_and_reported_as_begun_anew() {
    let (_home, store) = testing::store();
    store.append(&NewRecord::of(AuditKind::TrailLost)).unwrap();
    let (whole, text) = report(Some(&store), false);
    assert!(whole);
    let line = "begun anew: an earlier trail is missing; this one begins at 2026-";
    assert!(text.starts_with(line) && text.contains("\nwhole: 1 records"), "{text}");
    let json: Value = serde_json::from_str(&report(Some(&store), true).1).unwrap();
    assert_eq!(json["begunAnew"], json!(testing::start()));
}

/// The first block of this language in the documentation.
fn block(language: &str) -> &'static str {
    let (_, rest) = DOC.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0
}

/// Whether the documentation's own script accepts this document as whole, and its output.
fn script_output(document: &str) -> (bool, String) {
    let mut python = Command::new("python3")
        .args(["-c", block("python")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(document.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn a_stranger_verifies_the_trail_with_the_script_of_the_documentation() {
    let (_home, store) = recorded();
    let document = listed(&store, true);
    let Verification::Whole { records, head } = store.verify().unwrap() else { panic!("broken") };
    assert_eq!(script_output(&document), (true, format!("whole: {records} records, head {head}\n")));
    for (from, to) in [("12345", "12346"), ("漢", "字"), ("Started", "Stopped"), ("\"seq\": 3", "\"seq\": 4")]
    {
        assert!(document.contains(from), "{from}");
        let (whole, text) = script_output(&document.replacen(from, to, 1));
        assert!(!whole && text.contains("broken"), "{from}: {text}");
    }
    let mut cut: Value = serde_json::from_str(&document).unwrap();
    cut["items"].as_array_mut().unwrap().remove(1);
    assert!(!script_output(&cut.to_string()).0);
}

#[test]
fn the_worked_example_of_the_documentation_is_right() {
    let record: AuditRecord = serde_json::from_str(block("json")).unwrap();
    assert_eq!(record_hash(&record), record.hash);
    let mut fields = serde_json::to_value(&record).unwrap();
    fields.as_object_mut().unwrap().remove("hash");
    assert_eq!(canonical(&fields), block("text").trim_end());
    assert!(script_output(&json!({ "items": [record] }).to_string()).0);
}

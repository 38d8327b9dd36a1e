//! Every text that is printed of the recorded state, with a hostile value in each of its places in turn.

use serde_json::{Value, json};

use super::*;
use crate::{
    api::{AuditKind, IncidentOutcome, NewRecord, Object},
    cli::{audit, describe, get, incident, recorded::View},
    plain::steers,
    standing::Watcher,
    store::{RecordFilter, testing},
};

/// It must begin no line, clear no screen and change no direction.
const HOSTILE: &str =
    "x\nforged  True\r\u{1b}[2J\u{1b}]0;t\u{7}\u{9b}2J\u{202e}\u{2028}forged\u{85}\u{1b}[31m";

fn shown(write: impl FnOnce(&mut dyn Write)) -> String {
    let mut bytes = Vec::new();
    write(&mut Safe::new(&mut bytes, Style { colour: false }));
    String::from_utf8(bytes).unwrap()
}

/// The pointers to all texts in a JSON value.
fn texts(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(at.to_owned()),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(n, value)| texts(value, &format!("{at}/{n}"), found));
        }
        Value::Object(map) => map
            .iter()
            .for_each(|(key, value)| texts(value, &format!("{at}/{}", key.replace('/', "~1")), found)),
        _ => {}
    }
}

fn view() -> View {
    View { json: false, style: Style { colour: false }, now: testing::start() }
}

/// The whole output for a state that records this object, with an incident and records of it.
fn everything(object: &Object) -> String {
    let (_home, store) = testing::store();
    store.save_object(object).unwrap();
    let name = object.declared.metadata.name.as_str();
    let drifts: serde_json::Map<String, Value> = object
        .status
        .services
        .iter()
        .filter_map(|service| Some((service.name.clone(), json!(service.drift.as_ref()?))))
        .collect();
    let (drift, before) = (Value::from(drifts.clone()), json!(object.status));
    let id = testing::incident(&store, name, testing::start(), &drift, &before).id;
    let of = |kind, evidence: Value| NewRecord {
        object: Some(name.into()),
        service: object.status.services.first().map(|s| s.name.clone()),
        incident: Some(id.clone()),
        evidence,
        ..NewRecord::of(kind)
    };
    for drift in drifts.values() {
        store.append(&of(AuditKind::DriftDetected, drift.clone())).unwrap();
    }
    let message = object
        .status
        .services
        .first()
        .and_then(|service| service.drift.as_ref())
        .map(|drift| drift.message.clone());
    let words = json!({"service": "api", "container": message, "id": "0", "imageId": "0", "state": "exited", "exitCode": 1, "signal": null,
        "oomKilled": false, "restartCount": 0, "startedAt": null, "finishedAt": null, "error": message, "output": [message], "outputUnknown": null});
    store
        .append(&of(
            AuditKind::StepIntended,
            json!({"services": [message], "reason": message, "containers": [words]}),
        ))
        .unwrap();
    store
        .append(&of(
            AuditKind::StepFinished,
            json!({"output": message, "notes": [message], "command": [message]}),
        ))
        .unwrap();
    store.append(&of(AuditKind::Stalled, json!({"reason": message, "message": message}))).unwrap();
    store
        .close_incident(&id, testing::start(), IncidentOutcome::Stalled, Some(json!(object.status)))
        .unwrap();
    let mut all =
        shown(|out| get::get(Some(&store), &[], Watcher::Absent, get::Columns::Wide, &view(), out).unwrap());
    all += &shown(|out| describe::describe(Some(&store), name, Watcher::Absent, &view(), out).unwrap());
    all += &shown(|out| audit::list(Some(&store), &RecordFilter::default(), &view(), out).unwrap());
    all += &shown(|out| incident::list(Some(&store), None, &view(), out).unwrap());
    all += &shown(|out| incident::show(Some(&store), &id, &view(), out).unwrap());
    all
}

#[test]
fn no_value_of_what_is_recorded_begins_a_line_or_steers_a_terminal() {
    let object = json!(testing::object());
    let mut places = Vec::new();
    texts(&object, "", &mut places);
    let mut tried = 0;
    for place in &places {
        let with = |text: &str| {
            let mut other = object.clone();
            *other.pointer_mut(place).unwrap() = Value::from(text);
            serde_json::from_value::<Object>(other).ok()
        };
        // A value that is not free text is rejected when it is read.
        let Some((hostile, tame)) = with(HOSTILE).zip(with("x")) else { continue };
        let (hostile, tame) = (everything(&hostile), everything(&tame));
        tried += 1;
        for line in hostile.lines() {
            assert!(!line.starts_with("forged") && !line.chars().any(steers), "{place}: {line:?}");
        }
        assert_eq!(hostile.lines().count(), tame.lines().count(), "{place}: {hostile}");
    }
    assert!(tried > 30, "{tried} of {}", places.len());
}

#[test]
fn a_line_is_what_one_call_writes_and_colours_are_undrifts_own() {
    let style = Style { colour: true };
    let red = style.red("a\u{1b}[2Jb");
    let mut bytes = Vec::new();
    let mut out = Safe::new(&mut bytes, style);
    let odd = "c\nd\u{1b}[5me";
    writeln!(out, "\n\n{red} and {odd}").unwrap();
    out.write_all(b"{\n}\n").unwrap();
    assert_eq!(String::from_utf8(bytes).unwrap(), "\n\n\u{1b}[31mab\u{1b}[0m and c de\n{\n}\n");
    assert_eq!(shown(|out| write!(out, "{red}").unwrap()), "ab", "none where there are none");
    assert_eq!(shown(|out| lines(out, "a\n\nb").unwrap()), "a\n\nb\n");
}

#[test]
fn a_list_that_is_printed_item_by_item_is_the_document_of_the_whole() {
    let (_home, store) = testing::store();
    for _ in 0..2 {
        let evidence = json!({ "z": [], "a": { "text": "a \n \u{202e} b" } });
        store.append(&NewRecord { evidence, ..NewRecord::of(AuditKind::Started) }).unwrap();
    }
    let records = store.records(&RecordFilter::default()).unwrap();
    for items in [&records[..0], &records[..1], &records] {
        let streamed = shown(|out| {
            let mut list = DocumentList::begin(out, "AuditList").unwrap();
            for item in items {
                list.item(item).unwrap();
            }
            list.end().unwrap();
        });
        assert_eq!(streamed, shown(|out| document(out, &crate::documents::record_list(items)).unwrap()));
    }
}

#[test]
fn a_document_is_json_that_steers_nothing() {
    let value = json!({ HOSTILE: HOSTILE });
    let text = shown(|out| document(out, &value).unwrap());
    assert!(text.chars().all(|c| c == '\n' || !steers(c)), "{text:?}");
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
}

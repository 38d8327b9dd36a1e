//! `audit export` and `backup`, through the real binary, on a trail that an earlier undrift has written.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::Value;
use undrift::{
    api::{AuditKind, AuditRecord, NewRecord},
    store::Store,
};

use crate::{earlier_trail::earlier, home::Home};

/// That state, with 1,200 more records: some lie in a compressed segment.
fn long() -> Home {
    let home = earlier();
    let store = Store::open(&home.state(), "ops@host undrift[1] test".into()).unwrap();
    for _ in 0..1200 {
        store.append(&NewRecord::of(AuditKind::Started)).unwrap();
    }
    drop(store);
    home
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn listed(home: &Home) -> Vec<Value> {
    let list: Value = home.undrift(&["audit", "list", "-o", "json"]).expect(0).json();
    list["items"].as_array().unwrap().clone()
}

#[test]
fn an_export_resumes_where_another_one_ended_without_a_gap() {
    let home = long();
    let all = listed(&home);
    assert_eq!(lines(&home.undrift(&["audit", "export"]).expect(0).stdout), all);
    for after in [0, 49, 1023, 1024, 1025, all.len() - 1, all.len()] {
        let run = home.undrift(&["audit", "export", "--after", &after.to_string()]).expect(0);
        assert_eq!(lines(&run.stdout), all[after..], "after {after}");
    }
    // Each record names the one before it.
    let records: Vec<AuditRecord> =
        all.iter().map(|record| serde_json::from_value(record.clone()).unwrap()).collect();
    assert!(records.windows(2).all(|pair| pair[1].prev_hash == pair[0].hash));
}

#[test]
fn whoever_has_read_more_than_there_is_has_read_another_trail() {
    let home = long();
    let beyond = (listed(&home).len() + 1).to_string();
    let refused = home.undrift(&["audit", "export", "--after", &beyond]).expect(2);
    assert_eq!(refused.stdout, "");
    assert!(refused.stderr.contains("another one") && refused.stderr.contains("--after 0"), "{refused:?}");
    let nothing = Home::new();
    assert_eq!(nothing.undrift(&["audit", "export"]).expect(0).stdout, "");
    nothing.undrift(&["audit", "export", "--after", "1"]).expect(2);
    home.undrift(&["audit", "export", "--after", "-1"]).expect(2);
}

#[test]
fn a_cloud_event_carries_the_record_and_is_the_same_each_time() {
    let home = long();
    home.undrift(&["suspend", "shop", "--reason", "a migration"]).expect(0);
    let all = listed(&home);
    let export = || home.undrift(&["audit", "export", "--format", "cloudevents"]).expect(0).stdout;
    let first = export();
    assert_eq!(first, export());
    let events = lines(&first);
    assert_eq!(events.len(), all.len());
    let note = home.undrift(&["audit", "checkpoint"]).expect(0).stdout;
    for (event, record) in events.iter().zip(&all) {
        assert_eq!(
            (&event["data"], &event["id"], &event["time"]),
            (record, &record["hash"], &record["time"])
        );
        assert_eq!(
            (event["specversion"].as_str(), event["datacontenttype"].as_str()),
            (Some("1.0"), Some("application/json"))
        );
        assert_eq!(event["source"].as_str(), note.lines().next(), "the name in the checkpoints");
        assert_eq!(event.get("subject").map(Value::as_str), record["object"].as_str().map(Some));
        let name = event["type"].as_str().unwrap();
        let kind = record["kind"].as_str().unwrap().to_lowercase();
        assert_eq!(name, format!("dev.undrift.record.{kind}"));
        // The rule for attribute names, <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#naming-conventions>.
        let is_name = |name: &String| name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        assert!(event.as_object().unwrap().keys().all(is_name), "{event}");
    }
    let sequences: Vec<&str> = events.iter().map(|event| event["sequence"].as_str().unwrap()).collect();
    assert!(sequences.is_sorted());
}

#[test]
fn a_backup_verifies_beside_its_key_and_shows_what_was_shown() {
    let home = long();
    home.undrift(&["suspend", "shop", "--reason", "a migration"]).expect(0);
    let file = home.0.path().join("copy.db");
    let path = file.to_str().unwrap();
    let made: Value = home.undrift(&["backup", path, "-o", "json"]).expect(0).json();
    let verified = home.undrift(&["audit", "verify", "-o", "json"]).expect(0).json::<Value>();
    assert_eq!((&made["records"], &made["head"]), (&verified["records"], &verified["head"]));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let elsewhere = Home::new();
    fs::create_dir(elsewhere.state()).unwrap();
    fs::set_permissions(elsewhere.state(), fs::Permissions::from_mode(0o700)).unwrap();
    fs::copy(&file, elsewhere.state().join("state.db")).unwrap();
    fs::copy(home.state().join("digest.key"), elsewhere.state().join("digest.key")).unwrap();
    for verb in [&["audit", "list"][..], &["incident", "list"], &["audit", "checkpoint"], &["audit", "key"]] {
        assert_eq!(elsewhere.undrift(verb).expect(0).stdout, home.undrift(verb).expect(0).stdout, "{verb:?}");
    }
    // It goes on from there.
    elsewhere.undrift(&["resume", "shop"]).expect(0);
    let goes_on = elsewhere.undrift(&["audit", "verify", "-o", "json"]).expect(0).json::<Value>();
    assert_eq!(goes_on["records"].as_u64(), made["records"].as_u64().map(|records| records + 1));
}

#[test]
fn a_backup_replaces_nothing_and_needs_a_state() {
    let home = long();
    let file = home.0.path().join("copy.db");
    fs::write(&file, "mine").unwrap();
    let refused = home.undrift(&["backup", file.to_str().unwrap()]).expect(2);
    assert!(refused.stderr.contains("copy.db") && refused.stderr.contains("exists"), "{refused:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    let refused = home.undrift(&["backup", "no/folder/copy.db"]).expect(2);
    assert!(refused.stderr.contains("no/folder/copy.db"), "{refused:?}");
    let nothing = Home::new();
    let refused = nothing.undrift(&["backup", "copy.db"]).expect(2);
    assert!(refused.stderr.contains("no state yet"), "{refused:?}");
    assert!(!nothing.0.path().join("copy.db").exists());
}

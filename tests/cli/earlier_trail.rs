//! A trail that an earlier undrift has written reads and verifies as it did then, byte for byte, and renders with the same content.
//!
//! `trail-v1/state.db` is one of the schema's sixth version: a module that was built, kills, a suspension, a build that fails, a
//! budget spent, an `apply` that was killed, a rollback, and `run`. The other files are what that undrift printed of it, but for
//! the words of `RolledBack`, which was the beginning of its JSON then.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
};

use serde_json::Value;
use undrift::{
    api::{Event, ObjectStatus, RecordedEvent},
    store::{RecordFilter, Store},
};

use crate::home::Home;

const STATE: &[u8] = include_bytes!("trail-v1/state.db");
const RECORDS: &str = include_str!("trail-v1/audit.json");
const INCIDENTS: &str = include_str!("trail-v1/incidents.json");
const SHOWN: &str = include_str!("trail-v1/incidents.txt");
const HEAD: &str = "5730e44e7fa0bebe483bb12b48778271de6fa6380e172a776b34c70b4b499a6d";

/// How many of its records tell of the end of a step.
const ENDED_STEPS: usize = 12;

/// That state, brought up to this undrift's schema.
pub(crate) fn earlier() -> Home {
    let home = Home::new();
    let state = home.state();
    fs::create_dir_all(&state).unwrap();
    fs::set_permissions(&state, Permissions::from_mode(0o700)).unwrap();
    fs::write(state.join("state.db"), STATE).unwrap();
    fs::set_permissions(state.join("state.db"), Permissions::from_mode(0o600)).unwrap();
    drop(Store::open(&state, "test".into()).unwrap());
    home
}

#[test]
fn a_trail_of_an_earlier_undrift_is_whole_and_reads_as_it_did() {
    let home = earlier();
    let verified = home.undrift(&["audit", "verify"]).expect(0).stdout;
    assert!(verified.contains(&format!("whole: 50 records, head {HEAD}")), "{verified}");
    assert_eq!(home.undrift(&["audit", "list", "-o", "json"]).expect(0).stdout, RECORDS);
}

/// What decisions rest on: an object of an earlier undrift whose incident is open goes on.
#[test]
fn every_record_and_all_evidence_of_an_earlier_undrift_can_be_read() {
    let home = earlier();
    let store = Store::open(&home.state(), "test".into()).unwrap();
    let events = store.events(&RecordFilter::default()).unwrap();
    let ended = |event: &&RecordedEvent| matches!(event.event, Event::StepEnded(_));
    assert_eq!((events.len(), events.iter().filter(ended).count()), (50, ENDED_STEPS));
    for incident in store.incidents(None).unwrap() {
        for evidence in std::iter::once(incident.before).chain(incident.after) {
            let status: ObjectStatus = serde_json::from_value(evidence).unwrap();
            assert!(!status.services.is_empty());
        }
    }
}

#[test]
fn incidents_of_an_earlier_undrift_render_as_they_did() {
    let home = earlier();
    let json = home.undrift(&["incident", "list", "-o", "json"]).expect(0).stdout;
    assert_eq!(json, INCIDENTS);
    let list: Value = serde_json::from_str(&json).unwrap();
    let ids = list["items"].as_array().unwrap().iter().map(|incident| incident["id"].as_str().unwrap());
    let shown: String =
        ids.map(|id| home.undrift(&["incident", "show", id]).expect(0).stdout + "\n").collect();
    assert_eq!(shown, SHOWN);
}

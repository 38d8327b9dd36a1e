//! Shared helpers of the store's tests.

use std::{
    path::Path,
    sync::atomic::{AtomicI64, Ordering},
};

use chrono::TimeDelta;
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

use super::{Clock, NewIncident, Store, folder::FILE};
use crate::api::{Attempt, DriftReason, Incident, Layer, Time};

/// Where the tests' clock starts.
pub(crate) fn start() -> Time {
    "2026-03-01T10:00:00Z".parse().unwrap()
}

/// A clock that advances by a second at each reading.
pub(crate) fn clock() -> Clock {
    let looks = AtomicI64::new(0);
    std::sync::Arc::new(move || start() + TimeDelta::seconds(looks.fetch_add(1, Ordering::Relaxed)))
}

/// An empty store in a folder of its own.
pub(crate) fn store() -> (TempDir, Store) {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open_with_clock(home.path(), "ops@host undrift[1] test".into(), clock()).unwrap();
    (home, store)
}

/// So many attempts at a module that is missing in the image of `shop`'s service `api`, none of them running.
pub(crate) fn attempt(attempts: u32) -> Attempt {
    Attempt {
        object: "shop".into(),
        service: "api".into(),
        layer: Layer::Artifact,
        reason: DriftReason::ModuleMissing,
        source_digest: None,
        generation: 1,
        attempts,
        tried: vec![],
        pending: None,
        last_at: start(),
        next_at: None,
        gave_up: None,
        healed: false,
        continued: false,
        cause: None,
        verified_repairs: vec![],
    }
}

/// The database as any other program sees it.
pub(crate) fn raw(dir: &Path) -> Connection {
    Connection::open(dir.join(FILE)).unwrap()
}

/// The actions of someone who may write the file and knows SQLite: first the triggers go.
pub(crate) fn tamper(dir: &Path, sql: &str) {
    let db = raw(dir);
    let triggers: Vec<String> = db
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<rusqlite::Result<_>>()
        .unwrap();
    for trigger in triggers {
        db.execute_batch(&format!("DROP TRIGGER {trigger}")).unwrap();
    }
    db.execute_batch(sql).unwrap();
}

/// An object in the incident's state: `api` misses a module, `dashboard` is as declared.
pub(crate) fn object() -> crate::api::Object {
    serde_json::from_str(include_str!("testing/object.json")).unwrap()
}

/// An incident that opens at [`start`], and never continues an earlier one.
pub(crate) fn incident(store: &Store, object: &str, at: Time, drift: &Value, before: &Value) -> Incident {
    let new = NewIncident { object, at, drift, before };
    store.open_incident(new, None).unwrap()
}

//! Shared helpers of the store's tests.

use std::{
    path::Path,
    sync::atomic::{AtomicI64, Ordering},
};

use chrono::TimeDelta;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Clock, NewIncident, Store, folder::FILE};
use crate::api::{Attempt, AuditKind, DriftReason, Incident, Layer, NewRecord, Time};

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

/// A trail of so many records, of an incident each four; the first one is of an object of its own. What no test needs to survive
/// a power cut is not awaited on the disk.
pub(crate) fn long_trail(records: u64) -> (TempDir, Store) {
    let (home, store) = store();
    without_sync(&store);
    for n in 0..records {
        append_nth(&store, n);
    }
    (home, store)
}

/// Writes of this store no longer wait for the disk.
pub(crate) fn without_sync(store: &Store) {
    store.db().pragma_update(None, "synchronous", "OFF").unwrap();
}

/// The n-th record of [`long_trail`], from 0.
pub(crate) fn append_nth(store: &Store, n: u64) {
    let (kind, evidence) = match n % 4 {
        0 => {
            let evidence =
                json!({ "layer": "container", "reason": "NotRunning", "message": "it \"exited\"", "n": n });
            (AuditKind::DriftDetected, evidence)
        }
        1 => (AuditKind::RolledBack, json!({ "services": ["api", "web"], "to": {}, "n": n })),
        2 => (AuditKind::Verified, json!({ "looks": 7, "n": n })),
        _ => (AuditKind::Reconciled, json!({ "transitions": [], "steps": n })),
    };
    let has_service = matches!(kind, AuditKind::DriftDetected | AuditKind::Verified);
    let object = if n < 4 { "first".to_owned() } else { format!("shop-{}", n / 4 % 3) };
    let record = NewRecord {
        object: Some(object),
        service: has_service.then(|| "api".to_owned()),
        incident: Some(format!("I{}", n / 4)),
        evidence,
        ..NewRecord::of(kind)
    };
    store.append(&record).unwrap();
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

/// Unpacks the evidence of the incidents that are over, for a test that alters it behind the store's back.
pub(crate) fn unpack_evidence(dir: &Path) {
    let db = raw(dir);
    let mut query = db.prepare("SELECT id FROM incidents WHERE evidence IS NOT NULL").unwrap();
    let ids: Vec<String> =
        query.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap();
    for id in ids {
        let texts = super::incident_evidence::evidence_in(&db, &id).unwrap().unwrap().unwrap();
        let sql = "UPDATE incidents SET before = ?2, after = ?3, earlier = ?4, evidence = NULL WHERE id = ?1";
        db.execute(sql, rusqlite::params![id, texts.before, texts.after, texts.earlier]).unwrap();
    }
}

/// Takes the steps of the schema from the ninth on back: the state is as an undrift left it that had no segments. Evidence that
/// was packed is lost.
pub(crate) fn as_schema_8(dir: &Path) {
    let back = "
        DROP TABLE tree_nodes;
        DROP TABLE trail_origin;
        DROP TABLE checkpoints;
        DROP TABLE checkpoint_keys;
        DROP INDEX incidents_newest;
        DROP INDEX incidents_of_object;
        UPDATE incidents SET before = '{}' WHERE evidence IS NOT NULL;
        ALTER TABLE incidents DROP COLUMN evidence;
        DROP TRIGGER trail_no_delete;
        CREATE TRIGGER trail_no_delete BEFORE DELETE ON trail
        BEGIN SELECT RAISE(ABORT, 'a record of the audit trail is never deleted'); END;
        DROP TABLE segments;
        DROP TABLE segment_index;
        DROP TABLE ledgers;
        ALTER TABLE open_steps DROP COLUMN object;
        ALTER TABLE open_steps DROP COLUMN incident;
        ALTER TABLE open_steps DROP COLUMN time;
        PRAGMA user_version = 8";
    raw(dir).execute_batch(back).unwrap();
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

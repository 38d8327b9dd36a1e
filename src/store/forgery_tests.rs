//! Every column of the schema, altered by hand: `audit verify` names what is false then.
//!
//! A forgery is tried twice. Once by somebody who can write the database alone, and once by somebody who has the folder's key as
//! well and seals the rows anew: only what is derived from the records reveals the second.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::{
    api::{
        Attempt, AuditKind, Cache as _, IncidentOutcome, NewRecord, RecentStep, ResolvedFrom, Step, StepKind,
    },
    testing::fixtures,
};

const OBJECT: &str = "ai-backoffice";

/// What reveals a forgery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Revealed {
    /// The records: by whomever it is.
    ByRecords,
    /// The seal of the row, which its forger cannot make without the folder's key.
    BySeal,
    /// Nothing, as docs/audit-trail.md states under "What is shown".
    Not,
}

use Revealed::{ByRecords, BySeal, Not};

/// A column, what reveals an altered value, and how to alter it.
type Forgery = (&'static str, Revealed, &'static str);

/// `@E` is the ended incident of two occurrences, `@S` the one that was given up, `@O` the open one.
const FORGERIES: &[Forgery] = &[
    ("attempts.object", ByRecords, "UPDATE attempts SET object = 'bank'"),
    (
        "attempts.service",
        ByRecords,
        "UPDATE attempts SET service = 'web', attempt = json_set(attempt, '$.service', 'web')",
    ),
    (
        "attempts.layer",
        ByRecords,
        "UPDATE attempts SET layer = 'route', attempt = json_set(attempt, '$.layer', 'route')",
    ),
    (
        "attempts.reason",
        ByRecords,
        "UPDATE attempts SET reason = 'NotRunning', attempt = json_set(attempt, '$.reason', 'NotRunning')",
    ),
    (
        "attempts.source_digest",
        ByRecords,
        "UPDATE attempts SET source_digest = 'x', attempt = json_set(attempt, '$.sourceDigest', 'x')",
    ),
    ("attempts.attempt", ByRecords, "UPDATE attempts SET attempt = json_set(attempt, '$.attempts', 0)"),
    ("attempts.attempt", ByRecords, "UPDATE attempts SET attempt = json_set(attempt, '$.attempts', 9)"),
    (
        "attempts.attempt",
        ByRecords,
        "UPDATE attempts SET attempt = json_set(attempt, '$.lastAt', '2027-01-01T00:00:00Z')",
    ),
    (
        "attempts.attempt",
        Not,
        "UPDATE attempts SET attempt = json_set(attempt, '$.nextAt', '2027-01-01T00:00:00Z')",
    ),
    ("cache.space", BySeal, "UPDATE cache SET space = 'other'"),
    ("cache.key", BySeal, "UPDATE cache SET key = 'other'"),
    ("cache.value", BySeal, "UPDATE cache SET value = replace(value, 'present', 'missing')"),
    ("cache.used_at", Not, "UPDATE cache SET used_at = used_at + 1"),
    ("checkpoint_keys.since", ByRecords, "UPDATE checkpoint_keys SET since = since + 1"),
    ("checkpoint_keys.key", ByRecords, "UPDATE checkpoint_keys SET key = 'none'"),
    (
        "checkpoints.size",
        ByRecords,
        "UPDATE checkpoints SET size = size + 1 WHERE size = (SELECT max(size) FROM checkpoints)",
    ),
    ("checkpoints.time", ByRecords, "UPDATE checkpoints SET time = '2025-01-01T00:00:00.000000Z'"),
    ("checkpoints.note", ByRecords, "UPDATE checkpoints SET note = replace(note, 'undrift', 'undrafts')"),
    ("declarations.object", BySeal, "UPDATE declarations SET object = 'other'"),
    (
        "declarations.declared",
        BySeal,
        "UPDATE declarations SET declared = json_set(declared, '$.directory', '/srv/forged')",
    ),
    ("engines.object", BySeal, "UPDATE engines SET object = 'bank'"),
    ("engines.id", BySeal, "UPDATE engines SET id = 'B'"),
    ("engines.endpoint", BySeal, "UPDATE engines SET endpoint = 'tcp://10.0.0.5:2375'"),
    ("generations.object", ByRecords, "UPDATE generations SET object = 'other' WHERE object = 'bank'"),
    ("generations.object", ByRecords, "INSERT INTO generations VALUES ('other', 7, 'v1:sha256:7')"),
    ("generations.number", ByRecords, "UPDATE generations SET number = 7"),
    ("generations.digest", ByRecords, "UPDATE generations SET digest = 'v1:sha256:7'"),
    ("head.id", ByRecords, "DELETE FROM head"),
    ("head.seq", ByRecords, "UPDATE head SET seq = seq + 1"),
    ("head.hash", ByRecords, "UPDATE head SET hash = 'x'"),
    ("images.id", BySeal, "UPDATE images SET id = 'sha256:b'"),
    ("images.reference", BySeal, "UPDATE images SET reference = 'x'"),
    ("images.source_digest", BySeal, "UPDATE images SET source_digest = 'v1:sha256:0'"),
    ("images.built_by_undrift", BySeal, "UPDATE images SET built_by_undrift = 0"),
    ("images.last_good_at", BySeal, "UPDATE images SET last_good_at = '2026-03-01T10:00:00.000000Z'"),
    ("incidents.id", ByRecords, "UPDATE incidents SET id = '01KJM0K6G0ZZZZZZZZZZZZZZZZ' WHERE id = '@E'"),
    ("incidents.object", ByRecords, "UPDATE incidents SET object = 'bank' WHERE id = '@E'"),
    (
        "incidents.opened_at",
        ByRecords,
        "UPDATE incidents SET opened_at = '2026-02-01T10:00:00.000000Z' WHERE id = '@E'",
    ),
    (
        "incidents.opened_at",
        ByRecords,
        "UPDATE incidents SET opened_at = '2026-02-01T10:00:00.000000Z' WHERE id = '@O'",
    ),
    (
        "incidents.closed_at",
        ByRecords,
        "UPDATE incidents SET closed_at = '2026-03-01T10:00:00.000000Z' WHERE id = '@E'",
    ),
    (
        "incidents.closed_at",
        ByRecords,
        "UPDATE incidents SET closed_at = '2026-03-02T10:00:00.000000Z' WHERE id = '@S'",
    ),
    ("incidents.outcome", ByRecords, "UPDATE incidents SET outcome = 'Reconciled' WHERE id = '@S'"),
    (
        "incidents.outcome",
        ByRecords,
        "UPDATE incidents SET outcome = 'Reconciled', closed_at = opened_at WHERE id = '@O'",
    ),
    ("incidents.outcome", ByRecords, "UPDATE incidents SET outcome = NULL, closed_at = NULL WHERE id = '@B'"),
    (
        "incidents.drift",
        ByRecords,
        "UPDATE incidents SET drift = replace(drift, 'ModuleMissing', 'NotRunning') WHERE id = '@E'",
    ),
    (
        "incidents.drift",
        ByRecords,
        "UPDATE incidents SET drift = replace(drift, 'api', 'db') WHERE id = '@O'",
    ),
    (
        "incidents.before",
        ByRecords,
        "UPDATE incidents SET before = '{\"image\":\"sha256:forged\"}' WHERE id = '@O'",
    ),
    ("incidents.after", BySeal, "UPDATE incidents SET after = '{}' WHERE id = '@O'"),
    ("incidents.occurrences", ByRecords, "UPDATE incidents SET occurrences = 1 WHERE id = '@E'"),
    ("incidents.occurrences", ByRecords, "UPDATE incidents SET occurrences = 5 WHERE id = '@O'"),
    (
        "incidents.since",
        ByRecords,
        "UPDATE incidents SET since = '2026-02-01T10:00:00.000000Z' WHERE id = '@E'",
    ),
    ("incidents.since_seq", ByRecords, "UPDATE incidents SET since_seq = 0 WHERE id = '@E'"),
    ("incidents.since_seq", ByRecords, "UPDATE incidents SET since_seq = 99 WHERE id = '@O'"),
    ("incidents.earlier", BySeal, "UPDATE incidents SET earlier = '{}' WHERE id = '@S'"),
    (
        "incidents.evidence",
        ByRecords,
        "UPDATE incidents SET evidence = (SELECT evidence FROM incidents WHERE id = '@S') WHERE id = '@E'",
    ),
    ("incidents.evidence", ByRecords, "DELETE FROM incidents WHERE id = '@S'"),
    (
        "incidents.id",
        ByRecords,
        "DELETE FROM incidents WHERE id = '@S'; DELETE FROM seals WHERE row_key = '@S'",
    ),
    (
        "incidents.id",
        ByRecords,
        "INSERT INTO incidents SELECT '01KJM0K6G0ZZZZZZZZZZZZZZZZ', object, opened_at, closed_at, outcome, drift, before, after, occurrences, since, since_seq, earlier, evidence FROM incidents WHERE id = '@S'",
    ),
    ("ledgers.id", BySeal, "INSERT INTO ledgers VALUES ('latest', 1, 'x', '{}')"),
    ("ledgers.seq", BySeal, "INSERT INTO ledgers VALUES ('latest', 7, 'x', '{}')"),
    ("ledgers.hash", BySeal, "INSERT INTO ledgers VALUES ('latest', 1, 'y', '{}')"),
    ("ledgers.ledger", BySeal, "INSERT INTO ledgers VALUES ('latest', 1, 'x', '{\"a\":1}')"),
    ("looks.object", Not, "UPDATE looks SET object = 'bank'"),
    ("looks.at", Not, "UPDATE looks SET at = '2026-03-01T12:00:00.000000Z'"),
    ("manifest_faults.object", BySeal, "UPDATE manifest_faults SET object = 'other'"),
    ("manifest_faults.since", BySeal, "UPDATE manifest_faults SET since = '2026-01-01T12:00:00.000000Z'"),
    ("manifest_faults.fault", BySeal, "UPDATE manifest_faults SET fault = 'none'"),
    ("objects.name", ByRecords, "UPDATE objects SET name = 'other'"),
    ("objects.recorded_at", ByRecords, "UPDATE objects SET recorded_at = '2026-01-01T12:00:00.000000Z'"),
    ("objects.object", BySeal, "UPDATE objects SET object = json_set(object, '$.status.attempts', 7)"),
    (
        "objects.object",
        ByRecords,
        "UPDATE objects SET object = json_set(object, '$.status.incident', '01KJM0K6G0ZZZZZZZZZZZZZZZZ')",
    ),
    (
        "objects.object",
        ByRecords,
        "UPDATE objects SET object = json_set(object, '$.status.observedGeneration', 7)",
    ),
    (
        "objects.object",
        BySeal,
        "UPDATE objects SET object = json_set(object, '$.status.conditions[0].status', 'True')",
    ),
    ("objects.object", ByRecords, "UPDATE objects SET object = json_set(object, '$.metadata.name', 'bank')"),
    ("open_steps.intent", ByRecords, "UPDATE open_steps SET intent = 1"),
    ("open_steps.step", ByRecords, "UPDATE open_steps SET step = '\"Restart\"'"),
    ("open_steps.services", ByRecords, "UPDATE open_steps SET services = '[\"db\"]'"),
    ("open_steps.object", ByRecords, "UPDATE open_steps SET object = 'bank'"),
    ("open_steps.incident", ByRecords, "UPDATE open_steps SET incident = NULL"),
    ("open_steps.time", ByRecords, "UPDATE open_steps SET time = '2026-01-01T12:00:00.000000Z'"),
    ("recent_steps.intent", ByRecords, "UPDATE recent_steps SET intent = 1"),
    ("recent_steps.project", ByRecords, "UPDATE recent_steps SET project = 'q'"),
    ("recent_steps.service", ByRecords, "UPDATE recent_steps SET service = 'db'"),
    ("recent_steps.object", ByRecords, "UPDATE recent_steps SET object = 'bank'"),
    ("recent_steps.generation", ByRecords, "UPDATE recent_steps SET generation = 7"),
    ("recent_steps.kind", ByRecords, "UPDATE recent_steps SET kind = '\"Restart\"'"),
    ("recent_steps.at", ByRecords, "UPDATE recent_steps SET at = '2026-03-01T09:30:00.000000Z'"),
    ("recent_steps.beyond", ByRecords, "UPDATE recent_steps SET beyond = '{}'"),
    (
        "recent_steps.intent",
        ByRecords,
        "INSERT INTO recent_steps SELECT 1, project, service, object, generation, kind, at, beyond FROM recent_steps",
    ),
    ("seals.table_name", BySeal, "UPDATE seals SET table_name = 'x' WHERE table_name = 'images'"),
    ("seals.row_key", BySeal, "UPDATE seals SET row_key = 'x' WHERE table_name = 'images'"),
    ("seals.seal", BySeal, "UPDATE seals SET seal = 'x' WHERE table_name = 'images'"),
    ("suspensions.object", ByRecords, "UPDATE suspensions SET object = 'other'"),
    ("suspensions.since", ByRecords, "UPDATE suspensions SET since = '2026-01-01T12:00:00.000000Z'"),
    ("suspensions.until", ByRecords, "UPDATE suspensions SET until = '2026-01-01T12:00:00.000000Z'"),
    ("suspensions.reason", ByRecords, "UPDATE suspensions SET reason = 'x'"),
    ("suspensions.actor", ByRecords, "UPDATE suspensions SET actor = 'x'"),
    ("trail.seq", ByRecords, "UPDATE trail SET seq = 99 WHERE seq = 3"),
    ("trail.time", ByRecords, "UPDATE trail SET time = '1' WHERE seq = 3"),
    ("trail.object", ByRecords, "UPDATE trail SET object = '1' WHERE seq = 3"),
    ("trail.service", ByRecords, "UPDATE trail SET service = '1' WHERE seq = 3"),
    ("trail.incident", ByRecords, "UPDATE trail SET incident = '1' WHERE seq = 3"),
    ("trail.actor", ByRecords, "UPDATE trail SET actor = '1' WHERE seq = 3"),
    ("trail.kind", ByRecords, "UPDATE trail SET kind = '1' WHERE seq = 3"),
    ("trail.step", ByRecords, "UPDATE trail SET step = '1' WHERE seq = 3"),
    ("trail.outcome", ByRecords, "UPDATE trail SET outcome = '1' WHERE seq = 3"),
    ("trail.evidence", ByRecords, "UPDATE trail SET evidence = '1' WHERE seq = 3"),
    ("trail.prev_hash", ByRecords, "UPDATE trail SET prev_hash = '1' WHERE seq = 3"),
    ("trail.hash", ByRecords, "UPDATE trail SET hash = '1' WHERE seq = 3"),
    ("trail_origin.id", ByRecords, "DELETE FROM trail_origin"),
    ("trail_origin.origin", ByRecords, "UPDATE trail_origin SET origin = 'undrift/x/y'"),
    ("tree_nodes.level", ByRecords, "UPDATE tree_nodes SET level = 60 WHERE level = 1 AND place = 0"),
    ("tree_nodes.place", ByRecords, "UPDATE tree_nodes SET place = 60 WHERE level = 1 AND place = 0"),
    (
        "tree_nodes.hash",
        ByRecords,
        "UPDATE tree_nodes SET hash = randomblob(32) WHERE level = 1 AND place = 0",
    ),
    ("verified_from.object", ByRecords, "UPDATE verified_from SET object = 'other' WHERE object = 'bank'"),
    ("verified_from.digests", BySeal, "UPDATE verified_from SET digests = 'null'"),
];

/// The columns of segments, whose state takes longer to make: see [`forged_segments_are_named`].
const OF_SEGMENTS: &[Forgery] = &[
    ("segment_index.field", ByRecords, "UPDATE segment_index SET field = 'kind' WHERE value = 'I3'"),
    ("segment_index.value", ByRecords, "UPDATE segment_index SET value = 'I9999' WHERE value = 'I3'"),
    ("segment_index.segment", ByRecords, "UPDATE segment_index SET segment = 7 WHERE value = 'I3'"),
    ("segment_index.segment", ByRecords, "INSERT INTO segment_index VALUES ('incident', 'I9999', 0)"),
    ("segments.number", ByRecords, "UPDATE segments SET number = 7"),
    ("segments.prev_hash", ByRecords, "UPDATE segments SET prev_hash = 'x'"),
    ("segments.last_hash", ByRecords, "UPDATE segments SET last_hash = 'x'"),
    ("segments.min_time", ByRecords, "UPDATE segments SET min_time = '2020-01-01T00:00:00.000000Z'"),
    ("segments.max_time", ByRecords, "UPDATE segments SET max_time = '2020-01-01T00:00:00.000000Z'"),
    ("segments.records", ByRecords, "UPDATE segments SET records = x'28'"),
];

/// The incidents of [`state`].
struct Incidents {
    ended: String,
    given_up: String,
    open: String,
    /// Of the object `bank`, ended.
    other: String,
}

fn about(object: &str, kind: AuditKind, incident: &str) -> NewRecord {
    let evidence = json!({ "layer": "artifact", "reason": "ModuleMissing", "message": "no workflow" });
    let incident = Some(incident.to_owned());
    NewRecord {
        object: Some(object.into()),
        service: Some("api".into()),
        incident,
        evidence,
        ..NewRecord::of(kind)
    }
}

fn open(store: &Store, object: &str, again: Option<&str>) -> String {
    let drift =
        json!({ "api": { "layer": "artifact", "reason": "ModuleMissing", "message": "no workflow" } });
    let before = json!({ "services": [], "at": store.now() });
    let new = NewIncident { object, at: store.now(), drift: &drift, before: &before };
    let id = store.open_incident(new, again).unwrap().id;
    store.append(&about(object, AuditKind::DriftDetected, &id)).unwrap();
    id
}

fn end(store: &Store, object: &str, id: &str, outcome: IncidentOutcome) {
    let kind = match outcome {
        IncidentOutcome::Reconciled => AuditKind::Reconciled,
        IncidentOutcome::Stalled => AuditKind::Stalled,
    };
    if kind == AuditKind::Reconciled {
        store.append(&about(object, AuditKind::Verified, id)).unwrap();
    }
    let end = NewRecord { service: None, outcome: Some(outcome.to_string()), ..about(object, kind, id) };
    let after = json!({ "services": [], "at": store.now() });
    store.end_incident(id, store.now(), outcome, Some(after), &end).unwrap();
}

/// A step that has not ended, with its attempt.
fn intend(store: &Store, incident: &str) {
    let attempt = Attempt { object: OBJECT.into(), last_at: store.now(), ..testing::attempt(2) };
    let recent = RecentStep {
        project: "p".into(),
        service: "api".into(),
        object: OBJECT.into(),
        generation: 1,
        kind: StepKind::Build,
        at: store.now(),
        beyond: None,
    };
    let record = NewRecord { service: None, ..about(OBJECT, AuditKind::StepIntended, incident) };
    let (begun, recent) = ([attempt], [recent]);
    let intent = NewIntent {
        record: &record,
        step: Step::Build { no_cache: true },
        services: &["api".into()],
        begun: &begun,
        recent: &recent,
        before: None,
    };
    store.intend_with(intent).unwrap();
}

/// A state with a row in every table but those of segments.
fn state() -> (TempDir, Incidents) {
    let (home, store) = testing::store();
    let desired = fixtures::desired();
    store.generation(OBJECT, &desired.spec_digest).unwrap();
    store.generation("bank", "v1:sha256:b").unwrap();
    store.suspend("bank", None, "a migration").unwrap();
    let other = open(&store, "bank", None);
    end(&store, "bank", &other, IncidentOutcome::Reconciled);
    let given_up = open(&store, OBJECT, None);
    end(&store, OBJECT, &given_up, IncidentOutcome::Stalled);
    let ended = open(&store, OBJECT, None);
    end(&store, OBJECT, &ended, IncidentOutcome::Reconciled);
    assert_eq!(open(&store, OBJECT, Some(&ended)), ended);
    end(&store, OBJECT, &ended, IncidentOutcome::Reconciled);
    let incident = open(&store, OBJECT, None);
    intend(&store, &incident);
    let mut object = testing::object();
    object.status.observed_generation = 1;
    object.status.observed_at = Some(store.now());
    object.status.incident = Some(incident.clone());
    store.save_object(&object).unwrap();
    keep_the_rest(&store);
    (home, Incidents { ended, given_up, open: incident, other })
}

/// The rows that no record covers.
fn keep_the_rest(store: &Store) {
    let image = ImageKnowledge {
        id: "sha256:a".into(),
        reference: "shop-api".into(),
        source_digest: Some("v1:sha256:1".into()),
        built_by_undrift: true,
        last_good_at: None,
    };
    store.save_image(&image).unwrap();
    let from = ResolvedFrom::new([].into(), [].into(), "1".into());
    store.save_verified_from(OBJECT, &from).unwrap();
    let place = EnginePlace { id: Some("A".into()), endpoint: "unix:///run/docker.sock".into() };
    store.keep_engine_place(OBJECT, &place).unwrap();
    store.keep_manifest_fault(OBJECT, Some("a.yaml:1:1: not valid")).unwrap();
    let mut desired = fixtures::desired();
    desired.object.metadata.name = OBJECT.into();
    store.keep_declaration(&desired).unwrap();
    store.put("module", "a", "present");
}

/// A copy of a state that nobody has open.
fn copy_of(home: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(home).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

/// What `audit verify` finds.
fn found(home: &Path) -> Vec<String> {
    let soon = || testing::start() + chrono::TimeDelta::minutes(10);
    let store = Store::open_read_only(home).unwrap().unwrap().with_clock(Arc::new(soon));
    match store.verify() {
        Ok(Verification::Whole { .. }) => Vec::new(),
        Ok(Verification::Differs { what, .. }) => what,
        Ok(Verification::Broken { seq, what }) => vec![format!("record {seq} {what}")],
        Err(error) => vec![error.to_string()],
    }
}

/// Seals every row as it is now, as whoever has the folder's key can.
fn seal_anew(home: &Path) {
    testing::raw(home).execute("DELETE FROM seals", []).unwrap();
    let store = Store::open(home, "a forger".into()).unwrap();
    store.seal_all();
    let key = store.digest_key().unwrap().clone();
    store.write("seal the cache", |change| cache::seal_cache_in(change, &key)).unwrap();
}

/// Which of these forgeries have another result than they should, in words.
fn surprises(home: &Path, forgeries: &[Forgery], sql_of: impl Fn(&str) -> String) -> Vec<String> {
    let mut wrong = Vec::new();
    for (column, revealed, sql) in forgeries {
        for is_sealed_anew in [false, true] {
            let copy = copy_of(home);
            let before = contents(copy.path(), column);
            testing::tamper(copy.path(), &sql_of(sql));
            assert!(contents(copy.path(), column) != before, "{column}: {sql} alters nothing");
            if is_sealed_anew {
                seal_anew(copy.path());
            }
            let what = found(copy.path());
            let expected = match revealed {
                ByRecords => true,
                BySeal => !is_sealed_anew,
                Not => false,
            };
            if expected == what.is_empty() {
                let by = if is_sealed_anew { "sealed anew" } else { "by hand" };
                wrong.push(format!("{column} ({by}): {sql}: {what:?}"));
            }
        }
    }
    wrong
}

/// The rows of a column's table, to see that a forgery alters them.
fn contents(home: &Path, column: &str) -> Vec<String> {
    let (table, _) = column.split_once('.').unwrap();
    let db = testing::raw(home);
    let mut query = db.prepare(&format!("SELECT * FROM {table}")).unwrap();
    let columns = query.column_count();
    let rows = query.query_map([], |row| {
        (0..columns)
            .map(|at| row.get_ref(at).map(|value| format!("{value:?}")))
            .collect::<rusqlite::Result<String>>()
    });
    let mut rows: Vec<String> = rows.unwrap().collect::<rusqlite::Result<_>>().unwrap();
    rows.sort();
    rows
}

#[test]
fn every_column_of_the_schema_has_a_forgery() {
    let (home, _) = testing::store();
    let select = "SELECT t.name || '.' || c.name FROM sqlite_schema AS t JOIN pragma_table_info(t.name) AS c WHERE t.type = 'table'";
    let db = testing::raw(home.path());
    let mut query = db.prepare(select).unwrap();
    let columns: BTreeSet<String> =
        query.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap();
    let forged: BTreeSet<String> =
        FORGERIES.iter().chain(OF_SEGMENTS).map(|(column, ..)| (*column).to_owned()).collect();
    assert_eq!(
        forged, columns,
        "a new column is covered by the records, by a seal, or listed as not covered"
    );
}

#[test]
fn forged_rows_are_named() {
    let (home, incidents) = state();
    assert_eq!(found(home.path()), [""; 0], "what undrift wrote is whole");
    let sql_of = |sql: &str| {
        sql.replace("@E", &incidents.ended)
            .replace("@S", &incidents.given_up)
            .replace("@O", &incidents.open)
            .replace("@B", &incidents.other)
    };
    let wrong = surprises(home.path(), FORGERIES, sql_of);
    assert_eq!(wrong, [""; 0], "{} of {}", wrong.len(), 2 * FORGERIES.len());
}

#[test]
fn forged_segments_are_named() {
    let (home, store) = testing::long_trail(2_060);
    drop(store);
    assert_eq!(found(home.path()), [""; 0], "what undrift wrote is whole");
    let wrong = surprises(home.path(), OF_SEGMENTS, str::to_owned);
    assert_eq!(wrong, [""; 0], "{} of {}", wrong.len(), 2 * OF_SEGMENTS.len());
}

/// Replaces the rows of a table, and their seals, by those of an earlier copy of the state.
fn put_back(home: &Path, earlier: &Path, table: &str) {
    let earlier = earlier.display();
    testing::tamper(
        home,
        &format!(
            "ATTACH '{earlier}' AS earlier; DELETE FROM {table}; DELETE FROM seals WHERE table_name = '{table}';
             INSERT INTO {table} SELECT * FROM earlier.{table};
             INSERT INTO seals SELECT * FROM earlier.seals WHERE table_name = '{table}'"
        ),
    );
}

#[test]
fn an_older_row_that_is_put_back_with_its_own_seal_is_named() {
    let (home, store) = testing::store();
    store.generation(OBJECT, "v1:sha256:a").unwrap();
    let mut object = testing::object();
    object.status.observed_generation = 1;
    store.save_object(&object).unwrap();
    let before = home.path().join("before.db");
    store.backup(&before).unwrap();
    let id = open(&store, OBJECT, None);
    let within = home.path().join("within.db");
    store.backup(&within).unwrap();
    end(&store, OBJECT, &id, IncidentOutcome::Stalled);
    object.status.incident = Some(id.clone());
    store.save_object(&object).unwrap();
    drop(store);
    assert_eq!(found(home.path()), [""; 0]);
    for (table, earlier, words) in [
        (
            "incidents",
            &within,
            format!("shows outcome none for the incident {id}, and by record 3 it is Stalled"),
        ),
        ("incidents", &before, format!("shows id nothing for the incident {id}")),
        ("objects", &before, "the table objects shows recorded_at ".to_owned()),
    ] {
        let copy = copy_of(home.path());
        put_back(copy.path(), earlier, table);
        let what = found(copy.path());
        assert!(what.len() == 1 && what[0].contains(&words), "{words}: {what:?}");
    }
}

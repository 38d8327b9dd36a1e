use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::{
    api::{AuditKind, Incident, IncidentOutcome, NewRecord, ResolvedFrom, Time},
    store::{
        EnginePlace, ImageKnowledge, NewIncident, StoreError, Verification, VerifiedFrom, schema, testing,
    },
};

/// A minute after the time of the stores' clocks.
fn now() -> Time {
    testing::start() + chrono::TimeDelta::minutes(1)
}

const OBJECT: &str = "ai-backoffice";
const IMAGE: &str = "sha256:a";

fn of_object(kind: AuditKind, incident: Option<&str>) -> NewRecord {
    let evidence = json!({ "layer": "container", "reason": "NotRunning", "message": "it exited" });
    NewRecord {
        object: Some(OBJECT.into()),
        service: Some("api".into()),
        incident: incident.map(str::to_owned),
        evidence,
        ..NewRecord::of(kind)
    }
}

fn object() -> crate::api::Object {
    let mut object = testing::object();
    object.status.observed_generation = 1;
    object
}

/// A state with a row of each kind: a reconciled object, and one closed incident.
fn state() -> (TempDir, Store, Incident) {
    let (home, store) = testing::store();
    store.generation(OBJECT, "v1:sha256:a").unwrap();
    let before = json!({ "services": [{ "name": "api" }] });
    let incident = testing::incident(&store, OBJECT, testing::start(), &json!({}), &before);
    store.append(&of_object(AuditKind::DriftDetected, Some(&incident.id))).unwrap();
    let end = NewRecord {
        outcome: Some("Reconciled".into()),
        ..of_object(AuditKind::Reconciled, Some(&incident.id))
    };
    let (at, outcome) = (testing::start(), IncidentOutcome::Reconciled);
    store.end_incident(&incident.id, at, outcome, Some(before), &end).unwrap();
    store.save_object(&object()).unwrap();
    store
        .save_image(&ImageKnowledge {
            id: IMAGE.into(),
            reference: "shop-api".into(),
            source_digest: Some("v1:sha256:1".into()),
            built_by_undrift: true,
            last_good_at: None,
        })
        .unwrap();
    let from = ResolvedFrom::new([].into(), [].into(), "1".into());
    store.save_verified_from(OBJECT, &from).unwrap();
    let place = EnginePlace { id: Some("A".into()), endpoint: "unix:///run/docker.sock".into() };
    store.keep_engine_place(OBJECT, &place).unwrap();
    (home, store, incident)
}

fn found(store: &Store) -> Vec<String> {
    match store.verify().unwrap() {
        Verification::Whole { .. } => Vec::new(),
        Verification::Differs { what, .. } => what,
        Verification::Broken { seq, what } => panic!("record {seq} {what}"),
    }
}

/// The rest of each kind after the state was altered so, found altered in these words, and repaired.
fn left_after(alter: &str, words: &str) -> (TempDir, Store) {
    let (home, store, _) = state();
    assert_eq!(found(&store), [""; 0]);
    testing::tamper(home.path(), alter);
    let what = found(&store);
    assert!(what.iter().any(|what| what.contains(words)), "{alter}: {what:?}");
    store.agree_with_trail(OBJECT, now()).unwrap();
    store.agree_with_trail_in_all(now()).unwrap();
    assert_eq!(found(&store), [""; 0], "{alter}");
    (home, store)
}

#[test]
fn a_status_that_undrift_has_not_written_counts_as_not_there() {
    for alter in [
        "UPDATE objects SET object = json_set(object, '$.status.services[0].drift', null)",
        "UPDATE objects SET recorded_at = '2026-01-01T00:00:00.000000Z'",
        "DELETE FROM seals",
        "UPDATE seals SET seal = 'x'",
    ] {
        let (_home, store) =
            left_after(alter, "the recorded status of ai-backoffice is not as undrift wrote");
        assert_eq!(store.object(OBJECT).unwrap(), None, "{alter}");
        assert!(store.save_object(&object()).unwrap());
        assert_eq!((store.object(OBJECT).unwrap(), found(&store)), (Some(object()), vec![]));
    }
    let (_home, store) = left_after("DELETE FROM objects", "the recorded status of ai-backoffice is gone");
    assert_eq!(store.object(OBJECT).unwrap(), None);
}

#[test]
fn altered_knowledge_of_an_image_counts_as_unknown() {
    for (alter, words) in [
        ("UPDATE images SET source_digest = 'v1:sha256:2'", "the image sha256:a is not as undrift wrote"),
        ("UPDATE images SET id = 'sha256:b'", "the image sha256:b is not as undrift wrote"),
        (
            "UPDATE images SET id = 'sha256:b'; UPDATE seals SET row_key = 'sha256:b' WHERE table_name = 'images'",
            "b is not",
        ),
        (
            "INSERT INTO images SELECT 'sha256:b', reference, source_digest, 1, NULL FROM images",
            "sha256:b is not",
        ),
        ("DELETE FROM images", "what is known of the image sha256:a is gone"),
    ] {
        let (_home, store) = left_after(alter, words);
        let known = store.images().unwrap();
        assert!(known.iter().all(|image| image.id == IMAGE), "{alter}: {known:?}");
        assert!(known.iter().all(|image| image.source_digest.as_deref() == Some("v1:sha256:1")), "{alter}");
    }
}

#[test]
fn an_altered_ended_incident_is_read_from_the_trail_alone() {
    for alter in [
        "UPDATE incidents SET before = '{\"image\":\"sha256:a-strangers\"}'",
        "UPDATE incidents SET after = '{}'",
        "UPDATE incidents SET closed_at = '2026-12-31T00:00:00.000000Z'",
        "UPDATE incidents SET outcome = 'Stalled'",
        "UPDATE incidents SET closed_at = NULL, outcome = NULL",
        "UPDATE incidents SET object = 'other'",
        "UPDATE incidents SET earlier = '{}', since_seq = 99, occurrences = -1, opened_at = 'never'",
    ] {
        let (_home, store) = left_after(alter, "in the table of incidents is not as undrift wrote it");
        let incident = store.last_incident(OBJECT).unwrap().unwrap();
        assert_eq!(
            (&incident.before, &incident.after, &incident.earlier),
            (&json!({}), &None, &None),
            "{alter}"
        );
        assert_eq!(
            (incident.outcome, incident.occurrences),
            (Some(IncidentOutcome::Reconciled), 1),
            "{alter}"
        );
        let records = store.records(&crate::store::RecordFilter::default()).unwrap();
        let end = records.iter().find(|record| record.kind == "Reconciled").unwrap();
        assert_eq!(incident.closed_at, Some(end.time.parse().unwrap()), "{alter}");
    }
    for alter in ["UPDATE incidents SET evidence = NULL", "UPDATE incidents SET evidence = x'28'"] {
        let (_home, store) = left_after(alter, "cannot be read");
        assert_eq!(store.last_incident(OBJECT).unwrap().unwrap().before, json!({}), "{alter}");
    }
    let (_home, store) = left_after("DELETE FROM incidents", "in the table of incidents is gone");
    let incident = store.last_incident(OBJECT).unwrap().unwrap();
    assert_eq!((incident.outcome, incident.before), (Some(IncidentOutcome::Reconciled), json!({})));
}

#[test]
fn an_incident_that_is_open_goes_on_without_what_a_stranger_wrote() {
    for alter in [
        "UPDATE incidents SET since_seq = 99",
        "UPDATE incidents SET earlier = '{\"since\":\"2026-03-01T10:00:00Z\",\"sinceSeq\":0,\"closedAt\":\"2026-03-01T10:00:00Z\",\"before\":{}}'",
        "UPDATE incidents SET before = '{\"image\":\"sha256:a-strangers\"}'",
    ] {
        let (home, store, over) = state();
        let open = testing::incident(&store, OBJECT, testing::start(), &json!({}), &json!({ "n": 1 }));
        let began = store.append(&of_object(AuditKind::DriftDetected, Some(&open.id))).unwrap();
        assert_eq!(found(&store), [""; 0]);
        testing::tamper(home.path(), &format!("{alter} WHERE id = '{}'", open.id));
        let what = found(&store);
        let expected = format!(
            "the incident {} of {OBJECT} is not in the table of incidents as undrift wrote it",
            open.id
        );
        assert!(what.contains(&expected), "{what:?}");
        store.agree_with_trail(OBJECT, now()).unwrap();
        assert_eq!(found(&store), [""; 0], "{alter}");
        let goes_on = store.current_incident(OBJECT).unwrap().unwrap();
        assert_eq!((&goes_on.id, goes_on.since_seq), (&open.id, began - 1), "{alter}");
        // No intent names it: a later rollback restores what the first step finds.
        assert_eq!((&goes_on.before, &goes_on.earlier), (&json!({}), &None), "{alter}");
        assert_eq!(store.incident(&over.id).unwrap().unwrap().outcome, Some(IncidentOutcome::Reconciled));
    }
}

#[test]
fn what_a_state_was_verified_from_is_unknown_once_altered_or_removed() {
    for (alter, words) in [
        (
            "UPDATE verified_from SET digests = json_set(digests, '$.model', '2')",
            "was verified from is not as",
        ),
        ("UPDATE verified_from SET digests = 'null'", "was verified from is not as undrift wrote it"),
        ("UPDATE verified_from SET object = 'other'", "was verified from is gone"),
        ("DELETE FROM verified_from", "was verified from is gone"),
        (
            "DELETE FROM verified_from; DELETE FROM seals WHERE table_name = 'verified_from'",
            "was verified from is gone",
        ),
    ] {
        let (home, store) = left_after(alter, words);
        assert_eq!(store.verified_from(OBJECT).unwrap(), VerifiedFrom::Altered, "{alter}");
        drop(store);
        let store = Store::open(home.path(), "another".into()).unwrap();
        assert_eq!(
            store.verified_from(OBJECT).unwrap(),
            VerifiedFrom::Altered,
            "until one is noted: {alter}"
        );
        let from = ResolvedFrom::new([].into(), [].into(), "3".into());
        store.save_verified_from(OBJECT, &from).unwrap();
        assert_eq!(store.verified_from(OBJECT).unwrap(), VerifiedFrom::Resolved(from));
        assert_eq!(found(&store), [""; 0]);
    }
}

#[test]
fn an_engine_that_a_stranger_wrote_down_is_none() {
    let words = "the engine that ai-backoffice was seen on is not as undrift wrote it";
    let (_home, store) = left_after("UPDATE engines SET id = 'B', endpoint = 'tcp://10.0.0.5:2375'", words);
    assert_eq!(store.engine_place(OBJECT).unwrap(), None);
    store.retry(OBJECT).unwrap();
    assert_eq!(found(&store), [""; 0], "a person's word leaves no seal behind");
}

#[test]
fn who_may_not_read_the_key_finds_nothing_and_alters_nothing() {
    let (home, store, _) = state();
    drop(store);
    let copy = tempfile::tempdir().unwrap();
    let db = testing::raw(home.path());
    db.execute("VACUUM INTO ?1", [copy.path().join("state.db").to_str().unwrap()]).unwrap();
    let reader = Store::open_read_only(copy.path()).unwrap().unwrap();
    assert!(reader.digest_key().is_none());
    assert_eq!(found(&reader), [""; 0]);
    assert!(matches!(reader.verified_from(OBJECT).unwrap(), VerifiedFrom::Resolved(_)));
}

#[test]
fn rows_of_an_earlier_state_are_sealed_by_its_upgrade_once() {
    let (home, store, _) = state();
    drop(store);
    testing::as_schema_8(home.path());
    let db = testing::raw(home.path());
    // As the version without seals left it.
    db.execute_batch(
        "DROP TABLE seals; DELETE FROM verified_from; INSERT INTO cache VALUES ('module', 'a', 'present', 0)",
    )
    .unwrap();
    db.pragma_update(None, "user_version", schema::SEALS - 1).unwrap();
    drop(db);
    let store = Store::open(home.path(), "upgraded".into()).unwrap();
    assert_eq!(found(&store), [""; 0]);
    assert_eq!(store.verified_from(OBJECT).unwrap(), VerifiedFrom::Nothing, "and no alarm");
    assert_eq!(crate::api::Cache::get(&store, "module", "a").as_deref(), Some("present"));
    testing::tamper(home.path(), "UPDATE images SET reference = 'x'");
    drop(store);
    let store = Store::open(home.path(), "again".into()).unwrap();
    assert_eq!(found(&store).len(), 1, "it is not sealed anew");
}

#[test]
fn an_incident_of_long_ago_that_somebody_opens_again_is_over_again() {
    let (home, store, oldest) = state();
    let at = testing::start();
    for _ in 0..3 {
        let later = testing::incident(&store, OBJECT, at, &json!({}), &json!({}));
        store.close_incident(&later.id, at, IncidentOutcome::Stalled, None).unwrap();
    }
    let open = format!(
        "UPDATE incidents SET closed_at = NULL, outcome = NULL, before = '{{\"image\":\"sha256:forged\"}}' WHERE id = '{}'",
        oldest.id
    );
    testing::tamper(home.path(), &open);
    assert_eq!(store.current_incident(OBJECT).unwrap(), None, "nothing is decided on it");
    store.agree_with_trail(OBJECT, now()).unwrap();
    let found = store.incident(&oldest.id).unwrap().unwrap();
    assert_eq!((found.outcome, found.before), (Some(IncidentOutcome::Reconciled), json!({})));
    assert!(found.closed_at.is_some());
}

/// The rows are compared with their seals when an observation begins, and it may take minutes until it ends.
#[test]
fn a_row_altered_during_a_look_is_neither_used_nor_sealed() {
    let (home, store, _) = state();
    let open =
        testing::incident(&store, OBJECT, testing::start(), &json!({}), &json!({ "image": "sha256:a" }));
    store.agree_with_trail(OBJECT, now()).unwrap();
    for alter in [
        "UPDATE images SET source_digest = 'v1:sha256:forged'",
        "UPDATE objects SET object = json_set(object, '$.status.services[0].drift', null)",
        "UPDATE incidents SET before = '{\"image\":\"sha256:forged\"}' WHERE closed_at IS NULL",
    ] {
        testing::tamper(home.path(), alter);
    }
    assert_eq!(store.image(IMAGE).unwrap(), None);
    assert_eq!(store.object(OBJECT).unwrap(), None);
    assert_eq!(store.current_incident(OBJECT).unwrap(), None);
    assert_eq!(store.last_incident(OBJECT).unwrap(), None);
    let new = NewIncident { object: OBJECT, at: now(), drift: &json!({}), before: &json!({}) };
    let error = store.open_incident(new, None).unwrap_err();
    assert!(matches!(&error, StoreError::Altered(id) if *id == open.id), "{error}");
    store.agree_with_trail(OBJECT, now()).unwrap();
    store.open_incident(new, None).unwrap();
}

#[test]
fn what_is_written_of_an_incident_seals_nothing_that_somebody_has_written_into_it() {
    let writes: [fn(&Store, &str) -> Result<()>; 3] = [
        |store, id| {
            let record = of_object(AuditKind::StepIntended, Some(id));
            store.intend(&record, crate::api::Step::Restart, &["api".to_owned()]).map(drop)
        },
        |store, id| {
            let end = of_object(AuditKind::Stalled, Some(id));
            store.end_incident(id, now(), IncidentOutcome::Stalled, None, &end)
        },
        |store, id| {
            store.write("close it", |change| {
                let close = "UPDATE incidents SET closed_at = opened_at, outcome = 'Stalled' WHERE id = ?1";
                change.execute(close, [id]).map(drop).map_err(failed(ACTION))
            })?;
            let new = NewIncident { object: OBJECT, at: now(), drift: &json!({}), before: &json!({}) };
            store.open_incident(new, Some(id)).map(drop)
        },
    ];
    for write in writes {
        let (home, store, _) = state();
        let open = testing::incident(&store, OBJECT, testing::start(), &json!({}), &json!({}));
        let alter = "UPDATE incidents SET before = '{\"image\":\"sha256:forged\"}' WHERE closed_at IS NULL";
        testing::tamper(home.path(), alter);
        let error = write(&store, &open.id).unwrap_err();
        assert!(matches!(&error, StoreError::Altered(id) if *id == open.id), "{error}");
    }
}

#[test]
fn a_removed_incident_is_put_back_in_its_place_and_an_inserted_one_removed() {
    let (home, store, first) = state();
    let at = now();
    let second = testing::incident(&store, OBJECT, at, &json!({}), &json!({ "n": 1 }));
    let end = of_object(AuditKind::Stalled, Some(&second.id));
    store.end_incident(&second.id, at, IncidentOutcome::Stalled, None, &end).unwrap();
    let mut object = object();
    object.status.incident = Some(second.id.clone());
    store.save_object(&object).unwrap();
    assert_eq!(found(&store), [""; 0]);
    let alter = format!(
        "DELETE FROM incidents WHERE id = '{}';
         INSERT INTO incidents (id, object, opened_at, closed_at, outcome, drift, before)
         SELECT '01KJM0K6G0ZZZZZZZZZZZZZZZZ', object, opened_at, closed_at, outcome, drift, '{{}}' FROM incidents",
        first.id
    );
    testing::tamper(home.path(), &alter);
    let what = found(&store);
    let unknown = "has the incident 01KJM0K6G0ZZZZZZZZZZZZZZZZ of ai-backoffice, and no record is of it";
    assert!(what.iter().any(|what| what.contains(unknown)), "{what:?}");
    store.agree_with_trail_in_all(now()).unwrap();
    assert_eq!(found(&store), [""; 0]);
    let ids = |incidents: Vec<Incident>| incidents.into_iter().map(|one| one.id).collect::<Vec<_>>();
    assert_eq!(ids(store.incidents(Some(OBJECT)).unwrap()), [second.id.clone(), first.id]);
    assert_eq!(
        store.last_incident(OBJECT).unwrap().unwrap().id,
        second.id,
        "the order of their opening stays"
    );
}

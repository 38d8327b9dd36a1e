use chrono::TimeDelta;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::{
    api::{AuditKind, NewRecord, Step, StepKind, StepOutcome},
    store::{FinishedStep, NewIntent, RecordFilter, Verification, testing},
};

const STEP: Step = Step::Build { no_cache: true };

fn about_shop(kind: AuditKind) -> NewRecord {
    NewRecord { object: Some("shop".into()), ..NewRecord::of(kind) }
}

fn attempt(attempts: u32) -> Attempt {
    Attempt { tried: vec![STEP], pending: Some(STEP), ..testing::attempt(attempts) }
}

fn recent(at: Time) -> RecentStep {
    RecentStep {
        project: "p".into(),
        service: "api".into(),
        object: "shop".into(),
        generation: 1,
        kind: StepKind::Build,
        at,
        beyond: None,
    }
}

fn now() -> Time {
    testing::start() + TimeDelta::minutes(1)
}

/// A suspended object with an open incident and an open step.
fn with_open_step() -> (TempDir, Store, String, u64) {
    let (home, store) = testing::store();
    store.generation("shop", "v1:sha256:a").unwrap();
    store.suspend("shop", None, "a migration").unwrap();
    let before = json!({ "image": "sha256:before" });
    let incident = testing::incident(&store, "shop", testing::start(), &json!({}), &before).id;
    let of_incident = |kind| NewRecord { incident: Some(incident.clone()), ..about_shop(kind) };
    let evidence = json!({ "layer": "artifact", "reason": "ModuleMissing", "message": "no workflow" });
    let drift = NewRecord { service: Some("api".into()), evidence, ..of_incident(AuditKind::DriftDetected) };
    store.append(&drift).unwrap();
    let (begun, counted) = ([attempt(2)], [recent(testing::start())]);
    let intent = of_incident(AuditKind::StepIntended);
    let intent = store
        .intend_with(NewIntent {
            record: &intent,
            step: STEP,
            services: &["api".into()],
            begun: &begun,
            recent: &counted,
            before: None,
        })
        .unwrap();
    (home, store, incident, intent)
}

/// The findings of `verify` beside intact records.
fn found(store: &Store) -> Vec<String> {
    match store.verify().unwrap() {
        Verification::Whole { .. } => Vec::new(),
        Verification::Differs { what, .. } => what,
        Verification::Broken { seq, what } => panic!("record {seq} {what}"),
    }
}

#[test]
fn what_undrift_writes_agrees_with_its_records_at_every_moment() {
    let (_home, store, incident, intent) = with_open_step();
    assert_eq!(found(&store), [""; 0]);
    let record = NewRecord { outcome: Some("Failed".into()), ..NewRecord::of(AuditKind::StepFinished) };
    let waits = Attempt { next_at: Some(now()), pending: None, ..attempt(2) };
    store.finish_with(FinishedStep { intent, record, more: None, rows: vec![waits.clone()] }).unwrap();
    assert_eq!(found(&store), [""; 0]);
    // Judged by the next observation, which no record covers.
    store.update_attempt(&Attempt { gave_up: Some("Enough".into()), ..waits.clone() }).unwrap();
    assert_eq!(found(&store), [""; 0]);
    let verification = NewRecord { service: Some("api".into()), ..about_shop(AuditKind::Verified) };
    store
        .append_with(&verification, &[Attempt { attempts: 0, tried: vec![], next_at: None, ..waits.clone() }])
        .unwrap();
    assert_eq!(found(&store), [""; 0]);
    store.forget_attempts(&[&waits]).unwrap();
    store.resume("shop").unwrap();
    let end = NewRecord { incident: Some(incident.clone()), ..about_shop(AuditKind::Reconciled) };
    let outcome = crate::api::IncidentOutcome::Reconciled;
    store.end_incident(&incident, now(), outcome, None, &end).unwrap();
    store.generation("shop", "v1:sha256:b").unwrap();
    store.retry("shop").unwrap();
    assert_eq!(found(&store), [""; 0]);
    let before = store.records(&RecordFilter::default()).unwrap();
    store.agree_with_trail("shop", now()).unwrap();
    assert_eq!(store.records(&RecordFilter::default()).unwrap(), before);
}

#[test]
fn a_step_that_never_began_and_one_that_was_interrupted_agree_too() {
    for outcome in [StepOutcome::NotBegun, StepOutcome::Interrupted] {
        let (_home, store, _, intent) = with_open_step();
        if outcome == StepOutcome::Interrupted {
            store.close_interrupted().unwrap();
        } else {
            let record =
                NewRecord { outcome: Some("NotBegun".into()), ..NewRecord::of(AuditKind::StepFinished) };
            let rows = vec![Attempt { pending: None, ..attempt(1) }];
            store.finish_with(FinishedStep { intent, record, more: None, rows }).unwrap();
        }
        assert_eq!(found(&store), [""; 0]);
        store.agree_with_trail("shop", now()).unwrap();
        let counted = usize::from(outcome == StepOutcome::Interrupted);
        assert_eq!(store.recent_steps("p", now()).unwrap().len(), counted);
    }
}

#[test]
fn a_table_that_was_altered_is_found_and_put_right_from_the_trail() {
    for (sql, table) in [
        ("DELETE FROM suspensions", "suspensions"),
        ("UPDATE suspensions SET until = '2020-01-01T00:00:00.000000Z'", "suspensions"),
        ("UPDATE suspensions SET until = 'soon'", "suspensions"),
        ("UPDATE suspensions SET reason = 'none'", "suspensions"),
        ("UPDATE suspensions SET object = 'bank'", "suspensions"),
        ("DELETE FROM attempts", "attempts"),
        ("UPDATE attempts SET attempt = json_set(attempt, '$.attempts', 0)", "attempts"),
        ("UPDATE attempts SET attempt = json_set(attempt, '$.generation', 0)", "attempts"),
        ("UPDATE attempts SET attempt = json_set(attempt, '$.tried', json('[]'))", "attempts"),
        (
            "UPDATE attempts SET source_digest = 'x', attempt = json_set(attempt, '$.sourceDigest', 'x')",
            "attempts",
        ),
        ("UPDATE attempts SET object = 'bank'", "attempts"),
        ("DELETE FROM open_steps", "open steps"),
        ("UPDATE open_steps SET services = '[]'", "open steps"),
        ("UPDATE open_steps SET step = 'Nothing'", "open steps"),
        ("DELETE FROM recent_steps", "last hour"),
        ("UPDATE recent_steps SET at = '2020-01-01T00:00:00.000000Z'", "last hour"),
        ("UPDATE recent_steps SET kind = '\"Up\"'", "last hour"),
        ("UPDATE recent_steps SET kind = 'Up'", "last hour"),
        ("UPDATE recent_steps SET project = 'x'", "last hour"),
        ("UPDATE recent_steps SET beyond = '\"down\"'", "last hour"),
        ("DELETE FROM generations", "generations"),
        ("UPDATE generations SET number = 2", "generations"),
        ("UPDATE generations SET digest = 'v1:sha256:x'", "generations"),
        ("UPDATE incidents SET closed_at = opened_at, outcome = 'Reconciled'", "incidents"),
        ("UPDATE incidents SET object = 'bank'", "incidents"),
    ] {
        let (home, store, incident, _) = with_open_step();
        let tables = |store: &Store| {
            let same = |suspension: Suspension| Suspension { since: now(), ..suspension };
            (
                store.suspension("shop").unwrap().map(same),
                // A row of another source is left alone: it holds undrift back further, if anything.
                store.attempts("shop").unwrap().into_iter().find(|row| row.source_digest.is_none()),
                store.open_intents().unwrap(),
                store.recent_steps("p", now()).unwrap(),
                store.peek_generation("shop", "v1:sha256:a").unwrap(),
                store.current_incident("shop").unwrap().map(|incident| incident.before),
            )
        };
        let before = tables(&store);
        testing::tamper(home.path(), sql);
        let words = found(&store).join("\n");
        // The file's own check finds a row that was made unreadable.
        assert!(words.contains(table), "{sql}: {words}");
        store.agree_with_trail("shop", now()).unwrap();
        assert_eq!(tables(&store), before, "{sql}");
        let left = found(&store).into_iter().filter(|words| !words.contains("bank")).collect::<Vec<_>>();
        assert_eq!(left, [""; 0], "{sql}");
        assert_eq!(store.current_incident("shop").unwrap().unwrap().id, incident, "{sql}");
    }
}

#[test]
fn altered_evidence_is_dropped_and_a_lost_incident_goes_on_without_it() {
    for sql in ["UPDATE incidents SET before = '{\"image\":\"sha256:a-strangers\"}'", "DELETE FROM incidents"]
    {
        let (home, store, incident, _) = with_open_step();
        testing::tamper(home.path(), sql);
        assert!(found(&store)[0].contains(&incident), "{sql}");
        store.agree_with_trail("shop", now()).unwrap();
        let open = store.current_incident("shop").unwrap().unwrap();
        assert_eq!((open.id, open.before), (incident, json!({})), "{sql}");
        assert_eq!(found(&store), [""; 0], "{sql}: what was put right is no difference at the next look");
    }
}

#[test]
fn a_suspension_without_a_record_does_not_count() {
    let (home, store) = testing::store();
    store.generation("shop", "v1:sha256:a").unwrap();
    testing::tamper(
        home.path(),
        "INSERT INTO suspensions VALUES ('shop', '2026-01-01T00:00:00.000000Z', NULL, 'no', 'nobody')",
    );
    assert_eq!(found(&store), ["the table of suspensions has shop as suspended, and no record has"]);
    store.agree_with_trail("shop", now()).unwrap();
    assert_eq!(store.suspension("shop").unwrap(), None);
}

#[test]
fn a_trail_that_is_broken_sets_nothing_free() {
    for sql in [
        "DELETE FROM trail WHERE kind = 'Suspended'",
        "UPDATE trail SET actor = 'nobody' WHERE kind = 'Suspended'; DELETE FROM suspensions",
        "INSERT INTO trail SELECT 9, time, object, service, incident, actor, 'Resumed', step, outcome, '{}', hash, hash
         FROM trail WHERE seq = 4; DELETE FROM suspensions",
    ] {
        let (home, store, ..) = with_open_step();
        drop(store);
        testing::tamper(home.path(), sql);
        let store = Store::open(home.path(), "another".into()).unwrap();
        assert!(matches!(store.verify().unwrap(), Verification::Broken { .. }), "{sql}");
        store.agree_with_trail("shop", now()).unwrap();
        assert!(store.suspension("shop").unwrap().is_some(), "{sql}");
    }
}

/// A later undrift wrote it, or somebody who can build a chain.
#[test]
fn an_unreadable_record_releases_no_suspension() {
    let kinds = [
        (AuditKind::StepIntended, json!({ "services": "api" })),
        (AuditKind::StepFinished, json!({ "intent": "the last one" })),
        (AuditKind::StepFinished, json!({ "intent": 1 })),
        (AuditKind::DriftDetected, json!({ "layer": "roof" })),
        (AuditKind::Stalled, json!({ "attempts": 3 })),
        (AuditKind::ManifestChanged, json!({ "generation": "next", "specDigest": "v1:sha256:c" })),
    ];
    for (kind, evidence) in kinds {
        let (home, store, ..) = with_open_step();
        let seq = store.append(&NewRecord { evidence, ..about_shop(kind) }).unwrap();
        assert!(store.verify().unwrap().is_whole(), "{kind}: its place in the chain is right");
        testing::tamper(
            home.path(),
            "INSERT INTO suspensions SELECT 'bank', since, until, reason, actor FROM suspensions",
        );
        store.agree_with_trail_in_all(now()).unwrap();
        assert_eq!(store.ledger().unreadable.as_ref().map(|error| error.seq), Some(seq), "{kind}");
        assert!(store.suspension("bank").unwrap().is_some(), "{kind}: it may be what the record tells of");
        testing::tamper(home.path(), "DELETE FROM suspensions");
        store.agree_with_trail_in_all(now()).unwrap();
        assert!(store.suspension("shop").unwrap().is_some(), "{kind}");
    }
}

/// A rollback needs the evidence from before, and what attempts there were says nothing of it.
#[test]
fn an_intent_whose_attempts_cannot_be_parsed_still_names_the_evidence_from_before() {
    let (_home, store, incident, _) = with_open_step();
    let evidence = json!({ "services": ["api"], "attempts": "many", "beforeDigest": "d2" });
    let step = Some(crate::api::StepKind::Up);
    let record =
        NewRecord { incident: Some(incident), evidence, step, ..about_shop(AuditKind::StepIntended) };
    let seq = store.append(&record).unwrap();
    let _ = store.agree_with_trail("shop", now());
    let ledger = store.ledger();
    assert_eq!(ledger.unreadable.as_ref().map(|error| error.seq), Some(seq));
    let open = ledger.objects["shop"].incident.as_ref().unwrap();
    assert_eq!(open.before, Some((seq, "d2".to_owned())));
}

#[test]
fn a_change_by_another_process_is_followed_through_the_trail() {
    let (home, store, ..) = with_open_step();
    store.agree_with_trail("shop", now()).unwrap();
    let person = Store::open(home.path(), "a person".into()).unwrap();
    person.resume("shop").unwrap();
    store.agree_with_trail("shop", now()).unwrap();
    assert_eq!(store.suspension("shop").unwrap(), None);
    person.suspend("shop", None, "once more").unwrap();
    testing::tamper(home.path(), "DELETE FROM suspensions");
    store.agree_with_trail("shop", now()).unwrap();
    assert_eq!(store.suspension("shop").unwrap().unwrap().reason, "once more");
}

#[test]
fn a_trail_that_is_cut_under_a_process_sets_nothing_free_in_it() {
    let (home, store, ..) = with_open_step();
    store.agree_with_trail("shop", now()).unwrap();
    let before = store.records(&RecordFilter::default()).unwrap();
    let (kept, cut) = (&before[0], before.len());
    testing::tamper(
        home.path(),
        &format!(
            "PRAGMA foreign_keys = OFF; DELETE FROM trail WHERE seq > 1; UPDATE head SET seq = 1, hash = '{}'; DELETE FROM suspensions; DELETE FROM open_steps;
             DELETE FROM tree_nodes; DELETE FROM checkpoints",
            kept.hash
        ),
    );
    let what = store.verify().unwrap();
    assert!(
        cut > 1 && matches!(what, Verification::Differs { records: 1, .. }),
        "its one record is whole: {what:?}"
    );
    store.agree_with_trail("shop", now()).unwrap();
    assert!(store.suspension("shop").unwrap().is_some());
    assert_eq!(store.ledger().broken.as_ref().map(|bad| bad.seq), Some(cut as u64));
}

#[test]
fn an_index_that_hides_a_record_is_found_and_hides_nothing_from_who_acts() {
    let (home, store, incident, intent) = with_open_step();
    let of_incident = RecordFilter { incident: Some(incident), ..RecordFilter::default() };
    let before = store.records(&of_incident).unwrap();
    drop(store);
    let index: String = testing::raw(home.path())
        .query_row("SELECT sql FROM sqlite_schema WHERE name = 'trail_incident'", [], |row| row.get(0))
        .unwrap();
    testing::tamper(
        home.path(),
        &format!(
            "DROP INDEX trail_incident; {index} WHERE seq <> {intent}; PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET sql = '{index}' WHERE name = 'trail_incident'"
        ),
    );
    let store = Store::open(home.path(), "another".into()).unwrap();
    assert_eq!(store.records(&of_incident).unwrap().len(), before.len() - 1, "it is hidden");
    assert!(found(&store)[0].contains("trail_incident"), "{:?}", found(&store));
    store.agree_with_trail("shop", now()).unwrap();
    assert_eq!(store.records(&of_incident).unwrap(), before);
    let page = RecordFilter { limit: Some(before.len()), ..of_incident };
    assert_eq!(store.records(&page).unwrap(), before, "page by page, too");
}

#[test]
fn attempt_that_never_began_may_be_forgotten_and_a_clock_that_was_set_back_a_little_alters_nothing() {
    let (_home, store, _, intent) = with_open_step();
    let record = NewRecord { outcome: Some("NotBegun".into()), ..NewRecord::of(AuditKind::StepFinished) };
    let rows = vec![Attempt { pending: None, tried: vec![], ..attempt(0) }];
    store.finish_with(FinishedStep { intent, record, more: None, rows: rows.clone() }).unwrap();
    store.forget_attempts(&[&rows[0]]).unwrap();
    assert_eq!(found(&store), [""; 0]);

    let (home, store, ..) = with_open_step();
    // A record that is older than the one before it.
    let early = Store::open_with_clock(
        home.path(),
        "early".into(),
        std::sync::Arc::new(|| testing::start() - TimeDelta::seconds(1)),
    );
    early.unwrap().append(&NewRecord::of(AuditKind::Started)).unwrap();
    assert_eq!(found(&store), [""; 0]);
}

#[test]
fn steps_that_were_dated_anew_agree() {
    let (_home, store, ..) = with_open_step();
    store.agree_with_trail("shop", now()).unwrap();
    // The clock is set back by half an hour, and runs on past the first date.
    let back = testing::start() - TimeDelta::minutes(30);
    store.settle_recent_steps(back).unwrap();
    for minutes in [0, 20, 40] {
        store.agree_with_trail("shop", back + TimeDelta::minutes(minutes)).unwrap();
        let dated = store.recent_steps("p", back + TimeDelta::minutes(1)).unwrap();
        assert_eq!(dated[0].at, back, "{minutes} min");
    }
}

//! When a checkpoint is signed, what it proves to a stranger, and which rewrites it finds.

use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::*;
use crate::{
    api::{Clock, NewRecord},
    store::{DigestKey, KeptCheckpoint, RecordFilter, Verification, key, testing},
};

fn kept(note: &str) -> KeptCheckpoint {
    KeptCheckpoint { name: "the checkpoint kept.note".into(), note: note.parse() }
}

fn what(found: Verification) -> String {
    match found {
        Verification::Whole { .. } => "whole".to_owned(),
        Verification::Broken { seq, what } => format!("record {seq} {what}"),
        Verification::Differs { what, .. } => what.join("; "),
    }
}

/// A record with which an incident would end, so that a checkpoint follows.
fn append_nth(store: &Store, n: u64) {
    let record =
        NewRecord { evidence: serde_json::json!({ "n": n }), ..NewRecord::of(AuditKind::Reconciled) };
    store.append(&record).unwrap();
}

fn sizes(store: &Store) -> Vec<u64> {
    checkpoints_in(&store.db()).unwrap().into_iter().map(|(size, _)| size).collect()
}

#[test]
fn a_checkpoint_is_signed_first_at_an_incidents_end_and_an_hour_later() {
    let home = tempfile::tempdir().unwrap();
    let now = Arc::new(Mutex::new(testing::start()));
    let clock: Clock = Arc::new({
        let now = Arc::clone(&now);
        move || *now.lock().unwrap()
    });
    let store = Store::open_with_clock(home.path(), "test".into(), clock).unwrap();
    let append = |kind, minutes: i64| {
        *now.lock().unwrap() = testing::start() + TimeDelta::minutes(minutes);
        store.append(&NewRecord::of(kind)).unwrap();
        sizes(&store)
    };
    assert_eq!(append(AuditKind::Started, 0), [1], "the first record");
    assert_eq!(append(AuditKind::Verified, 1), [1]);
    assert_eq!(append(AuditKind::Reconciled, 2), [1, 3]);
    assert_eq!(append(AuditKind::Stalled, 3), [1, 3, 4]);
    assert_eq!(append(AuditKind::Verified, 62), [1, 3, 4]);
    assert_eq!(append(AuditKind::Verified, 63), [1, 3, 4, 6]);
    assert_eq!(append(AuditKind::Verified, 5), [1, 3, 4, 6, 7], "the clock was set back");
    assert_eq!(what(store.verify().unwrap()), "whole");
}

#[test]
fn each_record_that_is_covered_is_proven_offline() {
    let (_home, store) = testing::store();
    for n in 0..11 {
        append_nth(&store, n);
    }
    let key = store.checkpoint_key().unwrap().unwrap();
    assert!(key.name().as_str().starts_with("undrift/"), "{key}");
    let proven = store.proven(1..=12).unwrap();
    let last = *sizes(&store).last().unwrap();
    assert_eq!(proven.iter().map(|one| one.seq).collect::<Vec<_>>(), (1..=last).collect::<Vec<_>>());
    let records = store.records(&RecordFilter::default()).unwrap();
    for (one, record) in proven.iter().zip(&records) {
        let text = one.proof.to_string();
        let read: RecordProof = text.parse().unwrap();
        let head = read.verify(one.form.as_bytes(), one.seq - 1, &key).unwrap();
        assert_eq!(head.size, last);
        assert_eq!(hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&one.form)), record.hash);
        let altered = one.form.replace("Reconciled", "Stalled");
        assert!(read.verify(altered.as_bytes(), one.seq - 1, &key).is_err());
    }
}

/// Another trail, without a record, under the key of this folder.
fn with_the_key_of(home: &std::path::Path) -> (TempDir, Store) {
    // A key beside no trail at all would be a trail that was lost.
    let (other, store) = testing::store();
    drop(store);
    std::fs::copy(home.join(key::FILE), other.path().join(key::FILE)).unwrap();
    let store = Store::open_with_clock(other.path(), "ops@host undrift[1] test".into(), testing::clock());
    (other, store.unwrap())
}

/// What somebody has who may write the folder: the key and undrift's own code, but not the checkpoint that was kept elsewhere.
fn rewritten(from: u64, records: u64) -> (TempDir, Store, String) {
    let (home, store) = testing::store();
    for n in 0..records {
        append_nth(&store, n);
    }
    let (origin, note) = {
        let db = store.db();
        (origin_in(&db).unwrap().unwrap(), newest_in(&db).unwrap().unwrap().1)
    };
    let (other, forged) = with_the_key_of(home.path());
    for n in 0..records {
        append_nth(&forged, if n + 1 < from { n } else { n + 100 });
    }
    testing::tamper(
        other.path(),
        &format!(
            "UPDATE trail_origin SET origin = '{origin}'; DELETE FROM checkpoints; DELETE FROM checkpoint_keys"
        ),
    );
    (other, forged, note)
}

#[test]
fn a_rewrite_with_all_hashes_is_found_by_who_has_a_checkpoint_and_by_nobody_else() {
    for from in [1, 2, 5, 8] {
        let (_home, forged, note) = rewritten(from, 8);
        assert_eq!(what(forged.verify().unwrap()), "whole", "every hash was made anew");
        let found = what(forged.verify_against(&[kept(&note)]).unwrap());
        let expected = "the checkpoint kept.note does not fit: one of the first 8 records was another when it was signed";
        assert_eq!(found, expected, "from record {from}");
    }
    let (_home, same, note) = rewritten(9, 8);
    assert_eq!(what(same.verify_against(&[kept(&note)]).unwrap()), "whole", "nothing was rewritten");
}

#[test]
fn a_checkpoint_that_is_not_one_of_this_trail_is_a_difference() {
    let (_home, store) = testing::store();
    let (_other_home, other) = testing::store();
    for n in 0..4 {
        append_nth(&store, n);
        append_nth(&other, n);
    }
    let note = other.newest_checkpoint().unwrap().unwrap();
    let found = what(store.verify_against(&[kept(&note)]).unwrap());
    assert!(found.starts_with("the checkpoint kept.note is none of this trail: "), "{found}");
    for bad in ["", "x", "undrift/a\n1\nx\n\n— a b\n"] {
        let found = what(store.verify_against(&[kept(bad)]).unwrap());
        assert!(found.contains("is none of this trail"), "{bad}: {found}");
    }
}

#[test]
fn an_end_that_was_cut_off_is_found_though_the_head_fits() {
    let (_home, cut, note) = cut_off();
    let found = what(cut.verify_against(&[kept(&note)]).unwrap());
    assert_eq!(found, "the checkpoint kept.note covers 8 records, and the trail has 5: its end was cut off");
}

/// A trail of five records, with the checkpoint of when it had eight.
fn cut_off() -> (TempDir, Store, String) {
    let (home, long) = testing::store();
    for n in 0..8 {
        append_nth(&long, n);
    }
    let (origin, note) = {
        let db = long.db();
        (origin_in(&db).unwrap().unwrap(), newest_in(&db).unwrap().unwrap().1)
    };
    let (other, cut) = with_the_key_of(home.path());
    for n in 0..5 {
        append_nth(&cut, n);
    }
    testing::tamper(
        other.path(),
        &format!(
            "UPDATE trail_origin SET origin = '{origin}'; DELETE FROM checkpoints; DELETE FROM checkpoint_keys"
        ),
    );
    (other, cut, note)
}

#[test]
fn a_tree_and_checkpoints_that_somebody_altered_are_named() {
    for (sql, expected) in [
        (
            "UPDATE tree_nodes SET hash = zeroblob(32) WHERE level = 0 AND place = 2",
            "the tree over the trail differs from its records, from record 3 on",
        ),
        (
            "UPDATE tree_nodes SET hash = zeroblob(32) WHERE level = 2",
            "the tree over the trail differs from its records, from record 1 on",
        ),
        ("INSERT INTO tree_nodes VALUES (0, 9, zeroblob(32))", "2 records more than the trail"),
        ("UPDATE checkpoints SET note = replace(note, 'undrift', 'undrifd')", "is none of this trail"),
        (
            "UPDATE checkpoints SET size = 70 WHERE size = 8",
            "the stored checkpoint of 70 records is one of another number of records",
        ),
        ("UPDATE trail_origin SET origin = 'undrift/x/y'", "is none of this trail"),
    ] {
        let (home, store) = testing::store();
        for n in 0..8 {
            append_nth(&store, n);
        }
        testing::tamper(home.path(), sql);
        let found = what(store.verify().unwrap());
        assert!(found.contains(expected), "{sql}: {found}");
    }
}

#[test]
fn a_damaged_tree_takes_nothing_from_the_records_and_signs_nothing() {
    for sql in [
        "DELETE FROM tree_nodes WHERE level > 0",
        "INSERT INTO tree_nodes VALUES (1, 1, zeroblob(32))",
        "UPDATE trail_origin SET origin = 'two words'",
    ] {
        let (home, store) = testing::store();
        (0..3).for_each(|n| append_nth(&store, n));
        let signed = sizes(&store);
        testing::tamper(home.path(), sql);
        (3..9).for_each(|n| append_nth(&store, n));
        let records = store.records(&RecordFilter::default()).unwrap().len();
        assert_eq!((records, sizes(&store)), (9, signed), "{sql}");
        assert_ne!(what(store.verify().unwrap()), "whole", "{sql}");
    }
}

#[test]
fn the_tables_refuse_to_be_rewritten() {
    let (home, store) = testing::store();
    append_nth(&store, 0);
    for table in ["tree_nodes", "trail_origin", "checkpoints"] {
        for sql in [format!("DELETE FROM {table}"), format!("UPDATE {table} SET rowid = rowid")] {
            let sql = if table == "tree_nodes" { sql.replace("rowid = rowid", "level = level") } else { sql };
            assert!(testing::raw(home.path()).execute(&sql, []).is_err(), "{sql}");
        }
    }
}

#[test]
fn a_trail_without_a_tree_grows_one_in_portions_and_has_no_checkpoint_before_it_is_whole() {
    let (home, store) = testing::store();
    for n in 0..10 {
        append_nth(&store, n);
    }
    let before: Vec<String> =
        checkpoints_in(&store.db()).unwrap().into_iter().map(|(_, note)| note).collect();
    let whole = head(&StoredNodes(&store.db()), 10).unwrap();
    testing::tamper(
        home.path(),
        "DELETE FROM tree_nodes; DELETE FROM checkpoints; DELETE FROM checkpoint_keys",
    );
    assert_eq!(what(store.verify().unwrap()), "whole", "a tree that is not there yet is no difference");
    let grown = store.write("test", |change| {
        let grown = [4, 4, 4].map(|portion| crate::store::tree::grow_by(change, 10, portion).unwrap());
        Ok(grown)
    });
    assert_eq!(grown.unwrap(), [4, 8, 10]);
    assert_eq!(head(&StoredNodes(&store.db()), 10).unwrap(), whole);
    assert_eq!(what(store.verify_against(&[kept(&before[0])]).unwrap()), "whole");
}

#[test]
fn the_key_that_signs_is_the_folders_and_no_other() {
    let (home, store) = testing::store();
    append_nth(&store, 0);
    let key = |store: &Store| store.checkpoint_key().unwrap().map(|key| key.to_string());
    let first = key(&store);
    assert!(first.is_some());
    drop(store);
    let again = Store::open_read_only(home.path()).unwrap().unwrap();
    assert_eq!(key(&again), first, "it outlives the process");
    assert_ne!(DigestKey::of(home.path()).unwrap().signing_seed(), [0; 32]);
    drop(again);
    std::fs::remove_file(home.path().join(key::FILE)).unwrap();
    let without = Store::open_read_only(home.path()).unwrap().unwrap();
    assert_eq!(key(&without), first, "its public half is on record");
    assert!(without.signing_key().unwrap().is_none());
    assert!(without.newest_checkpoint().unwrap().is_some(), "who may not read the key sees what it signed");
}

//! What a replaced key, an unreadable one and a state of before mean for checkpoints, and which records make one due.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use chrono::TimeDelta;
use tempfile::TempDir;

use super::*;
use crate::{
    api::{Anchored, AuditKind, Clock, NewRecord},
    store::{KeptCheckpoint, StoreError, Verification, key, testing},
};

/// A record with which an incident would end, so that a checkpoint follows.
fn end(store: &Store) {
    store.append(&NewRecord::of(AuditKind::Reconciled)).unwrap();
}

fn kept(note: &str) -> [KeptCheckpoint; 1] {
    [KeptCheckpoint { name: "the checkpoint kept.note".into(), note: note.parse() }]
}

fn what(found: Verification) -> String {
    match found {
        Verification::Whole { .. } => "whole".to_owned(),
        Verification::Broken { seq, what } => format!("record {seq} {what}"),
        Verification::Differs { what, .. } => what.join("; "),
    }
}

fn reopened(home: &Path) -> Store {
    Store::open_with_clock(home, "test".into(), testing::clock()).unwrap()
}

fn replace_key(home: &Path, byte: u8) {
    std::fs::write(home.join(key::FILE), [byte; 32]).unwrap();
}

/// A trail of four records under one key, and then one more under another.
fn under_two_keys() -> (TempDir, Store, String) {
    let (home, store) = testing::store();
    (0..4).for_each(|_| end(&store));
    let note = store.newest_checkpoint().unwrap().unwrap();
    drop(store);
    replace_key(home.path(), 7);
    let store = reopened(home.path());
    store.append(&NewRecord::of(AuditKind::Verified)).unwrap();
    (home, store, note)
}

#[test]
fn a_replaced_key_signs_at_once_and_what_the_old_one_signed_still_counts() {
    let (_home, store, old) = under_two_keys();
    let keys = store.recorded_keys().unwrap();
    assert_eq!(keys.iter().map(|key| key.since).collect::<Vec<_>>(), [1, 5]);
    let newest = store.stored_checkpoint().unwrap().unwrap();
    assert_eq!(newest.head.size, 5, "no incident ended, and no hour has passed");
    assert!(newest.note.verify(&keys[1].key).is_ok() && newest.note.verify(&keys[0].key).is_err());
    assert_eq!(store.newest_checkpoints_key().unwrap(), store.checkpoint_key().unwrap());
    assert_eq!(what(store.verify_against(&kept(&old)).unwrap()), "whole");
    // Once: the next record makes none due.
    store.append(&NewRecord::of(AuditKind::Verified)).unwrap();
    assert_eq!(store.stored_checkpoint().unwrap().unwrap().head.size, 5);
    assert!(store.signing_key().unwrap().is_some());
    assert_eq!(
        store.checkpoint_over(2).unwrap(),
        store.newest_checkpoint().unwrap(),
        "of one key with the proofs"
    );
    assert_eq!(store.proven(1..=5).unwrap().len(), 5);
}

#[test]
fn before_the_new_key_has_signed_nothing_is_signed_beside_the_old_checkpoint() {
    let (home, store) = testing::store();
    end(&store);
    let first = store.checkpoint_key().unwrap();
    drop(store);
    replace_key(home.path(), 7);
    let store = Store::open_read_only(home.path()).unwrap().unwrap();
    assert_eq!(store.newest_checkpoints_key().unwrap(), first);
    assert_eq!(store.proven([1]).unwrap().len(), 1);
    assert!(store.signing_key().unwrap().is_none());
}

#[test]
fn a_checkpoint_by_an_earlier_key_is_worded_as_such() {
    let (home, store, old) = under_two_keys();
    let origin = origin_in(&store.db()).unwrap().unwrap();
    let keys: Vec<String> = store.recorded_keys().unwrap().iter().map(|key| key.key.to_string()).collect();
    // The same two keys, and another trail.
    let (other, forged) = testing::store();
    (0..4).for_each(|_| forged.append(&NewRecord::of(AuditKind::Stalled)).map(drop).unwrap());
    drop(forged);
    std::fs::copy(home.path().join(key::FILE), other.path().join(key::FILE)).unwrap();
    testing::tamper(
        other.path(),
        &format!(
            "DELETE FROM checkpoints; DELETE FROM checkpoint_keys; UPDATE trail_origin SET origin = '{origin}';
             INSERT INTO checkpoint_keys VALUES (1, '{}'), (5, '{}')",
            keys[0], keys[1]
        ),
    );
    let found = what(reopened(other.path()).verify_against(&kept(&old)).unwrap());
    let expected = "the checkpoint kept.note, signed by an earlier key of this trail, does not fit: one of the first 4 records \
                    was another when it was signed";
    assert!(found.starts_with(expected), "{found}");
}

#[test]
fn a_checkpoint_by_a_key_that_the_trail_never_had_is_refused() {
    let (_home, store, _) = under_two_keys();
    let (other_home, other) = testing::store();
    drop(other);
    replace_key(other_home.path(), 9);
    let other = reopened(other_home.path());
    (0..4).for_each(|_| end(&other));
    let foreign = other.newest_checkpoint().unwrap().unwrap();
    let found = what(store.verify_against(&kept(&foreign)).unwrap());
    assert!(found.starts_with("the checkpoint kept.note is none of this trail"), "{found}");
    // Not even with the trail's own name.
    let origin = origin_in(&store.db()).unwrap().unwrap();
    let seed = DigestKeySeed::of(other_home.path());
    let signed = seed.signed(&origin, 4);
    let found = what(store.verify_against(&kept(&signed)).unwrap());
    assert!(found.contains("is none of this trail: the note is not signed by"), "{found}");
}

/// Signs what the folder's key never signed.
struct DigestKeySeed([u8; 32]);

impl DigestKeySeed {
    fn of(home: &Path) -> Self {
        Self(crate::store::DigestKey::of(home).unwrap().signing_seed())
    }

    fn signed(&self, origin: &str, size: u64) -> String {
        use crate::tlog::{checkpoint::Checkpoint, hash::Hash, key::SigningKey, tree::TreeHead};
        let key = SigningKey::from_seed(origin.parse().unwrap(), &self.0).unwrap();
        Checkpoint::sign(TreeHead { size, root: Hash::of_leaf(b"") }, &key).to_string()
    }
}

#[test]
fn a_key_on_record_of_another_trail_or_none_verifies_nothing() {
    for sql in [
        "UPDATE checkpoint_keys SET key = replace(key, 'undrift', 'undrifd')",
        "UPDATE checkpoint_keys SET key = 'x' WHERE since = 1",
    ] {
        let (home, store, old) = under_two_keys();
        testing::tamper(home.path(), sql);
        let found = what(store.verify_against(&kept(&old)).unwrap());
        assert!(found.contains("the checkpoint kept.note is none of this trail"), "{sql}: {found}");
    }
}

#[test]
fn who_may_not_read_the_key_compares_by_the_one_on_record_or_learns_that_nobody_can_tell() {
    let (home, store, _) = under_two_keys();
    let note = store.newest_checkpoint().unwrap().unwrap();
    let key = store.checkpoint_key().unwrap();
    drop(store);
    std::fs::remove_file(home.path().join(key::FILE)).unwrap();
    let reader = || Store::open_read_only(home.path()).unwrap().unwrap();
    assert_eq!(reader().checkpoint_key().unwrap(), key);
    assert_eq!(what(reader().verify_against(&kept(&note)).unwrap()), "whole");
    let altered = note.replace("\n5\n", "\n4\n");
    assert!(what(reader().verify_against(&kept(&altered)).unwrap()).contains("is none of this trail"));
    testing::tamper(home.path(), "DELETE FROM checkpoint_keys");
    let unknown = reader().verify_against(&kept(&note)).unwrap_err();
    assert!(matches!(unknown, StoreError::Incomparable(_)), "{unknown}");
    assert_eq!(what(reader().verify().unwrap()), "whole", "without a checkpoint to compare");
    testing::tamper(home.path(), "UPDATE trail SET actor = 'nobody' WHERE seq = 3");
    let found = what(reader().verify_against(&kept(&note)).unwrap());
    assert!(found.starts_with("record 3"), "what is broken is, whoever looks: {found}");
}

#[test]
fn the_table_of_keys_refuses_to_be_rewritten() {
    let (home, _store, _) = under_two_keys();
    for sql in ["DELETE FROM checkpoint_keys", "UPDATE checkpoint_keys SET key = ''"] {
        assert!(testing::raw(home.path()).execute(sql, []).is_err(), "{sql}");
    }
}

#[test]
fn an_upgrade_records_the_key_that_signed_before_so_that_it_may_be_replaced() {
    let (home, store) = testing::store();
    (0..3).for_each(|_| end(&store));
    let (old, key) = (store.newest_checkpoint().unwrap().unwrap(), store.checkpoint_key().unwrap());
    drop(store);
    testing::raw(home.path()).execute_batch("DROP TABLE checkpoint_keys; PRAGMA user_version = 10").unwrap();
    let store = reopened(home.path());
    let recorded = store.recorded_keys().unwrap();
    assert_eq!((recorded.len(), recorded[0].since, Some(recorded[0].key.clone())), (1, 1, key));
    drop(store);
    replace_key(home.path(), 7);
    let store = reopened(home.path());
    end(&store);
    assert_eq!(what(store.verify_against(&kept(&old)).unwrap()), "whole");
}

/// Otherwise an idle undrift would sign, deliver, record that, and sign again, each hour and for ever.
#[test]
fn the_record_of_a_delivery_makes_no_checkpoint_due() {
    let now = Arc::new(Mutex::new(testing::start()));
    let clock: Clock = Arc::new({
        let now = Arc::clone(&now);
        move || *now.lock().unwrap()
    });
    let home = tempfile::tempdir().unwrap();
    let store = Store::open_with_clock(home.path(), "test".into(), clock).unwrap();
    let anchored = Anchored { anchor: "journal".into(), size: 1, root: "AAA=".into() };
    let size = || store.stored_checkpoint().unwrap().map(|newest| newest.head.size);
    store.append(&NewRecord::anchor_failed("journal", 0, "it is gone")).unwrap();
    assert_eq!(size(), None);
    store.append(&NewRecord::of(AuditKind::Started)).unwrap();
    assert_eq!(size(), Some(2));
    for hours in 1..4 {
        *now.lock().unwrap() = testing::start() + TimeDelta::hours(hours);
        store.append(&NewRecord::anchored(&anchored)).unwrap();
        store.append(&NewRecord::anchor_failed("journal", 1, "it is gone")).unwrap();
        assert_eq!(size(), Some(2), "after {hours} h");
    }
    store.append(&NewRecord::of(AuditKind::Verified)).unwrap();
    assert_eq!(size(), Some(9), "which covers them, too");
}

#[test]
fn a_trail_of_before_gets_its_tree_and_its_first_checkpoint_without_a_further_record() {
    let (home, store) = testing::long_trail(5_000);
    testing::tamper(
        home.path(),
        "DELETE FROM tree_nodes; DELETE FROM checkpoints; DELETE FROM checkpoint_keys; DELETE FROM trail_origin",
    );
    assert!(!store.tree_growth().unwrap().is_complete());
    let mut portions = 0;
    while !store.grow_tree().unwrap().is_complete() {
        assert_eq!(store.newest_checkpoint().unwrap(), None);
        portions += 1;
    }
    assert_eq!((portions, store.stored_checkpoint().unwrap().unwrap().head.size), (2, 5_000));
    assert_eq!(what(store.verify().unwrap()), "whole");
    let first = store.newest_checkpoint().unwrap();
    store.grow_tree().unwrap();
    assert_eq!(store.newest_checkpoint().unwrap(), first, "one is enough");
}

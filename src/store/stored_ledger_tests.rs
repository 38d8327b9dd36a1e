use super::*;
use crate::store::{RecordFilter, Store, StoreError, testing};

const LONG: u64 = 3 * 1024 + 8;

fn now() -> crate::api::Time {
    testing::start() + chrono::TimeDelta::days(1)
}

fn seq_of(store: &Store) -> Option<u64> {
    let row = store.db().query_row("SELECT seq FROM ledgers", [], |row| Ok(number(row.get(0)?)));
    row.optional().unwrap()
}

fn text(ledger: &Ledger) -> String {
    serde_json::to_string(ledger).unwrap()
}

fn walked(store: &Store) -> String {
    let mut ledger = Ledger::default();
    ledger.follow(&store.db()).unwrap();
    text(&ledger)
}

fn resumed(store: &Store) -> Ledger {
    let mut ledger = Ledger::default();
    ledger.resume(&store.db(), store.key.as_ref()).unwrap();
    ledger
}

#[test]
fn a_process_that_starts_goes_on_from_the_stored_sum_and_comes_to_the_same() {
    let (home, store) = testing::long_trail(LONG);
    assert_eq!(seq_of(&store), None, "who only writes has no sum");
    store.suspend("shop-1", None, "a migration").unwrap();
    store.agree_with_trail_in_all(now()).unwrap();
    assert_eq!(seq_of(&store), Some(LONG + 1));
    drop(store);
    let store = Store::open(home.path(), "another".into()).unwrap();
    testing::without_sync(&store);
    (0..2_000).for_each(|n| testing::append_nth(&store, n));
    let mut ledger = resumed(&store);
    assert_eq!(ledger.chain.records, LONG + 1);
    ledger.follow(&store.db()).unwrap();
    assert_eq!(text(&ledger), walked(&store));
    store.agree_with_trail_in_all(now()).unwrap();
    assert_eq!(seq_of(&store), Some(LONG + 1 + 2_000));
    assert!(store.suspension("shop-1").unwrap().is_some());
    assert!(store.verify().unwrap().is_whole());
}

#[test]
fn a_sum_that_somebody_else_wrote_or_of_another_trail_does_not_count() {
    for alter in [
        "UPDATE ledgers SET ledger = replace(ledger, 'a migration', 'nothing')",
        "UPDATE ledgers SET seq = seq - 1",
        "UPDATE ledgers SET hash = (SELECT hash FROM trail LIMIT 1)",
        "DELETE FROM seals WHERE table_name = 'ledgers'",
        "DELETE FROM ledgers",
    ] {
        let (home, store) = testing::long_trail(LONG);
        store.suspend("shop-1", None, "a migration").unwrap();
        store.agree_with_trail_in_all(now()).unwrap();
        drop(store);
        testing::tamper(home.path(), alter);
        let store = Store::open(home.path(), "another".into()).unwrap();
        assert_eq!(resumed(&store).chain.records, 0, "{alter}");
        assert!(!store.verify().unwrap().is_whole(), "{alter}");
        store.agree_with_trail_in_all(now()).unwrap();
        assert!(store.suspension("shop-1").unwrap().is_some(), "{alter}");
        assert!(store.verify().unwrap().is_whole(), "{alter}");
    }
}

#[test]
fn audit_verify_does_not_rest_on_it_and_a_broken_trail_has_none() {
    let (home, store) = testing::long_trail(LONG);
    store.agree_with_trail_in_all(now()).unwrap();
    testing::tamper(home.path(), "UPDATE trail SET actor = 'nobody' WHERE seq = 2060");
    assert!(matches!(store.verify().unwrap(), crate::store::Verification::Broken { seq: 2060, .. }));
    let (home, store) = testing::long_trail(LONG);
    testing::tamper(home.path(), "UPDATE trail SET actor = 'nobody' WHERE seq = 2060");
    store.agree_with_trail_in_all(now()).unwrap();
    assert_eq!(seq_of(&store), None);
}

#[test]
fn incidents_that_the_ledger_has_no_places_of_are_read_by_the_index() {
    let (_home, store) = testing::long_trail(LONG);
    store.agree_with_trail_in_all(now()).unwrap();
    let of = |incident: &str| RecordFilter { incident: Some(incident.into()), ..RecordFilter::default() };
    for incident in ["I0", "I1", "I300", "I767"] {
        assert_eq!(store.records(&of(incident)).unwrap().len(), 4, "{incident}");
    }
    assert_eq!(store.events(&of("I9")).map_err(|error: StoreError| error.to_string()).unwrap().len(), 4);
}

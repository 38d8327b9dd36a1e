use std::path::Path;

use chrono::TimeDelta;
use rusqlite::params;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::{
    api::{AuditKind, NewRecord, Time},
    store::{RecordFilter, Store, Verification, folder, steps::signed, testing},
};

/// Two segments and a tail.
const LONG: u64 = 3 * RECORDS + 8;

fn count(home: &Path, table: &str) -> u64 {
    let select = format!("SELECT count(*) FROM {table}");
    testing::raw(home).query_row(&select, [], |row| Ok(number(row.get(0)?))).unwrap()
}

/// That trail, closed: each copy of it may be spoiled in its own way.
fn at_rest() -> (TempDir, Vec<AuditRecord>) {
    let (home, store) = testing::long_trail(LONG);
    let records = store.records(&RecordFilter::default()).unwrap();
    drop(store);
    testing::raw(home.path()).query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    (home, records)
}

fn copy_of(home: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in [folder::FILE, "digest.key"] {
        std::fs::copy(home.join(name), copy.path().join(name)).unwrap();
    }
    copy
}

fn verified(home: &Path) -> Verification {
    Store::open_read_only(home).unwrap().unwrap().verify().unwrap()
}

/// Rewrites the lines of a segment, as somebody would who knows the form and has zstd.
fn rewrite(home: &Path, segment: u64, change: impl FnOnce(&mut Vec<String>)) {
    testing::tamper(home, "");
    let db = testing::raw(home);
    let mut lines: Vec<String> =
        Segment::of(&db, segment).unwrap().unwrap().lines().unwrap().map(str::to_owned).collect();
    change(&mut lines);
    let packed = pack(&(lines.join("\n") + "\n")).unwrap();
    db.execute("UPDATE segments SET records = ?1 WHERE number = ?2", params![packed, signed(segment)])
        .unwrap();
}

#[test]
fn older_records_are_packed_and_read_as_they_were_written() {
    let (home, store) = testing::store();
    testing::without_sync(&store);
    let mut written = Vec::new();
    for n in 0..LONG {
        testing::append_nth(&store, n);
        let newest = RecordFilter { limit: Some(1), ..RecordFilter::default() };
        written.extend(store.newest_records(&newest).unwrap());
    }
    assert_eq!((count(home.path(), "segments"), count(home.path(), "trail")), (2, RECORDS + 8));
    assert_eq!(store.records(&RecordFilter::default()).unwrap(), written);
    let head = written.last().unwrap().hash.clone();
    assert_eq!(store.verify().unwrap(), Verification::Whole { records: LONG, head });
    for record in &written {
        assert_eq!(hash_in(&store.db(), record.seq).unwrap().as_ref(), Some(&record.hash));
    }
    assert_eq!(hash_in(&store.db(), LONG + 1).unwrap(), None);
}

#[test]
fn each_filter_finds_in_segments_what_it_finds_in_the_table() {
    let (home, all) = at_rest();
    let store = Store::open_read_only(home.path()).unwrap().unwrap();
    let seqs = |records: &[AuditRecord]| records.iter().map(|record| record.seq).collect::<Vec<_>>();
    let at = |n: i64| Some(testing::start() + TimeDelta::seconds(n));
    let none = RecordFilter::default;
    for filter in [
        RecordFilter { object: Some("first".into()), ..none() },
        RecordFilter { object: Some("shop-2".into()), service: Some("web".into()), ..none() },
        RecordFilter { service: Some("api".into()), ..none() },
        RecordFilter { incident: Some("I0".into()), ..none() },
        RecordFilter { incident: Some("I511".into()), object: Some("shop-1".into()), ..none() },
        RecordFilter { incident: Some("I1".into()), object: Some("shop-0".into()), ..none() },
        RecordFilter { since: at(2_000), until: at(2_100), ..none() },
        RecordFilter { until: at(5), ..none() },
        RecordFilter { object: Some("shop-0".into()), since: at(3_000), ..none() },
        RecordFilter { after: Some(RECORDS), ..none() },
        RecordFilter { after: Some(RECORDS - 1), ..none() },
        RecordFilter { after: Some(2 * RECORDS + 3), incident: Some("I600".into()), ..none() },
        RecordFilter { object: Some("nobody".into()), ..none() },
    ] {
        let is = |asked: &Option<String>, found: &Option<String>| asked.is_none() || asked == found;
        let time = |record: &AuditRecord| record.time.parse::<Time>().unwrap();
        let services = |record: &AuditRecord| {
            let listed = record.evidence["services"].as_array().into_iter().flatten();
            listed
                .filter_map(|name| name.as_str())
                .chain(record.service.as_deref())
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let expected: Vec<AuditRecord> = all
            .iter()
            .filter(|record| {
                is(&filter.object, &record.object)
                    && is(&filter.incident, &record.incident)
                    && filter.service.as_ref().is_none_or(|service| services(record).contains(service))
                    && filter.since.is_none_or(|since| time(record) >= since)
                    && filter.until.is_none_or(|until| time(record) <= until)
                    && filter.after.is_none_or(|after| record.seq > after)
            })
            .cloned()
            .collect();
        assert_eq!(seqs(&store.records(&filter).unwrap()), seqs(&expected), "{filter:?}");
        let limited = RecordFilter { limit: Some(3), ..filter.clone() };
        assert_eq!(store.records(&limited).unwrap(), expected[..expected.len().min(3)], "{limited:?}");
        let newest = &expected[expected.len().saturating_sub(3)..];
        assert_eq!(store.newest_records(&limited).unwrap(), newest, "{limited:?}");
        let mut paged = Vec::new();
        store
            .each_page(&filter, |page| {
                paged.extend(page);
                Ok::<_, crate::store::StoreError>(())
            })
            .unwrap();
        assert_eq!(seqs(&paged), seqs(&expected), "{filter:?}");
    }
    assert_eq!(store.latest_of(&[AuditKind::Reconciled]).unwrap().unwrap().seq, LONG);
    assert_eq!(store.latest_of(&[AuditKind::Stalled]).unwrap(), None);
}

#[test]
fn what_lies_in_segments_alone_is_found_by_its_kind_and_its_time() {
    let (home, store) = testing::store();
    testing::without_sync(&store);
    store
        .append(&NewRecord { evidence: json!({ "version": "1" }), ..NewRecord::of(AuditKind::Started) })
        .unwrap();
    // The clock was wrong by days at that time.
    let late = testing::start() + TimeDelta::days(9);
    let early =
        Store::open_with_clock(home.path(), "early".into(), std::sync::Arc::new(move || late)).unwrap();
    early.append(&NewRecord::of(AuditKind::Stopped)).unwrap();
    (0..2 * RECORDS + 2).for_each(|n| testing::append_nth(&store, n));
    assert_eq!(count(home.path(), "segments"), 1);
    assert_eq!(store.latest_of(&[AuditKind::Started]).unwrap().unwrap().seq, 1);
    assert_eq!(store.latest_time().unwrap(), Some(late));
    let since = RecordFilter { since: Some(late), ..RecordFilter::default() };
    assert_eq!(store.records(&since).unwrap()[0].seq, 2);
    assert_eq!(crate::store::running_version(home.path()), None);
}

#[test]
fn a_long_trail_of_an_earlier_version_is_packed_by_a_segment_a_write() {
    let (home, store) = testing::store();
    testing::without_sync(&store);
    store.is_unpackable.store(true, std::sync::atomic::Ordering::Relaxed);
    (0..5 * RECORDS).for_each(|n| testing::append_nth(&store, n));
    let before = store.records(&RecordFilter::default()).unwrap();
    assert_eq!(count(home.path(), "segments"), 0);
    drop(store);
    let store = Store::open(home.path(), "test".into()).unwrap();
    for segments in 1..=4 {
        store.keep_manifest_fault("shop", Some(&format!("fault {segments}"))).unwrap();
        assert_eq!(count(home.path(), "segments"), segments);
        assert_eq!(store.records(&RecordFilter::default()).unwrap(), before);
    }
    store.keep_manifest_fault("shop", None).unwrap();
    assert_eq!(count(home.path(), "segments"), 4, "the newest stay");
    assert!(store.verify().unwrap().is_whole());
}

#[test]
fn a_record_that_was_altered_is_not_packed_and_found_where_it_is() {
    let (home, store) = testing::long_trail(2 * RECORDS - 1);
    testing::tamper(home.path(), "UPDATE trail SET actor = 'nobody' WHERE seq = 7");
    (0..5).for_each(|n| testing::append_nth(&store, n));
    assert_eq!(count(home.path(), "segments"), 0);
    assert!(matches!(store.verify().unwrap(), Verification::Broken { seq: 7, .. }));
}

#[test]
fn the_database_refuses_to_rewrite_a_segment_and_to_delete_what_none_has() {
    let (home, _) = at_rest();
    let db = testing::raw(home.path());
    for sql in [
        "DELETE FROM trail",
        "DELETE FROM trail WHERE seq = 2049",
        "DELETE FROM segments WHERE number = 1",
        "UPDATE segments SET last_hash = ''",
        "INSERT OR REPLACE INTO segments SELECT * FROM segments WHERE number = 1",
        "INSERT INTO segments SELECT 3, prev_hash, last_hash, min_time, max_time, records FROM segments WHERE number = 1",
        "INSERT INTO segments SELECT 9, prev_hash, last_hash, min_time, max_time, records FROM segments WHERE number = 1",
        "DELETE FROM segment_index",
        "UPDATE segment_index SET segment = 0",
    ] {
        db.execute(sql, []).expect_err(sql);
    }
}

/// What somebody makes of the lines of a segment, and the number of the record that is the first bad one.
type Rewriting = (&'static str, fn(&mut Vec<String>), u64);

#[test]
fn a_segment_that_was_written_anew_is_found() {
    let (home, _) = at_rest();
    let rewritings: [Rewriting; 10] = [
        ("a field", |lines| lines[4] = lines[4].replace("shop-1", "shop-2"), 5),
        ("evidence", |lines| lines[10] = lines[10].replace("\"looks\":7", "\"looks\":8"), 11),
        ("spaces", |lines| lines[10] = lines[10].replace("\"looks\":7", "\"looks\": 7"), 11),
        ("the last", |lines| lines[1023] = lines[1023].replace("\"steps\"", "\"stepz\""), 1024),
        ("removed", |lines| drop(lines.remove(500)), 501),
        ("the last removed", |lines| lines.truncate(1023), 1024),
        ("doubled", |lines| lines.insert(500, lines[500].clone()), 501),
        ("one more", |lines| lines.push(lines[0].clone()), 1),
        ("swapped", |lines| lines.swap(100, 101), 101),
        ("empty", Vec::clear, 1),
    ];
    for (what, change, expected) in rewritings {
        let copy = copy_of(home.path());
        rewrite(copy.path(), 0, change);
        match verified(copy.path()) {
            Verification::Broken { seq, .. } => assert_eq!(seq, expected, "{what}"),
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn a_segment_that_is_gone_or_damaged_or_another_is_found() {
    let (home, _) = at_rest();
    let (other, _) = at_rest();
    let foreign = testing::raw(other.path())
        .query_row("SELECT records FROM segments WHERE number = 1", [], |row| row.get::<_, Vec<u8>>(0))
        .unwrap();
    for (sql, expected) in [
        ("DELETE FROM segments WHERE number = 0", 1),
        ("DELETE FROM segments WHERE number = 1", RECORDS + 1),
        ("DELETE FROM segments", 1),
        (
            "UPDATE segments SET records = substr(records, 1, length(records) / 2) WHERE number = 1",
            RECORDS + 1,
        ),
        ("UPDATE segments SET records = x'' WHERE number = 0", 1),
        ("UPDATE segments SET records = (SELECT records FROM segments WHERE number = 0) WHERE number = 1", 1),
        ("UPDATE segments SET last_hash = prev_hash WHERE number = 1", 2 * RECORDS),
        ("UPDATE segments SET number = 7 WHERE number = 1", 2 * RECORDS + 1),
        (
            "INSERT INTO trail SELECT 5, time, object, service, incident, actor, kind, step, outcome, evidence, prev_hash, hash FROM trail LIMIT 1",
            5,
        ),
        ("DELETE FROM trail WHERE seq = 2049", 2049),
        ("DELETE FROM trail", 2049),
    ] {
        let copy = copy_of(home.path());
        testing::tamper(copy.path(), sql);
        match verified(copy.path()) {
            Verification::Broken { seq, .. } => assert_eq!(seq, expected, "{sql}"),
            other => panic!("{sql}: {other:?}"),
        }
    }
    // Of another trail of the same length.
    let copy = copy_of(home.path());
    testing::tamper(copy.path(), "");
    let db = testing::raw(copy.path());
    rewrite(other.path(), 1, |lines| {
        for line in lines {
            *line = line.replace("ops@host", "ops@here");
        }
    });
    db.execute("UPDATE segments SET records = ?1 WHERE number = 1", [foreign]).unwrap();
    assert!(verified(copy.path()).is_whole(), "both were made alike");
    let foreign = testing::raw(other.path())
        .query_row("SELECT records FROM segments WHERE number = 1", [], |row| row.get::<_, Vec<u8>>(0))
        .unwrap();
    db.execute("UPDATE segments SET records = ?1 WHERE number = 1", [foreign]).unwrap();
    assert!(matches!(verified(copy.path()), Verification::Broken { .. }));
}

#[test]
fn an_index_that_hides_a_record_or_names_a_wrong_one_is_found() {
    let (home, _) = at_rest();
    for (sql, words) in [
        ("DELETE FROM segment_index WHERE value = 'I0'", "incident I0"),
        ("DELETE FROM segment_index WHERE value = 'Verified' AND segment = 1", "kind Verified"),
        ("UPDATE segment_index SET value = 'nobody' WHERE value = 'first'", "object first"),
        ("UPDATE segment_index SET segment = 1 WHERE value = 'I0'", "incident I0"),
        ("INSERT INTO segment_index VALUES ('incident', 'I9999', 0)", "names records"),
        ("DELETE FROM segment_index", "hides"),
        ("UPDATE segments SET max_time = min_time WHERE number = 1", "another time"),
        ("UPDATE segments SET prev_hash = last_hash WHERE number = 1", "another beginning"),
    ] {
        let copy = copy_of(home.path());
        testing::tamper(copy.path(), sql);
        match verified(copy.path()) {
            Verification::Differs { what, records: LONG, .. } => {
                assert!(what[0].contains(words), "{sql}: {what:?}");
            }
            other => panic!("{sql}: {other:?}"),
        }
    }
}

/// Decisions rest on the last incidents of an object, and the index of the segments lies beside the trail.
#[test]
fn no_index_hides_a_record_from_who_acts() {
    let (home, store) = testing::long_trail(LONG);
    let now = testing::start() + TimeDelta::days(1);
    let of_first = RecordFilter { incident: Some("I0".into()), ..RecordFilter::default() };
    assert_eq!(store.records(&of_first).unwrap().len(), 4);
    testing::tamper(home.path(), "DELETE FROM segment_index");
    assert_eq!(store.records(&of_first).unwrap(), [], "who has not read the trail does not know it");
    assert_eq!(store.incident_summary("I0").unwrap().last_end, 0);
    store.agree_with_trail("first", now).unwrap();
    assert_eq!(store.records(&of_first).unwrap().len(), 4);
    assert_eq!(store.incident_summary("I0").unwrap().last_end, 4);
}

#[test]
fn a_segment_that_cannot_be_unpacked_is_an_error_that_names_its_records_to_a_reader_and_stops_no_walk() {
    let (home, _) = at_rest();
    testing::tamper(home.path(), "UPDATE segments SET records = x'00' WHERE number = 1");
    let store = Store::open(home.path(), "test".into()).unwrap();
    let error = store.records(&RecordFilter::default()).unwrap_err();
    assert!(error.in_full(home.path()).contains("the records 1025 to 2048 cannot be unpacked"), "{error}");
    store.agree_with_trail_in_all(testing::start()).unwrap();
    let ledger = store.ledger();
    assert_eq!(ledger.broken.as_ref().map(|bad| bad.seq), Some(RECORDS + 1));
    assert_eq!((ledger.chain.records, ledger.is_cut), (LONG, false));
}

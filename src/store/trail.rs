//! The audit trail: appending and reading records.

use std::{borrow::Cow, collections::BTreeMap, fmt, ops::ControlFlow};

use rusqlite::{Connection, Row, Transaction, named_params};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::{
    Store, StoreError,
    agreement::follow,
    canonical::{admissible, canonical, record_hash},
    error::{Result, failed},
    reader::{Order, Query, count_in_table, has_segments},
    segment::{hash_in, segments_in},
    time::stamp,
};
use crate::api::{AuditKind, AuditRecord, NewRecord, RecordReader, RecordedEvent, Time};

/// Selects records of the trail; all of them without a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordFilter {
    /// About this object.
    pub object: Option<String>,
    /// About this service: in `service`, or one of `evidence.services` if `service` is null.
    pub service: Option<String>,
    /// Of this incident; its whole ID.
    pub incident: Option<String>,
    /// With a greater number than this.
    pub after: Option<u64>,
    /// Written at this time or later.
    pub since: Option<Time>,
    /// Written at this time or earlier.
    pub until: Option<Time>,
    /// At most this many, oldest first.
    pub limit: Option<usize>,
}

impl RecordFilter {
    fn takes_service_of(&self, record: &AuditRecord) -> bool {
        let Some(wanted) = self.service.as_deref() else {
            return true;
        };
        if let Some(service) = &record.service {
            return service == wanted;
        }
        let services = RecordReader::new(record).services();
        services.is_ok_and(|services| services.iter().any(|service| service == wanted))
    }
}

impl Store {
    /// Appends a record to the trail; returns its number. It is durable when this returns. Any number of processes may
    /// append at once: the chain never forks.
    ///
    /// Numbers in the evidence that are not whole are stored as strings, as is anything nested deeper than 64 levels.
    /// **Evidence must hold no secret**: nothing here could recognize one, and nothing is ever removed from the trail.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::ReadOnly`] and other errors
    /// of SQLite. Then nothing of the record is in the trail.
    pub fn append(&self, record: &NewRecord) -> Result<u64> {
        self.write("append to the audit trail", |change| self.append_in(change, record))
    }

    /// [`append`](Self::append), as part of a larger transaction.
    pub(super) fn append_in(&self, change: &Transaction<'_>, new: &NewRecord) -> Result<u64> {
        self.append_record_in(change, new).map(|record| record.seq)
    }

    /// The same; returns the record.
    pub(super) fn append_record_in(&self, change: &Transaction<'_>, new: &NewRecord) -> Result<AuditRecord> {
        let (last, prev_hash): (i64, String) = change
            .query_row("SELECT seq, hash FROM head", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(failed("read the head of the audit trail"))?;
        let now = (self.clock)();
        let mut record = AuditRecord {
            seq: number(last + 1),
            time: stamp(now),
            object: new.object.clone(),
            service: new.service.clone(),
            incident: new.incident.clone(),
            actor: new.actor.clone().unwrap_or_else(|| self.actor.clone()),
            kind: new.kind.as_str().into(),
            step: new.step.map(|step| step.to_string()),
            outcome: new.outcome.clone(),
            evidence: admissible(&new.evidence),
            prev_hash,
            hash: String::new(),
        };
        record.hash = record_hash(&record);
        insert(change, last + 1, &record).map_err(failed("append to the audit trail"))?;
        self.checkpoint_in(change, (record.seq, new.kind), now)?;
        Ok(record)
    }

    /// The records that match the filter, oldest first. They are returned as stored, without checking the chain:
    /// [`verify`](Self::verify) does that.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn records(&self, filter: &RecordFilter) -> Result<Vec<AuditRecord>> {
        self.read_records(filter, Order::OldestFirst)
    }

    /// The newest records that match the filter, at most `filter.limit`, oldest first.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn newest_records(&self, filter: &RecordFilter) -> Result<Vec<AuditRecord>> {
        let mut found = self.read_records(filter, Order::NewestFirst)?;
        found.reverse();
        Ok(found)
    }

    /// The records that match the filter, oldest first, page by page: memory holds one page. They are those of one moment, because
    /// a trail only grows: a record that is written meanwhile is in none of the pages.
    ///
    /// # Errors
    /// SQLite's error, or the first error of `each`.
    pub fn each_page<E: From<StoreError>>(
        &self,
        filter: &RecordFilter,
        mut each: impl FnMut(Vec<AuditRecord>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (last, mut page) = (self.last_seq()?, RecordFilter { limit: Some(PAGE), ..filter.clone() });
        let mut left = filter.limit.unwrap_or(usize::MAX);
        while left > 0 {
            let mut records = self.records(&page)?;
            let is_last = records.len() < PAGE || records.last().is_none_or(|record| record.seq >= last);
            records.retain(|record| record.seq <= last);
            records.truncate(left);
            left -= records.len();
            page.after = records.last().map(|record| record.seq);
            if !records.is_empty() {
                each(records)?;
            }
            if is_last {
                break;
            }
        }
        Ok(())
    }

    /// The same as events.
    ///
    /// # Errors
    /// SQLite's error; [`StoreError::NotUnderstood`].
    pub fn events(&self, filter: &RecordFilter) -> Result<Vec<RecordedEvent>> {
        let records = self.records(filter)?;
        Ok(records.iter().map(RecordedEvent::try_from).collect::<std::result::Result<_, _>>()?)
    }

    fn read_records(&self, filter: &RecordFilter, order: Order) -> Result<Vec<AuditRecord>> {
        let (mut found, limit) = (Vec::new(), filter.limit.unwrap_or(usize::MAX));
        if limit == 0 {
            return Ok(found);
        }
        self.read_as(filter, &[], order, |stored| {
            let record = stored.into_record();
            if filter.takes_service_of(&record) {
                found.push(record);
            }
            if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(found)
    }

    /// Calls `each` with every record that matches and is of one of these kinds (of any if there is none), until it breaks off.
    /// All of them are of one moment. For a process that acts, no index hides a record of an incident that decisions rest on.
    pub(super) fn read_as(
        &self,
        filter: &RecordFilter,
        kinds: &[AuditKind],
        order: Order,
        each: impl FnMut(StoredRecord) -> ControlFlow<()>,
    ) -> Result<()> {
        let ledger = filter.incident.is_some().then(|| self.ledger());
        let db = self.db();
        let moment = db.unchecked_transaction().map_err(failed(READ))?;
        let mut query = Query { kinds, order, ..Query::of(filter) };
        if let (Some(incident), Some(mut ledger)) = (&filter.incident, ledger)
            && ledger.has_begun()
        {
            follow(&mut ledger, &moment)?;
            if let Some(blocks) = ledger.blocks_of(incident) {
                trust(&mut query, &moment, incident, blocks).map_err(failed(READ))?;
            }
        }
        query.read(&moment, each).map_err(failed(READ))
    }
}

/// Has the query of an incident whose records a process has counted use no index that has fewer.
fn trust(
    query: &mut Query<'_>,
    db: &Connection,
    incident: &str,
    blocks: &BTreeMap<u64, u64>,
) -> rusqlite::Result<()> {
    let segments = segments_in(db)?;
    let in_table: u64 = blocks.range(segments..).map(|(_, records)| records).sum();
    query.segments = Some(blocks.keys().copied().collect());
    query.is_table_indexed = count_in_table(db, incident)? >= in_table;
    if !query.is_table_indexed {
        tracing::error!("an index of the audit trail hides records of an incident: `undrift audit verify`");
    }
    Ok(())
}

/// How many records a page has.
const PAGE: usize = 1024;

const READ: &str = "read the audit trail";

impl Store {
    /// The number of the last record; 0 for an empty trail.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn last_seq(&self) -> Result<u64> {
        let (seq, _) = head(&self.db()).map_err(failed("read the head of the audit trail"))?;
        Ok(number(seq))
    }

    /// The latest time of any record; `None` for an empty trail. If the clock was set back, it is not that of the last
    /// record.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn latest_time(&self) -> Result<Option<Time>> {
        // These texts sort as their times do: see `stamp`.
        let select = "SELECT max(coalesce((SELECT max(time) FROM trail), ''), coalesce((SELECT max(max_time) FROM segments), ''))";
        let latest: String =
            self.db().query_row(select, [], |row| row.get(0)).map_err(failed("read the audit trail"))?;
        Ok(latest.parse().ok())
    }
}

impl Store {
    /// The last record of one of these kinds.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn latest_of(&self, kinds: &[AuditKind]) -> Result<Option<AuditRecord>> {
        latest_of_in(&self.db(), kinds)
    }
}

/// The last record of one of these kinds, in a trail of any schema: the table of records has the same columns in each.
pub(super) fn latest_of_in(db: &Connection, kinds: &[AuditKind]) -> Result<Option<AuditRecord>> {
    let (mut latest, all) = (None, RecordFilter::default());
    let query = Query { kinds, order: Order::NewestFirst, ..Query::of(&all) };
    let take = |stored: StoredRecord| {
        latest = Some(stored.into_record());
        ControlFlow::Break(())
    };
    let read = || if has_segments(db)? { query.read(db, take) } else { query.read_rows(db, take) };
    read().map_err(failed(READ))?;
    Ok(latest)
}

/// The head of the trail: its last record's number and hash.
pub(super) type Head = (i64, String);

pub(super) fn head(db: &Connection) -> rusqlite::Result<Head> {
    let mut query = db.prepare_cached("SELECT seq, hash FROM head")?;
    query.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// The head of the trail; `None` if it does not continue from the one seen before.
pub(super) fn head_after(db: &Connection, before: Option<&Head>) -> rusqlite::Result<Option<Head>> {
    let head = head(db)?;
    // Any record can follow a trail without one.
    let before = before.filter(|before| **before != head && before.0 > 0);
    let Some((seq, hash)) = before else { return Ok(Some(head)) };
    let found = hash_in(db, number(*seq))?;
    Ok((head.0 > *seq && found.as_ref() == Some(hash)).then_some(head))
}

/// Writes the record and the head that names it; the schema's triggers reject any other order.
fn insert(change: &Transaction<'_>, seq: i64, record: &AuditRecord) -> rusqlite::Result<()> {
    change
        .prepare_cached(
            "INSERT INTO trail VALUES (:seq, :time, :object, :service, :incident, :actor, :kind, :step,
                                       :outcome, :evidence, :prev_hash, :hash)",
        )?
        .execute(named_params! {
            ":seq": seq,
            ":time": record.time,
            ":object": record.object,
            ":service": record.service,
            ":incident": record.incident,
            ":actor": record.actor,
            ":kind": record.kind,
            ":step": record.step,
            ":outcome": record.outcome,
            ":evidence": canonical(&record.evidence),
            ":prev_hash": record.prev_hash,
            ":hash": record.hash,
        })?;
    change
        .prepare_cached("UPDATE head SET seq = :seq, hash = :hash")?
        .execute(named_params! { ":seq": seq, ":hash": record.hash })?;
    Ok(())
}

/// A record as stored: its evidence is still text, and null in the record itself.
#[derive(Debug)]
pub(super) struct StoredRecord {
    pub(super) record: AuditRecord,
    pub(super) evidence: String,
    /// Whether it is in a segment: its hash is then made over its bytes there, and stored nowhere.
    pub(super) is_packed: bool,
}

impl StoredRecord {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let record = AuditRecord {
            seq: number(row.get("seq")?),
            time: row.get("time")?,
            object: row.get("object")?,
            service: row.get("service")?,
            incident: row.get("incident")?,
            actor: row.get("actor")?,
            kind: row.get("kind")?,
            step: row.get("step")?,
            outcome: row.get("outcome")?,
            evidence: Value::Null,
            prev_hash: row.get("prev_hash")?,
            hash: row.get("hash")?,
        };
        Ok(Self { record, evidence: row.get("evidence")?, is_packed: false })
    }

    /// The record with these fields of its evidence alone: to skip a field costs far less than to keep it.
    pub(super) fn into_record_with(self, fields: &[&str]) -> AuditRecord {
        match some_fields(&self.evidence, fields) {
            Some(evidence) => AuditRecord { evidence, ..self.record },
            None => self.into_record(),
        }
    }

    /// The whole record. Evidence that no longer parses as JSON stays as text.
    pub(super) fn into_record(self) -> AuditRecord {
        let evidence = serde_json::from_str(&self.evidence).unwrap_or(Value::String(self.evidence));
        AuditRecord { evidence, ..self.record }
    }
}

/// These fields of a JSON object; `None` if it is none.
fn some_fields(text: &str, fields: &[&str]) -> Option<Value> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let found = SomeFields(fields).deserialize(&mut reader).ok()?;
    reader.end().ok().map(|()| Value::Object(found))
}

struct SomeFields<'f>(&'f [&'f str]);

impl<'de> DeserializeSeed<'de> for SomeFields<'_> {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for SomeFields<'_> {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Map::new();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if self.0.contains(&key.as_ref()) {
                found.insert(key.into_owned(), map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// A record's number. Negative ones exist only in a trail that was tampered with; they are invalid.
pub(super) fn number(seq: i64) -> u64 {
    u64::try_from(seq).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        api::AuditKind,
        store::{StoreError, testing},
    };

    fn about(service: Option<&str>, evidence: Value) -> NewRecord {
        NewRecord {
            object: Some("shop".into()),
            service: service.map(Into::into),
            evidence,
            ..NewRecord::of(AuditKind::Verified)
        }
    }

    fn found(store: &Store, filter: &RecordFilter) -> Vec<u64> {
        store.records(filter).unwrap().iter().map(|record| record.seq).collect()
    }

    #[test]
    fn a_filter_selects_by_each_of_its_fields() {
        let (_home, store) = testing::store();
        store.append(&NewRecord::of(AuditKind::Started)).unwrap();
        store.append(&about(Some("api"), Value::Null)).unwrap();
        store.append(&about(None, json!({"services": ["web", "api"]}))).unwrap();
        store.append(&NewRecord { incident: Some("01J".into()), ..about(Some("web"), json!(1)) }).unwrap();
        let all = RecordFilter::default();
        assert_eq!(found(&store, &all), [1, 2, 3, 4]);
        assert_eq!(found(&store, &RecordFilter { object: Some("shop".into()), ..all.clone() }), [2, 3, 4]);
        assert_eq!(found(&store, &RecordFilter { service: Some("api".into()), ..all.clone() }), [2, 3]);
        assert_eq!(found(&store, &RecordFilter { service: Some("web".into()), ..all.clone() }), [3, 4]);
        assert_eq!(found(&store, &RecordFilter { incident: Some("01J".into()), ..all.clone() }), [4]);
        // The clock of the tests advances by a second at each record.
        let second = testing::start() + chrono::TimeDelta::seconds(1);
        assert_eq!(found(&store, &RecordFilter { since: Some(second), ..all.clone() }), [2, 3, 4]);
        assert_eq!(found(&store, &RecordFilter { until: Some(second), ..all }), [1, 2]);
    }

    #[test]
    fn the_database_refuses_to_rewrite_the_trail() {
        let (home, store) = testing::store();
        store.append(&NewRecord::of(AuditKind::Started)).unwrap();
        let db = testing::raw(home.path());
        for sql in [
            "UPDATE trail SET actor = 'someone'",
            "DELETE FROM trail",
            "INSERT OR REPLACE INTO trail SELECT * FROM trail",
            "INSERT INTO trail SELECT seq + 1, time, object, service, incident, actor, kind, step, outcome,
                                      evidence, prev_hash, hash FROM trail",
            "UPDATE head SET seq = 0",
            "DELETE FROM head",
        ] {
            db.execute(sql, []).expect_err(sql);
        }
    }

    #[test]
    fn a_full_disk_is_reported_and_leaves_no_partial_record() {
        let (_home, store) = testing::store();
        store.append(&NewRecord::of(AuditKind::Started)).unwrap();
        let limit = |pages: i64| store.db().pragma_update(None, "max_page_count", pages).unwrap();
        let pages = store.db().query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        limit(pages);
        let large = about(None, json!("x".repeat(100_000)));
        let error = store.append(&large).unwrap_err();
        assert!(matches!(error, StoreError::Full(_)), "{error:?}");
        assert!(error.to_string().contains("the disk is full"));
        assert_eq!(found(&store, &RecordFilter::default()), [1]);
        limit(1_000_000);
        assert_eq!(store.append(&large).unwrap(), 2);
        assert!(store.verify().unwrap().is_whole());
    }

    #[test]
    fn evidence_is_read_as_it_was_written() {
        let (_home, store) = testing::store();
        let evidence = json!({"b": "\u{0}\n\"é😀", "a": [null, true, -5, u64::MAX], "c": {}});
        store.append(&about(None, evidence.clone())).unwrap();
        assert_eq!(store.records(&RecordFilter::default()).unwrap()[0].evidence, evidence);
        assert!(store.verify().unwrap().is_whole());
    }
}

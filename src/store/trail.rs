//! The audit trail: appending and reading records.

use rusqlite::{Connection, OptionalExtension, Row, ToSql, Transaction, named_params};
use serde_json::Value;

use super::{
    Store,
    agreement::follow,
    canonical::{admissible, canonical, record_hash},
    error::{Result, failed},
    steps::signed,
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
    /// [`StoreError::Full`](super::StoreError::Full), [`StoreError::ReadOnly`](super::StoreError::ReadOnly) and other errors
    /// of SQLite. Then nothing of the record is in the trail.
    pub fn append(&self, record: &NewRecord) -> Result<u64> {
        self.write("append to the audit trail", |change| self.append_in(change, record))
    }

    /// [`append`](Self::append), as part of a larger transaction.
    pub(super) fn append_in(&self, change: &Transaction<'_>, new: &NewRecord) -> Result<u64> {
        let (last, prev_hash): (i64, String) = change
            .query_row("SELECT seq, hash FROM head", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(failed("read the head of the audit trail"))?;
        let mut record = AuditRecord {
            seq: number(last + 1),
            time: stamp((self.clock)()),
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
        Ok(record.seq)
    }

    /// The records that match the filter, oldest first. They are returned as stored, without checking the chain:
    /// [`verify`](Self::verify) does that.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn records(&self, filter: &RecordFilter) -> Result<Vec<AuditRecord>> {
        let found = self.select_records(filter, "")?;
        if !self.are_hidden(filter)? {
            return Ok(found);
        }
        tracing::error!("an index of the audit trail hides records of an incident: `undrift audit verify`");
        self.select_records(filter, "NOT INDEXED")
    }

    /// The same as events.
    ///
    /// # Errors
    /// SQLite's error; [`StoreError::NotUnderstood`](super::StoreError::NotUnderstood).
    pub fn events(&self, filter: &RecordFilter) -> Result<Vec<RecordedEvent>> {
        let records = self.records(filter)?;
        Ok(records.iter().map(RecordedEvent::try_from).collect::<std::result::Result<_, _>>()?)
    }

    /// Whether the trail has more records of an incident than its index finds. Only a process that has walked the trail knows
    /// that, as all do that act.
    pub(super) fn are_hidden(&self, filter: &RecordFilter) -> Result<bool> {
        let RecordFilter { incident, after, limit, .. } = filter;
        let by_incident = RecordFilter {
            incident: incident.clone(),
            after: *after,
            limit: *limit,
            ..RecordFilter::default()
        };
        let mut ledger = self.ledger();
        let Some(incident) = incident.as_deref().filter(|_| ledger.has_begun() && *filter == by_incident)
        else {
            return Ok(false);
        };
        let db = self.db();
        follow(&mut ledger, &db)?;
        let count = "SELECT count(*) FROM trail WHERE incident = ?1";
        let found: i64 = db
            .query_row(count, [incident], |row| row.get(0))
            .map_err(failed("count the records of an incident"))?;
        Ok(usize::try_from(found).unwrap_or(usize::MAX) < ledger.records_of(incident))
    }

    fn select_records(&self, filter: &RecordFilter, indexed: &str) -> Result<Vec<AuditRecord>> {
        let action = "read the audit trail";
        let db = self.db();
        // The text contains only the clauses in use: `:x IS NULL OR column = :x` would keep SQLite from its indexes, and a
        // trail is never pruned.
        let clauses = [
            (filter.object.is_some(), "object = :object"),
            (filter.incident.is_some(), "incident = :incident"),
            (filter.after.is_some(), "seq > :after"),
            (filter.since.is_some(), "time >= :since"),
            (filter.until.is_some(), "time <= :until"),
        ];
        let clauses: Vec<&str> = clauses.iter().filter(|(asked, _)| *asked).map(|(_, sql)| *sql).collect();
        let and = if clauses.is_empty() { String::new() } else { format!("WHERE {}", clauses.join(" AND ")) };
        let mut query = db
            .prepare_cached(&format!("SELECT * FROM trail {indexed} {and} ORDER BY seq"))
            .map_err(failed(action))?;
        let (since, until) = (filter.since.map(stamp), filter.until.map(stamp));
        let values: [(&str, &Option<String>); 4] = [
            (":object", &filter.object),
            (":incident", &filter.incident),
            (":since", &since),
            (":until", &until),
        ];
        let asked = values.iter().filter(|(_, value)| value.is_some());
        let mut parameters: Vec<(&str, &dyn ToSql)> =
            asked.map(|(name, value)| (*name, *value as &dyn ToSql)).collect();
        let after = filter.after.map(signed);
        parameters.extend(after.as_ref().map(|after| (":after", after as &dyn ToSql)));
        let rows = query.query_map(&*parameters, read_record).map_err(failed(action))?;
        rows.filter(|record| record.as_ref().map_or(true, |record| filter.takes_service_of(record)))
            .take(filter.limit.unwrap_or(usize::MAX))
            .collect::<rusqlite::Result<_>>()
            .map_err(failed(action))
    }
}

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
        let latest: Option<String> = self
            .db()
            .query_row("SELECT max(time) FROM trail", [], |row| row.get(0))
            .map_err(failed("read the audit trail"))?;
        Ok(latest.and_then(|text| text.parse().ok()))
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

/// The last record of one of these kinds. The trail of every schema has the same columns.
pub(super) fn latest_of_in(db: &Connection, kinds: &[AuditKind]) -> Result<Option<AuditRecord>> {
    let marks = vec!["?"; kinds.len()].join(", ");
    let select = format!("SELECT * FROM trail WHERE kind IN ({marks}) ORDER BY seq DESC LIMIT 1");
    let names = rusqlite::params_from_iter(kinds.iter().map(|kind| kind.as_str()));
    db.query_row(&select, names, read_record).optional().map_err(failed("read the audit trail"))
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
    let mut query = db.prepare_cached("SELECT hash FROM trail NOT INDEXED WHERE seq = ?1")?;
    let found: Option<String> = query.query_row([seq], |row| row.get(0)).optional()?;
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
pub(super) struct StoredRecord {
    pub(super) record: AuditRecord,
    pub(super) evidence: String,
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
        Ok(Self { record, evidence: row.get("evidence")? })
    }

    /// The whole record. Evidence that no longer parses as JSON stays as text.
    pub(super) fn into_record(self) -> AuditRecord {
        let evidence = serde_json::from_str(&self.evidence).unwrap_or(Value::String(self.evidence));
        AuditRecord { evidence, ..self.record }
    }
}

/// A row of the trail as a record.
fn read_record(row: &Row<'_>) -> rusqlite::Result<AuditRecord> {
    StoredRecord::read(row).map(StoredRecord::into_record)
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

//! Moves full segments of records out of the table `trail`, one at a time, a little behind the end of the trail.

use std::{collections::BTreeSet, io, sync::atomic::Ordering};

use rusqlite::{Connection, Transaction, TransactionBehavior, params, types::Type};

use super::{
    Store,
    canonical::{GENESIS, canonical_form},
    chain::Chain,
    error::{Result, failed},
    segment::{RECORDS, Segment, pack, segments_in},
    steps::signed,
    trail::{StoredRecord, head, number},
    verify::not_canonical,
};

/// How many of the newest records stay in the table at least: what decisions and lists read most.
const TAIL: u64 = 1024;

const ACTION: &str = "pack records of the audit trail";

impl Store {
    /// Packs one segment if one is due. Called after each write, so that a long trail of an earlier version is moved in small
    /// portions. A failure is logged and takes nothing from the write: the records stay where they are.
    pub(super) fn pack_if_due(&self) {
        if self.is_unpackable.load(Ordering::Relaxed) {
            return;
        }
        match self.pack_next() {
            Ok(Some(what)) => {
                self.is_unpackable.store(true, Ordering::Relaxed);
                tracing::error!(what, "records that are not whole are not packed: `undrift audit verify`");
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the records stay unpacked for now"),
        }
    }

    /// Returns why the next segment cannot be packed, if it is due.
    fn pack_next(&self) -> Result<Option<String>> {
        let mut db = self.db();
        if due(&db).map_err(failed(ACTION))?.is_none() {
            return Ok(None);
        }
        let change = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed(ACTION))?;
        // Asked again: another process may have packed it.
        let Some(segment) = due(&change).map_err(failed(ACTION))? else { return Ok(None) };
        let packed = pack_in(&change, segment).map_err(failed(ACTION))?;
        if packed.is_none() {
            change.commit().map_err(failed(ACTION))?;
        }
        Ok(packed)
    }
}

/// The number of the next segment, if all of its records are behind the tail.
fn due(db: &Connection) -> rusqlite::Result<Option<u64>> {
    let (next, (last, _)) = (segments_in(db)?, head(db)?);
    Ok(((next + 1) * RECORDS + TAIL <= number(last)).then_some(next))
}

/// Packs the records of a segment; returns why they cannot be packed. What was altered stays as it is, for everybody to see.
fn pack_in(change: &Transaction<'_>, segment: u64) -> rusqlite::Result<Option<String>> {
    let prev_hash = match segment.checked_sub(1) {
        None => GENESIS.to_owned(),
        Some(before) => {
            let before = Segment::of(change, before)?;
            before.ok_or(rusqlite::Error::QueryReturnedNoRows)?.last_hash
        }
    };
    let mut next = NextSegment {
        number: segment,
        chain: Chain::at(segment * RECORDS, prev_hash.clone()),
        lines: String::new(),
        times: None,
        index: BTreeSet::new(),
    };
    {
        let select = "SELECT * FROM trail NOT INDEXED WHERE seq > ?1 AND seq <= ?2 ORDER BY seq";
        let mut query = change.prepare_cached(select)?;
        let mut rows = query.query(next.range())?;
        while let Some(row) = rows.next()? {
            let stored = StoredRecord::read(row)?;
            if let Some(what) = next.take(&stored) {
                return Ok(Some(format!("record {} {what}", stored.record.seq)));
            }
        }
    }
    if next.chain.records != (segment + 1) * RECORDS {
        return Ok(Some(format!("record {} is missing", next.chain.records + 1)));
    }
    next.write(change, &prev_hash).map(|()| None)
}

/// A segment in the making.
struct NextSegment {
    number: u64,
    chain: Chain,
    lines: String,
    times: Option<(String, String)>,
    index: BTreeSet<IndexEntry>,
}

/// An entry of the index: a field and its value.
pub(super) type IndexEntry = (&'static str, String);

/// The entries of a record.
pub(super) fn index_entries(stored: &StoredRecord) -> impl Iterator<Item = (&'static str, &str)> {
    let record = &stored.record;
    let fields = [
        ("incident", record.incident.as_deref()),
        ("kind", Some(record.kind.as_str())),
        ("object", record.object.as_deref()),
    ];
    fields.into_iter().filter_map(|(field, value)| Some((field, value?)))
}

/// The time span with this time in it.
pub(super) fn widened(span: Option<(String, String)>, time: &str) -> (String, String) {
    match span {
        None => (time.to_owned(), time.to_owned()),
        Some((min, max)) if *time < *min => (time.to_owned(), max),
        Some((min, max)) if *time > *max => (min, time.to_owned()),
        Some(span) => span,
    }
}

impl NextSegment {
    /// The numbers before its first record and of its last one.
    fn range(&self) -> [i64; 2] {
        [signed(self.number * RECORDS), signed((self.number + 1) * RECORDS)]
    }

    fn take(&mut self, stored: &StoredRecord) -> Option<String> {
        if let Some(bad) = self.chain.take(stored) {
            return Some(bad.what);
        }
        if let Some(what) = not_canonical(stored) {
            return Some(what.to_owned());
        }
        self.lines.push_str(&canonical_form(&stored.record, &stored.evidence));
        self.lines.push('\n');
        self.times = Some(widened(self.times.take(), &stored.record.time));
        for (field, value) in index_entries(stored) {
            self.index.insert((field, value.to_owned()));
        }
        None
    }

    fn write(self, change: &Transaction<'_>, prev_hash: &str) -> rusqlite::Result<()> {
        let cannot =
            |error: io::Error| rusqlite::Error::FromSqlConversionFailure(5, Type::Blob, error.into());
        let (packed, number) = (pack(&self.lines).map_err(cannot)?, signed(self.number));
        let (min_time, max_time) = self.times.clone().unwrap_or_default();
        change.prepare_cached("INSERT INTO segments VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(params![
            number,
            prev_hash,
            self.chain.head,
            min_time,
            max_time,
            packed
        ])?;
        let mut insert = change.prepare_cached("INSERT INTO segment_index VALUES (?1, ?2, ?3)")?;
        for (field, value) in &self.index {
            insert.execute(params![field, value, number])?;
        }
        let range = self.range();
        change.prepare_cached("DELETE FROM trail WHERE seq > ?1 AND seq <= ?2")?.execute(range).map(drop)
    }
}

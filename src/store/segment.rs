//! Segments: 1,024 records of the trail in their canonical form, compressed as one block.
//!
//! The newest records are rows of the table `trail`, and the older ones are in segments: a year of records then takes a quarter
//! of the room. A segment is aligned to its size, so it is a complete subtree of level 10 in a Merkle tree over the records.
//!
//! It has a record a line, because no canonical form has a line break: `zstd -d` and any tool for lines read it. Hashes are made
//! over the very bytes of a line, so what a segment says is proven without parsing.

use std::{
    borrow::Cow,
    io::{self, Read as _},
};

use rusqlite::{Connection, OptionalExtension as _, Row, types::Type};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::trail::{StoredRecord, number};
use crate::api::AuditRecord;

/// How many records a segment has.
pub(super) const RECORDS: u64 = 1024;

/// How hard to compress. Beyond it each further percent of room costs twice the time.
const LEVEL: i32 = 9;

/// How many bytes a segment may have, before it is compressed: what is more is no segment of undrift's.
const MOST_BYTES: u64 = 1 << 29;

/// A segment as it is stored, with its records unpacked.
pub(super) struct Segment {
    pub(super) number: u64,
    /// The `prevHash` of its first record.
    pub(super) prev_hash: String,
    /// The hash of its last record.
    pub(super) last_hash: String,
    /// The earliest and the latest time of its records: a clock may have been set back.
    pub(super) times: (String, String),
    lines: io::Result<String>,
}

impl Segment {
    /// The columns that [`read`](Self::read) needs.
    pub(super) const COLUMNS: &str = "number, prev_hash, last_hash, min_time, max_time, records";

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let packed = row.get_ref(5)?.as_blob().map_err(io::Error::other);
        Ok(Self {
            number: number(row.get(0)?),
            prev_hash: row.get(1)?,
            last_hash: row.get(2)?,
            times: (row.get(3)?, row.get(4)?),
            lines: packed.and_then(|packed| unpack(packed, MOST_BYTES)),
        })
    }

    /// The segment of this number, if there is one.
    pub(super) fn of(db: &Connection, segment: u64) -> rusqlite::Result<Option<Self>> {
        let select = format!("SELECT {} FROM segments WHERE number = ?1", Self::COLUMNS);
        let mut query = db.prepare_cached(&select)?;
        query.query_row([i64::try_from(segment).unwrap_or(i64::MAX)], Self::read).optional()
    }

    /// The number of its first record.
    pub(super) const fn first_seq(&self) -> u64 {
        self.number * RECORDS + 1
    }

    /// The number of its last record.
    pub(super) const fn last_seq(&self) -> u64 {
        (self.number + 1) * RECORDS
    }

    /// The canonical form of each record.
    ///
    /// # Errors
    /// If it was damaged.
    pub(super) fn lines(&self) -> rusqlite::Result<impl DoubleEndedIterator<Item = &str>> {
        match &self.lines {
            Ok(lines) => Ok(lines.lines()),
            Err(error) => Err(self.damaged(&error.to_string())),
        }
    }

    /// The record of a line of it.
    ///
    /// # Errors
    /// If that is the form of no record.
    pub(super) fn record(&self, line: &str) -> rusqlite::Result<StoredRecord> {
        let form: RecordForm<'_> =
            serde_json::from_str(line).map_err(|error| self.damaged(&error.to_string()))?;
        Ok(form.into_stored(hash_of(line)))
    }

    fn damaged(&self, why: &str) -> rusqlite::Error {
        let (first, last) = (self.first_seq(), self.last_seq());
        let what = format!("the records {first} to {last} cannot be unpacked: {why}");
        rusqlite::Error::FromSqlConversionFailure(5, Type::Blob, what.into())
    }
}

/// The number of the segment that has, or will have, this record.
pub(super) const fn segment_of(seq: u64) -> u64 {
    seq.saturating_sub(1) / RECORDS
}

/// How many segments there are: the records of those after the last one are in the table `trail`.
pub(super) fn segments_in(db: &Connection) -> rusqlite::Result<u64> {
    let mut query = db.prepare_cached("SELECT coalesce(max(number) + 1, 0) FROM segments")?;
    query.query_row([], |row| Ok(number(row.get(0)?)))
}

/// The stored hash of this record, if it is there.
pub(super) fn hash_in(db: &Connection, seq: u64) -> rusqlite::Result<Option<String>> {
    let mut query = db.prepare_cached("SELECT hash FROM trail NOT INDEXED WHERE seq = ?1")?;
    let row = i64::try_from(seq).unwrap_or(i64::MAX);
    let in_tail: Option<String> = query.query_row([row], |row| row.get(0)).optional()?;
    if in_tail.is_some() {
        return Ok(in_tail);
    }
    let Some(segment) = Segment::of(db, segment_of(seq))? else { return Ok(None) };
    let place = usize::try_from(seq.saturating_sub(segment.first_seq())).unwrap_or(usize::MAX);
    let line = segment.lines()?.nth(place);
    Ok(line.map(hash_of))
}

/// The bytes of a segment with these lines.
///
/// # Errors
/// If there are too many bytes for one.
pub(super) fn pack(lines: &str) -> io::Result<Vec<u8>> {
    if lines.len() as u64 > MOST_BYTES {
        return Err(io::Error::other("the records are too large for a segment"));
    }
    zstd::bulk::compress(lines.as_bytes(), LEVEL)
}

/// The text of a zstd frame.
///
/// # Errors
/// If it is damaged, or has more bytes than `most`.
pub(super) fn unpack(packed: &[u8], most: u64) -> io::Result<String> {
    let mut lines = String::new();
    let decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
    let unpacked = decoder.take(most + 1).read_to_string(&mut lines)?;
    if unpacked as u64 > most {
        return Err(io::Error::other("it has more bytes than undrift packs"));
    }
    Ok(lines)
}

/// The hash of a record, from its canonical form.
pub(super) fn hash_of(line: &str) -> String {
    hex::encode(Sha256::digest(line))
}

/// A record in its canonical form.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RecordForm<'l> {
    #[serde(borrow)]
    actor: Cow<'l, str>,
    #[serde(borrow)]
    evidence: &'l RawValue,
    incident: Option<String>,
    #[serde(borrow)]
    kind: Cow<'l, str>,
    object: Option<String>,
    outcome: Option<String>,
    #[serde(borrow)]
    prev_hash: Cow<'l, str>,
    seq: u64,
    service: Option<String>,
    step: Option<String>,
    #[serde(borrow)]
    time: Cow<'l, str>,
}

impl RecordForm<'_> {
    fn into_stored(self, hash: String) -> StoredRecord {
        let record = AuditRecord {
            seq: self.seq,
            time: self.time.into_owned(),
            object: self.object,
            service: self.service,
            incident: self.incident,
            actor: self.actor.into_owned(),
            kind: self.kind.into_owned(),
            step: self.step,
            outcome: self.outcome,
            evidence: serde_json::Value::Null,
            prev_hash: self.prev_hash.into_owned(),
            hash,
        };
        StoredRecord { record, evidence: self.evidence.get().to_owned(), is_packed: true }
    }
}

#[cfg(test)]
#[path = "segment_tests.rs"]
mod tests;

//! The Merkle tree over the records, stored beside them: each record adds its nodes in its own transaction.
//!
//! Leaf `seq` - 1 is the canonical form of record `seq`: the bytes that the record's `hash` is made over. A trail of an earlier
//! undrift has no tree: it is made in portions, as records are appended.

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::{
    canonical::canonical_form,
    segment::{Segment, segment_of},
    steps::signed,
    trail::{StoredRecord, number},
};
use crate::tlog::{
    hash::Hash,
    tree::{Frontier, NodeId, Nodes},
};

/// How many records of an earlier undrift each further one takes along into the tree: some 20 ms.
const PORTION: u64 = 2048;

/// The stored nodes.
pub(super) struct StoredNodes<'d>(pub(super) &'d Connection);

impl Nodes for StoredNodes<'_> {
    type Error = rusqlite::Error;

    fn node(&self, NodeId { level, index }: NodeId) -> rusqlite::Result<Hash> {
        let mut query =
            self.0.prepare_cached("SELECT hash FROM tree_nodes WHERE level = ?1 AND place = ?2")?;
        let hash: [u8; 32] = query.query_row(params![level, signed(index)], |row| row.get(0))?;
        Ok(hash.into())
    }
}

/// How many records the stored tree has.
pub(super) fn size_in(db: &Connection) -> rusqlite::Result<u64> {
    let mut query =
        db.prepare_cached("SELECT coalesce(max(place) + 1, 0) FROM tree_nodes WHERE level = 0")?;
    query.query_row([], |row| Ok(number(row.get(0)?)))
}

/// Adds the records that the tree lacks, at most a portion of them; returns how many it has then.
pub(super) fn grow_in(change: &Transaction<'_>, records: u64) -> rusqlite::Result<u64> {
    grow_by(change, records, PORTION)
}

pub(super) fn grow_by(change: &Transaction<'_>, records: u64, portion: u64) -> rusqlite::Result<u64> {
    let size = size_in(change)?;
    let until = records.min(size + portion);
    if size >= until {
        return Ok(size);
    }
    let mut frontier = Frontier::at(&StoredNodes(change), size)?;
    let mut insert = change.prepare_cached("INSERT INTO tree_nodes VALUES (?1, ?2, ?3)")?;
    each_form(change, size + 1, until, |form| {
        let mut written = Ok(());
        frontier.push(Hash::of_leaf(form.as_bytes()), |id, hash| {
            if written.is_ok() {
                written = insert.execute(params![id.level, signed(id.index), hash.as_bytes()]).map(drop);
            }
        });
        written
    })?;
    // A record that is missing would shift all others.
    if frontier.size() == until { Ok(until) } else { Err(rusqlite::Error::QueryReturnedNoRows) }
}

/// Calls `each` with the canonical form of each of these records, in order, from segments and table alike.
pub(super) fn each_form(
    db: &Connection,
    from: u64,
    until: u64,
    mut each: impl FnMut(&str) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut next = from;
    while next <= until
        && let Some(segment) = Segment::of(db, segment_of(next))?
    {
        let skipped = usize::try_from(next - segment.first_seq()).unwrap_or(usize::MAX);
        let wanted = usize::try_from(until + 1 - next).unwrap_or(usize::MAX);
        for line in segment.lines()?.skip(skipped).take(wanted) {
            each(line)?;
        }
        next = segment.last_seq() + 1;
    }
    let mut query =
        db.prepare_cached("SELECT * FROM trail NOT INDEXED WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq")?;
    let mut rows = query.query([signed(next), signed(until)])?;
    while let Some(row) = rows.next()? {
        each(&form_of(&StoredRecord::read(row)?))?;
    }
    Ok(())
}

/// The canonical form of a record as it is stored.
pub(super) fn form_of(stored: &StoredRecord) -> String {
    canonical_form(&stored.record, &stored.evidence)
}

/// The canonical forms of records one by one; a segment is unpacked once for all that follow each other in it.
pub(super) struct Forms<'d> {
    db: &'d Connection,
    segment: Option<Segment>,
}

impl<'d> Forms<'d> {
    pub(super) const fn of(db: &'d Connection) -> Self {
        Self { db, segment: None }
    }

    /// The canonical form of this record, if there is one.
    pub(super) fn get(&mut self, seq: u64) -> rusqlite::Result<Option<String>> {
        let number = segment_of(seq);
        if self.segment.as_ref().is_none_or(|segment| segment.number != number) {
            self.segment = Segment::of(self.db, number)?;
        }
        if let Some(segment) = &self.segment {
            let place = usize::try_from(seq.saturating_sub(segment.first_seq())).unwrap_or(usize::MAX);
            return Ok(segment.lines()?.nth(place).map(str::to_owned));
        }
        let mut found = None;
        each_form(self.db, seq, seq, |form| {
            found = Some(form.to_owned());
            Ok(())
        })?;
        Ok(found)
    }
}

/// The name of the trail in its checkpoints, if it has one yet.
pub(super) fn origin_in(db: &Connection) -> rusqlite::Result<Option<String>> {
    db.query_row("SELECT origin FROM trail_origin", [], |row| row.get(0)).optional()
}

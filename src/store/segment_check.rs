//! Whether what lies beside the records of segments agrees with them: their index, and the times by which they are found.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};

use super::{
    ledger::Check,
    packing::{index_entries, widened},
    segment::Segment,
    steps::signed,
    trail::{StoredRecord, number},
    verify::not_canonical,
};

/// How many differences to report: one is enough to act on.
const MOST: usize = 10;

/// The check of all segments along a walk.
pub(super) struct SegmentCheck<'d> {
    db: &'d Connection,
    /// The values of each field in the current segment.
    index: [(&'static str, BTreeSet<String>); 3],
    times: Option<(String, String)>,
    prev_hash: Option<String>,
    /// How many entries the index must have.
    entries: u64,
    what: Vec<String>,
}

impl<'d> SegmentCheck<'d> {
    pub(super) fn of(db: &'d Connection) -> Self {
        let index = ["incident", "kind", "object"].map(|field| (field, BTreeSet::new()));
        Self { db, index, times: None, prev_hash: None, entries: 0, what: Vec::new() }
    }

    /// What differs, each as a sentence without its full stop.
    pub(super) fn differences(mut self) -> rusqlite::Result<Vec<String>> {
        // Every entry that the records need was found, so a number more is one that they do not have.
        let found =
            self.db.query_row("SELECT count(*) FROM segment_index", [], |row| Ok(number(row.get(0)?)))?;
        if found > self.entries {
            self.what.push("the index of the segments names records that they do not have".into());
        }
        self.what.truncate(MOST);
        Ok(self.what)
    }

    fn compare_index(&mut self, segment: &Segment) -> rusqlite::Result<()> {
        let select = "SELECT 1 FROM segment_index WHERE field = ?1 AND value = ?2 AND segment = ?3";
        let mut query = self.db.prepare_cached(select)?;
        for (field, values) in &mut self.index {
            let field: &str = field;
            for value in std::mem::take(values) {
                self.entries += 1;
                if !query.exists(params![field, value, signed(segment.number)])? && self.what.len() < MOST {
                    let (first, last) = (segment.first_seq(), segment.last_seq());
                    self.what.push(format!(
                        "the index of the segments hides the records of the {field} {value} among the records {first} to {last}"
                    ));
                }
            }
        }
        Ok(())
    }
}

impl Check for SegmentCheck<'_> {
    fn record(&mut self, stored: &StoredRecord) -> Option<&'static str> {
        if !stored.is_packed {
            return not_canonical(stored);
        }
        for (field, value) in index_entries(stored) {
            let values = self.index.iter_mut().find(|(name, _)| *name == field).map(|(_, values)| values);
            if let Some(values) = values.filter(|values| !values.contains(value)) {
                values.insert(value.to_owned());
            }
        }
        let is_within = |(min, max): &(String, String)| (min..=max).contains(&&stored.record.time);
        if !self.times.as_ref().is_some_and(is_within) {
            self.times = Some(widened(self.times.take(), &stored.record.time));
        }
        if self.prev_hash.is_none() {
            self.prev_hash = Some(stored.record.prev_hash.clone());
        }
        None
    }

    fn segment(&mut self, segment: &Segment) -> rusqlite::Result<()> {
        self.compare_index(segment)?;
        let is_same = (self.times.take().as_ref(), self.prev_hash.take().as_ref())
            == (Some(&segment.times), Some(&segment.prev_hash));
        if !is_same && self.what.len() < MOST {
            let (first, last) = (segment.first_seq(), segment.last_seq());
            self.what.push(format!(
                "the segment of the records {first} to {last} has another time, or another beginning, than they"
            ));
        }
        Ok(())
    }
}

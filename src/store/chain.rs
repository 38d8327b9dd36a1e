//! The chain itself: whether a record follows its predecessor, and whether its hash matches its fields.

use serde::{Deserialize, Serialize};

use super::{
    canonical::{GENESIS, hash_with, record_hash},
    segment::Segment,
    trail::StoredRecord,
};
use crate::api::AuditRecord;

/// A record that fails verification, and why, as a sentence fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) seq: u64,
    pub(super) what: String,
}

/// The state of a walk along the chain.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Chain {
    /// The number of the last record.
    pub(super) records: u64,
    /// Its hash.
    pub(super) head: String,
    /// Whether it is in a segment: then only the record after it proves that it was not altered.
    #[serde(skip)]
    is_packed: bool,
}

impl Default for Chain {
    fn default() -> Self {
        Self::at(0, GENESIS.to_owned())
    }
}

impl Chain {
    /// A chain that continues after this record.
    pub(super) const fn at(records: u64, head: String) -> Self {
        Self { records, head, is_packed: false }
    }

    /// Goes on after the last record of a segment that cannot be unpacked.
    pub(super) fn skip(&mut self, segment: &Segment) {
        *self = Self::at(segment.last_seq(), segment.last_hash.clone());
    }

    /// The fault of a segment's last record, if its hash is not the segment's.
    pub(super) fn end_of(&self, segment: &Segment) -> Option<Bad> {
        let is_end = (self.records, &self.head) == (segment.last_seq(), &segment.last_hash);
        let what = if self.records < segment.last_seq() { "is missing" } else { PACKED_ALTERED };
        let seq = if self.records < segment.last_seq() { self.records + 1 } else { self.records };
        (!is_end).then(|| Bad { seq, what: what.to_owned() })
    }

    /// Advances to this record whatever is wrong with it, and returns the fault.
    pub(super) fn take(&mut self, next: &StoredRecord) -> Option<Bad> {
        let bad = self.wrong_with(next);
        if next.record.seq > self.records {
            (self.records, self.head) = (next.record.seq, next.record.hash.clone());
            self.is_packed = next.is_packed;
        }
        bad
    }

    /// Whether this is the last record.
    pub(super) fn ends_with(&self, record: &AuditRecord) -> bool {
        (record.seq, &record.hash) == (self.records, &self.head)
    }

    /// The fault if the last record is missing.
    pub(super) fn cut(&self) -> Bad {
        Bad {
            seq: self.records,
            what: "is not there any more, or is another: this process has read it".into(),
        }
    }

    fn wrong_with(&self, next: &StoredRecord) -> Option<Bad> {
        let (record, expected) = (&next.record, self.records + 1);
        let bad = |seq, what: &str| Some(Bad { seq, what: what.to_owned() });
        if record.seq > expected {
            return bad(expected, "is missing");
        }
        if record.seq < expected {
            return bad(record.seq, "has a number that no record has");
        }
        // The hash of a packed record is made over its bytes, and stored nowhere but in the record after it.
        if !next.is_packed && hash_with(record, &next.evidence) != record.hash {
            return bad(expected, altered(next));
        }
        if record.prev_hash != self.head {
            if self.is_packed {
                return bad(self.records, PACKED_ALTERED);
            }
            return bad(
                expected,
                "does not follow the record before it: its prevHash is not that record's hash",
            );
        }
        None
    }
}

/// How a record was altered whose hash does not match its bytes.
fn altered(stored: &StoredRecord) -> &'static str {
    let evidence = serde_json::from_str(&stored.evidence).unwrap_or_default();
    let record = AuditRecord { evidence, ..stored.record.clone() };
    if record_hash(&record) == record.hash {
        NOT_CANONICAL
    } else {
        "was altered: its hash is not that of its fields"
    }
}

/// A packed record whose bytes do not give the hash that the next record names: one of the two was altered.
const PACKED_ALTERED: &str =
    "was altered, or the prevHash of the record after it: the hash of its bytes is another";

/// Another text with the same meaning: undrift writes only one form.
pub(super) const NOT_CANONICAL: &str = "was altered: its evidence is not in canonical form";

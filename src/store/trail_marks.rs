//! How far back the records can be compared with the tables: what a walk notes for that.

use super::{ledger::Check, segment::Segment, trail::StoredRecord};
use crate::api::AuditKind;

/// The marks along a walk.
#[derive(Default)]
pub(super) struct TrailMarks {
    /// The time of the last record.
    last: String,
    /// The number of the last record with an earlier time than the one before it: a clock was set back.
    set_back: u64,
    /// The time of the last intent that lists no steps of the last hour, as an earlier undrift wrote it.
    unlisted: String,
}

impl TrailMarks {
    /// Whether no clock was set back after this record: later times are comparable with its own.
    pub(super) const fn is_steady_since(&self, seq: u64) -> bool {
        seq >= self.set_back
    }

    /// Whether every step that began after this time is listed by its intent.
    pub(super) fn lists_steps_after(&self, time: &str) -> bool {
        *time > *self.unlisted
    }
}

impl Check for TrailMarks {
    fn record(&mut self, stored: &StoredRecord) -> Option<&'static str> {
        let record = &stored.record;
        if record.time < self.last {
            self.set_back = record.seq;
        }
        self.last.clone_from(&record.time);
        let is_intent = record.kind == AuditKind::StepIntended.as_str();
        if is_intent && !stored.evidence.contains("\"recentSteps\"") {
            self.unlisted.clone_from(&record.time);
        }
        None
    }

    fn segment(&mut self, _: &Segment) -> rusqlite::Result<()> {
        Ok(())
    }
}

//! The trail's version of everything that decisions rest on: a walk along the chain, and a sum over its records.
//!
//! Suspensions, budgets, the rate and open steps are kept in tables, because tables are fast to query. A table can be altered
//! and an index can hide a record, and no hash finds that. So before acting, undrift compares the tables with this sum; see
//! [`agreement`](super::agreement).
//!
//! The walk reads the records themselves, in segments and then in the table, by their number and by no index, and continues
//! where it last ended: each reconcile of a daemon reads only what was written since the last one, and a process that starts
//! only what was written since the last [stored](super::stored_ledger) sum.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    chain::{Bad, Chain},
    object_ledger::ObjectLedger,
    recent_steps::kept_since,
    segment::{Segment, segment_of, segments_in},
    steps::{OpenIntent, signed},
    trail::StoredRecord,
};
use crate::api::{AuditKind, AuditRecord, EventError, RecentStep, RecordReader, StepOutcome, Time};

/// The sum of the trail up to one of its records.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Ledger {
    pub(super) chain: Chain,
    /// The first record that fails verification. Later records count if they are valid themselves.
    #[serde(skip)]
    pub(super) broken: Option<Bad>,
    /// Whether a record is missing that this walk has already read: the trail is not the same one any more.
    #[serde(skip)]
    pub(super) is_cut: bool,
    /// The first valid record that cannot be parsed: a later undrift wrote it, or somebody who computed all hashes.
    #[serde(skip)]
    pub(super) unreadable: Option<EventError>,
    pub(super) objects: BTreeMap<String, ObjectLedger>,
    /// The steps without an outcome, by their intents.
    pub(super) open: BTreeMap<u64, OpenIntent>,
    /// The steps that the rate counts, by their intents.
    pub(super) counted: BTreeMap<u64, Counted>,
    /// Up to which record it is stored.
    #[serde(skip)]
    pub(super) stored_until: u64,
}

/// The steps of one intent that the rate counts, and when that was recorded.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Counted {
    recorded_at: Time,
    pub(super) steps: Vec<RecentStep>,
}

/// The fields of evidence that the sum is made from. To skip the rest is what makes the walk fast.
const FIELDS: &[&str] = &[
    "attempts",
    "beforeDigest",
    "forceRecreate",
    "generation",
    "intent",
    "layer",
    "manifest",
    "message",
    "noCache",
    "noRecreate",
    "reason",
    "recentSteps",
    "removed",
    "restored",
    "services",
    "specDigest",
    "until",
    "why",
];

impl Ledger {
    /// Continues to the trail's end.
    pub(super) fn follow(&mut self, db: &Connection) -> rusqlite::Result<()> {
        self.walk(db, &mut NoCheck)
    }

    /// The same; `check` may find further faults than a record's place in the chain.
    pub(super) fn walk(&mut self, db: &Connection, check: &mut impl Check) -> rusqlite::Result<()> {
        // From the last known record, which must still be there; on a first walk, from anything placed before the first record.
        let mut goes_on = !self.has_begun();
        let from = self.chain.records;
        let first = if goes_on { 0 } else { segment_of(from) };
        for number in first..segments_in(db)? {
            let Some(segment) = Segment::of(db, number)? else { continue };
            self.add_segment(&segment, from, &mut goes_on, check)?;
        }
        let from = if goes_on && from == 0 { i64::MIN } else { signed(from) };
        let mut query = db.prepare_cached("SELECT * FROM trail NOT INDEXED WHERE seq >= ?1 ORDER BY seq")?;
        let mut rows = query.query([from])?;
        while let Some(row) = rows.next()? {
            let stored = StoredRecord::read(row)?;
            if !goes_on && self.chain.ends_with(&stored.record) {
                goes_on = true;
                continue;
            }
            self.take(stored, check);
        }
        if !goes_on {
            self.is_cut = true;
            self.broken.get_or_insert_with(|| self.chain.cut());
        }
        Ok(())
    }

    fn add_segment(
        &mut self,
        segment: &Segment,
        from: u64,
        goes_on: &mut bool,
        check: &mut impl Check,
    ) -> rusqlite::Result<()> {
        let lines = match segment.lines() {
            Ok(lines) => lines,
            Err(error) => {
                self.skip(segment, &error, goes_on);
                return Ok(());
            }
        };
        for line in lines {
            let stored = match segment.record(line) {
                Ok(stored) => stored,
                Err(error) => {
                    self.skip(segment, &error, goes_on);
                    return Ok(());
                }
            };
            if stored.record.seq < from && !*goes_on {
                continue;
            }
            if !*goes_on && self.chain.ends_with(&stored.record) {
                *goes_on = true;
                continue;
            }
            self.take(stored, check);
        }
        let bad = if *goes_on { self.chain.end_of(segment) } else { None };
        if bad.is_some() {
            self.chain.skip(segment);
        }
        self.broken = self.broken.take().or(bad);
        check.segment(segment)
    }

    /// Goes on after a segment that cannot be unpacked: it is broken, and may well be of this trail.
    fn skip(&mut self, segment: &Segment, error: &rusqlite::Error, goes_on: &mut bool) {
        *goes_on = true;
        let what = format!("cannot be read: {error}");
        let seq = (self.chain.records + 1).max(segment.first_seq());
        self.broken.get_or_insert(Bad { seq, what });
        self.chain.skip(segment);
    }

    fn take(&mut self, stored: StoredRecord, check: &mut impl Check) {
        let bad = self.chain.take(&stored).or_else(|| {
            let what = check.record(&stored)?;
            Some(Bad { seq: stored.record.seq, what: what.to_owned() })
        });
        // An invalid record must not lift any restriction; a suspension in it still counts.
        if bad.is_none() || stored.record.kind == AuditKind::Suspended.as_str() {
            let added = self.add(&stored.into_record_with(FIELDS));
            self.unreadable = self.unreadable.take().or(added.err());
        }
        self.broken = self.broken.take().or(bad);
    }

    /// Whether the walk has begun.
    pub(super) const fn has_begun(&self) -> bool {
        self.chain.records > 0
    }

    /// How many records of this incident are in each block of 1,024 numbers; `None` if it is not one of the last two of an object.
    pub(super) fn blocks_of(&self, incident: &str) -> Option<&BTreeMap<u64, u64>> {
        let mut places = self.objects.values().flat_map(|object| &object.places);
        places.find(|places| places.id == incident).map(|places| &places.blocks)
    }

    /// Re-dates steps in the future to now, as their table does.
    pub(super) fn date(&mut self, now: Time) {
        for step in self.counted.values_mut().flat_map(|counted| &mut counted.steps) {
            step.at = step.at.min(now);
        }
    }

    /// Forgets the steps that no rate counts any more.
    pub(super) fn forget_before(&mut self, since: Time) {
        self.counted.retain(|_, counted| counted.steps.iter().any(|step| step.at > since));
    }

    /// Whether it may lift a restriction: a record that is missing or cannot be parsed may be a suspension.
    pub(super) const fn is_reliable(&self) -> bool {
        self.broken.is_none() && self.unreadable.is_none()
    }

    fn add(&mut self, record: &AuditRecord) -> Result<(), EventError> {
        if let (Some(incident), Some(object)) = (&record.incident, &record.object) {
            self.objects.entry(object.clone()).or_default().place(incident, record.seq);
        }
        let read = RecordReader::new(record);
        let (kind, at) = (read.kind()?, read.time()?);
        self.heed_clock(at);
        let of_steps = match kind {
            AuditKind::StepIntended => self.intended(record, at),
            AuditKind::StepFinished | AuditKind::StepInterrupted => self.ended(record, kind),
            AuditKind::Retried => {
                self.retried(record);
                Ok(())
            }
            _ => Ok(()),
        };
        // One field that cannot be parsed takes nothing from the others.
        let of_object = match &record.object {
            Some(object) => self.objects.entry(object.clone()).or_default().add(record, kind, at),
            None => Ok(()),
        };
        of_steps.and(of_object)
    }

    /// A record older than its predecessor shows that the clock was set back: anything dated later happened then at the latest.
    fn heed_clock(&mut self, at: Time) {
        for counted in self.counted.values_mut().filter(|counted| counted.recorded_at > at) {
            counted.recorded_at = at;
            counted.steps.iter_mut().for_each(|step| step.at = step.at.min(at));
        }
    }

    fn intended(&mut self, record: &AuditRecord, at: Time) -> Result<(), EventError> {
        let read = RecordReader::new(record);
        let open = OpenIntent {
            seq: record.seq,
            object: record.object.clone(),
            incident: record.incident.clone(),
            step: read.step()?,
            services: read.services()?,
            time: at,
        };
        self.open.insert(record.seq, open);
        let steps = read.recent_steps()?;
        if let Some(step) = steps.first() {
            // As their table does when it gets a new one.
            self.forget_before(kept_since(step.at));
            self.counted.insert(record.seq, Counted { recorded_at: at, steps });
        }
        Ok(())
    }

    fn ended(&mut self, record: &AuditRecord, kind: AuditKind) -> Result<(), EventError> {
        let Some(intent) = RecordReader::new(record).intent()? else { return Ok(()) };
        let ended = self.open.remove(&intent);
        if kind == AuditKind::StepFinished && RecordReader::new(record).outcome()? == StepOutcome::NotBegun {
            self.counted.remove(&intent);
        }
        let object = record.object.as_ref().and_then(|object| self.objects.get_mut(object));
        if let (AuditKind::StepInterrupted, Some(ended), Some(ledger)) = (kind, ended, object) {
            let of_it = ledger.attempts.iter_mut().filter(|(_, row)| ended.services.contains(&row.service));
            of_it.for_each(|(_, row)| row.pending = None);
        }
        Ok(())
    }

    fn retried(&mut self, record: &AuditRecord) {
        let Some(object) = &record.object else { return };
        self.counted.retain(|_, counted| counted.steps.iter().all(|step| step.object != *object));
    }
}

/// What a walk checks besides the chain.
pub(super) trait Check {
    /// The fault of a record whose place in the chain is right.
    fn record(&mut self, stored: &StoredRecord) -> Option<&'static str>;

    /// A segment of which every record was walked.
    fn segment(&mut self, segment: &Segment) -> rusqlite::Result<()>;
}

/// Nothing: what acts has no time for more.
struct NoCheck;

impl Check for NoCheck {
    fn record(&mut self, _: &StoredRecord) -> Option<&'static str> {
        None
    }

    fn segment(&mut self, _: &Segment) -> rusqlite::Result<()> {
        Ok(())
    }
}

/// The digest of an incident's evidence from before its first step, as intents name it.
pub(super) fn before_digest(before: &Value) -> String {
    use sha2::{Digest as _, Sha256};

    hex::encode(Sha256::digest(super::canonical(before)))
}

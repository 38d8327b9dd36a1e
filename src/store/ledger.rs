//! The trail's version of everything that decisions rest on: a walk along the chain, and a sum over its records.
//!
//! Suspensions, budgets, the rate and open steps are kept in tables, because tables are fast to query. A table can be altered
//! and an index can hide a record, and no hash finds that. So before acting, undrift compares the tables with this sum; see
//! [`agreement`](super::agreement).
//!
//! The walk reads the table of records itself, by its number and by no index, and continues where it last ended: each
//! reconcile of a daemon reads only what was written since the last one.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde_json::Value;

use super::{
    chain::{Bad, Chain},
    recent_steps::kept_since,
    steps::{OpenIntent, signed},
    trail::StoredRecord,
};
use crate::api::{
    Attempt, AuditKind, AuditRecord, Drift, EventError, ManifestChange, RecentStep, RecordReader,
    StepOutcome, Suspension, Time,
};

/// The sum of the trail up to one of its records.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) chain: Chain,
    /// The first record that fails verification. Later records count if they are valid themselves.
    pub(super) broken: Option<Bad>,
    /// Whether a record is missing that this walk has already read: the trail is not the same one any more.
    pub(super) is_cut: bool,
    /// The first valid record that cannot be parsed: a later undrift wrote it, or somebody who computed all hashes.
    pub(super) unreadable: Option<EventError>,
    pub(super) objects: BTreeMap<String, ObjectLedger>,
    /// The steps without an outcome, by their intents.
    pub(super) open: BTreeMap<u64, OpenIntent>,
    /// The steps that the rate counts, by their intents.
    pub(super) counted: BTreeMap<u64, Counted>,
    /// How many records each incident has.
    records: BTreeMap<String, usize>,
}

/// The sum of the trail for one object.
#[derive(Debug, Default)]
pub(super) struct ObjectLedger {
    pub(super) suspended: Option<(u64, Suspension)>,
    pub(super) generation: Option<(u64, RecordedGeneration)>,
    /// The attempts as last recorded, with the numbers of those records.
    pub(super) attempts: Vec<(u64, Attempt)>,
    pub(super) incident: Option<OpenIncidentLedger>,
}

/// A recorded generation.
#[derive(Debug)]
pub(super) struct RecordedGeneration {
    pub(super) number: i64,
    pub(super) digest: String,
}

/// The open incident.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OpenIncidentLedger {
    pub(super) id: String,
    /// Its first drift since it opened: the record, the service and the drift.
    pub(super) began: u64,
    pub(super) opened_at: Time,
    pub(super) drift: BTreeMap<String, Drift>,
    /// The last intent in it that names the digest of the evidence from before, with that digest.
    pub(super) before: Option<(u64, String)>,
}

/// The steps of one intent that the rate counts, and when that was recorded.
#[derive(Debug)]
pub(super) struct Counted {
    recorded_at: Time,
    pub(super) steps: Vec<RecentStep>,
}

impl Ledger {
    /// Continues to the trail's end. `also` may find further faults of a record than its place in the chain.
    pub(super) fn follow(
        &mut self,
        db: &Connection,
        also: fn(&StoredRecord) -> Option<&'static str>,
    ) -> rusqlite::Result<()> {
        // From the last known record, which must still be there; on a first walk, from anything placed before the first record.
        let from = if self.has_begun() { signed(self.chain.records) } else { i64::MIN };
        let mut query = db.prepare_cached("SELECT * FROM trail NOT INDEXED WHERE seq >= ?1 ORDER BY seq")?;
        let mut rows = query.query([from])?;
        let mut goes_on = !self.has_begun();
        while let Some(row) = rows.next()? {
            let stored = StoredRecord::read(row)?;
            if !goes_on && self.chain.ends_with(&stored.record) {
                goes_on = true;
                continue;
            }
            let bad = self.chain.take(&stored).or_else(|| {
                let what = also(&stored)?;
                Some(Bad { seq: stored.record.seq, what: what.to_owned() })
            });
            // An invalid record must not lift any restriction; a suspension in it still counts.
            if bad.is_none() || stored.record.kind == AuditKind::Suspended.as_str() {
                let added = self.add(&stored.into_record());
                self.unreadable = self.unreadable.take().or(added.err());
            }
            self.broken = self.broken.take().or(bad);
        }
        if !goes_on {
            self.is_cut = true;
            self.broken.get_or_insert_with(|| self.chain.cut());
        }
        Ok(())
    }

    /// Whether the walk has begun.
    pub(super) const fn has_begun(&self) -> bool {
        self.chain.records > 0
    }

    /// How many records the incident has.
    pub(super) fn records_of(&self, incident: &str) -> usize {
        self.records.get(incident).copied().unwrap_or_default()
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
        if let Some(incident) = &record.incident {
            *self.records.entry(incident.clone()).or_default() += 1;
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

impl ObjectLedger {
    fn add(&mut self, record: &AuditRecord, kind: AuditKind, at: Time) -> Result<(), EventError> {
        let read = RecordReader::new(record);
        match kind {
            AuditKind::Suspended => self.suspended = Some((record.seq, read.suspension(at))),
            AuditKind::Resumed => self.suspended = None,
            AuditKind::Retried => self.attempts.clear(),
            AuditKind::ManifestChanged => self.changed(record.seq, read.manifest_change()?),
            // The verification resets the budget; a row that stays longer does so by a rule of its own.
            AuditKind::Verified => {
                self.attempts.retain(|(_, row)| Some(&row.service) != record.service.as_ref());
            }
            AuditKind::StepIntended => {
                self.keep_before(record, read.before_digest()?);
                let rows = read.attempts()?;
                self.attempts.retain(|(_, known)| !rows.iter().any(|row| row.is_of_the_same(known)));
                self.attempts.extend(rows.into_iter().map(|row| (record.seq, row)));
            }
            // An attempt that a person reset meanwhile stays forgotten.
            AuditKind::StepFinished => self.update(record.seq, &read.attempts()?),
            AuditKind::DriftDetected => self.drifts(record, read.drift()?, at),
            AuditKind::Stalled | AuditKind::Reconciled => {
                self.incident =
                    self.incident.take().filter(|open| Some(&open.id) != record.incident.as_ref());
                self.update(record.seq, &read.attempts()?);
            }
            _ => {}
        }
        Ok(())
    }

    fn update(&mut self, seq: u64, rows: &[Attempt]) {
        for row in rows {
            if let Some(known) = self.attempts.iter_mut().find(|(_, known)| known.is_of_the_same(row)) {
                *known = (seq, row.clone());
            }
        }
    }

    /// Another spec starts with a budget of its own.
    fn changed(&mut self, seq: u64, change: ManifestChange) {
        if let ManifestChange::Spec { generation: number, spec_digest: digest } = change {
            self.generation = Some((seq, RecordedGeneration { number, digest }));
            self.attempts.clear();
        }
    }

    fn drifts(&mut self, record: &AuditRecord, drift: Drift, at: Time) {
        let (Some(id), Some(service)) = (&record.incident, &record.service) else { return };
        match &mut self.incident {
            Some(open) if open.id == *id => {}
            open => {
                let drift = BTreeMap::from([(service.clone(), drift)]);
                let (id, began) = (id.clone(), record.seq);
                *open = Some(OpenIncidentLedger { id, began, opened_at: at, drift, before: None });
            }
        }
    }

    fn keep_before(&mut self, record: &AuditRecord, digest: Option<String>) {
        let open = self.incident.as_mut().filter(|open| Some(&open.id) == record.incident.as_ref());
        if let (Some(open), Some(digest)) = (open, digest) {
            open.before = Some((record.seq, digest));
        }
    }
}

/// The digest of an incident's evidence from before its first step, as intents name it.
pub(super) fn before_digest(before: &Value) -> String {
    use sha2::{Digest as _, Sha256};

    hex::encode(Sha256::digest(super::canonical(before)))
}

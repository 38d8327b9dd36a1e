//! What the trail says of that which decisions rest on: a walk along the chain, and a sum over its records.
//!
//! Suspensions, budgets, the rate and open steps are kept in tables, because to ask a table is fast. A table can be altered and
//! an index can hide a record, and no hash finds that. So whoever acts holds the tables against this sum; see
//! [`agreement`](super::agreement).
//!
//! The walk reads the table of records itself, by its number and by no index, and begins where it ended before: a look of a
//! daemon reads what was written since its last one.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde_json::Value;

use super::{
    chain::{Bad, Chain},
    recent_steps::kept_since,
    steps::{OpenIntent, signed},
    time::read_option,
    trail::StoredRecord,
};
use crate::api::{Attempt, AuditKind, AuditRecord, RecentStep, StepFields, StepOutcome, Suspension, Time};

/// What the trail says up to one of its records.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) chain: Chain,
    /// The first record that is not whole. What comes after it counts as far as it is whole itself.
    pub(super) broken: Option<Bad>,
    pub(super) objects: BTreeMap<String, ObjectLedger>,
    /// The steps without an outcome, by their intents.
    pub(super) open: BTreeMap<u64, OpenIntent>,
    /// What the rate counts, by the intents.
    pub(super) counted: BTreeMap<u64, Counted>,
    /// How many records each incident has.
    records: BTreeMap<String, usize>,
}

/// What the trail says of one object.
#[derive(Debug, Default)]
pub(super) struct ObjectLedger {
    pub(super) suspended: Option<(u64, Suspension)>,
    pub(super) generation: Option<(u64, RecordedGeneration)>,
    /// How the attempts stood when they were last recorded, with the numbers of those records.
    pub(super) attempts: Vec<(u64, Attempt)>,
    pub(super) incident: Option<OpenIncidentLedger>,
}

/// A generation as it was recorded.
#[derive(Debug)]
pub(super) struct RecordedGeneration {
    pub(super) number: i64,
    pub(super) digest: String,
}

/// The incident that is open.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OpenIncidentLedger {
    pub(super) id: String,
    /// Its first drift since it opened: the record, the service and the drift.
    pub(super) began: u64,
    pub(super) opened_at: Time,
    pub(super) drift: BTreeMap<String, Value>,
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
    /// Goes on to the trail's end. `also` may find more wrong with a record than its place in the chain.
    pub(super) fn follow(
        &mut self,
        db: &Connection,
        also: fn(&StoredRecord) -> Option<&'static str>,
    ) -> rusqlite::Result<()> {
        // From the last one that is known, which must be there still; of a walk that begins, what has no place before the first.
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
            // What is not whole must not set anything free; that somebody suspended the object still counts.
            if bad.is_none() || stored.record.kind == AuditKind::Suspended.as_str() {
                self.add(&stored.into_record());
            }
            self.broken = self.broken.take().or(bad);
        }
        if !goes_on {
            self.broken.get_or_insert_with(|| self.chain.cut());
        }
        Ok(())
    }

    /// Whether it has begun to follow the trail.
    pub(super) const fn has_begun(&self) -> bool {
        self.chain.records > 0
    }

    /// How many records the incident has.
    pub(super) fn records_of(&self, incident: &str) -> usize {
        self.records.get(incident).copied().unwrap_or_default()
    }

    /// Dates steps that lie ahead as of now, as the table of them does.
    pub(super) fn date(&mut self, now: Time) {
        for step in self.counted.values_mut().flat_map(|counted| &mut counted.steps) {
            step.at = step.at.min(now);
        }
    }

    /// Forgets the steps that no rate counts any more.
    pub(super) fn forget_before(&mut self, since: Time) {
        self.counted.retain(|_, counted| counted.steps.iter().any(|step| step.at > since));
    }

    fn add(&mut self, record: &AuditRecord) {
        if let Some(incident) = &record.incident {
            *self.records.entry(incident.clone()).or_default() += 1;
        }
        let (Ok(kind), Ok(at)) = (record.kind.parse::<AuditKind>(), record.time.parse::<Time>()) else {
            return;
        };
        self.heed_clock(at);
        match kind {
            AuditKind::StepIntended => self.intended(record, at),
            AuditKind::StepFinished | AuditKind::StepInterrupted => self.ended(record, kind),
            AuditKind::Retried => self.retried(record),
            _ => {}
        }
        if let Some(object) = &record.object {
            self.objects.entry(object.clone()).or_default().add(record, kind, at);
        }
    }

    /// A record that is older than the one before it tells of a clock that was set back: what lies ahead was then at the latest.
    fn heed_clock(&mut self, at: Time) {
        for counted in self.counted.values_mut().filter(|counted| counted.recorded_at > at) {
            counted.recorded_at = at;
            counted.steps.iter_mut().for_each(|step| step.at = step.at.min(at));
        }
    }

    fn intended(&mut self, record: &AuditRecord, at: Time) {
        if let Some(open) = open_intent(record, at) {
            self.open.insert(record.seq, open);
        }
        let steps: Vec<RecentStep> = listed(record, "recentSteps");
        if let Some(step) = steps.first() {
            // As the table of them does when it gets a new one.
            self.forget_before(kept_since(step.at));
            self.counted.insert(record.seq, Counted { recorded_at: at, steps });
        }
    }

    fn ended(&mut self, record: &AuditRecord, kind: AuditKind) {
        let Some(intent) = record.evidence["intent"].as_u64() else { return };
        let ended = self.open.remove(&intent);
        if record.outcome.as_deref() == Some(StepOutcome::NotBegun.as_str()) {
            self.counted.remove(&intent);
        }
        let object = record.object.as_ref().and_then(|object| self.objects.get_mut(object));
        if let (AuditKind::StepInterrupted, Some(ended), Some(ledger)) = (kind, ended, object) {
            let of_it = ledger.attempts.iter_mut().filter(|(_, row)| ended.services.contains(&row.service));
            of_it.for_each(|(_, row)| row.pending = None);
        }
    }

    fn retried(&mut self, record: &AuditRecord) {
        let Some(object) = &record.object else { return };
        self.counted.retain(|_, counted| counted.steps.iter().all(|step| step.object != *object));
    }
}

impl ObjectLedger {
    fn add(&mut self, record: &AuditRecord, kind: AuditKind, at: Time) {
        let rows: Vec<Attempt> = listed(record, "attempts");
        match kind {
            AuditKind::Suspended => self.suspended = Some((record.seq, suspension(record, at))),
            AuditKind::Resumed => self.suspended = None,
            AuditKind::Retried => self.attempts.clear(),
            AuditKind::ManifestChanged => self.changed(record),
            // The verification begins the budget anew; a row that stays longer does so by a rule of its own.
            AuditKind::Verified => {
                self.attempts.retain(|(_, row)| Some(&row.service) != record.service.as_ref());
            }
            AuditKind::StepIntended => {
                self.attempts.retain(|(_, known)| !rows.iter().any(|row| row.is_of_the_same(known)));
                self.attempts.extend(rows.into_iter().map(|row| (record.seq, row)));
                self.keep_before(record);
            }
            // What a person had forgotten meanwhile stays forgotten.
            AuditKind::StepFinished => self.update(record.seq, &rows),
            AuditKind::DriftDetected => self.drifts(record, at),
            AuditKind::Stalled | AuditKind::Reconciled => {
                self.update(record.seq, &rows);
                self.incident =
                    self.incident.take().filter(|open| Some(&open.id) != record.incident.as_ref());
            }
            _ => {}
        }
    }

    fn update(&mut self, seq: u64, rows: &[Attempt]) {
        for row in rows {
            if let Some(known) = self.attempts.iter_mut().find(|(_, known)| known.is_of_the_same(row)) {
                *known = (seq, row.clone());
            }
        }
    }

    /// Another spec begins with a budget of its own.
    fn changed(&mut self, record: &AuditRecord) {
        let (number, digest) =
            (record.evidence["generation"].as_i64(), record.evidence["specDigest"].as_str());
        if let (Some(number), Some(digest)) = (number, digest) {
            self.generation = Some((record.seq, RecordedGeneration { number, digest: digest.to_owned() }));
            self.attempts.clear();
        }
    }

    fn drifts(&mut self, record: &AuditRecord, at: Time) {
        let (Some(id), Some(service)) = (&record.incident, &record.service) else { return };
        let (layer, reason) = (&record.evidence["layer"], &record.evidence["reason"]);
        let drift = serde_json::json!({
            "layer": layer, "reason": reason, "message": record.evidence["message"],
        });
        let drift = BTreeMap::from([(service.clone(), drift)]);
        match &mut self.incident {
            Some(open) if open.id == *id => {}
            open => {
                let (id, began) = (id.clone(), record.seq);
                *open = Some(OpenIncidentLedger { id, began, opened_at: at, drift, before: None });
            }
        }
    }

    fn keep_before(&mut self, record: &AuditRecord) {
        let Some(digest) = record.evidence["beforeDigest"].as_str() else { return };
        let open = self.incident.as_mut().filter(|open| Some(&open.id) == record.incident.as_ref());
        if let Some(open) = open {
            open.before = Some((record.seq, digest.to_owned()));
        }
    }
}

/// What a record lists in its evidence. What is not understood is of another version, and nothing follows from it.
fn listed<T: serde::de::DeserializeOwned>(record: &AuditRecord, key: &str) -> Vec<T> {
    let found = record.evidence.get(key).cloned();
    found.and_then(|rows| serde_json::from_value(rows).ok()).unwrap_or_default()
}

fn suspension(record: &AuditRecord, at: Time) -> Suspension {
    let evidence = &record.evidence;
    // An end that cannot be read is none: only a person ends it then.
    let until = read_option(evidence["until"].as_str()).unwrap_or_default();
    let reason = evidence["reason"].as_str().unwrap_or_default().to_owned();
    Suspension { since: at, until, reason, actor: record.actor.clone() }
}

/// The step of an intent; `None` where the record tells of no step that is known.
fn open_intent(record: &AuditRecord, time: Time) -> Option<OpenIntent> {
    let is = |key: &str| record.evidence[key] == Value::Bool(true);
    let fields = StepFields {
        step: serde_json::from_value(Value::from(record.step.as_deref()?)).ok()?,
        no_cache: is("noCache"),
        force_recreate: is("forceRecreate"),
        no_recreate: is("noRecreate"),
    };
    Some(OpenIntent {
        seq: record.seq,
        object: record.object.clone(),
        incident: record.incident.clone(),
        step: fields.into(),
        services: listed(record, "services"),
        time,
    })
}

/// The digest of an incident's evidence from before its first step, as an intent names it.
pub(super) fn before_digest(before: &Value) -> String {
    use sha2::{Digest as _, Sha256};

    hex::encode(Sha256::digest(super::canonical(before)))
}

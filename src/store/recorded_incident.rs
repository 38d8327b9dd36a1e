//! An incident as its records tell it: a fold over them, compared with its row in the table of incidents.
//!
//! | column | the records say it |
//! | --- | --- |
//! | `object` | by their object |
//! | `opened_at` | by the incident's ID, a ULID: to the millisecond |
//! | `closed_at`, `since`, `drift`, `before`, `after`, `earlier` | by the record of its end, which lists them: see [`IncidentEnd`] |
//! | `outcome` | by the kind of that record |
//! | `occurrences` | by how many ends it has |
//! | `since_seq` | by the record of the end before, and of the first drift after it |
//! | `drift` | by the record of the first drift, for its service |
//!
//! A row that somebody altered is put right from the records alone, and then lacks its evidence: see
//! [`difference`](super::difference). It shows less, and nothing that is false.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Row};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use ulid::Ulid;

use super::{
    contradiction::{Contradiction, or_none},
    difference::NO_EVIDENCE,
    incident_evidence::EvidenceTexts,
    time::stamp,
    trail::{StoredRecord, number},
};
use crate::api::{Drift, Time};

/// A record as a mark in time.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    pub(super) seq: u64,
    pub(super) time: String,
}

/// What the record of an incident's end lists of its row: the trail then proves what the table shows. A record of an earlier
/// undrift lists nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct IncidentEnd {
    /// When it ended: the observation that found it over.
    closed_at: Option<String>,
    /// When its last occurrence began.
    since: Option<String>,
    /// See [`IncidentRow::digest`].
    row_digest: Option<String>,
}

/// An incident as its records tell it.
#[derive(Debug)]
pub(super) struct RecordedIncident {
    pub(super) id: String,
    object: String,
    /// The number of its first record.
    first: u64,
    /// The earliest time of its records: a clock may have been set back.
    earliest: String,
    /// The first record of its last occurrence, with the drift that it is of.
    began: Mark,
    drift: Option<(String, Drift)>,
    /// The end of the occurrence before the last one.
    before: Option<Mark>,
    end: Option<(Mark, String, IncidentEnd)>,
    ends: u32,
}

impl RecordedIncident {
    /// One that begins with this record.
    pub(super) fn new(id: &str, object: &str, record: &StoredRecord) -> Self {
        let began = Mark::of(record);
        Self {
            id: id.to_owned(),
            object: object.to_owned(),
            earliest: began.time.clone(),
            first: began.seq,
            began,
            drift: None,
            before: None,
            end: None,
            ends: 0,
        }
    }

    /// Any record of it.
    pub(super) fn heed(&mut self, record: &StoredRecord) {
        if record.record.time < self.earliest {
            self.earliest.clone_from(&record.record.time);
        }
    }

    /// A drift: after an end, it is the first one of another occurrence.
    pub(super) fn drifts(&mut self, record: &StoredRecord) {
        self.begin_anew(record);
        if self.drift.is_none() {
            let drift = serde_json::from_str(&record.evidence).ok();
            self.drift = record.record.service.clone().zip(drift);
        }
    }

    /// Its end.
    pub(super) fn ends(&mut self, record: &StoredRecord) {
        // Without a drift in between the occurrence is this record alone.
        self.begin_anew(record);
        let listed = serde_json::from_str(&record.evidence).unwrap_or_default();
        self.end = Some((Mark::of(record), record.record.kind.clone(), listed));
        self.ends += 1;
    }

    fn begin_anew(&mut self, record: &StoredRecord) {
        if let Some((end, ..)) = self.end.take() {
            (self.before, self.began, self.drift) = (Some(end), Mark::of(record), None);
        }
    }

    /// The record with which its only occurrence began, if that is over.
    pub(super) fn over_since(&self) -> Option<&Mark> {
        (self.before.is_none() && !self.is_open()).then_some(&self.began)
    }

    /// Whether it is open.
    pub(super) const fn is_open(&self) -> bool {
        self.end.is_none()
    }

    /// The number of its last record that begins or ends an occurrence.
    pub(super) fn last(&self) -> u64 {
        self.end.as_ref().map_or(self.began.seq, |(end, ..)| end.seq)
    }

    /// Whether [`Store::open_incident`](super::Store::open_incident) named it: only such a one has a row.
    fn ulid(&self) -> Option<Ulid> {
        Ulid::from_string(&self.id).ok()
    }

    /// Where its row says something else; whether it has one.
    pub(super) fn compare(&self, db: &Connection) -> rusqlite::Result<(bool, Vec<Contradiction>)> {
        let Some(row) = IncidentRow::of(db, &self.id)? else {
            // A missing row of an open one is found by its sum: see `agreement`.
            let is_missing = self.ulid().is_some() && !self.is_open();
            let what = self.contradiction("id", "nothing".to_owned(), format!("of {}", self.object));
            return Ok((false, if is_missing { vec![what] } else { Vec::new() }));
        };
        let found = [
            (row.object != self.object)
                .then(|| self.contradiction("object", row.object.clone(), self.object.clone())),
            self.opened_at(&row),
            self.ended(&row),
            self.occurrences(&row),
            self.since(&row),
            self.since_seq(&row),
            self.drift(&row),
            self.evidence(&row),
        ];
        Ok((true, found.into_iter().flatten().collect()))
    }

    fn contradiction(&self, field: &'static str, shown: String, recorded: String) -> Contradiction {
        self.contradiction_by(self.last(), field, shown, recorded)
    }

    fn contradiction_by(
        &self,
        seq: u64,
        field: &'static str,
        shown: String,
        recorded: String,
    ) -> Contradiction {
        let (row, recorded) = (format!("the incident {}", self.id), Some((recorded, seq)));
        Contradiction { table: "incidents", row, field, shown, recorded }
    }

    fn opened_at(&self, row: &IncidentRow) -> Option<Contradiction> {
        let opened = self.ulid()?.timestamp_ms();
        let shown: Option<Time> = row.opened_at.parse().ok();
        let is_same = shown.is_some_and(|at| u64::try_from(at.timestamp_millis()) == Ok(opened));
        let recorded = || {
            let at = i64::try_from(opened).ok().and_then(Time::from_timestamp_millis);
            at.map(stamp).unwrap_or_default()
        };
        (!is_same && row.opened_at != self.earliest)
            .then(|| self.contradiction_by(self.first, "opened_at", row.opened_at.clone(), recorded()))
    }

    /// Its end. Whether an open one is open, its sum says: see `agreement`.
    fn ended(&self, row: &IncidentRow) -> Option<Contradiction> {
        let (end, outcome, listed) = self.end.as_ref()?;
        if row.outcome.as_ref() != Some(outcome) {
            return Some(self.contradiction("outcome", or_none(row.outcome.as_deref()), outcome.clone()));
        }
        let shown = row.closed_at.as_deref()?;
        let is_same = match &listed.closed_at {
            Some(closed_at) => shown == closed_at,
            None => (row.began_at()..=end.time.as_str()).contains(&shown),
        };
        let recorded = listed.closed_at.clone().unwrap_or_else(|| end.time.clone());
        (!is_same && shown != end.time).then(|| self.contradiction("closed_at", shown.to_owned(), recorded))
    }

    fn occurrences(&self, row: &IncidentRow) -> Option<Contradiction> {
        let recorded = self.ends + u32::from(self.is_open());
        (row.occurrences != i64::from(recorded))
            .then(|| self.contradiction("occurrences", row.occurrences.to_string(), recorded.to_string()))
    }

    /// The time may be that of the record, where the row was put right.
    fn since(&self, row: &IncidentRow) -> Option<Contradiction> {
        let Some(shown) = row.since.as_deref() else {
            let is_first = self.before.is_none() || row.is_put_right();
            return (!is_first).then(|| self.contradiction("since", or_none(None), self.began.time.clone()));
        };
        let listed = self.end.as_ref().and_then(|(_, _, listed)| listed.since.as_deref());
        let before = self.before.as_ref().map_or("", |end| &end.time);
        let is_within = || (before..=self.began.time.as_str()).contains(&shown);
        let is_same = shown == self.began.time || listed.map_or_else(is_within, |listed| shown == listed);
        let recorded = listed.unwrap_or(&self.began.time).to_owned();
        // A clock that was set back between the two records: nothing is known.
        let is_known = listed.is_some() || before <= self.began.time.as_str();
        (is_known && !is_same).then(|| self.contradiction("since", shown.to_owned(), recorded))
    }

    fn since_seq(&self, row: &IncidentRow) -> Option<Contradiction> {
        let first = self.before.as_ref().map_or(0, |end| end.seq);
        let is_same = (first..self.began.seq).contains(&row.since_seq)
            || row.since_seq == 0 && row.is_put_right() && !self.is_open();
        let recorded = || format!("from {first} to {}", self.began.seq.saturating_sub(1));
        (!is_same).then(|| {
            self.contradiction_by(self.began.seq, "since_seq", row.since_seq.to_string(), recorded())
        })
    }

    fn drift(&self, row: &IncidentRow) -> Option<Contradiction> {
        let (service, recorded) = self.drift.as_ref()?;
        if row.is_put_right() || row.drift == NO_EVIDENCE {
            return None;
        }
        // What is no JSON is found as such: see `integrity`.
        let shown: BTreeMap<String, Drift> = serde_json::from_str(&row.drift).ok()?;
        let text = |drift: Option<&Drift>| or_none(drift.map(|drift| json!(drift).to_string()).as_deref());
        (shown.get(service) != Some(recorded)).then(|| {
            let shown = format!("of {service} {}", text(shown.get(service)));
            self.contradiction_by(self.began.seq, "drift", shown, text(Some(recorded)))
        })
    }

    fn evidence(&self, row: &IncidentRow) -> Option<Contradiction> {
        let (_, _, listed) = self.end.as_ref()?;
        let recorded = listed.row_digest.as_ref()?;
        let shown = row.digest();
        if row.is_put_right() || row.closed_at.is_none() || shown == *recorded {
            return None;
        }
        let (shown, recorded) = (format!("of digest {shown}"), format!("of digest {recorded}"));
        Some(self.contradiction("drift, before, after or earlier", shown, recorded))
    }
}

impl Mark {
    fn of(record: &StoredRecord) -> Self {
        Self { seq: record.record.seq, time: record.record.time.clone() }
    }
}

/// The evidence of an incident as its row has it.
enum Evidence {
    Packed(Vec<u8>),
    Texts(EvidenceTexts),
}

/// A row of the table of incidents.
struct IncidentRow {
    object: String,
    opened_at: String,
    closed_at: Option<String>,
    outcome: Option<String>,
    drift: String,
    occurrences: i64,
    since: Option<String>,
    since_seq: u64,
    evidence: Evidence,
}

impl IncidentRow {
    fn of(db: &Connection, id: &str) -> rusqlite::Result<Option<Self>> {
        let select = "SELECT object, opened_at, closed_at, outcome, drift, occurrences, since, since_seq,
                             before, after, earlier, evidence FROM incidents WHERE id = ?1";
        db.prepare_cached(select)?.query_row([id], Self::read).optional()
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            object: row.get(0)?,
            opened_at: row.get(1)?,
            closed_at: row.get(2)?,
            outcome: row.get(3)?,
            drift: row.get(4)?,
            occurrences: row.get(5)?,
            since: row.get(6)?,
            since_seq: number(row.get(7)?),
            evidence: if let Some(packed) = row.get(11)? {
                Evidence::Packed(packed)
            } else {
                let (before, after, earlier) = (row.get(8)?, row.get(9)?, row.get(10)?);
                Evidence::Texts(EvidenceTexts { before, after, earlier })
            },
        })
    }

    /// When its last occurrence began.
    fn began_at(&self) -> &str {
        self.since.as_deref().unwrap_or(&self.opened_at)
    }

    /// Whether it was put right from the records, and has no evidence.
    fn is_put_right(&self) -> bool {
        let Evidence::Texts(EvidenceTexts { before, after, earlier }) = &self.evidence else { return false };
        before == NO_EVIDENCE && after.is_none() && earlier.is_none()
    }

    /// The digest of what no other record says of the row once it is closed: SHA-256 in lower-case hexadecimal over the drift, a
    /// line break, and the evidence as the row has it, which is packed; where it is not, as JSON.
    fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(&self.drift);
        hasher.update("\n");
        match &self.evidence {
            Evidence::Packed(packed) => hasher.update(packed),
            Evidence::Texts(texts) => hasher.update(texts.to_json()),
        }
        hex::encode(hasher.finalize())
    }
}

/// What the record of an incident's end lists of its row, which is closed and packed.
pub(super) fn listed_of(db: &Connection, id: &str) -> rusqlite::Result<Option<serde_json::Value>> {
    let Some(row) = IncidentRow::of(db, id)? else { return Ok(None) };
    Ok(Some(json!({ "closedAt": row.closed_at, "since": row.began_at(), "rowDigest": row.digest() })))
}

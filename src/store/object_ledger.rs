//! The sum of the trail for one object.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::segment::segment_of;
use crate::api::{
    Attempt, AuditKind, AuditRecord, Drift, EventError, ManifestChange, RecordReader, Suspension, Time,
};

/// The sum of the trail for one object.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct ObjectLedger {
    pub(super) suspended: Option<(u64, Suspension)>,
    pub(super) generation: Option<(u64, RecordedGeneration)>,
    /// The attempts as last recorded, with the numbers of those records.
    pub(super) attempts: Vec<(u64, Attempt)>,
    pub(super) incident: Option<OpenIncidentLedger>,
    /// Where the records of its last two incidents are, the latest first: decisions rest on these, and no index may hide one.
    pub(super) places: Vec<IncidentPlaces>,
}

/// How many records of an incident are in each block of 1,024 numbers: in its segment, once that is packed.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct IncidentPlaces {
    pub(super) id: String,
    pub(super) blocks: BTreeMap<u64, u64>,
}

/// How many incidents of an object the ledger keeps the places of: the open one, and the one before it, whose repair may still
/// turn out to be harmful. `audit verify` covers the others.
const INCIDENTS: usize = 2;

/// A recorded generation.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RecordedGeneration {
    pub(super) number: i64,
    pub(super) digest: String,
}

/// The open incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct OpenIncidentLedger {
    pub(super) id: String,
    /// Its first drift since it opened: the record, the service and the drift.
    pub(super) began: u64,
    pub(super) opened_at: Time,
    pub(super) drift: BTreeMap<String, Drift>,
    /// The last intent in it that names the digest of the evidence from before, with that digest.
    pub(super) before: Option<(u64, String)>,
}

impl ObjectLedger {
    /// Notes where a record of an incident is.
    pub(super) fn place(&mut self, incident: &str, seq: u64) {
        let known = self.places.iter().position(|places| places.id == incident);
        let mut places = match known {
            Some(known) => self.places.remove(known),
            None => IncidentPlaces { id: incident.to_owned(), blocks: BTreeMap::new() },
        };
        *places.blocks.entry(segment_of(seq)).or_default() += 1;
        self.places.insert(0, places);
        self.places.truncate(INCIDENTS);
    }

    pub(super) fn add(&mut self, record: &AuditRecord, kind: AuditKind, at: Time) -> Result<(), EventError> {
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

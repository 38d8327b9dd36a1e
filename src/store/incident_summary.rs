//! A summary of the records of an incident: an incident that goes on for months has more of them than fit into memory with
//! their evidence.

use std::collections::BTreeSet;

use rusqlite::{Row, params};

use super::{
    RecordFilter, Store,
    error::{Result as StoreResult, failed},
    trail::number,
};
use crate::api::{AuditKind, Drift, DriftReason, EventError, Layer};

const ACTION: &str = "read what an incident has come to";

/// A summary of an incident's records.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct IncidentSummary {
    /// The number of the last record that ended an occurrence of it; 0 if there is none.
    pub last_end: u64,
    /// The drift of each service, from anywhere in the incident.
    pub drifted: BTreeSet<(String, Layer, DriftReason)>,
    /// The services with a recorded drift and no verification since.
    pub unverified: BTreeSet<String>,
}

impl Store {
    /// The summary of the records of the incident with this ID.
    ///
    /// # Errors
    /// SQLite's error; [`StoreError::NotUnderstood`](super::StoreError::NotUnderstood).
    pub fn incident_summary(&self, id: &str) -> StoreResult<IncidentSummary> {
        let of_incident = RecordFilter { incident: Some(id.to_owned()), ..RecordFilter::default() };
        let indexed = if self.are_hidden(&of_incident)? { "NOT INDEXED" } else { "" };
        let db = self.db();
        let mut query = db
            .prepare_cached(&format!(
                "SELECT seq, kind, service, CASE kind WHEN ?2 THEN evidence END FROM trail {indexed} WHERE incident = ?1 AND kind IN (?2, ?3, ?4, ?5) ORDER BY seq"
            ))
            .map_err(failed(ACTION))?;
        let kinds =
            [AuditKind::DriftDetected, AuditKind::Verified, AuditKind::Reconciled, AuditKind::Stalled];
        let [drift, verified, reconciled, stalled] = kinds.map(AuditKind::as_str);
        let mut rows =
            query.query(params![id, drift, verified, reconciled, stalled]).map_err(failed(ACTION))?;
        let mut summary = IncidentSummary::default();
        while let Some(row) = rows.next().map_err(failed(ACTION))? {
            summary.add(&SummarizedRecord::read(row).map_err(failed(ACTION))?)?;
        }
        Ok(summary)
    }
}

/// The fields that are read of a record.
struct SummarizedRecord {
    seq: u64,
    kind: String,
    service: Option<String>,
    /// For a drift.
    evidence: Option<String>,
}

impl SummarizedRecord {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { seq: number(row.get(0)?), kind: row.get(1)?, service: row.get(2)?, evidence: row.get(3)? })
    }

    fn service(&self) -> Result<&str, EventError> {
        self.service.as_deref().ok_or_else(|| self.error("it has no service".into()))
    }

    fn drift(&self) -> Result<Drift, EventError> {
        serde_json::from_str(self.evidence.as_deref().unwrap_or_default())
            .map_err(|error| self.error(format!("its evidence is not of its kind ({error})")))
    }

    const fn error(&self, what: String) -> EventError {
        EventError { seq: self.seq, what }
    }
}

impl IncidentSummary {
    fn add(&mut self, record: &SummarizedRecord) -> Result<(), EventError> {
        match AuditKind::named(&record.kind) {
            Some(AuditKind::DriftDetected) => {
                let (service, Drift { layer, reason, .. }) = (record.service()?.to_owned(), record.drift()?);
                self.unverified.insert(service.clone());
                self.drifted.insert((service, layer, reason));
            }
            Some(AuditKind::Verified) => {
                self.unverified.remove(record.service()?);
            }
            _ => self.last_end = record.seq,
        }
        Ok(())
    }
}

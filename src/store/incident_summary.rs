//! What the records of an incident say together: an incident that counts for months has more of them than fit into memory with
//! their evidence.

use std::collections::BTreeSet;

use rusqlite::{Row, params};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    RecordFilter, Store,
    error::{Result, failed},
    trail::number,
};
use crate::api::{AuditKind, Layer, Reason};

const ACTION: &str = "read what an incident has come to";

/// What the records of an incident say together.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct IncidentSummary {
    /// The number of the record with which an occurrence of it ended last; 0 where none has.
    pub last_end: u64,
    /// What each service was told to drift in, whenever in the incident that was.
    pub drifted: BTreeSet<(String, Layer, Reason)>,
    /// The services that were told to drift, and not to be verified since.
    pub unverified: BTreeSet<String>,
}

impl Store {
    /// What the records of the incident of this ID say together.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn incident_summary(&self, id: &str) -> Result<IncidentSummary> {
        let of_incident = RecordFilter { incident: Some(id.to_owned()), ..RecordFilter::default() };
        let indexed = if self.are_hidden(&of_incident)? { "NOT INDEXED" } else { "" };
        let db = self.db();
        let mut query = db
            .prepare_cached(&format!(
                "SELECT seq, kind, service, json_extract(evidence, '$.layer'), json_extract(evidence, '$.reason')
                 FROM trail {indexed} WHERE incident = ?1 AND kind IN (?2, ?3, ?4, ?5) ORDER BY seq"
            ))
            .map_err(failed(ACTION))?;
        let kinds =
            [AuditKind::DriftDetected, AuditKind::Verified, AuditKind::Reconciled, AuditKind::Stalled];
        let [drift, verified, reconciled, stalled] = kinds.map(AuditKind::as_str);
        let mut rows =
            query.query(params![id, drift, verified, reconciled, stalled]).map_err(failed(ACTION))?;
        let mut summary = IncidentSummary::default();
        while let Some(row) = rows.next().map_err(failed(ACTION))? {
            summary.add(row).map_err(failed(ACTION))?;
        }
        Ok(summary)
    }
}

impl IncidentSummary {
    fn add(&mut self, row: &Row<'_>) -> rusqlite::Result<()> {
        let (seq, kind, service): (i64, String, Option<String>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let Some(service) = service else {
            if kind != AuditKind::DriftDetected.as_str() && kind != AuditKind::Verified.as_str() {
                self.last_end = number(seq);
            }
            return Ok(());
        };
        if kind == AuditKind::Verified.as_str() {
            self.unverified.remove(&service);
        } else if kind == AuditKind::DriftDetected.as_str()
            && let Some(layer) = word(row.get(3)?)
            && let Some(reason) = word(row.get(4)?)
        {
            self.unverified.insert(service.clone());
            self.drifted.insert((service, layer, reason));
        }
        Ok(())
    }
}

/// A word of a contract, where it is one that this version knows.
fn word<T: DeserializeOwned>(text: Option<String>) -> Option<T> {
    serde_json::from_value(Value::String(text?)).ok()
}

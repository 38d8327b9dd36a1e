//! A summary of the records of an incident: an incident that goes on for months has more of them than fit into memory with
//! their evidence.

use std::{collections::BTreeSet, ops::ControlFlow};

use super::{RecordFilter, Store, error::Result as StoreResult, reader::Order};
use crate::api::{AuditKind, AuditRecord, Drift, DriftReason, EventError, Layer, RecordReader};

/// The kinds that it sums up.
const KINDS: [AuditKind; 4] =
    [AuditKind::DriftDetected, AuditKind::Verified, AuditKind::Reconciled, AuditKind::Stalled];

/// What it reads of a drift's evidence.
const DRIFT: [&str; 3] = ["layer", "message", "reason"];

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
    /// It reads the kinds that it sums up, and the evidence of drifts only. It ignores a kind that this undrift does not know:
    /// [`events`](Self::events), which reads the records after the last end, is an error there.
    ///
    /// # Errors
    /// SQLite's error; [`StoreError::NotUnderstood`](super::StoreError::NotUnderstood).
    pub fn incident_summary(&self, id: &str) -> StoreResult<IncidentSummary> {
        let of_incident = RecordFilter { incident: Some(id.to_owned()), ..RecordFilter::default() };
        let (mut summary, mut error) = (IncidentSummary::default(), None);
        self.read_as(&of_incident, &KINDS, Order::OldestFirst, |stored| {
            let is_drift = stored.record.kind == AuditKind::DriftDetected.as_str();
            let record = stored.into_record_with(if is_drift { &DRIFT } else { &[] });
            match summary.add(&record) {
                Ok(()) => ControlFlow::Continue(()),
                Err(found) => {
                    error = Some(found);
                    ControlFlow::Break(())
                }
            }
        })?;
        error.map_or(Ok(()), Err)?;
        Ok(summary)
    }
}

impl IncidentSummary {
    fn add(&mut self, record: &AuditRecord) -> Result<(), EventError> {
        let read = RecordReader::new(record);
        match read.kind()? {
            AuditKind::DriftDetected => {
                let (service, Drift { layer, reason, .. }) = (read.service()?, read.drift()?);
                self.unverified.insert(service.clone());
                self.drifted.insert((service, layer, reason));
            }
            AuditKind::Verified => {
                self.unverified.remove(&read.service()?);
            }
            AuditKind::Reconciled | AuditKind::Stalled => self.last_end = record.seq,
            // They neither begin nor end anything that this sums up.
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        api::NewRecord,
        store::{StoreError, testing},
    };

    fn append(store: &Store, kind: AuditKind, service: Option<&str>, evidence: Value) -> u64 {
        let (incident, service) = (Some("01J".to_owned()), service.map(str::to_owned));
        store.append(&NewRecord { service, incident, evidence, ..NewRecord::of(kind) }).unwrap()
    }

    fn drift(store: &Store, service: &str) -> u64 {
        let drift = json!({ "layer": "container", "reason": "NotRunning", "message": "it exited" });
        append(store, AuditKind::DriftDetected, Some(service), drift)
    }

    #[test]
    fn an_incident_comes_to_its_drifts_its_last_end_and_what_is_not_verified() {
        let (_home, store) = testing::store();
        drift(&store, "api");
        append(&store, AuditKind::Verified, Some("api"), Value::Null);
        let end = append(&store, AuditKind::Reconciled, None, Value::Null);
        drift(&store, "web");
        append(&store, AuditKind::RolledBack, None, Value::Null);
        let seen = |service: &str| (service.to_owned(), Layer::Container, DriftReason::NotRunning);
        let expected = IncidentSummary {
            last_end: end,
            drifted: BTreeSet::from([seen("api"), seen("web")]),
            unverified: BTreeSet::from(["web".to_owned()]),
        };
        assert_eq!(store.incident_summary("01J").unwrap(), expected);
        let end = append(&store, AuditKind::Stalled, None, Value::Null);
        assert_eq!(store.incident_summary("01J").unwrap(), IncidentSummary { last_end: end, ..expected });
    }

    #[test]
    fn a_drift_that_cannot_be_understood_is_an_error_that_names_its_record() {
        for (service, evidence) in [
            (Some("api"), json!({ "layer": "roof" })),
            (None, json!({ "layer": "container", "reason": "NotRunning", "message": "" })),
        ] {
            let (_home, store) = testing::store();
            drift(&store, "api");
            let seq = append(&store, AuditKind::DriftDetected, service, evidence);
            let error = store.incident_summary("01J").unwrap_err();
            assert!(matches!(&error, StoreError::NotUnderstood(of) if of.seq == seq), "{error}");
        }
    }

    /// A later undrift may end an incident in a way of its own: to this one it is an error, and no end.
    #[test]
    fn a_record_of_another_kind_ends_nothing() {
        let (home, store) = testing::store();
        drift(&store, "api");
        let seq = append(&store, AuditKind::RolledBack, None, Value::Null);
        testing::tamper(home.path(), &format!("UPDATE trail SET kind = 'Danced' WHERE seq = {seq}"));
        assert_eq!(store.incident_summary("01J").unwrap().last_end, 0);
        let after = RecordFilter { incident: Some("01J".into()), ..RecordFilter::default() };
        let error = store.events(&after).unwrap_err();
        assert!(matches!(&error, StoreError::NotUnderstood(of) if of.seq == seq), "{error}");
    }
}

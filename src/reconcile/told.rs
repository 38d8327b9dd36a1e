//! What the trail says already, and what is still owed to it: each drift once in its incident, and a recovery whoever brought
//! it about.

use serde_json::Value;

use super::{ReconcileError, journal::Journal, scene::Scene};
use crate::{
    api::{
        AuditKind, ConditionStatus, ConditionType, Drift, Incident, IncidentOutcome, NewRecord, ObjectStatus,
        ServiceStatus,
    },
    store::RecordFilter,
};

impl Journal<'_> {
    /// A drift that undrift has given up on is not a new incident at each look, for as long as it lasts.
    pub(super) fn is_told_already(self, drifts: &[(String, Drift)]) -> Result<bool, ReconcileError> {
        let Some(last) = self.last_stalled()? else { return Ok(false) };
        let recovered = self.recovered(&last)?;
        let after = status_after(last);
        let same = |(service, drift): &(String, Drift)| {
            let then = after.services.iter().find(|s| s.name == *service).and_then(|s| s.drift.as_ref());
            then.is_some_and(|then| then.class() == drift.class()) && !recovered.contains(service)
        };
        Ok(drifts.iter().all(same))
    }

    /// The last incident, if it is over and undrift gave it up.
    fn last_stalled(self) -> Result<Option<Incident>, ReconcileError> {
        let last = self.store.last_incident(self.object)?;
        Ok(last.filter(|last| last.outcome == Some(IncidentOutcome::Stalled)))
    }

    /// The services of an incident that was given up which were proven since it ended.
    fn recovered(self, stalled: &Incident) -> Result<Vec<String>, ReconcileError> {
        let filter = RecordFilter { incident: Some(stalled.id.clone()), ..RecordFilter::default() };
        let records = self.store.records(&filter)?;
        let after = records.iter().rev().take_while(|record| record.kind != AuditKind::Stalled.as_str());
        let proven = after.filter(|record| record.kind == AuditKind::Verified.as_str());
        Ok(proven.filter_map(|record| record.service.clone()).collect())
    }

    /// Tells of a service that is proven: in the incident that is open, or in the last one if undrift has given that up and
    /// the service was not well at its end. A recovery is a part of the story, whoever brought it about.
    pub(super) fn verified(
        self,
        scene: &Scene<'_>,
        service: &str,
        evidence: Value,
    ) -> Result<(), ReconcileError> {
        let incident = match &scene.history.incident {
            Some(incident) => {
                let before = incident.before.services.iter().find(|status| status.name == service);
                let had_drifted = before.is_some_and(|before| before.drift.is_some());
                // Of a service that was fine all along there is nothing to tell.
                (had_drifted || incident.has_done(service, |_| true)).then(|| incident.id.clone())
            }
            None => self.given_up_with(service)?,
        };
        let Some(incident) = incident else { return Ok(()) };
        let record = NewRecord {
            service: Some(service.to_owned()),
            incident: Some(incident),
            evidence,
            ..NewRecord::of(AuditKind::Verified)
        };
        self.append(scene, record)
    }

    /// The last incident, where it was given up while the service was not well, and nothing was told of it since.
    fn given_up_with(self, service: &str) -> Result<Option<String>, ReconcileError> {
        let Some(last) = self.last_stalled()? else { return Ok(None) };
        let recovered = self.recovered(&last)?;
        let id = last.id.clone();
        let after = status_after(last);
        let then = after.services.iter().find(|status| status.name == service);
        let was_proven = |then: &ServiceStatus| {
            let mut conditions = then.conditions.iter();
            conditions.any(|c| c.kind == ConditionType::Reconciled && c.status == ConditionStatus::True)
        };
        let was_ill = then.is_some_and(|then| !was_proven(then));
        Ok((was_ill && !recovered.iter().any(|name| name == service)).then_some(id))
    }

    pub(super) fn told(self, scene: &Scene<'_>) -> Result<Vec<String>, ReconcileError> {
        let Some(incident) = &scene.history.incident else { return Ok(Vec::new()) };
        let filter = RecordFilter { incident: Some(incident.id.clone()), ..RecordFilter::default() };
        let records = self.store.records(&filter)?;
        let drifts = records.iter().filter(|record| record.kind == AuditKind::DriftDetected.as_str());
        let word =
            |evidence: &Value, name: &str| evidence.get(name).and_then(Value::as_str).map(str::to_owned);
        Ok(drifts
            .filter_map(|r| {
                Some(format!(
                    "{} {} {}",
                    r.service.as_deref()?,
                    word(&r.evidence, "layer")?,
                    word(&r.evidence, "reason")?
                ))
            })
            .collect())
    }
}

/// The status at the end of an incident.
fn status_after(incident: Incident) -> ObjectStatus {
    incident.after.and_then(|after| serde_json::from_value(after).ok()).unwrap_or_default()
}

pub(super) fn key(service: &str, drift: &Drift) -> String {
    format!("{service} {} {}", drift.layer, drift.reason)
}

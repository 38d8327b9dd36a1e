//! What the trail says already, and what is still owed to it: each drift once in its incident, and a recovery whoever brought
//! it about.

use serde_json::{Value, json};

use super::{ReconcileError, history, journal::Journal, scene::Scene};
use crate::{
    api::{
        Attempt, AuditKind, AuditRecord, ConditionType, Drift, Incident, IncidentOutcome, NewRecord,
        ObjectStatus, ServiceStatus, Step,
    },
    decide,
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
    /// the service was not well at its end. A recovery is a part of the story, whoever brought it about. `rows` are the attempts
    /// that the proof settles: a budget that begins anew is told in any case, or the trail could not speak for it.
    pub(super) fn verified(
        self,
        scene: &Scene<'_>,
        service: &str,
        evidence: Value,
        rows: &[Attempt],
    ) -> Result<(), ReconcileError> {
        let incident = match &scene.history.incident {
            Some(incident) => {
                let owes_an_end = self.story(scene)?.has_drifted(service);
                // Of a service that was fine all along there is nothing to tell.
                (owes_an_end || incident.has_done(service, |_| true)).then(|| incident.id.clone())
            }
            None => self.given_up_with(service)?,
        };
        if incident.is_none() && rows.is_empty() {
            return Ok(());
        }
        let record = NewRecord {
            object: Some(self.object.into()),
            service: Some(service.to_owned()),
            incident,
            evidence,
            ..NewRecord::of(AuditKind::Verified)
        };
        Ok(self.store.append_with(&record, rows)?)
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
            conditions.any(|c| c.kind == ConditionType::Reconciled && decide::is_verified(c))
        };
        let was_ill = then.is_some_and(|then| !was_proven(then));
        Ok((was_ill && !recovered.iter().any(|name| name == service)).then_some(id))
    }

    /// What the trail says of the incident that is open.
    pub(super) fn story(self, scene: &Scene<'_>) -> Result<Story, ReconcileError> {
        let Some(incident) = &scene.history.incident else { return Ok(Story::default()) };
        let filter = RecordFilter { incident: Some(incident.id.clone()), ..RecordFilter::default() };
        Ok(Story(self.store.records(&filter)?))
    }
}

/// The records of an incident, oldest first. What was told of a service ends with its proof: an incident may stay open for
/// weeks, and a service that drifts once more in it is news.
#[derive(Debug, Default)]
pub(super) struct Story(Vec<AuditRecord>);

impl Story {
    /// What followed the last proof of a service. By the order of the trail: a clock may be set back.
    fn since_proof(&self, service: &str) -> impl Iterator<Item = &AuditRecord> {
        let is_its_proof = move |record: &&AuditRecord| {
            record.kind == AuditKind::Verified.as_str() && record.service.as_deref() == Some(service)
        };
        self.0.iter().rev().take_while(move |record| !is_its_proof(record))
    }

    fn drifts(&self, service: &str) -> impl Iterator<Item = &AuditRecord> {
        let of_it = move |record: &&AuditRecord| record.service.as_deref() == Some(service);
        let since = self.since_proof(service);
        since.filter(|record| record.kind == AuditKind::DriftDetected.as_str()).filter(of_it)
    }

    /// Whether a drift of the service was told, and no proof since.
    fn has_drifted(&self, service: &str) -> bool {
        self.drifts(service).next().is_some()
    }

    /// Whether this drift was told, and no proof since.
    pub(super) fn tells(&self, service: &str, drift: &Drift) -> bool {
        let (layer, reason) = (json!(drift.layer), json!(drift.reason));
        self.drifts(service).any(|told| told.evidence["layer"] == layer && told.evidence["reason"] == reason)
    }

    /// Whether such a step for the service ended, and no proof came after it.
    pub(super) fn has_done(&self, service: &str, which: impl Fn(Step) -> bool) -> bool {
        let mut steps = history::steps_of(self.since_proof(service)).into_iter();
        steps.any(|done| which(done.step) && done.services.iter().any(|name| name == service))
    }
}

/// The status at the end of an incident.
fn status_after(incident: Incident) -> ObjectStatus {
    incident.after.and_then(|after| serde_json::from_value(after).ok()).unwrap_or_default()
}

//! The trail's records of an incident, and those still missing: each drift once per incident, and a recovery, whoever caused
//! it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{ReconcileError, journal::Journal, snapshot::Snapshot};
use crate::{
    api::{
        Attempt, ConditionType, Drift, Event, Incident, IncidentOutcome, NewRecord, ObjectStatus,
        RecordedEvent, ServiceStatus, StepKind, StepOutcome,
    },
    decide::{self, AfterIncident, EndedIncident},
    store::{IncidentSummary, RecordFilter, Store},
};

impl Journal<'_> {
    /// The last incident, if it is over.
    pub(super) fn last_incident(self) -> Result<Option<EndedIncident>, ReconcileError> {
        let Some(last) = self.store.last_incident(self.object)? else { return Ok(None) };
        let summary = self.store.incident_summary(&last.id)?;
        let since = self.store.events(&after(&last.id, summary.last_end))?;
        Ok(ended(&last, summary, &since))
    }

    /// Records the verification of a service: in the open incident, or in the last one if undrift gave that up and the service
    /// was not healthy at its end. A recovery belongs to the incident, whoever caused it. `rows` are the attempts that the
    /// verification settles: a reset budget is recorded in any case, or the trail would not explain it. Returns whether it was
    /// recorded.
    pub(super) fn verified(
        self,
        snapshot: &Snapshot<'_>,
        (service, image): (&str, Option<&String>),
        evidence: Value,
        rows: &[Attempt],
    ) -> Result<bool, ReconcileError> {
        let incident = match &snapshot.history.incident {
            Some(incident) => {
                let owes_an_end = self.incident_records(snapshot)?.has_drifted(service);
                // A service that was healthy all along gets no record.
                (owes_an_end || incident.has_done(service, |_| true)).then(|| incident.id.clone())
            }
            None => self.last_incident()?.filter(|last| last.is_ill(service)).map(|last| last.id),
        };
        if incident.is_none() && rows.is_empty() {
            return Ok(false);
        }
        let record = NewRecord::verified(service, image).with(evidence);
        let record = NewRecord { object: Some(self.object.into()), incident, ..record };
        self.store.append_with(&record, rows)?;
        Ok(true)
    }

    /// The trail's records of the open incident.
    pub(super) fn incident_records(self, snapshot: &Snapshot<'_>) -> Result<IncidentRecords, ReconcileError> {
        let Some(incident) = &snapshot.history.incident else { return Ok(IncidentRecords::default()) };
        IncidentRecords::of(self.store, &incident.id)
    }
}

fn after(id: &str, seq: u64) -> RecordFilter {
    RecordFilter { incident: Some(id.to_owned()), after: Some(seq), ..RecordFilter::default() }
}

/// The state after a closed incident, from its row, the summary of its records, and the records since its end, oldest first.
fn ended(incident: &Incident, summary: IncidentSummary, since: &[RecordedEvent]) -> Option<EndedIncident> {
    let closed_at = incident.closed_at?;
    let mut services: BTreeMap<String, AfterIncident> = BTreeMap::new();
    let well = || AfterIncident { well_since: Some(closed_at), ..AfterIncident::default() };
    for (service, layer, reason) in summary.drifted {
        let drift = Drift { layer, reason, message: String::new() };
        services.entry(service).or_insert_with(well).drifted.insert(drift.class());
    }
    if incident.outcome == Some(IncidentOutcome::Stalled) {
        for status in status_after(incident).services.iter().filter(|status| !was_proven(status)) {
            let after = services.entry(status.name.clone()).or_default();
            (after.given_up, after.well_since) = (status.drift.as_ref().map(Drift::class), None);
        }
        for RecordedEvent { time, event, .. } in since.iter().rev() {
            if let Event::Verified { service, .. } = event {
                services.entry(service.clone()).or_default().well_since.get_or_insert(*time);
            }
        }
    }
    Some(EndedIncident { id: incident.id.clone(), services })
}

fn was_proven(then: &ServiceStatus) -> bool {
    let mut conditions = then.conditions.iter();
    conditions.any(|c| c.kind == ConditionType::Reconciled && decide::is_verified(c))
}

/// An incident's records. Those of a service end with its verification: an incident may stay open for weeks, and a service that
/// drifts again in it is news. They also end with an occurrence of the incident: a reopened one begins with the drifts of that
/// time.
#[derive(Debug, Default)]
pub(super) struct IncidentRecords {
    /// Those of the latest occurrence, oldest first.
    of_now: Vec<RecordedEvent>,
    /// The services with a recorded drift, in any occurrence, and no verification since.
    unverified: BTreeSet<String>,
}

impl IncidentRecords {
    fn of(store: &Store, id: &str) -> Result<Self, ReconcileError> {
        let IncidentSummary { last_end, unverified, .. } = store.incident_summary(id)?;
        Ok(Self { of_now: store.events(&after(id, last_end))?, unverified })
    }

    /// The records of the latest occurrence after the last verification of a service. In the order of the trail: a clock may be
    /// set back.
    fn of_now(&self, service: &str) -> impl Iterator<Item = &Event> {
        let is_its_verification =
            move |event: &&Event| matches!(event, Event::Verified { service: of, .. } if of == service);
        self.of_now
            .iter()
            .rev()
            .map(|recorded| &recorded.event)
            .take_while(move |event| !is_its_verification(event))
    }

    /// Whether a drift of the service was recorded, in any occurrence, and no verification since.
    fn has_drifted(&self, service: &str) -> bool {
        self.unverified.contains(service)
    }

    /// Whether this drift was recorded, and no verification since.
    pub(super) fn has_drift(&self, service: &str, drift: &Drift) -> bool {
        let kind = (drift.layer, drift.reason);
        self.of_now(service).any(|event| {
            matches!(event, Event::DriftDetected { service: of, drift } if of == service && (drift.layer, drift.reason) == kind)
        })
    }

    /// Whether a step of this kind for the service ended, and no verification followed it.
    pub(super) fn has_done(&self, service: &str, which: impl Fn(StepKind) -> bool) -> bool {
        self.of_now(service).any(|event| match event {
            Event::StepEnded(ended) => {
                ended.outcome != StepOutcome::NotBegun
                    && which(ended.kind)
                    && ended.services.iter().any(|name| name == service)
            }
            _ => false,
        })
    }
}

/// The status at the end of an incident. One that cannot be understood counts as none, and the log names the incident: it is of
/// the past, and no reason to repair nothing any more.
fn status_after(incident: &Incident) -> ObjectStatus {
    let after = incident.after.clone().map(serde_json::from_value).transpose();
    let after = after.unwrap_or_else(|error| {
        tracing::warn!(incident = incident.id, %error, "the status at an incident's end cannot be understood");
        None
    });
    after.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        api::{AuditKind, DriftReason, Layer},
        store::testing,
        testing::fixtures::at,
    };

    const DEAD: (Layer, DriftReason) = (Layer::Container, DriftReason::NotRunning);

    fn record(store: &Store, id: &str, service: Option<&str>, kind: AuditKind) {
        let evidence = json!({ "layer": DEAD.0, "reason": DEAD.1, "message": "it exited", "git": null });
        let (object, service) = (Some("shop".to_owned()), service.map(str::to_owned));
        let record =
            NewRecord { object, service, incident: Some(id.into()), evidence, ..NewRecord::of(kind) };
        store.append(&record).unwrap();
    }

    /// `api` died and was given up so; `web` died and was verified.
    fn given_up(store: &Store) -> String {
        let id = testing::incident(store, "shop", at(0), &json!({}), &json!({})).id;
        record(store, &id, Some("api"), AuditKind::DriftDetected);
        record(store, &id, Some("web"), AuditKind::DriftDetected);
        record(store, &id, Some("web"), AuditKind::Verified);
        record(store, &id, None, AuditKind::Stalled);
        let mut object = testing::object();
        let services = &mut object.status.services;
        (services[0].name, services[1].name) = ("api".into(), "web".into());
        let drift = Drift { layer: DEAD.0, reason: DEAD.1, message: String::new() };
        services[0].drift = Some(drift);
        let after = Some(json!(object.status));
        store.close_incident(&id, at(60), IncidentOutcome::Stalled, after).unwrap();
        id
    }

    fn last(store: &Store) -> EndedIncident {
        Journal { store, object: "shop" }.last_incident().unwrap().unwrap()
    }

    #[test]
    fn an_incident_that_was_given_up_leaves_who_is_ill_and_who_was_well_since_when() {
        let (_home, store) = testing::store();
        let id = given_up(&store);
        let ended = last(&store);
        assert!(ended.is_ill("api") && !ended.is_ill("web"));
        let drifted = std::collections::BTreeSet::from([DEAD]);
        let (ill, well) = (&ended.services["api"], &ended.services["web"]);
        assert_eq!((&ill.drifted, ill.given_up, ill.well_since), (&drifted, Some(DEAD), None));
        assert_eq!((&well.drifted, well.given_up, well.well_since), (&drifted, None, Some(at(60))));

        record(&store, &id, Some("api"), AuditKind::Verified);
        let verification = store.records(&after(&id, 0)).unwrap().pop().unwrap();
        assert_eq!(last(&store).services["api"].well_since, Some(verification.time.parse().unwrap()));
    }

    #[test]
    fn of_an_end_without_an_observation_only_the_time_is_known() {
        let (_home, store) = testing::store();
        let id = testing::incident(&store, "shop", at(0), &json!({}), &json!({})).id;
        record(&store, &id, Some("api"), AuditKind::DriftDetected);
        assert!(Journal { store: &store, object: "shop" }.last_incident().unwrap().is_none(), "it is open");
        store.close_incident(&id, at(60), IncidentOutcome::Stalled, None).unwrap();
        assert_eq!(last(&store).services["api"].well_since, Some(at(60)));
    }

    #[test]
    fn a_drift_from_before_the_end_is_reported_again_and_still_needs_verifying() {
        let (_home, store) = testing::store();
        let id = given_up(&store);
        let recorded = || IncidentRecords::of(&store, &id).unwrap();
        let drift = Drift { layer: DEAD.0, reason: DEAD.1, message: String::new() };
        assert!(!recorded().has_drift("api", &drift) && recorded().has_drifted("api"));
        assert!(!recorded().has_drifted("web"), "it was proven");
        record(&store, &id, Some("api"), AuditKind::DriftDetected);
        assert!(recorded().has_drift("api", &drift));
        record(&store, &id, Some("api"), AuditKind::Verified);
        assert!(!recorded().has_drift("api", &drift) && !recorded().has_drifted("api"));
    }
}

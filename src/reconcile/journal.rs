//! When each record is written: the incident, the intent before a step, the outcome after it.

use std::collections::BTreeMap;

use serde_json::json;

use super::{
    EventSink, ReconcileError, incident_records::IncidentRecords, session::PendingBuild, snapshot::Snapshot,
    transitions::Transitions,
};
use crate::{
    api::{
        Attempt, AuditKind, Drift, DriftReason, EndedStep, Event, HealedBy, IncidentOutcome, LastWords,
        Layer, NewRecord, ObjectStatus, PlannedStep, Reason, RouteTransition, Step, StepKind, StepOutcome,
    },
    decide::{self, EndedIncident, Next, OpenIncident, Repair, unlike_before},
    host::StepReport,
    store::{FinishedStep, NewIncident, NewIntent, Store},
};

/// Writes the records of one object.
#[derive(Clone, Copy)]
pub(super) struct Journal<'a> {
    pub(super) store: &'a Store,
    pub(super) object: &'a str,
}

impl Journal<'_> {
    /// Appends a record about the object and its incident.
    pub(super) fn append(self, snapshot: &Snapshot<'_>, record: NewRecord) -> Result<(), ReconcileError> {
        self.store.append(&self.in_incident(snapshot, record))?;
        Ok(())
    }

    /// The record, of the object and its incident.
    fn in_incident(self, snapshot: &Snapshot<'_>, record: NewRecord) -> NewRecord {
        let incident = snapshot.history.incident.as_ref().map(|incident| incident.id.clone());
        NewRecord { object: Some(self.object.into()), incident: record.incident.or(incident), ..record }
    }

    /// Opens an incident at the first sight of a drift, and records each drift once in it.
    pub(super) fn open_incident(
        self,
        snapshot: &mut Snapshot<'_>,
        events: &EventSink,
    ) -> Result<(), ReconcileError> {
        let drifts: Vec<(String, Drift)> = drifts(snapshot);
        if drifts.is_empty() {
            return Ok(());
        }
        if snapshot.history.incident.is_none() {
            let last = self.last_incident()?;
            // After an outage of the engine, or a restart, undrift first waits for services that it had given up, and verifies
            // their neighbours.
            let idle = !matches!(snapshot.decision.next, Next::Execute(_));
            if idle && last.as_ref().is_some_and(|last| last.lasts(&drifts)) {
                return Ok(());
            }
            snapshot.history.incident = Some(self.begin_incident(snapshot, &drifts, last.as_ref())?);
            for (service, drift) in &drifts {
                self.report_drift(service, drift, events);
            }
            return Ok(());
        }
        self.record_drifts(snapshot, &drifts, events)
    }

    /// A new incident, or the last one again: see [`EndedIncident::recurs`]. Its drifts are recorded with it, so that the trail
    /// tells every incident.
    fn begin_incident(
        self,
        snapshot: &Snapshot<'_>,
        drifts: &[(String, Drift)],
        last: Option<&EndedIncident>,
    ) -> Result<OpenIncident, ReconcileError> {
        let before = snapshot.status(&snapshot.still_verified(), &Transitions::new());
        let by_service: BTreeMap<&String, &Drift> = drifts.iter().map(|(s, d)| (s, d)).collect();
        let (drift, evidence) = (json!(by_service), json!(before));
        let new = NewIncident { object: self.object, at: snapshot.now, drift: &drift, before: &evidence };
        let within = decide::healthy_period(&snapshot.desired.object.spec.reconcile);
        let again = last.filter(|last| last.recurs(drifts, snapshot.now, within));
        let records: Vec<NewRecord> =
            drifts.iter().map(|(service, drift)| drift_record(snapshot, service, drift)).collect();
        let again = again.map(|last| last.id.as_str());
        let incident = self.store.open_incident_with(new, again, &records)?;
        // Before anything is logged about it.
        tracing::Span::current().record("incident", incident.id.as_str());
        Ok(OpenIncident {
            id: incident.id,
            opened_at: incident.since,
            before,
            steps: Vec::new(),
            verified: Vec::new(),
        })
    }

    fn record_drifts(
        self,
        snapshot: &Snapshot<'_>,
        drifts: &[(String, Drift)],
        events: &EventSink,
    ) -> Result<(), ReconcileError> {
        let incident_records = self.incident_records(snapshot)?;
        for (service, drift) in drifts {
            if incident_records.has_drift(service, drift)
                || is_our_own_doing(snapshot, &incident_records, service, drift)
            {
                continue;
            }
            self.append(snapshot, drift_record(snapshot, service, drift))?;
            self.report_drift(service, drift, events);
        }
        Ok(())
    }

    /// Only after it is recorded: if it cannot be, every observation finds it again.
    fn report_drift(self, service: &str, drift: &Drift, events: &EventSink) {
        events(self.object, Event::DriftDetected { service: service.to_owned(), drift: drift.clone() });
        tracing::info!(service, layer = %drift.layer, reason = %drift.reason, "drift");
    }

    /// The intent, with the attempts that it begins, on disk before the step; with the state or exit of the containers that
    /// it may replace.
    pub(super) fn intend(
        self,
        snapshot: &Snapshot<'_>,
        planned: &PlannedStep,
        begun: &[Attempt],
        last_words: &[LastWords],
    ) -> Result<u64, ReconcileError> {
        let before = renewed_before(snapshot, &planned.services).map(|before| json!(before));
        let attempt = begun.iter().map(|row| row.attempts).max();
        let mut evidence = json!({ "reason": planned.reason, "attempt": attempt, "git": snapshot.git });
        if !last_words.is_empty() {
            evidence["containers"] = json!(last_words);
        }
        let record = NewRecord { evidence, ..NewRecord::of(AuditKind::StepIntended) };
        let record = self.in_incident(snapshot, record);
        let recent = decide::recent_steps(snapshot.inputs(), planned.step, &planned.services);
        let services = &planned.services;
        let intent =
            NewIntent { record: &record, step: planned.step, services, begun, recent: &recent, before };
        Ok(self.store.intend_with(intent)?)
    }

    /// The outcome, on disk before the next observation, and in the log in any case.
    pub(super) fn finish(
        self,
        snapshot: &Snapshot<'_>,
        planned: &PlannedStep,
        (intent, ended): (u64, &EndedStep),
        report: &StepReport,
        rows: Vec<Attempt>,
    ) -> Result<(), ReconcileError> {
        let record = NewRecord::step_ended(ended);
        let record = record.with(json!({ "command": report.command, "notes": report.notes }));
        let rolled_back = planned.step == Step::Rollback && report.outcome == StepOutcome::Succeeded;
        let more = rolled_back.then(|| {
            let to = images_of_before(snapshot, planned);
            self.in_incident(snapshot, NewRecord::rolled_back(&planned.services, &to))
        });
        let record = self.in_incident(snapshot, record);
        tracing::info!(step = %planned.step.kind(), outcome = report.outcome.as_str(), ms = report.duration_ms, "step ended");
        if rolled_back {
            tracing::warn!(services = ?planned.services, "rolled back");
        }
        self.store.finish_with(FinishedStep { intent, record, more, rows })?;
        Ok(())
    }

    /// The end of an incident, verified.
    pub(super) fn reconciled(
        self,
        snapshot: &Snapshot<'_>,
        incident: &OpenIncident,
        (status, transitions): (&ObjectStatus, &[RouteTransition]),
        pruned: &[String],
    ) -> Result<(), ReconcileError> {
        let by = HealedBy { is_undrift: repaired(snapshot, incident), steps: incident.completed_steps() };
        tracing::info!(steps = by.steps, "reconciled");
        let record = NewRecord::reconciled(transitions, by).with(json!({ "pruned": pruned }));
        self.end(snapshot, IncidentOutcome::Reconciled, record, status)
    }

    /// The end of a stalled incident; returns whether there was one to end.
    pub(super) fn stalled(
        self,
        snapshot: &Snapshot<'_>,
        reason: &Reason,
        message: &str,
        status: &ObjectStatus,
    ) -> Result<bool, ReconcileError> {
        if snapshot.history.incident.is_none() {
            return Ok(false);
        }
        tracing::warn!(reason = reason.as_str(), why = message, "stalled");
        let mut record = NewRecord::stalled(reason, message);
        if !snapshot.decision.attempts.is_empty() {
            record = record.with(json!({ "attempts": snapshot.decision.attempts }));
        }
        self.end(snapshot, IncidentOutcome::Stalled, record, status)?;
        Ok(true)
    }

    fn end(
        self,
        snapshot: &Snapshot<'_>,
        outcome: IncidentOutcome,
        record: NewRecord,
        status: &ObjectStatus,
    ) -> Result<(), ReconcileError> {
        let Some(incident) = &snapshot.history.incident else { return Ok(()) };
        let record = self.in_incident(snapshot, record);
        self.store.end_incident(&incident.id, snapshot.now, outcome, Some(json!(status)), &record)?;
        Ok(())
    }
}

fn drift_record(snapshot: &Snapshot<'_>, service: &str, drift: &Drift) -> NewRecord {
    let seen = snapshot.observed.service(service);
    NewRecord::drift_detected(service, drift).with(json!({ "observed": seen, "git": snapshot.git }))
}

/// The evidence from before the first step, renewed for services whose containers someone else has replaced since the incident
/// opened: it may have been open for weeks, in mode `observe` or suspended. A repair is compared with, and would be rolled back
/// to, the state that it found. `None` if it is the same.
fn renewed_before(snapshot: &Snapshot<'_>, services: &[String]) -> Option<ObjectStatus> {
    let incident = snapshot.history.incident.as_ref()?;
    let now = snapshot.status(&snapshot.still_verified(), &Transitions::new());
    let mut before = incident.before.clone();
    for old in before.services.iter_mut().filter(|old| services.contains(&old.name)) {
        let seen = snapshot.observed.service(&old.name);
        let new = now.service(&old.name);
        let is_first = !incident.has_done(&old.name, |_| true);
        if let Some(new) = new.filter(|_| is_first && seen.is_some_and(|seen| unlike_before(old, seen))) {
            old.clone_from(new);
        }
    }
    (before != incident.before).then_some(before)
}

/// Whether undrift brought up a service that is another one than before, or reloaded one.
fn repaired(snapshot: &Snapshot<'_>, incident: &OpenIncident) -> bool {
    incident.before.services.iter().any(|before| {
        let now = snapshot.observed.service(&before.name);
        let is_unlike = now.is_some_and(|now| unlike_before(before, now));
        incident.has_reloaded(&before.name) || incident.has_brought_up(&before.name) && is_unlike
    })
}

fn drifts(snapshot: &Snapshot<'_>) -> Vec<(String, Drift)> {
    let services = snapshot.decision.services.iter();
    services.filter_map(|d| d.drift.clone().map(|drift| (d.service.clone(), drift))).collect()
}

/// A consequence of undrift's own step is no news: after its build the container is outdated, which is half of the repair,
/// and after its start of a container the server does not listen yet. If that persists, it is recorded once undrift stops
/// waiting for it. Nothing after the verification is a consequence of undrift's step.
fn is_our_own_doing(
    snapshot: &Snapshot<'_>,
    incident_records: &IncidentRecords,
    service: &str,
    drift: &Drift,
) -> bool {
    match drift.layer {
        Layer::Container => {
            drift.reason == DriftReason::ImageOutdated
                && incident_records.has_done(service, |kind| kind == StepKind::Build)
        }
        Layer::Route | Layer::Auth => {
            let mut repair_options = snapshot.decision.repair_options.iter();
            let waits =
                repair_options.any(|p| p.service == service && matches!(p.repair, Repair::Wait { .. }));
            waits && incident_records.has_done(service, |_| true)
        }
        Layer::Source | Layer::Artifact => false,
    }
}

/// The previous image of each service of a step: a rollback restores it, and a build must keep it.
pub(super) fn images_of_before(snapshot: &Snapshot<'_>, planned: &PlannedStep) -> BTreeMap<String, String> {
    let image = match planned.step {
        Step::Build { .. } => decide::to_keep,
        _ => decide::rollback_target,
    };
    let of = |service: &String| Some((service.clone(), image(&snapshot.history, service)?.to_owned()));
    planned.services.iter().filter_map(of).collect()
}

pub(super) fn pending_builds(
    snapshot: &Snapshot<'_>,
    services: &[String],
    succeeded: bool,
) -> Vec<PendingBuild> {
    let built = snapshot.observed.services.iter().filter(|s| services.contains(&s.name));
    built
        .filter_map(|s| {
            Some(PendingBuild {
                service: s.name.clone(),
                digest: s.source.digest.known()?.clone()?,
                image_before: s.artifact.image.known().cloned().flatten(),
                succeeded,
            })
        })
        .collect()
}

//! From what the store keeps to the history that a decision rests on.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use serde_json::Value;

use super::{Session, stability_window::StabilityWindow};
use crate::{
    api::{
        AuditKind, AuditRecord, ConditionType, Desired, Incident, IncidentOutcome, ObjectStatus, Occurrence,
        ProjectObservation, Step, StepOutcome, Time,
    },
    decide::{self, DoneStep, History, Identity, OpenIncident, Verified, identities},
    store::{RecordFilter, Store, StoreError, VerifiedFrom},
};

/// The history of an object, whose Compose project has this name.
pub(super) fn history(
    store: &Store,
    desired: &Desired,
    project: &str,
    session: &Session,
    now: Time,
) -> Result<History, StoreError> {
    let name = desired.name();
    let previous = store.object(name)?.map(|object| object.status);
    let generation = store.peek_generation(name, &desired.spec_digest)?;
    let verifications = previous.as_ref().map(|status| verifications(status, generation)).unwrap_or_default();
    let incident = open_incident(store, name)?;
    let (verified_from, is_verified_from_altered) = match store.verified_from(name)? {
        VerifiedFrom::Nothing => (None, false),
        VerifiedFrom::Resolved(from) => (Some(from), false),
        VerifiedFrom::Altered => (None, true),
    };
    Ok(History {
        last_healed: last_healed(store, name, incident.as_ref(), now)?,
        generation,
        attempts: store.attempts(name)?,
        recent_steps: store.recent_steps(project, now)?,
        incident,
        verified_since: verifications.iter().map(|(name, (_, since))| (name.clone(), *since)).collect(),
        verified: verifications.into_iter().map(|(name, (identities, _))| (name, identities)).collect(),
        restarts: session.restart_history.counts_before(),
        watching_since: Some(session.since),
        looking_since: Some(session.begun),
        verifying: session.stability.as_ref().map(StabilityWindow::services).unwrap_or_default(),
        gone_images: BTreeSet::new(),
        suspended: store.suspension(name)?.filter(|suspension| !suspension.has_passed(now)),
        verified_from,
        is_verified_from_altered,
    })
}

fn open_incident(store: &Store, object: &str) -> Result<Option<OpenIncident>, StoreError> {
    let Some(incident) = store.current_incident(object)? else { return Ok(None) };
    let before = incident.before.clone();
    read_incident(store, &incident, incident.latest(), None, before).map(Some)
}

/// The incident that ended just before the open one began, or before now, if a repair of it may still turn out to be for
/// the worse.
fn last_healed(
    store: &Store,
    object: &str,
    open: Option<&OpenIncident>,
    now: Time,
) -> Result<Option<OpenIncident>, StoreError> {
    let since = open.map_or(now, |incident| incident.opened_at) - decide::JUDGED_FOR;
    // One that was opened again has its own last time before it.
    if let Some(incident) = store.current_incident(object)?
        && let Some(earlier) = incident.earlier.clone()
    {
        let is_recent = earlier.outcome == IncidentOutcome::Reconciled && earlier.closed_at > since;
        let until = Some(incident.since_seq);
        let read = || read_incident(store, &incident, earlier.began, until, earlier.before.clone());
        return is_recent.then(read).transpose();
    }
    let last = store.incident_closed_since(object, since)?;
    let Some(healed) = last.filter(|incident| incident.outcome == Some(IncidentOutcome::Reconciled)) else {
        return Ok(None);
    };
    let before = healed.before.clone();
    read_incident(store, &healed, healed.latest(), None, before).map(Some)
}

/// One occurrence of an incident, which is over with the record of that number, or goes on.
fn read_incident(
    store: &Store,
    incident: &Incident,
    began: Occurrence,
    until: Option<u64>,
    before: Value,
) -> Result<OpenIncident, StoreError> {
    let filter = RecordFilter {
        incident: Some(incident.id.clone()),
        after: Some(began.since_seq),
        ..RecordFilter::default()
    };
    let mut records = store.records(&filter)?;
    records.retain(|record| until.is_none_or(|until| record.seq <= until));
    Ok(OpenIncident {
        id: incident.id.clone(),
        before: serde_json::from_value(before).unwrap_or_default(),
        opened_at: began.since,
        steps: steps_of(&records),
        verified: records.iter().filter_map(verified).collect(),
    })
}

/// The steps that ended, of these records about one object, in their order.
pub(super) fn steps_of<'a>(records: impl IntoIterator<Item = &'a AuditRecord>) -> Vec<DoneStep> {
    let records: Vec<&AuditRecord> = records.into_iter().collect();
    // Only the intent says in which way a service was brought up.
    let is_start = |record: &&&AuditRecord| {
        record.kind == AuditKind::StepIntended.as_str() && record.evidence.get("noRecreate").is_some()
    };
    let starts: BTreeSet<u64> = records.iter().filter(is_start).map(|record| record.seq).collect();
    let ended = |record: &&AuditRecord| {
        let done = step_of(record)?;
        let was_start = record.evidence["intent"].as_u64().is_some_and(|intent| starts.contains(&intent));
        Some(DoneStep { step: if was_start { Step::Start } else { done.step }, ..done })
    };
    records.iter().filter_map(ended).collect()
}

fn step_of(record: &AuditRecord) -> Option<DoneStep> {
    let ended = [AuditKind::StepFinished.as_str(), AuditKind::StepInterrupted.as_str()];
    if !ended.contains(&record.kind.as_str()) {
        return None;
    }
    let step = match record.step.as_deref()? {
        "Build" => Step::Build { no_cache: false },
        "Up" => Step::Up { force_recreate: false },
        "Restart" => Step::Restart,
        "Rollback" => Step::Rollback,
        _ => return None,
    };
    let services = serde_json::from_value(record.evidence.get("services")?.clone()).ok()?;
    let outcome = match record.outcome.as_deref()? {
        // It changed nothing, so nothing follows from it: neither a wait nor a rollback.
        "NotBegun" => return None,
        "Succeeded" => StepOutcome::Succeeded,
        "Failed" => StepOutcome::Failed,
        "TimedOut" => StepOutcome::TimedOut,
        "Cancelled" => StepOutcome::Cancelled,
        _ => StepOutcome::Interrupted,
    };
    Some(DoneStep { step, services, at: ended_at(record)?, outcome })
}

/// When the step ended. Its record may be hours younger, where there was no room for it before.
fn ended_at(record: &AuditRecord) -> Option<Time> {
    let began = record.evidence.get("startedAt").and_then(|at| at.as_str()?.parse::<Time>().ok());
    let took = record.evidence.get("durationMs").and_then(serde_json::Value::as_i64);
    let ended = began.zip(took).and_then(|(began, ms)| began.checked_add_signed(TimeDelta::milliseconds(ms)));
    ended.or_else(|| record.time.parse().ok())
}

fn verified(record: &AuditRecord) -> Option<Verified> {
    let of_kind = record.kind == AuditKind::Verified.as_str();
    let image = record.evidence.get("image").and_then(serde_json::Value::as_str).unwrap_or_default();
    of_kind.then_some(Verified {
        service: record.service.clone()?,
        at: record.time.parse().ok()?,
        image: image.to_owned(),
    })
}

/// What each service consisted of when it was verified, and since when it has been: of those whose status says
/// so, of this very spec. Another spec may declare more than what was verified.
fn verifications(status: &ObjectStatus, generation: i64) -> BTreeMap<String, (Vec<Identity>, Time)> {
    let of = |service: &crate::api::ServiceStatus| {
        let condition = service.conditions.iter().find(|c| c.kind == ConditionType::Reconciled)?;
        let holds = decide::is_verified(condition) && condition.observed_generation == generation;
        let mut all: Vec<Identity> = service.containers.iter().map(Identity::from).collect();
        all.sort();
        holds.then(|| (service.name.clone(), (all, condition.last_transition_time)))
    };
    status.services.iter().filter_map(of).collect()
}

/// The services that consist of what they consisted of when they were verified.
pub(super) fn still_verified(history: &History, observed: &ProjectObservation) -> Vec<String> {
    let same = |s: &&crate::api::ServiceObservation| history.verified.get(&s.name) == Some(&identities(s));
    observed.services.iter().filter(same).map(|s| s.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::NewRecord,
        fixtures::at,
        store::{NewIncident, testing},
    };

    /// An incident in which `api` was brought up, that ended so, and is open again: what is told of the occurrence before.
    fn before_it(outcome: IncidentOutcome) -> Option<OpenIncident> {
        let (_home, store) = testing::store();
        let (drift, before) = (serde_json::json!({}), serde_json::json!({}));
        let id = testing::incident(&store, "shop", at(0), &drift, &before).id;
        let record = NewRecord {
            object: Some("shop".into()),
            incident: Some(id.clone()),
            outcome: Some("Succeeded".into()),
            ..NewRecord::of(AuditKind::StepIntended)
        };
        let up = Step::Up { force_recreate: false };
        let intent = store.intend(&record, up, &["api".to_owned()]).unwrap();
        store.finish(intent, &record).unwrap();
        store.close_incident(&id, at(60), outcome, None).unwrap();
        let new = NewIncident { object: "shop", at: at(90), drift: &drift, before: &before };
        store.open_incident(new, Some(&id)).unwrap();
        let open = open_incident(&store, "shop").unwrap();
        assert_eq!(open.as_ref().map(|open| (open.opened_at, open.steps.len())), Some((at(90), 0)));
        last_healed(&store, "shop", open.as_ref(), at(120)).unwrap()
    }

    #[test]
    fn an_occurrence_is_judged_by_the_one_before_it_where_that_was_reconciled_and_not_where_it_was_given_up()
    {
        let healed = before_it(IncidentOutcome::Reconciled).unwrap();
        assert_eq!((healed.opened_at, healed.last_up("api").is_some()), (at(0), true));
        assert_eq!(before_it(IncidentOutcome::Stalled), None);
    }

    #[test]
    fn a_step_has_ended_when_it_ended_however_late_that_was_recorded() {
        let record = |evidence: serde_json::Value| AuditRecord {
            seq: 1,
            time: "2026-01-01T15:00:00.000000Z".into(),
            object: None,
            service: None,
            incident: None,
            actor: String::new(),
            kind: AuditKind::StepFinished.as_str().into(),
            step: Some("Up".into()),
            outcome: Some("Failed".into()),
            evidence,
            prev_hash: String::new(),
            hash: String::new(),
        };
        let at = |evidence| step_of(&record(evidence)).unwrap().at.to_rfc3339();
        let services = serde_json::json!(["api"]);
        let dated = serde_json::json!({ "services": services, "startedAt": "2026-01-01T12:00:00.5Z", "durationMs": 1500 });
        assert_eq!(at(dated), "2026-01-01T12:00:02+00:00");
        assert_eq!(at(serde_json::json!({ "services": services })), "2026-01-01T15:00:00+00:00");
    }
}

//! Builds the history that a decision rests on from the store.
//!
//! The steps of an incident are a fold of its events ([`OpenIncident::fold`]). The rest stays in tables, because no fold over an
//! incident's events could give it: attempts outlive their incident, and observations change them between two records (the next
//! level of the escalation, the wait after it); the rate counts the steps on a Compose project, which several objects may share,
//! within an hour; and what was verified is in the status. Besides, `check` and `plan` need a history without a walk through the
//! trail. A process that acts does walk it: the store's ledger is the fold over all records, and `agree_with_trail` compares the
//! tables with it before each decision.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Session;
use crate::{
    api::{
        ConditionType, Desired, Incident, IncidentOutcome, ObjectStatus, Occurrence, ProjectObservation, Time,
    },
    decide::{self, History, Identity, OpenIncident, StabilityWindow, identities},
    store::{RecordFilter, Store, StoreError, VerifiedFrom},
};

/// The history of an object whose Compose project has this name.
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
        last_healed: last_healed(store, desired, incident.as_ref(), now)?,
        generation,
        attempts: store.attempts(name)?,
        recent_steps: store.recent_steps(project, now)?,
        incident,
        verified_since: verifications.iter().map(|(name, (_, since))| (name.clone(), *since)).collect(),
        verified: verifications.into_iter().map(|(name, (identities, _))| (name, identities)).collect(),
        restarts: session.restart_history.counts_before(),
        restart_logs: BTreeMap::new(),
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

/// The incident that ended just before the open one began, or before now, if its repair may still turn out to be harmful.
fn last_healed(
    store: &Store,
    desired: &Desired,
    open: Option<&OpenIncident>,
    now: Time,
) -> Result<Option<OpenIncident>, StoreError> {
    let object = desired.name();
    let judged_for = decide::judged_for(&desired.object.spec.reconcile);
    let since = open.map_or(now, |incident| incident.opened_at) - judged_for;
    // A reopened incident is preceded by its own last occurrence.
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

/// One occurrence of an incident, which ended with the record of that number, or is still open.
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
    let events = store.events(&filter)?;
    let of_it = events.iter().filter(|event| until.is_none_or(|until| event.seq <= until));
    Ok(OpenIncident::fold(
        incident.id.clone(),
        began.since,
        evidence_from_before(&incident.id, before)?,
        of_it,
    ))
}

/// The status of the object before the first step. If it cannot be read, nobody knows what a rollback would restore.
fn evidence_from_before(incident: &str, before: Value) -> Result<ObjectStatus, StoreError> {
    if before == Value::Object(serde_json::Map::new()) {
        // Somebody else wrote it: see `agree_with_trail`.
        return Ok(ObjectStatus::default());
    }
    let unreadable = |source| StoreError::EvidenceUnreadable { incident: incident.to_owned(), source };
    serde_json::from_value(before).map_err(unreadable)
}

/// The containers of each service at its verification, and since when it has been verified: for the services whose status
/// has that for this very spec. Another spec may declare more than was verified.
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

/// The services with the same containers as at their verification.
pub(super) fn still_verified(history: &History, observed: &ProjectObservation) -> Vec<String> {
    let same = |s: &&crate::api::ServiceObservation| history.verified.get(&s.name) == Some(&identities(s));
    observed.services.iter().filter(same).map(|s| s.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::{AuditKind, NewRecord, Step},
        store::{NewIncident, testing},
        testing::fixtures::at,
    };

    /// An incident in which `api` was brought up, that ended so, and is open again: the records of its previous occurrence.
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
        let mut desired = crate::testing::fixtures::desired();
        desired.object.metadata.name = "shop".into();
        last_healed(&store, &desired, open.as_ref(), at(120)).unwrap()
    }

    #[test]
    fn an_occurrence_is_judged_by_the_one_before_it_where_that_was_reconciled_and_not_where_it_was_given_up()
    {
        let healed = before_it(IncidentOutcome::Reconciled).unwrap();
        assert_eq!((healed.opened_at, healed.last_up("api").is_some()), (at(0), true));
        assert_eq!(before_it(IncidentOutcome::Stalled), None);
    }

    /// Ignoring these would give a repair without its rollback, or a step that counts as interrupted.
    #[test]
    fn an_unreadable_record_or_evidence_is_an_error_that_names_it() {
        let (_home, store) = testing::store();
        let open = |before| testing::incident(&store, "shop", at(0), &serde_json::json!({}), &before).id;
        let id = open(serde_json::json!({}));
        assert_eq!(open_incident(&store, "shop").unwrap().unwrap().before, ObjectStatus::default());
        let record = NewRecord {
            object: Some("shop".into()),
            incident: Some(id.clone()),
            step: Some(crate::api::StepKind::Up),
            outcome: Some("Sideways".into()),
            evidence: serde_json::json!({ "services": ["api"] }),
            ..NewRecord::of(AuditKind::StepFinished)
        };
        let seq = store.append(&record).unwrap();
        let error = open_incident(&store, "shop").unwrap_err();
        assert!(matches!(&error, StoreError::NotUnderstood(of) if of.seq == seq), "{error}");
        store.close_incident(&id, at(60), IncidentOutcome::Stalled, None).unwrap();
        let id = open(serde_json::json!({ "services": 3 }));
        let error = open_incident(&store, "shop").unwrap_err();
        assert!(
            matches!(&error, StoreError::EvidenceUnreadable { incident, .. } if *incident == id),
            "{error}"
        );
    }
}

//! From what the store keeps to the history that a decision rests on.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use super::{deaths::Deaths, series::Series};
use crate::{
    api::{
        AuditKind, AuditRecord, ConditionStatus, ConditionType, Desired, Drift, Incident, IncidentOutcome,
        Layer, ObjectStatus, ProjectObservation, Reason, Step, StepOutcome, Time,
    },
    decide::{self, Decision, Diagnosis, DoneStep, History, Identity, OpenIncident, Verified, identities},
    store::{ImageKnowledge, RecordFilter, Store, StoreError},
};

/// What one series of turns remembers in memory. Losing it costs a little time, never correctness.
#[derive(Debug, Clone)]
pub struct Session {
    /// When the series began, or when it became quiet.
    pub(super) since: Time,
    /// How often each container has died of late.
    pub(super) deaths: Deaths,
    /// The builds whose images are not looked at yet.
    pub(super) builds: Vec<PendingBuild>,
    /// The service drifts that were told already while waiting, so that each is said once.
    pub(super) told: BTreeSet<String>,
    /// The stability window of services that became as declared while others were proven.
    pub(super) series: Option<Series>,
    /// How things stood when there was nothing left to do.
    settled: Option<Vec<Standing>>,
    /// When the series began, whether it was quiet then or not.
    pub(super) begun: Time,
    /// Whether a first look has been taken.
    has_looked: bool,
}

/// How a service stands: its drift, whether something of it is unknown, and what it consists of.
type Standing = (String, Option<(Layer, Reason)>, bool, Vec<Identity>);

/// A service's build that ended just now.
#[derive(Debug, Clone)]
pub(super) struct PendingBuild {
    pub(super) service: String,
    /// The build context's digest before the build began.
    pub(super) digest: String,
    /// The image behind the reference before.
    pub(super) image_before: Option<String>,
    /// Whether the command as a whole succeeded.
    pub(super) succeeded: bool,
}

impl Session {
    /// A series that begins now.
    #[must_use]
    pub fn new(now: Time) -> Self {
        Self {
            since: now,
            deaths: Deaths::default(),
            builds: Vec::new(),
            told: BTreeSet::new(),
            series: None,
            settled: None,
            begun: now,
            has_looked: false,
        }
    }

    /// When the series began.
    #[cfg(test)]
    pub(crate) fn began(&self) -> Time {
        self.begun
    }

    /// The series that begins where this one is given up: only what was built and not looked at yet goes on, or nobody would
    /// ever know from which source.
    #[must_use]
    pub fn begin_anew(self, now: Time) -> Self {
        Self { builds: self.builds, ..Self::new(now) }
    }

    /// Notes what a look has shown. What may pass by itself is waited for from the end of the first look on, which may take
    /// longer than all others: nothing is in a cache yet.
    pub(super) fn note(&mut self, observed: &ProjectObservation, now: Time) {
        if !std::mem::replace(&mut self.has_looked, true) {
            (self.since, self.begun) = (now, now);
        }
        self.deaths.note(observed, now);
        self.note_quiet(observed, now);
    }

    /// Notes that nothing is left to do as things stand.
    pub(super) fn settle(&mut self, observed: &ProjectObservation, decision: &Decision) {
        self.settled = Some(standing(observed, decision));
    }

    /// Notes that it was given up to prove what is as declared. The next look is another series: what has become
    /// steady since is to be proven then.
    pub(super) fn give_up_proving(&mut self) {
        self.settled = Some(Vec::new());
    }

    /// Begins a new series where things stand otherwise than when there was nothing left to do: what changed since
    /// gets its time to become as declared, however long ago undrift began to look. What still stands as it did
    /// does not: a drift that was given up on would otherwise be watched anew at every resync.
    pub(super) fn is_news(&mut self, observed: &ProjectObservation, decision: &Decision, now: Time) -> bool {
        let news = self.settled.as_ref().is_some_and(|settled| *settled != standing(observed, decision));
        if news {
            let (builds, deaths) = (std::mem::take(&mut self.builds), std::mem::take(&mut self.deaths));
            *self = Self { builds, deaths, has_looked: true, ..Self::new(now) };
        }
        news
    }

    /// While someone else is at work, or the engine is only just starting, the time that a repair may take does not run.
    fn note_quiet(&mut self, observed: &ProjectObservation, now: Time) {
        if observed.changing.is_some() {
            self.since = now;
        }
    }
}

fn standing(observed: &ProjectObservation, decision: &Decision) -> Vec<Standing> {
    let of = |diagnosis: &Diagnosis| {
        let seen = observed.services.iter().find(|seen| seen.name == diagnosis.service);
        let drift = diagnosis.drift.as_ref().map(Drift::class);
        let identities = seen.map(identities).unwrap_or_default();
        (diagnosis.service.clone(), drift, diagnosis.unknown.is_some(), identities)
    };
    decision.services.iter().map(of).collect()
}

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
    let proofs = previous.as_ref().map(|status| proofs(status, generation)).unwrap_or_default();
    let incident = open_incident(store, name)?;
    Ok(History {
        last_healed: last_healed(store, name, incident.as_ref(), now)?,
        generation,
        attempts: store.attempts(name)?,
        recent_steps: store.recent_steps(project, now)?,
        incident,
        proven_since: proofs.iter().map(|(name, (_, since))| (name.clone(), *since)).collect(),
        proven: proofs.into_iter().map(|(name, (identities, _))| (name, identities)).collect(),
        restarts: session.deaths.counts_before(),
        watching_since: Some(session.since),
        looking_since: Some(session.begun),
        proving: session.series.as_ref().map(Series::services).unwrap_or_default(),
        suspended: store.suspension(name)?.filter(|suspension| !suspension.has_passed(now)),
    })
}

fn open_incident(store: &Store, object: &str) -> Result<Option<OpenIncident>, StoreError> {
    store.current_incident(object)?.map(|incident| story(store, incident)).transpose()
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
    let last = store.incident_closed_since(object, since)?;
    let healed = last.filter(|incident| incident.outcome == Some(IncidentOutcome::Reconciled));
    healed.map(|incident| story(store, incident)).transpose()
}

fn story(store: &Store, incident: Incident) -> Result<OpenIncident, StoreError> {
    let records =
        store.records(&RecordFilter { incident: Some(incident.id.clone()), ..RecordFilter::default() })?;
    Ok(OpenIncident {
        before: serde_json::from_value(incident.before).unwrap_or_default(),
        opened_at: incident.opened_at,
        steps: records.iter().filter_map(step_of).collect(),
        verified: records.iter().filter_map(verified).collect(),
        id: incident.id,
    })
}

pub(super) fn step_of(record: &AuditRecord) -> Option<DoneStep> {
    let ended = [AuditKind::StepFinished.as_str(), AuditKind::StepInterrupted.as_str()];
    if !ended.contains(&record.kind.as_str()) {
        return None;
    }
    let step = match record.step.as_deref()? {
        "Build" => Step::Build { no_cache: false },
        "Up" if record.evidence.get("noRecreate").is_some() => Step::Start,
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

/// What each service consisted of when it was proven, and since when it has been: of those whose status says
/// `Reconciled`, of this very spec. Another spec may declare more than what was proven.
fn proofs(status: &ObjectStatus, generation: i64) -> BTreeMap<String, (Vec<Identity>, Time)> {
    let of = |service: &crate::api::ServiceStatus| {
        let condition = service.conditions.iter().find(|c| c.kind == ConditionType::Reconciled)?;
        let holds = condition.status == ConditionStatus::True && condition.observed_generation == generation;
        let mut all: Vec<Identity> = service.containers.iter().map(Identity::from).collect();
        all.sort();
        holds.then(|| (service.name.clone(), (all, condition.last_transition_time)))
    };
    status.services.iter().filter_map(of).collect()
}

/// The services that consist of what they consisted of when they were proven.
pub(super) fn still_proven(history: &History, observed: &ProjectObservation) -> Vec<String> {
    let same = |s: &&crate::api::ServiceObservation| history.proven.get(&s.name) == Some(&identities(s));
    observed.services.iter().filter(same).map(|s| s.name.clone()).collect()
}

/// Adds to the observation what only the store can know of an image: the source that it was built from.
pub(super) fn add_image_knowledge(
    store: &Store,
    observed: &mut ProjectObservation,
) -> Result<(), StoreError> {
    for service in &mut observed.services {
        if let Some(Some(id)) = service.artifact.image.known() {
            service.artifact.built_from = store.image(id)?.and_then(|image| image.source_digest);
        }
    }
    Ok(())
}

/// Remembers what the images of the builds that just ended were built from.
///
/// Where the build context is another by now nobody knows which of the two the build has read: the one from before is noted,
/// which at worst costs one build too many, and hides no change. What is not seen now may be seen next time. Of two builds in one command one may fail, and the other's tag has moved all the same:
/// an image that is another than before was built.
pub(super) fn learn_from_builds(
    store: &Store,
    session: &mut Session,
    observed: &ProjectObservation,
) -> Result<(), StoreError> {
    for build in &session.builds {
        let Some(seen) = observed.services.iter().find(|s| s.name == build.service) else { continue };
        let Some(Some(id)) = seen.artifact.image.known() else { continue };
        let was_built = build.succeeded || build.image_before.as_ref() != Some(id);
        if was_built {
            let known = store.image(id)?;
            store.save_image(&ImageKnowledge {
                id: id.clone(),
                reference: seen.artifact.reference.clone(),
                source_digest: Some(build.digest.clone()),
                built_by_undrift: true,
                last_good_at: known.and_then(|image| image.last_good_at),
            })?;
        }
    }
    let is_unknown = |build: &PendingBuild| {
        let seen = observed.services.iter().find(|s| s.name == build.service);
        seen.is_some_and(|seen| seen.artifact.image.known().is_none())
    };
    session.builds.retain(is_unknown);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::Fact,
        fixtures::{OLD, at, healthy},
    };

    fn built(digest: &str) -> PendingBuild {
        let (service, image_before) = ("api".to_owned(), Some(OLD.to_owned()));
        PendingBuild { service, digest: digest.to_owned(), image_before, succeeded: true }
    }

    #[test]
    fn what_an_image_was_built_from_is_noted_also_where_the_source_has_changed_since() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), "test".into()).unwrap();
        let mut session = Session::new(at(0));
        session.builds.push(built("sha256:before"));
        let mut seen = healthy();
        let image =
            std::mem::replace(&mut seen.services[0].artifact.image, Fact::unknown("the engine is busy"));
        learn_from_builds(&store, &mut session, &seen).unwrap();
        assert!(store.images().unwrap().is_empty());

        // Neither an outage nor a person's request makes it forget.
        let mut session = session.begin_anew(at(1));
        seen.services[0].artifact.image = image;
        learn_from_builds(&store, &mut session, &seen).unwrap();
        let known = store.images().unwrap();
        assert_eq!(known.len(), 1);
        assert_eq!(
            known[0].source_digest.as_deref(),
            Some("sha256:before"),
            "and not what the source is now"
        );
        assert!(known[0].built_by_undrift && session.builds.is_empty());
    }

    #[test]
    fn what_the_state_has_no_room_for_is_not_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        drop(Store::open(dir.path(), "test".into()).unwrap());
        let read_only = Store::open_read_only(dir.path()).unwrap().unwrap();
        let mut session = Session::new(at(0));
        session.builds.push(built("sha256:before"));
        learn_from_builds(&read_only, &mut session, &healthy()).unwrap_err();
        assert_eq!(session.builds.len(), 1);
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

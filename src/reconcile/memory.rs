//! From what the store keeps to the history that a decision rests on.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use super::{deaths::Deaths, series::Series};
use crate::{
    api::{
        AuditKind, AuditRecord, Cache, ConditionStatus, ConditionType, Desired, Drift, Fact, FirstSight,
        Incident, IncidentOutcome, Layer, ObjectStatus, Presence, ProjectObservation, Reason,
        SourceObservation, Step, StepOutcome, Time,
    },
    decide::{
        self, Decision, Diagnosis, DoneStep, History, Identity, OpenIncident, Verified, digest_form as form,
        identities,
    },
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

/// The cache's space for [`FirstSight`]s.
const SIGHTS: &str = "first-sight";

/// Adds to the observation what only the store can know of an image: the source that it was built from, or else the source
/// as it was when the image was seen first.
pub(super) fn add_image_knowledge(
    store: &Store,
    desired: &Desired,
    observed: &mut ProjectObservation,
    now: Time,
) -> Result<(), StoreError> {
    for service in &mut observed.services {
        let Some(Some(id)) = service.artifact.image.known() else { continue };
        service.artifact.built_from = store.image(id)?.and_then(|image| image.source_digest);
        if service.artifact.built_from.is_none() {
            // By directory and service, too: two services may have one image and two contexts.
            let key = format!("{}\n{}\n{id}", desired.directory.display(), service.name);
            service.artifact.first_sight = first_sight(store, &key, &service.source, now);
        }
    }
    Ok(())
}

/// What is remembered of the image's first look after this one. Each look notes what it sees, that of `check` too.
fn first_sight(cache: &dyn Cache, key: &str, source: &SourceObservation, now: Time) -> Option<FirstSight> {
    let known: Option<FirstSight> = cache.get(SIGHTS, key).and_then(|text| serde_json::from_str(&text).ok());
    let digest = match &source.digest {
        Fact::Known(None) => return None,
        // What it is now is not known; that the image is older than what comes still is.
        Fact::Unknown(_) => return known,
        Fact::Known(Some(digest)) => digest,
    };
    let next = match &known {
        // Another rule gives other digests of the same source: nothing can be said of what was before.
        Some(sight) if form(&sight.digest) == form(digest) => {
            let changed_at = (sight.digest != *digest).then(|| sight.changed_at.unwrap_or(now));
            FirstSight { changed_at, ..sight.clone() }
        }
        // A source that lacks what is declared is in the middle of something; what comes back was there before.
        _ if !is_whole(source) => return None,
        _ => FirstSight { digest: digest.clone(), at: now, changed_at: None },
    };
    if known.as_ref() != Some(&next)
        && let Ok(text) = serde_json::to_string(&next)
    {
        cache.put(SIGHTS, key, &text);
    }
    Some(next)
}

fn is_whole(source: &SourceObservation) -> bool {
    source.modules.iter().flatten().all(|module| *module == Fact::Known(Presence::Present))
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
    fn first_sight_of_an_image_is_kept_and_a_source_that_goes_back_is_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), "test".into()).unwrap();
        let source = |digest| SourceObservation { modules: vec![], digest, unreadable: None };
        let sight = |digest: &str, seconds| {
            let source = source(Fact::Known(Some(digest.to_owned())));
            first_sight(&store, "a", &source, at(seconds)).unwrap()
        };
        let first = |changed_at| FirstSight { digest: "v1:sha256:1".into(), at: at(0), changed_at };
        assert_eq!(sight("v1:sha256:1", 0), first(None));
        assert_eq!(sight("v1:sha256:1", 5), first(None));
        assert_eq!(sight("v1:sha256:2", 10), first(Some(at(10))));
        assert_eq!(sight("v1:sha256:3", 20), first(Some(at(10))), "since when it has been another");
        let unknown = first_sight(&store, "a", &source(Fact::unknown("no right")), at(25));
        assert_eq!(unknown, Some(first(Some(at(10)))), "what cannot be read changes nothing");
        assert_eq!(sight("v1:sha256:1", 30), first(None));
        assert_eq!(sight("v1:sha256:2", 40), first(Some(at(40))));
        // Another version of undrift digests by another rule, and begins anew.
        let anew = FirstSight { digest: "v2:sha256:2".into(), at: at(50), changed_at: None };
        assert_eq!(sight("v2:sha256:2", 50), anew);
        assert_eq!(first_sight(&store, "b", &source(Fact::Known(None)), at(60)), None, "nothing to build");
        assert_eq!(first_sight(&store, "b", &source(Fact::unknown("no right")), at(60)), None, "never seen");
        let lacks = SourceObservation {
            modules: vec![None, Some(Fact::Known(Presence::Missing))],
            digest: Fact::Known(Some("v2:sha256:1".into())),
            unreadable: None,
        };
        assert_eq!(first_sight(&store, "b", &lacks, at(70)), None, "it is not the source that is declared");
    }

    #[test]
    fn services_of_one_image_have_a_first_sight_each_and_what_undrift_built_has_none() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), "test".into()).unwrap();
        let look = |second_source: &str| {
            let mut seen = healthy();
            seen.services[1].source.digest = Fact::Known(Some(second_source.to_owned()));
            add_image_knowledge(&store, &crate::fixtures::desired(), &mut seen, at(0)).unwrap();
            seen.services.into_iter().map(|s| s.artifact.first_sight.map(|s| (s.digest, s.changed_at)))
        };
        let sights: Vec<_> = look("sha256:other").flatten().collect();
        assert_eq!(sights, [("sha256:source-2".into(), None), ("sha256:other".into(), None)]);
        let sights: Vec<_> = look("sha256:new").flatten().collect();
        assert_eq!(sights[1], ("sha256:other".into(), Some(at(0))));
        let mut session = Session::new(at(0));
        session.builds.push(built("sha256:before"));
        learn_from_builds(&store, &mut session, &healthy()).unwrap();
        assert_eq!(look("sha256:new").flatten().count(), 0, "one image, which undrift has built");
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

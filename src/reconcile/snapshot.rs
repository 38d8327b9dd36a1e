//! The observation and decision of one reconcile, and how they are recorded.

use std::{borrow::Cow, collections::BTreeSet};

use chrono::TimeDelta;
use tokio::time::Instant;

use super::{
    Action, EnvironmentTrust, ReconcileError, ReconcileOutcome, Reconciler, Session, history,
    image_knowledge, object, observe, restart_log, transitions::Transitions,
};
use crate::{
    api::{Desired, GitState, ObjectStatus, ProjectObservation, RouteAnswer, Time},
    decide::{self, Decision, History, Inputs, Next, StatusInputs},
    host::Host,
};

/// When to reconcile an object again that is already due.
const SOON: TimeDelta = TimeDelta::seconds(2);

/// The observation and decision of one reconcile.
pub(super) struct Snapshot<'a> {
    /// As declared.
    pub(super) desired: &'a Desired,
    /// The same with what each `each` gave at this observation.
    pub(super) expanded: Cow<'a, Desired>,
    pub(super) observed: ProjectObservation,
    pub(super) history: History,
    pub(super) decision: Decision,
    /// The project's git work tree, if a record is about it.
    pub(super) git: Option<GitState>,
    pub(super) previous: Option<ObjectStatus>,
    pub(super) now: Time,
    /// When the observation began.
    pub(super) looked: Instant,
    pub(super) jitter_seed: u64,
    /// False once undrift was asked to end: then it is no longer reconciling.
    pub(super) reconciling: bool,
}

impl Snapshot<'_> {
    pub(super) fn inputs(&self) -> Inputs<'_> {
        Inputs {
            desired: &self.expanded,
            observed: &self.observed,
            history: &self.history,
            now: self.now,
            jitter_seed: self.jitter_seed,
        }
    }

    /// The status of this snapshot; `verified` are the services that are verified as they are.
    pub(super) fn status(&self, verified: &[String], transitions: &Transitions) -> ObjectStatus {
        let last = self.previous.as_ref().and_then(|p| p.incident.as_deref());
        decide::status(StatusInputs {
            desired: &self.expanded,
            generation: self.history.generation,
            observed: &self.observed,
            decision: &self.decision,
            suspended: self.history.suspended.as_ref(),
            previous: self.previous.as_ref(),
            verified,
            transitions,
            incident: self.history.incident.as_ref().map(|incident| incident.id.as_str()).or(last),
            reconciling: self.reconciling,
            now: self.now,
        })
    }

    /// For how long a probed server wants no further request.
    pub(super) fn limited_for(&self) -> std::time::Duration {
        let answers = self.observed.services.iter().flat_map(|s| &s.routes).flat_map(|route| &route.answers);
        let until = answers.filter_map(RouteAnswer::limited_until).max();
        until.and_then(|until| (until - self.now).to_std().ok()).unwrap_or_default()
    }

    pub(super) fn still_verified(&self) -> Vec<String> {
        history::still_verified(&self.history, &self.observed)
    }
}

/// Those of a rollback's images that the engine no longer has. There is seldom one to check.
pub(super) async fn gone_images<H: Host>(
    host: &H,
    history: &History,
    observed: &ProjectObservation,
) -> BTreeSet<String> {
    let wanted = decide::images_to_restore(history, observed);
    if wanted.is_empty() { wanted } else { host.gone_images(&wanted).await }
}

impl<H: Host> Reconciler<H> {
    /// Observes and decides.
    pub(super) async fn snapshot<'d>(
        &self,
        desired: &'d Desired,
        session: &mut Session,
    ) -> Result<Snapshot<'d>, ReconcileError> {
        let looked = Instant::now();
        let (expanded, mut observed) = observe::observe(&*self.host, desired).await?;
        self.stay_at_engine(desired, &observed)?;
        session.note(&observed, (self.clock)());
        image_knowledge::learn_from_builds(&self.store, session, &observed)?;
        let now = (self.clock)();
        image_knowledge::add_image_knowledge(&self.store, desired, &mut observed, now)?;
        self.store.settle_recent_steps(now)?;
        let mut history = history::history(&self.store, desired, &observed.project, session, now)?;
        history.restart_logs = restart_log::read(Some(&self.store), desired, &observed, &history, now);
        restart_log::keep(&self.store, &observed.project, &history.restart_logs);
        history.gone_images = gone_images(&*self.host, &history, &observed).await;
        if self.environment == EnvironmentTrust::Declared {
            (history.verified_from, history.is_verified_from_altered) = (None, false);
        }
        let previous = self.store.object(desired.name())?.map(|object| object.status);
        let jitter_seed = now.timestamp_micros().unsigned_abs();
        let decide = |history: &History| {
            decide::decide(Inputs { desired: &expanded, observed: &observed, history, now, jitter_seed })
        };
        let mut decision = decide(&history);
        if session.reset_if_changed(&observed, &decision, now) {
            history.watching_since = Some(session.since);
            history.looking_since = Some(session.begun);
            decision = decide(&history);
        }
        tracing::debug!(next = ?decision.next, "decided");
        let reconciling = !self.stop.is_cancelled();
        let drifted = decision.services.iter().any(|diagnosis| diagnosis.drift.is_some());
        let wants_git = drifted && (history.incident.is_none() || matches!(decision.next, Next::Execute(_)));
        let git = if wants_git { self.host.git(desired).await.known().cloned().flatten() } else { None };
        Ok(Snapshot {
            desired,
            expanded,
            observed,
            history,
            decision,
            git,
            previous,
            now,
            looked,
            jitter_seed,
            reconciling,
        })
    }

    /// Keeps a verified image before somebody builds over it. A failure holds up nothing, and is retried.
    pub(super) async fn keep_verified(&self, snapshot: &Snapshot<'_>) {
        if self.stop.is_cancelled() || !(self.is_current)(snapshot.desired) {
            return;
        }
        let images = decide::verified_images(snapshot.inputs(), &snapshot.decision.services);
        if !images.is_empty() {
            self.host.keep_verified(&snapshot.observed.project, &images).await;
        }
    }

    pub(super) fn save(
        &self,
        snapshot: &Snapshot<'_>,
        transitions: &Transitions,
    ) -> Result<ObjectStatus, ReconcileError> {
        let status = snapshot.status(&snapshot.still_verified(), transitions);
        self.store.save_object(&object(snapshot.desired, status.clone()))?;
        Ok(status)
    }

    pub(super) fn ended(snapshot: &Snapshot<'_>, action: Action) -> ReconcileOutcome {
        let verified = snapshot.still_verified();
        let reconciled =
            snapshot.decision.as_declared() && verified.len() == snapshot.desired.services().len();
        let object = object(snapshot.desired, snapshot.status(&verified, &Transitions::new()));
        let suspended_until = snapshot.history.suspended.as_ref().and_then(|suspension| suspension.until);
        let started_again =
            snapshot.decision.repair_options.iter().filter_map(|option| option.started_again_at);
        // It may be due already: then undrift does nothing if it may take no step, and otherwise acts soon.
        let is_held_back = snapshot.decision.held_back.is_some();
        let started_again = started_again
            .filter(|at| !is_held_back || *at > snapshot.now)
            .map(|at| at.max(snapshot.now + SOON));
        let watch = decide::ask_routes_again_at(snapshot.inputs());
        let latest = suspended_until.into_iter().chain(started_again).chain(watch).min();
        let ProjectObservation { at, project, source_paths, .. } = &snapshot.observed;
        let observed = (*at, source_paths.clone());
        ReconcileOutcome { object, reconciled, action, latest, project: project.clone(), observed }
    }
}

//! What one turn has seen and decided, and how it is recorded.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::{
    Action, Environment, ReconcileError, Reconciler, Session, Turn, history, image_knowledge, object,
    transitions::Transitions,
};
use crate::{
    api::{Desired, GitState, ObjectStatus, ProjectObservation, RouteAnswer, Time},
    decide::{self, Decision, History, Inputs, Next, StatusInputs},
    host::Host,
};

/// What one turn has seen and decided.
pub(super) struct Scene<'a> {
    pub(super) desired: &'a Desired,
    pub(super) observed: ProjectObservation,
    pub(super) history: History,
    pub(super) decision: Decision,
    /// The project's git work tree, where there is something to tell.
    pub(super) git: Option<GitState>,
    pub(super) previous: Option<ObjectStatus>,
    pub(super) now: Time,
    /// When the look began.
    pub(super) looked: Instant,
    pub(super) jitter_seed: u64,
    /// False once undrift was asked to end: then nobody is reconciling.
    pub(super) at_work: bool,
}

impl Scene<'_> {
    pub(super) fn inputs(&self) -> Inputs<'_> {
        Inputs {
            desired: self.desired,
            observed: &self.observed,
            history: &self.history,
            now: self.now,
            jitter_seed: self.jitter_seed,
        }
    }

    /// The status of this scene; `proven` are the services that are proven as they are.
    pub(super) fn status(&self, proven: &[String], transitions: &Transitions) -> ObjectStatus {
        let last = self.previous.as_ref().and_then(|p| p.incident.as_deref());
        decide::status(StatusInputs {
            desired: self.desired,
            generation: self.history.generation,
            observed: &self.observed,
            decision: &self.decision,
            suspended: self.history.suspended.as_ref(),
            previous: self.previous.as_ref(),
            proven,
            transitions,
            incident: self.history.incident.as_ref().map(|incident| incident.id.as_str()).or(last),
            at_work: self.at_work,
            now: self.now,
        })
    }

    /// For how long a server that was asked wants no further request.
    pub(super) fn limited_for(&self) -> std::time::Duration {
        let answers = self.observed.services.iter().flat_map(|s| &s.routes).flat_map(|route| &route.answers);
        let until = answers.filter_map(RouteAnswer::limited_until).max();
        until.and_then(|until| (until - self.now).to_std().ok()).unwrap_or_default()
    }

    pub(super) fn still_proven(&self) -> Vec<String> {
        history::still_proven(&self.history, &self.observed)
    }
}

/// Of the images that a rollback would put back those that the engine no longer has. There is seldom one to ask for.
pub(super) async fn gone_images<H: Host>(
    host: &H,
    history: &History,
    observed: &ProjectObservation,
) -> BTreeSet<String> {
    let wanted = decide::images_to_put_back(history, observed);
    if wanted.is_empty() { wanted } else { host.gone_images(&wanted).await }
}

impl<H: Host> Reconciler<'_, H> {
    /// Looks, and decides.
    pub(super) async fn scene<'d>(
        &self,
        desired: &'d Desired,
        session: &mut Session,
    ) -> Result<Scene<'d>, ReconcileError> {
        let looked = Instant::now();
        let mut observed = self.host.observe(desired).await?;
        self.stay_at_engine(desired, &observed)?;
        session.note(&observed, (self.clock)());
        image_knowledge::learn_from_builds(self.store, session, &observed)?;
        let now = (self.clock)();
        image_knowledge::add_image_knowledge(self.store, desired, &mut observed, now)?;
        self.store.settle_recent_steps(now)?;
        let mut history = history::history(self.store, desired, &observed.project, session, now)?;
        history.gone_images = gone_images(self.host, &history, &observed).await;
        if self.environment == Environment::Declared {
            (history.verified_from, history.is_verified_from_altered) = (None, false);
        }
        let previous = self.store.object(desired.name())?.map(|object| object.status);
        let jitter_seed = now.timestamp_micros().unsigned_abs();
        let decide = |history: &History| {
            decide::decide(Inputs { desired, observed: &observed, history, now, jitter_seed })
        };
        let mut decision = decide(&history);
        if session.is_news(&observed, &decision, now) {
            history.watching_since = Some(session.since);
            history.looking_since = Some(session.begun);
            decision = decide(&history);
        }
        tracing::debug!(next = ?decision.next, "decided");
        let at_work = !self.stop.is_cancelled();
        let drifted = decision.services.iter().any(|diagnosis| diagnosis.drift.is_some());
        let tells = drifted && (history.incident.is_none() || matches!(decision.next, Next::Execute(_)));
        let git = if tells { self.host.git(desired).await.known().cloned().flatten() } else { None };
        Ok(Scene { desired, observed, history, decision, git, previous, now, looked, jitter_seed, at_work })
    }

    /// Keeps what was verified before somebody builds over it. A failure holds up nothing, and is tried again.
    pub(super) async fn keep_verified(&self, scene: &Scene<'_>) {
        if self.stop.is_cancelled() || !(self.is_current)(scene.desired) {
            return;
        }
        let images = decide::verified_images(scene.inputs(), &scene.decision.services);
        if !images.is_empty() {
            self.host.keep_verified(&scene.observed.project, &images).await;
        }
    }

    pub(super) fn save(
        &self,
        scene: &Scene<'_>,
        transitions: &Transitions,
    ) -> Result<ObjectStatus, ReconcileError> {
        let status = scene.status(&scene.still_proven(), transitions);
        self.store.save_object(&object(scene.desired, status.clone()))?;
        Ok(status)
    }

    pub(super) fn ended(scene: &Scene<'_>, action: Action) -> Turn {
        let proven = scene.still_proven();
        let reconciled = scene.decision.as_declared() && proven.len() == scene.desired.services().len();
        let object = object(scene.desired, scene.status(&proven, &Transitions::new()));
        let suspended_until = scene.history.suspended.as_ref().and_then(|suspension| suspension.until);
        let started_again = scene.decision.prospects.iter().filter_map(|prospect| prospect.started_again_at);
        let latest = suspended_until.into_iter().chain(started_again).min();
        Turn { object, reconciled, action, latest, project: scene.observed.project.clone() }
    }
}

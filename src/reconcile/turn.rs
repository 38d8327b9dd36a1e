//! One turn of the loop: one look, one decision, at most one step.

use super::{
    Progress, ReconcileError, Reconciler, Session,
    journal::Journal,
    object,
    scene::Scene,
    step::in_words,
    transitions::{Transitions, of_repair},
};
use crate::{
    api::{Attempt, Desired, Object, RouteSpec, Time},
    decide::{self, Next},
    host::Host,
};

/// When to turn again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Now: something was done.
    Again,
    /// As soon as another object's build has ended: only so many are built at a time.
    AfterBuild,
    /// As soon as another object's step on the same Compose project has ended.
    AfterStep,
    /// At that time: a backoff, or something that may pass by itself.
    At(Time),
    /// At that time, for the rate is exceeded and nothing else is left to do: who applies once does not wait for it.
    Paced(Time),
    /// Not before the next trigger.
    Rest,
    /// Not before the spec or the source changes, or a person says so.
    Stalled,
}

/// How one turn ended.
#[derive(Debug)]
pub struct Turn {
    /// The object with its status.
    pub object: Object,
    /// Whether every service is as declared and proven.
    pub reconciled: bool,
    /// When to turn again.
    pub action: Action,
    /// When to turn again at the latest, though nothing is waited for: a suspension ends by itself, or what something else
    /// ends is started once more.
    pub latest: Option<Time>,
    /// The Compose project's name, as Compose resolves it.
    pub project: String,
}

impl<H: Host> Reconciler<'_, H> {
    /// One turn: one look, one decision, at most one step.
    ///
    /// # Errors
    /// Where nothing can be said about the host, or the state folder fails. No step was taken then, or its outcome
    /// is in the trail, or is kept and comes into it before anything else is done.
    #[tracing::instrument(name = "reconcile", skip_all, fields(object = desired.name(), run = %ulid::Ulid::generate(), incident = tracing::field::Empty))]
    pub async fn turn(&self, desired: &Desired, session: &mut Session) -> Result<Turn, ReconcileError> {
        // What is seen could not be recorded where anybody finds it.
        self.store.check_held()?;
        // Before all that is decided by: a table may have been altered, and the trail counts.
        self.store.agree_with_trail(desired.name(), (self.clock)())?;
        self.store.generation(desired.name(), &desired.spec_digest)?;
        self.store.settle_suspension(desired.name(), (self.clock)())?;
        self.store.keep_manifest_fault(desired.name(), desired.outlived.as_deref())?;
        // Of one object there is one turn at a time: a step that is open now is one whose outcome could not be written.
        // It is written first; only what is not known any more is closed as interrupted.
        for closed in self.store.close_interrupted_of(desired.name())? {
            tracing::warn!(what = in_words(&closed), "closed");
        }
        let looked = self.scene(desired, session).await;
        // A window that was begun goes on with this look or not at all.
        let begun = session.series.take();
        let mut scene = looked?;
        for row in &scene.decision.attempts {
            self.store.update_attempt(row)?;
        }
        self.forget_attempts(&scene)?;
        let journal = Journal { store: self.store, object: desired.name() };
        if let Some(incident) = &scene.history.incident {
            tracing::Span::current().record("incident", incident.id.as_str());
        }
        journal.open_incident(&mut scene, self.progress)?;
        self.keep_verified(&scene).await;
        match scene.decision.next.clone() {
            Next::Execute(step) if !self.stop.is_cancelled() => {
                self.take(&scene, &step, session, journal).await
            }
            _ if !(self.is_current)(desired) => Ok(Self::ended(&scene, Action::Again)),
            Next::Prove(services) if !self.stop.is_cancelled() => {
                self.tell_looked(&scene)?;
                self.prove(scene, &services, begun, session).await
            }
            Next::Wait(until) => {
                self.tell_wait(&scene, until, session);
                self.save(&scene, &Transitions::new())?;
                let is_paced = scene.decision.rate_exceeded().is_some();
                Ok(Self::ended(&scene, if is_paced { Action::Paced(until) } else { Action::At(until) }))
            }
            Next::GiveUp { reason, message } => {
                let status = self.save(&scene, &Transitions::new())?;
                journal.stalled(&scene, &reason, &message, &status)?;
                (self.progress)(desired, Progress::Stalled { reason: &reason, message: &message });
                if reason == decide::NOT_PROVEN {
                    session.give_up_proving();
                } else {
                    session.settle(&scene.observed, &scene.decision);
                }
                // All may be as declared, because it was rolled back: that is no success.
                Ok(Turn { reconciled: false, ..Self::ended(&scene, Action::Stalled) })
            }
            _ => {
                session.settle(&scene.observed, &scene.decision);
                self.rest(&scene, journal).await
            }
        }
    }

    /// Nothing is left to do: an incident that is open ends here, if all is as declared and proven.
    async fn rest(&self, scene: &Scene<'_>, journal: Journal<'_>) -> Result<Turn, ReconcileError> {
        let mut transitions = Transitions::new();
        let turn = Self::ended(scene, Action::Rest);
        let ends = scene.history.incident.as_ref().filter(|_| turn.reconciled);
        if let Some(incident) = ends {
            transitions = of_repair(scene, incident);
        }
        let status = self.save(scene, &transitions)?;
        if turn.reconciled {
            self.note_verified(scene)?;
        }
        if let Some(incident) = ends {
            let pruned = self.prune(scene).await?;
            journal.reconciled(scene, incident, &status, &pruned)?;
            for ((service, route), (transition, _)) in &transitions {
                let name = scene.desired.service(service).and_then(|s| s.routes.get(*route));
                let route = name.map(RouteSpec::display_name).unwrap_or_default();
                (self.progress)(
                    scene.desired,
                    Progress::Transition { service, route: &route, transition: *transition },
                );
            }
        }
        if turn.reconciled {
            (self.progress)(scene.desired, Progress::Reconciled);
        }
        Ok(Turn { object: object(scene.desired, status), ..turn })
    }

    /// Notes what the verified state was resolved from. Another environment is no part of it before a person has accepted it,
    /// also where nothing of it has come to a container yet.
    fn note_verified(&self, scene: &Scene<'_>) -> Result<(), ReconcileError> {
        let from = scene.observed.resolved_from.as_ref();
        let is_known =
            scene.decision.environment_differs.is_empty() && !scene.history.is_verified_from_altered;
        match from.filter(|_| is_known) {
            Some(from) => Ok(self.store.save_verified_from(scene.desired.name(), from)?),
            None => Ok(()),
        }
    }

    /// Removes images that undrift built for these services and that are superseded by now: not behind the
    /// reference, without a tag (the last one before it has undrift's own), without a container.
    async fn prune(&self, scene: &Scene<'_>) -> Result<Vec<String>, ReconcileError> {
        let current = |id: &str| {
            scene.observed.services.iter().any(|s| s.artifact.image.known() == Some(&Some(id.to_owned())))
        };
        let ours =
            |reference: &str| scene.observed.services.iter().any(|s| s.artifact.reference == reference);
        let images = self.store.images()?.into_iter();
        let superseded: Vec<String> = images
            .filter(|image| image.built_by_undrift && ours(&image.reference) && !current(&image.id))
            .map(|image| image.id)
            .collect();
        if superseded.is_empty() {
            return Ok(Vec::new());
        }
        let gone = self.host.prune(&superseded).await;
        for id in &gone {
            self.store.forget_image(id)?;
        }
        Ok(gone)
    }

    /// Rows that the decision let go: a healthy period has passed, or the spec is another.
    fn forget_attempts(&self, scene: &Scene<'_>) -> Result<(), ReconcileError> {
        let kept = |row: &&Attempt| scene.decision.attempts.iter().any(|kept| kept.is_of_the_same(row));
        let (_, gone): (Vec<&Attempt>, Vec<&Attempt>) = scene.history.attempts.iter().partition(kept);
        if gone.is_empty() {
            return Ok(());
        }
        Ok(self.store.forget_attempts(&gone)?)
    }

    fn tell_wait(&self, scene: &Scene<'_>, until: Time, session: &mut Session) {
        if let Some(why) = &scene.observed.changing {
            if session.told.insert("someone else".into()) {
                (self.progress)(scene.desired, Progress::Waiting { until: None, why });
            }
            return;
        }
        for prospect in &scene.decision.prospects {
            let (why, until) = match &prospect.repair {
                decide::Repair::Wait { message, until, .. } => (message, *until),
                decide::Repair::Steps(_, Some(at)) => match &prospect.rate_exceeded {
                    Some(exceeded) => (exceeded, *at),
                    None => (&prospect.why, until),
                },
                _ => continue,
            };
            if session.told.insert(format!("{}: {until}", prospect.service)) {
                (self.progress)(scene.desired, Progress::Waiting { until: Some(until), why });
            }
        }
    }
}

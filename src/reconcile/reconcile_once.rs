//! One reconcile: one observation, one decision, at most one step.

use super::{
    ReconcileError, Reconciler, Session,
    journal::Journal,
    object,
    snapshot::Snapshot,
    step::in_words,
    transitions::{Transitions, by_name, of_repair},
};
use crate::{
    api::{Attempt, Desired, Event, Object, Reason, SourcePaths, StandingReason, Time},
    decide::{self, Next, StabilityWindow},
    host::Host,
};

/// When to reconcile again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Now: something was done.
    Again,
    /// As soon as another object's build has ended: the number of builds at a time is limited.
    AfterBuild,
    /// As soon as another object's step on the same Compose project has ended.
    AfterStep,
    /// At that time: a backoff, or something that may pass by itself.
    At(Time),
    /// At that time, because the rate is exceeded and nothing else is left to do: a single `apply` does not wait for it.
    Paced(Time),
    /// Not before the next trigger.
    Rest,
    /// Not before the spec or the source changes, or a person retries it.
    Stalled,
}

/// How one reconcile ended.
#[derive(Debug)]
pub struct ReconcileOutcome {
    /// The object with its status.
    pub object: Object,
    /// Whether every service is as declared and verified.
    pub reconciled: bool,
    /// When to reconcile again.
    pub action: Action,
    /// When to reconcile again at the latest, though undrift waits for nothing: a suspension ends by itself, a service that
    /// something else ends is started again, or the routes of a verified one are asked again.
    pub latest: Option<Time>,
    /// The Compose project's name, as Compose resolves it.
    pub project: String,
    /// When the last observation began, and the paths of this host that it rests on.
    pub observed: (Time, SourcePaths),
}

impl<H: Host> Reconciler<H> {
    /// One reconcile: one observation, one decision, at most one step.
    ///
    /// # Errors
    /// If the host cannot be observed, or the state folder fails. Then no step was taken, or its outcome is in the trail, or
    /// it is kept and written before anything else is done.
    #[tracing::instrument(name = "reconcile", skip_all, fields(object = desired.name(), run = %ulid::Ulid::generate(), incident = tracing::field::Empty))]
    pub async fn reconcile_once(
        &self,
        desired: &Desired,
        session: &mut Session,
    ) -> Result<ReconcileOutcome, ReconcileError> {
        self.settle_state(desired)?;
        let looked = Box::pin(self.snapshot(desired, session)).await;
        // A window that has begun continues with this observation or not at all.
        let begun = session.stability.take();
        let mut snapshot = looked?;
        for row in &snapshot.decision.attempts {
            self.store.update_attempt(row)?;
        }
        self.forget_attempts(&snapshot)?;
        let journal = Journal { store: &self.store, object: desired.name() };
        if let Some(incident) = &snapshot.history.incident {
            tracing::Span::current().record("incident", incident.id.as_str());
        }
        journal.open_incident(&mut snapshot, &self.events)?;
        self.keep_verified(&snapshot).await;
        Box::pin(self.act(snapshot, begun, session)).await
    }

    /// Brings the state up to date before an observation: with the trail, the declaration, and the clock.
    fn settle_state(&self, desired: &Desired) -> Result<(), ReconcileError> {
        let name = desired.name();
        // Otherwise the observation could not be recorded where anybody finds it.
        self.store.check_held()?;
        // Before anything that decisions rest on: a table may have been altered, and the trail wins.
        self.store.agree_with_trail(name, (self.clock)())?;
        self.store.generation(name, &desired.spec_digest)?;
        self.store.settle_suspension(name, (self.clock)())?;
        self.store.keep_manifest_fault(name, desired.superseded_by.as_deref())?;
        // An object has one reconcile at a time: a step that is open now is one whose outcome could not be written. That is
        // written first; a step is closed as interrupted only if its outcome is lost.
        for closed in self.store.close_interrupted_of(name)? {
            tracing::warn!(what = in_words(&closed), "closed");
        }
        Ok(())
    }

    /// Does what was decided: takes a step, verifies, waits, gives up, or rests.
    async fn act(
        &self,
        snapshot: Snapshot<'_>,
        begun: Option<StabilityWindow>,
        session: &mut Session,
    ) -> Result<ReconcileOutcome, ReconcileError> {
        let journal = Journal { store: &self.store, object: snapshot.desired.name() };
        match snapshot.decision.next.clone() {
            Next::Execute(step) if !self.stop.is_cancelled() => {
                self.take(&snapshot, &step, session, journal).await
            }
            _ if !(self.is_current)(snapshot.desired) => Ok(Self::ended(&snapshot, Action::Again)),
            Next::Verify(services) if !self.stop.is_cancelled() => {
                self.report_observed(&snapshot)?;
                self.verify(snapshot, &services, begun, session).await
            }
            Next::Wait(until) => {
                self.report_wait(&snapshot, until, session);
                self.save(&snapshot, &Transitions::new())?;
                let is_paced = snapshot.decision.rate_exceeded().is_some();
                Ok(Self::ended(&snapshot, if is_paced { Action::Paced(until) } else { Action::At(until) }))
            }
            Next::GiveUp { reason, message } => self.give_up(&snapshot, reason, message, session, journal),
            _ => {
                session.settle(&snapshot.observed, &snapshot.decision);
                self.rest(&snapshot, journal).await
            }
        }
    }

    /// undrift tries nothing more: this ends an open incident.
    fn give_up(
        &self,
        snapshot: &Snapshot<'_>,
        reason: Reason,
        message: String,
        session: &mut Session,
        journal: Journal<'_>,
    ) -> Result<ReconcileOutcome, ReconcileError> {
        let status = self.save(snapshot, &Transitions::new())?;
        let is_recorded = journal.stalled(snapshot, &reason, &message, &status)?;
        if reason.is(StandingReason::NotVerified) {
            session.give_up_verifying();
        } else {
            session.settle(&snapshot.observed, &snapshot.decision);
        }
        let event =
            if is_recorded { Event::Stalled { reason, message } } else { Event::GivenUp { reason, message } };
        self.emit(snapshot.desired, event);
        // Everything may be as declared because of a rollback: that is no success.
        Ok(ReconcileOutcome { reconciled: false, ..Self::ended(snapshot, Action::Stalled) })
    }

    /// Nothing is left to do: an open incident ends here, if everything is as declared and verified.
    async fn rest(
        &self,
        snapshot: &Snapshot<'_>,
        journal: Journal<'_>,
    ) -> Result<ReconcileOutcome, ReconcileError> {
        let mut transitions = Transitions::new();
        let outcome = Self::ended(snapshot, Action::Rest);
        let ends = snapshot.history.incident.as_ref().filter(|_| outcome.reconciled);
        if let Some(incident) = ends {
            transitions = of_repair(snapshot, incident);
        }
        let status = self.save(snapshot, &transitions)?;
        if outcome.reconciled {
            self.note_verified(snapshot)?;
        }
        if let Some(incident) = ends {
            let pruned = self.prune(snapshot).await?;
            let transitions = by_name(&snapshot.expanded, &transitions);
            journal.reconciled(snapshot, incident, (&status, &transitions), &pruned)?;
            self.emit(snapshot.desired, Event::Reconciled { transitions });
        }
        Ok(ReconcileOutcome { object: object(snapshot.desired, status), ..outcome })
    }

    /// Notes what the verified state was resolved from. Another environment is not part of it until a person has accepted it,
    /// even if it has not reached any container yet.
    fn note_verified(&self, snapshot: &Snapshot<'_>) -> Result<(), ReconcileError> {
        let from = snapshot.observed.resolved_from.as_ref();
        let is_known =
            snapshot.decision.environment_differs.is_empty() && !snapshot.history.is_verified_from_altered;
        match from.filter(|_| is_known) {
            Some(from) => Ok(self.store.save_verified_from(snapshot.desired.name(), from)?),
            None => Ok(()),
        }
    }

    /// Removes superseded images that undrift built for these services: those that the reference does not name, without a
    /// tag (the previous one has undrift's own), without a container.
    async fn prune(&self, snapshot: &Snapshot<'_>) -> Result<Vec<String>, ReconcileError> {
        let current = |id: &str| {
            snapshot.observed.services.iter().any(|s| s.artifact.image.known() == Some(&Some(id.to_owned())))
        };
        let ours =
            |reference: &str| snapshot.observed.services.iter().any(|s| s.artifact.reference == reference);
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

    /// Rows that the decision dropped: a healthy period has passed, or the spec has changed.
    fn forget_attempts(&self, snapshot: &Snapshot<'_>) -> Result<(), ReconcileError> {
        let kept = |row: &&Attempt| snapshot.decision.attempts.iter().any(|kept| kept.is_of_the_same(row));
        let (_, gone): (Vec<&Attempt>, Vec<&Attempt>) = snapshot.history.attempts.iter().partition(kept);
        if gone.is_empty() {
            return Ok(());
        }
        Ok(self.store.forget_attempts(&gone)?)
    }

    fn report_wait(&self, snapshot: &Snapshot<'_>, until: Time, session: &mut Session) {
        if let Some(why) = &snapshot.observed.external_activity {
            if session.reported.insert("someone else".into()) {
                self.emit(snapshot.desired, Event::Waiting { until: None, why: why.clone() });
            }
            return;
        }
        for option in &snapshot.decision.repair_options {
            let (why, until) = match &option.repair {
                decide::Repair::Wait { message, until, .. } => (message, *until),
                decide::Repair::Steps(_, Some(at)) => match (&option.rate_exceeded, &option.backs_off) {
                    (Some(exceeded), _) => (exceeded, *at),
                    (None, Some(backs_off)) => (backs_off, *at),
                    (None, None) => (&option.why, until),
                },
                _ => continue,
            };
            if session.reported.insert(format!("{}: {until}", option.service)) {
                self.emit(snapshot.desired, Event::Waiting { until: Some(until), why: why.clone() });
            }
        }
    }
}

//! One turn of the loop.

use std::collections::BTreeMap;

use tokio::sync::{SemaphorePermit, TryAcquireError};

use super::{
    Progress, ReconcileError, Reconciler, Session,
    journal::{self, Journal},
    memory, object,
    slot::sharing,
};
use crate::{
    api::{
        AuditKind, Desired, GitState, IncidentOutcome, Object, ObjectStatus, PlannedStep, ProjectObservation,
        RouteSpec, Step, StepOutcome, Time, Transition,
    },
    decide::{self, Decision, History, Inputs, Next, StatusInputs},
    host::{Host, StepRequest},
    store::{OpenIntent, Store},
};

/// The limit of one `up`, `restart` or rollback. Compose itself waits for `depends_on` conditions in it.
const UP_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(600);

/// How soon to look again where another object's step is at work on the same Compose project.
const CLAIMED: chrono::TimeDelta = chrono::TimeDelta::milliseconds(500);

/// When to turn again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Now: something was done.
    Again,
    /// As soon as another object's build has ended: only so many are built at a time.
    AfterBuild,
    /// At that time: a backoff, or something that may pass by itself.
    At(Time),
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
    /// When the suspension that holds now ends by itself.
    pub suspended_until: Option<Time>,
    /// The Compose project's name, as Compose resolves it.
    pub project: String,
}

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
    pub(super) jitter_seed: u64,
    /// False once undrift was asked to end: then nobody is reconciling.
    pub(super) at_work: bool,
}

pub(super) type Transitions = BTreeMap<(String, usize), (Transition, Option<Transition>)>;

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
            previous: self.previous.as_ref(),
            proven,
            transitions,
            incident: self.history.incident.as_ref().map(|incident| incident.id.as_str()).or(last),
            at_work: self.at_work,
            now: self.now,
        })
    }

    pub(super) fn still_proven(&self) -> Vec<String> {
        memory::still_proven(&self.history, &self.observed)
    }
}

impl<H: Host> Reconciler<'_, H> {
    /// One turn: one look, one decision, at most one step.
    ///
    /// # Errors
    /// Where nothing can be said about the host, or the state folder fails. No step was taken then, or its outcome
    /// is in the trail.
    #[tracing::instrument(name = "reconcile", skip_all, fields(object = desired.name(), run = %ulid::Ulid::generate(), incident = tracing::field::Empty))]
    pub async fn turn(&self, desired: &Desired, session: &mut Session) -> Result<Turn, ReconcileError> {
        self.store.generation(desired.name(), &desired.spec_digest)?;
        self.store.settle_suspension(desired.name(), (self.clock)())?;
        // Of one object there is one turn at a time: a step that is open now is one whose outcome could not be written.
        for told in close(self.store, self.store.close_interrupted_of(desired.name())?)? {
            tracing::warn!(what = told, "closed");
        }
        let mut scene = self.scene(desired, session).await?;
        for row in &scene.decision.attempts {
            self.store.update_attempt(row)?;
        }
        self.forget_attempts(&scene)?;
        let journal = Journal { store: self.store, object: desired.name() };
        journal.open_incident(&mut scene, self.progress)?;
        if let Some(incident) = &scene.history.incident {
            tracing::Span::current().record("incident", incident.id.as_str());
        }
        match scene.decision.next.clone() {
            Next::Execute(step) if !self.stop.is_cancelled() => {
                self.take(&scene, &step, session, journal).await
            }
            _ if !(self.is_current)(desired) => Ok(Self::ended(&scene, Action::Again)),
            Next::Prove(services) if !self.stop.is_cancelled() => {
                self.tell_looked(&scene)?;
                self.prove(scene, &services, session).await
            }
            Next::Wait(until) => {
                self.tell_wait(&scene, until, session);
                self.save(&scene, &Transitions::new())?;
                Ok(Self::ended(&scene, Action::At(until)))
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
                Ok(Self::ended(&scene, Action::Stalled))
            }
            _ => {
                session.settle(&scene.observed, &scene.decision);
                self.rest(&scene, journal).await
            }
        }
    }

    /// Takes a step, if it may be taken now.
    async fn take(
        &self,
        scene: &Scene<'_>,
        step: &PlannedStep,
        session: &mut Session,
        journal: Journal<'_>,
    ) -> Result<Turn, ReconcileError> {
        self.tell_looked(scene)?;
        let Some(_claim) = self.at_work.claim(&scene.observed.project) else {
            return Ok(Self::ended(scene, Action::At((self.clock)() + CLAIMED)));
        };
        let Ok(slot) = self.build_slot(step.step) else {
            return Ok(Self::ended(scene, Action::AfterBuild));
        };
        if self.is_wanted(scene.desired)? {
            self.execute(scene, step, slot, session, journal).await?;
        }
        Ok(Self::ended(scene, Action::Again))
    }

    /// What was seen is recorded before what may take long.
    fn tell_looked(&self, scene: &Scene<'_>) -> Result<(), ReconcileError> {
        if (self.is_current)(scene.desired) {
            self.save(scene, &Transitions::new())?;
        }
        (self.progress)(scene.desired, Progress::Looked);
        Ok(())
    }

    /// Nothing is left to do: an incident that is open ends here, if all is as declared and proven.
    async fn rest(&self, scene: &Scene<'_>, journal: Journal<'_>) -> Result<Turn, ReconcileError> {
        let mut transitions = Transitions::new();
        let turn = Self::ended(scene, Action::Rest);
        let ends = scene.history.incident.as_ref().filter(|_| turn.reconciled);
        if let Some(incident) = ends {
            transitions = journal::transitions(scene, incident);
        }
        let status = self.save(scene, &transitions)?;
        if let Some(incident) = ends {
            let pruned = self.prune(scene).await?;
            journal.reconciled(scene, incident, &status, &pruned)?;
            for ((service, route), (transition, _)) in &transitions {
                let name = scene.desired.service(service).and_then(|s| s.routes.get(*route));
                let route = name.map(RouteSpec::display_name).unwrap_or_default();
                (self.progress)(
                    scene.desired,
                    Progress::Transition { service, route, transition: *transition },
                );
            }
        }
        if turn.reconciled {
            (self.progress)(scene.desired, Progress::Reconciled);
        }
        Ok(Turn { object: object(scene.desired, status), ..turn })
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

    /// Looks, and decides.
    pub(super) async fn scene<'d>(
        &self,
        desired: &'d Desired,
        session: &mut Session,
    ) -> Result<Scene<'d>, ReconcileError> {
        let mut observed = self.host.observe(desired).await?;
        session.note_restarts(&observed);
        session.note_quiet(&observed, (self.clock)());
        memory::learn_from_builds(self.store, session, &observed)?;
        memory::add_image_knowledge(self.store, &mut observed)?;
        let now = (self.clock)();
        let mut history = memory::history(self.store, desired, session, now)?;
        let previous = self.store.object(desired.name())?.map(|object| object.status);
        let jitter_seed = now.timestamp_micros().unsigned_abs();
        let decide = |history: &History| {
            decide::decide(Inputs { desired, observed: &observed, history, now, jitter_seed })
        };
        let mut decision = decide(&history);
        if session.is_news(&observed, &decision, now) {
            history.watching_since = Some(session.since);
            history.looking_since = Some(session.begun);
            history.restarts.clone_from(&session.restarts);
            decision = decide(&history);
        }
        tracing::debug!(next = ?decision.next, "decided");
        let at_work = !self.stop.is_cancelled();
        let drifted = decision.services.iter().any(|diagnosis| diagnosis.drift.is_some());
        let tells = drifted && (history.incident.is_none() || matches!(decision.next, Next::Execute(_)));
        let git = if tells { self.host.git(desired).await.known().cloned().flatten() } else { None };
        Ok(Scene { desired, observed, history, decision, git, previous, now, jitter_seed, at_work })
    }

    /// Rows that the decision let go: a healthy period has passed, or the spec is another.
    fn forget_attempts(&self, scene: &Scene<'_>) -> Result<(), ReconcileError> {
        for service in scene.desired.services() {
            let had = scene.history.attempts.iter().filter(|row| row.service == service.name).count();
            let has = scene.decision.attempts.iter().filter(|row| row.service == service.name).count();
            if has < had {
                self.store.clear_attempts(scene.desired.name(), Some(&service.name))?;
                for row in scene.decision.attempts.iter().filter(|row| row.service == service.name) {
                    self.store.save_attempt(row)?;
                }
            }
        }
        Ok(())
    }

    /// Whether a step that was decided on may still be taken: a person may have said otherwise since.
    fn is_wanted(&self, desired: &Desired) -> Result<bool, ReconcileError> {
        let suspension = self.store.suspension(desired.name())?;
        let suspended = suspension.is_some_and(|suspension| !suspension.has_passed((self.clock)()));
        Ok(!suspended && (self.is_current)(desired))
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
        Turn { object, reconciled, action, suspended_until, project: scene.observed.project.clone() }
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
                decide::Repair::Steps(_, Some(_)) => (&prospect.why, until),
                _ => continue,
            };
            if session.told.insert(format!("{}: {until}", prospect.service)) {
                (self.progress)(scene.desired, Progress::Waiting { until: Some(until), why });
            }
        }
    }

    /// The right to build, where the step is a build. Without it nothing is done now: what was decided before a
    /// wait of minutes is not acted on, the next turn looks anew.
    fn build_slot(&self, step: Step) -> Result<Option<SemaphorePermit<'_>>, TryAcquireError> {
        if matches!(step, Step::Build { .. }) { self.builds.try_acquire().map(Some) } else { Ok(None) }
    }

    /// Intent, step, outcome. If the intent cannot be written, the step does not run.
    async fn execute(
        &self,
        scene: &Scene<'_>,
        planned: &PlannedStep,
        slot: Option<SemaphorePermit<'_>>,
        session: &mut Session,
        journal: Journal<'_>,
    ) -> Result<(), ReconcileError> {
        let step = planned.step;
        let inputs = scene.inputs();
        let begun = decide::begin_step(
            inputs,
            &scene.decision.attempts,
            &scene.decision.services,
            step,
            &planned.services,
        );
        let intent = journal.intend(scene, planned, &begun)?;
        (self.progress)(scene.desired, Progress::StepBegins(planned));
        let policy = &scene.desired.object.spec.reconcile;
        let request = StepRequest {
            step,
            services: &planned.services,
            rollback_to: &journal::rollback_targets(scene, &planned.services),
            timeout: if matches!(step, Step::Build { .. }) { policy.build_timeout.get() } else { UP_TIMEOUT },
            cancel: self.cancel,
            progress: &|line| (self.progress)(scene.desired, Progress::Line(line)),
        };
        let report = sharing(slot, self.host.execute(scene.desired, request)).await;
        let succeeded = report.outcome == StepOutcome::Succeeded;
        if matches!(step, Step::Build { .. }) {
            session.builds.extend(journal::pending_builds(scene, &planned.services, succeeded));
        }
        let rows = if step == Step::Rollback && succeeded {
            decide::end_rollback(begun)
        } else {
            decide::end_step(begun, report.outcome, policy, (self.clock)(), scene.jitter_seed)
        };
        journal.finish(scene, planned, intent, &report, &rows)?;
        (self.progress)(scene.desired, Progress::StepEnds(planned, &report));
        Ok(())
    }
}

/// Closes what an undrift that was killed has left open: intents without outcome, and the attempts that they
/// began. To be called once, under the lock, before the first turn.
///
/// # Errors
/// Where the state folder fails.
pub fn close_interrupted(store: &Store) -> Result<Vec<String>, ReconcileError> {
    close(store, store.close_interrupted()?)
}

/// Lets go of the attempts that these steps began; says each in words.
fn close(store: &Store, intents: Vec<OpenIntent>) -> Result<Vec<String>, ReconcileError> {
    let mut told = Vec::new();
    for intent in intents {
        let object = intent.object.unwrap_or_default();
        for row in store.attempts(&object)? {
            if row.pending.is_some() && intent.services.contains(&row.service) {
                store.save_attempt(&crate::api::Attempt { pending: None, ..row })?;
            }
        }
        told.push(format!(
            "{object}: the {} of {} that began at {} was interrupted; its record is closed",
            intent.step.kind(),
            intent.services.join(", "),
            intent.time
        ));
    }
    Ok(told)
}

/// The incident outcome words, kept in one place for the journal.
pub(super) const fn ends_as(reconciled: bool) -> (IncidentOutcome, AuditKind) {
    if reconciled {
        (IncidentOutcome::Reconciled, AuditKind::Reconciled)
    } else {
        (IncidentOutcome::Stalled, AuditKind::Stalled)
    }
}

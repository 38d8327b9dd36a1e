//! The only glue: observe, decide, record the intent, execute one step, record the outcome, observe again.
//!
//! [`Reconciler::reconcile_once`] is one run of that loop and never resumes anything: what it does depends on what it
//! sees and on what the store knows, so a restart is one more run. `apply` reconciles until nothing is left to do;
//! a daemon reconciles whenever a key is due.

mod active_projects;
mod claims;
#[cfg(test)]
mod conformance;
mod current;
mod engine_place;
mod events;
#[cfg(test)]
pub(crate) mod fake;
mod history;
mod image_knowledge;
mod incident_records;
mod journal;
#[cfg(test)]
mod model;
mod reconcile_once;
mod registration;
mod restart_history;
mod session;
mod snapshot;
mod step;
#[cfg(test)]
mod tests;
mod transitions;
mod verify;

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use active_projects::ActiveProjects;
pub use claims::{is_before, service_taken, share_a_service, taken};
pub use current::{CurrentObject, current_objects};
pub use engine_place::is_record_of;
pub use events::{Clock, EventSink};
pub use reconcile_once::{Action, ReconcileOutcome};
pub use registration::{deregister, hold_registration, register};
pub use session::Session;
pub use step::close_interrupted;

use crate::{
    api::{Desired, Event, NoteReason, Object, ObjectStatus, ProjectObservation, Reason, RouteSpec, Time},
    causes::with_causes,
    decide::{self, Decision, Inputs, StatusInputs},
    host::{Host, HostError},
    store::{EnginePlace, Store, StoreError},
};

/// How soon `apply` looks again where another object's step is at work on the same Compose project.
const CLAIMED: chrono::TimeDelta = chrono::TimeDelta::seconds(2);

/// Reconciles objects on one host.
#[expect(missing_debug_implementations, reason = "holds closures")]
pub struct Reconciler<H> {
    /// The host.
    pub host: Arc<H>,
    /// The state folder.
    pub store: Arc<Store>,
    /// Once cancelled no further step is taken, and nothing is waited for.
    pub stop: CancellationToken,
    /// Once cancelled the command of a running step is ended; its outcome is recorded all the same.
    pub cancel: CancellationToken,
    /// Where what happens is reported.
    pub events: EventSink,
    /// What time it is. Waits are the timer's, so both are to come from one source.
    pub clock: Clock,
    /// Whether this is what is declared at the moment. Where it is not any more, no step is taken for it and nothing is
    /// said of it: a manifest may be edited or removed while a look or a verification goes on.
    pub is_current: Arc<dyn Fn(&Desired) -> bool + Send + Sync>,
    /// Whether the environment of this process may be another one than that of the last verified state.
    pub environment: EnvironmentTrust,
    /// The Compose projects that a step is at work on.
    pub active_projects: Arc<ActiveProjects>,
    /// How many builds may run at a time on the host: one permit each.
    pub builds: Arc<Semaphore>,
}

/// What the environment of this process is worth, out of which Compose fills in the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvironmentTrust {
    /// It counts as declared: a daemon's, which a unit file gives it, or one that a person has accepted.
    Declared,
    /// It is whatever shell somebody stands in. Where it alone makes the project another one than in the last verified state,
    /// no step is taken.
    Callers,
}

/// Why an object could not be reconciled at all.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Nothing is known of the host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The state folder failed. Without an intent on disk there is no step.
    #[error("failed to keep the state: {0}")]
    Store(#[from] StoreError),
}

impl ReconcileError {
    /// The error's name for conditions.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Host(error) => error.reason().into(),
            Self::Store(_) => NoteReason::StateUnavailable.into(),
        }
    }
}

/// How `apply` ended for one object.
#[derive(Debug)]
pub struct Applied {
    /// The object with its last status.
    pub object: Object,
    /// Whether every service is as declared and verified.
    pub reconciled: bool,
    /// Whether anything was done or verified in this run.
    pub acted: bool,
    /// What kept undrift from saying anything.
    pub error: Option<ReconcileError>,
}

impl<H: Host> Reconciler<H> {
    /// Reports what happens to this object.
    fn emit(&self, desired: &Desired, event: Event) {
        (self.events)(desired.name(), event);
    }

    /// Reconciles until the object is reconciled or given up.
    ///
    /// # Errors
    /// Never as a function: a failure is in the result, beside what is known of the object.
    pub async fn apply(&self, desired: &Desired) -> Applied {
        let mut session = Session::new((self.clock)());
        let mut tolerance = OutageTolerance::new(desired);
        loop {
            match Box::pin(self.reconcile_once(desired, &mut session)).await {
                Err(error) if tolerance.covers(&error, (self.clock)()) && !self.stop.is_cancelled() => {
                    self.wait_until((self.clock)() + tolerance.pause).await;
                }
                Err(error) => return self.failed(desired, error),
                Ok(outcome) => match outcome.action {
                    Action::Again => tolerance.renew((self.clock)()),
                    Action::AfterBuild if !self.stop.is_cancelled() => self.wait_for_a_build().await,
                    Action::AfterStep if !self.stop.is_cancelled() => {
                        self.wait_until((self.clock)() + CLAIMED).await;
                    }
                    Action::At(time) if !self.stop.is_cancelled() => self.wait_until(time).await,
                    Action::AfterBuild
                    | Action::AfterStep
                    | Action::At(_)
                    | Action::Paced(_)
                    | Action::Rest
                    | Action::Stalled => {
                        let (object, reconciled, acted) =
                            (outcome.object, outcome.reconciled, tolerance.until.is_some());
                        return Applied { object, reconciled, acted, error: None };
                    }
                },
            }
        }
    }

    /// The object that must not be reconciled, with the error in its status.
    #[must_use]
    pub fn refuse(&self, desired: &Desired, error: HostError) -> Applied {
        self.failed(desired, error.into())
    }

    async fn wait_for_a_build(&self) {
        tokio::select! {
            _ = self.builds.acquire() => {}
            () = self.stop.cancelled() => {}
        }
    }

    async fn wait_until(&self, time: Time) {
        let wait = (time - (self.clock)()).to_std().unwrap_or(Duration::ZERO);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = self.stop.cancelled() => {}
        }
    }

    fn failed(&self, desired: &Desired, error: ReconcileError) -> Applied {
        // The last time that anybody knows it.
        if let Err(error) = self.store.write_kept() {
            tracing::warn!(%error, "the outcome of a step could not be recorded");
        }
        let object = unseen(Some(&self.store), desired, &error, (self.clock)());
        // What was recorded before is no longer known to be so. Where the store itself fails, that is the error.
        if is_record_of(&self.store, desired.name(), &self.host.endpoint())
            && let Err(error) = self.store.save_object(&object)
        {
            tracing::warn!(%error, "the status could not be recorded");
        }
        Applied { object, reconciled: false, acted: false, error: Some(error) }
    }
}

/// The object when nothing could be seen of it: its status claims no drift.
#[must_use]
pub fn unseen(store: Option<&Store>, desired: &Desired, error: &ReconcileError, now: Time) -> Object {
    let previous = store.and_then(|store| store.object(desired.name()).ok().flatten());
    let generation = store.and_then(|store| store.peek_generation(desired.name(), &desired.spec_digest).ok());
    let status = decide::failed_status(
        desired.services(),
        previous.as_ref().map(|object| &object.status),
        generation.unwrap_or(1),
        &error.reason(),
        &decide::with_superseded_by(in_words(store, error), desired),
        now,
    );
    object(desired, status)
}

/// The error in a sentence; one of the state with the file that it is of.
fn in_words(store: Option<&Store>, error: &ReconcileError) -> String {
    match (store, error) {
        (Some(store), ReconcileError::Store(of_state)) => of_state.name_file(store.dir(), error.to_string()),
        _ => error.to_string(),
    }
}

/// An error with its causes; one of the state with the file that it is of.
pub(crate) fn in_full(store: &Store, error: &ReconcileError) -> String {
    let message = with_causes(error);
    match error {
        ReconcileError::Store(error) => error.name_file(store.dir(), message),
        ReconcileError::Host(_) => message,
    }
}

/// How long an engine may be away in the middle of a repair before `apply` gives up. At the first look it may not
/// at all: then nothing was begun, and the person should know it at once.
struct OutageTolerance {
    limit: chrono::TimeDelta,
    pause: chrono::TimeDelta,
    until: Option<Time>,
}

impl OutageTolerance {
    fn new(desired: &Desired) -> Self {
        let policy = &desired.object.spec.reconcile;
        let pause = policy.backoff.initial.delta().min(chrono::TimeDelta::seconds(1));
        Self { limit: policy.verify.timeout.delta(), pause, until: None }
    }

    fn renew(&mut self, now: Time) {
        self.until = Some(now + self.limit);
    }

    fn covers(&self, error: &ReconcileError, now: Time) -> bool {
        let transient = matches!(error, ReconcileError::Host(error) if error.is_transient());
        transient && self.until.is_some_and(|until| now < until)
    }
}

/// One look without any consequence: what `check` and `plan` show. What is recorded is not needed for it, and where it cannot be
/// read the look goes without.
///
/// # Errors
/// Where nothing is known of the host.
pub async fn look<H: Host>(
    host: &H,
    store: Option<&Store>,
    desired: &Desired,
    clock: &Clock,
) -> Result<Assessment, ReconcileError> {
    let mut observed = host.observe(desired).await?;
    let (recorded, without_state) = match store {
        None => (None, None),
        Some(store) => match recorded(host, store, desired, &mut observed, clock()) {
            Ok(recorded) => (recorded, None),
            Err(error) => (None, Some(error)),
        },
    };
    let (previous, mut history) = recorded.unwrap_or_else(|| {
        let none =
            decide::History { generation: 1, watching_since: Some(clock()), ..decide::History::default() };
        (None, none)
    });
    history.gone_images = snapshot::gone_images(host, &history, &observed).await;
    let now = clock();
    let decision =
        decide::decide(Inputs { desired, observed: &observed, history: &history, now, jitter_seed: 0 });
    let status = decide::status(StatusInputs {
        desired,
        generation: history.generation,
        observed: &observed,
        decision: &decision,
        suspended: history.suspended.as_ref(),
        previous: previous.as_ref(),
        verified: &history::still_verified(&history, &observed),
        transitions: &std::collections::BTreeMap::new(),
        incident: history
            .incident
            .as_ref()
            .map(|incident| incident.id.as_str())
            .or(previous.as_ref().and_then(|p| p.incident.as_deref())),
        reconciling: false,
        now,
    });
    Ok(Assessment { object: object(desired, status), decision, without_state })
}

/// What is recorded of an object: its last status, and its history. `None` where that is of another engine.
fn recorded<H: Host>(
    host: &H,
    store: &Store,
    desired: &Desired,
    observed: &mut ProjectObservation,
    now: Time,
) -> Result<Option<(Option<ObjectStatus>, decide::History)>, StoreError> {
    if !is_of(store, desired, &engine_place::place(host, observed))? {
        return Ok(None);
    }
    let previous = store.object(desired.name())?.map(|object| object.status);
    image_knowledge::add_image_knowledge(store, desired, observed, now)?;
    let history = history::history(store, desired, &observed.project, &Session::new(now), now)?;
    Ok(Some((previous, history)))
}

/// Whether what is recorded of the object is of this engine. Where it is not, it is no evidence of what was seen here.
fn is_of(store: &Store, desired: &Desired, here: &EnginePlace) -> Result<bool, StoreError> {
    let recorded = store.engine_place(desired.name())?;
    let Some(other) = recorded.filter(|recorded| !recorded.is_same_place(here)) else { return Ok(true) };
    let (recorded, here) = (engine_place::in_words(&other), engine_place::in_words(here));
    tracing::warn!(
        object = desired.name(),
        recorded,
        here,
        "the recorded state is of another engine: looking without it"
    );
    Ok(false)
}

/// What one look showed.
#[derive(Debug)]
pub struct Assessment {
    /// The object with its status.
    pub object: Object,
    /// What follows from it.
    pub decision: Decision,
    /// Why nothing of what is recorded is in it, though there is a state: it is damaged.
    pub without_state: Option<StoreError>,
}

/// What is recorded and shown of an object.
pub(crate) fn object(desired: &Desired, status: ObjectStatus) -> Object {
    let mut declared = desired.object.clone();
    for service in &mut declared.spec.services {
        let routes = std::mem::take(&mut service.routes);
        service.routes = routes.into_iter().map(RouteSpec::without_query_values).collect();
    }
    Object { declared, status }
}

/// The time of this machine. The pure rooms are given the time; this is where it is read.
#[must_use]
pub fn now() -> Time {
    chrono::Utc::now()
}

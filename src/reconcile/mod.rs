//! The only glue: observe, decide, record the intent, execute one step, record the outcome, observe again.
//!
//! [`Reconciler::reconcile_once`] is one run of that loop and never resumes anything: it depends only on what it observes
//! and on what the store holds, so a restart is one more run. `apply` reconciles until nothing is left to do; a daemon
//! reconciles whenever a key is due.

mod active_projects;
mod claims;
mod current;
mod engine_place;
mod events;
mod history;
mod image_knowledge;
mod incident_records;
mod journal;
mod observe;
mod reconcile_once;
mod registration;
mod remembered_checks;
mod restart_history;
mod restart_log;
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

pub use crate::api::Clock;
pub use active_projects::ActiveProjects;
pub use claims::{is_before, service_taken, share_a_service, taken};
pub use current::{CurrentObject, current_objects};
pub use engine_place::is_record_of;
pub use events::EventSink;
pub use reconcile_once::{Action, ReconcileOutcome};
pub use registration::{deregister, hold_registration, register};
pub use remembered_checks::remember_checks;
#[cfg(test)]
pub(crate) use restart_history::RestartHistory;
pub use session::Session;
pub use step::close_interrupted;

use crate::{
    api::{
        Desired, Event, NoteReason, Object, ObjectStatus, ProjectObservation, Reason, RevisionSpec,
        RouteSpec, Time,
    },
    causes::with_causes,
    decide::{self, Decision, Inputs, StatusInputs},
    host::{BuildCheckRequest, CheckedBuild, Host, HostError},
    store::{EnginePlace, Store, StoreError},
};

/// How soon `apply` observes again if another object's step is running on the same Compose project.
const CLAIMED: chrono::TimeDelta = chrono::TimeDelta::seconds(2);

/// Reconciles objects on one host.
#[expect(missing_debug_implementations, reason = "holds closures")]
pub struct Reconciler<H> {
    /// The host.
    pub host: Arc<H>,
    /// The state folder.
    pub store: Arc<Store>,
    /// Once cancelled undrift takes no further step, and does not wait any more.
    pub stop: CancellationToken,
    /// Once cancelled the command of a running step is ended; its outcome is recorded all the same.
    pub cancel: CancellationToken,
    /// The sink for events.
    pub events: EventSink,
    /// The current time. Waits use the timer, so both should come from one source.
    pub clock: Clock,
    /// Whether this is the present declaration. If not, undrift takes no step for it and reports nothing of it: a manifest
    /// may be edited or removed during an observation or a verification.
    pub is_current: Arc<dyn Fn(&Desired) -> bool + Send + Sync>,
    /// Whether the environment of this process may differ from that of the last verified state.
    pub environment: EnvironmentTrust,
    /// The Compose projects with a running step.
    pub active_projects: Arc<ActiveProjects>,
    /// How many builds may run at a time on the host: one permit each.
    pub builds: Arc<Semaphore>,
}

/// How far to trust this process's environment, which Compose interpolates into the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvironmentTrust {
    /// It counts as declared: a daemon's, which a unit file sets, or one that a person has accepted.
    Declared,
    /// It is that of whatever shell the caller uses. If it alone makes the project differ from the last verified state,
    /// undrift takes no step.
    Callers,
}

/// Why an object could not be reconciled at all.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The host could not be observed.
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
    /// Whether undrift did or verified anything in this run.
    pub acted: bool,
    /// The error that prevented a conclusion.
    pub error: Option<ReconcileError>,
}

impl<H: Host> Reconciler<H> {
    /// Emits an event of this object.
    fn emit(&self, desired: &Desired, event: Event) {
        (self.events)(desired.name(), event);
    }

    /// Reconciles until the object is reconciled or given up.
    ///
    /// # Errors
    /// Never as a function: the result contains a failure, beside what is known of the object.
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
        // The last chance to record it.
        if let Err(error) = self.store.write_kept() {
            tracing::warn!(%error, "the outcome of a step could not be recorded");
        }
        let object = unseen(Some(&self.store), desired, &error, (self.clock)());
        // The previous record may no longer be true. If the store itself fails, that is the error.
        if is_record_of(&self.store, desired.name(), &self.host.endpoint())
            && let Err(error) = self.store.save_object(&object)
        {
            tracing::warn!(%error, "the status could not be recorded");
        }
        Applied { object, reconciled: false, acted: false, error: Some(error) }
    }
}

/// The object if it could not be observed: its status claims no drift.
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

/// The error in a sentence; an error of the state with its file.
fn in_words(store: Option<&Store>, error: &ReconcileError) -> String {
    match (store, error) {
        (Some(store), ReconcileError::Store(of_state)) => of_state.name_file(store.dir(), error.to_string()),
        _ => error.to_string(),
    }
}

/// An error with its causes; an error of the state with its file.
pub(crate) fn in_full(store: &Store, error: &ReconcileError) -> String {
    let message = with_causes(error);
    match error {
        ReconcileError::Store(error) => error.name_file(store.dir(), message),
        ReconcileError::Host(_) => message,
    }
}

/// How long an engine may be away in the middle of a repair before `apply` gives up. At the first observation it may not be
/// away at all: then nothing was begun, and the person should know at once.
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

/// One observation without any consequence: the output of `check` and `plan`. It does not need the state, and does without it if
/// it cannot be read. `checked` are the answers of `check --build`, if there are any.
///
/// # Errors
/// If the host cannot be observed.
pub async fn look<H: Host>(
    host: &H,
    store: Option<&Store>,
    desired: &Desired,
    checked: &[CheckedBuild],
    clock: &Clock,
) -> Result<Assessment, ReconcileError> {
    let (expanded, mut observed) = observe::observe(host, desired).await?;
    let (recorded, without_state) = match store {
        None => (None, None),
        Some(store) => match recorded(host, store, desired, &mut observed, clock()) {
            Ok(recorded) => (recorded, None),
            Err(error) => (None, Some(error)),
        },
    };
    remembered_checks::add_checks(&mut observed, checked);
    let of_state = store.filter(|_| recorded.is_some());
    let (previous, mut history) = recorded.unwrap_or_else(|| {
        let none =
            decide::History { generation: 1, watching_since: Some(clock()), ..decide::History::default() };
        (None, none)
    });
    history.gone_images = snapshot::gone_images(host, &history, &observed).await;
    let now = clock();
    history.restart_logs = restart_log::read(of_state, desired, &observed, &history, now);
    let decision = decide::decide(Inputs {
        desired: &expanded,
        observed: &observed,
        history: &history,
        now,
        jitter_seed: 0,
    });
    let status = decide::status(StatusInputs {
        desired: &expanded,
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

/// Builds each service of an object under another name and compares it with its image: see [`Host::check_builds`].
///
/// # Errors
/// If the host cannot be observed.
pub async fn check_builds<H: Host>(
    host: &H,
    desired: &Desired,
    request: BuildCheckRequest<'_>,
) -> Result<Vec<CheckedBuild>, ReconcileError> {
    let expanded = observe::expanded(host, desired).await;
    Ok(host.check_builds(&expanded, request).await?)
}

/// The record of an object: its last status, and its history. `None` if that belongs to another engine.
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

/// Whether the record of the object belongs to this engine. If not, it is no evidence about this observation.
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

/// The result of one observation.
#[derive(Debug)]
pub struct Assessment {
    /// The object with its status.
    pub object: Object,
    /// What follows from it.
    pub decision: Decision,
    /// Why nothing of the record is in it, although there is a state: it is damaged.
    pub without_state: Option<StoreError>,
}

/// An object as recorded and shown.
pub(crate) fn object(desired: &Desired, status: ObjectStatus) -> Object {
    let mut declared = desired.object.clone();
    for service in &mut declared.spec.services {
        let routes = std::mem::take(&mut service.routes);
        service.routes = routes.into_iter().map(RouteSpec::without_query_values).collect();
        service.revision = service.revision.take().map(RevisionSpec::without_query_values);
    }
    Object { declared, status }
}

/// The time of this machine. The pure rooms get the time as an argument; this is where it is read.
#[must_use]
pub fn now() -> Time {
    chrono::Utc::now()
}

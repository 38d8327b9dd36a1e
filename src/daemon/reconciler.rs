//! One reconcile of one object: the loop drives it.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, Semaphore, broadcast},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    DaemonError, End,
    bounded_host::{BoundedHost, HungReads},
    claims::Projects,
    heartbeat::Heartbeat,
    objects::ManagedObjects,
    protocol::{ObjectOutcome, ReportedEvent},
    readiness::Readiness,
    session_cache::{BlockedOn, SessionCache},
    source_watch::SourceWatch,
    state::StateFound,
    subscribers::Subscribers,
    work_queue::WorkQueue,
};
use crate::{
    api::{
        ConditionStatus, ConditionType, Desired, Event, NewRecord, Object, StandingReason, StopCause, Time,
    },
    host::{Host, HostError},
    reconcile::{
        Action, ActiveProjects, EnvironmentTrust, EventSink, ReconcileError, ReconcileOutcome, Reconciler,
        Session, in_full, is_record_of, unseen,
    },
    runtime::{Reconcile, Requeue, jittered},
    store::{Store, StoreError},
};

/// The waits after a failure, doubling: faults that may pass by themselves are retried soon, and the engine's own events
/// also report its return.
const FAILED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// How many consecutive failures are not reported to a waiting person, if they may pass by themselves.
const FAILURES_BORNE: u32 = 3;

/// How often an object that is blocked on another's step checks whether it may begin, if no event wakes it.
const SLOT_POLL: Duration = Duration::from_secs(5);

/// When to retry a registration or deregistration that could not be recorded.
const RECORD_RETRY: Duration = Duration::from_secs(30);

/// Shared by the reconciles of all objects.
pub(super) struct DaemonContext<H> {
    pub(super) host: Arc<H>,
    pub(super) store: Arc<Store>,
    pub(super) objects: Arc<ManagedObjects>,
    pub(super) sessions: SessionCache,
    pub(super) subscribers: Arc<Subscribers>,
    pub(super) queue: WorkQueue,
    pub(super) sources: SourceWatch,
    pub(super) projects: Projects,
    pub(super) readiness: Arc<Readiness>,
    pub(super) heartbeat: Heartbeat,
    /// The instructions that are being recorded.
    pub(super) instructions: TaskTracker,
    /// The events, for all followers.
    pub(super) feed: broadcast::Sender<Arc<ReportedEvent>>,
    pub(super) state_found: StateFound,
    pub(super) active_projects: Arc<ActiveProjects>,
    pub(super) hung_reads: Arc<HungReads>,
    /// Only one task at a time reads the manifests again.
    pub(super) reading: Arc<Mutex<()>>,
    pub(super) builds: Arc<Semaphore>,
    /// No further step.
    pub(super) stop: CancellationToken,
    /// The running step's command must end.
    pub(super) cancel: CancellationToken,
}

impl<H: Host + 'static> Reconcile<String> for DaemonContext<H> {
    async fn reconcile(&self, name: String) -> Requeue {
        let Some(desired) = self.objects.get(&name) else {
            // A request that arrived just before the removal would wait for ever.
            self.subscribers.disconnect(Some(&name));
            return if self.finish_removal(&name) {
                Requeue::Never
            } else {
                Requeue::At(Instant::now() + RECORD_RETRY)
            };
        };
        if self.stop.is_cancelled() {
            return Requeue::Never;
        }
        let _in_case = Panic { shared: self, name: &name };
        if let Err(error) = self.check_state() {
            return self.without_state(&desired, &error.into());
        }
        // In this order: a subscriber refreshed the session before subscribing.
        self.subscribers.begin(&name);
        let mut session = self.session(&name);
        if let Err(error) = self.register_added(&desired) {
            self.sessions.put(&name, session);
            return self.registration_failed(&desired, &error);
        }
        let result = Box::pin(self.reconcile_object(&desired, &mut session)).await;
        match result {
            Ok(outcome) => {
                self.sessions.put(&name, session);
                self.requeue(&desired, &outcome)
            }
            // After an outage every object is observed as if for the first time.
            Err(error) => {
                self.sessions.put(&name, session.restart(self.store.now()));
                self.failed(&desired, &error)
            }
        }
    }
}

impl<H: Host + 'static> DaemonContext<H> {
    async fn reconcile_object(
        &self,
        desired: &Desired,
        session: &mut Session,
    ) -> Result<ReconcileOutcome, ReconcileError> {
        if let Some(error) = self.taken(desired).await {
            return Err(error.into());
        }
        let result = self.object_reconciler().reconcile_once(desired, session).await;
        self.queue.add_all(self.sessions.unblocked(|blocked_on| match blocked_on {
            BlockedOn::Builds => self.builds.available_permits() > 0,
            BlockedOn::Project(project) => self.active_projects.is_free(project),
        }));
        result
    }

    /// Reconciles one object.
    fn object_reconciler(&self) -> Reconciler<BoundedHost<H>> {
        let objects = Arc::clone(&self.objects);
        Reconciler {
            host: Arc::new(self.host()),
            store: Arc::clone(&self.store),
            stop: self.stop.clone(),
            cancel: self.cancel.clone(),
            events: self.event_sink(),
            clock: self.store.clock(),
            is_current: Arc::new(move |desired: &Desired| {
                objects.get(desired.name()).is_some_and(|now| now.declares_the_same(desired))
            }),
            environment: EnvironmentTrust::Declared,
            active_projects: Arc::clone(&self.active_projects),
            builds: Arc::clone(&self.builds),
        }
    }

    /// Publishes to the object's subscribers, and to the followers of all objects.
    fn event_sink(&self) -> EventSink {
        let (readiness, subscribers) = (Arc::clone(&self.readiness), Arc::clone(&self.subscribers));
        let feed = self.feed.clone();
        Arc::new(move |object, event| {
            // A service manager would time out long before a build of half an hour is over.
            if event == Event::Observed {
                readiness.observed(object);
            }
            let reported = ReportedEvent { object: object.to_owned(), event };
            subscribers.publish(&reported);
            // There may be no follower.
            let _ = feed.send(Arc::new(reported));
        })
    }

    /// The host, while undrift may still wait for it.
    pub(super) fn host(&self) -> BoundedHost<H> {
        BoundedHost {
            host: Arc::clone(&self.host),
            over: self.cancel.clone(),
            hung_reads: Arc::clone(&self.hung_reads),
            clock: self.store.clock(),
        }
    }

    fn requeue(&self, desired: &Desired, outcome: &ReconcileOutcome) -> Requeue {
        let name = desired.name();
        self.sessions.record_observed(&outcome.project, &outcome.object);
        self.sources.watch(name, outcome.observed.clone());
        self.readiness.observed(name);
        // Followers learn of each status that is recorded, also where nothing else is reported. There may be none.
        let observed = ReportedEvent { object: name.to_owned(), event: Event::Observed };
        let _ = self.feed.send(Arc::new(observed));
        match outcome.action {
            Action::Again => Requeue::Now,
            // The interval is a promise: in a backoff of hours the status must not be hours old.
            Action::At(time) => Requeue::At(self.at(time).min(resync(desired))),
            Action::Paced(time) => {
                self.answer(name, &outcome.object, false, None);
                Requeue::At(self.at(time).min(resync(desired)))
            }
            Action::AfterBuild => self.block(name, BlockedOn::Builds),
            Action::AfterStep => self.block(name, BlockedOn::Project(outcome.project.clone())),
            Action::Rest | Action::Stalled => {
                self.answer(name, &outcome.object, outcome.reconciled, None);
                let resync = resync(desired);
                Requeue::At(outcome.latest.map_or(resync, |latest| self.at(latest).min(resync)))
            }
        }
    }

    fn block(&self, name: &str, blocked_on: BlockedOn) -> Requeue {
        self.sessions.block(name, blocked_on);
        // The step may be unblocked without the end of a reconcile, or just before the object waits for it.
        Requeue::At(Instant::now() + SLOT_POLL)
    }

    /// The observation of the object failed. Its status has the error, and claims nothing.
    fn failed(&self, desired: &Desired, error: &ReconcileError) -> Requeue {
        let name = desired.name();
        let failures = self.sessions.failed(name);
        if failures == 1 {
            let (reason, error) = (error.reason(), in_full(&self.store, error));
            tracing::warn!(object = name, reason = reason.as_str(), %error, "nothing can be said of the object");
        }
        let object = unseen(Some(&self.store), desired, error, self.store.now());
        if is_record_of(&self.store, name, &self.host.endpoint())
            && let Err(error) = self.store.save_object(&object)
        {
            let error = self.store.in_full(&error);
            tracing::warn!(object = name, %error, "the status could not be recorded");
        }
        let may_pass = matches!(error, ReconcileError::Host(error) if error.is_transient());
        match reach(error) {
            Reach::ItAlone => self.readiness.excuse(name),
            Reach::Open => self.readiness.unseen(name),
            Reach::All => {}
        }
        // A brief failure is no answer to a waiting person; an engine that stays away is one.
        if !may_pass || failures >= FAILURES_BORNE {
            self.answer(name, &object, false, Some(&in_full(&self.store, error)));
        }
        let (first, longest) = FAILED;
        // An interval of one second also applies while the object fails.
        let longest = longest.min(desired.object.spec.reconcile.interval.get());
        let wait = first.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(longest);
        Requeue::At(Instant::now() + jittered(wait, seed(name)))
    }

    /// The registration of the object could not be recorded. It is not observed before it is: see
    /// [`register_added`](Self::register_added).
    fn registration_failed(&self, desired: &Desired, error: &ReconcileError) -> Requeue {
        let name = desired.name();
        let message = in_full(&self.store, error);
        tracing::error!(object = name, error = %message, "the new watch could not be recorded");
        self.answer(
            name,
            &unseen(Some(&self.store), desired, error, self.store.now()),
            false,
            Some(&message),
        );
        Requeue::At(Instant::now() + RECORD_RETRY)
    }

    /// The state is not where it was opened: that is reported elsewhere, as is its return. Only subscribers get an answer.
    fn without_state(&self, desired: &Desired, error: &ReconcileError) -> Requeue {
        let name = desired.name();
        tracing::debug!(object = name, "no turn without the state");
        self.subscribers.begin(name);
        self.answer(
            name,
            &unseen(Some(&self.store), desired, error, self.store.now()),
            false,
            Some(&in_full(&self.store, error)),
        );
        Requeue::At(Instant::now() + RECORD_RETRY)
    }

    /// Shutdown: records it in the trail, and clears undrift's activity from every status.
    pub(super) fn record_end(&self, end: &End) -> Result<(), StoreError> {
        // The last chance to record the outcomes for which there was no space. If one object's outcome cannot be written, the
        // trail must still get its end.
        let kept = self.store.write_kept();
        let idle = self.nobody_is_at_work();
        let cause = match end {
            End::Signal(signal) => StopCause::Signal((*signal).to_owned()),
            End::FilesHang => StopCause::Fault(DaemonError::FilesHang.to_string()),
        };
        let stopped = self.store.append(&NewRecord::stopped(&cause));
        kept.and(idle).and(stopped.map(drop))
    }

    /// What one look hands to the next; for the first one it begins now.
    fn session(&self, name: &str) -> Session {
        let now = self.store.now();
        self.sessions.take(name, now).unwrap_or_else(|| Session::new(now))
    }

    /// A time of the wall clock as one of the timer.
    fn at(&self, time: Time) -> Instant {
        Instant::now() + (time - self.store.now()).to_std().unwrap_or_default()
    }

    /// A status recorded before a step, or during a verification, shows undrift as active.
    fn nobody_is_at_work(&self) -> Result<(), StoreError> {
        for name in self.objects.names() {
            let Some(mut object) = self.store.object(&name)? else { continue };
            let conditions = &mut object.status.conditions;
            let reconciling = conditions.iter_mut().find(|condition| {
                condition.kind == ConditionType::Reconciling && condition.status == ConditionStatus::True
            });
            let Some(reconciling) = reconciling else { continue };
            reconciling.status = ConditionStatus::False;
            reconciling.reason = StandingReason::Idle.into();
            reconciling.last_transition_time = self.store.now();
            self.store.save_object(&object)?;
        }
        Ok(())
    }

    fn answer(&self, name: &str, object: &Object, reconciled: bool, error: Option<&str>) {
        self.subscribers.end(name, |acted| ObjectOutcome {
            object: object.clone(),
            reconciled,
            acted,
            error: error.map(str::to_owned),
        });
    }
}

/// How many objects a failure concerns.
enum Reach {
    /// This one only: it does not hold up the readiness of others.
    ItAlone,
    /// The engine is away, or one wedged container of it does not answer.
    Open,
    /// All: the state cannot be written.
    All,
}

const fn reach(error: &ReconcileError) -> Reach {
    match error {
        ReconcileError::Host(HostError::EngineUnavailable { .. }) => Reach::Open,
        ReconcileError::Host(HostError::Ending) => Reach::All,
        ReconcileError::Host(_)
        | ReconcileError::Store(
            StoreError::Unreadable { .. }
            | StoreError::NoSuchIntent(_)
            | StoreError::Altered(_)
            | StoreError::NotUnderstood(_)
            | StoreError::EvidenceUnreadable { .. },
        ) => Reach::ItAlone,
        ReconcileError::Store(_) => Reach::All,
    }
}

/// If a reconcile panics, nobody waits for its result: it is retried in minutes, and most likely panics again.
struct Panic<'a, H> {
    shared: &'a DaemonContext<H>,
    name: &'a str,
}

impl<H> Drop for Panic<'_, H> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.readiness.excuse(self.name);
            self.shared.subscribers.disconnect(Some(self.name));
        }
    }
}

fn resync(desired: &Desired) -> Instant {
    Instant::now() + jittered(desired.object.spec.reconcile.interval.get(), seed(desired.name()))
}

/// A different one at each call: each hasher has keys of its own.
fn seed(name: &str) -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(name)
}

#[cfg(test)]
mod tests;

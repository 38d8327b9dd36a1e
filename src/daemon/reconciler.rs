//! One turn for one object: what the loop drives.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, Semaphore},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    DaemonError, End,
    claims::Projects,
    keys::Keys,
    looks::{Bounded, Hung},
    objects::Objects,
    protocol::Outcome,
    readiness::Readiness,
    sessions::{Memory, Way},
    state::StateFound,
    waiters::{Narrate, Waiters},
};
use crate::{
    api::{AuditKind, ConditionStatus, ConditionType, Desired, NewRecord, Object, Time},
    host::{Host, HostError},
    reconcile::{
        Action, AtWork, Environment, Progress, ReconcileError, Reconciler, Session, Turn, in_full,
        is_record_of, now, unseen,
    },
    runtime::{Reconcile, Requeue, jittered},
    store::{Store, StoreError},
};

/// The waits after a failure, doubling: what may pass by itself is tried again soon, and the engine's own events tell of
/// its return besides.
const FAILED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// How many failures in a row a person who waits is not bothered with, where they may pass by themselves.
const FAILURES_BORNE: u32 = 3;

/// How often an object that waits for another's step to end looks whether it may begin, where nobody tells it.
const SLOT_POLL: Duration = Duration::from_secs(5);

/// When what could not be recorded of a watch that began or ended is tried again.
const UNSAID: Duration = Duration::from_secs(30);

/// What the turns of all objects share.
pub(super) struct Shared<H> {
    pub(super) host: Arc<H>,
    pub(super) store: Arc<Store>,
    pub(super) objects: Objects,
    pub(super) memory: Memory,
    pub(super) waiters: Waiters,
    pub(super) keys: Keys,
    pub(super) projects: Projects,
    pub(super) readiness: Readiness,
    pub(super) state_found: StateFound,
    pub(super) at_work: AtWork,
    pub(super) hung: Hung,
    /// The manifests are read again by one at a time.
    pub(super) reading: Arc<Mutex<()>>,
    pub(super) builds: Semaphore,
    pub(super) narrate: Narrate,
    /// No further step.
    pub(super) stop: CancellationToken,
    /// The running step's command is to be ended.
    pub(super) cancel: CancellationToken,
}

impl<H: Host + 'static> Reconcile<String> for Shared<H> {
    async fn reconcile(&self, name: String) -> Requeue {
        let Some(desired) = self.objects.get(&name) else {
            // One who asked just before it was removed would wait for ever.
            self.waiters.dismiss(Some(&name));
            return if self.part_from(&name) { Requeue::Never } else { Requeue::At(Instant::now() + UNSAID) };
        };
        if self.stop.is_cancelled() {
            return Requeue::Never;
        }
        let _in_case = Panic { shared: self, name: &name };
        if let Err(error) = self.check_state() {
            return self.without_state(&desired, &error.into());
        }
        let mut session = self.memory.take(&name).unwrap_or_else(|| Session::new(now()));
        self.waiters.begin(&name);
        if let Err(error) = self.begin_again(&desired) {
            self.memory.put(&name, session);
            return self.unsaid(&desired, &error);
        }
        let turned = Box::pin(self.turn(&desired, &mut session)).await;
        match turned {
            Ok(turn) => {
                self.memory.put(&name, session);
                self.turned(&desired, &turn)
            }
            // After an outage everything is looked at as if for the first time.
            Err(error) => {
                self.memory.put(&name, session.begin_anew(now()));
                self.failed(&desired, &error)
            }
        }
    }
}

impl<H: Host + 'static> Shared<H> {
    async fn turn(&self, desired: &Desired, session: &mut Session) -> Result<Turn, ReconcileError> {
        let tell = |desired: &Desired, progress: Progress<'_>| {
            // A service manager that waits for a build of half an hour to be over would have given up long before.
            if matches!(progress, Progress::Looked) {
                self.readiness.observed(desired.name());
            }
            self.waiters.tell(desired.name(), &progress, self.narrate);
        };
        if let Some(error) = self.taken(desired).await {
            return Err(error.into());
        }
        let host = self.host();
        let reconciler = Reconciler {
            host: &host,
            store: &self.store,
            stop: &self.stop,
            cancel: &self.cancel,
            progress: &tell,
            clock: &now,
            is_current: &|desired| self.objects.get(desired.name()).is_some_and(|now| *now == *desired),
            environment: Environment::Declared,
            at_work: &self.at_work,
            builds: &self.builds,
        };
        let turned = reconciler.turn(desired, session).await;
        self.keys.name_all(self.memory.may_begin(|way| match way {
            Way::Builds => self.builds.available_permits() > 0,
            Way::Project(project) => self.at_work.is_free(project),
        }));
        turned
    }

    /// The host, while undrift may still wait for it.
    pub(super) fn host(&self) -> Bounded<'_, H> {
        Bounded { host: &self.host, over: &self.cancel, hung: &self.hung }
    }

    fn turned(&self, desired: &Desired, turn: &Turn) -> Requeue {
        let name = desired.name();
        self.memory.saw(&turn.project, &turn.object);
        self.readiness.observed(name);
        match turn.action {
            Action::Again => Requeue::Now,
            // The interval is a promise: in a backoff of hours the status is not to be hours old.
            Action::At(time) => Requeue::At(at(time).min(resync(desired))),
            Action::Paced(time) => {
                self.answer(name, &turn.object, false, None);
                Requeue::At(at(time).min(resync(desired)))
            }
            Action::AfterBuild => self.wait_for(name, Way::Builds),
            Action::AfterStep => self.wait_for(name, Way::Project(turn.project.clone())),
            Action::Rest | Action::Stalled => {
                self.answer(name, &turn.object, turn.reconciled, None);
                let resync = resync(desired);
                Requeue::At(turn.latest.map_or(resync, |latest| at(latest).min(resync)))
            }
        }
    }

    fn wait_for(&self, name: &str, way: Way) -> Requeue {
        self.memory.wait_for(name, way);
        // The way may become free without the end of a turn, or just before the object waits for it.
        Requeue::At(Instant::now() + SLOT_POLL)
    }

    /// Nothing could be said of the object. Its status says so, and claims nothing.
    fn failed(&self, desired: &Desired, error: &ReconcileError) -> Requeue {
        let name = desired.name();
        let failures = self.memory.failed(name);
        if failures == 1 {
            let (reason, error) = (error.reason(), in_full(&self.store, error));
            tracing::warn!(object = name, reason, %error, "nothing can be said of the object");
        }
        let object = unseen(Some(&self.store), desired, error);
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
        // A hiccup is no answer to a person who waits; an engine that stays away is one.
        if !may_pass || failures >= FAILURES_BORNE {
            self.answer(name, &object, false, Some(&in_full(&self.store, error)));
        }
        let (first, longest) = FAILED;
        // Who wants a look every second wants it of what is mended, too.
        let longest = longest.min(desired.object.spec.reconcile.interval.get());
        let wait = first.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(longest);
        Requeue::At(Instant::now() + jittered(wait, seed(name)))
    }

    /// That the object is watched again could not be recorded. It is not looked at before it is: see
    /// [`begin_again`](Self::begin_again).
    fn unsaid(&self, desired: &Desired, error: &ReconcileError) -> Requeue {
        let name = desired.name();
        let said = in_full(&self.store, error);
        tracing::error!(object = name, error = %said, "the new watch could not be recorded");
        self.answer(name, &unseen(Some(&self.store), desired, error), false, Some(&said));
        Requeue::At(Instant::now() + UNSAID)
    }

    /// The state is not where it was opened: that is reported by itself, and so is its return. Only who waits is answered.
    fn without_state(&self, desired: &Desired, error: &ReconcileError) -> Requeue {
        let name = desired.name();
        tracing::debug!(object = name, "no turn without the state");
        self.waiters.begin(name);
        self.answer(
            name,
            &unseen(Some(&self.store), desired, error),
            false,
            Some(&in_full(&self.store, error)),
        );
        Requeue::At(Instant::now() + UNSAID)
    }

    /// The end: the trail has it, and no status says that undrift is at work.
    pub(super) fn record_end(&self, end: &End) -> Result<(), StoreError> {
        // The last time that anybody knows the outcomes that there was no room for. What cannot be written of one object is no
        // reason for a trail without its end.
        let kept = self.store.write_kept();
        let idle = self.nobody_is_at_work();
        let evidence = match end {
            End::Signal(signal) => serde_json::json!({ "signal": signal }),
            End::FilesHang => serde_json::json!({ "reason": DaemonError::FilesHang.to_string() }),
        };
        let stopped = self.store.append(&NewRecord { evidence, ..NewRecord::of(AuditKind::Stopped) });
        kept.and(idle).and(stopped.map(drop))
    }

    /// A status that was recorded before a step, or in the middle of a proof, says that undrift is at work.
    fn nobody_is_at_work(&self) -> Result<(), StoreError> {
        for name in self.objects.names() {
            let Some(mut object) = self.store.object(&name)? else { continue };
            let conditions = &mut object.status.conditions;
            let reconciling = conditions.iter_mut().find(|condition| {
                condition.kind == ConditionType::Reconciling && condition.status == ConditionStatus::True
            });
            let Some(reconciling) = reconciling else { continue };
            reconciling.status = ConditionStatus::False;
            "Idle".clone_into(&mut reconciling.reason);
            reconciling.last_transition_time = now();
            self.store.save_object(&object)?;
        }
        Ok(())
    }

    fn answer(&self, name: &str, object: &Object, reconciled: bool, error: Option<&str>) {
        self.waiters.end(name, |acted| Outcome {
            object: object.clone(),
            reconciled,
            acted,
            error: error.map(str::to_owned),
        });
    }
}

/// With how many objects something is wrong.
enum Reach {
    /// With this one: that holds up no other's readiness.
    ItAlone,
    /// The engine is away, or one wedged container of it does not answer.
    Open,
    /// With all: a state that cannot be kept.
    All,
}

const fn reach(error: &ReconcileError) -> Reach {
    match error {
        ReconcileError::Host(HostError::EngineUnavailable { .. }) => Reach::Open,
        ReconcileError::Host(HostError::Ending) => Reach::All,
        ReconcileError::Host(_)
        | ReconcileError::Store(StoreError::Unreadable { .. } | StoreError::NoSuchIntent(_)) => {
            Reach::ItAlone
        }
        ReconcileError::Store(_) => Reach::All,
    }
}

/// Where a turn panics, nobody waits for what it would have said: it is tried again in minutes, and most likely panics
/// again.
struct Panic<'a, H> {
    shared: &'a Shared<H>,
    name: &'a str,
}

impl<H> Drop for Panic<'_, H> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.readiness.excuse(self.name);
            self.shared.waiters.dismiss(Some(self.name));
        }
    }
}

fn resync(desired: &Desired) -> Instant {
    Instant::now() + jittered(desired.object.spec.reconcile.interval.get(), seed(desired.name()))
}

/// Another one at each call: each hasher has keys of its own.
fn seed(name: &str) -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(name)
}

/// A time of the wall clock as one of the timer.
fn at(time: Time) -> Instant {
    Instant::now() + (time - now()).to_std().unwrap_or_default()
}

#[cfg(test)]
mod tests;

//! Shared helpers of the room's tests: time that passes by itself, and a reconciler that is observed.

use std::sync::{Mutex, MutexGuard};

use tokio::{
    runtime::Builder,
    time::{Duration, Instant, sleep},
};

use super::{Reconcile, Requeue};

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// Runs `future` where time passes only if nothing else is left to do: a property test is no async function.
pub(super) fn in_paused_time<F: Future>(future: F) -> F::Output {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(future)
}

/// How one run behaves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Act {
    pub(super) takes: Duration,
    pub(super) then: Then,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Never,
    Now,
    After(Duration),
    Panic,
}

impl Act {
    /// Longer than any test.
    pub(super) const HANG: Self = Self { takes: Duration::from_secs(1_000_000), then: Then::Never };

    pub(super) const fn new(takes: Duration, then: Then) -> Self {
        Self { takes, then }
    }

    pub(super) const fn at_once(then: Then) -> Self {
        Self { takes: Duration::ZERO, then }
    }
}

/// One observed run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) key: u8,
    pub(super) began: Instant,
    pub(super) ended: Option<Instant>,
    pub(super) then: Then,
    /// How many ran at that moment, this one included.
    pub(super) at_once: usize,
    /// Whether another one of the same key ran at that moment.
    pub(super) twice: bool,
}

type Behaviour = dyn Fn(u8, usize) -> Act + Send + Sync;

/// A reconciler that behaves as configured for the n-th run (from 0) of a key, and notes what happens.
pub(super) struct RecordingReconciler {
    behaviour: Box<Behaviour>,
    runs: Mutex<Vec<Run>>,
}

impl RecordingReconciler {
    pub(super) fn new(behaviour: impl Fn(u8, usize) -> Act + Send + Sync + 'static) -> Self {
        Self { behaviour: Box::new(behaviour), runs: Mutex::default() }
    }

    pub(super) fn runs(&self) -> Vec<Run> {
        self.lock().clone()
    }

    pub(super) fn keys(&self) -> Vec<u8> {
        self.lock().iter().map(|run| run.key).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Run>> {
        self.runs.lock().unwrap()
    }

    fn begin(&self, key: u8) -> (usize, Act) {
        let mut runs = self.lock();
        let nth = runs.iter().filter(|run| run.key == key).count();
        let act = (self.behaviour)(key, nth);
        let is_running = |run: &&Run| run.ended.is_none();
        let at_once = 1 + runs.iter().filter(is_running).count();
        let twice = runs.iter().filter(is_running).any(|run| run.key == key);
        let began = Instant::now();
        runs.push(Run { key, began, ended: None, then: act.then, at_once, twice });
        (runs.len() - 1, act)
    }
}

impl Reconcile<u8> for RecordingReconciler {
    async fn reconcile(&self, key: u8) -> Requeue {
        let (index, act) = self.begin(key);
        if !act.takes.is_zero() {
            sleep(act.takes).await;
        }
        self.lock()[index].ended = Some(Instant::now());
        match act.then {
            Then::Never => Requeue::Never,
            Then::Now => Requeue::Now,
            Then::After(wait) => Requeue::At(Instant::now() + wait),
            // A panic that the panic hook does not print.
            Then::Panic => std::panic::resume_unwind(Box::new("as the test wants it")),
        }
    }
}

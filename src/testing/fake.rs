//! A host in memory, killed and disconnected on request. Its state is in `world`.

mod world;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use chrono::SecondsFormat;
use tokio::{sync::Notify, time::Instant};
use tracing_subscriber::fmt::{format::Writer, time::FormatTime};

pub(crate) use self::world::{FakeContainer, Faults, Hand, HostFile, Image, World};
use crate::{
    api::{Desired, EachQuery, Expansion, Fact, GitState, LastWords, ProjectObservation, StepOutcome, Time},
    host::{BuildCheckRequest, CheckedBuild, Host, HostError, StepReport, StepRequest},
    testing::fixtures::{at, git},
};

/// When undrift is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kill {
    /// Before the n-th step has any effect.
    Before(usize),
    /// After it had its effect, and before undrift gets its result.
    After(usize),
}

/// Time that advances only during waits: tokio's, from one run to the next.
#[derive(Debug, Clone)]
pub(crate) struct VirtualClock(Arc<Mutex<(Time, Option<Instant>)>>);

impl VirtualClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new((at(1_000_000), None))))
    }

    pub(crate) fn now(&self) -> Time {
        let (base, began) = *self.0.lock().unwrap();
        base + began.map(|began| began.elapsed()).unwrap_or_default()
    }

    /// Time that passes while nobody waits for it.
    pub(crate) fn advance(&self, by: chrono::TimeDelta) {
        self.0.lock().unwrap().0 += by;
    }

    /// Runs on, in a paused runtime.
    pub(crate) fn begin(&self) {
        self.0.lock().unwrap().1 = Some(Instant::now());
    }

    /// Stands still until the next run.
    pub(crate) fn end(&self) {
        let now = self.now();
        *self.0.lock().unwrap() = (now, None);
    }
}

impl FormatTime for VirtualClock {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        write!(writer, "{}", self.now().to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

pub(crate) struct FakeHost {
    pub(crate) clock: VirtualClock,
    pub(crate) world: Mutex<World>,
    pub(crate) kill: Mutex<Option<Kill>>,
    pub(crate) killed: Notify,
    /// What each listing of an `each` gives, one after the other; the last one lasts.
    pub(crate) listings: Mutex<VecDeque<BTreeMap<EachQuery, Expansion>>>,
}

impl FakeHost {
    pub(crate) fn new(world: World) -> Self {
        Self {
            clock: VirtualClock::new(),
            world: Mutex::new(world),
            kill: Mutex::default(),
            killed: Notify::new(),
            listings: Mutex::default(),
        }
    }

    /// When undrift is killed next.
    pub(crate) fn kills(&self) -> Option<Kill> {
        *self.kill.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills undrift there, or nowhere any more.
    pub(crate) fn kill(&self, at: Option<Kill>) {
        *self.kill.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    pub(crate) fn world<T>(&self, f: impl FnOnce(&mut World) -> T) -> T {
        f(&mut self.world.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Host for FakeHost {
    async fn observe(&self, _: &Desired) -> Result<ProjectObservation, HostError> {
        self.world(|world| {
            if world.engine_away || world.away_for > 0 {
                world.away_for = world.away_for.saturating_sub(1);
                return Err(HostError::EngineUnavailable { endpoint: "fake".into(), cause: "away".into() });
            }
            Ok(world.observe())
        })
    }

    async fn entries(&self, _: &Desired, _: BTreeSet<EachQuery>) -> BTreeMap<EachQuery, Expansion> {
        let mut listings = self.listings.lock().unwrap_or_else(PoisonError::into_inner);
        let next = if listings.len() > 1 { listings.pop_front() } else { listings.front().cloned() };
        next.unwrap_or_default()
    }

    async fn project(&self, desired: &Desired) -> Result<String, HostError> {
        Ok(desired.name().to_owned())
    }

    fn endpoint(&self) -> String {
        "fake".into()
    }

    async fn git(&self, _: &Desired) -> Fact<Option<GitState>> {
        Fact::Known(Some(git()))
    }

    async fn check_builds(
        &self,
        _: &Desired,
        _: BuildCheckRequest<'_>,
    ) -> Result<Vec<CheckedBuild>, HostError> {
        Ok(Vec::new())
    }

    async fn keep_verified(&self, _: &str, images: &BTreeMap<String, String>) {
        self.world(|world| world.kept.extend(images.clone()));
    }

    async fn gone_images(&self, images: &BTreeSet<String>) -> BTreeSet<String> {
        self.world(|world| images.iter().filter(|image| world.is_gone(image)).cloned().collect())
    }

    async fn prune(&self, _: &[String]) -> Vec<String> {
        Vec::new()
    }

    async fn last_words(&self, _: &Desired, _: &[(String, String)]) -> Vec<LastWords> {
        Vec::new()
    }

    async fn execute(&self, _: &Desired, request: StepRequest<'_>) -> StepReport {
        let number = self.world(|world| world.log.len()) + 1;
        if self.kills() == Some(Kill::Before(number)) {
            self.killed.notify_one();
            std::future::pending::<()>().await;
        }
        let outcome = self.world(|world| world.take(request.step, request.rollback_to.get("api")));
        if self.kills() == Some(Kill::After(number)) {
            self.killed.notify_one();
            std::future::pending::<()>().await;
        }
        StepReport {
            outcome,
            exit_code: Some(if outcome == StepOutcome::Succeeded { 0 } else { 17 }),
            command: vec!["fake".into(), format!("{:?}", request.step)],
            output: String::new(),
            notes: vec![],
            started_at: self.clock.now(),
            duration_ms: 0,
        }
    }
}

//! Observations that hang, panic or fail, and a state that fails: the cost for the object, and for the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Condvar, Mutex as StdMutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::{
    sync::Notify,
    time::{advance, timeout},
};

use super::*;
use crate::{
    api::{EachQuery, Expansion, Fact, GitState, LastWords, ProjectObservation, Step, StepOutcome},
    daemon::{
        bounded_host::{BoundedHost, STEP_END},
        protocol::Reply,
    },
    host::{BuildCheckRequest, CheckedBuild, LOOK_LIMIT, StepReport, StepRequest},
    testing::fake::FakeHost,
};

mod unseen;

/// The result of observing `backoffice`. `other` is as declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ObserveResult {
    /// It blocks its thread, as a file that hangs does.
    Hangs,
    /// It waits: for an engine, or for other tasks that read for it.
    Waits,
    Panics,
    /// Compose does not answer in time.
    TimesOut,
    EngineIsAway,
    Sees,
}

struct FailingHost {
    well: FakeHost,
    look: StdMutex<ObserveResult>,
    changed: Condvar,
    no_longer_waits: Notify,
    looks: AtomicUsize,
    /// The observations that have waited and have returned.
    came_back: AtomicUsize,
    hangs: AtomicBool,
    /// Whether it is the step that hangs, or git.
    step_hangs: AtomicBool,
    git_hangs: AtomicBool,
}

/// A project directory on a healthy file system of its own.
const ELSEWHERE: &str = "elsewhere";

impl FailingHost {
    fn becomes(&self, look: ObserveResult) {
        *self.look.lock().unwrap() = look;
        self.changed.notify_all();
        self.no_longer_waits.notify_waiters();
    }

    async fn wait(&self) {
        loop {
            let changed = self.no_longer_waits.notified();
            if *self.look.lock().unwrap() != ObserveResult::Waits {
                break;
            }
            changed.await;
        }
        self.came_back.fetch_add(1, Relaxed);
    }

    fn hang(&self) {
        let look = self.look.lock().unwrap();
        // A test that fails must end: the runtime waits for its threads.
        let most = Duration::from_secs(30);
        self.hangs.store(true, Relaxed);
        drop(self.changed.wait_timeout_while(look, most, |look| *look == ObserveResult::Hangs).unwrap());
        self.hangs.store(false, Relaxed);
    }
}

impl Host for FailingHost {
    fn endpoint(&self) -> String {
        self.well.endpoint()
    }

    async fn observe(&self, desired: &Desired) -> Result<ProjectObservation, HostError> {
        if desired.name() != "backoffice" {
            return self.well.observe(desired).await;
        }
        self.looks.fetch_add(1, Relaxed);
        if desired.directory.ends_with(ELSEWHERE) {
            return self.well.observe(desired).await;
        }
        let look = *self.look.lock().unwrap();
        match look {
            // Then something else hangs.
            ObserveResult::Hangs if self.step_hangs.load(Relaxed) || self.git_hangs.load(Relaxed) => {}
            ObserveResult::Hangs => self.hang(),
            ObserveResult::Waits => self.wait().await,
            ObserveResult::Panics => panic!("a bug in a look"),
            ObserveResult::TimesOut => {
                return Err(HostError::Engine { action: "resolve".into(), cause: "not in time".into() });
            }
            ObserveResult::EngineIsAway => {
                return Err(HostError::EngineUnavailable { endpoint: "x".into(), cause: "x".into() });
            }
            ObserveResult::Sees => {}
        }
        self.well.observe(desired).await
    }

    async fn entries(
        &self,
        desired: &Desired,
        queries: BTreeSet<EachQuery>,
    ) -> BTreeMap<EachQuery, Expansion> {
        self.well.entries(desired, queries).await
    }

    async fn project(&self, desired: &Desired) -> Result<String, HostError> {
        self.well.project(desired).await
    }

    async fn git(&self, desired: &Desired) -> Fact<Option<GitState>> {
        if self.git_hangs.load(Relaxed) && desired.name() == "backoffice" {
            self.hang();
        }
        self.well.git(desired).await
    }

    async fn last_words(&self, desired: &Desired, containers: &[(String, String)]) -> Vec<LastWords> {
        self.well.last_words(desired, containers).await
    }

    async fn execute(&self, desired: &Desired, request: StepRequest<'_>) -> StepReport {
        (request.progress)("a line of the step");
        if self.step_hangs.load(Relaxed) {
            self.hang();
        }
        self.well.execute(desired, request).await
    }

    async fn check_builds(
        &self,
        desired: &Desired,
        request: BuildCheckRequest<'_>,
    ) -> Result<Vec<CheckedBuild>, HostError> {
        self.well.check_builds(desired, request).await
    }

    async fn keep_verified(&self, project: &str, images: &BTreeMap<String, String>) {
        self.well.keep_verified(project, images).await;
    }

    async fn gone_images(&self, images: &BTreeSet<String>) -> BTreeSet<String> {
        self.well.gone_images(images).await
    }

    async fn prune(&self, images: &[String]) -> Vec<String> {
        self.well.prune(images).await
    }
}

fn fixture(look: ObserveResult) -> DaemonFixture<FailingHost> {
    fixture_of(look, healthy())
}

fn fixture_of(look: ObserveResult, world: World) -> DaemonFixture<FailingHost> {
    let fixture = DaemonFixture::on(FailingHost {
        well: FakeHost::new(world),
        look: StdMutex::new(look),
        changed: Condvar::new(),
        no_longer_waits: Notify::new(),
        looks: AtomicUsize::default(),
        came_back: AtomicUsize::default(),
        hangs: AtomicBool::default(),
        step_hangs: AtomicBool::default(),
        git_hangs: AtomicBool::default(),
    });
    fixture.shared.readiness.expect(vec!["backoffice".into()]);
    fixture
}

impl DaemonFixture<FailingHost> {
    fn ready(&self) -> String {
        let object = self.shared.store.object("backoffice").unwrap().unwrap();
        let ready = object.status.conditions.iter().find(|condition| condition.kind == ConditionType::Ready);
        let ready = ready.unwrap();
        format!("{:?} {}", ready.status, ready.reason)
    }

    fn looks(&self) -> usize {
        self.shared.host.looks.load(Relaxed)
    }

    /// A reconcile of `backoffice` that has begun its observation.
    async fn looking(&self) -> tokio::task::JoinHandle<Requeue> {
        let (shared, before) = (Arc::clone(&self.shared), self.looks());
        let run = tokio::spawn(async move { shared.reconcile("backoffice".into()).await });
        let host = &self.shared.host;
        let hangs = *host.look.lock().unwrap() == ObserveResult::Hangs;
        while self.looks() == before || hangs != host.hangs.load(Relaxed) {
            tokio::task::yield_now().await;
        }
        run
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_that_hangs_is_given_up_and_another_one_begins_only_once_it_has_come_back() {
    let fixture = fixture(ObserveResult::Hangs);
    // Verified, so that it waits for no time to pass: with a blocked worker thread time stands still here.
    while fixture.reconcile("other").await == Requeue::Now {}
    let run = fixture.looking().await;
    // Another object on the loop's thread is not held up.
    fixture.reconcile("other").await;
    assert!(!run.is_finished());
    advance(LOOK_LIMIT + SECOND).await;
    run.await.unwrap();
    assert_eq!(fixture.ready(), "Unknown ObservationTimedOut");
    assert!(fixture.shared.readiness.is_ready(), "it holds up nobody's readiness");
    for _ in 0..3 {
        let began = Instant::now();
        fixture.reconcile("backoffice").await;
        assert_eq!(began.elapsed(), Duration::ZERO, "it keeps no slot");
    }
    assert_eq!(fixture.looks(), 1, "and takes no further thread");
    fixture.shared.host.becomes(ObserveResult::Sees);
    while fixture.looks() == 1 {
        fixture.reconcile("backoffice").await;
    }
    assert_ne!(fixture.ready(), "Unknown ObservationTimedOut");
}

#[tokio::test(start_paused = true)]
async fn a_look_that_is_late_goes_on_and_no_other_begins_before_it_has_come_back() {
    let fixture = fixture(ObserveResult::Waits);
    let run = fixture.looking().await;
    advance(LOOK_LIMIT + SECOND).await;
    run.await.unwrap();
    assert_eq!(fixture.ready(), "Unknown ObservationTimedOut");
    for _ in 0..3 {
        fixture.reconcile("backoffice").await;
        assert_eq!(fixture.looks(), 1, "each would have threads of its own");
    }
    fixture.shared.host.becomes(ObserveResult::Sees);
    while fixture.looks() == 1 {
        fixture.reconcile("backoffice").await;
    }
    assert_eq!(fixture.shared.host.came_back.load(Relaxed), 1, "what it has read is remembered");
    assert_ne!(fixture.ready(), "Unknown ObservationTimedOut");
}

#[tokio::test(start_paused = true)]
async fn who_is_declared_elsewhere_does_not_wait_for_the_file_system_of_before() {
    let fixture = fixture(ObserveResult::Hangs);
    let run = fixture.looking().await;
    advance(LOOK_LIMIT + SECOND).await;
    run.await.unwrap();
    fs::create_dir(fixture.dir.path().join("manifests").join(ELSEWHERE)).unwrap();
    let mut object = fixtures::desired().object;
    object.spec.project.directory = ELSEWHERE.into();
    let manifest = fixture.dir.path().join("manifests/backoffice.yaml");
    fs::write(manifest, serde_json::to_string(&object).unwrap()).unwrap();
    fixture.shared.reload().await;
    let shared = Arc::clone(&fixture.shared);
    let run = tokio::spawn(async move { shared.reconcile("backoffice".into()).await });
    while fixture.looks() == 1 {
        assert!(!run.is_finished(), "{}", fixture.ready());
        tokio::task::yield_now().await;
    }
    assert!(fixture.shared.host.hangs.load(Relaxed), "the first has not come back");
    fixture.shared.host.becomes(ObserveResult::Sees);
    run.await.unwrap();
    assert_ne!(fixture.ready(), "Unknown ObservationTimedOut");
}

#[tokio::test(start_paused = true)]
async fn a_look_that_hangs_holds_up_the_end_no_longer_than_the_grace_period() {
    let fixture = fixture(ObserveResult::Hangs);
    let run = fixture.looking().await;
    fixture.shared.stop.cancel();
    fixture.shared.cancel.cancel();
    run.await.unwrap();
    assert!(fixture.shared.host.hangs.load(Relaxed), "it has not come back");
    assert_eq!(fixture.ready(), "Unknown Ending");
    fixture.shared.host.becomes(ObserveResult::Sees);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_was_late_and_waits_ends_with_undrift() {
    let fixture = fixture(ObserveResult::Waits);
    let run = fixture.looking().await;
    advance(LOOK_LIMIT + SECOND).await;
    run.await.unwrap();
    let host = Arc::downgrade(&fixture.shared.host);
    fixture.shared.cancel.cancel();
    drop(fixture);
    while host.upgrade().is_some() {
        tokio::task::yield_now().await;
    }
}

impl DaemonFixture<FailingHost> {
    /// A reconcile of `backoffice` that hangs beside its observation.
    async fn hanging(&self) -> tokio::task::JoinHandle<()> {
        self.shared.host.becomes(ObserveResult::Hangs);
        let shared = Arc::clone(&self.shared);
        let run =
            tokio::spawn(async move { while shared.reconcile("backoffice".into()).await == Requeue::Now {} });
        while !self.shared.host.hangs.load(Relaxed) {
            assert!(!run.is_finished());
            tokio::task::yield_now().await;
        }
        run
    }

    fn step_outcomes(&self) -> Vec<String> {
        let records = self.shared.store.records(&crate::store::RecordFilter::default()).unwrap();
        records
            .into_iter()
            .filter(|record| record.kind == "StepFinished")
            .filter_map(|record| record.outcome)
            .collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_whose_files_hang_holds_up_neither_the_others_nor_the_end() {
    let fixture = fixture_of(ObserveResult::Sees, World::incident());
    fixture.shared.host.step_hangs.store(true, Relaxed);
    let run = fixture.hanging().await;
    fixture.reconcile("other").await;
    assert!(fixture.shared.host.hangs.load(Relaxed), "who shares the loop's thread is not held up");
    fixture.shared.stop.cancel();
    fixture.shared.cancel.cancel();
    // It is notified of that, and only then the time begins.
    tokio::task::yield_now().await;
    advance(STEP_END / 10 * 9).await;
    assert!(!run.is_finished(), "its command may need that long");
    advance(STEP_END / 5).await;
    run.await.unwrap();
    assert!(fixture.shared.host.hangs.load(Relaxed), "it has not come back");
    assert_eq!(fixture.step_outcomes(), ["Cancelled"], "the trail has its end");
    fixture.shared.host.becomes(ObserveResult::Sees);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_has_not_come_back_is_dated_by_the_clock_of_the_records() {
    let fixture = fixture_of(ObserveResult::Hangs, World::incident());
    fixture.shared.host.step_hangs.store(true, Relaxed);
    let host = BoundedHost { clock: crate::store::testing::clock(), ..fixture.shared.host() };
    let (none, examined, cancel) = (BTreeMap::new(), BTreeMap::new(), CancellationToken::new());
    cancel.cancel();
    let request = StepRequest {
        step: Step::Restart,
        services: &[],
        rollback_to: &none,
        examined: &examined,
        timeout: SECOND,
        cancel: &cancel,
        progress: &|_| {},
    };
    let desired = fixture.shared.objects.get("backoffice").unwrap();
    let time_passes = async {
        tokio::task::yield_now().await;
        advance(STEP_END * 2).await;
    };
    let (report, ()) = tokio::join!(host.execute(&desired, request), time_passes);
    assert_eq!(report.outcome, StepOutcome::Cancelled);
    assert_eq!(report.started_at, crate::store::testing::start());
    fixture.shared.host.becomes(ObserveResult::Sees);
}

#[tokio::test(start_paused = true)]
async fn git_that_hangs_holds_up_neither_the_others_nor_the_end() {
    let fixture = fixture_of(ObserveResult::Sees, World::incident());
    fixture.shared.host.git_hangs.store(true, Relaxed);
    let run = fixture.hanging().await;
    fixture.reconcile("other").await;
    assert!(fixture.shared.host.hangs.load(Relaxed), "who shares the loop's thread is not held up");
    fixture.shared.stop.cancel();
    fixture.shared.cancel.cancel();
    run.await.unwrap();
    assert!(fixture.shared.host.hangs.load(Relaxed), "it has not come back");
    fixture.shared.host.becomes(ObserveResult::Sees);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_panics_holds_up_neither_readiness_nor_a_person() {
    let fixture = fixture(ObserveResult::Panics);
    let mut waiting = fixture.shared.subscribers.subscribe("backoffice");
    let shared = Arc::clone(&fixture.shared);
    let run = tokio::spawn(async move { shared.reconcile("backoffice".into()).await });
    assert!(run.await.unwrap_err().is_panic(), "the loop is to know of it");
    assert!(fixture.shared.readiness.is_ready());
    let reply: Option<Reply> = timeout(SECOND, waiting.recv()).await.unwrap();
    assert_eq!(reply, None, "the connection ends");
}

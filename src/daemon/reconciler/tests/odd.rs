//! Looks that hang, panic or fail, and a state that fails: what that costs the object, and what it costs the others.

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
    api::{Fact, GitState, LastWords, ProjectObservation},
    daemon::{looks::STEP_END, protocol::Reply},
    host::{LOOK_LIMIT, StepReport, StepRequest},
    reconcile::fake::FakeHost,
};

mod unseen;

/// What a look at `backoffice` comes to. `other` is as declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// It blocks its thread, as a file that hangs does.
    Hangs,
    /// It waits: for an engine, or for others that read for it.
    Waits,
    Panics,
    /// Compose does not answer in time.
    TimesOut,
    EngineIsAway,
    Sees,
}

struct Odd {
    well: FakeHost,
    look: StdMutex<Look>,
    changed: Condvar,
    no_longer_waits: Notify,
    looks: AtomicUsize,
    /// The looks that have waited and have come back.
    came_back: AtomicUsize,
    hangs: AtomicBool,
    /// Whether it is the step that hangs, or git.
    step_hangs: AtomicBool,
    git_hangs: AtomicBool,
}

/// A project directory on a file system of its own, on which all is well.
const ELSEWHERE: &str = "elsewhere";

impl Odd {
    fn becomes(&self, look: Look) {
        *self.look.lock().unwrap() = look;
        self.changed.notify_all();
        self.no_longer_waits.notify_waiters();
    }

    async fn wait(&self) {
        loop {
            let changed = self.no_longer_waits.notified();
            if *self.look.lock().unwrap() != Look::Waits {
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
        drop(self.changed.wait_timeout_while(look, most, |look| *look == Look::Hangs).unwrap());
        self.hangs.store(false, Relaxed);
    }
}

impl Host for Odd {
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
            // Then it is something else that hangs.
            Look::Hangs if self.step_hangs.load(Relaxed) || self.git_hangs.load(Relaxed) => {}
            Look::Hangs => self.hang(),
            Look::Waits => self.wait().await,
            Look::Panics => panic!("a bug in a look"),
            Look::TimesOut => {
                return Err(HostError::Engine { action: "resolve".into(), cause: "not in time".into() });
            }
            Look::EngineIsAway => {
                return Err(HostError::EngineUnavailable { endpoint: "x".into(), cause: "x".into() });
            }
            Look::Sees => {}
        }
        self.well.observe(desired).await
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

fn bench(look: Look) -> Bench<Odd> {
    bench_of(look, healthy())
}

fn bench_of(look: Look, world: World) -> Bench<Odd> {
    let bench = Bench::on(Odd {
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
    bench.shared.readiness.expect(vec!["backoffice".into()]);
    bench
}

impl Bench<Odd> {
    fn ready(&self) -> String {
        let object = self.shared.store.object("backoffice").unwrap().unwrap();
        let ready = object.status.conditions.iter().find(|condition| condition.kind == ConditionType::Ready);
        let ready = ready.unwrap();
        format!("{:?} {}", ready.status, ready.reason)
    }

    fn looks(&self) -> usize {
        self.shared.host.looks.load(Relaxed)
    }

    /// A turn of `backoffice` that has come to its look, and is at it.
    async fn looking(&self) -> tokio::task::JoinHandle<Requeue> {
        let (shared, before) = (Arc::clone(&self.shared), self.looks());
        let turn = tokio::spawn(async move { shared.reconcile("backoffice".into()).await });
        let host = &self.shared.host;
        let hangs = *host.look.lock().unwrap() == Look::Hangs;
        while self.looks() == before || hangs != host.hangs.load(Relaxed) {
            tokio::task::yield_now().await;
        }
        turn
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_that_hangs_is_given_up_and_another_one_begins_only_once_it_has_come_back() {
    let bench = bench(Look::Hangs);
    // Proven, so that it waits for no time to pass: with a thread at work that stands still here.
    while bench.turn("other").await == Requeue::Now {}
    let turn = bench.looking().await;
    // Who shares the loop's thread is not held up.
    bench.turn("other").await;
    assert!(!turn.is_finished());
    advance(LOOK_LIMIT + SECOND).await;
    turn.await.unwrap();
    assert_eq!(bench.ready(), "Unknown ObservationTimedOut");
    assert!(bench.shared.readiness.is_ready(), "it holds up nobody's readiness");
    for _ in 0..3 {
        let began = Instant::now();
        bench.turn("backoffice").await;
        assert_eq!(began.elapsed(), Duration::ZERO, "it keeps no slot");
    }
    assert_eq!(bench.looks(), 1, "and takes no further thread");
    bench.shared.host.becomes(Look::Sees);
    while bench.looks() == 1 {
        bench.turn("backoffice").await;
    }
    assert_ne!(bench.ready(), "Unknown ObservationTimedOut");
}

#[tokio::test(start_paused = true)]
async fn a_look_that_is_late_goes_on_and_no_other_begins_before_it_has_come_back() {
    let bench = bench(Look::Waits);
    let turn = bench.looking().await;
    advance(LOOK_LIMIT + SECOND).await;
    turn.await.unwrap();
    assert_eq!(bench.ready(), "Unknown ObservationTimedOut");
    for _ in 0..3 {
        bench.turn("backoffice").await;
        assert_eq!(bench.looks(), 1, "each would have threads of its own");
    }
    bench.shared.host.becomes(Look::Sees);
    while bench.looks() == 1 {
        bench.turn("backoffice").await;
    }
    assert_eq!(bench.shared.host.came_back.load(Relaxed), 1, "what it has read is remembered");
    assert_ne!(bench.ready(), "Unknown ObservationTimedOut");
}

#[tokio::test(start_paused = true)]
async fn who_is_declared_elsewhere_does_not_wait_for_the_file_system_of_before() {
    let bench = bench(Look::Hangs);
    let turn = bench.looking().await;
    advance(LOOK_LIMIT + SECOND).await;
    turn.await.unwrap();
    fs::create_dir(bench.dir.path().join("manifests").join(ELSEWHERE)).unwrap();
    let mut object = fixtures::desired().object;
    object.spec.project.directory = ELSEWHERE.into();
    let manifest = bench.dir.path().join("manifests/backoffice.yaml");
    fs::write(manifest, serde_json::to_string(&object).unwrap()).unwrap();
    bench.shared.reload().await;
    let shared = Arc::clone(&bench.shared);
    let turn = tokio::spawn(async move { shared.reconcile("backoffice".into()).await });
    while bench.looks() == 1 {
        assert!(!turn.is_finished(), "{}", bench.ready());
        tokio::task::yield_now().await;
    }
    assert!(bench.shared.host.hangs.load(Relaxed), "the first has not come back");
    bench.shared.host.becomes(Look::Sees);
    turn.await.unwrap();
    assert_ne!(bench.ready(), "Unknown ObservationTimedOut");
}

#[tokio::test(start_paused = true)]
async fn a_look_that_hangs_holds_up_the_end_no_longer_than_the_grace_period() {
    let bench = bench(Look::Hangs);
    let turn = bench.looking().await;
    bench.shared.stop.cancel();
    bench.shared.cancel.cancel();
    turn.await.unwrap();
    assert!(bench.shared.host.hangs.load(Relaxed), "it has not come back");
    assert_eq!(bench.ready(), "Unknown Ending");
    bench.shared.host.becomes(Look::Sees);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_was_late_and_waits_ends_with_undrift() {
    let bench = bench(Look::Waits);
    let turn = bench.looking().await;
    advance(LOOK_LIMIT + SECOND).await;
    turn.await.unwrap();
    let host = Arc::downgrade(&bench.shared.host);
    bench.shared.cancel.cancel();
    drop(bench);
    while host.upgrade().is_some() {
        tokio::task::yield_now().await;
    }
}

impl Bench<Odd> {
    /// A turn of `backoffice` that hangs beside its look.
    async fn hanging(&self) -> tokio::task::JoinHandle<()> {
        self.shared.host.becomes(Look::Hangs);
        let shared = Arc::clone(&self.shared);
        let turn =
            tokio::spawn(async move { while shared.reconcile("backoffice".into()).await == Requeue::Now {} });
        while !self.shared.host.hangs.load(Relaxed) {
            assert!(!turn.is_finished());
            tokio::task::yield_now().await;
        }
        turn
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
    let bench = bench_of(Look::Sees, World::incident());
    bench.shared.host.step_hangs.store(true, Relaxed);
    let turn = bench.hanging().await;
    bench.turn("other").await;
    assert!(bench.shared.host.hangs.load(Relaxed), "who shares the loop's thread is not held up");
    bench.shared.stop.cancel();
    bench.shared.cancel.cancel();
    // It hears of that, and only then the time begins.
    tokio::task::yield_now().await;
    advance(STEP_END / 10 * 9).await;
    assert!(!turn.is_finished(), "its command may need that long");
    advance(STEP_END / 5).await;
    turn.await.unwrap();
    assert!(bench.shared.host.hangs.load(Relaxed), "it has not come back");
    assert_eq!(bench.step_outcomes(), ["Cancelled"], "the trail has its end");
    bench.shared.host.becomes(Look::Sees);
}

#[tokio::test(start_paused = true)]
async fn git_that_hangs_holds_up_neither_the_others_nor_the_end() {
    let bench = bench_of(Look::Sees, World::incident());
    bench.shared.host.git_hangs.store(true, Relaxed);
    let turn = bench.hanging().await;
    bench.turn("other").await;
    assert!(bench.shared.host.hangs.load(Relaxed), "who shares the loop's thread is not held up");
    bench.shared.stop.cancel();
    bench.shared.cancel.cancel();
    turn.await.unwrap();
    assert!(bench.shared.host.hangs.load(Relaxed), "it has not come back");
    bench.shared.host.becomes(Look::Sees);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_panics_holds_up_neither_readiness_nor_a_person() {
    let bench = bench(Look::Panics);
    let mut waiting = bench.shared.waiters.wait_for("backoffice", false);
    let shared = Arc::clone(&bench.shared);
    let turn = tokio::spawn(async move { shared.reconcile("backoffice".into()).await });
    assert!(turn.await.unwrap_err().is_panic(), "the loop is to know of it");
    assert!(bench.shared.readiness.is_ready());
    let heard: Option<Reply> = timeout(SECOND, waiting.recv()).await.unwrap();
    assert_eq!(heard, None, "the connection ends");
}

//! Looks that hang, panic or fail, and a state that fails: what that costs the object, and what it costs the others.

use std::sync::{
    Condvar, Mutex as StdMutex,
    atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

use tokio::time::{advance, timeout};

use super::*;
use crate::{
    api::{Fact, GitState, ProjectObservation},
    daemon::{looks::LIMIT, protocol::Reply},
    host::{StepReport, StepRequest},
    reconcile::fake::FakeHost,
};

/// What a look at `backoffice` comes to. `other` is as declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// It blocks its thread, as a file that hangs does.
    Hangs,
    /// It waits, as for an engine that hangs.
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
    looks: AtomicUsize,
    hangs: AtomicBool,
}

impl Odd {
    fn becomes(&self, look: Look) {
        *self.look.lock().unwrap() = look;
        self.changed.notify_all();
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
    async fn observe(&self, desired: &Desired) -> Result<ProjectObservation, HostError> {
        if desired.name() != "backoffice" {
            return self.well.observe(desired).await;
        }
        self.looks.fetch_add(1, Relaxed);
        let look = *self.look.lock().unwrap();
        match look {
            Look::Hangs => self.hang(),
            Look::Waits => std::future::pending().await,
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

    async fn git(&self, desired: &Desired) -> Fact<Option<GitState>> {
        self.well.git(desired).await
    }

    async fn execute(&self, desired: &Desired, request: StepRequest<'_>) -> StepReport {
        self.well.execute(desired, request).await
    }

    async fn prune(&self, images: &[String]) -> Vec<String> {
        self.well.prune(images).await
    }
}

fn bench(look: Look) -> Bench<Odd> {
    let bench = Bench::on(Odd {
        well: FakeHost::new(healthy()),
        look: StdMutex::new(look),
        changed: Condvar::new(),
        looks: AtomicUsize::default(),
        hangs: AtomicBool::default(),
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
    advance(LIMIT + SECOND).await;
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
async fn a_look_that_only_waits_ends_with_its_limit_and_the_next_one_begins() {
    let bench = bench(Look::Waits);
    let turn = bench.looking().await;
    advance(LIMIT + SECOND).await;
    turn.await.unwrap();
    assert_eq!(bench.ready(), "Unknown ObservationTimedOut");
    bench.shared.host.becomes(Look::Sees);
    while bench.looks() == 1 {
        bench.turn("backoffice").await;
    }
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
async fn only_what_is_wrong_with_every_object_holds_readiness_up() {
    for (look, is_ready) in [(Look::TimesOut, true), (Look::EngineIsAway, false)] {
        let bench = bench(look);
        bench.turn("backoffice").await;
        assert_eq!(bench.shared.readiness.is_ready(), is_ready, "{look:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_turn_that_fails_in_the_state_is_no_look() {
    let bench = bench(Look::Sees);
    let state = rusqlite::Connection::open(bench.dir.path().join("state.db")).unwrap();
    let fails =
        "CREATE TRIGGER full BEFORE INSERT ON objects BEGIN SELECT RAISE(FAIL, 'the disk is full'); END";
    state.execute_batch(fails).unwrap();
    bench.turn("backoffice").await;
    assert!(!bench.shared.readiness.is_ready());
    state.execute_batch("DROP TRIGGER full").unwrap();
    bench.turn("backoffice").await;
    assert!(bench.shared.readiness.is_ready());
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

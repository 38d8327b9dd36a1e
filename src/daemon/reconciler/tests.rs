//! What the loop is told after a turn, on a host in memory and in paused time.

use std::fs;

use crate::{
    fixtures,
    manifest::Source,
    reconcile::fake::{Container, FakeHost, Image, World},
};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Two objects, `backoffice` and `other`, on the same host.
struct Bench {
    shared: Shared<FakeHost>,
    dir: tempfile::TempDir,
}

impl Bench {
    fn new(world: World) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let manifests = dir.path().join("manifests");
        fs::create_dir(&manifests).unwrap();
        for name in ["backoffice", "other"] {
            let mut object = fixtures::desired().object;
            object.metadata.name = name.into();
            fs::write(manifests.join(format!("{name}.yaml")), serde_json::to_string(&object).unwrap())
                .unwrap();
        }
        let shared = Shared {
            host: Arc::new(FakeHost::new(world)),
            store: Arc::new(Store::open(dir.path(), "test".into()).unwrap()),
            objects: Objects::new(vec![Source::Path(manifests)]),
            memory: Memory::default(),
            waiters: Waiters::default(),
            keys: Keys::default(),
            readiness: Readiness::default(),
            at_work: AtWork::default(),
            builds: Semaphore::new(1),
            narrate: |_, _| None,
            stop: CancellationToken::new(),
            cancel: CancellationToken::new(),
        };
        assert_eq!(shared.objects.reload().errors.len(), 0);
        Self { shared, dir }
    }

    async fn turn(&self, object: &str) -> Requeue {
        self.shared.reconcile(object.into()).await
    }

    /// The time until the next turn, after one.
    async fn wait_after_turn(&self) -> Duration {
        match self.turn("backoffice").await {
            Requeue::At(at) => at - Instant::now(),
            other => panic!("no time: {other:?}"),
        }
    }

    /// Turns until the object rests; the time until the next turn then.
    async fn wait_at_rest(&self) -> Duration {
        loop {
            match self.turn("backoffice").await {
                Requeue::Now => {}
                Requeue::At(at) => return at - Instant::now(),
                Requeue::Never => panic!("it is forgotten"),
            }
        }
    }

    fn is_away(&self, away: bool) {
        self.shared.host.world(|world| world.engine_away = away);
    }
}

fn healthy() -> World {
    let image = Image { id: 2, source: 2, module: true };
    let container = Container { id: 1, image, config: 1, running: true, starts: 1, crashes: 0, looks: 0 };
    World { image: Some(image), container: Some(container), next: 3, ..World::incident() }
}

/// A jittered wait.
#[track_caller]
fn assert_about(wait: Duration, expected: Duration) {
    assert!(wait >= expected / 10 * 9 && wait <= expected / 10 * 11, "{wait:?} is not about {expected:?}");
}

#[tokio::test(start_paused = true)]
async fn the_wait_after_failures_grows_to_a_limit_and_a_success_ends_them() {
    let bench = Bench::new(healthy());
    for _ in 0..2 {
        bench.is_away(true);
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            assert_about(bench.wait_after_turn().await, seconds * SECOND);
        }
        bench.is_away(false);
        assert_about(bench.wait_at_rest().await, 300 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn who_wants_a_look_each_second_has_it_after_failures_too() {
    let bench = Bench::new(healthy());
    let often = fixtures::desired_with(&serde_json::json!({ "interval": "3s" })).object;
    let manifest = bench.dir.path().join("manifests/backoffice.yaml");
    fs::write(manifest, serde_json::to_string(&often).unwrap()).unwrap();
    bench.shared.reload();
    bench.is_away(true);
    for seconds in [1, 2, 3, 3] {
        assert_about(bench.wait_after_turn().await, seconds * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_build_is_named_once_it_may_begin() {
    let bench = Bench::new(World::incident());
    let building = bench.shared.builds.try_acquire().unwrap();
    assert_eq!(bench.wait_after_turn().await, SLOT_POLL);
    assert!(bench.shared.host.world(|world| world.log.is_empty()), "it does not build yet");
    let mut keys = Box::pin(bench.shared.keys.stream());
    let mut named =
        || futures_util::FutureExt::now_or_never(futures_util::StreamExt::next(&mut keys)).flatten();
    // Another one's turn that ends while the slot is taken names nobody.
    bench.turn("other").await;
    assert_eq!(named(), None);
    drop(building);
    bench.turn("other").await;
    assert_eq!(named().as_deref(), Some("backoffice"));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_declared_any_more_is_never_looked_at_again() {
    let bench = Bench::new(healthy());
    bench.turn("backoffice").await;
    fs::remove_file(bench.dir.path().join("manifests/backoffice.yaml")).unwrap();
    bench.shared.reload();
    let looks = || bench.shared.host.world(|world| world.container.unwrap().looks);
    let before = looks();
    assert_eq!(bench.turn("backoffice").await, Requeue::Never);
    assert_eq!(bench.turn("never-declared").await, Requeue::Never);
    assert_eq!(looks(), before);
}

#[tokio::test(start_paused = true)]
async fn who_is_suspended_is_looked_at_when_that_ends() {
    let bench = Bench::new(World::incident());
    let until = now() + chrono::TimeDelta::seconds(60);
    bench.shared.store.suspend("backoffice", Some(until), "a test").unwrap();
    let wait = bench.wait_at_rest().await;
    assert!(wait <= 60 * SECOND && wait > 40 * SECOND, "{wait:?}");
    bench.shared.store.suspend("backoffice", None, "a test").unwrap();
    assert_about(bench.wait_at_rest().await, 300 * SECOND);
    assert!(bench.shared.host.world(|world| world.log.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn once_undrift_is_to_end_nothing_is_looked_at() {
    let bench = Bench::new(World::incident());
    bench.shared.stop.cancel();
    assert_eq!(bench.turn("backoffice").await, Requeue::Never);
    assert_eq!(bench.shared.host.world(|world| world.container.unwrap().looks), 0);
}

#[tokio::test(start_paused = true)]
async fn at_the_end_no_status_says_that_somebody_is_at_work() {
    let bench = Bench::new(World::incident());
    // Ended in the middle of a repair: what was recorded last is the state before the step.
    assert_eq!(bench.turn("backoffice").await, Requeue::Now);
    let reconciling = || {
        let object = bench.shared.store.object("backoffice").unwrap().unwrap();
        let mut conditions = object.status.conditions.into_iter();
        conditions.find(|condition| condition.kind == ConditionType::Reconciling).unwrap().status
    };
    assert_eq!(reconciling(), ConditionStatus::True);
    bench.shared.nobody_is_at_work().unwrap();
    assert_eq!(reconciling(), ConditionStatus::False);
}

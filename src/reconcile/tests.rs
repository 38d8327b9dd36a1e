//! The loop on a host in memory: healed or honestly given up, whatever goes wrong and wherever it is killed.

mod aftermath;
mod altered;
mod full_disk;
mod window;

use proptest::prelude::*;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    fake::{FakeHost, Faults, Hand, Kill, World},
    *,
};
use crate::{
    api::{AuditKind, IncidentOutcome, Step},
    fixtures::desired_with,
    store::{RecordFilter, Verification},
};

/// The times are virtual: nothing here waits, and nothing depends on how busy the machine is.
fn desired() -> Desired {
    desired_with(&json!({
        "verify": { "timeout": "10s", "stableFor": "1s" },
        "backoff": { "initial": "10s", "max": "10m" },
        "attempts": 3,
    }))
}

fn open(host: &FakeHost, dir: &tempfile::TempDir) -> Store {
    let clock = host.clock.clone();
    Store::open_with_clock(dir.path(), "test".into(), Box::new(move || clock.now())).unwrap()
}

struct Bench {
    host: FakeHost,
    store: Store,
    dir: tempfile::TempDir,
}

impl Bench {
    fn new(world: World) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let host = FakeHost::new(world);
        let store = open(&host, &dir);
        Self { host, store, dir }
    }

    /// A new undrift, which knows nothing but what is on disk.
    fn restart(&mut self) {
        self.store = open(&self.host, &self.dir);
        close_interrupted(&self.store).unwrap();
    }

    fn apply(&self) -> Applied {
        self.apply_as(&desired())
    }

    fn apply_as(&self, desired: &Desired) -> Applied {
        self.run(|reconciler| async move { reconciler.apply(desired).await })
    }

    fn run<'a, T, F: Future<Output = T>>(&'a self, f: impl FnOnce(Reconciler<'a, FakeHost>) -> F) -> T
    where
        Self: 'a,
    {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        // Leaked per call, a few bytes: the reconciler borrows for the whole of the async block.
        let cancel: &'static CancellationToken = Box::leak(Box::new(CancellationToken::new()));
        let builds: &'static tokio::sync::Semaphore = Box::leak(Box::new(tokio::sync::Semaphore::new(1)));
        let clock = self.host.clock.clone();
        let clock: &'static (dyn Fn() -> Time + Send + Sync) = Box::leak(Box::new(move || clock.now()));
        runtime.block_on(async {
            self.host.clock.begin();
            let (host, store) = (&self.host, &self.store);
            let at_work: &'static AtWork = Box::leak(Box::default());
            let reconciler = Reconciler {
                host,
                store,
                stop: cancel,
                cancel,
                progress: &|_, _| {},
                clock,
                is_current: &|_| true,
                environment: super::Environment::Callers,
                at_work,
                builds,
            };
            let done = f(reconciler).await;
            self.host.clock.end();
            done
        })
    }

    /// Applies, and is killed where the host says; then a new undrift finds what is left.
    fn apply_until_killed(&self) -> bool {
        let killed = self.run(|reconciler| async move {
            let desired = desired();
            tokio::select! {
                _ = reconciler.apply(&desired) => false,
                () = reconciler.host.killed.notified() => true,
            }
        });
        close_interrupted(&self.store).unwrap();
        killed
    }

    fn kinds(&self) -> Vec<String> {
        self.store.records(&RecordFilter::default()).unwrap().into_iter().map(|record| record.kind).collect()
    }

    fn count(&self, kind: AuditKind) -> usize {
        self.kinds().iter().filter(|k| *k == kind.as_str()).count()
    }

    /// What must hold after every run, however it went.
    fn assert_honest(&self, applied: &Applied) {
        assert!(applied.error.is_none(), "{:?}", applied.error);
        let really = self.host.world(|world| world.is_as_declared());
        assert!(
            !applied.reconciled || really,
            "it says reconciled and it is not: {:?}",
            self.host.world(|w| w.clone())
        );
        assert!(applied.reconciled || !really, "it gave up on what is as declared: {:?}", self.kinds());
        assert!(matches!(self.store.verify().unwrap(), Verification::Whole { .. }));
        assert!(self.store.open_intents().unwrap().is_empty());
        let ended = self.count(AuditKind::StepFinished) + self.count(AuditKind::StepInterrupted);
        assert_eq!(
            self.count(AuditKind::StepIntended),
            ended,
            "an effect without intent, or an intent without end"
        );
    }
}

/// What can be opened may be damaged further in.
#[test]
fn a_look_goes_without_a_state_that_cannot_be_read_and_says_why() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for damage in ["DROP TABLE objects", "ALTER TABLE images RENAME TO lost", "DROP TABLE suspensions"] {
        let bench = Bench::new(World::incident());
        assert!(bench.apply().reconciled);
        let look = || runtime.block_on(look(&bench.host, Some(&bench.store), &desired())).unwrap();
        assert!(look().without_state.is_none());
        let raw = rusqlite::Connection::open(bench.dir.path().join("state.db")).unwrap();
        raw.execute_batch(&format!("PRAGMA foreign_keys = OFF; {damage}")).unwrap();
        let looked = look();
        let why = bench.store.in_full(looked.without_state.as_ref().unwrap());
        assert!(why.contains("state.db: "), "{damage}: {why}");
        let seen = looked.object.status.services.len();
        assert_eq!(seen, desired().services().len(), "it has looked all the same");
        assert_eq!(looked.object.status.incident, None, "{damage}");
    }
}

#[test]
fn no_step_begins_once_undrift_is_to_end_however_far_the_turn_has_come() {
    let bench = Bench::new(World::incident());
    bench.run(|reconciler| async move {
        let stop = reconciler.stop.clone();
        // Decided on, recorded, told: the next thing would be the intent.
        let progress = move |_: &Desired, progress: Progress<'_>| {
            if matches!(progress, Progress::Looked) {
                stop.cancel();
            }
        };
        let reconciler = Reconciler { progress: &progress, ..reconciler };
        let (desired, mut session) = (desired(), Session::new((reconciler.clock)()));
        reconciler.turn(&desired, &mut session).await.unwrap();
    });
    assert_eq!(bench.count(AuditKind::DriftDetected), 1, "it has come that far");
    assert_eq!(bench.count(AuditKind::StepIntended), 0);
    assert!(bench.host.world(|world| world.log.is_empty()));
}

#[test]
fn the_incident_is_healed_with_one_build_and_one_up() {
    let bench = Bench::new(World::incident());
    let applied = bench.apply();
    bench.assert_honest(&applied);
    assert!(applied.reconciled);
    let steps = bench.host.world(|world| world.log.clone());
    assert_eq!(steps, [Step::Build { no_cache: false }, Step::Up { force_recreate: false }]);
    let transition = applied.object.status.services[0].routes[0].transition.unwrap();
    assert_eq!((transition.before, transition.after), (Some(404), Some(401)));
    let incident = bench.store.last_incident("backoffice").unwrap().unwrap();
    assert_eq!(incident.outcome, Some(IncidentOutcome::Reconciled));
    let kinds: Vec<String> = bench.kinds().into_iter().skip_while(|kind| kind != "DriftDetected").collect();
    assert_eq!(
        kinds,
        [
            "DriftDetected",
            "StepIntended",
            "StepFinished",
            "StepIntended",
            "StepFinished",
            "Verified",
            "Reconciled"
        ]
    );
}

#[test]
fn the_drift_and_each_intent_tell_which_source_they_are_about() {
    let bench = Bench::new(World::incident());
    bench.apply();
    let records = bench.store.records(&RecordFilter::default()).unwrap();
    let about = ["DriftDetected", "StepIntended"];
    let told: Vec<_> = records.iter().filter(|record| about.contains(&record.kind.as_str())).collect();
    assert_eq!(told.len(), 3);
    for record in told {
        let git = json!({ "revision": crate::fixtures::REVISION, "dirty": true });
        assert_eq!(record.evidence["git"], git, "{}", record.kind);
    }
}

#[test]
fn a_healthy_host_is_never_touched_and_writes_no_record() {
    let bench = Bench::new(World::incident());
    bench.apply();
    let container = || bench.host.world(|world| world.container.map(|c| (c.id, c.starts)));
    let (before, records) = (container(), bench.kinds());
    for _ in 0..5 {
        assert!(bench.apply().reconciled);
    }
    assert_eq!(container(), before);
    assert_eq!(bench.kinds(), records);
}

#[test]
fn an_up_that_changes_nothing_is_never_a_success() {
    let mut world = World::incident();
    world.faults.up_is_noop = true;
    let bench = Bench::new(world);
    let applied = bench.apply();
    bench.assert_honest(&applied);
    assert!(!applied.reconciled);
    assert!(
        bench.host.world(|world| world.log.len()) <= 4,
        "{:?}",
        bench.host.world(|world| world.log.clone())
    );
    let steps = bench.host.world(|world| world.log.len());
    assert!(!bench.apply().reconciled);
    assert_eq!(bench.host.world(|world| world.log.len()), steps, "what is given up stays given up");
    assert_eq!(bench.count(AuditKind::Stalled), 1, "and is told once");
}

#[test]
fn a_new_container_that_crashes_is_rolled_back() {
    let mut world = World::incident();
    world.faults.new_crashes = true;
    let bench = Bench::new(world);
    let applied = bench.apply();
    bench.assert_honest(&applied);
    assert_eq!(bench.host.world(|world| world.log.last().copied()), Some(Step::Rollback));
    assert_eq!(bench.host.world(|world| world.container.unwrap().image.id), 1);
    assert_eq!(bench.count(AuditKind::RolledBack), 1);
    assert_eq!(bench.count(AuditKind::Reconciled), 0);
}

#[test]
fn an_engine_that_hiccups_in_the_middle_of_a_repair_does_not_end_it() {
    let mut world = World::incident();
    world.faults.engine_hiccups = true;
    let bench = Bench::new(world);
    let applied = bench.apply();
    bench.assert_honest(&applied);
    assert!(applied.reconciled, "{:?}", bench.kinds());
}

#[test]
fn a_proof_is_of_one_spec_only() {
    let bench = Bench::new(World::incident());
    bench.apply();
    let stricter = Desired { spec_digest: "v1:sha256:1".into(), ..desired() };
    let look = |desired: &Desired| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(look(&bench.host, Some(&bench.store), desired)).unwrap().object
    };
    let reconciled = |object: &Object| {
        let mut conditions = object.status.services[0].conditions.iter();
        conditions.any(|c| {
            c.kind == crate::api::ConditionType::Reconciled && c.status == crate::api::ConditionStatus::True
        })
    };
    assert!(reconciled(&look(&desired())));
    assert!(!reconciled(&look(&stricter)), "what was proven was another spec");
}

#[test]
fn an_engine_that_is_away_changes_nothing_and_claims_nothing() {
    let mut world = World::incident();
    world.engine_away = true;
    let bench = Bench::new(world);
    let applied = bench.apply();
    assert!(matches!(applied.error, Some(ReconcileError::Host(HostError::EngineUnavailable { .. }))));
    assert!(bench.host.world(|world| world.log.is_empty()));
    assert_eq!(bench.count(AuditKind::DriftDetected), 0);
}

#[test]
fn an_outage_of_the_engine_on_a_healthy_host_costs_a_new_proof_and_nothing_else() {
    let bench = Bench::new(World::incident());
    let healed = bench.apply().object.status;
    let (records, steps) = (bench.kinds(), bench.host.world(|world| world.log.len()));
    bench.host.world(|world| world.engine_away = true);
    let away = bench.apply().object.status;
    assert!(away.services.iter().all(|service| service.containers.is_empty()), "not seen, and not said");
    bench.host.world(|world| world.engine_away = false);
    let back = bench.apply();
    bench.assert_honest(&back);
    assert!(back.reconciled);
    assert_eq!((bench.kinds(), bench.host.world(|world| world.log.len())), (records, steps));
    let transitions = |status: &ObjectStatus| status.services[0].routes[0].transition;
    assert!(transitions(&healed).is_some());
    assert_eq!(transitions(&back.object.status), transitions(&healed), "what was repaired stays so");
}

#[test]
fn what_a_starting_engine_has_not_started_yet_is_given_time() {
    for starts_it in [true, false] {
        let bench = Bench::new(World::incident());
        bench.apply();
        bench.host.world(|world| {
            world.container.iter_mut().for_each(|container| container.running = false);
            (world.starting_for, world.starts_it) = (3, starts_it);
        });
        let before = bench.host.world(|world| world.log.len());
        let applied = bench.apply();
        bench.assert_honest(&applied);
        assert!(applied.reconciled, "{:?}", bench.kinds());
        let taken = bench.host.world(|world| world.log[before..].to_vec());
        let needed: &[Step] = if starts_it { &[] } else { &[Step::Up { force_recreate: false }] };
        assert_eq!(taken, needed, "an outage is no drift, and what stays down after it is");
    }
}

#[test]
fn a_step_that_someone_else_was_in_the_way_of_is_told_and_costs_nothing() {
    let mut world = World::incident();
    world.busy_for = 7;
    let bench = Bench::new(world);
    let applied = bench.apply();
    bench.assert_honest(&applied);
    assert!(applied.reconciled, "seven are more than the budget: {:?}", bench.kinds());
    let records = bench.store.records(&RecordFilter::default()).unwrap();
    let told = records.iter().filter(|record| record.outcome.as_deref() == Some("NotBegun")).count();
    assert_eq!((told, bench.count(AuditKind::StepFinished)), (7, 9), "{:?}", bench.kinds());
    let end = records.iter().find(|record| record.kind == AuditKind::Reconciled.as_str()).unwrap();
    assert_eq!(end.evidence["steps"], 2, "what did not begin mended nothing");
}

#[test]
fn killed_at_any_step_the_next_undrift_converges() {
    for number in 1..=2 {
        for kill in [Kill::Before(number), Kill::After(number)] {
            let mut bench = Bench::new(World::incident());
            bench.host.kill = Some(kill);
            assert!(bench.apply_until_killed(), "{kill:?}");
            assert_eq!(bench.count(AuditKind::StepInterrupted), 1, "{kill:?}");
            bench.host.kill = None;
            let applied = bench.apply();
            bench.assert_honest(&applied);
            assert!(applied.reconciled, "{kill:?}: {:?}", bench.kinds());
        }
    }
}

fn faults() -> impl Strategy<Value = Faults> {
    prop::array::uniform7(prop::bool::weighted(0.25)).prop_map(|bits| {
        let [build_fails, build_forgets, up_is_noop, new_crashes, route_lost, warms_up, engine_hiccups] =
            bits;
        Faults { build_fails, build_forgets, up_is_noop, new_crashes, warms_up, engine_hiccups, route_lost }
    })
}

/// What the world does to a host between two runs.
#[derive(Debug, Clone, Copy)]
enum Event {
    Hand(Hand),
    Heal,
    Fault(Faults),
    KillBefore,
    KillAfter,
}

fn event() -> impl Strategy<Value = Event> {
    let hands = [
        Hand::Stop,
        Hand::Remove,
        Hand::Untag,
        Hand::Configure,
        Hand::Edit,
        Hand::LoseModule,
        Hand::GainModule,
    ];
    prop_oneof![
        7 => prop::sample::select(hands.to_vec()).prop_map(Event::Hand),
        1 => Just(Event::Heal),
        1 => faults().prop_map(Event::Fault),
        1 => Just(Event::KillBefore),
        1 => Just(Event::KillAfter),
    ]
}

fn happens(bench: &mut Bench, event: Event) {
    let next = bench.host.world(|world| world.log.len()) + 1;
    match event {
        Event::Hand(hand) => bench.host.world(|world| world.by_hand(hand)),
        Event::Heal => bench.host.world(|w| w.faults = Faults::default()),
        // A container that crashes from now on has crashed once when the next undrift looks.
        Event::Fault(faults) => bench.host.world(|w| {
            w.faults = faults;
            let crashing = w.container.iter_mut().filter(|c| faults.new_crashes && c.image.id > 1);
            crashing.for_each(|c| c.crashes += 1);
        }),
        Event::KillBefore => bench.host.kill = Some(Kill::Before(next)),
        Event::KillAfter => bench.host.kill = Some(Kill::After(next)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever happens: reconciled is only said where it is so, the trail stays whole, and the steps of one run
    /// stay within the budgets.
    #[test]
    fn reconciled_is_only_said_where_it_is_so(events in prop::collection::vec(event(), 1..6)) {
        let mut bench = Bench::new(World::incident());
        for event in events {
            happens(&mut bench, event);
            let before = bench.host.world(|world| world.log.len());
            if bench.host.kill.is_some() {
                bench.apply_until_killed();
                bench.host.kill = None;
            }
            let applied = bench.apply();
            prop_assert!(applied.error.is_none(), "{:?}", applied.error);
            let really = bench.host.world(|world| world.is_as_declared());
            prop_assert!(!applied.reconciled || really, "it says reconciled and it is not");
            let whole = matches!(bench.store.verify().unwrap(), Verification::Whole { .. });
            prop_assert!(whole, "the trail is not whole");
            prop_assert!(bench.store.open_intents().unwrap().is_empty());
            let taken = bench.host.world(|world| world.log.len()) - before;
            prop_assert!(taken <= 16, "{taken} steps in one run: {:?}", bench.host.world(|w| w.log.clone()));
        }
    }
}

#[test]
fn what_is_down_behind_an_earlier_layer_and_stays_down_is_started_as_often_as_the_budget_allows() {
    let bench = Bench::new(World::incident());
    bench.host.world(|world| {
        world.faults = Faults { build_fails: true, up_is_noop: true, ..Faults::default() };
        world.by_hand(Hand::Stop);
    });
    bench.apply();
    let starts = bench.host.world(|world| world.log.iter().filter(|step| **step == Step::Start).count());
    let attempts = desired().object.spec.reconcile.attempts;
    assert_eq!(starts, usize::try_from(attempts).unwrap());
}

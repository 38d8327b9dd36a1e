//! The loop on a host in memory: repaired or honestly given up, whatever goes wrong and wherever it is killed.

mod after_repair;
mod altered;
mod full_disk;
mod route_watch;
mod window;

use proptest::prelude::*;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    api::{AuditKind, IncidentOutcome, Step},
    store::{RecordFilter, Verification},
    testing::fake::{FakeHost, Faults, Hand, Kill, World},
    testing::fixtures::desired_with,
};

/// The times are virtual: nothing here waits, and nothing depends on how busy the machine is.
fn desired() -> Desired {
    desired_with(&json!({
        "verify": { "timeout": "10s", "stableFor": "1s" },
        "backoff": { "initial": "10s", "max": "10m" },
        "attempts": 3,
    }))
}

/// The time of this machine, as the verbs that look have it.
fn clock() -> Clock {
    Arc::new(now)
}

fn open(host: &FakeHost, dir: &tempfile::TempDir) -> Store {
    let clock = host.clock.clone();
    Store::open_with_clock(dir.path(), "test".into(), Arc::new(move || clock.now())).unwrap()
}

struct ReconcilerFixture {
    host: Arc<FakeHost>,
    store: Arc<Store>,
    dir: tempfile::TempDir,
}

impl ReconcilerFixture {
    fn new(world: World) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let host = Arc::new(FakeHost::new(world));
        let store = Arc::new(open(&host, &dir));
        Self { host, store, dir }
    }

    /// A new undrift, which knows only the state on disk.
    fn restart(&mut self) {
        self.store = Arc::new(open(&self.host, &self.dir));
        close_interrupted(&self.store).unwrap();
    }

    fn apply(&self) -> Applied {
        self.apply_as(&desired())
    }

    fn apply_as(&self, desired: &Desired) -> Applied {
        self.run(|reconciler| async move { reconciler.apply(desired).await })
    }

    fn run<T, F: Future<Output = T>>(&self, f: impl FnOnce(Reconciler<FakeHost>) -> F) -> T {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        let clock = self.host.clock.clone();
        runtime.block_on(async {
            self.host.clock.begin();
            let cancel = CancellationToken::new();
            let reconciler = Reconciler {
                host: Arc::clone(&self.host),
                store: Arc::clone(&self.store),
                stop: cancel.clone(),
                cancel,
                events: Arc::new(|_, _| {}),
                clock: Arc::new(move || clock.now()),
                is_current: Arc::new(|_| true),
                environment: EnvironmentTrust::Callers,
                active_projects: Arc::default(),
                builds: Arc::new(Semaphore::new(1)),
            };
            let done = f(reconciler).await;
            self.host.clock.end();
            done
        })
    }

    /// Applies, and is killed at the host's mark; then a new undrift finds the rest.
    fn apply_until_killed(&self) -> bool {
        let killed = self.run(|reconciler| async move {
            let desired = desired();
            tokio::select! {
                _ = reconciler.apply(&desired) => false,
                () = reconciler.host.killed.notified() => true,
            }
        });
        close_interrupted(&self.store).unwrap();
        // Nobody reconciles while the engine is away: `apply` would report that and end.
        self.host.world(|world| world.away_for = 0);
        killed
    }

    fn kinds(&self) -> Vec<String> {
        self.store.records(&RecordFilter::default()).unwrap().into_iter().map(|record| record.kind).collect()
    }

    fn count(&self, kind: AuditKind) -> usize {
        self.kinds().iter().filter(|k| *k == kind.as_str()).count()
    }

    /// The invariants after every run, however it went.
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
        let records = self.store.records(&RecordFilter::default()).unwrap();
        assert_eq!(decide::trail_rules::breaches(&records), [], "{records:?}");
        let limits = decide::trail_rules::Limits { stable_for_ms: 1_000, attempts: 3 };
        assert_eq!(decide::trail_rules::beyond(&records, limits), [], "{records:?}");
        assert!(self.store.open_intents().unwrap().is_empty());
        let ended = self.count(AuditKind::StepFinished) + self.count(AuditKind::StepInterrupted);
        assert_eq!(
            self.count(AuditKind::StepIntended),
            ended,
            "an effect without intent, or an intent without end"
        );
    }
}

/// A state that opens may be damaged further in.
#[test]
fn an_unreadable_state_is_named_and_the_look_succeeds_without_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for damage in ["DROP TABLE objects", "ALTER TABLE images RENAME TO lost", "DROP TABLE suspensions"] {
        let fixture = ReconcilerFixture::new(World::incident());
        assert!(fixture.apply().reconciled);
        let look = || {
            runtime.block_on(look(&*fixture.host, Some(&fixture.store), &desired(), &[], &clock())).unwrap()
        };
        assert!(look().without_state.is_none());
        let raw = rusqlite::Connection::open(fixture.dir.path().join("state.db")).unwrap();
        raw.execute_batch(&format!("PRAGMA foreign_keys = OFF; {damage}")).unwrap();
        let looked = look();
        let why = fixture.store.in_full(looked.without_state.as_ref().unwrap());
        assert!(why.contains("state.db: "), "{damage}: {why}");
        let seen = looked.object.status.services.len();
        assert_eq!(seen, desired().services().len(), "it has looked all the same");
        assert_eq!(looked.object.status.incident, None, "{damage}");
    }
}

#[test]
fn no_step_begins_once_undrift_is_to_end_however_far_the_turn_has_come() {
    let fixture = ReconcilerFixture::new(World::incident());
    fixture.run(|reconciler| async move {
        let stop = reconciler.stop.clone();
        // Decided on, recorded, reported: the next thing would be the intent.
        let events = move |_: &str, event: Event| {
            if event == Event::Observed {
                stop.cancel();
            }
        };
        let reconciler = Reconciler { events: Arc::new(events), ..reconciler };
        let (desired, mut session) = (desired(), Session::new((reconciler.clock)()));
        reconciler.reconcile_once(&desired, &mut session).await.unwrap();
    });
    assert_eq!(fixture.count(AuditKind::DriftDetected), 1, "it has come that far");
    assert_eq!(fixture.count(AuditKind::StepIntended), 0);
    assert!(fixture.host.world(|world| world.log.is_empty()));
}

#[test]
fn the_incident_is_healed_with_one_build_and_one_up() {
    let fixture = ReconcilerFixture::new(World::incident());
    let applied = fixture.apply();
    fixture.assert_honest(&applied);
    assert!(applied.reconciled);
    let steps = fixture.host.world(|world| world.log.clone());
    assert_eq!(steps, [Step::Build { no_cache: false }, Step::Up { force_recreate: false }]);
    let transition = applied.object.status.services[0].routes[0].transition.unwrap();
    assert_eq!((transition.before, transition.after), (Some(404), Some(401)));
    let incident = fixture.store.last_incident("backoffice").unwrap().unwrap();
    assert_eq!(incident.outcome, Some(IncidentOutcome::Reconciled));
    let kinds: Vec<String> = fixture.kinds().into_iter().skip_while(|kind| kind != "DriftDetected").collect();
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
fn the_drift_and_each_intent_are_recorded_with_the_source_revision() {
    let fixture = ReconcilerFixture::new(World::incident());
    fixture.apply();
    let records = fixture.store.records(&RecordFilter::default()).unwrap();
    let about = ["DriftDetected", "StepIntended"];
    let reported: Vec<_> = records.iter().filter(|record| about.contains(&record.kind.as_str())).collect();
    assert_eq!(reported.len(), 3);
    for record in reported {
        let git = json!({ "revision": crate::testing::fixtures::REVISION, "dirty": true });
        assert_eq!(record.evidence["git"], git, "{}", record.kind);
    }
}

#[test]
fn a_healthy_host_is_never_touched_and_writes_no_record() {
    let fixture = ReconcilerFixture::new(World::incident());
    fixture.apply();
    let container = || fixture.host.world(|world| world.container.map(|c| (c.id, c.starts)));
    let (before, records) = (container(), fixture.kinds());
    for _ in 0..5 {
        assert!(fixture.apply().reconciled);
    }
    assert_eq!(container(), before);
    assert_eq!(fixture.kinds(), records);
}

#[test]
fn an_up_that_changes_nothing_is_never_a_success() {
    let mut world = World::incident();
    world.faults.up_is_noop = true;
    let fixture = ReconcilerFixture::new(world);
    let applied = fixture.apply();
    fixture.assert_honest(&applied);
    assert!(!applied.reconciled);
    assert!(
        fixture.host.world(|world| world.log.len()) <= 4,
        "{:?}",
        fixture.host.world(|world| world.log.clone())
    );
    let steps = fixture.host.world(|world| world.log.len());
    assert!(!fixture.apply().reconciled);
    assert_eq!(fixture.host.world(|world| world.log.len()), steps, "what is given up stays given up");
    assert_eq!(fixture.count(AuditKind::Stalled), 1, "and is told once");
}

#[test]
fn a_new_container_that_crashes_is_rolled_back() {
    let mut world = World::incident();
    world.faults.new_crashes = true;
    let fixture = ReconcilerFixture::new(world);
    let applied = fixture.apply();
    fixture.assert_honest(&applied);
    assert_eq!(fixture.host.world(|world| world.log.last().copied()), Some(Step::Rollback));
    assert_eq!(fixture.host.world(|world| world.container.unwrap().image.id), 1);
    assert_eq!(fixture.count(AuditKind::RolledBack), 1);
    assert_eq!(fixture.count(AuditKind::Reconciled), 0);
}

#[test]
fn an_engine_that_hiccups_in_the_middle_of_a_repair_does_not_end_it() {
    let mut world = World::incident();
    world.faults.engine_hiccups = true;
    let fixture = ReconcilerFixture::new(world);
    let applied = fixture.apply();
    fixture.assert_honest(&applied);
    assert!(applied.reconciled, "{:?}", fixture.kinds());
}

#[test]
fn a_verification_is_of_one_spec_only() {
    let fixture = ReconcilerFixture::new(World::incident());
    fixture.apply();
    let stricter = Desired { spec_digest: "v1:sha256:1".into(), ..desired() };
    let look = |desired: &Desired| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let clock = clock();
        runtime.block_on(look(&*fixture.host, Some(&fixture.store), desired, &[], &clock)).unwrap().object
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
fn an_engine_that_is_away_leads_to_no_step_and_no_recorded_drift() {
    let mut world = World::incident();
    world.engine_away = true;
    let fixture = ReconcilerFixture::new(world);
    let applied = fixture.apply();
    assert!(matches!(applied.error, Some(ReconcileError::Host(HostError::EngineUnavailable { .. }))));
    assert!(fixture.host.world(|world| world.log.is_empty()));
    assert_eq!(fixture.count(AuditKind::DriftDetected), 0);
}

#[test]
fn an_outage_of_the_engine_on_a_healthy_host_costs_a_new_verification_and_nothing_else() {
    let fixture = ReconcilerFixture::new(World::incident());
    let healed = fixture.apply().object.status;
    let (records, steps) = (fixture.kinds(), fixture.host.world(|world| world.log.len()));
    fixture.host.world(|world| world.engine_away = true);
    let away = fixture.apply().object.status;
    assert!(away.services.iter().all(|service| service.containers.is_empty()), "not seen, and not said");
    fixture.host.world(|world| world.engine_away = false);
    let back = fixture.apply();
    fixture.assert_honest(&back);
    assert!(back.reconciled);
    assert_eq!((fixture.kinds(), fixture.host.world(|world| world.log.len())), (records, steps));
    let transitions = |status: &ObjectStatus| status.services[0].routes[0].transition;
    assert!(transitions(&healed).is_some());
    assert_eq!(transitions(&back.object.status), transitions(&healed), "what was repaired stays so");
}

#[test]
fn what_a_starting_engine_has_not_started_yet_is_given_time() {
    for starts_it in [true, false] {
        let fixture = ReconcilerFixture::new(World::incident());
        fixture.apply();
        fixture.host.world(|world| {
            world.container.iter_mut().for_each(|container| container.running = false);
            (world.starting_for, world.starts_it) = (3, starts_it);
        });
        let before = fixture.host.world(|world| world.log.len());
        let applied = fixture.apply();
        fixture.assert_honest(&applied);
        assert!(applied.reconciled, "{:?}", fixture.kinds());
        let taken = fixture.host.world(|world| world.log[before..].to_vec());
        let needed: &[Step] = if starts_it { &[] } else { &[Step::Up { force_recreate: false }] };
        assert_eq!(taken, needed, "an outage is no drift, and what stays down after it is");
    }
}

#[test]
fn a_drift_that_heals_by_itself_is_recorded_without_an_earlier_repair() {
    let fixture = ReconcilerFixture::new(World::incident());
    fixture.apply();
    fixture.host.world(|world| world.by_hand(Hand::Stop));
    fixture.apply();
    fixture.host.world(|world| {
        world.by_hand(Hand::Stop);
        (world.starting_for, world.starts_it) = (3, true);
    });
    assert!(fixture.apply().reconciled);
    let incident = fixture.store.last_incident("backoffice").unwrap().unwrap();
    assert_eq!(incident.occurrences, 2, "it is opened again");
    let records = fixture.store.records(&RecordFilter::default()).unwrap();
    let ends = records.iter().filter(|record| record.kind == AuditKind::Reconciled.as_str());
    let changed: Vec<usize> = ends.map(|end| end.evidence["transitions"].as_array().unwrap().len()).collect();
    assert_eq!(changed, [1, 1, 0]);
}

#[test]
fn a_step_prevented_by_someone_else_is_recorded_and_costs_no_attempt() {
    let mut world = World::incident();
    world.busy_for = 7;
    let fixture = ReconcilerFixture::new(world);
    let applied = fixture.apply();
    fixture.assert_honest(&applied);
    assert!(applied.reconciled, "seven are more than the budget: {:?}", fixture.kinds());
    let records = fixture.store.records(&RecordFilter::default()).unwrap();
    let reported = records.iter().filter(|record| record.outcome.as_deref() == Some("NotBegun")).count();
    assert_eq!((reported, fixture.count(AuditKind::StepFinished)), (7, 9), "{:?}", fixture.kinds());
    let end = records.iter().find(|record| record.kind == AuditKind::Reconciled.as_str()).unwrap();
    assert_eq!(end.evidence["steps"], 2, "what did not begin mended nothing");
}

#[test]
fn killed_at_any_step_the_next_undrift_converges() {
    for number in 1..=2 {
        for kill in [Kill::Before(number), Kill::After(number)] {
            let fixture = ReconcilerFixture::new(World::incident());
            fixture.host.kill(Some(kill));
            assert!(fixture.apply_until_killed(), "{kill:?}");
            assert_eq!(fixture.count(AuditKind::StepInterrupted), 1, "{kill:?}");
            fixture.host.kill(None);
            let applied = fixture.apply();
            fixture.assert_honest(&applied);
            assert!(applied.reconciled, "{kill:?}: {:?}", fixture.kinds());
            let records = fixture.store.records(&RecordFilter::default()).unwrap();
            let end = records.iter().find(|record| record.kind == AuditKind::Reconciled.as_str()).unwrap();
            let completed = fixture.count(AuditKind::StepFinished);
            assert_eq!(end.evidence["steps"], completed, "{kill:?}: nobody knows what came of the other");
        }
    }
}

fn faults() -> impl Strategy<Value = Faults> {
    prop::array::uniform7(prop::bool::weighted(0.25)).prop_map(|bits| {
        let [build_fails, build_forgets, up_is_noop, new_crashes, route_lost, warms_up, engine_hiccups] =
            bits;
        Faults {
            build_fails,
            build_forgets,
            up_is_noop,
            new_crashes,
            warms_up,
            engine_hiccups,
            route_lost,
            ..Faults::default()
        }
    })
}

/// Changes to a host between two runs.
#[derive(Debug, Clone, Copy)]
enum WorldEvent {
    Hand(Hand),
    Heal,
    Fault(Faults),
    KillBefore,
    KillAfter,
}

fn event() -> impl Strategy<Value = WorldEvent> {
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
        7 => prop::sample::select(hands.to_vec()).prop_map(WorldEvent::Hand),
        1 => Just(WorldEvent::Heal),
        1 => faults().prop_map(WorldEvent::Fault),
        1 => Just(WorldEvent::KillBefore),
        1 => Just(WorldEvent::KillAfter),
    ]
}

fn happens(fixture: &mut ReconcilerFixture, event: WorldEvent) {
    let next = fixture.host.world(|world| world.log.len()) + 1;
    match event {
        WorldEvent::Hand(hand) => fixture.host.world(|world| world.by_hand(hand)),
        WorldEvent::Heal => fixture.host.world(|w| w.faults = Faults::default()),
        // A container that crashes from now on has crashed once when the next undrift observes.
        WorldEvent::Fault(faults) => fixture.host.world(|w| {
            w.faults = faults;
            let crashing = w.container.iter_mut().filter(|c| faults.new_crashes && c.image.id > 1);
            crashing.for_each(|c| c.crashes += 1);
        }),
        WorldEvent::KillBefore => fixture.host.kill(Some(Kill::Before(next))),
        WorldEvent::KillAfter => fixture.host.kill(Some(Kill::After(next))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever happens: undrift reports reconciled only if it is so, the trail stays intact, and the steps of one run stay
    /// within the budgets.
    #[test]
    fn reconciled_is_reported_only_where_it_is_so(events in prop::collection::vec(event(), 1..6)) {
        let mut fixture = ReconcilerFixture::new(World::incident());
        for event in events {
            happens(&mut fixture, event);
            let before = fixture.host.world(|world| world.log.len());
            if fixture.host.kills().is_some() {
                fixture.apply_until_killed();
                fixture.host.kill(None);
            }
            let applied = fixture.apply();
            prop_assert!(applied.error.is_none(), "{:?}", applied.error);
            let really = fixture.host.world(|world| world.is_as_declared());
            prop_assert!(!applied.reconciled || really, "it says reconciled and it is not");
            let whole = matches!(fixture.store.verify().unwrap(), Verification::Whole { .. });
            prop_assert!(whole, "the trail is not whole");
            prop_assert!(fixture.store.open_intents().unwrap().is_empty());
            let taken = fixture.host.world(|world| world.log.len()) - before;
            prop_assert!(taken <= 16, "{taken} steps in one run: {:?}", fixture.host.world(|w| w.log.clone()));
        }
    }
}

#[test]
fn what_is_down_behind_an_earlier_layer_and_stays_down_is_started_as_often_as_the_budget_allows() {
    let fixture = ReconcilerFixture::new(World::incident());
    fixture.host.world(|world| {
        world.faults = Faults { build_fails: true, up_is_noop: true, ..Faults::default() };
        world.by_hand(Hand::Stop);
    });
    fixture.apply();
    let starts = fixture.host.world(|world| world.log.iter().filter(|step| **step == Step::Start).count());
    let attempts = desired().object.spec.reconcile.attempts;
    assert_eq!(starts, usize::try_from(attempts).unwrap());
}

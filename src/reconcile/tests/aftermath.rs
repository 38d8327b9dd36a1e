//! What comes after a repair, or after undrift has given up: deaths, recoveries, and the same drift once more.

use super::*;

/// As declared, on image 1, and built by hand.
fn well() -> World {
    let mut world = World::new();
    world.by_hand(Hand::GainModule);
    world.take(Step::Build { no_cache: false }, None);
    world.take(Step::Up { force_recreate: false }, None);
    world.log.clear();
    world
}

/// Someone builds image 2 by hand, of another source.
fn build_by_hand(world: &mut World) {
    world.by_hand(Hand::Edit);
    world.take(Step::Build { no_cache: false }, None);
    world.log.clear();
}

fn steps(bench: &Bench) -> Vec<Step> {
    bench.host.world(|world| world.log.clone())
}

const UP: Step = Step::Up { force_recreate: false };

#[test]
fn a_rollback_after_which_all_is_as_declared_is_no_success() {
    let mut world = well();
    build_by_hand(&mut world);
    world.faults.new_crashes = true;
    let bench = Bench::new(world);
    let applied = bench.apply();
    assert_eq!(steps(&bench), [UP, Step::Rollback]);
    assert!(!applied.reconciled, "a rollback is a repair that failed");
    let incident = bench.store.last_incident("backoffice").unwrap().unwrap();
    assert_eq!(incident.outcome, Some(IncidentOutcome::Stalled));
    assert_eq!((bench.count(AuditKind::RolledBack), bench.count(AuditKind::Reconciled)), (1, 0));

    let again = bench.apply();
    assert!(again.reconciled, "what runs now is what is declared: {:?}", again.object.status.conditions);
    assert_eq!(steps(&bench).len(), 2);
}

#[test]
fn a_container_that_dies_after_its_proof_is_rolled_back_all_the_same() {
    let mut world = well();
    build_by_hand(&mut world);
    let bench = Bench::new(world);
    assert!(bench.apply().reconciled);
    bench.host.world(|world| {
        world.faults.new_crashes = true;
        world.container.iter_mut().for_each(|container| container.crashes += 1);
    });
    assert!(!bench.apply().reconciled);
    assert_eq!(steps(&bench), [UP, Step::Rollback]);
    assert_eq!(bench.host.world(|world| world.container.unwrap().image.id), 1);
    let outcomes: Vec<_> =
        bench.store.incidents(None).unwrap().into_iter().map(|incident| incident.outcome).collect();
    assert_eq!(outcomes, [Some(IncidentOutcome::Stalled), Some(IncidentOutcome::Reconciled)]);
}

#[test]
fn a_recovery_from_what_was_given_up_is_told_and_the_same_drift_is_that_incident_soon_and_another_one_later()
{
    let mut world = well();
    world.by_hand(Hand::LoseModule);
    let bench = Bench::new(world);
    assert!(!bench.apply().reconciled);
    assert!(!bench.apply().reconciled);
    assert_eq!(bench.count(AuditKind::DriftDetected), 1, "what lasts is told once");
    let given_up = bench.store.last_incident("backoffice").unwrap().unwrap();
    assert_eq!(given_up.outcome, Some(IncidentOutcome::Stalled));

    bench.host.world(|world| world.by_hand(Hand::GainModule));
    assert!(bench.apply().reconciled);
    assert!(bench.apply().reconciled);
    let records = bench.store.records(&RecordFilter::default()).unwrap();
    let recoveries: Vec<_> = records.iter().filter(|r| r.kind == AuditKind::Verified.as_str()).collect();
    assert_eq!(recoveries.len(), 1, "told once");
    assert_eq!(recoveries[0].incident.as_ref(), Some(&given_up.id));
    assert_eq!(recoveries[0].service.as_deref(), Some("api"), "the other service was fine all along");

    bench.host.world(|world| world.by_hand(Hand::LoseModule));
    assert!(!bench.apply().reconciled);
    let incidents = bench.store.incidents(None).unwrap();
    assert_eq!((incidents.len(), incidents[0].occurrences), (1, 2));
    assert_eq!((bench.count(AuditKind::DriftDetected), bench.count(AuditKind::Stalled)), (2, 2));

    bench.host.world(|world| world.by_hand(Hand::GainModule));
    assert!(bench.apply().reconciled);
    passes(&bench, 600);
    bench.host.world(|world| world.by_hand(Hand::LoseModule));
    assert!(!bench.apply().reconciled);
    let later = bench.store.last_incident("backoffice").unwrap().unwrap();
    assert_eq!((later.id == given_up.id, later.occurrences), (false, 1), "it was well for ten minutes");
}

/// Nothing happens for so many seconds.
fn passes(bench: &Bench, seconds: u64) {
    bench.run(|_| tokio::time::sleep(Duration::from_secs(seconds)));
}

/// The one incident that there is.
fn only(bench: &Bench) -> crate::api::Incident {
    let mut incidents = bench.store.incidents(None).unwrap();
    assert_eq!(incidents.len(), 1, "{:?}", bench.kinds());
    incidents.remove(0)
}

/// Turns as a daemon does, and somebody kills the container before each turn, until it was given up so many times.
fn killed_until_given_up(bench: &Bench, times: usize) {
    bench.run(|reconciler| async move {
        let (desired, mut session) = (desired(), Session::new((reconciler.clock)()));
        while bench.count(AuditKind::Stalled) < times {
            reconciler.host.world(|world| world.by_hand(Hand::Stop));
            let turn = reconciler.turn(&desired, &mut session).await.unwrap();
            match turn.action {
                Action::At(time) => reconciler.wait_until(time).await,
                Action::Stalled => reconciler.wait_until(turn.latest.unwrap()).await,
                _ => {}
            }
        }
    });
}

#[test]
fn what_is_killed_before_each_proof_is_one_incident_that_counts_each_start() {
    let bench = Bench::new(well());
    assert!(bench.apply().reconciled);
    killed_until_given_up(&bench, 3);
    let given_up = only(&bench);
    assert_eq!((given_up.occurrences, given_up.outcome), (3, Some(IncidentOutcome::Stalled)));
    let applied = bench.apply();
    bench.assert_honest(&applied);
    assert!(applied.reconciled, "nobody kills it any more: {:?}", bench.kinds());
    let ended = only(&bench);
    assert_eq!((ended.occurrences, ended.outcome), (4, Some(IncidentOutcome::Reconciled)));
    assert_eq!(ended.opened_at, given_up.opened_at);
    // Each time is told, with its drift and its end, and the tables agree with that.
    let told = (bench.count(AuditKind::DriftDetected), bench.count(AuditKind::Stalled));
    assert_eq!((told, bench.count(AuditKind::Reconciled)), ((4, 3), 1));
}

#[test]
fn a_new_undrift_goes_on_with_the_incident_that_the_last_one_gave_up() {
    let mut bench = Bench::new(well());
    assert!(bench.apply().reconciled);
    killed_until_given_up(&bench, 1);
    bench.restart();
    passes(&bench, 3600);
    killed_until_given_up(&bench, 2);
    assert_eq!(only(&bench).occurrences, 2);
}

#[test]
fn a_build_that_fails_for_each_source_anew_is_one_incident_however_long_each_waits() {
    let mut world = well();
    world.by_hand(Hand::LoseModule);
    world.take(Step::Build { no_cache: false }, None);
    world.take(UP, None);
    world.log.clear();
    world.by_hand(Hand::GainModule);
    world.by_hand(Hand::Break);
    let bench = Bench::new(world);
    let once = desired_with(&json!({
        "verify": { "timeout": "10s", "stableFor": "1s" },
        "backoff": { "initial": "10s", "max": "10m" },
        "attempts": 1,
    }));
    let began = bench.host.clock.now();
    for edits in 1..=4 {
        assert!(!bench.apply_as(&once).reconciled);
        let incident = only(&bench);
        assert_eq!((incident.occurrences, incident.outcome), (edits, Some(IncidentOutcome::Stalled)));
        bench.host.world(|world| world.by_hand(Hand::Edit));
    }
    let took = bench.host.clock.now() - began;
    assert!(took > chrono::TimeDelta::minutes(25), "each source waits twice as long as the last one: {took}");
    bench.host.world(|world| world.by_hand(Hand::Mend));
    assert!(bench.apply_as(&once).reconciled);
    assert_eq!(only(&bench).outcome, Some(IncidentOutcome::Reconciled));
}

#[test]
fn a_route_that_goes_away_each_minute_is_one_incident() {
    let bench = Bench::new(well());
    assert!(bench.apply().reconciled);
    for times in 1..=4 {
        bench.host.world(|world| world.faults.route_lost = true);
        assert!(!bench.apply().reconciled);
        assert_eq!(only(&bench).occurrences, times);
        assert_eq!(bench.count(AuditKind::Stalled), usize::try_from(times).unwrap());
        bench.host.world(|world| world.faults.route_lost = false);
        assert!(bench.apply().reconciled);
        passes(&bench, 60);
    }
}

#[test]
fn what_a_repair_finds_is_its_before_however_long_ago_the_incident_opened() {
    let bench = Bench::new(World::incident());
    let observe = desired_with(&json!({ "mode": "observe" }));
    bench.apply_as(&observe);
    let before = |bench: &Bench| {
        let incident = bench.store.last_incident("backoffice").unwrap().unwrap();
        incident.before["services"][0]["containers"][0]["id"].as_str().unwrap().to_owned()
    };
    let first = before(&bench);
    bench.host.world(|world| {
        world.by_hand(Hand::Remove);
        world.take(UP, None);
    });
    assert_eq!(before(&bench), first);
    assert!(bench.apply().reconciled);
    assert_eq!(bench.store.incidents(None).unwrap().len(), 1);
    assert_ne!(before(&bench), first, "nobody remembers that container");
    let transition =
        bench.store.object("backoffice").unwrap().unwrap().status.services[0].routes[0].transition;
    assert_eq!(transition.map(|t| (t.before, t.after)), Some((Some(404), Some(401))));
}

/// A service outside of what the fake host can mend: it runs, or it does not.
fn dashboard_runs(bench: &Bench, runs: bool) {
    bench.host.world(|world| world.dashboard_exit = (!runs).then_some(143));
}

#[test]
fn a_drift_that_comes_back_after_its_proof_is_told_again_in_an_incident_that_stays_open() {
    let bench = Bench::new(World::incident());
    let observe = &desired_with(&json!({ "mode": "observe", "verify": { "stableFor": "1s" } }));
    let look = || bench.apply_as(observe);
    look();
    for _ in 0..2 {
        dashboard_runs(&bench, false);
        look();
        look();
        dashboard_runs(&bench, true);
        look();
        look();
    }
    let records = bench.store.records(&RecordFilter::default()).unwrap();
    let of_dashboard = records.iter().filter(|record| record.service.as_deref() == Some("dashboard"));
    let told: Vec<&str> = of_dashboard.map(|record| record.kind.as_str()).collect();
    assert_eq!(told, ["DriftDetected", "Verified", "DriftDetected", "Verified"]);
    assert_eq!(bench.store.incidents(None).unwrap().len(), 1, "api drifts all the while");
    let of_api = records.iter().filter(|record| record.service.as_deref() == Some("api")).count();
    assert_eq!(of_api, 1, "and is told once");
}

#[test]
fn what_was_given_up_stays_given_up_across_an_outage_and_a_new_undrift() {
    let mut world = well();
    world.by_hand(Hand::LoseModule);
    let bench = Bench::new(world);
    assert!(!bench.apply().reconciled);
    assert_eq!(bench.count(AuditKind::Stalled), 1);
    let (told, incidents) = (bench.kinds(), bench.store.incidents(None).unwrap());
    bench.host.world(|world| world.engine_away = true);
    assert!(bench.apply().error.is_some());
    bench.host.world(|world| world.engine_away = false);
    let back = bench.apply();
    bench.assert_honest(&back);
    assert!(back.object.status.services[1].containers.len() == 1, "its neighbour is seen again");
    assert_eq!(bench.kinds(), told);
    assert_eq!(bench.store.incidents(None).unwrap(), incidents);

    bench.host.world(|world| world.by_hand(Hand::GainModule));
    assert!(bench.apply().reconciled);
    let last = bench.store.records(&RecordFilter::default()).unwrap().pop().unwrap();
    assert_eq!((last.kind.as_str(), last.service.as_deref()), ("Verified", Some("api")));
    assert_eq!(last.incident.as_ref(), Some(&incidents[0].id));
}

#[test]
fn an_image_that_someone_builds_after_the_proof_is_told_although_undrift_built_in_that_incident() {
    let bench = Bench::new(World::incident());
    dashboard_runs(&bench, false);
    let is_proven = || bench.count(AuditKind::Verified) > 0;
    bench.run(|reconciler| async move {
        let (desired, mut session) = (desired(), Session::new((reconciler.clock)()));
        while !is_proven() {
            if let Action::At(time) = reconciler.turn(&desired, &mut session).await.unwrap().action {
                reconciler.wait_until(time).await;
            }
        }
    });
    bench.host.world(build_by_hand);
    let observe = &desired_with(&json!({ "mode": "observe" }));
    bench.apply_as(observe);
    let records = bench.store.records(&RecordFilter::default()).unwrap();
    let drifts = records.iter().filter(|record| record.kind == AuditKind::DriftDetected.as_str());
    let of_api = drifts.filter(|record| record.service.as_deref() == Some("api"));
    let told: Vec<_> = of_api.map(|record| record.evidence["reason"].as_str().unwrap()).collect();
    assert_eq!(told, ["ModuleMissing", "ImageOutdated"], "{:?}", bench.kinds());
    assert_eq!(bench.store.incidents(None).unwrap().len(), 1);
}

#[test]
fn a_moment_of_drift_while_another_service_is_proven_is_told_to_its_end() {
    let bench = Bench::new(well());
    let observe = &desired_with(&json!({ "mode": "observe", "verify": { "stableFor": "1s" } }));
    assert!(bench.apply().reconciled);
    bench.host.world(|world| world.take(Step::Restart, None));
    bench.run(|reconciler| async move {
        let flap = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            reconciler.host.world(|world| world.dashboard_exit = Some(143));
            tokio::time::sleep(Duration::from_millis(300)).await;
            reconciler.host.world(|world| world.dashboard_exit = None);
        };
        tokio::join!(reconciler.apply(observe), flap).0
    });
    let records = bench.store.records(&RecordFilter::default()).unwrap().into_iter();
    let of_dashboard = records.filter(|record| record.service.as_deref() == Some("dashboard"));
    let told: Vec<String> = of_dashboard.map(|record| record.kind).collect();
    assert_eq!(told, ["DriftDetected", "Verified"], "{:?}", bench.kinds());
}

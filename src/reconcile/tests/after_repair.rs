//! After a repair, or after undrift has given up: deaths, recoveries, and the same drift again.

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

fn steps(fixture: &ReconcilerFixture) -> Vec<Step> {
    fixture.host.world(|world| world.log.clone())
}

const UP: Step = Step::Up { force_recreate: false };

#[test]
fn a_rollback_after_which_all_is_as_declared_is_no_success() {
    let mut world = well();
    build_by_hand(&mut world);
    world.faults.new_crashes = true;
    let fixture = ReconcilerFixture::new(world);
    let applied = fixture.apply();
    assert_eq!(steps(&fixture), [UP, Step::Rollback]);
    assert!(!applied.reconciled, "a rollback is a repair that failed");
    let incident = fixture.store.last_incident("backoffice").unwrap().unwrap();
    assert_eq!(incident.outcome, Some(IncidentOutcome::Stalled));
    assert_eq!((fixture.count(AuditKind::RolledBack), fixture.count(AuditKind::Reconciled)), (1, 0));

    let again = fixture.apply();
    assert!(again.reconciled, "what runs now is what is declared: {:?}", again.object.status.conditions);
    assert_eq!(steps(&fixture).len(), 2);
}

#[test]
fn a_container_that_dies_after_its_verification_is_rolled_back_all_the_same() {
    let mut world = well();
    build_by_hand(&mut world);
    let fixture = ReconcilerFixture::new(world);
    assert!(fixture.apply().reconciled);
    fixture.host.world(|world| {
        world.faults.new_crashes = true;
        world.container.iter_mut().for_each(|container| container.crashes += 1);
    });
    assert!(!fixture.apply().reconciled);
    assert_eq!(steps(&fixture), [UP, Step::Rollback]);
    assert_eq!(fixture.host.world(|world| world.container.unwrap().image.id), 1);
    let outcomes: Vec<_> =
        fixture.store.incidents(None).unwrap().into_iter().map(|incident| incident.outcome).collect();
    assert_eq!(outcomes, [Some(IncidentOutcome::Stalled), Some(IncidentOutcome::Reconciled)]);
}

#[test]
fn a_recovery_is_recorded_and_the_drift_reopens_its_incident_only_soon_after() {
    let mut world = well();
    world.by_hand(Hand::LoseModule);
    let fixture = ReconcilerFixture::new(world);
    assert!(!fixture.apply().reconciled);
    assert!(!fixture.apply().reconciled);
    assert_eq!(fixture.count(AuditKind::DriftDetected), 1, "what lasts is told once");
    let given_up = fixture.store.last_incident("backoffice").unwrap().unwrap();
    assert_eq!(given_up.outcome, Some(IncidentOutcome::Stalled));

    fixture.host.world(|world| world.by_hand(Hand::GainModule));
    assert!(fixture.apply().reconciled);
    assert!(fixture.apply().reconciled);
    let records = fixture.store.records(&RecordFilter::default()).unwrap();
    let recoveries: Vec<_> = records.iter().filter(|r| r.kind == AuditKind::Verified.as_str()).collect();
    assert_eq!(recoveries.len(), 1, "told once");
    assert_eq!(recoveries[0].incident.as_ref(), Some(&given_up.id));
    assert_eq!(recoveries[0].service.as_deref(), Some("api"), "the other service was fine all along");

    fixture.host.world(|world| world.by_hand(Hand::LoseModule));
    assert!(!fixture.apply().reconciled);
    let incidents = fixture.store.incidents(None).unwrap();
    assert_eq!((incidents.len(), incidents[0].occurrences), (1, 2));
    assert_eq!((fixture.count(AuditKind::DriftDetected), fixture.count(AuditKind::Stalled)), (2, 2));

    fixture.host.world(|world| world.by_hand(Hand::GainModule));
    assert!(fixture.apply().reconciled);
    passes(&fixture, 600);
    fixture.host.world(|world| world.by_hand(Hand::LoseModule));
    assert!(!fixture.apply().reconciled);
    let later = fixture.store.last_incident("backoffice").unwrap().unwrap();
    assert_eq!((later.id == given_up.id, later.occurrences), (false, 1), "it was well for ten minutes");
}

/// Nothing happens for so many seconds.
fn passes(fixture: &ReconcilerFixture, seconds: u64) {
    fixture.run(|_| tokio::time::sleep(Duration::from_secs(seconds)));
}

/// The only incident.
fn only(fixture: &ReconcilerFixture) -> crate::api::Incident {
    let mut incidents = fixture.store.incidents(None).unwrap();
    assert_eq!(incidents.len(), 1, "{:?}", fixture.kinds());
    incidents.remove(0)
}

/// Reconciles as a daemon does, and somebody kills the container before each reconcile, until it was given up so many times.
fn killed_until_given_up(fixture: &ReconcilerFixture, times: usize) {
    fixture.run(|reconciler| async move {
        let (desired, mut session) = (desired(), Session::new((reconciler.clock)()));
        while fixture.count(AuditKind::Stalled) < times {
            reconciler.host.world(|world| world.by_hand(Hand::Stop));
            let outcome = reconciler.reconcile_once(&desired, &mut session).await.unwrap();
            match outcome.action {
                Action::At(time) => reconciler.wait_until(time).await,
                Action::Stalled => reconciler.wait_until(outcome.latest.unwrap()).await,
                _ => {}
            }
        }
    });
}

#[test]
fn what_is_killed_before_each_verification_is_one_incident_that_counts_each_start() {
    let fixture = ReconcilerFixture::new(well());
    assert!(fixture.apply().reconciled);
    killed_until_given_up(&fixture, 3);
    let given_up = only(&fixture);
    assert_eq!((given_up.occurrences, given_up.outcome), (3, Some(IncidentOutcome::Stalled)));
    let applied = fixture.apply();
    fixture.assert_honest(&applied);
    assert!(applied.reconciled, "nobody kills it any more: {:?}", fixture.kinds());
    let ended = only(&fixture);
    assert_eq!((ended.occurrences, ended.outcome), (4, Some(IncidentOutcome::Reconciled)));
    assert_eq!(ended.opened_at, given_up.opened_at);
    // Each occurrence is reported, with its drift and its end, and the tables agree with that.
    let reported = (fixture.count(AuditKind::DriftDetected), fixture.count(AuditKind::Stalled));
    assert_eq!((reported, fixture.count(AuditKind::Reconciled)), ((4, 3), 1));
}

#[test]
fn a_new_undrift_goes_on_with_the_incident_that_the_last_one_gave_up() {
    let mut fixture = ReconcilerFixture::new(well());
    assert!(fixture.apply().reconciled);
    killed_until_given_up(&fixture, 1);
    fixture.restart();
    passes(&fixture, 3600);
    killed_until_given_up(&fixture, 2);
    assert_eq!(only(&fixture).occurrences, 2);
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
    let fixture = ReconcilerFixture::new(world);
    let once = desired_with(&json!({
        "verify": { "timeout": "10s", "stableFor": "1s" },
        "backoff": { "initial": "10s", "max": "10m" },
        "attempts": 1,
    }));
    let began = fixture.host.clock.now();
    for edits in 1..=4 {
        assert!(!fixture.apply_as(&once).reconciled);
        let incident = only(&fixture);
        assert_eq!((incident.occurrences, incident.outcome), (edits, Some(IncidentOutcome::Stalled)));
        fixture.host.world(|world| world.by_hand(Hand::Edit));
    }
    let took = fixture.host.clock.now() - began;
    assert!(took > chrono::TimeDelta::minutes(25), "each source waits twice as long as the last one: {took}");
    fixture.host.world(|world| world.by_hand(Hand::Fix));
    assert!(fixture.apply_as(&once).reconciled);
    assert_eq!(only(&fixture).outcome, Some(IncidentOutcome::Reconciled));
}

#[test]
fn a_route_that_goes_away_each_minute_is_one_incident() {
    let fixture = ReconcilerFixture::new(well());
    assert!(fixture.apply().reconciled);
    for times in 1..=4 {
        fixture.host.world(|world| world.faults.route_lost = true);
        assert!(!fixture.apply().reconciled);
        assert_eq!(only(&fixture).occurrences, times);
        assert_eq!(fixture.count(AuditKind::Stalled), usize::try_from(times).unwrap());
        fixture.host.world(|world| world.faults.route_lost = false);
        assert!(fixture.apply().reconciled);
        passes(&fixture, 60);
    }
}

#[test]
fn what_a_repair_finds_is_its_before_however_long_ago_the_incident_opened() {
    let fixture = ReconcilerFixture::new(World::incident());
    let observe = desired_with(&json!({ "mode": "observe" }));
    fixture.apply_as(&observe);
    let before = |fixture: &ReconcilerFixture| {
        let incident = fixture.store.last_incident("backoffice").unwrap().unwrap();
        incident.before["services"][0]["containers"][0]["id"].as_str().unwrap().to_owned()
    };
    let first = before(&fixture);
    fixture.host.world(|world| {
        world.by_hand(Hand::Remove);
        world.take(UP, None);
    });
    assert_eq!(before(&fixture), first);
    assert!(fixture.apply().reconciled);
    assert_eq!(fixture.store.incidents(None).unwrap().len(), 1);
    assert_ne!(before(&fixture), first, "nobody remembers that container");
    let transition =
        fixture.store.object("backoffice").unwrap().unwrap().status.services[0].routes[0].transition;
    assert_eq!(transition.map(|t| (t.before, t.after)), Some((Some(404), Some(401))));
}

/// A service that the fake host cannot repair: it runs, or it does not.
fn dashboard_runs(fixture: &ReconcilerFixture, runs: bool) {
    fixture.host.world(|world| world.dashboard_exit = (!runs).then_some(143));
}

#[test]
fn a_drift_that_returns_after_verification_is_recorded_again_while_open() {
    let fixture = ReconcilerFixture::new(World::incident());
    let observe = &desired_with(&json!({ "mode": "observe", "verify": { "stableFor": "1s" } }));
    let look = || fixture.apply_as(observe);
    look();
    for _ in 0..2 {
        dashboard_runs(&fixture, false);
        look();
        look();
        dashboard_runs(&fixture, true);
        look();
        look();
    }
    let records = fixture.store.records(&RecordFilter::default()).unwrap();
    let of_dashboard = records.iter().filter(|record| record.service.as_deref() == Some("dashboard"));
    let reported: Vec<&str> = of_dashboard.map(|record| record.kind.as_str()).collect();
    assert_eq!(reported, ["DriftDetected", "Verified", "DriftDetected", "Verified"]);
    assert_eq!(fixture.store.incidents(None).unwrap().len(), 1, "api drifts all the while");
    let of_api = records.iter().filter(|record| record.service.as_deref() == Some("api")).count();
    assert_eq!(of_api, 1, "and is told once");
}

#[test]
fn what_was_given_up_stays_given_up_across_an_outage_and_a_new_undrift() {
    let mut world = well();
    world.by_hand(Hand::LoseModule);
    let fixture = ReconcilerFixture::new(world);
    assert!(!fixture.apply().reconciled);
    assert_eq!(fixture.count(AuditKind::Stalled), 1);
    let (reported, incidents) = (fixture.kinds(), fixture.store.incidents(None).unwrap());
    fixture.host.world(|world| world.engine_away = true);
    assert!(fixture.apply().error.is_some());
    fixture.host.world(|world| world.engine_away = false);
    let back = fixture.apply();
    fixture.assert_honest(&back);
    assert!(back.object.status.services[1].containers.len() == 1, "its neighbour is seen again");
    assert_eq!(fixture.kinds(), reported);
    assert_eq!(fixture.store.incidents(None).unwrap(), incidents);

    fixture.host.world(|world| world.by_hand(Hand::GainModule));
    assert!(fixture.apply().reconciled);
    let last = fixture.store.records(&RecordFilter::default()).unwrap().pop().unwrap();
    assert_eq!((last.kind.as_str(), last.service.as_deref()), ("Verified", Some("api")));
    assert_eq!(last.incident.as_ref(), Some(&incidents[0].id));
}

#[test]
fn an_image_built_by_hand_after_the_verification_is_recorded_as_drift() {
    let fixture = ReconcilerFixture::new(World::incident());
    dashboard_runs(&fixture, false);
    let is_verified = || fixture.count(AuditKind::Verified) > 0;
    fixture.run(|reconciler| async move {
        let (desired, mut session) = (desired(), Session::new((reconciler.clock)()));
        while !is_verified() {
            if let Action::At(time) = reconciler.reconcile_once(&desired, &mut session).await.unwrap().action
            {
                reconciler.wait_until(time).await;
            }
        }
    });
    fixture.host.world(build_by_hand);
    let observe = &desired_with(&json!({ "mode": "observe" }));
    fixture.apply_as(observe);
    let records = fixture.store.records(&RecordFilter::default()).unwrap();
    let drifts = records.iter().filter(|record| record.kind == AuditKind::DriftDetected.as_str());
    let of_api = drifts.filter(|record| record.service.as_deref() == Some("api"));
    let reported: Vec<_> = of_api.map(|record| record.evidence["reason"].as_str().unwrap()).collect();
    assert_eq!(reported, ["ModuleMissing", "ImageOutdated"], "{:?}", fixture.kinds());
    assert_eq!(fixture.store.incidents(None).unwrap().len(), 1);
}

#[test]
fn a_short_drift_while_another_service_is_verified_is_recorded_with_its_end() {
    let fixture = ReconcilerFixture::new(well());
    let observe = &desired_with(&json!({ "mode": "observe", "verify": { "stableFor": "1s" } }));
    assert!(fixture.apply().reconciled);
    fixture.host.world(|world| world.take(Step::Restart, None));
    fixture.run(|reconciler| async move {
        let flap = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            reconciler.host.world(|world| world.dashboard_exit = Some(143));
            tokio::time::sleep(Duration::from_millis(300)).await;
            reconciler.host.world(|world| world.dashboard_exit = None);
        };
        tokio::join!(reconciler.apply(observe), flap).0
    });
    let records = fixture.store.records(&RecordFilter::default()).unwrap().into_iter();
    let of_dashboard = records.filter(|record| record.service.as_deref() == Some("dashboard"));
    let reported: Vec<String> = of_dashboard.map(|record| record.kind).collect();
    assert_eq!(reported, ["DriftDetected", "Verified"], "{:?}", fixture.kinds());
}

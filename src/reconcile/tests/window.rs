//! The stability window: which services it verifies, and what it does not hold up.

use super::*;

#[test]
fn a_server_that_warms_up_is_waited_for_and_not_repaired_again() {
    let mut world = World::incident();
    world.faults.warms_up = true;
    let fixture = ReconcilerFixture::new(world);
    let applied = fixture.apply();
    fixture.assert_honest(&applied);
    assert!(applied.reconciled, "{:?}", fixture.kinds());
    assert_eq!(
        fixture.host.world(|world| world.log.len()),
        2,
        "{:?}",
        fixture.host.world(|world| world.log.clone())
    );
    let transition = applied.object.status.services[0].routes[0].transition.unwrap();
    assert_eq!((transition.before, transition.after), (Some(404), Some(401)));
    let rows = fixture.store.attempts("backoffice").unwrap();
    assert!(rows.iter().all(|row| row.healed), "no repair of it was in vain: {rows:?}");
}

#[test]
fn a_service_that_is_there_later_is_verified_along_with_the_others() {
    let mut world = World::incident();
    world.faults.warms_up = true;
    let fixture = ReconcilerFixture::new(world);
    assert!(fixture.apply().reconciled);
    let records = fixture.store.records(&RecordFilter::default()).unwrap();
    let last = |kind: AuditKind| records.iter().rfind(|record| record.kind == kind.as_str()).unwrap();
    let time = |kind| chrono::DateTime::parse_from_rfc3339(&last(kind).time).unwrap();
    let taken = time(AuditKind::Reconciled) - time(AuditKind::StepFinished);
    let held = last(AuditKind::Verified).evidence["heldMs"].as_u64().unwrap();
    assert!(held >= 1000, "each has its whole window: {held}");
    assert!(taken.num_milliseconds() < 2000, "the windows overlap: {taken}");
}

#[test]
fn a_step_that_is_due_for_another_service_does_not_wait_for_a_long_window() {
    let mut world = World::incident();
    world.faults.build_fails = true;
    let fixture = ReconcilerFixture::new(world);
    let mut desired = desired();
    desired.object.spec.reconcile.verify.stable_for = "10m".parse().unwrap();
    let applied = fixture.apply_as(&desired);
    assert!(!applied.reconciled);
    let records = fixture.store.records(&RecordFilter::default()).unwrap();
    let time = |record: &crate::api::AuditRecord| chrono::DateTime::parse_from_rfc3339(&record.time).unwrap();
    let of = |kind: AuditKind| records.iter().filter(move |record| record.kind == kind.as_str()).map(time);
    let waited: Vec<_> = of(AuditKind::StepIntended)
        .skip(1)
        .zip(of(AuditKind::StepFinished))
        .map(|(next, ended)| (next - ended).num_seconds())
        .collect();
    assert_eq!(waited.len(), 2, "{records:?}");
    assert!(waited.iter().all(|seconds| *seconds < 40), "a backoff, and one look at most: {waited:?}");
}

#[test]
fn who_joins_a_long_window_is_verified_although_its_own_goes_on_past_the_time_limit() {
    let mut world = World::incident();
    world.faults.warms_up = true;
    let fixture = ReconcilerFixture::new(world);
    let mut desired = desired();
    desired.object.spec.reconcile.verify.stable_for = "10m".parse().unwrap();
    desired.object.spec.reconcile.verify.timeout = "2m".parse().unwrap();
    let applied = fixture.apply_as(&desired);
    fixture.assert_honest(&applied);
    assert!(applied.reconciled, "{:?}", fixture.kinds());
}

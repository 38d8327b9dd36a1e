//! The loop's requeue after a reconcile, on a host in memory and in paused time.

use std::fs;

use super::*;
use crate::{
    daemon::testing::{DaemonFixture, healthy},
    store::RecordFilter,
    testing::fake::World,
    testing::fixtures,
};

const SECOND: Duration = Duration::from_secs(1);

mod failing_host;
mod registration;

/// A jittered wait.
#[track_caller]
fn assert_about(wait: Duration, expected: Duration) {
    assert!(wait >= expected / 10 * 9 && wait <= expected / 10 * 11, "{wait:?} is not about {expected:?}");
}

#[tokio::test(start_paused = true)]
async fn the_wait_after_failures_grows_to_a_limit_and_a_success_ends_them() {
    let fixture = DaemonFixture::new(healthy());
    for _ in 0..2 {
        fixture.is_away(true);
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            assert_about(fixture.wait_after_reconcile().await, seconds * SECOND);
        }
        fixture.is_away(false);
        assert_about(fixture.wait_at_rest().await, 300 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn who_follows_learns_of_each_status_that_was_recorded() {
    let fixture = DaemonFixture::new(healthy());
    fixture.wait_at_rest().await;
    let mut feed = fixture.shared.feed.subscribe();
    // All is as it was: nothing else is reported.
    fixture.wait_after_reconcile().await;
    let reported = feed.try_recv().unwrap();
    assert_eq!((reported.object.as_str(), &reported.event), ("backoffice", &Event::Observed));
}

#[tokio::test(start_paused = true)]
async fn the_wait_after_failures_is_at_most_the_interval() {
    let fixture = DaemonFixture::new(healthy());
    let often = fixtures::desired_with(&serde_json::json!({ "interval": "3s" })).object;
    let manifest = fixture.dir.path().join("manifests/backoffice.yaml");
    fs::write(manifest, serde_json::to_string(&often).unwrap()).unwrap();
    fixture.shared.reload().await;
    fixture.is_away(true);
    for seconds in [1, 2, 3, 3] {
        assert_about(fixture.wait_after_reconcile().await, seconds * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_there_was_no_room_for_is_written_at_the_end_at_the_latest() {
    let fixture = DaemonFixture::new(World::incident());
    let disk = rusqlite::Connection::open(fixture.dir.path().join("state.db")).unwrap();
    let full = "CREATE TRIGGER full BEFORE INSERT ON trail WHEN NEW.kind = 'StepFinished'
                BEGIN SELECT RAISE(FAIL, 'the disk is full'); END";
    disk.execute_batch(full).unwrap();
    assert_about(fixture.wait_after_reconcile().await, SECOND);
    disk.execute_batch("DROP TRIGGER full").unwrap();
    fixture.shared.record_end(&End::Signal("SIGTERM")).unwrap();
    let records = fixture.shared.store.records(&RecordFilter::default()).unwrap();
    let last: Vec<&str> = records.iter().rev().take(3).map(|record| record.kind.as_str()).collect();
    assert_eq!(last, ["Stopped", "StepFinished", "StepIntended"]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_build_is_named_once_it_may_begin() {
    let fixture = DaemonFixture::new(World::incident());
    let building = fixture.shared.builds.try_acquire().unwrap();
    assert_eq!(fixture.wait_after_reconcile().await, SLOT_POLL);
    assert!(fixture.shared.host.world(|world| world.log.is_empty()), "it does not build yet");
    let mut keys = Box::pin(fixture.shared.queue.stream());
    let mut named =
        || futures_util::FutureExt::now_or_never(futures_util::StreamExt::next(&mut keys)).flatten();
    // Another object's reconcile that ends while the slot is taken unblocks none.
    fixture.reconcile("other").await;
    assert_eq!(named(), None);
    drop(building);
    fixture.reconcile("other").await;
    assert_eq!(named().as_deref(), Some("backoffice"));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_step_on_its_project_is_named_once_that_has_ended_and_not_before() {
    let fixture = DaemonFixture::new(World::incident());
    let project = "backoffice";
    let step = fixture.shared.active_projects.claim(project).unwrap();
    for _ in 0..3 {
        assert_eq!(fixture.wait_after_reconcile().await, SLOT_POLL);
    }
    assert!(fixture.shared.host.world(|world| world.log.is_empty()), "no step beside another's");
    let named =
        || fixture.shared.sessions.unblocked(|blocked_on| *blocked_on == BlockedOn::Project(project.into()));
    let mut keys = Box::pin(fixture.shared.queue.stream());
    let mut next =
        || futures_util::FutureExt::now_or_never(futures_util::StreamExt::next(&mut keys)).flatten();
    // Another object's reconcile that ends while the step is running unblocks none.
    fixture.reconcile("other").await;
    assert_eq!(next(), None);
    drop(step);
    fixture.reconcile("other").await;
    assert_eq!(next().as_deref(), Some("backoffice"));
    assert!(!named().contains(&"backoffice".to_owned()), "once");
}

#[tokio::test(start_paused = true)]
async fn a_backoff_of_hours_keeps_nobody_from_being_looked_at_at_the_resync() {
    let fixture = DaemonFixture::new(World::incident());
    let slow = fixtures::desired_with(&serde_json::json!({
        "interval": "1m", "backoff": { "initial": "2h", "max": "2h" }
    }));
    let manifest = fixture.dir.path().join("manifests/backoffice.yaml");
    fs::write(manifest, serde_json::to_string(&slow.object).unwrap()).unwrap();
    fixture.shared.reload().await;
    fixture.shared.host.world(|world| world.faults.build_fails = true);
    let wait = fixture.wait_at_rest().await;
    assert_eq!(fixture.shared.host.world(|world| world.log.len()), 1, "it is in the backoff after its step");
    assert_about(wait, 60 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_declared_any_more_is_never_looked_at_again() {
    let fixture = DaemonFixture::new(healthy());
    fixture.reconcile("backoffice").await;
    fs::remove_file(fixture.dir.path().join("manifests/backoffice.yaml")).unwrap();
    fixture.shared.reload().await;
    let looks = || fixture.shared.host.world(|world| world.container.unwrap().looks);
    let before = looks();
    assert_eq!(fixture.reconcile("backoffice").await, Requeue::Never);
    assert_eq!(fixture.reconcile("never-declared").await, Requeue::Never);
    assert_eq!(looks(), before);
}

#[tokio::test(start_paused = true)]
async fn who_is_suspended_is_looked_at_when_that_ends() {
    let fixture = DaemonFixture::new(World::incident());
    let until = crate::reconcile::now() + chrono::TimeDelta::seconds(60);
    fixture.shared.store.suspend("backoffice", Some(until), "a test").unwrap();
    let wait = fixture.wait_at_rest().await;
    assert!(wait <= 60 * SECOND && wait > 40 * SECOND, "{wait:?}");
    fixture.shared.store.suspend("backoffice", None, "a test").unwrap();
    assert_about(fixture.wait_at_rest().await, 300 * SECOND);
    assert!(fixture.shared.host.world(|world| world.log.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn once_undrift_is_to_end_nothing_is_looked_at() {
    let fixture = DaemonFixture::new(World::incident());
    fixture.shared.stop.cancel();
    assert_eq!(fixture.reconcile("backoffice").await, Requeue::Never);
    assert_eq!(fixture.shared.host.world(|world| world.container.unwrap().looks), 0);
}

#[tokio::test(start_paused = true)]
async fn at_the_end_no_status_is_reconciling() {
    let fixture = DaemonFixture::new(World::incident());
    // Ended in the middle of a repair: the last record is the state before the step.
    assert_eq!(fixture.reconcile("backoffice").await, Requeue::Now);
    let reconciling = || {
        let object = fixture.shared.store.object("backoffice").unwrap().unwrap();
        let mut conditions = object.status.conditions.into_iter();
        conditions.find(|condition| condition.kind == ConditionType::Reconciling).unwrap().status
    };
    assert_eq!(reconciling(), ConditionStatus::True);
    fixture.shared.nobody_is_at_work().unwrap();
    assert_eq!(reconciling(), ConditionStatus::False);
}

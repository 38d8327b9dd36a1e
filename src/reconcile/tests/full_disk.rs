//! Failed writes: no step without its intent, and no outcome is lost.

use super::*;

/// A disk that takes everything but this.
struct FullDisk(rusqlite::Connection);

fn full_for(fixture: &ReconcilerFixture, what: &str) -> FullDisk {
    let other = rusqlite::Connection::open(fixture.dir.path().join("state.db")).unwrap();
    let full = format!("CREATE TRIGGER full BEFORE {what} BEGIN SELECT RAISE(FAIL, 'the disk is full'); END");
    other.execute_batch(&full).unwrap();
    FullDisk(other)
}

impl FullDisk {
    fn make_room(&self) {
        self.0.execute_batch("DROP TRIGGER full").unwrap();
    }
}

const OUTCOMES: &str = "INSERT ON trail WHEN NEW.kind = 'StepFinished'";

fn steps(fixture: &ReconcilerFixture) -> Vec<crate::api::AuditRecord> {
    let records = fixture.store.records(&RecordFilter::default()).unwrap().into_iter();
    records.filter(|record| record.kind.starts_with("Step")).collect()
}

fn kinds(steps: &[crate::api::AuditRecord]) -> Vec<&str> {
    steps.iter().map(|step| step.kind.as_str()).collect()
}

#[test]
fn without_an_intent_on_disk_there_is_no_step() {
    let fixture = ReconcilerFixture::new(World::incident());
    let _disk = full_for(&fixture, "INSERT ON trail WHEN NEW.kind = 'StepIntended'");
    let applied = fixture.apply();
    assert!(matches!(applied.error, Some(ReconcileError::Store(_))), "{:?}", applied.error);
    assert!(fixture.host.world(|world| world.log.is_empty()));
}

#[test]
fn an_outcome_that_could_not_be_written_is_written_before_anything_else_is_done() {
    let fixture = ReconcilerFixture::new(World::incident());
    let disk = full_for(&fixture, OUTCOMES);
    let applied = fixture.apply();
    assert!(matches!(applied.error, Some(ReconcileError::Store(_))), "{:?}", applied.error);
    assert_eq!(fixture.host.world(|world| world.log.len()), 1, "and nothing else is done before it is");
    assert!(fixture.apply().error.is_some());
    assert_eq!(fixture.host.world(|world| world.log.len()), 1);
    disk.make_room();
    let applied = fixture.apply();
    fixture.assert_honest(&applied);
    assert!(applied.reconciled);
    let taken = fixture.host.world(|world| world.log.clone());
    assert_eq!(taken, [Step::Build { no_cache: false }, Step::Up { force_recreate: false }]);
    assert_eq!(kinds(&steps(&fixture)), ["StepIntended", "StepFinished", "StepIntended", "StepFinished"]);
}

#[test]
fn a_build_that_fills_the_disk_has_failed_and_the_next_one_waits() {
    let mut world = World::incident();
    world.faults.build_fails = true;
    let fixture = ReconcilerFixture::new(world);
    let disk = full_for(&fixture, OUTCOMES);
    assert!(fixture.apply().error.is_some());
    disk.make_room();
    let applied = fixture.apply();
    fixture.assert_honest(&applied);
    let steps = steps(&fixture);
    assert_eq!(kinds(&steps[..3]), ["StepIntended", "StepFinished", "StepIntended"]);
    assert_eq!((steps[1].outcome.as_deref(), &steps[1].evidence["exitCode"]), (Some("Failed"), &json!(17)));
    let ended = chrono::DateTime::parse_from_rfc3339(steps[1].evidence["startedAt"].as_str().unwrap());
    let next = chrono::DateTime::parse_from_rfc3339(&steps[2].time);
    assert!(next.unwrap() - ended.unwrap() >= chrono::TimeDelta::seconds(10), "{steps:?}");
}

#[test]
fn an_outcome_that_could_not_be_written_is_unknown_to_the_next_undrift() {
    let mut fixture = ReconcilerFixture::new(World::incident());
    let disk = full_for(&fixture, OUTCOMES);
    assert!(fixture.apply().error.is_some());
    disk.make_room();
    fixture.restart();
    let applied = fixture.apply();
    fixture.assert_honest(&applied);
    assert!(applied.reconciled);
    assert_eq!(kinds(&steps(&fixture)), ["StepIntended", "StepInterrupted", "StepIntended", "StepFinished"]);
}

#[test]
fn a_rollback_whose_end_could_not_be_written_is_not_followed_by_the_same_repair() {
    let mut world = World::incident();
    world.faults.new_crashes = true;
    let mut fixture = ReconcilerFixture::new(world);
    let disk = full_for(&fixture, "UPDATE ON attempts WHEN NEW.attempt LIKE '%RolledBack%'");
    let applied = fixture.apply();
    assert!(matches!(applied.error, Some(ReconcileError::Store(_))), "{:?}", applied.error);
    disk.make_room();
    fixture.restart();
    for _ in 0..3 {
        fixture.assert_honest(&fixture.apply());
    }
    let steps = fixture.host.world(|world| world.log.clone());
    let builds = steps.iter().filter(|step| matches!(step, Step::Build { .. })).count();
    assert_eq!((builds, steps.last()), (1, Some(&Step::Rollback)), "{steps:?}");
}

use std::time::Duration;

use super::*;
use crate::{doctor::Status, store::testing};

fn clocks() -> Clocks {
    Clocks {
        synchronised: Synchronised::Yes("timedatectl"),
        jumped: TimeDelta::zero(),
        now: testing::start(),
        latest_record: Ok(Some(testing::start() - TimeDelta::hours(1))),
        engine: Some(Offset { ahead: TimeDelta::milliseconds(40), give_or_take: TimeDelta::milliseconds(5) }),
    }
}

fn check(clocks: &Clocks, name: &str) -> Check {
    judge(clocks).into_iter().find(|check| check.name == name).unwrap()
}

#[test]
fn a_clock_that_is_right_is_right() {
    assert!(judge(&clocks()).iter().all(|check| check.status == Status::Ok && check.help.is_none()));
}

#[test]
fn a_clock_check_without_an_answer_is_unknown_and_not_ok() {
    for (output, expected, status) in [
        (ToolOutput::Words("yes".into()), Synchronised::Yes("timedatectl"), Status::Ok),
        (ToolOutput::Words("no".into()), Synchronised::No("timedatectl"), Status::Warning),
        (ToolOutput::Words(String::new()), Synchronised::NotKnown, Status::Unknown),
        (ToolOutput::Refused("no bus".into()), Synchronised::NotKnown, Status::Unknown),
        (ToolOutput::NoProgram, Synchronised::NotKnown, Status::Unknown),
    ] {
        let synchronised = answer(&output);
        assert_eq!(synchronised, expected, "{output:?}");
        assert_eq!(check(&Clocks { synchronised, ..clocks() }, "ClockSynchronized").status, status);
    }
    let unknown = Clocks { latest_record: Err("locked".into()), engine: None, ..clocks() };
    assert_eq!(check(&unknown, "ClockAfterTrail").status, Status::Unknown);
    assert_eq!(check(&unknown, "ClockAgreesWithEngine").status, Status::Unknown);
}

#[test]
fn a_jump_is_what_the_wall_clock_gains_over_the_steady_one() {
    let start = Reading::now();
    let later = |wall: i64, steady: u64| {
        let by = Duration::from_millis(wall.unsigned_abs());
        let wall = if wall < 0 { start.wall - by } else { start.wall + by };
        Reading { wall, steady: start.steady + Duration::from_millis(steady) }
    };
    for (wall, steady, jump, status) in [
        (300, 300, 0, Status::Ok),
        (350, 300, 50, Status::Ok),
        (3_600_300, 300, 3_600_000, Status::Warning),
        (-60_000, 300, -60_300, Status::Warning),
    ] {
        let jumped = start.jump(later(wall, steady));
        assert_eq!(jumped, TimeDelta::milliseconds(jump));
        assert_eq!(check(&Clocks { jumped, ..clocks() }, "ClockSteady").status, status, "{jump}");
    }
    let back = check(&Clocks { jumped: TimeDelta::seconds(-60), ..clocks() }, "ClockSteady");
    assert!(back.found.contains("back by 1m00s"), "{back:?}");
}

#[test]
fn a_clock_before_the_trail_is_a_fault() {
    let latest = |ahead: TimeDelta| {
        check(&Clocks { latest_record: Ok(Some(testing::start() + ahead)), ..clocks() }, "ClockAfterTrail")
    };
    assert_eq!(latest(TimeDelta::milliseconds(500)).status, Status::Ok, "written while doctor looked");
    let fault = latest(TimeDelta::hours(2));
    assert_eq!(fault.status, Status::Failed);
    assert!(
        fault.found.contains("2h00m before") && fault.found.contains("2026-03-01T12:00:00Z"),
        "{fault:?}"
    );
    assert_eq!(check(&Clocks { latest_record: Ok(None), ..clocks() }, "ClockAfterTrail").status, Status::Ok);
}

#[test]
fn an_engine_is_apart_only_where_its_answer_cannot_be_late() {
    let engine = |ahead, give_or_take| {
        let offset =
            Offset { ahead: TimeDelta::seconds(ahead), give_or_take: TimeDelta::seconds(give_or_take) };
        check(&Clocks { engine: Some(offset), ..clocks() }, "ClockAgreesWithEngine")
    };
    assert_eq!(engine(5, 0).status, Status::Ok);
    assert_eq!(engine(-6, 0).status, Status::Warning);
    assert!(engine(-6, 0).found.contains("6.0s behind"));
    assert!(engine(90, 1).found.contains("1m30s ahead of"));
    assert_eq!(engine(6, 2).status, Status::Unknown);
}

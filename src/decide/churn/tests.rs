//! What counts as a restart, and what is said of it.

use super::*;
use crate::{
    api::Duration,
    testing::fixtures::{at, container_mut, healthy},
};

const HOUR: i64 = 3_600;

/// A container that was created at 0, as it is later.
fn container(started: i64, count: i64) -> ContainerObservation {
    let mut container = container_mut(&mut healthy().services[0]).clone();
    (container.created_at, container.started_at) = (Some(at(0)), Some(at(started)));
    container.restart_count = count;
    container
}

fn churn(restarts: u32) -> Churn {
    Churn { restarts, within: Duration::from_secs(24 * 3_600) }
}

/// What is said after observations of the same container at these times, as `(now, started, count)`.
fn after(looks: &[(i64, i64, i64)]) -> (RestartLog, Option<usize>) {
    let mut log = RestartLog::default();
    let mut last = None;
    for (now, started, count) in looks {
        let seen = [container(*started, *count)];
        log.note(&seen, &[], churn(6).within.delta(), at(*now));
        last = log.stability(&seen, churn(u32::MAX), at(*now));
    }
    let most = last.map(|stability| match stability {
        Stability::Stable(most) => most,
        Stability::RestartsOften(words) => panic!("{words}"),
    });
    (log, most)
}

fn most(looks: &[(i64, i64, i64)]) -> Option<usize> {
    after(looks).1
}

#[test]
fn every_further_start_of_a_container_counts_for_a_day() {
    assert_eq!(most(&[(1, 0, 0), (60, 0, 0)]), Some(0));
    assert_eq!(
        most(&[(1, 0, 0), (HOUR, HOUR - 5, 1), (2 * HOUR, 2 * HOUR - 5, 2)]),
        Some(2),
        "by the engine"
    );
    assert_eq!(
        most(&[(1, 0, 0), (HOUR, 100, 0), (2 * HOUR, HOUR + 9, 0)]),
        Some(2),
        "by hand: the count stays 0"
    );
    assert_eq!(
        most(&[(1, 0, 0), (60, 50, 3), (90, 80, 1)]),
        Some(5),
        "by hand, and once by the engine after it"
    );
    assert_eq!(most(&[(1, 0, 0), (60, 50, 1), (25 * HOUR, 50, 1)]), Some(0), "a day later it is forgotten");
}

#[test]
fn a_restart_that_is_between_its_count_and_its_start_counts_once() {
    let (mut log, within) = (RestartLog::default(), churn(6).within.delta());
    let mut between = container(0, 1);
    between.restarting = true;
    for (now, seen) in [(1, container(0, 0)), (60, between), (70, container(65, 1))] {
        log.note(&[seen], &[], within, at(now));
    }
    let said = log.stability(&[container(65, 1)], churn(6), at(70));
    assert_eq!(said, Some(Stability::Stable(1)));
}

#[test]
fn what_undrift_itself_starts_is_no_restart_and_neither_is_a_new_container() {
    let within = churn(6).within.delta();
    let step = |kind, second| RecentStep {
        project: "shop".into(),
        service: "api".into(),
        object: "shop".into(),
        generation: 1,
        kind,
        at: at(second),
        beyond: None,
    };
    for (steps, expected) in [
        (vec![step(StepKind::Restart, 30)], 0),
        (vec![step(StepKind::Build, 30)], 1),
        (vec![step(StepKind::Restart, 5)], 1),
    ] {
        let mut log = RestartLog::default();
        log.note(&[container(0, 0)], &[], within, at(10));
        let again = [container(40, 0)];
        log.note(&again, &steps, within, at(60));
        assert_eq!(log.stability(&again, churn(6), at(60)), Some(Stability::Stable(expected)), "{steps:?}");
        let mut other = container(70, 0);
        (other.id, other.created_at) = ("another".into(), Some(at(70)));
        let other = [other];
        log.note(&other, &[], within, at(90));
        let said = log.stability(&other, churn(6), at(90));
        assert_eq!(said, Some(Stability::Stable(expected)), "it has the place of the one before");
    }
}

#[test]
fn where_restarts_may_have_gone_unseen_nothing_is_claimed_until_that_is_long_ago() {
    let day = 24 * HOUR;
    assert_eq!(most(&[(HOUR, HOUR - 5, 7)]), Some(7), "all of them are of its short life");
    assert_eq!(most(&[(3 * day, 0, 0)]), Some(0), "it was never started again");
    assert_eq!(most(&[(3 * day, 2 * day, 0)]), None, "somebody has started it, nobody knows how often");
    assert_eq!(most(&[(3 * day, 2 * day, 9)]), None);
    assert_eq!(most(&[(3 * day, 2 * day, 9), (4 * day, 2 * day, 9)]), Some(0), "a day on");
    let (log, said) = after(&[(1, 0, 0), (3 * day, 3 * day - 5, 40)]);
    assert_eq!(said, None, "40 in three days: nobody knows how many of them today");
    assert_eq!(log.0[&1].restarts, [at(3 * day - 5)]);
}

#[test]
fn as_many_as_declared_are_too_many_and_it_is_said_which_container_it_is() {
    let mut log = RestartLog::default();
    let seen = [container(3_000, 2)];
    log.note(&seen, &[], churn(2).within.delta(), at(HOUR));
    assert_eq!(log.stability(&seen, churn(3), at(HOUR)), Some(Stability::Stable(2)));
    let Some(Stability::RestartsOften(words)) = log.stability(&seen, churn(2), at(HOUR)) else { panic!() };
    assert!(words.contains("was restarted 2 times within 24h, the last time at"), "{words}");
    assert_eq!(log.stability(&[], churn(2), at(HOUR)), None);
}

#[test]
fn it_is_kept_where_something_happened_or_it_has_become_old() {
    let mut kept = RestartLog::default();
    kept.note(&[container(0, 0)], &[], churn(6).within.delta(), at(1));
    let later = |seconds, count| {
        let mut log = kept.clone();
        log.note(&[container(0, count)], &[], churn(6).within.delta(), at(seconds));
        log.differs(&kept)
    };
    assert_eq!((later(300, 0), later(300, 1), later(900, 0)), (false, true, true));
    assert!(kept.differs(&RestartLog::default()));
}

#[test]
fn a_clock_that_was_set_back_keeps_no_restart_longer_than_a_day() {
    let (mut log, within) = (RestartLog::default(), churn(6).within.delta());
    let seen = [container(100 * HOUR, 1)];
    log.note(&[container(0, 0)], &[], within, at(99 * HOUR));
    log.note(&seen, &[], within, at(101 * HOUR));
    log.note(&seen, &[], within, at(HOUR));
    log.note(&seen, &[], within, at(25 * HOUR));
    assert!(log.0[&1].restarts.is_empty());
}

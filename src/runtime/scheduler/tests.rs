use std::collections::BTreeMap;

use futures_util::FutureExt;
use proptest::{collection::vec, prelude::*};
use tokio::time::{Duration, advance};

use super::*;
use crate::runtime::testing::in_paused_time;

const SECOND: Duration = Duration::from_secs(1);

/// The key that is due now, if one is.
fn take(scheduler: &mut Scheduler<u8>, can_start: impl Fn(&u8) -> bool) -> Option<u8> {
    scheduler.due(can_start).now_or_never()
}

/// All keys that are due now, in their order.
fn take_all(scheduler: &mut Scheduler<u8>) -> Vec<u8> {
    std::iter::from_fn(|| take(scheduler, |_| true)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_key_is_due_once_at_its_earliest_time_in_whichever_order_it_was_asked_for() {
    for waits in [[1, 3], [3, 1]] {
        let (mut scheduler, begin) = (Scheduler::new(), Instant::now());
        for wait in waits {
            scheduler.schedule(1, begin + wait * SECOND);
        }
        assert_eq!(scheduler.due(|_| true).await, 1);
        assert_eq!(begin.elapsed(), SECOND);
        advance(10 * SECOND).await;
        assert_eq!(take(&mut scheduler, |_| true), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_trigger_takes_the_place_of_the_timer() {
    let mut scheduler = Scheduler::new();
    scheduler.schedule(1, Instant::now() + SECOND);
    scheduler.schedule(1, Instant::now());
    assert_eq!(take_all(&mut scheduler), [1]);
    advance(10 * SECOND).await;
    assert!(take_all(&mut scheduler).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_key_that_cannot_start_is_held_once_and_holds_up_nobody() {
    let mut scheduler = Scheduler::new();
    scheduler.schedule(1, Instant::now());
    scheduler.schedule(2, Instant::now());
    scheduler.schedule(1, Instant::now());
    assert_eq!(take(&mut scheduler, |key| *key != 1), Some(2));
    assert_eq!(take(&mut scheduler, |key| *key != 1), None);
    scheduler.schedule(1, Instant::now() + SECOND);
    advance(10 * SECOND).await;
    assert_eq!(take_all(&mut scheduler), [1]);
}

#[tokio::test(start_paused = true)]
async fn who_is_due_first_goes_first_also_after_a_while_in_which_nobody_looked() {
    let (mut scheduler, begin) = (Scheduler::new(), Instant::now());
    for key in [4, 2, 5, 3] {
        scheduler.schedule(key, begin + u32::from(key) * SECOND);
    }
    advance(3 * SECOND).await;
    // Due since the third second, though the timers of 2 and 3 have fired unseen.
    scheduler.schedule(1, Instant::now());
    scheduler.schedule(2, Instant::now());
    advance(SECOND).await;
    assert_eq!(take(&mut scheduler, |_| true), Some(2));
    let mut third = take_all(&mut scheduler);
    assert_eq!(third.pop(), Some(4));
    third.sort_unstable();
    assert_eq!(third, [1, 3]);
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_due_at_the_same_time_go_in_the_order_of_their_triggers() {
    let mut scheduler = Scheduler::new();
    for key in [3, 1, 2] {
        scheduler.schedule(key, Instant::now());
    }
    assert_eq!(take_all(&mut scheduler), [3, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn nobody_overtakes_the_line_by_asking_for_yesterday() {
    let yesterday = Instant::now();
    advance(86_400 * SECOND).await;
    let mut scheduler = Scheduler::new();
    scheduler.schedule(1, Instant::now());
    advance(SECOND).await;
    scheduler.schedule(2, yesterday);
    assert_eq!(take_all(&mut scheduler), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn someone_who_waits_is_woken_when_the_time_comes() {
    let (mut scheduler, begin) = (Scheduler::new(), Instant::now());
    scheduler.schedule(1, begin + 3 * SECOND);
    let waits = tokio::spawn(async move { scheduler.due(|_| true).await });
    assert_eq!(waits.await.unwrap(), 1);
    assert_eq!(begin.elapsed(), 3 * SECOND);
}

#[derive(Debug, Clone)]
enum SchedulerOp {
    Schedule(u8, i64),
    Advance(u64),
    /// Takes what is due, of the keys that are not in the mask of running ones.
    Take(u8),
    /// Begins to wait for a key that can start, and drops the wait.
    DropWait,
}

fn any_op() -> impl Strategy<Value = SchedulerOp> {
    prop_oneof![
        4 => (0..8_u8, -50..200_i64).prop_map(|(key, wait)| SchedulerOp::Schedule(key, wait)),
        2 => (0..150_u64).prop_map(SchedulerOp::Advance),
        3 => any::<u8>().prop_map(SchedulerOp::Take),
        1 => Just(SchedulerOp::DropWait),
    ]
}

/// A model of the scheduler: for each key the earliest of its times, none of them in the past when it was requested.
#[derive(Default)]
struct SchedulerModel(BTreeMap<u8, u64>);

impl SchedulerModel {
    fn schedule(&mut self, key: u8, at: u64) {
        let earliest = self.0.entry(key).or_insert(at);
        *earliest = at.min(*earliest);
    }

    /// Forgets `taken`, which must be one of those due for longest among those that can start.
    fn take(&mut self, taken: Option<u8>, now: u64, busy: u8) -> Result<(), TestCaseError> {
        let can_start = |key: u8| busy & (1 << key) == 0;
        let due = self.0.iter().filter(|(key, at)| can_start(**key) && **at <= now).map(|(_, at)| *at).min();
        let since = taken.map(|key| self.0.remove(&key));
        prop_assert_eq!(since, due.map(Some), "{:?} at {}", taken, now);
        prop_assert!(taken.is_none_or(can_start));
        Ok(())
    }
}

async fn agrees_with_the_model(ops: Vec<SchedulerOp>) -> Result<(), TestCaseError> {
    let (mut scheduler, mut model, begin) = (Scheduler::new(), SchedulerModel::default(), Instant::now());
    let mut now = 0_u64;
    for op in ops {
        match op {
            SchedulerOp::Schedule(key, wait) => {
                let at = now.saturating_add_signed(wait);
                scheduler.schedule(key, begin + Duration::from_millis(at));
                model.schedule(key, at.max(now));
            }
            SchedulerOp::Advance(millis) => {
                advance(Duration::from_millis(millis)).await;
                now += millis;
            }
            SchedulerOp::Take(busy) => {
                let taken = take(&mut scheduler, |key| busy & (1 << key) == 0);
                model.take(taken, now, busy)?;
            }
            SchedulerOp::DropWait => assert_eq!(take(&mut scheduler, |_| false), None),
        }
    }
    advance(SECOND).await;
    now += 1_000;
    // Nothing is lost and nothing is left: the model ends empty, and so does the scheduler.
    while let Some(key) = take(&mut scheduler, |_| true) {
        model.take(Some(key), now, 0)?;
    }
    model.take(None, now, 0)
}

proptest! {
    #[test]
    fn each_key_is_handed_out_once_at_its_earliest_time_whoever_was_due_first_goes_first(
        ops in vec(any_op(), 0..40)
    ) {
        in_paused_time(agrees_with_the_model(ops))?;
    }
}

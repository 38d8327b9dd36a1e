use futures_util::FutureExt;
use proptest::{collection::vec, prelude::*};
use tokio::{
    sync::mpsc,
    time::{advance, sleep, sleep_until, timeout},
};

use super::*;
use crate::runtime::testing::{SECOND, in_paused_time};

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Keys at times after the beginning, in order.
fn timed(triggers: Vec<(Duration, u8)>) -> impl Stream<Item = u8> {
    let begin = Instant::now();
    stream::iter(triggers).then(move |(at, key)| async move {
        sleep_until(begin + at).await;
        key
    })
}

/// The output, with the time after the beginning, to the end.
async fn all(keys: impl Stream<Item = u8>) -> Vec<(Duration, u8)> {
    let begin = Instant::now();
    keys.map(|key| (begin.elapsed(), key)).collect().await
}

#[tokio::test(start_paused = true)]
async fn a_thousand_triggers_of_one_key_in_a_burst_are_one() {
    let burst = (0..1_000).map(|nth| (millis(nth), 1)).collect();
    let passed = all(debounce(timed(burst), SECOND, 60 * SECOND)).await;
    assert_eq!(passed, [(millis(1_999), 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_never_quiet_is_passed_on_every_so_often_and_holds_up_nobody() {
    let mut triggers: Vec<_> = (0..200).map(|nth| (millis(nth * 100), 1)).collect();
    triggers.push((millis(3_050), 2));
    triggers.sort_unstable();
    let passed = all(debounce(timed(triggers), SECOND, millis(6_050))).await;
    // Bursts of the first key begin at 0, 6.1, 12.2 and 18.3 s; the last one ends by being quiet.
    let expected = [(4_050, 2), (6_050, 1), (12_150, 1), (18_250, 1), (20_900, 1)];
    assert_eq!(passed, expected.map(|(at, key)| (millis(at), key)));
}

#[tokio::test(start_paused = true)]
async fn a_burst_without_end_starves_nobody() {
    let mut passed = Box::pin(debounce(stream::repeat(1_u8), SECOND, 5 * SECOND));
    // The stream is always ready, so that time does not pass by itself.
    let clock = tokio::spawn(advance(5 * SECOND));
    assert_eq!(passed.next().await, Some(1));
    clock.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_thousand_triggers_are_held_as_one() {
    let mut bursts = Bursts { quiet: SECOND, at_most: SECOND, begun: HashMap::new(), timers: Timers::new() };
    (0..1_000).for_each(|_| bursts.note(1));
    assert_eq!(bursts.begun.len(), 1);
    assert_eq!(bursts.over().await, 1);
    assert!(bursts.begun.is_empty() && bursts.timers.is_empty());
}

#[tokio::test(start_paused = true)]
async fn keys_that_end_still_pass_on_what_is_held() {
    let mut passed = Box::pin(debounce(stream::iter([1, 2, 1]), SECOND, Duration::MAX));
    assert_eq!(passed.next().now_or_never(), None);
    let mut rest: Vec<u8> = passed.collect().await;
    rest.sort_unstable();
    assert_eq!(rest, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_given_up_loses_no_key() {
    let (triggers, mut keys) = mpsc::unbounded_channel();
    let mut passed = Box::pin(debounce(stream::poll_fn(move |cx| keys.poll_recv(cx)), SECOND, SECOND));
    triggers.send(1).unwrap();
    for _ in 0..9 {
        assert!(timeout(millis(100), passed.next()).await.is_err());
    }
    sleep(SECOND).await;
    assert_eq!(passed.next().now_or_never(), Some(Some(1)));
}

/// Debouncing, restated in plain arithmetic.
fn model(triggers: &[(Duration, u8)], quiet: Duration, at_most: Duration) -> Vec<(Duration, u8)> {
    let mut passed = Vec::new();
    for key in 0..4 {
        let mut burst: Option<(Duration, Duration)> = None;
        for (at, _) in triggers.iter().filter(|(_, of)| *of == key) {
            passed.extend(burst.take_if(|(_, over)| *over < *at).map(|(_, over)| (over, key)));
            let begun = burst.map_or(*at, |(begun, _)| begun);
            burst = Some((begun, (*at + quiet).min(begun + at_most)));
        }
        passed.extend(burst.map(|(_, over)| (over, key)));
    }
    passed.sort_unstable();
    passed
}

proptest! {
    #[test]
    fn each_burst_is_passed_on_once_when_it_is_over(
        gaps in vec((0..8_u64, 0..4_u8), 0..60), quiet in 1..6_u64, at_most in 1..12_u64
    ) {
        // Triggers at tens, ends of bursts between them: at the same moment either order would be right.
        let mut at = 0;
        let triggers: Vec<_> = gaps.iter().map(|(gap, key)| { at += gap * 10; (millis(at), *key) }).collect();
        let (quiet, at_most) = (millis(quiet * 10 + 5), millis(at_most * 10 + 4));
        let expected = model(&triggers, quiet, at_most);
        let mut passed = in_paused_time(async { all(debounce(timed(triggers), quiet, at_most)).await });
        passed.sort_unstable();
        prop_assert_eq!(passed, expected);
    }
}

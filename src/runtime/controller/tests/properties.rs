//! Properties for any triggers, and whatever the runs do.

use proptest::{collection::vec, prelude::*};
use tokio::time::Duration;

use super::*;
use crate::runtime::testing::{Run, in_paused_time};

/// Longer than all waits of one case together: a key has four acts at most, at the worst panics in a row: 150 s.
const A_WHILE: Duration = Duration::from_secs(200);

fn millis() -> impl Strategy<Value = Duration> {
    (0..40_u64).prop_map(Duration::from_millis)
}

fn any_act() -> impl Strategy<Value = Act> {
    let then = prop_oneof![
        Just(Then::Never),
        Just(Then::Now),
        Just(Then::Panic),
        millis().prop_map(Then::After),
        Just(Then::After(30 * SECOND)),
    ];
    (millis(), then).prop_map(|(takes, then)| Act::new(takes, then))
}

/// A wait, and then a trigger.
fn any_triggers() -> impl Strategy<Value = Vec<(Duration, u8)>> {
    vec((millis(), 0..4_u8), 0..25)
}

/// The n-th run of any key performs the n-th act, spread a little by the key; later ones rest.
fn behaviour(acts: Vec<Act>) -> impl Fn(u8, usize) -> Act + Send + Sync + 'static {
    move |key, nth| acts.get(nth * 2 + usize::from(key)).copied().unwrap_or(Act::at_once(Then::Never))
}

/// Triggers in time, and returns what was triggered when.
async fn trigger_all(running: &Loop, triggers: Vec<(Duration, u8)>) -> Vec<(u8, Instant)> {
    let mut triggered = Vec::new();
    for (wait, key) in triggers {
        sleep(wait).await;
        running.trigger(&[key]);
        triggered.push((key, Instant::now()));
    }
    triggered
}

fn never_twice_and_within_the_bound(runs: &[Run], concurrency: usize) -> Result<(), TestCaseError> {
    for run in runs {
        prop_assert!(!run.twice, "two of one key: {run:?}");
        prop_assert!(run.at_once <= concurrency, "{run:?}");
    }
    Ok(())
}

fn nothing_is_lost(runs: &[Run], triggered: &[(u8, Instant)]) -> Result<(), TestCaseError> {
    for (key, at) in triggered {
        prop_assert!(runs.iter().any(|run| run.key == *key && run.began >= *at), "{key} at {at:?}");
    }
    for (index, run) in runs.iter().enumerate() {
        let mut later = runs[index + 1..].iter().filter(|later| later.key == run.key);
        prop_assert!(run.then == Then::Never || later.next().is_some(), "did not run again: {run:?}");
    }
    Ok(())
}

/// No run without a cause: each has a trigger, or a run that requested it.
fn nothing_is_doubled(runs: &[Run], triggered: &[(u8, Instant)]) -> Result<(), TestCaseError> {
    for key in 0..4 {
        let of_key = || runs.iter().filter(|run| run.key == key);
        let causes = triggered.iter().filter(|(of, _)| *of == key).count()
            + of_key().filter(|run| run.then != Then::Never).count();
        prop_assert!(of_key().count() <= causes, "key {key}: {} runs, {causes} causes", of_key().count());
    }
    Ok(())
}

/// A key runs at the time that it last requested, unless a trigger came before, or no slot was free.
fn nobody_runs_early(runs: &[Run], triggered: &[(u8, Instant)]) -> Result<(), TestCaseError> {
    for (index, run) in runs.iter().enumerate() {
        let wait = match run.then {
            Then::After(wait) => wait,
            Then::Panic => 10 * SECOND,
            Then::Now | Then::Never => continue,
        };
        let (next, ended) = (runs[index + 1..].iter().find(|next| next.key == run.key), run.ended);
        if let Some((next, ended)) = next.zip(ended) {
            let trigger =
                |(key, at): &(u8, Instant)| *key == run.key && (run.began..=next.began).contains(at);
            prop_assert!(next.began >= ended + wait || triggered.iter().any(trigger), "{run:?}, {next:?}");
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_key_is_lost_or_doubled_or_run_twice_at_once(
        triggers in any_triggers(), acts in vec(any_act(), 0..=8), concurrency in 1..4_usize
    ) {
        in_paused_time(async {
            let running = Loop::start(concurrency, behaviour(acts));
            let triggered = trigger_all(&running, triggers).await;
            sleep(A_WHILE).await;
            let runs = running.watched.runs();
            running.keys().await;
            never_twice_and_within_the_bound(&runs, concurrency)?;
            nothing_is_lost(&runs, &triggered)?;
            nothing_is_doubled(&runs, &triggered)?;
            nobody_runs_early(&runs, &triggered)
        })?;
    }

    #[test]
    fn a_run_that_has_begun_ends_and_none_begins_later_however_the_loop_ends(
        triggers in any_triggers(), acts in vec(any_act(), 0..=8), concurrency in 1..4_usize, dropped: bool
    ) {
        in_paused_time(async {
            let running = Loop::start(concurrency, behaviour(acts));
            trigger_all(&running, triggers).await;
            let Loop { watched, stop, task, .. } = running;
            let begun = watched.keys();
            if dropped {
                task.abort();
            } else {
                stop.cancel();
            }
            prop_assert_eq!(task.await.is_err(), dropped);
            if !dropped {
                prop_assert!(watched.runs().iter().all(|run| run.ended.is_some()), "not awaited");
            }
            sleep(A_WHILE).await;
            prop_assert_eq!(watched.keys(), begun);
            prop_assert!(watched.runs().iter().all(|run| run.ended.is_some()), "cut off");
            Ok(())
        })?;
    }
}

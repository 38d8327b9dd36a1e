use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use futures_util::poll;
use tokio::{
    task::JoinHandle,
    time::{Instant, advance, sleep},
};

use super::*;
use crate::runtime::testing::{Act, RecordingReconciler, SECOND, Then};

mod properties;

/// A running loop, and its levers.
struct Loop {
    watched: Arc<RecordingReconciler>,
    triggers: mpsc::UnboundedSender<u8>,
    stop: CancellationToken,
    pulses: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Loop {
    fn start(concurrency: usize, behaviour: impl Fn(u8, usize) -> Act + Send + Sync + 'static) -> Self {
        let watched = Arc::new(RecordingReconciler::new(behaviour));
        let (triggers, mut keys) = mpsc::unbounded_channel();
        let (stop, pulses) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&pulses);
        let task = tokio::spawn(controller(&watched, concurrency).run(
            stream::poll_fn(move |cx| keys.poll_recv(cx)),
            stop.clone(),
            move || _ = counted.fetch_add(1, Relaxed),
        ));
        Self { watched, triggers, stop, pulses, task }
    }

    fn trigger(&self, keys: &[u8]) {
        for key in keys {
            self.triggers.send(*key).unwrap();
        }
    }

    /// Triggers, and lets the loop do what it can do at once.
    async fn after(&self, keys: &[u8]) {
        self.trigger(keys);
        sleep(SECOND / 100).await;
    }

    /// Stops the loop and returns the keys of all runs, in their order.
    async fn keys(self) -> Vec<u8> {
        self.stop.cancel();
        self.task.await.unwrap();
        self.watched.keys()
    }
}

fn controller(watched: &Arc<RecordingReconciler>, concurrency: usize) -> Controller<u8, RecordingReconciler> {
    Controller::new(Arc::clone(watched), NonZeroUsize::new(concurrency).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_triggered_while_it_runs_runs_exactly_once_more_after_it() {
    let running = Loop::start(8, |_, _| Act::new(10 * SECOND, Then::Never));
    for _ in 0..5 {
        running.after(&[1, 1]).await;
    }
    sleep(60 * SECOND).await;
    let runs = running.watched.runs();
    assert!(runs[1].began >= runs[0].ended.unwrap());
    assert_eq!(running.keys().await, [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_key_runs_again_after_its_requeue_and_never_without_one() {
    let running = Loop::start(1, |_, nth| {
        Act::at_once([Then::After(3_600 * SECOND), Then::After(7_200 * SECOND), Then::Never][nth])
    });
    let begin = Instant::now();
    running.after(&[1]).await;
    sleep(3_600 * SECOND).await;
    assert_eq!(running.watched.runs()[1].began - begin, 3_600 * SECOND);
    // The trigger comes before the timer, which is gone with it: nothing is left of a key that rests.
    running.after(&[1]).await;
    sleep(86_400 * SECOND).await;
    assert_eq!(running.keys().await, [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_that_is_tried_again_later_while_the_loop_lives_on() {
    let running =
        Loop::start(1, |key, nth| Act::at_once(if (key, nth) == (1, 0) { Then::Panic } else { Then::Never }));
    let begin = Instant::now();
    running.after(&[1]).await;
    running.after(&[2]).await;
    sleep(60 * SECOND).await;
    let runs = running.watched.runs();
    assert!(runs[2].began - begin >= 10 * SECOND);
    assert_eq!(running.keys().await, [1, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_hangs_costs_the_others_one_slot() {
    let hangs = |key, _| if key == 1 { Act::HANG } else { Act::new(SECOND, Then::Never) };
    let running = Loop::start(2, hangs);
    running.after(&[1, 2, 3, 1, 4, 2]).await;
    sleep(5 * SECOND).await;
    assert_eq!(running.watched.keys(), [1, 2, 3, 4, 2]);
}

#[tokio::test(start_paused = true)]
async fn keys_that_run_again_at_once_for_ever_starve_nobody() {
    // Time stands still here, because there is always something to do: the third key ends the test, or the bound does.
    let stop = CancellationToken::new();
    let (triggers, mut keys) = mpsc::unbounded_channel();
    for key in [1, 2] {
        triggers.send(key).unwrap();
    }
    let (stops, late) = (stop.clone(), triggers.clone());
    let watched = Arc::new(RecordingReconciler::new(move |key, nth| match (key, nth) {
        (1, 10) => {
            late.send(3).unwrap();
            Act::at_once(Then::Now)
        }
        (3, _) | (_, 1_000) => {
            stops.cancel();
            Act::at_once(Then::Never)
        }
        _ => Act::at_once(Then::Now),
    }));
    controller(&watched, 1).run(stream::poll_fn(move |cx| keys.poll_recv(cx)), stop, || {}).await;
    let keys = watched.keys();
    assert_eq!(keys[..6], [1, 2, 1, 2, 1, 2], "they take turns");
    assert!(keys.len() < 30, "{} runs before the third key", keys.len());
}

#[tokio::test(start_paused = true)]
async fn triggers_without_end_starve_neither_another_key_nor_the_requeue() {
    let stop = CancellationToken::new();
    let stops = stop.clone();
    let watched = Arc::new(RecordingReconciler::new(move |key, nth| {
        if (key, nth) == (1, 3) {
            stops.cancel();
        }
        Act::at_once(Then::Now)
    }));
    let endless = stream::iter([1]).chain(stream::repeat(2));
    controller(&watched, 1).run(endless, stop, || {}).await;
    assert_eq!(watched.keys(), [1, 2, 1, 2, 1, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn after_the_stop_nothing_begins_and_what_is_at_work_is_awaited() {
    let running = Loop::start(1, |_, _| Act::new(30 * SECOND, Then::Now));
    running.after(&[1, 2]).await;
    running.stop.cancel();
    let (stopped, pulses) = (Instant::now(), running.pulses.load(Relaxed));
    let Loop { task, watched, pulses: all_pulses, triggers, .. } = running;
    // Those that are due at this very moment are too late as well.
    triggers.send(3).unwrap();
    task.await.unwrap();
    assert!(stopped.elapsed() > 29 * SECOND && watched.runs()[0].ended.is_some());
    assert_eq!(watched.keys(), [1]);
    assert!(all_pulses.load(Relaxed) >= pulses + 14, "whoever waits for its last run still lives");
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_was_stopped_before_it_began_begins_nothing() {
    let running = Loop::start(1, |_, _| Act::at_once(Then::Never));
    running.trigger(&[1]);
    assert!(running.keys().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn where_the_triggers_end_the_timers_go_on() {
    let running = Loop::start(1, |_, _| Act::at_once(Then::After(60 * SECOND)));
    let Loop { triggers, watched, stop, task, .. } = running;
    triggers.send(1).unwrap();
    drop(triggers);
    sleep(SECOND * 200).await;
    assert_eq!(watched.keys(), [1, 1, 1, 1]);
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_loop_pulses_every_two_seconds_also_where_every_run_hangs() {
    let running = Loop::start(2, |_, _| Act::HANG);
    running.after(&[1, 2, 3]).await;
    for (seconds, pulses) in [(60, 30), (600, 300), (6_000, 3_000)] {
        let before = running.pulses.load(Relaxed);
        sleep(seconds * SECOND).await;
        assert_eq!(running.pulses.load(Relaxed) - before, pulses);
    }
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_is_stuck_does_not_pulse_and_does_not_make_up_for_it() {
    let pulses = AtomicUsize::new(0);
    let watched = Arc::new(RecordingReconciler::new(|_, _| Act::HANG));
    let pulse = || _ = pulses.fetch_add(1, Relaxed);
    let mut running = pin!(controller(&watched, 1).run(stream::pending(), CancellationToken::new(), pulse));
    assert!(poll!(running.as_mut()).is_pending());
    assert_eq!(pulses.load(Relaxed), 1);
    // Nobody polls the loop: that is how a stuck loop looks from outside.
    advance(600 * SECOND).await;
    assert_eq!(pulses.load(Relaxed), 1);
    assert!(poll!(running.as_mut()).is_pending());
    assert_eq!(pulses.load(Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_run_outlives_a_loop_that_is_dropped() {
    let running = Loop::start(2, |_, _| Act::new(30 * SECOND, Then::Panic));
    running.after(&[1, 2]).await;
    running.task.abort();
    assert!(running.task.await.unwrap_err().is_cancelled());
    sleep(60 * SECOND).await;
    assert_eq!(running.watched.keys(), [1, 2]);
    assert!(running.watched.runs().iter().all(|run| run.ended.is_some()));
}

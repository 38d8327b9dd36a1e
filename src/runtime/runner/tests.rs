use super::*;
use crate::runtime::testing::{Act, RecordingReconciler, SECOND, Then};

const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// Starts a run of `key`, and waits until the next run has ended. Returns after how long its key runs again.
async fn next_run<R: Reconcile<u8>>(
    runner: &mut Runner<u8, R>,
    ends: &mut mpsc::UnboundedReceiver<Ended<u8>>,
    key: u8,
) -> Option<Duration> {
    runner.start(key);
    let ended = ends.recv().await.unwrap();
    let (again, at) = runner.finish(ended)?;
    assert_eq!(again, key);
    Some(at - Instant::now())
}

#[tokio::test(start_paused = true)]
async fn a_run_takes_a_slot_and_its_key_until_it_has_ended() {
    let watched = Arc::new(RecordingReconciler::new(|_, _| Act::new(SECOND, Then::Never)));
    let (mut runner, mut ends) = Runner::new(Arc::clone(&watched), TWO);
    runner.start(1);
    assert!(!runner.can_start(&1) && runner.can_start(&2));
    runner.start(2);
    assert!(!runner.can_start(&3), "both slots are taken");
    let ended = ends.recv().await.unwrap();
    assert!(!runner.can_start(&1), "it holds its slot until the loop has heard of its end");
    assert_eq!(runner.finish(ended), None);
    assert!(runner.can_start(&1) && !runner.can_start(&2) && runner.can_start(&3));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_run_sets_when_its_key_runs_again() {
    let thens = [Then::Never, Then::Now, Then::After(5 * SECOND)];
    let watched = Arc::new(RecordingReconciler::new(move |_, nth| Act::at_once(thens[nth])));
    let (mut runner, mut ends) = Runner::new(watched, TWO);
    for expected in [None, Some(Duration::ZERO), Some(5 * SECOND)] {
        assert_eq!(next_run(&mut runner, &mut ends, 1).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn panics_in_a_row_wait_longer_and_longer_until_a_run_ends_well() {
    let watched =
        RecordingReconciler::new(|_, nth| Act::at_once(if nth == 8 { Then::Never } else { Then::Panic }));
    let (mut runner, mut ends) = Runner::new(Arc::new(watched), TWO);
    for seconds in [10, 20, 40, 80, 160, 320, 600, 600] {
        assert_eq!(next_run(&mut runner, &mut ends, 1).await, Some(seconds * SECOND));
    }
    assert_eq!(next_run(&mut runner, &mut ends, 1).await, None);
    assert!(runner.panics.is_empty(), "nothing is kept of a key that is well");
    assert_eq!(next_run(&mut runner, &mut ends, 1).await, Some(10 * SECOND));
}

#[test]
fn the_wait_after_a_panic_has_a_bound() {
    assert_eq!(wait_after(u32::MAX), LONGEST_WAIT);
}

/// Panics in the places outside of a reconciler's own lines.
struct PanicsIn(Place);

#[derive(Clone, Copy)]
enum Place {
    TheCall,
    ADestructor,
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        std::panic::resume_unwind(Box::new(String::from("as the test wants it")));
    }
}

impl Reconcile<u8> for PanicsIn {
    fn reconcile(&self, _: u8) -> impl Future<Output = Requeue> + Send {
        let place = self.0;
        if let Place::TheCall = place {
            std::panic::resume_unwind(Box::new("as the test wants it"));
        }
        let captured = PanicsWhenDropped;
        async move {
            let _until_the_end = captured;
            Requeue::Never
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_frees_the_slot_wherever_it_happens() {
    for place in [Place::TheCall, Place::ADestructor] {
        let (mut runner, mut ends) = Runner::new(Arc::new(PanicsIn(place)), TWO);
        assert_eq!(next_run(&mut runner, &mut ends, 1).await, Some(FIRST_WAIT));
        assert!(runner.can_start(&1));
    }
}

#[tokio::test(start_paused = true)]
async fn idle_is_when_the_last_run_has_ended() {
    let watched = Arc::new(RecordingReconciler::new(|key, _| Act::new(u32::from(key) * SECOND, Then::Never)));
    let (mut runner, _ends) = Runner::new(Arc::clone(&watched), TWO);
    let begin = Instant::now();
    runner.start(3);
    runner.start(7);
    runner.idle().await;
    assert_eq!(begin.elapsed(), 7 * SECOND);
    assert!(watched.runs().iter().all(|run| run.ended.is_some()));
}

#[test]
fn a_panic_is_logged_by_its_message() {
    assert_eq!(message(&"a slice"), "a slice");
    assert_eq!(message(&String::from("a string")), "a string");
    assert_eq!(message(&7_u8), "without a message");
}

//! Persons at the socket who wait for what comes of an object.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::mpsc;

use super::protocol::{Outcome, Reply};
use crate::reconcile::Progress;

/// Lines that wait to be sent to one person. One who reads slower than this loses lines, never the outcome.
const LINES: usize = 256;

/// How a thing that happened is said: the line, and whether it is only passing. None where it is not said.
pub(crate) type Narrate = fn(&Progress<'_>, colour: bool) -> Option<(String, bool)>;

/// All who wait, by object.
#[derive(Debug, Default)]
pub(super) struct Waiters(Mutex<HashMap<String, Vec<Waiter>>>);

#[derive(Debug)]
struct Waiter {
    colour: bool,
    /// Whether a turn has begun since the person asked: what ends before that is no answer.
    begun: bool,
    acted: bool,
    replies: mpsc::Sender<Reply>,
}

impl Waiters {
    /// Waits for an object: its progress, and at last its outcome.
    pub(super) fn wait_for(&self, object: &str, colour: bool) -> mpsc::Receiver<Reply> {
        let (replies, waiting) = mpsc::channel(LINES);
        let waiter = Waiter { colour, begun: false, acted: false, replies };
        self.lock().entry(object.to_owned()).or_default().push(waiter);
        waiting
    }

    /// A turn begins: what comes of it is an answer to all who wait now.
    pub(super) fn begin(&self, object: &str) {
        for waiter in self.lock().get_mut(object).into_iter().flatten() {
            waiter.begun = true;
        }
    }

    /// Tells what happens.
    pub(super) fn tell(&self, object: &str, progress: &Progress<'_>, narrate: Narrate) {
        let mut all = self.lock();
        for waiter in all.get_mut(object).into_iter().flatten().filter(|waiter| waiter.begun) {
            waiter.acted |= matches!(progress, Progress::StepBegins(_) | Progress::Proving { .. });
            if let Some((line, passing)) = narrate(progress, waiter.colour) {
                // The last place is the outcome's.
                if waiter.replies.capacity() > 1 {
                    let _ = waiter.replies.try_send(Reply::Line { object: object.to_owned(), line, passing });
                }
            }
        }
    }

    /// Nothing is left to do for the object: those who have waited since before the turn hear of it.
    pub(super) fn end(&self, object: &str, outcome: impl Fn(bool) -> Outcome) {
        let mut all = self.lock();
        let Some(waiting) = all.remove(object) else { return };
        let (answered, others): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|waiter| waiter.begun);
        for waiter in answered {
            // A person who has gone away needs no answer.
            let _ = waiter.replies.try_send(Reply::Outcome(Box::new(outcome(waiter.acted))));
        }
        if !others.is_empty() {
            all.insert(object.to_owned(), others);
        }
    }

    /// Whether somebody waits for an object.
    #[cfg(test)]
    pub(super) fn is_awaited(&self, object: &str) -> bool {
        self.lock().contains_key(object)
    }

    /// Nobody is answered any more: their connections end.
    pub(super) fn dismiss(&self, object: Option<&str>) {
        match object {
            Some(object) => drop(self.lock().remove(object)),
            None => self.lock().clear(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Waiter>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(acted: bool) -> Outcome {
        Outcome { object: crate::store::testing::object(), reconciled: true, acted, error: None }
    }

    #[expect(clippy::unnecessary_wraps, reason = "the shape of `Narrate`")]
    fn narrate(_: &Progress<'_>, _: bool) -> Option<(String, bool)> {
        Some(("a line".into(), true))
    }

    #[test]
    fn what_began_before_the_question_is_no_answer_to_it() {
        let waiters = Waiters::default();
        let mut early = waiters.wait_for("shop", false);
        waiters.begin("shop");
        let mut late = waiters.wait_for("shop", false);
        waiters.end("shop", outcome);
        assert!(matches!(early.try_recv(), Ok(Reply::Outcome(_))));
        assert!(matches!(late.try_recv(), Err(mpsc::error::TryRecvError::Empty)));
        waiters.begin("shop");
        waiters.end("shop", outcome);
        assert!(matches!(late.try_recv(), Ok(Reply::Outcome(_))));
    }

    #[test]
    fn one_who_does_not_read_loses_lines_and_never_the_outcome() {
        let waiters = Waiters::default();
        let mut waiting = waiters.wait_for("shop", false);
        waiters.begin("shop");
        for _ in 0..10 * LINES {
            waiters.tell("shop", &Progress::Line("x"), narrate);
        }
        waiters.end("shop", outcome);
        let mut last = None;
        while let Ok(reply) = waiting.try_recv() {
            last = Some(reply);
        }
        assert!(matches!(last, Some(Reply::Outcome(outcome)) if !outcome.acted));
    }

    #[test]
    fn the_dismissed_hear_the_end_of_their_connection() {
        let waiters = Waiters::default();
        let mut waiting = waiters.wait_for("shop", false);
        waiters.dismiss(None);
        assert!(matches!(waiting.try_recv(), Err(mpsc::error::TryRecvError::Disconnected)));
    }
}

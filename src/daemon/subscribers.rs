//! Connections that wait for the outcome of an object.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::mpsc;

use super::protocol::{ObjectOutcome, Reply};
use crate::reconcile::Progress;

/// Lines that wait to be sent to one person. One who reads slower than this loses lines, never the outcome.
const LINES: usize = 256;

/// Renders an event: the line, and whether the next line may replace it. `None` where it is not shown.
pub(crate) type RenderProgress = fn(&Progress<'_>, colour: bool) -> Option<(String, bool)>;

/// All that wait, by object.
#[derive(Debug, Default)]
pub(super) struct Subscribers(Mutex<HashMap<String, Vec<Subscriber>>>);

#[derive(Debug)]
struct Subscriber {
    colour: bool,
    /// Whether a reconcile has begun since the person asked: what ends before that is no answer.
    begun: bool,
    acted: bool,
    replies: mpsc::Sender<Reply>,
}

impl Subscribers {
    /// Waits for an object: its progress, and at last its outcome.
    pub(super) fn subscribe(&self, object: &str, colour: bool) -> mpsc::Receiver<Reply> {
        let (replies, waiting) = mpsc::channel(LINES);
        let subscriber = Subscriber { colour, begun: false, acted: false, replies };
        self.lock().entry(object.to_owned()).or_default().push(subscriber);
        waiting
    }

    /// A reconcile begins: what comes of it is an answer to all who wait now.
    pub(super) fn begin(&self, object: &str) {
        for subscriber in self.lock().get_mut(object).into_iter().flatten() {
            subscriber.begun = true;
        }
    }

    /// Sends what happens to all who wait.
    pub(super) fn publish(&self, object: &str, progress: &Progress<'_>, render: RenderProgress) {
        let mut all = self.lock();
        for subscriber in all.get_mut(object).into_iter().flatten().filter(|subscriber| subscriber.begun) {
            subscriber.acted |= matches!(progress, Progress::StepBegins(_) | Progress::Verifying { .. });
            if let Some((line, passing)) = render(progress, subscriber.colour) {
                // The last place is the outcome's.
                if subscriber.replies.capacity() > 1 {
                    let _ =
                        subscriber.replies.try_send(Reply::Line { object: object.to_owned(), line, passing });
                }
            }
        }
    }

    /// Nothing is left to do for the object: those who have waited since before the reconcile are told.
    pub(super) fn end(&self, object: &str, outcome: impl Fn(bool) -> ObjectOutcome) {
        let mut all = self.lock();
        let Some(waiting) = all.remove(object) else { return };
        let (answered, others): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|subscriber| subscriber.begun);
        for subscriber in answered {
            // A person who has gone away needs no answer.
            let _ = subscriber.replies.try_send(Reply::Outcome(Box::new(outcome(subscriber.acted))));
        }
        if !others.is_empty() {
            all.insert(object.to_owned(), others);
        }
    }

    /// Whether somebody waits for an object.
    #[cfg(test)]
    pub(super) fn has_subscriber(&self, object: &str) -> bool {
        self.lock().contains_key(object)
    }

    /// Nobody is answered any more: their connections end.
    pub(super) fn disconnect(&self, object: Option<&str>) {
        match object {
            Some(object) => drop(self.lock().remove(object)),
            None => self.lock().clear(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Subscriber>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(acted: bool) -> ObjectOutcome {
        ObjectOutcome { object: crate::store::testing::object(), reconciled: true, acted, error: None }
    }

    #[expect(clippy::unnecessary_wraps, reason = "the shape of `Narrate`")]
    fn render(_: &Progress<'_>, _: bool) -> Option<(String, bool)> {
        Some(("a line".into(), true))
    }

    #[test]
    fn what_began_before_the_question_is_no_answer_to_it() {
        let subscribers = Subscribers::default();
        let mut early = subscribers.subscribe("shop", false);
        subscribers.begin("shop");
        let mut late = subscribers.subscribe("shop", false);
        subscribers.end("shop", outcome);
        assert!(matches!(early.try_recv(), Ok(Reply::Outcome(_))));
        assert!(matches!(late.try_recv(), Err(mpsc::error::TryRecvError::Empty)));
        subscribers.begin("shop");
        subscribers.end("shop", outcome);
        assert!(matches!(late.try_recv(), Ok(Reply::Outcome(_))));
    }

    #[test]
    fn one_who_does_not_read_loses_lines_and_never_the_outcome() {
        let subscribers = Subscribers::default();
        let mut waiting = subscribers.subscribe("shop", false);
        subscribers.begin("shop");
        for _ in 0..10 * LINES {
            subscribers.publish("shop", &Progress::Line("x"), render);
        }
        subscribers.end("shop", outcome);
        let mut last = None;
        while let Ok(reply) = waiting.try_recv() {
            last = Some(reply);
        }
        assert!(matches!(last, Some(Reply::Outcome(outcome)) if !outcome.acted));
    }

    #[test]
    fn the_dismissed_hear_the_end_of_their_connection() {
        let subscribers = Subscribers::default();
        let mut waiting = subscribers.subscribe("shop", false);
        subscribers.disconnect(None);
        assert!(matches!(waiting.try_recv(), Err(mpsc::error::TryRecvError::Disconnected)));
    }
}

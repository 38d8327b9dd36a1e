//! Connections that wait for the outcome of an object.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::mpsc;

use super::protocol::{ObjectOutcome, Reply, ReportedEvent};
use crate::api::Event;

/// Events that wait to be sent to one client. A slower client loses some, never the outcome.
const EVENTS: usize = 256;

/// All that wait, by object.
#[derive(Debug, Default)]
pub(super) struct Subscribers(Mutex<HashMap<String, Vec<Subscriber>>>);

#[derive(Debug)]
struct Subscriber {
    /// Whether a reconcile has begun since the request: an earlier one is no answer.
    begun: bool,
    acted: bool,
    replies: mpsc::Sender<Reply>,
}

impl Subscribers {
    /// Subscribes to an object: its progress, and finally its outcome.
    pub(super) fn subscribe(&self, object: &str) -> mpsc::Receiver<Reply> {
        let (replies, waiting) = mpsc::channel(EVENTS);
        let subscriber = Subscriber { begun: false, acted: false, replies };
        let mut all = self.lock();
        let waiting_for_it = all.entry(object.to_owned()).or_default();
        // Those that have disconnected.
        waiting_for_it.retain(|other| !other.replies.is_closed());
        waiting_for_it.push(subscriber);
        drop(all);
        waiting
    }

    /// A reconcile begins: its outcome answers all present subscribers.
    pub(super) fn begin(&self, object: &str) {
        for subscriber in self.lock().get_mut(object).into_iter().flatten() {
            subscriber.begun = true;
        }
    }

    /// Sends an event to all subscribers.
    pub(super) fn publish(&self, reported: &ReportedEvent) {
        let ReportedEvent { object, event } = reported;
        let mut all = self.lock();
        for subscriber in all.get_mut(object).into_iter().flatten().filter(|subscriber| subscriber.begun) {
            subscriber.acted |= matches!(event, Event::StepIntended { .. } | Event::Verifying { .. });
            // The last slot is reserved for the outcome.
            if subscriber.replies.capacity() > 1 && !subscriber.replies.is_closed() {
                let _ = subscriber.replies.try_send(Reply::Event(reported.clone()));
            }
        }
    }

    /// Nothing is left to do for the object: those subscribed since before the reconcile get the outcome.
    pub(super) fn end(&self, object: &str, outcome: impl Fn(bool) -> ObjectOutcome) {
        let mut all = self.lock();
        let Some(waiting) = all.remove(object) else { return };
        let (answered, others): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|subscriber| subscriber.begun);
        for subscriber in answered {
            // A person who has disconnected needs no answer.
            let _ = subscriber.replies.try_send(Reply::Result(Box::new(outcome(subscriber.acted))));
        }
        if !others.is_empty() {
            all.insert(object.to_owned(), others);
        }
    }

    /// Whether an object has a subscriber.
    #[cfg(test)]
    pub(super) fn has_subscriber(&self, object: &str) -> bool {
        self.lock().contains_key(object)
    }

    /// Ends all subscriptions and their connections without an answer.
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

    #[test]
    fn what_began_before_the_question_is_no_answer_to_it() {
        let subscribers = Subscribers::default();
        let mut early = subscribers.subscribe("shop");
        subscribers.begin("shop");
        let mut late = subscribers.subscribe("shop");
        subscribers.end("shop", outcome);
        assert!(matches!(early.try_recv(), Ok(Reply::Result(_))));
        assert!(matches!(late.try_recv(), Err(mpsc::error::TryRecvError::Empty)));
        subscribers.begin("shop");
        subscribers.end("shop", outcome);
        assert!(matches!(late.try_recv(), Ok(Reply::Result(_))));
    }

    #[test]
    fn one_who_does_not_read_loses_lines_and_never_the_outcome() {
        let subscribers = Subscribers::default();
        let mut waiting = subscribers.subscribe("shop");
        subscribers.begin("shop");
        for _ in 0..10 * EVENTS {
            subscribers
                .publish(&ReportedEvent { object: "shop".into(), event: Event::Output { line: "x".into() } });
        }
        subscribers.end("shop", outcome);
        let mut last = None;
        while let Ok(reply) = waiting.try_recv() {
            last = Some(reply);
        }
        assert!(matches!(last, Some(Reply::Result(outcome)) if !outcome.acted));
    }

    #[test]
    fn one_who_has_left_is_not_kept() {
        let subscribers = Subscribers::default();
        for _ in 0..10 {
            drop(subscribers.subscribe("shop"));
        }
        let _waiting = subscribers.subscribe("shop");
        assert_eq!(subscribers.lock()["shop"].len(), 1);
    }

    #[test]
    fn disconnecting_the_subscribers_closes_their_channels() {
        let subscribers = Subscribers::default();
        let mut waiting = subscribers.subscribe("shop");
        subscribers.disconnect(None);
        assert!(matches!(waiting.try_recv(), Err(mpsc::error::TryRecvError::Disconnected)));
    }
}

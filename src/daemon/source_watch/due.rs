//! Objects to queue, each at its time.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;
use tokio_util::time::{DelayQueue, delay_queue::Key};

use super::pace::Pace;

/// The objects that wait.
#[derive(Debug, Default)]
pub(super) struct Due {
    waiting: BTreeMap<String, Waiting>,
    timers: DelayQueue<String>,
}

#[derive(Debug)]
struct Waiting {
    timer: Key,
    /// Whether it waits only for a change that comes with each observation.
    is_echo: bool,
}

impl Due {
    /// Returns whether its time is now. A change that comes with each observation waits for `echo`, unless another one comes.
    pub(super) fn add(&mut self, object: &str, echo: Option<Duration>, pace: &mut Pace) -> bool {
        let now = Instant::now();
        let at = match (self.waiting.get(object).map(|waiting| waiting.is_echo), echo) {
            (Some(false), _) | (Some(true), Some(_)) => return false,
            (None, Some(wait)) => now + wait,
            (None | Some(true), None) => pace.take(object, now),
        };
        tracing::debug!(object, wait = ?(at - now), "its source has changed");
        if let Some(waiting) = self.waiting.remove(object) {
            self.timers.remove(&waiting.timer);
        }
        if at > now {
            let timer = self.timers.insert_at(object.to_owned(), at);
            self.waiting.insert(object.to_owned(), Waiting { timer, is_echo: echo.is_some() });
        }
        at == now
    }

    /// Nothing is lost if the future is dropped.
    pub(super) async fn next(&mut self) -> String {
        let next = std::future::poll_fn(|cx| match self.timers.poll_expired(cx) {
            std::task::Poll::Ready(Some(expired)) => std::task::Poll::Ready(expired.into_inner()),
            std::task::Poll::Ready(None) | std::task::Poll::Pending => std::task::Poll::Pending,
        });
        let object = next.await;
        self.waiting.remove(&object);
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_echo_waits_until_another_change_comes() {
        let second = Duration::from_secs(1);
        let (mut due, mut pace) = (Due::default(), Pace::new(2, 30 * second));
        let begin = Instant::now();
        let echo = Some(300 * second);
        assert!(!due.add("shop", echo, &mut pace) && !due.add("shop", echo, &mut pace));
        assert_eq!((due.next().await, begin.elapsed().as_secs()), ("shop".to_owned(), 300));
        assert!(!due.add("shop", echo, &mut pace));
        assert!(due.add("shop", None, &mut pace) && due.add("shop", None, &mut pace), "at once, twice");
        assert!(!due.add("shop", echo, &mut pace));
        assert!(!due.add("shop", None, &mut pace) && !due.add("shop", echo, &mut pace));
        assert_eq!((due.next().await, begin.elapsed().as_secs()), ("shop".to_owned(), 330));
        assert!(due.waiting.is_empty() && due.timers.is_empty());
    }
}

//! The pace of requests to each server: as fast as observations need it, until it answers 429; from then on one request after
//! the other, with a gap between them that doubles at each further 429.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::api::Time;

/// The gap between two requests after the first 429: four in a second.
const FIRST_GAP: Duration = Duration::from_millis(250);
const LONGEST_GAP: Duration = Duration::from_secs(8);

/// The pause after the first 429 that sets none; doubled at each further one in a row.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The longest pause that a server can set: a longer one may be a mistake, and an observation is no load.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// The longest wait of an observation for a server that wants a pause. The next observation may get the answer.
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// The longest wait of an observation's request for those before it.
const LONGEST_QUEUE: Duration = Duration::from_secs(30);

/// After this long without a 429, a server gets the initial pace again.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// The pace of each server, by host and port.
#[derive(Debug, Default)]
pub(super) struct Paces(Mutex<HashMap<String, Arc<Pace>>>);

/// The pace of one server.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<PaceState>);

#[derive(Debug, Default)]
struct PaceState {
    /// The gap between two requests; zero until the first 429.
    gap: Duration,
    /// When the next request may begin.
    next: Option<Instant>,
    /// The end of the server's pause.
    closed_until: Option<Instant>,
    last_refusal: Option<Instant>,
    refusals_in_a_row: u32,
}

impl Paces {
    pub(super) fn of(&self, url: &reqwest::Url) -> Arc<Pace> {
        let host = url.host_str().unwrap_or_default();
        let server = format!("{host}:{}", url.port_or_known_default().unwrap_or_default());
        let mut paces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(paces.entry(server).or_default())
    }
}

impl Pace {
    /// Waits until a request may begin, and returns that moment; or returns when one may begin, if that is too long to wait.
    pub(super) async fn slot(&self) -> Result<Instant, Time> {
        loop {
            let at = match self.state().reserve(Instant::now()) {
                Ok(at) => at,
                Err(at) => return Err(in_time(at)),
            };
            tokio::time::sleep_until(at).await;
            let now = Instant::now();
            // Another request may have been refused meanwhile.
            if self.state().closed_until.is_none_or(|until| until <= now) {
                return Ok(now);
            }
        }
    }

    /// A request that began then was answered with 429.
    pub(super) fn refused(&self, began: Instant, retry_after: Option<Duration>) {
        let (mut state, now) = (self.state(), Instant::now());
        // Several concurrent ones count as one refusal.
        if state.last_refusal.is_none_or(|last| began > last) {
            state.refusals_in_a_row += 1;
            state.gap = (state.gap * 2).clamp(FIRST_GAP, LONGEST_GAP);
        }
        state.last_refusal = Some(now);
        let doubled = FIRST_PAUSE * 2_u32.saturating_pow(state.refusals_in_a_row.saturating_sub(1).min(16));
        let pause = match retry_after {
            Some(named) => named.clamp(state.gap, LONGEST_RETRY_AFTER),
            None => doubled.min(LONGEST_PAUSE),
        };
        let until = state.closed_until.map_or(now + pause, |until| until.max(now + pause));
        state.closed_until = Some(until);
        // After those that are already in the queue.
        state.next = Some(state.next.map_or(until, |next| next.max(until)));
    }

    /// A request got another answer.
    pub(super) fn accepted(&self) {
        self.state().refusals_in_a_row = 0;
    }

    /// When the server may be asked again.
    pub(super) fn opens_at(&self) -> Time {
        in_time(self.state().closed_until.unwrap_or_else(Instant::now))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, PaceState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PaceState {
    /// The moment of the next request, or, if it is too far away, that moment without a place in the queue.
    fn reserve(&mut self, now: Instant) -> Result<Instant, Instant> {
        if self
            .last_refusal
            .is_some_and(|last| now - last > FORGOTTEN_AFTER && self.closed_until <= Some(now))
        {
            *self = Self::default();
        }
        if self.gap.is_zero() {
            return Ok(now);
        }
        let opens = self.closed_until.map_or(now, |until| until.max(now));
        let at = self.next.map_or(opens, |next| next.max(opens));
        if opens - now > LONGEST_WAIT || at - now > LONGEST_QUEUE {
            return Err(at);
        }
        self.next = Some(at + self.gap);
        Ok(at)
    }
}

fn in_time(at: Instant) -> Time {
    let wait = at.saturating_duration_since(Instant::now());
    chrono::Utc::now() + chrono::TimeDelta::from_std(wait).unwrap_or_default()
}

/// The wait that a `Retry-After` requests: a number of seconds, or a date (RFC 9110).
pub(super) fn retry_after(text: &str, now: Time) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    Some((at.to_utc() - now).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When each of this many simultaneous requests may begin, in milliseconds from now.
    async fn slots(pace: &Pace, requests: usize) -> Vec<Option<u128>> {
        let began = Instant::now();
        let slot = async || pace.slot().await.ok().map(|at| (at - began).as_millis());
        let slots: Vec<_> = (0..requests).map(|_| slot()).collect();
        futures_util::future::join_all(slots).await
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_before_the_first_refusal_and_each_for_the_other_after_it() {
        let pace = Pace::default();
        assert_eq!(slots(&pace, 4).await, [Some(0); 4]);
        let began = Instant::now();
        for _ in 0..3 {
            pace.refused(began, None);
        }
        assert_eq!(
            slots(&pace, 3).await,
            [Some(1000), Some(1250), Some(1500)],
            "once for all that were under way"
        );
        pace.accepted();
        pace.refused(Instant::now() + Duration::from_millis(1), Some(Duration::from_secs(2)));
        assert_eq!(
            slots(&pace, 2).await,
            [Some(2000), Some(2500)],
            "the pause that was named, and twice the gap"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_in_a_row_double_the_pause_until_no_look_waits_for_it() {
        let pace = Pace::default();
        for pause in [1000, 2000] {
            pace.refused(Instant::now(), None);
            assert_eq!(slots(&pace, 1).await, [Some(pause)]);
        }
        pace.refused(Instant::now(), None);
        assert_eq!(slots(&pace, 2).await, [None; 2], "4 s are too long for a look");
        let (opens, now) = (pace.opens_at(), chrono::Utc::now());
        assert!((3500..=4000).contains(&(opens - now).num_milliseconds()), "{opens} {now}");
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(slots(&pace, 1).await, [Some(0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_of_long_ago_is_forgotten() {
        let pace = Pace::default();
        pace.refused(Instant::now(), None);
        tokio::time::sleep(FORGOTTEN_AFTER + Duration::from_secs(1)).await;
        assert_eq!(slots(&pace, 3).await, [Some(0); 3]);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = "2026-01-01T12:00:00Z".parse().unwrap();
        for (text, seconds) in [
            ("3", Some(3)),
            (" 0 ", Some(0)),
            ("Thu, 01 Jan 2026 12:00:30 GMT", Some(30)),
            ("Thu, 01 Jan 2026 11:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs), "{text}");
        }
    }
}

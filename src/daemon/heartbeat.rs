//! Whether the loop is alive.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The loop beats every two seconds. It counts as stuck after half of the time after which systemd ends it (`WatchdogSec=60s`
/// in the unit).
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// When the loop last beat; empty before it has begun.
#[derive(Debug, Default)]
pub(super) struct Heartbeat(Mutex<Option<Instant>>);

impl Heartbeat {
    /// The loop is alive.
    pub(super) fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// For how long the loop has been stuck; `None` if it is alive.
    pub(super) fn stuck_for(&self) -> Option<Duration> {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.map(|beat| beat.elapsed()).filter(|pause| *pause > LONGEST_PAUSE)
    }
}

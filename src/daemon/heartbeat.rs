//! Whether the loop goes on.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The loop beats every two seconds. It is stuck after half of the time after which systemd ends it (`WatchdogSec=60s` in the
/// unit).
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// When the loop beat last; nothing before it has begun.
#[derive(Debug, Default)]
pub(super) struct Heartbeat(Mutex<Option<Instant>>);

impl Heartbeat {
    /// The loop goes on.
    pub(super) fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// For how long the loop has stood still; `None` where it goes on.
    pub(super) fn stuck_for(&self) -> Option<Duration> {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.map(|beat| beat.elapsed()).filter(|pause| *pause > LONGEST_PAUSE)
    }
}

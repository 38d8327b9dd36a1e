//! When the recorded state may have changed, for the verbs that wait.

use std::{path::PathBuf, time::Duration};

use futures_util::FutureExt as _;
use tokio::time::{sleep, timeout};

use super::{Failure, machine::Machine};
use crate::daemon::{self, Events};

/// How often the state is read where no daemon reports its events.
const POLL: Duration = Duration::from_secs(1);

/// The same beside a daemon: for what it does not report, such as what another process records.
const POLL_BESIDE: Duration = Duration::from_secs(2);

/// Reads the state in this folder now and whenever it may have changed, until `read` has an answer. `None` if a person ended it
/// before, or nobody reads standard output any more.
///
/// # Errors
/// The first one of `read`.
pub(super) async fn until<T>(
    machine: &impl Machine,
    dir: PathBuf,
    mut read: impl FnMut() -> Result<Option<T>, Failure>,
) -> Result<Option<T>, Failure> {
    let mut changes = Changes { dir, events: None };
    let interrupted = machine.interrupted();
    tokio::pin!(interrupted);
    // From here on a signal does not end the process by itself.
    let mut is_over = (&mut interrupted).now_or_never().is_some();
    while !is_over {
        if let Some(answer) = read()? {
            return Ok(Some(answer));
        }
        tokio::select! {
            () = changes.next() => is_over = machine.is_unread(),
            () = &mut interrupted => is_over = true,
        }
    }
    Ok(None)
}

/// Wakes at each event of the daemon on this state folder, and now and then without one. A daemon that ends, hangs or starts
/// later is nothing that a caller must know.
#[derive(Debug)]
struct Changes {
    dir: PathBuf,
    events: Option<Events>,
}

impl Changes {
    /// Returns when the recorded state may have changed since it was read before this call.
    async fn next(&mut self) {
        let Some(events) = &mut self.events else {
            match timeout(POLL, daemon::follow(&self.dir)).await {
                // What was recorded before it answered was not reported.
                Ok(Ok(events)) => self.events = Some(events),
                Ok(Err(_)) => sleep(POLL).await,
                Err(_) => {}
            }
            return;
        };
        let mut is_open = tokio::select! {
            is_open = events.next() => is_open,
            () = sleep(POLL_BESIDE) => true,
        };
        // One reading answers all that has been reported so far.
        while is_open && let Some(more) = events.next().now_or_never() {
            is_open = more;
        }
        if !is_open {
            self.events = None;
        }
    }
}

//! Whether the state is where it was opened. If not, undrift takes no step and accepts no request until it is there again.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sd_notify::NotifyState;
use tokio::time::MissedTickBehavior;

use super::{readiness::notify, reconciler::DaemonContext};
use crate::{
    host::Host,
    store::{Gone, StoreError},
};

/// How often to check it without a request.
const LOOK: Duration = Duration::from_secs(2);

/// How long a check may take for a request.
const CHECK_LIMIT: Duration = Duration::from_secs(5);

/// The last result of the check.
#[derive(Debug, Default)]
pub(super) struct StateFound {
    last: Mutex<Option<Gone>>,
    /// Held during a check.
    one: Arc<tokio::sync::Mutex<()>>,
}

impl<H: Host + 'static> DaemonContext<H> {
    /// Checks the state. Reports a change since the last check once: in the log, and to the service manager, to which
    /// undrift can only take back its status. Once the state is there again every object is observed.
    ///
    /// # Errors
    /// [`StoreError::Gone`].
    pub(super) fn check_state(&self) -> Result<(), StoreError> {
        let mut last = self.state_found.last.lock().unwrap_or_else(PoisonError::into_inner);
        let found = self.store.check_held();
        let gone = match &found {
            Err(StoreError::Gone(gone)) => Some(gone.clone()),
            _ => None,
        };
        if *last != gone {
            if let Err(error) = &found {
                tracing::error!(%error, "not ready: no step is taken");
                notify(&[NotifyState::Status(&format!("not ready: {error}"))]);
            } else {
                tracing::warn!("the state is where it was opened again: every object is looked at");
                notify(&[NotifyState::Status("the state is where it was opened again")]);
                self.queue.add_all(self.objects.names());
            }
            *last = gone;
        }
        found
    }

    /// The same for callers that may not block.
    pub(super) async fn state_checked(self: &Arc<Self>) -> Result<(), String> {
        let check = async {
            // One check at a time, for any number of requests: a disk that hangs costs one thread.
            let one = Arc::clone(&self.state_found.one).lock_owned().await;
            let shared = Arc::clone(self);
            let check = tokio::task::spawn_blocking(move || {
                let checked = shared.check_state();
                drop(one);
                checked
            });
            check.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
        };
        let late = |_| format!("the state folder has not answered within {} s", CHECK_LIMIT.as_secs());
        tokio::time::timeout(CHECK_LIMIT, check).await.unwrap_or_else(|elapsed| Err(late(elapsed)))
    }

    /// Checks it while undrift runs.
    pub(super) async fn watch_state(self: Arc<Self>) {
        let mut clock = tokio::time::interval(LOOK);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            clock.tick().await;
            // The check itself reports the error.
            let _ = self.state_checked().await;
        }
    }
}

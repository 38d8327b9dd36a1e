//! A host whose looks end: with the grace period, and at a limit of their own.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{runtime::Handle, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::{
    api::{Desired, Fact, GitState, ProjectObservation},
    host::{Host, HostError, StepReport, StepRequest},
};

/// How long a look may take. What it asks the engine and Compose has limits far below; reading files has none, and a
/// large build context on a slow disk takes its minutes.
pub(super) const LIMIT: Duration = Duration::from_secs(300);

type Looked = Option<Result<ProjectObservation, HostError>>;

/// Looks that nobody waits for any more and that have not come back, by object. Such a look keeps its thread: an object
/// whose files hang must not take another one at each attempt.
#[derive(Debug, Default)]
pub(super) struct Hung(Mutex<HashMap<String, JoinHandle<Looked>>>);

impl Hung {
    fn has(&self, object: &str) -> bool {
        let mut all = self.lock();
        all.retain(|_, look| !look.is_finished());
        all.contains_key(object)
    }

    fn keep(&self, object: &str, look: JoinHandle<Looked>) {
        self.lock().insert(object.to_owned(), look);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, JoinHandle<Looked>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The host, while undrift may still wait for it: an engine that hangs answers each question with its time limit only,
/// and a look is several of them. A step hears of the end by itself, for its outcome is to be told.
///
/// A look has a thread of its own. It reads files, and on a file system that hangs, or at a pipe that nobody writes to,
/// that blocks for ever: it may cost the thread and a slot for a while, never the loop.
pub(super) struct Bounded<'a, H> {
    pub(super) host: &'a Arc<H>,
    pub(super) over: &'a CancellationToken,
    pub(super) hung: &'a Hung,
}

impl<H: Host + 'static> Bounded<'_, H> {
    /// Begins a look, which ends where it waits for something and `given_up` is cancelled.
    fn begin(&self, desired: &Desired, given_up: CancellationToken) -> JoinHandle<Looked> {
        let (host, desired, runtime) = (Arc::clone(self.host), desired.clone(), Handle::current());
        let span = tracing::Span::current();
        tokio::task::spawn_blocking(move || {
            let look = async { given_up.run_until_cancelled(host.observe(&desired)).await };
            runtime.block_on(look.instrument(span))
        })
    }
}

impl<H: Host + 'static> Host for Bounded<'_, H> {
    async fn observe(&self, desired: &Desired) -> Result<ProjectObservation, HostError> {
        if self.hung.has(desired.name()) {
            return Err(HostError::ObservationTimedOut { limit: LIMIT });
        }
        let given_up = CancellationToken::new();
        let mut look = self.begin(desired, given_up.clone());
        let _gives_up = given_up.drop_guard();
        let error = tokio::select! {
            looked = &mut look => match looked {
                // Only a look that was given up has nothing to say.
                Ok(looked) => return looked.unwrap_or(Err(HostError::Ending)),
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_) => return Err(HostError::Ending),
                },
            },
            () = self.over.cancelled() => HostError::Ending,
            () = tokio::time::sleep(LIMIT) => HostError::ObservationTimedOut { limit: LIMIT },
        };
        self.hung.keep(desired.name(), look);
        Err(error)
    }

    async fn git(&self, desired: &Desired) -> Fact<Option<GitState>> {
        self.host.git(desired).await
    }

    async fn execute(&self, desired: &Desired, request: StepRequest<'_>) -> StepReport {
        self.host.execute(desired, request).await
    }

    async fn prune(&self, images: &[String]) -> Vec<String> {
        self.over.run_until_cancelled(self.host.prune(images)).await.unwrap_or_default()
    }
}

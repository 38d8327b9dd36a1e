//! A host whose reads and steps end with undrift: within the grace period, and a read also at a limit of its own.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::mpsc,
    task::{AbortHandle, JoinError, JoinHandle},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::{
    api::{
        Clock, Desired, EachQuery, Entries, Expansion, Fact, GitState, LastWords, ProjectObservation, Step,
        StepOutcome,
    },
    files,
    host::{BuildCheckRequest, CheckedBuild, Host, HostError, LOOK_LIMIT, StepReport, StepRequest},
};

/// How long undrift waits for a step once its command should end: a command that must be killed takes 10 s as a rule, and at
/// most this long if the kernel is slow to reap it. It is part of the grace period.
pub(super) const STEP_END: Duration = Duration::from_secs(14);

/// How many reads may hang at once. Each keeps a thread, of which there are some five hundred (`cli::run`), and the reads
/// that return need some, too.
const MOST: usize = 256;

/// Reads that nobody waits for any more and that have not returned, by object and project directory. Such a read keeps its
/// threads: an object whose files hang must not take others at each attempt. It is not aborted, because its results are
/// remembered: the next read of a large build context is short.
#[derive(Debug, Default)]
pub(super) struct HungReads(Mutex<HashMap<ObjectLocation, AbortHandle>>);

/// An object's name and its project's location: an object declared elsewhere does not wait for the old file system.
type ObjectLocation = (String, PathBuf);

impl HungReads {
    fn has(&self, place: &ObjectLocation) -> bool {
        let mut all = self.lock();
        all.retain(|_, look| !look.is_finished());
        all.contains_key(place)
    }

    fn keep(&self, place: ObjectLocation, look: AbortHandle) {
        let mut all = self.lock();
        all.insert(place, look);
        if all.len() >= MOST {
            files::declare_spent();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectLocation, AbortHandle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The host, while undrift may still wait for it: an engine that hangs lets each request run into its time limit, and a read
/// makes several of them. A step handles the cancellation itself, because its outcome must be recorded.
///
/// Reads and steps have threads of their own. Files have theirs, too, and limits (`files`); anything that blocks in spite of
/// all that costs the thread and a slot for a while, never the loop, and never the shutdown.
pub(super) struct BoundedHost<H> {
    pub(super) host: Arc<H>,
    pub(super) over: CancellationToken,
    pub(super) hung_reads: Arc<HungReads>,
    /// It dates the records, and so the steps that have not come back.
    pub(super) clock: Clock,
}

impl<H: Host + 'static> BoundedHost<H> {
    /// Reads from the host within the limit; `Err` if undrift does not wait any longer.
    async fn read<T: Send + 'static>(
        &self,
        desired: &Desired,
        read: impl AsyncFnOnce(&H, &Desired) -> T + Send + 'static,
    ) -> Result<T, HostError> {
        let place = (desired.name().to_owned(), desired.directory.clone());
        let late = HostError::ObservationTimedOut { limit: LOOK_LIMIT };
        if self.hung_reads.has(&place) {
            return Err(late);
        }
        let (host, desired, over) = (Arc::clone(&self.host), desired.clone(), self.over.child_token());
        let mut look = on_a_thread(async move || over.run_until_cancelled(read(&host, &desired)).await);
        let error = tokio::select! {
            looked = &mut look => return returned(looked).flatten().ok_or(HostError::Ending),
            () = self.over.cancelled() => HostError::Ending,
            () = tokio::time::sleep(LOOK_LIMIT) => late,
        };
        self.hung_reads.keep(place, look.abort_handle());
        Err(error)
    }
}

/// Work that may block, on a thread that it may keep.
fn on_a_thread<T: Send + 'static>(work: impl AsyncFnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let (runtime, span) = (Handle::current(), tracing::Span::current());
    tokio::task::spawn_blocking(move || runtime.block_on(work().instrument(span)))
}

/// The result of a thread; a panic there panics here. `None` if the runtime ends.
fn returned<T>(joined: Result<T, JoinError>) -> Option<T> {
    match joined.map_err(JoinError::try_into_panic) {
        Ok(brought) => Some(brought),
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(_)) => None,
    }
}

impl<H: Host + 'static> Host for BoundedHost<H> {
    async fn observe(&self, desired: &Desired) -> Result<ProjectObservation, HostError> {
        self.read(desired, async |host: &H, desired: &Desired| host.observe(desired).await).await?
    }

    async fn entries(
        &self,
        desired: &Desired,
        queries: BTreeSet<EachQuery>,
    ) -> BTreeMap<EachQuery, Expansion> {
        let unknown = queries.clone();
        let read = self
            .read(desired, async |host: &H, desired: &Desired| host.entries(desired, queries).await)
            .await;
        read.unwrap_or_else(|error| {
            let expansion = |query: &EachQuery| Expansion {
                each: query.each.clone(),
                entries: Entries::Unknown(error.to_string()),
                ignored: Vec::new(),
            };
            unknown.iter().map(|query| (query.clone(), expansion(query))).collect()
        })
    }

    async fn project(&self, desired: &Desired) -> Result<String, HostError> {
        self.read(desired, async |host: &H, desired: &Desired| host.project(desired).await).await?
    }

    fn endpoint(&self) -> String {
        self.host.endpoint()
    }

    async fn git(&self, desired: &Desired) -> Fact<Option<GitState>> {
        let read = self.read(desired, async |host: &H, desired: &Desired| host.git(desired).await).await;
        read.unwrap_or_else(|error| Fact::unknown(error.to_string()))
    }

    async fn last_words(&self, desired: &Desired, containers: &[(String, String)]) -> Vec<LastWords> {
        self.over.run_until_cancelled(self.host.last_words(desired, containers)).await.unwrap_or_default()
    }

    async fn execute(&self, desired: &Desired, request: StepRequest<'_>) -> StepReport {
        let (started_at, began) = ((self.clock)(), Instant::now());
        let (sender, mut received) = mpsc::unbounded_channel();
        let own = OwnRequest::of(&request);
        let (host, desired) = (Arc::clone(&self.host), desired.clone());
        let mut step = on_a_thread(async move || {
            // Nobody receives it any more if undrift did not wait.
            let progress = |line: &str| drop(sender.send(line.to_owned()));
            host.execute(&desired, own.request(&progress)).await
        });
        let end = async {
            request.cancel.cancelled().await;
            tokio::time::sleep(STEP_END).await;
        };
        tokio::pin!(end);
        let report = loop {
            tokio::select! {
                biased;
                Some(line) = received.recv() => (request.progress)(&line),
                ended = &mut step => break returned(ended),
                () = &mut end => break None,
            }
        };
        // The rest of its output came with its end.
        while let Ok(line) = received.try_recv() {
            (request.progress)(&line);
        }
        report.unwrap_or_else(|| StepReport {
            outcome: StepOutcome::Cancelled,
            exit_code: None,
            command: Vec::new(),
            output: "undrift was asked to end, and the step had not come back: a file of the project, or the file system \
                     that it is on, may hang"
                .into(),
            notes: Vec::new(),
            started_at,
            duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    }

    async fn check_builds(
        &self,
        desired: &Desired,
        request: BuildCheckRequest<'_>,
    ) -> Result<Vec<CheckedBuild>, HostError> {
        let checked = self.over.run_until_cancelled(self.host.check_builds(desired, request)).await;
        checked.unwrap_or(Err(HostError::Ending))
    }

    async fn keep_verified(&self, project: &str, images: &BTreeMap<String, String>) {
        self.over.run_until_cancelled(self.host.keep_verified(project, images)).await;
    }

    async fn gone_images(&self, images: &BTreeSet<String>) -> BTreeSet<String> {
        self.over.run_until_cancelled(self.host.gone_images(images)).await.unwrap_or_default()
    }

    async fn prune(&self, images: &[String]) -> Vec<String> {
        self.over.run_until_cancelled(self.host.prune(images)).await.unwrap_or_default()
    }
}

/// A step's request that borrows nothing.
struct OwnRequest {
    step: Step,
    services: Vec<String>,
    rollback_to: BTreeMap<String, String>,
    examined: BTreeMap<String, Option<String>>,
    timeout: Duration,
    cancel: CancellationToken,
}

impl OwnRequest {
    fn of(request: &StepRequest<'_>) -> Self {
        Self {
            step: request.step,
            services: request.services.to_vec(),
            rollback_to: request.rollback_to.clone(),
            examined: request.examined.clone(),
            timeout: request.timeout,
            cancel: request.cancel.clone(),
        }
    }

    fn request<'a>(&'a self, progress: &'a (dyn Fn(&str) + Send + Sync)) -> StepRequest<'a> {
        StepRequest {
            step: self.step,
            services: &self.services,
            rollback_to: &self.rollback_to,
            examined: &self.examined,
            timeout: self.timeout,
            cancel: &self.cancel,
            progress,
        }
    }
}

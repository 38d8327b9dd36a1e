//! The host that undrift runs on.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::OwnedFd,
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt as _, future::join_all};
use tokio::sync::OnceCell;

use super::{
    BuildCheckRequest, Cache, CheckedBuild, Host, HostError, KeyedDigest, Sealed, StepReport, StepRequest,
    build_check::leftovers, content::ContentMemory, endpoint::Endpoint, engine::Engine, probe::Prober,
    sealed,
};
use crate::api::{Desired, EachQuery, Expansion, Fact, GitState, LastWords, ProjectObservation};

/// Returns a file that a step's command holds open while it lives: a lock that outlives a killed undrift.
pub type StepLockFile = Arc<dyn Fn() -> Option<OwnedFd> + Send + Sync>;

/// The real host: the engine that the docker CLI would use, Compose, and the files of this machine.
pub struct LocalHost {
    pub(super) engine: Engine,
    pub(super) prober: Prober,
    pub(super) cache: Arc<dyn Cache>,
    /// The files of images and containers that are compared with their source.
    pub(super) content_memory: Arc<ContentMemory>,
    pub(super) step_lock: Option<StepLockFile>,
    /// Digests of possible secrets, and the key that seals the cache.
    pub(super) digests: KeyedDigest,
    /// Whether that key outlives this process.
    pub(super) has_lasting_key: bool,
    /// How long an observation may take, unless the caller enforces that.
    look_limit: Option<Duration>,
    swept: OnceCell<()>,
}

impl LocalHost {
    /// Finds the engine as the docker CLI does. This sends no request yet: the first observation detects an unavailable engine,
    /// which may come back.
    ///
    /// # Errors
    /// [`HostError::EngineUnsupported`] for an address that undrift does not support.
    pub fn connect(cache: Arc<dyn Cache>, step_lock: Option<StepLockFile>) -> Result<Self, HostError> {
        let endpoint = Endpoint::resolve(&|name| std::env::var_os(name))?;
        Self::at(endpoint, cache, step_lock)
    }

    /// The same with an engine at a known address.
    ///
    /// # Errors
    /// [`HostError::Engine`] if no HTTP client can be built.
    pub fn at(
        endpoint: Endpoint,
        cache: Arc<dyn Cache>,
        step_lock: Option<StepLockFile>,
    ) -> Result<Self, HostError> {
        let prober = Prober::new().map_err(|error| HostError::Engine {
            action: "be asked over HTTP".into(),
            cause: error.to_string(),
        })?;
        Ok(Self {
            engine: Engine::new(endpoint),
            prober,
            cache,
            content_memory: Arc::default(),
            step_lock,
            digests: sealed::of_this_process(),
            has_lasting_key: false,
            look_limit: None,
            swept: OnceCell::new(),
        })
    }

    /// The same with a lasting key: later processes can read its cache, and it reports the inputs that projects are resolved
    /// from.
    #[must_use]
    pub fn with_digests(mut self, digests: Option<KeyedDigest>) -> Self {
        if let Some(digests) = digests {
            self.digests = digests;
            self.has_lasting_key = true;
        }
        self
    }

    /// The same with a time limit for each observation, however slowly the engine answers: a command that observes once ends. A
    /// daemon enforces its own, and lets a longer observation go on.
    #[must_use]
    pub const fn with_look_limit(mut self, limit: Duration) -> Self {
        self.look_limit = Some(limit);
        self
    }

    /// The work, within the time limit of an observation.
    pub(super) fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, HostError>>,
    ) -> impl Future<Output = Result<T, HostError>> {
        // It is large: its callers' futures need not be.
        let (work, limit) = (Box::pin(work), self.look_limit);
        async move {
            let Some(limit) = limit else { return work.await };
            let late = Err(HostError::ObservationTimedOut { limit });
            tokio::time::timeout(limit, work).await.unwrap_or(late)
        }
    }

    /// Its cache of projects.
    pub(super) fn memory(&self) -> Sealed<'_> {
        Sealed { cache: &*self.cache, digest: &self.digests }
    }

    /// The same for an undrift that runs in this container, whatever the system reports.
    #[must_use]
    pub fn as_if_in(mut self, container: &str) -> Self {
        self.engine = self.engine.as_if_in(container);
        self
    }

    /// The engine, for further requests.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Waits until no look-up container is left; call it before the process ends.
    pub async fn settle(&self, limit: Duration) {
        self.engine.settle(limit).await;
    }

    /// The engine's ID; `None` if it does not report one, or none that lasts. The request is expensive (8 ms here), so undrift
    /// caches the ID while the engine's socket is the same file: an engine creates its socket when it starts.
    pub(super) async fn engine_id(&self) -> Option<String> {
        const SPACE: &str = "engine";
        let socket = self.engine.endpoint().socket_file();
        if let Some(known) = socket.as_ref().and_then(|socket| self.cache.get(SPACE, socket)) {
            return Some(known);
        }
        match self.engine.id().await {
            Ok(id) => {
                if let (Some(id), Some(socket)) = (&id, &socket) {
                    self.cache.put(SPACE, socket, id);
                }
                id
            }
            Err(error) => {
                tracing::debug!(%error, "the engine does not report its ID");
                None
            }
        }
    }

    /// At the first observation: removes the look-up containers of a killed undrift, and its builds to compare. A failure is only
    /// logged, because the observation itself reports an unavailable engine.
    pub(super) async fn sweep_once(&self) {
        let sweep = async {
            let (looked_up, ()) = tokio::join!(self.engine.sweep_lookups(), leftovers::end_and_remove());
            // An image cannot go before its containers, nor for good before its build has ended.
            let swept = match looked_up {
                Ok(_) => self.engine.sweep_check_images().await,
                failed => failed,
            };
            swept.map(drop).map_err(|error| tracing::debug!(%error, "leftovers could not be swept"))
        };
        let _ = self.swept.get_or_try_init(|| sweep).await;
    }
}

impl Host for LocalHost {
    async fn observe(&self, desired: &Desired) -> Result<ProjectObservation, HostError> {
        match self.in_time(self.look(desired)).await {
            Ok(observed) => Ok(observed),
            Err(error) => Err(self.error_without_secrets(desired, error).await),
        }
    }

    async fn entries(
        &self,
        desired: &Desired,
        queries: BTreeSet<EachQuery>,
    ) -> BTreeMap<EachQuery, Expansion> {
        let listed = queries.into_iter().map(async |query| {
            let expansion = super::source::entries(&desired.directory, &query).await;
            (query, expansion)
        });
        join_all(listed).await.into_iter().collect()
    }

    async fn project(&self, desired: &Desired) -> Result<String, HostError> {
        let resolve = async {
            let expected = self.expected_revisions(desired).await;
            let with = expected.in_variables(desired);
            let resolved = super::compose::resolve(&with, self.engine.endpoint(), self.memory()).await;
            resolved.map_err(|error| expected.explain(desired, error))
        };
        match self.in_time(resolve).await {
            Ok(resolved) => Ok(resolved.model.name),
            Err(error) => Err(self.error_without_secrets(desired, error).await),
        }
    }

    fn endpoint(&self) -> String {
        self.engine.endpoint().canonical()
    }

    async fn git(&self, desired: &Desired) -> Fact<Option<GitState>> {
        super::source::git_state(&desired.directory).await
    }

    async fn last_words(&self, desired: &Desired, containers: &[(String, String)]) -> Vec<LastWords> {
        // A container prints values that it was given, not all of which are in its environment.
        let known = async {
            let desired = &*self.with_revisions(desired).await;
            match super::compose::resolve(desired, self.engine.endpoint(), self.memory()).await {
                Ok(resolved) => self.all_secrets(desired, &resolved).await,
                Err(_) => self.known_secrets(desired).await,
            }
        };
        let known = known.boxed().shared();
        let all = containers.iter().map(|(service, id)| self.engine.last_words(service, id, known.clone()));
        join_all(all).await.into_iter().flatten().collect()
    }

    async fn execute(&self, desired: &Desired, request: StepRequest<'_>) -> StepReport {
        // The revisions as of this moment: what a build is given must be what it is built from.
        let expected = self.revisions_of_variables(desired).await;
        let unknown = expected.unknown_variables(desired);
        let report = self.step(&expected.in_variables(desired), &unknown, request).await;
        // Whatever it did: what is verified after it is looked at again.
        self.content_memory.forget_containers(desired.name());
        report
    }

    async fn check_builds(
        &self,
        desired: &Desired,
        request: BuildCheckRequest<'_>,
    ) -> Result<Vec<CheckedBuild>, HostError> {
        // As for a step: what a build is given must be what it is built from.
        let expected = self.expected_revisions(desired).await;
        let checked = match expected.refused(desired) {
            // A build without it would be compared as one with it.
            Some(unknown) => Err(unknown),
            None => self.checked_builds(&expected.in_variables(desired), &request).await,
        };
        match checked.map_err(|error| expected.explain(desired, error)) {
            Ok(checked) => Ok(checked),
            Err(error) => Err(self.error_without_secrets(desired, error).await),
        }
    }

    async fn keep_verified(&self, project: &str, images: &BTreeMap<String, String>) {
        for (service, image) in images {
            // The next observation will retry.
            if let Err(error) = self.engine.keep_verified(project, service, image).await {
                tracing::warn!(project, %service, %image, %error, "a verified image could not be kept by a tag");
            }
        }
    }

    async fn gone_images(&self, images: &BTreeSet<String>) -> BTreeSet<String> {
        let mut gone = BTreeSet::new();
        for image in images {
            match self.engine.image_id(image).await {
                Ok(Some(_)) => {}
                Ok(None) => drop(gone.insert(image.clone())),
                Err(error) => tracing::debug!(%image, %error, "whether an image is there is not known"),
            }
        }
        gone
    }

    async fn prune(&self, images: &[String]) -> Vec<String> {
        let mut gone = Vec::new();
        for image in images {
            match self.engine.remove_superseded(image).await {
                Ok(true) => gone.push(image.clone()),
                Ok(false) => {}
                // A superfluous image costs a little space, and another reconcile will retry.
                Err(error) => tracing::debug!(%image, %error, "a superseded image could not be removed"),
            }
        }
        gone
    }
}

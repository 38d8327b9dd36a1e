//! The connection: the one place that knows addresses, time limits and the engine's errors.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use bollard::{ClientVersion, Docker, errors::Error as BollardError};
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};
use tokio_util::task::TaskTracker;

use super::{
    OwnContainer, archive::ARCHIVES, availability::EngineAvailability, content_watch::ContentWatch,
    request::EngineRequest,
};
use crate::{
    host::{HostError, endpoint::Endpoint, ms_since, redact::Redactor},
    interference::OwnActivity,
};

/// The longest that one request may take, including the body of its answer. bollard's own limit ends at the headers.
pub const CALL_LIMIT: Duration = Duration::from_secs(10);

/// How many requests are open at once. Each takes some milliseconds, and a host that observes many projects at once, as at a
/// start, must not stampede the engine that runs them.
const AT_ONCE: usize = 8;

/// How long a request keeps its permit from others. One that takes longer usually concerns something that hangs: a container
/// that the engine cannot lock, or a store that it cannot reach.
const SHARE: Duration = Duration::from_secs(1);

/// How many requests may be open at once beyond their share. With as many, the next ones keep their permit.
const OVERDUE: usize = 56;

/// How long a request may wait for its permit.
const LINE_LIMIT: Duration = Duration::from_secs(30);

/// How long an engine behind TCP may take to accept: undrift must detect an unavailable host within seconds.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// The oldest API that undrift is tested against (engine 20.10).
///
/// bollard 0.21.1 sends no version in its paths at all (`Uri::parse` joins an absolute path over the one with the version), so
/// the engine answers at its own newest, and neither `/version` (4.5 ms here) nor a ping is needed first. If bollard fixes
/// that, it will send this version.
const API_VERSION: ClientVersion = ClientVersion { major_version: API_OLDEST.0, minor_version: API_OLDEST.1 };

/// The same as numbers: an engine whose newest API is older is not supported.
pub const API_OLDEST: (usize, usize) = (1, 41);

/// One engine. Cheap to clone; it connects at the first request.
#[derive(Clone)]
pub struct Engine {
    endpoint: Endpoint,
    limit: Duration,
    docker: Arc<OnceLock<Docker>>,
    permits: Arc<Semaphore>,
    overdue: Arc<Semaphore>,
    /// How many archives are read at once.
    pub(super) archives: Arc<Semaphore>,
    /// The containers whose files are compared.
    pub(in crate::host) content_watch: Arc<ContentWatch>,
    pub(super) lookups: TaskTracker,
    pub(super) presence: Arc<EngineAvailability>,
    pub(super) own_container: Arc<OwnContainer>,
    pub(super) podman: Arc<OnceCell<bool>>,
    pub(super) own_activity: Arc<OwnActivity>,
    /// The running containers that are being stopped by project, and since when.
    pub(super) stopping: Arc<Mutex<BTreeMap<String, BTreeMap<String, i64>>>>,
    /// The containers in `removing` by project, and since when each has been seen so.
    pub(super) removing: Arc<Mutex<BTreeMap<String, BTreeMap<String, i64>>>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("endpoint", &self.endpoint.docker_host()).finish_non_exhaustive()
    }
}

/// Why the engine gave no usable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// No process listens, or the connection broke.
    #[error("no engine answers: {0}")]
    Unavailable(String),
    /// It accepted, and then did not answer in time.
    #[error("the engine did not answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// It has nothing of that name.
    #[error("the engine reports: {0}")]
    NotFound(String),
    /// It refused.
    #[error("the engine reports: {message} ({status})")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its message; empty for a request whose answer has no body.
        message: String,
    },
    /// Its answer cannot be parsed.
    #[error("the engine's answer cannot be read: {0}")]
    Malformed(String),
    /// Its answer lacks a field that every engine sends: a missing value is unknown.
    #[error("the engine's answer to {request} has no {field}")]
    Incomplete {
        /// The request: `GET /containers/ID/json`.
        request: String,
        /// The missing field: `State.Status`.
        field: String,
    },
}

/// The words of an engine's message about a missing image or container. Docker: `No such image: …`, `No such container: …`
/// (20.10, 28.5); Podman: `image not known`, `no such container` (5.8).
const ABSENCE: [&str; 2] = ["no such ", "not known"];

impl EngineError {
    /// Whether this error means that the engine has no such image or container. Another 404 comes from a server that knows
    /// neither, such as a proxy that cannot reach the engine.
    #[must_use]
    pub(super) fn is_absent(&self) -> bool {
        let Self::NotFound(message) = self else { return false };
        let message = message.to_lowercase();
        ABSENCE.iter().any(|words| message.contains(words))
    }

    /// The same as the reason why the whole project cannot be observed.
    #[must_use]
    pub fn into_host_error(self, endpoint: &Endpoint, action: &str) -> HostError {
        let endpoint = endpoint.docker_host();
        match self {
            Self::Unavailable(cause) => HostError::EngineUnavailable { endpoint, cause },
            Self::TimedOut(limit) => HostError::EngineUnavailable {
                endpoint,
                cause: format!("it accepts, but does not answer within {} ms", limit.as_millis()),
            },
            Self::NotFound(cause) | Self::Malformed(cause) => {
                HostError::Engine { action: action.into(), cause }
            }
            Self::Incomplete { .. } => HostError::Engine { action: action.into(), cause: self.to_string() },
            Self::Refused { status, message } => {
                HostError::Engine { action: action.into(), cause: format!("{message} ({status})") }
            }
        }
    }
}

impl From<BollardError> for EngineError {
    fn from(error: BollardError) -> Self {
        match error {
            // The engine quotes the request, including a URL with a password.
            BollardError::DockerResponseServerError { status_code: 404, message } => {
                Self::NotFound(Redactor::of_this_process().text(&message))
            }
            BollardError::DockerResponseServerError { status_code, message } => {
                let message = Redactor::of_this_process().text(&message);
                Self::Refused { status: status_code, message }
            }
            BollardError::RequestTimeoutError => Self::TimedOut(CALL_LIMIT),
            BollardError::SocketNotFoundError(path) => {
                Self::Unavailable(format!("there is no socket at {path}"))
            }
            error @ (BollardError::HyperLegacyError { .. }
            | BollardError::HyperResponseError { .. }
            | BollardError::IOError { .. }) => Self::Unavailable(deepest(&error)),
            error => Self::Malformed(deepest(&error)),
        }
    }
}

/// The message of the innermost cause, which is the system's own.
fn deepest(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    Redactor::of_this_process().text(&error.to_string())
}

impl Engine {
    /// The engine at this address.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            limit: CALL_LIMIT,
            docker: Arc::default(),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            overdue: Arc::new(Semaphore::new(OVERDUE)),
            archives: Arc::new(Semaphore::new(ARCHIVES)),
            content_watch: Arc::default(),
            lookups: TaskTracker::new(),
            presence: Arc::default(),
            own_container: Arc::new(OwnContainer::detect()),
            own_activity: Arc::default(),
            podman: Arc::default(),
            stopping: Arc::default(),
            removing: Arc::default(),
        }
    }

    /// The same with another limit than [`CALL_LIMIT`], at most that.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit.min(CALL_LIMIT);
        self
    }

    /// The same for an undrift that runs in this container, whatever the system reports.
    #[must_use]
    pub fn as_if_in(mut self, container: &str) -> Self {
        self.own_container = Arc::new(OwnContainer::known(container));
        self
    }

    /// The longest that a request may take.
    pub(super) const fn limit(&self) -> Duration {
        self.limit
    }

    /// Its address.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The host on which its published ports are reachable: this one's loopback address, or the engine's own.
    #[must_use]
    pub fn endpoint_host(&self) -> &str {
        match &self.endpoint {
            Endpoint::Unix(_) => "127.0.0.1",
            Endpoint::Tcp(address) => {
                let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
                host.trim_start_matches('[').trim_end_matches(']')
            }
        }
    }

    /// Whether its containers' own addresses are reachable from here.
    #[must_use]
    pub fn is_on_this_host(&self) -> bool {
        let host = self.endpoint_host();
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// One request, with the usual time limit, once it gets a permit.
    pub(super) async fn call<'a, T, F>(&self, question: impl FnOnce(Docker) -> F) -> Result<T, EngineError>
    where
        F: Future<Output = Result<T, BollardError>> + 'a,
    {
        let permit = self.permit().await?;
        let mut answer = Box::pin(self.call_at_once(question));
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            () = tokio::time::sleep(SHARE) => {}
        }
        // A request that hangs must not keep others from an answer.
        let overdue = self.overdue.try_acquire();
        let _kept = if overdue.is_ok() {
            drop(permit);
            None
        } else {
            Some(permit)
        };
        answer.await
    }

    /// The same for a named request; the error for an unreadable answer includes the name.
    pub(super) async fn ask<'a, T, F>(
        &self,
        request: &EngineRequest,
        question: impl FnOnce(Docker) -> F,
    ) -> Result<T, EngineError>
    where
        F: Future<Output = Result<T, BollardError>> + 'a,
    {
        self.call(question).await.map_err(|error| request.named(error))
    }

    /// The same, but a failure does not mark the engine as unavailable: a proxy in front of it may cut this request alone.
    pub(super) async fn call_aside<'a, T, F>(
        &self,
        question: impl FnOnce(Docker) -> F,
    ) -> Result<T, EngineError>
    where
        F: Future<Output = Result<T, BollardError>> + 'a,
    {
        let _permit = self.permit().await?;
        self.answer(question).await
    }

    /// The wait has a limit of its own: a long queue does not mean that the engine is slow.
    pub(super) async fn permit(&self) -> Result<SemaphorePermit<'_>, EngineError> {
        match tokio::time::timeout(LINE_LIMIT, self.permits.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(EngineError::TimedOut(LINE_LIMIT)),
        }
    }

    /// The same without waiting for a permit: whether the engine is there must be known however long the queue is.
    pub(super) async fn call_at_once<'a, T, F>(
        &self,
        question: impl FnOnce(Docker) -> F,
    ) -> Result<T, EngineError>
    where
        F: Future<Output = Result<T, BollardError>> + 'a,
    {
        // The request is a closure, whose type contains the name of the calling function.
        let asker = std::any::type_name_of_val(&question);
        let began = Instant::now();
        let answer = self.answer(question).await;
        // One request that is not answered in time may concern one thing that hangs: that is no outage.
        if !matches!(answer, Err(EngineError::TimedOut(_))) {
            let there = !matches!(answer, Err(EngineError::Unavailable(_)));
            self.presence.note(there, chrono::Utc::now());
        }
        // Never log the answer: it holds the environment of containers.
        tracing::debug!(asker = name_of(asker), ok = answer.is_ok(), ms = ms_since(began), "engine asked");
        answer
    }

    async fn answer<'a, T, F>(&self, question: impl FnOnce(Docker) -> F) -> Result<T, EngineError>
    where
        F: Future<Output = Result<T, BollardError>> + 'a,
    {
        let docker = self.docker().await?;
        match tokio::time::timeout(self.limit, question(docker)).await {
            Ok(answer) => answer.map_err(EngineError::from),
            Err(_) => Err(EngineError::TimedOut(self.limit)),
        }
    }

    pub(super) async fn docker(&self) -> Result<Docker, EngineError> {
        if let Some(docker) = self.docker.get() {
            return Ok(docker.clone());
        }
        let seconds = CALL_LIMIT.as_secs();
        let docker = match &self.endpoint {
            Endpoint::Unix(path) => {
                Docker::connect_with_unix(&path.to_string_lossy(), seconds, &API_VERSION)?
            }
            Endpoint::Tcp(address) => {
                reach(address).await?;
                Docker::connect_with_http(address, seconds, &API_VERSION)?
            }
        };
        Ok(self.docker.get_or_init(|| docker).clone())
    }
}

/// The function in the type's name of a closure: `list` of `undrift::host::engine::…::list::{{closure}}`.
fn name_of(closure: &str) -> &str {
    closure.rsplit("::").find(|part| !part.starts_with('{')).unwrap_or(closure)
}

/// Whether a TCP address accepts connections; hyper's connector has no limit of its own for that.
async fn reach(address: &str) -> Result<(), EngineError> {
    match tokio::time::timeout(CONNECT_LIMIT, tokio::net::TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(EngineError::Unavailable(error.to_string())),
        Err(_) => Err(EngineError::Unavailable(format!(
            "the host does not accept a connection within {} s",
            CONNECT_LIMIT.as_secs()
        ))),
    }
}

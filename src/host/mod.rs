//! Every effect on the host, behind one narrow trait.

mod cache_folder;
pub mod compose;
mod definitions;
mod difference;
mod differing;
pub(crate) mod docker_config;
pub mod endpoint;
pub mod engine;
mod examined;
mod execute;
pub mod gate;
mod jobs;
mod joins;
mod known_secrets;
mod local;
mod observe;
mod obstacles;
mod ports;
pub mod probe;
pub mod process;
mod redact;
pub(crate) mod reference;
mod related;
mod sealed;
pub mod source;
mod sources;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
};

pub use crate::api::{Cache, FailureReason, StepReport};
pub use cache_folder::{CacheFolder, TwoCaches};
pub use local::{LocalHost, StepLockFile};
pub use sealed::{KeyedDigest, Sealed, of_this_process as keyed_by_this_process};
use tokio_util::sync::CancellationToken;

use crate::{
    api::{Desired, Fact, GitState, LastWords, Pointed, ProjectObservation, Step},
    files::Hangs,
};

/// A host that runs Compose projects: the real one, or a fake for tests.
///
/// # Guarantees
/// `observe` changes nothing that an object names. `execute` touches only the services that it is given.
pub trait Host: Send + Sync {
    /// One look at every layer of every service of the object.
    ///
    /// # Errors
    /// Where nothing can be said at all: no engine, Compose files that Compose refuses, a service that the
    /// project does not have. What cannot be seen in part is `Fact::Unknown` in the observation instead.
    fn observe(
        &self,
        desired: &Desired,
    ) -> impl Future<Output = Result<ProjectObservation, HostError>> + Send;

    /// The name of the Compose project, as Compose resolves it.
    ///
    /// # Errors
    /// Where Compose is missing or refuses the project.
    fn project(&self, desired: &Desired) -> impl Future<Output = Result<String, HostError>> + Send;

    /// The address of the engine, the same for all ways to write it.
    fn endpoint(&self) -> String;

    /// The git work tree that the project directory is in; `Known(None)` where it is in none. It is evidence, and
    /// nothing depends on it: git is asked where there is something to tell, not at every look.
    fn git(&self, desired: &Desired) -> impl Future<Output = Fact<Option<GitState>>> + Send;

    /// How these containers stand or ended, with the last lines that they printed: asked just before a step may replace them,
    /// for with a container both are gone. By service and ID; one that is gone already is left out.
    fn last_words(
        &self,
        desired: &Desired,
        containers: &[(String, String)],
    ) -> impl Future<Output = Vec<LastWords>> + Send;

    /// One step. Never fails as a function: how it ended is in the report.
    fn execute(&self, desired: &Desired, request: StepRequest<'_>)
    -> impl Future<Output = StepReport> + Send;

    /// Gives each of these images, by service of a Compose project, the tag of what was verified, so that nobody's build
    /// takes it away. The only thing that undrift changes on an engine besides its steps.
    fn keep_verified(
        &self,
        project: &str,
        images: &BTreeMap<String, String>,
    ) -> impl Future<Output = ()> + Send;

    /// Those of these image IDs that the engine no longer has. Where it does not answer none is called gone.
    fn gone_images(&self, images: &BTreeSet<String>) -> impl Future<Output = BTreeSet<String>> + Send;

    /// Removes those of these image IDs that have no tag and no container; returns the ones that are gone. Never
    /// forces.
    fn prune(&self, images: &[String]) -> impl Future<Output = Vec<String>> + Send;
}

/// How long a look is waited for. What it asks the engine and Compose has limits far below, and so has each access to a file;
/// a large build context on a slow disk takes its minutes.
pub const LOOK_LIMIT: std::time::Duration = std::time::Duration::from_secs(300);

/// A step with what is needed to carry it out.
pub struct StepRequest<'a> {
    /// What to do.
    pub step: Step,
    /// For which services.
    pub services: &'a [String],
    /// For a rollback: the image ID (`sha256:…`) to put back, by service.
    pub rollback_to: &'a BTreeMap<String, String>,
    /// For an `Up`: the image ID that the look examined, by service; `None` where there was no image. Services of which that
    /// was not seen are left out.
    pub examined: &'a BTreeMap<String, Option<String>>,
    /// The limit of the step's command.
    pub timeout: std::time::Duration,
    /// Ends the command cleanly when it is cancelled.
    pub cancel: &'a CancellationToken,
    /// Takes each line that the command prints, for a person who waits. Control bytes are removed already.
    pub progress: &'a (dyn Fn(&str) + Send + Sync),
}

/// A cache that remembers nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCache;

impl Cache for NoCache {
    fn get(&self, _: &str, _: &str) -> Option<String> {
        None
    }

    fn put(&self, _: &str, _: &str, _: &str) {}
}

/// Why nothing can be said about a project.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// No engine answers where the docker CLI would look for it.
    #[error("no engine answers at {endpoint}: {cause}")]
    EngineUnavailable {
        /// Where it was looked for.
        endpoint: String,
        /// What happened there.
        cause: String,
    },
    /// The engine's address is of a kind that undrift does not speak.
    #[error("cannot use the engine at {endpoint}: {cause}")]
    EngineUnsupported {
        /// The address.
        endpoint: String,
        /// Why, and what to do.
        cause: String,
    },
    /// The recorded state of the object is of another engine.
    #[error(
        "the recorded state of {object} is of the engine {recorded}, and this is the engine {here}: no step was taken, and \
         the record stays as it was; unset DOCKER_HOST or choose the docker context of that engine, or keep another state for \
         this one (--state-dir DIR); if {object} has moved to this engine for good, `undrift retry {object}`"
    )]
    OtherEngine {
        /// The object.
        object: String,
        /// The engine that the record is of: its ID, where it has one, and its address.
        recorded: String,
        /// This one.
        here: String,
    },
    /// undrift was asked to end, and would not wait any longer.
    #[error("undrift was asked to end before the host had answered")]
    Ending,
    /// A look took so long that it was given up.
    #[error(
        "the look was given up after {} s: a file of the project, or the file system that it is on, may hang, or the engine \
         answers too slowly",
        limit.as_secs()
    )]
    ObservationTimedOut {
        /// How long it was waited for.
        limit: std::time::Duration,
    },
    /// A file that the project is made of does not answer: what it is on hangs.
    #[error("{0}")]
    FileHangs(String),
    /// A file that the project is made of is none that can be read to its end.
    #[error("the project in {directory} cannot be read: {cause}")]
    FileUnusable {
        /// The project directory.
        directory: String,
        /// Which, and what it is.
        cause: String,
    },
    /// The docker CLI's own configuration is none that can be read.
    #[error("the docker CLI's configuration cannot be used: {cause}")]
    DockerConfigUnusable {
        /// The folder or the file.
        path: String,
        /// Which, and what it is.
        cause: String,
    },
    /// `docker compose` is not there, or is version 1.
    #[error("Compose v2 is needed: {0}")]
    ComposeMissing(String),
    /// Compose refuses the project's own files.
    #[error("docker compose refuses the project in {directory}: {cause}")]
    ComposeRefused {
        /// The project directory.
        directory: String,
        /// What Compose said.
        cause: String,
    },
    /// The Compose files use a variable that is not set. Compose would put a blank in its place; an operator
    /// must not.
    #[error("the Compose files of {directory} {}", unset(variables, dollars))]
    UnsetVariables {
        /// The project directory.
        directory: String,
        /// Their names.
        variables: Vec<String>,
        /// Where a dollar sign stands that Compose takes for the beginning of one more, and that is most likely meant as such:
        /// file and line. What follows it is not told, for it may be a part of a password.
        dollars: Vec<String>,
    },
    /// The manifest names services that the Compose project does not have.
    #[error("{}", in_a_line(manifest, unknown))]
    NoSuchService {
        /// The manifest.
        manifest: String,
        /// All of them, in the order of the manifest.
        unknown: Vec<Pointed>,
    },
    /// An object that is declared before this one has some of its services.
    #[error("{}", in_a_line(manifest, taken))]
    ServiceTaken {
        /// The manifest.
        manifest: String,
        /// All of them, in the order of the manifest, each with the other's place.
        taken: Vec<Pointed>,
    },
    /// Two services build into one image reference: the last one would win.
    #[error("the services {first} and {second} both build the image {image}: give each its own `image:`")]
    SharedImage {
        /// One service.
        first: String,
        /// The other.
        second: String,
        /// The reference.
        image: String,
    },
    /// The engine answered a question that everything else rests on with an error.
    #[error("the engine could not {action}: {cause}")]
    Engine {
        /// What was asked.
        action: String,
        /// What it said.
        cause: String,
    },
}

impl From<Hangs> for HostError {
    fn from(hangs: Hangs) -> Self {
        Self::FileHangs(hangs.to_string())
    }
}

impl HostError {
    /// The error's name for conditions.
    #[must_use]
    pub const fn reason(&self) -> FailureReason {
        match self {
            Self::EngineUnavailable { .. } => FailureReason::EngineUnavailable,
            Self::EngineUnsupported { .. } => FailureReason::EngineUnsupported,
            Self::OtherEngine { .. } => FailureReason::OtherEngine,
            Self::Ending => FailureReason::Ending,
            Self::ObservationTimedOut { .. } => FailureReason::ObservationTimedOut,
            Self::FileHangs(_) => FailureReason::FileHangs,
            Self::FileUnusable { .. } => FailureReason::FileUnusable,
            Self::DockerConfigUnusable { .. } => FailureReason::DockerConfigUnusable,
            Self::ComposeMissing(_) => FailureReason::ComposeMissing,
            Self::ComposeRefused { .. } => FailureReason::ComposeRefused,
            Self::UnsetVariables { .. } => FailureReason::UnsetVariables,
            Self::NoSuchService { .. } => FailureReason::NoSuchService,
            Self::ServiceTaken { .. } => FailureReason::ServiceTaken,
            Self::SharedImage { .. } => FailureReason::SharedImage,
            Self::Engine { .. } => FailureReason::EngineError,
        }
    }

    /// What a person can do about it: a command where one exists. `None` where the error says so itself, or it is to be
    /// waited for.
    #[must_use]
    pub fn next(&self) -> Option<String> {
        Some(match self {
            Self::UnsetVariables { directory, variables, .. } if variables.is_empty() => format!(
                "write $$ for each dollar sign that is meant as such; then docker compose --project-directory {directory} config \
                 --quiet says nothing"
            ),
            Self::UnsetVariables { directory, variables, .. } => {
                let assignments: Vec<String> = variables.iter().map(|name| format!("{name}=…")).collect();
                format!(
                    "echo '{}' >> {directory}/.env, or set them for undrift itself; then docker compose --project-directory \
                     {directory} config --quiet says nothing",
                    assignments.join("' '")
                )
            }
            Self::ComposeRefused { directory, .. } => format!(
                "docker compose --project-directory {directory} config --quiet says it whole, until it is put right"
            ),
            Self::NoSuchService { .. } => {
                "docker compose config --services lists the services of the project; one behind a \
                                           profile needs `project.profiles`"
                    .into()
            }
            Self::SharedImage { .. } => "give each of the two its own `image:` in the Compose files".into(),
            Self::ComposeMissing(_) => "docker compose version".into(),
            Self::DockerConfigUnusable { path, .. } => {
                format!(
                    "put right what is at {path}, or have DOCKER_CONFIG name the folder of another configuration"
                )
            }
            Self::ServiceTaken { .. } => "declare all of a service in one object".into(),
            _ => return None,
        })
    }

    /// Why a file of the project was not read.
    pub(crate) fn unusable(desired: &Desired, error: &std::io::Error) -> Self {
        if Hangs::is_why(error) {
            return Self::FileHangs(error.to_string());
        }
        Self::FileUnusable { directory: desired.directory.display().to_string(), cause: error.to_string() }
    }

    /// Whether it can pass by itself: the engine is away, or was not waited for. All others need a person.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::EngineUnavailable { .. }
                | Self::Engine { .. }
                | Self::Ending
                | Self::ObservationTimedOut { .. }
                | Self::FileHangs(_)
        )
    }
}

/// What is wrong with the variables, in words.
fn unset(variables: &[String], dollars: &[String]) -> String {
    let named =
        (!variables.is_empty()).then(|| format!("use variables that are not set: {}", variables.join(", ")));
    let others = (!dollars.is_empty()).then(|| {
        format!(
            "have a $ that begins no variable that is set, and is to be $$ if it is meant as such: {}",
            dollars.join(", ")
        )
    });
    [named, others].into_iter().flatten().collect::<Vec<_>>().join("; they ")
}

/// Each with its place and what was meant, for a status and the log.
fn in_a_line(manifest: &str, all: &[Pointed]) -> String {
    let one = |pointed: &Pointed| {
        let Pointed { line, column, message, help, .. } = pointed;
        let help = help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{manifest}:{line}:{column}: {message}{help}")
    };
    all.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// For the log: the time since then in milliseconds. As an integer of 128 bits it would be a text in JSON.
pub(crate) fn ms_since(began: std::time::Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

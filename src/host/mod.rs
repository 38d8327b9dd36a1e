//! Every effect on the host, behind one narrow trait.

mod build_check;
mod cache_folder;
pub mod compose;
mod content;
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
mod mounted;
mod observe;
mod obstacles;
mod ports;
pub mod probe;
pub mod process;
mod redact;
mod related;
mod revision;
mod sealed;
pub mod source;
mod source_paths;
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
    api::{
        BuildCheck, Desired, EachQuery, Expansion, Fact, GitState, LastWords, Pointed, ProjectObservation,
        Step,
    },
    files::Hangs,
};

/// A host that runs Compose projects: the real one, or a fake for tests.
///
/// # Guarantees
/// `observe` changes nothing that an object names. `execute` touches only the given services.
pub trait Host: Send + Sync {
    /// One observation of every layer of every service of the object.
    ///
    /// # Errors
    /// If nothing can be observed at all: no engine, Compose files that Compose refuses, a service that the project does not
    /// have. A part that cannot be observed is `Fact::Unknown` in the observation instead.
    fn observe(
        &self,
        desired: &Desired,
    ) -> impl Future<Output = Result<ProjectObservation, HostError>> + Send;

    /// What is in the folders that these queries of an object's `each` name. A folder that cannot be listed is unknown.
    fn entries(
        &self,
        desired: &Desired,
        queries: BTreeSet<EachQuery>,
    ) -> impl Future<Output = BTreeMap<EachQuery, Expansion>> + Send;

    /// The name of the Compose project, as Compose resolves it.
    ///
    /// # Errors
    /// If Compose is missing or refuses the project.
    fn project(&self, desired: &Desired) -> impl Future<Output = Result<String, HostError>> + Send;

    /// The address of the engine, equal for all its spellings.
    fn endpoint(&self) -> String;

    /// The git work tree of the project directory; `Known(None)` if there is none. It is evidence, and nothing depends on it:
    /// undrift runs git if there is something to report, not at every observation.
    fn git(&self, desired: &Desired) -> impl Future<Output = Fact<Option<GitState>>> + Send;

    /// How these containers stand or ended, with their last lines of output. undrift asks just before a step may replace them,
    /// because both go with the container. By service and ID; missing containers are left out.
    fn last_words(
        &self,
        desired: &Desired,
        containers: &[(String, String)],
    ) -> impl Future<Output = Vec<LastWords>> + Send;

    /// One step. Never fails as a function: the report contains the outcome.
    fn execute(&self, desired: &Desired, request: StepRequest<'_>)
    -> impl Future<Output = StepReport> + Send;

    /// Builds each service that has a `build:` and an image under a name of undrift's own, compares the two images, and removes
    /// the new one. Containers and all other names stay as they are. One answer for each such service, in the order of the spec;
    /// once cancelled, for those so far.
    ///
    /// # Errors
    /// As [`observe`](Self::observe). A build that fails is an answer.
    fn check_builds(
        &self,
        desired: &Desired,
        request: BuildCheckRequest<'_>,
    ) -> impl Future<Output = Result<Vec<CheckedBuild>, HostError>> + Send;

    /// Gives each of these images, by service of a Compose project, the tag of a verified image, so that no other build takes
    /// it away. The only change that undrift makes on an engine besides its steps.
    fn keep_verified(
        &self,
        project: &str,
        images: &BTreeMap<String, String>,
    ) -> impl Future<Output = ()> + Send;

    /// The image IDs among these that the engine no longer has. If it does not answer, none counts as gone.
    fn gone_images(&self, images: &BTreeSet<String>) -> impl Future<Output = BTreeSet<String>> + Send;

    /// Removes the images among these that have no tag and no container; returns the removed ones. Never forces.
    fn prune(&self, images: &[String]) -> impl Future<Output = Vec<String>> + Send;
}

/// How long undrift waits for an observation. Its requests to the engine and Compose have far lower limits, and so has each
/// file access; a large build context on a slow disk takes minutes.
pub const LOOK_LIMIT: std::time::Duration = std::time::Duration::from_secs(300);

/// A step and its parameters.
pub struct StepRequest<'a> {
    /// The step.
    pub step: Step,
    /// The services that it acts on.
    pub services: &'a [String],
    /// For a rollback: the image ID (`sha256:…`) to put back, by service.
    pub rollback_to: &'a BTreeMap<String, String>,
    /// For an `Up`: the image ID that the observation examined, by service; `None` if there was no image. Services whose image
    /// was not observed are left out.
    pub examined: &'a BTreeMap<String, Option<String>>,
    /// The limit of the step's command.
    pub timeout: std::time::Duration,
    /// Ends the command cleanly on cancellation.
    pub cancel: &'a CancellationToken,
    /// Takes each line that the command prints, for a waiting user. Control bytes are removed already.
    pub progress: &'a (dyn Fn(&str) + Send + Sync),
}

/// The parameters of builds that are only compared.
pub struct BuildCheckRequest<'a> {
    /// The limit of each build.
    pub timeout: std::time::Duration,
    /// Ends a build cleanly on cancellation.
    pub cancel: &'a CancellationToken,
    /// Takes what happens, for a waiting user.
    pub progress: &'a (dyn Fn(BuildCheckProgress<'_>) + Send + Sync),
}

/// What happens in such a build.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum BuildCheckProgress<'a> {
    /// The build of a service begins.
    Begins {
        /// The service.
        service: &'a str,
    },
    /// Compose prints a line, which has no secrets and control bytes any more.
    Output {
        /// The line.
        line: &'a str,
    },
    /// The answer about a service is there.
    Ends {
        /// The service.
        service: &'a str,
        /// Its image reference.
        reference: &'a str,
        /// The answer.
        check: &'a BuildCheck,
    },
}

/// The answer about one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedBuild {
    /// The service.
    pub service: String,
    /// The ID (`sha256:…`) of the image behind its reference, with which the build was compared.
    pub image: String,
    /// The answer.
    pub check: BuildCheck,
}

/// A cache that stores nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCache;

impl Cache for NoCache {
    fn get(&self, _: &str, _: &str) -> Option<String> {
        None
    }

    fn put(&self, _: &str, _: &str, _: &str) {}
}

/// Why a project cannot be observed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// No engine answers where the docker CLI would look for it.
    #[error("no engine answers at {endpoint}: {cause}")]
    EngineUnavailable {
        /// The address that undrift tried.
        endpoint: String,
        /// The error there.
        cause: String,
    },
    /// The engine's address is of a kind that undrift does not support.
    #[error("cannot use the engine at {endpoint}: {cause}")]
    EngineUnsupported {
        /// The address.
        endpoint: String,
        /// The reason, and the remedy.
        cause: String,
    },
    /// The recorded state of the object belongs to another engine.
    #[error(
        "the recorded state of {object} is of the engine {recorded}, and this is the engine {here}: no step was taken, and \
         the record stays as it was; unset DOCKER_HOST or choose the docker context of that engine, or keep another state for \
         this one (--state-dir DIR); if {object} has moved to this engine for good, `undrift retry {object}`"
    )]
    OtherEngine {
        /// The object.
        object: String,
        /// The engine of the record: its ID, if it has one, and its address.
        recorded: String,
        /// This engine.
        here: String,
    },
    /// undrift is shutting down, and did not wait any longer.
    #[error("undrift was asked to end before the host had answered")]
    Ending,
    /// An observation exceeded its time limit.
    #[error(
        "the look was given up after {} s: a file of the project, or the file system that it is on, may hang, or the engine \
         answers too slowly",
        limit.as_secs()
    )]
    ObservationTimedOut {
        /// The time limit.
        limit: std::time::Duration,
    },
    /// A file of the project does not respond: its file system hangs.
    #[error("{0}")]
    FileHangs(String),
    /// A file of the project cannot be read to its end.
    #[error("the project in {directory} cannot be read: {cause}")]
    FileUnusable {
        /// The project directory.
        directory: String,
        /// The file, and what it is.
        cause: String,
    },
    /// The docker CLI's own configuration cannot be read.
    #[error("the docker CLI's configuration cannot be used: {cause}")]
    DockerConfigUnusable {
        /// The folder or the file.
        path: String,
        /// The file, and what it is.
        cause: String,
    },
    /// `docker compose` is missing, or is version 1.
    #[error("Compose v2 is needed: {0}")]
    ComposeMissing(String),
    /// Compose refuses the project's own files.
    #[error("docker compose refuses the project in {directory}: {cause}")]
    ComposeRefused {
        /// The project directory.
        directory: String,
        /// Compose's message.
        cause: String,
    },
    /// The Compose files use a variable that is not set. Compose would substitute a blank; an operator must not.
    #[error("the Compose files of {directory} {}", unset(variables, dollars))]
    UnsetVariables {
        /// The project directory.
        directory: String,
        /// Their names.
        variables: Vec<String>,
        /// The positions of dollar signs, as file and line, that Compose takes for the start of another variable, and that are
        /// most likely meant as such. The text after them is left out, because it may be part of a password.
        dollars: Vec<String>,
    },
    /// The Compose files use a variable that is to be the expected revision of a service, which is not known.
    #[error(
        "the Compose files of {directory} use {variable}, the expected revision of {service}, which is not known: {cause}"
    )]
    RevisionUnknown {
        /// The project directory.
        directory: String,
        /// The service.
        service: String,
        /// The variable.
        variable: String,
        /// Why, and what to do about it.
        cause: String,
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
    /// The engine answered an essential request with an error.
    #[error("the engine could not {action}: {cause}")]
    Engine {
        /// The request.
        action: String,
        /// The engine's message.
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
            Self::UnsetVariables { .. } | Self::RevisionUnknown { .. } => FailureReason::UnsetVariables,
            Self::NoSuchService { .. } => FailureReason::NoSuchService,
            Self::ServiceTaken { .. } => FailureReason::ServiceTaken,
            Self::SharedImage { .. } => FailureReason::SharedImage,
            Self::Engine { .. } => FailureReason::EngineError,
        }
    }

    /// The remedy for a person: a command if one exists. `None` if the error includes it, or the remedy is to wait.
    #[must_use]
    pub fn next(&self) -> Option<String> {
        Some(match self {
            Self::UnsetVariables { directory, variables, .. } if variables.is_empty() => format!(
                "write $$ for each dollar sign that is meant as such; then docker compose --project-directory {directory} config \
                 --quiet prints nothing"
            ),
            Self::UnsetVariables { directory, variables, .. } => {
                let assignments: Vec<String> = variables.iter().map(|name| format!("{name}=…")).collect();
                format!(
                    "echo '{}' >> {directory}/.env, or set them for undrift itself; then docker compose --project-directory \
                     {directory} config --quiet prints nothing",
                    assignments.join("' '")
                )
            }
            Self::ComposeRefused { directory, .. } => format!(
                "docker compose --project-directory {directory} config --quiet prints it whole, until it is put right"
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

    /// Whether it can pass by itself: the engine is unavailable, or a wait was cut short. All others need a person.
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

/// The problem with the variables, in words.
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

/// Each with its place and the intended name, for a status and the log.
fn in_a_line(manifest: &str, all: &[Pointed]) -> String {
    let one = |pointed: &Pointed| {
        let Pointed { line, column, message, help, .. } = pointed;
        let help = help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{manifest}:{line}:{column}: {message}{help}")
    };
    all.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// For the log: the milliseconds since then. JSON would turn a 128-bit integer into a string.
pub(crate) fn ms_since(began: std::time::Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

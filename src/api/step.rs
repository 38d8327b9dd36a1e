//! undrift's actions on a host.

use serde::{Deserialize, Serialize};

use super::{StepOutcome, Time, names::names};

names! {
    /// The kinds of step. The names are a contract.
    StepKind {
        /// `docker compose build SERVICE…`
        Build,
        /// `docker compose up -d SERVICE…`
        Up,
        /// `docker compose restart SERVICE…`
        Restart,
        /// `docker kill --signal=SIGNAL CONTAINER…`: the service's processes read their mounted files anew.
        Reload,
        /// The previous image is restored behind its reference, then `docker compose up -d`.
        Rollback,
    }
}

impl StepKind {
    /// The plain step of this kind, without options.
    #[must_use]
    pub const fn plain(self) -> Step {
        match self {
            Self::Build => Step::Build { no_cache: false },
            Self::Up => Step::Up { force_recreate: false },
            Self::Restart => Step::Restart,
            Self::Reload => Step::Reload,
            Self::Rollback => Step::Rollback,
        }
    }
}

/// One kind of step with its options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// Build the services' images.
    Build {
        /// Without the build cache: the second step of the escalation, after a cached build changed nothing.
        no_cache: bool,
    },
    /// Create or recreate the services' containers if they differ from what Compose would create.
    Up {
        /// Even if Compose sees no difference: the second step of the escalation, and for files that went missing inside a
        /// container.
        force_recreate: bool,
    },
    /// Start the services' stopped containers from the image that they ran: never recreates an existing one. Only if the
    /// rate makes other steps wait.
    Start,
    /// Restart the services' containers.
    Restart,
    /// Send the services' containers the declared signal, so that they read mounted files that changed. No container and no
    /// start differs afterwards.
    Reload,
    /// Restore the image from before the last build, and recreate.
    Rollback,
}

impl Step {
    /// The kind, without the details.
    #[must_use]
    pub const fn kind(self) -> StepKind {
        match self {
            Self::Build { .. } => StepKind::Build,
            Self::Up { .. } | Self::Start => StepKind::Up,
            Self::Restart => StepKind::Restart,
            Self::Reload => StepKind::Reload,
            Self::Rollback => StepKind::Rollback,
        }
    }
}

/// A step as the trail stores it: its kind, and its options as fields of the evidence that are true or missing.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StepFields {
    pub(crate) step: StepKind,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) no_cache: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) force_recreate: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) no_recreate: bool,
}

impl From<Step> for StepFields {
    fn from(step: Step) -> Self {
        Self {
            step: step.kind(),
            no_cache: step == Step::Build { no_cache: true },
            force_recreate: step == Step::Up { force_recreate: true },
            no_recreate: step == Step::Start,
        }
    }
}

impl From<StepFields> for Step {
    fn from(StepFields { step, no_cache, force_recreate, no_recreate }: StepFields) -> Self {
        match step {
            StepKind::Build => Self::Build { no_cache },
            StepKind::Up if no_recreate => Self::Start,
            StepKind::Up => Self::Up { force_recreate },
            StepKind::Restart => Self::Restart,
            StepKind::Reload => Self::Reload,
            StepKind::Rollback => Self::Rollback,
        }
    }
}

/// For serde: a step as its [`StepFields`].
pub(super) mod fields {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use super::{Step, StepFields};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(in crate::api) fn serialize<S: Serializer>(step: &Step, serializer: S) -> Result<S::Ok, S::Error> {
        StepFields::from(*step).serialize(serializer)
    }

    pub(in crate::api) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Step, D::Error> {
        StepFields::deserialize(deserializer).map(Into::into)
    }
}

/// One step, its services, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// The action.
    pub step: Step,
    /// The services, in the order of the manifest.
    pub services: Vec<String>,
    /// The drift that it repairs, in words.
    pub reason: String,
    /// The services whose repair it prepares, if not its own: a job runs for those that wait for it. A failure counts
    /// against their budget.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_behalf_of: Vec<String>,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepReport {
    /// The outcome.
    pub outcome: StepOutcome,
    /// The command's exit code, if it exited.
    pub exit_code: Option<i32>,
    /// The command, as an argument vector; the first command that failed, or the last.
    pub command: Vec<String>,
    /// The end of the command's output: at most 16 KiB, valid UTF-8, without control bytes.
    pub output: String,
    /// Additional actions, for the trail: leftovers removed, tags set.
    pub notes: Vec<String>,
    /// When the step began.
    pub started_at: Time,
    /// How long it took.
    pub duration_ms: u64,
}

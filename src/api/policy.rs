//! How an object is reconciled, as the manifest declares it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Duration;

/// What a build context that changed since the image was built means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourcePolicy {
    /// `report` without it.
    #[serde(default)]
    pub drift: SourceDrift,
}

/// See [`SourcePolicy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SourceDrift {
    /// Not looked at.
    Ignore,
    /// Said, not repaired.
    #[default]
    Report,
    /// A drift of the artifact layer.
    Enforce,
}

/// How undrift repairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ReconcilePolicy {
    /// Whether undrift acts at all.
    pub mode: Mode,
    /// No step while this is true.
    pub suspend: bool,
    /// The resync: how long undrift trusts that no event was lost.
    pub interval: Duration,
    /// The limit of one `docker compose build`.
    pub build_timeout: Duration,
    /// The proof.
    pub verify: Verify,
    /// How long to wait between attempts.
    pub backoff: Backoff,
    /// The budget of one drift.
    pub attempts: u32,
    /// Whether to put the old image back where the new container is worse than the old one.
    pub rollback: bool,
}

impl Default for ReconcilePolicy {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            suspend: false,
            interval: Duration::from_secs(300),
            build_timeout: Duration::from_secs(1800),
            verify: Verify::default(),
            backoff: Backoff::default(),
            attempts: 5,
            rollback: true,
        }
    }
}

/// Whether undrift acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// Drift is repaired.
    #[default]
    Enforce,
    /// Drift is reported; never a step.
    Observe,
}

/// How long to wait for the proof of a repair, and how long it must then hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Verify {
    /// From the end of the last step to the start of the window, at most.
    pub timeout: Duration,
    /// The stability window.
    pub stable_for: Duration,
}

impl Default for Verify {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(120), stable_for: Duration::from_secs(3) }
    }
}

/// The wait between attempts: doubles from `initial` up to `max`, with jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Backoff {
    /// After the first failed attempt.
    pub initial: Duration,
    /// At most.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial: Duration::from_secs(10), max: Duration::from_secs(600) }
    }
}

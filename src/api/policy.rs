//! How an object is reconciled, as the manifest declares it.

use serde::{Deserialize, Serialize};

use super::Duration;

/// What a build context that changed since the image was built means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourcePolicy {
    /// Whether such a change is ignored, reported or repaired by a build. `report` if left out.
    #[serde(default)]
    pub drift: SourceDrift,
}

/// What to do about a build context that has changed since undrift's last build of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SourceDrift {
    /// Do not look at it.
    Ignore,
    /// Say so, and build nothing.
    #[default]
    Report,
    /// It is a drift of the artifact layer, and the service is built again.
    Enforce,
}

/// How undrift repairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ReconcilePolicy {
    /// `enforce` repairs drift; `observe` only reports it. `enforce` if left out.
    pub mode: Mode,
    /// While this is true undrift looks and takes no step. `false` if left out.
    pub suspend: bool,
    /// How often to look when nothing has happened; at least `1s`. `5m` if left out.
    pub interval: Duration,
    /// The time limit of one `docker compose build`. `30m` if left out.
    pub build_timeout: Duration,
    /// How a repair is verified.
    pub verify: Verify,
    /// How long to wait between attempts.
    pub backoff: Backoff,
    /// How many attempts one drift of one service gets before undrift gives up. `5` if left out.
    pub attempts: u32,
    /// Whether to put the previous image back if the new container is worse than the old one. `true` if left out.
    pub rollback: bool,
    /// What to do about containers that only another version of Compose would make otherwise. `report` if left out.
    #[serde(skip_serializing_if = "Upgrades::is_report")]
    pub upgrades: Upgrades,
    /// How many restarts of a service are too many.
    #[serde(skip_serializing_if = "Churn::is_default")]
    pub churn: Churn,
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
            upgrades: Upgrades::Report,
            churn: Churn::default(),
        }
    }
}

/// What to do about containers that were made from the same configuration, and that the Compose of now would make otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Upgrades {
    /// Say so in a note, and leave them alone.
    #[default]
    Report,
    /// It is a drift of the container layer, and they are recreated.
    Recreate,
}

impl Upgrades {
    /// Whether it is the default, which a spec's digest from before there was this field does not hold.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    fn is_report(&self) -> bool {
        *self == Self::Report
    }
}

/// Whether undrift acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// Repair drift.
    #[default]
    Enforce,
    /// Report drift, and never take a step.
    Observe,
}

/// How long to wait for the verification of a repair, and how long it must then hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Verify {
    /// How long after the last step the service may take until it is as declared. `2m` if left out.
    pub timeout: Duration,
    /// How long it must then stay so to be verified. `3s` if left out.
    pub stable_for: Duration,
    /// For how long after the verification the routes are asked again, ever less often. `0s`, not at all, if left out.
    #[serde(skip_serializing_if = "Duration::is_zero")]
    pub watch_for: Duration,
}

impl Default for Verify {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(120),
            stable_for: Duration::from_secs(3),
            watch_for: Duration::from_secs(0),
        }
    }
}

/// The wait between attempts: doubles from `initial` up to `max`, with jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Backoff {
    /// The wait after the first failed attempt. `10s` if left out.
    pub initial: Duration,
    /// The longest wait; at least `initial`. `10m` if left out.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial: Duration::from_secs(10), max: Duration::from_secs(600) }
    }
}

/// How many restarts of one container of a service are too many. undrift reports them, and takes no step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Churn {
    /// From how many restarts on a service is not stable. `6` if left out.
    pub restarts: u32,
    /// Within which time. `24h` if left out.
    pub within: Duration,
}

impl Default for Churn {
    fn default() -> Self {
        Self { restarts: 6, within: Duration::from_secs(24 * 3600) }
    }
}

impl Churn {
    /// Whether it is the default, which a spec's digest from before there was this field does not hold.
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

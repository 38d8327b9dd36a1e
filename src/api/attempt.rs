//! undrift's record of its repairs of one drift: the budget's memory.

use serde::{Deserialize, Serialize};

use super::{DriftReason, Layer, Reason, Step, Time};

/// The repairs of one drift of one service so far.
///
/// Keyed by object, service, layer, reason and source digest: another source is another drift. A row of an
/// older generation does not count either.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// The object.
    pub object: String,
    /// The service.
    pub service: String,
    /// The layer of the drift.
    pub layer: Layer,
    /// The reason of the drift.
    pub reason: DriftReason,
    /// The source of the repairs: the build context's digest, Compose's config hash and, if Compose does not build the
    /// image, the image; null if not all of it is known.
    pub source_digest: Option<String>,
    /// The generation of the spec at the time.
    pub generation: i64,
    /// How many repairs were begun.
    pub attempts: u32,
    /// The steps that ended well and changed nothing: the next repair goes one step further in the escalation.
    pub tried: Vec<Step>,
    /// The last step, if its effect is not judged yet.
    pub pending: Option<Step>,
    /// When the last repair began.
    pub last_at: Time,
    /// The earliest time of the next attempt.
    pub next_at: Option<Time>,
    /// Why no further repair is tried.
    pub gave_up: Option<Reason>,
    /// Whether the service was verified after the last repair, which had an effect.
    #[serde(default)]
    pub healed: bool,
    /// Whether the attempts go on in a row of another source: within one incident another commit takes the budget over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub continued: bool,
    /// What the drift looked like when the last repair began, until that is verified: a digest. Null for a drift that a
    /// running service does not cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The last verified repairs, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verified_repairs: Vec<VerifiedRepair>,
}

/// A repair after which the service was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedRepair {
    /// What the drift looked like, with everything that the repair started from: a digest.
    pub cause: String,
    /// When the repair began.
    pub at: Time,
}

impl Attempt {
    /// Whether both concern one drift of one service with one source: one replaces the other.
    #[must_use]
    pub fn is_of_the_same(&self, other: &Self) -> bool {
        (&self.object, &self.service, self.layer, self.reason, &self.source_digest)
            == (&other.object, &other.service, other.layer, other.reason, &other.source_digest)
    }
}

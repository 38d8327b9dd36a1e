//! What is remembered of the repairs of one drift: the budget's memory.

use serde::{Deserialize, Serialize};

use super::{Layer, Reason, Time};

/// The attempts at one drift of one service, as its source was then.
///
/// The key is `(object, service, layer, reason, source_digest)`: another source is another budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// The object.
    pub object: String,
    /// The service that drifted.
    pub service: String,
    /// The layer at which it drifted.
    pub layer: Layer,
    /// Why that layer was broken.
    pub reason: Reason,
    /// The digest of the build context (`sha256:…`); `None` where the service has none, or it is not known.
    pub source_digest: Option<String>,
    /// The generation of the object at the last attempt.
    pub generation: i64,
    /// How many attempts were made.
    pub attempts: u32,
    /// How many of them ended without changing anything on the host.
    pub ineffective: u32,
    /// When the last attempt ended.
    pub last_at: Time,
    /// When the next one may begin; `None` where it may begin at once, or never.
    pub next_at: Option<Time>,
    /// Why undrift has given up, as a sentence fragment; `None` while it has not.
    pub gave_up: Option<String>,
}

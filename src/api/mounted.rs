//! Single files of the host that are mounted into containers.

use serde::{Deserialize, Serialize};

use super::{Fact, Time};

/// A single file of the host that is mounted into a running container: a bind mount, or a config or secret that is a file. A
/// folder is none. Its content is not stored anywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MountedFile {
    /// Its path on the host.
    pub source: String,
    /// Its path in the container.
    pub target: String,
    /// Whether the container may write it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub writable: bool,
    /// Whether it has other bytes now than the container's processes could read at their start, or when they were last told
    /// to reload. Of a file that the container may write: only whether another file has taken its place.
    pub changed: Fact<bool>,
    /// Whether the host's path leads to another file now than to the mounted one. The container keeps that one until it is
    /// started again.
    pub replaced: Fact<bool>,
    /// The last change of the file on the host, of its content or of its attributes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Time>,
    /// The digest of its bytes now, under the state folder's key; `None` if they were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

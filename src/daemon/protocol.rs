//! What goes over the control socket besides the recorded documents.

use serde::{Deserialize, Serialize};

use crate::api::{Desired, Event, Object};

/// What comes with a request to reconcile an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ReconcileRequest {
    /// The digest of the spec that the person has read, which must be the one that is declared; without it any is.
    pub(crate) spec_digest: Option<String>,
    /// The project directory as it is written there, to name it where the two differ.
    pub(crate) directory: Option<String>,
    /// Whether the manifests need not be read again before: nothing was edited, and their file system may hang.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) skip_reload: bool,
    /// Whether only to say if it would be accepted: whoever asks for several has all of them reconciled or none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) dry_run: bool,
}

impl ReconcileRequest {
    /// This object as it is declared.
    pub(crate) fn of(desired: &Desired) -> Self {
        Self {
            spec_digest: Some(desired.spec_digest.clone()),
            directory: Some(desired.directory.to_string_lossy().into_owned()),
            skip_reload: false,
            dry_run: false,
        }
    }
}

/// Something that happened to an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ReportedEvent {
    /// The object's name.
    pub(crate) object: String,
    /// What.
    #[serde(flatten)]
    pub(crate) event: Event,
}

/// A line of the answer to a request to reconcile an object.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Reply {
    /// Something happened.
    Event(ReportedEvent),
    /// What came of it: the last line.
    Result(Box<ObjectOutcome>),
}

/// What came of one object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename = "Result", rename_all = "camelCase")]
pub(crate) struct ObjectOutcome {
    /// Whether every service is as declared and verified.
    #[serde(rename = "ready")]
    pub(crate) reconciled: bool,
    /// Whether anything was done or verified since the person asked.
    pub(crate) acted: bool,
    /// What kept undrift from saying anything.
    pub(crate) error: Option<String>,
    /// The object with its status.
    #[serde(rename = "current")]
    pub(crate) object: Object,
}

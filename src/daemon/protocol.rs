//! The messages on the control socket besides the recorded documents.

use serde::{Deserialize, Serialize};

use crate::api::{Desired, Event, Object};

/// The body of a request to reconcile an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ReconcileRequest {
    /// The digest of the spec that the person has read, which must match the declared one; without it any matches.
    pub(crate) spec_digest: Option<String>,
    /// The project directory as written there, for the message if the two differ.
    pub(crate) directory: Option<String>,
    /// Whether to skip reading the manifests again: nothing was edited, and their file system may hang.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) skip_reload: bool,
    /// Whether only to check if it would be accepted: a request for several objects reconciles all of them or none.
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
    /// The event.
    #[serde(flatten)]
    pub(crate) event: Event,
}

/// A line of the answer to a request to reconcile an object.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Reply {
    /// Something happened.
    Event(ReportedEvent),
    /// The result: the last line.
    Result(Box<ObjectOutcome>),
}

/// The result for one object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename = "Result", rename_all = "camelCase")]
pub(crate) struct ObjectOutcome {
    /// Whether every service is as declared and verified.
    #[serde(rename = "ready")]
    pub(crate) reconciled: bool,
    /// Whether anything was done or verified since the request.
    pub(crate) acted: bool,
    /// The error that prevented a conclusion.
    pub(crate) error: Option<String>,
    /// The object with its status.
    #[serde(rename = "current")]
    pub(crate) object: Object,
}

//! What is said over the socket in the state folder: one request, then replies, each a line of JSON.
//!
//! It is between two processes of one undrift; other programs are to use the command line.

use serde::{Deserialize, Serialize};

use crate::api::{Desired, Object};

/// The version of what is said. Two that differ do not understand each other.
pub(super) const VERSION: u32 = 1;

/// The longest line that is read. An object with all its evidence is far below.
pub(super) const LONGEST: u64 = 16 * 1024 * 1024;

/// What a person wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ControlRequest {
    /// [`VERSION`].
    pub(super) version: u32,
    pub(super) what: ControlCommand,
}

/// See [`ControlRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum ControlCommand {
    /// Reconcile these now, and say what comes of each.
    Reconcile {
        /// Which.
        objects: Vec<RequestedObject>,
        /// Whether lines may have colours.
        colour: bool,
    },
    /// Something was written about this object: look at it now, as if for the first time.
    Look(String),
}

/// An object as the person who asks knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RequestedObject {
    /// Its name.
    pub(crate) name: String,
    /// The digest of its spec: what is reconciled must be what the person has read.
    pub(crate) spec_digest: String,
    /// The project directory as it is written there, to name it where the two differ; an older undrift leaves it out.
    #[serde(default)]
    pub(crate) directory: Option<String>,
}

impl RequestedObject {
    /// This object.
    pub(crate) fn of(desired: &Desired) -> Self {
        Self {
            name: desired.name().to_owned(),
            spec_digest: desired.spec_digest.clone(),
            directory: Some(desired.directory.to_string_lossy().into_owned()),
        }
    }
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Reply {
    /// The request is taken.
    Accepted,
    /// It is not, and why.
    Refused(String),
    /// Something happened.
    Line {
        /// To which object.
        object: String,
        /// In words.
        line: String,
        /// Whether the next line may take its place.
        passing: bool,
    },
    /// What came of one object.
    Outcome(Box<ObjectOutcome>),
}

/// What came of one object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ObjectOutcome {
    /// The object with its status.
    pub(crate) object: Object,
    /// Whether every service is as declared and verified.
    pub(crate) reconciled: bool,
    /// Whether anything was done or verified since the person asked.
    pub(crate) acted: bool,
    /// What kept undrift from saying anything.
    pub(crate) error: Option<String>,
}

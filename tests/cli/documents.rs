//! The documents of standard output as a program of someone else declares them.

use serde::Deserialize;
use undrift::api::{AuditRecord, Incident};

/// `audit verify -o json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AuditVerification {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) whole: bool,
    pub(crate) records: u64,
    pub(crate) head: Option<String>,
    pub(crate) first_bad: Option<FirstBad>,
    pub(crate) differs: Vec<String>,
    pub(crate) missing: Option<String>,
    pub(crate) begun_anew: Option<String>,
    pub(crate) keys: Vec<CheckpointKey>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckpointKey {
    pub(crate) since: u64,
    pub(crate) key: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FirstBad {
    pub(crate) seq: u64,
    pub(crate) problem: String,
}

/// `incident show -o json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IncidentDocument {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    #[serde(flatten)]
    pub(crate) incident: Incident,
    pub(crate) timeline: Vec<AuditRecord>,
}

/// What a verb prints with `-o json` where it fails.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ErrorDocument {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) reason: String,
    pub(crate) message: String,
}

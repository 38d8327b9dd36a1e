//! Every document as a program of someone else reads it: by types of its own that know nothing of ours. A field that is not
//! expected is as much an error as one that is missing.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

pub(crate) type Time = chrono::DateTime<chrono::Utc>;

/// A field that may be null and must be there.
fn there<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct List<T> {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) items: Vec<T>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Object {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) metadata: Value,
    pub(crate) spec: Value,
    pub(crate) status: Status,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Status {
    pub(crate) observed_generation: u64,
    /// This and the next two: an incident holds the evidence as it was recorded, which had none before there were such fields.
    #[serde(default)]
    pub(crate) observed_at: Option<Time>,
    #[serde(default)]
    pub(crate) engine: Option<String>,
    #[serde(default)]
    pub(crate) suspension: Option<Suspension>,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) services: Vec<Service>,
    pub(crate) plan: Vec<Step>,
    #[serde(deserialize_with = "there")]
    pub(crate) incident: Option<String>,
    pub(crate) attempts: u64,
    #[serde(deserialize_with = "there")]
    pub(crate) next_attempt_time: Option<Time>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Suspension {
    pub(crate) reason: String,
    pub(crate) actor: String,
    pub(crate) since: Time,
    #[serde(deserialize_with = "there")]
    pub(crate) until: Option<Time>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) status: String,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) last_transition_time: Time,
    pub(crate) observed_generation: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Service {
    pub(crate) name: String,
    #[serde(deserialize_with = "there")]
    pub(crate) drift: Option<Drift>,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) containers: Vec<Container>,
    #[serde(deserialize_with = "there")]
    pub(crate) image: Option<Image>,
    pub(crate) modules: Vec<Module>,
    pub(crate) routes: Vec<Route>,
    /// As of `notes`.
    #[serde(default)]
    pub(crate) revision: Option<Revision>,
    /// An incident holds the evidence as it was recorded, which had none before there were notes.
    #[serde(default)]
    pub(crate) notes: Vec<Note>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Revision {
    #[serde(deserialize_with = "there")]
    pub(crate) expected: Option<String>,
    #[serde(deserialize_with = "there")]
    pub(crate) image: Option<String>,
    pub(crate) containers: Vec<Option<String>>,
    pub(crate) routes: Vec<Option<String>>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Note {
    pub(crate) reason: String,
    pub(crate) message: String,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Drift {
    pub(crate) layer: String,
    pub(crate) reason: String,
    pub(crate) message: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) image_id: String,
    pub(crate) state: String,
    #[serde(deserialize_with = "there")]
    pub(crate) started_at: Option<Time>,
    pub(crate) restart_count: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Image {
    pub(crate) reference: String,
    #[serde(deserialize_with = "there")]
    pub(crate) id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) source: String,
    pub(crate) artifact: String,
    pub(crate) container: String,
}

impl Module {
    pub(crate) fn places(&self) -> [&str; 3] {
        [&self.source, &self.artifact, &self.container]
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Route {
    pub(crate) name: String,
    #[serde(deserialize_with = "there")]
    pub(crate) url: Option<String>,
    pub(crate) expected: Vec<u16>,
    #[serde(deserialize_with = "there")]
    pub(crate) observed: Option<u16>,
    #[serde(deserialize_with = "there")]
    pub(crate) control: Option<u16>,
    #[serde(deserialize_with = "there")]
    pub(crate) transition: Option<Transition>,
    #[serde(deserialize_with = "there")]
    pub(crate) auth: Option<Auth>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Auth {
    pub(crate) expected: Vec<u16>,
    #[serde(deserialize_with = "there")]
    pub(crate) observed: Option<u16>,
    #[serde(deserialize_with = "there")]
    pub(crate) control: Option<u16>,
    #[serde(deserialize_with = "there")]
    pub(crate) transition: Option<Transition>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Transition {
    #[serde(deserialize_with = "there")]
    pub(crate) before: Option<u16>,
    #[serde(deserialize_with = "there")]
    pub(crate) after: Option<u16>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    #[serde(rename = "step")]
    pub(crate) kind: String,
    pub(crate) services: Vec<String>,
    pub(crate) reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Incident {
    pub(crate) id: String,
    pub(crate) object: String,
    pub(crate) opened_at: Time,
    #[serde(deserialize_with = "there")]
    pub(crate) closed_at: Option<Time>,
    pub(crate) occurrences: u32,
    pub(crate) since: Time,
    #[serde(deserialize_with = "there")]
    pub(crate) outcome: Option<String>,
    pub(crate) drift: std::collections::BTreeMap<String, Drift>,
    pub(crate) before: Status,
    #[serde(deserialize_with = "there")]
    pub(crate) after: Option<Status>,
}

/// `incident show`: an incident with its story. Written out, for what is flattened denies no field.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Shown {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) id: String,
    pub(crate) object: String,
    pub(crate) opened_at: Time,
    #[serde(deserialize_with = "there")]
    pub(crate) closed_at: Option<Time>,
    pub(crate) occurrences: u32,
    pub(crate) since: Time,
    #[serde(deserialize_with = "there")]
    pub(crate) outcome: Option<String>,
    pub(crate) drift: std::collections::BTreeMap<String, Drift>,
    pub(crate) before: Status,
    #[serde(deserialize_with = "there")]
    pub(crate) after: Option<Status>,
    pub(crate) timeline: Vec<Record>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) seq: u64,
    pub(crate) time: Time,
    #[serde(deserialize_with = "there")]
    pub(crate) object: Option<String>,
    #[serde(deserialize_with = "there")]
    pub(crate) service: Option<String>,
    #[serde(deserialize_with = "there")]
    pub(crate) incident: Option<String>,
    pub(crate) actor: String,
    pub(crate) kind: String,
    #[serde(deserialize_with = "there")]
    pub(crate) step: Option<String>,
    #[serde(deserialize_with = "there")]
    pub(crate) outcome: Option<String>,
    pub(crate) evidence: Value,
    pub(crate) prev_hash: String,
    pub(crate) hash: String,
}

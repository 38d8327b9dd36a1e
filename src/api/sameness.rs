//! What must be the same in source and production, as the manifest declares it.

use serde::{Deserialize, Serialize};

use super::{Scheme, without_query_values};

/// What must be so at a module's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Content {
    /// Something is there.
    #[default]
    Present,
    /// The same files with the same bytes as the source.
    Same,
}

impl Content {
    /// Whether it is the default, which the digest of a spec from before this field does not hold.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What a mounted file means that changed since a container's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MountPolicy {
    /// Nothing.
    Ignore,
    /// A note.
    #[default]
    Report,
    /// It is a drift of the container layer, and the service is reloaded or restarted.
    Enforce,
}

impl MountPolicy {
    /// As [`Content::is_default`].
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What makes a service read its mounted files anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reload {
    /// The signal's name, without `SIG`: `HUP`.
    pub signal: String,
}

/// Whether a text has the form of a revision: at most 128 letters, digits and `._+/-`, the first a letter or a digit. Nothing
/// else is kept or shown of what a service answers.
#[must_use]
pub fn is_revision(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"._+/-".contains(&byte);
    text.len() <= 128 && text.bytes().all(is_inner) && text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

/// The source revision that a service must carry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RevisionSpec {
    /// Where the service carries it.
    pub from: RevisionPlace,
    /// What it must be. The checked-out git commit if left out.
    #[serde(default)]
    pub equals: ExpectedRevision,
    /// With git, relative to the project directory: the last commit that touches one of these, in place of the checked-out one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// The variable that is set to the expected revision for every Compose call of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variable: Option<String>,
}

impl RevisionSpec {
    /// The same as it is shown and recorded: of a query only its keys, for a value may be a token.
    #[must_use]
    pub fn without_query_values(self) -> Self {
        let from = match self.from {
            RevisionPlace::Route(route) => {
                let path = without_query_values(&route.path).into_owned();
                RevisionPlace::Route(RevisionRoute { path, ..route })
            }
            place => place,
        };
        Self { from, ..self }
    }
}

/// Where a service carries its revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum RevisionPlace {
    /// A label of the image, and of the container.
    Label(String),
    /// A variable of the environment of the image, and of the container.
    Env(String),
    /// A file in the image, and in the container: its absolute path.
    File(String),
    /// What a route of each replica answers.
    Route(RevisionRoute),
}

/// A route that answers with the revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RevisionRoute {
    /// The path, with its query.
    pub path: String,
    /// The port in the container.
    pub port: u16,
    /// `http` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
    /// The JSON pointer (RFC 6901) of the revision in the answer's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<String>,
    /// The header of the answer that is the revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
}

/// The revision that is expected.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum ExpectedRevision {
    /// The commit of the project directory's git work tree.
    #[default]
    Git,
    /// The text of a file in the project directory.
    File(String),
    /// This text.
    Text(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_route_of_a_revision_the_values_of_a_query_are_not_shown() {
        let spec = r#"{"from": {"route": {"path": "/version?token=hunter2", "port": 1, "json": "/commit"}}}"#;
        let spec: RevisionSpec = serde_json::from_str(spec).unwrap();
        let shown = serde_json::to_string(&spec.without_query_values()).unwrap();
        assert!(shown.contains("/version?token=…") && !shown.contains("hunter2"), "{shown}");
    }
}

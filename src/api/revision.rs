//! The source revision that a service carries, beside the one that it must carry.

use serde::{Deserialize, Serialize};

use super::{Fact, Time, UnknownReason};

/// The least digits of an abbreviated revision: git's own default.
const SHORTEST: usize = 7;

/// What a dirty work tree adds to a revision.
const DIRTY: [&str; 2] = ["-dirty", "+dirty"];

/// Whether two texts name one revision: they are equal, or one is a beginning of the other, of 7 hexadecimal digits or more.
///
/// `-dirty` and `+dirty` at the end name another revision: the files were not those of the commit.
#[must_use]
pub fn is_same_revision(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    let begins = long.get(..short.len()).is_some_and(|start| start.eq_ignore_ascii_case(short));
    short.len() >= SHORTEST && begins && is_hex(long)
}

/// Whether a revision says of itself that its files were not those of a commit.
#[must_use]
pub fn is_dirty_revision(text: &str) -> bool {
    DIRTY.iter().any(|suffix| text.ends_with(suffix))
}

/// A revision for a message: a commit in its short form, everything else whole.
#[must_use]
pub fn short_revision(text: &str) -> &str {
    let is_commit = text.len() >= 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_commit { &text[..12] } else { text }
}

/// A revision at one place, as far as it may be kept: see [`is_revision`](super::is_revision).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RevisionFact {
    /// It is this one.
    Known(String),
    /// Nothing is there, or an empty text; what is missing, as a sentence fragment.
    Missing(String),
    /// What is there has not the form of a revision, or may be a secret. It is not kept; why, as a sentence fragment.
    NotARevision(String),
    /// It could not be observed; why, as a sentence fragment.
    Unknown(String),
    /// The server limits requests for now.
    #[serde(rename_all = "camelCase")]
    Limited {
        /// The earliest time to ask it again.
        again_at: Time,
    },
}

impl RevisionFact {
    /// The revision, if it is known.
    #[must_use]
    pub fn known(&self) -> Option<&str> {
        match self {
            Self::Known(revision) => Some(revision),
            _ => None,
        }
    }
}

/// One observation of a service's revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevisionObservation {
    /// The one that the service must carry.
    pub expected: RevisionFact,
    /// Whether the work tree has changes that are not committed; `None` if git is not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dirty: Option<Fact<bool>>,
    /// In the image behind the reference. For a route: the image's `org.opencontainers.image.revision`; `None` if it is not
    /// the expected one, because it may be inherited from a base image. `None` if there is no image.
    pub image: Option<RevisionFact>,
    /// In each container, in their order; empty for a route.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<ReplicaRevision>,
    /// What the route of each running container answers, in their order; empty for another place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<ReplicaRevision>,
}

impl RevisionObservation {
    /// Every fact of it.
    pub fn facts_mut(&mut self) -> impl Iterator<Item = &mut RevisionFact> {
        let replicas = self.containers.iter_mut().chain(&mut self.routes);
        let replicas = replicas.map(|one| &mut one.revision);
        [&mut self.expected].into_iter().chain(&mut self.image).chain(replicas)
    }
}

/// The revision of one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaRevision {
    /// The container's ID.
    pub container: String,
    /// What it carries or answers.
    pub revision: RevisionFact,
}

/// A variable of the Compose files that should hold an expected revision which is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnknownVariable {
    /// Its name.
    pub name: String,
    /// Why it is not known, by name.
    pub reason: UnknownReason,
    /// Why, in words.
    pub message: String,
}

/// The revision of a service in its status; null where it is not known, or not a revision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionStatus {
    /// The one that the service must carry.
    pub expected: Option<String>,
    /// In the image.
    pub image: Option<String>,
    /// One entry per container; empty for a route.
    pub containers: Vec<Option<String>>,
    /// One entry per running container; empty for another place.
    pub routes: Vec<Option<String>>,
}

impl From<&RevisionObservation> for RevisionStatus {
    fn from(seen: &RevisionObservation) -> Self {
        let known = |fact: &RevisionFact| fact.known().map(str::to_owned);
        let of = |all: &[ReplicaRevision]| all.iter().map(|one| known(&one.revision)).collect();
        Self {
            expected: known(&seen.expected),
            image: seen.image.as_ref().and_then(known),
            containers: of(&seen.containers),
            routes: of(&seen.routes),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COMMIT: &str = "4f6d1c0a9b8e7d6c5b4a39281706f5e4d3c2b1a0";

    #[test]
    fn a_revision_is_itself_or_a_beginning_of_seven_hexadecimal_digits() {
        for other in [COMMIT, "4f6d1c0", "4F6D1C0A9B8E", "4f6d1c0a9b8e7d6c5b4a39281706f5e4d3c2b1a"] {
            assert!(is_same_revision(COMMIT, other) && is_same_revision(other, COMMIT), "{other}");
        }
        assert!(is_same_revision("1.4.2", "1.4.2") && is_same_revision("1.4.2-dirty", "1.4.2-dirty"));
        for other in [
            "4f6d1c",
            "",
            "4f6d1c1",
            "5f6d1c0",
            "4f6d1c0-dirty",
            "4f6d1c0a9b8e7d6c5b4a39281706f5e4d3c2b1a0-dirty",
            "4f6d1c0a9b8e7d6c5b4a39281706f5e4d3c2b1a0+dirty",
            "4f6d1c0.1",
        ] {
            assert!(!is_same_revision(COMMIT, other) && !is_same_revision(other, COMMIT), "{other}");
        }
        assert!(!is_same_revision("1.4.2", "1.4.20") && !is_same_revision("1234567.1", "1234567"));
    }

    proptest! {
        #[test]
        fn sameness_is_symmetric_and_never_panics(one in "\\PC{0,50}", other in "\\PC{0,50}") {
            prop_assert!(is_same_revision(&one, &one));
            prop_assert_eq!(is_same_revision(&one, &other), is_same_revision(&other, &one));
        }

        #[test]
        fn each_beginning_of_a_commit_is_it_from_seven_digits_on_and_none_with_dirt(
            commit in "[0-9a-f]{40}", length in 0..=40_usize, suffix in "[-+]dirty"
        ) {
            let start = &commit[..length];
            prop_assert_eq!(is_same_revision(&commit, start), length >= SHORTEST);
            let dirty = format!("{start}{suffix}");
            prop_assert!(!is_same_revision(&commit, &dirty) && is_dirty_revision(&dirty));
        }
    }

    #[test]
    fn a_commit_is_short_in_a_message_and_a_release_whole() {
        assert_eq!(short_revision(COMMIT), "4f6d1c0a9b8e");
        for whole in ["1.4.2", "4f6d1c0-dirty", "release-2026-11-30-with-a-name-of-more-than-forty"] {
            assert_eq!(short_revision(whole), whole);
        }
    }
}

//! What is behind an image reference, and the tags that undrift sets.

use std::collections::{BTreeSet, HashMap};

use bollard::query_parameters::{
    ListContainersOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder,
};
use sha2::{Digest as _, Sha256};

use super::{Engine, EngineError, containers::PROJECT};
use crate::host::reference::full;

impl Engine {
    /// The ID (`sha256:…`) behind a reference; `None` where the engine has nothing of that name.
    ///
    /// # Errors
    /// Where the engine does not answer.
    pub async fn image_id(&self, reference: &str) -> Result<Option<String>, EngineError> {
        match self.call(async |docker| docker.inspect_image(reference).await).await {
            Ok(image) => Ok(image.id),
            Err(error) if is_unknown_image(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Points a reference (`repository` or `repository:tag`) at an image.
    ///
    /// # Errors
    /// Where the engine does not answer, has no such image, or refuses the reference.
    pub async fn tag(&self, image: &str, reference: &str) -> Result<(), EngineError> {
        let full = full(reference);
        let (repository, tag) = full.rsplit_once(':').unwrap_or((&full, ""));
        let options = TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
        self.call(async |docker| docker.tag_image(image, Some(options)).await).await
    }

    /// The other Compose projects of which a container runs, or is stopped, that was made of what is behind this
    /// reference now, by its name: with another image behind it they would be out of date.
    ///
    /// # Errors
    /// Where the engine does not answer.
    pub async fn other_users(&self, reference: &str, project: &str) -> Result<BTreeSet<String>, EngineError> {
        let filters = HashMap::from([("label".to_owned(), vec![PROJECT.to_owned()])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let list = self.call(async |docker| docker.list_containers(Some(options)).await).await?;
        // Where the reference has moved on since, the engine names an ID in its place.
        let reference = full(reference);
        let by_name =
            list.into_iter().filter(|one| one.image.as_deref().is_some_and(|image| full(image) == reference));
        let projects = by_name.filter_map(|one| one.labels?.remove(PROJECT));
        Ok(projects.filter(|other| other != project).collect())
    }

    /// Removes an image by its ID where it has no tag and no container, running or not, was made of it. Whether it
    /// is gone by this. Never forces, and leaves its parents alone.
    ///
    /// # Errors
    /// Where the engine does not answer.
    pub async fn remove_superseded(&self, image: &str) -> Result<bool, EngineError> {
        let seen = match self.call(async |docker| docker.inspect_image(image).await).await {
            Ok(seen) => seen,
            Err(error) if is_unknown_image(&error) => return Ok(false),
            Err(error) => return Err(error),
        };
        // By ID the engine would remove an image along with its only tag, so the tags are looked at first. A
        // reference that came here in place of an ID is no business of this.
        let tagged = seen.repo_tags.is_some_and(|tags| !tags.is_empty());
        if tagged || seen.id.as_deref() != Some(image) || self.has_containers(image).await? {
            return Ok(false);
        }
        let options = RemoveImageOptionsBuilder::default().force(false).noprune(true).build();
        match self.call(async |docker| docker.remove_image(image, Some(options), None).await).await {
            Ok(_) => Ok(true),
            // Gone already, or in use or tagged twice since it was looked at.
            Err(EngineError::NotFound(_) | EngineError::Refused { status: 409, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether any container, stopped ones too, was made of this image or of one built on it.
    async fn has_containers(&self, image: &str) -> Result<bool, EngineError> {
        let filters = HashMap::from([("ancestor".to_owned(), vec![image.to_owned()])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let list = self.call(async |docker| docker.list_containers(Some(options)).await).await?;
        Ok(!list.is_empty())
    }
}

/// Whether the engine says by this that it has no such image. Podman takes an unknown ID of 64 digits for a name, which must
/// not look so, and answers 500 (measured with 5.8.6).
fn is_unknown_image(error: &EngineError) -> bool {
    match error {
        EngineError::NotFound(_) => true,
        EngineError::Refused { status: 500, message } => {
            message.contains("cannot specify 64-byte hexadecimal strings")
        }
        _ => false,
    }
}

/// How every tag of undrift's own begins.
pub(super) const KEEP: &str = "undrift-keep/";

/// The reference by which undrift keeps the image that ran before a build: `undrift-keep/PROJECT/SERVICE:previous`.
///
/// A name that cannot be part of a reference (capitals, a leading or doubled separator) gets the beginning of its
/// own digest, so that two names never share one.
#[must_use]
pub fn keep_reference(project: &str, service: &str) -> String {
    format!("{KEEP}{}/{}:previous", component(project), component(service))
}

/// One path component by the rules of
/// <https://github.com/distribution/reference/blob/main/regexp.go>: `[a-z0-9]+` joined by `.`, `_`, `__` or dashes.
fn component(name: &str) -> String {
    // A whole reference may have 255 bytes.
    const LONGEST: usize = 80;
    if is_component(name) && name.len() <= LONGEST && !has_digest(name) {
        return name.to_owned();
    }
    let digest = hex::encode(Sha256::digest(name));
    let mut words = String::new();
    for c in name.to_lowercase().chars().take(40) {
        if c.is_ascii_alphanumeric() {
            words.push(c);
        } else if !words.is_empty() && !words.ends_with('-') {
            words.push('-');
        }
    }
    format!("{}.u{}", if words.is_empty() { "x" } else { words.trim_end_matches('-') }, &digest[..DIGITS])
}

/// How much of a digest is used.
const DIGITS: usize = 16;

/// A name that looks like one of undrift's own making gets a digest itself.
fn has_digest(name: &str) -> bool {
    name.rsplit_once(".u")
        .is_some_and(|(_, end)| end.len() == DIGITS && end.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_component(name: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separators = |run: &str| matches!(run, "." | "_" | "__") || run.chars().all(|c| c == '-');
    name.starts_with(alphanumeric) && name.ends_with(alphanumeric) && name.split(alphanumeric).all(separators)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_stay_readable() {
        assert_eq!(keep_reference("ai-backoffice", "api"), "undrift-keep/ai-backoffice/api:previous");
        assert_eq!(keep_reference("a__b", "c.d--e"), "undrift-keep/a__b/c.d--e:previous");
    }

    #[test]
    fn names_that_no_reference_may_have_are_changed_and_stay_apart() {
        let names =
            ["Api", "api-", "api_", "a___b", "a..b", "_", "-", "API", "api._x", "日本", &"a".repeat(300)];
        let mut made: Vec<String> = names.iter().map(|name| component(name)).collect();
        for (name, made) in names.iter().zip(&made) {
            assert!(is_component(made) && made.len() <= 80, "{name} became {made}");
        }
        made.sort();
        made.dedup();
        assert_eq!(made.len(), names.len());
        assert_ne!(component(&component("Api")), component("Api"), "a name cannot pose as a made one");
    }
}

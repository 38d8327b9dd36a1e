//! The image behind a reference, and the tags that undrift sets.

use std::collections::{BTreeSet, HashMap};

use bollard::query_parameters::{
    ListContainersOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder,
};
use sha2::{Digest as _, Sha256};

use super::{Engine, EngineError, containers::PROJECT, request::EngineRequest};
use crate::reference::full;

impl Engine {
    /// The ID (`sha256:…`) behind a reference; `None` if the engine has nothing of that name.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn image_id(&self, reference: &str) -> Result<Option<String>, EngineError> {
        Ok(self.tagged_image(reference).await?.map(|image| image.id))
    }

    /// The same with all tags of that image, as the engine writes them.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn tagged_image(&self, reference: &str) -> Result<Option<TaggedImage>, EngineError> {
        let request = EngineRequest::image(reference);
        match self.ask(&request, async |docker| docker.inspect_image(reference).await).await {
            Ok(image) => {
                let id = request.required_text("Id", image.id)?;
                Ok(Some(TaggedImage { id, tags: image.repo_tags.unwrap_or_default() }))
            }
            Err(error) if is_unknown_image(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives a verified image its tag, [`verified_reference`]. The image that had the tag before gets the tag of the previous
    /// image, unless a rollback took this one from there.
    ///
    /// # Errors
    /// If the engine does not answer, or no longer has the image.
    pub async fn keep_verified(&self, project: &str, service: &str, image: &str) -> Result<(), EngineError> {
        let (verified, previous) = (verified_reference(project, service), keep_reference(project, service));
        match self.image_id(&verified).await? {
            Some(kept) if kept == image => return Ok(()),
            // In this order: if killed in between, it is done again.
            Some(kept) if self.image_id(&previous).await?.as_deref() != Some(image) => {
                self.tag(&kept, &previous).await?;
            }
            _ => {}
        }
        self.tag(image, &verified).await
    }

    /// Points a reference (`repository` or `repository:tag`) at an image.
    ///
    /// # Errors
    /// If the engine does not answer, has no such image, or refuses the reference.
    pub async fn tag(&self, image: &str, reference: &str) -> Result<(), EngineError> {
        let full = full(reference);
        let (repository, tag) = full.rsplit_once(':').unwrap_or((&full, ""));
        let options = TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
        self.call(async |docker| docker.tag_image(image, Some(options)).await).await
    }

    /// The other Compose projects with a container, running or stopped, that was created from the image now behind this
    /// reference, by the reference: another image behind it would make them out of date.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn other_users(&self, reference: &str, project: &str) -> Result<BTreeSet<String>, EngineError> {
        let filters = HashMap::from([("label".to_owned(), vec![PROJECT.to_owned()])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let request = EngineRequest::containers();
        let list = self.ask(&request, async |docker| docker.list_containers(Some(options)).await).await?;
        // If the reference has moved since, the engine reports an ID in its place.
        let reference = full(reference);
        let mut others = BTreeSet::new();
        for one in list {
            let image = request.required_text("Image", one.image)?;
            let of = one.labels.and_then(|mut labels| labels.remove(PROJECT));
            let of = request.required(&format!("Labels[{PROJECT}]"), of)?;
            if of != project && full(&image) == reference {
                others.insert(of);
            }
        }
        Ok(others)
    }

    /// Removes an image by its ID if it has no tag, and no container, running or not, was created from it. Returns whether this
    /// removed it. Never forces, and leaves its parents alone.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn remove_superseded(&self, image: &str) -> Result<bool, EngineError> {
        let request = EngineRequest::image(image);
        let seen = match self.ask(&request, async |docker| docker.inspect_image(image).await).await {
            Ok(seen) => seen,
            Err(error) if is_unknown_image(&error) => return Ok(false),
            Err(error) => return Err(error),
        };
        // By ID the engine would remove an image along with its only tag, so the tags are checked first. A reference in place
        // of an ID does not concern this function.
        let is_tagged = !request.required("RepoTags", seen.repo_tags)?.is_empty();
        if is_tagged || seen.id.as_deref() != Some(image) || self.has_containers(image).await? {
            return Ok(false);
        }
        let options = RemoveImageOptionsBuilder::default().force(false).noprune(true).build();
        match self.call(async |docker| docker.remove_image(image, Some(options), None).await).await {
            Ok(_) => Ok(true),
            // Gone already, or used or tagged twice since the check.
            Err(EngineError::NotFound(_) | EngineError::Refused { status: 409, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether any container, stopped ones too, was created from this image or one built on it.
    pub(super) async fn has_containers(&self, image: &str) -> Result<bool, EngineError> {
        let filters = HashMap::from([("ancestor".to_owned(), vec![image.to_owned()])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let list = self.call(async |docker| docker.list_containers(Some(options)).await).await?;
        Ok(!list.is_empty())
    }
}

/// Whether this error means that the engine has no such image. Podman takes an unknown ID of 64 digits for a name, which must
/// not look like one, and answers 500 (measured with 5.8.6).
pub(super) fn is_unknown_image(error: &EngineError) -> bool {
    match error {
        EngineError::NotFound(_) => error.is_absent(),
        EngineError::Refused { status: 500, message } => {
            message.contains("cannot specify 64-byte hexadecimal strings")
        }
        _ => false,
    }
}

/// An image with its tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedImage {
    /// Its ID (`sha256:…`).
    pub id: String,
    /// Its tags (`repository:tag`), as the engine writes them.
    pub tags: Vec<String>,
}

impl TaggedImage {
    /// Whether this is one of its tags, in any spelling of the two.
    #[must_use]
    pub fn has_tag(&self, reference: &str) -> bool {
        self.tags.iter().any(|tag| full(tag) == full(reference))
    }
}

/// The prefix of the tags that keep an image.
const KEEP: &str = "undrift-keep/";

/// The prefix of the names of builds that are only compared.
pub(super) const CHECK: &str = "undrift-check/";

/// Whether a reference is one of undrift's own.
pub(super) fn is_own(reference: &str) -> bool {
    [KEEP, CHECK].iter().any(|prefix| reference.starts_with(prefix))
}

/// The reference by which undrift keeps the image that ran before a build: `undrift-keep/PROJECT/SERVICE:previous`.
///
/// A name that cannot be part of a reference (capitals, a leading or doubled separator) gets the beginning of its
/// own digest, so that two names never share one.
#[must_use]
pub fn keep_reference(project: &str, service: &str) -> String {
    own_reference(KEEP, project, service, "previous")
}

/// The reference by which undrift keeps the image that was verified last: `undrift-keep/PROJECT/SERVICE:verified`. On
/// containerd's store an image is gone when a build takes its only name, also while a container runs it.
#[must_use]
pub fn verified_reference(project: &str, service: &str) -> String {
    own_reference(KEEP, project, service, "verified")
}

pub(super) fn own_reference(prefix: &str, project: &str, service: &str, tag: &str) -> String {
    format!("{prefix}{}/{}:{tag}", component(project), component(service))
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

/// A name that looks like one that undrift generated gets a digest itself.
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
        assert_eq!(verified_reference("shop", "api"), "undrift-keep/shop/api:verified");
    }

    #[test]
    fn tags_are_found_however_the_engine_writes_them() {
        let image = |tag: &str| TaggedImage { id: "sha256:1".into(), tags: vec!["a:1".into(), tag.into()] };
        let kept = verified_reference("shop", "api");
        assert!(image(&kept).has_tag(&kept));
        assert!(image("docker.io/undrift-keep/shop/api:verified").has_tag(&kept), "Podman");
        assert!(!image(&keep_reference("shop", "api")).has_tag(&kept));
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

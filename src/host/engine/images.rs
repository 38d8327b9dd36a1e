//! Changed image references, found by polling: `BuildKit` on engine 20.10 emits no event for a build.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use bollard::{models::ImageSummary, query_parameters::ListImagesOptionsBuilder};
use futures_util::{Stream, stream};

use super::{Change, Engine, EngineError, tags::is_own};

/// The default polling period. A build takes longer than this, so it is noticed soon after its end.
pub const IMAGE_PERIOD: Duration = Duration::from_secs(5);

/// The engine's name for an image without a name.
const NAMELESS: &str = "<none>";

/// References with the ID that each points to.
type References = BTreeMap<String, String>;

struct Poll {
    engine: Engine,
    period: Duration,
    wait: Duration,
    known: Option<References>,
    changed: VecDeque<String>,
}

impl Engine {
    /// The references (`repository:tag`, as the engine writes them) that were added, that moved to another image, or that were
    /// removed since the last poll, as [`Change::Image`]. undrift's own tags are left out.
    ///
    /// The first poll, at once, yields nothing: later ones are compared with it. The next one follows a period later, but never
    /// before the consumer has taken the last result. An engine that does not answer changes nothing; once it is back, the
    /// stream yields everything that moved meanwhile.
    ///
    /// Sends the engine one request per period: with [`IMAGE_PERIOD`], twelve a minute.
    pub fn image_changes(&self, period: Duration) -> impl Stream<Item = Change> + Send + use<> {
        let poll = Poll {
            engine: self.clone(),
            period,
            wait: Duration::ZERO,
            known: None,
            changed: VecDeque::new(),
        };
        stream::unfold(poll, |mut poll| async {
            loop {
                if let Some(reference) = poll.changed.pop_front() {
                    return Some((Change::Image(reference), poll));
                }
                poll.look().await;
            }
        })
    }

    async fn references(&self) -> Result<References, EngineError> {
        let options = ListImagesOptionsBuilder::default().all(false).build();
        let images = self.call(async |docker| docker.list_images(Some(options)).await).await?;
        Ok(images.into_iter().flat_map(named).collect())
    }
}

impl Poll {
    async fn look(&mut self) {
        tokio::time::sleep(std::mem::replace(&mut self.wait, self.period)).await;
        match self.engine.references().await {
            Ok(now) => {
                if let Some(before) = &self.known {
                    self.changed = differing(before, &now);
                }
                self.known = Some(now);
            }
            // The stream of events reports an unavailable engine.
            Err(error) => tracing::debug!(%error, "the images could not be listed"),
        }
    }
}

fn named(image: ImageSummary) -> impl Iterator<Item = (String, String)> {
    let own = |reference: &String| is_own(reference) || reference.starts_with(NAMELESS);
    let references = image.repo_tags.into_iter().filter(move |reference| !own(reference));
    references.map(move |reference| (reference, image.id.clone()))
}

/// The references that are in only one of them, or differ.
fn differing(before: &References, now: &References) -> VecDeque<String> {
    let gone = before.keys().filter(|reference| !now.contains_key(*reference));
    let moved = now.iter().filter(|(reference, id)| before.get(*reference) != Some(*id));
    gone.chain(moved.map(|(reference, _)| reference)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references(pairs: &[(&str, &str)]) -> References {
        pairs.iter().map(|(reference, id)| ((*reference).to_owned(), (*id).to_owned())).collect()
    }

    #[test]
    fn what_was_added_moved_or_removed_differs() {
        let before = references(&[("gone:1", "a"), ("moved:1", "a"), ("same:1", "a")]);
        let now = references(&[("moved:1", "b"), ("new:1", "a"), ("same:1", "a")]);
        assert_eq!(differing(&before, &now), ["gone:1", "moved:1", "new:1"]);
        assert!(differing(&now, &now).is_empty());
    }

    #[test]
    fn neither_own_tags_nor_nameless_images_are_references() {
        let tags = [
            "a:1",
            "undrift-keep/p/s:previous",
            "undrift-check/p/s:x",
            "<none>:<none>",
            "b/undrift-keep/x:2",
        ];
        let image = ImageSummary {
            id: "sha256:1".to_owned(),
            repo_tags: tags.map(str::to_owned).to_vec(),
            ..Default::default()
        };
        let named: Vec<String> = named(image).map(|(reference, _)| reference).collect();
        assert_eq!(named, ["a:1", "b/undrift-keep/x:2"]);
    }
}

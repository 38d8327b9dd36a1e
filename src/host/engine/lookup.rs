//! Looks up a module in an image, in a container that is created, never started, and always removed.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bollard::{
    models::{ContainerCreateBody, ContainerSummary, HostConfig},
    query_parameters::{CreateContainerOptions, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder},
};
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    ContentQuestion, Engine, EngineError, ImageModule, ImageQuestion,
    owner::{self, Liveness, Owner},
    request::EngineRequest,
};
use crate::{
    api::{Fact, ModuleType, Presence},
    host::{Cache, content::ImageListings, keyed_by_this_process, ms_since},
};

/// The label of look-up containers; its value names the process that made it.
pub const LOOKUP_LABEL: &str = "dev.undrift.lookup";

/// Compose puts these on the images that it builds, and a container inherits its image's labels. Blank ones keep
/// look-up containers out of the project's own.
const COMPOSE_LABELS: [&str; 3] =
    ["com.docker.compose.project", "com.docker.compose.service", "com.docker.compose.config-hash"];

/// The command of a look-up container: an image without a command could not be created without it. It never runs.
const COMMAND: &str = "undrift-lookup";

/// A look-up takes well under a second. One from another host, whose process cannot be inspected, counts as abandoned after
/// this.
const ABANDONED_AFTER_S: i64 = 3600;

impl Engine {
    /// Whether these paths are in an image, in their order. Paths that the cache does not have are looked up in one container.
    ///
    /// The container is removed even if the returned future is dropped half-way: the look-up is a task of its own.
    pub async fn modules_in_image(
        &self,
        image: &str,
        paths: &[(&str, ModuleType)],
        cache: &Arc<dyn Cache>,
    ) -> Vec<Fact<Presence>> {
        let question = |(path, kind): &(&str, ModuleType)| ImageQuestion {
            path: (*path).to_owned(),
            kind: *kind,
            content: None,
        };
        let listings = ImageListings {
            memory: Arc::default(),
            cache: Arc::clone(cache),
            digests: keyed_by_this_process(),
        };
        let asked = paths.iter().map(question).collect();
        let found = self.look_into_image(image, asked, &listings).await;
        found.into_iter().map(|module| module.presence).collect()
    }

    /// The same with the files of those whose content is asked for.
    pub(in crate::host) async fn look_into_image(
        &self,
        image: &str,
        questions: Vec<ImageQuestion>,
        listings: &ImageListings,
    ) -> Vec<ImageModule> {
        let known: Vec<Option<ImageModule>> =
            questions.iter().map(|question| question.known(image, listings)).collect();
        let unknown = questions.into_iter().zip(&known).filter(|(_, known)| known.is_none());
        let asked: Vec<ImageQuestion> = unknown.map(|(question, _)| question).collect();
        tracing::debug!(image, modules = known.len(), not_cached = asked.len(), "modules in image");
        let mut found = Vec::new().into_iter();
        if !asked.is_empty() {
            let (engine, image, listings) = (self.clone(), image.to_owned(), listings.clone());
            let task = async move { engine.look_up(&image, asked, &listings).await };
            let task = self.lookups.spawn(task.in_current_span());
            found = task.await.unwrap_or_default().into_iter();
        }
        let broken_off = || ImageModule {
            presence: Fact::unknown("the look into the image was broken off"),
            content: None,
        };
        known.into_iter().map(|known| known.or_else(|| found.next()).unwrap_or_else(broken_off)).collect()
    }

    /// Waits for look-ups whose caller is gone, so that none is left behind at the end of the process.
    pub async fn settle(&self, limit: Duration) {
        self.lookups.close();
        if tokio::time::timeout(limit, self.lookups.wait()).await.is_err() {
            tracing::warn!("look-ups are still open; the next start removes their containers");
        }
        self.lookups.reopen();
    }

    /// Removes look-up containers whose process is dead; returns how many.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn sweep_lookups(&self) -> Result<usize, EngineError> {
        let filters = HashMap::from([("label".to_owned(), vec![LOOKUP_LABEL.to_owned()])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let request = EngineRequest::containers();
        let list = self.ask(&request, async |docker| docker.list_containers(Some(options)).await).await?;
        let abandoned = abandoned(&request, list, chrono::Utc::now().timestamp())?;
        let removed = join_all(abandoned.iter().map(|id| self.remove_lookup(id))).await;
        let removed = removed.into_iter().filter(|removed| *removed).count();
        if removed > 0 {
            tracing::info!(removed, "removed look-up containers of an undrift that was killed");
        }
        Ok(removed)
    }

    async fn look_up(
        &self,
        image: &str,
        questions: Vec<ImageQuestion>,
        listings: &ImageListings,
    ) -> Vec<ImageModule> {
        let began = Instant::now();
        let id = match self.create_lookup(image).await {
            Ok(id) => id,
            Err(error) => {
                let unknown = ImageModule { presence: Fact::unknown(error.to_string()), content: None };
                return vec![unknown; questions.len()];
            }
        };
        let looks = questions.iter().map(|question| self.answer_of(&id, question));
        let found = join_all(looks).await;
        self.remove_lookup(&id).await;
        tracing::debug!(image, paths = questions.len(), container = id, ms = ms_since(began), "looked up");
        for (question, module) in questions.iter().zip(&found) {
            question.remember(image, module, listings);
        }
        found
    }

    /// The same of an image that is soon gone: nothing is remembered, and the caller waits. `None` if it no longer wants to.
    ///
    /// # Errors
    /// If the engine does not make a container.
    pub(in crate::host) async fn look_once(
        &self,
        image: &str,
        questions: &[ImageQuestion],
        cancel: &CancellationToken,
    ) -> Result<Option<Vec<ImageModule>>, EngineError> {
        let id = self.create_lookup(image).await?;
        let looks = join_all(questions.iter().map(|question| self.answer_of(&id, question)));
        let found = cancel.run_until_cancelled(looks).await;
        self.remove_lookup(&id).await;
        Ok(found)
    }

    /// One path in the look-up container.
    async fn answer_of(&self, container: &str, question: &ImageQuestion) -> ImageModule {
        let look = self.look(container, &question.path, question.kind).await;
        let is_there = look.presence == Fact::Known(Presence::Present);
        let content = match question.content.clone().filter(|_| is_there) {
            None => None,
            Some(ContentQuestion { scope, .. }) => {
                let place = format!("{} in the image", question.path);
                Some(self.listing(container, &look.end, scope, &place).await.map(Arc::new))
            }
        };
        ImageModule { presence: look.presence, content }
    }

    pub(super) async fn create_lookup(&self, image: &str) -> Result<String, EngineError> {
        let labels: HashMap<String, String> = COMPOSE_LABELS
            .iter()
            .map(|label| ((*label).to_owned(), String::new()))
            .chain([(LOOKUP_LABEL.to_owned(), Owner::own().mark())])
            .collect();
        // Docker fills a volume that the image declares when the container is created, Podman when it is started: until then
        // the volume is empty, and hides the image's files there.
        if self.is_podman().await? {
            return self.create_without_volumes(image, &labels, COMMAND).await;
        }
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            cmd: Some(vec![COMMAND.to_owned()]),
            labels: Some(labels),
            network_disabled: Some(true),
            host_config: Some(HostConfig { network_mode: Some("none".to_owned()), ..Default::default() }),
            ..Default::default()
        };
        self.call(async |docker| docker.create_container(None::<CreateContainerOptions>, body).await)
            .await
            .map(|created| created.id)
    }

    /// Together with its anonymous volumes, which an image with `VOLUME` creates.
    pub(super) async fn remove_lookup(&self, id: &str) -> bool {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        match self.call(async |docker| docker.remove_container(id, Some(options)).await).await {
            Ok(()) => true,
            Err(EngineError::NotFound(_)) => false,
            Err(error) => {
                tracing::warn!(container = id, %error, "cannot remove a look-up container; the next start will");
                false
            }
        }
    }
}

/// The IDs of abandoned look-up containers. If the list holds others than requested, none is removed.
fn abandoned(
    request: &EngineRequest,
    list: Vec<ContainerSummary>,
    now: i64,
) -> Result<Vec<String>, EngineError> {
    let mut abandoned = Vec::new();
    for found in list {
        let mark = found.labels.as_ref().and_then(|labels| labels.get(LOOKUP_LABEL));
        let mark = request.required(&format!("Labels[{LOOKUP_LABEL}]"), mark)?;
        if is_abandoned(mark, found.created, now) {
            abandoned.push(request.required_text("Id", found.id)?);
        }
    }
    Ok(abandoned)
}

fn is_abandoned(mark: &str, created: Option<i64>, now: i64) -> bool {
    match owner::liveness(mark) {
        Liveness::Lives => false,
        Liveness::Dead => true,
        Liveness::Elsewhere => created.is_some_and(|created| now - created > ABANDONED_AFTER_S),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_dead_and_the_old_are_swept() {
        let own = Owner::own().mark();
        let (_, started) = own.rsplit_once(' ').unwrap();
        let dead = own.replace(started, "1");
        assert!(!is_abandoned(&own, Some(0), 10_000), "its process lives");
        assert!(is_abandoned(&dead, Some(9_999), 10_000), "its process is dead");
        assert!(!is_abandoned("elsewhere 1 2", Some(9_999), 10_000), "another host, just made");
        assert!(is_abandoned("elsewhere 1 2", Some(1), 10_000), "another host, long ago");
        assert!(!is_abandoned("elsewhere 1 2", None, 10_000), "nobody knows when");
    }

    #[test]
    fn of_a_list_that_was_not_filtered_nothing_is_removed() {
        let found = |id: &str, labels: &[(&str, &str)]| ContainerSummary {
            id: Some(id.to_owned()),
            labels: Some(labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()),
            created: Some(1),
            ..Default::default()
        };
        let abandoned = |list| abandoned(&EngineRequest::containers(), list, 10_000);
        let own = found("1", &[(LOOKUP_LABEL, "elsewhere 1 2")]);
        assert_eq!(abandoned(vec![own.clone()]), Ok(vec!["1".to_owned()]));
        assert!(abandoned(vec![own, found("2", &[("a", "b")])]).is_err());
    }
}

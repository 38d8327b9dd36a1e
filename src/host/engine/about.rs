//! What the engine says of itself.

use super::{Engine, EngineError};
use crate::api::Time;

/// An engine's versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions {
    /// Its own: `20.10.24`.
    pub engine: String,
    /// The newest API that it speaks: `1.41`.
    pub api: String,
    /// Whether it is Podman, whose socket speaks Docker's API and a larger one of its own.
    pub podman: bool,
}

/// How Podman calls itself among the components of its version.
const PODMAN: &str = "Podman Engine";

impl Engine {
    /// Which engine it is.
    ///
    /// # Errors
    /// [`EngineError`], [`EngineError::Malformed`] also for an answer without versions.
    pub async fn versions(&self) -> Result<Versions, EngineError> {
        let answer = self.call(|docker| async move { docker.version().await }).await?;
        let known = |text: Option<String>| text.filter(|text| !text.is_empty());
        let podman = answer.components.into_iter().flatten().any(|component| component.name == PODMAN);
        match (known(answer.version), known(answer.api_version)) {
            (Some(engine), Some(api)) => Ok(Versions { engine, api, podman }),
            _ => Err(EngineError::Malformed("it does not say which version it is".into())),
        }
    }

    /// Whether it is Podman. Asked once: nobody puts another engine behind a socket while undrift speaks to it.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn is_podman(&self) -> Result<bool, EngineError> {
        let ask = async || Ok(self.versions().await?.podman);
        self.podman.get_or_try_init(ask).await.copied()
    }

    /// Its ID; `None` for an engine that has none that lasts: Podman makes another one up at each question.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn id(&self) -> Result<Option<String>, EngineError> {
        if self.is_podman().await? {
            return Ok(None);
        }
        let answer = self.call(|docker| async move { docker.info().await }).await?;
        Ok(answer.id.filter(|id| !id.is_empty()))
    }

    /// Its clock; `None` where it does not say, or says no time.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn clock(&self) -> Result<Option<Time>, EngineError> {
        let answer = self.call(|docker| async move { docker.info().await }).await?;
        Ok(answer.system_time.and_then(|text| text.parse().ok()))
    }
}

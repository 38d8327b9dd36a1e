//! The engine's own data: versions, ID, clock.

use super::{Engine, EngineError, request::EngineRequest};
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

/// Podman's name among the components of its version.
const PODMAN: &str = "Podman Engine";

impl Engine {
    /// Which engine it is.
    ///
    /// # Errors
    /// [`EngineError`], [`EngineError::Incomplete`] also for an answer without versions.
    pub async fn versions(&self) -> Result<Versions, EngineError> {
        let request = EngineRequest::get("version");
        let answer = self.ask(&request, |docker| async move { docker.version().await }).await?;
        // Since 18.06; if Podman is none of them, the engine is Docker.
        let components = request.required("Components", answer.components)?;
        Ok(Versions {
            engine: request.required_text("Version", answer.version)?,
            api: request.required_text("ApiVersion", answer.api_version)?,
            podman: components.iter().any(|component| component.name == PODMAN),
        })
    }

    /// Whether it is Podman. Asked once: the engine behind a socket does not change while undrift uses it.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn is_podman(&self) -> Result<bool, EngineError> {
        let ask = async || Ok(self.versions().await?.podman);
        self.podman.get_or_try_init(ask).await.copied()
    }

    /// Its ID; `None` for an engine without a lasting one: Podman invents a new one for each request.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn id(&self) -> Result<Option<String>, EngineError> {
        if self.is_podman().await? {
            return Ok(None);
        }
        let request = EngineRequest::get("info");
        let answer = self.ask(&request, |docker| async move { docker.info().await }).await?;
        request.required_text("ID", answer.id).map(Some)
    }

    /// Its clock; `None` if it reports none, or no valid time.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn clock(&self) -> Result<Option<Time>, EngineError> {
        let answer = self.call(|docker| async move { docker.info().await }).await?;
        Ok(answer.system_time.and_then(|text| text.parse().ok()))
    }
}

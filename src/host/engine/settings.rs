//! One label or one variable of an image or a container. Nothing else of its environment, which may hold secrets, is passed on.

use std::{collections::HashMap, fmt};

use bollard::query_parameters::InspectContainerOptions;

use super::{Engine, EngineError, request::EngineRequest};

/// Which setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting<'a> {
    /// The label of this name.
    Label(&'a str),
    /// The variable of this name in its environment.
    Variable(&'a str),
}

impl Setting<'_> {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &str {
        match self {
            Self::Label(name) | Self::Variable(name) => name,
        }
    }

    fn of(self, labels: Option<HashMap<String, String>>, env: Option<Vec<String>>) -> Option<String> {
        match self {
            Self::Label(name) => labels?.remove(name),
            Self::Variable(name) => {
                let value = |entry: &String| {
                    entry.split_once('=').filter(|(of, _)| *of == name).map(|(_, v)| v.to_owned())
                };
                env?.iter().find_map(value)
            }
        }
    }
}

impl fmt::Display for Setting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(name) => write!(f, "label {name}"),
            Self::Variable(name) => write!(f, "variable {name}"),
        }
    }
}

impl Engine {
    /// A setting of an image; `None` if it has none of this name.
    ///
    /// # Errors
    /// If the engine does not answer, or no longer has the image.
    pub async fn image_setting(
        &self,
        image: &str,
        setting: Setting<'_>,
    ) -> Result<Option<String>, EngineError> {
        let config = self.image_config(image).await?;
        let config = config.ok_or_else(|| EngineError::NotFound("the image is gone".into()))?;
        Ok(setting.of(config.labels, config.env))
    }

    /// The same of a container.
    ///
    /// # Errors
    /// If the engine does not answer, or no longer has the container.
    pub async fn container_setting(
        &self,
        container: &str,
        setting: Setting<'_>,
    ) -> Result<Option<String>, EngineError> {
        let request = EngineRequest::container(container);
        let details = self
            .ask(&request, async |docker| {
                docker.inspect_container(container, None::<InspectContainerOptions>).await
            })
            .await?;
        let config = request.required("Config", details.config)?;
        Ok(setting.of(config.labels, config.env))
    }
}

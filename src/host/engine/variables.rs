//! The variables that a container has besides those of its image.

use std::collections::BTreeSet;

use bollard::query_parameters::InspectContainerOptions;
use serde_json::Value;

use super::{Engine, EngineError};

impl Engine {
    /// A container and the configuration of its image, as the engine says them; null for an image that is gone. They hold what
    /// may be secrets.
    ///
    /// # Errors
    /// Where the engine does not answer, or the container is gone.
    pub(in crate::host) async fn inspected(&self, container: &str) -> Result<(Value, Value), EngineError> {
        let details = self
            .call(async |docker| docker.inspect_container(container, None::<InspectContainerOptions>).await)
            .await?;
        let image = details.image.clone().unwrap_or_default();
        let config = match self.call(async |docker| docker.inspect_image(&image).await).await {
            Ok(image) => image.config,
            Err(EngineError::NotFound(_)) => None,
            Err(error) => return Err(error),
        };
        let json = |value: Result<Value, serde_json::Error>| {
            value.map_err(|error| EngineError::Malformed(error.to_string()))
        };
        Ok((json(serde_json::to_value(details))?, json(serde_json::to_value(config))?))
    }

    /// The variables of a container that are not its image's, name and value; none where the container is gone. They may be
    /// secrets.
    ///
    /// # Errors
    /// Where the engine does not answer.
    pub async fn variables(&self, container: &str) -> Result<Vec<(String, String)>, EngineError> {
        let details = self
            .call(async |docker| docker.inspect_container(container, None::<InspectContainerOptions>).await)
            .await;
        let details = match details {
            Ok(details) => details,
            Err(EngineError::NotFound(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let image = details.image.unwrap_or_default();
        let of_image = match self.call(async |docker| docker.inspect_image(&image).await).await {
            Ok(image) => image.config.and_then(|config| config.env).unwrap_or_default(),
            // An image that is gone tells nothing of its variables.
            Err(EngineError::NotFound(_)) => Vec::new(),
            Err(error) => return Err(error),
        };
        let of_image: BTreeSet<String> = of_image.into_iter().collect();
        let all = details.config.and_then(|config| config.env).unwrap_or_default();
        let own = all.into_iter().filter(|entry| !of_image.contains(entry));
        Ok(own.filter_map(|entry| entry.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned()))).collect())
    }
}

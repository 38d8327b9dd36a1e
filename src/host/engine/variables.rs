//! The variables of a container that do not come from its image.

use std::collections::BTreeSet;

use bollard::{models::ImageConfig, query_parameters::InspectContainerOptions};
use serde_json::Value;

use super::{Engine, EngineError, exposed::config, request::EngineRequest};

impl Engine {
    /// A container and the configuration of its image, as the engine reports them; null for an image that is gone. They may
    /// hold secrets.
    ///
    /// # Errors
    /// If the engine does not answer, or the container is gone.
    pub(in crate::host) async fn inspected(&self, container: &str) -> Result<(Value, Value), EngineError> {
        let request = EngineRequest::container(container);
        let details = self
            .ask(&request, async |docker| {
                docker.inspect_container(container, None::<InspectContainerOptions>).await
            })
            .await?;
        request.required("Config", details.config.as_ref())?;
        let image = request.required_text("Image", details.image.clone())?;
        let config = self.image_config(&image).await?;
        let json = |value: Result<Value, serde_json::Error>| {
            value.map_err(|error| EngineError::Malformed(error.to_string()))
        };
        Ok((json(serde_json::to_value(details))?, json(serde_json::to_value(config))?))
    }

    /// The variables of a container that do not come from its image, name and value; none if the container is gone. They may be
    /// secrets.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn variables(&self, container: &str) -> Result<Vec<(String, String)>, EngineError> {
        let request = EngineRequest::container(container);
        let details = self
            .ask(&request, async |docker| {
                docker.inspect_container(container, None::<InspectContainerOptions>).await
            })
            .await;
        let details = match details {
            Ok(details) => details,
            Err(error) if error.is_absent() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let image = request.required_text("Image", details.image)?;
        // The variables of an image that is gone are unknown.
        let of_image = self.image_config(&image).await?.and_then(|config| config.env).unwrap_or_default();
        let of_image: BTreeSet<String> = of_image.into_iter().collect();
        let all = request.required("Config", details.config)?.env.unwrap_or_default();
        let own = all.into_iter().filter(|entry| !of_image.contains(entry));
        Ok(own.filter_map(|entry| entry.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned()))).collect())
    }

    /// `None` for an image that is gone.
    pub(super) async fn image_config(&self, image: &str) -> Result<Option<ImageConfig>, EngineError> {
        let request = EngineRequest::image(image);
        match self.ask(&request, async |docker| docker.inspect_image(image).await).await {
            Ok(image) => config(&request, image).map(Some),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

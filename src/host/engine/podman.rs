//! Requests that Podman's own API offers and Docker's does not. It is served on the same socket:
//! <https://docs.podman.io/en/latest/_static/api.html>.

use std::collections::HashMap;

use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use serde_json::json;

use super::{Engine, EngineError};
use crate::host::{endpoint::Endpoint, probe::without_tls};

/// The API's version in the path, which must not be newer than Podman itself: 4.0 is from 2022.
const CREATE: &str = "v4.0.0/libpod/containers/create";

#[derive(Deserialize)]
struct Created {
    #[serde(rename = "Id")]
    id: String,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

/// The header that Podman sends beside a 404 for a dangling link (measured with 5.8.6; Docker answers 200).
const STAT: &str = "X-Docker-Container-Path-Stat";

impl Engine {
    /// Creates a container without the volumes that its image declares, and without a network; its ID.
    ///
    /// # Errors
    /// [`EngineError`].
    pub(super) async fn create_without_volumes(
        &self,
        image: &str,
        labels: &HashMap<String, String>,
        command: &str,
    ) -> Result<String, EngineError> {
        let _permit = self.permit().await?;
        let body = json!({
            "image": image,
            "command": [command],
            "labels": labels,
            "image_volume_mode": "ignore",
            "netns": {"nsmode": "none"},
        });
        let request = self.request(Method::POST, CREATE, &[])?.header("Content-Type", "application/json");
        let answer = request.body(body.to_string()).send().await.map_err(|error| self.unanswered(&error))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| self.unanswered(&error))?;
        if status.is_success() {
            let created = serde_json::from_str::<Created>(&text);
            return created
                .map(|created| created.id)
                .map_err(|error| EngineError::Malformed(error.to_string()));
        }
        let message = serde_json::from_str::<Refusal>(&text).map_or(text, |refusal| refusal.message);
        Err(match status {
            StatusCode::NOT_FOUND => EngineError::NotFound(message),
            status => EngineError::Refused { status: status.as_u16(), message },
        })
    }

    /// Whether a path that Podman does not find is a dangling link.
    ///
    /// # Errors
    /// [`EngineError`].
    pub(super) async fn is_dangling(&self, container: &str, path: &str) -> Result<bool, EngineError> {
        let _permit = self.permit().await?;
        let request =
            self.request(Method::HEAD, &format!("containers/{container}/archive"), &[("path", path)])?;
        let answer = request.send().await.map_err(|error| self.unanswered(&error))?;
        Ok(answer.status() == StatusCode::NOT_FOUND && answer.headers().contains_key(STAT))
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<RequestBuilder, EngineError> {
        let malformed = |error: &dyn std::error::Error| EngineError::Malformed(error.to_string());
        let builder = without_tls().map_err(|error| malformed(&error))?.timeout(self.limit());
        let (builder, host) = match self.endpoint() {
            Endpoint::Unix(socket) => (builder.unix_socket(socket.as_path()), "podman"),
            Endpoint::Tcp(address) => (builder, address.as_str()),
        };
        let mut url = Url::parse(&format!("http://{host}/{path}")).map_err(|error| malformed(&error))?;
        for (name, value) in query {
            url.query_pairs_mut().append_pair(name, value);
        }
        Ok(builder.build().map_err(|error| malformed(&error))?.request(method, url))
    }

    fn unanswered(&self, error: &reqwest::Error) -> EngineError {
        if error.is_timeout() {
            return EngineError::TimedOut(self.limit());
        }
        EngineError::Unavailable(error.to_string())
    }
}

//! A question to the engine by the name that people know it by, and what its answer must hold to be believed.
//!
//! Nearly every field of bollard's types is an `Option`, so that `{}` reads as well as a whole answer does: whatever a proxy
//! or an engine in trouble leaves out would look like something that is not there, and would be made anew. What is missing is
//! therefore not known, and the answer as a whole is not believed.
//!
//! Docker leaves these out by right, and they mean that there is none (API reference 1.41, and seen on 20.10.24; in moby's sources
//! up to 29.1 it is the same but for networks):
//!
//! | of | left out | where |
//! | --- | --- | --- |
//! | container | `Names` (empty, in the list) | it could not be removed whole |
//! | | `Labels` (null, in the list) | none is set |
//! | | `State.Health` | without a health check, or never started |
//! | | `NetworkSettings.Ports` (null) | while it does not run |
//! | | `Config.Healthcheck`, `.StopSignal`, `.StopTimeout`, `.ExposedPorts`, `.Env`, `.Labels` | none is set |
//! | | `HostConfig.Tmpfs`, `.VolumesFrom` (null) | none |
//! | | `Mounts[].Name`, `.Type` | no volume; made by an engine before 1.8 |
//! | image | `Config` (null, up to 27) | it was not made of a Dockerfile |
//! | | `RepoTags` (null or empty), `Config.Env`, `.ExposedPorts`, `.Labels` | none |
//! | network | `IPAM.Config` (null) | neither IPv4 nor IPv6 is enabled |
//! | volume | `Labels`, `Options` (null) | none |

use std::fmt;

use super::EngineError;

/// A question, as it is written in the API's reference: `GET /containers/ID/json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EngineRequest(String);

impl EngineRequest {
    pub(super) fn get(path: impl fmt::Display) -> Self {
        Self(format!("GET /{path}"))
    }

    pub(super) fn head(path: impl fmt::Display) -> Self {
        Self(format!("HEAD /{path}"))
    }

    /// The details of a container.
    pub(super) fn container(id: &str) -> Self {
        Self::get(format_args!("containers/{id}/json"))
    }

    /// The details of an image.
    pub(super) fn image(image: &str) -> Self {
        Self::get(format_args!("images/{image}/json"))
    }

    /// The list of containers.
    pub(super) fn containers() -> Self {
        Self::get("containers/json")
    }

    /// The list of networks.
    pub(super) fn networks() -> Self {
        Self::get("networks")
    }

    /// What Docker always says in this field of the answer.
    ///
    /// # Errors
    /// [`EngineError::Incomplete`] where it does not.
    pub(super) fn required<T>(&self, field: &str, value: Option<T>) -> Result<T, EngineError> {
        value.ok_or_else(|| self.lacks(field))
    }

    /// The same of a text that is never empty.
    ///
    /// # Errors
    /// As [`Self::required`].
    pub(super) fn required_text(&self, field: &str, text: Option<String>) -> Result<String, EngineError> {
        self.required(field, text.filter(|text| !text.is_empty()))
    }

    /// Why an answer without this field is not believed.
    pub(super) fn lacks(&self, field: &str) -> EngineError {
        EngineError::Incomplete { request: self.to_string(), field: field.to_owned() }
    }

    /// The error with the question to it, where it says nothing of what was asked.
    pub(super) fn named(&self, error: EngineError) -> EngineError {
        match error {
            EngineError::Malformed(what) => EngineError::Malformed(format!("{self}: {what}")),
            error => error,
        }
    }
}

impl fmt::Display for EngineRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_missing_is_named_with_the_question() {
        let request = EngineRequest::container("0123");
        assert_eq!(request.required("Id", Some(1)), Ok(1));
        let message = |error: EngineError| error.to_string();
        let missing = request.required("State.Status", None::<u8>).map_err(message);
        assert_eq!(
            missing,
            Err("the engine's answer to GET /containers/0123/json has no State.Status".into())
        );
        assert_eq!(request.required_text("Name", Some(String::new())), Err(request.lacks("Name")));
        let malformed = request.named(EngineError::Malformed("a null".into()));
        assert_eq!(
            malformed.to_string(),
            "the engine's answer cannot be read: GET /containers/0123/json: a null"
        );
    }
}

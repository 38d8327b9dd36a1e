//! A request to the engine under its documented name, and the fields that its answer must have to be trusted.
//!
//! Nearly every field of bollard's types is an `Option`, so `{}` parses as well as a complete answer: a field that a proxy or
//! an engine in trouble omits would look like a missing object, which undrift would then recreate. A missing field is therefore
//! unknown, and the whole answer is rejected.
//!
//! Docker legitimately omits these, and they mean that there is none (API reference 1.41, and seen on 20.10.24; in moby's
//! sources up to 29.1 it is the same except for networks):
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
//! | image | `Config` (null, up to 27) | it was not built from a Dockerfile |
//! | | `RepoTags` (null or empty), `Config.Env`, `.ExposedPorts`, `.Labels` | none |
//! | network | `IPAM.Config` (null) | neither IPv4 nor IPv6 is enabled |
//! | volume | `Labels`, `Options` (null) | none |

use std::fmt;

use super::EngineError;

/// A request, as the API reference writes it: `GET /containers/ID/json`.
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

    /// A field that Docker always includes in the answer.
    ///
    /// # Errors
    /// [`EngineError::Incomplete`] if it is missing.
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

    /// Why an answer without this field is rejected.
    pub(super) fn lacks(&self, field: &str) -> EngineError {
        EngineError::Incomplete { request: self.to_string(), field: field.to_owned() }
    }

    /// The error with its request, if the error does not name it already.
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

//! Errors as an HTTP status and a document.

use axum::{
    Json,
    http::{Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};

use crate::{documents, store::StoreError};

/// Why a request failed.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    /// In `PascalCase`; a contract.
    pub(super) reason: &'static str,
    /// In a sentence.
    pub(super) message: String,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { status, reason, message: message.into() }
    }

    /// The path does not take this input.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Usage", message)
    }

    pub(super) fn no_such_object(name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NoSuchObject", format!("no object {name} is recorded"))
    }

    pub(super) fn state_unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "StateUnavailable", message)
    }

    pub(super) fn ending() -> Self {
        let message = "the running undrift is about to end";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Ending", message)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::AmbiguousIncident { .. } => Self::usage(error.to_string()),
            _ => Self::state_unavailable(crate::causes::with_causes(&error)),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(documents::error(self.reason, &self.message))).into_response()
    }
}

pub(super) async fn no_such_path(uri: Uri) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "NoSuchPath", format!("nothing is at {}", uri.path()))
}

pub(super) async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("{} does not take {method}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
}

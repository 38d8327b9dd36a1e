//! Errors as an HTTP status and a document.

use axum::{
    Json,
    http::{Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};

use crate::{
    api::{ErrorReason, FailureReason, NoteReason, Reason},
    documents,
    incident_report::ExportError,
    store::StoreError,
};

/// Why a request failed.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) reason: Reason,
    /// In a sentence.
    pub(super) message: String,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, reason: impl Into<Reason>, message: impl Into<String>) -> Self {
        Self { status, reason: reason.into(), message: message.into() }
    }

    /// The path does not take this input.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorReason::Usage, message)
    }

    pub(super) fn no_such_object(name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrorReason::NoSuchObject, format!("no object {name} is recorded"))
    }

    pub(super) fn state_unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, NoteReason::StateUnavailable, message)
    }

    pub(super) fn ending() -> Self {
        let message = "the running undrift is about to end";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, FailureReason::Ending, message)
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

impl From<ExportError> for ApiError {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Store(error) => error.into(),
            failed => {
                let message = crate::causes::with_causes(&failed);
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorReason::InputOutput, message)
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(documents::error(&self.reason, &self.message))).into_response()
    }
}

pub(super) async fn no_such_path(uri: Uri) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, ErrorReason::NoSuchPath, format!("nothing is at {}", uri.path()))
}

pub(super) async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("{} does not take {method}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, ErrorReason::MethodNotAllowed, message)
}

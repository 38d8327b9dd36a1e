//! The input of a request: its query, its body, the state.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{
        FromRequest, FromRequestParts, Path, Query, Request,
        rejection::{PathRejection, QueryRejection},
    },
    http::{StatusCode, header, request::Parts},
};
use serde::de::DeserializeOwned;

use super::{super::reconciler::DaemonContext, Peer, REQUEST_TIMEOUT, errors::ApiError};
use crate::{api::ErrorReason, host::Host, store::Store};

/// The parameters of a query. A parameter that the path does not know is an error.
pub(super) struct Parameters<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query
            .map(|Query(value)| Self(value))
            .map_err(|error: QueryRejection| ApiError::usage(error.body_text()))
    }
}

/// The one named segment of a path: an object, an incident.
pub(super) struct Segment(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(segment)| Self(segment))
            .map_err(|error: PathRejection| ApiError::usage(error.body_text()))
    }
}

/// A JSON body; `{}` if there is none.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let media_type = request.headers().get(header::CONTENT_TYPE);
        let is_json = media_type.is_some_and(|value| {
            let media_type = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
            media_type.trim().eq_ignore_ascii_case("application/json")
        });
        let bytes = axum::body::to_bytes(request.into_body(), super::LARGEST_BODY);
        let bytes = tokio::time::timeout(REQUEST_TIMEOUT, bytes).await;
        let bytes = bytes.map_err(|_| ApiError::usage("the body did not arrive in time"))?;
        let bytes = bytes.map_err(|error| {
            let message = format!("the body cannot be read: {error}");
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorReason::Usage, message)
        })?;
        if !bytes.is_empty() && !is_json {
            return Err(ApiError::usage("a body needs the header Content-Type: application/json"));
        }
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(text).map(Self).map_err(|error| ApiError::usage(format!("the body: {error}")))
    }
}

/// Reads the state on a thread that may wait for the disk.
pub(super) async fn read<H: Host + 'static, T: Send + 'static>(
    shared: &Arc<DaemonContext<H>>,
    read: impl FnOnce(&Store) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    shared.state_checked().await.map_err(ApiError::state_unavailable)?;
    let store = Arc::clone(&shared.store);
    let answer = tokio::task::spawn_blocking(move || read(&store)).await;
    answer.unwrap_or_else(|error| Err(ApiError::state_unavailable(error.to_string())))
}

/// The requesting user, from the connection.
pub(super) type AskedBy = Extension<Peer>;

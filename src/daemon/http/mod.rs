//! The HTTP API of a running undrift, on its control socket.

mod errors;
mod events;
mod health;
mod incidents;
mod input;
mod objects;
mod reconcile;
mod records;
mod serve;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderValue, header},
    middleware::{self, Next},
    response::Response,
    routing::{get, post},
};

use super::reconciler::DaemonContext;
use crate::host::Host;
use errors::ApiError;

pub(super) use serve::{REQUEST_TIMEOUT, serve};

/// The largest body of a request, in bytes. The largest expected one has a reason in words.
const LARGEST_BODY: usize = 64 * 1024;

/// The requesting process.
#[derive(Debug, Clone, Copy)]
struct Peer {
    /// The user of the process, as reported by the kernel.
    uid: u32,
}

/// The paths and their handlers.
fn router<H: Host + 'static>(shared: &Arc<DaemonContext<H>>) -> Router {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/api/v1/objects", get(objects::list))
        .route("/api/v1/objects/{name}", get(objects::one))
        .route("/api/v1/objects/{name}/suspend", post(objects::suspend))
        .route("/api/v1/objects/{name}/resume", post(objects::resume))
        .route("/api/v1/objects/{name}/retry", post(objects::retry))
        .route("/api/v1/objects/{name}/reconcile", post(reconcile::reconcile))
        .route("/api/v1/incidents", get(incidents::list))
        .route("/api/v1/incidents/{id}", get(incidents::one))
        .route("/api/v1/incidents/{id}/export", get(incidents::export))
        .route("/api/v1/records", get(records::list))
        .route("/api/v1/events", get(events::events))
        .fallback(errors::no_such_path)
        .method_not_allowed_fallback(errors::wrong_method)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(middleware::from_fn_with_state(Arc::clone(shared), refuse_at_the_end))
        .layer(middleware::map_response(name_server))
        .with_state(Arc::clone(shared))
}

/// Once undrift is ending, every answer is a refusal.
async fn refuse_at_the_end<H: Host + 'static>(
    State(shared): State<Arc<DaemonContext<H>>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    // Liveness is independent of whether undrift is ending.
    if shared.stop.is_cancelled() && request.uri().path() != "/healthz" {
        return Err(ApiError::ending());
    }
    Ok(next.run(request).await)
}

/// It shows a command line of another version which version runs.
async fn name_server(mut response: Response) -> Response {
    let name = HeaderValue::from_static(concat!("undrift/", env!("CARGO_PKG_VERSION")));
    response.headers_mut().insert(header::SERVER, name);
    response
}

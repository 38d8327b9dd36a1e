//! Liveness and readiness of undrift.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};

use super::{super::reconciler::DaemonContext, errors::ApiError};
use crate::{api::ErrorReason, daemon::readiness::Stage, host::Host};

/// 200 while the loop is alive.
pub(super) async fn healthz<H: Host + 'static>(
    State(shared): State<Arc<DaemonContext<H>>>,
) -> Result<&'static str, ApiError> {
    match shared.heartbeat.stuck_for() {
        None => Ok("ok\n"),
        Some(time) => {
            let message = format!("the loop that reconciles has stood still for {} s", time.as_secs());
            Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, ErrorReason::LoopStuck, message))
        }
    }
}

/// 200 once every object that can be was observed, and while the state is where it was opened.
pub(super) async fn readyz<H: Host + 'static>(
    State(shared): State<Arc<DaemonContext<H>>>,
) -> Result<&'static str, ApiError> {
    shared.state_checked().await.map_err(ApiError::state_unavailable)?;
    match shared.readiness.stage() {
        Stage::Ready => Ok("ok\n"),
        Stage::Ending => Err(ApiError::ending()),
        Stage::Starting(objects) => {
            let message = format!("not looked at yet: {}", objects.join(", "));
            Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, ErrorReason::NotYetObserved, message))
        }
    }
}

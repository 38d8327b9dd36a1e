//! One connection: its requests, and its end.

use std::{sync::Arc, time::Duration};

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::net::UnixStream;

use super::{super::reconciler::DaemonContext, Peer, router};
use crate::host::Host;

/// How long the head of a request, and its body, may take to arrive.
pub(in crate::daemon) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a request may take to arrive once undrift is ending, and then the client to take its answer. A person's request
/// arrives at once.
pub(in crate::daemon) const LAST_REQUEST: Duration = Duration::from_millis(500);

/// Answers the requests of one connection until it ends, or undrift does.
pub(in crate::daemon) async fn serve<H: Host + 'static>(shared: &Arc<DaemonContext<H>>, stream: UnixStream) {
    let peer = match stream.peer_cred() {
        Ok(peer) => Peer { uid: peer.uid() },
        Err(error) => {
            tracing::warn!(%error, "the caller at the control socket cannot be identified");
            return;
        }
    };
    let service: Router = router(shared).layer(Extension(peer));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(connection);
    let served = tokio::select! {
        served = &mut connection => served,
        () = last_request(shared) => {
            connection.as_mut().graceful_shutdown();
            // Every answer then ends by itself; undrift does not wait for half a request.
            tokio::time::timeout(LAST_REQUEST, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection at the control socket ended early");
    }
}

/// Completes a moment after undrift was asked to end.
async fn last_request<H: Host + 'static>(shared: &DaemonContext<H>) {
    shared.stop.cancelled().await;
    tokio::time::sleep(LAST_REQUEST).await;
}

//! One object reconciled now, with its events.

use std::{path::Path as FilePath, sync::Arc};

use axum::{
    body::{Body as Stream, Bytes},
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;

use super::{
    super::reconciler::DaemonContext,
    REQUEST_TIMEOUT,
    errors::ApiError,
    input::{JsonBody, Segment},
};
use crate::{
    api::ErrorReason,
    daemon::protocol::{ReconcileRequest, Reply},
    host::Host,
};

/// Has the loop reconcile the object now, and streams the events until it has settled: a line of JSON for each event, the last
/// one the result. A client that reads slowly loses events, never the result.
pub(super) async fn reconcile<H: Host + 'static>(
    State(shared): State<Arc<DaemonContext<H>>>,
    Segment(name): Segment,
    JsonBody(asked): JsonBody<ReconcileRequest>,
) -> Result<Response, ApiError> {
    shared.state_checked().await.map_err(ApiError::state_unavailable)?;
    if !asked.skip_reload {
        // undrift may not have noticed the person's latest edit yet. If the manifests cannot be read now, the last version
        // that was read applies.
        tokio::select! {
            _ = tokio::time::timeout(REQUEST_TIMEOUT, shared.reload()) => {}
            () = shared.stop.cancelled() => return Err(ApiError::ending()),
        }
    }
    check_same_object(&shared, &name, &asked)?;
    if asked.dry_run {
        return Ok(lines(Stream::empty()));
    }
    // First of all: a reconcile that begins right now, and so counts as an answer, must observe afresh.
    shared.sessions.refresh(&name);
    let replies = shared.subscribers.subscribe(&name);
    shared.queue.add(&name);
    let stop = shared.stop.clone();
    let replies = stream::unfold((replies, stop), |(mut replies, stop)| async {
        let reply = tokio::select! {
            // Pending replies go out first, or a result would be lost.
            biased;
            reply = replies.recv() => reply?,
            // Otherwise undrift would wait for a request that arrived as it began to end.
            () = stop.cancelled() => return None,
        };
        Some((line(&reply), (replies, stop)))
    });
    Ok(lines(Stream::from_stream(replies)))
}

fn lines(stream: Stream) -> Response {
    ([(header::CONTENT_TYPE, "application/x-ndjson")], stream).into_response()
}

fn line(reply: &Reply) -> Result<Bytes, serde_json::Error> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    Ok(line.into())
}

fn check_same_object<H: Host + 'static>(
    shared: &DaemonContext<H>,
    name: &str,
    asked: &ReconcileRequest,
) -> Result<(), ApiError> {
    let Some(managed) = shared.objects.get(name) else {
        let message =
            format!("the running undrift does not watch {name}: it was started with other manifests");
        return Err(ApiError::new(StatusCode::NOT_FOUND, ErrorReason::NoSuchObject, message));
    };
    if asked.spec_digest.as_ref().is_none_or(|digest| *digest == managed.spec_digest) {
        return Ok(());
    }
    let message = format!(
        "the running undrift watches {name} as declared in {}, which differs from what was given here{}",
        managed.manifest,
        other_directory(&managed.directory, asked.directory.as_deref())
    );
    Err(ApiError::new(StatusCode::CONFLICT, ErrorReason::SpecDiffers, message))
}

/// The message that the project directories differ. They may be one folder: through a link Compose may give the project
/// another name, so it is not the same object, and a person who compares the manifests finds no difference.
fn other_directory(managed: &FilePath, asked: Option<&str>) -> String {
    let managed = managed.to_string_lossy();
    let asked = asked.filter(|asked| *asked != managed);
    asked
        .map(|asked| format!(": there the project directory is {managed}, here it is {asked}"))
        .unwrap_or_default()
}

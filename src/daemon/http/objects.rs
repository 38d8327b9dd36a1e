//! The recorded objects, and a person's instructions about one.

use std::sync::Arc;

use axum::{Extension, Json, extract::State, http::StatusCode};
use serde::Deserialize;

use super::{
    super::reconciler::DaemonContext,
    Peer,
    errors::ApiError,
    input::{AskedBy, JsonBody, Segment, read},
};
use crate::{
    api::{ConditionStatus, ConditionType, Duration, Object, ObjectList, StandingReason},
    files,
    host::Host,
    reconcile::current_objects,
    store::{Instructions, Store},
};

/// As `get -o json`.
pub(super) async fn list<H: Host + 'static>(
    State(shared): State<Arc<DaemonContext<H>>>,
) -> Result<Json<ObjectList>, ApiError> {
    read(&shared, |store| {
        let objects = current_objects(store, store.now())?.into_iter().map(|current| current.object);
        Ok(Json(ObjectList::new(objects.collect())))
    })
    .await
}

/// As `describe -o json`.
pub(super) async fn one<H: Host + 'static>(
    State(shared): State<Arc<DaemonContext<H>>>,
    Segment(name): Segment,
) -> Result<Json<Object>, ApiError> {
    read(&shared, move |store| current_object(store, &name).map(Json)).await
}

fn current_object(store: &Store, name: &str) -> Result<Object, ApiError> {
    let mut objects = current_objects(store, store.now())?.into_iter().map(|current| current.object);
    let found = objects.find(|object| object.declared.metadata.name == name);
    found.ok_or_else(|| ApiError::no_such_object(name))
}

/// The body of a suspension.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Suspend {
    /// For readers of the trail.
    reason: String,
    /// For how long; without it until the object is resumed.
    #[serde(rename = "for")]
    duration: Option<Duration>,
}

/// These take no parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

pub(super) async fn suspend<H: Host + 'static>(
    State(shared): State<Arc<DaemonContext<H>>>,
    Extension(peer): AskedBy,
    Segment(name): Segment,
    JsonBody(asked): JsonBody<Suspend>,
) -> Result<Json<Object>, ApiError> {
    if asked.reason.trim().is_empty() {
        return Err(ApiError::usage("the reason is empty: say why, for whoever reads the trail"));
    }
    instruct(&shared, peer, name, move |person, object| {
        let until = asked.duration.map(|duration| person.store().now() + duration.delta());
        person.suspend(&object.declared.metadata.name, until, &asked.reason)?;
        Ok(())
    })
    .await
}

pub(super) async fn resume<H: Host + 'static>(
    State(shared): State<Arc<DaemonContext<H>>>,
    Extension(peer): AskedBy,
    Segment(name): Segment,
    JsonBody(Nothing {}): JsonBody<Nothing>,
) -> Result<Json<Object>, ApiError> {
    instruct(&shared, peer, name, |person, object| {
        person.resume(&object.declared.metadata.name)?;
        Ok(())
    })
    .await
}

pub(super) async fn retry<H: Host + 'static>(
    State(shared): State<Arc<DaemonContext<H>>>,
    Extension(peer): AskedBy,
    Segment(name): Segment,
    JsonBody(Nothing {}): JsonBody<Nothing>,
) -> Result<Json<Object>, ApiError> {
    // If an object could not be observed, nobody knows whether a new budget helps: it may have moved to another engine.
    let was_seen = !shared.sessions.has_failed(&name);
    instruct(&shared, peer, name, move |person, object| {
        let name = &object.declared.metadata.name;
        if was_seen && is_well(object) && person.store().attempts(name)?.is_empty() {
            let message = "undrift has not given the object up, and waits for no attempt";
            return Err(ApiError::new(StatusCode::CONFLICT, StandingReason::NotStalled, message));
        }
        person.retry(name)?;
        Ok(())
    })
    .await
}

/// Whether it is as declared, and not stalled: it may be both at once if it was not verified.
fn is_well(object: &Object) -> bool {
    let is_true = |kind| {
        let mut conditions = object.status.conditions.iter();
        conditions.any(|c| c.kind == kind && c.status == ConditionStatus::True)
    };
    is_true(ConditionType::Ready) && !is_true(ConditionType::Stalled)
}

/// Records a person's instruction and has the object observed, even if the person has disconnected. undrift does not end
/// before it is recorded.
async fn instruct<H: Host + 'static>(
    shared: &Arc<DaemonContext<H>>,
    peer: Peer,
    name: String,
    record: impl FnOnce(Instructions<'_>, &Object) -> Result<(), ApiError> + Send + 'static,
) -> Result<Json<Object>, ApiError> {
    shared.state_checked().await.map_err(ApiError::state_unavailable)?;
    let context = Arc::clone(shared);
    let answer = shared.instructions.spawn_blocking(move || {
        let store = &context.store;
        record(store.by(&files::user_name(peer.uid)), &current_object(store, &name)?)?;
        context.sessions.refresh(&name);
        context.queue.add(&name);
        current_object(store, &name).map(Json)
    });
    answer.await.unwrap_or_else(|error| Err(ApiError::state_unavailable(error.to_string())))
}

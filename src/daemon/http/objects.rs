//! The recorded objects, and what a person wants done about one.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::Deserialize;

use super::{
    super::reconciler::DaemonContext,
    Peer,
    errors::ApiError,
    input::{AskedBy, Body, read},
};
use crate::{
    api::{ConditionStatus, Duration, Object, ObjectList},
    decide::RATE_EXCEEDED,
    host::Host,
    reconcile::{current_objects, now},
    store::{Instructions, Store},
};

/// As `get -o json`.
pub(super) async fn list<H: Host + 'static>(
    State(shared): State<Arc<DaemonContext<H>>>,
) -> Result<Json<ObjectList>, ApiError> {
    read(&shared, |store| {
        let objects = current_objects(store, now())?.into_iter().map(|current| current.object);
        Ok(Json(ObjectList::new(objects.collect())))
    })
    .await
}

/// As `describe -o json`.
pub(super) async fn one<H: Host + 'static>(
    State(shared): State<Arc<DaemonContext<H>>>,
    Path(name): Path<String>,
) -> Result<Json<Object>, ApiError> {
    read(&shared, move |store| current_object(store, &name).map(Json)).await
}

fn current_object(store: &Store, name: &str) -> Result<Object, ApiError> {
    let mut objects = current_objects(store, now())?.into_iter().map(|current| current.object);
    let found = objects.find(|object| object.declared.metadata.name == name);
    found.ok_or_else(|| ApiError::no_such_object(name))
}

/// What comes with a suspension.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Suspend {
    /// For whoever reads the trail.
    reason: String,
    /// For how long; without it until the object is resumed.
    #[serde(rename = "for")]
    duration: Option<Duration>,
}

/// Nothing comes with these.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

pub(super) async fn suspend<H: Host + 'static>(
    State(shared): State<Arc<DaemonContext<H>>>,
    Extension(peer): AskedBy,
    Path(name): Path<String>,
    Body(asked): Body<Suspend>,
) -> Result<Json<Object>, ApiError> {
    if asked.reason.trim().is_empty() {
        return Err(ApiError::usage("the reason is empty: say why, for whoever reads the trail"));
    }
    instruct(&shared, peer, name, move |person, object| {
        let until = asked.duration.map(|duration| now() + duration.delta());
        person.suspend(&object.declared.metadata.name, until, &asked.reason)?;
        Ok(())
    })
    .await
}

pub(super) async fn resume<H: Host + 'static>(
    State(shared): State<Arc<DaemonContext<H>>>,
    Extension(peer): AskedBy,
    Path(name): Path<String>,
    Body(Nothing {}): Body<Nothing>,
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
    Path(name): Path<String>,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Json<Object>, ApiError> {
    instruct(&shared, peer, name, |person, object| {
        if !waits_or_has_given_up(object) {
            let message = "undrift has not given the object up, and waits for no attempt";
            return Err(ApiError::new(StatusCode::CONFLICT, "NotStalled", message));
        }
        person.retry(&object.declared.metadata.name)?;
        Ok(())
    })
    .await
}

/// Whether a new budget would make a difference.
fn waits_or_has_given_up(object: &Object) -> bool {
    let status = &object.status;
    let mut conditions = status.conditions.iter();
    status.attempts > 0
        || conditions.any(|condition| {
            let is_stalled = condition.kind == crate::api::ConditionType::Stalled;
            condition.reason == RATE_EXCEEDED || (is_stalled && condition.status == ConditionStatus::True)
        })
}

/// Records what a person wants and has the object looked at.
async fn instruct<H: Host + 'static>(
    shared: &Arc<DaemonContext<H>>,
    peer: Peer,
    name: String,
    record: impl FnOnce(Instructions<'_>, &Object) -> Result<(), ApiError> + Send + 'static,
) -> Result<Json<Object>, ApiError> {
    let object = name.clone();
    let answer = read(shared, move |store| {
        record(store.by(&peer.user), &current_object(store, &object)?)?;
        current_object(store, &object).map(Json)
    })
    .await?;
    shared.sessions.refresh(&name);
    shared.queue.add(&name);
    Ok(answer)
}

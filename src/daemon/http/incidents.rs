//! The recorded incidents.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::reconciler::DaemonContext,
    errors::ApiError,
    input::{Parameters, Segment, read},
};
use crate::{
    api::ErrorReason,
    documents,
    host::Host,
    incident_report::{ExportFormat, ExportedIncident},
    store::RecordFilter,
};

/// The most incidents of one answer.
const MOST: usize = 100;

/// The default number.
const USUAL: usize = 50;

/// Which incidents.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IncidentQuery {
    object: Option<String>,
    /// At most this many.
    limit: Option<usize>,
    /// Older than the incident of this ID.
    before: Option<String>,
}

/// Newest first.
pub(super) async fn list<H: Host + 'static>(
    State(shared): State<Arc<DaemonContext<H>>>,
    Parameters(which): Parameters<IncidentQuery>,
) -> Result<Json<Value>, ApiError> {
    let limit = super::records::limit(which.limit, USUAL, MOST)?;
    read(&shared, move |store| {
        let before = which.before.map(|id| store.incident(&id)?.ok_or_else(|| no_such_incident(&id)));
        let before = before.transpose()?.map(|incident| incident.id);
        // One extra shows whether there are more.
        let page = store.incidents_before(which.object.as_deref(), before.as_deref(), limit + 1)?;
        let (page, has_more) = (&page[..page.len().min(limit)], page.len() > limit);
        let next = page.last().filter(|_| has_more).map(|last| last.id.as_str());
        Ok(Json(documents::page(documents::incident_list(page), json!(next))))
    })
    .await
}

/// One with its records. A prefix of its ID is enough if it is unique.
pub(super) async fn one<H: Host + 'static>(
    State(shared): State<Arc<DaemonContext<H>>>,
    Segment(id): Segment,
) -> Result<Json<Value>, ApiError> {
    read(&shared, move |store| {
        let incident = store.incident(&id)?.ok_or_else(|| no_such_incident(&id))?;
        let filter = RecordFilter { incident: Some(incident.id.clone()), ..RecordFilter::default() };
        Ok(Json(documents::incident(&incident, &store.records(&filter)?)))
    })
    .await
}

/// The format of an export.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportQuery {
    format: Option<ExportFormat>,
}

/// One as a document for a review.
pub(super) async fn export<H: Host + 'static>(
    State(shared): State<Arc<DaemonContext<H>>>,
    Segment(id): Segment,
    Parameters(which): Parameters<ExportQuery>,
) -> Result<impl IntoResponse, ApiError> {
    let format = which.format.unwrap_or(ExportFormat::Html);
    read(&shared, move |store| {
        let exported = ExportedIncident::read(store, &id, store.now())?;
        let document = exported.ok_or_else(|| no_such_incident(&id))?.render(format)?;
        Ok(([(header::CONTENT_TYPE, format.media_type())], document))
    })
    .await
}

fn no_such_incident(id: &str) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, ErrorReason::NoSuchIncident, format!("no incident {id} is recorded"))
}

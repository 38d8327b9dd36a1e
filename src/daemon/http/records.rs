//! The audit trail, page by page.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::reconciler::DaemonContext,
    errors::ApiError,
    input::{Parameters, read},
};
use crate::{documents, host::Host, store::RecordFilter};

/// The most records of one answer.
const MOST: usize = 1_000;

/// The default number.
const USUAL: usize = 200;

/// Which records.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordQuery {
    /// With a greater number than this.
    after: Option<u64>,
    /// At most this many.
    limit: Option<usize>,
    object: Option<String>,
    incident: Option<String>,
}

/// Oldest first.
pub(super) async fn list<H: Host + 'static>(
    State(shared): State<Arc<DaemonContext<H>>>,
    Parameters(RecordQuery { after, limit: asked, object, incident }): Parameters<RecordQuery>,
) -> Result<Json<Value>, ApiError> {
    let limit = limit(asked, USUAL, MOST)?;
    read(&shared, move |store| {
        // One extra shows whether there are more.
        let filter =
            RecordFilter { object, incident, after, limit: Some(limit + 1), ..RecordFilter::default() };
        let page = store.records(&filter)?;
        let (page, has_more) = (&page[..page.len().min(limit)], page.len() > limit);
        let next = page.last().filter(|_| has_more).map(|last| last.seq);
        Ok(Json(documents::page(documents::record_list(page), json!(next))))
    })
    .await
}

/// The length of a page: as requested, within the limit.
pub(super) fn limit(asked: Option<usize>, usual: usize, most: usize) -> Result<usize, ApiError> {
    match asked {
        None => Ok(usual),
        Some(asked) if (1..=most).contains(&asked) => Ok(asked),
        Some(asked) => Err(ApiError::usage(format!("limit is {asked}: give 1 to {most}"))),
    }
}

//! The JSON documents of the recorded state: the same on the command line and at the control socket.

use serde_json::{Value, json};

use crate::api::{API_VERSION, AuditRecord, Incident, Reason};

/// A list of incidents.
pub(crate) fn incident_list(incidents: &[Incident]) -> Value {
    json!({ "apiVersion": API_VERSION, "kind": "IncidentList", "items": incidents })
}

/// One incident with its records, oldest first.
pub(crate) fn incident(incident: &Incident, timeline: &[AuditRecord]) -> Value {
    let mut document = json!(incident);
    document["apiVersion"] = json!(API_VERSION);
    document["kind"] = json!("Incident");
    document["timeline"] = json!(timeline);
    document
}

/// A list of records.
pub(crate) fn record_list(records: &[AuditRecord]) -> Value {
    json!({ "apiVersion": API_VERSION, "kind": "AuditList", "items": records })
}

/// A list that is one page of more: `next` is where the next one starts, or null at the end.
pub(crate) fn page(mut list: Value, next: Value) -> Value {
    list["next"] = next;
    list
}

/// Why a request failed.
pub(crate) fn error(reason: &Reason, message: &str) -> Value {
    json!({ "apiVersion": API_VERSION, "kind": "Error", "reason": reason, "message": message })
}

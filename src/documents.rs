//! The JSON documents of the recorded state: the same by the command line and by the control socket.

use serde_json::{Value, json};

use crate::api::{API_VERSION, AuditRecord, Incident};

/// A list of incidents. `next` is the ID that the next page goes on before; null where there is none.
pub(crate) fn incident_list(incidents: &[Incident], next: Option<&str>) -> Value {
    json!({ "apiVersion": API_VERSION, "kind": "IncidentList", "items": incidents, "next": next })
}

/// One incident with its records, oldest first.
pub(crate) fn incident(incident: &Incident, timeline: &[AuditRecord]) -> Value {
    let mut document = json!(incident);
    document["apiVersion"] = json!(API_VERSION);
    document["kind"] = json!("Incident");
    document["timeline"] = json!(timeline);
    document
}

/// A list of records. `next` is the number that the next page goes on after; null where there is none.
pub(crate) fn record_list(records: &[AuditRecord], next: Option<u64>) -> Value {
    json!({ "apiVersion": API_VERSION, "kind": "AuditList", "items": records, "next": next })
}

/// Why there is no answer. The reason is `PascalCase`, and of the contract.
pub(crate) fn error(reason: &str, message: &str) -> Value {
    json!({ "apiVersion": API_VERSION, "kind": "Error", "reason": reason, "message": message })
}

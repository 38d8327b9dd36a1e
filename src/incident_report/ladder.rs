//! The ladder of an incident's services at each look that the trail keeps: source, artifact, container, route, auth.

use serde::{Deserialize as _, Serialize};

use super::drift_of;
use crate::api::{
    AuditKind, AuditRecord, ConditionStatus, Incident, Layer, ObjectStatus, ServiceStatus, Time, stamp,
};

/// The ladder of some services at one look.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LadderAtLook {
    /// What the look was for, in words.
    pub(crate) label: String,
    /// When, as the trail has it.
    pub(crate) at: String,
    /// The record that keeps it; null for the evidence of the incident itself.
    pub(crate) record: Option<u64>,
    /// The services.
    pub(crate) services: Vec<LadderOfService>,
}

/// The layers of one service, in their order.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LadderOfService {
    /// The service.
    pub(crate) service: String,
    /// Source, artifact, container, route, auth.
    pub(crate) layers: Vec<LayerInReport>,
}

/// One layer of a service as it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub(crate) enum LayerInReport {
    /// The spec declares nothing for it.
    Undeclared,
    /// As declared.
    AsDeclared {
        /// The statuses that the routes answered, where the layer has any.
        answers: Vec<u16>,
    },
    /// The first broken layer.
    Broken {
        /// The reason of the drift.
        reason: String,
    },
    /// The record of a drift tells only that it did not break first.
    NotBroken,
    /// It lies behind the broken layer, and explains nothing.
    NotJudged,
    /// It could not be observed.
    Unknown,
}

impl LayerInReport {
    /// The mark and the words of it, for a person.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::Undeclared => "– not declared".to_owned(),
            Self::AsDeclared { answers } if answers.is_empty() => "✓ as declared".to_owned(),
            Self::AsDeclared { answers } => {
                let answers: Vec<String> = answers.iter().map(u16::to_string).collect();
                format!("✓ as declared: {}", answers.join(" "))
            }
            Self::Broken { reason } => format!("✗ {reason}"),
            Self::NotBroken => "· not broken".to_owned(),
            Self::NotJudged => "· not judged".to_owned(),
            Self::Unknown => "? unknown".to_owned(),
        }
    }

    /// The word that a style sheet knows it by.
    pub(crate) const fn class(&self) -> &'static str {
        match self {
            Self::Undeclared => "undeclared",
            Self::AsDeclared { .. } => "ok",
            Self::Broken { .. } => "broken",
            Self::NotBroken | Self::NotJudged => "behind",
            Self::Unknown => "unknown",
        }
    }
}

/// The ladders of an incident, oldest first: before the first step, at each drift that was recorded, and at the end. The drifts
/// that it opened with are in the evidence from before the first step, with all other services.
pub(super) fn ladders(
    incident: &Incident,
    after: Option<&ObjectStatus>,
    records: &[AuditRecord],
) -> Vec<LadderAtLook> {
    let mut found = Vec::new();
    let mut before = ObjectStatus::deserialize(&incident.before).ok();
    let is_step = |record: &AuditRecord| record.kind == AuditKind::StepIntended.as_str();
    let first_step = records.iter().find(|record| record.seq > incident.since_seq && is_step(record));
    let first_step = first_step.map_or(u64::MAX, |record| record.seq);
    for record in records {
        if record.seq > incident.since_seq
            && let Some(status) = before.take()
        {
            found.push(of_object("Before the first step", Some(incident.since), &status));
        }
        if record.seq <= incident.since_seq || record.seq > first_step {
            found.extend(at_drift(record));
        }
    }
    let label = if incident.closed_at.is_some() { "At the end" } else { "At the last look" };
    found.extend(after.map(|status| of_object(label, incident.closed_at, status)));
    found
}

fn of_object(label: &str, at: Option<Time>, status: &ObjectStatus) -> LadderAtLook {
    LadderAtLook {
        label: label.to_owned(),
        at: at.map(stamp).unwrap_or_default(),
        record: None,
        services: status.services.iter().map(of_status).collect(),
    }
}

fn at_drift(record: &AuditRecord) -> Option<LadderAtLook> {
    let service = record.service.clone()?;
    let (layer, reason) = drift_of(record)?;
    Some(LadderAtLook {
        label: format!("{service} drifted"),
        at: record.time.clone(),
        record: Some(record.seq),
        services: vec![LadderOfService { service, layers: of_drift(layer, &reason) }],
    })
}

/// What the record of a drift tells about the layers: those before the broken one were not broken.
fn of_drift(broken: Layer, reason: &str) -> Vec<LayerInReport> {
    let of = |layer: Layer| match layer.cmp(&broken) {
        std::cmp::Ordering::Less => LayerInReport::NotBroken,
        std::cmp::Ordering::Equal => LayerInReport::Broken { reason: reason.to_owned() },
        std::cmp::Ordering::Greater => LayerInReport::NotJudged,
    };
    Layer::ALL.map(of).to_vec()
}

fn of_status(service: &ServiceStatus) -> LadderOfService {
    let broken = service.drift.as_ref();
    let of = |layer: Layer| {
        let condition = service.conditions.iter().find(|condition| condition.kind == layer.condition());
        match (condition, broken) {
            (None, _) => LayerInReport::Undeclared,
            (Some(_), Some(drift)) if drift.layer == layer => {
                LayerInReport::Broken { reason: drift.reason.to_string() }
            }
            (Some(_), Some(drift)) if layer > drift.layer => LayerInReport::NotJudged,
            (Some(condition), _) if condition.status == ConditionStatus::True => {
                LayerInReport::AsDeclared { answers: answers(layer, service) }
            }
            (Some(_), _) => LayerInReport::Unknown,
        }
    };
    LadderOfService { service: service.name.clone(), layers: Layer::ALL.map(of).to_vec() }
}

/// The answered statuses, for the two layers that have any.
fn answers(layer: Layer, service: &ServiceStatus) -> Vec<u16> {
    let routes = service.routes.iter();
    let mut all: Vec<u16> = match layer {
        Layer::Route => routes.filter_map(|route| route.observed).collect(),
        Layer::Auth => routes.filter_map(|route| route.auth.as_ref()?.observed).collect(),
        _ => Vec::new(),
    };
    all.dedup();
    all
}

//! An incident as a document for people who were not there: its impact, how it was detected, the ladder at each look, each step
//! with its reason and the end of its output, the transition of each route, and the resolution.
//!
//! [`IncidentReport::new`] derives all of it from the incident and its records, once; the formats only lay it out. Cause and
//! actions stay empty in every format: people write these.

mod exported;
mod formats;
mod ladder;
mod statement;
mod steps;

use chrono::TimeDelta;
use serde::{Deserialize as _, Serialize};

pub(crate) use self::{
    exported::{Bundle, BundleFile, ExportError, ExportedIncident},
    formats::ExportFormat,
};
use self::{
    ladder::{LadderAtLook, ladders},
    steps::{ReportedStep, steps},
};
use crate::{
    api::{
        AuditKind, AuditRecord, Drift, Incident, IncidentOutcome, Layer, ObjectStatus, RecordReader, Time,
        Transition,
    },
    event_words::{details, git_of, in_incident, services_of},
    times::elapsed,
};

/// The document of one incident.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IncidentReport {
    /// The incident's ID.
    pub(crate) incident: String,
    /// The object.
    pub(crate) object: String,
    /// How it ended; null while it is open.
    pub(crate) outcome: Option<IncidentOutcome>,
    /// How often it has begun.
    pub(crate) occurrences: u32,
    /// When it was written.
    pub(crate) written_at: Time,
    /// What was broken, and for how long.
    pub(crate) impact: Impact,
    /// How it was noticed; null if the trail has no record of its first drift.
    pub(crate) detection: Option<Detection>,
    /// The git states of the source, in the order in which they were seen.
    pub(crate) git: Option<String>,
    /// The layers of the services, look by look, oldest first.
    pub(crate) ladders: Vec<LadderAtLook>,
    /// A line per record, oldest first.
    pub(crate) timeline: Vec<TimelineEntry>,
    /// Each step, oldest first.
    pub(crate) steps: Vec<ReportedStep>,
    /// The routes whose answer was verified after a repair.
    pub(crate) transitions: Vec<ReportedTransition>,
    /// How it was resolved, in words.
    pub(crate) resolution: String,
    /// The newest signed checkpoint that covers its records; null if there is none.
    pub(crate) checkpoint: Option<String>,
}

/// What was broken, and for how long.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Impact {
    /// When the drift was first seen. It may have begun before.
    pub(crate) since: Time,
    /// When the incident ended; null while it is open.
    pub(crate) until: Option<Time>,
    /// The time between the two, or until the report was written; null if the clock was set back.
    pub(crate) milliseconds: Option<i64>,
    /// The drift of each service when the incident last began.
    pub(crate) services: Vec<DriftedService>,
}

/// A service and the first layer of it that drifted.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DriftedService {
    /// The service.
    pub(crate) service: String,
    /// Its drift; null if the state holds something that this undrift does not understand.
    #[serde(flatten)]
    pub(crate) drift: Option<Drift>,
}

/// How an incident was noticed.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Detection {
    /// When.
    pub(crate) at: String,
    /// Who ran the undrift that noticed it.
    pub(crate) by: String,
    /// The number of the record.
    pub(crate) record: u64,
}

/// A record of the incident in a line.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TimelineEntry {
    /// The number of the record.
    pub(crate) seq: u64,
    /// When, as the trail has it.
    pub(crate) time: String,
    /// Since the incident opened; null if the clock was set back.
    pub(crate) offset_milliseconds: Option<i64>,
    /// What happened: a kind of record.
    pub(crate) kind: String,
    /// The kind of step.
    pub(crate) step: Option<String>,
    /// The services, separated by commas.
    pub(crate) services: String,
    /// How a step or the incident ended.
    pub(crate) outcome: Option<String>,
    /// What happened, in words.
    pub(crate) words: String,
    /// Of a failed step, the end of its output; of a step that replaced failed containers, their last words.
    pub(crate) lines: Vec<String>,
    /// The record's hash.
    pub(crate) hash: String,
}

/// A route's answer before and after the repair.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReportedTransition {
    /// The service.
    pub(crate) service: String,
    /// The route.
    pub(crate) route: String,
    /// Whether it was asked with credentials.
    pub(crate) with_credentials: bool,
    /// The statuses.
    #[serde(flatten)]
    pub(crate) transition: Transition,
}

impl IncidentReport {
    /// The report on an incident; `records` are all of its records, oldest first.
    pub(crate) fn new(
        incident: &Incident,
        records: &[AuditRecord],
        checkpoint: Option<String>,
        now: Time,
    ) -> Self {
        let is_repaired = incident.outcome == Some(IncidentOutcome::Reconciled);
        let after = incident.after.as_ref().and_then(|after| ObjectStatus::deserialize(after).ok());
        Self {
            incident: incident.id.clone(),
            object: incident.object.clone(),
            outcome: incident.outcome,
            occurrences: incident.occurrences,
            written_at: now,
            impact: impact(incident, now),
            detection: detection(records),
            git: git_of(records),
            ladders: ladders(incident, after.as_ref(), records),
            timeline: records.iter().map(|record| entry(incident.opened_at, record)).collect(),
            steps: steps(records),
            // Of an incident that stalled, they would be those of an earlier occurrence.
            transitions: after.as_ref().filter(|_| is_repaired).map(transitions).unwrap_or_default(),
            resolution: resolution(incident, records),
            checkpoint,
        }
    }
}

fn impact(incident: &Incident, now: Time) -> Impact {
    let services = incident.drift.as_object().into_iter().flatten();
    let services = services.map(|(service, drift)| DriftedService {
        service: service.clone(),
        drift: Drift::deserialize(drift).ok(),
    });
    Impact {
        since: incident.opened_at,
        until: incident.closed_at,
        milliseconds: elapsed(incident.opened_at, incident.closed_at.unwrap_or(now))
            .map(|passed| passed.num_milliseconds()),
        services: services.collect(),
    }
}

fn detection(records: &[AuditRecord]) -> Option<Detection> {
    let first = records.iter().find(|record| record.kind == AuditKind::DriftDetected.as_str())?;
    Some(Detection { at: first.time.clone(), by: first.actor.clone(), record: first.seq })
}

fn entry(opened_at: Time, record: &AuditRecord) -> TimelineEntry {
    let time = record.time.parse::<Time>().ok();
    TimelineEntry {
        seq: record.seq,
        time: record.time.clone(),
        offset_milliseconds: time
            .and_then(|time| elapsed(opened_at, time))
            .map(|passed: TimeDelta| passed.num_milliseconds()),
        kind: record.kind.clone(),
        step: record.step.clone(),
        services: services_of(record),
        outcome: record.outcome.clone(),
        words: in_incident(record),
        lines: details(record),
        hash: record.hash.clone(),
    }
}

fn transitions(after: &ObjectStatus) -> Vec<ReportedTransition> {
    let mut found = Vec::new();
    for service in &after.services {
        for route in &service.routes {
            let with = route.auth.as_ref().and_then(|auth| auth.transition);
            for (transition, with_credentials) in [(route.transition, false), (with, true)] {
                found.extend(transition.map(|transition| ReportedTransition {
                    service: service.name.clone(),
                    route: route.name.clone(),
                    with_credentials,
                    transition,
                }));
            }
        }
    }
    found
}

/// Only a verified repair is worded as one.
fn resolution(incident: &Incident, records: &[AuditRecord]) -> String {
    // An incident that was opened again has the records of its earlier occurrences, too.
    let of_now = records.iter().filter(|record| record.seq > incident.since_seq);
    let last = of_now.clone().rev();
    match incident.outcome {
        None => "The incident is open: nothing is resolved.".to_owned(),
        Some(IncidentOutcome::Reconciled) => {
            let mut ends = last.filter(|record| record.kind == AuditKind::Reconciled.as_str());
            let by = ends.next().map(in_incident).unwrap_or_default();
            let by = if by.is_empty() { String::new() } else { format!(" It was {by}.") };
            format!("Every layer of every service was observed as declared for the stability window.{by}")
        }
        Some(IncidentOutcome::Stalled) => {
            let mut ends = last.filter(|record| record.kind == AuditKind::Stalled.as_str());
            let why = ends.next().map(in_incident).unwrap_or_default();
            let rolled_back = of_now.clone().any(|record| record.kind == AuditKind::RolledBack.as_str());
            let to = if rolled_back { " The previous images run again." } else { "" };
            format!("Not resolved: undrift gave up. {why}{to}").trim_end().to_owned()
        }
    }
}

/// The words of a record's own reason: those of a step's intent are the reason for the step.
fn reason_of(record: &AuditRecord) -> Option<String> {
    RecordReader::new(record).reason()
}

/// The first layer that drifted, of a record of a drift.
fn drift_of(record: &AuditRecord) -> Option<(Layer, String)> {
    let read = RecordReader::new(record);
    (record.kind == AuditKind::DriftDetected.as_str())
        .then(|| read.drift().ok())
        .flatten()
        .map(|drift| (drift.layer, drift.reason.to_string()))
}

#[cfg(test)]
mod tests;

//! Events as records of the audit trail: the counterpart of [`RecordReader`](super::RecordReader), with the same field names.
//! The names are a contract, and so are the fields: a field that is null stays in the record.
//!
//! A record of an event reads back as that event. It may keep more, for people and for later decisions: see [`NewRecord::with`].

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    Anchored, AuditKind, Drift, EndedStep, EndedSuspension, IncidentOutcome, ManifestChange, NewRecord,
    Reason, RouteTransition, Step, StepKind, StepOutcome, StopCause, Suspension, Time,
    record_reader::HealedBy, step::StepFields,
};

impl NewRecord {
    /// A service drifted.
    pub(crate) fn drift_detected(service: &str, drift: &Drift) -> Self {
        Self {
            service: Some(service.to_owned()),
            evidence: json!(drift),
            ..Self::of(AuditKind::DriftDetected)
        }
    }

    /// A step is about to begin.
    pub(crate) fn step_intended(step: Step, services: &[String]) -> Self {
        let mut evidence = fields(json!(StepFields::from(step)));
        // The record has a column for it.
        evidence.remove("step");
        evidence.insert("services".into(), json!(services));
        Self { step: Some(step.kind()), evidence: evidence.into(), ..Self::of(AuditKind::StepIntended) }
    }

    /// A step ended.
    pub(crate) fn step_ended(ended: &EndedStep) -> Self {
        let mut evidence = json!({ "intent": ended.intent, "services": ended.services });
        if let Some(command) = &ended.command {
            let took = i64::try_from(command.duration_ms).ok().and_then(chrono::TimeDelta::try_milliseconds);
            let began = took.and_then(|took| ended.at.checked_sub_signed(took)).unwrap_or(ended.at);
            evidence["startedAt"] = json!(stamp(began));
            evidence["durationMs"] = json!(command.duration_ms);
            evidence["exitCode"] = json!(command.exit_code);
            evidence["output"] = json!(command.output);
        }
        let kind = match ended.outcome {
            StepOutcome::Interrupted => AuditKind::StepInterrupted,
            _ => AuditKind::StepFinished,
        };
        let outcome = Some(ended.outcome.to_string());
        Self { step: Some(ended.kind), outcome, evidence, ..Self::of(kind) }
    }

    /// A service was as declared for the whole stability window.
    pub(crate) fn verified(service: &str, image: Option<&String>) -> Self {
        let evidence = json!({ "image": image });
        Self { service: Some(service.to_owned()), evidence, ..Self::of(AuditKind::Verified) }
    }

    /// The previous images run again.
    pub(crate) fn rolled_back(services: &[String], to: &BTreeMap<String, String>) -> Self {
        let evidence = json!({ "services": services, "to": to });
        Self { step: Some(StepKind::Rollback), evidence, ..Self::of(AuditKind::RolledBack) }
    }

    /// The incident is over: all is as declared, and verified.
    pub(crate) fn reconciled(transitions: &[RouteTransition], by: HealedBy) -> Self {
        let outcome = Some(IncidentOutcome::Reconciled.to_string());
        let evidence = json!({ "transitions": transitions, "steps": by.steps, "healedBy": by.name() });
        Self { outcome, evidence, ..Self::of(AuditKind::Reconciled) }
    }

    /// The incident is over: undrift gave up.
    pub(crate) fn stalled(reason: &Reason, message: &str) -> Self {
        let outcome = Some(IncidentOutcome::Stalled.to_string());
        let evidence = json!({ "reason": reason, "message": message });
        Self { outcome, evidence, ..Self::of(AuditKind::Stalled) }
    }

    /// A person suspended an object.
    pub(crate) fn suspended(object: &str, suspension: &Suspension) -> Self {
        let Suspension { reason, until, actor, .. } = suspension;
        let evidence = json!({ "reason": reason, "until": until.map(stamp) });
        Self { actor: Some(actor.clone()), evidence, ..Self::about(object, AuditKind::Suspended) }
    }

    /// The suspension of an object is over.
    pub(crate) fn resumed(object: &str, ended: &EndedSuspension) -> Self {
        let EndedSuspension { since, reason, suspended_by, resumed_by } = ended;
        let evidence = json!({
            "reason": reason, "since": since.map(stamp), "suspendedBy": suspended_by,
            "passed": resumed_by.is_none(),
        });
        Self { actor: resumed_by.clone(), evidence, ..Self::about(object, AuditKind::Resumed) }
    }

    /// A person gave an object a new budget: the attempts at that many drifts are forgotten.
    pub(crate) fn retried(object: &str, actor: &str, forgotten: usize) -> Self {
        let evidence = json!({ "forgotten": forgotten });
        Self { actor: Some(actor.to_owned()), evidence, ..Self::about(object, AuditKind::Retried) }
    }

    /// Another spec of an object, or it is no longer declared, or it is again.
    pub(crate) fn manifest_changed(object: &str, change: &ManifestChange) -> Self {
        let evidence = match change {
            ManifestChange::Spec { generation, spec_digest } => {
                json!({ "generation": generation, "specDigest": spec_digest })
            }
            ManifestChange::Removed { why } => json!({ "removed": true, "why": why }),
            ManifestChange::Restored { manifest } => json!({ "restored": true, "manifest": manifest }),
        };
        Self { evidence, ..Self::about(object, AuditKind::ManifestChanged) }
    }

    /// A daemon of this version started with these objects.
    pub(crate) fn started(version: &str, objects: &[String]) -> Self {
        Self { evidence: json!({ "version": version, "objects": objects }), ..Self::of(AuditKind::Started) }
    }

    /// The daemon ended.
    pub(crate) fn stopped(cause: &StopCause) -> Self {
        let evidence = match cause {
            StopCause::Signal(name) => json!({ "signal": name }),
            StopCause::Fault(why) => json!({ "reason": why }),
        };
        Self { evidence, ..Self::of(AuditKind::Stopped) }
    }

    /// The trail begins in the place of an earlier one that is missing.
    pub(crate) fn trail_lost(message: &str) -> Self {
        Self { evidence: json!({ "message": message }), ..Self::of(AuditKind::TrailLost) }
    }

    /// An anchor has a checkpoint.
    pub(crate) fn anchored(Anchored { anchor, size, root }: &Anchored) -> Self {
        Self {
            evidence: json!({ "anchor": anchor, "size": size, "root": root }),
            ..Self::of(AuditKind::Anchored)
        }
    }

    /// A checkpoint of this size could not be delivered to an anchor.
    pub(crate) fn anchor_failed(anchor: &str, size: u64, message: &str) -> Self {
        let evidence = json!({ "anchor": anchor, "size": size, "message": message });
        Self { evidence, ..Self::of(AuditKind::AnchorFailed) }
    }

    /// A record of this kind about an object.
    fn about(object: &str, kind: AuditKind) -> Self {
        Self { object: Some(object.to_owned()), ..Self::of(kind) }
    }

    /// The same record with more fields in its evidence.
    #[must_use]
    pub(crate) fn with(self, more: Value) -> Self {
        let mut evidence = fields(self.evidence);
        evidence.extend(fields(more));
        Self { evidence: evidence.into(), ..self }
    }
}

/// The fields of an object; of anything else, one field that holds it.
fn fields(evidence: Value) -> Map<String, Value> {
    match evidence {
        Value::Null => Map::new(),
        Value::Object(fields) => fields,
        other => Map::from_iter([("value".to_owned(), other)]),
    }
}

/// As the trail writes times: RFC 3339 in UTC with microseconds.
pub(crate) fn stamp(at: Time) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests;

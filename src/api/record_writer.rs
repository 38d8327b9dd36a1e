//! Events as records of the audit trail: the counterpart of [`RecordReader`](super::RecordReader), with the same field names.
//!
//! A record of an event reads back as that event. It may keep more, for people and for later decisions: see [`NewRecord::with`].

use serde_json::{Map, Value, json};

use super::{
    AuditKind, Drift, EndedStep, IncidentOutcome, NewRecord, Reason, RouteTransition, Step, StepKind,
    StepOutcome, Time, step::StepFields,
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
    pub(crate) fn rolled_back() -> Self {
        Self { step: Some(StepKind::Rollback), ..Self::of(AuditKind::RolledBack) }
    }

    /// The incident is over: all is as declared, and verified.
    pub(crate) fn reconciled(transitions: &[RouteTransition]) -> Self {
        let outcome = Some(IncidentOutcome::Reconciled.to_string());
        Self { outcome, evidence: json!({ "transitions": transitions }), ..Self::of(AuditKind::Reconciled) }
    }

    /// The incident is over: undrift gave up.
    pub(crate) fn stalled(reason: &Reason, message: &str) -> Self {
        let outcome = Some(IncidentOutcome::Stalled.to_string());
        let evidence = json!({ "reason": reason, "message": message });
        Self { outcome, evidence, ..Self::of(AuditKind::Stalled) }
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
mod tests {
    use super::*;
    use crate::api::{
        AuditRecord, CommandEnd, DriftReason, Event, Layer, RecordedEvent, StallReason, Transition,
    };

    fn at() -> Time {
        "2026-01-01T15:00:00.000250Z".parse().unwrap()
    }

    /// As the trail holds it.
    fn recorded(record: NewRecord) -> AuditRecord {
        AuditRecord {
            seq: 7,
            time: stamp(at()),
            object: record.object,
            service: record.service,
            incident: record.incident,
            actor: String::new(),
            kind: record.kind.to_string(),
            step: record.step.map(|step| step.to_string()),
            outcome: record.outcome,
            evidence: record.evidence,
            prev_hash: String::new(),
            hash: String::new(),
        }
    }

    #[track_caller]
    fn reads_back(record: NewRecord, event: &Event) {
        let record = record.with(json!({ "git": null, "attempts": [] }));
        assert_eq!(RecordedEvent::try_from(&recorded(record)).unwrap().event, *event);
    }

    #[test]
    fn the_record_of_an_event_reads_back_as_that_event() {
        let services = vec!["api".to_owned()];
        let drift = Drift { layer: Layer::Route, reason: DriftReason::Absent, message: "404".into() };
        reads_back(
            NewRecord::drift_detected("api", &drift),
            &Event::DriftDetected { service: "api".into(), drift },
        );
        for step in [
            Step::Build { no_cache: false },
            Step::Build { no_cache: true },
            Step::Up { force_recreate: false },
            Step::Up { force_recreate: true },
            Step::Start,
            Step::Restart,
            Step::Rollback,
        ] {
            let event = Event::StepIntended { step, services: services.clone() };
            reads_back(NewRecord::step_intended(step, &services), &event);
        }
        let command = CommandEnd { exit_code: Some(17), duration_ms: 1_500, output: "no such file".into() };
        for (outcome, command) in [
            (StepOutcome::Failed, Some(command)),
            (StepOutcome::Interrupted, None),
            (StepOutcome::NotBegun, None),
        ] {
            let (intent, services) = (Some(3), services.clone());
            let ended = EndedStep { intent, kind: StepKind::Up, services, outcome, at: at(), command };
            reads_back(NewRecord::step_ended(&ended), &Event::StepEnded(ended));
        }
        for image in [None, Some("sha256:1".to_owned())] {
            let record = NewRecord::verified("api", image.as_ref());
            reads_back(record, &Event::Verified { service: "api".into(), image });
        }
        reads_back(NewRecord::rolled_back(), &Event::RolledBack);
        let transition = Transition { before: Some(404), after: Some(401) };
        let transitions =
            vec![RouteTransition { service: "api".into(), route: "/api/workflow".into(), transition }];
        reads_back(NewRecord::reconciled(&transitions), &Event::Reconciled { transitions });
        let reason = Reason::from(StallReason::BudgetSpent);
        let record = NewRecord::stalled(&reason, "5 of 5");
        reads_back(record, &Event::Stalled { reason, message: "5 of 5".into() });
    }
}

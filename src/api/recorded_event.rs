//! What a record of the audit trail tells, typed. Damage of what is decided by is an error that names the record.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    AuditKind, AuditRecord, CommandEnd, EndedStep, Event, Step, StepOutcome, Time, step::StepFields,
};

/// One record of the trail, as far as decisions and stories need it.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedEvent {
    /// The record's number.
    pub seq: u64,
    /// When it was written.
    pub time: Time,
    /// In which incident.
    pub incident: Option<String>,
    /// What happened.
    pub event: Event,
}

/// Why a record cannot be relied on: it was damaged, or a later undrift has written it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "record {seq} of the audit trail cannot be understood: {what}; `undrift audit list -o json` shows it"
)]
pub struct EventError {
    /// The record's number.
    pub seq: u64,
    /// What of it.
    pub what: String,
}

impl TryFrom<&AuditRecord> for RecordedEvent {
    type Error = EventError;

    fn try_from(record: &AuditRecord) -> Result<Self, EventError> {
        let read = RecordReader(record);
        let time = read.parsed("time", &record.time)?;
        let event = match read.word("kind", Some(&record.kind))? {
            AuditKind::DriftDetected => {
                Event::DriftDetected { service: read.service()?, drift: read.evidence()? }
            }
            AuditKind::StepIntended => {
                Event::StepIntended { step: read.step()?, services: read.field("services")? }
            }
            AuditKind::StepFinished => {
                let outcome = read.word("outcome", record.outcome.as_ref())?;
                Event::StepEnded(read.ended(outcome, time)?)
            }
            AuditKind::StepInterrupted => Event::StepEnded(read.ended(StepOutcome::Interrupted, time)?),
            AuditKind::Verified => Event::Verified { service: read.service()?, image: read.field("image")? },
            AuditKind::RolledBack => Event::RolledBack,
            AuditKind::Reconciled => Event::Reconciled { transitions: read.shown("transitions") },
            AuditKind::Stalled => {
                Event::Stalled { reason: read.shown("reason"), message: read.shown("message") }
            }
            what => Event::Other { what },
        };
        Ok(Self { seq: record.seq, time, incident: record.incident.clone(), event })
    }
}

/// Reads the fields of a record.
#[derive(Clone, Copy)]
struct RecordReader<'a>(&'a AuditRecord);

impl RecordReader<'_> {
    fn error(self, what: String) -> EventError {
        EventError { seq: self.0.seq, what }
    }

    fn lacks(self, name: &str) -> EventError {
        self.error(format!("it has no {name}"))
    }

    fn parsed(self, name: &str, text: &str) -> Result<Time, EventError> {
        text.parse().map_err(|_| self.error(format!("its {name} is not one")))
    }

    /// A word of the contract.
    fn word<T: DeserializeOwned>(self, name: &str, text: Option<&String>) -> Result<T, EventError> {
        let text = text.ok_or_else(|| self.lacks(name))?;
        serde_json::from_value(Value::from(text.as_str()))
            .map_err(|_| self.error(format!("its {name} is {text:?}, which this undrift does not know")))
    }

    fn service(self) -> Result<String, EventError> {
        self.0.service.clone().ok_or_else(|| self.lacks("service"))
    }

    fn evidence<T: DeserializeOwned>(self) -> Result<T, EventError> {
        serde_json::from_value(self.0.evidence.clone())
            .map_err(|error| self.error(format!("its evidence is not of its kind ({error})")))
    }

    /// A field of its evidence; one that is not there is null.
    fn field<T: DeserializeOwned>(self, name: &str) -> Result<T, EventError> {
        serde_json::from_value(self.0.evidence[name].clone())
            .map_err(|error| self.error(format!("its evidence.{name} is not of its kind ({error})")))
    }

    /// A field of its evidence that is only shown: nothing is decided by it, so nothing is held up where it is damaged.
    fn shown<T: DeserializeOwned + Default>(self, name: &str) -> T {
        self.field(name).unwrap_or_default()
    }

    fn is(self, name: &str) -> Result<bool, EventError> {
        Ok(self.field::<Option<bool>>(name)?.unwrap_or_default())
    }

    fn step(self) -> Result<Step, EventError> {
        let fields = StepFields {
            step: self.word("step", self.0.step.as_ref())?,
            no_cache: self.is("noCache")?,
            force_recreate: self.is("forceRecreate")?,
            no_recreate: self.is("noRecreate")?,
        };
        Ok(fields.into())
    }

    fn ended(self, outcome: StepOutcome, written: Time) -> Result<EndedStep, EventError> {
        let began: Option<Time> = self.field("startedAt")?;
        let took: Option<u64> = self.field("durationMs")?;
        let ended = began.zip(took).and_then(|(began, ms)| {
            began.checked_add_signed(chrono::TimeDelta::try_milliseconds(i64::try_from(ms).ok()?)?)
        });
        let command = took.map(|duration_ms| CommandEnd {
            exit_code: self.shown("exitCode"),
            duration_ms,
            output: self.shown("output"),
        });
        Ok(EndedStep {
            intent: self.field("intent")?,
            kind: self.word("step", self.0.step.as_ref())?,
            services: self.field("services")?,
            outcome,
            at: ended.unwrap_or(written),
            command,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::StepKind;

    fn record(kind: AuditKind, step: Option<&str>, outcome: Option<&str>, evidence: Value) -> AuditRecord {
        AuditRecord {
            seq: 7,
            time: "2026-01-01T15:00:00.000000Z".into(),
            object: Some("shop".into()),
            service: Some("api".into()),
            incident: Some("01J".into()),
            actor: String::new(),
            kind: kind.as_str().into(),
            step: step.map(str::to_owned),
            outcome: outcome.map(str::to_owned),
            evidence,
            prev_hash: String::new(),
            hash: String::new(),
        }
    }

    fn event(record: &AuditRecord) -> Event {
        RecordedEvent::try_from(record).unwrap().event
    }

    #[test]
    fn an_intent_says_how_far_its_step_goes() {
        for (step, evidence, intended) in [
            ("Build", json!({ "services": ["api"] }), Step::Build { no_cache: false }),
            ("Build", json!({ "services": ["api"], "noCache": true }), Step::Build { no_cache: true }),
            ("Up", json!({ "services": ["api"] }), Step::Up { force_recreate: false }),
            ("Up", json!({ "services": ["api"], "forceRecreate": true }), Step::Up { force_recreate: true }),
            ("Up", json!({ "services": ["api"], "noRecreate": true }), Step::Start),
            ("Restart", json!({ "services": ["api"] }), Step::Restart),
            ("Rollback", json!({ "services": ["api"] }), Step::Rollback),
        ] {
            let read = event(&record(AuditKind::StepIntended, Some(step), None, evidence));
            assert_eq!(read, Event::StepIntended { step: intended, services: vec!["api".into()] });
        }
    }

    #[test]
    fn a_step_has_ended_when_it_ended_however_late_that_was_recorded() {
        let at = |evidence| {
            let record = record(AuditKind::StepFinished, Some("Up"), Some("Failed"), evidence);
            let Event::StepEnded(ended) = event(&record) else { panic!("{record:?}") };
            assert_eq!((ended.kind, ended.outcome), (StepKind::Up, StepOutcome::Failed));
            ended.at.to_rfc3339()
        };
        let services = json!(["api"]);
        let dated =
            json!({ "services": services, "startedAt": "2026-01-01T12:00:00.5Z", "durationMs": 1500 });
        assert_eq!(at(dated), "2026-01-01T12:00:02+00:00");
        assert_eq!(at(json!({ "services": services })), "2026-01-01T15:00:00+00:00");
    }

    #[test]
    fn what_is_damaged_is_an_error_that_names_the_record() {
        let services = json!({ "services": ["api"] });
        let finished = |step, outcome, evidence| record(AuditKind::StepFinished, step, outcome, evidence);
        let up = Some("Up");
        for (damaged, what) in [
            (finished(up, Some("Sideways"), services.clone()), "its outcome is \"Sideways\""),
            (finished(up, None, services.clone()), "it has no outcome"),
            (finished(Some("Down"), Some("Failed"), services.clone()), "its step is \"Down\""),
            (finished(None, Some("Failed"), services), "it has no step"),
            (finished(up, Some("Failed"), json!({})), "its evidence.services is not of its kind"),
            (finished(up, Some("Failed"), json!({ "services": [1] })), "its evidence.services is not"),
            (
                finished(up, Some("Failed"), json!({ "services": [], "startedAt": "noon" })),
                "its evidence.startedAt is not",
            ),
            (record(AuditKind::DriftDetected, None, None, json!({})), "its evidence is not of its kind"),
            (record(AuditKind::Verified, None, None, json!({ "image": 1 })), "its evidence.image is not"),
            (
                AuditRecord { service: None, ..record(AuditKind::Verified, None, None, json!({})) },
                "it has no service",
            ),
            (
                AuditRecord { time: "noon".into(), ..record(AuditKind::Started, None, None, json!({})) },
                "its time",
            ),
            (
                AuditRecord { kind: "Danced".into(), ..record(AuditKind::Started, None, None, json!({})) },
                "its kind is \"Danced\"",
            ),
        ] {
            let error = RecordedEvent::try_from(&damaged).unwrap_err();
            assert_eq!(error.seq, 7);
            assert!(
                error.to_string().starts_with("record 7 of the audit trail cannot be understood: "),
                "{error}"
            );
            assert!(error.what.contains(what), "{error}");
        }
    }
}

//! A record of the audit trail as a typed event. If a field that decisions use is damaged, it gives an error that names the
//! record.

use super::{Anchored, AuditKind, AuditRecord, Event, Reason, Time, record_reader::RecordReader};

/// One record of the trail, reduced to what decisions and stories need.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedEvent {
    /// The record's number.
    pub seq: u64,
    /// When it was written.
    pub time: Time,
    /// Its incident.
    pub incident: Option<String>,
    /// The event.
    pub event: Event,
}

/// Why a record cannot be relied on: it is damaged, or a later undrift wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "record {seq} of the audit trail cannot be understood: {what}; `undrift audit list -o json` shows it"
)]
pub struct EventError {
    /// The record's number.
    pub seq: u64,
    /// The fault.
    pub what: String,
}

impl TryFrom<&AuditRecord> for RecordedEvent {
    type Error = EventError;

    fn try_from(record: &AuditRecord) -> Result<Self, EventError> {
        let read = RecordReader::new(record);
        let time = read.time()?;
        let event = match read.kind()? {
            AuditKind::DriftDetected => {
                Event::DriftDetected { service: read.service()?, drift: read.drift()? }
            }
            AuditKind::StepIntended => Event::StepIntended { step: read.step()?, services: read.services()? },
            AuditKind::StepFinished | AuditKind::StepInterrupted => Event::StepEnded(read.ended()?),
            AuditKind::Verified => Event::Verified { service: read.service()?, image: read.image()? },
            AuditKind::RolledBack => {
                let (services, to) = read.rolled_back();
                Event::RolledBack { services, to }
            }
            AuditKind::Reconciled => Event::Reconciled { transitions: read.transitions() },
            AuditKind::Stalled => Event::Stalled {
                reason: Reason::named(&read.reason().unwrap_or_default()),
                message: read.message().unwrap_or_default(),
            },
            AuditKind::Suspended => Event::Suspended(read.suspension(time)),
            AuditKind::Resumed => Event::Resumed(read.ended_suspension()),
            AuditKind::Retried => Event::Retried { forgotten: read.forgotten() },
            AuditKind::ManifestChanged => Event::ManifestChanged(read.manifest_change()?),
            AuditKind::Started => {
                let (version, objects) = read.started();
                Event::Started { version, objects }
            }
            AuditKind::Stopped => Event::Stopped { cause: read.stop_cause() },
            AuditKind::TrailLost => Event::TrailLost { message: read.message().unwrap_or_default() },
            AuditKind::Anchored => Event::Anchored(read.anchored()),
            AuditKind::AnchorFailed => {
                let Anchored { anchor, size, .. } = read.anchored();
                Event::AnchorFailed { anchor, size, message: read.message().unwrap_or_default() }
            }
        };
        Ok(Self { seq: record.seq, time, incident: record.incident.clone(), event })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::{Step, StepKind, StepOutcome};

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
    fn an_intent_is_read_with_the_options_of_its_step() {
        for (step, evidence, intended) in [
            ("Build", json!({ "services": ["api"] }), Step::Build { no_cache: false }),
            ("Build", json!({ "services": ["api"], "noCache": true }), Step::Build { no_cache: true }),
            ("Up", json!({ "services": ["api"] }), Step::Up { force_recreate: false }),
            ("Up", json!({ "services": ["api"], "forceRecreate": true }), Step::Up { force_recreate: true }),
            ("Up", json!({ "services": ["api"], "noRecreate": true }), Step::Start),
            ("Restart", json!({ "services": ["api"] }), Step::Restart),
            ("Reload", json!({ "services": ["api"] }), Step::Reload),
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
            (record(AuditKind::ManifestChanged, None, None, json!({})), "its evidence.generation is not"),
            (
                record(AuditKind::ManifestChanged, None, None, json!({ "generation": 1 })),
                "its evidence.specDigest is not",
            ),
            (
                record(AuditKind::ManifestChanged, None, None, json!({ "removed": "yes" })),
                "its evidence.removed is not",
            ),
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

//! What happens to an object, typed. Whoever reconciles emits it, the control socket streams it as JSON, and the command line
//! shows it. Most of it is in the audit trail, too: decisions rest on what is read from there, and never on the JSON of a
//! record.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{AuditKind, AuditRecord, Drift, Step, StepKind, StepOutcome, Time, Transition};

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

/// What happened. As JSON each has its name as `kind`; the names that the trail has are [`AuditKind`]'s.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum Event {
    /// A drift of a service was seen for the first time in an occurrence of its incident.
    DriftDetected {
        /// The service.
        service: String,
        /// What of it.
        #[serde(flatten)]
        drift: Drift,
    },
    /// A step is about to begin.
    StepIntended {
        /// The step, with how far it goes.
        #[serde(flatten, with = "step_fields")]
        step: Step,
        /// The services that it is for.
        services: Vec<String>,
    },
    /// A step ended, or was found to have ended with the undrift that began it.
    #[serde(rename = "StepFinished")]
    StepEnded(EndedStep),
    /// A service was as declared for the whole stability window.
    Verified {
        /// The service.
        service: String,
        /// The ID of the image behind its reference, where that was known.
        image: Option<String>,
    },
    /// The images of before run again.
    RolledBack,
    /// The incident is over: everything is as declared, and verified.
    Reconciled {
        /// The routes that answer otherwise than before the repair.
        transitions: Vec<RouteTransition>,
    },
    /// The incident is over: nothing more is tried.
    Stalled {
        /// Why, in `PascalCase`.
        reason: String,
        /// Why, in words.
        message: String,
    },
    /// What is about the object, or about undrift itself, and changes no incident.
    Other {
        /// What.
        what: AuditKind,
    },
    /// Not in the trail: a look is over, and its status is recorded. What follows may take long.
    Observed,
    /// Not in the trail: the command of the running step printed a line.
    Output {
        /// The line.
        line: String,
    },
    /// Not in the trail: the stability window of these services begins.
    Verifying {
        /// The services.
        services: Vec<String>,
        /// How long it is, in milliseconds.
        window_ms: u64,
    },
    /// Not in the trail: a service was not as declared for the whole window.
    NotVerified {
        /// The service.
        service: String,
        /// Why, in words.
        why: String,
    },
    /// Not in the trail: nothing is tried, as nothing was when an earlier incident was given up.
    GivenUp {
        /// Why, in `PascalCase`.
        reason: String,
        /// Why, in words.
        message: String,
    },
    /// Not in the trail: nothing is done for now.
    Waiting {
        /// Until when at most, where that is known.
        until: Option<Time>,
        /// Why, in words.
        why: String,
    },
}

impl Event {
    /// Whether the trail has it, too.
    #[must_use]
    pub const fn is_recorded(&self) -> bool {
        !matches!(
            self,
            Self::Observed
                | Self::Output { .. }
                | Self::Verifying { .. }
                | Self::NotVerified { .. }
                | Self::GivenUp { .. }
                | Self::Waiting { .. }
        )
    }
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndedStep {
    /// The record of its intent. Only that says how far the step was to go; `None` in a record that does not name it.
    pub intent: Option<u64>,
    /// Its kind.
    #[serde(rename = "step")]
    pub kind: StepKind,
    /// The services that it was for.
    pub services: Vec<String>,
    /// How.
    pub outcome: StepOutcome,
    /// When. The record may be hours younger, where there was no room for it before.
    pub at: Time,
    /// How its command ended; `None` where the step was interrupted.
    pub command: Option<CommandEnd>,
}

/// How the command of a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandEnd {
    /// Its exit code, where it exited.
    pub exit_code: Option<i32>,
    /// How long the step took, in milliseconds.
    pub duration_ms: u64,
    /// The end of what it printed.
    pub output: String,
}

/// A route's status before and after a repair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTransition {
    /// The service.
    pub service: String,
    /// The route as it is shown.
    pub route: String,
    /// From what to what.
    #[serde(flatten)]
    pub transition: Transition,
}

/// A step as the trail has it: its kind, and how far it goes in fields that are true or not there.
mod step_fields {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Step, StepKind};

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Fields {
        step: StepKind,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        no_cache: bool,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        force_recreate: bool,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        no_recreate: bool,
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(super) fn serialize<S: Serializer>(step: &Step, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = Fields {
            step: step.kind(),
            no_cache: *step == Step::Build { no_cache: true },
            force_recreate: *step == Step::Up { force_recreate: true },
            no_recreate: *step == Step::Start,
        };
        fields.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Step, D::Error> {
        let Fields { step, no_cache, force_recreate, no_recreate } = Fields::deserialize(deserializer)?;
        Ok(of(step, no_cache, force_recreate, no_recreate))
    }

    /// The step of this kind that goes so far.
    pub(super) const fn of(kind: StepKind, no_cache: bool, force_recreate: bool, no_recreate: bool) -> Step {
        match kind {
            StepKind::Build => Step::Build { no_cache },
            StepKind::Up if no_recreate => Step::Start,
            StepKind::Up => Step::Up { force_recreate },
            StepKind::Restart => Step::Restart,
            StepKind::Rollback => Step::Rollback,
        }
    }
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
        let kind = self.word("step", self.0.step.as_ref())?;
        let (no_cache, force_recreate) = (self.is("noCache")?, self.is("forceRecreate")?);
        Ok(step_fields::of(kind, no_cache, force_recreate, self.is("noRecreate")?))
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
    use crate::api::{Layer, Reason};

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

    /// What the control socket streams is what its client reads.
    #[test]
    fn each_event_is_read_back_from_its_json() {
        let at: Time = "2026-01-01T15:00:00Z".parse().unwrap();
        let drift = Drift { layer: Layer::Route, reason: Reason::Absent, message: "404".into() };
        let command = CommandEnd { exit_code: Some(1), duration_ms: 1_500, output: "no such file".into() };
        let services = vec!["api".to_owned()];
        let ended = EndedStep {
            intent: Some(3),
            kind: StepKind::Up,
            services: services.clone(),
            outcome: StepOutcome::Failed,
            at,
            command: Some(command),
        };
        let transition = Transition { before: Some(404), after: Some(401) };
        let transitions = vec![RouteTransition { service: "api".into(), route: "/x".into(), transition }];
        let intended = |step| Event::StepIntended { step, services: services.clone() };
        let events = [
            Event::DriftDetected { service: "api".into(), drift },
            intended(Step::Build { no_cache: false }),
            intended(Step::Build { no_cache: true }),
            intended(Step::Up { force_recreate: false }),
            intended(Step::Up { force_recreate: true }),
            intended(Step::Start),
            intended(Step::Restart),
            intended(Step::Rollback),
            Event::StepEnded(EndedStep { command: None, ..ended.clone() }),
            Event::StepEnded(ended),
            Event::Verified { service: "api".into(), image: None },
            Event::RolledBack,
            Event::Reconciled { transitions },
            Event::Stalled { reason: "BudgetSpent".into(), message: "5 of 5".into() },
            Event::Other { what: AuditKind::Suspended },
            Event::Observed,
            Event::Output { line: "#5 COPY".into() },
            Event::Verifying { services: services.clone(), window_ms: 3_000 },
            Event::NotVerified { service: "api".into(), why: "it ended".into() },
            Event::GivenUp { reason: "BudgetSpent".into(), message: "5 of 5".into() },
            Event::Waiting { until: Some(at), why: "backoff".into() },
        ];
        let lines: Vec<String> = events.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
        insta::assert_snapshot!(lines.join("\n"));
        for (line, event) in lines.iter().zip(events) {
            assert_eq!(serde_json::from_str::<Event>(line).unwrap(), event, "{line}");
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

//! The fields of a record of the audit trail, as every reader gets them. The counterpart is `record_writer`; what a record
//! keeps besides its event, its writer adds.
//!
//! A field that decisions use is read, or gives an error that names the record. A field for display only is `None` if it is
//! missing or damaged: it blocks nothing.

use std::collections::BTreeMap;

use serde::{Deserialize as _, de::DeserializeOwned};
use serde_json::Value;

use super::{
    Anchored, Attempt, AuditKind, AuditRecord, CommandEnd, Drift, EndedStep, EndedSuspension, EventError,
    GitState, LastWords, ManifestChange, RecentStep, RouteTransition, Step, StepKind, StepOutcome, StopCause,
    Suspension, Time, step::StepFields,
};

/// Reads the fields of a record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordReader<'r>(&'r AuditRecord);

/// The basis of a `Verified` record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VerifiedBy {
    /// How often the service was observed.
    pub(crate) looks: u64,
    /// For how long, in milliseconds.
    pub(crate) held_ms: i64,
    /// Whether its containers differ from those before the repair, or were restarted.
    pub(crate) changed_by_repair: bool,
}

/// How the trail names undrift as the one who healed an incident.
const UNDRIFT: &str = "undrift";

/// Who healed an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HealedBy {
    /// Whether it was undrift.
    pub(crate) is_undrift: bool,
    /// How many steps of undrift ran to their end in it.
    pub(crate) steps: usize,
}

impl HealedBy {
    /// As the trail names it.
    pub(crate) const fn name(self) -> &'static str {
        if self.is_undrift { UNDRIFT } else { "something other than undrift" }
    }
}

impl<'r> RecordReader<'r> {
    pub(crate) const fn new(record: &'r AuditRecord) -> Self {
        Self(record)
    }

    pub(crate) fn kind(self) -> Result<AuditKind, EventError> {
        AuditKind::named(&self.0.kind).ok_or_else(|| self.unknown("kind", &self.0.kind))
    }

    pub(crate) fn time(self) -> Result<Time, EventError> {
        self.0.time.parse().map_err(|_| self.error("its time is not one".into()))
    }

    pub(crate) fn service(self) -> Result<String, EventError> {
        self.0.service.clone().ok_or_else(|| self.lacks("service"))
    }

    /// The services of a step.
    pub(crate) fn services(self) -> Result<Vec<String>, EventError> {
        self.field("services")
    }

    pub(crate) fn drift(self) -> Result<Drift, EventError> {
        // By reference: the evidence also holds all that was observed.
        Drift::deserialize(&self.0.evidence)
            .map_err(|error| self.error(format!("its evidence is not of its kind ({error})")))
    }

    fn step_kind(self) -> Result<StepKind, EventError> {
        let name = self.0.step.as_ref().ok_or_else(|| self.lacks("step"))?;
        StepKind::named(name).ok_or_else(|| self.unknown("step", name))
    }

    /// The step of an intent.
    pub(crate) fn step(self) -> Result<Step, EventError> {
        let fields = StepFields {
            step: self.step_kind()?,
            no_cache: self.is("noCache")?,
            force_recreate: self.is("forceRecreate")?,
            no_recreate: self.is("noRecreate")?,
        };
        Ok(fields.into())
    }

    pub(crate) fn outcome(self) -> Result<StepOutcome, EventError> {
        let name = self.0.outcome.as_ref().ok_or_else(|| self.lacks("outcome"))?;
        StepOutcome::named(name).ok_or_else(|| self.unknown("outcome", name))
    }

    /// The intent of the step that ended; `None` in a record that does not name it.
    pub(crate) fn intent(self) -> Result<Option<u64>, EventError> {
        self.field("intent")
    }

    /// The end of a step.
    pub(crate) fn ended(self) -> Result<EndedStep, EventError> {
        let outcome = match self.kind()? {
            AuditKind::StepInterrupted => StepOutcome::Interrupted,
            _ => self.outcome()?,
        };
        let began: Option<Time> = self.field("startedAt")?;
        let took: Option<u64> = self.field("durationMs")?;
        let ended = began.zip(took).and_then(|(began, ms)| {
            began.checked_add_signed(chrono::TimeDelta::try_milliseconds(i64::try_from(ms).ok()?)?)
        });
        let command = took.map(|duration_ms| CommandEnd {
            exit_code: self.shown("exitCode"),
            duration_ms,
            output: self.output(),
        });
        Ok(EndedStep {
            intent: self.intent()?,
            kind: self.step_kind()?,
            services: self.services()?,
            outcome,
            at: ended.map_or_else(|| self.time(), Ok)?,
            command,
        })
    }

    /// The image that a verified service runs.
    pub(crate) fn image(self) -> Result<Option<String>, EventError> {
        self.field("image")
    }

    /// The attempts as recorded.
    pub(crate) fn attempts(self) -> Result<Vec<Attempt>, EventError> {
        self.listed("attempts")
    }

    /// The steps of an intent that the rate counts.
    pub(crate) fn recent_steps(self) -> Result<Vec<RecentStep>, EventError> {
        self.listed("recentSteps")
    }

    /// The digest of the incident's evidence from before its first step.
    pub(crate) fn before_digest(self) -> Result<Option<String>, EventError> {
        self.field("beforeDigest")
    }

    /// What is declared from now on.
    pub(crate) fn manifest_change(self) -> Result<ManifestChange, EventError> {
        if self.is("removed")? {
            return Ok(ManifestChange::Removed { why: self.shown("why") });
        }
        if self.is("restored")? {
            return Ok(ManifestChange::Restored { manifest: self.shown("manifest") });
        }
        let (generation, spec_digest) = (self.field("generation")?, self.field("specDigest")?);
        Ok(ManifestChange::Spec { generation, spec_digest })
    }

    /// A suspension that begins. An unreadable end counts as none: then only a person ends it.
    pub(crate) fn suspension(self, since: Time) -> Suspension {
        let until = self.shown("until");
        Suspension { since, until, reason: self.shown("reason"), actor: self.0.actor.clone() }
    }

    /// The end of a suspension.
    pub(crate) fn ended_suspension(self) -> EndedSuspension {
        let has_passed: bool = self.shown("passed");
        EndedSuspension {
            since: self.shown("since"),
            reason: self.shown("reason"),
            suspended_by: self.shown("suspendedBy"),
            resumed_by: (!has_passed).then(|| self.0.actor.clone()),
        }
    }

    /// How many drifts lost their attempts by a `retry`.
    pub(crate) fn forgotten(self) -> usize {
        self.shown("forgotten")
    }

    /// The services that a rollback put back, and the image of each.
    pub(crate) fn rolled_back(self) -> (Vec<String>, BTreeMap<String, String>) {
        (self.shown("services"), self.shown("to"))
    }

    /// The version of the daemon that started, and its objects.
    pub(crate) fn started(self) -> (String, Vec<String>) {
        (self.shown("version"), self.shown("objects"))
    }

    /// The anchor, and the checkpoint that it has or lacks. No decision about a step rests on it.
    pub(crate) fn anchored(self) -> Anchored {
        Anchored { anchor: self.shown("anchor"), size: self.shown("size"), root: self.shown("root") }
    }

    /// Why the daemon ended.
    pub(crate) fn stop_cause(self) -> Option<StopCause> {
        let signal: Option<String> = self.shown("signal");
        signal.map(StopCause::Signal).or_else(|| self.reason().map(StopCause::Fault))
    }

    pub(crate) fn layer(self) -> Option<String> {
        self.shown("layer")
    }

    pub(crate) fn reason(self) -> Option<String> {
        self.shown("reason")
    }

    pub(crate) fn message(self) -> Option<String> {
        self.shown("message")
    }

    pub(crate) fn transitions(self) -> Vec<RouteTransition> {
        self.shown("transitions")
    }

    /// The attempt that an intent begins.
    pub(crate) fn attempt(self) -> Option<u64> {
        self.shown("attempt")
    }

    pub(crate) fn git(self) -> Option<GitState> {
        self.shown("git")
    }

    /// The state of the containers that a step was to replace.
    pub(crate) fn last_words(self) -> Vec<LastWords> {
        // In another record it is a list of names.
        self.shown("containers")
    }

    /// The command of a step, as an argument vector.
    pub(crate) fn command(self) -> Vec<String> {
        self.shown("command")
    }

    /// Its output.
    pub(crate) fn output(self) -> String {
        self.shown("output")
    }

    /// How long it ran, in milliseconds, and its exit code.
    pub(crate) fn command_end(self) -> Option<(i64, Option<i64>)> {
        self.shown::<Option<i64>>("durationMs").map(|ms| (ms, self.shown("exitCode")))
    }

    pub(crate) fn verified_by(self) -> Option<VerifiedBy> {
        let looks = self.shown::<Option<u64>>("looks")?;
        let (held_ms, changed_by_repair) = (self.shown("heldMs"), self.shown("changedByRepair"));
        Some(VerifiedBy { looks, held_ms, changed_by_repair })
    }

    pub(crate) fn healed_by(self) -> Option<HealedBy> {
        let name: String = self.shown::<Option<_>>("healedBy")?;
        Some(HealedBy { is_undrift: name == UNDRIFT, steps: self.shown("steps") })
    }

    /// The evidence without the parts that have a column of their own, or are for the machine.
    pub(crate) fn rest(self) -> Value {
        let mut evidence = self.0.evidence.clone();
        if let Some(fields) = evidence.as_object_mut() {
            fields.retain(|key, _| key != "services" && key != "intent");
        }
        evidence
    }

    const fn error(self, what: String) -> EventError {
        EventError { seq: self.0.seq, what }
    }

    fn lacks(self, name: &str) -> EventError {
        self.error(format!("it has no {name}"))
    }

    fn unknown(self, name: &str, text: &str) -> EventError {
        self.error(format!("its {name} is {text:?}, which is unknown to this version"))
    }

    /// A field of its evidence; null if it is missing.
    fn field<T: DeserializeOwned>(self, name: &str) -> Result<T, EventError> {
        T::deserialize(&self.0.evidence[name])
            .map_err(|error| self.error(format!("its evidence.{name} is not of its kind ({error})")))
    }

    fn listed<T: DeserializeOwned>(self, name: &str) -> Result<Vec<T>, EventError> {
        self.field::<Option<Vec<T>>>(name).map(Option::unwrap_or_default)
    }

    fn is(self, name: &str) -> Result<bool, EventError> {
        Ok(self.field::<Option<bool>>(name)?.unwrap_or_default())
    }

    /// A field of its evidence that is only displayed.
    fn shown<T: DeserializeOwned + Default>(self, name: &str) -> T {
        self.field(name).unwrap_or_default()
    }
}

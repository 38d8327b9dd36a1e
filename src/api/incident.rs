//! Incidents, and the records of the audit trail.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{StepKind, Time, names::names};

/// From the first sight of a drift of an object to `Reconciled`, or to giving up. One that comes back soon after it was
/// reconciled, or that is acted on again after it was given up, is opened again, and counts: what flaps is one incident and not a
/// hundred.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Incident {
    /// A ULID: sorts by time.
    pub id: String,
    /// The object.
    pub object: String,
    /// When the drift was first seen.
    pub opened_at: Time,
    /// When it ended; null while it is open.
    pub closed_at: Option<Time>,
    /// How it ended; null while it is open.
    pub outcome: Option<IncidentOutcome>,
    /// The drift of each service when the incident opened, `service → {layer, reason, message}`.
    pub drift: Value,
    /// Whole evidence from before the first step: an [`ObjectStatus`](super::ObjectStatus).
    pub before: Value,
    /// The same, from the verification that closed it; null until then.
    pub after: Option<Value>,
    /// How often it has begun, from 1.
    pub occurrences: u32,
    /// When it began for the last time: `drift`, `before` and `after` are of that occurrence.
    pub since: Time,
    /// The trail's last record before that.
    #[serde(skip)]
    pub since_seq: u64,
    /// The occurrence before that one, for who must judge what its repair has left; null in JSON.
    #[serde(skip)]
    pub earlier: Option<Earlier>,
}

impl Incident {
    /// The occurrence that began last.
    #[must_use]
    pub const fn latest(&self) -> Occurrence {
        Occurrence { since: self.since, since_seq: self.since_seq }
    }
}

/// When an occurrence of an incident began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Occurrence {
    /// When its drift was first seen.
    pub since: Time,
    /// The trail's last record before it: those of the incident after this number are about it.
    pub since_seq: u64,
}

/// An occurrence of an incident that is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Earlier {
    /// When it began.
    #[serde(flatten)]
    pub began: Occurrence,
    /// When it ended.
    pub closed_at: Time,
    /// How it ended. Where that is not kept it was reconciled: an earlier undrift opened nothing else again.
    #[serde(default = "reconciled")]
    pub outcome: IncidentOutcome,
    /// Whole evidence from before its first step.
    pub before: Value,
}

const fn reconciled() -> IncidentOutcome {
    IncidentOutcome::Reconciled
}

names! {
    /// How an incident ended.
    IncidentOutcome {
        /// Repaired and verified.
        Reconciled,
        /// Gave up: the budget is spent, no step can repair it, or it was rolled back.
        Stalled,
    }
}

names! {
    /// How a step ended.
    StepOutcome {
        /// The command exited with zero. That verifies nothing.
        Succeeded,
        /// The command exited with another code.
        Failed,
        /// The command ran into its time limit and was ended.
        TimedOut,
        /// undrift was asked to stop, and ended the command.
        Cancelled,
        /// undrift itself ended before the command did; found at the next start.
        Interrupted,
        /// The command never ran: someone else was seen at work on the project right before it.
        NotBegun,
    }
}

names! {
    /// The kinds of record in the audit trail. The names are a contract.
    #[expect(missing_docs, reason = "each is what its name says")]
    AuditKind {
        DriftDetected,
        StepIntended,
        StepFinished,
        StepInterrupted,
        Verified,
        Reconciled,
        RolledBack,
        Stalled,
        Suspended,
        Resumed,
        Retried,
        ManifestChanged,
        Started,
        Stopped,
        TrailLost,
    }
}

/// A record that is yet to be written: what happened, without its place in the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRecord {
    /// What happened.
    pub kind: AuditKind,
    /// To which object, where it is about one.
    pub object: Option<String>,
    /// To which service; null where it is about several, or about the object.
    pub service: Option<String>,
    /// In which incident.
    pub incident: Option<String>,
    /// Which kind of step it speaks of.
    pub step: Option<StepKind>,
    /// How it ended.
    pub outcome: Option<String>,
    /// What was seen or done, as JSON: objects, lists, strings, whole numbers, booleans and null only.
    pub evidence: Value,
    /// Who did it, where that is another one than who has the state open.
    pub actor: Option<String>,
}

impl NewRecord {
    /// A record of this kind, about nothing yet.
    #[must_use]
    pub const fn of(kind: AuditKind) -> Self {
        Self {
            kind,
            object: None,
            service: None,
            incident: None,
            step: None,
            outcome: None,
            evidence: Value::Null,
            actor: None,
        }
    }
}

/// One record of the audit trail, chained to the one before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditRecord {
    /// From 1, without a gap.
    pub seq: u64,
    /// When it was written, RFC 3339 in UTC with microseconds.
    pub time: String,
    /// See [`NewRecord`].
    pub object: Option<String>,
    /// See [`NewRecord`].
    pub service: Option<String>,
    /// See [`NewRecord`].
    pub incident: Option<String>,
    /// Who: the user and process that ran undrift, `root@host undrift[1234] apply`.
    pub actor: String,
    /// What happened; one of [`AuditKind`]'s names.
    pub kind: String,
    /// Which kind of step.
    pub step: Option<String>,
    /// How it ended.
    pub outcome: Option<String>,
    /// What was seen or done.
    pub evidence: Value,
    /// The `hash` of the record before it; 64 zeros for the first.
    pub prev_hash: String,
    /// SHA-256 over the canonical form of all other fields, in lower-case hexadecimal.
    pub hash: String,
}

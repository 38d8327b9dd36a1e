//! Incidents, and the records of the audit trail.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{StepKind, Time, names::names};

/// From the first sight of an object's drift to `Reconciled`, or to giving up. An incident that recurs soon after it was
/// reconciled, or that is acted on again after it was given up, is reopened, and counts: flapping is one incident and not a
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
    /// When it last began: `drift`, `before` and `after` are of that occurrence.
    pub since: Time,
    /// The trail's last record before that.
    #[serde(skip)]
    pub since_seq: u64,
    /// The occurrence before that one, needed to judge the effect of its repair; null in JSON.
    #[serde(skip)]
    pub earlier: Option<Earlier>,
}

impl Incident {
    /// The latest occurrence.
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
    /// The trail's last record before it: the incident's records after this number belong to it.
    pub since_seq: u64,
}

/// A closed occurrence of an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Earlier {
    /// When it began.
    #[serde(flatten)]
    pub began: Occurrence,
    /// When it ended.
    pub closed_at: Time,
    /// How it ended. If that is not kept it was reconciled: an earlier undrift reopened no other kind.
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
        /// The command never ran: right before it undrift saw external activity on the project.
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
        Anchored,
        AnchorFailed,
    }
}

/// A record to be written: an event without its place in the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRecord {
    /// The kind of event.
    pub kind: AuditKind,
    /// Its object, if it is about one.
    pub object: Option<String>,
    /// Its service; null if it is about several, or about the object.
    pub service: Option<String>,
    /// Its incident.
    pub incident: Option<String>,
    /// Its kind of step.
    pub step: Option<StepKind>,
    /// How it ended.
    pub outcome: Option<String>,
    /// The observation or action, as JSON: objects, lists, strings, whole numbers, booleans and null only.
    pub evidence: Value,
    /// The actor, if it is not the one that has the state open.
    pub actor: Option<String>,
}

impl NewRecord {
    /// A record of this kind, without an object.
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
    /// The actor: the user and process that ran undrift, `root@host undrift[1234] apply`.
    pub actor: String,
    /// The event; one of [`AuditKind`]'s names.
    pub kind: String,
    /// The kind of step.
    pub step: Option<String>,
    /// How it ended.
    pub outcome: Option<String>,
    /// The observation or action.
    pub evidence: Value,
    /// The `hash` of the record before it; 64 zeros for the first.
    pub prev_hash: String,
    /// SHA-256 over the canonical form of all other fields, in lower-case hexadecimal.
    pub hash: String,
}

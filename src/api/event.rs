//! The typed events of an object. A reconcile emits them, the control socket streams them as JSON, and the command line shows
//! them. Most are in the audit trail, too: decisions rest on the events read from there, and never on the JSON of a record.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Drift, EndedSuspension, Reason, Step, StepKind, StepOutcome, Suspension, Time, Transition};

/// An event. As JSON each has its name as `kind`; the names in the trail are [`AuditKind`](super::AuditKind)'s.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum Event {
    /// A drift of a service, first seen in this occurrence of its incident.
    DriftDetected {
        /// The service.
        service: String,
        /// The drift.
        #[serde(flatten)]
        drift: Drift,
    },
    /// A step is about to begin.
    StepIntended {
        /// The step, with its options.
        #[serde(flatten, with = "super::step::fields")]
        step: Step,
        /// Its services.
        services: Vec<String>,
    },
    /// A step ended, or turned out to have ended with the undrift that began it.
    #[serde(rename = "StepFinished")]
    StepEnded(EndedStep),
    /// A service was as declared for the whole stability window.
    Verified {
        /// The service.
        service: String,
        /// The ID of the image that its reference names, if known.
        image: Option<String>,
    },
    /// The previous images run again.
    RolledBack {
        /// The services.
        services: Vec<String>,
        /// The ID of the image that each of them runs again.
        to: BTreeMap<String, String>,
    },
    /// The incident is over: everything is as declared, and verified.
    Reconciled {
        /// The routes that answer differently than before the repair.
        transitions: Vec<RouteTransition>,
    },
    /// The incident is over: undrift tries nothing more.
    Stalled {
        /// Why.
        reason: Reason,
        /// Why, in words.
        message: String,
    },
    /// A person suspended the object: no step from now on.
    Suspended(Suspension),
    /// The suspension is over.
    Resumed(EndedSuspension),
    /// A person gave the object a new budget.
    Retried {
        /// How many drifts had attempts, which are forgotten.
        forgotten: usize,
    },
    /// The spec of the object is another one, or no manifest declares it any more, or one does again.
    ManifestChanged(ManifestChange),
    /// undrift started as a daemon.
    Started {
        /// Its version.
        version: String,
        /// The names of the declared objects.
        objects: Vec<String>,
    },
    /// The daemon ended.
    Stopped {
        /// Why; `None` if the record does not have that.
        cause: Option<StopCause>,
    },
    /// The trail begins here in the place of an earlier one that is missing.
    TrailLost {
        /// What is missing, in words.
        message: String,
    },
    /// An anchor has a checkpoint of the trail.
    Anchored(Anchored),
    /// A checkpoint could not be delivered to an anchor: the first failure since that was last reached.
    AnchorFailed {
        /// The anchor's name: `file:PATH`, `journal`, or `SCHEME://HOST[:PORT]`.
        anchor: String,
        /// How many records the checkpoint covers.
        size: u64,
        /// Why, in words, without the rest of the anchor's URL.
        message: String,
    },
    /// Not in the trail: an observation is complete, and its status is recorded. The next action may take long.
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
    /// Not in the trail: undrift tries nothing, as when it gave up an earlier incident.
    GivenUp {
        /// Why.
        reason: Reason,
        /// Why, in words.
        message: String,
    },
    /// Not in the trail: undrift does nothing for now.
    Waiting {
        /// Until when at most, if that is known.
        until: Option<Time>,
        /// Why, in words.
        why: String,
    },
}

impl Event {
    /// Whether the trail records it, too.
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

/// A checkpoint that an anchor has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchored {
    /// The anchor's name: `file:PATH`, `journal`, or `SCHEME://HOST[:PORT]`.
    pub anchor: String,
    /// How many records the checkpoint covers.
    pub size: u64,
    /// The root of the tree over them, in base64.
    pub root: String,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndedStep {
    /// The record of its intent. Only that has the options of the step; `None` in a record that does not name it.
    pub intent: Option<u64>,
    /// Its kind.
    #[serde(rename = "step")]
    pub kind: StepKind,
    /// Its services.
    pub services: Vec<String>,
    /// The outcome.
    pub outcome: StepOutcome,
    /// When it ended. The record may be hours younger, if there was no space for it before.
    pub at: Time,
    /// How its command ended; `None` if the step was interrupted.
    pub command: Option<CommandEnd>,
}

/// How the command of a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandEnd {
    /// Its exit code, if it exited.
    pub exit_code: Option<i32>,
    /// How long the step took, in milliseconds.
    pub duration_ms: u64,
    /// The end of its output.
    pub output: String,
}

/// A change of what is declared of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ManifestChange {
    /// Another spec, or the first one.
    Spec {
        /// The number of the spec, from 1.
        generation: i64,
        /// Its digest, `v1:sha256:…`.
        spec_digest: String,
    },
    /// No manifest declares it any more.
    Removed {
        /// Why undrift no longer manages it, in words.
        why: String,
    },
    /// A manifest declares it again.
    Restored {
        /// The manifest.
        manifest: String,
    },
}

/// Why a daemon ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StopCause {
    /// A signal, by its name.
    Signal(String),
    /// A fault, in words.
    Fault(String),
}

/// A route's status before and after a repair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTransition {
    /// The service.
    pub service: String,
    /// The route as displayed.
    pub route: String,
    /// The change.
    #[serde(flatten)]
    pub transition: Transition,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{DriftReason, Layer};

    /// The control socket's client reads what the socket streams.
    #[test]
    fn each_event_is_read_back_from_its_json() {
        let at: Time = "2026-01-01T15:00:00Z".parse().unwrap();
        let drift = Drift { layer: Layer::Route, reason: DriftReason::Absent, message: "404".into() };
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
        let suspension =
            Suspension { since: at, until: None, reason: "a migration".into(), actor: "ops".into() };
        let intended = |step| Event::StepIntended { step, services: services.clone() };
        let events = [
            Event::DriftDetected { service: "api".into(), drift },
            intended(Step::Build { no_cache: false }),
            intended(Step::Build { no_cache: true }),
            intended(Step::Up { force_recreate: false }),
            intended(Step::Up { force_recreate: true }),
            intended(Step::Start),
            intended(Step::Restart),
            intended(Step::Reload),
            intended(Step::Rollback),
            Event::StepEnded(EndedStep { command: None, ..ended.clone() }),
            Event::StepEnded(ended),
            Event::Verified { service: "api".into(), image: None },
            Event::RolledBack {
                services: services.clone(),
                to: BTreeMap::from([("api".into(), "sha256:1".into())]),
            },
            Event::Reconciled { transitions },
            Event::Stalled { reason: "BudgetSpent".into(), message: "5 of 5".into() },
            Event::Suspended(suspension.clone()),
            Event::Resumed(suspension.ended(Some("ops"))),
            Event::Retried { forgotten: 1 },
            Event::ManifestChanged(ManifestChange::Spec { generation: 2, spec_digest: "v1:sha256:a".into() }),
            Event::ManifestChanged(ManifestChange::Removed { why: "no manifest".into() }),
            Event::ManifestChanged(ManifestChange::Restored { manifest: "a.yaml".into() }),
            Event::Started { version: "0.1.0".into(), objects: vec!["shop".into()] },
            Event::Stopped { cause: Some(StopCause::Signal("SIGTERM".into())) },
            Event::Stopped { cause: Some(StopCause::Fault("the disk hangs".into())) },
            Event::TrailLost { message: "state.db is gone".into() },
            Event::Anchored(Anchored { anchor: "journal".into(), size: 51, root: "AAA=".into() }),
            Event::AnchorFailed { anchor: "file:/mnt/a".into(), size: 51, message: "it is full".into() },
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
}

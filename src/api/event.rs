//! What happens to an object, typed. Whoever reconciles emits it, the control socket streams it as JSON, and the command line
//! shows it. Most of it is in the audit trail, too: decisions rest on what is read from there, and never on the JSON of a
//! record.

use serde::{Deserialize, Serialize};

use super::{AuditKind, Drift, Reason, Step, StepKind, StepOutcome, Time, Transition};

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
        #[serde(flatten, with = "super::step::fields")]
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
        /// Why.
        reason: Reason,
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
        /// Why.
        reason: Reason,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{DriftReason, Layer};

    /// What the control socket streams is what its client reads.
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
}

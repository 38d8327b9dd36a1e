//! What happens during a reconcile, as it happens, for a person who waits.

use crate::api::{Drift, PlannedStep, Time, Transition};
use crate::host::StepReport;

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum Progress<'a> {
    /// The first look of a reconcile is recorded: what follows may take long.
    Observed,
    /// A drift was seen for the first time in this incident.
    Drift {
        /// The service.
        service: &'a str,
        /// What.
        drift: &'a Drift,
    },
    /// A step that an earlier undrift began and never ended was found.
    Interrupted(&'a str),
    /// A step begins.
    StepBegins(&'a PlannedStep),
    /// A line of its command's output.
    Line(&'a str),
    /// A step ended.
    StepEnds(&'a PlannedStep, &'a StepReport),
    /// The stability window begins.
    Verifying {
        /// Which services.
        services: &'a [String],
        /// How long it is.
        window: std::time::Duration,
    },
    /// The window was not held.
    NotVerified {
        /// The service.
        service: &'a str,
        /// Why.
        why: &'a str,
    },
    /// Waiting: a backoff, or something that may pass by itself.
    Waiting {
        /// Until when, at most, where that is known.
        until: Option<Time>,
        /// For what.
        why: &'a str,
    },
    /// A route's status before and after the repair.
    Transition {
        /// The service.
        service: &'a str,
        /// The route.
        route: &'a str,
        /// From what to what.
        transition: Transition,
    },
    /// Every service is as declared, and verified.
    Reconciled,
    /// Given up.
    Stalled {
        /// Why, in `PascalCase`.
        reason: &'a str,
        /// Why, in words.
        message: &'a str,
    },
}

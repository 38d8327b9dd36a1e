//! Decides from the declaration and an observation what should happen. Pure: no clock, no client, no file.
//!
//! `check`, `plan`, `apply` and `run` all call [`decide`], so reports and actions cannot disagree.
//!
//! | file | holds |
//! | --- | --- |
//! | `checks` | which layer of a service is broken, one small check per layer |
//! | `repair` | the repair option for a drift now, and when there is none |
//! | `escalation` | which steps could help against a drift, and in which order they are tried |
//! | `settling` | how long a service may still become as declared by itself |
//! | `rollback` | whether the previous image should run again, and whether that has helped |
//! | `route_watch` | when the routes of a verified service are asked again, and what a failure means then |
//! | `attempts` | what an earlier step changed, and when the next one may be taken |
//! | `start` | the source that a repair starts from, and whether another source gets another chance |
//! | `environment` | whether only the environment makes the project differ from the last verified state |
//! | `churn` | whether a service restarts often |
//! | `notes` | remarks on a service that are no drift |
//! | `obstacles` | which repairs and waits a known obstacle rules out |
//! | `undone` | whether something undoes each repair of a drift |
//! | `rate` | how often a service may be built or brought up within an hour |
//! | `open_incident` | the steps and verifications of the open incident |
//! | `recurrence` | whether a drift continues the last incident |
//! | `order` | which steps must precede a step, and which must accompany it |
//! | `ports` | when a service may take a port that another one of the object still has |
//! | `plan` | the steps of several services as one plan |
//! | `verify` | what one observation adds to a verification |
//! | `stability_window` | whether the observations of a stability window verify a service |
//! | `status` | all of it in the shape that is reported |
//! | `trail_rules` | the rules for an intact trail |

mod attempts;
mod checks;
mod churn;
mod environment;
mod escalation;
mod kept_running;
mod notes;
mod obstacles;
mod open_incident;
mod order;
mod plan;
mod ports;
mod rate;
mod recurrence;
mod repair;
mod rollback;
mod route_watch;
mod settling;
mod stability_window;
mod start;
mod status;
#[cfg(test)]
pub(crate) mod tests;
pub mod trail_rules;
mod undone;
mod unseen;
mod verify;

use std::collections::{BTreeMap, BTreeSet};

pub use attempts::{
    after_verification, begin_preparation, begin_step, end_preparation, end_rollback, end_step,
    healthy_period,
};
pub use checks::{Diagnosis, LayerVerdict, UnknownLayer, diagnose, within_start_grace};
pub use churn::{RestartLog, Stability};
pub use open_incident::{DoneStep, OpenIncident, Verified};
pub use order::{StepOrder, UpPhase};
pub use plan::Next;
pub use rate::recent_steps;
pub use recurrence::{AfterIncident, EndedIncident};
pub use repair::{Repair, RepairOption};
pub use rollback::{images_to_restore, judged_for, rollback_target, to_keep, verified_images};
pub use route_watch::ask_routes_again_at;
pub(crate) use stability_window::{Candidate, LONGEST_PAUSE, StabilityWindow, WindowVerdict};
pub use status::{AS_DECLARED, StatusInputs, is_verified, status, with_fault, with_superseded_by};
pub use unseen::failed_status;
pub use verify::{Identity, LEAST_LOOKS, Weight, identities, identities_of, unlike_before, weigh};

use crate::api::{
    Attempt, Desired, Mode, PlannedStep, ProjectObservation, RecentStep, ResolvedFrom, Suspension, Time,
};

/// Everything that a decision rests on.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The declaration.
    pub desired: &'a Desired,
    /// The latest observation.
    pub observed: &'a ProjectObservation,
    /// The history.
    pub history: &'a History,
    /// The current time.
    pub now: Time,
    /// Seeds the jitter of the backoff, so that the decision stays a function of its inputs.
    pub jitter_seed: u64,
}

/// The history that undrift remembers of an object.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct History {
    /// The spec's generation.
    pub generation: i64,
    /// The budget's memory.
    pub attempts: Vec<Attempt>,
    /// The steps of the last hour for the project's services, oldest first: the rate's memory.
    pub recent_steps: Vec<RecentStep>,
    /// The incident that is open.
    pub incident: Option<OpenIncident>,
    /// The previous one, if it ended recently and well: its repair may yet turn out to be worse.
    pub last_healed: Option<OpenIncident>,
    /// The containers of each service at its last verification; see [`identities`].
    pub verified: BTreeMap<String, Vec<Identity>>,
    /// Since when each of these services has been verified.
    pub verified_since: BTreeMap<String, Time>,
    /// The restart count of each container, by ID, as of ten minutes ago, or of undrift's first observation: every increase
    /// since is an observed death.
    pub restarts: BTreeMap<String, i64>,
    /// The restarts of each service's replicas, this observation included, by the service's name.
    pub restart_logs: BTreeMap<String, RestartLog>,
    /// Since when the present series of observations waits for things to pass: from its beginning, or from the end of
    /// external activity.
    pub watching_since: Option<Time>,
    /// When the present series of observations began.
    pub looking_since: Option<Time>,
    /// The services whose stability window has begun while others were verified.
    pub verifying: Vec<String>,
    /// The image IDs that a rollback would restore but that the engine no longer has.
    pub gone_images: BTreeSet<String>,
    /// The person's suspension that holds now, besides the spec's own.
    pub suspended: Option<Suspension>,
    /// The source of the last verified state; `None` if the present environment counts as declared.
    pub verified_from: Option<ResolvedFrom>,
    /// Whether somebody else wrote that, so that no environment is known to be the verified one.
    pub is_verified_from_altered: bool,
}

/// What to report and what to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// One diagnosis per service of the spec.
    pub services: Vec<Diagnosis>,
    /// The repair option of each.
    pub repair_options: Vec<RepairOption>,
    /// The steps, in order, that would repair everything repairable. Only the first is ever executed before everything is
    /// observed again.
    pub plan: Vec<PlannedStep>,
    /// The next action.
    pub next: Next,
    /// The budget's memory after this observation; store it before acting on `next`.
    pub attempts: Vec<Attempt>,
    /// Why undrift takes no step for this object.
    pub held_back: Option<HeldBack>,
    /// The variables whose changed values alone make the project differ from the last verified state.
    pub environment_differs: Vec<String>,
    /// The sign that somebody else is at work on the project, where a step waits for that, in words.
    pub waits_for: Option<String>,
    /// Whether each service restarts often, by its name; only where that is known.
    pub stability: BTreeMap<String, Stability>,
}

/// Why undrift takes no step for an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeldBack {
    /// A person or the spec has suspended it; in words.
    Suspended(String),
    /// The spec's mode is `observe`.
    ObserveOnly,
    /// Only the environment differs from that of the last verified state, or possibly so; in words.
    EnvironmentDiffers(String),
}

impl Decision {
    /// Whether every service is as declared, and known to be.
    #[must_use]
    pub fn as_declared(&self) -> bool {
        self.services.iter().all(Diagnosis::as_declared)
    }

    /// Why the object waits, in words, if only the rate delays it: nothing is due, and nothing may pass by itself.
    #[must_use]
    pub fn rate_exceeded(&self) -> Option<String> {
        let mut messages = Vec::new();
        for option in &self.repair_options {
            match (&option.repair, &option.rate_exceeded) {
                (Repair::Nothing | Repair::Stalled { .. }, _) => {}
                (Repair::Steps(_, Some(_)), Some(message)) => messages.push(message.as_str()),
                _ => return None,
            }
        }
        let waits = matches!(self.next, Next::Wait(_)) && !messages.is_empty();
        waits.then(|| messages.join("; "))
    }
}

/// Decides.
#[must_use]
pub fn decide(inputs: Inputs<'_>) -> Decision {
    let services: Vec<Diagnosis> = checks::diagnose_all(inputs);
    let attempts = attempts::settle(inputs, &services);
    let repair_options: Vec<RepairOption> =
        services.iter().map(|diagnosis| repair::option(inputs, &attempts, diagnosis)).collect();
    let repair_options = order::ordered(inputs, &services, repair_options);
    let repair_options = ports::handed_over(inputs, repair_options);
    let environment_differs = environment::differing(inputs);
    let held_back = held_back(inputs);
    let plan = if held_back.is_none() { plan::plan(&repair_options, |_| true) } else { Vec::new() };
    let next = plan::next(inputs, &services, &repair_options);
    let waits_for = inputs.observed.external_activity.clone();
    let waits_for = waits_for.filter(|_| held_back.is_none() && !plan.is_empty());
    let stability = stability(inputs);
    Decision {
        services,
        repair_options,
        plan,
        next,
        attempts,
        held_back,
        environment_differs,
        waits_for,
        stability,
    }
}

fn stability(inputs: Inputs<'_>) -> BTreeMap<String, Stability> {
    let churn = inputs.desired.object.spec.reconcile.churn;
    let of = |service: &crate::api::ServiceObservation| {
        let log = inputs.history.restart_logs.get(&service.name)?;
        let stability = log.stability(service.containers.known()?, churn, inputs.now)?;
        Some((service.name.clone(), stability))
    };
    inputs.observed.services.iter().filter_map(of).collect()
}

/// Why undrift takes no step for this object. A person's suspension comes first: it has a reason.
fn held_back(inputs: Inputs<'_>) -> Option<HeldBack> {
    let policy = &inputs.desired.object.spec.reconcile;
    if let Some(suspension) = &inputs.history.suspended {
        return Some(HeldBack::Suspended(suspension.in_words()));
    }
    if policy.suspend {
        return Some(HeldBack::Suspended("spec.reconcile.suspend is true".into()));
    }
    if policy.mode == Mode::Observe {
        return Some(HeldBack::ObserveOnly);
    }
    environment::holding_back(inputs).map(HeldBack::EnvironmentDiffers)
}

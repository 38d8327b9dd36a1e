//! From what is declared and what was observed to what should happen. Pure: no clock, no client, no file.
//!
//! `check`, `plan`, `apply` and `run` all call [`decide`], so what is reported and what is acted on cannot
//! disagree.
//!
//! | file | holds |
//! | --- | --- |
//! | `checks` | which layer of a service is broken, one small check per layer |
//! | `repair` | what could be done about a drift now, and when nothing is |
//! | `escalation` | which steps could help against a drift, and in which order they are tried |
//! | `settling` | how long a service may still become as declared by itself |
//! | `rollback` | whether the image of before should run again, and whether that has helped |
//! | `attempts` | what an earlier step has changed, and when the next one may be taken |
//! | `start` | what a repair starts from, and how much another source is worth |
//! | `environment` | whether the environment alone makes the project another one than in the last verified state |
//! | `notes` | what is worth saying of a service that is no drift |
//! | `obstacles` | which repair is not begun, and which wait is none, for what is known beforehand |
//! | `rate` | how often a service may be built or brought up within an hour |
//! | `open_incident` | what was done and verified in the incident that is open |
//! | `recurrence` | whether what drifts is the last incident once more |
//! | `order` | what must come before a step, and what must come along with it |
//! | `ports` | when a service may take a port that another one of the object has yet |
//! | `plan` | the steps of several services as one plan |
//! | `verify` | what one look adds to a verification |
//! | `stability_window` | whether the looks of a stability window verify a service |
//! | `status` | all of it in the shape that is reported |
//! | `trail_rules` | what a whole trail cannot hold |

mod attempts;
mod checks;
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
mod settling;
mod stability_window;
mod start;
mod status;
#[cfg(test)]
pub(crate) mod tests;
pub mod trail_rules;
mod unseen;
mod verify;

use std::collections::{BTreeMap, BTreeSet};

pub use attempts::{
    after_verification, begin_preparation, begin_step, end_preparation, end_rollback, end_step,
    healthy_period,
};
pub use checks::{Diagnosis, LayerVerdict, UnknownLayer, diagnose, within_start_grace};
pub use open_incident::{DoneStep, OpenIncident, Verified};
pub use order::{StepOrder, UpPhase};
pub use plan::Next;
pub use rate::recent_steps;
pub use recurrence::{AfterIncident, EndedIncident};
pub use repair::{Repair, RepairOption};
pub use rollback::{JUDGED_FOR, images_to_restore, rollback_target, to_keep, verified_images};
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
    /// What is declared.
    pub desired: &'a Desired,
    /// What was just seen.
    pub observed: &'a ProjectObservation,
    /// What was done before.
    pub history: &'a History,
    /// When it is.
    pub now: Time,
    /// Seeds the jitter of the backoff, so that the decision stays a function of its inputs.
    pub jitter_seed: u64,
}

/// What undrift remembers of an object.
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
    /// The one before it, where it ended not long ago and well: what it repaired may yet turn out to be worse.
    pub last_healed: Option<OpenIncident>,
    /// What each service consisted of when it was last verified; see [`identities`].
    pub verified: BTreeMap<String, Vec<Identity>>,
    /// Since when each of these services has been verified.
    pub verified_since: BTreeMap<String, Time>,
    /// The restart count of each container, by ID, as it was ten minutes ago, or when undrift began to look: what has been
    /// added to it are the deaths that it was seen to die.
    pub restarts: BTreeMap<String, i64>,
    /// Since when the present series of looks waits for things to pass: from its beginning, or from when nobody else
    /// was at work any more.
    pub watching_since: Option<Time>,
    /// When the present series of looks began.
    pub looking_since: Option<Time>,
    /// The services whose stability window has begun while others were verified.
    pub verifying: Vec<String>,
    /// The image IDs that a rollback would put back and that the engine no longer has.
    pub gone_images: BTreeSet<String>,
    /// The suspension by a person that holds now, besides the spec's own.
    pub suspended: Option<Suspension>,
    /// What the last verified state was resolved from; `None` where the environment of now counts as declared.
    pub verified_from: Option<ResolvedFrom>,
    /// Whether somebody else has written that, so that no environment is known to be the one that was verified.
    pub is_verified_from_altered: bool,
}

/// What to report and what to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// One diagnosis per service of the spec.
    pub services: Vec<Diagnosis>,
    /// What could mend each of them.
    pub repair_options: Vec<RepairOption>,
    /// The steps, in order, that would mend all that can be mended. Only the first is ever executed before
    /// everything is observed anew.
    pub plan: Vec<PlannedStep>,
    /// What to do now.
    pub next: Next,
    /// The budget's memory after this look; to be stored before `next` is acted on.
    pub attempts: Vec<Attempt>,
    /// What keeps undrift from taking any step for this object.
    pub held_back: Option<HeldBack>,
    /// The variables whose other value alone makes the project another one than in the last verified state.
    pub environment_differs: Vec<String>,
    /// The sign that somebody else is at work on the project, where a step waits for that, in words.
    pub waits_for: Option<String>,
}

/// What keeps undrift from taking any step for an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeldBack {
    /// A person or the spec has suspended it; in words.
    Suspended(String),
    /// The spec's mode is `observe`.
    ObserveOnly,
    /// Only the environment differs from that of the last verified state, or may for all that is known; in words.
    EnvironmentDiffers(String),
}

impl Decision {
    /// Whether every service is as declared, and known to be.
    #[must_use]
    pub fn as_declared(&self) -> bool {
        self.services.iter().all(Diagnosis::as_declared)
    }

    /// What makes the object wait, in words, where that is the rate alone: nothing is due, and nothing may pass by itself.
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
    Decision { services, repair_options, plan, next, attempts, held_back, environment_differs, waits_for }
}

/// What keeps undrift from taking any step for this object. A person's word comes first: it says why.
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

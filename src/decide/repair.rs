//! Which steps could mend a drift, in which order they are tried, and when none is.

use super::{
    Diagnosis, Inputs, attempts,
    checks::{is_mended_by_a_restart, network},
    order::Order,
    rate, rollback, start,
};
use crate::api::{Attempt, Drift, Fact, Layer, NetworkObservation, Reason, ServiceObservation, Step, Time};

/// The steps of each rung.
pub(super) const BUILD: Step = Step::Build { no_cache: false };
const UNCACHED: Step = Step::Build { no_cache: true };
pub(super) const UP: Step = Step::Up { force_recreate: false };
const RECREATE: Step = Step::Up { force_recreate: true };

/// The reason of a service that was rolled back: nothing more is tried for it with this source and spec.
pub(super) const ROLLED_BACK: &str = "RolledBack";
/// The reason of a service that runs no better with the image of before than with the new one.
pub(super) const ROLLBACK_IN_VAIN: &str = "RollbackInVain";
/// The reason of a service that undrift itself runs in.
const RUNS_UNDRIFT: &str = "RunsUndrift";
/// The reason of a service whose budget is spent.
pub(super) const BUDGET_SPENT: &str = "BudgetSpent";
/// The reason of a service for which every rung has been tried and none changed anything.
pub(super) const REPAIRS_EXHAUSTED: &str = "RepairsExhausted";

/// What could be done for one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prospect {
    /// The service.
    pub service: String,
    /// Its drift in words, for the reason of a step.
    pub why: String,
    /// What could be done.
    pub repair: Repair,
    /// Whether a build of it must not share its command with other services: one that fails ends the others of the
    /// same command, and would do so again and again. One that healed its service was no such build.
    pub alone: bool,
    /// Why a repair that could be done waits for the rate, in words, if it does. What is down may be started meanwhile.
    pub rate_exceeded: Option<String>,
    /// Its place among the others.
    pub order: Order,
}

/// See [`Prospect`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    /// Nothing is to be done.
    Nothing,
    /// These steps, in this order, not before that time.
    Steps(Vec<Step>, Option<Time>),
    /// No step, but it may pass by itself until that time; the reason is the drift's own, or that too little
    /// is known.
    Wait {
        /// Until when it may pass.
        until: Time,
        /// What it is called when it has not.
        reason: String,
        /// In words.
        message: String,
    },
    /// No step: a person must look, or has chosen, or the source must change.
    Stalled {
        /// Why, in `PascalCase`.
        reason: String,
        /// Why, in words.
        message: String,
    },
}

/// What could be done for a service with this diagnosis.
pub(super) fn prospect(inputs: Inputs<'_>, rows: &[Attempt], diagnosis: &Diagnosis) -> Prospect {
    let service = diagnosis.service.clone();
    let why = match (&diagnosis.unknown, &diagnosis.drift) {
        (_, Some(drift)) => drift.message.clone(),
        (Some((_, unknown)), None) => unknown.clone(),
        (None, None) => String::new(),
    };
    let repair = repair(inputs, rows, diagnosis);
    let (repair, rate_exceeded) = match inputs.observed.services.iter().find(|seen| seen.name == service) {
        Some(seen) => rate::limited(inputs, seen, diagnosis, repair),
        None => (repair, None),
    };
    let was_in_vain = |row: &&Attempt| row.layer == Layer::Artifact && row.attempts > 0 && !row.healed;
    let alone = rows.iter().filter(|row| row.service == service).any(|row| was_in_vain(&row));
    Prospect { service, why, repair, alone, rate_exceeded, order: Order::default() }
}

fn repair(inputs: Inputs<'_>, rows: &[Attempt], diagnosis: &Diagnosis) -> Repair {
    if let Some((layer, why)) = &diagnosis.unknown {
        let message =
            format!("the {layer} layer is unknown ({why}), and nothing is repaired on what is not known");
        return wait(inputs, "Unknown", message);
    }
    let Some(seen) = inputs.observed.services.iter().find(|s| s.name == diagnosis.service) else {
        return Repair::Nothing;
    };
    let Some(drift) = &diagnosis.drift else { return as_declared(inputs, seen, diagnosis) };
    if seen.runs_undrift {
        let message = "undrift itself runs in a container of this service and never touches itself: a person must do it";
        return stalled(RUNS_UNDRIFT, message);
    }
    if let Some(whose) = of_another_directory(inputs, seen) {
        return whose;
    }
    if let Some(network) = network::blocking(seen).filter(|_| !is_mended_by_restart(drift)) {
        return stalled(Reason::NetworkDefinitionChanged.as_str(), &blocked(seen, network));
    }
    let row = attempts::row(inputs, rows, seen, drift);
    let budget = Budget { inputs, row, not_before: start::not_before(inputs, rows, seen, drift) };
    if let Some(reason) = attempts::given_up(inputs, rows, seen) {
        return stalled(reason, rollback::words(reason, diagnosis));
    }
    if let Some(until) = still_settling(inputs, seen, drift, row) {
        return Repair::Wait { until, reason: drift.reason.to_string(), message: drift.message.clone() };
    }
    let half =
        inputs.history.incident.as_ref().is_some_and(|incident| incident.is_half_rolled_back(&seen.name));
    if half && network::blocking(seen).is_none() {
        return Budget { not_before: None, ..budget }.spend(vec![Step::Rollback]);
    }
    if network::blocking(seen).is_none() && rollback::is_worse(inputs, seen, drift) {
        // What was lost is given back at once, whatever its repairs have cost; it is tried once in an incident.
        return Repair::Steps(vec![Step::Rollback], None);
    }
    if drift.reason == Reason::SourceChanged && is_half_done(inputs, diagnosis) {
        return Budget { not_before: None, ..budget }.spend(vec![UP]);
    }
    match rungs(drift, seen) {
        Rungs::None(message) => stalled(drift.reason.as_str(), &message),
        Rungs::Wait => wait(inputs, drift.reason.as_str(), drift.message.clone()),
        Rungs::UntilTried(steps) => match untried(&steps, row) {
            Some(step) => budget.spend(with_up(step)),
            None => {
                stalled(REPAIRS_EXHAUSTED, &format!("every repair was tried, and still: {}", drift.message))
            }
        },
        Rungs::UntilSpent(steps) => match untried(&steps, row).or(steps.last().copied()) {
            Some(step) => budget.spend(with_up(step)),
            None => Repair::Nothing,
        },
    }
}

/// No step, no build either, for what another directory's project has or may have: whatever else is wrong with it. A build
/// would take the reference away from them.
fn of_another_directory(inputs: Inputs<'_>, seen: &ServiceObservation) -> Option<Repair> {
    if inputs.desired.object.spec.project.take_over {
        return None;
    }
    match &seen.other_directory {
        Fact::Known(None) => None,
        Fact::Known(Some(directory)) => Some(stalled(
            Reason::OtherDirectory.as_str(),
            &format!(
                "the containers are those of the project in {directory}: a person must say whose they are"
            ),
        )),
        Fact::Unknown(why) => {
            Some(wait(inputs, "Unknown", format!("whose container it is is not known: {why}")))
        }
    }
}

/// Whether a restart alone may mend it.
const fn is_mended_by_restart(drift: &Drift) -> bool {
    matches!(drift.reason, Reason::NotRunning | Reason::CrashLooping | Reason::Unhealthy)
}

fn blocked(seen: &ServiceObservation, network: &NetworkObservation) -> String {
    format!(
        "Compose would make the network {} anew, cannot while others are on it, and would leave {} down; {}",
        network.name,
        seen.name,
        network::remedy(seen, network)
    )
}

/// Whether a build waits to be brought up. Where the source changed once more meanwhile it comes first all the same, or what
/// changes faster than it can be built would never run at all.
fn is_half_done(inputs: Inputs<'_>, diagnosis: &Diagnosis) -> bool {
    let is_built = |incident: &super::OpenIncident| incident.has_built_since_up(&diagnosis.service);
    diagnosis.awaits_up() && inputs.history.incident.as_ref().is_some_and(is_built)
}

/// A service that is as declared because it was rolled back was not repaired: the one incident in which that was done
/// does not end as if it had been.
fn as_declared(inputs: Inputs<'_>, seen: &ServiceObservation, diagnosis: &Diagnosis) -> Repair {
    let rolled_back = inputs.history.incident.as_ref().is_some_and(|incident| {
        // One that was cut off may have had its effect all the same.
        let was_tried = incident.has_done(&seen.name, |step| step == Step::Rollback);
        let old = super::rollback_target(inputs.history, &seen.name);
        incident.is_rolled_back(&seen.name)
            || was_tried && seen.artifact.image.known().and_then(Option::as_deref) == old && old.is_some()
    });
    if rolled_back {
        return stalled(ROLLED_BACK, rollback::words(ROLLED_BACK, diagnosis));
    }
    Repair::Nothing
}

/// How the repairs of a drift escalate.
enum Rungs {
    /// No step can mend it; why, in words.
    None(String),
    /// No step is tried; it may pass.
    Wait,
    /// One after the other, and then none: a step that changed nothing would change nothing again.
    UntilTried(Vec<Step>),
    /// One after the other, the last one until the budget is spent.
    UntilSpent(Vec<Step>),
}

/// The table of repairs.
fn rungs(drift: &Drift, seen: &ServiceObservation) -> Rungs {
    let containers = seen.containers.known().map(Vec::as_slice).unwrap_or_default();
    match (drift.layer, drift.reason) {
        (Layer::Source, _) => Rungs::none("what the source does not have cannot be built"),
        (Layer::Artifact, _) if !seen.buildable => {
            Rungs::none("the service has no `build:`, so its image comes from elsewhere: a person must look")
        }
        (Layer::Artifact, _) => Rungs::UntilTried(vec![BUILD, UNCACHED]),
        (Layer::Container, Reason::OtherDirectory) => Rungs::none(
            "the containers are those of a project in another directory: a person must say whose they are",
        ),
        (Layer::Container, Reason::Paused) => Rungs::none("a pause is a person's choice and is respected"),
        (Layer::Container, Reason::ShadowedByMount) => {
            Rungs::none("a mount hides the image's files and no rebuild changes that: a person must look")
        }
        (Layer::Container, Reason::NetworkDefinitionChanged) => Rungs::None(definition_changed(seen)),
        // Where the hash is the same, an `up` that is not forced would change nothing.
        (Layer::Container, Reason::ModuleMissing | Reason::NetworkChanged) => {
            Rungs::UntilSpent(vec![RECREATE])
        }
        (Layer::Container, Reason::ConfigChanged) if !is_other_hash(seen) => {
            Rungs::UntilSpent(vec![RECREATE])
        }
        (Layer::Container, Reason::NamespaceLost)
            if is_mended_by_a_restart(containers) && network::blocking(seen).is_none() =>
        {
            Rungs::UntilSpent(vec![Step::Restart, RECREATE])
        }
        (Layer::Container, Reason::Surplus) if network::blocking(seen).is_some() => {
            Rungs::None(definition_changed(seen))
        }
        // An `up` would leave it down.
        (Layer::Container, _) if network::blocking(seen).is_some() => Rungs::UntilSpent(vec![Step::Restart]),
        (Layer::Container, Reason::CrashLooping | Reason::Unhealthy) => {
            Rungs::UntilSpent(vec![Step::Restart, RECREATE])
        }
        (Layer::Container, Reason::NamespaceLost) => Rungs::UntilSpent(vec![RECREATE]),
        // A recreation would end what works and change nothing of their number.
        (Layer::Container, Reason::Surplus) => Rungs::UntilSpent(vec![UP]),
        (Layer::Container, _) => Rungs::UntilSpent(vec![UP, RECREATE]),
        (Layer::Route, Reason::Absent) => absent(seen),
        (Layer::Route, _) => Rungs::Wait,
        (Layer::Auth, _) => {
            Rungs::none("the route is there; credentials are the next thing for a person to look at")
        }
    }
}

impl Rungs {
    fn none(message: &str) -> Self {
        Self::None(message.to_owned())
    }
}

/// Whether Compose itself would create a container otherwise.
fn is_other_hash(seen: &ServiceObservation) -> bool {
    let containers = seen.containers.known().into_iter().flatten();
    containers.into_iter().any(|container| container.config_changed == Fact::Known(true))
}

fn definition_changed(seen: &ServiceObservation) -> String {
    let networks = seen.networks.known().into_iter().flatten();
    let changed = networks.into_iter().find(|network| !network.differences.is_empty());
    changed.map_or_else(String::new, |network| {
        let remedy = network::remedy(seen, network);
        format!("a network is made anew only without its containers, which a person must choose: {remedy}")
    })
}

/// An absent route behind a current container. A build helps unless the image is known to come from the source
/// as it is now; a restart may; an uncached build is the last resort.
fn absent(seen: &ServiceObservation) -> Rungs {
    if !seen.buildable {
        return Rungs::UntilTried(vec![Step::Restart]);
    }
    match (&seen.source.digest, &seen.artifact.built_from) {
        // Whether the image is current cannot be told: no build on what is not known.
        (Fact::Unknown(_), Some(_)) => Rungs::UntilTried(vec![Step::Restart]),
        (Fact::Known(Some(now)), Some(built)) if now == built => {
            Rungs::UntilTried(vec![Step::Restart, UNCACHED])
        }
        _ => Rungs::UntilTried(vec![BUILD, Step::Restart, UNCACHED]),
    }
}

fn untried(steps: &[Step], row: Option<&Attempt>) -> Option<Step> {
    steps.iter().copied().find(|step| row.is_none_or(|row| !row.tried.contains(step)))
}

/// A build alone changes nothing that runs.
fn with_up(step: Step) -> Vec<Step> {
    match step {
        Step::Build { .. } => vec![step, UP],
        _ => vec![step],
    }
}

/// What may still be done about a drift, and when.
struct Budget<'a> {
    inputs: Inputs<'a>,
    row: Option<&'a Attempt>,
    /// Before when a source that changed may not be tried.
    not_before: Option<Time>,
}

impl Budget<'_> {
    fn spend(&self, steps: Vec<Step>) -> Repair {
        let attempts = self.inputs.desired.object.spec.reconcile.attempts;
        match self.row {
            Some(row) if row.attempts >= attempts => {
                stalled(BUDGET_SPENT, &format!("{} of {attempts} attempts did not mend it", row.attempts))
            }
            Some(row) => Repair::Steps(steps, row.next_at.filter(|at| *at <= longest(self.inputs))),
            None => Repair::Steps(steps, self.not_before),
        }
    }
}

/// No wait is longer than the longest backoff: what lies further ahead was written by a clock that was set back since.
fn longest(inputs: Inputs<'_>) -> Time {
    inputs.now + inputs.desired.object.spec.reconcile.backoff.max.delta()
}

fn stalled(reason: &str, message: &str) -> Repair {
    Repair::Stalled { reason: reason.into(), message: message.into() }
}

/// Until the verification's time limit, counted from the last step or from when undrift began to look.
pub(super) fn wait(inputs: Inputs<'_>, reason: &str, message: String) -> Repair {
    let until = deadline(inputs);
    if inputs.now < until {
        Repair::Wait { until, reason: reason.into(), message }
    } else {
        Repair::Stalled { reason: reason.into(), message }
    }
}

/// Until when a service may still become as declared by itself.
pub(super) fn deadline(inputs: Inputs<'_>) -> Time {
    waiting_since(inputs) + inputs.desired.object.spec.reconcile.verify.timeout.delta()
}

/// Since when undrift waits for services to become as declared: the last step, or when it began to look.
pub(super) fn waiting_since(inputs: Inputs<'_>) -> Time {
    // The last step of any service: another one's long build or restart is no fault of this one.
    let steps = inputs.history.incident.iter().flat_map(|incident| &incident.steps);
    let last = steps.map(|done| done.at).max();
    let since = last.max(inputs.history.watching_since).unwrap_or(inputs.now);
    // What a clock that was set back shows as lying ahead was as long ago: it would otherwise be waited for until the clock has
    // caught up, be it hours.
    since.min(inputs.now - (since - inputs.now))
}

/// Since when undrift looks in this series: the last step, or its beginning.
pub(super) fn looking_since(inputs: Inputs<'_>) -> Time {
    let steps = inputs.history.incident.iter().flat_map(|incident| &incident.steps);
    let last = steps.map(|done| done.at).max();
    last.max(inputs.history.looking_since.or(inputs.history.watching_since)).unwrap_or(inputs.now)
}

/// After a step a route may be absent for a while: a server that has just started answers 404 first. A rung is
/// judged only after the verification's time limit.
fn still_settling(
    inputs: Inputs<'_>,
    seen: &ServiceObservation,
    drift: &Drift,
    row: Option<&Attempt>,
) -> Option<Time> {
    if drift.layer < Layer::Route {
        return None;
    }
    let ours = row.is_some_and(|row| row.pending.is_some()) || stepped_since_watching(inputs, seen);
    let until = if ours { deadline(inputs) } else { young_until(inputs, seen)? };
    (inputs.now < until).then_some(until)
}

/// Someone else's start of a replica is owed the same time: a build over their deployment, because its first answers are
/// 404, would be the worse fault.
fn young_until(inputs: Inputs<'_>, seen: &ServiceObservation) -> Option<Time> {
    let starts = seen.containers.known().into_iter().flatten().filter_map(|c| c.started_at);
    // A start that lies ahead, by a clock that was set back, was long ago for all that is known.
    let youngest = starts.filter(|start| *start <= inputs.now).max()?;
    Some(youngest + inputs.desired.object.spec.reconcile.verify.timeout.delta())
}

fn stepped_since_watching(inputs: Inputs<'_>, seen: &ServiceObservation) -> bool {
    let last = inputs.history.incident.as_ref().and_then(|incident| incident.last_step_at(&seen.name));
    last.is_some_and(|last| inputs.history.watching_since.is_none_or(|since| last >= since))
}

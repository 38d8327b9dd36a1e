//! Which steps could fix a drift, in which order they are tried, and when none is.

use super::{
    Diagnosis, Inputs, UnknownLayer, attempts,
    checks::{may_be_known_soon, namespace, network, revision},
    escalation::{Escalation, UP, escalation, exhausted, source_has_moved_on, untried, with_up},
    kept_running, obstacles,
    order::StepOrder,
    rate, rollback,
    settling::{deadline, still_settling},
    start, undone,
};
use crate::api::{
    Attempt, ContainerObservation, ContainerState, Drift, DriftReason, Fact, Layer, NetworkObservation,
    Reason, ServiceObservation, StallReason, Step, Time, UnknownReason, is_torn,
};

/// The repair option of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairOption {
    /// The service.
    pub service: String,
    /// Its drift in words, for the reason of a step.
    pub why: String,
    /// The possible repair.
    pub repair: Repair,
    /// Whether its build must not share a command with other services: a failing build ends the others of the same command,
    /// again and again. A build that repaired its service is exempt.
    pub build_separately: bool,
    /// Why the first step waits for its time, in words, if that is a backoff.
    pub backs_off: Option<String>,
    /// Why the rate delays a possible repair, in words, if it does. A stopped service may be started meanwhile.
    pub rate_exceeded: Option<String>,
    /// When undrift starts a service again that something else ends each time, although its budget is spent.
    pub started_again_at: Option<Time>,
    /// Its position among the others.
    pub order: StepOrder,
}

/// See [`RepairOption`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    /// Nothing is to be done.
    Nothing,
    /// These steps, in this order, not before that time.
    Steps(Vec<Step>, Option<Time>),
    /// No step, but it may pass by itself until that time; the reason is the drift's own, or that too little is known.
    Wait {
        /// Until when it may pass.
        until: Time,
        /// The reason if it has not passed.
        reason: Reason,
        /// In words.
        message: String,
    },
    /// No step: a person must act, or has chosen so, or the source must change.
    Stalled {
        /// Why.
        reason: Reason,
        /// Why, in words.
        message: String,
    },
}

/// The repair option of a service with this diagnosis.
pub(super) fn option(inputs: Inputs<'_>, rows: &[Attempt], diagnosis: &Diagnosis) -> RepairOption {
    let service = diagnosis.service.clone();
    let suspect = other_suspect(inputs, diagnosis).map(|suspect| format!("; {suspect}")).unwrap_or_default();
    let why = match (&diagnosis.unknown, &diagnosis.drift) {
        (_, Some(drift)) => format!("{}{suspect}", drift.message),
        (Some(unknown), None) => unknown.message.clone(),
        (None, None) => String::new(),
    };
    let mut repair = repair(inputs, rows, diagnosis);
    let (mut rate_exceeded, mut started_again_at) = (None, None);
    if let Some(seen) = inputs.observed.service(&service) {
        repair = obstacles::held(inputs, seen, diagnosis, repair);
        repair = kept_running::at_least(inputs, rows, seen, diagnosis, repair);
        started_again_at = kept_running::started_again(inputs, rows, seen, diagnosis, &repair).map(|s| s.at);
        (repair, rate_exceeded) = rate::limited(inputs, seen, diagnosis, repair);
    }
    if let Repair::Stalled { message, .. } | Repair::Wait { message, .. } = &mut repair {
        message.push_str(&suspect);
    }
    let backs_off =
        diagnosis.drift.as_ref().and_then(|drift| backs_off(inputs, rows, drift, &service, &repair));
    let was_in_vain = |row: &&Attempt| row.layer == Layer::Artifact && row.attempts > 0 && !row.healed;
    let build_separately = rows.iter().filter(|row| row.service == service).any(|row| was_in_vain(&row));
    RepairOption {
        service,
        why,
        repair,
        build_separately,
        backs_off,
        rate_exceeded,
        started_again_at,
        order: StepOrder::default(),
    }
}

/// See [`rollback::other_suspect`].
fn other_suspect(inputs: Inputs<'_>, diagnosis: &Diagnosis) -> Option<String> {
    let seen = inputs.observed.service(&diagnosis.service)?;
    rollback::other_suspect(inputs, seen, diagnosis.drift.as_ref()?)
}

/// Which attempt a step waits for, or that one of another source was in vain: whoever waits is to know for what.
fn backs_off(
    inputs: Inputs<'_>,
    rows: &[Attempt],
    drift: &Drift,
    service: &str,
    repair: &Repair,
) -> Option<String> {
    // A start of a stopped container is no attempt at the drift.
    let Repair::Steps(steps, Some(at)) = repair else { return None };
    let is_attempt = steps[..] != [Step::Start] && *at > inputs.now;
    let seen = inputs.observed.service(service).filter(|_| is_attempt)?;
    let attempts = inputs.desired.object.spec.reconcile.attempts;
    Some(match attempts::row(inputs, rows, seen, drift) {
        Some(row) => format!("attempt {} of {attempts} is next: {}", row.attempts + 1, drift.message),
        None => format!("earlier repairs were in vain, so the next one waits: {}", drift.message),
    })
}

fn repair(inputs: Inputs<'_>, rows: &[Attempt], diagnosis: &Diagnosis) -> Repair {
    if let Some(UnknownLayer { layer, reason, message: why }) = &diagnosis.unknown {
        let message =
            format!("the {layer} layer is unknown ({why}), and nothing is repaired on what is not known");
        return wait(inputs, &diagnosis.service, unknown_in_a_word(*reason), message);
    }
    let Some(seen) = inputs.observed.service(&diagnosis.service) else {
        return Repair::Nothing;
    };
    let Some(drift) = &diagnosis.drift else { return as_declared(inputs, seen, diagnosis) };
    let case = RepairCase { inputs, rows, diagnosis, seen, drift };
    // In this order: what undrift may not touch at all, what is over, what may pass, what was lost, and only then new repairs.
    let left = case.left_alone().or_else(|| case.given_up_or_settling());
    left.or_else(|| case.restore_image())
        .or_else(|| case.brought_up())
        .or_else(|| case.undone())
        .unwrap_or_else(|| case.escalated())
}

/// One service's drift, with everything that its repair depends on.
#[derive(Clone, Copy)]
struct RepairCase<'a> {
    inputs: Inputs<'a>,
    rows: &'a [Attempt],
    diagnosis: &'a Diagnosis,
    seen: &'a ServiceObservation,
    drift: &'a Drift,
}

impl<'a> RepairCase<'a> {
    /// No step, not even a build: nothing could come of it, or undrift may not touch the service.
    fn left_alone(self) -> Option<Repair> {
        let Self { inputs, seen, drift, .. } = self;
        if seen.runs_undrift {
            let message = "undrift itself runs in a container of this service and never touches itself: a person must do it";
            return Some(stalled(StallReason::RunsUndrift, message));
        }
        if let Some(whose) = of_another_directory(inputs, seen) {
            return Some(whose);
        }
        if let Some(why) = namespace::blocking(inputs, seen).filter(|_| drift.layer <= Layer::Container) {
            return Some(wait(inputs, &seen.name, drift.reason, format!("{}; {why}", drift.message)));
        }
        let network = network::blocking(seen).filter(|_| !is_fixed_by_restart(drift))?;
        Some(stalled(DriftReason::NetworkDefinitionChanged, &blocked(seen, network)))
    }

    fn given_up_or_settling(self) -> Option<Repair> {
        let Self { inputs, rows, diagnosis, seen, drift } = self;
        if let Some(reason) = attempts::given_up(inputs, rows, seen) {
            return Some(given_up(reason, diagnosis));
        }
        let until = still_settling(inputs, seen, drift, self.row())?;
        Some(Repair::Wait { until, reason: drift.reason.into(), message: drift.message.clone() })
    }

    /// Restores the previous state if a repair made it worse.
    fn restore_image(self) -> Option<Repair> {
        let Self { inputs, diagnosis, seen, drift, .. } = self;
        if rollback::is_impossible(inputs, seen, drift) {
            return Some(without_rollback(inputs, seen, diagnosis));
        }
        if network::blocking(seen).is_some() {
            return None;
        }
        if rollback::is_half_done(inputs, &seen.name) {
            return Some(Budget { not_before: None, ..self.budget() }.spend(vec![Step::Rollback]));
        }
        // Lost images are restored at once, whatever the repairs have cost; it is tried once per incident.
        rollback::is_worse(inputs, seen, drift).then(|| Repair::Steps(vec![Step::Rollback], None))
    }

    /// A build that waits to be brought up comes first.
    fn brought_up(self) -> Option<Repair> {
        let is_torn = self.seen.artifact.built_from.as_deref().is_some_and(is_torn);
        let has_moved = || self.row().is_some_and(|row| start::is_of_another_revision(row, self.seen));
        let waits = (source_has_moved_on(self.drift, self.seen) || has_moved())
            && !is_torn
            && is_half_done(self.inputs, self.seen, self.diagnosis);
        waits.then(|| Budget { not_before: None, ..self.budget() }.spend(vec![UP]))
    }

    /// No step if something undoes each repair.
    fn undone(self) -> Option<Repair> {
        let message = undone::in_a_row(self.inputs, self.rows, self.seen, self.drift)?;
        Some(stalled(StallReason::RepairsExhausted, &self.with_remedy(message)))
    }

    /// The first untried step of the escalation.
    fn escalated(self) -> Repair {
        let Self { inputs, drift, seen, .. } = self;
        let reloads = inputs.desired.service(&seen.name).is_some_and(|spec| spec.reload.is_some());
        match escalation(drift, seen, reloads) {
            Escalation::None(message) => stalled(drift.reason, &message),
            Escalation::Wait => wait(inputs, &seen.name, drift.reason, drift.message.clone()),
            Escalation::UntilTried(steps) => {
                let Some(step) = untried(&steps, self.row()) else {
                    return stalled(StallReason::RepairsExhausted, &self.with_remedy(exhausted(drift)));
                };
                self.budget().spend(with_up(step))
            }
            Escalation::UntilSpent(steps) => match untried(&steps, self.row()).or(steps.last().copied()) {
                Some(step) => self.budget().spend(with_up(step)),
                None => Repair::Nothing,
            },
        }
    }

    fn with_remedy(self, message: String) -> String {
        match self.remedy() {
            Some(remedy) => format!("{message}. {remedy}"),
            None => message,
        }
    }

    /// What a person can do about a drift that no step has changed, if that is known.
    fn remedy(self) -> Option<String> {
        let spec = self.inputs.desired.service(&self.seen.name)?.revision.as_ref()?;
        revision::remedy(spec, self.seen, self.drift)
    }

    fn row(self) -> Option<&'a Attempt> {
        attempts::row(self.inputs, self.rows, self.seen, self.drift)
    }

    fn budget(self) -> Budget<'a> {
        let Self { inputs, rows, seen, drift, .. } = self;
        Budget { inputs, row: self.row(), not_before: start::not_before(inputs, rows, seen, drift) }
    }
}

/// The name of a wait for something unknown, and of the stall if it stays unknown.
fn unknown_in_a_word(reason: UnknownReason) -> Reason {
    match reason {
        UnknownReason::NotKnown => StallReason::Unknown.into(),
        UnknownReason::RateLimited
        | UnknownReason::TooMany
        | UnknownReason::TooLarge
        | UnknownReason::NotARevision => reason.into(),
    }
}

/// The image that ran before is gone, so nothing can be restored. Its container may still exist, and is started; undrift tries
/// nothing else.
fn without_rollback(inputs: Inputs<'_>, seen: &ServiceObservation, diagnosis: &Diagnosis) -> Repair {
    if rollback::can_start_what_ran(inputs, seen) {
        return Repair::Steps(vec![Step::Start], None);
    }
    given_up(StallReason::RollbackImageGone.into(), diagnosis)
}

/// No step, and no build either, for something that another directory's project has or may have, whatever else is wrong with
/// it. A build would take the reference away from that project.
pub(super) fn of_another_directory(inputs: Inputs<'_>, seen: &ServiceObservation) -> Option<Repair> {
    if inputs.desired.object.spec.project.take_over {
        return None;
    }
    match &seen.other_directory {
        Fact::Known(None) => None,
        Fact::Known(Some(directory)) => Some(stalled(
            DriftReason::OtherDirectory,
            &format!(
                "the containers are those of the project in {directory}: a person must say whose they are"
            ),
        )),
        Fact::Unknown(why) => Some(wait(
            inputs,
            &seen.name,
            StallReason::Unknown,
            format!("whose container it is is not known: {why}"),
        )),
    }
}

/// Whether a restart alone may fix it.
const fn is_fixed_by_restart(drift: &Drift) -> bool {
    matches!(
        drift.reason,
        DriftReason::NotRunning
            | DriftReason::CrashLooping
            | DriftReason::Unhealthy
            | DriftReason::MountChanged
    )
}

fn blocked(seen: &ServiceObservation, network: &NetworkObservation) -> String {
    format!(
        "Compose would make the network {} anew, cannot while others are on it, and would leave {} down; {}",
        network.name,
        seen.name,
        network::remedy(seen, network)
    )
}

/// Whether a build waits to be brought up. It comes first even if the source has changed again meanwhile. Otherwise a source
/// that changes faster than it can be built would never run at all. A service that is down waits for it as well, but for a job,
/// which must not run again.
fn is_half_done(inputs: Inputs<'_>, seen: &ServiceObservation, diagnosis: &Diagnosis) -> bool {
    let is_built = |incident: &super::OpenIncident| incident.has_built_since_up(&diagnosis.service);
    let runs = |container: &ContainerObservation| container.state == ContainerState::Running;
    let is_down =
        !seen.ties.is_job && seen.containers.known().is_some_and(|containers| !containers.iter().any(runs));
    (diagnosis.awaits_up() || is_down) && inputs.history.incident.as_ref().is_some_and(is_built)
}

/// A service that is as declared because of a rollback was not repaired: the incident of that rollback does not end as if it
/// had been.
fn as_declared(inputs: Inputs<'_>, seen: &ServiceObservation, diagnosis: &Diagnosis) -> Repair {
    let rolled_back = inputs.history.incident.as_ref().is_some_and(|incident| {
        // An interrupted one may have had its effect all the same.
        let was_tried = incident.has_done(&seen.name, |step| step == Step::Rollback);
        let old = super::rollback_target(inputs.history, &seen.name);
        incident.is_rolled_back(&seen.name)
            || was_tried && seen.artifact.image.known().and_then(Option::as_deref) == old && old.is_some()
    });
    if rolled_back {
        return given_up(StallReason::RolledBack.into(), diagnosis);
    }
    // A file that vanished while it was read may be there at the next observation.
    let may_pass = seen.source.digest.known().is_none() || may_be_known_soon(seen);
    match &diagnosis.unverifiable {
        Some(unknown) if may_pass => {
            match wait(inputs, &seen.name, StallReason::Unknown, unknown.message.clone()) {
                waits @ Repair::Wait { .. } => waits,
                _ => Repair::Nothing,
            }
        }
        _ => Repair::Nothing,
    }
}

/// The remaining repairs of a drift, and when they may run.
struct Budget<'a> {
    inputs: Inputs<'a>,
    row: Option<&'a Attempt>,
    /// The earliest time to try a source that changed.
    not_before: Option<Time>,
}

impl Budget<'_> {
    fn spend(&self, steps: Vec<Step>) -> Repair {
        let attempts = self.inputs.desired.object.spec.reconcile.attempts;
        match self.row {
            Some(row) if row.attempts >= attempts => stalled(
                StallReason::BudgetSpent,
                &format!("{} of {attempts} attempts did not mend it", row.attempts),
            ),
            Some(row) => Repair::Steps(steps, row.next_at.filter(|at| *at <= longest(self.inputs))),
            None => Repair::Steps(steps, self.not_before),
        }
    }
}

/// No wait is longer than the longest backoff: a later time was written before the clock was set back.
fn longest(inputs: Inputs<'_>) -> Time {
    inputs.now + inputs.desired.object.spec.reconcile.backoff.max.delta()
}

fn given_up(reason: Reason, diagnosis: &Diagnosis) -> Repair {
    let message = rollback::words(&reason, diagnosis).to_owned();
    Repair::Stalled { reason, message }
}

fn stalled(reason: impl Into<Reason>, message: &str) -> Repair {
    Repair::Stalled { reason: reason.into(), message: message.into() }
}

/// Until the verification's time limit, counted from the last step or from undrift's first observation.
pub(super) fn wait(inputs: Inputs<'_>, service: &str, reason: impl Into<Reason>, message: String) -> Repair {
    let until = deadline(inputs, service);
    if inputs.now < until {
        Repair::Wait { until, reason: reason.into(), message }
    } else {
        Repair::Stalled { reason: reason.into(), message }
    }
}

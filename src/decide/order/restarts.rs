//! Which services restart with another (`restart: true`), and when that is due.

use chrono::TimeDelta;

use super::{OrderedService, RESTARTS_LAST, StepOrder};
use crate::{
    api::{ContainerObservation, ContainerState, Step, StepKind, StepOutcome, Time},
    decide::{Inputs, OpenIncident, Repair, RepairOption},
};

/// By how much the engine's clock may date the start of a container before the end of the step, by undrift's clock.
const CLOCKS: TimeDelta = TimeDelta::seconds(5);

/// The restarts of services that restart with another: those due because undrift replaced or restarted that one, and those
/// that the plan will make due.
pub(super) fn restarts(inputs: Inputs<'_>, repair_options: &[RepairOption]) -> Vec<RepairOption> {
    let mut found = Vec::new();
    for (name, seen) in OrderedService::all(inputs) {
        let is_repaired = repair_options
            .iter()
            .any(|p| p.service == name && !matches!(p.repair, Repair::Nothing | Repair::Wait { .. }));
        if is_repaired || seen.runs_undrift || started(seen).is_none() {
            continue;
        }
        for with in &seen.ties.restarts_with {
            let (at, after) = if is_due(inputs, name, seen, with) {
                (None, 0)
            } else if let Some(at) = replacing(repair_options, with) {
                (*at, RESTARTS_LAST)
            } else {
                continue;
            };
            let done =
                if after == 0 { "undrift has replaced or restarted" } else { "is to be brought up anew" };
            found.push(RepairOption {
                service: name.to_owned(),
                why: format!("it restarts with {with} (`restart: true`), which {done}"),
                repair: Repair::Steps(vec![Step::Restart], at),
                build_separately: false,
                backs_off: None,
                rate_exceeded: None,
                started_again_at: None,
                order: StepOrder { after, ..StepOrder::default() },
            });
            break;
        }
    }
    found
}

/// The part of the plan that replaces or restarts a service, if any: not before when.
fn replacing<'a>(repair_options: &'a [RepairOption], service: &str) -> Option<&'a Option<Time>> {
    repair_options.iter().filter(|option| option.service == service).find_map(|option| match &option.repair {
        Repair::Steps(steps, at)
            if steps.iter().any(|step| !matches!(step, Step::Build { .. } | Step::Start | Step::Reload)) =>
        {
            Some(at)
        }
        _ => None,
    })
}

/// The earliest start of its containers, if all of them run.
fn started(seen: OrderedService<'_>) -> Option<Time> {
    let containers = seen.containers.known()?;
    let start = |c: &ContainerObservation| c.started_at.filter(|_| c.state == ContainerState::Running);
    containers.iter().map(start).collect::<Option<Vec<_>>>()?.into_iter().min()
}

/// Whether undrift replaced or restarted `with` since this service was started. Not if it only started a stopped service,
/// and not if someone else did it: Compose would not restart it then either.
fn is_due(inputs: Inputs<'_>, name: &str, seen: OrderedService<'_>, with: &str) -> bool {
    let Some(incident) = &inputs.history.incident else { return false };
    let Some(other) = OrderedService::of(inputs, with) else { return false };
    let newest = other.containers.known().into_iter().flatten().filter_map(|c| c.started_at).max();
    let Some(newest) = newest.filter(|newest| started(seen).is_some_and(|started| *newest > started)) else {
        return false;
    };
    let replaced = is_replaced(incident, with, other);
    let mut steps = incident.steps.iter().filter(|done| done.services.iter().any(|s| s == with));
    let ours = steps.rfind(|done| match done.step.kind() {
        StepKind::Restart => true,
        StepKind::Up | StepKind::Rollback => replaced,
        StepKind::Build | StepKind::Reload => false,
    });
    let is_ours = ours.is_some_and(|done| newest <= done.at + CLOCKS);
    // An interrupted one is repeated; a failed one is not retried for ever.
    let settled = incident.steps.iter().filter(|done| done.services.iter().any(|s| s == name)).any(|done| {
        done.at >= newest && !matches!(done.outcome, StepOutcome::Interrupted | StepOutcome::Cancelled)
    });
    is_ours && !settled
}

/// Whether the service has other containers than when the incident opened, if it had any.
fn is_replaced(incident: &OpenIncident, service: &str, now: OrderedService<'_>) -> bool {
    let before = incident.before.service(service);
    before.is_some_and(|before| {
        let now = now.containers.known().into_iter().flatten();
        !before.containers.is_empty()
            && now.into_iter().any(|c| before.containers.iter().all(|then| then.id != c.id))
    })
}

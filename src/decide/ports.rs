//! Ports that go from one service of the object to another.
//!
//! Compose stops the container of before and starts the new one then. Where another service has the port yet, that one fails, and a
//! service that worked is down until the other has been brought up as well. So the two are brought up by one command, or the
//! other one first.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::{
    Inputs, Repair, RepairOption, obstacles,
    plan::{PlanPosition, place},
    settling,
};
use crate::api::{NoteReason, Reason, Step, Time};

/// The least time that is given to a service whose steps come first.
const WAITS_AT_LEAST: TimeDelta = TimeDelta::seconds(2);

/// The repair options, where no service that works is brought up before a port of its own is free.
pub(super) fn handed_over(inputs: Inputs<'_>, mut repair_options: Vec<RepairOption>) -> Vec<RepairOption> {
    // Whom one waits for may wait itself: of so many services no chain is longer. Those that change their ports with each other
    // would wait for ever, and wait for no more than what comes first by itself.
    for round in 0..repair_options.len() {
        let held = repair_options.iter().enumerate();
        let held = held.filter_map(|(at, p)| Some((at, held_back(inputs, &repair_options, p, round == 0)?)));
        let held: Vec<(usize, Repair)> = held.collect();
        if held.is_empty() {
            break;
        }
        for (at, repair) in held {
            repair_options[at].repair = repair;
        }
    }
    repair_options
}

/// What becomes of a repair that another service's must come before; `is_first` where none was held back yet.
fn held_back(
    inputs: Inputs<'_>,
    all: &[RepairOption],
    option: &RepairOption,
    is_first: bool,
) -> Option<Repair> {
    let seen = inputs.observed.service(&option.service)?;
    let up = place_of_up(option)?;
    if !obstacles::works(inputs, seen) {
        return None;
    }
    let others = all.iter().filter(|other| seen.ports_of.contains(&other.service));
    let mut others =
        others.filter(|other| is_first || !is_to_have_ports_of(inputs, &other.service, &seen.name));
    others.find_map(|other| after(inputs, option, up, other))
}

/// Whether a service is to have a port of this other one, or of one that is to have one of it.
fn is_to_have_ports_of(inputs: Inputs<'_>, service: &str, other: &str) -> bool {
    let (mut known, mut left) = (BTreeSet::new(), vec![service]);
    while let Some(name) = left.pop() {
        if name == other {
            return true;
        }
        if known.insert(name) {
            let seen = inputs.observed.services.iter().filter(|seen| seen.name == name);
            left.extend(seen.flat_map(|seen| &seen.ports_of).map(String::as_str));
        }
    }
    false
}

/// The same where this other one has its port.
fn after(
    inputs: Inputs<'_>,
    option: &RepairOption,
    up: PlanPosition,
    other: &RepairOption,
) -> Option<Repair> {
    let Repair::Steps(steps, at) = &option.repair else { return None };
    let reason = Reason::from(NoteReason::PortTaken);
    let (service, other_service) = (&option.service, &other.service);
    let message = format!(
        "no step is begun that would leave a working service without its port: {other_service} has one that {service} is to \
         publish, and gives it up only when it is brought up itself"
    );
    let is_up = matches!(steps.first(), Some(Step::Up { .. }));
    let wait = |until: Time| Repair::Wait { until, reason: reason.clone(), message: message.clone() };
    match &other.repair {
        Repair::Nothing | Repair::Stalled { .. } => Some(Repair::Stalled { reason, message }),
        // What comes before its own `up` needs no port.
        _ if !is_up => None,
        Repair::Steps(_, later) if *later > *at && later.is_some_and(|later| later > inputs.now) => {
            Some(Repair::Steps(steps.clone(), *later))
        }
        Repair::Steps(..) if place_of_up(other).is_some_and(|their| their <= up) => None,
        Repair::Steps(..) => Some(wait(settling::deadline(inputs, service).max(inputs.now + WAITS_AT_LEAST))),
        Repair::Wait { until, .. } => Some(wait(*until)),
    }
}

/// The place of the step that makes a service's containers anew, if one does.
fn place_of_up(option: &RepairOption) -> Option<PlanPosition> {
    let Repair::Steps(steps, _) = &option.repair else { return None };
    let index = steps.iter().position(|step| matches!(step, Step::Up { .. }))?;
    Some(place(option, index, steps[index]))
}

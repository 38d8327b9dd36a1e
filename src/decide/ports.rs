//! Ports that move from one service of the object to another.
//!
//! Compose stops the old container and then starts the new one. If another service still has the port, the start fails, and a
//! service that worked is down until the other has been brought up as well. So one command brings up both, or the other one comes
//! first.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::{
    Inputs, Repair, RepairOption, obstacles,
    plan::{PlanPosition, place},
    settling,
};
use crate::api::{NoteReason, Reason, Step, Time};

/// The least time that a service gets whose steps come first.
const WAITS_AT_LEAST: TimeDelta = TimeDelta::seconds(2);

/// The repair options, changed so that no working service is brought up before its new port is free.
pub(super) fn handed_over(inputs: Inputs<'_>, mut repair_options: Vec<RepairOption>) -> Vec<RepairOption> {
    // A service that others wait for may wait itself: no chain is longer than the number of services. Those that swap ports
    // with each other would wait for ever, and so wait only for steps that come first anyway.
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

/// How a repair changes that another service's must precede; `is_first` if none was held back yet.
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

/// Whether a service will get a port of this other one, or of one that will get one of that one.
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

/// The same if this other one has its port.
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
        // A step before its own `up` needs no port.
        _ if !is_up => None,
        Repair::Steps(_, later) if *later > *at && later.is_some_and(|later| later > inputs.now) => {
            Some(Repair::Steps(steps.clone(), *later))
        }
        Repair::Steps(..) if place_of_up(other).is_some_and(|their| their <= up) => None,
        Repair::Steps(..) => Some(wait(settling::deadline(inputs, service).max(inputs.now + WAITS_AT_LEAST))),
        Repair::Wait { until, .. } => Some(wait(*until)),
    }
}

/// The position of the step that recreates a service's containers, if any.
fn place_of_up(option: &RepairOption) -> Option<PlanPosition> {
    let Repair::Steps(steps, _) = &option.repair else { return None };
    let index = steps.iter().position(|step| matches!(step, Step::Up { .. }))?;
    Some(place(option, index, steps[index]))
}

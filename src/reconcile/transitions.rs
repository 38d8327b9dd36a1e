//! Before and after: the effect of a repair on each route.

use std::collections::BTreeMap;

use super::snapshot::Snapshot;
use crate::{
    api::{Desired, RouteAuthStatus, RouteTransition, ServiceStatus, Transition, speaks_of_its_path},
    decide::{OpenIncident, unlike_before},
};

/// By service and the route's index: without credentials, and with them.
pub(super) type Transitions = BTreeMap<(String, usize), (Transition, Option<Transition>)>;

/// Before and after, for each route of each service that a step of this incident actually changed.
pub(super) fn of_repair(snapshot: &Snapshot<'_>, incident: &OpenIncident) -> Transitions {
    let mut transitions = Transitions::new();
    let status = snapshot.status(&snapshot.still_verified(), &Transitions::new());
    for before in &incident.before.services {
        let seen = snapshot.observed.service(&before.name);
        let after = status.service(&before.name);
        let (Some(seen), Some(after)) = (seen, after) else { continue };
        if !incident.has_done(&before.name, |_| true) || !unlike_before(before, seen) {
            continue;
        }
        for (index, row) in routes_of(before, after) {
            transitions.insert((before.name.clone(), index), row);
        }
    }
    transitions
}

fn routes_of(
    before: &ServiceStatus,
    after: &ServiceStatus,
) -> Vec<(usize, (Transition, Option<Transition>))> {
    // By name: an entry of an `each` that came or went moves the others.
    let pairs = after.routes.iter().enumerate().filter_map(|(index, after)| {
        let before = before.routes.iter().find(|before| before.name == after.name)?;
        Some((index, (before, after)))
    });
    pairs
        .map(|(index, (before, after))| {
            let plain = Transition { before: baseline(before.observed), after: after.observed };
            let status = |auth: &Option<RouteAuthStatus>| auth.as_ref().and_then(|auth| auth.observed);
            let auth = after
                .auth
                .as_ref()
                .map(|_| Transition { before: baseline(status(&before.auth)), after: status(&after.auth) });
            (index, (plain, auth))
        })
        .collect()
}

/// A server error means that something in front or behind is broken, and 429 that the request limit is reached. Neither
/// shows whether the route exists, so neither is ever the baseline of a transition.
fn baseline(status: Option<u16>) -> Option<u16> {
    status.filter(|status| speaks_of_its_path(*status))
}

/// The transitions of a repair by the names of their routes, in the order of the spec.
pub(super) fn by_name(desired: &Desired, transitions: &Transitions) -> Vec<RouteTransition> {
    let routes = desired.services().iter().flat_map(|service| {
        service.routes.iter().enumerate().filter_map(|(index, route)| {
            let (transition, _) = *transitions.get(&(service.name.clone(), index))?;
            let route = route.display_name().into_owned();
            Some(RouteTransition { service: service.name.clone(), route, transition })
        })
    });
    routes.collect()
}

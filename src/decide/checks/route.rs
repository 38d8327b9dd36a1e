//! The route layer: does each replica answer as declared, and only there?

use super::{LayerVerdict, ServiceView, replicas, revision, worst};
use crate::{
    api::{DriftReason, Note, NoteReason, RouteAnswer, RouteSpec, RouteStatus},
    oracle::{Finding, finding},
};

pub(super) fn check(view: ServiceView<'_>) -> LayerVerdict {
    if replicas::none_is_declared(view) {
        return LayerVerdict::Undeclared;
    }
    let routes = view.spec.routes.iter().zip(&view.seen.routes);
    let routes = routes.map(|(spec, seen)| {
        if seen.answers.is_empty() {
            return LayerVerdict::not_known(format!(
                "route {}: no replica runs that could be asked",
                spec.display_name()
            ));
        }
        worst(seen.answers.iter().map(|answer| one(view, spec, answer)))
    });
    worst(routes.chain([revision::of_routes(view)]))
}

fn one(view: ServiceView<'_>, spec: &RouteSpec, answer: &RouteAnswer) -> LayerVerdict {
    match finding(spec, answer) {
        Finding::Exposed(remark) => LayerVerdict::AsDeclared(remark),
        Finding::Ambiguous(message) if is_after_a_repair(view, spec) => {
            LayerVerdict::Broken(DriftReason::Indistinguishable, message)
        }
        Finding::Ambiguous(_) => LayerVerdict::AsDeclared(None),
        Finding::Broken(reason, message) => LayerVerdict::Broken(reason, message),
        Finding::Unknown(reason, message) => LayerVerdict::Unknown(reason, message),
    }
}

/// The notes on the routes: routes that were left alone because any path of the same shape answers alike, and routes whose
/// credentials others may read in transit.
pub(super) fn notes(view: ServiceView<'_>) -> Vec<Note> {
    if replicas::none_is_declared(view) {
        return Vec::new();
    }
    let routes = view.spec.routes.iter().zip(&view.seen.routes);
    let untouched = routes.filter(|(spec, _)| !is_after_a_repair(view, spec));
    let ambiguous = untouched.filter_map(|(spec, seen)| {
        seen.answers.iter().find_map(|answer| match finding(spec, answer) {
            Finding::Ambiguous(message) => Some(Note { reason: NoteReason::ControlAmbiguous, message }),
            _ => None,
        })
    });
    let exposed = view.spec.routes.iter().filter(|route| route.exposes_credentials()).map(exposed);
    ambiguous.chain(exposed).collect()
}

fn exposed(route: &RouteSpec) -> Note {
    let message = format!(
        "route {}: its credentials cross the network in plain HTTP, for whoever listens there; use https, or declare \
         `auth.allowPlainHttp: true` where that network is trusted",
        route.display_name()
    );
    Note { reason: NoteReason::PlainHttp, message }
}

/// Whether the route was absent in the open incident, or a step was taken for its service: then its answer must verify a
/// repair, and an answer that another route may give verifies none.
fn is_after_a_repair(view: ServiceView<'_>, spec: &RouteSpec) -> bool {
    let Some(incident) = &view.inputs.history.incident else { return false };
    let before = incident.before.service(&view.spec.name);
    let is_same = |route: &&RouteStatus| route.name == spec.display_name();
    let before = before.and_then(|before| before.routes.iter().find(is_same));
    let was_absent =
        before.and_then(|route| route.observed).is_some_and(|status| spec.absent.contains(&status));
    was_absent || incident.has_done(&view.spec.name, |_| true)
}

//! The auth layer: do credentials open the route, and is it closed without them?

use super::{LayerVerdict, View, replicas, statuses, worst};
use crate::api::{Answer, Auth, Fact, Reason, RouteAnswer, RouteSpec};

pub(super) fn check(view: View<'_>) -> LayerVerdict {
    if replicas::none_is_declared(view) {
        return LayerVerdict::Undeclared;
    }
    let routes = view.spec.routes.iter().zip(&view.seen.routes);
    worst(routes.map(|(spec, seen)| {
        let Some(auth) = &spec.auth else { return LayerVerdict::Undeclared };
        if seen.answers.is_empty() {
            return LayerVerdict::not_known(format!(
                "route {}: no replica runs that could be asked",
                spec.display_name()
            ));
        }
        worst(seen.answers.iter().map(|answer| one(spec, auth, answer)))
    }))
}

fn one(spec: &RouteSpec, auth: &Auth, answer: &RouteAnswer) -> LayerVerdict {
    let name = spec.display_name();
    let at = answer.container.as_deref().map(|c| format!(" at {c}")).unwrap_or_default();
    let status = match &answer.auth {
        Some(Fact::Known(Answer::Status { code, .. })) => *code,
        Some(Fact::Known(Answer::None(why))) => {
            return LayerVerdict::not_known(format!(
                "route {name}{at} with credentials gave no answer: {why}"
            ));
        }
        Some(Fact::Unknown(why)) => {
            return LayerVerdict::not_known(format!("route {name}{at} with credentials: {why}"));
        }
        None => return LayerVerdict::not_known(format!("route {name}{at} was not asked with credentials")),
    };
    if !auth.expect.contains(&status) {
        let expected = statuses(&auth.expect);
        return LayerVerdict::Broken(
            Reason::Rejected,
            format!("route {name} answers {status}{at} with credentials; expected {expected}"),
        );
    }
    let without = answer.plain.known().and_then(Answer::status);
    // A status that is declared for both is no contradiction.
    if without == Some(status) && !spec.expect.contains(&status) {
        return LayerVerdict::Broken(
            Reason::NotEnforced,
            format!("route {name} answers {status}{at} without credentials as it does with them"),
        );
    }
    LayerVerdict::AsDeclared(None)
}

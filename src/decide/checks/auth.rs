//! The auth layer: do credentials open the route, and is it closed without them?

use super::{LayerVerdict, ServiceView, replicas, worst};
use crate::{
    api::{Answer, Auth, DriftReason, Fact, RouteAnswer, RouteSpec, TOO_MANY_REQUESTS, UnknownReason},
    oracle::{AWAY, statuses},
};

pub(super) fn check(view: ServiceView<'_>) -> LayerVerdict {
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
    let status = match status(answer) {
        Ok(status) => status,
        Err((reason, why)) => return LayerVerdict::Unknown(reason, format!("route {name}{at} {why}")),
    };
    if auth.expect.contains(&status) {
        return opened(spec, answer, status);
    }
    if status == TOO_MANY_REQUESTS {
        return LayerVerdict::Unknown(
            UnknownReason::RateLimited,
            format!("route {name}{at} with credentials: {LIMITED}"),
        );
    }
    if AWAY.contains(&status) {
        return LayerVerdict::not_known(format!(
            "route {name} answers {status}{at} with credentials: what answers behind the server in front is away"
        ));
    }
    let expected = statuses(&auth.expect);
    if spec.absent_with_credentials().contains(&status) {
        return LayerVerdict::Broken(
            DriftReason::Absent,
            format!(
                "route {name} answers {status}{at} with credentials: it is not there; expected {expected}"
            ),
        );
    }
    LayerVerdict::Broken(
        DriftReason::Rejected,
        format!("route {name} answers {status}{at} with credentials; expected {expected}"),
    )
}

const LIMITED: &str = "the server has had enough requests for now";

/// The status with credentials, or why there is none.
fn status(answer: &RouteAnswer) -> Result<u16, (UnknownReason, String)> {
    let not_known = |why: String| Err((UnknownReason::NotKnown, why));
    match &answer.auth {
        Some(Fact::Known(Answer::Status { code, .. })) => Ok(*code),
        Some(Fact::Known(Answer::None(why))) => not_known(format!("with credentials gave no answer: {why}")),
        Some(Fact::Known(Answer::Limited { .. })) => {
            Err((UnknownReason::RateLimited, format!("with credentials: {LIMITED}")))
        }
        Some(Fact::Known(Answer::Untrusted(why)) | Fact::Unknown(why)) => {
            not_known(format!("with credentials: {why}"))
        }
        None => not_known("was not asked with credentials".into()),
    }
}

/// The status with credentials must be the expected one; without them it must differ.
fn opened(spec: &RouteSpec, answer: &RouteAnswer, status: u16) -> LayerVerdict {
    let name = spec.display_name();
    let at = answer.container.as_deref().map(|c| format!(" at {c}")).unwrap_or_default();
    let without = answer.plain.known().and_then(Answer::status);
    // A status that is declared for both is no contradiction.
    if without == Some(status) && !spec.expect.contains(&status) {
        return LayerVerdict::Broken(
            DriftReason::NotEnforced,
            format!("route {name} answers {status}{at} without credentials as it does with them"),
        );
    }
    LayerVerdict::AsDeclared(None)
}

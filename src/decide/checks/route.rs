//! The route layer: does each replica answer as declared, and only there?

use super::{LayerVerdict, View, replicas, statuses, worst};
use crate::api::{Answer, Fact, Reason, RouteAnswer, RouteObservation, RouteSpec, speaks_of_its_path};

pub(super) fn check(view: View<'_>) -> LayerVerdict {
    if replicas::none_is_declared(view) {
        return LayerVerdict::Undeclared;
    }
    let routes = view.spec.routes.iter().zip(&view.seen.routes);
    worst(routes.map(|(spec, seen)| route(spec, seen)))
}

fn route(spec: &RouteSpec, seen: &RouteObservation) -> LayerVerdict {
    if seen.answers.is_empty() {
        return LayerVerdict::not_known(format!(
            "route {}: no replica runs that could be asked",
            spec.display_name()
        ));
    }
    worst(seen.answers.iter().map(|answer| one(spec, answer)))
}

fn one(spec: &RouteSpec, answer: &RouteAnswer) -> LayerVerdict {
    let name = spec.display_name();
    let at = answer.container.as_deref().map(|c| format!(" at {c}")).unwrap_or_default();
    let status = match &answer.plain {
        Fact::Unknown(why) => return LayerVerdict::not_known(format!("route {name}{at}: {why}")),
        Fact::Known(Answer::None(why)) => {
            return LayerVerdict::Broken(
                Reason::Unreachable,
                format!("route {name} gives no answer{at}: {why}"),
            );
        }
        Fact::Known(Answer::Status { code, .. }) => *code,
    };
    let expected = statuses(&spec.expect);
    if spec.expect.contains(&status) || open_door(spec, answer, status) {
        return exposed(spec, answer, status, &at);
    }
    if spec.absent.contains(&status) {
        return if hidden(spec, answer) {
            unexpected(format!(
                "route {name} answers {status}{at} without credentials and is there with them; expected {expected}"
            ))
        } else {
            LayerVerdict::Broken(
                Reason::Absent,
                format!("route {name} answers {status}{at}: it is not there; expected {expected}"),
            )
        };
    }
    unexpected(format!("route {name} answers {status}{at}; expected {expected}"))
}

/// The route answered as it should; the control request must not have.
fn exposed(spec: &RouteSpec, answer: &RouteAnswer, status: u16, at: &str) -> LayerVerdict {
    let name = spec.display_name();
    let control = match &answer.control {
        None => return LayerVerdict::AsDeclared(None),
        Some(Fact::Unknown(why)) => {
            return LayerVerdict::not_known(format!("control request next to route {name}{at}: {why}"));
        }
        Some(Fact::Known(Answer::None(why))) => {
            return LayerVerdict::not_known(format!(
                "control request next to route {name}{at} got no answer: {why}"
            ));
        }
        Some(Fact::Known(Answer::Status { code, .. })) => *code,
    };
    let told_apart = control != status && !spec.expect.contains(&control);
    if told_apart && speaks_of_its_path(control) {
        return LayerVerdict::AsDeclared(None);
    }
    match settled_with_credentials(spec, answer) {
        Some(true) => {
            LayerVerdict::AsDeclared(Some("told apart from other paths with credentials only".into()))
        }
        Some(false) => LayerVerdict::Broken(
            Reason::Absent,
            format!(
                "route {name}{at} is not there: it answers {status} like every path, and its absence with credentials"
            ),
        ),
        None if told_apart => LayerVerdict::not_known(format!(
            "control request next to route {name}{at} is answered {control}, which says nothing of its path"
        )),
        None => LayerVerdict::Broken(
            Reason::Indistinguishable,
            format!(
                "route {name} answers {status}{at}, and so does a path that cannot exist: that proves nothing"
            ),
        ),
    }
}

/// With credentials: `Some(true)` the route is there, `Some(false)` it is not, `None` they do not settle it.
fn settled_with_credentials(spec: &RouteSpec, answer: &RouteAnswer) -> Option<bool> {
    let expect = &spec.auth.as_ref()?.expect;
    let route = answer.auth.as_ref()?.known()?.status()?;
    if spec.absent.contains(&route) {
        return Some(false);
    }
    let control = answer.auth_control.as_ref()?.known()?.status()?;
    (expect.contains(&route) && spec.absent.contains(&control)).then_some(true)
}

/// The route answers without credentials what it should only answer with them: it is exposed, and the auth
/// layer has something to say about it.
fn open_door(spec: &RouteSpec, answer: &RouteAnswer, status: u16) -> bool {
    let with_credentials = answer.auth.as_ref().and_then(Fact::known).and_then(Answer::status);
    spec.auth.as_ref().is_some_and(|auth| auth.expect.contains(&status)) && with_credentials == Some(status)
}

/// A server that hides what a stranger may not see: absent without credentials, there with them.
fn hidden(spec: &RouteSpec, answer: &RouteAnswer) -> bool {
    settled_with_credentials(spec, answer) == Some(true)
}

const fn unexpected(message: String) -> LayerVerdict {
    LayerVerdict::Broken(Reason::UnexpectedStatus, message)
}

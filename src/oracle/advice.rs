//! Describes the fault of an answer, and what to declare instead.

use super::evidence::{Evidence, code, statuses};
use crate::api::{Answer, Fact, speaks_of_its_path};

/// The route answers as every path does, and no request makes a difference.
pub(super) fn indistinguishable(seen: Evidence<'_>, status: u16) -> String {
    let what = format!("{}, and so does a path that cannot exist: that proves nothing", seen.answers(status));
    let with = code(seen.answer.auth.as_ref());
    let help = match (&seen.spec.auth, with) {
        (None, _) => {
            "declare `auth`: with credentials the two may answer otherwise; or a `control` that does"
                .to_owned()
        }
        (Some(_), Some(with)) if seen.earns_what_is_declared() => {
            format!("with credentials both answer {with}: declare a `control` that answers otherwise")
        }
        (Some(auth), Some(with)) => {
            let expected = statuses(&auth.expect);
            format!(
                "with credentials it answers {with}, where {expected} is expected: correct the credentials, or, if {with} says \
                 that it is not there, declare it in `auth.absent`"
            )
        }
        (Some(_), None) => "with credentials it could not be asked".to_owned(),
    };
    format!("{what}; {help}")
}

/// Another path of the same shape answers as the route does.
pub(super) fn ambiguous(seen: Evidence<'_>, status: u16) -> String {
    format!(
        "{}, and so does a path of the same form next to it: a route with a parameter may be what answers; \
         declare as `control` such a path that must not exist, and `auth`, with which the two may answer otherwise",
        seen.answers(status)
    )
}

/// The route exists, and hides from unauthorized clients.
pub(super) fn hidden(seen: Evidence<'_>, status: u16) -> String {
    let how = match &seen.answer.other_method {
        Some(other) if seen.is_named_to_another_method() => format!("by its answer to {}", other.method),
        _ => "with them".to_owned(),
    };
    format!(
        "{} without credentials and is there {how}; expected {}. Of a route that hides so declare \
         `expect: {status}`, in `absent` another status, and `auth`",
        seen.answers(status),
        seen.expected()
    )
}

/// Neither as declared, nor evidence that the route is absent.
pub(super) fn unexpected(seen: Evidence<'_>, status: u16) -> String {
    let what = format!("{}; expected {}", seen.answers(status), seen.expected());
    if let Some(location) = other_slash(seen) {
        return format!("{what}. It leads to {location}: the route is there, so declare that path");
    }
    let control = code(seen.answer.control.as_ref());
    if control == Some(status) && speaks_of_its_path(status) {
        let absent: Vec<String> = seen.spec.absent.iter().chain([&status]).map(ToString::to_string).collect();
        return format!(
            "{what}. So does a path that cannot exist: if this server answers so for a missing route, declare \
             `absent: [{}]`",
            absent.join(", ")
        );
    }
    what
}

/// The target of the redirect, if that is the same path with a slash added at its end, or removed.
fn other_slash(seen: Evidence<'_>) -> Option<&str> {
    let Fact::Known(Answer::Status { location: Some(location), .. }) = &seen.answer.plain else {
        return None;
    };
    let path = |text: &str| -> String {
        let after_host =
            text.split_once("://").map_or(text, |(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]));
        after_host.split(['?', '#']).next().unwrap_or_default().to_owned()
    };
    let (asked, led) = (path(&seen.answer.url), path(location));
    (asked != led && asked.trim_end_matches('/') == led.trim_end_matches('/')).then_some(location)
}

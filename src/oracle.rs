//! Whether a route exists: combines its answers with those of neighbouring paths that must not exist.
//!
//! The caller that probes the server learns here what else to probe ([`missing`]), and the caller that judges learns what
//! the answers mean ([`finding`]), so that both follow one rule. The answers of real servers are in
//! `docs/what-servers-answer.md`.

mod advice;
mod evidence;
#[cfg(test)]
mod tests;

pub(crate) use evidence::{AWAY, statuses};
use evidence::{ByCredentials, Evidence};

use crate::api::{
    Answer, Control, DriftReason, Fact, RouteAnswer, RouteSpec, TOO_MANY_REQUESTS, UnknownReason,
    speaks_of_its_path,
};

/// The conclusion from the answers at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It answers as declared, and other paths answer differently. The remark is for a person.
    Exposed(Option<String>),
    /// The same, but a path of the same shape answers as it does: the answer may come from a route with a parameter.
    Ambiguous(String),
    /// It does not answer as declared, or its answer shows nothing.
    Broken(DriftReason, String),
    /// Nothing can be concluded.
    Unknown(UnknownReason, String),
}

/// A further probe if the answers so far settle nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowUp {
    /// The control request with credentials.
    ControlWithCredentials,
    /// A method that changes nothing, at the route and at its controls.
    OtherMethod,
}

/// The next useful probe, if any.
#[must_use]
pub fn missing(spec: &RouteSpec, answer: &RouteAnswer) -> Option<FollowUp> {
    if spec.control == Control::Off {
        return None;
    }
    let seen = Evidence { spec, answer };
    if answer.auth_control.is_none()
        && seen.earns_what_is_declared()
        && !seen.is_settled_without_credentials()
    {
        return Some(FollowUp::ControlWithCredentials);
    }
    let is_unsettled = match finding(spec, answer) {
        Finding::Ambiguous(_) | Finding::Broken(DriftReason::Indistinguishable, _) => true,
        // If the credentials show that it is absent, nothing else is needed.
        Finding::Broken(DriftReason::Absent, _) => seen.by_credentials() == ByCredentials::Nothing,
        _ => false,
    };
    (answer.other_method.is_none() && is_unsettled).then_some(FollowUp::OtherMethod)
}

/// The conclusion from the answers.
#[must_use]
pub fn finding(spec: &RouteSpec, answer: &RouteAnswer) -> Finding {
    let seen = Evidence { spec, answer };
    match (judge(seen), answer.head) {
        (Finding::Exposed(remark), Some(head)) => {
            let by_get = format!("{} answers HEAD with {head}, and GET as declared", seen.place());
            Finding::Exposed(Some(remark.map_or(by_get.clone(), |remark| format!("{by_get}; {remark}"))))
        }
        (finding, _) => finding,
    }
}

fn judge(seen: Evidence<'_>) -> Finding {
    let place = seen.place();
    let status = match &seen.answer.plain {
        Fact::Unknown(why) => return not_known(format!("{place}: {why}")),
        Fact::Known(Answer::None(why)) => {
            return Finding::Broken(DriftReason::Unreachable, format!("{place} gives no answer: {why}"));
        }
        Fact::Known(Answer::Untrusted(why)) => {
            return Finding::Broken(DriftReason::Untrusted, format!("{place} is not asked: {why}"));
        }
        Fact::Known(Answer::Limited { .. }) => return limited(&place),
        Fact::Known(Answer::Status { code, .. }) => *code,
    };
    if seen.spec.expect.contains(&status) || seen.is_open_door(status) {
        exposed(seen, status)
    } else if status == TOO_MANY_REQUESTS {
        limited(&place)
    } else if seen.spec.absent.contains(&status) {
        absent(seen, status)
    } else {
        unexpected(seen, status)
    }
}

/// The route answers as declared; the paths that must not exist must not.
fn exposed(seen: Evidence<'_>, status: u16) -> Finding {
    if let ByCredentials::Gone(with) = seen.by_credentials() {
        return gone(seen, status, with);
    }
    let control = match &seen.answer.control {
        None => return Finding::Exposed(None),
        Some(control) => match telling(control) {
            Ok(control) => control,
            Err(silent) => return silent.of_a_control(seen),
        },
    };
    let differs = seen.differs(status, control);
    if differs && speaks_of_its_path(control) {
        return beside_its_shape(seen, status);
    }
    match seen.by_credentials() {
        ByCredentials::There => {
            Finding::Exposed(Some("told apart from other paths with credentials only".into()))
        }
        ByCredentials::Limited => limited(&seen.place()),
        ByCredentials::Away(with) => not_known(format!(
            "{} like every path, and {with} with credentials: what answers behind the server in front is away",
            seen.answers(status)
        )),
        _ if differs && control == TOO_MANY_REQUESTS => limited(&seen.place()),
        _ if differs => not_known(format!(
            "control request next to {} is answered {control}, which proves nothing about its path",
            seen.place()
        )),
        _ => by_other_method(seen).unwrap_or_else(|| {
            Finding::Broken(DriftReason::Indistinguishable, advice::indistinguishable(seen, status))
        }),
    }
}

/// A name that nobody can have was answered differently. A name that fits wherever the route's own fits must be, too: the
/// route may be gone, and a route with a parameter beside it may answer in its place.
fn beside_its_shape(seen: Evidence<'_>, status: u16) -> Finding {
    match seen.answer.shape.as_ref().map(telling) {
        None => Finding::Exposed(None),
        Some(Err(silent)) => silent.of_a_control(seen),
        Some(Ok(shape)) if seen.differs(status, shape) => Finding::Exposed(None),
        Some(Ok(_)) => {
            by_other_method(seen).unwrap_or_else(|| Finding::Ambiguous(advice::ambiguous(seen, status)))
        }
    }
}

/// Last of all: the server lists the route's method at the route, and at no path that must not exist.
fn by_other_method(seen: Evidence<'_>) -> Option<Finding> {
    let other = seen.answer.other_method.as_ref()?;
    let remark = || format!("told apart from other paths by the answer to {} only", other.method);
    seen.is_named_to_another_method().then(|| Finding::Exposed(Some(remark())))
}

fn gone(seen: Evidence<'_>, without: u16, with: u16) -> Finding {
    let place = seen.place();
    Finding::Broken(
        DriftReason::Absent,
        format!("{place} is not there: it answers {without} without credentials and {with} with them"),
    )
}

/// The answer means that the route is absent.
fn absent(seen: Evidence<'_>, status: u16) -> Finding {
    if seen.by_credentials() == ByCredentials::There || seen.is_named_to_another_method() {
        return Finding::Broken(DriftReason::UnexpectedStatus, advice::hidden(seen, status));
    }
    Finding::Broken(
        DriftReason::Absent,
        format!("{}: it is not there; expected {}", seen.answers(status), seen.expected()),
    )
}

/// Neither as declared, nor evidence that the route is absent.
fn unexpected(seen: Evidence<'_>, status: u16) -> Finding {
    match seen.by_credentials() {
        ByCredentials::Gone(with) if speaks_of_its_path(status) => gone(seen, status, with),
        _ => Finding::Broken(DriftReason::UnexpectedStatus, advice::unexpected(seen, status)),
    }
}

/// Why a control request shows nothing.
enum Silent {
    NotKnown(String),
    Limited,
}

impl Silent {
    fn of_a_control(self, seen: Evidence<'_>) -> Finding {
        match self {
            Self::Limited => limited(&seen.place()),
            Self::NotKnown(why) => not_known(format!("control request next to {}: {why}", seen.place())),
        }
    }
}

fn telling(control: &Fact<Answer>) -> Result<u16, Silent> {
    match control {
        Fact::Known(Answer::Status { code, .. }) => Ok(*code),
        Fact::Known(Answer::Limited { .. }) => Err(Silent::Limited),
        Fact::Known(Answer::None(why)) => Err(Silent::NotKnown(format!("no answer, {why}"))),
        Fact::Known(Answer::Untrusted(why)) | Fact::Unknown(why) => Err(Silent::NotKnown(why.clone())),
    }
}

fn limited(place: &str) -> Finding {
    Finding::Unknown(
        UnknownReason::RateLimited,
        format!(
            "{place}: the server answers 429, so it is asked less often; that proves nothing about the route"
        ),
    )
}

const fn not_known(message: String) -> Finding {
    Finding::Unknown(UnknownReason::NotKnown, message)
}

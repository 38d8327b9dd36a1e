//! The answers at one place, and what each of them shows by itself.

use crate::api::{Answer, Fact, RouteAnswer, RouteSpec, TOO_MANY_REQUESTS, speaks_of_its_path};

/// The declaration, and the answers.
#[derive(Clone, Copy)]
pub(super) struct Evidence<'a> {
    pub(super) spec: &'a RouteSpec,
    pub(super) answer: &'a RouteAnswer,
}

/// The result of the answers with credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByCredentials {
    /// The route answers as declared, and another path does not.
    There,
    /// The answer is one of those that mean that it is absent.
    Gone(u16),
    /// The server in front answers by itself, and its upstream is away.
    Away(u16),
    /// The server limits requests.
    Limited,
    /// Nothing: no credentials are declared, none can be read, they are rejected, or they make no difference.
    Nothing,
}

/// A proxy's answers for an upstream that is away (RFC 9110).
pub(crate) const AWAY: [u16; 3] = [502, 503, 504];

impl Evidence<'_> {
    /// The route and where it was probed, as messages begin.
    pub(super) fn place(self) -> String {
        let at = self.answer.container.as_deref().map(|container| format!(" at {container}"));
        format!("route {}{}", self.spec.display_name(), at.unwrap_or_default())
    }

    /// The same with the answered status.
    pub(super) fn answers(self, status: u16) -> String {
        let at = self.answer.container.as_deref().map(|container| format!(" at {container}"));
        format!("route {} answers {status}{}", self.spec.display_name(), at.unwrap_or_default())
    }

    pub(super) fn expected(self) -> String {
        statuses(&self.spec.expect)
    }

    /// Whether another path's answer differs, and is not one that the route may give as well.
    pub(super) fn differs(self, route: u16, other: u16) -> bool {
        other != route && !self.spec.expect.contains(&other)
    }

    /// Whether the answers without credentials show the route as declared and apart from other paths.
    pub(super) fn is_settled_without_credentials(self) -> bool {
        let Some(status) = code(Some(&self.answer.plain)) else { return true };
        let apart = code(self.answer.control.as_ref())
            .is_some_and(|control| self.differs(status, control) && speaks_of_its_path(control));
        self.spec.expect.contains(&status) && apart
    }

    /// Whether the route answers to the credentials as declared.
    pub(super) fn earns_what_is_declared(self) -> bool {
        let with = code(self.answer.auth.as_ref());
        self.spec.auth.as_ref().zip(with).is_some_and(|(auth, status)| auth.expect.contains(&status))
    }

    /// Whether the route answers without credentials as it should only with them: it is exposed, and the auth layer reports
    /// a drift.
    pub(super) fn is_open_door(self, status: u16) -> bool {
        self.earns_what_is_declared() && code(self.answer.auth.as_ref()) == Some(status)
    }

    /// The result of the answers with credentials.
    pub(super) fn by_credentials(self) -> ByCredentials {
        let Some(auth) = &self.spec.auth else { return ByCredentials::Nothing };
        let facts = [self.answer.auth.as_ref(), self.answer.auth_control.as_ref()];
        let with = code(facts[0]);
        match with {
            Some(status) if self.spec.absent_with_credentials().contains(&status) => {
                return ByCredentials::Gone(status);
            }
            Some(status) if AWAY.contains(&status) && !auth.expect.contains(&status) => {
                return ByCredentials::Away(status);
            }
            _ => {}
        }
        let is_other = |control: u16| {
            Some(control) != with && !auth.expect.contains(&control) && speaks_of_its_path(control)
        };
        if self.earns_what_is_declared() && code(facts[1]).is_some_and(is_other) {
            ByCredentials::There
        } else if facts.into_iter().flatten().any(is_limited) {
            ByCredentials::Limited
        } else {
            ByCredentials::Nothing
        }
    }

    /// Whether the server lists the route's method in its answer to another one, at the route and at no path that must not
    /// exist.
    pub(super) fn is_named_to_another_method(self) -> bool {
        let Some(other) = &self.answer.other_method else { return false };
        let (route, controls) = (allowed(&other.route), other.controls.iter().map(allowed));
        let method = if self.answer.head.is_some() { "GET" } else { &self.spec.method };
        let names = |allowed: &str| allowed.split(',').any(|name| name.trim().eq_ignore_ascii_case(method));
        let mut controls = controls.peekable();
        controls.peek().is_some()
            && route.is_some_and(names)
            && controls.all(|control| control.is_some_and(|allowed| !names(allowed)))
    }
}

/// The status, if there is an answer.
pub(super) fn code(fact: Option<&Fact<Answer>>) -> Option<u16> {
    match fact?.known()? {
        Answer::Status { code, .. } => Some(*code),
        _ => None,
    }
}

fn is_limited(fact: &Fact<Answer>) -> bool {
    match fact.known() {
        Some(Answer::Limited { .. }) => true,
        Some(Answer::Status { code, .. }) => *code == TOO_MANY_REQUESTS,
        _ => false,
    }
}

/// The methods that an answer lists, empty if it lists none. `None` if it reveals nothing about its path.
fn allowed(fact: &Fact<Answer>) -> Option<&str> {
    match fact.known()? {
        Answer::Status { code, allow, .. } if speaks_of_its_path(*code) => {
            Some(allow.as_deref().unwrap_or_default())
        }
        _ => None,
    }
}

/// `401`, or `one of 401, 403`.
pub(crate) fn statuses(list: &[u16]) -> String {
    let words: Vec<String> = list.iter().map(u16::to_string).collect();
    if words.len() == 1 { words.concat() } else { format!("one of {}", words.join(", ")) }
}

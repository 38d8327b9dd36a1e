//! Which answers verify a route, and which only seem to.

use super::*;
use crate::api::{Answer, NoteReason};

/// The decision for `api`, whose route and control answer so.
fn answered(expect: &[u16], plain: u16, control: u16) -> Decision {
    let mut desired = desired();
    desired.object.spec.services[0].routes[0].expect = expect.to_vec();
    desired.object.spec.services[0].routes[0].auth = None;
    let mut seen = healthy();
    let answer = answer_mut(&mut seen.services[0]);
    (answer.plain, answer.control, answer.auth) = (status(plain), Some(status(control)), None);
    with_history(&desired, &seen, &history())
}

#[test]
fn a_401_without_a_challenge_is_a_401() {
    let mut seen = healthy();
    answer_mut(&mut seen.services[0]).plain = Fact::Known(Answer::of(401));
    assert!(decided(&seen).as_declared());
}

#[test]
fn a_403_exposes_the_route_only_where_it_is_declared() {
    assert!(answered(&[401, 403], 403, 404).as_declared());
    assert_eq!(drift(&answered(&[401], 403, 404)), Some((Layer::Route, DriftReason::UnexpectedStatus)));
}

#[test]
fn a_control_answered_429_or_5xx_leaves_the_route_unknown() {
    for control in [429, 500, 503] {
        let decision = answered(&[401], 401, control);
        assert!(!decision.as_declared(), "{control}");
        assert_eq!(drift(&decision), None, "{control} is no drift either");
        let UnknownLayer { layer, message: why, .. } = decision.services[0].unknown.clone().unwrap();
        assert!(layer == Layer::Route && why.contains(&control.to_string()), "{why}");
    }
    assert!(answered(&[503], 503, 404).as_declared(), "what the route itself must answer is declared");
    assert_eq!(drift(&answered(&[503], 503, 503)), Some((Layer::Route, DriftReason::Indistinguishable)));
}

#[test]
fn credentials_settle_what_a_control_that_fails_cannot() {
    let mut seen = healthy();
    let answer = answer_mut(&mut seen.services[0]);
    (answer.control, answer.auth_control) = (Some(status(503)), Some(status(404)));
    assert!(decided(&seen).as_declared());
    answer_mut(&mut seen.services[0]).auth_control = Some(status(503));
    assert!(!decided(&seen).as_declared());
}

#[test]
fn statuses_of_absence_are_declared_and_404_is_the_default() {
    let answered = |absent: &[u16], plain: u16| {
        let (mut desired, mut seen) = (desired(), healthy());
        desired.object.spec.services[0].routes[0].absent = absent.to_vec();
        answer_mut(&mut seen.services[0]).plain = status(plain);
        answer_mut(&mut seen.services[0]).auth = None;
        let decision = with_history(&desired, &seen, &history());
        (drift(&decision).map(|(_, reason)| reason), kinds(&decision.plan))
    };
    let (absent, unexpected) = (Some(DriftReason::Absent), Some(DriftReason::UnexpectedStatus));
    for (declared, plain) in [(&[410][..], 410), (&[404, 410], 404), (&[404, 410], 410)] {
        assert_eq!(answered(declared, plain), (absent, vec![StepKind::Restart]), "{plain} of {declared:?}");
    }
    assert_eq!(
        answered(&[410], 404),
        (unexpected, vec![]),
        "nothing is repaired on what does not say absent"
    );
    assert_eq!(answered(&[404], 410), (unexpected, vec![]));
}

#[test]
fn credentials_that_cross_the_network_are_remarked_on_whatever_they_are_answered_and_nothing_else_changes() {
    for (url, allow, with_credentials, is_remarked) in [
        ("http://shop.example/api/workflow", None, 200, true),
        ("http://shop.example/api/workflow", None, 403, true),
        ("http://shop.example/api/workflow", Some(true), 200, false),
        ("https://shop.example/api/workflow", None, 200, false),
        ("http://127.0.0.1/api/workflow", None, 200, false),
    ] {
        let (mut desired, mut seen) = (desired(), healthy());
        let route = &mut desired.object.spec.services[0].routes[0];
        (route.url, route.path, route.port) = (Some(url.to_owned()), None, None);
        route.auth.as_mut().unwrap().allow_plain_http = allow;
        answer_mut(&mut seen.services[0]).auth = Some(status(with_credentials));
        let decision = with_history(&desired, &seen, &history());
        let notes: Vec<NoteReason> = decision.services[0].notes.iter().map(|note| note.reason).collect();
        let expected = if is_remarked { vec![NoteReason::PlainHttp] } else { vec![] };
        assert_eq!(notes, expected, "{url} {allow:?} {with_credentials}");
        assert_eq!(decision.as_declared(), with_credentials == 200, "{url}");
    }
}

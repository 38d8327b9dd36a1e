//! Right, or indistinguishable with the reason, and never wrong: over the answers of real servers, and case by case.

use super::*;
use crate::{
    api::{Layer, OtherMethod, StepKind},
    decide::{Decision, History, Inputs, LayerVerdict, decide},
    testing::fixtures::{answer_mut, at, desired, healthy},
};

/// One measured server: its answers at a route, and at a path that it does not know.
struct Server {
    name: String,
    plain: [u16; 2],
    options: [Answer; 2],
    with_credentials: [u16; 2],
}

fn servers() -> Vec<Server> {
    let lines = include_str!("../../tests/routes/answers.tsv").lines();
    lines.filter(|line| !line.starts_with('#')).map(server).collect()
}

fn server(line: &str) -> Server {
    let cells: Vec<&str> = line.split('\t').collect();
    let status = |at: usize| cells[at].parse::<u16>().unwrap();
    let options = |at: usize| match cells[at].split_once(' ') {
        Some((code, allow)) => allowing(code.parse().unwrap(), allow),
        // A method without a difference is answered as any path is.
        None => Answer::of(cells[at].parse().unwrap_or(status(4))),
    };
    Server {
        name: cells[..3].join(" "),
        plain: [status(3), status(4)],
        options: [options(5), options(6)],
        with_credentials: [status(9), status(10)],
    }
}

fn allowing(code: u16, allow: &str) -> Answer {
    Answer::Status { code, challenge: false, allow: Some(allow.into()), location: None }
}

fn known(code: u16) -> Fact<Answer> {
    Fact::Known(Answer::of(code))
}

/// The route of this server, as a person would declare it.
fn declared(server: &Server, has_auth: bool) -> RouteSpec {
    let mut spec = desired().object.spec.services[0].routes[0].clone();
    spec.expect = vec![server.plain[0]];
    spec.absent = if server.plain[0] == 404 { vec![410] } else { vec![404] };
    spec.auth = spec.auth.filter(|_| has_auth);
    spec
}

/// The answers of the server with the route, or without it: first the standard probes, then the missing ones.
fn asked(server: &Server, spec: &RouteSpec, is_there: bool) -> RouteAnswer {
    let of = usize::from(!is_there);
    let mut answer = RouteAnswer {
        plain: known(server.plain[of]),
        control: Some(known(server.plain[1])),
        shape: Some(known(server.plain[1])),
        auth: spec.auth.as_ref().map(|_| known(server.with_credentials[of])),
        ..answer_mut(&mut healthy().services[0]).clone()
    };
    while let Some(missing) = missing(spec, &answer) {
        let [route, other] = [of, 1].map(|of| Fact::Known(server.options[of].clone()));
        match missing {
            FollowUp::ControlWithCredentials => answer.auth_control = Some(known(server.with_credentials[1])),
            FollowUp::OtherMethod => {
                let controls = vec![other.clone(), other];
                answer.other_method = Some(OtherMethod { method: "OPTIONS".into(), route, controls });
            }
        }
    }
    answer
}

/// The decision about a host whose only route answers so.
fn decided(spec: &RouteSpec, answer: &RouteAnswer, history: &History) -> Decision {
    let (mut desired, mut seen) = (desired(), healthy());
    desired.object.spec.services[0].routes[0] = spec.clone();
    *answer_mut(&mut seen.services[0]) = answer.clone();
    decide(Inputs { desired: &desired, observed: &seen, history, now: at(1), jitter_seed: 7 })
}

fn route_layer(decision: &Decision) -> LayerVerdict {
    decision.services[0].layer(Layer::Route).clone()
}

/// Whether a proxy answers for an upstream that is away: then nothing is known with credentials.
fn is_away(server: &Server) -> bool {
    AWAY.contains(&server.with_credentials[0])
}

#[test]
fn every_measured_server_is_judged_rightly_or_called_indistinguishable() {
    let servers = servers();
    assert_eq!(servers.len(), 226);
    let mut counts = std::collections::BTreeMap::<(bool, bool, &str), usize>::new();
    for server in &servers {
        for (has_auth, is_there) in [(false, true), (false, false), (true, true), (true, false)] {
            let spec = declared(server, has_auth);
            let answer = asked(server, &spec, is_there);
            let decision = decided(&spec, &answer, &History::default());
            let verdict = route_layer(&decision);
            let what = format!("{}, there: {is_there}, credentials: {has_auth}: {verdict:?}", server.name);
            let word = match &verdict {
                LayerVerdict::AsDeclared(_) if is_there => {
                    assert!(decision.as_declared(), "{what}");
                    "as declared"
                }
                LayerVerdict::Broken(DriftReason::Absent, _) if !is_there => "absent",
                LayerVerdict::Broken(DriftReason::UnexpectedStatus, why) if !is_there => {
                    assert!(why.contains("declare `absent: [404, 405]`"), "{what}");
                    "not as declared"
                }
                LayerVerdict::Broken(DriftReason::Indistinguishable, why) => {
                    assert!(why.contains("declare") || why.contains("credentials"), "{what}");
                    assert!(!has_auth || server.with_credentials[0] >= 500, "credentials settle it: {what}");
                    "indistinguishable"
                }
                LayerVerdict::Unknown(..) if has_auth && is_away(server) => "unknown",
                _ => panic!("wrong: {what}"),
            };
            let repairs = decision.plan.iter().any(|planned| planned.step.kind() != StepKind::Rollback);
            assert_eq!(repairs, word == "absent", "only what is gone is repaired: {what}");
            *counts.entry((has_auth, is_there, word)).or_default() += 1;
        }
    }
    insta::assert_debug_snapshot!(counts);
}

#[test]
fn of_a_route_declared_with_401_nothing_that_is_there_is_rebuilt_but_what_hides_altogether() {
    let rebuilt = servers().into_iter().filter(|server| {
        let spec = RouteSpec { expect: vec![401], absent: vec![404], ..declared(server, false) };
        let decision = decided(&spec, &asked(server, &spec, true), &History::default());
        !decision.plan.is_empty()
    });
    let names: Vec<String> = rebuilt.map(|server| server.name).collect();
    assert_eq!(names, ["rocket 0.5.2 guard-forward-404"], "nobody can see such a route without credentials");
    for server in servers() {
        let spec = RouteSpec { expect: vec![401], absent: vec![404], ..declared(&server, true) };
        let decision = decided(&spec, &asked(&server, &spec, true), &History::default());
        assert!(decision.plan.is_empty(), "with credentials everybody can: {}", server.name);
        let gone = decided(&spec, &asked(&server, &spec, false), &History::default());
        assert!(!gone.as_declared(), "{}", server.name);
    }
}

fn spec(json: &str) -> RouteSpec {
    serde_json::from_str(json).unwrap()
}

/// Answers without credentials: of the route, of a random name, of a name of the same shape.
fn answers(plain: u16, control: u16, shape: u16) -> RouteAnswer {
    RouteAnswer {
        plain: known(plain),
        control: Some(known(control)),
        shape: Some(known(shape)),
        auth: None,
        ..answer_mut(&mut healthy().services[0]).clone()
    }
}

fn with(answer: RouteAnswer, auth: u16, auth_control: Option<u16>) -> RouteAnswer {
    RouteAnswer { auth: Some(known(auth)), auth_control: auth_control.map(known), ..answer }
}

const PLAIN: &str = r#"{"path": "/api/workflow", "port": 3000, "expect": 401}"#;
const WITH_TOKEN: &str = r#"{"path": "/api/workflow", "port": 3000, "expect": 401,
    "auth": {"bearerFrom": {"env": "T"}, "expect": 200}}"#;

fn reason(finding: &Finding) -> Option<DriftReason> {
    match finding {
        Finding::Broken(reason, _) => Some(*reason),
        _ => None,
    }
}

#[test]
fn a_narrow_neighbour_is_remarked_on_and_after_a_repair_it_verifies_nothing() {
    let answer = answers(401, 404, 401);
    let spec = spec(PLAIN);
    let Finding::Ambiguous(message) = finding(&spec, &answer) else {
        panic!("{:?}", finding(&spec, &answer))
    };
    assert!(message.contains("`control`") && message.contains("`auth`"), "{message}");
    assert_eq!(missing(&spec, &answer), Some(FollowUp::OtherMethod));

    let untouched = decided(&spec, &answer, &History::default());
    assert!(untouched.as_declared());
    assert_eq!(untouched.services[0].notes[0].reason.as_str(), "ControlAmbiguous");

    let repaired = crate::decide::tests::after_a_repair(&crate::testing::fixtures::incident());
    let decision = decided(&spec, &answer, &repaired);
    assert!(matches!(route_layer(&decision), LayerVerdict::Broken(DriftReason::Indistinguishable, _)));
    assert!(decision.services[0].notes.is_empty() && decision.plan.is_empty());

    // Credentials that show it as absent settle it.
    let spec = super::tests::spec(WITH_TOKEN);
    assert_eq!(reason(&finding(&spec, &with(answer.clone(), 404, None))), Some(DriftReason::Absent));
    let there = with(answer, 200, None);
    assert!(matches!(finding(&spec, &there), Finding::Ambiguous(_)), "a neighbour may accept them as well");
    assert_eq!(finding(&spec, &with(answers(401, 404, 404), 200, None)), Finding::Exposed(None));
}

#[test]
fn a_method_that_changes_nothing_settles_what_nothing_else_does() {
    let (blanket, narrow) = (answers(401, 401, 401), answers(401, 404, 401));
    let to_options = |route: Answer, controls: [Answer; 2], answer: &RouteAnswer| RouteAnswer {
        other_method: Some(OtherMethod {
            method: "OPTIONS".into(),
            route: Fact::Known(route),
            controls: controls.map(Fact::Known).to_vec(),
        }),
        ..answer.clone()
    };
    let named = || allowing(405, "get, HEAD");
    let unnamed = || Answer::of(404);
    for answer in [&blanket, &narrow] {
        let settled = to_options(named(), [unnamed(), unnamed()], answer);
        assert!(matches!(finding(&spec(PLAIN), &settled), Finding::Exposed(Some(_))));
        assert_eq!(missing(&spec(PLAIN), &settled), None);
        for controls in [
            [named(), unnamed()],
            [unnamed(), named()],
            [unnamed(), Answer::of(500)],
            [unnamed(), Answer::None("reset".into())],
        ] {
            let open = to_options(named(), controls.clone(), answer);
            assert!(!matches!(finding(&spec(PLAIN), &open), Finding::Exposed(_)), "{controls:?}");
        }
        for route in [allowing(405, "POST"), Answer::of(405), Answer::of(200)] {
            let open = to_options(route.clone(), [unnamed(), unnamed()], answer);
            assert!(!matches!(finding(&spec(PLAIN), &open), Finding::Exposed(_)), "{route:?}");
        }
    }
    let hidden = to_options(named(), [unnamed(), unnamed()], &answers(404, 404, 404));
    assert_eq!(reason(&finding(&spec(PLAIN), &hidden)), Some(DriftReason::UnexpectedStatus));
}

#[test]
fn what_is_missing_is_asked_only_where_it_can_settle_something() {
    let control = Some(FollowUp::ControlWithCredentials);
    let other = Some(FollowUp::OtherMethod);
    let none = || answers(401, 404, 404);
    for (json, answer, expected, why) in [
        (PLAIN, none(), None, "told apart"),
        (PLAIN, answers(401, 401, 401), other, "the same answer, and no credentials"),
        (PLAIN, answers(404, 404, 404), other, "absent, or hidden"),
        (PLAIN, answers(403, 404, 404), None, "not as declared, whatever it is"),
        (PLAIN, answers(401, 503, 404), None, "the control says nothing of its path"),
        (PLAIN, answers(401, 404, 401), other, "the same shape, the same answer"),
        (WITH_TOKEN, with(none(), 200, None), None, "told apart, as declared"),
        (WITH_TOKEN, with(answers(401, 401, 401), 200, None), control, "the same answer"),
        (WITH_TOKEN, with(answers(401, 401, 401), 200, Some(404)), None, "settled"),
        (WITH_TOKEN, with(answers(401, 401, 401), 200, Some(200)), other, "not settled"),
        (WITH_TOKEN, with(answers(401, 401, 401), 401, None), other, "credentials that are refused"),
        (WITH_TOKEN, with(answers(401, 401, 401), 404, None), None, "gone"),
        (WITH_TOKEN, with(answers(401, 401, 401), 502, None), None, "away"),
        (
            WITH_TOKEN,
            with(answers(401, 503, 503), 200, None),
            control,
            "the control says nothing of its path",
        ),
        (WITH_TOKEN, with(answers(404, 404, 404), 200, None), control, "hidden, perhaps"),
        (WITH_TOKEN, with(answers(404, 404, 404), 404, None), None, "absent"),
    ] {
        assert_eq!(missing(&spec(json), &answer), expected, "{why}");
    }
    let off = RouteSpec { control: Control::Off, ..spec(PLAIN) };
    assert_eq!(missing(&off, &answers(401, 401, 401)), None);
}

#[test]
fn statuses_of_absence_with_credentials_are_declared_and_404_is_the_default() {
    let blanket = |auth| with(answers(401, 401, 401), auth, Some(410));
    let absent = |more: &str, auth| {
        let json = WITH_TOKEN.replace("\"expect\": 200", &format!("\"expect\": 200{more}"));
        reason(&finding(&spec(&json), &blanket(auth))) == Some(DriftReason::Absent)
    };
    assert!(absent("", 404) && !absent("", 410));
    assert!(absent(", \"absent\": [410]", 410) && !absent(", \"absent\": 410", 404));
    let of_route = spec(&WITH_TOKEN.replace("\"expect\": 401,", "\"expect\": 401, \"absent\": [410],"));
    assert_eq!(
        of_route.absent_with_credentials(),
        [404, 410],
        "what the route itself names counts as before"
    );
    let earned = spec(&WITH_TOKEN.replace("\"expect\": 200", "\"expect\": [200, 404]"));
    assert_eq!(earned.absent_with_credentials(), [0_u16; 0]);
}

#[test]
fn a_hidden_route_can_be_declared_and_verified() {
    let json = WITH_TOKEN.replace("\"expect\": 401,", "\"expect\": 404, \"absent\": [410],");
    assert!(matches!(
        finding(&spec(&json), &with(answers(404, 404, 404), 200, Some(404))),
        Finding::Exposed(Some(_))
    ));
    assert_eq!(
        reason(&finding(&spec(&json), &with(answers(404, 404, 404), 404, None))),
        Some(DriftReason::Absent)
    );
    let as_401 = finding(&spec(WITH_TOKEN), &with(answers(404, 404, 404), 200, Some(404)));
    let Finding::Broken(DriftReason::UnexpectedStatus, message) = as_401 else { panic!("{as_401:?}") };
    assert!(message.contains("`expect: 404`"), "{message}");
}

#[test]
fn the_message_of_an_unexpected_answer_names_what_to_declare() {
    let Finding::Broken(DriftReason::UnexpectedStatus, gone) = finding(&spec(PLAIN), &answers(405, 405, 405))
    else {
        panic!("405 is not what says absent")
    };
    assert!(gone.ends_with("declare `absent: [404, 405]`"), "{gone}");
    let mut moved = answers(301, 404, 404);
    let location = Some("/api/workflow/".to_owned());
    moved.plain = Fact::Known(Answer::Status { code: 301, challenge: false, allow: None, location });
    let Finding::Broken(_, words) = finding(&spec(PLAIN), &moved) else { panic!("not as declared") };
    assert!(words.contains("leads to /api/workflow/"), "{words}");
    let Finding::Broken(_, failed) = finding(&spec(PLAIN), &answers(503, 503, 503)) else {
        panic!("a failure")
    };
    assert!(!failed.contains("absent"), "a server that fails says nothing of a path: {failed}");
}

#[test]
fn an_answer_of_429_leaves_the_route_unknown_wherever_it_comes() {
    let limited = || Fact::Known(Answer::Limited { again_at: at(30) });
    let changes: [fn(&mut RouteAnswer, Fact<Answer>); 3] = [
        |answer, limited| answer.plain = limited,
        |answer, limited| answer.control = Some(limited),
        |answer, limited| answer.shape = Some(limited),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut answer = answers(401, 404, 404);
        change(&mut answer, limited());
        let found = finding(&spec(PLAIN), &answer);
        assert!(matches!(found, Finding::Unknown(UnknownReason::RateLimited, _)), "{at}: {found:?}");
        assert_eq!(missing(&spec(PLAIN), &answer), None);
    }
    let mut blanket = with(answers(401, 401, 401), 200, None);
    blanket.auth_control = Some(limited());
    assert!(matches!(finding(&spec(WITH_TOKEN), &blanket), Finding::Unknown(UnknownReason::RateLimited, _)));
    // A server whose limit is the declared one.
    let spec = spec(&PLAIN.replace("401", "429"));
    assert_eq!(finding(&spec, &answers(429, 404, 404)), Finding::Exposed(None));
}

#[test]
fn head_that_fell_short_is_remarked_on() {
    let answer = RouteAnswer { head: Some(405), ..answers(401, 404, 404) };
    let Finding::Exposed(Some(remark)) = finding(&spec(PLAIN), &answer) else { panic!("it is there") };
    assert!(remark.contains("HEAD with 405"), "{remark}");
}

//! The whole output of `check` and `plan`, for a person to read.

use serde_json::json;

use super::*;
use crate::{
    api::{Attempt, ContainerState, DriftReason, Fact, Object, ProjectObservation, Step, Suspension, Time},
    decide::{self, History, Inputs, StatusInputs, identities},
    testing::fixtures::{answer_mut, at, container_mut, desired, desired_with, healthy, incident, status},
};

/// The history of an object that undrift has never reconciled, as in `check` on a new host.
fn history() -> History {
    History { generation: 1, watching_since: Some(at(0)), ..History::default() }
}

fn looked(desired: &Desired, observed: &ProjectObservation, history: &History, now: Time) -> Assessment {
    let decision = decide::decide(Inputs { desired, observed, history, now, jitter_seed: 7 });
    let status = decide::status(StatusInputs {
        desired,
        generation: 1,
        observed,
        decision: &decision,
        suspended: history.suspended.as_ref(),
        previous: None,
        verified: &[],
        transitions: &std::collections::BTreeMap::new(),
        incident: None,
        reconciling: false,
        now,
    });
    Assessment { object: Object { declared: desired.object.clone(), status }, decision, without_state: None }
}

/// The ladder and the plan under it, as `plan` prints them.
fn shown(desired: &Desired, looked: &Assessment) -> String {
    let mut out = Vec::new();
    write(&mut out, Style::default(), desired, looked).unwrap();
    write_plan(&mut out, Style::default(), looked).unwrap();
    String::from_utf8(out).unwrap()
}

fn at_first_sight(observed: &ProjectObservation) -> String {
    shown(&desired(), &looked(&desired(), observed, &history(), at(1)))
}

#[test]
fn the_incident() {
    insta::assert_snapshot!(at_first_sight(&incident()));
}

#[test]
fn all_as_declared() {
    insta::assert_snapshot!(at_first_sight(&healthy()));
}

#[test]
fn credentials_that_cannot_be_read() {
    let mut seen = healthy();
    answer_mut(&mut seen.services[0]).auth = Some(Fact::unknown("the environment variable TOKEN is not set"));
    insta::assert_snapshot!(at_first_sight(&seen));
}

#[test]
fn a_gateway_that_answers_401_to_everything() {
    let mut seen = healthy();
    let answer = answer_mut(&mut seen.services[0]);
    answer.control = Some(status(401));
    answer.auth = None;
    let mut desired = desired();
    desired.object.spec.services[0].routes[0].auth = None;
    insta::assert_snapshot!(shown(&desired, &looked(&desired, &seen, &history(), at(1))));
}

#[test]
fn an_artifact_whose_budget_is_spent() {
    let seen = incident();
    let desired = desired_with(&json!({ "attempts": 3 }));
    let spent = Attempt {
        object: "backoffice".into(),
        service: "api".into(),
        layer: Layer::Artifact,
        reason: DriftReason::ModuleMissing,
        source_digest: Some("sha256:source-2 config:hash".into()),
        generation: 1,
        attempts: 3,
        tried: vec![Step::Build { no_cache: false }],
        pending: None,
        last_at: at(0),
        next_at: None,
        gave_up: None,
        healed: false,
        continued: false,
        cause: None,
        verified_repairs: vec![],
    };
    let history = History { attempts: vec![spent], ..history() };
    insta::assert_snapshot!(shown(&desired, &looked(&desired, &seen, &history, at(1))));
}

#[test]
fn a_plan_for_two_services() {
    let mut seen = incident();
    container_mut(&mut seen.services[1]).state = ContainerState::Exited;
    insta::assert_snapshot!("stopped_and_stale", at_first_sight(&seen));
    container_mut(&mut seen.services[1]).state = ContainerState::Running;
    seen.services[1].artifact.built_from = Some("sha256:source-1".into());
    insta::assert_snapshot!("both_stale", at_first_sight(&seen));
}

#[test]
fn a_source_that_misses_the_module() {
    let mut seen = incident();
    seen.services[0].source.modules[0] = Some(Fact::Known(crate::api::Presence::Missing));
    insta::assert_snapshot!(at_first_sight(&seen));
}

#[test]
fn a_repair_that_waits_for_its_backoff() {
    let mut seen = healthy();
    container_mut(&mut seen.services[0]).state = ContainerState::Exited;
    let failed = Attempt {
        object: "backoffice".into(),
        service: "api".into(),
        layer: Layer::Container,
        reason: DriftReason::NotRunning,
        source_digest: Some("sha256:source-2 config:hash".into()),
        generation: 1,
        attempts: 1,
        tried: vec![Step::Up { force_recreate: false }],
        pending: None,
        last_at: at(0),
        next_at: Some(at(10)),
        gave_up: None,
        healed: false,
        continued: false,
        cause: None,
        verified_repairs: vec![],
    };
    let verified = [("dashboard".to_owned(), identities(&healthy().services[1]))].into();
    let history = History { attempts: vec![failed], verified, ..history() };
    insta::assert_snapshot!(shown(&desired(), &looked(&desired(), &seen, &history, at(1))));
}

#[test]
fn an_object_that_is_only_observed() {
    let desired = desired_with(&json!({ "mode": "observe" }));
    insta::assert_snapshot!(shown(&desired, &looked(&desired, &incident(), &history(), at(1))));
}

#[test]
fn an_object_that_is_suspended() {
    let suspension = Suspension {
        reason: "moving the database".into(),
        actor: "ops@host undrift[1] suspend".into(),
        since: at(0),
        until: Some(at(7200)),
    };
    let history = History { suspended: Some(suspension), ..history() };
    insta::assert_snapshot!(shown(&desired(), &looked(&desired(), &incident(), &history, at(1))));
}

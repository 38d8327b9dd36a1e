//! An environment that alone makes the project differ; and how a container differs, in words.

use super::*;
use crate::api::{ConfigDifference, NoteReason, ResolvedFrom};

fn from(password: &str, model: &str) -> ResolvedFrom {
    let variables = [("SHOP_PASSWORD".to_owned(), Some(password.to_owned()))];
    ResolvedFrom::new(
        [("compose.yaml".to_owned(), "f".to_owned())].into(),
        variables.into(),
        model.to_owned(),
    )
}

/// `api` is built differently, and resolved from another environment than the verified one.
fn otherwise() -> ProjectObservation {
    let mut seen = healthy();
    container_mut(&mut seen.services[0]).config_changed = Fact::Known(true);
    seen.resolved_from = Some(from("other", "m2"));
    seen
}

fn verified(from: ResolvedFrom) -> History {
    History { verified_from: Some(from), ..history() }
}

/// The reasons of the notes by service.
fn notes(seen: &ProjectObservation, decision: &Decision) -> Vec<Vec<NoteReason>> {
    let status = status::status(StatusInputs {
        desired: &desired(),
        generation: 1,
        observed: seen,
        decision,
        suspended: None,
        previous: None,
        verified: &[],
        transitions: &BTreeMap::new(),
        incident: None,
        reconciling: true,
        now: at(1),
    });
    status.services.iter().map(|service| service.notes.iter().map(|note| note.reason).collect()).collect()
}

#[test]
fn another_environment_holds_steps_back_and_is_noted_on_the_drifted_service() {
    let (seen, history) = (otherwise(), verified(from("right", "m1")));
    let decision = with_history(&desired(), &seen, &history);
    assert_eq!(
        drift(&decision),
        Some((Layer::Container, DriftReason::ConfigChanged)),
        "the drift is told all the same"
    );
    assert!(decision.plan.is_empty() && !matches!(decision.next, Next::Execute(_)), "{decision:?}");
    let Some(HeldBack::EnvironmentDiffers(words)) = &decision.held_back else { panic!("{decision:?}") };
    assert!(words.contains("SHOP_PASSWORD") && words.contains("--accept-environment"), "{words}");
    assert_eq!(notes(&seen, &decision), [vec![NoteReason::EnvironmentDiffers], vec![]]);
}

#[test]
fn an_environment_that_counts_as_declared_and_one_that_is_the_verified_one_hold_nothing_back() {
    for history in [history(), verified(from("other", "m1")), verified(from("right", "m2"))] {
        let decision = with_history(&desired(), &otherwise(), &history);
        assert_eq!((kinds(&decision.plan), &decision.held_back), (vec![StepKind::Up], &None), "{history:?}");
    }
    let unknown = ProjectObservation { resolved_from: None, ..otherwise() };
    let decision = with_history(&desired(), &unknown, &verified(from("right", "m1")));
    assert_eq!(decision.held_back, None, "nothing can be said of what is not known");
}

#[test]
fn without_drift_another_environment_is_noted_on_all_services() {
    let seen = ProjectObservation { resolved_from: Some(from("other", "m2")), ..healthy() };
    let decision = with_history(&desired(), &seen, &verified(from("right", "m1")));
    assert!(decision.as_declared());
    assert_eq!(notes(&seen, &decision), vec![vec![NoteReason::EnvironmentDiffers]; 2]);
}

#[test]
fn observe_mode_is_reported_before_another_environment() {
    let observe = desired_with(&json!({ "mode": "observe" }));
    let decision = with_history(&observe, &otherwise(), &verified(from("right", "m1")));
    assert_eq!(decision.held_back, Some(HeldBack::ObserveOnly));
}

#[test]
fn the_keys_that_differ_are_named_or_the_reason_why_they_are_unknown() {
    let message = |differences: Fact<Vec<ConfigDifference>>| {
        let mut seen = otherwise();
        container_mut(&mut seen.services[0]).differences = differences;
        decided(&seen).services[0].drift.clone().unwrap().message
    };
    let key = |key: &str, variables: &[&str]| ConfigDifference {
        key: key.to_owned(),
        variables: variables.iter().map(|name| (*name).to_owned()).collect(),
    };
    let one = message(Fact::Known(vec![key("environment.URL", &["SHOP_PASSWORD"])]));
    assert!(
        one.ends_with("describe now: environment.URL (SHOP_PASSWORD of the environment) differs"),
        "{one}"
    );
    let many = message(Fact::Known((0..9).map(|n| key(&format!("labels.{n}"), &[])).collect()));
    assert!(
        many.ends_with(": labels.0, labels.1, labels.2, labels.3, labels.4, labels.5 and 3 more differ"),
        "{many}"
    );
    assert!(message(Fact::Known(vec![])).ends_with("which key differs cannot be seen of the container"));
    assert!(message(Fact::unknown("no answer")).ends_with("which key differs is not known (no answer)"));
}

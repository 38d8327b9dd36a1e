//! A record of an event reads back as that event, and its bytes are those of the first version of the trail.

use super::*;
use crate::{
    api::{
        AuditRecord, CommandEnd, DriftReason, Event, Layer, RecordReader, RecordedEvent, StallReason,
        Transition,
    },
    store::canonical,
};

fn at() -> Time {
    "2026-01-01T15:00:00.000250Z".parse().unwrap()
}

/// As the trail holds it.
fn recorded(record: NewRecord) -> AuditRecord {
    AuditRecord {
        seq: 7,
        time: stamp(at()),
        object: record.object,
        service: record.service,
        incident: record.incident,
        actor: record.actor.unwrap_or_else(|| "root@host undrift[1] run".into()),
        kind: record.kind.to_string(),
        step: record.step.map(|step| step.to_string()),
        outcome: record.outcome,
        evidence: record.evidence,
        prev_hash: String::new(),
        hash: String::new(),
    }
}

#[track_caller]
fn reads_back(record: NewRecord, event: &Event) {
    let record = record.with(json!({ "git": null, "attempts": [] }));
    assert_eq!(RecordedEvent::try_from(&recorded(record)).unwrap().event, *event);
}

#[test]
fn the_record_of_an_event_reads_back_as_that_event() {
    let services = vec!["api".to_owned()];
    let drift = Drift { layer: Layer::Route, reason: DriftReason::Absent, message: "404".into() };
    reads_back(
        NewRecord::drift_detected("api", &drift),
        &Event::DriftDetected { service: "api".into(), drift },
    );
    for step in [
        Step::Build { no_cache: false },
        Step::Build { no_cache: true },
        Step::Up { force_recreate: false },
        Step::Up { force_recreate: true },
        Step::Start,
        Step::Restart,
        Step::Rollback,
    ] {
        let event = Event::StepIntended { step, services: services.clone() };
        reads_back(NewRecord::step_intended(step, &services), &event);
    }
    let command = CommandEnd { exit_code: Some(17), duration_ms: 1_500, output: "no such file".into() };
    for (outcome, command) in [
        (StepOutcome::Failed, Some(command)),
        (StepOutcome::Interrupted, None),
        (StepOutcome::NotBegun, None),
    ] {
        let (intent, services) = (Some(3), services.clone());
        let ended = EndedStep { intent, kind: StepKind::Up, services, outcome, at: at(), command };
        reads_back(NewRecord::step_ended(&ended), &Event::StepEnded(ended));
    }
    for image in [None, Some("sha256:1".to_owned())] {
        let record = NewRecord::verified("api", image.as_ref());
        reads_back(record, &Event::Verified { service: "api".into(), image });
    }
    let to = BTreeMap::from([("api".to_owned(), "sha256:1".to_owned())]);
    reads_back(NewRecord::rolled_back(&services, &to), &Event::RolledBack { services, to });
    let transition = Transition { before: Some(404), after: Some(401) };
    let transitions =
        vec![RouteTransition { service: "api".into(), route: "/api/workflow".into(), transition }];
    let by = HealedBy { is_undrift: true, steps: 2 };
    reads_back(NewRecord::reconciled(&transitions, by), &Event::Reconciled { transitions });
    let reason = Reason::from(StallReason::BudgetSpent);
    let record = NewRecord::stalled(&reason, "5 of 5");
    reads_back(record, &Event::Stalled { reason, message: "5 of 5".into() });
}

/// The evidence is what it has been since the first version of the trail: its bytes are part of the hash.
#[track_caller]
fn is_recorded_as(record: NewRecord, evidence: &str, event: &Event) {
    assert_eq!(canonical(&record.evidence), evidence);
    let kind = record.kind;
    assert_eq!(RecordedEvent::try_from(&recorded(record)).unwrap().event, *event, "{kind}");
}

#[test]
fn a_suspension_and_its_end_are_recorded_as_ever() {
    let made = |until| Suspension { since: at(), until, reason: "a migration".into(), actor: "ops".into() };
    for (until, evidence) in [
        (None, r#"{"reason":"a migration","until":null}"#),
        (Some(at()), r#"{"reason":"a migration","until":"2026-01-01T15:00:00.000250Z"}"#),
    ] {
        let suspension = made(until);
        let record = NewRecord::suspended("shop", &suspension);
        assert_eq!((record.object.as_deref(), record.actor.as_deref()), (Some("shop"), Some("ops")));
        is_recorded_as(record, evidence, &Event::Suspended(suspension));
    }
    for (by, evidence) in [
        (
            Some("another"),
            r#"{"passed":false,"reason":"a migration","since":"2026-01-01T15:00:00.000250Z","suspendedBy":"ops"}"#,
        ),
        (
            None,
            r#"{"passed":true,"reason":"a migration","since":"2026-01-01T15:00:00.000250Z","suspendedBy":"ops"}"#,
        ),
    ] {
        let ended = made(None).ended(by);
        let record = NewRecord::resumed("shop", &ended);
        assert_eq!((record.object.as_deref(), record.actor.as_deref()), (Some("shop"), by));
        is_recorded_as(record, evidence, &Event::Resumed(ended));
    }
}

/// A person may have to find out by whom and until when; a step must not begin because of a field that cannot be read.
#[test]
fn a_suspension_holds_whatever_its_record_has_lost() {
    let record = NewRecord { evidence: json!({ "until": "noon" }), ..NewRecord::of(AuditKind::Suspended) };
    let suspension = Suspension { since: at(), until: None, reason: String::new(), actor: "ops".into() };
    let record = NewRecord { actor: Some("ops".into()), ..record };
    is_recorded_as(record, r#"{"until":"noon"}"#, &Event::Suspended(suspension));
}

#[test]
fn a_new_budget_is_recorded_as_ever() {
    let record = NewRecord::retried("shop", "ops", 1);
    assert_eq!((record.object.as_deref(), record.actor.as_deref()), (Some("shop"), Some("ops")));
    is_recorded_as(record, r#"{"forgotten":1}"#, &Event::Retried { forgotten: 1 });
}

#[test]
fn a_change_of_a_manifest_is_recorded_as_ever() {
    let spec_digest = "v1:sha256:a".to_owned();
    for (change, evidence) in [
        (
            ManifestChange::Spec { generation: 2, spec_digest },
            r#"{"generation":2,"specDigest":"v1:sha256:a"}"#,
        ),
        (ManifestChange::Removed { why: "it is gone".into() }, r#"{"removed":true,"why":"it is gone"}"#),
        (ManifestChange::Restored { manifest: "a.yaml".into() }, r#"{"manifest":"a.yaml","restored":true}"#),
    ] {
        let record = NewRecord::manifest_changed("shop", &change);
        assert_eq!((record.object.as_deref(), record.actor.as_deref()), (Some("shop"), None));
        is_recorded_as(record, evidence, &Event::ManifestChanged(change));
    }
}

#[test]
fn the_start_and_the_end_of_a_daemon_are_recorded_as_ever() {
    let objects = vec!["bank".to_owned(), "shop".to_owned()];
    let record = NewRecord::started("0.1.0", &objects);
    let started = Event::Started { version: "0.1.0".into(), objects };
    is_recorded_as(record, r#"{"objects":["bank","shop"],"version":"0.1.0"}"#, &started);
    for (cause, evidence) in [
        (StopCause::Signal("SIGTERM".into()), r#"{"signal":"SIGTERM"}"#),
        (StopCause::Fault("the disk hangs".into()), r#"{"reason":"the disk hangs"}"#),
    ] {
        let record = NewRecord::stopped(&cause);
        is_recorded_as(record, evidence, &Event::Stopped { cause: Some(cause) });
    }
    let lost = Event::TrailLost { message: "state.db is gone".into() };
    is_recorded_as(NewRecord::trail_lost("state.db is gone"), r#"{"message":"state.db is gone"}"#, &lost);
}

#[test]
fn a_delivery_to_an_anchor_and_its_failure_are_recorded_with_what_a_restart_needs() {
    let anchored = Anchored { anchor: "https://vault.example".into(), size: 51, root: "CsU=".into() };
    let record = NewRecord::anchored(&anchored);
    assert_eq!((record.object.as_deref(), record.incident.as_deref()), (None, None));
    let evidence = r#"{"anchor":"https://vault.example","root":"CsU=","size":51}"#;
    is_recorded_as(record, evidence, &Event::Anchored(anchored));
    let failed = Event::AnchorFailed { anchor: "journal".into(), size: 51, message: "it is gone".into() };
    let record = NewRecord::anchor_failed("journal", 51, "it is gone");
    is_recorded_as(record, r#"{"anchor":"journal","message":"it is gone","size":51}"#, &failed);
}

#[test]
fn a_rollback_and_the_end_of_an_incident_are_recorded_as_ever() {
    let (services, to) = (vec!["api".to_owned()], BTreeMap::from([("api".into(), "sha256:1".into())]));
    let record = NewRecord::rolled_back(&services, &to);
    let evidence = r#"{"services":["api"],"to":{"api":"sha256:1"}}"#;
    is_recorded_as(record, evidence, &Event::RolledBack { services, to });
    for (is_undrift, evidence) in [
        (true, r#"{"healedBy":"undrift","steps":2,"transitions":[]}"#),
        (false, r#"{"healedBy":"something other than undrift","steps":2,"transitions":[]}"#),
    ] {
        let by = HealedBy { is_undrift, steps: 2 };
        let record = NewRecord::reconciled(&[], by);
        assert_eq!(RecordReader::new(&recorded(record.clone())).healed_by(), Some(by));
        is_recorded_as(record, evidence, &Event::Reconciled { transitions: Vec::new() });
    }
}

//! A budget counts failures, not successes: what a start brings back is never given up, however often. A rate protects.

use chrono::{TimeDelta, Utc};
use undrift::{
    api::{AuditKind, NewRecord, RecentStep, Step, StepKind},
    store::{NewIntent, Store},
};

use crate::{
    daemon::Daemon,
    support::{MANIFEST, Project, docker, inspect, wait_for},
};

/// Brings the state to where so many steps of this kind were taken for `api` within the last minute.
fn with_steps_of_the_last_hour(project: &Project, kind: StepKind, count: usize) {
    let store = Store::open(&project.state_dir(), "test".into()).unwrap();
    let services = ["api".to_owned()];
    for _ in 0..count {
        let recent = RecentStep {
            project: project.name.clone(),
            service: "api".into(),
            object: project.name.clone(),
            generation: 1,
            kind,
            at: Utc::now() - TimeDelta::seconds(1),
            beyond: None,
        };
        let record =
            NewRecord { outcome: Some("Succeeded".into()), ..NewRecord::of(AuditKind::StepIntended) };
        let intent = store
            .intend_with(NewIntent {
                record: &record,
                step: Step::Restart,
                services: &services,
                begun: &[],
                recent: &[recent],
                before: None,
            })
            .unwrap();
        store.finish(intent, &record).unwrap();
    }
}

fn state(project: &Project) -> String {
    inspect(&project.containers("api")[0], "{{.Id}} {{.State.Status}}").unwrap_or_default()
}

#[test]
fn seven_kills_of_one_container_within_a_minute_are_all_healed() {
    let project = Project::healthy();
    project.manifest(&MANIFEST.replace("attempts: 3", "attempts: 5"));
    for kill in 1..=7 {
        docker(&["kill", &project.containers("api")[0]]);
        let apply = project.apply().expect(0);
        assert_eq!(apply.condition("Stalled"), "False NotStalled", "kill {kill}");
        assert_eq!(project.steps(), vec!["Up"; kill]);
    }
    project.assert_trail_is_whole();
    // What flaps is one incident, and the trail has every time.
    let list = project.undrift(&["incident", "list", "-o", "json"]).expect(0).json();
    let incidents = list["items"].as_array().unwrap();
    assert_eq!(incidents.len(), 1, "{list}");
    assert_eq!((&incidents[0]["occurrences"], &incidents[0]["outcome"]), (&7.into(), &"Reconciled".into()));
    let of_it = project.trail().into_iter().filter(|record| record["incident"] == incidents[0]["id"]);
    let kinds: Vec<String> = of_it.map(|record| record["kind"].as_str().unwrap().to_owned()).collect();
    for kind in ["DriftDetected", "StepIntended", "StepFinished", "Verified", "Reconciled"] {
        assert_eq!(kinds.iter().filter(|k| *k == kind).count(), 7, "{kind} in {kinds:?}");
    }
    let list = project.undrift(&["incident", "list"]).expect(0).stdout;
    assert!(list.contains("api container NotRunning (7 times)"), "{list}");
}

#[test]
fn service_that_flaps_is_reported_as_rate_exceeded_and_never_stalls() {
    let project = Project::healthy();
    project.manifest(&MANIFEST.replace("max: 1s", "max: 10m"));
    project.apply().expect(0);
    with_steps_of_the_last_hour(&project, StepKind::Up, 20);
    docker(&["kill", &project.containers("api")[0]]);
    let before = project.steps().len();
    let apply = project.apply().expect(1);
    assert_eq!(project.steps().len(), before, "no step beyond the rate, for now");
    for run in [apply, project.check().expect(1), project.undrift(&["get", "-o", "json"]).expect(0)] {
        assert_eq!(run.condition("Reconciling"), "False RateExceeded");
        assert_eq!(run.condition("Stalled"), "False NotStalled");
        assert_eq!(run.drift("api"), "container NotRunning");
        assert!(run.status()["nextAttemptTime"].is_string(), "{run:?}");
    }
    let words = project.with_manifest("apply", &[]).expect(1).stdout;
    assert!(words.contains("RateExceeded: 20 ups or restarts within an hour"), "{words}");
    let words = project.with_manifest("plan", &[]).expect(1).stdout;
    assert!(words.contains("start what is down of api") && words.contains("RateExceeded"), "{words}");
    let words = project.undrift(&["get"]).expect(0).stdout;
    assert!(words.contains("NotRunning (RateExceeded)"), "{words}");
    // A person has edited the manifest: that ends the wait.
    project.manifest(&MANIFEST.replace("attempts: 3", "attempts: 4").replace("max: 1s", "max: 10m"));
    project.apply().expect(0);
    docker(&["kill", &project.containers("api")[0]]);
    project.manifest(&MANIFEST.replace("attempts: 3", "attempts: 6").replace("max: 1s", "max: 10m"));
    project.apply().expect(1);
    // A person's word ends every wait.
    project.undrift(&["retry", &project.name]).expect(0);
    project.apply().expect(0);
}

#[test]
fn what_is_down_beyond_the_rate_is_started_as_it_ran_after_the_longest_backoff() {
    let project = Project::healthy();
    project.manifest(&MANIFEST.replace("max: 1s", "max: 3s"));
    project.apply().expect(0);
    with_steps_of_the_last_hour(&project, StepKind::Up, 20);
    let ran = state(&project);
    // An `up` would recreate it.
    let compose =
        "services:\n  api: { build: ./api, init: true, stop_grace_period: 1s, environment: { A: b } }\n";
    project.write("compose.yaml", compose);
    docker(&["kill", &project.containers("api")[0]]);
    let before = project.steps().len();
    let daemon = Daemon::start(&project);
    wait_for("the start", || state(&project) == ran);
    wait_for("its outcome", || {
        project.trail().iter().any(|r| r["evidence"]["noRecreate"] == true && r["kind"] == "StepIntended")
    });
    assert_eq!(project.steps()[before..], ["Up"]);
    // The configuration is another, and waits for its turn.
    wait_for("what waits to be said", || {
        let get = project.undrift(&["get", "-o", "json"]).expect(0);
        get.condition("Reconciling") == "False RateExceeded" && get.drift("api") == "container ConfigChanged"
    });
    assert!(daemon.end().success());
    assert_eq!(project.check().expect(1).drift("api"), "container ConfigChanged");
    assert_eq!(state(&project), ran);
}

#[test]
fn what_is_killed_before_each_verification_is_one_incident_and_comes_back_once_nobody_kills_it() {
    let project = Project::healthy();
    project.manifest(&MANIFEST.replace("max: 1s", "max: 4s").replace("stableFor: 1s", "stableFor: 2s"));
    project.apply().expect(0);
    let daemon = Daemon::start(&project);
    let get = || project.undrift(&["get", "-o", "json"]).expect(0);
    let count = |kind: &str| project.trail().iter().filter(|record| record["kind"] == kind).count();
    wait_for("the second time that it is given up", || {
        for id in project.containers("api") {
            // It may be down, or gone by now.
            std::process::Command::new("docker").args(["kill", &id]).output().unwrap();
        }
        count("Stalled") == 2
    });
    assert_eq!(get().condition("Stalled"), "True BudgetSpent");
    let incidents = || {
        let list = project.undrift(&["incident", "list", "-o", "json"]).expect(0).json();
        list["items"].as_array().unwrap().clone()
    };
    wait_for("the proof", || incidents()[0]["outcome"] == "Reconciled");
    assert_eq!(get().condition("Ready"), "True AsDeclared");
    assert!(state(&project).ends_with("running"));
    assert!(daemon.end().success());
    let starts = project.trail().iter().filter(|r| r["evidence"]["noRecreate"] == true).count();
    assert!(starts > 0);
    // Each start is the same incident once more, and the trail has every time.
    let incidents = incidents();
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    let occurrences = incidents[0]["occurrences"].as_u64().unwrap();
    assert!(occurrences >= 3, "two that were given up, and one that was proven: {occurrences}");
    assert_eq!(count("Stalled") + count("Reconciled"), usize::try_from(occurrences).unwrap());
    project.assert_trail_is_whole();
}

#[test]
fn seventh_build_within_an_hour_waits() {
    let project = Project::in_incident();
    project.check().expect(1);
    with_steps_of_the_last_hour(&project, StepKind::Build, 6);
    let (before, ran) = (project.steps().len(), state(&project));
    let apply = project.apply().expect(1);
    assert_eq!(apply.condition("Reconciling"), "False RateExceeded");
    assert_eq!((apply.plan(), project.steps().len()), (vec!["Build".into(), "Up".into()], before));
    // What is down meanwhile is started at once, from the image that it ran.
    docker(&["kill", &project.containers("api")[0]]);
    project.apply().expect(1);
    assert_eq!(project.steps()[before..], ["Up"]);
    assert_eq!(state(&project), ran);
}

/// Counts the builds that were begun.
fn builds(project: &Project) -> usize {
    project.steps().iter().filter(|step| *step == "Build").count()
}

/// A project whose build fails, with a budget that each new spec gives anew.
fn failing_build() -> Project {
    let project = Project::in_incident();
    project.append("api/Dockerfile", "RUN exit 3\n");
    project
}

fn with_stable_for(ms: usize) -> String {
    MANIFEST.replace("stableFor: 1s", &format!("stableFor: {ms}ms"))
}

#[test]
fn spec_that_changes_beside_a_build_that_fails_gets_no_builds_without_end() {
    let project = failing_build();
    let daemon = Daemon::start(&project);
    // Six within an hour, and one for a person who has changed the spec.
    for edit in 0..20 {
        let before = project.trail().len();
        project.manifest(&with_stable_for(1000 + edit));
        wait_for("a look at the new spec", || {
            let get = project.undrift(&["get", "-o", "json"]).expect(0);
            get.status()["observedGeneration"].as_u64() >= Some(edit as u64 + 1)
                && (project.trail().len() > before + 1 || builds(&project) >= 7)
        });
    }
    wait_for("the wait to be said", || {
        project.undrift(&["get", "-o", "json"]).expect(0).condition("Reconciling") == "False RateExceeded"
    });
    assert!(daemon.end().success());
    assert_eq!(builds(&project), 7);
    project.assert_trail_is_whole();
}

#[test]
fn two_specs_in_turn_share_one_rate() {
    let project = failing_build();
    for turn in 0..8 {
        project.manifest(&with_stable_for(1000 + turn % 2));
        project.apply().expect(1);
    }
    assert_eq!(builds(&project), 7);
    let apply = project.apply().expect(1);
    assert_eq!(apply.condition("Reconciling"), "False RateExceeded");
    assert_eq!(builds(&project), 7);
}

//! The incident that undrift exists for, from the first look to the proof.

use serde_json::Value;

use crate::support::Project;

const TWO_SERVICES: &str = "services:
  api: { build: ./api, init: true, stop_grace_period: 1s }
  dashboard: { build: ./dashboard, init: true, stop_grace_period: 1s }
";

/// Two services in the incident's state.
fn both() -> Project {
    let project = Project::new();
    project.add_service("dashboard");
    project.write("compose.yaml", TWO_SERVICES);
    let api = crate::support::MANIFEST;
    let begin = api.find("    - name: api").unwrap();
    let end = api.find("  reconcile:").unwrap();
    let dashboard =
        api[begin..end].replace("name: api", "name: dashboard").replace("source: api/", "source: dashboard/");
    project.manifest(&format!("{}{dashboard}{}", &api[..end], &api[end..]));
    project.compose(&["up", "-d", "--build"]);
    project.add_module("api", "workflow");
    project.add_module("dashboard", "workflow");
    project
}

#[test]
fn the_incident_is_named_repaired_and_verified() {
    let project = both();
    let old = project.containers("api");

    let check = project.check().expect(1);
    for service in ["api", "dashboard"] {
        assert_eq!(check.drift(service), "artifact ModuleMissing");
    }
    assert_eq!(check.status()["services"][0]["routes"][0]["observed"], 404);
    assert_eq!(project.containers("api"), old, "a check changes nothing");

    let plan = project.with_manifest("plan", &["-o", "json"]).expect(1);
    assert_eq!(plan.plan(), ["Build", "Up"]);
    assert_eq!(plan.status()["plan"][0]["services"], serde_json::json!(["api", "dashboard"]));

    let apply = project.apply().expect(0);
    let status = apply.status();
    assert_eq!(apply.condition("Ready"), "True AsDeclared");
    for service in status["services"].as_array().unwrap() {
        let route = &service["routes"][0];
        assert_eq!(route["transition"], serde_json::json!({ "before": 404, "after": 401 }));
        assert_eq!(route["auth"]["transition"], serde_json::json!({ "before": 404, "after": 200 }));
        assert_eq!(route["control"], 404);
        assert_eq!(service["modules"][0]["container"], "present");
    }
    assert_eq!(status["attempts"], 0, "a verified repair is no failure: {}", apply.stderr);
    assert_ne!(project.containers("api"), old);
    assert_eq!(project.steps_that_counted(), ["Build", "Up"], "both services in one build and one up");
    let steps = project.steps();
    project.assert_trail_is_whole();

    assert_eq!(project.check().expect(0).drift("api"), "");
    let healed = project.containers("api");
    project.apply().expect(0);
    assert_eq!(project.containers("api"), healed, "a second apply does nothing");
    assert_eq!(project.steps(), steps);
}

#[test]
fn the_trail_has_the_incident_in_order() {
    let project = Project::in_incident();
    let apply = project.apply().expect(0);
    let incident = apply.status()["incident"].as_str().unwrap().to_owned();
    let trail = project.trail();
    let of_incident = trail.iter().filter(|record| record["incident"] == incident.as_str());
    let kinds: Vec<&str> = of_incident.map(|record| record["kind"].as_str().unwrap()).collect();
    let mut expected = vec!["DriftDetected"];
    for _ in 0..2 + project.stale_builds() {
        expected.extend(["StepIntended", "StepFinished"]);
    }
    expected.extend(["Verified", "Reconciled"]);
    assert_eq!(kinds, expected);
    assert_eq!(project.steps_that_counted(), ["Build", "Up"]);
    let shown = project.undrift(&["incident", "show", &incident]).expect(0).stdout;
    assert!(shown.contains("404 → 401"), "{shown}");
    let described = project.undrift(&["describe", &project.name]).expect(0).stdout;
    assert!(described.contains("404 → 401"), "{described}");
    let rows = project.undrift(&["get", "-o", "json"]).expect(0);
    assert_eq!(rows.json()["items"][0]["status"]["incident"], incident.as_str());
    for text in [shown, described, serde_json::to_string(&trail).unwrap()] {
        assert!(!text.contains("secret"), "the password is in what is kept");
    }
}

#[test]
fn one_of_two_builds_fails_and_the_other_service_is_healed() {
    let project = both();
    let old = project.containers("dashboard");
    // It fails when the other one's build is done.
    project.write("dashboard/Dockerfile", "FROM undrift-example-base\nRUN sleep 3; false\n");
    let apply = project.apply().expect(1);
    assert_eq!(apply.drift("api"), "", "{}", apply.stderr);
    assert_eq!(apply.drift("dashboard"), "artifact ModuleMissing");
    assert_eq!(project.containers("dashboard"), old, "what worked is left alone");
    assert_eq!(apply.condition("Stalled"), "True BudgetSpent");
    let trail = project.trail();
    let of = |service: &str| {
        // An outcome follows its intent: one step is taken at a time.
        let is = |r: &Value, kind: &str| r["kind"] == kind && r["step"] == "Build";
        let intents = trail.iter().filter(|r| is(r, "StepIntended"));
        let both = intents.zip(trail.iter().filter(|r| is(r, "StepFinished")));
        let names = |r: &Value| r["evidence"]["services"].as_array().unwrap().contains(&service.into());
        both.filter(|(intent, _)| names(intent)).map(|(_, end)| end["outcome"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(of("dashboard"), ["Failed", "Failed", "Failed"]);
    assert_eq!(
        of("api").len(),
        1 + project.stale_builds(),
        "the command failed, and its image is there all the same"
    );
    assert_eq!(of("api")[0], "Failed");
    project.assert_trail_is_whole();
}

/// `head` has seen enough: what an incident holds is more than any buffer between the two.
#[test]
fn a_reader_that_goes_early_is_no_error() {
    let project = Project::in_incident();
    project.apply().expect(0);
    for args in [&["incident", "list", "-o", "json"][..], &["audit", "list", "-o", "json"]] {
        let mut command = project.command(args);
        let mut child = command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // Gone before a byte is read.
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!((ended.status.code(), stderr.as_str()), (Some(0), ""), "{args:?}");
    }
}

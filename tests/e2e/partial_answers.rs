//! Answers of the engine that are not whole: what is missing in one is not known, and never absent. A healthy service gets no
//! step for it.

use std::{fs, time::Duration};

use crate::{
    faulty_wire::{Fault, Plan, Wire},
    support::{MANIFEST, Project, Run, run},
};

/// What is answered wrongly, and how; and what is said of it.
type Case = (&'static str, Fault, &'static str);

/// The questions that a look asks.
const LIST: &str = "/containers/json";
const DETAILS: &str = "/containers/*/json";
const ARCHIVE: &str = "/containers/*/archive";
const IMAGE: &str = "/images/*/json";
const NETWORKS: &str = "/networks";
const VERSION: &str = "/version";

fn project() -> Project {
    let project = Project::healthy();
    project.manifest(&MANIFEST.replace("timeout: 60s", "timeout: 1s"));
    project.apply().expect(0);
    assert!(project.steps().is_empty());
    project
}

/// Runs a verb that has only this wire, and remembers nothing.
fn through(wire: &Wire, project: &Project, verb: &str) -> Run {
    for folder in [project.cache_home(), project.state_dir()] {
        let _ = fs::remove_dir_all(folder);
    }
    let mut command = project.command(&[verb, "-f", "undrift.yaml", "-o", "json"]);
    run(command.env("DOCKER_HOST", wire.docker_host()).env_remove("DOCKER_CONTEXT"))
}

#[track_caller]
fn assert_unknown(found: &Run, expected: &str, case: &str) {
    let all = format!("{}{}", found.stdout, found.stderr);
    assert!(matches!(found.code, Some(1 | 2)), "{case}: {all}");
    assert!(all.contains(expected), "{case}: no {expected:?} in {all}");
    assert_eq!(found.drift("api"), "", "{case}: {all}");
    assert!(found.condition("Ready").starts_with("Unknown "), "{case}: {all}");
    assert!(found.plan().is_empty(), "{case}: {all}");
}

#[track_caller]
fn assert_no_steps(cases: &[Case]) {
    let (project, wire) = (project(), Wire::new());
    let container = project.containers("api");
    for (about, fault, expected) in cases {
        wire.set(Some(Plan { fault: fault.clone(), about, often: 100, seed: 0 }));
        for verb in ["check", "plan", "apply"] {
            let before = wire.met();
            let found = through(&wire, &project, verb);
            let case = format!("{verb}, {about}: {fault:?}");
            assert!(wire.met() > before, "{case}: nobody asked");
            assert_unknown(&found, expected, &case);
            assert!(verb != "apply" || project.steps().is_empty(), "{case}");
        }
    }
    assert_eq!(project.containers("api"), container, "it is the same container");
    wire.set(None);
    assert_eq!(through(&wire, &project, "apply").expect(0).condition("Ready"), "True AsDeclared");
}

#[test]
fn an_answer_that_is_empty_or_of_another_type_is_unknown() {
    assert_no_steps(&[
        (LIST, Fault::Says("{}"), "GET /containers/json"),
        (LIST, Fault::Says("null"), "GET /containers/json"),
        (LIST, Fault::Says("[{}]"), "GET /containers/json has no Labels"),
        (DETAILS, Fault::Says("{}"), "/json has no State"),
        (DETAILS, Fault::Says("null"), "GET /containers/"),
        (DETAILS, Fault::Says("[]"), "GET /containers/"),
        (IMAGE, Fault::Says("{}"), "/json has no Id"),
        (IMAGE, Fault::Says("null"), "GET /images/"),
        (IMAGE, Fault::Says("[]"), "GET /images/"),
        (ARCHIVE, Fault::Says("{}"), "HEAD /containers/"),
        (NETWORKS, Fault::Says("{}"), "GET /networks"),
        (NETWORKS, Fault::Says("[{}]"), "GET /networks has no Labels"),
        (VERSION, Fault::Says("{}"), "GET /version has no Components"),
    ]);
}

#[test]
fn an_answer_without_one_field_is_unknown() {
    assert_no_steps(&[
        (LIST, Fault::Without("/Labels"), "has no Labels"),
        (LIST, Fault::Without("/Labels/com.docker.compose.service"), "com.docker.compose.service"),
        (LIST, Fault::Without("/State"), "has no State"),
        (LIST, Fault::Without("/Id"), "has no Id"),
        (DETAILS, Fault::Without("/State/Status"), "has no State.Status"),
        (DETAILS, Fault::Without("/Config/Labels"), "has no Config.Labels"),
        (DETAILS, Fault::Without("/Image"), "has no Image"),
        (DETAILS, Fault::Without("/NetworkSettings/Networks"), "has no NetworkSettings.Networks"),
        (DETAILS, Fault::Without("/Mounts"), "has no Mounts"),
        (IMAGE, Fault::Without("/Id"), "has no Id"),
        (VERSION, Fault::Without("/Components"), "has no Components"),
    ]);
}

/// A server between undrift and the engine that knows nothing of either.
#[test]
fn a_404_of_a_server_in_between_is_no_missing_image_or_container() {
    for about in [IMAGE, DETAILS] {
        assert_no_steps(&[(about, Fault::NotFound("<html>404 Not Found</html>"), "404 Not Found")]);
    }
}

/// What is seen does not depend on the engine's ID.
#[test]
fn an_engine_without_an_id_is_recorded_without_one() {
    let (project, wire) = (project(), Wire::new());
    let recorded = || project.undrift(&["get", "-o", "json"]).expect(0).status()["engine"].clone();
    wire.set(Some(Plan { fault: Fault::Says("{}"), about: "/info", often: 100, seed: 0 }));
    through(&wire, &project, "apply").expect(0);
    assert!(wire.met() > 0 && project.steps().is_empty() && recorded().is_null());
    wire.set(None);
    through(&wire, &project, "apply").expect(0);
    assert!(recorded().is_string());
}

/// A look is not given up for what it does not need: only what an answer is about is unknown.
#[test]
fn what_is_seen_otherwise_is_still_seen() {
    let (project, wire) = (project(), Wire::new());
    wire.set(Some(Plan { fault: Fault::Says("{}"), about: IMAGE, often: 100, seed: 0 }));
    let found = through(&wire, &project, "check").expect(1);
    let status = |kind: &str| {
        let conditions = found.status()["services"][0]["conditions"].clone();
        let condition = conditions.as_array().unwrap().iter().find(|c| c["type"] == kind).cloned().unwrap();
        condition["status"].as_str().unwrap().to_owned()
    };
    assert_eq!((status("SourcePresent"), status("ArtifactCurrent")), ("True".into(), "Unknown".into()));
    assert_eq!(status("RouteExposed"), "True");
    let late = Fault::Late(Duration::from_millis(300));
    wire.set(Some(Plan { fault: late, about: "", often: 100, seed: 0 }));
    assert_eq!(through(&wire, &project, "check").expect(0).condition("Ready"), "True AsDeclared");
}

//! Modules and routes from what is in the source now.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use crate::support::{MANIFEST, Project, Run};

const EACH: &str = r"      modules: [{ each: api/src/*, path: '/app/dist/modules/{name}', type: directory }]
      routes:
        - each: api/src/*
          path: /api/{name}
          port: 3000
          expect: [401]
";

/// [`MANIFEST`] with these modules and routes.
fn with(declared: &str) -> String {
    let (head, rest) = MANIFEST.split_once("      modules:").unwrap();
    let (_, tail) = rest.split_once("  reconcile:").unwrap();
    format!("{head}{declared}  reconcile:{tail}")
}

fn names(run: &Run, what: &str) -> Vec<String> {
    let rows = run.status()["services"][0][what].clone();
    rows.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
}

fn healthy() -> Project {
    let project = Project::new();
    for module in ["customers", "workflow"] {
        project.add_module("api", module);
    }
    project.compose(&["up", "-d", "--build"]);
    project.manifest(&with(EACH));
    project
}

#[test]
fn new_module_is_expected_as_soon_as_it_is_in_the_source_and_its_route_goes_from_404_to_401() {
    let project = healthy();
    for _ in 0..3 {
        let apply = project.apply().expect(0);
        assert_eq!(names(&apply, "modules"), ["customers", "workflow"]);
        assert_eq!(names(&apply, "routes"), ["/api/customers", "/api/workflow"]);
    }
    assert_eq!(project.steps(), [""; 0], "a healthy project is adopted without a step");

    // Between the others, so that it moves them.
    project.add_module("api", "invoices");
    let check = project.check().expect(1);
    assert_eq!(check.drift("api"), "artifact ModuleMissing");
    assert_eq!(names(&check, "modules"), ["customers", "invoices", "workflow"]);
    let apply = project.apply().expect(0);
    assert_eq!(project.steps_that_counted(), ["Build", "Up"]);
    let routes = apply.status()["services"][0]["routes"].clone();
    let transition = |index: usize| {
        let route = &routes[index];
        (
            route["name"].as_str().unwrap().to_owned(),
            route["transition"]["before"].as_u64(),
            route["transition"]["after"].as_u64(),
        )
    };
    assert_eq!(transition(1), ("/api/invoices".into(), Some(404), Some(401)));
    assert_eq!(transition(2), ("/api/workflow".into(), Some(401), Some(401)));
    // The declaration stays as it is written.
    let declared = project.undrift(&["describe", &project.name, "-o", "json"]).json();
    assert_eq!(declared["spec"]["services"][0]["modules"][0]["each"], "api/src/*");
}

#[test]
fn entry_that_goes_is_no_longer_expected_and_no_step_follows() {
    let project = healthy();
    project.apply().expect(0);
    fs::remove_dir_all(project.path("api/src/customers")).unwrap();
    for _ in 0..2 {
        let apply = project.apply().expect(0);
        assert_eq!(names(&apply, "modules"), ["workflow"]);
        assert_eq!(names(&apply, "routes"), ["/api/workflow"]);
    }
    assert_eq!(project.steps(), [""; 0]);
}

#[test]
fn entries_that_come_and_go_during_a_look_are_no_drift_of_the_source() {
    let project = healthy();
    project.apply().expect(0);
    let (here, away) = (project.path("api/src/customers"), project.path("api/.customers"));
    let is_over = AtomicBool::new(false);
    let drifts: Vec<String> = thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                fs::rename(&here, &away).unwrap();
                fs::rename(&away, &here).unwrap();
            }
        });
        let drifts = (0..8).map(|_| project.check().drift("api")).collect();
        is_over.store(true, Ordering::Relaxed);
        drifts
    });
    assert_eq!(drifts, [""; 8]);
    project.apply().expect(0);
    assert_eq!(project.steps(), [""; 0]);
}

#[test]
fn pattern_that_matches_nothing_is_a_drift_of_the_source_and_never_a_service_without_modules() {
    let project = healthy();
    for wrong in ["api/src/none-*", "api/nowhere/*"] {
        project.manifest(&with(&EACH.replace("each: api/src/*", &format!("each: {wrong}"))));
        let apply = project.apply().expect(1);
        assert_eq!(apply.drift("api"), "source ModuleMissing", "{wrong}");
        assert_eq!(apply.condition("Stalled"), "True ModuleMissing", "{wrong}");
    }
    assert_eq!(project.steps(), [""; 0]);
}

#[test]
fn folder_of_too_many_entries_is_unknown_and_nothing_is_repaired() {
    let project = healthy();
    // None of them is in the image: nothing may be repaired on what is not known.
    for number in 0..500 {
        fs::create_dir(project.path(&format!("api/src/many-{number}"))).unwrap();
    }
    let plan = project.with_manifest("plan", &["-o", "json"]).expect(1);
    assert_eq!(plan.plan(), [""; 0], "{plan:?}");
    let conditions = plan.status()["services"][0]["conditions"].clone();
    let source =
        conditions.as_array().unwrap().iter().find(|c| c["type"] == "SourcePresent").unwrap().clone();
    assert_eq!((&source["status"], &source["reason"]), (&"Unknown".into(), &"TooMany".into()), "{source}");
    assert!(source["message"].as_str().unwrap().contains("502 entries"), "{source}");
}

#[test]
fn name_that_no_path_may_hold_is_a_note_and_an_explicit_module_wins() {
    let project = healthy();
    fs::create_dir(project.path("api/src/line\nbreak")).unwrap();
    let mine = "{ name: workflow, path: /app/dist/modules/customers }, ";
    project.manifest(&with(&EACH.replace("modules: [", &format!("modules: [{mine}"))));
    let check = project.apply().expect(0);
    assert_eq!(names(&check, "modules"), ["workflow"], "by its name, and by the place of the other");
    let notes = check.status()["services"][0]["notes"].clone();
    assert_eq!(notes[0]["reason"], "EntryIgnored", "{notes}");
    assert!(notes[0]["message"].as_str().unwrap().contains("`line\\nbreak`"), "{notes}");
}

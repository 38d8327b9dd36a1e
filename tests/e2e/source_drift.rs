//! An image that is older than a change of its source cannot hold it, whoever built it.

use std::{fs, os::unix::fs::symlink, process::Command};

use crate::support::{MANIFEST, Project, docker};

/// A healthy project that undrift did not build, adopted by one `apply`.
fn adopted(drift: &str) -> Project {
    let project = Project::healthy();
    project.manifest(&with_drift(drift));
    project.apply().expect(0);
    project
}

fn with_drift(drift: &str) -> String {
    MANIFEST.replace("  reconcile:", &format!("  source: {{ drift: {drift} }}\n  reconcile:"))
}

/// What is said of the artifact layer of `api`.
fn artifact(run: &crate::support::Run) -> String {
    let conditions = run.status()["services"][0]["conditions"].clone();
    let all = conditions.as_array().unwrap();
    let found = all.iter().find(|condition| condition["type"] == "ArtifactCurrent").unwrap();
    found["message"].as_str().unwrap().to_owned()
}

/// The content of the module in the container that runs.
fn running_module(project: &Project) -> String {
    docker(&["exec", &project.containers("api")[0], "cat", "/app/dist/modules/workflow/index"])
}

#[test]
fn change_of_an_adopted_project_is_found_and_built_where_it_is_enforced() {
    let project = adopted("enforce");
    let before = project.containers("api");
    project.write("api/src/workflow/index", "new\n");
    let check = project.check().expect(1);
    assert_eq!((check.drift("api").as_str(), project.steps().len()), ("artifact SourceChanged", 0));
    let message = artifact(&check);
    // A minute may begin as a year does.
    let is_date = |word: &&str| word.starts_with("20") && word.contains('T');
    let times = message.split([' ', ')', ':']).filter(is_date).count();
    assert_eq!(times, 2, "both times: {message}");
    assert!(message.contains("(seen at ") && message.contains("was seen first, at "), "{message}");
    assert_eq!(artifact(&project.check().expect(1)), message, "the change keeps its time");

    // As it was: nothing is to be done, and nothing is.
    project.write("api/src/workflow/index", "ok\n");
    project.check().expect(0);
    project.apply().expect(0);
    assert_eq!((project.containers("api"), project.steps().len()), (before, 0));

    project.write("api/src/workflow/index", "new\n");
    project.apply().expect(0);
    assert_eq!(project.steps_that_counted(), ["Build", "Up"]);
    assert_eq!(running_module(&project), "new\n");
    // From now on undrift knows what it has built, which is more.
    project.write("api/src/workflow/index", "newer\n");
    assert!(artifact(&project.check().expect(1)).ends_with("was built"));
}

#[test]
fn change_is_reported_in_report_mode_and_not_in_ignore_mode() {
    let project = adopted("report");
    project.write("api/src/workflow/index", "new\n");
    let check = project.check().expect(0);
    assert!(artifact(&check).starts_with("the source has changed (seen at "), "{check:?}");
    project.apply().expect(0);
    project.manifest(&with_drift("ignore"));
    assert_eq!(artifact(&project.check().expect(0)), "");
    assert_eq!(project.steps(), [""; 0]);
}

#[test]
fn the_source_of_a_build_by_hand_is_stored_by_a_check_too() {
    let project = adopted("enforce");
    project.write("api/src/workflow/index", "new\n");
    project.rebuild();
    project.compose(&["up", "-d", "--no-build"]);
    project.check().expect(0);
    project.write("api/src/workflow/index", "newer\n");
    assert_eq!(project.check().expect(1).drift("api"), "artifact SourceChanged");
    assert_eq!(project.steps(), [""; 0]);
}

#[test]
fn source_that_was_newer_at_the_first_look_is_not_reported_as_changed() {
    let project = Project::healthy();
    project.manifest(&with_drift("enforce"));
    project.write("api/src/workflow/index", "newer than the image\n");
    project.apply().expect(0);
    assert_eq!(artifact(&project.check().expect(0)), "", "nobody knows, and nothing is claimed");
    assert_eq!(project.steps(), [""; 0]);
}

#[test]
fn services_of_one_image_with_two_contexts_are_distinguished() {
    let project = Project::healthy();
    // One image under two references, as a person tags it; of two contexts.
    project.add_service("web");
    project.add_module("web", "workflow");
    let both = "services:\n  api: { build: ./api, init: true, stop_grace_period: 1s }\n  web: { build: ./web, init: true, \
                stop_grace_period: 1s }\n  worker: { image: NAME-api, init: true, stop_grace_period: 1s }\n";
    project.write("compose.yaml", &both.replace("NAME", &project.name));
    docker(&["tag", &format!("{}-api", project.name), &format!("{}-web", project.name)]);
    project.compose(&["up", "-d", "--no-build"]);
    project.manifest(
        &with_drift("enforce").replace("  source:", "    - name: web\n    - name: worker\n  source:"),
    );
    project.apply().expect(0);
    project.check().expect(0);
    project.write("web/src/workflow/index", "new\n");
    let check = project.check().expect(1);
    let drifts = ["api", "web", "worker"].map(|service| check.drift(service));
    assert_eq!(drifts, ["", "artifact SourceChanged", ""]);
    fs::remove_dir_all(project.path("web")).unwrap();
    let check = project.check();
    assert_ne!(check.code, Some(0), "what cannot be read is not as declared: {check:?}");
}

/// A release: a copy of the project of its own, with this in its module, that the link `current` leads to from now on.
fn release(project: &Project, name: &str, module: &str) {
    let to = project.path(&format!("../releases/{name}"));
    fs::create_dir_all(&to).unwrap();
    let mut copy = Command::new("cp");
    copy.arg("-a").arg(project.path("compose.yaml")).arg(project.path("api")).arg(&to);
    assert!(copy.status().unwrap().success());
    fs::write(to.join("api/src/workflow/index"), module).unwrap();
    let (new, current) = (project.path("current.new"), project.path("current"));
    symlink(&to, &new).unwrap();
    fs::rename(new, current).unwrap();
}

fn released(drift: &str) -> Project {
    let project = Project::new();
    project.add_module("api", "workflow");
    project.manifest(&with_drift(drift).replace("directory: .,", "directory: current,"));
    project
}

/// Switches to this release, and has it reconciled.
fn deploy(project: &Project, number: usize) {
    release(project, &number.to_string(), &format!("{number}\n"));
    let apply = project.apply().expect(0);
    assert_eq!(apply.condition("Stalled"), "False NotStalled", "release {number}");
    assert_eq!(running_module(project), format!("{number}\n"));
}

#[test]
fn releases_switched_by_a_link_spend_no_budget_and_none_stalls() {
    let project = released("enforce");
    for number in 1..=6 {
        deploy(&project, number);
    }
    assert_eq!(project.apply().expect(0).status()["attempts"], 0);
    // What a build costs is bounded by the hour, and waited for; nothing is given up.
    release(&project, "7", "7\n");
    let apply = project.apply().expect(1);
    assert_eq!(apply.condition("Reconciling"), "False RateExceeded");
    assert_eq!(apply.condition("Stalled"), "False NotStalled");
    assert!(apply.status()["nextAttemptTime"].is_string(), "{apply:?}");
    assert_eq!(running_module(&project), "6\n", "what runs goes on");
}

#[test]
fn releases_are_distinguished_by_content_also_when_switched_back() {
    let project = released("enforce");
    deploy(&project, 1);
    let steps = project.steps().len();
    release(&project, "again", "1\n");
    project.apply().expect(0);
    assert_eq!(project.steps().len(), steps, "another folder with the same files");
    deploy(&project, 2);
    release(&project, "1", "1\n");
    project.apply().expect(0);
    assert_eq!(running_module(&project), "1\n", "a release that is taken back is a release");
}

#[test]
fn file_edited_in_place_day_by_day_spends_no_budget_either() {
    let project = Project::healthy();
    project.manifest(&with_drift("enforce").replace("attempts: 3", "attempts: 1"));
    project.apply().expect(0);
    for day in 1..=4 {
        project.write("api/src/workflow/index", &format!("day {day}\n"));
        let apply = project.apply().expect(0);
        assert_eq!(apply.status()["attempts"], 0);
        assert_eq!(running_module(&project), format!("day {day}\n"));
    }
}

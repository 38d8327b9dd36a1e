//! Containers that live in another's namespaces: a restart of the other one takes them away.

use crate::support::{MANIFEST, Project, docker};

/// `api` shares something with `vpn`, which the object does not name.
fn sharing(what: &str) -> Project {
    let project = Project::new();
    project.add_module("api", "workflow");
    let compose = format!(
        "services:\n  vpn: {{ image: undrift-example-base, command: [sleep, \"86400\"], stop_grace_period: 0s, ipc: shareable, \
         volumes: [/vol] }}\n  api: {{ build: ./api, stop_grace_period: 1s, {what} }}\n"
    );
    project.write("compose.yaml", &compose);
    project.compose(&["up", "-d", "--build"]);
    project.apply().expect(0);
    project
}

fn restart(project: &Project) {
    docker(&["restart", "-t", "0", &project.containers("vpn")[0]]);
}

/// The reasons of all drifts that were told.
fn reasons(project: &Project) -> Vec<String> {
    let drifts = project.trail().into_iter().filter(|record| record["kind"] == "DriftDetected");
    drifts.map(|record| record["evidence"]["reason"].as_str().unwrap().to_owned()).collect()
}

fn without_route(project: &Project) {
    let at = MANIFEST.find("      routes:").unwrap();
    let until = MANIFEST.find("  reconcile:").unwrap();
    project.manifest(&[&MANIFEST[..at], &MANIFEST[until..]].concat());
}

#[test]
fn container_whose_network_went_with_a_restart_of_the_other_one_is_restarted_and_answers_again() {
    let project = sharing("network_mode: \"service:vpn\"");
    let before = project.containers("api");
    restart(&project);
    let check = project.check().expect(1);
    assert_ne!(check.condition("Ready"), "True AsDeclared");
    let apply = project.apply().expect(0);
    assert_eq!(apply.status()["services"][0]["routes"][0]["observed"], 401);
    // Until the other one has run for a while only its route is known to be broken.
    assert_eq!(reasons(&project).last().map(String::as_str), Some("NamespaceLost"));
    assert_eq!((project.steps(), project.containers("api")), (vec!["Restart".into()], before));
}

#[test]
fn container_whose_ipc_namespace_went_is_restarted_also_without_a_route() {
    let project = sharing("ipc: \"service:vpn\"");
    without_route(&project);
    project.apply().expect(0);
    restart(&project);
    project.apply().expect(0);
    assert_eq!((reasons(&project), project.steps()), (vec!["NamespaceLost".into()], vec!["Restart".into()]));
    project.check().expect(0);
}

#[test]
fn container_in_the_pid_namespace_of_another_dies_with_it_and_is_started() {
    let project = sharing("pid: \"service:vpn\"");
    let before = project.containers("api");
    restart(&project);
    project.apply().expect(0);
    assert_eq!((reasons(&project), project.steps()), (vec!["NotRunning".into()], vec!["Up".into()]));
    assert_eq!(project.containers("api"), before);
}

#[test]
fn container_whose_other_one_was_made_anew_is_made_anew() {
    for what in ["network_mode: \"service:vpn\"", "volumes_from: [vpn]"] {
        let project = sharing(what);
        let before = project.containers("api");
        docker(&["rm", "-f", "-v", &project.containers("vpn")[0]]);
        project.compose(&["up", "-d", "--no-deps", "vpn"]);
        project.apply().expect(0);
        assert_eq!(
            (reasons(&project), project.steps()),
            (vec!["NamespaceLost".into()], vec!["Up".into()]),
            "{what}"
        );
        assert_ne!(project.containers("api"), before);
        project.check().expect(0);
    }
}

#[test]
fn person_who_restarts_both_is_not_disturbed_and_one_whose_other_is_down_waits() {
    let project = sharing("network_mode: \"service:vpn\"");
    project.compose(&["restart", "vpn", "api"]);
    project.apply().expect(0);
    assert_eq!(project.steps(), [""; 0]);
    docker(&["kill", &project.containers("vpn")[0]]);
    let check = project.check().expect(1);
    assert_eq!((check.condition("Ready").as_str(), check.plan().len()), ("Unknown NotKnown", 0));
}

/// With a time limit of a proof in which nothing but the end of the wait is to be seen.
fn impatient(project: &Project, services: &str) {
    let manifest = MANIFEST.replace("timeout: 60s", "timeout: 2s");
    project.manifest(&manifest.replace("  services:\n", &format!("  services:\n{services}")));
}

/// Neither a look nor an `apply` takes a step; both say what a person can do.
#[track_caller]
fn waits_in_vain(project: &Project, drift: &str, remedy: &str) {
    let before = project.steps().len();
    let check = project.check().expect(1);
    assert_eq!((check.drift("api").as_str(), check.plan().len()), (drift, 0), "{}", check.stdout);
    let apply = project.apply().expect(1);
    assert_eq!(project.steps().len(), before, "{}", apply.stderr);
    let reason = drift.split_once(' ').unwrap().1;
    assert_eq!(apply.condition("Stalled"), format!("True {reason}"));
    assert!(apply.stdout.contains(remedy), "{}", apply.stdout);
}

#[test]
fn container_whose_other_one_is_gone_and_not_named_is_not_brought_up_in_vain() {
    for what in ["network_mode: \"service:vpn\"", "volumes_from: [vpn]"] {
        let project = sharing(what);
        impatient(&project, "");
        docker(&["rm", "-f", "-v", &project.containers("vpn")[0]]);
        waits_in_vain(&project, "container NamespaceLost", "docker compose up -d vpn");
        project.compose(&["up", "-d", "--no-deps", "vpn"]);
        project.manifest(MANIFEST);
        project.apply().expect(0);
        assert_eq!(project.steps(), ["Up"], "{what}");
    }
}

#[test]
fn container_that_has_ended_is_not_started_in_vain_while_the_other_one_is_down() {
    let project = sharing("network_mode: \"service:vpn\"");
    impatient(&project, "");
    for service in ["vpn", "api"] {
        docker(&["kill", &project.containers(service)[0]]);
    }
    waits_in_vain(&project, "container NotRunning", "docker compose up -d vpn");
    docker(&["start", &project.containers("vpn")[0]]);
    project.manifest(MANIFEST);
    project.apply().expect(0);
    assert_eq!(project.steps(), ["Up"]);
}

#[test]
fn other_container_that_no_compose_file_makes_is_named() {
    let project = Project::new();
    let name = format!("{}-box", project.name);
    let label = format!("com.docker.compose.project={}", project.name);
    let run = ["run", "-d", "--label", &label, "--name", &name, "undrift-example-base", "sleep", "86400"];
    docker(&run);
    project.add_module("api", "workflow");
    let compose = format!(
        "services:\n  api: {{ build: ./api, init: true, stop_grace_period: 1s, network_mode: \"container:{name}\" }}\n"
    );
    project.write("compose.yaml", &compose);
    project.compose(&["up", "-d", "--build"]);
    project.apply().expect(0);
    impatient(&project, "");
    docker(&["rm", "-f", &name]);
    waits_in_vain(&project, "container NamespaceLost", &format!("the container {name}"));
    docker(&run);
    project.manifest(MANIFEST);
    project.apply().expect(0);
    assert_eq!(project.steps(), ["Up"]);
}

#[test]
fn other_one_that_is_named_is_brought_up_first() {
    let project = sharing("network_mode: \"service:vpn\"");
    project.manifest(&MANIFEST.replace("  services:\n", "  services:\n    - name: vpn\n"));
    project.apply().expect(0);
    docker(&["rm", "-f", "-v", &project.containers("vpn")[0]]);
    project.apply().expect(0);
    assert_eq!(project.steps(), ["Up", "Up"]);
    project.check().expect(0);
}

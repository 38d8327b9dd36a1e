//! What comes after a repair: containers that die once they are proven, rollbacks, sources that change by themselves.

use crate::{
    daemon::Daemon,
    support::{MANIFEST, Project, SERVE, docker, wait_for},
};

/// The image that the only container of `api` runs, and its state.
fn runs(project: &Project) -> (String, String) {
    let ids = project.containers("api");
    assert_eq!(ids.len(), 1, "{ids:?}");
    let both = docker(&["inspect", "-f", "{{.Image}} {{.State.Status}}", &ids[0]]);
    let (image, state) = both.trim().split_once(' ').unwrap();
    (image.to_owned(), state.to_owned())
}

/// As declared, and then someone builds, by hand, an image whose server does this in place of serving on.
fn healthy_with_a_new_image_that(ends: &str) -> Project {
    let project = Project::healthy();
    project.apply().expect(0);
    project.write("api/serve", &SERVE.replace("exec httpd -f", &format!("{ends}; exec httpd -f")));
    // On containerd's store the image of before would be gone by now, but for the tag that undrift has set.
    project.rebuild();
    project
}

#[test]
fn rollback_after_which_all_is_as_declared_is_reported_as_a_failed_repair() {
    let project = healthy_with_a_new_image_that("exit 3");
    let (old, _) = runs(&project);
    let apply = project.apply().expect(1);
    assert_eq!(project.steps(), ["Up", "Rollback"], "{}", apply.stderr);
    assert_eq!(apply.condition("Stalled"), "True RolledBack");
    assert_eq!(runs(&project), (old, "running".to_owned()));
    let incidents = project.undrift(&["incident", "list", "-o", "json"]).json();
    assert_eq!(incidents["items"][0]["outcome"], "Stalled");
    let trail = project.trail();
    assert!(trail.iter().all(|record| record["kind"] != "Reconciled"), "{trail:?}");

    let again = project.apply().expect(0);
    assert_eq!(again.condition("Ready"), "True AsDeclared", "what runs is what is declared");
    assert_eq!(project.steps().len(), 2);
    project.assert_trail_is_whole();
}

#[test]
fn container_that_dies_after_its_verification_is_rolled_back() {
    let project = healthy_with_a_new_image_that(
        "httpd -f -p 3000 -c /httpd.conf -h /www & while [ ! -e /dies ]; do sleep 0.1; done; exit 3",
    );
    let (old, _) = runs(&project);
    project.apply().expect(0);
    assert_eq!(project.steps(), ["Up"]);
    let (new, _) = runs(&project);
    assert_ne!(new, old);
    docker(&["exec", &project.containers("api")[0], "touch", "/dies"]);
    wait_for("the new container to die", || runs(&project).1 == "exited");
    let apply = project.apply().expect(1);
    assert_eq!(project.steps(), ["Up", "Rollback"], "{}", apply.stderr);
    assert_eq!(runs(&project), (old, "running".to_owned()));
    project.assert_trail_is_whole();
}

#[test]
fn container_that_dies_of_a_mounted_file_after_its_verification_keeps_its_image() {
    let project = Project::new();
    project.add_module("api", "workflow");
    project.write("app.conf", "true\n");
    project.write("api/serve", &SERVE.replace("exec httpd -f", ". /etc/app.conf; exec httpd -f"));
    let service =
        "{ build: ./api, init: true, stop_grace_period: 1s, volumes: [\"./app.conf:/etc/app.conf:ro\"] }";
    project.write("compose.yaml", &format!("services:\n  api: {service}\n"));
    project.compose(&["up", "-d", "--build"]);
    project.apply().expect(0);
    project.append("api/serve", "# another image\n");
    project.rebuild();
    project.apply().expect(0);
    let (new, _) = runs(&project);
    assert_eq!(project.steps(), ["Up"]);
    project.write("app.conf", "exit 3\n");
    docker(&["restart", &project.containers("api")[0]]);
    wait_for("the container to die", || runs(&project).1 == "exited");
    project.apply().expect(1);
    assert!(!project.steps().contains(&"Rollback".to_owned()), "{:?}", project.steps());
    assert_eq!(runs(&project).0, new);
    let told = project.trail().iter().any(|record| {
        let record = record.to_string();
        record.contains("app.conf") && record.contains("not rolled back")
    });
    assert!(told, "{:?}", project.trail());
    project.write("app.conf", "true\n");
    project.undrift(&["retry", &project.name]).expect(0);
    project.apply().expect(0);
    assert_eq!(runs(&project), (new, "running".to_owned()));
}

#[test]
fn container_that_a_person_stops_after_its_verification_is_brought_up_and_not_rolled_back() {
    let project = healthy_with_a_new_image_that("true");
    project.apply().expect(0);
    let (new, _) = runs(&project);
    project.compose(&["stop"]);
    project.apply().expect(0);
    assert_eq!(project.steps(), ["Up", "Up"]);
    assert_eq!(runs(&project), (new, "running".to_owned()));
}

#[test]
fn build_context_that_changes_by_itself_is_tried_less_and_less_often() {
    let project = Project::in_incident();
    project.write("api/Dockerfile", "FROM undrift-example-base\nRUN false\n");
    project.manifest(
        &MANIFEST
            .replace("initial: 200ms, max: 1s", "initial: 200ms, max: 1h")
            .replace("attempts: 3", "attempts: 1"),
    );
    for line in ["one", "two"] {
        project.write("api/server.log", line);
        assert_eq!(project.apply().expect(1).condition("Stalled"), "True BudgetSpent", "{line}");
    }
    assert_eq!(project.steps(), ["Build", "Build"], "the first other source is free");
    project.write("api/server.log", "three");
    let check = project.check().expect(1);
    let next = check.status()["nextAttemptTime"].as_str().map(str::parse::<chrono::DateTime<chrono::Utc>>);
    let wait = next.expect("the next one is not").unwrap() - chrono::Utc::now();
    assert!(wait > chrono::TimeDelta::minutes(50) && wait <= chrono::TimeDelta::hours(1), "{wait}");

    // A person may say so.
    project.undrift(&["retry", &project.name]).expect(0);
    assert!(project.check().expect(1).status()["nextAttemptTime"].is_null());
}

#[test]
fn next_incident_keeps_the_image_that_it_found_and_not_the_last_ones() {
    let project = Project::in_incident();
    project.apply().expect(0);
    let (found, _) = runs(&project);
    project.add_module("api", "invoices");
    let second = "workflow }, { source: api/src/invoices, path: /app/dist/modules/invoices }]";
    project.manifest(&MANIFEST.replace("workflow }]", second));
    project.apply().expect(0);
    assert_ne!(runs(&project).0, found);
    let kept = format!("undrift-keep/{}/api:previous", project.name);
    assert_eq!(docker(&["image", "inspect", "-f", "{{.Id}}", &kept]).trim(), found);
}

#[test]
fn route_that_fails_within_the_watch_after_its_verification_has_the_previous_image_back() {
    let fades = "httpd -p 3000 -c /httpd.conf -h /www; sleep 8; killall httpd; mkdir -p /none; echo > /httpd.conf; \
                 cd /none; httpd -f -p 3000 -c /httpd.conf -h /none";
    for (watch_for, is_rolled_back) in [("20s", true), ("0s", false)] {
        let project = healthy_with_a_new_image_that(fades);
        let (old, _) = runs(&project);
        let verify = format!("timeout: 6s, stableFor: 1s, watchFor: {watch_for}");
        project.manifest(&MANIFEST.replace("timeout: 60s, stableFor: 1s", &verify));
        let daemon = Daemon::start(&project);
        wait_for("the new image to be verified", || {
            project.trail().iter().any(|r| r["kind"] == "Reconciled")
        });
        assert_eq!(project.steps(), ["Up"]);
        if is_rolled_back {
            // Nothing but the watch has undrift look: the interval is five minutes.
            wait_for("the rollback", || project.trail().iter().any(|r| r["kind"] == "RolledBack"));
            assert_eq!(runs(&project), (old, "running".to_owned()));
            assert_eq!(project.steps(), ["Up", "Rollback"]);
        } else {
            wait_for("the route to be gone", || project.check().drift("api") == "route Absent");
            assert!(!project.check().plan().contains(&"Rollback".to_owned()));
        }
        drop(daemon);
        project.assert_trail_is_whole();
    }
}

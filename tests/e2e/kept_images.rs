//! The image that was verified is kept by a tag of undrift's own, before somebody builds over it by hand.

use crate::{
    daemon::Daemon,
    support::{MANIFEST, Project, SERVE, docker, every_second, wait_for},
};

/// The tags of undrift's own for the project, with the image that each is on.
fn kept(project: &Project) -> Vec<(String, String)> {
    let names = format!("reference=undrift-keep/{}/*", project.name);
    let found = docker(&["images", "--no-trunc", "--format", "{{.Tag}} {{.ID}}", "--filter", &names]);
    let mut kept: Vec<(String, String)> = found
        .lines()
        .map(|line| {
            let (tag, id) = line.split_once(' ').unwrap();
            (tag.to_owned(), id.to_owned())
        })
        .collect();
    kept.sort();
    kept
}

fn tags(tags: &[(&str, &str)]) -> Vec<(String, String)> {
    tags.iter().map(|(tag, id)| ((*tag).to_owned(), (*id).to_owned())).collect()
}

#[test]
fn verified_image_has_a_tag_that_moves_with_the_next_one_and_no_more_than_two_are_left() {
    let project = Project::healthy();
    project.apply().expect(0);
    let mut verified = vec![project.image()];
    assert_eq!(kept(&project), tags(&[("verified", &verified[0])]));
    for round in ["one", "two", "three"] {
        // By hand: undrift keeps nothing before such a build, and sees it only when it is done.
        project.write("api/src/workflow/index", round);
        project.rebuild();
        let before = verified.last().unwrap().clone();
        assert_eq!(docker(&["image", "inspect", "-f", "{{.Id}}", &before]).trim(), before, "{round}");
        project.apply().expect(0);
        verified.push(project.image());
        let now = verified.last().unwrap();
        assert_eq!(kept(&project), tags(&[("previous", &before), ("verified", now)]), "{round}");
    }
    assert_eq!(project.steps(), ["Up", "Up", "Up"]);
}

#[test]
fn build_of_undrifts_own_leaves_the_image_of_before_and_the_verified_one_with_a_tag() {
    let project = Project::in_incident();
    let old = project.image();
    project.apply().expect(0);
    assert_eq!(kept(&project), tags(&[("previous", &old), ("verified", &project.image())]));
}

#[test]
fn no_tag_is_set_where_undrift_only_looks() {
    let project = Project::healthy();
    project.check().expect(0);
    project.with_manifest("plan", &[]).expect(0);
    for reconcile in ["mode: observe", "rollback: false", "suspend: true"] {
        project.manifest(&MANIFEST.replace("  reconcile:\n", &format!("  reconcile:\n    {reconcile}\n")));
        project.apply().expect(0);
        project.check().expect(0);
        assert_eq!(kept(&project), [], "{reconcile}");
    }
    project.manifest(MANIFEST);
    project.apply().expect(0);
    assert_eq!(kept(&project).len(), 1, "and now it may");
}

#[test]
fn daemon_keeps_what_it_has_verified_and_sets_a_lost_tag_again() {
    let project = Project::healthy();
    project.manifest(&every_second());
    let _daemon = Daemon::start(&project);
    let is_kept = || kept(&project) == tags(&[("verified", &project.image())]);
    wait_for("the tag", is_kept);
    docker(&["rmi", &format!("undrift-keep/{}/api:verified", project.name)]);
    wait_for("the tag once more", is_kept);
    assert_eq!(project.steps(), [""; 0]);
}

#[test]
fn rollback_whose_image_is_gone_is_given_up_at_once_with_its_reason() {
    let project = Project::healthy();
    project.apply().expect(0);
    let old = project.image();
    let dies = "httpd -f -p 3000 -c /httpd.conf -h /www & while [ ! -e /dies ]; do sleep 0.1; done; exit 3";
    project.write("api/serve", &SERVE.replace("exec httpd -f", &format!("{dies}; exec httpd -f")));
    project.rebuild();
    project.apply().expect(0);
    let keep = |tag: &str| format!("undrift-keep/{}/api:{tag}", project.name);
    assert_eq!(kept(&project), tags(&[("previous", &old), ("verified", &project.image())]));
    docker(&["rmi", &keep("previous")]);
    let gone = std::process::Command::new("docker").args(["image", "inspect", &old]).output().unwrap();
    assert!(!gone.status.success(), "that was its last name");
    docker(&["exec", &project.containers("api")[0], "touch", "/dies"]);
    let state = || docker(&["inspect", "-f", "{{.State.Status}}", &project.containers("api")[0]]);
    wait_for("the new container to die", || state().trim() == "exited");

    let check = project.check().expect(1);
    assert_eq!(check.plan(), [""; 0]);
    for _ in 0..2 {
        let apply = project.apply().expect(1);
        assert_eq!(apply.condition("Stalled"), "True RollbackImageGone", "{}", apply.stderr);
        assert_eq!(project.steps(), ["Up"], "no rollback is tried");
    }
    // A release that works ends it.
    project.write("api/serve", SERVE);
    project.rebuild();
    project.apply().expect(0);
    project.assert_trail_is_whole();
}

//! What a recreate meets: a command that cannot start, a container made by hand, a changed source, a finished job.

use crate::support::{MANIFEST, Project, docker};

/// The kinds of the trail's records, in order.
fn kinds(project: &Project) -> Vec<String> {
    project.trail().iter().map(|record| record["kind"].as_str().unwrap().to_owned()).collect()
}

/// The state of the only container of `api`, and the image that it was made of.
fn state(project: &Project) -> (String, String) {
    let ids = project.containers("api");
    assert_eq!(ids.len(), 1, "{ids:?}");
    let both = docker(&["inspect", "-f", "{{.State.Status}} {{.Image}}", &ids[0]]);
    let (state, image) = both.trim().split_once(' ').unwrap();
    (state.to_owned(), image.to_owned())
}

/// The incident with one more setting of `api`, which no container can start with, and `apply` on it. Without an
/// init, which would start in the program's place.
fn cannot_start(setting: &str, why: &str) -> Project {
    let project = Project::in_incident();
    let (_, old) = state(&project);
    project.write(
        "compose.yaml",
        &format!("services:\n  api: {{ build: ./api, stop_grace_period: 1s, {setting} }}\n"),
    );
    let manifest = MANIFEST.replace("timeout: 60s", "timeout: 2s");
    project.manifest(&manifest);
    let apply = project.apply().expect(1);
    // Compose removes the old container before it starts the new one, and the old image cannot start with this
    // setting either: the container is there, made of the old image, and does not run.
    // A container that never ran gets one more `up`: a port may only not have been free yet.
    assert_eq!(project.steps_that_counted(), ["Build", "Up", "Up", "Rollback"]);
    assert_eq!(state(&project), ("created".to_owned(), old), "the container is left like this");
    // The image is not at fault, so one rollback is all that is tried, whatever the budget.
    assert_eq!(apply.condition("Stalled"), "True RollbackInVain", "{}", apply.stderr);
    assert!(apply.stderr.contains("the image is not at fault"), "{}", apply.stderr);
    assert_eq!(apply.condition("Ready"), "False DriftDetected", "{}", apply.stdout);
    assert_eq!(apply.status()["services"][0]["containers"][0]["state"], "created", "the status says so");
    let kinds = kinds(&project);
    assert!(!kinds.iter().any(|kind| kind == "Reconciled" || kind == "RolledBack"), "{kinds:?}");
    let trail = project.trail();
    let failed: Vec<_> = trail.iter().filter(|record| record["outcome"] == "Failed").collect();
    assert_eq!(failed.len(), 3, "both ups and the rollback: {trail:?}");
    assert!(failed.iter().all(|record| record.to_string().contains(why)), "{failed:?}");
    project.assert_trail_is_whole();
    project
}

#[test]
fn command_that_cannot_start_is_never_called_reconciled() {
    let project = cannot_start("command: [nosuchprogram]", "nosuchprogram");
    let steps = project.steps();
    project.apply().expect(1);
    assert_eq!(project.steps(), steps, "and it is not tried every time");
}

/// A container without any label, which no Compose project removes.
struct Stranger(String);

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = std::process::Command::new("docker").args(["rm", "-f", &self.0]).output();
    }
}

#[test]
fn container_made_by_hand_is_no_replica_and_is_not_touched() {
    let project = Project::new();
    project.add_module("api", "workflow");
    project.compose(&["build"]);
    let name = format!("{}-api-1", project.name);
    let run = ["run", "-d", "--init", "--name", &name, "undrift-example-base", "sleep", "1000"];
    let stranger = Stranger(docker(&run).trim().to_owned());
    let look = || docker(&["inspect", "-f", "{{.Id}} {{.Name}} {{json .State}}", &stranger.0]);
    let before = look();
    assert_eq!(project.check().expect(1).drift("api"), "container Missing");
    let apply = project.apply().expect(1);
    assert_eq!(look(), before);
    assert_eq!(apply.drift("api"), "container Missing");
    assert_eq!(apply.condition("Stalled"), "True BudgetSpent", "{}", apply.stderr);
    assert_eq!(project.steps(), ["Up", "Up", "Up"]);
    let trail = project.trail();
    let is_explained = trail.iter().any(|r| r.to_string().contains("is already in use"));
    assert!(is_explained, "the trail says why: {trail:?}");
    project.assert_trail_is_whole();
    project.apply().expect(1);
    assert_eq!(project.steps().len(), 3, "and it is not tried every time");
}

/// The incident, repaired by undrift, and then a source file changed.
fn repaired_and_edited(drift: &str) -> Project {
    let project = Project::in_incident();
    let policy = format!("  source: {{ drift: {drift} }}\n  services:");
    project.manifest(&MANIFEST.replace("  services:", &policy));
    project.apply().expect(0);
    project.check().expect(0);
    project.write("api/src/workflow/index", "better\n");
    project
}

#[test]
fn changed_source_is_built_where_it_is_enforced() {
    let project = repaired_and_edited("enforce");
    let before = project.steps_that_counted().len();
    assert_eq!(project.check().expect(1).drift("api"), "artifact SourceChanged");
    let apply = project.apply().expect(0);
    assert_eq!(project.steps_that_counted()[before..], ["Build", "Up"]);
    assert_eq!(apply.drift("api"), "");
    let text = docker(&["exec", &project.containers("api")[0], "cat", "/app/dist/modules/workflow/index"]);
    assert_eq!(text, "better\n", "what runs is what was edited");
    project.check().expect(0);
    project.assert_trail_is_whole();
    // Past a cache that was stale nobody knows which of the two a build by hand finds.
    if project.stale_builds() == 0 {
        let built = project.image();
        // With attestations, which undrift's builds have none of, containerd's store gives every build another ID.
        project.compose_with(&["build"], &[("BUILDX_NO_DEFAULT_ATTESTATIONS", "1")]);
        assert_eq!(project.image(), built, "a build by hand gives the image that undrift's gave");
        project.check().expect(0);
    }
}

#[test]
fn changed_source_is_reported_without_a_step_in_report_mode() {
    let project = repaired_and_edited("report");
    let (before, containers) = (project.steps().len(), project.containers("api"));
    let check = project.check().expect(0);
    assert_eq!(check.drift("api"), "");
    let conditions = &check.status()["services"][0]["conditions"];
    assert!(conditions.to_string().contains("the source has changed since this image was built"));
    let apply = project.apply().expect(0);
    assert_eq!(apply.drift("api"), "");
    assert_eq!(project.steps().len(), before, "no step");
    assert_eq!(project.containers("api"), containers);
}

#[test]
fn finished_one_shot_job_is_not_run_again() {
    let project = Project::new();
    project.write(
        "compose.yaml",
        "services:\n  api:\n    build: ./api\n    init: true\n    stop_grace_period: 1s\n    \
         depends_on: { migrate: { condition: service_completed_successfully } }\n  \
         migrate: { image: undrift-example-base, command: [\"true\"] }\n  \
         seed: { image: undrift-example-base, command: [\"true\"] }\n",
    );
    project.compose(&["up", "-d", "--build"]);
    project.add_module("api", "workflow");
    let runs = || {
        ["migrate", "seed"].map(|job| {
            let ids = project.containers(job);
            assert_eq!(ids.len(), 1, "{job}: {ids:?}");
            docker(&["inspect", "-f", "{{.Id}} {{.State.Status}} {{.State.StartedAt}}", &ids[0]])
        })
    };
    crate::support::wait_for("the jobs to end", || runs().iter().all(|run| run.contains(" exited ")));
    let before = runs();
    project.apply().expect(0);
    assert_eq!(project.steps_that_counted(), ["Build", "Up"]);
    assert_eq!(runs(), before);
}

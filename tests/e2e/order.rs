//! What the Compose files order among services is kept, although a service is brought up without what it depends on.

use std::time::{Duration, Instant};

use crate::{
    daemon::Daemon,
    support::{MANIFEST, Project, Run, SERVE, docker, wait_for},
};

/// The job notes each of its runs, and what the image that it ran from holds.
const JOB: &str = r#"["sh", "-c", "echo run >> /data/runs; ls /app/dist/modules >> /data/schema"]"#;

/// What a service that depends on the job has in common.
const API: &str = "build: ./api, init: true, stop_grace_period: 1s, volumes: ['data:/data'], \
                   depends_on: { migrate: { condition: service_completed_successfully } }";

/// An app that does not start on a schema that its own modules are not in.
fn checking() -> String {
    format!(
        "for m in /app/dist/modules/*; do [ ! -e $m ] || grep -qx ${{m##*/}} /data/schema || exit 3; done\n{SERVE}"
    )
}

/// The incident of a project with these services: all runs, and the module is in the source only.
fn in_incident(serve: &str, services: &str) -> Project {
    let project = Project::new();
    project.write("api/serve", serve);
    let compose = format!("services:\n{services}volumes: {{ data: {{}} }}\n");
    project.write("compose.yaml", &compose.replace("NAME", &project.name));
    project.compose(&["up", "-d", "--build"]);
    project.add_module("api", "workflow");
    project
}

/// The job shares the image of the service.
fn sharing_an_image(serve: &str) -> Project {
    in_incident(
        serve,
        &format!(
            "  api: {{ image: NAME-app, {API} }}\n  migrate: {{ image: NAME-app, command: {JOB}, volumes: ['data:/data'] }}\n"
        ),
    )
}

/// The job has an image of its own, built of the same folder.
fn with_an_image_of_its_own() -> Project {
    in_incident(
        SERVE,
        &format!(
            "  api: {{ {API} }}\n  migrate: {{ build: ./api, command: {JOB}, volumes: ['data:/data'] }}\n"
        ),
    )
}

/// How often the job has run, and what it has seen.
fn runs(project: &Project) -> (usize, String) {
    let volume = format!("{}_data:/data", project.name);
    let read = |file: &str| docker(&["run", "--rm", "-v", &volume, "undrift-example-base", "cat", file]);
    (read("/data/runs").lines().count(), read("/data/schema"))
}

/// The steps of a plan with their services.
fn steps_with_services(run: &Run) -> Vec<String> {
    let status = run.status();
    let rows = status["plan"].as_array().unwrap().iter();
    let services = |row: &serde_json::Value| -> Vec<String> {
        row["services"].as_array().unwrap().iter().map(|s| s.as_str().unwrap().to_owned()).collect()
    };
    rows.map(|row| format!("{} {}", row["step"].as_str().unwrap(), services(row).join(" "))).collect()
}

fn start_of(project: &Project, service: &str) -> (String, String) {
    let ids = project.containers(service);
    assert_eq!(ids.len(), 1, "{service}: {ids:?}");
    let found = docker(&["inspect", "-f", "{{.State.StartedAt}}", &ids[0]]);
    (ids[0].clone(), found.trim().to_owned())
}

#[test]
fn migration_runs_with_the_new_image_before_an_app_that_checks_the_schema() {
    let project = sharing_an_image(&checking());
    assert_eq!(runs(&project).0, 1);
    let plan = project.with_manifest("plan", &["-o", "json"]).expect(1);
    assert_eq!(steps_with_services(&plan), ["Build api", "Up migrate", "Up api"]);
    project.apply().expect(0);
    assert_eq!(project.steps_that_counted(), ["Build", "Up", "Up"]);
    assert_eq!(runs(&project), (2, "workflow\n".into()));
    project.apply().expect(0);
    assert_eq!((project.steps_that_counted().len(), runs(&project).0), (3, 2), "once");
}

#[test]
fn job_with_an_image_of_its_own_is_built_along_and_run_before_an_app_that_does_not_check() {
    let project = with_an_image_of_its_own();
    let plan = project.with_manifest("plan", &["-o", "json"]).expect(1);
    assert_eq!(steps_with_services(&plan), ["Build api migrate", "Up migrate", "Up api"]);
    project.apply().expect(0);
    assert_eq!(runs(&project), (2, "workflow\n".into()));
    // Brought back as it was: nobody who waits for the job is brought up anew.
    docker(&["kill", &project.containers("api")[0]]);
    project.apply().expect(0);
    assert_eq!(runs(&project).0, 2);
}

#[test]
fn finished_job_that_is_declared_is_as_declared_and_runs_once_more_for_a_new_image() {
    let project = sharing_an_image(&checking());
    project.manifest(&MANIFEST.replace("  services:\n", "  services:\n    - name: migrate\n"));
    assert_eq!(project.check().expect(1).drift("migrate"), "");
    project.apply().expect(0);
    assert_eq!(project.steps_that_counted(), ["Build", "Up", "Up"]);
    assert_eq!(runs(&project), (2, "workflow\n".into()));
    let (job, before) = (start_of(&project, "migrate"), project.steps_that_counted().len());
    // A new image of the job alone: nobody who waits for it is brought up.
    project.write("api/src/.of", "another\n");
    project.compose(&["build"]);
    project.compose(&["up", "-d", "--no-deps", "api"]);
    project.apply().expect(0);
    assert_eq!((start_of(&project, "migrate"), project.steps_that_counted().len()), (job, before));
}

#[test]
fn job_that_fails_keeps_what_waits_for_it_as_it_is_until_it_is_fixed() {
    let project = sharing_an_image(SERVE);
    let good = std::fs::read_to_string(project.path("compose.yaml")).unwrap();
    let bad = good.replace("ls /app", "[ ! -e /app/dist/modules/workflow ] || exit 7; ls /app");
    project.write("compose.yaml", &bad);
    project.compose(&["up", "-d"]);
    let before = start_of(&project, "api");
    let apply = project.apply().expect(1);
    assert_eq!(
        (apply.drift("api"), start_of(&project, "api")),
        ("container ImageOutdated".into(), before.clone())
    );
    assert!(apply.condition("Stalled").ends_with("BudgetSpent"), "{apply:?}");
    let trail = project.undrift(&["audit", "list", "-o", "json"]).expect(0).stdout;
    assert!(trail.contains("the job migrate ended with code 7"), "{trail}");
    project.write("compose.yaml", &good);
    project.apply().expect(0);
    assert_ne!(start_of(&project, "api").0, before.0);
    assert_eq!(runs(&project).1, "workflow\n");
}

#[test]
fn jobs_run_one_after_the_other_as_they_wait_for_each_other() {
    let job = |depends: &str| {
        format!("image: NAME-app, command: {JOB}, volumes: ['data:/data'], depends_on: {{ {depends} }}")
    };
    let project = in_incident(
        SERVE,
        &format!(
            "  api: {{ image: NAME-app, {API} }}\n  migrate: {{ {} }}\n  prepare: {{ {} }}\n",
            job("prepare: { condition: service_completed_successfully }"),
            job("")
        ),
    );
    project.apply().expect(0);
    assert_eq!(project.steps_that_counted(), ["Build", "Up", "Up", "Up"]);
    let (prepare, migrate) = (start_of(&project, "prepare").1, start_of(&project, "migrate").1);
    assert!(prepare < migrate && migrate < start_of(&project, "api").1);
}

#[test]
fn service_without_restart_is_as_declared_only_after_a_successful_end() {
    let project = Project::new();
    let once = |code: u32| {
        project.write(
            "compose.yaml",
            &format!("services:\n  once: {{ image: undrift-example-base, restart: 'no', command: ['sh', '-c', 'exit {code}'] }}\n"),
        );
        project.compose(&["up", "-d"]);
        wait_for("the end", || project.compose(&["ps", "-a", "--format", "{{.State}}"]).trim() == "exited");
    };
    project.manifest(
        "apiVersion: undrift.dev/v1alpha1\nkind: ComposeProject\nmetadata: { name: NAME }\nspec:\n  project: { directory: ., name: NAME }\n  services: [{ name: once }]\n",
    );
    once(0);
    project.check().expect(0);
    once(3);
    assert_eq!(project.check().expect(1).drift("once"), "container NotRunning");
}

#[test]
fn service_that_restarts_with_another_is_restarted_after_it_and_nobody_else_is() {
    let project = in_incident(
        SERVE,
        "  api: { build: ./api, init: true, stop_grace_period: 1s }\n  \
         web: { image: undrift-example-base, init: true, command: sleep 1000, depends_on: { api: { condition: service_started, restart: true } } }\n  \
         edge: { image: undrift-example-base, init: true, command: sleep 1000, depends_on: { web: { condition: service_started, restart: true } } }\n  \
         other: { image: undrift-example-base, init: true, command: sleep 1000, depends_on: [api] }\n",
    );
    let before = ["web", "edge", "other"].map(|service| start_of(&project, service));
    let plan = project.with_manifest("plan", &["-o", "json"]).expect(1);
    assert_eq!(steps_with_services(&plan)[..3], ["Build api", "Up api", "Restart web"]);
    project.apply().expect(0);
    let after = ["web", "edge", "other"].map(|service| start_of(&project, service));
    for (before, after) in before.iter().zip(&after).take(2) {
        assert_eq!(before.0, after.0, "the same container");
        assert!(before.1 < after.1, "started anew: {before:?} {after:?}");
    }
    assert_eq!(before[2], after[2]);
    assert_eq!(project.steps_that_counted(), ["Build", "Up", "Restart", "Restart"]);
    // What is only started again replaces nothing.
    docker(&["kill", &project.containers("api")[0]]);
    project.apply().expect(0);
    assert_eq!(start_of(&project, "web"), after[0]);
}

#[test]
fn rollback_runs_no_job_with_the_image_of_before() {
    // The app dies of its new image, whatever the job has done.
    let dies = format!("[ ! -e /app/dist/modules/workflow ] || exit 9\n{SERVE}");
    let project = sharing_an_image(&dies);
    let before = docker(&["inspect", "-f", "{{.Image}}", &project.containers("api")[0]]);
    project.apply().expect(1);
    assert_eq!(project.steps_that_counted().last().unwrap(), "Rollback");
    assert_eq!(docker(&["inspect", "-f", "{{.Image}}", &project.containers("api")[0]]), before);
    assert_eq!(
        runs(&project),
        (2, "workflow\n".into()),
        "once with the new image, and not with the old one again"
    );
    let trail = project.undrift(&["audit", "list", "-o", "json"]).expect(0).stdout;
    assert!(trail.contains("what migrate did for api is not taken back"), "{trail}");
    project.apply().expect(1);
    assert_eq!(runs(&project).0, 2);
}

#[test]
fn job_that_takes_longer_than_a_verification_is_waited_for_to_its_end() {
    let job = "[sh, -c, 'while [ -e /data/slow ]; do sleep 0.1; done']";
    let project = in_incident(
        SERVE,
        &format!(
            "  api: {{ image: NAME-app, {API} }}\n  migrate: {{ image: NAME-app, init: true, command: {job}, volumes: \
             ['data:/data'] }}\n"
        ),
    );
    let limit = Duration::from_secs(10);
    project.manifest(&MANIFEST.replace("timeout: 60s", "timeout: 10s"));
    let before = start_of(&project, "api");
    // Somebody builds, and runs the migration by hand.
    docker(&["exec", &before.0, "touch", "/data/slow"]);
    project.rebuild();
    project.compose(&["up", "-d", "--no-deps", "migrate"]);
    let daemon = Daemon::start_with(&project, &[]);
    let since = Instant::now();
    wait_for("the time limit of a proof to pass", || since.elapsed() > limit + limit / 5);
    daemon.wait_for_looks(1);
    let get = project.undrift(&["get", "-o", "json"]).expect(0);
    assert_eq!(get.condition("Stalled"), "False NotStalled");
    assert_eq!(get.condition("Reconciling"), "True Progressing");
    assert!(
        get.stdout.contains("it waits for the job migrate, which has been running since"),
        "{}",
        get.stdout
    );
    assert_eq!((start_of(&project, "api"), project.steps()), (before.clone(), vec![]));
    docker(&["exec", &before.0, "rm", "/data/slow"]);
    project.wait_for_healed(1);
    assert_eq!(project.steps(), ["Up"]);
    assert_ne!(start_of(&project, "api").0, before.0);
}

//! What a build is of, and that what was examined is what comes up.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::{
    compose_binaries::Compose,
    faulty_wire::{Fault, Plan, Wire},
    support::{MANIFEST, Project, Run, docker, run},
};

/// What Podman says of itself, as far as undrift reads it.
const PODMAN: &str = r#"{"Version":"5.4.0","ApiVersion":"1.41","MinAPIVersion":"1.24","Os":"linux","Arch":"amd64",
    "Components":[{"Name":"Podman Engine","Version":"5.4.0"}]}"#;

#[test]
fn podman_builds_without_buildkit_unless_the_environment_sets_it() {
    for (given, used) in [(None, "0"), (Some("1"), "1")] {
        let project = Project::in_incident();
        // Nothing to look into: for that Podman has calls of its own.
        project.manifest(
            "apiVersion: undrift.dev/v1alpha1\nkind: ComposeProject\nmetadata: { name: NAME }\nspec:\n  \
             project: { directory: ., name: NAME }\n  services: [{ name: api }]\n  \
             reconcile: { verify: { timeout: 20s, stableFor: 500ms } }\n",
        );
        project.compose(&["down", "--rmi", "all"]);
        let log = project.path("builds.log");
        let plugin = project.path("docker/cli-plugins/docker-compose");
        fs::create_dir_all(plugin.parent().unwrap()).unwrap();
        let script = "#!/bin/sh\ncase \"$*\" in *' build '*) echo \"$DOCKER_BUILDKIT\" >> LOG;; esac\nexec COMPOSE \"$@\"\n";
        let script =
            script.replace("LOG", &log.display().to_string()).replace("COMPOSE", &Compose::own().path());
        fs::write(&plugin, script).unwrap();
        fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
        let wire = Wire::new();
        wire.set(Some(Plan { fault: Fault::Says(PODMAN), about: "/version", often: 100, seed: 1 }));
        let mut apply = project.command(&["apply", "-f", "undrift.yaml"]);
        apply.env("DOCKER_CONFIG", project.path("docker")).env("DOCKER_HOST", wire.docker_host());
        apply.env_remove("DOCKER_CONTEXT").env_remove("DOCKER_BUILDKIT");
        apply.envs(given.map(|value| ("DOCKER_BUILDKIT", value)));
        let output = run(&mut apply);
        let built = fs::read_to_string(&log).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        assert_eq!(built.lines().next(), Some(used), "{output:?}");
    }
}

#[test]
fn identical_builds_under_one_reference_are_built_once_and_all_brought_up() {
    let project = Project::new();
    let service =
        format!("{{ image: {}-app, build: ./api, init: true, stop_grace_period: 1s }}", project.name);
    project
        .write("compose.yaml", &format!("services:\n  api: &api {service}\n  worker: *api\n  cron: *api\n"));
    project.manifest(&MANIFEST.replace("  services:\n", "  services:\n    - name: worker\n"));
    // By hand, too, it is built once: on containerd's store two builds of one reference at once fail.
    project.compose(&["build", "api"]);
    project.compose(&["up", "-d"]);
    project.add_module("api", "workflow");
    project.apply().expect(0);
    let image = |service: &str| docker(&["inspect", "-f", "{{.Image}}", &project.containers(service)[0]]);
    assert_eq!(image("api"), image("worker"));
    assert_eq!(project.steps_that_counted(), ["Build", "Up"]);
    assert!(accepted_by_doctor(&project).contains("\"ok\""));
    // Two that differ would take the image away from each other.
    let other = service.replace("./api", "{ context: ./api, args: { A: b } }");
    project.write("compose.yaml", &format!("services:\n  api: {service}\n  worker: {other}\n"));
    project.check().expect(2);
    let accepted = accepted_by_doctor(&project);
    assert!(accepted.contains("\"failed\"") && accepted.contains("both build the image"), "{accepted}");
}

/// What `doctor` says of the Compose projects.
fn accepted_by_doctor(project: &Project) -> String {
    let doctor = project.undrift(&["doctor", "-f", "undrift.yaml", "-o", "json"]).json();
    let checks = doctor["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == "ComposeProjectsAccepted").unwrap().to_string()
}

/// The module's source lies in what another service builds: a base image, of a profile that nobody enables.
pub(crate) fn on_a_base(api: &str, compose: &str) -> Project {
    let project = Project::new();
    let base = format!("{}-base", project.name);
    let serve = fs::read_to_string(project.path("api/serve")).unwrap();
    project.write("base/serve", &serve);
    // Of its own for each test, as in every other context.
    project.write("base/src/.of", &project.name);
    project.write(
        "base/Dockerfile",
        "FROM undrift-example-base\nCOPY serve /serve\nCOPY src /app/dist/modules\nCMD [\"/bin/sh\", \"/serve\"]\n",
    );
    project.write("api/Dockerfile", &api.replace("BASE_IMAGE", &base));
    let of_base = format!("  base: {{ build: ./base, image: {base}, profiles: [build] }}\n");
    project.write("compose.yaml", &format!("services:\n{of_base}{}", compose.replace("BASE_IMAGE", &base)));
    project.manifest(&MANIFEST.replace("source: api/src/workflow", "source: base/src/workflow"));
    project.compose(&["build", "base"]);
    project.compose(&["up", "-d", "--build", "api"]);
    project.write("base/src/workflow/index.js", &project.name);
    project
}

fn is_built_on_its_base(project: &Project) {
    let apply = project.apply().expect(0);
    assert_eq!(project.steps_that_counted(), ["Build", "Up"], "{apply:?}");
    let trail = project.undrift(&["audit", "list", "-o", "json"]).expect(0).stdout;
    assert!(trail.contains("built first, for others are made of it: base"), "{trail}");
    project.check().expect(0);
}

pub(crate) const API: &str = "  api: { build: ./api, init: true, stop_grace_period: 1s }\n";

#[test]
fn module_in_the_base_image_that_another_service_builds_comes_with_one_build() {
    is_built_on_its_base(&on_a_base("FROM BASE_IMAGE\nRUN true\n", API));
}

#[test]
fn base_image_that_a_build_argument_names_is_built_first() {
    let api = "  api: { build: { context: ./api, args: { BASE: BASE_IMAGE } }, init: true, stop_grace_period: 1s }\n";
    is_built_on_its_base(&on_a_base("ARG BASE\nFROM ${BASE}:latest\nRUN true\n", api));
}

#[test]
fn image_that_files_are_copied_from_is_built_first() {
    let api = "FROM undrift-example-base\nCOPY --from=BASE_IMAGE /serve /serve\nCOPY --from=BASE_IMAGE /app/dist /app/dist\n\
               CMD [\"/bin/sh\", \"/serve\"]\n";
    is_built_on_its_base(&on_a_base(api, API));
}

#[test]
fn base_image_that_cannot_be_built_fails_the_step_and_leaves_what_runs() {
    let project = on_a_base("FROM BASE_IMAGE\nRUN true\n", API);
    let before = project.containers("api");
    project.append("base/Dockerfile", "RUN false\n");
    project.apply().expect(1);
    assert_eq!(project.containers("api"), before);
    let trail = project.undrift(&["audit", "list", "-o", "json"]).expect(0).stdout;
    assert!(trail.contains("build base, which comes first, did not succeed"), "{trail}");
}

/// `apply` with this script before each of Compose's commands.
fn apply_with(project: &Project, script: &str) -> Run {
    let plugin = Compose::own().path();
    project
        .write("docker/cli-plugins/docker-compose", &format!("#!/bin/sh\n{script}\nexec {plugin} \"$@\"\n"));
    let path = project.path("docker/cli-plugins/docker-compose");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    let mut apply = project.command(&["apply", "-f", "undrift.yaml", "-o", "json"]);
    run(apply.env("DOCKER_CONFIG", project.path("docker")))
}

#[test]
fn image_that_is_built_by_hand_between_the_look_and_the_up_is_looked_into_first() {
    let project = Project::healthy();
    let dependency = "  db: { image: undrift-example-base, command: [sleep, '86400'], init: true }\n";
    project.append("compose.yaml", dependency);
    let compose = fs::read_to_string(project.path("compose.yaml")).unwrap();
    project.write("compose.yaml", &compose.replace("init: true,", "init: true, depends_on: [db],"));
    project.compose(&["up", "-d"]);
    project.apply().expect(0);
    let image = format!("{}-api", project.name);
    project.write("api/src/workflow/index", "second\n");
    project.rebuild();
    docker(&["tag", &image, &format!("{image}:second")]);
    project.write("api/src/workflow/index", "third\n");
    project.rebuild();
    let third = project.image();
    docker(&["tag", &image, &format!("{image}:third")]);
    // The step asks Compose by a dry run whether the dependency would be touched: the look is over by then.
    let once = project.path("moved");
    let moves = format!(
        "case \" $* \" in *' --dry-run '*) [ -e {0} ] || {{ env -u DOCKER_HOST docker tag {image}:second {image}; touch {0}; }} ;; esac",
        once.display()
    );
    apply_with(&project, &moves).expect(0);
    assert!(once.exists() && project.image() != third && project.runs_its_image());
    let trail = project.trail();
    let ended = trail.iter().filter(|record| record["kind"] == "StepFinished");
    let outcomes: Vec<&str> = ended.map(|record| record["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["NotBegun", "Succeeded"]);
}

#[test]
fn container_of_another_image_than_the_one_examined_is_a_failed_repair() {
    let project = Project::in_incident();
    let image = format!("{}-api", project.name);
    docker(&["tag", &image, &format!("{image}:old")]);
    // Somebody moves the reference between the last look and the containers.
    let moves =
        format!("case \" $* \" in *' --dry-run '*) ;; *' up '*) docker tag {image}:old {image} ;; esac");
    apply_with(&project, &moves).expect(1);
    let trail = project.undrift(&["audit", "list", "-o", "json"]).expect(0).stdout;
    assert!(trail.contains("which was examined: somebody else moved the reference"), "{trail}");
}

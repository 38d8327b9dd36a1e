//! A container that another version of Compose made from the same configuration is no drift.
//!
//! What 5.6 would have made is made by hand here, with the labels that it would bear; the tests that need another Compose have
//! it made in earnest.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{
    compose_binaries::Compose,
    support::{MANIFEST as FULL, Project, Run, docker, run},
};

const MANIFEST: &str = "apiVersion: undrift.dev/v1alpha1
kind: ComposeProject
metadata: { name: NAME }
spec:
  project: { directory: ., name: NAME }
  services: [{ name: api }]
  reconcile: { verify: { timeout: 30s, stableFor: 500ms }, backoff: { initial: 100ms, max: 1s } }
";

const COMPOSE: &str = "services:
  api:
    image: undrift-example-base:latest
    command: sleep 10000
    init: true
    volumes: [\"./api:/mnt:ro\"]
";

fn project() -> Project {
    let project = Project::new();
    project.manifest(MANIFEST);
    project.write("compose.yaml", COMPOSE);
    project.compose(&["up", "-d"]);
    project
}

/// Puts the container of another one's labels in the place of `api`: those of this version of Compose with this hash.
fn make_as(project: &Project, version: &str, hash: &str) {
    let [id] = &project.containers("api")[..] else { panic!() };
    let labels = docker(&["inspect", "-f", "{{json .Config.Labels}}", id]);
    let mut labels: serde_json::Map<String, Value> = serde_json::from_str(&labels).unwrap();
    labels.insert("com.docker.compose.version".into(), version.into());
    labels.insert("com.docker.compose.config-hash".into(), hash.into());
    let labels: Vec<String> =
        labels.iter().map(|(name, value)| format!("--label={name}={}", value.as_str().unwrap())).collect();
    docker(&["rm", "-f", id]);
    let (network, name) =
        (format!("--network={}_default", project.name), format!("--name={}-api-1", project.name));
    let mount = format!("--volume={}:/mnt:ro", project.path("api").display());
    let run: Vec<&str> = ["run", "-d", "--init", &network, &name, "--network-alias=api", &mount]
        .into_iter()
        .chain(labels.iter().map(String::as_str))
        .chain(["undrift-example-base:latest", "sleep", "10000"])
        .collect();
    docker(&run);
}

/// The hash that Compose makes of the service, with this `bind` of its mount.
fn hash(project: &Project, bind: &str) -> String {
    let source = project.path("api");
    let json = format!(
        "{{\"command\":[\"sleep\",\"10000\"],\"entrypoint\":null,\"image\":\"undrift-example-base:latest\",\"init\":true,\
         \"networks\":{{\"default\":null}},\"volumes\":[{{\"type\":\"bind\",\"source\":\"{}\",\"target\":\"/mnt\",\
         \"read_only\":true,\"bind\":{bind}}}]}}",
        source.display()
    );
    hex::encode(Sha256::digest(json.as_bytes()))
}

/// The form that the Compose of now does not write.
fn foreign(project: &Project) -> String {
    let [short, long] = ["{}", "{\"create_host_path\":true}"].map(|bind| hash(project, bind));
    let own = project.compose(&["config", "--hash", "api"]);
    assert!(
        own.contains(&short) || own.contains(&long),
        "the service is hashed as it is written here: {own}"
    );
    if own.contains(&short) { long } else { short }
}

fn notes(run: &Run) -> Vec<String> {
    let status = run.status();
    let notes = status["services"][0]["notes"].as_array().unwrap().clone();
    notes.iter().map(|note| note["reason"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn container_that_another_compose_made_of_the_same_is_a_note_and_left_alone() {
    let project = project();
    assert!(notes(&project.check().expect(0)).is_empty());
    make_as(&project, "1.99.0", &foreign(&project));
    let before = project.containers("api");
    let check = project.check().expect(0);
    assert_eq!(notes(&check), ["ComposeUpgraded"]);
    assert_eq!(notes(&project.apply().expect(0)), ["ComposeUpgraded"]);
    assert!(project.with_manifest("check", &[]).stdout.contains("ComposeUpgraded"));
    assert!(project.steps().is_empty());
    assert_eq!(project.containers("api"), before);
    // The file itself changes: now it is another configuration, whoever made the container.
    project.write("compose.yaml", &COMPOSE.replace("10000", "10001"));
    assert_eq!(project.check().expect(1).drift("api"), "container ConfigChanged");
    project.apply().expect(0);
    assert_ne!(project.containers("api"), before);
    assert!(notes(&project.check().expect(0)).is_empty());
}

#[test]
fn container_of_another_compose_is_recreated_where_the_manifest_sets_that() {
    let project = project();
    make_as(&project, "1.99.0", &foreign(&project));
    let before = project.containers("api");
    project.manifest(&MANIFEST.replace("reconcile: {", "reconcile: { upgrades: recreate,"));
    assert_eq!(project.check().expect(1).drift("api"), "container ConfigChanged");
    project.apply().expect(0);
    assert_ne!(project.containers("api"), before);
    assert!(notes(&project.check().expect(0)).is_empty());
}

#[test]
fn nothing_is_taken_for_an_upgrade_that_is_not_verified_to_be_one() {
    let project = project();
    // Of another version, and of a configuration that nobody knows.
    make_as(&project, "1.99.0", &hash(&project, "{\"create_host_path\":false}"));
    let check = project.check().expect(1);
    assert_eq!((check.drift("api").as_str(), notes(&check).len()), ("container ConfigChanged", 0));
    // Of this very version.
    let version = docker(&["compose", "version", "--short"]);
    let version = version.trim().trim_start_matches('v').split('-').next().unwrap();
    make_as(&project, version, &foreign(&project));
    let check = project.check().expect(1);
    assert_eq!((check.drift("api").as_str(), notes(&check).len()), ("container ConfigChanged", 0));
}

/// With each kind of service whose hash is another one between 2.26, 2.40 and 5.6, or holds another container's ID.
fn of_every_kind() -> Project {
    let project = project();
    project.compose(&["down", "-t", "0"]);
    let names =
        ["api", "dep", "net", "ipc", "pid", "volumes", "read"].map(|name| format!("{{ name: {name} }}"));
    project.manifest(&MANIFEST.replace("[{ name: api }]", &format!("[{}]", names.join(", "))));
    let base = "image: undrift-example-base:latest, command: sleep 10000, init: true";
    // In another's PID namespace an init of its own has no place.
    let more = format!(
        "  dep: {{ {base}, depends_on: [api] }}\n  net: {{ {base}, network_mode: \"service:api\" }}\n  \
         ipc: {{ {base}, ipc: \"service:api\" }}\n  \
         pid: {{ image: undrift-example-base:latest, command: sleep 10000, stop_signal: KILL, pid: \"service:api\" }}\n  \
         volumes: {{ {base}, volumes_from: [api] }}\n  read: {{ {base}, volumes_from: [\"api:ro\", volumes] }}\n"
    );
    let shared = COMPOSE.replace("    init: true\n", "    init: true\n    ipc: shareable\n");
    project.write("compose.yaml", &format!("{shared}{more}"));
    project
}

/// Made by the one and looked at by the other: nothing is done. Returns how many services are noted.
#[track_caller]
fn repairs_nothing(made_by: &Compose, looked_at_by: &Compose) -> usize {
    let project = of_every_kind();
    made_by.run(&project, &["up", "-d"]);
    looked_at_by.install(&project);
    let verb = |verb: &str| run(&mut Compose::undrift(&project, verb));
    let containers = || docker(&["ps", "-aq", "--no-trunc", "--filter", &format!("name={}-", project.name)]);
    let before = containers();
    let check = verb("check").expect(0);
    verb("apply").expect(0);
    assert!(project.steps().is_empty() && containers() == before);
    let services = check.status()["services"].as_array().unwrap().clone();
    let noted = services.iter().filter(|service| !service["notes"].as_array().unwrap().is_empty()).count();
    // The same container is another one where the file has changed.
    let text = std::fs::read_to_string(project.path("compose.yaml")).unwrap();
    project
        .write("compose.yaml", &text.replace("volumes_from: [api]", "working_dir: /, volumes_from: [api]"));
    assert_eq!(verb("check").expect(1).drift("volumes"), "container ConfigChanged");
    noted
}

#[test]
#[ignore = "needs another Compose: scripts/test-engines"]
fn upgrade_of_compose_repairs_nothing() {
    let noted = repairs_nothing(&Compose::older(), &Compose::newer());
    // Whom that Compose itself would recreate is told.
    assert!(noted > 0);
}

#[test]
#[ignore = "needs another Compose: scripts/test-engines"]
fn downgrade_of_compose_repairs_nothing() {
    // 2.26 gives a container either of two hashes, and takes each that 2.40 has made for its own.
    repairs_nothing(&Compose::newer(), &Compose::older());
}

/// Each version puts itself into a label of the image, so that one source has as many IDs.
#[test]
#[ignore = "needs another Compose: scripts/test-engines"]
fn image_that_another_compose_built_of_the_same_source_is_as_declared() {
    let project = Project::new();
    project.add_module("api", "workflow");
    project.manifest(&FULL.replace("  reconcile:", "  source: { drift: enforce }\n  reconcile:"));
    let built_by_other = Compose::other();
    built_by_other.run(&project, &["build"]);
    built_by_other.run(&project, &["up", "-d", "--no-build"]);
    let before = project.image();
    project.apply().expect(0);
    assert!(project.steps().is_empty());
    // By hand, of the very same source: what runs is not what the reference names now, and one `up` is all that is needed.
    project.compose(&["build"]);
    assert_ne!(project.image(), before, "a version of Compose is in the image's labels");
    assert_eq!(project.check().expect(1).drift("api"), "container ImageOutdated");
    project.apply().expect(0);
    assert_eq!(project.steps(), ["Up"]);
    project.check().expect(0);
}

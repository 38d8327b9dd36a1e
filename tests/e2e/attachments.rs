//! An equal config hash does not mean that there is nothing to ask: networks, ports, copied configs and secrets.

use serde_json::Value;

use crate::{
    compose_binaries::Compose,
    support::{Project, Run, docker, run},
};

/// `api` and `web`, of an image that is there, as Compose files that a test adds to, and nothing declared of them.
pub(crate) fn of_base_image(services: &str, rest: &str) -> Project {
    let project = Project::new();
    project.manifest(MANIFEST);
    write(&project, services, rest);
    project.compose(&["up", "-d"]);
    project
}

/// A line per service: `api: { more }`.
pub(crate) fn write(project: &Project, services: &str, rest: &str) {
    let base = "image: undrift-example-base:latest, command: sleep 10000, init: true";
    let services: Vec<String> = services
        .lines()
        .map(|line| {
            let (name, more) = line.split_once(':').unwrap();
            format!("  {name}: {{ {base}{more} }}\n")
        })
        .collect();
    project.write("compose.yaml", &format!("services:\n{}{rest}\n", services.concat()));
}

const MANIFEST: &str = "apiVersion: undrift.dev/v1alpha1
kind: ComposeProject
metadata: { name: NAME }
spec:
  project: { directory: ., name: NAME }
  services: [{ name: api }, { name: web }]
  reconcile: { verify: { timeout: 30s, stableFor: 500ms }, backoff: { initial: 100ms, max: 1s } }
";

/// A subnet that no other test has.
fn subnet() -> String {
    format!("10.23{}.{}", std::process::id() / 250 % 10, std::process::id() % 250)
}

fn notes(run: &Run, service: usize) -> Vec<String> {
    let status = run.status();
    let notes = status["services"][service]["notes"].as_array().unwrap().clone();
    notes.iter().map(|note| note["reason"].as_str().unwrap().to_owned()).collect()
}

fn networks(container: &str) -> Value {
    let json = docker(&["inspect", "-f", "{{json .NetworkSettings.Networks}}", container]);
    serde_json::from_str(&json).unwrap()
}

/// `apply` replaces the container of `api`, proves it, and touches no other one.
#[track_caller]
fn is_recreated(project: &Project, reason: &str) {
    let (before, web) = (project.containers("api"), project.containers("web"));
    let check = project.check().expect(1);
    assert_eq!(check.drift("api"), format!("container {reason}"), "{check:?}");
    assert_eq!(check.plan(), ["Up"]);
    let apply = project.apply().expect(0);
    assert_eq!(apply.drift("api"), "");
    assert_eq!(project.steps().len(), 1, "a plain `up` would have changed nothing, and is not tried");
    assert_ne!(project.containers("api"), before);
    assert_eq!(project.containers("web"), web);
    project.check().expect(0);
}

#[test]
fn container_that_was_disconnected_is_recreated() {
    let project = of_base_image("api:\nweb:", "");
    project.check().expect(0);
    let [id] = &project.containers("api")[..] else { panic!() };
    docker(&["network", "disconnect", &format!("{}_default", project.name), id]);
    is_recreated(&project, "NetworkChanged");
    let [id] = &project.containers("api")[..] else { panic!() };
    assert!(networks(id)[format!("{}_default", project.name)].is_object());
}

#[test]
fn container_off_one_of_its_networks_is_recreated() {
    let project = of_base_image(
        "api:, networks: [front, back]\nweb:, networks: [front]",
        "networks: { front: , back: }",
    );
    project.check().expect(0);
    let [id] = &project.containers("api")[..] else { panic!() };
    docker(&["network", "disconnect", &format!("{}_back", project.name), id]);
    is_recreated(&project, "NetworkChanged");
}

#[test]
fn container_that_was_connected_again_without_its_names_is_recreated() {
    let project = of_base_image("api:, networks: { default: { aliases: [backend] } }\nweb:", "");
    project.check().expect(0);
    let [id] = &project.containers("api")[..] else { panic!() };
    let network = format!("{}_default", project.name);
    docker(&["network", "disconnect", &network, id]);
    docker(&["network", "connect", "--alias", "api", "--alias", "backend", &network, id]);
    project.check().expect(0);
    docker(&["network", "disconnect", &network, id]);
    docker(&["network", "connect", "--alias", "api", &network, id]);
    is_recreated(&project, "NetworkChanged");
}

#[test]
fn container_at_another_address_is_recreated() {
    let subnet = subnet();
    let project = of_base_image(
        &format!("api:, networks: {{ default: {{ ipv4_address: {subnet}.99 }} }}\nweb:"),
        &format!("networks: {{ default: {{ ipam: {{ config: [{{ subnet: {subnet}.0/24 }}] }} }} }}"),
    );
    project.check().expect(0);
    let [id] = &project.containers("api")[..] else { panic!() };
    let network = format!("{}_default", project.name);
    docker(&["network", "disconnect", &network, id]);
    docker(&["network", "connect", "--alias", "api", &network, id]);
    is_recreated(&project, "NetworkChanged");
}

#[test]
fn container_that_somebody_connected_to_one_more_network_is_left_alone() {
    let project = of_base_image("api:\nweb:, networks: [own]", "networks: { own: }");
    let [id] = &project.containers("api")[..] else { panic!() };
    docker(&["network", "connect", &format!("{}_own", project.name), id]);
    project.check().expect(0);
    project.apply().expect(0);
    assert!(project.steps().is_empty());
}

/// Made by hand with all that Compose's labels say, but for the ports.
#[test]
fn container_whose_port_is_not_published_is_recreated() {
    let project = of_base_image("api:, ports: [\"127.0.0.1::3000\"]\nweb:", "");
    project.check().expect(0);
    let [id] = &project.containers("api")[..] else { panic!() };
    let labels = docker(&["inspect", "-f", "{{json .Config.Labels}}", id]);
    let labels: serde_json::Map<String, Value> = serde_json::from_str(&labels).unwrap();
    let labels: Vec<String> =
        labels.iter().map(|(name, value)| format!("--label={name}={}", value.as_str().unwrap())).collect();
    docker(&["rm", "-f", id]);
    let (network, name) =
        (format!("--network={}_default", project.name), format!("--name={}-api-1", project.name));
    let run: Vec<&str> = ["run", "-d", "--init", &network, &name, "--network-alias=api"]
        .into_iter()
        .chain(labels.iter().map(String::as_str))
        .chain(["undrift-example-base:latest", "sleep", "10000"])
        .collect();
    docker(&run);
    is_recreated(&project, "NetworkChanged");
}

/// Each content is as long as the one before it.
#[test]
fn container_with_another_content_of_a_config_or_secret_is_recreated() {
    let services = "api:, configs: [{ source: inline, target: /etc/inline }, { source: variable, target: /etc/variable }], \
                    secrets: [{ source: hidden, target: hidden }]\nweb:";
    let rest = |content: &str| {
        format!(
            "configs: {{ inline: {{ content: \"{content}\" }}, variable: {{ environment: VARIABLE }} }}\n\
             secrets: {{ hidden: {{ environment: HIDDEN }} }}"
        )
    };
    let project = Project::new();
    project.manifest(MANIFEST);
    project.write(".env", "VARIABLE=blue\nHIDDEN=hunter1\n");
    write(&project, services, &rest("costs $$5 ü"));
    project.compose(&["up", "-d"]);
    project.check().expect(0);
    let was = |name: &str| {
        let check = project.check();
        let message = check.status()["services"][0]["drift"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(name), "{message}");
        let before = project.containers("api");
        project.apply().expect(0);
        assert_ne!(project.containers("api"), before);
        project.check().expect(0);
    };
    write(&project, services, &rest("costs $$6 ü"));
    assert_eq!(project.check().expect(1).drift("api"), "container ConfigChanged");
    was("config inline");
    project.write(".env", "VARIABLE=pink\nHIDDEN=hunter1\n");
    was("config variable");
    project.write(".env", "VARIABLE=pink\nHIDDEN=hunter2\n");
    was("secret hidden");
    assert_eq!(project.steps().len(), 3, "one step for each");
    let stored = std::fs::read_dir(project.state_dir()).unwrap();
    for file in stored.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"hunter"), "{}", file.display());
    }
}

/// An entry point that fills in what Compose copied would otherwise be recreated for ever.
#[test]
fn config_that_the_container_has_written_is_no_drift() {
    let project = of_base_image(
        "api:, configs: [{ source: c, target: /etc/template }]\nweb:",
        "configs: { c: { content: \"port=PORT\" } }",
    );
    let [id] = &project.containers("api")[..] else { panic!() };
    docker(&["exec", id, "sed", "-i", "s/PORT/80/", "/etc/template"]);
    docker(&["restart", "-t", "0", id]);
    project.check().expect(0);
    project.apply().expect(0);
    assert!(project.steps().is_empty());
}

#[test]
fn services_of_every_shape_are_as_declared() {
    let subnet = subnet();
    let project = Project::new();
    let outside = format!("{}-outside", project.name);
    docker(&[
        "network",
        "create",
        "--label",
        &format!("com.docker.compose.project={}", project.name),
        &outside,
    ]);
    let services = [
        "api:, networks: { front: { aliases: [backend, b2] }, back: { ipv4_address: IP.9, priority: 5 }, outside: }, \
         ports: [\"127.0.0.1::80\", \"81\", \"127.0.0.1:0:82/udp\", \"[::1]::83\"], expose: [\"84\"], x-own: { a: b }, \
         configs: [{ source: c1, target: /etc/c1 }, c2], secrets: [s1], volumes: [\"data:/data\", \"./api:/mnt:ro\"], \
         deploy: { replicas: 1, resources: { limits: { memory: 50M } } }",
        "web:, networks: [inner], ports: [\"80\"]",
        "host:, network_mode: host, ports: [\"85\"]",
        "none:, network_mode: none",
        "bridge:, network_mode: bridge, ports: [\"127.0.0.1::80\"]",
        "shared:, network_mode: \"service:web\"",
        "by-container:, network_mode: \"container:NAME-web-1\", depends_on: [web]",
        "by-name:, network_mode: NAME_front, depends_on: [web]",
        "linked:, links: [\"web:www\"], networks: [inner, default]",
        "plain:",
        "aside:, profiles: [aside]",
    ];
    let services = services.join("\n").replace("IP.9", &format!("{subnet}.9")).replace("NAME", &project.name);
    let rest = format!(
        "x-top: {{ a: b }}\n\
         configs: {{ c1: {{ content: \"a$$b\" }}, c2: {{ file: ./api/Dockerfile }}, unused: {{ content: x }} }}\n\
         secrets: {{ s1: {{ file: ./api/Dockerfile }} }}\n\
         volumes: {{ data: {{ labels: {{ a: b }} }} }}\n\
         networks:\n  front: {{ labels: {{ tier: \"<a&b>$$\" }}, driver_opts: {{ com.docker.network.bridge.enable_icc: \"true\" }}, attachable: true }}\n  \
         back: {{ ipam: {{ config: [{{ subnet: {subnet}.0/24, gateway: {subnet}.1, ip_range: {subnet}.0/25, aux_addresses: {{ r: {subnet}.5 }} }}] }} }}\n  \
         inner: {{ internal: true, enable_ipv6: false }}\n  outside: {{ external: true, name: {outside} }}\n  unused: {{ }}"
    );
    write(&project, &services, &rest);
    let names = "api web host none bridge shared by-container by-name linked plain".split(' ');
    let listed: Vec<String> = names.map(|name| format!("{{ name: {name} }}")).collect();
    project
        .manifest(&MANIFEST.replace("[{ name: api }, { name: web }]", &format!("[{}]", listed.join(", "))));
    project.compose(&["up", "-d", "web"]);
    project.compose(&["up", "-d"]);
    project.check().expect(0);
    project.apply().expect(0);
    project.compose(&["restart", "--no-deps", "-t", "0", "api"]);
    project.check().expect(0);
    assert!(project.steps().is_empty());
}

#[test]
fn replicas_in_a_range_of_ports_are_as_declared() {
    // Below those that Linux gives to any connection (`ip_local_port_range`, from 32768 on).
    let first = 20000 + std::process::id() % 12000;
    let ports = format!("api:, scale: 2, ports: [\"127.0.0.1:{first}-{}:80\"]\nweb:", first + 1);
    let project = of_base_image(&ports, "");
    project.check().expect(0);
    project.apply().expect(0);
    assert!(project.steps().is_empty());
}

#[test]
#[ignore = "needs another Compose: scripts/test-engines"]
fn no_up_is_taken_on_a_network_that_compose_would_make_anew_until_a_person_has_it_made() {
    let tier = |tier: &str| format!("networks: {{ default: {{ labels: {{ tier: {tier} }} }} }}");
    let project = Project::new();
    project.manifest(MANIFEST);
    write(&project, "api:\nweb:", &tier("one"));
    let compose = Compose::newer();
    compose.install(&project);
    compose.run(&project, &["up", "-d"]);
    let undrift = |verb: &str, code: i32| run(&mut Compose::undrift(&project, verb)).expect(code);
    undrift("check", 0);
    let containers = (project.containers("api"), project.containers("web"));
    // An edit of the network, and one that needs an `up`.
    write(&project, "api:, environment: { V: two }\nweb:", &tier("two"));
    assert_eq!(undrift("check", 1).drift("api"), "container ConfigChanged");
    let apply = undrift("apply", 1);
    let stalled = apply.status()["conditions"].to_string();
    assert!(stalled.contains("up --detach --no-deps api web"), "{stalled}");
    assert!(project.steps().is_empty());
    assert_eq!((project.containers("api"), project.containers("web")), containers);
    // What it names is what helps. Compose 2.40.3 puts `web`, which it keeps, on the new network without the name of its
    // service: that is left to undrift.
    compose.run(&project, &["up", "--detach", "--no-deps", "api", "web"]);
    let left = drift_of_web(&project);
    assert!(["", "container NetworkChanged"].contains(&left.as_str()), "{left}");
    undrift("apply", 0);
    undrift("check", 0);
    assert_eq!(project.steps(), vec!["Up"; usize::from(!left.is_empty())]);
}

/// What has drifted of `web`, with the Compose that was installed.
fn drift_of_web(project: &Project) -> String {
    run(&mut Compose::undrift(project, "check")).drift("web")
}

#[test]
fn network_of_another_definition_is_reported_and_not_touched() {
    for (before, after) in [
        ("labels: { tier: one }", "labels: { tier: two }"),
        ("labels: { tier: one }", ""),
        ("internal: true", "internal: false"),
        ("", "driver_opts: { com.docker.network.bridge.enable_icc: \"false\" }"),
        ("", "ipam: { config: [{ subnet: SUBNET }] }"),
    ] {
        let rest = |definition: &str| {
            let definition = definition.replace("SUBNET", &format!("{}.0/24", subnet()));
            format!("networks: {{ default: {{ {definition} }} }}")
        };
        let project = of_base_image("api:\nweb:", &rest(before));
        project.check().expect(0);
        let containers = (project.containers("api"), project.containers("web"));
        write(&project, "api:\nweb:", &rest(after));
        let check = project.check().expect(1);
        assert_eq!(check.drift("api"), "container NetworkDefinitionChanged", "{before} → {after}");
        assert!(check.plan().is_empty());
        let text = project.with_manifest("check", &[]).stdout;
        assert!(text.contains("docker compose ") && text.contains("api web"), "{text}");
        let apply = project.apply().expect(1);
        assert_eq!(apply.condition("Stalled"), "True NetworkDefinitionChanged");
        assert!(project.steps().is_empty());
        assert_eq!((project.containers("api"), project.containers("web")), containers);
    }
}

#[test]
fn volume_of_another_definition_is_a_note() {
    let services = "api:, volumes: [\"data:/data\"]\nweb:";
    let project = of_base_image(services, "volumes: { data: { labels: { a: one } } }");
    assert!(notes(&project.check().expect(0), 0).is_empty());
    for rest in [
        "volumes: { data: { labels: { a: two } } }",
        "volumes: { data: { driver_opts: { type: tmpfs, device: tmpfs, o: size=1m } } }",
    ] {
        write(&project, services, rest);
        let check = project.check().expect(0);
        assert_eq!((notes(&check, 0), notes(&check, 1)), (vec!["VolumeChanged".to_owned()], vec![]));
        let apply = project.apply().expect(0);
        assert_eq!(notes(&apply, 0), ["VolumeChanged"]);
        assert!(project.undrift(&["describe", &project.name]).stdout.contains("VolumeChanged"));
    }
    assert!(project.steps().is_empty());
}

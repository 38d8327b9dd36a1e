//! A port of the host that a service is to publish and that somebody else has: what works is not taken down for it, and what is
//! down for it comes back once the other one is gone.

use std::{
    io,
    net::{Shutdown, TcpListener, TcpStream, UdpSocket},
    os::unix::net::UnixStream,
    process::Command,
    thread,
};

use crate::{
    daemon::Daemon,
    processes::Running,
    support::{MANIFEST, Project, Run, docker, run, wait_for},
};

/// A container of nobody's project with this port, until it is dropped.
struct Other(String);

impl Other {
    fn with(project: &Project, published: &str) -> Self {
        let name = format!("{}-other", project.name);
        docker(&["run", "-d", "--name", &name, "-p", published, "undrift-example-base", "sleep", "600"]);
        Self(name)
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "-f", &self.0]).output();
    }
}

/// Ports that nobody has, and nobody is given by chance while the test runs.
fn free_ports(count: usize) -> Vec<u16> {
    let all: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("0.0.0.0:0").unwrap()).collect();
    all.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

fn publish(project: &Project, ports: &str) {
    let compose = format!(
        "services:\n  api: {{ build: ./api, init: true, stop_grace_period: 1s, ports: [{ports}] }}\n"
    );
    project.write("compose.yaml", &compose);
}

/// A healthy project that publishes this, verified.
fn project(ports: &str) -> Project {
    let project = Project::new();
    project.add_module("api", "workflow");
    project.manifest(&MANIFEST.replace("timeout: 60s", "timeout: 5s"));
    publish(&project, ports);
    project.compose(&["up", "-d", "--build"]);
    project.apply().expect(0);
    project
}

fn stalled(run: &Run) -> String {
    let status = run.status();
    let conditions = status["conditions"].as_array().unwrap();
    let stalled = conditions.iter().find(|condition| condition["type"] == "Stalled").unwrap();
    format!("{} {}", stalled["reason"].as_str().unwrap(), stalled["message"].as_str().unwrap())
}

/// No step is begun, for a reason that names the port and whoever has it; the container of before works on.
#[track_caller]
fn assert_held_back(project: &Project, port: u16, who: &str) {
    let (container, steps) = (project.containers("api"), project.steps());
    let apply = project.apply().expect(1);
    let why = stalled(&apply);
    assert!(why.starts_with("PortTaken ") && why.contains(&format!("port {port} of this host")), "{why}");
    assert!(why.contains(who), "no {who:?} in {why}");
    assert_eq!((project.containers("api"), project.steps()), (container, steps));
    assert!(project.runs_its_image());
    let notes = apply.status()["services"][0]["notes"].to_string();
    assert!(notes.contains("PortTaken"), "{notes}");
}

#[test]
fn an_edit_of_a_port_that_another_container_has_leaves_the_service_as_it_is() {
    let ports = free_ports(2);
    let project = project(&format!("\"{}:3000\"", ports[0]));
    let other = Other::with(&project, &format!("{}:80", ports[1]));
    publish(&project, &format!("\"{}:3000\"", ports[1]));
    assert_held_back(&project, ports[1], &format!("the container {}", other.0));
    let doctor = project.with_manifest("doctor", &[]);
    assert!(doctor.stdout.contains("PortsFree") && doctor.stdout.contains(&other.0), "{doctor:?}");
    drop(other);
    project.apply().expect(0);
    assert_eq!(project.steps(), ["Up"]);
}

#[test]
fn a_process_has_a_port_as_well_and_an_address_beside_it_is_free() {
    let ports = free_ports(2);
    let project = project(&format!("\"{}:3000\"", ports[0]));
    let listener = TcpListener::bind(("127.0.0.1", ports[1])).unwrap();
    publish(&project, &format!("\"{}:3000\"", ports[1]));
    assert_held_back(&project, ports[1], &format!("process {}", std::process::id()));
    publish(&project, &format!("\"127.0.0.2:{}:3000\"", ports[1]));
    project.apply().expect(0);
    assert_eq!(project.steps(), ["Up"]);
    drop(listener);
}

/// `network_mode` may name a network, where a container publishes ports as anywhere else.
#[test]
fn a_service_on_the_engines_own_network_publishes_ports_as_well() {
    let ports = free_ports(2);
    let on_bridge = |port: u16| {
        format!(
            "services:\n  api: {{ build: ./api, init: true, stop_grace_period: 1s, network_mode: bridge, ports: [\"{port}:3000\"] }}\n"
        )
    };
    let project = project(&format!("\"{}:3000\"", ports[0]));
    project.write("compose.yaml", &on_bridge(ports[0]));
    project.apply().expect(0);
    assert_eq!(project.steps(), ["Up"]);
    assert_eq!(project.check().expect(0).drift("api"), "");
    let other = Other::with(&project, &format!("{}:80", ports[1]));
    project.write("compose.yaml", &on_bridge(ports[1]));
    assert_held_back(&project, ports[1], &format!("the container {}", other.0));
}

#[test]
fn udp_has_ports_of_its_own() {
    let ports = free_ports(2);
    let project = project(&format!("\"{}:3000\"", ports[0]));
    let socket = UdpSocket::bind(("0.0.0.0", ports[1])).unwrap();
    publish(&project, &format!("\"{}:3000\", \"{}:3000/udp\"", ports[0], ports[1]));
    assert_held_back(&project, ports[1], "UDP port");
    publish(&project, &format!("\"{}:3000\"", ports[1]));
    project.apply().expect(0);
    drop(socket);
}

#[test]
fn port_that_the_step_frees_is_free() {
    let ports = free_ports(2);
    let project = project(&format!("\"127.0.0.1:{}:3000\"", ports[0]));
    publish(&project, &format!("\"{}:3000\"", ports[0]));
    project.apply().expect(0);

    // Two services of the object that change their ports with each other.
    let swapped = |api: u16, web: u16| {
        let compose = format!(
            "services:\n  api: {{ build: ./api, init: true, ports: [\"{api}:3000\"] }}\n  web: {{ image: undrift-example-base, \
             init: true, command: sleep 600, ports: [\"{web}:80\"] }}\n"
        );
        project.write("compose.yaml", &compose);
    };
    swapped(ports[0], ports[1]);
    project.manifest(&MANIFEST.replace("  reconcile:", "    - name: web\n  reconcile:"));
    project.apply().expect(0);
    swapped(ports[1], ports[0]);
    let apply = project.apply().expect(0);
    assert_eq!((apply.drift("api"), apply.drift("web")), (String::new(), String::new()));
}

#[test]
fn of_a_range_one_that_is_free_will_do() {
    let project = project("");
    // Somebody may be given one of these by chance meanwhile, but not all.
    let (first, last) = (41_830, 41_838);
    let taken = TcpListener::bind(("0.0.0.0", first)).unwrap();
    publish(&project, &format!("\"{first}-{last}:3000\""));
    project.apply().expect(0);
    drop(taken);
}

/// A way to the engine by an address that is not this host's loopback: nothing is known then of the host's own sockets.
fn engine_elsewhere() -> String {
    let subnet = docker(&["network", "inspect", "bridge", "-f", "{{(index .IPAM.Config 0).Subnet}}"]);
    let (network, _) = subnet.trim().split_once('/').unwrap();
    // The address of this host on the way to the engine's own network.
    let way = UdpSocket::bind("0.0.0.0:0").unwrap();
    way.connect((network, 9))
        .or_else(|_| way.connect((network.replace(".0.0", ".0.2").as_str(), 9)))
        .unwrap();
    let listener = TcpListener::bind((way.local_addr().unwrap().ip(), 0)).unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    let socket = host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock").to_owned();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let engine = UnixStream::connect(&socket).unwrap();
            thread::spawn(move || carry(&client, &engine));
        }
    });
    url
}

fn carry(client: &TcpStream, engine: &UnixStream) {
    let (mut from, mut to) = (client.try_clone().unwrap(), engine.try_clone().unwrap());
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let (mut engine, mut client) = (engine, client);
    let _ = io::copy(&mut engine, &mut client);
    let _ = client.shutdown(Shutdown::Both);
}

/// It could not be foreseen: the container of before is gone, and the new one cannot have its port. It is started once it can,
/// also when all attempts are spent; no image is rolled back for it.
#[test]
fn what_is_down_for_its_port_is_started_once_the_port_is_free() {
    let ports = free_ports(2);
    let project = project(&format!("\"{}:3000\"", ports[0]));
    let listener = TcpListener::bind(("0.0.0.0", ports[1])).unwrap();
    publish(&project, &format!("\"{}:3000\"", ports[1]));
    // Another engine's address is another place of the record.
    std::fs::remove_dir_all(project.state_dir()).unwrap();
    let engine = engine_elsewhere();
    let with = |args: &[&str]| {
        let mut command = project.command(args);
        command.env("DOCKER_HOST", &engine).env_remove("DOCKER_CONTEXT");
        command
    };
    let apply = run(&mut with(&["apply", "-f", "undrift.yaml", "-o", "json"])).expect(1);
    assert_eq!(apply.drift("api"), "container NotRunning", "{apply:?}");
    let drift = apply.status()["services"][0]["drift"]["message"].to_string();
    assert!(drift.contains("a port of the host that it publishes was taken"), "{drift}");
    let steps = project.steps();
    assert!(steps.len() >= 3 && steps.iter().all(|step| step == "Up"), "{steps:?}");
    assert!(!project.trail().iter().any(|record| record["kind"] == "RolledBack"));

    let daemon = Daemon::spawn(&mut with(&["run", "-f", "undrift.yaml"]), &project);
    wait_for("a start beyond the budget", || {
        project.trail().iter().any(|record| {
            record["step"] == "Up" && record["kind"] == "StepFinished" && record["outcome"] == "Failed"
        })
    });
    drop(listener);
    wait_for("the service to run", || project.runs_its_image());
    let ready = || project.undrift(&["get", "-o", "json"]).condition("Ready").starts_with("True ");
    wait_for("it to be verified", ready);
    assert!(daemon.end().success());
}

/// Two services of the object, `web` and `api`, of which `api` is to have the port of `web` from now on.
fn handed_over(api: u16, web: u16, image: &str) -> String {
    format!(
        "services:\n  api: {{ build: ./api, init: true, stop_grace_period: 1s, ports: [\"{api}:3000\"] }}\n  web: {{ {image}, init: true, \
         command: sleep 600, stop_grace_period: 1s, ports: [\"{web}:80\"] }}\n"
    )
}

#[test]
fn a_port_of_a_service_that_keeps_it_for_now_takes_no_other_service_down() {
    let ports = free_ports(3);
    let project = project(&format!("\"{}:3000\"", ports[0]));
    let image = "image: undrift-example-base";
    project.write("compose.yaml", &handed_over(ports[0], ports[1], image));
    let manifest = MANIFEST.replace("timeout: 60s", "timeout: 5s");
    project.manifest(&manifest.replace("  reconcile:", "    - name: web\n  reconcile:"));
    project.apply().expect(0);
    let before = (project.containers("api"), project.containers("web"), project.steps());

    // The port that `web` is to have in its place is somebody else's.
    let other = Other::with(&project, &format!("{}:80", ports[2]));
    project.write("compose.yaml", &handed_over(ports[1], ports[2], image));
    let apply = project.apply().expect(1);
    assert_eq!((project.containers("api"), project.containers("web"), project.steps()), before, "{apply:?}");
    assert!(project.runs_its_image());
    assert!(stalled(&apply).contains("web has one that api is to publish"), "{apply:?}");
    drop(other);

    // It is to be built first, which takes its time.
    project.write("web/Dockerfile", "FROM undrift-example-base\nRUN sleep 2\n");
    project.write("compose.yaml", &handed_over(ports[1], ports[2], "build: ./web"));
    let mut apply = Running(project.command(&["apply", "-f", "undrift.yaml"]).spawn().unwrap());
    wait_for("the build", || project.is_at(" build "));
    assert_eq!(project.containers("api"), before.0, "it works on while the other one is built");
    assert!(apply.0.wait().unwrap().success());
    assert_eq!(project.steps()[before.2.len()..], ["Build", "Up"]);
}

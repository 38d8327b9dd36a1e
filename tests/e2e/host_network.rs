//! `network_mode: host`: an answer counts only where the socket that listens is the container's, and nobody else is told a
//! password.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use crate::support::{MANIFEST, Project, Run, SERVE, docker, run, wait_for};

/// Another program of this host: it answers as the service is declared to, and keeps the heads of all requests.
struct Impostor {
    heads: Arc<Mutex<Vec<String>>>,
}

impl Impostor {
    fn at(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heads);
        // It ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                kept.lock().unwrap().push(answer(stream.unwrap()));
            }
        });
        Self { heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn answer(mut stream: TcpStream) -> String {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let head: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let has_credentials = head.iter().any(|line| line.to_lowercase().starts_with("authorization:"));
    let status = match (head[0].contains(" /api/workflow "), has_credentials) {
        (true, true) => "200 OK",
        (true, false) => "401 Unauthorized",
        _ => "404 Not Found",
    };
    // Whoever has asked may be gone.
    let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    head.join("\n")
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// The project on the host's network, with a server that listens at this port.
fn on_host_network(port: u16) -> Project {
    let project = Project::new();
    project.add_module("api", "workflow");
    project.write("api/serve", &SERVE.replace("-p 3000", &format!("-p {port}")));
    project.write(
        "compose.yaml",
        "services:\n  api: { build: ./api, init: true, stop_grace_period: 1s, network_mode: host }\n",
    );
    let manifest = MANIFEST.replace("port: 3000", &format!("port: {port}"));
    project.manifest(&manifest.replace("timeout: 60s", "timeout: 3s"));
    project.compose(&["up", "-d", "--build"]);
    project
}

/// Ends the server in the container, which sleeps on.
fn asleep(port: u16) -> Project {
    let project = on_host_network(port);
    project.write("api/serve", "exec sleep 1000000\n");
    project.compose(&["up", "-d", "--build"]);
    project
}

fn route(run: &Run) -> serde_json::Value {
    run.status()["services"][0]["routes"][0].clone()
}

#[test]
fn container_that_owns_the_socket_is_verified_with_its_credentials() {
    let project = on_host_network(free_port());
    wait_for("the server", || project.check().code == Some(0));
    let check = project.check().expect(0);
    assert_eq!(route(&check)["observed"], 401);
    assert_eq!(route(&check)["auth"]["observed"], 200);
    docker(&["kill", &project.containers("api")[0]]);
    project.apply().expect(0);
    assert_eq!(project.steps(), ["Up"]);
}

/// The end of the container, which is a part of the step, frees the port that it listens at.
#[test]
fn container_that_leaves_the_hosts_network_may_publish_the_port_that_it_listens_at() {
    let port = free_port();
    let project = on_host_network(port);
    wait_for("the server", || project.check().code == Some(0));
    project.apply().expect(0);
    let compose = format!(
        "services:\n  api: {{ build: ./api, init: true, stop_grace_period: 1s, ports: [\"{port}:{port}\"] }}\n"
    );
    project.write("compose.yaml", &compose);
    project.apply().expect(0);
    assert_eq!(project.steps(), ["Up"]);
}

#[test]
fn another_program_at_the_port_is_no_answer_and_is_sent_nothing() {
    let port = free_port();
    let project = asleep(port);
    let impostor = Impostor::at(port);
    for run in [project.check(), project.apply()] {
        let run = run.expect(1);
        assert_eq!(run.condition("Ready"), "Unknown NotKnown", "{run:?}");
        assert!(route(&run)["observed"].is_null() && route(&run)["auth"]["observed"].is_null(), "{run:?}");
    }
    assert_eq!(project.steps(), [""; 0], "no step wins the port back");
    let words = project.with_manifest("check", &[]).expect(1).stdout;
    let whose = format!("port {port} of this host is served by another process than the container's");
    assert!(words.contains(&whose), "{words}");
    assert!(words.contains(&format!("(process {})", std::process::id())), "{words}");
    assert_eq!(impostor.heads(), [""; 0], "nothing was sent to it");
}

#[test]
fn another_program_is_none_either_where_the_container_shares_the_network_of_one_that_is_on_the_hosts() {
    let port = free_port();
    let project = asleep(port);
    project.write(
        "compose.yaml",
        "services:\n  front: { image: undrift-example-base, command: [sleep, '1000000'], network_mode: host, init: true }\n  \
         api: { build: ./api, init: true, stop_grace_period: 1s, network_mode: 'service:front' }\n",
    );
    project.compose(&["up", "-d"]);
    let impostor = Impostor::at(port);
    let check = project.check().expect(1);
    assert!(route(&check)["observed"].is_null(), "{check:?}");
    assert_eq!(impostor.heads(), [""; 0]);
}

#[test]
fn port_that_nobody_listens_at_is_unreachable_as_anywhere() {
    let project = asleep(free_port());
    assert_eq!(project.check().expect(1).drift("api"), "route Unreachable");
}

/// As the unit would be without its capability: root, with the right to read files and no other.
#[test]
fn without_the_capability_no_probe_is_sent_and_doctor_and_check_report_it() {
    let project = on_host_network(free_port());
    wait_for("the server", || project.check().code == Some(0));
    let without = |args: &[&str]| {
        let mut command = Command::new("setpriv");
        let undrift = project.command(args);
        command.args(["--bounding-set=-all,+dac_read_search", "--"]).arg(undrift.get_program());
        command.args(undrift.get_args()).current_dir(project.path(""));
        command.envs(undrift.get_envs().filter_map(|(name, value)| Some((name, value?))));
        run(&mut command)
    };
    let check = without(&["check", "-f", "undrift.yaml", "-o", "json"]).expect(1);
    assert!(route(&check)["observed"].is_null(), "{check:?}");
    let check = without(&["check", "-f", "undrift.yaml"]).expect(1).stdout;
    assert!(check.contains("that takes CAP_SYS_PTRACE"), "{check}");
    let doctor = without(&["doctor", "-f", "undrift.yaml"]).stdout;
    let line = doctor.lines().find(|line| line.contains("RoutesReachable")).unwrap();
    assert!(line.contains("CAP_SYS_PTRACE") && doctor.contains("CapabilityBoundingSet="), "{doctor}");
    let doctor = project.undrift(&["doctor", "-f", "undrift.yaml"]).stdout;
    let line = doctor.lines().find(|line| line.contains("RoutesReachable")).unwrap();
    assert!(line.contains("every route by port can be asked"), "{doctor}");
}

//! What a host's own ways (links, folders, people's other commands) must not be taken for.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use serde_json::Value;

use crate::{
    daemon::Daemon,
    support::{MANIFEST, Project, Run, docker, run},
};

/// As declared, brought up by a person who stood at a link to its folder, with a file that names no project and says
/// `${PWD}`. The link's path.
fn behind_a_link() -> (Project, std::path::PathBuf) {
    let project = Project::new();
    project.add_module("api", "workflow");
    let api = "{ build: ./api, init: true, stop_grace_period: 1s, volumes: ['${PWD}/data:/data'] }";
    project.write("compose.yaml", &format!("services:\n  api: {api}\n"));
    project.manifest(&MANIFEST.replace("{ directory: ., name: NAME }", "{ directory: . }"));
    let link = project.path("").parent().unwrap().join(&project.name);
    symlink("project", &link).unwrap();
    let mut up = Command::new("docker");
    up.args(["compose", "up", "-d", "--build"]).current_dir(&link).env("PWD", &link).stdin(Stdio::null());
    let up = run(&mut up);
    assert_eq!(up.code, Some(0), "{up:?}");
    (project, link)
}

fn standing_at(project: &Project, folder: &Path, verb: &str, manifest: &Path) -> Run {
    let mut command = project.command(&[verb, "-o", "json", "-f"]);
    run(command.arg(manifest).current_dir(folder).env("PWD", folder))
}

#[test]
fn project_behind_a_link_is_the_one_that_a_person_brought_up_there() {
    let (project, link) = behind_a_link();
    let before = project.containers("api");
    for (folder, manifest) in
        [(Path::new("/"), link.join("undrift.yaml")), (&link, Path::new("undrift.yaml").to_owned())]
    {
        let check = standing_at(&project, folder, "check", &manifest).expect(0);
        assert_eq!(check.drift("api"), "", "{}", folder.display());
    }
    standing_at(&project, Path::new("/"), "apply", &link.join("undrift.yaml")).expect(0);
    assert_eq!((project.containers("api"), project.steps().len()), (before, 0), "adoption disturbs nothing");
}

#[test]
fn missing_tag_of_a_service_that_cannot_be_built_is_unknown_and_no_drift() {
    let project = Project::new();
    let (image, other) = (format!("{}-fetched:1", project.name), format!("{}-fetched:other", project.name));
    // An image of its own: what has this project's name is removed in the end, by its ID.
    project.write("own/Dockerfile", &format!("FROM undrift-example-base\nLABEL of={}\n", project.name));
    docker(&["build", "-q", "-t", &image, "-t", &other, project.path("own").to_str().unwrap()]);
    project.write(
        "compose.yaml",
        &format!("services:\n  api: {{ image: '{image}', command: sleep 1000, init: true }}\n"),
    );
    let (head, policy) = MANIFEST.split_once("      modules:").unwrap();
    let policy = policy.split_once("  reconcile:").unwrap().1.replace("timeout: 60s", "timeout: 1s");
    // With a module and without: the artifact layer is declared only with one.
    let module = "      modules: [{ path: /bin/busybox }]\n";
    project.manifest(&format!("{head}{module}  reconcile:{policy}"));
    project.compose(&["up", "-d"]);
    project.check().expect(0);
    docker(&["rmi", &image]);
    let before = project.containers("api");
    let check = project.check().expect(1);
    assert_eq!((check.drift("api").as_str(), check.plan().len()), ("", 0));
    assert!(check.condition("Ready").starts_with("Unknown"), "{}", check.stdout);
    project.apply().expect(1);
    project.manifest(&format!("{head}  reconcile:{policy}"));
    let check = project.apply().expect(1);
    assert!(check.condition("Ready").starts_with("Unknown"), "{}", check.stdout);
    assert_eq!((project.containers("api"), project.steps().len()), (before, 0));
    docker(&["tag", &other, &image]);
    project.check().expect(0);
}

/// A proxy of this process in front of a container's published port: it says 404 of its own for the path of the route,
/// and for all others, as long as nobody is behind it. It ends with the test's process.
fn proxy_to(port: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut from in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut head = [0; 4096];
                let length = from.read(&mut head).unwrap_or(0);
                let mut reply = Vec::new();
                if let Ok(mut to) = TcpStream::connect(("127.0.0.1", port)) {
                    let _ = to.write_all(&head[..length]);
                    let _ = to.read_to_end(&mut reply);
                }
                if reply.is_empty() {
                    reply = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec();
                }
                let _ = from.write_all(&reply);
            });
        }
    });
    own
}

/// A port of this host that is free.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// As declared, with the service's port published, and its route asked at a URL.
fn asked_at_a_url(url: &str, port: u16) -> Project {
    let project = Project::new();
    project.add_module("api", "workflow");
    let api =
        format!("{{ build: ./api, init: true, stop_grace_period: 1s, ports: ['127.0.0.1:{port}:3000'] }}");
    project.write("compose.yaml", &format!("services:\n  api: {api}\n"));
    project.manifest(&MANIFEST.replace(
        "        - path: /api/workflow\n          port: 3000\n",
        &format!("        - name: workflow\n          url: {url}\n"),
    ));
    project.compose(&["up", "-d", "--build"]);
    project
}

#[test]
fn answer_of_a_proxy_with_nobody_behind_it_is_no_baseline() {
    let port = free_port();
    let project = asked_at_a_url(&format!("http://127.0.0.1:{}/api/workflow", proxy_to(port)), port);
    crate::support::wait_for("the server", || project.check().code == Some(0));
    docker(&["kill", &project.containers("api")[0]]);
    let check = project.check().expect(1);
    assert_eq!(check.drift("api"), "container NotRunning");
    assert_eq!(check.status()["services"][0]["routes"][0]["observed"], Value::Null, "{}", check.stdout);
    let apply = project.apply().expect(0);
    let route = &apply.status()["services"][0]["routes"][0];
    assert_eq!(route["transition"], serde_json::json!({ "before": null, "after": 401 }), "{}", apply.stdout);
}

#[test]
fn stranger_on_the_port_of_a_stopped_container_is_not_the_service() {
    let port = free_port();
    let project = asked_at_a_url(&format!("http://127.0.0.1:{port}/api/workflow"), port);
    crate::support::wait_for("the server", || project.check().code == Some(0));
    docker(&["kill", &project.containers("api")[0]]);
    let stranger = TcpListener::bind(("127.0.0.1", port)).unwrap();
    thread::spawn(move || {
        for mut from in stranger.incoming().flatten() {
            let mut head = [0; 4096];
            let length = from.read(&mut head).unwrap_or(0);
            let is_route = String::from_utf8_lossy(&head[..length]).starts_with("GET /api/workflow ");
            let status = if is_route { "401 Unauthorized" } else { "404 Not Found" };
            let _ = write!(from, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let check = project.check().expect(1);
    assert_eq!(check.drift("api"), "container NotRunning");
    assert_eq!(check.status()["services"][0]["routes"][0]["observed"], Value::Null, "{}", check.stdout);
}

#[test]
fn value_in_a_query_is_sent_and_nowhere_kept() {
    let project = Project::in_incident();
    let (head, tail) = MANIFEST.split_once("/api/workflow").unwrap();
    project.manifest(&format!("{head}/api/workflow?share=hunter2&page=2{tail}"));
    let mut apply = project.command(&["--log", "debug", "apply", "-f", "undrift.yaml", "-o", "json"]);
    let apply = run(&mut apply).expect(0);
    let route = &apply.status()["services"][0]["routes"][0];
    assert!(route["url"].as_str().unwrap().ends_with("/api/workflow?share=…&page=…"), "{route}");
    assert_eq!(route["name"], "/api/workflow?share=…&page=…");
    assert_eq!(route["transition"]["after"], 401);
    project.check().expect(0);
    let describe = project.undrift(&["describe", &project.name, "-o", "json"]).expect(0);
    for text in [&apply.stdout, &apply.stderr, &describe.stdout, &format!("{:?}", project.trail())] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    for file in fs::read_dir(project.state_dir()).unwrap().flatten() {
        let kept = fs::read(file.path()).unwrap_or_default();
        let found = kept.windows(7).any(|bytes| bytes == b"hunter2");
        assert!(!found, "{}", file.path().display());
    }
}

#[test]
fn down_and_up_by_hand_is_left_to_its_end() {
    let project = Project::new();
    project.add_module("api", "workflow");
    // Without an init the sleep is deaf to SIGTERM, so that `down` waits for it after `api` is gone.
    project.write(
        "compose.yaml",
        "services:
  api: { build: ./api, init: true, stop_grace_period: 1s, depends_on: [db] }
  db: { image: undrift-example-base, command: sleep 1000, stop_grace_period: 4s }
",
    );
    project.compose(&["up", "-d", "--build"]);
    crate::support::wait_for("the server", || project.check().code == Some(0));
    let daemon = Daemon::start_with(&project, &[]);
    let mut down = Command::new("docker");
    down.args(["compose", "--project-name", &project.name, "down"]).current_dir(project.path(""));
    let mut down = down.stderr(Stdio::null()).spawn().unwrap();
    // As long as it has only ended it may have died, which undrift mends at once.
    crate::support::wait_for("the first to be gone", || project.containers("api").is_empty());
    let early = project.steps().len();
    assert!(down.wait().unwrap().success());
    project.compose(&["up", "-d"]);
    let mine = project.containers("api");
    project.wait_for_healed(1);
    let trail = project.trail();
    let ended = trail.iter().filter(|record| record["kind"] == "StepFinished").skip(early);
    let begun: Vec<&Value> = ended.filter(|record| record["outcome"] != "NotBegun").collect();
    assert!(begun.is_empty(), "{begun:?}\n{}", daemon.log());
    assert_eq!(project.containers("api"), mine, "they are those of the person");
    assert!(daemon.end().success());
    project.assert_trail_is_whole();
}

/// Compose 2.40 labels the replacement with the old one's name in place of its ID.
#[test]
fn container_that_runs_beside_the_leftover_of_a_newer_compose_is_as_declared() {
    let project = Project::healthy();
    let old = project.containers("api");
    let labels =
        docker(&["inspect", "-f", "{{range $k, $v := .Config.Labels}}{{$k}}={{$v}}\n{{end}}", &old[0]]);
    let name = format!("{}_{}-api-1", &old[0][..12], project.name);
    let mut create = vec!["create", "--name", &name, "--label", "com.docker.compose.replace=api-1"];
    for label in labels.lines().filter(|label| label.starts_with("com.docker.compose.")) {
        create.extend(["--label", label]);
    }
    let image = project.image();
    create.push(&image);
    docker(&create);
    let check = project.check().expect(0);
    assert_eq!(check.drift("api"), "");
    let listed = check.status()["services"][0]["containers"].clone();
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "it is no replica: {listed}");
    // The next `up` clears it away, once it is old enough to be nobody's.
    docker(&["kill", &old[0]]);
    project.apply().expect(0);
    assert_eq!(project.containers("api"), old);
}

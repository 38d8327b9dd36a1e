//! What undrift sees through the real engine, without its binary.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/faulty_wire.rs"]
#[expect(dead_code, reason = "each of the crates that share it uses another part of it")]
mod faulty_wire;
mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::process::CommandExt as _,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use faulty_wire::{Fault, Plan, Wire};
use futures_util::future::join_all;
use rustix::process::{Pid, Signal, kill_process_group};
use support::{BASE, MemoryCache, Project, docker, eventually, unique};
use undrift::{
    api::{ContainerState, Fact, ModuleType, Presence},
    host::{
        Cache, Host as _, HostError, LocalHost, NoCache,
        endpoint::Endpoint,
        engine::{Container, Engine, EngineError, LOOKUP_LABEL},
    },
    interference::Leftover,
};

use ModuleType::{Any, Directory, File};
use Presence::{Missing, Present, WrongType};

/// Everything that a path can be.
const TREE: &str = "FROM BASE
RUN mkdir -p /app/real/workflow /vol /tm /tm2 /bnd && touch /app/file && ln -s nowhere /app/dangling \\
 && ln -s loop-b /app/loop-a && ln -s loop-a /app/loop-b && ln -s real /app/link && ln -s /app/link /app/link2 \\
 && ln -s file /app/filelink && ln -s ../../../etc /app/escape && ln -s /vol /app/to-volume \\
 && ln -s /tm /app/to-tmpfs && touch /vol/x
";

/// What is to be found there, the same in an image and in a container.
const PATHS: &[(&str, ModuleType, Presence)] = &[
    ("/app/real/workflow", Directory, Present),
    ("/app/real/workflow/", Any, Present),
    ("/app/real/workflow", File, WrongType),
    ("/app/file", File, Present),
    ("/app/file", Directory, WrongType),
    ("/app/none", Any, Missing),
    ("/none/none", Any, Missing),
    ("/app/file/x", Any, Missing),
    ("/app/dangling", Any, WrongType),
    ("/app/dangling/x", Any, Missing),
    ("/app/loop-a", Any, WrongType),
    ("/app/link", Directory, Present),
    ("/app/link2", Directory, Present),
    ("/app/link", File, WrongType),
    ("/app/filelink", File, Present),
    ("/app/filelink", Directory, WrongType),
    ("/app/link/workflow", Directory, Present),
    ("/app/link2/workflow", Directory, Present),
    ("/app/escape", Directory, Present),
    ("/", Directory, Present),
];

fn engine() -> Engine {
    support::engine();
    Engine::new(Endpoint::Unix(support::socket()))
}

fn tree(project: &Project) {
    project.write("Dockerfile", &TREE.replace("BASE", BASE));
}

async fn only_container(engine: &Engine, project: &Project) -> Container {
    let mut found = engine.project_containers(&project.name, &BTreeMap::from([("a", 1)])).await.unwrap();
    assert_eq!(found.containers.len(), 1, "{found:?}");
    found.containers.remove(0)
}

/// Containers of an image that are not a project's own.
fn lookups_of(image: &str) -> String {
    docker(&[
        "ps",
        "--all",
        "--quiet",
        "--filter",
        &format!("ancestor={image}"),
        "--filter",
        &format!("label={LOOKUP_LABEL}"),
    ])
}

#[tokio::test]
async fn modules_in_containers_in_every_state() {
    let project = Project::new("paths", "services:\n  a:\n    build: .\n    command: sleep 1000\n");
    tree(&project);
    let engine = engine();
    project.compose(&["up", "--no-start", "--build"]);
    let changes: [(&[&str], ContainerState); 4] = [
        (&[], ContainerState::Created),
        (&["start"], ContainerState::Running),
        (&["pause"], ContainerState::Paused),
        (&["kill"], ContainerState::Exited),
    ];
    for (change, state) in changes {
        if let [verb] = change {
            if *verb == "kill" {
                project.compose(&["unpause"]);
            }
            project.compose(&[verb]);
        }
        let container = only_container(&engine, &project).await;
        assert_eq!(container.seen.state, state);
        assert_eq!(container.seen.exit_code.is_some(), state == ContainerState::Exited);
        assert_eq!(container.seen.started_at.is_some(), state != ContainerState::Created);
        for (path, kind, presence) in PATHS {
            let module = engine.module_in_container(&container, path, *kind).await;
            assert_eq!(module.presence, Fact::Known(*presence), "{path} as {kind:?}, {state:?}");
            assert_eq!(module.covered_by, None, "{path}");
        }
    }
}

#[tokio::test]
async fn modules_in_an_image_leave_no_container_and_are_cached() {
    let project = Project::new("lookup", "services:\n  a:\n    build: .\n");
    tree(&project);
    project.compose(&["build"]);
    let engine = engine();
    let image = engine.image_id(&format!("{}-a", project.name)).await.unwrap().expect("it was built");
    let cache: Arc<dyn Cache> = Arc::new(MemoryCache::default());
    let asked: Vec<(&str, ModuleType)> = PATHS.iter().map(|(path, kind, _)| (*path, *kind)).collect();
    let expected: Vec<Fact<Presence>> = PATHS.iter().map(|(.., presence)| Fact::Known(*presence)).collect();
    let began = Instant::now();
    assert_eq!(engine.modules_in_image(&image, &asked, &cache).await, expected);
    println!("{} paths in one image: {:?}", asked.len(), began.elapsed());
    assert_eq!(lookups_of(&image), "");
    // Compose labels what it builds, so the look-up must not pass for a container of the project.
    let found = engine.project_containers(&project.name, &BTreeMap::from([("a", 1)])).await.unwrap();
    assert_eq!(found.containers, []);

    docker(&["rmi", "--force", &image]);
    assert_eq!(engine.modules_in_image(&image, &asked, &cache).await, expected, "from the cache");
    let new = engine.modules_in_image(&image, &[("/new", Any)], &cache).await;
    assert!(new[0].why_unknown().is_some(), "an image that is gone has unknown modules: {new:?}");
}

/// An image without a shell, a command or anything else but a file and, if wanted, a `VOLUME`.
fn scratch(project: &Project, more: &str) -> String {
    project.write("Dockerfile", &format!("FROM scratch\nCOPY compose.yaml /app/compose.yaml\n{more}\n"));
    project.compose(&["build"]);
    docker(&["inspect", "--format", "{{.Id}}", &format!("{}-a", project.name)])
}

#[tokio::test]
async fn a_look_into_a_scratch_image_leaves_nothing_even_when_it_is_dropped() {
    let project = Project::new("scratch", "services:\n  a:\n    build: .\n");
    let image = scratch(&project, "");
    let engine = engine();
    let cache: Arc<dyn Cache> = Arc::new(MemoryCache::default());
    // Dropped at ever later moments: before, while and after the container is made.
    for microseconds in [0, 200, 1_000, 3_000, 10_000, 20_000, 40_000, 80_000] {
        let path = format!("/{microseconds}");
        let paths = [(path.as_str(), Any)];
        let look = engine.modules_in_image(&image, &paths, &cache);
        let _ = tokio::time::timeout(Duration::from_micros(microseconds), look).await;
    }
    engine.settle(Duration::from_secs(30)).await;
    assert_eq!(lookups_of(&image), "");
    let paths = [("/app/compose.yaml", File), ("/app/none", Any)];
    let found = engine.modules_in_image(&image, &paths, &cache).await;
    assert_eq!(found, [Fact::Known(Present), Fact::Known(Missing)]);
    assert_eq!(lookups_of(&image), "");
}

#[tokio::test]
async fn a_look_into_an_image_with_a_volume_leaves_no_volume() {
    let project = Project::new("volumes", "services:\n  a:\n    build: .\n");
    let image = scratch(&project, "VOLUME /app");
    let volumes =
        || -> BTreeSet<String> { docker(&["volume", "ls", "--quiet"]).lines().map(str::to_owned).collect() };
    let cache: Arc<dyn Cache> = Arc::new(MemoryCache::default());
    let before = volumes();
    let found = engine().modules_in_image(&image, &[("/app/compose.yaml", File)], &cache).await;
    assert_eq!(found, [Fact::Known(Present)]);
    let since: Vec<String> = volumes().difference(&before).cloned().collect();
    // Other tests make volumes meanwhile; this one's would hold the image's file.
    let own = since.iter().filter(|volume| {
        let mount = format!("{volume}:/v");
        let grep = ["run", "--rm", "--volume", &mount, BASE, "grep", "-q", &project.name, "/v/compose.yaml"];
        std::process::Command::new("docker").args(grep).status().unwrap().success()
    });
    assert_eq!(own.count(), 0);
}

#[tokio::test]
async fn what_a_killed_undrift_left_is_swept_and_nothing_else() {
    let engine = engine();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap();
    let mark = |pid: u32, start: u64| format!("{} {} {pid} {start}", host.trim(), namespace.display());
    let fields = std::fs::read_to_string("/proc/self/stat").unwrap();
    let start = fields.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap();
    let create = |mark: String| {
        let label = format!("{LOOKUP_LABEL}={mark}");
        docker(&["create", "--name", &unique("sweep"), "--label", &label, BASE, "true"])
    };
    let alive = create(mark(std::process::id(), start));
    let dead = create(mark(std::process::id(), start + 1));
    let elsewhere = create("another-host pid:[1] 1 1".to_owned());
    let swept = engine.sweep_lookups().await;
    let left =
        docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &format!("label={LOOKUP_LABEL}")]);
    for id in [&alive, &elsewhere] {
        let _ = std::process::Command::new("docker").args(["rm", "--force", id]).output();
    }
    assert!(swept.unwrap() >= 1);
    assert!(left.contains(&alive) && left.contains(&elsewhere) && !left.contains(&dead), "{left}");
}

#[tokio::test]
async fn mounts_over_a_path_are_seen_and_named() {
    let project = Project::new(
        "covers",
        "services:
  a:
    build: .
    command: sleep 1000
    tmpfs: [/tm]
    volumes:
      - data:/vol
      - ./host:/bnd
      - {type: tmpfs, target: /tm2}
volumes: {data: {}}
",
    );
    tree(&project);
    project.write("host/module/file", "");
    project.compose(&["up", "--detach", "--build"]);
    let engine = engine();
    let container = only_container(&engine, &project).await;
    let at = async |path| {
        let module = engine.module_in_container(&container, path, Any).await;
        (module.presence, module.covered_by.map(|cover| (cover.kind, cover.destination, cover.source)))
    };
    let volume = Some(("volume".into(), "/vol".into(), format!("{}_data", project.name)));
    assert_eq!(at("/vol/x").await, (Fact::Known(Present), volume.clone()));
    assert_eq!(at("/vol/none").await, (Fact::Known(Missing), volume.clone()));
    assert_eq!(at("/app/to-volume").await, (Fact::Known(Present), volume.clone()), "a link into it");
    assert_eq!(at("/app/to-volume/x").await, (Fact::Known(Present), volume.clone()), "a parent that is one");
    assert_eq!(at("/app/to-volume/none").await, (Fact::Known(Missing), volume));
    for (path, kind, destination) in [
        ("/bnd/module", "bind", "/bnd"),
        ("/bnd", "bind", "/bnd"),
        ("/tm/x", "tmpfs", "/tm"),
        ("/tm2", "tmpfs", "/tm2"),
        ("/app/to-tmpfs", "tmpfs", "/tm"),
        ("/app/to-tmpfs/x", "tmpfs", "/tm"),
    ] {
        let (presence, cover) = at(path).await;
        assert!(presence.why_unknown().is_some_and(|why| why.contains(kind)), "{path}: {presence:?}");
        let (found_kind, found_destination, _) = cover.expect(path);
        assert_eq!((found_kind.as_str(), found_destination.as_str()), (kind, destination), "{path}");
    }
    assert_eq!(at("/app/real").await, (Fact::Known(Present), None));
}

#[tokio::test]
async fn a_container_that_vanished_is_gone_and_its_modules_are_unknown() {
    let project = Project::new("gone", "services: {a: {image: BASE, command: sleep 1000, init: true}}\n");
    project.compose(&["up", "--detach"]);
    let engine = engine();
    let container = only_container(&engine, &project).await;
    project.compose(&["rm", "--force", "--stop"]);
    assert_eq!(engine.container(&container.seen.id).await, Ok(None));
    let module = engine.module_in_container(&container, "/bin/none", Any).await;
    assert!(module.presence.why_unknown().is_some_and(|why| why.contains("gone")), "{module:?}");
    let found = engine.project_containers(&project.name, &BTreeMap::from([("a", 1)])).await.unwrap();
    assert_eq!(found.containers, []);
}

#[tokio::test]
async fn replicas_are_found_by_labels_and_one_off_containers_are_none() {
    let project = Project::new(
        "replicas",
        "services:
  a:
    image: BASE
    command: sleep 1000
    init: true
    scale: 3
    ports: [\"8000\"]
  b:
    image: BASE
    command: sleep 1000
    init: true
",
    );
    project.compose(&["up", "--detach"]);
    project.compose(&["run", "--detach", "a", "sleep", "1000"]);
    let found =
        engine().project_containers(&project.name, &BTreeMap::from([("a", 1)])).await.unwrap().containers;
    assert_eq!(found.iter().map(|container| container.seen.number).collect::<Vec<_>>(), [1, 2, 3]);
    let base = docker(&["inspect", "--format", "{{.Id}}", BASE]);
    let ports: BTreeSet<u16> = found.iter().map(|container| container.network.published[&8000].1).collect();
    assert_eq!(ports.len(), 3, "each replica has its own");
    for container in found {
        assert_eq!(container.seen.image_id, base);
        assert!(container.network.address.is_some() && container.seen.config_hash.is_some());
    }
}

/// Starts a recreate of `a`, waits until its replacement exists, and kills Compose. The container ignores
/// SIGTERM, so Compose is waiting for it just then.
fn kill_a_recreate(project: &Project, old: &str) -> String {
    let mut up = project.command(&["up", "--detach", "--force-recreate"]);
    let mut up = up.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let name = format!("{}_{}-a-1", &old[..12], project.name);
    let id = || docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &format!("name={name}")]);
    eventually("the replacement", || !id().is_empty());
    kill_process_group(Pid::from_child(&up), Signal::KILL).unwrap();
    up.wait().unwrap();
    id()
}

/// As if the recreate that was killed had been a step of undrift's own.
fn killed_step_was_own(engine: &Engine, project: &Project) {
    let now = chrono::Utc::now().timestamp();
    engine.note_own_step(&project.name, now - 60..=now);
}

const STUBBORN: &str =
    "services:\n  a:\n    image: BASE\n    command: sleep 1000\n    stop_grace_period: 3s\n";

#[tokio::test]
async fn the_replacement_of_a_killed_recreate_is_no_replica_and_is_removed() {
    let project = Project::new("killed", STUBBORN);
    project.compose(&["up", "--detach"]);
    let old = project.container("a");
    let new = kill_a_recreate(&project, &old);
    let engine = engine();
    let found = engine.project_containers(&project.name, &BTreeMap::from([("a", 1)])).await.unwrap();
    assert!(matches!(&found.leftovers[..], [Leftover::Superfluous { id, .. }] if *id == new), "{found:?}");
    assert_eq!(found.containers.iter().map(|container| &container.seen.id).collect::<Vec<_>>(), [&old]);

    let removed = engine.remove_leftovers(&project.name, &["a".into()]).await.unwrap();
    assert_eq!(removed, [""; 0], "it is young: it may belong to an `up` of someone else");
    killed_step_was_own(&engine, &project);
    assert_eq!(
        engine.remove_leftovers(&project.name, &["b".into()]).await.unwrap().len(),
        0,
        "not asked for"
    );
    let notes = engine.remove_leftovers(&project.name, &["a".into()]).await.unwrap();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert_eq!(project.container("a"), old);
    project.compose(&["up", "--detach"]);
    let container = only_container(&engine, &project).await;
    assert_eq!(container.seen.state, ContainerState::Running);
}

#[tokio::test]
async fn the_only_container_of_a_killed_recreate_is_kept_and_named() {
    let project = Project::new("unfinished", STUBBORN);
    project.compose(&["up", "--detach"]);
    let old = project.container("a");
    let new = kill_a_recreate(&project, &old);
    docker(&["rm", "--force", &old]);
    let engine = engine();
    let container = only_container(&engine, &project).await;
    assert_eq!((&container.seen.id, container.seen.state), (&new, ContainerState::Created), "a replica");

    killed_step_was_own(&engine, &project);
    let notes = engine.remove_leftovers(&project.name, &["a".into()]).await.unwrap();
    assert_eq!(notes.len(), 1, "{notes:?}");
    project.compose(&["up", "--detach"]);
    let container = only_container(&engine, &project).await;
    assert_eq!((&container.seen.id, container.seen.state), (&new, ContainerState::Running));
    assert_eq!(container.seen.name, format!("{}-a-1", project.name));
}

/// What Compose 2.40 has made of a recreate when it is killed there: the label names the old one instead of its ID.
fn replacement_of_2_40(old: &str, label: &str, final_name: &str) -> String {
    let labels =
        docker(&["inspect", "--format", "{{range $k, $v := .Config.Labels}}{{$k}}={{$v}}\n{{end}}", old]);
    let name = format!("{}_{final_name}", &old[..12]);
    let mut create = vec!["create", "--name", &name];
    for label in labels.lines().filter(|label| label.starts_with("com.docker.compose.")) {
        create.extend(["--label", label]);
    }
    let replaces = format!("com.docker.compose.replace={label}");
    create.extend(["--label", &replaces, BASE, "sleep", "1000"]);
    docker(&create)
}

#[tokio::test]
async fn a_replacement_whose_label_names_the_old_one_is_no_replica_and_is_removed() {
    let project = Project::new(
        "killed-240",
        "services:\n  a: { image: BASE, command: sleep 1000, init: true }\n  b: { image: BASE, command: sleep 1000, \
         init: true, container_name: NAME-my_b }\n",
    );
    project.compose(&["up", "--detach"]);
    let engine = engine();
    let own = format!("{}-my_b", project.name);
    for (service, label, name) in [("a", "a-1", format!("{}-a-1", project.name)), ("b", &own, own.clone())] {
        let old = project.container(service);
        let new = replacement_of_2_40(&old, label, &name);
        let found = engine.project_containers(&project.name, &BTreeMap::from([(service, 1)])).await.unwrap();
        assert!(
            matches!(&found.leftovers[..], [Leftover::Superfluous { id, .. }] if *id == new),
            "{found:?}"
        );
        let replicas: Vec<_> = found.containers.iter().map(|container| &container.seen.id).collect();
        assert_eq!(replicas, [&old], "the old one runs, and is the only replica");
        killed_step_was_own(&engine, &project);
        let notes = engine.remove_leftovers(&project.name, &[service.into()]).await.unwrap();
        assert_eq!(notes.len(), 1, "{notes:?}");
        // The old one is gone: what is left is the replica, and gets its name.
        let new = replacement_of_2_40(&old, label, &name);
        docker(&["rm", "--force", &old]);
        killed_step_was_own(&engine, &project);
        engine.remove_leftovers(&project.name, &[service.into()]).await.unwrap();
        assert_eq!(docker(&["inspect", "--format", "{{.Name}}", &new]), format!("/{name}"));
        docker(&["rm", "--force", &new]);
    }
}

#[tokio::test]
async fn references_are_ids_or_nothing_and_tags_keep_images() {
    let project = Project::new("tags", "services: {a: {image: BASE}}\n");
    let engine = engine();
    let reference = format!("{}:1", project.name);
    assert_eq!(engine.image_id(&reference).await, Ok(None));
    let base = engine.image_id(BASE).await.unwrap().expect("the base image");
    engine.tag(&base, &reference).await.unwrap();
    assert_eq!(engine.image_id(&reference).await, Ok(Some(base.clone())));
    let keep = undrift::host::engine::keep_reference(&project.name, "Api_.x");
    engine.tag(&base, &keep).await.unwrap();
    assert_eq!(engine.image_id(&keep).await, Ok(Some(base)));
    let gone = engine.tag("sha256:0000000000000000000000000000000000000000000000000000000000000000", &keep);
    assert!(matches!(gone.await, Err(EngineError::NotFound(_))));
}

#[tokio::test]
async fn only_images_without_tag_and_container_are_removed() {
    let project = Project::new("prune", "services: {a: {image: NAME-a}}\n");
    let of_project = format!("com.docker.compose.project={}", project.name);
    let reference = format!("{}-a", project.name);
    // Not built: on containerd's store an image of BuildKit's that no name points to, or points to any more, is gone at once.
    let origin = docker(&["create", "--label", &of_project, BASE, "true"]);
    let build = |version: &str| {
        let labels = format!("LABEL version={version} {of_project}");
        let image = docker(&["commit", "--change", &labels, &origin]);
        // Podman prints it without the algorithm.
        docker(&["image", "inspect", "--format", "{{.Id}}", &image])
    };
    let kept = build("1");
    docker(&["tag", &kept, &format!("{}-kept:previous", project.name)]);
    let used = build("2");
    let stopped = format!("{}-stopped", project.name);
    docker(&["create", "--name", &stopped, "--label", &of_project, &used, "true"]);
    let (dangling, current) = (build("3"), build("4"));
    docker(&["tag", &current, &reference]);
    let host = LocalHost::at(Endpoint::Unix(support::socket()), Arc::new(NoCache), None).unwrap();
    let unknown = format!("sha256:{}", "0".repeat(64));
    let asked = [&kept, &used, &dangling, &current, &reference, &unknown, &dangling].map(String::clone);
    assert_eq!(host.prune(&asked).await, std::slice::from_ref(&dangling), "once");
    let engine = engine();
    for image in [&kept, &used, &current] {
        assert_eq!(engine.image_id(image).await, Ok(Some(image.clone())));
    }
    assert_eq!(engine.image_id(&dangling).await, Ok(None));
    assert_eq!(engine.image_id(&reference).await, Ok(Some(current)), "no tag was taken away");
    assert!(engine.image_id(BASE).await.unwrap().is_some(), "nor the base image");
    docker(&["rm", &stopped]);
    assert_eq!(host.prune(std::slice::from_ref(&used)).await, [used], "free now");
}

#[tokio::test]
async fn an_engine_that_is_away_is_unavailable_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let deserted = folder.path().join("deserted.sock");
    drop(std::os::unix::net::UnixListener::bind(&deserted).unwrap());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for endpoint in [
        Endpoint::Unix(folder.path().join("none.sock")),
        Endpoint::Unix(deserted),
        Endpoint::Tcp(port.to_string()),
    ] {
        let began = Instant::now();
        let error = Engine::new(endpoint.clone()).image_id("x").await.unwrap_err();
        println!("{}: {error} after {:?}", endpoint.docker_host(), began.elapsed());
        assert!(began.elapsed() < Duration::from_secs(1), "{endpoint:?}");
        let error = error.into_host_error(&endpoint, "look");
        assert!(matches!(error, HostError::EngineUnavailable { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn an_engine_that_never_answers_is_unavailable_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("silent.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let silence = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok(accepted) = listener.accept().await {
            open.push(accepted);
        }
    });
    let endpoint = Endpoint::Unix(socket);
    let engine = Engine::new(endpoint.clone()).with_limit(Duration::from_millis(200));
    let began = Instant::now();
    let error = engine.image_id("x").await.unwrap_err().into_host_error(&endpoint, "look");
    assert!(matches!(error, HostError::EngineUnavailable { .. }), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(2));
    silence.abort();
}

/// A wire on which the answers to these questions come byte by byte, and never end.
fn dripping(about: &'static str) -> (Wire, Endpoint) {
    let wire = Wire::new();
    let fault = Fault::Drips(Duration::from_millis(100));
    wire.set(Some(Plan { fault, about, often: 100, seed: 0 }));
    let socket = wire.docker_host().trim_start_matches("unix://").into();
    (wire, Endpoint::Unix(socket))
}

#[tokio::test]
async fn questions_that_hang_keep_no_other_from_its_answer() {
    support::engine();
    let (_wire, endpoint) = dripping("/containers/hung*");
    let engine = Engine::new(endpoint);
    let ids: Vec<String> = (0..24).map(|number| format!("hung{number}")).collect();
    let hung = join_all(ids.iter().map(|id| engine.container(id)));
    let other = async {
        // Behind all of them in the line.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let began = Instant::now();
        (engine.versions().await, began.elapsed())
    };
    let (hung, (other, waited)) = tokio::join!(hung, other);
    assert!(other.is_ok() && waited < Duration::from_secs(6), "{other:?} after {waited:?}");
    assert!(hung.iter().all(|answer| matches!(answer, Err(EngineError::TimedOut(_)))), "{hung:?}");
}

#[tokio::test]
async fn a_look_at_an_engine_that_drips_ends_at_its_limit_and_by_itself() {
    let project = Project::new("drips", "services:\n  api: {image: BASE, command: sleep 600, init: true}\n");
    let desired = project.desired(r#"[{"name": "api"}]"#);
    let (_wire, endpoint) = dripping("/containers/json");
    let host = || LocalHost::at(endpoint.clone(), Arc::new(NoCache), None).unwrap();
    let limit = Duration::from_secs(2);
    let began = Instant::now();
    let limited = host().with_look_limit(limit).observe(&desired).await;
    assert!(
        matches!(limited, Err(HostError::ObservationTimedOut { limit: reported }) if reported == limit),
        "{limited:?}"
    );
    assert!(began.elapsed() < limit + Duration::from_secs(2));
    let began = Instant::now();
    let look = host().observe(&desired).await;
    assert!(matches!(look, Err(HostError::EngineUnavailable { .. })), "{look:?}");
    assert!(began.elapsed() < Duration::from_secs(30), "each question has a limit of its own");
}

//! The Compose room against the real Compose and engine.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    sync::{
        LazyLock, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

#[path = "compose_engine/project_fields.rs"]
mod project_fields;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use undrift::{
    api::{
        API_VERSION, ComposeProject, ComposeProjectSpec, Desired, Fact, KIND, Metadata, ProjectRef,
        ReconcilePolicy, ServiceSpec, SourcePolicy, StepOutcome,
    },
    host::{
        Cache, HostError, KeyedDigest, NoCache, Sealed,
        compose::{argv, resolve, resolve_in, up_command, would_recreate},
        endpoint::Endpoint,
        keyed_by_this_process,
        process::{Environment, Invocation, command::run},
    },
};

/// A cache that counts how often something was put.
#[derive(Default)]
struct CountingCache(Mutex<HashMap<String, String>>, AtomicUsize);

impl CountingCache {
    fn puts(&self) -> usize {
        self.1.load(Ordering::SeqCst)
    }
}

impl Cache for CountingCache {
    fn get(&self, space: &str, key: &str) -> Option<String> {
        self.0.lock().unwrap().get(&format!("{space}/{key}")).cloned()
    }

    fn put(&self, space: &str, key: &str, value: &str) {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.lock().unwrap().insert(format!("{space}/{key}"), value.into());
    }
}

/// A cache whose entries are sealed under one key for all tests.
fn sealed(cache: &dyn Cache) -> Sealed<'_> {
    static KEY: LazyLock<KeyedDigest> = LazyLock::new(keyed_by_this_process);
    Sealed { cache, digest: &KEY }
}

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "docker {arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Busybox and nothing else; `scripts/host` makes it.
const BASE: &str = "undrift-example-base:latest";

/// These tests are about the engine: without one they fail, and say what to start.
fn need_base() {
    let found = Command::new("docker").args(["image", "inspect", BASE]).output();
    assert!(
        found.is_ok_and(|out| out.status.success()),
        "no engine, or no image {BASE}: run scripts/host, which starts and makes what is missing"
    );
}

/// A Compose project of one test: removed with all that it made.
struct Project {
    folder: TempDir,
    name: String,
    image: Option<String>,
}

impl Project {
    fn new(test: &str, compose: &str) -> Self {
        let name = format!("undrift-ce-{test}-{}", std::process::id());
        let project = Self { folder: tempfile::tempdir().unwrap(), name, image: None };
        project.write("compose.yaml", &format!("name: {}\n{compose}", project.name));
        project
    }

    /// The same with an image of busybox, in place of `IMAGE`.
    fn with_image(test: &str, compose: &str) -> Self {
        let name = format!("undrift-ce-{test}-{}", std::process::id());
        let image = format!("{name}-base:1");
        let mut project = Self::new(test, &compose.replace("IMAGE", &image));
        need_base();
        docker(&["tag", BASE, &image]);
        project.image = Some(image);
        project
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn edit(&self, from: &str, to: &str) {
        let path = self.folder.path().join("compose.yaml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    fn compose(&self, arguments: &[&str]) {
        let output = Command::new("docker")
            .arg("compose")
            .args(arguments)
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {error}");
    }

    /// Everything that a step could have changed: containers with their states and starts, and networks.
    fn inventory(&self) -> String {
        let label = format!("label=com.docker.compose.project={}", self.name);
        let ids = docker(&["ps", "-aq", "--no-trunc", "--filter", &label]);
        let mut all = docker(&["network", "ls", "-q", "--no-trunc", "--filter", &label]);
        for id in ids.lines() {
            all += &docker(&["inspect", "-f", "{{.Id}} {{.Name}} {{json .State}}", id]);
        }
        all
    }

    fn desired(&self, services: &[&str]) -> Desired {
        let named =
            |name: &&str| serde_json::from_value::<ServiceSpec>(serde_json::json!({"name": name})).unwrap();
        let project = ProjectRef {
            directory: ".".into(),
            files: vec![],
            name: None,
            profiles: vec![],
            env_files: vec![],
            take_over: false,
        };
        let spec = ComposeProjectSpec {
            project,
            services: services.iter().map(named).collect(),
            source: SourcePolicy::default(),
            reconcile: ReconcilePolicy::default(),
        };
        let metadata =
            Metadata { name: "test".into(), labels: BTreeMap::new(), annotations: BTreeMap::new() };
        Desired {
            object: ComposeProject { api_version: API_VERSION.into(), kind: KIND.into(), metadata, spec },
            directory: self.folder.path().into(),
            manifest: "manifest.yaml".into(),
            manifest_directory: self.folder.path().into(),
            service_positions: vec![(10, 7); services.len()],
            spec_digest: "v1:sha256:0".into(),
            superseded_by: None,
            expanded: None,
            variables: BTreeMap::new(),
        }
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        // By label, so that a broken Compose file does not keep it. A failed removal must not hide why a test failed.
        let label = format!("label=com.docker.compose.project={}", self.name);
        let script = "docker ps -aq --filter \"$0\" | xargs -r docker rm -f; \
            docker network ls -q --filter \"$0\" | xargs -r docker network rm; \
            docker images -q --filter \"$0\" | sort -u | xargs -r docker rmi -f; \
            [ -z \"$1\" ] || docker rmi -f \"$1\"";
        let image = self.image.clone().unwrap_or_default();
        let _ = Command::new("sh").args(["-c", script, &label, &image]).output();
    }
}

fn endpoint() -> Endpoint {
    Endpoint::resolve(&|name| std::env::var_os(name)).unwrap()
}

const SLEEP: &str = "command: [/bin/busybox, sleep, '1000']\n    stop_grace_period: 0s";

#[tokio::test]
async fn resolves_as_compose_does_and_asks_again_only_when_something_changed() {
    let project = Project::new(
        "resolve",
        "services:\n  api:\n    build: ./app\n    env_file: [svc.env]\n    depends_on: [db]\n    scale: 2\n  db:\n    \
         image: 'x:${TAG-1}'\n",
    );
    project.write("svc.env", "A=1\n");
    let (desired, cache) = (project.desired(&["api"]), CountingCache::default());
    let first = resolve(&desired, &endpoint(), sealed(&cache)).await.unwrap();
    let api = &first.model.services["api"];
    assert_eq!(first.model.name, project.name);
    assert_eq!((api.image.as_str(), api.replicas), (format!("{}-api", project.name).as_str(), 2));
    assert!(api.build.as_ref().unwrap().context.ends_with("/app"));
    assert_eq!(api.depends_on, BTreeSet::from(["db".to_owned()]));
    assert_eq!(first.hashes.keys().collect::<Vec<_>>(), ["api", "db"]);
    assert_eq!(first.hashes["api"].len(), 64);

    assert_eq!(resolve(&desired, &endpoint(), sealed(&cache)).await.unwrap(), first);
    assert_eq!(cache.puts(), 2, "the second answer was remembered, and Compose's version");
    project.write("svc.env", "A=2\n");
    resolve(&desired, &endpoint(), sealed(&cache)).await.unwrap();
    assert_eq!(cache.puts(), 3, "an env file changed");
    project.write("compose.override.yaml", "services: {db: {image: other}}\n");
    let third = resolve(&desired, &endpoint(), sealed(&cache)).await.unwrap();
    assert_eq!(third.model.services["db"].image, "other", "an override that appeared");
    let env = Environment::of_this_process().with("TAG", "7");
    fs::remove_file(project.folder.path().join("compose.override.yaml")).unwrap();
    let fourth = resolve_in(&desired, &endpoint(), sealed(&cache), env).await.unwrap();
    assert_eq!(fourth.model.services["db"].image, "x:7", "a variable that was set");
    assert_eq!(cache.puts(), 5);
}

#[tokio::test]
async fn a_cached_answer_needs_no_process() {
    let project = Project::new("hit", "services:\n  api:\n    image: x\n");
    let (desired, cache) = (project.desired(&["api"]), CountingCache::default());
    // In place of `docker` in the `PATH`: it notes that it was run, and then is the docker that was meant.
    let bin = tempfile::tempdir().unwrap();
    let (shim, runs) = (bin.path().join("docker"), bin.path().join("runs"));
    let path = std::env::var_os("PATH").unwrap();
    let docker = std::env::split_paths(&path).map(|folder| folder.join("docker")).find(|file| file.exists());
    let script =
        "#!/bin/sh\necho \"$*\" >>RUNS\nexec DOCKER \"$@\"\n".replace("RUNS", runs.to_str().unwrap());
    fs::write(&shim, script.replace("DOCKER", docker.unwrap().to_str().unwrap())).unwrap();
    fs::set_permissions(&shim, fs::Permissions::from_mode(0o755)).unwrap();
    let env = Environment::of_this_process().with("PATH", bin.path());
    let first = resolve_in(&desired, &endpoint(), sealed(&cache), env.clone()).await.unwrap();
    assert_eq!(fs::read_to_string(&runs).unwrap().lines().count(), 2, "the project, the version");
    fs::remove_file(&runs).unwrap();
    assert_eq!(resolve_in(&desired, &endpoint(), sealed(&cache), env).await.unwrap(), first);
    assert!(!runs.exists(), "it was run again: {:?}", fs::read_to_string(&runs));
}

#[tokio::test]
async fn unset_variables_refusals_and_missing_services_are_reported() {
    let unset = Project::new(
        "unset",
        "services: {api: {image: 'x:$UNDRIFT_NOT_SET', command: '${UNDRIFT_NOR_THIS}'}}",
    );
    match resolve(&unset.desired(&["api"]), &endpoint(), sealed(&NoCache)).await.unwrap_err() {
        HostError::UnsetVariables { variables, .. } => {
            assert_eq!(variables, ["UNDRIFT_NOR_THIS", "UNDRIFT_NOT_SET"]);
        }
        error => panic!("{error}"),
    }
    let refused = Project::new("refused", "services: {api: {image: x, frob: 1}}");
    let error = resolve(&refused.desired(&["api"]), &endpoint(), sealed(&NoCache)).await.unwrap_err();
    assert!(matches!(error, HostError::ComposeRefused { .. }), "{error}");
    assert!(error.to_string().contains("frob"), "{error}");
    let other = Project::new("nosuch", "services: {dashboard: {image: x}, db: {image: x}}");
    match resolve(&other.desired(&["dashbord"]), &endpoint(), sealed(&NoCache)).await.unwrap_err() {
        HostError::NoSuchService { unknown, .. } => {
            let help = unknown[0].help.as_deref();
            assert_eq!((unknown[0].line, help), (10, Some("did you mean dashboard?")));
        }
        error => panic!("{error}"),
    }
    let mut gone = other.desired(&["db"]);
    gone.directory = "/nonexistent/undrift".into();
    let error = resolve(&gone, &endpoint(), sealed(&NoCache)).await.unwrap_err();
    assert!(matches!(error, HostError::ComposeRefused { .. }), "{error}");
}

#[tokio::test]
async fn a_missing_docker_or_plugin_is_reported_with_help() {
    let project = Project::new("missing", "services: {api: {image: x}}");
    let desired = project.desired(&["api"]);
    let with_path = |path: &Path| Environment::of_this_process().with("PATH", path);
    let empty = tempfile::tempdir().unwrap();
    let error =
        resolve_in(&desired, &endpoint(), sealed(&NoCache), with_path(empty.path())).await.unwrap_err();
    assert!(matches!(error, HostError::ComposeMissing(_)), "{error}");
    assert!(error.to_string().contains("PATH"), "{error}");
    // What a docker CLI without the plugin answers.
    let script = "#!/bin/sh\necho \"docker: 'compose' is not a docker command.\" >&2; exit 1\n";
    let program = empty.path().join("docker");
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let error =
        resolve_in(&desired, &endpoint(), sealed(&NoCache), with_path(empty.path())).await.unwrap_err();
    assert!(matches!(error, HostError::ComposeMissing(_)), "{error}");
    assert!(error.to_string().contains("plugin"), "{error}");
}

#[tokio::test]
async fn the_dry_run_reports_what_would_be_recreated_and_changes_nothing() {
    let project = Project::with_image(
        "dry",
        &format!(
            "services:\n  api:\n    image: IMAGE\n    scale: 2\n    {SLEEP}\n    environment: {{V: one}}\n  \
             web:\n    image: IMAGE\n    {SLEEP}\n    depends_on: [api]\n    env_file: [web.env]\n  \
             side:\n    image: IMAGE\n    {SLEEP}\n    network_mode: service:web\n"
        ),
    );
    project.write("web.env", "W=1\n");
    project.compose(&["up", "-d"]);
    let all = ["api", "web", "side"];
    let (desired, services) = (project.desired(&all), all.map(str::to_owned));
    let of_project = format!("label=com.docker.compose.project={}", project.name);
    let recreated = async |what: &str| {
        let before = project.inventory();
        let resolved = resolve(&desired, &endpoint(), sealed(&NoCache)).await.unwrap();
        let fact = would_recreate(&desired, &endpoint(), &resolved, &services).await;
        assert_eq!(project.inventory(), before, "{what}: a dry run changes nothing");
        let prefix = format!("{}-", project.name);
        let names = fact.recreated().known().unwrap_or_else(|| panic!("{what}: {fact:?}")).clone();
        names.into_iter().map(|name| name.replace(&prefix, "")).collect::<Vec<_>>()
    };
    // What an `up` of today's Compose does replace, which is not the same with each: from 2.40 on what a service depends on
    // is no part of its config hash.
    let replaced = || {
        let list = |format: &str| docker(&["ps", "-a", "--filter", &of_project, "--format", format]);
        let (before, names) = (list("{{.Names}} {{.ID}}"), list("{{.Names}}"));
        project.compose(&["up", "-d"]);
        let (after, prefix) = (list("{{.Names}} {{.ID}}"), format!("{}-", project.name));
        let kept: BTreeSet<&str> = before.lines().filter(|line| after.contains(line)).collect();
        let is_new = |name: &&str| !kept.iter().any(|line| line.starts_with(&format!("{name} ")));
        names.lines().filter(is_new).map(|name| name.replace(&prefix, "")).collect::<BTreeSet<_>>()
    };
    assert!(recreated("as declared").await.is_empty());
    project.edit("V: one", "V: two");
    let recreated_names = recreated("a changed service").await;
    assert!(
        recreated_names.contains(&"api-1".to_owned()) && recreated_names.contains(&"api-2".to_owned()),
        "{recreated_names:?}"
    );
    assert_eq!(recreated_names.into_iter().collect::<BTreeSet<_>>(), replaced());
    project.write("web.env", "W=2\n");
    let recreated_names = recreated("a changed env file").await;
    assert!(recreated_names.contains(&"web-1".to_owned()), "{recreated_names:?}");
    // `side`, in the network of `web`, differs in nothing itself to Compose 2.40, and is replaced along with it.
    let (recreated_names, side) =
        (recreated_names.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from(["side-1".to_owned()]));
    assert_eq!(&recreated_names | &side, replaced());
    docker(&["stop", "-t0", &format!("{}-api-1", project.name)]);
    assert!(recreated("a stopped container").await.is_empty());
    project.edit("scale: 2", "scale: 3");
    assert!(recreated("one more replica").await.is_empty());
}

#[tokio::test]
async fn a_project_is_what_it_is_for_a_person_who_stands_in_its_folder() {
    let project = Project::with_image("stands", "services: {}\n");
    let text = format!(
        "services:\n  api:\n    image: {}\n    {SLEEP}\n    volumes: ['${{PWD}}/data:/data', './more:/more']\n",
        project.image.as_deref().unwrap()
    );
    let link = project.folder.path().join(&project.name);
    for release in ["one", "two"] {
        project.write(&format!("releases/{release}/compose.yaml"), &text);
    }
    std::os::unix::fs::symlink("releases/one", &link).unwrap();
    let mut by_hand = Command::new("docker");
    by_hand.args(["compose", "up", "-d"]).current_dir(&link).env("PWD", &link);
    assert!(by_hand.output().unwrap().status.success());

    let mut desired = project.desired(&["api"]);
    desired.directory.clone_from(&link);
    let cache = CountingCache::default();
    let resolved = resolve(&desired, &endpoint(), sealed(&cache)).await.unwrap();
    assert_eq!(resolved.model.name, project.name, "named by the link, which has no name in its file");
    let container = format!("{}-api-1", project.name);
    let label = "{{index .Config.Labels \"com.docker.compose.config-hash\"}}";
    assert_eq!(docker(&["inspect", "-f", label, &container]).trim(), resolved.hashes["api"]);
    let services = ["api".to_owned()];
    let would = would_recreate(&desired, &endpoint(), &resolved, &services).await;
    assert_eq!(would.recreated(), Fact::Known(BTreeSet::new()), "undrift's own folder is no part of it");

    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("releases/two", &link).unwrap();
    resolve(&desired, &endpoint(), sealed(&cache)).await.unwrap();
    assert_eq!(cache.puts(), 3, "the link leads elsewhere: asked anew, but for the version");
    let unset = Environment::of_this_process().without("PWD");
    resolve_in(&desired, &endpoint(), sealed(&NoCache), unset).await.unwrap();
}

#[tokio::test]
async fn a_dry_run_that_fails_is_unknown() {
    let project = Project::new("dryfail", "services: {api: {image: x}}");
    let desired = project.desired(&["api"]);
    let resolved = resolve(&desired, &endpoint(), sealed(&NoCache)).await.unwrap();
    let away = Endpoint::Unix("/nonexistent/docker.sock".into());
    let fact = would_recreate(&desired, &away, &resolved, &["api".to_owned()]).await;
    assert!(matches!(fact.recreated(), Fact::Unknown(_)), "{fact:?}");
}

/// Runs the `up` that undrift would run, in an environment that asks Compose to remove orphans.
async fn up(desired: &Desired, services: &[&str]) -> Vec<String> {
    let resolved = resolve(desired, &endpoint(), sealed(&NoCache)).await.unwrap();
    let services: Vec<String> = services.iter().map(|&service| service.to_owned()).collect();
    let argv = up_command(desired, &endpoint(), &resolved, &services, false, argv::Pull::Never).await;
    let env = Environment::of_this_process().with("COMPOSE_REMOVE_ORPHANS", "1");
    let env = env.for_docker(&endpoint(), &desired.directory);
    let finished = run(Invocation {
        argv: &argv,
        directory: &desired.directory,
        env: &env,
        limit: Duration::from_secs(60),
        grace: Duration::from_secs(5),
        cancel: &CancellationToken::new(),
        progress: &|_| {},
        hold: None,
        keep_stdout: false,
    })
    .await
    .unwrap();
    assert_eq!(finished.outcome, StepOutcome::Succeeded, "{}", finished.output);
    argv
}

#[tokio::test]
async fn an_up_of_ours_touches_only_what_the_object_names() {
    let project = Project::with_image(
        "up",
        &format!(
            "services:\n  api:\n    image: IMAGE\n    {SLEEP}\n    depends_on: [db]\n    environment: {{V: one}}\n  \
             db:\n    image: IMAGE\n    {SLEEP}\n    environment: {{D: one}}\n  old:\n    image: IMAGE\n    {SLEEP}\n"
        ),
    );
    project.compose(&["up", "-d"]);
    let id = |service: &str| docker(&["inspect", "-f", "{{.Id}}", &format!("{}-{service}-1", project.name)]);
    let differs = async || {
        let desired = project.desired(&["api"]);
        let resolved = resolve(&desired, &endpoint(), sealed(&NoCache)).await.unwrap();
        let fact = would_recreate(&desired, &endpoint(), &resolved, &["api".to_owned()]).await;
        !fact.recreated().known().unwrap_or_else(|| panic!("{fact:?}")).is_empty()
    };
    let (first, db, old) = (id("api"), id("db"), id("old"));
    project.edit("  old:", "  young:");
    project.edit("V: one", "V: two");
    assert!(differs().await);
    let argv = up(&project.desired(&["api"]), &["api"]).await;
    assert!(!argv.contains(&"--no-deps".to_owned()), "the dependency would be left alone: {argv:?}");
    let second = id("api");
    assert_ne!(second, first, "the named service was recreated");
    assert!(!differs().await, "and is as declared");

    project.edit("V: two", "V: three");
    project.edit("D: one", "D: two");
    let argv = up(&project.desired(&["api"]), &["api"]).await;
    assert!(argv.contains(&"--no-deps".to_owned()), "the dependency differs too: {argv:?}");
    assert_ne!(id("api"), second, "the named service was recreated");
    assert_eq!(id("db"), db, "its dependency was not");
    assert_eq!(id("old"), old, "the orphan was not removed");
    assert!(!differs().await, "made without its dependencies it counts as declared as well");
}

#[tokio::test]
async fn an_up_of_ours_touches_no_service_outside_the_step() {
    let project = Project::with_image(
        "step",
        &format!(
            "services:\n  api:\n    image: IMAGE\n    {SLEEP}\n    depends_on: [worker]\n    environment: {{V: one}}\n  \
             worker:\n    build: ./worker\n    {SLEEP}\n"
        ),
    );
    let dockerfile = |module: &str| {
        let text = format!("FROM {}\nLABEL module={module}\n", project.image.as_deref().unwrap());
        project.write("worker/Dockerfile", &text);
    };
    dockerfile("there");
    project.compose(&["up", "-d", "--build"]);
    let id = |service: &str| docker(&["inspect", "-f", "{{.Id}}", &format!("{}-{service}-1", project.name)]);
    let desired = project.desired(&["api", "worker"]);
    let differ = async || {
        let resolved = resolve(&desired, &endpoint(), sealed(&NoCache)).await.unwrap();
        let both = ["api", "worker"].map(str::to_owned);
        let fact = would_recreate(&desired, &endpoint(), &resolved, &both).await;
        let names = fact.recreated().known().unwrap_or_else(|| panic!("{fact:?}")).clone();
        names.iter().map(|name| name.replace(&format!("{}-", project.name), "")).collect::<Vec<_>>()
    };
    let (api, worker) = (id("api"), id("worker"));
    // A build of `worker` lacks its module, so its container must stay; `api` gets another configuration.
    dockerfile("lost");
    project.compose(&["build", "worker"]);
    project.edit("V: one", "V: two");
    let argv = up(&desired, &["api"]).await;
    assert!(argv.contains(&"--no-deps".to_owned()), "{argv:?}");
    assert_ne!(id("api"), api, "the step's service was recreated");
    assert_eq!(id("worker"), worker, "the other one, named as well, was not");
    assert!(!differ().await.contains(&"api-1".to_owned()), "and `api` counts as declared");

    // Compose 2.26 recreates `api` along with its dependency here; that is its own rule, and nothing rests on it.
    let argv = up(&desired, &["api", "worker"]).await;
    assert!(!argv.contains(&"--no-deps".to_owned()), "no dependency lies outside this step: {argv:?}");
    assert_ne!(id("worker"), worker);
    assert_eq!(differ().await, [""; 0]);
    let (api, worker) = (id("api"), id("worker"));
    project.edit("V: two", "V: three");
    let argv = up(&desired, &["api"]).await;
    assert!(!argv.contains(&"--no-deps".to_owned()), "the other one would be left alone: {argv:?}");
    assert!(id("api") != api && id("worker") == worker);
    assert_eq!(differ().await, [""; 0]);
}

#[tokio::test]
async fn a_build_that_hangs_is_ended_with_all_its_processes() {
    let project = Project::with_image("hang", "services: {api: {build: ./app}}\n");
    let image = project.image.clone().unwrap();
    let dockerfile = format!("FROM {image}\nRUN [\"/bin/busybox\", \"sleep\", \"1000\"]\n");
    project.write("app/Dockerfile", &dockerfile);
    let desired = project.desired(&["api"]);
    let argv = argv::build(&desired, &["api".to_owned()], true);
    let cancel = CancellationToken::new();
    let started = CancellationToken::new();
    let progress = |line: &str| {
        if line.contains("RUN") {
            started.cancel();
        }
    };
    let env = Environment::of_this_process().for_docker(&endpoint(), &desired.directory);
    let build = run(Invocation {
        argv: &argv,
        directory: &desired.directory,
        env: &env,
        limit: Duration::from_secs(60),
        grace: Duration::from_secs(10),
        cancel: &cancel,
        progress: &progress,
        hold: None,
        keep_stdout: false,
    });
    let stop = async {
        started.cancelled().await;
        cancel.cancel();
    };
    let (finished, ()) = tokio::join!(build, stop);
    let finished = finished.unwrap();
    assert_eq!(finished.outcome, StepOutcome::Cancelled, "{}", finished.output);
    let directory = desired.directory.as_os_str();
    let left = fs::read_dir("/proc").unwrap().flatten().filter(|process| {
        fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd.as_os_str() == directory)
    });
    assert_eq!(left.count(), 0, "no process of it is left");
}

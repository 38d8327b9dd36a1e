//! The real host whole: what a look shows, and what each step does.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    collections::BTreeMap,
    os::unix::process::CommandExt as _,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};
use support::{BASE, MemoryCache, Project, docker, eventually};
use tokio_util::sync::CancellationToken;
use undrift::{
    api::{
        Answer, ContainerState, Desired, Fact, Health, Presence, ProjectObservation, ServiceObservation,
        Step, StepOutcome,
    },
    host::{Host as _, HostError, LocalHost, StepReport, StepRequest, endpoint::Endpoint},
};

/// Two services as in the incident: a route that asks for a password, and a module that is a folder.
const INCIDENT: &str = r#"services:
  api:
    build: ./api
    init: true
    ports: ["3000"]
    healthcheck: {test: ["CMD", "test", "-d", "/www"], interval: 1s, start_period: 1s}
  dashboard:
    build: ./dashboard
    init: true
"#;

const SERVICES: &str = r#"[
    {"name": "api",
     "modules": [{"source": "api/modules/workflow", "path": "/www/modules/workflow", "type": "directory"}],
     "routes": [{"path": "/api/workflow", "port": 3000, "expect": 401,
                 "auth": {"basic": {"username": "ops", "passwordFrom": {"file": "password"}}, "expect": 200}}]},
    {"name": "dashboard", "routes": [{"path": "/", "port": 80, "expect": [200]}]}
]"#;

fn incident(prefix: &str) -> (Project, Desired) {
    let project = Project::new(prefix, INCIDENT);
    project.write("api/modules/workflow/index", "workflow");
    project.write("api/httpd.conf", "/api/workflow:ops:hunter2\n");
    project.write(
        "api/Dockerfile",
        &format!(
            "FROM {BASE}\nRUN mkdir -p /www/api && echo ok > /www/api/workflow\nCOPY httpd.conf /etc/httpd.conf\n\
             COPY modules /www/modules\nCMD [\"httpd\", \"-f\", \"-p\", \"3000\", \"-h\", \"/www\", \
             \"-c\", \"/etc/httpd.conf\"]\n"
        ),
    );
    project.write("dashboard/index.html", "hello");
    project.write(
        "dashboard/Dockerfile",
        &format!("FROM {BASE}\nCOPY index.html /www/\nCMD [\"httpd\", \"-f\", \"-h\", \"/www\"]\n"),
    );
    project.write("password", "hunter2\n");
    let desired = project.desired(SERVICES);
    (project, desired)
}

fn host() -> LocalHost {
    support::engine();
    LocalHost::at(Endpoint::Unix(support::socket()), Arc::new(MemoryCache::default()), None).unwrap()
}

async fn look(host: &LocalHost, desired: &Desired) -> ProjectObservation {
    host.observe(desired).await.unwrap()
}

fn ids(service: &ServiceObservation) -> Vec<(String, String)> {
    let containers = service.containers.known().unwrap().iter();
    containers.map(|container| (container.id.clone(), container.image_id.clone())).collect()
}

struct Steps<'a> {
    host: &'a LocalHost,
    desired: &'a Desired,
    cancel: CancellationToken,
    rollback_to: BTreeMap<String, String>,
}

impl<'a> Steps<'a> {
    fn new(host: &'a LocalHost, desired: &'a Desired) -> Self {
        Self { host, desired, cancel: CancellationToken::new(), rollback_to: BTreeMap::new() }
    }

    async fn take(&self, step: Step, services: &[&str]) -> StepReport {
        let services: Vec<String> = services.iter().map(|service| (*service).to_owned()).collect();
        let request = StepRequest {
            step,
            services: &services,
            rollback_to: &self.rollback_to,
            examined: &BTreeMap::new(),
            timeout: Duration::from_secs(120),
            cancel: &self.cancel,
            progress: &|_| (),
        };
        self.host.execute(self.desired, request).await
    }

    async fn succeed(&self, step: Step, services: &[&str]) -> StepReport {
        let report = self.take(step, services).await;
        assert_eq!((report.outcome, report.exit_code), (StepOutcome::Succeeded, Some(0)), "{report:?}");
        report
    }
}

const UP: Step = Step::Up { force_recreate: false };
const BUILD: Step = Step::Build { no_cache: false };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_as_declared_is_seen_whole() {
    let (project, desired) = incident("whole");
    project.compose(&["up", "--detach", "--build", "--wait"]);
    let host = host();
    let seen = look(&host, &desired).await;
    assert_eq!(seen.project, project.name);
    let [api, dashboard] = &seen.services[..] else { panic!("two services: {seen:?}") };
    assert!(api.buildable && api.replicas == 1);
    assert_eq!(api.source.modules, [Some(Fact::Known(Presence::Present))]);
    assert!(matches!(&api.source.digest, Fact::Known(Some(digest)) if digest.starts_with("v1:sha256:")));
    assert_eq!(host.git(&desired).await, Fact::Known(None));
    assert_eq!(api.artifact.reference, format!("{}-api", project.name));
    assert_eq!(api.artifact.modules[0].presence, Fact::Known(Presence::Present));
    assert_eq!(api.artifact.built_from, None);

    let [container] = &api.containers.known().unwrap()[..] else { panic!("one container: {api:?}") };
    assert_eq!(api.artifact.image, Fact::Known(Some(container.image_id.clone())));
    assert_eq!((container.state, container.number, container.restart_count), (ContainerState::Running, 1, 0));
    assert_eq!(container.health, Some(Health::Healthy));
    assert_eq!(container.config_changed, Fact::Known(false));
    assert_eq!(container.modules[0].presence, Fact::Known(Presence::Present));

    let answer = &api.routes[0].answers[0];
    assert_eq!(answer.container.as_ref(), Some(&container.id));
    assert_eq!(
        answer.plain,
        Fact::Known(Answer::Status { code: 401, challenge: true, allow: None, location: None })
    );
    let status = |fact: &Option<Fact<Answer>>| fact.as_ref().unwrap().known().and_then(Answer::status);
    assert_eq!((status(&answer.control), status(&answer.auth)), (Some(404), Some(200)));
    assert_eq!(answer.auth_control, None);
    // Its port is not published, so it was asked at its own address.
    assert_eq!(dashboard.routes[0].answers[0].plain.known().and_then(Answer::status), Some(200));
    assert!(!format!("{seen:?}").contains("hunter2"));

    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..20 {
        let began = Instant::now();
        assert_eq!(ids(&look(&host, &desired).await.services[0]), ids(api));
        times.push(began.elapsed());
    }
    times.sort();
    println!("one look: median {:?}, best {:?}", times[10], times[0]);
}

#[tokio::test]
async fn each_step_has_its_own_effect_and_no_other() {
    let (project, desired) = incident("steps");
    let host = host();
    let mut steps = Steps::new(&host, &desired);
    let first = steps.succeed(BUILD, &["api", "dashboard"]).await;
    assert!(first.notes.is_empty(), "nothing ran, nothing was there: {:?}", first.notes);
    steps.succeed(UP, &["api", "dashboard"]).await;
    let old = look(&host, &desired).await;
    let old_image = ids(&old.services[0])[0].1.clone();

    project.write("api/modules/other/index", "new");
    let build = steps.succeed(BUILD, &["api"]).await;
    let keep = undrift::host::engine::keep_reference(&project.name, "api");
    assert_eq!(build.notes, [format!("kept {old_image} as {keep}")]);
    assert!(build.command.join(" ").ends_with(" build api"), "{:?}", build.command);
    let after_build = look(&host, &desired).await;
    assert_ne!(after_build.services[0].artifact.image, Fact::Known(Some(old_image.clone())));
    assert_eq!(ids(&after_build.services[0]), ids(&old.services[0]), "a build replaces no container");

    steps.succeed(UP, &["api"]).await;
    let new = look(&host, &desired).await;
    assert_eq!(new.services[0].artifact.image, Fact::Known(Some(ids(&new.services[0])[0].1.clone())));
    assert_eq!(ids(&new.services[1]), ids(&old.services[1]), "the other service is left alone");
    assert_eq!(docker(&["inspect", "--format", "{{.Id}}", &keep]), old_image);

    let started = |seen: &ProjectObservation| seen.services[0].containers.known().unwrap()[0].started_at;
    steps.succeed(Step::Restart, &["api"]).await;
    let restarted = look(&host, &desired).await;
    assert_eq!(ids(&restarted.services[0]), ids(&new.services[0]));
    assert!(started(&restarted) > started(&new));

    let lost = steps.take(Step::Rollback, &["api"]).await;
    assert_eq!((lost.outcome, lost.exit_code), (StepOutcome::Failed, None), "to what? {lost:?}");
    steps.rollback_to.insert("api".into(), old_image.clone());
    let rollback = steps.succeed(Step::Rollback, &["api"]).await;
    assert_eq!(rollback.notes, [format!("pointed {}-api back at {old_image}", project.name)]);
    assert_eq!(ids(&look(&host, &desired).await.services[0])[0].1, old_image);

    steps.rollback_to.insert("api".into(), format!("sha256:{}", "0".repeat(64)));
    let gone = steps.take(Step::Rollback, &["api"]).await;
    assert!(gone.outcome == StepOutcome::Failed && gone.output.contains("is gone"), "{gone:?}");
    steps.cancel.cancel();
    assert_eq!(steps.take(UP, &["api"]).await.outcome, StepOutcome::Cancelled);
}

#[tokio::test]
async fn an_image_is_kept_from_the_reference_only_where_nothing_else_is_known() {
    let (project, desired) = incident("keep");
    let host = host();
    let steps = Steps::new(&host, &desired);
    project.compose(&["build", "api"]);
    let good = docker(&["inspect", "--format", "{{.Id}}", &format!("{}-api", project.name)]);
    let keep = undrift::host::engine::keep_reference(&project.name, "api");
    for content in ["bad", "worse"] {
        project.write("api/modules/other/index", content);
        steps.succeed(BUILD, &["api"]).await;
        assert_eq!(docker(&["inspect", "--format", "{{.Id}}", &keep]), good, "{content}");
    }
}

#[tokio::test]
async fn the_image_of_before_an_incident_stays_kept_through_all_of_its_builds() {
    let (project, desired) = incident("keep-before");
    let host = host();
    let mut steps = Steps::new(&host, &desired);
    let id = |reference: &str| docker(&["inspect", "--format", "{{.Id}}", reference]);
    let (reference, keep) =
        (format!("{}-api", project.name), undrift::host::engine::keep_reference(&project.name, "api"));
    project.compose(&["up", "--detach", "--build", "api"]);
    let before = id(&reference);
    steps.rollback_to.insert("api".into(), before.clone());
    for content in ["second", "third"] {
        project.write("api/modules/other/index", content);
        steps.succeed(BUILD, &["api"]).await;
        steps.succeed(UP, &["api"]).await;
        assert_eq!(id(&keep), before, "after the {content}, which runs now");
    }
    // In the next incident another image is the one of before.
    let third = id(&reference);
    steps.rollback_to.insert("api".into(), third.clone());
    project.write("api/modules/other/index", "fourth");
    let build = steps.succeed(BUILD, &["api"]).await;
    assert_eq!((id(&keep), build.notes), (third.clone(), vec![format!("kept {third} as {keep}")]));
}

#[tokio::test]
async fn a_reference_that_another_project_runs_from_is_not_put_back() {
    let base = docker(&["inspect", "--format", "{{.Id}}", BASE]);
    let ours = Project::new("shares", "services: {}\n");
    let reference = format!("{}-shared:1", ours.name);
    ours.write("Dockerfile", &format!("FROM {BASE}\nLABEL shared=1\n"));
    docker(&["build", "--quiet", "--tag", &reference, &ours.directory().to_string_lossy()]);
    let service = format!("{{image: '{reference}', command: sleep 1000, init: true}}");
    let theirs = Project::new("theirs", &format!("services: {{b: {service}}}\n"));
    ours.write("compose.yaml", &format!("name: {}\nservices: {{a: {service}}}\n", ours.name));
    ours.compose(&["up", "--detach"]);
    theirs.compose(&["up", "--detach"]);
    let (host, desired) = (host(), ours.desired(r#"[{"name": "a"}]"#));
    let mut steps = Steps::new(&host, &desired);
    steps.rollback_to.insert("a".into(), base.clone());
    let id = || docker(&["inspect", "--format", "{{.Id}}", &reference]);
    let (new, containers) = (id(), ours.container("a"));
    let refused = steps.take(Step::Rollback, &["a"]).await;
    assert_eq!((refused.outcome, refused.exit_code), (StepOutcome::Failed, None), "{refused:?}");
    let is_named = [&reference, &theirs.name].iter().all(|word| refused.output.contains(*word));
    assert!(is_named && refused.output.contains("a person"), "{}", refused.output);
    assert_eq!((id(), ours.container("a")), (new, containers), "nothing was touched");

    theirs.compose(&["down", "--timeout", "0"]);
    steps.succeed(Step::Rollback, &["a"]).await;
    assert_eq!(id(), base);
}

/// The services below whose hash, made from what `docker compose config` prints, is not that of their container: it holds the
/// ID of the other one.
const LYING: [&str; 3] = ["c", "d", "e"];

#[tokio::test]
async fn a_build_from_the_cache_is_no_new_image() {
    let (project, desired) = incident("cached");
    let host = host();
    let steps = Steps::new(&host, &desired);
    steps.succeed(BUILD, &["api"]).await;
    steps.succeed(UP, &["api"]).await;
    let image = || docker(&["inspect", "--format", "{{.Id}}", &format!("{}-api", project.name)]);
    let first = image();
    for path in ["api/modules/workflow/index", "api/httpd.conf"] {
        let file = std::fs::File::options().write(true).open(project.directory().join(path)).unwrap();
        file.set_modified(std::time::SystemTime::now()).unwrap();
    }
    steps.succeed(BUILD, &["api"]).await;
    assert_eq!(image(), first);
    let seen = look(&host, &desired).await;
    assert_eq!(seen.services[0].artifact.image, Fact::Known(Some(ids(&seen.services[0])[0].1.clone())));
}

#[tokio::test]
async fn a_port_that_accepts_before_the_server_listens_is_no_answer_and_a_new_one_is_followed() {
    let project = Project::new(
        "ports",
        "services:
  a:
    image: BASE
    init: true
    ports: [\"3000\"]
    command: [sh, -c, 'until [ -e /listen ]; do sleep 0.1; done; exec httpd -f -p 3000 -h /']
",
    );
    project.compose(&["up", "--detach"]);
    let desired =
        project.desired(r#"[{"name": "a", "routes": [{"path": "/bin/sh", "port": 3000, "expect": 200}]}]"#);
    let host = host();
    let answer = async || look(&host, &desired).await.services[0].routes[0].answers[0].clone();
    let early = answer().await;
    assert!(early.url.starts_with("http://127.0.0.1:"), "the published port is asked: {early:?}");
    assert!(
        matches!(early.plain, Fact::Known(Answer::None(_))),
        "it is accepted, and nobody answers: {early:?}"
    );
    docker(&["exec", &project.container("a"), "touch", "/listen"]);
    let answers = async || {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let answer = answer().await;
            if answer.plain.known().and_then(Answer::status) == Some(200) {
                return answer.url;
            }
            assert!(Instant::now() < deadline, "{answer:?}");
        }
    };
    let before = answers().await;
    assert_eq!(before, early.url);
    // The engine gives another port to the next container, so that this one does not get its own back.
    project.compose(&["stop", "--timeout", "0"]);
    let port = before.strip_prefix("http://127.0.0.1:").unwrap().split_once('/').unwrap().0;
    let taken = std::net::TcpListener::bind(format!("0.0.0.0:{port}")).unwrap();
    project.compose(&["start"]);
    assert_ne!(answers().await, before);
    drop(taken);
}

#[tokio::test]
async fn a_changed_configuration_is_distinguished_from_a_hash_that_only_differs() {
    let compose = |value: &str| {
        format!(
            "services:\n  a:\n    image: {BASE}\n    command: sleep 1000\n    init: true\n    \
             ipc: shareable\n    volumes: [/shared]\n    \
             environment: {{X: \"{value}\"}}\n  b:\n    image: {BASE}\n    command: sleep 1000\n    init: true\n    \
             env_file: b.env\n  c:\n    image: {BASE}\n    command: sleep 1000\n    init: true\n    \
             network_mode: service:a\n  d:\n    image: {BASE}\n    command: sleep 1000\n    init: true\n    \
             ipc: service:a\n  e:\n    image: {BASE}\n    command: sleep 1000\n    init: true\n    \
             volumes_from: [a]\n"
        )
    };
    let project = Project::new("hashes", "services: {}\n");
    project.write("compose.yaml", &format!("name: {}\n{}", project.name, compose("1")));
    project.write("b.env", "Y=1\n");
    project.compose(&["up", "--detach"]);
    let host = host();
    let all = ["a", "b", "c", "d", "e"].map(|name| format!(r#"{{"name": "{name}"}}"#)).join(",");
    let desired = project.desired(&format!("[{all}]"));
    let changed = async || -> Vec<Fact<bool>> {
        let seen = look(&host, &desired).await;
        let first = |service: &ServiceObservation| service.containers.known().unwrap()[0].clone();
        seen.services.iter().map(|service| first(service).config_changed).collect()
    };
    assert_eq!(changed().await, vec![Fact::Known(false); 5]);
    let seen = look(&host, &desired).await;
    let lies = seen.services.iter().filter(|service| {
        let of = |container: &undrift::api::ContainerObservation| container.config_hash.clone();
        service.config_hash != of(&service.containers.known().unwrap()[0])
    });
    let lies: Vec<&str> = lies.map(|service| service.name.as_str()).collect();
    assert_eq!(lies, LYING, "for these the hash alone would have been wrong");
    project.write("compose.yaml", &format!("name: {}\n{}", project.name, compose("2")));
    assert_eq!(changed().await[..2], [Fact::Known(true), Fact::Known(false)]);
}

#[tokio::test]
async fn no_step_of_a_service_begins_while_a_variable_that_it_may_use_is_not_known() {
    let service = |name: &str, value: &str| {
        format!(
            "  {name}:\n    image: {BASE}\n    command: sleep 1000\n    init: true\n    stop_grace_period: 0s\n    \
             environment: {{ X: \"{value}\" }}\n"
        )
    };
    let project = Project::new("unknown-variable", "services: {}\n");
    let services = service("uses", "${SHA:-none}") + &service("apart", "1");
    project.write("compose.yaml", &format!("name: {}\nservices:\n{services}", project.name));
    project.write("VERSION", "1.4.2\n");
    let revision = r#"{"from": {"env": "X"}, "equals": {"file": "VERSION"}, "variable": "SHA"}"#;
    let desired =
        project.desired(&format!(r#"[{{"name": "uses", "revision": {revision}}}, {{"name": "apart"}}]"#));
    let host = host();
    let steps = Steps::new(&host, &desired);
    steps.succeed(UP, &["uses", "apart"]).await;
    let before = look(&host, &desired).await;
    assert!(before.services.iter().all(|service| service.unresolved.is_none()));
    std::fs::remove_file(project.directory().join("VERSION")).unwrap();
    let seen = look(&host, &desired).await;
    let [uses, apart] = &seen.services[..] else { panic!("{seen:?}") };
    assert!(uses.unresolved.as_ref().is_some_and(|why| why.message.contains("VERSION")), "{uses:?}");
    assert_eq!((uses.config_hash.as_deref(), apart.unresolved.as_ref()), (None, None));
    let container = &uses.containers.known().unwrap()[0];
    assert!(container.config_changed.known().is_none() && uses.artifact.image.known().is_none());
    for step in [UP, Step::Up { force_recreate: true }, Step::Restart] {
        let report = steps.take(step, &["uses"]).await;
        assert_eq!(report.outcome, StepOutcome::NotBegun, "{step:?}: {report:?}");
        assert!(report.output.contains("SHA") && report.output.contains("VERSION"), "{report:?}");
    }
    assert_eq!(ids(uses), ids(&before.services[0]));
    steps.succeed(UP, &["apart"]).await;
    // A start changes nothing of an existing container, and creates none.
    project.compose(&["stop", "uses"]);
    steps.succeed(Step::Start, &["uses"]).await;
    assert_eq!(ids(&look(&host, &desired).await.services[0]), ids(uses));
    project.compose(&["rm", "--stop", "--force", "uses"]);
    let report = steps.take(Step::Start, &["uses"]).await;
    assert!(report.outcome == StepOutcome::NotBegun && report.output.contains("SHA"), "{report:?}");
}

#[tokio::test]
async fn what_does_not_run_is_seen_and_not_asked() {
    let (project, desired) = incident("stopped");
    project.compose(&["up", "--detach", "--build"]);
    project.compose(&["kill", "api"]);
    project.compose(&["rm", "--force", "--stop", "dashboard"]);
    let seen = look(&host(), &desired).await;
    let [api, dashboard] = &seen.services[..] else { panic!("two services: {seen:?}") };
    let container = &api.containers.known().unwrap()[0];
    assert_eq!((container.state, container.exit_code), (ContainerState::Exited, Some(137)));
    assert_eq!(container.modules[0].presence, Fact::Known(Presence::Present));
    assert_eq!(api.routes[0].answers, []);
    assert_eq!(dashboard.containers, Fact::Known(Vec::new()));
    project.compose(&["down", "--rmi", "all"]);
    let seen = look(&host(), &desired).await;
    assert_eq!(seen.services[0].artifact.image, Fact::Known(None));
    assert!(seen.services[0].artifact.modules[0].presence.why_unknown().is_some());
}

#[tokio::test]
async fn services_that_share_a_network_are_asked_where_it_is() {
    let server = "    command: httpd -f -h / -p";
    let project = Project::new(
        "networks",
        &format!(
            "services:
  main:
    image: BASE
    init: true
{server} 8000
  side:
    image: BASE
    init: true
    network_mode: service:main
{server} 8001
  lonely:
    image: BASE
    init: true
    network_mode: none
{server} 8002
"
        ),
    );
    project.compose(&["up", "--detach"]);
    let desired = project.desired(
        r#"[{"name": "side", "routes": [{"path": "/bin/sh", "port": 8001, "expect": 200}]},
            {"name": "lonely", "routes": [{"path": "/", "port": 8002, "expect": 200}]}]"#,
    );
    let host = host();
    let mut seen = look(&host, &desired).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while seen.services[0].routes[0].answers[0].plain.known().and_then(Answer::status).is_none() {
        assert!(Instant::now() < deadline, "{seen:?}");
        seen = look(&host, &desired).await;
    }
    let status = seen.services[0].routes[0].answers[0].plain.known().and_then(Answer::status);
    assert_eq!(status, Some(200));
    let lonely = &seen.services[1].routes[0].answers[0];
    assert!(lonely.plain.why_unknown().is_some_and(|why| why.contains("no network")), "{lonely:?}");
    assert_eq!(lonely.url, "");
}

#[tokio::test]
async fn an_up_clears_the_leftovers_of_a_killed_one() {
    let project = Project::new(
        "cleared",
        "services:\n  a:\n    image: BASE\n    command: sleep 1000\n    stop_grace_period: 3s\n",
    );
    project.compose(&["up", "--detach"]);
    let old = project.container("a");
    let mut up = project.command(&["up", "--detach", "--force-recreate"]);
    let mut up = up.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let name = format!("{}_{}-a-1", &old[..12], project.name);
    let listed = || docker(&["ps", "--all", "--quiet", "--filter", &format!("name={name}")]);
    eventually("the replacement", || !listed().is_empty());
    kill_process_group(Pid::from_child(&up), Signal::KILL).unwrap();
    up.wait().unwrap();

    let desired = project.desired(r#"[{"name": "a"}]"#);
    let host = host();
    let steps = Steps::new(&host, &desired);
    let report = steps.take(UP, &["a"]).await;
    assert_eq!(report.outcome, StepOutcome::NotBegun, "it may be someone else's, and at work: {report:?}");
    assert!(!listed().is_empty());
    // As if the one that was killed had been undrift's own, or as if it had been waited for.
    let now = chrono::Utc::now().timestamp();
    host.engine().note_own_step(&project.name, now - 60..=now);
    let report = steps.succeed(UP, &["a"]).await;
    assert_eq!(report.notes, [format!("removed {name}, which a killed recreate left behind")]);
    let seen = look(&host, &desired).await;
    assert_eq!(seen.services[0].containers.known().unwrap().len(), 1);
}

#[tokio::test]
async fn without_an_engine_observations_and_steps_fail() {
    let project = Project::new("away", "services: {a: {image: BASE}}\n");
    let endpoint = Endpoint::Unix(project.directory().join("none.sock"));
    let host = LocalHost::at(endpoint, Arc::new(MemoryCache::default()), None).unwrap();
    let desired = project.desired(r#"[{"name": "a"}]"#);
    let began = Instant::now();
    let error = host.observe(&desired).await.unwrap_err();
    assert!(matches!(error, HostError::EngineUnavailable { .. }), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let report = Steps::new(&host, &desired).take(UP, &["a"]).await;
    assert_eq!(report.outcome, StepOutcome::Failed);
}

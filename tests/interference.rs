//! Somebody else at work on the same project, and what they leave there, at the real engine.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    os::unix::{net::UnixStream, process::CommandExt as _},
    process::{Child, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use support::{MemoryCache, Project, docker, eventually, socket};
use tokio_util::sync::CancellationToken;
use undrift::{
    api::{Desired, Step, StepOutcome},
    host::{
        Host as _, LocalHost, StepReport, StepRequest,
        endpoint::Endpoint,
        engine::{Engine, EngineError},
    },
};

const SLEEPER: &str = "services: {a: {image: BASE, command: sleep 1000, init: true}}\n";
const UP: Step = Step::Up { force_recreate: false };

fn host() -> LocalHost {
    support::engine();
    LocalHost::at(Endpoint::Unix(socket()), Arc::new(MemoryCache::default()), None).unwrap()
}

async fn take(host: &LocalHost, desired: &Desired, step: Step, service: &str) -> StepReport {
    let request = StepRequest {
        step,
        services: &[service.to_owned()],
        rollback_to: &BTreeMap::new(),
        examined: &BTreeMap::new(),
        timeout: Duration::from_secs(120),
        cancel: &CancellationToken::new(),
        progress: &|_| (),
    };
    host.execute(desired, request).await
}

async fn succeed(host: &LocalHost, desired: &Desired, step: Step) -> Vec<String> {
    let report = take(host, desired, step, "a").await;
    assert_eq!(report.outcome, StepOutcome::Succeeded, "{report:?}");
    report.notes
}

async fn external_activity(engine: &Engine, project: &Project) -> Option<String> {
    engine.project_containers(&project.name, &BTreeMap::new()).await.unwrap().external_activity
}

/// Asks the engine for one more network of this name; the docker CLI would look first whether there is one. The error is
/// the engine's answer.
fn try_network(name: &str, project: Option<&str>) -> Result<String, String> {
    let labels = project.map(|project| {
        format!(r#""com.docker.compose.project": "{project}", "com.docker.compose.network": "default""#)
    });
    let body = format!(r#"{{"Name": "{name}", "Labels": {{{}}}}}"#, labels.unwrap_or_default());
    let head = "POST /networks/create HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length:";
    let mut engine = UnixStream::connect(socket()).unwrap();
    write!(engine, "{head} {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    engine.read_to_string(&mut answer).unwrap();
    answer.split_once(r#""Id":""#).map(|(_, id)| id[..64].to_owned()).ok_or(answer)
}

fn create_network(name: &str, project: Option<&str>) -> String {
    try_network(name, project).unwrap()
}

/// Networks that are not the project's, removed whatever comes.
struct Foreign(Vec<String>);

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = std::process::Command::new("docker").args(["network", "rm"]).args(&self.0).output();
    }
}

fn networks() -> String {
    docker(&["network", "ls", "--quiet", "--no-trunc"])
}

#[tokio::test]
async fn two_networks_of_one_name_are_made_one_before_an_up() {
    let project = Project::new("doubled", SLEEPER);
    let name = format!("{}_default", project.name);
    let own = Some(project.name.as_str());
    let oldest = create_network(&name, own);
    let newer = match try_network(&name, own) {
        Ok(newer) => newer,
        // Engine 28, also where eight ask at once: there is never a second one to remove.
        Err(answer) => {
            assert!(answer.contains("already exists"), "{answer}");
            return;
        }
    };
    let (elsewhere, beside) = (format!("{}_elsewhere", project.name), format!("{}-beside", project.name));
    let foreign = [None, None, Some(beside.as_str()), Some(beside.as_str())];
    let foreign = Foreign(foreign.map(|project| create_network(&elsewhere, project)).to_vec());
    let output = project.try_compose(&["up", "--detach"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && stderr.contains("is ambiguous"),
        "without the removal it fails: {stderr}"
    );

    let (host, desired) = (host(), project.desired(r#"[{"name": "a"}]"#));
    assert_eq!(take(&host, &desired, UP, "a").await.outcome, StepOutcome::NotBegun, "that `up` was just now");
    let now = chrono::Utc::now().timestamp();
    host.engine().note_own_step(&project.name, now - 60..=now);
    let notes = succeed(&host, &desired, UP).await;
    assert_eq!(notes, [format!("removed network {}, one of several named {name}, unused", &newer[..12])]);
    let left = networks();
    assert!(left.contains(&oldest) && foreign.0.iter().all(|id| left.contains(id)), "{left}");

    // A restart would fail as well, and a stopped container never starts again without its very network.
    project.compose(&["stop"]);
    let newest = create_network(&name, own);
    let notes = succeed(&host, &desired, Step::Restart).await.concat();
    assert!(notes.contains(&newest[..12]), "{notes}");
    assert_eq!(succeed(&host, &desired, UP).await, [""; 0]);
}

#[tokio::test]
async fn a_step_on_one_project_hides_no_one_at_work_on_another() {
    let (ours, theirs) = (Project::new("ours", SLEEPER), Project::new("theirs", SLEEPER));
    let engine = Engine::new(Endpoint::Unix(socket()));
    let now = chrono::Utc::now().timestamp();
    engine.note_own_step(&theirs.name, now - 60..=now - 50);
    engine.note_own_step(&ours.name, now - 50..=now + 50);
    for project in [&ours, &theirs] {
        project.compose(&["up", "--no-start"]);
    }
    assert_eq!(external_activity(&engine, &ours).await, None, "what our own step left is no one's work");
    assert!(
        external_activity(&engine, &theirs).await.is_some_and(|why| why.contains("another Compose command"))
    );
}

#[tokio::test]
async fn a_step_does_not_begin_beside_someone_else_who_began_after_the_look() {
    let project = Project::new("gap", SLEEPER);
    let (host, desired) = (host(), project.desired(r#"[{"name": "a"}]"#));
    assert_eq!(host.observe(&desired).await.unwrap().external_activity, None);
    project.compose(&["up", "--no-start"]);
    let created = project.container("a");
    for step in [UP, Step::Up { force_recreate: true }, Step::Restart, Step::Rollback] {
        let report = take(&host, &desired, step, "a").await;
        assert_eq!((report.outcome, report.exit_code), (StepOutcome::NotBegun, None), "{report:?}");
        assert!(report.output.contains("another Compose command may be at work"), "{}", report.output);
        assert!(report.command.is_empty() && report.notes.is_empty(), "{report:?}");
    }
    let state = docker(&["inspect", "--format", "{{.State.Status}}", &created]);
    assert_eq!((project.container("a"), state.as_str()), (created, "created"), "it is left alone");
}

#[tokio::test]
async fn what_someone_else_creates_during_a_build_is_not_taken_for_the_builds() {
    let services = "services:
  a: {image: BASE, command: sleep 1000, init: true}
  b: {build: ., command: sleep 1000, init: true}
";
    let project = Project::new("beside-build", services);
    project.write("Dockerfile", &format!("FROM {}\nRUN echo {} && sleep 2\n", support::BASE, project.name));
    let (host, desired) = (host(), project.desired(r#"[{"name": "a"}, {"name": "b"}]"#));
    let building = tokio_util::sync::CancellationToken::new();
    let request = StepRequest {
        step: Step::Build { no_cache: false },
        services: &["b".to_owned()],
        rollback_to: &BTreeMap::new(),
        examined: &BTreeMap::new(),
        timeout: Duration::from_secs(120),
        cancel: &CancellationToken::new(),
        progress: &|line| {
            if line.contains("RUN") {
                building.cancel();
            }
        },
    };
    let beside = async {
        building.cancelled().await;
        let mut up = tokio::process::Command::from(project.command(&["up", "--no-start", "a"]));
        assert!(up.status().await.unwrap().success());
        chrono::Utc::now().timestamp()
    };
    let (report, created_by) = tokio::join!(host.execute(&desired, request), beside);
    assert_eq!(report.outcome, StepOutcome::Succeeded, "{report:?}");
    let ended = report.started_at.timestamp_millis() + i64::try_from(report.duration_ms).unwrap();
    assert!(created_by * 1000 <= ended, "it was created while the build ran: {created_by} {ended}");
    assert!(
        external_activity(host.engine(), &project).await.is_some_and(|why| why.contains("-a-1 was created"))
    );
}

/// An `up` of someone else's, ended with its whole group when it is dropped.
struct Up(Child);

impl Up {
    fn of(project: &Project, more: &[&str]) -> Self {
        let mut up = project.command(&["up", "--detach"]);
        Self(up.args(more).process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn an_up_that_waits_is_seen_for_as_long_as_it_waits() {
    let stopping = Project::new(
        "stopping",
        "services: {a: {image: BASE, command: sleep 1000, stop_grace_period: 60s}}\n",
    );
    stopping.compose(&["up", "--detach"]);
    let waiting = Project::new(
        "waiting",
        "services:
  db: {image: BASE, command: sleep 1000, init: true, healthcheck: {test: [CMD, 'true'], interval: 5m}}
  a: {image: BASE, command: sleep 1000, init: true, depends_on: {db: {condition: service_healthy}}}
",
    );
    let (_one, _two) = (Up::of(&stopping, &["--force-recreate"]), Up::of(&waiting, &[]));
    let created = |project: &Project| {
        let of = format!("label=com.docker.compose.project={}", project.name);
        docker(&["ps", "--all", "--quiet", "--filter", &of, "--filter", "status=created"])
    };
    eventually("both to be created", || !created(&stopping).is_empty() && !created(&waiting).is_empty());
    let engine = Engine::new(Endpoint::Unix(socket()));
    // Longer than a container that only waits to be started is waited for.
    let enough = Instant::now() + Duration::from_secs(17);
    while Instant::now() < enough {
        assert!(
            external_activity(&engine, &stopping).await.is_some(),
            "{:?} before",
            enough - Instant::now()
        );
        let why = external_activity(&engine, &waiting).await;
        assert!(why.is_some(), "{:?} before", enough - Instant::now());
        tokio::task::yield_now().await;
    }
    let why = external_activity(&engine, &waiting).await.unwrap();
    assert!(why.contains("-db-1 has not passed yet"), "{why}");
}

#[tokio::test]
async fn a_project_that_someone_takes_down_is_left_to_them() {
    let project = Project::new(
        "down",
        "services:
  db: {image: BASE, command: sleep 1000, stop_grace_period: 60s}
  a: {image: BASE, command: sleep 1000, init: true, depends_on: [db]}
",
    );
    project.compose(&["up", "--detach"]);
    let (host, desired) = (host(), project.desired(r#"[{"name": "a"}, {"name": "db"}]"#));
    let seen = async || host.observe(&desired).await.unwrap().external_activity;
    docker(&["kill", &project.container("a")]);
    assert_eq!(seen().await, None, "what died is drift at once");
    docker(&["stop", &project.container("a")]);
    succeed(&host, &desired, UP).await;
    docker(&["rm", "--force", &project.container("a")]);
    assert_eq!(seen().await, None, "what was removed by force as well");
    succeed(&host, &desired, UP).await;

    let db = project.container("db");
    let mut down = project.command(&["down"]);
    let down = Up(down.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let of = format!("label=com.docker.compose.project={}", project.name);
    let left = || docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &of]);
    eventually("the first to be gone", || left() == db);
    // Longer than anything but a signal without an end would be waited for.
    let enough = Instant::now() + Duration::from_secs(7);
    while Instant::now() < enough {
        let why = seen().await.unwrap_or_else(|| panic!("{:?} before", enough - Instant::now()));
        assert!(why.contains("another Compose command may be at work"), "{why}");
        tokio::task::yield_now().await;
    }
    assert!(seen().await.is_some_and(|why| why.contains("-db-1 is being stopped")));
    let report = take(&host, &desired, UP, "a").await;
    assert_eq!(report.outcome, StepOutcome::NotBegun, "{report:?}");
    docker(&["kill", &db]);
    eventually("the project to be gone", || left().is_empty());
    assert!(seen().await.is_some_and(|why| why.contains("was stopped and removed")), "an `up` may follow");
    drop(down);
    wait_until_no_activity(&seen).await;
}

/// Waits until nobody is taken to be at work any more.
async fn wait_until_no_activity(seen: &impl AsyncFn() -> Option<String>) {
    let began = Instant::now();
    while let Some(why) = seen().await {
        assert!(began.elapsed() < Duration::from_secs(10), "{why}");
        tokio::task::yield_now().await;
    }
}

const TWO: &str = "services:
  a: {image: BASE, command: sleep 1000, init: true}
  b: {image: BASE, command: sleep 1000, stop_grace_period: 60s, stop_signal: SIGUSR1}
";

#[tokio::test]
async fn only_the_signal_that_stops_a_container_is_a_sign_of_a_stop() {
    let project = Project::new("signals", TWO);
    project.compose(&["up", "--detach"]);
    let (host, desired) = (host(), project.desired(r#"[{"name": "a"}, {"name": "b"}]"#));
    let seen = async || host.observe(&desired).await.unwrap().external_activity;
    docker(&["kill", &project.container("a")]);
    for signal in ["QUIT", "TERM", "HUP"] {
        docker(&["kill", "--signal", signal, &project.container("b")]);
        assert_eq!(seen().await, None, "{signal} stops nothing here");
    }
    docker(&["kill", "--signal", "USR1", &project.container("b")]);
    assert!(seen().await.is_some_and(|why| why.contains("-b-1 is being stopped")));
}

#[tokio::test]
async fn a_service_of_which_one_replica_is_gone_already_may_be_taken_down() {
    let service = "{image: BASE, command: sleep 1000, stop_grace_period: 60s, scale: 2}";
    let project = Project::new("replicas", &format!("services: {{a: {service}}}\n"));
    project.compose(&["up", "--detach"]);
    let (host, desired) = (host(), project.desired(r#"[{"name": "a"}]"#));
    let seen = async || host.observe(&desired).await.unwrap().external_activity;
    assert_eq!(seen().await, None);
    // As `down` does it: both are asked to end, and the faster one is gone while the other takes its time.
    let ids = project.compose(&["ps", "--quiet", "a"]);
    let (fast, slow) = ids.split_once('\n').unwrap();
    docker(&["kill", "--signal", "TERM", slow]);
    docker(&["rm", "--force", fast]);
    assert!(seen().await.is_some_and(|why| why.contains("is being stopped")));
}

#[tokio::test]
async fn an_engine_without_events_is_observed_all_the_same() {
    let project = Project::new("untold", SLEEPER);
    project.compose(&["up", "--detach"]);
    project.compose(&["kill"]);
    let refusal = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    for answer in [refusal, ""] {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("docker.sock");
        let listener = tokio::net::UnixListener::bind(&at).unwrap();
        let (asked, mut was_asked) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                tokio::spawn(without_events(from, answer, asked.clone()));
            }
        });
        let host = LocalHost::at(Endpoint::Unix(at), Arc::new(MemoryCache::default()), None).unwrap();
        let desired = project.desired(r#"[{"name": "a"}]"#);
        for _ in 0..2 {
            let seen = host.observe(&desired).await.unwrap();
            assert_eq!(
                seen.external_activity, None,
                "what was killed is drift, and the engine was never away"
            );
            assert!(was_asked.try_recv().is_ok());
        }
        succeed(&host, &desired, UP).await;
        project.compose(&["kill"]);
    }
}

/// A connection to the engine on which this is the answer to the question for its events; where it is empty, the
/// connection is cut.
async fn without_events(
    from: tokio::net::UnixStream,
    answer: &str,
    asked: tokio::sync::mpsc::UnboundedSender<()>,
) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (mut person, mut to_person) = from.into_split();
    let (mut engine, mut to_engine) = tokio::net::UnixStream::connect(socket()).await.unwrap().into_split();
    let back = async { tokio::io::copy(&mut engine, &mut to_person).await.map(drop) };
    // Each question is written at once, and the next one only when it is answered.
    let there = async {
        let mut question = vec![0; 64 * 1024];
        loop {
            let read = person.read(&mut question).await?;
            if question[..read].starts_with(b"GET /events") {
                return Ok(true);
            }
            if read == 0 {
                return Ok(false);
            }
            to_engine.write_all(&question[..read]).await?;
        }
    };
    let refused = tokio::select! {
        _ = back => false,
        refused = there => std::io::Result::unwrap_or(refused, false),
    };
    if refused {
        let _ = asked.send(());
        let _ = to_person.write_all(answer.as_bytes()).await;
    }
}

/// A Unix socket in front of the engine that can be cut and put back.
struct Proxy {
    folder: tempfile::TempDir,
    serving: Option<tokio::task::JoinHandle<()>>,
}

impl Proxy {
    fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("docker.sock")
    }

    fn restore(&mut self) {
        let listener = tokio::net::UnixListener::bind(self.socket()).unwrap();
        self.serving = Some(tokio::spawn(async move {
            // Dropped with this task, the set ends every connection too.
            let mut open = tokio::task::JoinSet::new();
            while let Ok((mut from, _)) = listener.accept().await {
                open.spawn(async move {
                    let mut to = tokio::net::UnixStream::connect(socket()).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
                });
            }
        }));
    }

    async fn cut(&mut self) {
        let serving = self.serving.take().unwrap();
        serving.abort();
        let _ = serving.await;
        std::fs::remove_file(self.socket()).unwrap();
    }
}

#[tokio::test]
async fn an_engine_that_was_away_is_given_time_before_what_does_not_run_is_drift() {
    let project = Project::new("outage", SLEEPER);
    project.compose(&["up", "--detach"]);
    let mut proxy = Proxy { folder: tempfile::tempdir().unwrap(), serving: None };
    proxy.restore();
    let engine = Engine::new(Endpoint::Unix(proxy.socket()));
    project.compose(&["kill"]);
    assert_eq!(external_activity(&engine, &project).await, None, "without an outage it is drift at once");

    proxy.cut().await;
    let cut = engine.project_containers(&project.name, &BTreeMap::new()).await;
    assert!(matches!(cut, Err(EngineError::Unavailable(_))), "{cut:?}");
    proxy.restore();
    let back = Instant::now();
    let activity = external_activity(&engine, &project).await;
    assert!(
        activity.as_ref().is_some_and(|why| why.contains("is back")),
        "{activity:?} {:?}",
        back.elapsed()
    );
    while external_activity(&engine, &project).await.is_some() {
        assert!(back.elapsed() < Duration::from_secs(15), "and then it is drift");
        tokio::task::yield_now().await;
    }
    assert!(back.elapsed() > Duration::from_secs(8), "{:?}", back.elapsed());
    let other = Engine::new(Endpoint::Unix(proxy.socket()));
    assert_eq!(
        external_activity(&other, &project).await,
        None,
        "this engine did not start now, and says so itself"
    );
}

#[tokio::test]
async fn undrift_spares_the_service_that_it_runs_in() {
    let service = "{image: BASE, command: sleep 1000, init: true}";
    let project = Project::new("itself", &format!("services: {{a: {service}, undrift: {service}}}\n"));
    project.compose(&["up", "--detach"]);
    let own = project.container("undrift");
    project.compose(&["kill"]);
    let desired = project.desired(r#"[{"name": "a"}, {"name": "undrift"}]"#);
    let host = host().as_if_in(&own);
    let seen = host.observe(&desired).await.unwrap();
    assert_eq!(seen.services.iter().map(|service| service.runs_undrift).collect::<Vec<_>>(), [false, true]);
    for step in [Step::Build { no_cache: false }, UP, Step::Restart, Step::Rollback] {
        let report = take(&host, &desired, step, "undrift").await;
        assert_eq!((report.outcome, report.exit_code), (StepOutcome::Failed, None), "{report:?}");
        assert!(report.output.contains("never touches itself"), "{}", report.output);
    }
    succeed(&host, &desired, UP).await;
    let state = docker(&["inspect", "--format", "{{.State.Status}}", &own]);
    assert_eq!((project.container("undrift"), state.as_str()), (own, "exited"), "the other one goes on");
}

#[tokio::test]
async fn a_leftover_that_undrift_runs_in_is_left() {
    let project = Project::new("own-leftover", SLEEPER);
    let create = |replaces: &str| {
        let of = format!("com.docker.compose.project={}", project.name);
        let labels = ["com.docker.compose.service=a", "com.docker.compose.oneoff=False", replaces];
        let labels = [&of, "com.docker.compose.config-hash=x"].into_iter().chain(labels);
        let labels: Vec<&str> = labels.flat_map(|label| ["--label", label]).collect();
        docker(&[&["create"], &labels[..], &[support::BASE, "true"]].concat())
    };
    let old = create("x=y");
    let new = create(&format!("com.docker.compose.replace={old}"));
    let engine = Engine::new(Endpoint::Unix(socket()));
    let now = chrono::Utc::now().timestamp();
    engine.note_own_step(&project.name, now - 60..=now);
    let own = engine.clone().as_if_in(&new);
    assert_eq!(own.remove_leftovers(&project.name, &["a".into()]).await.unwrap(), [""; 0]);
    assert_eq!(engine.remove_leftovers(&project.name, &["a".into()]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_fresh_network_is_the_beginning_of_someone_elses_up() {
    let project = Project::new("fresh", SLEEPER);
    let engine = Engine::new(Endpoint::Unix(socket()));
    assert_eq!(external_activity(&engine, &project).await, None);
    create_network(&format!("{}_default", project.name), Some(&project.name));
    assert!(
        external_activity(&engine, &project).await.is_some_and(|why| why.contains("has no container yet"))
    );
    let began = Instant::now();
    while external_activity(&engine, &project).await.is_some() {
        assert!(began.elapsed() < Duration::from_secs(10), "and after a while it is what a killed one left");
        tokio::task::yield_now().await;
    }
}

//! The project on the real engine: the fake imitates it.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;

use super::Hand;
use crate::{
    api::{Answer, ContainerState, Desired, Fact, ProjectObservation},
    host::{Host as _, LocalHost},
    store::Store,
    testing::fixtures,
};

const BASE: &str = "undrift-example-base";

/// How long a container that has just started may take to answer.
const LIMIT: Duration = Duration::from_secs(30);

const DOCKERFILE: &str = r#"FROM undrift-example-base
COPY src /src
RUN test ! -e /src/broken && mkdir -p /app/dist/modules && cp -a /src/modules/. /app/dist/modules/
COPY serve /serve
CMD ["/bin/sh", "/serve"]
"#;

/// busybox's httpd answers 401 for the paths in its configuration, and 404 for all others. Its parent reads the mounted file at
/// its start, and again at a hangup.
const SERVE: &str = r#"mkdir -p /www/api
touch /httpd.conf
if [ -e /app/dist/modules/workflow ]; then
  echo "/api/workflow:ops:secret" > /httpd.conf
  echo ok > /www/api/workflow
fi
read_it() { cat /etc/app.conf > /read; }
trap read_it HUP
read_it
httpd -f -p 3000 -c /httpd.conf -h /www &
while kill -0 $!; do wait $!; done
"#;

/// `api` as the fake has it, and `dashboard`, which only has to run.
const COMPOSE: &str = r#"services:
  api:
    build: { context: ./api, labels: { org.opencontainers.image.revision: "${GIT_SHA}" } }
    volumes: ["./app.conf:/etc/app.conf:ro"]
    environment: { VERSION: '0' }
    init: true
    stop_grace_period: 1s
  dashboard: { build: ./dashboard, init: true, stop_grace_period: 1s }
"#;

/// The project; dropping it removes it and everything that it created from the engine, even if a test fails.
pub(super) struct ConformanceProject {
    pub(super) desired: Desired,
    name: String,
    folder: tempfile::TempDir,
}

impl ConformanceProject {
    /// `dashboard` runs; nothing is built for `api`.
    pub(super) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        assert!(
            run("docker", &["image", "inspect", BASE]).is_ok(),
            "there is no engine, or no image {BASE} on it: run scripts/host, which starts and makes what is missing"
        );
        let name =
            format!("undrift-conform-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("project");
        for (path, text) in [
            ("compose.yaml", format!("name: {name}\n{COMPOSE}")),
            ("password", "secret".into()),
            ("app.conf", "1\n".into()),
            ("revision", "1.0.1\n".into()),
            ("api/Dockerfile", DOCKERFILE.into()),
            ("api/serve", SERVE.into()),
            // Of its own for each test, so that no other test's build is in the cache of this one.
            ("api/src/of", name.clone()),
            ("api/src/modules/other", "other".into()),
            ("dashboard/Dockerfile", format!("FROM {BASE}\nRUN echo {name}\nCMD [\"sleep\", \"1000\"]\n")),
        ] {
            write(&directory.join(path), &text);
        }
        let project = Self { desired: desired(&directory), name, folder };
        compose(&directory, &["up", "--detach", "--build", "dashboard"]);
        project
    }

    pub(super) fn host(&self) -> LocalHost {
        let cache = Store::open(&self.folder.path().join("state"), "test".into()).unwrap();
        LocalHost::connect(Arc::new(cache), None).unwrap()
    }
}

impl Drop for ConformanceProject {
    fn drop(&mut self) {
        let label = format!("label=com.docker.compose.project={}", self.name);
        remove(&["ps", "-aq", "--filter", &label], &["rm", "-fv"]);
        remove(&["network", "ls", "-q", "--filter", &label], &["network", "rm"]);
        for reference in [format!("{}-*", self.name), format!("undrift-keep/{}/*", self.name)] {
            remove(&["images", "-q", "--filter", &format!("reference={reference}")], &["rmi", "-f"]);
        }
        remove(&["images", "-qf", "dangling=true", "--filter", &label], &["rmi", "-f"]);
    }
}

/// The object of the fixtures, for this folder and for a server that asks for a password.
fn desired(directory: &Path) -> Desired {
    let mut desired = fixtures::desired();
    let mut object = serde_json::to_value(&desired.object).unwrap();
    let api = &mut object["spec"]["services"][0];
    api["modules"][0]["source"] = "api/src/modules/workflow".into();
    api["routes"][0]["auth"] =
        json!({ "basic": { "username": "ops", "passwordFrom": { "file": "password" } }, "expect": [200] });
    api["reload"] = json!({ "signal": "HUP" });
    api["revision"]["equals"] = json!({ "file": "revision" });
    api["revision"]["variable"] = "GIT_SHA".into();
    desired.object = serde_json::from_value(object).unwrap();
    (desired.directory, desired.manifest_directory) = (directory.to_owned(), directory.to_owned());
    desired
}

/// A person's actions on the real host.
pub(super) fn by_hand(directory: &Path, hand: Hand) {
    let api = directory.join("api/src");
    match hand {
        Hand::Stop => each_container(directory, &[], &["kill"]),
        Hand::Remove => each_container(directory, &["--all"], &["rm", "--force"]),
        Hand::Untag => untag(directory),
        Hand::Configure => {
            let text = fs::read_to_string(directory.join("compose.yaml")).unwrap();
            write(&directory.join("compose.yaml"), &text.replace("VERSION: '0", "VERSION: '00"));
        }
        Hand::Edit => {}
        Hand::LoseModule => drop(fs::remove_file(api.join("modules/workflow"))),
        Hand::GainModule => write(&api.join("modules/workflow"), "ok\n"),
        Hand::Break => write(&api.join("broken"), "broken\n"),
        Hand::Fix => drop(fs::remove_file(api.join("broken"))),
        Hand::Commit => append(&directory.join("revision"), &directory.join("revision")),
        Hand::Write => append(&directory.join("app.conf"), &directory.join("app.conf")),
        Hand::Replace => {
            let other = directory.join("app.conf~");
            append(&directory.join("app.conf"), &other);
            fs::rename(other, directory.join("app.conf")).unwrap();
        }
    }
    if hand.changes_source() {
        let text = fs::read_to_string(api.join("version")).unwrap_or_default();
        write(&api.join("version"), &format!("{text}edited\n"));
    }
}

/// Writes the text of a file, with one more digit, to that file or to another one.
fn append(file: &Path, to: &Path) {
    write(to, &format!("{}1\n", fs::read_to_string(file).unwrap().trim()));
}

/// Whether the process of `api` has read its mounted file as it is now, in the end: a signal is handled some time after it was
/// sent.
pub(super) fn has_read_its_file(directory: &Path) -> bool {
    let deadline = Instant::now() + LIMIT;
    let now = fs::read_to_string(directory.join("app.conf")).unwrap();
    loop {
        if compose(directory, &["exec", "-T", "api", "cat", "/read"]) == now.trim() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
    }
}

/// An observation of a settled project: no external activity, and everything that runs answers.
pub(super) async fn settled(host: &LocalHost, desired: &Desired) -> ProjectObservation {
    let deadline = Instant::now() + LIMIT;
    loop {
        let seen = host.observe(desired).await.unwrap();
        if seen.external_activity.is_none() && all_that_runs_answers(&seen) {
            return seen;
        }
        assert!(Instant::now() < deadline, "it does not come to rest: {seen:#?}");
    }
}

fn all_that_runs_answers(seen: &ProjectObservation) -> bool {
    let none = |fact: &Fact<Answer>| matches!(fact, Fact::Known(Answer::None(_)));
    let runs = |c: &crate::api::ContainerObservation| c.state == ContainerState::Running;
    seen.services.iter().all(|service| {
        let running = service.containers.known().into_iter().flatten().filter(|c| runs(c)).count();
        service.routes.iter().all(|route| {
            let silent = |a: &crate::api::RouteAnswer| {
                none(&a.plain) || a.control.as_ref().is_some_and(none) || a.auth.as_ref().is_some_and(none)
            };
            route.answers.len() == running && !route.answers.iter().any(silent)
        })
    })
}

/// Whether a build took in changed files but reported the copy of them as `CACHED`.
///
/// `BuildKit` 20.10 does that now and then while several builds run side by side. undrift sees that the image is the old one
/// and builds once more without the cache; a script of operations must do so itself.
pub(super) fn was_answered_from_a_stale_cache(output: &str) -> bool {
    cached(output, "COPY src /src").any(|cached| cached)
}

/// Whether a build ran none of the Dockerfile's instructions.
pub(super) fn came_from_the_cache(output: &str) -> bool {
    let mut all = DOCKERFILE.lines().filter(|line| line.starts_with("COPY") || line.starts_with("RUN"));
    all.all(|instruction| cached(output, instruction).any(|cached| cached))
}

/// For each line about an instruction, whether it was reported as `CACHED`.
fn cached<'a>(output: &'a str, instruction: &'a str) -> impl Iterator<Item = bool> + 'a {
    let steps = output.lines().filter(move |line| line.ends_with(instruction));
    let numbers = steps.filter_map(|line| line.split(' ').next());
    numbers.map(move |number| output.lines().any(|line| line == format!("{number} CACHED")))
}

/// The image stays under another name, as after a person has tagged it.
fn untag(directory: &Path) {
    let name = compose(directory, &["config", "--format", "json"]);
    let name: serde_json::Value = serde_json::from_str(&name).unwrap();
    let reference = format!("{}-api", name["name"].as_str().unwrap());
    let Ok(id) = run("docker", &["image", "inspect", "--format", "{{.Id}}", &reference]) else { return };
    run("docker", &["tag", &id, &format!("{reference}:{}", &id["sha256:".len()..])]).unwrap();
    run("docker", &["rmi", &reference]).unwrap();
}

fn each_container(directory: &Path, which: &[&str], verb: &[&str]) {
    for id in compose(directory, &[&["ps", "--quiet"], which, &["api"]].concat()).lines() {
        run("docker", &[verb, &[id]].concat()).unwrap();
    }
}

fn compose(directory: &Path, args: &[&str]) -> String {
    output(Command::new("docker").arg("compose").args(args).current_dir(directory)).unwrap()
}

fn run(program: &str, args: &[&str]) -> Result<String, String> {
    output(Command::new(program).args(args))
}

fn output(command: &mut Command) -> Result<String, String> {
    let done = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if done.status.success() {
        Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
    } else {
        Err(format!("{command:?}: {}", String::from_utf8_lossy(&done.stderr)))
    }
}

/// Removes the items of a listing. An item that is already gone is no failure: the test's own result counts.
fn remove(list: &[&str], how: &[&str]) {
    let listed = run("docker", list).unwrap_or_default();
    let ids: Vec<&str> = listed.lines().collect();
    if !ids.is_empty() {
        let _ = run("docker", &[how, &ids].concat());
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

//! A Compose project of its own for each test, undrift's binary on it, and what is left of it removed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// A Compose project in a temporary folder, with its manifest and a state folder.
pub(crate) struct Project {
    pub(crate) name: String,
    dir: tempfile::TempDir,
}

/// What a run of undrift printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// What every service's image does: modules become part of the build, and each answers 404, 401 or 200.
const DOCKERFILE: &str = r#"FROM undrift-example-base
COPY src /src
RUN mkdir -p /app/dist/modules && cp -a /src/. /app/dist/modules/
COPY serve /serve
CMD ["/bin/sh", "/serve"]
"#;

/// busybox's httpd answers 401 for the paths that a line of its configuration names, and 404 for all others.
pub(crate) const SERVE: &str = r#"mkdir -p /www/api
for module in /app/dist/modules/*; do
  [ -e "$module" ] || continue
  name="${module##*/}"
  echo "/api/$name:ops:secret" >> /httpd.conf
  echo ok > "/www/api/$name"
done
touch /httpd.conf
exec httpd -f -p 3000 -c /httpd.conf -h /www
"#;

/// The manifest of one service `api` with the module `workflow`, a short window, and what a test adds. How long proof is
/// waited for is long, for a first look may take seconds on a busy machine: a test that waits for its end says so.
pub(crate) const MANIFEST: &str = r"apiVersion: undrift.dev/v1alpha1
kind: ComposeProject
metadata: { name: NAME }
spec:
  project: { directory: ., name: NAME }
  services:
    - name: api
      modules: [{ source: api/src/workflow, path: /app/dist/modules/workflow }]
      routes:
        - path: /api/workflow
          port: 3000
          expect: [401]
          auth: { basic: { username: ops, passwordFrom: { env: E2E_PASSWORD } }, expect: [200] }
  reconcile:
    verify: { timeout: 60s, stableFor: 1s }
    backoff: { initial: 200ms, max: 1s }
    attempts: 3
";

/// What makes a manifest one whose objects are looked at every second.
pub(crate) const EVERY_SECOND: (&str, &str) = ("  reconcile:\n", "  reconcile:\n    interval: 1s\n");

/// [`MANIFEST`], looked at every second.
pub(crate) fn every_second() -> String {
    MANIFEST.replace(EVERY_SECOND.0, EVERY_SECOND.1)
}

/// For `workflow }]` in a manifest: the module `invoices` is declared too.
pub(crate) const SECOND_MODULE: &str =
    "workflow }, { source: api/src/invoices, path: /app/dist/modules/invoices }]";

impl Project {
    /// One service `api`, built and running as it was before the module came into the source: nothing is up yet.
    pub(crate) fn new() -> Self {
        need_engine();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("undrift-e2e-{}-{number}", std::process::id());
        let project = Self { name, dir: tempfile::tempdir().unwrap() };
        project.add_service("api");
        project
            .write("compose.yaml", "services:\n  api: { build: ./api, init: true, stop_grace_period: 1s }\n");
        project.manifest(MANIFEST);
        project
    }

    /// The project in the incident's state: an old image runs, and the module is in the source only.
    pub(crate) fn in_incident() -> Self {
        let project = Self::new();
        project.bring_up();
        project.add_module("api", "workflow");
        project
    }

    /// The project as declared, by hand.
    pub(crate) fn healthy() -> Self {
        let project = Self::new();
        project.add_module("api", "workflow");
        project.bring_up();
        project
    }

    /// Builds and starts `api` by hand. The cache is not to be trusted here either (see [`Self::stale_builds`]): where it
    /// gave another test's files, a project would not be in the state that it is meant to be in.
    fn bring_up(&self) {
        self.compose(&["up", "-d", "--build"]);
        if !self.runs_its_source() {
            self.rebuild();
            self.compose(&["up", "-d"]);
            assert!(
                self.runs_its_source(),
                "{}: a build without the cache has other files than its source",
                self.name
            );
        }
    }

    /// Whether the container of `api` has the files of its source and no others.
    fn runs_its_source(&self) -> bool {
        let copy = tempfile::tempdir().unwrap();
        let [id] = &self.containers("api")[..] else { panic!("{}: not one container", self.name) };
        docker(&["cp", &format!("{id}:/src/."), copy.path().to_str().unwrap()]);
        files_below(copy.path()) == files_below(&self.path("api/src"))
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join("project").join(below)
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Where undrift's cache is, in a folder `undrift`.
    pub(crate) fn cache_home(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    /// Writes a file below the project directory.
    pub(crate) fn write(&self, below: &str, text: &str) {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Adds to the end of a file below the project directory.
    pub(crate) fn append(&self, below: &str, text: &str) {
        let before = fs::read_to_string(self.path(below)).unwrap();
        self.write(below, &format!("{before}{text}"));
    }

    /// Writes the manifest, the project's own name put in.
    pub(crate) fn manifest(&self, text: &str) {
        self.write("undrift.yaml", &text.replace("NAME", &self.name));
    }

    pub(crate) fn add_service(&self, service: &str) {
        self.write(&format!("{service}/Dockerfile"), DOCKERFILE);
        self.write(&format!("{service}/serve"), SERVE);
        // Of its own for each test, so that no other test's build, in whatever state it was ended, is in the cache of
        // this one.
        self.write(&format!("{service}/src/.of"), &format!("{} {service}\n", self.name));
    }

    /// Builds by hand what was edited since its last build: without the cache, which is not to be trusted (see
    /// [`Self::stale_builds`]).
    pub(crate) fn rebuild(&self) {
        self.compose(&["build", "--no-cache"]);
    }

    /// From now on a build of `api` takes so long.
    pub(crate) fn slow_down_build(&self, seconds: u32) {
        self.append("api/Dockerfile", &format!("RUN sleep {seconds}\n"));
    }

    /// Has `api` run in a container that takes this long to stop, so that an `up` is for as long in the middle of a
    /// recreate.
    pub(crate) fn be_stubborn(&self, seconds: u32) {
        self.write("api/serve", &SERVE.replace("exec httpd -f", "trap '' TERM; httpd -f"));
        let compose = format!("services:\n  api: {{ build: ./api, stop_grace_period: {seconds}s }}\n");
        self.write("compose.yaml", &compose);
        self.rebuild();
        self.compose(&["up", "-d"]);
    }

    pub(crate) fn add_module(&self, service: &str, module: &str) {
        self.write(&format!("{service}/src/{module}/index"), "ok\n");
    }

    /// Runs `docker compose` on the project; it must succeed.
    pub(crate) fn compose(&self, args: &[&str]) -> String {
        self.compose_with(args, &[])
    }

    /// The same with more environment variables.
    pub(crate) fn compose_with(&self, args: &[&str], env: &[(&str, &str)]) -> String {
        let mut command = Command::new("docker");
        command.args(["compose", "--project-name", &self.name]).args(args).current_dir(self.path(""));
        succeed(command.envs(env.iter().copied()))
    }

    /// The IDs of the service's containers, running or not, in a fixed order.
    pub(crate) fn containers(&self, service: &str) -> Vec<String> {
        let out = docker(&[
            "ps",
            "-aq",
            "--no-trunc",
            "--filter",
            &format!("label=com.docker.compose.project={}", self.name),
            "--filter",
            &format!("label=com.docker.compose.service={service}"),
        ]);
        let mut ids: Vec<String> = out.lines().map(str::to_owned).collect();
        ids.sort();
        ids
    }

    /// The ID of the image behind the reference of `api`.
    pub(crate) fn image(&self) -> String {
        docker(&["image", "inspect", "-f", "{{.Id}}", &format!("{}-api", self.name)]).trim().to_owned()
    }

    /// Whether `api` has one container, which runs and was made of [`Self::image`].
    pub(crate) fn runs_its_image(&self) -> bool {
        let ids = self.containers("api");
        let [id] = &ids[..] else { return false };
        let found = inspect(id, "{{.State.Running}} {{.Image}}");
        found.is_some_and(|found| found == format!("true {}", self.image()))
    }

    /// A command that runs undrift with this project's state folder.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_undrift"));
        command.arg("--state-dir").arg(self.state_dir()).args(args);
        command.env("E2E_PASSWORD", "secret").stdin(Stdio::null()).current_dir(self.path(""));
        command.env("XDG_CACHE_HOME", self.cache_home()).env_remove("CACHE_DIRECTORY");
        // The second is set where Podman is tested, for the builds that a test makes by hand: undrift finds out by itself.
        command.env_remove("UNDRIFT_LOG").env_remove("DOCKER_BUILDKIT");
        command
    }

    /// Runs undrift with the manifest: `check`, `plan`, `apply`.
    pub(crate) fn with_manifest(&self, verb: &str, more: &[&str]) -> Run {
        let mut command = self.command(&[verb, "-f", "undrift.yaml"]);
        command.args(more);
        run(&mut command)
    }

    /// Runs a verb that needs no manifest.
    pub(crate) fn undrift(&self, args: &[&str]) -> Run {
        run(&mut self.command(args))
    }

    pub(crate) fn check(&self) -> Run {
        self.with_manifest("check", &["-o", "json"])
    }

    pub(crate) fn apply(&self) -> Run {
        self.with_manifest("apply", &["-o", "json"])
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        self.end_processes();
        // Not Compose: the files of the project may be broken by the test.
        let label = format!("label=com.docker.compose.project={}", self.name);
        let containers = listed(&["ps", "-aq", "--filter", &label]);
        // An anonymous volume that `up` has taken over into another container is no more removed with that one.
        let mounts = "{{range .Mounts}}{{if eq .Type \"volume\"}}{{println .Name}}{{end}}{{end}}";
        let inspect: Vec<&str> =
            ["inspect", "-f", mounts].into_iter().chain(containers.iter().map(String::as_str)).collect();
        let volumes = listed(&inspect);
        remove(&["ps", "-aq", "--filter", &label], &["rm", "-f", "-v"]);
        for volume in volumes.iter().filter(|name| !name.is_empty()) {
            let _ = Command::new("docker").args(["volume", "rm", volume]).output();
        }
        remove(&["network", "ls", "-q", "--filter", &label], &["network", "rm"]);
        remove(&["volume", "ls", "-q", "--filter", &label], &["volume", "rm"]);
        // By name: an image may have another one that is not the test's.
        let named = ["images", "--format", "{{.Repository}}:{{.Tag}}"];
        for names in
            ["{}-*", "undrift-keep/{}/*", "undrift-check/{}/*"].map(|names| names.replace("{}", &self.name))
        {
            remove_images(&[&named[..], &["--filter", &format!("reference={names}")]].concat());
        }
        remove_images(&["images", "-q", "--no-trunc", "--filter", "dangling=true", "--filter", &label]);
    }
}

/// Removes the images that a listing names, and the look-ups into them of an undrift that was killed.
fn remove_images(list: &[&str]) {
    for image in listed(list) {
        let of_image = format!("ancestor={image}");
        let look_ups = ["--filter", "label=dev.undrift.lookup", "--filter", &of_image];
        remove(&[&["ps", "-aq"], &look_ups[..]].concat(), &["rm", "-f"]);
    }
    remove(list, &["rmi", "-f"]);
}

/// Removes what a listing names. A thing that is gone already is no failure: the test's own result counts.
fn remove(list: &[&str], how: &[&str]) {
    let ids = listed(list);
    if !ids.is_empty() {
        let _ = Command::new("docker").args(how).args(ids).output();
    }
}

fn listed(list: &[&str]) -> Vec<String> {
    let listed = Command::new("docker").args(list).output();
    listed.map_or(Vec::new(), |out| String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect())
}

impl Run {
    /// Standard output as the one JSON document that it must be.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not one JSON document: {error}\n{self:?}"))
    }

    /// The status of the only object.
    #[track_caller]
    pub(crate) fn status(&self) -> Value {
        self.json()["items"][0]["status"].clone()
    }

    /// The drift of a service as `layer reason`, or nothing.
    #[track_caller]
    pub(crate) fn drift(&self, service: &str) -> String {
        let status = self.status();
        let services = status["services"].as_array().unwrap_or_else(|| panic!("no services in {self:?}"));
        let found = services
            .iter()
            .find(|s| s["name"] == service)
            .unwrap_or_else(|| panic!("no {service}: {self:?}"));
        match &found["drift"] {
            Value::Null => String::new(),
            drift => format!("{} {}", drift["layer"].as_str().unwrap(), drift["reason"].as_str().unwrap()),
        }
    }

    /// The condition of the object, as `status reason`.
    #[track_caller]
    pub(crate) fn condition(&self, kind: &str) -> String {
        let status = self.status();
        let all = status["conditions"].as_array().unwrap();
        let found = all.iter().find(|c| c["type"] == kind).unwrap_or_else(|| panic!("no {kind}: {self:?}"));
        format!("{} {}", found["status"].as_str().unwrap(), found["reason"].as_str().unwrap())
    }

    /// The planned steps' kinds.
    #[track_caller]
    pub(crate) fn plan(&self) -> Vec<String> {
        let status = self.status();
        status["plan"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["step"].as_str().unwrap().to_owned())
            .collect()
    }

    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stderr, self.stdout);
        self
    }
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Run {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Run { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// Runs the docker CLI; it must succeed.
pub(crate) fn docker(args: &[&str]) -> String {
    succeed(Command::new("docker").args(args))
}

/// What the engine says of a container; `None` where it went after it was listed, as one does that is being recreated.
pub(crate) fn inspect(id: &str, format: &str) -> Option<String> {
    let found = Command::new("docker").args(["inspect", "-f", format, id]).output().unwrap();
    let error = String::from_utf8_lossy(&found.stderr);
    assert!(found.status.success() || error.contains("No such object"), "{id}: {error}");
    found.status.success().then(|| String::from_utf8_lossy(&found.stdout).trim().to_owned())
}

/// The files below a folder by their path in it, with what is in them.
fn files_below(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let name = |path: &Path| PathBuf::from(path.file_name().unwrap());
    let below = folders.iter().flat_map(|inner| {
        files_below(inner).into_iter().map(move |(path, bytes)| (name(inner).join(path), bytes))
    });
    files.iter().map(|path| (name(path), fs::read(path).unwrap())).chain(below).collect()
}

fn succeed(command: &mut Command) -> String {
    let out = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{command:?}\n{text}{}", String::from_utf8_lossy(&out.stderr));
    text
}

/// These tests are about the engine: without one they fail, and say what to start.
fn need_engine() {
    let found = Command::new("docker").args(["image", "inspect", "undrift-example-base"]).output();
    let found = found.is_ok_and(|out| out.status.success());
    assert!(
        found,
        "no engine, or no base image for examples: run scripts/host, which starts and makes what is missing"
    );
}

/// Waits until a condition holds; fails with its name after a generous while.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(120);
    while !condition() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        // Asking costs a process of its own often: without a pause the wait would starve what it waits for.
        thread::sleep(Duration::from_millis(20));
    }
}

//! What tests against the real engine share: a base image, and projects that clean up after themselves.
//!
//! Without an engine these tests fail; they are never skipped.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use undrift::api::{ComposeProject, Desired};

/// Busybox and nothing else; the examples start from it too.
pub(crate) const BASE: &str = "undrift-example-base:latest";

/// Each test binary uses its own part of this module. Naming all of it here keeps the rest from being dead code.
const _: fn(&Project) = |project| {
    let _ = (project.directory(), project.try_compose(&[]), project.container(""), project.desired(""));
    let _ = (MemoryCache::default(), socket(), unique(""), docker(&[]), Project::new("", ""), &project.name);
    eventually("", || project.compose(&[]).is_empty());
};

/// Runs `docker`, and panics with what it said where it fails.
pub(crate) fn docker(args: &[&str]) -> String {
    let output =
        Command::new("docker").args(args).stdin(Stdio::null()).output().expect("docker is installed");
    assert!(output.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The same, whatever comes of it; for clearing up.
fn docker_quietly(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).stdin(Stdio::null()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

/// Fails without an engine and the base image in it, with what to run.
pub(crate) fn engine() {
    let version = Command::new("docker").args(["version", "--format", "{{.Server.APIVersion}}"]).output();
    assert!(
        version.is_ok_and(|output| output.status.success()),
        "these tests need a Docker engine with Compose v2: run scripts/host, which finds or starts one"
    );
    assert!(
        !docker_quietly(&["images", "--quiet", BASE]).is_empty(),
        "these tests need the image {BASE}: run scripts/host, which makes it"
    );
}

/// A name that no other test, and no earlier run, uses.
pub(crate) fn unique(prefix: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock").subsec_nanos();
    format!("undrift-test-{prefix}-{}-{count}-{now}", std::process::id())
}

/// Waits until a condition holds, and panics with its name where it does not within 30 s.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A Compose project in a folder of its own. Whatever it made on the engine is removed when it is dropped, also
/// by a test that fails.
pub(crate) struct Project {
    /// The Compose project's name, which begins all names and images of the project.
    pub(crate) name: String,
    folder: TempDir,
}

impl Project {
    /// A project with this `compose.yaml`, in which `NAME` stands for the project's name and `BASE` for the base
    /// image; nothing is built or started yet.
    pub(crate) fn new(prefix: &str, compose: &str) -> Self {
        engine();
        let project = Self { name: unique(prefix), folder: TempDir::new().expect("a temporary folder") };
        let compose = compose.replace("NAME", &project.name).replace("BASE", BASE);
        project.write("compose.yaml", &format!("name: {}\n{compose}", project.name));
        project
    }

    /// The project directory.
    pub(crate) fn directory(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file below the project directory.
    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.directory().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, content).expect("a file");
    }

    /// `docker compose` in the project directory, ready to be run.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.arg("compose").args(args).current_dir(self.directory()).stdin(Stdio::null());
        command
    }

    /// `docker compose`, to its end, whatever that is.
    pub(crate) fn try_compose(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("docker is installed")
    }

    /// `docker compose`; panics with what it said where it fails.
    pub(crate) fn compose(&self, args: &[&str]) -> String {
        let output = self.try_compose(args);
        assert!(output.status.success(), "compose {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The ID of the service's container; panics where there is none or more than one.
    pub(crate) fn container(&self, service: &str) -> String {
        let id = self.compose(&["ps", "--all", "--quiet", service]);
        assert!(!id.is_empty() && !id.contains('\n'), "{service} has not one container: {id:?}");
        id
    }

    /// An object that declares this project; `spec` is the JSON of `spec.services`.
    pub(crate) fn desired(&self, services: &str) -> Desired {
        let object: ComposeProject = serde_json::from_str(&format!(
            r#"{{"apiVersion": "undrift.dev/v1alpha1", "kind": "ComposeProject",
                 "metadata": {{"name": "test"}},
                 "spec": {{"project": {{"directory": "."}}, "services": {services}}}}}"#
        ))
        .expect("a valid object");
        Desired {
            service_positions: vec![(1, 1); object.spec.services.len()],
            object,
            directory: self.directory().to_owned(),
            manifest: "test.yaml".into(),
            manifest_directory: self.directory().to_owned(),
            spec_digest: "v1:sha256:0".into(),
            superseded_by: None,
            expanded: None,
            variables: BTreeMap::new(),
        }
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let label = format!("label=com.docker.compose.project={}", self.name);
        let ids = |args: &[&str]| -> Vec<String> {
            docker_quietly(&[args, &["--filter", &label]].concat()).lines().map(str::to_owned).collect()
        };
        let remove = |verb: &[&str], ids: Vec<String>| {
            for id in ids {
                docker_quietly(&[verb, &[&id]].concat());
            }
        };
        remove(&["rm", "--force", "--volumes"], ids(&["ps", "--all", "--quiet"]));
        remove(&["network", "rm"], ids(&["network", "ls", "--quiet"]));
        remove(&["volume", "rm"], ids(&["volume", "ls", "--quiet"]));
        let images = docker_quietly(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
        let keep = format!("undrift-keep/{}/", self.name);
        let own = images.lines().filter(|image| image.starts_with(&self.name) || image.starts_with(&keep));
        remove(&["rmi", "--force"], own.map(str::to_owned).collect());
        remove(&["rmi", "--force"], ids(&["images", "--quiet"]));
    }
}

/// A cache in memory.
#[derive(Default)]
pub(crate) struct MemoryCache(std::sync::Mutex<BTreeMap<(String, String), String>>);

impl undrift::host::Cache for MemoryCache {
    fn get(&self, space: &str, key: &str) -> Option<String> {
        self.0.lock().unwrap().get(&(space.into(), key.into())).cloned()
    }

    fn put(&self, space: &str, key: &str, value: &str) {
        self.0.lock().unwrap().insert((space.into(), key.into()), value.into());
    }
}

/// The default socket, or the one that `DOCKER_HOST` names.
pub(crate) fn socket() -> PathBuf {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock").into()
}

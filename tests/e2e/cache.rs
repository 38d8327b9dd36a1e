//! A look without a state folder is as fast as one with it: what it looked up lies in a cache that may be lost, and that is
//! believed only where nobody else could have written it.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{Project, Run, run};

const MANIFEST: &str = "apiVersion: undrift.dev/v1alpha1
kind: ComposeProject
metadata: { name: NAME }
spec:
  project: { directory: ., name: NAME }
  services: [{ name: api, modules: [{ path: /bin/sh }] }]
";

const COMPOSE: &str = "include: [part.yaml]
services:
  api:
    image: undrift-example-base:latest
    command: sleep ${SECONDS_TO_SLEEP:-10000}
    init: true
    stop_grace_period: 1s
    environment: { TOKEN: \"${A_TOKEN:-a-token-of-the-file}\" }
    env_file: [svc.env]
";

/// A project as declared, brought up by hand, with a docker that notes each of its calls. No state folder is ever made.
struct Watched {
    project: Project,
    /// A folder that is the first of `PATH`.
    bin: PathBuf,
}

impl Watched {
    fn new() -> Self {
        let project = Project::new();
        project.manifest(MANIFEST);
        project.write("compose.yaml", COMPOSE);
        project.write("part.yaml", "services: {}\n");
        project.write("svc.env", "FROM_FILE=1\n");
        project.compose(&["up", "-d"]);
        let bin = project.path("../bin");
        fs::create_dir_all(&bin).unwrap();
        let real = std::env::split_paths(&std::env::var_os("PATH").unwrap())
            .map(|folder| folder.join("docker"))
            .find(|docker| docker.is_file())
            .unwrap();
        let calls = bin.join("calls");
        let script =
            format!("#!/bin/sh\necho \"$*\" >> {}\nexec {} \"$@\"\n", calls.display(), real.display());
        write_program(&bin.join("docker"), &script);
        Self { project, bin }
    }

    fn command(&self) -> Command {
        let mut command = self.project.command(&["check", "-f", "undrift.yaml", "-o", "json"]);
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", self.bin.display()));
        command.env_remove("SECONDS_TO_SLEEP").env_remove("A_TOKEN");
        command
    }

    fn check(&self) -> Run {
        run(&mut self.command())
    }

    /// The calls of docker since the last time.
    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.bin.join("calls")).unwrap_or_default();
        let _ = fs::remove_file(self.bin.join("calls"));
        calls.lines().map(str::to_owned).collect()
    }

    fn folder(&self) -> PathBuf {
        self.project.cache_home().join("undrift")
    }

    /// A look that asks nothing again, which is what the next one is compared with.
    fn warm(&self) {
        self.check().expect(0);
        self.calls();
        self.check().expect(0);
        assert_eq!(self.calls(), [""; 0], "nothing has changed");
    }
}

fn write_program(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn second_look_without_a_state_asks_compose_nothing_and_keeps_no_value() {
    let watched = Watched::new();
    let first = watched.check().expect(0);
    let calls = watched.calls();
    assert!(calls.iter().filter(|call| call.contains(" config ")).count() == 1, "one question: {calls:?}");
    assert!(calls.len() <= 2, "and Compose's version, where this machine has not said it yet: {calls:?}");
    let second = watched.check().expect(0);
    assert_eq!(watched.calls(), [""; 0]);
    let containers = |run: &Run| run.status()["services"][0]["containers"].clone();
    assert_eq!(containers(&first), containers(&second));
    assert!(!watched.project.state_dir().exists(), "a look makes no state");
    assert_eq!(mode(&watched.folder()), 0o700);
    let files: Vec<PathBuf> =
        fs::read_dir(watched.folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!files.is_empty());
    for file in files {
        assert_eq!(mode(&file), 0o600);
        let text = String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned();
        assert!(!text.contains("a-token-of-the-file"), "{text}");
    }
}

#[test]
fn whatever_compose_reads_is_asked_about_anew_when_it_changes() {
    let watched = Watched::new();
    let asks = |what: &str, code: i32| {
        let check = watched.check().expect(code);
        assert!(watched.calls().iter().any(|call| call.contains(" config ")), "{what}");
        let drift = if code == 0 { "" } else { "container ConfigChanged" };
        assert_eq!(check.drift("api"), drift, "{what}");
    };
    watched.warm();
    watched.project.write("compose.yaml", &COMPOSE.replace("10000", "10001"));
    asks("the file", 1);
    watched.project.write("compose.yaml", COMPOSE);
    watched.warm();
    watched.project.write("part.yaml", "services: { other: { image: undrift-example-base } }\n");
    asks("an included file", 0);
    watched.warm();
    watched.project.write("svc.env", "FROM_FILE=2\n");
    asks("an env file", 1);
    watched.project.write("svc.env", "FROM_FILE=1\n");
    watched.warm();
    watched.project.write(".env", "SECONDS_TO_SLEEP=10002\n");
    asks("a file that was not there", 1);
    fs::remove_file(watched.project.path(".env")).unwrap();
    watched.warm();
    let check = run(watched.command().env("SECONDS_TO_SLEEP", "10003")).expect(1);
    assert_eq!(check.drift("api"), "container ConfigChanged");
    assert!(!watched.calls().is_empty(), "a variable");
    watched.warm();
    let docker = watched.bin.join("docker");
    let script = fs::read_to_string(&docker).unwrap();
    // Of the same size and time, as a copy of another build may be.
    let time = fs::metadata(&docker).unwrap().modified().unwrap();
    fs::rename(&docker, watched.bin.join("old")).unwrap();
    write_program(&docker, &script);
    fs::File::options().write(true).open(&docker).unwrap().set_modified(time).unwrap();
    asks("the program", 0);
    watched.warm();
}

#[test]
fn other_compose_plugin_is_asked_anew() {
    let watched = Watched::new();
    let plugins = watched.bin.join("config/cli-plugins");
    fs::create_dir_all(&plugins).unwrap();
    let found = ["/usr/local/lib", "/usr/local/libexec", "/usr/lib", "/usr/libexec"]
        .map(|folder| Path::new(folder).join("docker/cli-plugins/docker-compose"));
    let real = found.iter().find(|plugin| plugin.is_file()).unwrap();
    let plugin = |comment: &str| {
        let script = format!("#!/bin/sh\n# {comment}\nexec {} \"$@\"\n", real.display());
        let new = plugins.join("new");
        write_program(&new, &script);
        fs::rename(new, plugins.join("docker-compose")).unwrap();
    };
    let check = || run(watched.command().env("DOCKER_CONFIG", watched.bin.join("config"))).expect(0);
    plugin("one");
    check();
    watched.calls();
    check();
    assert_eq!(watched.calls(), [""; 0]);
    plugin("two");
    check();
    let calls = watched.calls();
    assert!(calls.iter().any(|call| call.contains(" config ")), "{calls:?}");
    assert!(calls.iter().any(|call| call.contains("version")), "it may be of another version: {calls:?}");
}

#[test]
fn cache_that_is_lost_damaged_or_anothers_costs_time_and_nothing_else() {
    let watched = Watched::new();
    let files = || -> Vec<PathBuf> {
        fs::read_dir(watched.folder()).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    let asks_anew = |what: &str| {
        watched.check().expect(0);
        assert!(watched.calls().iter().any(|call| call.contains(" config ")), "{what}");
    };
    watched.warm();
    fs::remove_dir_all(watched.folder()).unwrap();
    asks_anew("removed");
    watched.warm();
    for file in files() {
        let text = fs::read(&file).unwrap();
        fs::write(&file, &text[..text.len() / 2]).unwrap();
    }
    asks_anew("cut short");
    watched.warm();
    for file in files() {
        // Whoever may write it may have put another answer into it.
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    }
    asks_anew("others may write its files");
    watched.warm();
    fs::set_permissions(watched.folder(), fs::Permissions::from_mode(0o777)).unwrap();
    asks_anew("others may write the folder");
    fs::set_permissions(watched.folder(), fs::Permissions::from_mode(0o700)).unwrap();
    watched.warm();
    let before = files().len();
    for path in files().into_iter().chain([watched.folder()]) {
        chown(path, Some(65534), Some(65534)).unwrap();
    }
    asks_anew("another user's");
    asks_anew("and it stays so");
    let check = watched.check().expect(0);
    assert!(check.stderr.contains("the cache folder is not used"), "{}", check.stderr);
    assert_eq!(files().len(), before, "nothing is put into another's folder");
}

#[test]
fn state_that_may_only_be_read_is_helped_out() {
    let watched = Watched::new();
    watched.project.apply().expect(0);
    // Another file than the one that the state knows, and a state without a log, as a copy is.
    watched.project.write("part.yaml", "services: { other: { image: undrift-example-base } }\n");
    for file in ["state.db-wal", "state.db-shm"] {
        let _ = fs::remove_file(watched.project.state_dir().join(file));
    }
    watched.warm();
}

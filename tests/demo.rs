//! `scripts/demo` on the real engine, whole and interrupted: how it ends, and that nothing of it is left.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

/// How long a demo may take on a machine that builds for other tests at the same time.
const LIMIT: Duration = Duration::from_secs(300);

/// A demo at work, in a process group of its own as a terminal gives it one.
struct Demo {
    child: Child,
    /// What it prints is in here, and so is its own folder.
    home: TempDir,
}

impl Demo {
    fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let output = File::create(home.path().join("said")).unwrap();
        let path = with_docker_that_marks_its_builds(home.path());
        let child = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/demo"))
            .env("UNDRIFT", env!("CARGO_BIN_EXE_undrift"))
            .env("TMPDIR", home.path())
            .env("PATH", path)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .process_group(0)
            .spawn()
            .unwrap();
        Self { child, home }
    }

    fn output(&self) -> String {
        fs::read_to_string(self.home.path().join("said")).unwrap()
    }

    /// Its own folder, while it is there.
    fn folder(&self) -> Option<PathBuf> {
        let all = fs::read_dir(self.home.path()).unwrap().flatten().map(|entry| entry.path());
        all.into_iter().find(|path| path.join("manifests").is_dir())
    }

    fn has_begun_to_build(&self) -> bool {
        self.home.path().join(BUILDS).exists()
    }

    #[track_caller]
    fn wait_for(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let end = Instant::now() + LIMIT;
        while !is_so(self) {
            let goes_on = self.child.try_wait().unwrap().is_none() && Instant::now() < end;
            assert!(goes_on, "waited in vain for {what}:\n{}", self.output());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn ended(&mut self) -> ExitStatus {
        let end = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "it does not end:\n{}", self.output());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The IDs of what it has made of this kind.
    #[track_caller]
    fn made(&self, kind: &str) -> String {
        let label = format!("label=com.docker.compose.project=undrift-demo-{}", self.child.id());
        let mut command = Command::new("docker");
        command.args([kind, "ls", "-q", "--filter", &label]);
        if matches!(kind, "container" | "image") {
            command.arg("-a");
        }
        let listed = command.output().unwrap();
        assert!(listed.status.success(), "{listed:?}");
        String::from_utf8(listed.stdout).unwrap()
    }

    #[track_caller]
    fn assert_nothing_is_left(&self) {
        for kind in ["container", "network", "volume", "image"] {
            assert_eq!(self.made(kind), "", "{kind}");
        }
        assert_eq!(self.folder(), None);
    }
}

/// A file that is there once the first build has begun.
const BUILDS: &str = "builds";

/// The search path with a `docker` in front that says when it builds, and then is the docker that was meant.
fn with_docker_that_marks_its_builds(home: &Path) -> OsString {
    let path = env::var_os("PATH").unwrap();
    let docker = env::split_paths(&path).map(|folder| folder.join("docker")).find(|docker| docker.is_file());
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in 'compose build'*) : >'{}' ;; esac\nexec '{}' \"$@\"\n",
        home.join(BUILDS).display(),
        docker.unwrap().display()
    );
    let folder = home.join("bin");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("docker"), script).unwrap();
    fs::set_permissions(folder.join("docker"), fs::Permissions::from_mode(0o755)).unwrap();
    env::join_paths([folder].into_iter().chain(env::split_paths(&path))).unwrap()
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Where the test has failed while it goes on: it clears up by itself, and is given the time for it.
        let since = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && since.elapsed() < LIMIT {
            if let Ok(id) = i32::try_from(self.child.id()) {
                let _ = Pid::from_raw(id).map(|group| kill_process_group(group, Signal::TERM));
            }
            thread::sleep(Duration::from_millis(200));
        }
    }
}

#[test]
fn demo_heals_the_incident_and_leaves_nothing() {
    let mut demo = Demo::start();
    // It is known where to look for what is left.
    for kind in ["image", "network", "container"] {
        demo.wait_for(kind, |demo| !demo.made(kind).is_empty());
    }
    let status = demo.ended();
    let output = demo.output();
    assert_eq!(status.code(), Some(0), "{output}");
    assert!(output.contains("404 → 401"), "{output}");
    demo.assert_nothing_is_left();
}

#[test]
fn demo_that_is_interrupted_in_its_build_leaves_nothing() {
    interrupted_once("the build", Demo::has_begun_to_build);
}

#[test]
fn demo_that_is_interrupted_once_it_has_made_an_image_leaves_nothing() {
    interrupted_once("an image", |demo| !demo.made("image").is_empty());
}

#[track_caller]
fn interrupted_once(what: &str, is_so: fn(&Demo) -> bool) {
    let mut demo = Demo::start();
    demo.wait_for(what, is_so);
    kill_process_group(Pid::from_child(&demo.child), Signal::INT).unwrap();
    let status = demo.ended();
    let output = demo.output();
    assert_eq!(status.code(), Some(130), "{output}");
    assert!(!output.contains("undrift check"), "it was still at its beginning: {output}");
    demo.assert_nothing_is_left();
}

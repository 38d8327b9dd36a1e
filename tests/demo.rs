//! `scripts/demo` on the real engine, whole and interrupted: how it ends, and that nothing of it is left.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs::{self, File},
    os::unix::process::CommandExt as _,
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
        let said = File::create(home.path().join("said")).unwrap();
        let child = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/demo"))
            .env("UNDRIFT", env!("CARGO_BIN_EXE_undrift"))
            .env("TMPDIR", home.path())
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .process_group(0)
            .spawn()
            .unwrap();
        Self { child, home }
    }

    fn said(&self) -> String {
        fs::read_to_string(self.home.path().join("said")).unwrap()
    }

    /// Its own folder, while it is there.
    fn folder(&self) -> Option<PathBuf> {
        let all = fs::read_dir(self.home.path()).unwrap().flatten().map(|entry| entry.path());
        all.into_iter().find(|path| path.is_dir())
    }

    /// The log of the quiet command that is at work: the build, at first.
    fn log(&self) -> String {
        let log = self.folder().map(|folder| folder.join("log"));
        log.and_then(|log| fs::read_to_string(log).ok()).unwrap_or_default()
    }

    #[track_caller]
    fn wait_for(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let end = Instant::now() + LIMIT;
        while !is_so(self) {
            assert!(Instant::now() < end, "waited in vain for {what}:\n{}", self.said());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        self.wait_for("the end", |demo| {
            status = demo.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
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
    let said = demo.said();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("404 → 401"), "{said}");
    demo.assert_nothing_is_left();
}

#[test]
fn demo_that_is_interrupted_in_its_build_leaves_nothing() {
    interrupted_once("the build", |demo| demo.log().contains("FROM"));
}

#[test]
fn demo_that_is_interrupted_once_it_has_made_an_image_leaves_nothing() {
    interrupted_once("an image", |demo| !demo.made("image").is_empty());
}

#[track_caller]
fn interrupted_once(what: &str, is_so: fn(&mut Demo) -> bool) {
    let mut demo = Demo::start();
    demo.wait_for(what, is_so);
    kill_process_group(Pid::from_child(&demo.child), Signal::INT).unwrap();
    let status = demo.ended();
    let said = demo.said();
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(!said.contains("undrift check"), "it was still at its beginning: {said}");
    demo.assert_nothing_is_left();
}

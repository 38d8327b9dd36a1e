//! One undrift acts on a state, by whatever path it comes, and only while the state is the one that it has open. No engine is
//! needed for that: a daemon holds its state while it waits for one.

use std::{
    fs::{self, File},
    os::unix::fs::{DirBuilderExt, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::home::{Home, Run, run};

/// How long anything may take that is waited for.
const LONG: Duration = Duration::from_secs(60);

/// A running `undrift run`; killed where the test ends before it does.
struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts it on a state folder, and waits until it has it.
    #[track_caller]
    fn start(home: &Home, state: &Path, log: &str) -> Self {
        let log = home.0.path().join(log);
        let mut command = home.command(&["run", "-f", "shop.yaml", "--state-dir"]);
        command.arg(state).stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        let daemon = Self { child: command.spawn().unwrap(), log };
        daemon.wait_for("started objects=");
        daemon
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    #[track_caller]
    fn wait_for(&self, text: &str) {
        let end = Instant::now() + LONG;
        while !self.log().contains(text) {
            assert!(Instant::now() < end, "waited in vain for {text:?}: {}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks it to end as a service manager does.
    fn end(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success(), "{}", self.log());
    }

    /// Nothing of it can clear up.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn held_by(&self) -> String {
        format!("is held by undrift run, process {}, since ", self.child.id())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A second daemon on this state folder, which must not begin.
#[track_caller]
fn refused(home: &Home, state: &Path) -> Run {
    run(home.command(&["run", "-f", "shop.yaml", "--state-dir"]).arg(state)).expect(2)
}

/// A folder at another path, until it is dropped.
struct BindMount(PathBuf);

impl BindMount {
    /// `None` where this user may not mount.
    fn of(folder: &Path, at: PathBuf) -> Option<Self> {
        fs::create_dir(&at).unwrap();
        let mounted = Command::new("mount").arg("--bind").args([folder, &at]).output();
        mounted.is_ok_and(|mounted| mounted.status.success()).then_some(Self(at))
    }
}

impl Drop for BindMount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

#[test]
fn second_daemon_on_one_folder_is_refused_by_whatever_path_it_comes() {
    let home = Home::new();
    home.manifest("shop");
    let at = |name: &str| home.0.path().join(name);
    fs::create_dir(at("data")).unwrap();
    let state = at("data/state");
    symlink("data", at("link")).unwrap();
    symlink("data/state", at("direct")).unwrap();
    let paths = [at("link/state"), at("direct"), at("data/../data/./state"), state.clone()];
    for (first, second) in
        [(&state, &paths[..]), (&at("direct"), &paths[..]), (&at("link/state"), &paths[..])]
    {
        let daemon = Daemon::start(&home, first, "log");
        for path in second {
            let run = refused(&home, path);
            assert!(run.stderr.contains(&daemon.held_by()), "{}: {run:?}", path.display());
        }
        daemon.end();
    }
}

/// To the lock on the path it is another place: there the lock on the file counts.
#[test]
fn second_daemon_by_a_bind_mount_is_refused() {
    let home = Home::new();
    home.manifest("shop");
    home.recorded();
    // Only root can mount.
    let Some(mount) = BindMount::of(&home.state(), home.0.path().join("mounted")) else { return };
    for (first, second) in [(home.state(), mount.0.clone()), (mount.0.clone(), home.state())] {
        let daemon = Daemon::start(&home, &first, "log");
        let run = refused(&home, &second);
        assert!(run.stderr.contains(&daemon.held_by()), "{run:?}");
        daemon.end();
    }
}

#[test]
fn second_daemon_on_a_new_folder_at_the_path_of_a_moved_one_is_refused_and_makes_nothing() {
    let home = Home::new();
    home.manifest("shop");
    let (state, away) = (home.state(), home.0.path().join("away"));
    let daemon = Daemon::start(&home, &state, "log");
    let runs_there = format!(
        "an undrift, process {}, runs on the state folder {}, and its files were moved or removed from there",
        daemon.child.id(),
        state.display()
    );
    fs::rename(&state, &away).unwrap();
    daemon.wait_for("not ready: no step is taken");
    let run = refused(&home, &state);
    assert!(run.stderr.contains(&runs_there), "{run:?}");
    assert!(!state.exists(), "somebody has made another one");
    fs::create_dir(&state).unwrap();
    let run = refused(&home, &state);
    assert!(run.stderr.contains(&runs_there), "{run:?}");
    assert_eq!(fs::read_dir(&state).unwrap().count(), 0, "something was made in the new one");
    // At its new path it is the folder of the same undrift.
    let run = refused(&home, &away);
    assert!(run.stderr.contains(&daemon.held_by()), "{run:?}");
    fs::remove_dir(&state).unwrap();
    fs::rename(&away, &state).unwrap();
    daemon.wait_for("the state is where it was opened again");
    daemon.end();
    home.undrift(&["audit", "verify"]).expect(0);
}

#[test]
fn locks_of_a_killed_daemon_are_free_at_once_at_each_of_its_paths() {
    let home = Home::new();
    home.manifest("shop");
    let link = home.0.path().join("link");
    symlink("state", &link).unwrap();
    // Which folder to make, and who may change it, a link that leads nowhere does not say.
    let run = refused(&home, &link);
    assert!(run.stderr.contains("link is a symbolic link to state, which is not there"), "{run:?}");
    fs::DirBuilder::new().mode(0o700).create(home.state()).unwrap();
    let paths = [home.0.path().join("link"), home.state()];
    for (round, path) in paths.iter().chain(&paths).enumerate() {
        let daemon = Daemon::start(&home, path, &format!("log{round}"));
        let run = refused(&home, &paths[0]);
        assert!(run.stderr.contains(&daemon.held_by()), "{run:?}");
        daemon.kill();
    }
    Daemon::start(&home, &home.state(), "last").end();
    home.undrift(&["audit", "verify"]).expect(0);
}

/// How the log of the database stands when the backup is put there.
const LOGS: [&str; 2] = ["PRAGMA wal_checkpoint(PASSIVE)", "PRAGMA wal_checkpoint(TRUNCATE)"];

#[test]
fn backup_copied_over_the_database_is_reported_and_kept_until_a_restart() {
    for (round, checkpoint) in LOGS.iter().enumerate() {
        let home = Home::new();
        home.recorded();
        home.manifest("shop");
        let (db, backup) = (home.state().join("state.db"), home.0.path().join("backup"));
        fs::copy(&db, &backup).unwrap();
        let content = fs::read(&backup).unwrap();
        let daemon = Daemon::start(&home, &home.state(), &format!("log{round}"));
        // Its first observation writes into the cache, and so may SQLite into the database.
        daemon.wait_for("nothing can be said of the object");
        let other = rusqlite::Connection::open(&db).unwrap();
        other.query_row(checkpoint, [], |_| Ok(())).unwrap();
        drop(other);
        fs::copy(&backup, &db).unwrap();
        daemon.wait_for(&format!("{} was overwritten with other content", db.display()));
        for verb in [&["suspend", "shop", "--reason", "x"][..], &["resume", "shop"], &["retry", "shop"]] {
            let run = home.undrift(verb).expect(2);
            assert!(run.stderr.contains("has another database open"), "{run:?}");
        }
        let verified = home.undrift(&["audit", "verify"]);
        assert!(
            verified.code != Some(0) && format!("{verified:?}").contains("has another database open"),
            "{verified:?}"
        );
        let run = refused(&home, &home.state());
        assert!(run.stderr.contains(&daemon.held_by()), "{run:?}");
        daemon.end();
        assert!(fs::read(&db).unwrap() == content, "something was written into the backup");

        for name in ["state.db-wal", "state.db-shm"] {
            fs::remove_file(home.state().join(name)).unwrap();
        }
        Daemon::start(&home, &home.state(), "again").end();
        home.undrift(&["audit", "verify"]).expect(0);
    }
}

//! The store with several processes: the test executable runs itself again, as [`child`].

use std::{
    io::{BufRead, BufReader},
    os::unix::{fs::PermissionsExt, fs::chown, process::CommandExt},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use super::{Displaced, LockError, LockState, StateLock, StepLock, Store, Verification, testing};
use crate::api::{AuditKind, NewRecord, Step};

const ROLE: &str = "UNDRIFT_TEST_ROLE";
const DIR: &str = "UNDRIFT_TEST_DIR";

/// A user that is not root and owns nothing: nobody.
const NOBODY: u32 = 65534;

/// Records that each of several writers appends.
const EACH: u64 = 40;

/// This executable again, in this role. It prints a line when it is where the test wants it.
fn role(name: &str, dir: &Path) -> Command {
    role_of(&std::env::current_exe().unwrap(), name, dir)
}

fn role_of(executable: &Path, name: &str, dir: &Path) -> Command {
    let mut command = Command::new(executable);
    command
        .args(["--exact", "store::process_tests::child", "--ignored", "--nocapture"])
        .env(ROLE, name)
        .env(DIR, dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// Waits until the child prints `here`.
fn until_here(child: &mut Child) {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("here")), "the child ended before it was there");
}

#[test]
#[ignore = "not a test: the other side of the tests in this file"]
fn child() {
    let dir = std::path::PathBuf::from(std::env::var_os(DIR).unwrap());
    match std::env::var(ROLE).unwrap().as_str() {
        "append" => {
            let store = Store::open(&dir, "child".into()).unwrap();
            for _ in 0..EACH {
                store.append(&NewRecord::of(AuditKind::Verified)).unwrap();
            }
        }
        "intend" => {
            let _lock = StateLock::acquire(&dir, "apply").unwrap();
            let store = Store::open(&dir, "child".into()).unwrap();
            let record = NewRecord { object: Some("shop".into()), ..NewRecord::of(AuditKind::StepIntended) };
            store.intend(&record, Step::Build { no_cache: false }, &["api".into()]).unwrap();
            here_until_stdin_ends();
        }
        "step" => {
            let lock = StepLock::open(&dir).unwrap();
            let _guard = lock.acquire().unwrap();
            let inherited = rustix::io::dup(lock.inheritable().unwrap()).unwrap();
            // It inherits this process's standard input, and ends when that ends.
            let mut step = Command::new("cat").stdout(Stdio::null()).spawn().unwrap();
            drop(inherited);
            println!("here");
            step.wait().unwrap();
        }
        "read" => {
            let store = Store::open_read_only(&dir).unwrap().unwrap();
            assert!(matches!(store.verify().unwrap(), Verification::Whole { records: 1, .. }));
            std::fs::write(dir.join("proof"), "").expect_err("the folder can be written");
            println!("here");
        }
        "look" => {
            assert!(matches!(LockState::of(&dir), LockState::NotKnown(_)), "the lock can be seen");
            assert_eq!(Displaced::of(&dir), None);
            println!("here");
        }
        other => panic!("no such role: {other}"),
    }
}

fn here_until_stdin_ends() {
    println!("here");
    std::io::stdin().lines().for_each(drop);
}

#[test]
fn processes_and_threads_that_append_at_once_make_one_chain() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path(), "parent".into()).unwrap();
    let children: Vec<Child> = (0..2).map(|_| role("append", home.path()).spawn().unwrap()).collect();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..EACH {
                    store.append(&NewRecord::of(AuditKind::Verified)).unwrap();
                }
            });
        }
    });
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    let verification = store.verify().unwrap();
    assert!(
        matches!(verification, Verification::Whole { records, .. } if records == 4 * EACH),
        "{verification:?}"
    );
}

#[test]
fn a_process_killed_between_intent_and_outcome_leaves_an_open_intent_and_no_lock() {
    let home = tempfile::tempdir().unwrap();
    let mut child = role("intend", home.path()).spawn().unwrap();
    until_here(&mut child);
    let error = StateLock::acquire(home.path(), "run").unwrap_err();
    let LockError::Held { holder: Some(holder), .. } = error else { panic!("{error:?}") };
    assert_eq!((holder.verb.as_str(), holder.pid), ("apply", child.id()));
    // SIGKILL.
    child.kill().unwrap();
    child.wait().unwrap();

    let _lock = StateLock::acquire(home.path(), "run").unwrap();
    let store = Store::open(home.path(), "parent".into()).unwrap();
    let open = store.open_intents().unwrap();
    assert_eq!((open.len(), open[0].object.as_deref()), (1, Some("shop")));
    assert_eq!(store.close_interrupted().unwrap(), open);
    assert_eq!(store.open_intents().unwrap(), []);
    assert!(matches!(store.verify().unwrap(), Verification::Whole { records: 2, .. }));
}

#[tokio::test]
async fn the_step_lock_outlives_a_killed_undrift_and_ends_with_its_compose() {
    let home = tempfile::tempdir().unwrap();
    let lock = StepLock::open(home.path()).unwrap();
    assert!(!lock.is_held_elsewhere().unwrap());
    let mut child = role("step", home.path()).spawn().unwrap();
    let input = child.stdin.take().unwrap();
    until_here(&mut child);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(lock.is_held_elsewhere().unwrap(), "the orphan does not hold the lock");
    let error = lock.acquire().unwrap_err().to_string();
    assert!(error.contains(&format!("process {}", child.id())), "{error}");
    // The orphan's input ends, and so does the orphan.
    drop(input);
    lock.wait_free(std::time::Duration::from_secs(30)).await.unwrap();
    lock.acquire().unwrap();
}

/// As a user who may read the state and not write it, beside a writer's log, after the writer has left, and without a log.
#[test]
fn a_folder_that_may_only_be_read_is_read() {
    let (home, store) = testing::store();
    store.append(&NewRecord::of(AuditKind::Started)).unwrap();
    let log = home.path().join("state.db-wal");
    read_as_nobody(home.path());
    drop(store);
    assert!(log.exists(), "the last writer took the log with it");
    read_as_nobody(home.path());
    std::fs::remove_file(log).unwrap();
    std::fs::remove_file(home.path().join("state.db-shm")).unwrap();
    read_as_nobody(home.path());
}

/// The folder is private to its owner, as it always is, and its undrift is running.
#[test]
fn without_access_to_the_folder_nothing_is_reported_as_missing_from_it() {
    let home = tempfile::tempdir().unwrap();
    let lock = StateLock::acquire(home.path(), "run").unwrap();
    let _store = Store::open_locked(home.path(), "parent".into(), &lock).unwrap();
    let chmod = |mode| std::fs::set_permissions(home.path(), PermissionsExt::from_mode(mode)).unwrap();
    // Root may read anywhere, so there another user does.
    chmod(if rustix::process::geteuid().is_root() { 0o700 } else { 0 });
    let output = output_of_nobody("look", home.path());
    chmod(0o700);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

fn read_as_nobody(dir: &Path) {
    let root = rustix::process::geteuid().is_root();
    let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.push(dir.to_path_buf());
    let chmod = |writable: bool| {
        for path in &paths {
            let mode = if path.is_dir() { 0o555 } else { 0o444 } | if writable { 0o200 } else { 0 };
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
            // Root may write anything, so there another user reads.
            if root {
                chown(path, Some(if writable { 0 } else { NOBODY }), None).unwrap();
            }
        }
    };
    chmod(false);
    let output = output_of_nobody("read", dir);
    chmod(true);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// The output of this executable in a role, as nobody if this user is root.
fn output_of_nobody(name: &str, dir: &Path) -> Output {
    let mut command = role(name, dir);
    let copies = tempfile::tempdir().unwrap();
    if rustix::process::geteuid().is_root() {
        // The executable itself may be where only root may read.
        std::fs::set_permissions(copies.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let copy = copies.path().join("tests");
        std::fs::copy(command.get_program(), &copy).unwrap();
        command = role_of(&copy, name, dir);
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
    }
    command.output().unwrap()
}

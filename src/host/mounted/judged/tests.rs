use std::{
    fs::{self, File},
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use chrono::{TimeDelta, Utc};

use super::*;

/// A file of the host, and the root folder of a container that mounts it: a hard link is the same file, as a mount is.
struct Mounted {
    folder: tempfile::TempDir,
    memory: Memory,
    writable: bool,
}

const OLD: &str = "password: old";
const NEW: &str = "password: new";

impl Mounted {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Self { folder, memory: Memory::default(), writable: false };
        fs::create_dir_all(mounted.root().join("etc")).unwrap();
        mounted.write(OLD);
        fs::hard_link(mounted.path(), mounted.root().join("etc/app.conf")).unwrap();
        mounted
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("app.conf")
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn write(&self, text: &str) {
        fs::write(self.path(), text).unwrap();
    }

    /// As an editor does.
    fn replace(&self, text: &str) {
        let new = self.folder.path().join("app.conf~");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.path()).unwrap();
    }

    /// A look at a container that was started so many seconds ago.
    fn look(&mut self, started: i64, sees_process: bool) -> Option<(Fact<bool>, Fact<bool>)> {
        let source = self.path().display().to_string();
        let bind = Bind { source, target: "/etc/app.conf".into(), writable: self.writable };
        let root = self.root();
        let (root, memory) = (sees_process.then_some(root), self.memory.clone());
        let digest: KeyedDigest =
            Arc::new(|name, bytes| format!("{name}: {:x}", bytes.iter().map(|b| u64::from(*b)).sum::<u64>()));
        let started_at = Utc::now() - TimeDelta::seconds(started);
        let looked = files::look(move || {
            let before = MountedBefore { root: root.as_deref(), started_at, memory: &memory };
            look(&bind, before, &digest)
        });
        let Look { file, memory } = looked.unwrap()?;
        self.memory = memory;
        Some((file.changed, file.replaced))
    }
}

/// Unchanged and changed, in the same file.
const SAME: (Fact<bool>, Fact<bool>) = (Fact::Known(false), Fact::Known(false));
const CHANGED: (Fact<bool>, Fact<bool>) = (Fact::Known(true), Fact::Known(false));

/// A start after the last change, and before it.
const AFTER: i64 = -60;
const BEFORE: i64 = 60;

#[test]
fn a_file_is_compared_with_its_bytes_at_the_start_whether_the_process_is_seen_or_not() {
    for sees_process in [true, false] {
        let mut file = Mounted::new();
        let first = file.look(AFTER, sees_process).unwrap();
        assert_eq!(first.0, Fact::Known(false));
        assert_eq!(file.look(AFTER, sees_process).unwrap(), SAME);
        file.write(NEW);
        assert_eq!(file.look(AFTER, sees_process).unwrap(), CHANGED, "{sees_process}");
        file.write(OLD);
        assert_eq!(file.look(AFTER, sees_process).unwrap(), SAME, "it is as it was, whatever its times");
    }
}

#[test]
fn undrift_that_comes_later_goes_by_the_times() {
    let mut file = Mounted::new();
    assert_eq!(file.look(BEFORE, true).unwrap(), CHANGED, "it was written after the start");
    assert_eq!(file.memory.read, None, "what it was at the start nobody knows");
    assert_eq!(file.look(BEFORE, false).unwrap().0, Fact::Known(true));
    // A new owner or mode is a change of the file and not of its bytes.
    let old = SystemTime::now() - Duration::from_secs(3600);
    File::options().write(true).open(file.path()).unwrap().set_modified(old).unwrap();
    assert_eq!(file.look(BEFORE, true).unwrap(), SAME);
    file.memory = Memory::default();
    let unseen = file.look(BEFORE, false).unwrap();
    assert_eq!(unseen.0, Fact::Known(true), "a copy may have kept the time of its content");
    assert!(unseen.1.why_unknown().is_some(), "whether it is another file is not known");
}

#[test]
fn a_file_in_the_place_of_the_mounted_one_is_known_by_its_number() {
    let replaced = |changed| (Fact::Known(changed), Fact::Known(true));
    // The process is seen, first of all or later; or undrift has seen the file before.
    for (looks_before, sees_process) in [(false, true), (true, true), (true, false)] {
        let mut file = Mounted::new();
        if looks_before {
            file.look(AFTER, sees_process);
        }
        file.replace(NEW);
        assert_eq!(file.look(AFTER, sees_process).unwrap(), replaced(true), "{looks_before} {sees_process}");
        file.replace(OLD);
        assert_eq!(file.look(AFTER, sees_process).unwrap(), replaced(false), "the bytes are the same");
    }
    let mut file = Mounted::new();
    file.replace(OLD);
    assert_eq!(file.look(BEFORE, true).unwrap(), replaced(false), "the mounted file has the same bytes");
}

#[test]
fn of_a_file_that_the_container_may_write_only_another_one_in_its_place_counts() {
    let mut file = Mounted { writable: true, ..Mounted::new() };
    assert_eq!(file.look(BEFORE, true).unwrap(), SAME);
    file.write(NEW);
    assert_eq!(file.look(BEFORE, true).unwrap(), SAME, "the container may have written it");
    assert_eq!(file.memory.seen, None, "a database is not read");
    file.replace(OLD);
    assert_eq!(file.look(BEFORE, true).unwrap(), (Fact::Known(true), Fact::Known(true)));
    file.replace(NEW);
    assert_eq!(file.look(BEFORE, true).unwrap().0, Fact::Known(false), "the mounted file has the same bytes");
}

#[test]
fn what_cannot_be_read_is_unknown_and_what_was_never_a_file_is_nothing() {
    let mut file = Mounted::new();
    fs::remove_file(file.path()).unwrap();
    assert!(file.look(AFTER, true).is_none(), "it may have been a folder");
    file.write(OLD);
    file.look(AFTER, false).unwrap();
    fs::remove_file(file.path()).unwrap();
    let (changed, _) = file.look(AFTER, false).unwrap();
    assert!(changed.why_unknown().is_some(), "{changed:?}");
    fs::create_dir(file.path()).unwrap();
    let (changed, _) = file.look(AFTER, false).unwrap();
    assert_eq!(changed.why_unknown(), Some("it is no regular file any more"));
    file.memory = Memory::default();
    assert!(file.look(AFTER, true).is_none(), "a folder is not judged");
}

#[test]
fn no_byte_of_a_file_is_remembered() {
    let mut file = Mounted::new();
    file.look(AFTER, true);
    let kept = serde_json::to_string(&file.memory).unwrap();
    assert!(kept.contains("the mounted file /etc/app.conf: ") && !kept.contains("password"), "{kept}");
}

use super::*;
use crate::{
    api::{AuditKind, NewRecord},
    doctor::{Check, Status},
    store::{StateLock, testing},
};

fn looked(dir: &Path) -> StateFindings {
    let (folder, content) = (look(dir), look_inside(dir));
    StateFindings { dir: Ok(dir.to_owned()), folder: Some(folder), content: Some(content) }
}

fn check(state: &StateFindings, name: &str) -> Check {
    judge(state).into_iter().find(|check| check.name == name).unwrap()
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_look_leaves_a_folder_as_it_was() {
    let (home, store) = testing::store();
    store.append(&NewRecord::of(AuditKind::Started)).unwrap();
    drop(store);
    mode(home.path(), 0o700);
    // SQLite's index of its log is in memory that readers share, and that they may create and remove.
    let all = || -> Vec<_> {
        let of = |entry: io::Result<fs::DirEntry>| {
            let entry = entry.unwrap();
            (entry.file_name(), fs::read(entry.path()).unwrap())
        };
        let files = fs::read_dir(home.path()).unwrap().map(of);
        let mut all: Vec<_> = files.filter(|(name, _)| name != "state.db-shm").collect();
        all.sort();
        all
    };
    let before = all();
    let state = looked(home.path());
    let tried = ["StateWritable", "StatePrivate", "StateLock", "StateSchema", "TrailWhole"];
    assert!(tried.iter().all(|name| check(&state, name).status == Status::Ok), "{:?}", judge(&state));
    assert_eq!(check(&state, "TrailWhole").found, "1 record");
    assert_eq!(state.latest_record(), Ok(Some(testing::start())));
    assert!(all() == before, "a file is another one than before");

    let missing = home.path().join("a/b");
    let state = looked(&missing);
    assert!(
        check(&state, "StateWritable").found.ends_with("does not exist yet; the first apply will make it")
    );
    assert!(!home.path().join("a").exists());
}

#[test]
fn a_state_that_cannot_be_written_fails_the_check_and_is_reported_with_help() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("file"), "").unwrap();
    for dir in [home.path().join("file"), home.path().join("file/below"), "/proc/undrift".into()] {
        let state = looked(&dir);
        let check = check(&state, "StateWritable");
        assert_eq!(check.status, Status::Failed, "{check:?}");
        assert!(check.help.is_some_and(|help| help.contains("--state-dir")));
    }
    let another =
        |folder: &mut StateFolder| (folder.is_anothers, folder.unwritable) = (true, Some("denied".into()));
    let mut state = looked(home.path());
    another(state.folder.as_mut().unwrap());
    let help = check(&state, "StateWritable").help.unwrap();
    assert!(help.contains("sudo undrift doctor") && !help.contains("install"), "{help}");
    // A file of ours that is not a regular one.
    fs::create_dir_all(home.path().join("state/state.db")).unwrap();
    assert!(
        check(&looked(&home.path().join("state")), "StateWritable")
            .found
            .contains("state.db cannot be written")
    );
}

#[test]
fn a_state_that_others_can_read_is_warned_of_and_one_that_they_can_write_is_a_fault() {
    let (home, _store) = testing::store();
    mode(home.path(), 0o700);
    let private = || check(&looked(home.path()), "StatePrivate");
    assert_eq!(private().status, Status::Ok);
    mode(home.path(), 0o750);
    let check = private();
    assert_eq!(check.status, Status::Warning);
    assert!(
        check.found.ends_with("has mode 750") && check.help.unwrap().starts_with("chmod 700 "),
        "{}",
        check.found
    );
    mode(&home.path().join("state.db"), 0o660);
    assert_eq!(private().status, Status::Failed);
    assert!(private().found.ends_with("and 1 more"));
}

#[test]
fn what_the_state_holds_is_judged() {
    let of = |content| StateFindings { dir: Ok("/s".into()), folder: None, content };
    let (home, store) = testing::store();
    store.append(&NewRecord::of(AuditKind::Started)).unwrap();
    testing::tamper(home.path(), "UPDATE trail SET actor = 'nobody'");
    let broken = check(&looked(home.path()), "TrailWhole");
    assert_eq!((broken.status, broken.help.as_deref()), (Status::Failed, Some("undrift audit verify")));
    testing::raw(home.path()).pragma_update(None, "user_version", 99).unwrap();
    let newer = looked(home.path());
    assert!(check(&newer, "StateSchema").found.contains("version 99"));
    assert_eq!(check(&newer, "StateSchema").status, Status::Failed);
    // A trail that cannot be read is not known to be intact.
    assert_eq!(check(&newer, "TrailWhole").status, Status::Unknown);
    newer.latest_record().unwrap_err();

    let older = Content::Unreadable(StoreError::OlderSchema { found: 0, known: 1 });
    assert_eq!(check(&of(Some(older)), "StateSchema").status, Status::Ok);
    // A state that this user may not read need not be moved away.
    let denied = io::Error::from(io::ErrorKind::PermissionDenied);
    let denied = Content::Unreadable(StoreError::Folder { path: "/s/state.db".into(), source: denied });
    let denied = check(&of(Some(denied)), "StateSchema");
    assert_eq!(denied.status, Status::Unknown);
    assert!(denied.help.is_some_and(|help| help.contains("sudo undrift doctor")));
    let late = of(None);
    assert_eq!(check(&late, "TrailWhole").status, Status::Unknown);
    assert_eq!(check(&late, "StateWritable").status, Status::Failed);
}

#[test]
fn place_room_and_lock_are_judged() {
    let home = tempfile::tempdir().unwrap();
    let with = |change: &dyn Fn(&mut StateFolder)| {
        let mut state = looked(home.path());
        change(state.folder.as_mut().unwrap());
        state
    };
    let on = |kind: &str, keeping| {
        let kind = kind.to_owned();
        check(&with(&move |folder| folder.mount = Some((kind.clone(), keeping))), "StateFileSystem").status
    };
    assert_eq!(on("ext4", Keeping::Safe), Status::Ok);
    assert_eq!(on("nfs4", Keeping::LosesLocks), Status::Failed);
    assert_eq!(on("tmpfs", Keeping::EndsAtReboot), Status::Warning);
    assert_eq!(on("overlay", Keeping::EndsWithContainer), Status::Warning);
    assert_eq!(on("fuse.mine", Keeping::NotKnown), Status::Unknown);
    let space = |free| check(&with(&move |folder| folder.free = free), "StateSpace").status;
    assert_eq!(space(Some(99_999_999)), Status::Warning);
    assert_eq!(space(Some(100_000_000)), Status::Ok);
    assert_eq!(space(None), Status::Unknown);

    let lock = StateLock::acquire(home.path(), "apply").unwrap();
    let held = check(&looked(home.path()), "StateLock");
    assert!(
        held.status == Status::Ok && held.found.starts_with("held by undrift apply, process "),
        "{held:?}"
    );
    drop(lock);
}

/// The POSIX locks that this process has on files of the folder, as the kernel lists them.
fn own_locks(dir: &Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;

    let inodes: Vec<u64> =
        FILES.iter().filter_map(|name| Some(dir.join(name).metadata().ok()?.ino())).collect();
    let own = format!(" {} ", std::process::id());
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let of_folder = |line: &&str| {
        let inode = line.split_whitespace().find_map(|word| word.rsplit_once(':')?.1.parse::<u64>().ok());
        line.contains(" POSIX ") && line.contains(&own) && inode.is_some_and(|inode| inodes.contains(&inode))
    };
    // Without its number, which counts all locks of the host.
    locks.lines().filter(of_folder).filter_map(|line| Some(line.split_once(' ')?.1.to_owned())).collect()
}

#[test]
fn a_look_at_the_folder_ends_no_lock_of_whoever_reads_in_it() {
    let (home, store) = testing::store();
    store.append(&NewRecord::of(AuditKind::Started)).unwrap();
    let reader = testing::raw(home.path());
    reader.execute_batch("BEGIN; SELECT count(*) FROM trail").unwrap();
    let before = own_locks(home.path());
    assert!(!before.is_empty(), "SQLite holds no lock while it reads");
    look(home.path());
    assert_eq!(own_locks(home.path()), before);
}

#[test]
fn a_link_and_a_strangers_folder_are_faults_of_the_state() {
    let (home, store) = testing::store();
    drop(store);
    mode(home.path(), 0o700);
    let link = home.path().join("step.lock");
    let _ = fs::remove_file(&link);
    std::os::unix::fs::symlink("/nowhere", &link).unwrap();
    let found = check(&looked(home.path()), "StatePrivate");
    assert_eq!(found.status, Status::Failed);
    assert!(found.found.contains("step.lock is a symbolic link"), "{found:?}");
    fs::remove_file(&link).unwrap();
    assert_eq!(check(&looked(home.path()), "StatePrivate").status, Status::Ok);
    // Only root can give a folder away.
    if std::os::unix::fs::chown(home.path(), Some(12_345), None).is_ok() {
        let found = check(&looked(home.path()), "StatePrivate");
        assert_eq!(found.status, Status::Failed);
        assert!(found.found.contains("is owned by the user 12345"), "{found:?}");
    }
}

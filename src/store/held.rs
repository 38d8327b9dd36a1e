//! The files that an undrift has open, and whether they are still at their paths.
//!
//! An open file outlives its name. If the state folder is removed or moved, or a backup is renamed over the database, writes
//! go to files that nobody finds: a suspension has no effect, and the trail of a step is lost. So before each write every
//! file is compared with its path, by device and inode. The content of the file at its path is [checked
//! separately](super::contents).

use std::{
    fs::File,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use rusqlite::{Connection, FileControl};
use rustix::fs::{Mode, OFlags, Stat};
use serde::{Deserialize, Serialize};

use super::{contents::Contents, folder, lock, lock::Holder, step_lock};

/// The compared names, the folder itself first. SQLite keeps the log and its index open for as long as the database, and
/// never recreates them meanwhile: see `folder::connect`.
const NAMES: [&str; 6] = ["", lock::FILE, step_lock::FILE, folder::FILE, folder::LOG, folder::INDEX];

/// An open file of the state folder, as the kernel identifies it whatever its name is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HeldFile {
    /// Its name in the folder; empty for the folder itself.
    name: String,
    device: u64,
    inode: u64,
}

/// The open files of a state, and the folder in which they were opened.
#[derive(Debug)]
pub(super) struct Held {
    dir: PathBuf,
    files: Vec<HeldFile>,
    contents: Option<Contents>,
    holder: Holder,
    /// Whether the lock file records for others that the database was overwritten.
    is_published: AtomicBool,
    /// Whether a record is missing that this undrift has read: nothing makes the database the known one again.
    is_condemned: AtomicBool,
    /// While they are open the kernel does not reuse their numbers.
    _open: Vec<OwnedFd>,
}

/// An open file is not the one at its path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Gone {
    /// Nothing is there.
    #[error("{path} was moved or removed")]
    Missing {
        /// The folder or file.
        path: PathBuf,
    },
    /// Something else is there.
    #[error("{path} was replaced by another one")]
    Replaced {
        /// The folder or file.
        path: PathBuf,
    },
    /// The database is empty now.
    #[error("{path} was emptied")]
    Emptied {
        /// The file.
        path: PathBuf,
    },
    /// It is the same file with content that undrift did not write.
    #[error("{path} was overwritten with other content")]
    Overwritten {
        /// The file.
        path: PathBuf,
    },
    /// undrift cannot see what is there.
    #[error("{path} cannot be seen: {why}")]
    NotSeen {
        /// The folder or file.
        path: PathBuf,
        /// The operating system's error.
        why: String,
    },
}

impl Held {
    /// Notes the files that are open now: `lock` is the folder's, held by `holder`, and `db` is open in it.
    ///
    /// # Errors
    /// If one of them already differs from the file at its path.
    pub(super) fn of(dir: &Path, lock: &File, holder: &Holder, db: &Connection) -> Result<Self, Gone> {
        let (mut files, mut open) = (Vec::new(), Vec::new());
        for name in NAMES {
            let path = path_of(dir, name);
            // This kind of descriptor opens nothing: closing another one of the database would release SQLite's locks on it.
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            let found = match rustix::fs::open(&path, flags, Mode::empty()) {
                Ok(found) => found,
                // The lock on steps, if this verb takes none.
                Err(rustix::io::Errno::NOENT) => continue,
                Err(error) => return Err(not_seen(path, &error.into())),
            };
            let data = rustix::fs::fstat(&found).map_err(|error| not_seen(path, &error.into()))?;
            files.push(HeldFile::of(name, &data));
            open.push(found);
        }
        let contents = Contents::of(dir).map_err(|error| not_seen(path_of(dir, folder::FILE), &error))?;
        let (dir, holder) = (dir.to_owned(), holder.clone());
        let (is_published, is_condemned) = (AtomicBool::new(false), AtomicBool::new(false));
        let held = Self { dir, files, contents, holder, is_published, is_condemned, _open: open };
        held.is_of(lock, db)?;
        Ok(held)
    }

    /// Whether the noted files are the open ones: a file may have been replaced just after it was opened.
    fn is_of(&self, lock: &File, db: &Connection) -> Result<(), Gone> {
        let path = path_of(&self.dir, lock::FILE);
        let data = rustix::fs::fstat(lock).map_err(|error| not_seen(path.clone(), &error.into()))?;
        if !self.files.contains(&HeldFile::of(lock::FILE, &data)) {
            return Err(Gone::Replaced { path });
        }
        let (path, mut has_moved) = (path_of(&self.dir, folder::FILE), 0);
        match db.file_control(None::<&str>, FileControl::HasMoved(&mut has_moved)) {
            Ok(()) if has_moved == 0 => Ok(()),
            Ok(()) => Err(Gone::Replaced { path }),
            Err(error) => Err(Gone::NotSeen { path, why: error.to_string() }),
        }
    }

    /// Whether the open files are the ones at their paths, and the database is what SQLite wrote: checks six of them. For
    /// `confirm` see [`Contents::check`].
    ///
    /// # Errors
    /// The first one that differs.
    pub(super) fn check<E: From<Gone>>(&self, confirm: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        check(&self.dir, &self.files)?;
        if self.is_condemned.load(Ordering::Relaxed) {
            return Err(self.overwritten().into());
        }
        self.contents.as_ref().map_or(Ok(()), |contents| contents.check(confirm))
    }

    /// The error for a database that is another one, though the file is the same.
    pub(super) fn overwritten(&self) -> Gone {
        Gone::Overwritten { path: path_of(&self.dir, folder::FILE) }
    }

    /// Has every later check find the database overwritten, until undrift is restarted.
    pub(super) fn condemn(&self) {
        self.is_condemned.store(true, Ordering::Relaxed);
    }

    /// Whether the last check found it overwritten: then nothing may be written to it.
    pub(super) fn is_overwritten(&self) -> bool {
        self.is_published.load(Ordering::Relaxed)
    }

    /// Publishes in the lock file which files are open, and whether the database was overwritten, which other processes cannot
    /// see. Does not rewrite what is there already. Returns whether it is news.
    pub(super) fn publish(&self, overwritten: bool) -> bool {
        let overwritten = overwritten || self.is_condemned.load(Ordering::Relaxed);
        if self.is_published.swap(overwritten, Ordering::Relaxed) == overwritten {
            return false;
        }
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let written = rustix::fs::open(path_of(&self.dir, lock::FILE), flags, Mode::empty());
        let written =
            written.map_err(io::Error::from).and_then(|file| self.sign(&File::from(file), overwritten));
        if let Err(error) = written {
            tracing::warn!(%error, "other processes are not notified that the state was overwritten");
        }
        true
    }

    /// Writes the holder into the lock file, with the values that others can compare.
    pub(super) fn sign(&self, lock: &File, overwritten: bool) -> io::Result<()> {
        Holder { files: self.files.clone(), overwritten, ..self.holder.clone() }.sign(lock)
    }
}

/// Not through `files`, which begins no more accesses once too many files of others hang: undrift must still record that
/// here. If the state's own file system hangs, SQLite blocks, too.
pub(super) fn check(dir: &Path, files: &[HeldFile]) -> Result<(), Gone> {
    files.iter().try_for_each(|file| file.check(dir))
}

impl HeldFile {
    fn of(name: &str, data: &Stat) -> Self {
        Self { name: name.to_owned(), device: data.st_dev, inode: data.st_ino }
    }

    fn check(&self, dir: &Path) -> Result<(), Gone> {
        let path = path_of(dir, &self.name);
        match rustix::fs::stat(&path) {
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Err(Gone::Missing { path }),
            Err(error) => Err(not_seen(path, &error.into())),
            Ok(data) if Self::of(&self.name, &data) != *self => Err(Gone::Replaced { path }),
            Ok(data) if self.name == folder::FILE && data.st_size == 0 => Err(Gone::Emptied { path }),
            Ok(_) => Ok(()),
        }
    }
}

fn path_of(dir: &Path, name: &str) -> PathBuf {
    if name.is_empty() { dir.to_owned() } else { dir.join(name) }
}

fn not_seen(path: PathBuf, error: &io::Error) -> Gone {
    Gone::NotSeen { path, why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        api::{AuditKind, Cache as _, NewRecord},
        store::{RecordFilter, StateLock, StepLock, Store, StoreError},
    };

    /// A held state in a folder that can be moved.
    struct HeldFixture {
        home: tempfile::TempDir,
        dir: PathBuf,
        store: Store,
        _locks: (StateLock, StepLock),
    }

    impl HeldFixture {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            let dir = home.path().join("state");
            let lock = StateLock::acquire(&dir, "run").unwrap();
            let steps = StepLock::open(&dir).unwrap();
            let store = Store::open_locked(&dir, "test".into(), &lock).unwrap();
            Self { home, dir, store, _locks: (lock, steps) }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.home.path().join(name)
        }

        fn is_written(&self) -> Result<(), StoreError> {
            self.store.append(&NewRecord::of(AuditKind::Verified)).map(drop)
        }

        /// Nothing is written, for this reason, until the state is whole again.
        #[track_caller]
        fn assert_gone(&self, expected: &Gone) {
            let error = self.is_written().unwrap_err();
            assert!(matches!(&error, StoreError::Gone(gone) if gone == expected), "{error}");
            assert_eq!(self.store.check_held().unwrap_err().to_string(), error.to_string());
        }

        #[track_caller]
        fn assert_whole(&self, records: usize) {
            self.is_written().unwrap();
            assert_eq!(self.store.records(&RecordFilter::default()).unwrap().len(), records);
        }
    }

    #[test]
    fn nothing_is_written_while_the_folder_is_moved_and_all_goes_on_once_it_is_back() {
        let fixture = HeldFixture::new();
        fixture.assert_whole(1);
        let (dir, away) = (fixture.dir.clone(), fixture.path("away"));
        fs::rename(&dir, &away).unwrap();
        fixture.assert_gone(&Gone::Missing { path: dir.clone() });
        fs::create_dir(&dir).unwrap();
        fixture.assert_gone(&Gone::Replaced { path: dir.clone() });
        fs::remove_dir(&dir).unwrap();
        fs::rename(&away, &dir).unwrap();
        fixture.assert_whole(2);
    }

    #[test]
    fn each_file_that_is_open_counts() {
        let fixture = HeldFixture::new();
        for name in &NAMES[1..] {
            let (path, away) = (fixture.dir.join(name), fixture.path("away"));
            fs::rename(&path, &away).unwrap();
            fixture.assert_gone(&Gone::Missing { path: path.clone() });
            fs::copy(&away, &path).unwrap();
            fixture.assert_gone(&Gone::Replaced { path: path.clone() });
            fs::rename(&away, &path).unwrap();
            fixture.is_written().unwrap();
        }
    }

    #[test]
    fn a_database_that_was_emptied_is_not_written_into() {
        let fixture = HeldFixture::new();
        let path = fixture.dir.join(folder::FILE);
        let content = fs::read(&path).unwrap();
        assert!(!content.is_empty(), "it has content as soon as it is open");
        fs::write(&path, "").unwrap();
        fixture.assert_gone(&Gone::Emptied { path: path.clone() });
        // Nobody can know that it is what it was.
        fs::write(&path, content).unwrap();
        fixture.assert_gone(&Gone::Overwritten { path });
    }

    #[test]
    fn a_backup_that_is_copied_over_the_database_stays_as_it_is_put_there() {
        let fixture = HeldFixture::new();
        let (path, backup) = (fixture.dir.join(folder::FILE), fixture.path("backup"));
        for _ in 0..3 {
            fixture.is_written().unwrap();
        }
        fixture.store.db().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        fs::copy(&path, &backup).unwrap();
        // Some of it in the database, the rest in the log.
        fixture.is_written().unwrap();
        fixture.store.put("module", "a", "1");
        let content = fs::read(&backup).unwrap();
        fs::write(&path, &content).unwrap();
        fixture.assert_gone(&Gone::Overwritten { path: path.clone() });
        fixture.store.put("module", "a", "2");
        let other = StateLock::acquire(&fixture.dir, "apply").unwrap_err().to_string();
        assert!(other.contains("is held by undrift run"), "{other}");
        let displaced = super::super::Displaced::of(&fixture.dir).unwrap().to_string();
        assert!(
            displaced.ends_with(&format!("{} was overwritten with other content", path.display())),
            "{displaced}"
        );
        // Nor does closing write the rest of the log into it.
        let HeldFixture { home: _home, dir, store, _locks: locks } = fixture;
        drop(store);
        drop(locks);
        assert!(fs::read(&path).unwrap() == content, "something was written into the backup");
        // The log of the other database no longer matters.
        fs::remove_file(dir.join(folder::LOG)).unwrap();
        fs::remove_file(dir.join(folder::INDEX)).unwrap();
        let lock = StateLock::acquire(&dir, "run").unwrap();
        let store = Store::open_locked(&dir, "test".into(), &lock).unwrap();
        assert!(store.verify().unwrap().is_whole());
        assert_eq!(store.records(&RecordFilter::default()).unwrap().len(), 3);
    }

    /// No check falls between the checkpoint and the copy, so the one explains the other's time; and SQLite holds pages of the
    /// trail in memory.
    #[test]
    fn a_backup_that_is_copied_over_the_database_just_after_a_checkpoint_is_seen_by_its_head() {
        for mode in ["PASSIVE", "RESTART", "TRUNCATE"] {
            let fixture = HeldFixture::new();
            let (path, backup) = (fixture.dir.join(folder::FILE), fixture.path("backup"));
            fixture.assert_whole(1);
            let other = crate::store::testing::raw(&fixture.dir);
            let checkpoint = || {
                other.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(())).unwrap();
            };
            checkpoint();
            fs::copy(&path, &backup).unwrap();
            fixture.assert_whole(2);
            fixture.store.check_held().unwrap();
            checkpoint();
            let content = fs::read(&backup).unwrap();
            fs::write(&path, &content).unwrap();
            fixture.assert_gone(&Gone::Overwritten { path: path.clone() });
            fixture.assert_gone(&Gone::Overwritten { path: path.clone() });
            assert!(fs::read(&path).unwrap() == content, "{mode}: something was written into the backup");
        }
    }

    #[test]
    fn a_backup_with_its_log_and_index_that_is_copied_over_all_three_is_seen_by_its_head() {
        let fixture = HeldFixture::new();
        let files = [folder::FILE, folder::LOG, folder::INDEX].map(|name| fixture.dir.join(name));
        fixture.assert_whole(1);
        let backup = files.clone().map(|path| fs::read(path).unwrap());
        fixture.assert_whole(2);
        fixture.store.db().query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
        fixture.assert_whole(3);
        for (path, content) in files.iter().zip(backup) {
            fs::write(path, content).unwrap();
        }
        fixture.assert_gone(&Gone::Overwritten { path: files[0].clone() });
    }

    #[test]
    fn what_another_process_appends_and_checkpoints_is_no_other_content() {
        let fixture = HeldFixture::new();
        fixture.assert_whole(1);
        for records in [3, 5] {
            let other = Store::open(&fixture.dir, "another".into()).unwrap();
            other.append(&NewRecord::of(AuditKind::Suspended)).unwrap();
            other.db().query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
            drop(other);
            fixture.assert_whole(records);
        }
        fixture.store.check_held().unwrap();
        assert_eq!(super::super::Displaced::of(&fixture.dir), None);
    }

    #[test]
    fn a_trail_that_ends_before_what_this_undrift_has_read_is_not_written_into_until_it_is_whole_again() {
        let fixture = HeldFixture::new();
        fixture.assert_whole(1);
        fixture.assert_whole(2);
        let raw = crate::store::testing::raw(&fixture.dir);
        let triggers = "SELECT group_concat('DROP TRIGGER ' || name || ';', ' ') FROM sqlite_schema WHERE type = 'trigger'";
        let drop_them: String = raw.query_row(triggers, [], |row| row.get(0)).unwrap();
        raw.execute_batch(&drop_them).unwrap();
        raw.execute_batch("CREATE TABLE kept AS SELECT * FROM head").unwrap();
        raw.execute_batch("UPDATE head SET seq = 1, hash = (SELECT hash FROM trail WHERE seq = 1)").unwrap();
        fixture.assert_gone(&Gone::Overwritten { path: fixture.dir.join(folder::FILE) });
        assert!(super::super::Displaced::of(&fixture.dir).is_some());
        raw.execute_batch("UPDATE head SET (seq, hash) = (SELECT seq, hash FROM kept)").unwrap();
        fixture.assert_whole(3);
        assert_eq!(super::super::Displaced::of(&fixture.dir), None);
    }

    /// A write that was under way while a backup was copied over the database leaves the head as it is known.
    #[test]
    fn a_trail_without_a_record_that_was_read_is_another_one_although_its_head_is_the_same() {
        let fixture = HeldFixture::new();
        fixture.assert_whole(1);
        fixture.assert_whole(2);
        let agree = || fixture.store.agree_with_trail_in_all(chrono::Utc::now());
        agree().unwrap();
        let raw = crate::store::testing::raw(&fixture.dir);
        let triggers = "SELECT group_concat('DROP TRIGGER ' || name || ';', ' ') FROM sqlite_schema WHERE type = 'trigger'";
        let drop_them: String = raw.query_row(triggers, [], |row| row.get(0)).unwrap();
        raw.execute_batch(&drop_them).unwrap();
        raw.execute_batch(
            "CREATE TABLE kept AS SELECT * FROM trail WHERE seq = 2; DELETE FROM trail WHERE seq = 2",
        )
        .unwrap();
        fixture.store.check_held().unwrap();
        let gone = Gone::Overwritten { path: fixture.dir.join(folder::FILE) };
        let error = agree().unwrap_err();
        assert!(matches!(&error, StoreError::Gone(found) if *found == gone), "{error}");
        fixture.assert_gone(&gone);
        // Another thread that checked before may publish after.
        let held = fixture.store.held.as_ref().unwrap();
        held.publish(false);
        assert!(held.is_overwritten());
        assert!(super::super::Displaced::of(&fixture.dir).is_some());
        raw.execute_batch("INSERT INTO trail SELECT * FROM kept").unwrap();
        fixture.assert_gone(&gone);
    }

    #[test]
    fn a_folder_behind_a_link_is_the_one_that_the_link_leads_to() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        fs::create_dir(at("one")).unwrap();
        std::os::unix::fs::symlink("one", at("state")).unwrap();
        let lock = StateLock::acquire(&at("state"), "run").unwrap();
        let store = Store::open_locked(&at("state"), "test".into(), &lock).unwrap();
        store.check_held().unwrap();
        fs::create_dir(at("two")).unwrap();
        fs::remove_file(at("state")).unwrap();
        std::os::unix::fs::symlink("two", at("state")).unwrap();
        let error = store.check_held().unwrap_err();
        assert!(
            matches!(&error, StoreError::Gone(Gone::Replaced { path }) if *path == at("state")),
            "{error}"
        );
    }

    #[test]
    fn a_lock_that_was_replaced_before_the_state_was_opened_is_an_error() {
        let home = tempfile::tempdir().unwrap();
        let lock = StateLock::acquire(home.path(), "run").unwrap();
        let path = home.path().join(lock::FILE);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        let error = Store::open_locked(home.path(), "test".into(), &lock).unwrap_err();
        assert!(matches!(&error, StoreError::Gone(Gone::Replaced { .. })), "{error}");
    }
}

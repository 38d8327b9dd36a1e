//! The files that an undrift has open, and whether they are still the ones at their paths.
//!
//! An open file outlives its name. Where the state folder is removed or moved, or a backup is renamed over the database, what
//! is written goes into files that nobody finds: a suspension is not heard, and the trail of a step is lost. So each file is
//! compared with its path, by device and inode, before anything is written.

use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, FileControl};
use rustix::fs::{Mode, OFlags, Stat};
use serde::{Deserialize, Serialize};

use super::{folder, lock, step_lock};

/// What is compared, the folder itself first. SQLite keeps the log and its index open for as long as the database, and never
/// makes them anew meanwhile: see `folder::connect`.
const NAMES: [&str; 6] = ["", lock::FILE, step_lock::FILE, folder::FILE, folder::LOG, folder::INDEX];

/// A file of the state folder that is open, as the kernel knows it whatever its name is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HeldFile {
    /// Its name in the folder; empty for the folder itself.
    name: String,
    device: u64,
    inode: u64,
}

/// The open files of a state, and the folder that they were opened in.
#[derive(Debug)]
pub(super) struct Held {
    dir: PathBuf,
    files: Vec<HeldFile>,
    /// While they are open the kernel gives their numbers to no other file.
    _open: Vec<OwnedFd>,
}

/// A file that is open is not the one at its path.
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
    /// The database has no content any more.
    #[error("{path} was emptied")]
    Emptied {
        /// The file.
        path: PathBuf,
    },
    /// What is there cannot be told.
    #[error("{path} cannot be seen: {why}")]
    NotSeen {
        /// The folder or file.
        path: PathBuf,
        /// What the operating system said.
        why: String,
    },
}

impl Held {
    /// Notes the files that are open now: `lock` is the folder's, `db` is open in it.
    ///
    /// # Errors
    /// Where one of them is not the file at its path already.
    pub(super) fn of(dir: &Path, lock: &std::fs::File, db: &Connection) -> Result<Self, Gone> {
        let (mut files, mut open) = (Vec::new(), Vec::new());
        for name in NAMES {
            let path = path_of(dir, name);
            // A descriptor of this kind opens nothing: to close another one of the database would end SQLite's locks on it.
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            let found = match rustix::fs::open(&path, flags, Mode::empty()) {
                Ok(found) => found,
                // The lock on steps, where this verb takes none.
                Err(rustix::io::Errno::NOENT) => continue,
                Err(error) => return Err(not_seen(path, &error.into())),
            };
            let data = rustix::fs::fstat(&found).map_err(|error| not_seen(path, &error.into()))?;
            files.push(HeldFile::of(name, &data));
            open.push(found);
        }
        let held = Self { dir: dir.to_owned(), files, _open: open };
        held.is_of(lock, db)?;
        Ok(held)
    }

    /// Whether what was noted is what is open: a file may have been replaced just after it was opened.
    fn is_of(&self, lock: &std::fs::File, db: &Connection) -> Result<(), Gone> {
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

    /// Whether the files that are open are the ones at their paths: a look at six of them.
    ///
    /// # Errors
    /// The first one that is not.
    pub(super) fn check(&self) -> Result<(), Gone> {
        check(&self.dir, &self.files)
    }

    /// What another process can compare.
    pub(super) fn files(&self) -> &[HeldFile] {
        &self.files
    }
}

/// Whether these files are the ones in this folder. Not by way of `files`, which has nothing more to give where the files of
/// others hang: what undrift has to say of that is written here. A file system of the state that hangs holds up SQLite, too.
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
        api::{AuditKind, NewRecord},
        store::{RecordFilter, StateLock, StepLock, Store, StoreError},
    };

    /// A state that is held, in a folder that can be moved.
    struct Bench {
        home: tempfile::TempDir,
        dir: PathBuf,
        store: Store,
        _locks: (StateLock, StepLock),
    }

    impl Bench {
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

        /// Nothing is written, and the reason is this one, until the state is whole again.
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
        let bench = Bench::new();
        bench.assert_whole(1);
        let (dir, away) = (bench.dir.clone(), bench.path("away"));
        fs::rename(&dir, &away).unwrap();
        bench.assert_gone(&Gone::Missing { path: dir.clone() });
        fs::create_dir(&dir).unwrap();
        bench.assert_gone(&Gone::Replaced { path: dir.clone() });
        fs::remove_dir(&dir).unwrap();
        fs::rename(&away, &dir).unwrap();
        bench.assert_whole(2);
    }

    #[test]
    fn each_file_that_is_open_counts() {
        let bench = Bench::new();
        for name in &NAMES[1..] {
            let (path, away) = (bench.dir.join(name), bench.path("away"));
            fs::rename(&path, &away).unwrap();
            bench.assert_gone(&Gone::Missing { path: path.clone() });
            fs::copy(&away, &path).unwrap();
            bench.assert_gone(&Gone::Replaced { path: path.clone() });
            fs::rename(&away, &path).unwrap();
            bench.is_written().unwrap();
        }
    }

    #[test]
    fn a_database_that_was_emptied_is_not_written_into() {
        let bench = Bench::new();
        let path = bench.dir.join(folder::FILE);
        let content = fs::read(&path).unwrap();
        assert!(!content.is_empty(), "it has content as soon as it is open");
        fs::write(&path, "").unwrap();
        bench.assert_gone(&Gone::Emptied { path: path.clone() });
        fs::write(&path, content).unwrap();
        bench.assert_whole(1);
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
    fn a_lock_that_was_replaced_before_the_state_was_opened_is_noticed() {
        let home = tempfile::tempdir().unwrap();
        let lock = StateLock::acquire(home.path(), "run").unwrap();
        let path = home.path().join(lock::FILE);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        let error = Store::open_locked(home.path(), "test".into(), &lock).unwrap_err();
        assert!(matches!(&error, StoreError::Gone(Gone::Replaced { .. })), "{error}");
    }
}

//! A copy of the whole state as of one moment, made while an undrift may be writing.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use super::{
    Store,
    error::{Result, StoreError, failed},
    folder::open_copy,
    trail::{head, number},
};

/// What a copy holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// The number of its last record; 0 for an empty trail.
    pub records: u64,
    /// The hash of that record; 64 zeros for an empty trail.
    pub head: String,
    /// Its size in bytes.
    pub bytes: u64,
}

const ACTION: &str = "copy the state";

impl Store {
    /// Copies the state into this file, which must not exist, as one SQLite database without a log (`VACUUM INTO`). The file
    /// appears whole, synced and checked, or not at all. Only its owner may read it.
    ///
    /// The copy does not include the folder's key, which its sealed rows and the signatures of later checkpoints need.
    ///
    /// # Errors
    /// [`StoreError::Copy`] if the file exists or cannot be written, [`StoreError::DamagedCopy`] if SQLite finds the copy damaged,
    /// or SQLite's error.
    pub fn backup(&self, path: &Path) -> Result<Backup> {
        let refused = |source: io::Error| StoreError::Copy { path: path.to_owned(), source };
        if std::fs::symlink_metadata(path).is_ok() {
            return Err(refused(io::ErrorKind::AlreadyExists.into()));
        }
        let folder = folder_of(path);
        // SQLite accepts an empty file as its target; this one is readable by its owner only.
        let copy = tempfile::NamedTempFile::new_in(&folder).map_err(refused)?;
        let target = copy.path().to_str().ok_or_else(|| refused(io::ErrorKind::InvalidFilename.into()))?;
        // A full disk is the copy's, not the state's.
        let failed_copy = |source| StoreError::Database { action: ACTION, source };
        self.db().execute("VACUUM INTO ?1", [target]).map_err(failed_copy)?;
        let backup = check(&open_copy(copy.path())?, copy.path()).map_err(failed(ACTION))?;
        let backup = backup.ok_or(StoreError::DamagedCopy)?;
        copy.as_file().sync_all().map_err(refused)?;
        copy.persist_noclobber(path).map_err(|error| refused(error.error))?;
        File::open(&folder).and_then(|folder| folder.sync_all()).map_err(refused)?;
        Ok(backup)
    }
}

fn folder_of(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    parent.unwrap_or_else(|| Path::new(".")).to_owned()
}

/// What the copy holds; `None` if it is damaged.
fn check(copy: &Connection, path: &Path) -> rusqlite::Result<Option<Backup>> {
    let verdict: String = copy.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    let (seq, hash) = head(copy)?;
    let bytes = std::fs::metadata(path).map_or(0, |found| found.len());
    Ok((verdict == "ok").then(|| Backup { records: number(seq), head: hash, bytes }))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::{
        api::{AuditKind, NewRecord},
        store::{Verification, testing::store},
    };

    #[test]
    fn a_copy_is_of_one_moment_and_verifies_elsewhere() {
        let (home, store) = store();
        for _ in 0..30 {
            store.append(&NewRecord::of(AuditKind::Started)).unwrap();
        }
        let path = home.path().join("copy.db");
        let backup = store.backup(&path).unwrap();
        store.append(&NewRecord::of(AuditKind::Stopped)).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::rename(&path, elsewhere.path().join("state.db")).unwrap();
        let copy = Store::open_read_only(elsewhere.path()).unwrap().unwrap();
        let whole = Verification::Whole { records: 30, head: backup.head.clone() };
        assert_eq!((copy.verify().unwrap(), backup.records), (whole, 30));
    }

    #[test]
    fn what_exists_is_never_replaced_and_a_failure_leaves_nothing() {
        let (home, store) = store();
        let path = home.path().join("copy.db");
        std::fs::write(&path, "mine").unwrap();
        assert!(matches!(store.backup(&path), Err(StoreError::Copy { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        let link = home.path().join("link.db");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        assert!(matches!(store.backup(&link), Err(StoreError::Copy { .. })));
        assert!(matches!(store.backup(&home.path().join("no/folder.db")), Err(StoreError::Copy { .. })));
        let names: Vec<_> = std::fs::read_dir(home.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(names.iter().all(|name| !name.to_string_lossy().starts_with(".tmp")), "{names:?}");
    }
}

//! The state folder and the connections to the database in it.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, FileControl, OpenFlags};
use rustix::fs::{Access, AtFlags, CWD, OFlags};

use super::error::{Result, StoreError, failed};
use crate::files::{
    self,
    trust::{self, Exposed, Others},
};

/// The database's file in the state folder.
pub(super) const FILE: &str = "state.db";

/// The database's log beside it, named by SQLite.
pub(super) const LOG: &str = "state.db-wal";

/// The index of the log.
pub(super) const INDEX: &str = "state.db-shm";

/// How long a writer waits for another one. Longer than any transaction of undrift, and short enough for a person to wait.
const BUSY: Duration = Duration::from_secs(5);

/// The cache is not worth waiting for.
const CACHE_BUSY: Duration = Duration::from_millis(100);

/// The size to which the write-ahead log is truncated when the last writer closes.
const WAL_LIMIT: i64 = 0;

/// Creates the folder (0700) and the file (0600) if they are missing; returns the path of the file.
pub(super) fn create(dir: &Path) -> Result<PathBuf> {
    ensure(dir)?;
    let path = dir.join(FILE);
    open_private(&path)?;
    Ok(path)
}

/// Creates the folder and its parents if they are missing, for their owner only. Refuses a folder that a stranger could change
/// or replace: its content decides what undrift does.
pub(super) fn ensure(dir: &Path) -> Result<()> {
    refuse_exposed(dir)?;
    // For a pipe, the error would only be "File exists".
    files::is_folder_or_absent(dir).map_err(io_error(dir))?;
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|error| leads_nowhere(dir).unwrap_or(error)).map_err(io_error(dir))?;
    refuse_exposed(dir)
}

/// For a dangling link, the error would only be "File exists".
fn leads_nowhere(dir: &Path) -> Option<io::Error> {
    let target = fs::read_link(dir).ok().filter(|_| !dir.exists())?;
    let what = format!("{} is a symbolic link to {}, which is not there", dir.display(), target.display());
    Some(io::Error::new(io::ErrorKind::NotFound, what))
}

fn refuse_exposed(dir: &Path) -> Result<()> {
    let found = trust::exposed(dir, Others::WorldAndGroup).map_err(io_error(dir))?;
    found.map_or(Ok(()), |exposed| Err(refused(dir, &exposed)))
}

fn refused(path: &Path, exposed: &Exposed) -> StoreError {
    io_error(path)(io::Error::new(io::ErrorKind::PermissionDenied, exposed.to_string()))
}

/// Whether only this user and root can change the folder and its database, as far as undrift can see.
pub(super) fn is_trusted(dir: &Path) -> bool {
    let folder = trust::exposed(dir, Others::WorldAndGroup);
    let database = trust::exposed_file(&dir.join(FILE));
    matches!((folder, database), (Ok(None), Ok(None)))
}

/// Opens a file for reading and writing; creates it for its owner only. SQLite gives its own files beside the database the
/// database's mode. Does not follow a link, and refuses a file that a stranger could change.
pub(super) fn open_private(path: &Path) -> Result<std::fs::File> {
    if let Some(exposed) = trust::exposed_file(path).map_err(io_error(path))? {
        return Err(refused(path, &exposed));
    }
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        // The folder is this user's alone, so nobody should have put a link there; if somebody did, it is not followed.
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
        .map_err(io_error(path))
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_path_buf();
    move |source| StoreError::Folder { path, source }
}

/// A connection whose every commit is durable.
pub(super) fn connect(path: &Path) -> Result<Connection> {
    connect_as(path, "FULL", BUSY).map_err(failed("open the state"))
}

/// A connection that lets the system decide when its commits reach the disk. In WAL mode that never damages the file: a
/// power cut only loses the last commits.
pub(super) fn connect_cache(path: &Path) -> Result<Connection> {
    connect_as(path, "NORMAL", CACHE_BUSY).map_err(failed("open the state's cache"))
}

/// As [`connect_cache`], if there is a log that the user may write; `None` otherwise. See [`connect_read_only`] for what the
/// log means.
pub(super) fn connect_existing_cache(dir: &Path) -> Result<Option<Connection>> {
    let path = dir.join(FILE);
    if !log_exists(dir) || !is_trusted(dir) || may(&path, Access::WRITE_OK).is_err() {
        return Ok(None);
    }
    connect_cache(&path).map(Some)
}

/// Whether a writer left its log.
fn log_exists(dir: &Path) -> bool {
    log(dir).exists()
}

/// The path of the log.
pub(super) fn log(dir: &Path) -> PathBuf {
    dir.join(LOG)
}

fn connect_as(path: &Path, synchronous: &str, busy: Duration) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(busy)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", synchronous)?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.pragma_update(None, "journal_size_limit", WAL_LIMIT)?;
    // The log stays, empty, when the last writer closes. So a reader finds what it needs and creates nothing, even where it
    // could not.
    let mut keep = 1;
    db.file_control(None::<&str>, FileControl::PersistWal(&mut keep))?;
    Ok(db)
}

/// A read-only connection; `None` if there is no database.
pub(super) fn connect_read_only(dir: &Path) -> Result<Option<Connection>> {
    let path = dir.join(FILE);
    if !is_there(dir)? {
        return Ok(None);
    }
    may(&path, Access::READ_OK)?;
    // A writer leaves its log behind, so without a log nobody writes: the file is a copy, or new. SQLite would create a log
    // to read it; `immutable` makes that unnecessary.
    let immutable = !log_exists(dir);
    let address = address(&path, immutable);
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let db = Connection::open_with_flags(address, flags).map_err(failed("open the state"))?;
    db.busy_timeout(BUSY).map_err(failed("open the state"))?;
    Ok(Some(db))
}

/// Opens a copy of the database that nobody else knows, for reading.
///
/// # Errors
/// SQLite's error.
pub(super) fn open_copy(path: &Path) -> Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(address(path, true), flags).map_err(failed("open the copy of the state"))
}

/// Whether there is a database. If its path, or one beside it, is not a regular file, SQLite would block on it or only
/// report "unable to open".
fn is_there(dir: &Path) -> Result<bool> {
    let mut found = false;
    for name in [FILE, LOG, INDEX] {
        let path = dir.join(name);
        match std::fs::metadata(&path) {
            Ok(meta) => {
                files::refuse_irregular(&path, &meta).map_err(io_error(&path))?;
                found |= name == FILE;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                // The folder itself is something else.
                files::is_folder_or_absent(dir).map_err(io_error(dir))?;
                return Err(io_error(&path)(error));
            }
        }
    }
    Ok(found)
}

/// Whether this user may access a file in this way. It is not opened: closing a file of SQLite's releases all locks that this
/// very process has on it (<https://www.sqlite.org/howtocorrupt.html>, 2.2).
fn may(path: &Path, access: Access) -> Result<()> {
    let allowed = rustix::fs::accessat(CWD, path, access, AtFlags::EACCESS);
    allowed.map_err(|error| io_error(path)(error.into()))
}

/// The path as a `file:` URI. Characters with a meaning in a URI are escaped.
fn address(path: &Path, immutable: bool) -> PathBuf {
    use std::{
        ffi::OsString,
        os::unix::ffi::{OsStrExt, OsStringExt},
    };

    // A relative path cannot follow `file:` with a `//`; without it both kinds work.
    let mut uri = b"file:".to_vec();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'%' | b'?' | b'#' => uri.extend(format!("%{byte:02x}").bytes()),
            _ => uri.push(*byte),
        }
    }
    uri.extend_from_slice(if immutable { b"?mode=ro&immutable=1" } else { b"?mode=ro" });
    OsString::from_vec(uri).into()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::{
        api::{AuditKind, NewRecord},
        store::{Store, testing},
    };

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn only_the_owner_may_read_the_state() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("a/state");
        let store = Store::open(&dir, "test".into()).unwrap();
        store.append(&NewRecord::of(AuditKind::Started)).unwrap();
        assert_eq!(mode(&dir), 0o700);
        let files: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 4, "{files:?}");
        for file in files {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
    }

    #[test]
    fn a_link_in_the_folder_is_not_followed_and_what_it_leads_to_stays_as_it_is() {
        use crate::store::{StateLock, StepLock};

        let home = tempfile::tempdir().unwrap();
        let (dir, target) = (home.path().join("state"), home.path().join("target"));
        drop(Store::open(&dir, "test".into()).unwrap());
        fs::write(&target, "nobody may change this").unwrap();
        for name in ["lock", "step.lock", FILE] {
            let _ = fs::remove_file(dir.join(name));
            std::os::unix::fs::symlink(&target, dir.join(name)).unwrap();
            let refused: String = match name {
                "lock" => StateLock::acquire(&dir, "test").unwrap_err().to_string(),
                "step.lock" => StepLock::open(&dir).unwrap_err().to_string(),
                _ => Store::open(&dir, "test".into()).unwrap_err().to_string(),
            };
            assert!(refused.contains(&format!("{name} is a symbolic link")), "{refused}");
            fs::remove_file(dir.join(name)).unwrap();
            assert_eq!(fs::read_to_string(&target).unwrap(), "nobody may change this", "{name}");
        }
    }

    #[test]
    fn a_folder_that_others_can_write_is_refused_and_one_that_is_linked_to_is_as_good_as_any() {
        let home = tempfile::tempdir().unwrap();
        let (real, link) = (home.path().join("data/state"), home.path().join("link"));
        fs::create_dir_all(&real).unwrap();
        std::os::unix::fs::symlink(home.path().join("data"), &link).unwrap();
        drop(Store::open(&link.join("state"), "test".into()).unwrap());
        let open =
            || Store::open(&link.join("state"), "test".into()).map(drop).map_err(|error| error.to_string());
        for (path, mode) in [(&real, 0o777), (&real, 0o1777), (&real.join(FILE), 0o606)] {
            let before = fs::metadata(path).unwrap().permissions();
            fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
            let error = open().unwrap_err();
            assert!(error.contains(&format!("it has mode {mode:03o}")), "{error}");
            fs::set_permissions(path, before).unwrap();
        }
        assert_eq!(open(), Ok(()));
    }

    #[test]
    fn a_reader_creates_nothing() {
        let home = tempfile::tempdir().unwrap();
        let missing = home.path().join("none");
        assert!(Store::open_read_only(&missing).unwrap().is_none());
        assert!(!missing.exists());
        fs::create_dir(&missing).unwrap();
        assert!(Store::open_read_only(&missing).unwrap().is_none());
        assert_eq!(fs::read_dir(&missing).unwrap().count(), 0);
    }

    #[test]
    fn a_copy_of_the_file_alone_can_be_read_and_nothing_appears_beside_it() {
        let (home, store) = testing::store();
        store.append(&NewRecord::of(AuditKind::Started)).unwrap();
        drop(store);
        let copy = tempfile::tempdir().unwrap();
        fs::copy(home.path().join(FILE), copy.path().join(FILE)).unwrap();
        let reader = Store::open_read_only(copy.path()).unwrap().unwrap();
        assert!(matches!(reader.verify().unwrap(), crate::store::Verification::Whole { records: 1, .. }));
        assert_eq!(fs::read_dir(copy.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_reader_sees_what_a_living_writer_writes_and_cannot_write() {
        let (home, store) = testing::store();
        let reader = Store::open_read_only(home.path()).unwrap().unwrap();
        store.append(&NewRecord::of(AuditKind::Started)).unwrap();
        assert_eq!(reader.records(&crate::store::RecordFilter::default()).unwrap().len(), 1);
        let error = reader.append(&NewRecord::of(AuditKind::Stopped)).unwrap_err();
        assert!(matches!(error, StoreError::ReadOnly(_)), "{error:?}");
    }

    #[test]
    fn what_is_no_file_in_the_place_of_one_is_named_with_what_it_is() {
        use rustix::fs::{FileType, Mode, mknodat};

        type Make = fn(&Path);
        fn pipe(path: &Path) {
            mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        }
        let odd: [(Make, &str); 4] = [
            (|path| fs::create_dir(path).unwrap(), "a folder"),
            (pipe, "a named pipe"),
            (|path| drop(std::os::unix::net::UnixListener::bind(path).unwrap()), "a socket"),
            (|path| std::os::unix::fs::symlink("/dev/zero", path).unwrap(), "a device"),
        ];
        for name in [FILE, LOG, INDEX] {
            for (make, what) in odd {
                let (home, store) = testing::store();
                drop(store);
                let path = home.path().join(name);
                let _ = fs::remove_file(&path);
                make(&path);
                let error = Store::open_read_only(home.path()).unwrap_err();
                let message = error.to_string();
                assert!(matches!(error, StoreError::Folder { .. }), "{error:?}");
                assert!(message.contains(&format!("{} ", path.display())), "{message}");
                assert!(message.contains(&format!(" is {what} and not a regular file")), "{message}");
            }
        }
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("state");
        pipe(&dir);
        let message = Store::open_read_only(&dir).unwrap_err().to_string();
        let expected =
            format!("cannot use the state folder: {} is a named pipe and not a folder", dir.display());
        assert_eq!(message, expected);
        assert_eq!(Store::open(&dir, "test".into()).unwrap_err().to_string(), expected);
    }

    #[test]
    fn a_path_may_hold_what_has_a_meaning_in_a_uri() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("100%?mode=rwc#é");
        drop(Store::open(&dir, "test".into()).unwrap());
        assert!(Store::open_read_only(&dir).unwrap().is_some());
    }

    #[test]
    fn a_file_that_is_no_database_is_an_error() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join(FILE), "not a database, and long enough to be taken for one").unwrap();
        Store::open(home.path(), "test".into()).unwrap_err();
        Store::open_read_only(home.path()).unwrap_err();
    }
}

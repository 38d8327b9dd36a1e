//! Why the state could not be read or written.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
};

use rusqlite::ErrorCode;

use super::{folder, held::Gone};
use crate::{api::EventError, causes::with_causes};

/// Why the state could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The state folder or a file in it cannot be made or opened.
    #[error("cannot use the state folder{}: {source}", unless_named(path, source))]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The state was written by a newer undrift.
    #[error(
        "the state has schema version {found}, and this undrift knows {known} at most: use a newer undrift"
    )]
    NewerSchema {
        /// The version in the file.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// The state was written by an older undrift, and was opened for reading only, or while an undrift holds it.
    #[error(
        "the state has schema version {found}, and {known} is needed: restart the undrift that runs on it with this \
         version, or let `undrift apply` upgrade it"
    )]
    OlderSchema {
        /// The version in the file.
        found: i64,
        /// The version known here.
        known: i64,
    },
    /// The files that are open are not the ones at their paths, or not what was written there, so nothing is written into them.
    #[error("{}", gone(.0))]
    Gone(#[from] Gone),
    /// No room is left for the record.
    #[error("the state cannot grow: the disk is full")]
    Full(#[source] rusqlite::Error),
    /// The file, or the folder, may only be read.
    #[error("the state may only be read")]
    ReadOnly(#[source] rusqlite::Error),
    /// Another process wrote for longer than the busy timeout of 5 seconds.
    #[error("another process holds the state's database for too long")]
    Busy(#[source] rusqlite::Error),
    /// Any other failure of the database.
    #[error("cannot {action}: {source}")]
    Database {
        /// What was tried.
        action: &'static str,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// What is stored is not what this version of undrift would have stored.
    #[error("the recorded {what} cannot be read: {source}")]
    Unreadable {
        /// What it is.
        what: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// Somebody else has written the open incident since it was held against the trail. The next look puts it right.
    #[error("the incident {0} was altered just now, and not by undrift")]
    Altered(String),
    /// A record that decisions rest on was damaged, or a later undrift has written it.
    #[error(transparent)]
    NotUnderstood(#[from] EventError),
    /// The evidence from before the first step of an incident is none.
    #[error("the evidence from before the incident {incident} cannot be read: {source}")]
    EvidenceUnreadable {
        /// The incident.
        incident: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A step is to be finished that is not open.
    #[error("record {0} is not the intent of an open step")]
    NoSuchIntent(u64),
    /// A prefix that more than one incident has.
    #[error("{count} incidents begin with {prefix}: give more of the ID")]
    AmbiguousIncident {
        /// What was asked for.
        prefix: String,
        /// How many begin so.
        count: usize,
    },
}

/// What has become of the state, and what ends it.
fn gone(gone: &Gone) -> String {
    match gone {
        Gone::Overwritten { .. } => format!(
            "the state is not what undrift has open: {gone}; no step is taken; end undrift, remove state.db-wal and state.db-shm, \
             put the backup there once more, and start it"
        ),
        _ => format!(
            "the state is not where it was opened: {gone}; no step is taken until it is there again, or undrift is restarted"
        ),
    }
}

/// The path, where what the operating system said does not name it.
fn unless_named(path: &Path, source: &io::Error) -> String {
    let path = path.display().to_string();
    if source.to_string().contains(&path) { String::new() } else { format!(" {path}") }
}

impl StoreError {
    /// The error with its causes, and with the database in `dir` where it is of that and does not name it.
    #[must_use]
    pub fn in_full(&self, dir: &Path) -> String {
        self.name_file(dir, with_causes(self))
    }

    /// What is said of this error, and whose the error is.
    pub(crate) fn name_file(&self, dir: &Path, message: String) -> String {
        match self {
            Self::Folder { .. }
            | Self::Gone(_)
            | Self::Altered(_)
            | Self::NoSuchIntent(_)
            | Self::AmbiguousIncident { .. } => message,
            Self::NewerSchema { .. }
            | Self::OlderSchema { .. }
            | Self::Full(_)
            | Self::ReadOnly(_)
            | Self::Busy(_)
            | Self::Database { .. }
            | Self::NotUnderstood(_)
            | Self::EvidenceUnreadable { .. }
            | Self::Unreadable { .. } => format!("{}: {message}", dir.join(folder::FILE).display()),
        }
    }
}

/// Whether an error is, at bottom, that nothing can be written: no room is left, the file system is read-only, or somebody
/// else writes. All of these pass.
#[must_use]
pub fn is_unwritable(error: &(dyn Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source());
    causes.any(|cause| {
        cause.downcast_ref().is_some_and(|error: &io::Error| {
            use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
            matches!(error.kind(), QuotaExceeded | ReadOnlyFilesystem | StorageFull)
        }) || cause.downcast_ref().is_some_and(|error: &rusqlite::Error| {
            // The last two are what SQLite says where it cannot make, or make longer, a file beside the database.
            use ErrorCode::{CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, ReadOnly, SystemIoFailure};
            let code = error.sqlite_error_code();
            matches!(
                code,
                Some(DiskFull | ReadOnly | DatabaseBusy | DatabaseLocked | CannotOpen | SystemIoFailure)
            )
        })
    })
}

/// The result of everything in the store.
pub(super) type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Names a failure of SQLite: what a person can do something about gets a word of its own.
pub(super) fn failed(action: &'static str) -> impl FnOnce(rusqlite::Error) -> StoreError {
    move |source| match source.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full(source),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => StoreError::ReadOnly(source),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy(source),
        _ => StoreError::Database { action, source },
    }
}

/// Names a stored JSON text that is not what it should be.
pub(super) fn unreadable(what: &'static str) -> impl FnOnce(serde_json::Error) -> StoreError {
    move |source| StoreError::Unreadable { what, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::LockError;

    #[test]
    fn every_error_of_a_state_names_its_file_once() {
        let sqlite = |code| rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
        let path = || PathBuf::from("/srv/state/state.db");
        let odd = io::Error::other("/srv/state/state.db is a folder and not a regular file");
        let json = serde_json::from_str::<u8>("x").unwrap_err();
        for error in [
            StoreError::Folder { path: path(), source: io::ErrorKind::PermissionDenied.into() },
            StoreError::Folder { path: path(), source: odd },
            StoreError::Gone(Gone::Missing { path: path() }),
            StoreError::NewerSchema { found: 9, known: 1 },
            StoreError::OlderSchema { found: 1, known: 9 },
            failed("write")(sqlite(rusqlite::ffi::SQLITE_FULL)),
            failed("write")(sqlite(rusqlite::ffi::SQLITE_READONLY)),
            failed("write")(sqlite(rusqlite::ffi::SQLITE_BUSY)),
            failed("read the audit trail")(sqlite(rusqlite::ffi::SQLITE_CORRUPT)),
            unreadable("status")(json),
        ] {
            let message = error.in_full(Path::new("/srv/state"));
            assert_eq!(message.matches("/srv/state/state.db").count(), 1, "{message}");
        }
        assert_eq!(
            StoreError::NoSuchIntent(7).in_full(Path::new("/srv/state")),
            "record 7 is not the intent of an open step"
        );
    }

    #[test]
    fn what_passes_is_told_from_what_does_not_however_deep_it_lies() {
        let folder = |kind: io::ErrorKind| StoreError::Folder { path: "/state".into(), source: kind.into() };
        for (kind, expected) in [
            (io::ErrorKind::ReadOnlyFilesystem, true),
            (io::ErrorKind::StorageFull, true),
            (io::ErrorKind::QuotaExceeded, true),
            (io::ErrorKind::PermissionDenied, false),
            (io::ErrorKind::NotADirectory, false),
        ] {
            assert_eq!(is_unwritable(&folder(kind)), expected, "{kind}");
            assert_eq!(is_unwritable(&LockError::from(folder(kind))), expected, "{kind}");
        }
        for (code, expected) in [
            (rusqlite::ffi::SQLITE_FULL, true),
            (rusqlite::ffi::SQLITE_READONLY_DBMOVED, true),
            (rusqlite::ffi::SQLITE_IOERR_SHMSIZE, true),
            (rusqlite::ffi::SQLITE_CORRUPT, false),
            (rusqlite::ffi::SQLITE_NOTADB, false),
        ] {
            let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
            assert_eq!(is_unwritable(&failed("write")(error)), expected, "{code}");
        }
        assert!(!is_unwritable(&StoreError::NewerSchema { found: 9, known: 1 }));
    }
}

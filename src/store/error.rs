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
    /// The state folder or a file in it cannot be created or opened.
    #[error("cannot use the state folder{}: {source}", unless_named(path, source))]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The state was written by a newer undrift.
    #[error(
        "the state has schema version {found}, and this undrift supports {known} at most: use a newer undrift"
    )]
    NewerSchema {
        /// The version in the file.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// An older undrift wrote the state, which was opened read-only, or while an undrift holds it.
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
    /// The open files are not the ones at their paths, or their content is not what undrift wrote, so nothing is written to them.
    #[error("{}", gone(.0))]
    Gone(#[from] Gone),
    /// No space is left for the record.
    #[error("the state cannot grow: the disk is full")]
    Full(#[source] rusqlite::Error),
    /// The file, or the folder, is read-only.
    #[error("the state may only be read")]
    ReadOnly(#[source] rusqlite::Error),
    /// Another process wrote for longer than the busy timeout of 5 seconds.
    #[error("another process holds the state's database for too long")]
    Busy(#[source] rusqlite::Error),
    /// The trail cannot be signed, or what is signed cannot be read.
    #[error("the audit trail has no checkpoint that can be used: {0}")]
    Unsigned(&'static str),
    /// No key of this trail is at hand to compare a checkpoint with, so that nothing can be said of it: its name.
    #[error(
        "{0} cannot be compared: only a user who may read the folder's key can, for no public key is on record"
    )]
    Incomparable(String),
    /// Any other failure of the database.
    #[error("cannot {action}: {source}")]
    Database {
        /// The action that failed.
        action: &'static str,
        /// SQLite's error.
        source: rusqlite::Error,
    },
    /// The stored value is not one that this version of undrift would have stored.
    #[error("the recorded {what} cannot be read: {source}")]
    Unreadable {
        /// What it is.
        what: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// A copy of the state cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Copy {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// SQLite finds a copy of the state damaged, which was just made.
    #[error("the state is damaged, so that it cannot be copied: see `undrift audit verify`")]
    DamagedCopy,
    /// Somebody else wrote to the open incident since it was compared with the trail. The next reconcile repairs it.
    #[error("the incident {0} was altered just now, and not by undrift")]
    Altered(String),
    /// A record that decisions rest on is damaged, or a later undrift wrote it.
    #[error(transparent)]
    NotUnderstood(#[from] EventError),
    /// The stored evidence from before the first step of an incident is invalid.
    #[error("the evidence from before the incident {incident} cannot be read: {source}")]
    EvidenceUnreadable {
        /// The incident.
        incident: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A step that is not open cannot be finished.
    #[error("record {0} is not the intent of an open step")]
    NoSuchIntent(u64),
    /// Several incidents have this prefix.
    #[error("{count} incidents begin with {prefix}: give more of the ID")]
    AmbiguousIncident {
        /// The prefix that was given.
        prefix: String,
        /// How many have it.
        count: usize,
    },
}

/// What happened to the state, and how to resolve it.
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

/// The path, if the operating system's error does not name it.
fn unless_named(path: &Path, source: &io::Error) -> String {
    let path = path.display().to_string();
    if source.to_string().contains(&path) { String::new() } else { format!(" {path}") }
}

impl StoreError {
    /// The error with its causes, and with the database in `dir` if the error concerns it and does not name it.
    #[must_use]
    pub fn in_full(&self, dir: &Path) -> String {
        self.name_file(dir, with_causes(self))
    }

    /// The message of this error, and the file that it concerns.
    pub(crate) fn name_file(&self, dir: &Path, message: String) -> String {
        match self {
            Self::Folder { .. }
            | Self::Copy { .. }
            | Self::Gone(_)
            | Self::Altered(_)
            | Self::Incomparable(_)
            | Self::NoSuchIntent(_)
            | Self::AmbiguousIncident { .. } => message,
            Self::NewerSchema { .. }
            | Self::OlderSchema { .. }
            | Self::Full(_)
            | Self::ReadOnly(_)
            | Self::Busy(_)
            | Self::Database { .. }
            | Self::NotUnderstood(_)
            | Self::DamagedCopy
            | Self::Unsigned(_)
            | Self::EvidenceUnreadable { .. }
            | Self::Unreadable { .. } => format!("{}: {message}", dir.join(folder::FILE).display()),
        }
    }
}

/// Whether an error comes down to a failed write: no space is left, the file system is read-only, or somebody else is
/// writing. All of these pass.
#[must_use]
pub fn is_unwritable(error: &(dyn Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source());
    causes.any(|cause| {
        cause.downcast_ref().is_some_and(|error: &io::Error| {
            use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
            matches!(error.kind(), QuotaExceeded | ReadOnlyFilesystem | StorageFull)
        }) || cause.downcast_ref().is_some_and(|error: &rusqlite::Error| {
            // SQLite reports the last two if it cannot create or extend a file beside the database.
            use ErrorCode::{CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, ReadOnly, SystemIoFailure};
            let code = error.sqlite_error_code();
            matches!(
                code,
                Some(DiskFull | ReadOnly | DatabaseBusy | DatabaseLocked | CannotOpen | SystemIoFailure)
            )
        })
    })
}

/// The result type of the store.
pub(super) type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Classifies a failure of SQLite: one that a person can fix gets a variant of its own.
pub(super) fn failed(action: &'static str) -> impl FnOnce(rusqlite::Error) -> StoreError {
    move |source| match source.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full(source),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => StoreError::ReadOnly(source),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy(source),
        _ => StoreError::Database { action, source },
    }
}

/// Names a stored JSON text that is invalid.
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
    fn a_failed_write_is_distinguished_from_other_errors_however_deep_it_lies() {
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

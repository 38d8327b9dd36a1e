//! The lock on a state folder: one undrift acts on it at a time.

use std::{
    fmt,
    fs::{File, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

use chrono::SubsecRound;
use serde::{Deserialize, Serialize};

use super::{StoreError, folder};
use crate::api::Time;

/// The lock's file in the state folder. Whether it exists says nothing: the lock is the kernel's `flock` on it,
/// which ends with the process that took it, however that ends.
pub(super) const FILE: &str = "lock";

/// The lock on a state folder, held until this is dropped.
#[derive(Debug)]
pub struct StateLock {
    file: File,
}

/// Who holds a lock, as it said itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// What it does: a verb, such as `apply`.
    pub verb: String,
    /// Since when.
    pub since: Time,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        write!(f, "undrift {}, process {}, since {since}", self.verb, self.pid)
    }
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("the state folder {} is held by {}", dir.display(), Described(holder.as_ref()))]
    Held {
        /// The state folder.
        dir: PathBuf,
        /// Which; `None` where it has not said so yet.
        holder: Option<Holder>,
    },
    /// The lock's file cannot be used.
    #[error("cannot use the lock {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The state folder cannot be made, or the lock's file in it.
    #[error(transparent)]
    Folder(#[from] StoreError),
}

struct Described<'a>(Option<&'a Holder>);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(holder) => holder.fmt(f),
            None => f.write_str("another undrift"),
        }
    }
}

impl StateLock {
    /// Takes the lock on this folder at once, or says who holds it. `owner` is what others then read: the verb.
    /// Makes the folder where it is missing.
    ///
    /// # Errors
    /// [`LockError::Held`] where another process, or another lock of this one, holds it.
    pub fn acquire(dir: &Path, owner: &str) -> Result<Self, LockError> {
        folder::ensure(dir)?;
        let path = dir.join(FILE);
        let mut file = folder::open_private(&path)?;
        take(&mut file, &path)?;
        sign(&mut file, owner).map_err(|source| LockError::Io { path, source })?;
        Ok(Self { file })
    }
}

impl Drop for StateLock {
    fn drop(&mut self) {
        // The next holder would be taken for this one until it has signed. A failure is harmless.
        let _ = self.file.set_len(0);
    }
}

/// Takes the lock, or reads who holds it. `path` is its file in the state folder.
pub(super) fn take(file: &mut File, path: &Path) -> Result<(), LockError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(held(file, path)),
        Err(TryLockError::Error(source)) => Err(LockError::Io { path: path.into(), source }),
    }
}

/// The error for a lock that is held, with what its file says of the holder.
pub(super) fn held(file: &mut File, path: &Path) -> LockError {
    let dir = path.parent().unwrap_or(path).to_owned();
    LockError::Held { dir, holder: read_holder(file) }
}

/// Writes into the lock's file who holds it.
pub(super) fn sign(file: &mut File, verb: &str) -> io::Result<()> {
    let since = chrono::Utc::now().trunc_subsecs(0);
    let holder = Holder { pid: std::process::id(), verb: verb.into(), since };
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&serde_json::to_vec(&holder)?)
}

/// Who signed the lock's file; nobody where it is empty or not understood.
pub(super) fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().ok()?;
    // The file is as large as whoever may write it wants.
    file.take(4096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_is_told_who_holds_it_until_it_is_dropped() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("state");
        let lock = StateLock::acquire(&dir, "apply").unwrap();
        let error = StateLock::acquire(&dir, "run").unwrap_err();
        let text = error.to_string();
        let (dir, process) = (dir.display(), std::process::id());
        let expected =
            format!("the state folder {dir} is held by undrift apply, process {process}, since 20");
        assert!(text.starts_with(&expected), "{text}");
        drop(lock);
        StateLock::acquire(&home.path().join("state"), "run").unwrap();
    }

    #[test]
    fn what_an_earlier_holder_wrote_neither_holds_nor_confuses() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join(FILE), "{\"pid\":1,\"verb\":\"x\",\"since\":\"nonsense".repeat(10))
            .unwrap();
        let lock = StateLock::acquire(home.path(), "apply").unwrap();
        let mut file = File::open(home.path().join(FILE)).unwrap();
        assert_eq!(read_holder(&mut file).unwrap().verb, "apply");
        drop(lock);
        assert_eq!(read_holder(&mut file), None);
    }

    #[test]
    fn a_holder_that_has_not_signed_is_another_undrift() {
        let error = LockError::Held { dir: "/var/lib/undrift".into(), holder: None };
        assert_eq!(error.to_string(), "the state folder /var/lib/undrift is held by another undrift");
    }
}

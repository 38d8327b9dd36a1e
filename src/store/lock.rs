//! The lock on a state folder: one undrift acts on it at a time.

use std::{
    fmt,
    fs::{File, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use chrono::SubsecRound;
use serde::{Deserialize, Serialize};

use super::{
    StoreError, folder,
    held::{Held, HeldFile},
    holder::LockState,
    place::PlaceLock,
};
use crate::api::Time;

/// How long an undrift that is just starting or ending may hold the path without the lock in the folder.
const BETWEEN: Duration = Duration::from_secs(1);

/// The time between two checks of it.
const PAUSE: Duration = Duration::from_millis(20);

/// The lock file in the state folder. Its existence means nothing: the lock is the kernel's `flock` on it, which ends with
/// the process that took it, however that ends.
pub(super) const FILE: &str = "lock";

/// The lock on a state folder, held until this is dropped: on its path, and on a file in it. A process that reaches the
/// folder by another path, or from another container, sees the file; the path stays locked if the folder is removed.
#[derive(Debug)]
pub struct StateLock {
    file: File,
    holder: Holder,
    _place: PlaceLock,
}

/// The holder of a lock, as it signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// The verb that it runs, such as `apply`.
    pub verb: String,
    /// Since when.
    pub since: Time,
    /// The files of the state that it has open; empty until it has recorded them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) files: Vec<HeldFile>,
    /// Whether the database was overwritten in place, which only the holder can see.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) overwritten: bool,
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
        /// Its holder; `None` if it has not signed yet.
        holder: Option<Holder>,
    },
    /// Another process runs on it, and its files are elsewhere.
    #[error(
        "{} runs on the state folder {}, and its files were moved or removed from there: move them back, or end it",
        process(*pid), dir.display()
    )]
    Displaced {
        /// The state folder.
        dir: PathBuf,
        /// The process; `None` if it is not visible from here.
        pid: Option<i32>,
    },
    /// The lock file cannot be used.
    #[error("cannot use the lock {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The state folder, or the lock file in it, cannot be created.
    #[error(transparent)]
    Folder(#[from] StoreError),
}

/// An undrift of which only the process is known.
pub(super) fn process(pid: Option<i32>) -> String {
    pid.map_or_else(|| "an undrift".into(), |pid| format!("an undrift, process {pid},"))
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
    /// Takes the lock on this folder at once, or returns its holder. `owner` is what others then read: the verb. Creates the
    /// folder if it is missing.
    ///
    /// # Errors
    /// [`LockError::Held`] if another process, or another lock of this one, holds it; [`LockError::Displaced`] if a process
    /// runs on it whose files are no longer there.
    pub fn acquire(dir: &Path, owner: &str) -> Result<Self, LockError> {
        // First, because it creates nothing: a person who moved the folder away must be able to move it back.
        let place = acquire_place(dir)?;
        folder::ensure(dir)?;
        let path = dir.join(FILE);
        let mut file = folder::open_private(&path)?;
        take(&mut file, &path)?;
        let holder = Holder::new(owner);
        holder.sign(&file).map_err(|source| LockError::Io { path, source })?;
        Ok(Self { file, holder, _place: place })
    }

    /// The open files of the state, which others can from now on compare with those in the folder.
    ///
    /// # Errors
    /// As [`Held::of`].
    pub(super) fn hold(&self, dir: &Path, db: &rusqlite::Connection) -> Result<Held, StoreError> {
        let held = Held::of(dir, &self.file, &self.holder, db)?;
        held.sign(&self.file, false).map_err(|source| StoreError::Folder { path: dir.join(FILE), source })?;
        Ok(held)
    }
}

/// Takes the lock on the path.
fn acquire_place(dir: &Path) -> Result<PlaceLock, LockError> {
    let end = Instant::now() + BETWEEN;
    loop {
        let occupant = match PlaceLock::acquire(dir) {
            Ok(place) => return Ok(place),
            Err(occupant) => occupant,
        };
        match LockState::of(dir) {
            LockState::Held(holder) => return Err(LockError::Held { dir: dir.to_owned(), holder }),
            _ if Instant::now() > end => {
                return Err(LockError::Displaced { dir: dir.to_owned(), pid: occupant.pid });
            }
            _ => thread::sleep(PAUSE),
        }
    }
}

impl Drop for StateLock {
    fn drop(&mut self) {
        // Until the next holder signs, it would be mistaken for this one. A failure is harmless.
        let _ = self.file.set_len(0);
    }
}

/// Takes the lock, or reads its holder. `path` is its file in the state folder.
pub(super) fn take(file: &mut File, path: &Path) -> Result<(), LockError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(held(file, path)),
        Err(TryLockError::Error(source)) => Err(LockError::Io { path: path.into(), source }),
    }
}

/// The error for a held lock, with the holder from its file.
pub(super) fn held(file: &mut File, path: &Path) -> LockError {
    let dir = path.parent().unwrap_or(path).to_owned();
    LockError::Held { dir, holder: read_holder(file) }
}

impl Holder {
    /// This process, from now on.
    pub(super) fn new(verb: &str) -> Self {
        let since = chrono::Utc::now().trunc_subsecs(0);
        Self { pid: std::process::id(), verb: verb.into(), since, files: Vec::new(), overwritten: false }
    }

    /// Writes the holder into the lock file. Overwrites in place, so that no reader finds it empty in between.
    pub(super) fn sign(&self, mut file: &File) -> io::Result<()> {
        let text = serde_json::to_vec(self)?;
        file.rewind()?;
        file.write_all(&text)?;
        file.set_len(text.len() as u64)
    }
}

/// The holder that signed the lock file; `None` if it is empty or cannot be parsed.
pub(super) fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().ok()?;
    // Anyone who may write the file decides its size.
    file.take(4096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_is_refused_with_its_holder_until_the_first_is_dropped() {
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
    fn a_folder_that_is_taken_away_takes_no_lock_with_it() {
        let home = tempfile::tempdir().unwrap();
        let (dir, away) = (home.path().join("state"), home.path().join("away"));
        let lock = StateLock::acquire(&dir, "run").unwrap();
        std::fs::rename(&dir, &away).unwrap();
        let error = StateLock::acquire(&dir, "run").unwrap_err();
        let pid = i32::try_from(std::process::id()).ok();
        assert!(matches!(&error, LockError::Displaced { pid: found, .. } if *found == pid), "{error}");
        assert!(!dir.exists(), "nothing is in the way of the folder's return");
        // By another path it is the same folder.
        let error = StateLock::acquire(&away, "apply").unwrap_err();
        assert!(matches!(error, LockError::Held { holder: Some(_), .. }), "{error}");
        // Nor does a file that replaces the lock.
        std::fs::rename(&away, &dir).unwrap();
        std::fs::remove_file(dir.join(FILE)).unwrap();
        std::fs::write(dir.join(FILE), "").unwrap();
        let error = StateLock::acquire(&dir, "apply").unwrap_err();
        assert!(matches!(error, LockError::Displaced { .. }), "{error}");
        drop(lock);
        StateLock::acquire(&dir, "run").unwrap();
    }

    #[test]
    fn a_holder_that_has_not_signed_is_another_undrift() {
        let error = LockError::Held { dir: "/var/lib/undrift".into(), holder: None };
        assert_eq!(error.to_string(), "the state folder /var/lib/undrift is held by another undrift");
    }
}

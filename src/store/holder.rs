//! A look at who holds the lock on a state folder, without taking it.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
};

use super::lock::{FILE, Holder, read_holder};

/// The kernel's list of file locks. It shows those of the processes that this one can see.
const LOCKS: &str = "/proc/locks";

/// Who holds the lock on a state folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockState {
    /// Nobody.
    Free,
    /// An undrift; `None` where it has not said who it is yet.
    Held(Option<Holder>),
    /// The kernel's list of locks cannot be read.
    NotKnown(String),
}

impl LockState {
    /// Looks. Taking the lock for a moment would be surer, and would turn away an undrift that begins just then.
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        let mut file = match File::open(dir.join(FILE)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::Free,
            Err(error) => return Self::NotKnown(error.to_string()),
        };
        let known = file.metadata().and_then(|data| Ok((data.ino(), fs::read_to_string(LOCKS)?)));
        match known {
            Err(error) => Self::NotKnown(format!("{LOCKS}: {error}")),
            Ok((inode, locks)) if is_locked(&locks, inode) => Self::Held(read_holder(&mut file)),
            Ok(_) => Self::Free,
        }
    }
}

/// Whether somebody holds a `flock` on the file with this number: `1: FLOCK  ADVISORY  WRITE 123 fe:00:456 0 EOF`.
/// The device is not compared: some file systems name another one there than `stat` does.
fn is_locked(locks: &str, inode: u64) -> bool {
    locks.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = words.get(5).and_then(|file| file.rsplit(':').next());
        words.get(1) == Some(&"FLOCK") && number.and_then(|number| number.parse().ok()) == Some(inode)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StateLock;

    #[test]
    fn a_look_tells_who_holds_the_lock_and_leaves_it_alone() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(LockState::of(&home.path().join("none")), LockState::Free);
        let lock = StateLock::acquire(home.path(), "apply").unwrap();
        let LockState::Held(Some(holder)) = LockState::of(home.path()) else { panic!("it is held") };
        assert_eq!((holder.verb.as_str(), holder.pid), ("apply", std::process::id()));
        drop(lock);
        // Its file is still there.
        assert_eq!(LockState::of(home.path()), LockState::Free);
    }

    #[test]
    fn only_a_flock_on_that_very_file_counts() {
        let locks = "1: POSIX  ADVISORY  WRITE 1 fe:00:7 0 EOF\n2: FLOCK  ADVISORY  WRITE 1 fe:00:77 0 EOF\n";
        assert!(!is_locked(locks, 7));
        assert!(is_locked(locks, 77));
        assert!(!is_locked("", 7));
        // One that waits for a lock holds none, but another line of its number is then there, too.
        assert!(!is_locked("1: -> FLOCK  ADVISORY  WRITE 1 fe:00:7 0 EOF\n", 7));
    }
}

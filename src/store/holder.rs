//! Finds who holds the lock on a state folder, without taking it.

use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    os::unix::fs::MetadataExt,
    path::Path,
    thread,
    time::Duration,
};

use crate::files;

use super::{
    folder,
    held::{Gone, check},
    lock::{FILE, Holder, process, read_holder},
    place,
};

/// The kernel's list of file locks. It shows those of the processes that this process can see.
const LOCKS: &str = "/proc/locks";

/// The state of the lock on a state folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockState {
    /// Nobody.
    Free,
    /// An undrift; `None` if it has not signed the lock file yet.
    Held(Option<Holder>),
    /// The kernel's list of locks cannot be read.
    NotKnown(String),
}

impl LockState {
    /// Inspects the lock. Taking it for a moment would be more reliable, but would reject an undrift that starts just then.
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        let mut file = match files::open(&dir.join(FILE)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::Free,
            Err(error) => return Self::NotKnown(error.to_string()),
        };
        let known = file.metadata().and_then(|data| Ok((data.ino(), read_locks()?)));
        match known {
            Err(error) => Self::NotKnown(format!("{LOCKS}: {error}")),
            Ok((inode, locks)) if is_locked(&locks, inode) => Self::Held(read_holder(&mut file)),
            Ok(_) => Self::Free,
        }
    }
}

/// An undrift that runs on a state folder, but has other files open than those at the paths: it ignores what is written
/// there, and does not write there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Displaced {
    who: String,
    gone: Gone,
}

impl fmt::Display for Displaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what =
            if matches!(self.gone, Gone::Overwritten { .. }) { "another database" } else { "other files" };
        write!(f, "{} has {what} open: {}", self.who, self.gone)
    }
}

/// How often to check whether an undrift that holds a path without the lock there is only just starting or ending.
const LOOKS: u32 = 10;

impl Displaced {
    /// Finds such an undrift. `None` also if it is not visible from here: in another container, or in a folder that this user
    /// may not read.
    #[must_use]
    pub fn of(dir: &Path) -> Option<Self> {
        let mut found = None;
        for _ in 0..LOOKS {
            found = Some(Self::look(dir)?);
            thread::sleep(Duration::from_millis(20));
        }
        found
    }

    fn look(dir: &Path) -> Option<Self> {
        match LockState::of(dir) {
            LockState::Held(holder) => {
                let holder = holder?;
                let overwritten =
                    || holder.overwritten.then(|| Gone::Overwritten { path: dir.join(folder::FILE) });
                let gone = check(dir, &holder.files).err().or_else(overwritten)?;
                Some(Self { who: holder.to_string(), gone })
            }
            LockState::Free => {
                let occupant = place::occupant(dir)?;
                Some(Self { who: process(occupant.pid), gone: lock_gone(dir) })
            }
            // A user who may not inspect the lock cannot know that it is gone.
            LockState::NotKnown(_) => None,
        }
    }
}

/// What happened to the lock that an undrift holds, as seen in the folder.
fn lock_gone(dir: &Path) -> Gone {
    let lock = dir.join(FILE);
    match (dir.exists(), lock.exists()) {
        (false, _) => Gone::Missing { path: dir.to_owned() },
        (true, false) => Gone::Missing { path: lock },
        (true, true) => Gone::Replaced { path: lock },
    }
}

/// The kernel's list, in as few reads as possible. Each returns whole lines, at most a page of them; between two reads locks
/// come and go, and a line may be missed.
fn read_locks() -> io::Result<String> {
    let (mut file, mut text, mut piece) = (File::open(LOCKS)?, Vec::new(), vec![0; 64 * 1024]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(String::from_utf8_lossy(&text).into_owned()),
            len => text.extend_from_slice(&piece[..len]),
        }
    }
}

/// Whether a process holds a `flock` on the file with this number: `1: FLOCK  ADVISORY  WRITE 123 fe:00:456 0 EOF`. The
/// device is not compared: some file systems report another one there than in `stat`.
fn is_locked(locks: &str, inode: u64) -> bool {
    locks.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = words.get(5).and_then(|file| file.rsplit(':').next());
        words.get(1) == Some(&"FLOCK") && number.and_then(|number| number.parse().ok()) == Some(inode)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::{StateLock, Store};

    #[test]
    fn a_look_at_the_lock_names_its_holder_and_leaves_it_alone() {
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
    fn an_undrift_whose_files_are_not_there_any_more_is_found_at_its_path() {
        let home = tempfile::tempdir().unwrap();
        let (dir, away) = (home.path().join("state"), home.path().join("away"));
        assert_eq!(Displaced::of(&dir), None);
        let lock = StateLock::acquire(&dir, "run").unwrap();
        assert_eq!(Displaced::of(&dir), None, "it has not opened its state yet");
        let _store = Store::open_locked(&dir, "test".into(), &lock).unwrap();
        assert_eq!(Displaced::of(&dir), None);
        let (db, backup) = (dir.join("state.db"), home.path().join("backup"));
        fs::copy(&db, &backup).unwrap();
        fs::rename(&db, home.path().join("kept")).unwrap();
        fs::rename(&backup, &db).unwrap();
        let message = Displaced::of(&dir).unwrap().to_string();
        let pid = std::process::id();
        assert!(message.starts_with(&format!("undrift run, process {pid}, since ")), "{message}");
        assert!(
            message.ends_with(&format!("has other files open: {} was replaced by another one", db.display()))
        );
        fs::rename(home.path().join("kept"), &db).unwrap();
        assert_eq!(Displaced::of(&dir), None);

        fs::rename(&dir, &away).unwrap();
        let message = Displaced::of(&dir).unwrap().to_string();
        let expected = format!(
            "an undrift, process {pid}, has other files open: {} was moved or removed",
            dir.display()
        );
        assert_eq!(message, expected);
        assert_eq!(Displaced::of(&away), None, "and there it has these very files open");
        fs::create_dir(&dir).unwrap();
        assert!(Displaced::of(&dir).is_some());
        drop(lock);
        assert_eq!(Displaced::of(&dir), None);
    }

    #[test]
    fn only_a_flock_on_that_very_file_counts() {
        let locks = "1: POSIX  ADVISORY  WRITE 1 fe:00:7 0 EOF\n2: FLOCK  ADVISORY  WRITE 1 fe:00:77 0 EOF\n";
        assert!(!is_locked(locks, 7));
        assert!(is_locked(locks, 77));
        assert!(!is_locked("", 7));
        // A process that waits for a lock holds none, but another line of its number is then there, too.
        assert!(!is_locked("1: -> FLOCK  ADVISORY  WRITE 1 fe:00:7 0 EOF\n", 7));
    }
}

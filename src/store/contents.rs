//! Whether the database was overwritten in place, for instance when `cp` restored a backup. It is then the same file by device
//! and inode, and SQLite does not notice: it holds some of its pages in memory and in the log, and would write them among the
//! pages of the other database.
//!
//! In WAL mode SQLite writes to the database file only at a checkpoint. In the index of the log it notes how far the checkpoint
//! is to come before it begins, and how far it came when it is done; see <https://www.sqlite.org/walformat.html>, 2. So if the
//! file has another size or time, no checkpoint was made since and none is under way, somebody else wrote it. Any process may
//! make the checkpoint: another undrift, a backup tool, a person at `sqlite3`.
//!
//! The file's content distinguishes a checkpoint from a copy between two checks: the caller confirms that the trail is the one
//! that undrift knows. A copy made during a checkpoint that is cut off is found at the next checkpoint.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    folder::{self, INDEX, LOG},
    held::Gone,
};

/// How often a check is retried when a writer interferes.
const TRIES: u32 = 16;

/// The header of the log, and of each of its frames, in bytes.
const LOG_HEADER: u64 = 32;
const FRAME_HEADER: u64 = 24;

/// The watched files of an open database.
#[derive(Debug)]
pub(super) struct Contents {
    dir: PathBuf,
    log: File,
    /// Open for as long as the connections are: closing a file that SQLite has locked releases all locks of the process on it
    /// (<https://www.sqlite.org/howtocorrupt.html>, 2.2).
    index: File,
    /// The last state seen; `None` once the database was overwritten, which nobody can undo while it is open.
    seen: Mutex<Option<Seen>>,
}

/// The database at one point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    file: FileStamp,
    checkpoints: Checkpoints,
}

/// The result of one check.
enum Look {
    Seen(Seen),
    /// The log does not belong to its index.
    AnotherLog,
    /// Writers interfered every time.
    Busy,
}

/// The size of a file, and the time of its last change in seconds and nanoseconds.
type FileStamp = (i64, i64, u64);

/// The checkpoint fields in the index of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Checkpoints {
    /// Salts of the log: they change when it restarts.
    salts: [u8; 8],
    /// How many frames of the log are in the database.
    done: u32,
    /// How many are to be there when the running checkpoint is done.
    attempted: u32,
}

impl Checkpoints {
    const fn is_under_way(self) -> bool {
        self.done != self.attempted
    }
}

/// The contents of the log's index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Index {
    checkpoints: Checkpoints,
    /// How many frames of the log are valid.
    frames: u32,
    /// The size of a page in bytes.
    page: u32,
}

impl Contents {
    /// Starts to watch the database that is open in this folder; `None` if its file system does not support a log, and SQLite
    /// writes to the file itself.
    pub(super) fn of(dir: &Path) -> io::Result<Option<Self>> {
        let is_absent = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let (log, index) = match (File::open(dir.join(LOG)), File::open(dir.join(INDEX))) {
            (Err(error), _) | (_, Err(error)) if is_absent(&error) => return Ok(None),
            (log, index) => (log?, index?),
        };
        let contents = Self { dir: dir.to_owned(), log, index, seen: Mutex::default() };
        *contents.seen() = match contents.look()? {
            Look::Seen(first) => Some(first),
            Look::AnotherLog => None,
            Look::Busy => return Err(io::Error::other("a writer is at it without end")),
        };
        Ok(Some(contents))
    }

    /// Whether the database is what SQLite wrote. `confirm` is called if a checkpoint was made and the file has changed since:
    /// it checks whether the database is the one that was open, and reads the file rather than the pages that SQLite holds in
    /// memory.
    ///
    /// # Errors
    /// [`Gone::Overwritten`], from the first time on; the error of `confirm`, for as long as it returns one.
    pub(super) fn check<E: From<Gone>>(&self, confirm: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let path = self.dir.join(folder::FILE);
        let mut seen = self.seen();
        let Some(before) = *seen else { return Err(Gone::Overwritten { path }.into()) };
        let now =
            self.look().map_err(|error| Gone::NotSeen { path: path.clone(), why: error.to_string() })?;
        *seen = match now {
            // The next check will do.
            Look::Busy => return Ok(()),
            Look::Seen(now) if now.file == before.file => Some(now),
            Look::Seen(now) if now.follows(before) => {
                confirm()?;
                Some(now)
            }
            Look::Seen(_) | Look::AnotherLog => None,
        };
        if seen.is_none() { Err(Gone::Overwritten { path }.into()) } else { Ok(()) }
    }

    fn seen(&self) -> MutexGuard<'_, Option<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of it at one point in time.
    fn look(&self) -> io::Result<Look> {
        for _ in 0..TRIES {
            let (index, file) = (self.index()?, self.stamp()?);
            let is_log = self.is_log_of(index)?;
            if (self.index()?, self.stamp()?) == (index, file)
                && let Some(index) = index
            {
                let seen = Seen { file, checkpoints: index.checkpoints };
                return Ok(if is_log { Look::Seen(seen) } else { Look::AnotherLog });
            }
        }
        Ok(Look::Busy)
    }

    fn stamp(&self) -> io::Result<FileStamp> {
        let found = rustix::fs::stat(self.dir.join(folder::FILE))?;
        Ok((found.st_size, found.st_mtime, found.st_mtime_nsec))
    }

    /// The contents of the index; `None` in the middle of a change, when its two header copies differ.
    fn index(&self) -> io::Result<Option<Index>> {
        let mut bytes = [0; 136];
        self.index.read_exact_at(&mut bytes, 0)?;
        let number = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let mut salts = [0; 8];
        salts.copy_from_slice(&bytes[32..40]);
        let page = u32::from(u16::from_ne_bytes([bytes[14], bytes[15]]));
        let checkpoints = Checkpoints { salts, done: number(96), attempted: number(128) };
        // The largest page size does not fit, and is stored as 1.
        let page = if page == 1 { 65_536 } else { page };
        Ok((bytes[..48] == bytes[48..96]).then(|| Index { checkpoints, frames: number(16), page }))
    }

    /// Whether the log holds the frames that the index names.
    fn is_log_of(&self, index: Option<Index>) -> io::Result<bool> {
        let Some(Index { checkpoints, frames, page }) = index.filter(|index| index.frames > 0) else {
            return Ok(true);
        };
        let whole = LOG_HEADER + u64::from(frames) * (FRAME_HEADER + u64::from(page));
        if self.log.metadata()?.len() < whole {
            return Ok(false);
        }
        let mut salts = [0; 8];
        match self.log.read_exact_at(&mut salts, 16) {
            Ok(()) => Ok(salts == checkpoints.salts),
            // It was truncated just now; if a writer did that, the index shows it as well.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Seen {
    /// Whether SQLite alone turned that state into this one.
    fn follows(self, before: Self) -> bool {
        let is_checkpointed = self.checkpoints != before.checkpoints || self.checkpoints.is_under_way();
        self.file == before.file || is_checkpointed
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rusqlite::Connection;

    use super::*;

    /// An open database and its watched files.
    fn open() -> (tempfile::TempDir, Connection, Contents) {
        let home = tempfile::tempdir().unwrap();
        folder::create(home.path()).unwrap();
        let db = folder::connect(&home.path().join(folder::FILE)).unwrap();
        db.execute_batch("CREATE TABLE t (n, text)").unwrap();
        let contents = Contents::of(home.path()).unwrap().unwrap();
        (home, db, contents)
    }

    fn write(db: &Connection, rows: u32) {
        for n in 0..rows {
            db.execute("INSERT INTO t VALUES (?1, ?2)", (n, "x".repeat(2_000))).unwrap();
        }
    }

    /// Confirms whatever a checkpoint wrote.
    fn check(contents: &Contents) -> Result<(), Gone> {
        contents.check(|| Ok(()))
    }

    fn checkpoint(db: &Connection, mode: &str) {
        db.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(())).unwrap();
    }

    fn backup(home: &Path) -> PathBuf {
        let copy = home.join("backup");
        fs::copy(home.join(folder::FILE), &copy).unwrap();
        copy
    }

    /// Like `cp`: the same file with other content.
    fn restore(home: &Path, copy: &Path) {
        fs::write(home.join(folder::FILE), fs::read(copy).unwrap()).unwrap();
    }

    #[test]
    fn whatever_sqlite_writes_and_whoever_has_it_written_is_its_own() {
        let (home, db, contents) = open();
        let other = folder::connect(&home.path().join(folder::FILE)).unwrap();
        for mode in ["PASSIVE", "FULL", "RESTART", "TRUNCATE"] {
            for (writer, checkpointer) in [(&db, &db), (&db, &other), (&other, &db), (&other, &other)] {
                write(writer, 3);
                assert_eq!(check(&contents), Ok(()), "{mode}");
                checkpoint(checkpointer, mode);
                assert_eq!(check(&contents), Ok(()), "{mode}");
            }
        }
        // More than the log holds before SQLite makes a checkpoint by itself.
        other.execute_batch("BEGIN").unwrap();
        write(&other, 3_000);
        other.execute_batch("COMMIT").unwrap();
        assert_eq!(check(&contents), Ok(()));
        db.execute_batch("DELETE FROM t; VACUUM").unwrap();
        checkpoint(&other, "TRUNCATE");
        assert_eq!(check(&contents), Ok(()));
        fs::set_permissions(
            home.path().join(folder::FILE),
            std::os::unix::fs::PermissionsExt::from_mode(0o640),
        )
        .unwrap();
        assert_eq!(check(&contents), Ok(()), "whose it is says nothing of what is in it");
    }

    #[test]
    fn a_checkpoint_in_the_middle_is_no_alarm() {
        let (home, db, contents) = open();
        let writer = std::thread::spawn({
            let path = home.path().join(folder::FILE);
            move || {
                let other = folder::connect(&path).unwrap();
                for mode in ["PASSIVE", "RESTART", "TRUNCATE"].into_iter().cycle().take(60) {
                    write(&other, 5);
                    checkpoint(&other, mode);
                }
            }
        });
        while !writer.is_finished() {
            assert_eq!(check(&contents), Ok(()));
        }
        writer.join().unwrap();
        drop(db);
    }

    #[test]
    fn a_backup_that_is_copied_over_it_is_seen_whatever_is_in_the_log_and_for_good() {
        // The state of the log when the backup is restored: with frames, with all of them in the database, and empty.
        for mode in [None, Some("PASSIVE"), Some("RESTART"), Some("TRUNCATE")] {
            let (home, db, contents) = open();
            write(&db, 3);
            checkpoint(&db, "TRUNCATE");
            let copy = backup(home.path());
            write(&db, 3);
            if let Some(mode) = mode {
                checkpoint(&db, mode);
            }
            assert_eq!(check(&contents), Ok(()));
            let current = backup(home.path());
            restore(home.path(), &copy);
            let gone = || Err(Gone::Overwritten { path: home.path().join(folder::FILE) });
            assert_eq!(check(&contents), gone(), "{mode:?}");
            // A later write by SQLite does not make it the one that was open.
            write(&db, 1);
            checkpoint(&db, "PASSIVE");
            assert_eq!(check(&contents), gone(), "{mode:?}");
            restore(home.path(), &current);
            assert_eq!(check(&contents), gone(), "{mode:?}");
        }
    }

    #[test]
    fn a_log_that_is_cut_off_or_is_another_is_seen() {
        let spoil: [fn(&Path); 2] = [
            |log| File::options().write(true).open(log).unwrap().set_len(40).unwrap(),
            |log| File::options().write(true).open(log).unwrap().write_all_at(&[7; 8], 16).unwrap(),
        ];
        for spoil in spoil {
            let (home, db, contents) = open();
            write(&db, 3);
            assert_eq!(check(&contents), Ok(()));
            spoil(&home.path().join(LOG));
            assert!(matches!(check(&contents), Err(Gone::Overwritten { .. })));
        }
    }
}

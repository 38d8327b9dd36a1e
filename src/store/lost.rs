//! An earlier trail that is missing: the database is gone or empty, and the files beside it show that there was one.
//!
//! undrift keeps repairing the host, so a new trail begins. Its first record states what it lacks: undrift never passes a gap
//! in a trail off as a beginning.

use std::{
    fs,
    io::{self, Read as _},
    path::Path,
};

use super::{
    Store,
    cache::seal_cache_in,
    error::Result,
    folder, key, schema,
    seals::{SealedTable, seal_all_in, seal_tables_in},
};
use crate::api::{AuditKind, NewRecord, Time};

/// A database that is missing or empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an earlier trail is missing: state.db {}, and digest.key shows that there was a state", how.in_words())]
pub struct LostTrail {
    how: Loss,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    Gone,
    Emptied,
    /// SQLite writes to the log first: the database of a young state, copied without it, has no tables.
    WithoutLog,
}

impl Loss {
    const fn in_words(self) -> &'static str {
        match self {
            Self::Gone => "is gone",
            Self::Emptied => "was emptied",
            Self::WithoutLog => "has nothing in it without its log, state.db-wal",
        }
    }
}

/// The offset of the schema version in a database's header, four bytes: <https://www.sqlite.org/fileformat.html>.
const VERSION: std::ops::Range<usize> = 60..64;

impl LostTrail {
    /// Whether a trail is missing in this folder. The key of the digests is created with the first state and never without one;
    /// the locks may be there before.
    #[must_use]
    pub fn of(dir: &Path) -> Option<Self> {
        let db = dir.join(folder::FILE);
        let how = match fs::metadata(&db) {
            Ok(found) if found.len() == 0 => Loss::Emptied,
            Ok(_) if !has_log(dir) && !has_schema(&db) => Loss::WithoutLog,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Loss::Gone,
            _ => return None,
        };
        dir.join(key::FILE).exists().then_some(Self { how })
    }

    /// The first record of the trail that replaces it.
    pub(super) fn record(self) -> NewRecord {
        NewRecord::trail_lost(&self.to_string())
    }
}

/// Whether there is a log with content.
fn has_log(dir: &Path) -> bool {
    fs::metadata(folder::log(dir)).is_ok_and(|log| log.len() > 0)
}

/// Whether the database itself has a schema; an unreadable one is another fault.
fn has_schema(db: &Path) -> bool {
    let mut header = [0; VERSION.end];
    let read = fs::File::open(db).and_then(|mut db| db.read_exact(&mut header));
    read.is_err() || header[VERSION] != [0; 4]
}

impl Store {
    /// When this trail began in place of a missing one; `None` if it did not.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn begun_anew(&self) -> Result<Option<Time>> {
        let record = self.latest_of(&[AuditKind::TrailLost])?;
        Ok(record.and_then(|record| record.time.parse().ok()))
    }

    /// Migrates the schema. A trail that replaces a missing one begins with that record, in the same transaction. Rows that were
    /// written before seals existed are sealed.
    pub(super) fn migrate(&self, steps: &[&str], lost: Option<LostTrail>) -> Result<()> {
        schema::migrate(&mut self.db(), steps, |change, found| {
            match self.key.as_ref().filter(|_| found > 0) {
                Some(key) if found < schema::SEALS => {
                    seal_cache_in(change, key)?;
                    seal_all_in(change, key)?;
                }
                Some(key) if found < schema::SEALED_DECLARATIONS => {
                    seal_tables_in(change, key, &[SealedTable::Declaration, SealedTable::ManifestFault])?;
                }
                _ => {}
            }
            if found == schema::CHECKPOINTS_WITHOUT_KEYS {
                self.record_key_of_older_in(change)?;
            }
            let Some(lost) = lost.filter(|_| found == 0) else { return Ok(()) };
            tracing::error!("{lost}; a new trail begins, and its first record notes it");
            self.append_in(change, &lost.record()).map(drop)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::store::{RecordFilter, testing};

    fn kinds(dir: &Path) -> Vec<String> {
        let store = Store::open_read_only(dir).unwrap().unwrap();
        assert!(store.verify().unwrap().is_whole());
        let records = store.records(&RecordFilter::default()).unwrap().into_iter();
        records.map(|record| record.kind).collect()
    }

    /// A folder with a state that nobody has open.
    fn state() -> (tempfile::TempDir, PathBuf) {
        let (home, store) = testing::store();
        store.append(&NewRecord::of(AuditKind::Started)).unwrap();
        drop(store);
        let db = home.path().join(folder::FILE);
        (home, db)
    }

    /// How the database is removed, and the message that follows.
    type TakenAway = (fn(&Path), &'static str);

    /// Like restoring a copy of `state.db` alone that was made while an undrift ran.
    fn restore_without_log(db: &Path) {
        let (home, store) = testing::store();
        store.append(&NewRecord::of(AuditKind::Started)).unwrap();
        fs::copy(home.path().join(folder::FILE), db).unwrap();
        assert_eq!(LostTrail::of(home.path()), None, "its log has it");
        drop(store);
        assert_eq!(LostTrail::of(home.path()), None, "and then the database itself");
    }

    #[test]
    fn a_trail_begun_in_place_of_a_missing_one_records_that_first_and_once() {
        let ways: [TakenAway; 3] = [
            (|db| fs::remove_file(db).unwrap(), "state.db is gone"),
            (|db| fs::write(db, "").unwrap(), "state.db was emptied"),
            (restore_without_log, "state.db has nothing in it without its log"),
        ];
        for (take_away, expected) in ways {
            let (home, db) = state();
            assert_eq!(LostTrail::of(home.path()), None);
            take_away(&db);
            let lost = LostTrail::of(home.path()).unwrap().to_string();
            assert!(lost.contains(expected), "{lost}");
            for _ in 0..2 {
                let store = Store::open(home.path(), "test".into()).unwrap();
                assert!(store.begun_anew().unwrap().is_some());
                let records = store.records(&RecordFilter::default()).unwrap();
                assert_eq!(records[0].evidence["message"], lost);
            }
            assert_eq!(kinds(home.path()), ["TrailLost"]);
            assert_eq!(LostTrail::of(home.path()), None, "it is in the trail now");
        }
    }

    #[test]
    fn a_folder_without_a_state_begins_a_trail_like_any_other() {
        let home = tempfile::tempdir().unwrap();
        let _lock = crate::store::StateLock::acquire(home.path(), "run").unwrap();
        fs::write(home.path().join(folder::FILE), "").unwrap();
        assert_eq!(
            LostTrail::of(home.path()),
            None,
            "an undrift that was killed at its first start leaves this"
        );
        let store = Store::open(home.path(), "test".into()).unwrap();
        assert_eq!(store.begun_anew().unwrap(), None);
        assert_eq!(kinds(home.path()), [""; 0]);
    }
}

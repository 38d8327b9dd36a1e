//! The state of undrift: one SQLite file in the state folder.
//!
//! It holds the audit trail, incidents, the last status of each object, attempts, what is known of images, and a cache. Beside
//! it lie two lock files: see [`StateLock`] and [`StepLock`]. Their holder writes only while its open files are the ones at
//! their paths: see [`Gone`].
//!
//! Every function is synchronous and short: at most one transaction, durable when the function returns (except for the
//! cache, which may lose its last entries in a power cut).

mod agreement;
mod anchors;
mod attempts;
mod backup;
mod cache;
mod canonical;
mod chain;
mod checkpoint_keys;
mod checkpoints;
mod contents;
mod contradiction;
mod declarations;
mod derived;
mod difference;
mod error;
mod faults;
mod folder;
mod held;
mod holder;
mod images;
mod incident_check;
mod incident_evidence;
mod incident_summary;
mod incidents;
mod integrity;
mod key;
mod ledger;
mod lock;
mod lost;
mod object_ledger;
mod objects;
mod observed_at;
mod outcomes;
mod packing;
mod place;
mod reader;
mod recent_steps;
mod recorded_incident;
mod running_version;
mod schema;
mod seals;
mod segment;
mod segment_check;
mod status_check;
mod step_lock;
mod steps;
mod stored_ledger;
mod suspensions;
mod time;
mod trail;
mod trail_marks;
mod tree;
mod tree_check;
mod verified_from;
mod verify;

#[cfg(test)]
mod forgery_tests;
#[cfg(test)]
mod process_tests;
#[cfg(test)]
pub(crate) mod testing;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
};

use rusqlite::{Connection, Transaction, TransactionBehavior, config::DbConfig};

pub use anchors::AnchorState;
pub use backup::Backup;
pub use canonical::{GENESIS, canonical, record_hash};
pub use checkpoint_keys::RecordedKey;
pub use checkpoints::{ProvenRecord, StoredCheckpoint, TreeGrowth};
pub use error::{StoreError, is_unwritable};
pub use faults::ManifestFault;
pub use held::Gone;
pub use holder::{Displaced, LockState};
pub use images::ImageKnowledge;
pub use incident_summary::IncidentSummary;
pub use incidents::NewIncident;
pub use key::DigestKey;
pub use lock::{Holder, LockError, StateLock};
pub use lost::LostTrail;
pub use objects::Generation;
pub use observed_at::EnginePlace;
pub use outcomes::FinishedStep;
pub(crate) use running_version::running_version;
pub use step_lock::{StepGuard, StepLock};
pub use steps::{NewIntent, OpenIntent};
pub use suspensions::Instructions;
pub use trail::RecordFilter;
pub use tree_check::KeptCheckpoint;
pub use verified_from::VerifiedFrom;
pub use verify::Verification;

use crate::api::{Clock, Time};
use error::{Result, failed};
use held::Held;
use ledger::Ledger;
use trail::Head;

/// The files that undrift creates in the state folder.
pub(crate) const FILES: [&str; 6] =
    [folder::FILE, folder::LOG, folder::INDEX, lock::FILE, step_lock::FILE, key::FILE];

/// The state: see the [module](self).
pub struct Store {
    dir: PathBuf,
    db: Mutex<Connection>,
    /// The cache has its own connection, which does not wait for the disk. `None`: read only.
    cache: Option<Mutex<Connection>>,
    actor: String,
    clock: Clock,
    /// The key of the folder's digests, if this user may read it.
    key: Option<DigestKey>,
    /// The outcomes that could not be written, by their intents.
    kept: Mutex<BTreeMap<u64, FinishedStep>>,
    /// The sum of the trail, as far as it was read. Lock it before the connection if you take both.
    ledger: Mutex<Ledger>,
    /// The head of the trail as last seen or written, for the holder of the folder's lock. Lock it after the connection if you
    /// take both.
    head: Mutex<Option<Head>>,
    /// Whether records that are not whole keep the trail from being packed.
    is_unpackable: AtomicBool,
    /// Whether it was logged that a damaged tree keeps the trail from being signed.
    is_unsignable: AtomicBool,
    /// Whether the last key on record is this folder's.
    is_key_recorded: AtomicBool,
    /// The open files, for the holder of the folder's lock. Dropped after the connections, whose locks end when some of
    /// these close.
    held: Option<Held>,
}

/// After how many pages of its log SQLite makes a checkpoint: its own default (`SQLITE_DEFAULT_WAL_AUTOCHECKPOINT`).
const AUTOCHECKPOINT_PAGES: u32 = 1000;

impl Store {
    /// Opens the state in this folder for reading and writing; creates what is missing, readable by its owner only. `actor`
    /// is the `actor` of this store's records in the trail: `root@host undrift[1234] apply`.
    ///
    /// Migrates an older schema only if nobody holds the folder's [`StateLock`]: a running undrift relies on the schema that
    /// it found.
    ///
    /// # Errors
    /// [`StoreError::Folder`], [`StoreError::NewerSchema`], [`StoreError::OlderSchema`], or SQLite's error.
    pub fn open(dir: &Path, actor: String) -> Result<Self> {
        Self::open_with_clock(dir, actor, Arc::new(chrono::Utc::now))
    }

    /// As [`open`](Self::open), for the holder of the folder's lock: migrates an older schema. Never writes unless the open
    /// files are the ones at their paths: see [`check_held`](Self::check_held).
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`StoreError::Gone`].
    pub fn open_locked(dir: &Path, actor: String, lock: &StateLock) -> Result<Self> {
        Self::open_locked_with_clock(dir, actor, lock, Arc::new(chrono::Utc::now))
    }

    /// As [`open_locked`](Self::open_locked), with another clock.
    ///
    /// # Errors
    /// As [`open_locked`](Self::open_locked).
    pub fn open_locked_with_clock(dir: &Path, actor: String, lock: &StateLock, clock: Clock) -> Result<Self> {
        let mut store = Self::open_as(dir, actor, clock, true)?;
        let held = lock.hold(dir, &store.db())?;
        store.held = Some(held);
        store.check_held()?;
        Ok(store)
    }

    /// Whether the open files are the ones at their paths, if this store holds them: the folder, the database, the locks.
    /// Also whether the database is the one that this undrift knows.
    ///
    /// # Errors
    /// [`StoreError::Gone`], or SQLite's error.
    pub fn check_held(&self) -> Result<()> {
        let Some(held) = &self.held else { return Ok(()) };
        let checked = held.check(|| self.check_stored_head(held)).and_then(|()| self.check_head(held));
        let overwritten = match &checked {
            Ok(()) => false,
            Err(StoreError::Gone(Gone::Overwritten { .. })) => true,
            Err(_) => return checked,
        };
        if held.publish(overwritten) {
            self.leave_alone(held.is_overwritten());
        }
        checked
    }

    /// Whether the trail continues from the last record that this undrift saw: any other trail replaced it.
    fn check_head(&self, held: &Held) -> Result<()> {
        self.check_head_in(&self.db(), held)
    }

    /// The same for the stored trail: this connection would answer from the pages that it holds in memory.
    fn check_stored_head(&self, held: &Held) -> Result<()> {
        let db = folder::connect_read_only(&self.dir)?;
        db.map_or_else(|| Err(held.overwritten().into()), |db| self.check_head_in(&db, held))
    }

    fn check_head_in(&self, db: &Connection, held: &Held) -> Result<()> {
        let action = "read the head of the audit trail";
        let mut last = self.head();
        match trail::head_after(db, last.as_ref()) {
            Ok(Some(newest)) => {
                *last = Some(newest);
                Ok(())
            }
            Ok(None) => Err(held.overwritten().into()),
            Err(error) if integrity::is_damage(&error) => Err(held.overwritten().into()),
            Err(error) => Err(failed(action)(error)),
        }
    }

    /// The database is another one, for as long as this undrift runs.
    fn condemn(&self, held: &Held) -> StoreError {
        held.condemn();
        if held.publish(true) {
            self.leave_alone(true);
        }
        held.overwritten().into()
    }

    /// Stops SQLite from writing to a database that somebody put in the place of this one, because the rest of the log belongs to
    /// this one. Allows it again once this one is back.
    fn leave_alone(&self, is_another: bool) {
        let pages = if is_another { 0 } else { AUTOCHECKPOINT_PAGES };
        for db in [Some(&self.db), self.cache.as_ref()].into_iter().flatten() {
            let db = db.lock().unwrap_or_else(PoisonError::into_inner);
            let kept = db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, is_another);
            if let Err(error) = kept.and_then(|_| db.pragma_update(None, "wal_autocheckpoint", pages)) {
                tracing::warn!(%error, "SQLite may write its log into the overwritten database");
            }
        }
    }

    /// The cache's connection, if the cache is writable.
    fn cache_to_write(&self) -> Option<MutexGuard<'_, Connection>> {
        let cache = self.cache.as_ref()?;
        self.check_held().ok()?;
        Some(cache.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// As [`open`](Self::open), with another clock.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with_clock(dir: &Path, actor: String, clock: Clock) -> Result<Self> {
        Self::open_as(dir, actor, clock, false)
    }

    fn open_as(dir: &Path, actor: String, clock: Clock, locked: bool) -> Result<Self> {
        let lost = LostTrail::of(dir);
        let path = folder::create(dir)?;
        let db = folder::connect(&path)?;
        let (found, known) = (schema::version(&db)?, schema::latest(schema::MIGRATIONS));
        let is_older = found > 0 && found < known;
        let _lock = if is_older && !locked {
            Some(StateLock::acquire(dir, "upgrade").map_err(|_| StoreError::OlderSchema { found, known })?)
        } else {
            None
        };
        let key = || {
            let key = DigestKey::of(dir);
            key.map(Some).map_err(|source| StoreError::Folder { path: dir.join(key::FILE), source })
        };
        // A key beside a database without a schema shows that an earlier trail is missing: the key is created after that check.
        let key_of_older = if is_older { key()? } else { None };
        let (db, kept) = (Mutex::new(db), Mutex::default());
        let ledger = Mutex::default();
        let (dir, head, is_unpackable) = (dir.to_owned(), Mutex::default(), AtomicBool::new(false));
        let store = Self {
            dir,
            db,
            cache: None,
            actor,
            clock,
            key: key_of_older,
            kept,
            ledger,
            head,
            is_unpackable,
            is_unsignable: AtomicBool::new(false),
            is_key_recorded: AtomicBool::new(false),
            held: None,
        };
        store.migrate(schema::MIGRATIONS, lost)?;
        let cache = Some(Mutex::new(folder::connect_cache(&path)?));
        Ok(Self { cache, key: key()?, ..store })
    }

    /// Opens the state in this folder for reading; `None` if there is none yet. Creates nothing, works alongside a process
    /// that writes, and in a folder that the user may only read. Every write then fails with [`StoreError::ReadOnly`].
    ///
    /// # Errors
    /// [`StoreError::Folder`] if the file exists and may not be read, [`StoreError::NewerSchema`],
    /// [`StoreError::OlderSchema`], or SQLite's error.
    pub fn open_read_only(dir: &Path) -> Result<Option<Self>> {
        let Some(db) = folder::connect_read_only(dir)? else {
            return Ok(None);
        };
        let known = schema::latest(schema::MIGRATIONS);
        match schema::version(&db)? {
            // A writer has created the file but not the schema yet.
            0 => Ok(None),
            found if found > known => Err(StoreError::NewerSchema { found, known }),
            found if found < known => Err(StoreError::OlderSchema { found, known }),
            _ => {
                let clock = Arc::new(chrono::Utc::now);
                let (actor, kept, ledger) = (String::new(), Mutex::default(), Mutex::default());
                let key = DigestKey::read(dir).unwrap_or_else(|error| {
                    tracing::debug!(%error, "the key of the digests cannot be read");
                    None
                });
                Ok(Some(Self {
                    dir: dir.to_owned(),
                    db: Mutex::new(db),
                    cache: None,
                    actor,
                    clock,
                    key,
                    kept,
                    ledger,
                    head: Mutex::default(),
                    is_unpackable: AtomicBool::new(false),
                    is_unsignable: AtomicBool::new(false),
                    is_key_recorded: AtomicBool::new(false),
                    held: None,
                }))
            }
        }
    }

    /// Opens the state in this folder for a command that only reads; `None` if there is none yet. As
    /// [`open_read_only`](Self::open_read_only): creates nothing, and leaves an older schema as it is. Look-ups are
    /// remembered in the cache, and nothing else is written. In a copy of the file alone, or if the user may only read, not
    /// even that.
    ///
    /// # Errors
    /// As [`open_read_only`](Self::open_read_only).
    pub fn open_for_looking(dir: &Path) -> Result<Option<Self>> {
        let Some(mut store) = Self::open_read_only(dir)? else {
            return Ok(None);
        };
        // SQLite would mistake the log for that of the database that is there now, and close it for the undrift that has it open.
        if Displaced::of(dir).is_some() {
            return Ok(Some(store));
        }
        // Without it reads are slower, with the same result.
        match folder::connect_existing_cache(dir) {
            Ok(cache) => store.cache = cache.map(Mutex::new),
            Err(error) => tracing::debug!(%error, "looking without what was looked up before"),
        }
        Ok(Some(store))
    }

    /// The same with another clock, for one that is open for reading or looking.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// An error of this store with its causes and its file.
    #[must_use]
    pub fn in_full(&self, error: &StoreError) -> String {
        error.in_full(&self.dir)
    }

    /// What time it is, by the clock that dates the records.
    #[must_use]
    pub fn now(&self) -> Time {
        (self.clock)()
    }

    /// The clock that dates the records.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Arc::clone(&self.clock)
    }

    /// The folder that it is in.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether look-ups can be remembered in it.
    #[must_use]
    pub const fn remembers(&self) -> bool {
        self.cache.is_some()
    }

    /// The connection. A panic elsewhere while it was held left no open transaction: they roll back on drop.
    fn db(&self) -> MutexGuard<'_, Connection> {
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The head of the trail as last seen or written.
    fn head(&self) -> MutexGuard<'_, Option<Head>> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sum of the trail, as far as it was read.
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does all of `work` in one durable transaction, or none of it. Takes the write lock at the start, so that what it
    /// reads still holds when it writes. Writes nothing to files that are not at their paths, so no step begins without an
    /// intent that can be found.
    fn write<T>(&self, action: &'static str, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        self.check_held()?;
        let mut db = self.db();
        let change = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed(action))?;
        let done = work(&change)?;
        let head = self.held.as_ref().map(|_| trail::head(&change)).transpose().map_err(failed(action))?;
        change.commit().map_err(failed(action))?;
        if head.is_some() {
            *self.head() = head;
        }
        drop(db);
        self.pack_if_due();
        Ok(done)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("actor", &self.actor)
            .field("read_only", &self.cache.is_none())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{AuditKind, Cache as _, NewRecord};

    /// A state as the first version of the schema left it.
    fn older(dir: &Path) {
        let path = folder::create(dir).unwrap();
        schema::migrate(&mut folder::connect(&path).unwrap(), &schema::MIGRATIONS[..1], |_, _| Ok(()))
            .unwrap();
    }

    fn version(dir: &Path) -> i64 {
        schema::version(&folder::connect(&dir.join(folder::FILE)).unwrap()).unwrap()
    }

    #[test]
    fn an_older_schema_stays_while_an_undrift_holds_the_folder_and_is_upgraded_by_its_holder() {
        let home = tempfile::tempdir().unwrap();
        older(home.path());
        let lock = StateLock::acquire(home.path(), "run").unwrap();
        let error = Store::open(home.path(), "test".into()).unwrap_err();
        assert!(matches!(error, StoreError::OlderSchema { found: 1, .. }), "{error}");
        assert_eq!(version(home.path()), 1);
        drop(Store::open_locked(home.path(), "test".into(), &lock).unwrap());
        assert_eq!(version(home.path()), schema::latest(schema::MIGRATIONS));
        // With the right version anybody can open it.
        Store::open(home.path(), "test".into()).unwrap();
    }

    #[test]
    fn who_looks_creates_nothing_upgrades_nothing_and_writes_the_cache_alone() {
        let home = tempfile::tempdir().unwrap();
        let missing = home.path().join("none");
        assert!(Store::open_for_looking(&missing).unwrap().is_none());
        assert!(!missing.exists());
        older(home.path());
        let error = Store::open_for_looking(home.path()).unwrap_err();
        assert!(matches!(error, StoreError::OlderSchema { found: 1, .. }), "{error}");
        assert_eq!(version(home.path()), 1);
        drop(Store::open(home.path(), "test".into()).unwrap());
        let store = Store::open_for_looking(home.path()).unwrap().unwrap();
        store.put("module", "a", "1");
        let error = store.append(&NewRecord::of(AuditKind::Started)).unwrap_err();
        assert!(matches!(error, StoreError::ReadOnly(_)), "{error}");
        drop(store);
        let again = Store::open_for_looking(home.path()).unwrap().unwrap();
        assert_eq!(again.get("module", "a").as_deref(), Some("1"));
    }

    #[test]
    fn who_looks_leaves_a_copy_of_the_file_alone() {
        let (home, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        drop(Store::open(home.path(), "test".into()).unwrap());
        std::fs::copy(home.path().join(folder::FILE), copy.path().join(folder::FILE)).unwrap();
        let store = Store::open_for_looking(copy.path()).unwrap().unwrap();
        store.put("module", "a", "1");
        assert_eq!(store.get("module", "a"), None);
        assert_eq!(std::fs::read_dir(copy.path()).unwrap().count(), 1);
    }

    #[test]
    fn who_looks_at_a_backup_in_the_place_of_an_open_database_leaves_the_log_to_who_has_it_open() {
        let home = tempfile::tempdir().unwrap();
        let lock = StateLock::acquire(home.path(), "run").unwrap();
        let store = Store::open_locked(home.path(), "test".into(), &lock).unwrap();
        let (db, kept) = (home.path().join(folder::FILE), home.path().join("kept"));
        store.append(&NewRecord::of(AuditKind::Started)).unwrap();
        std::fs::rename(&db, &kept).unwrap();
        std::fs::copy(&kept, &db).unwrap();
        let reader = Store::open_for_looking(home.path()).unwrap().unwrap();
        reader.put("module", "a", "1");
        drop(reader);
        std::fs::rename(&kept, &db).unwrap();
        store.append(&NewRecord::of(AuditKind::Stopped)).unwrap();
        drop(store);
        let reader = Store::open_read_only(home.path()).unwrap().unwrap();
        assert!(matches!(reader.verify().unwrap(), Verification::Whole { records: 2, .. }));
    }

    #[test]
    fn an_older_schema_that_nobody_holds_is_upgraded_by_whoever_opens_it() {
        let home = tempfile::tempdir().unwrap();
        older(home.path());
        Store::open(home.path(), "test".into()).unwrap();
        assert_eq!(version(home.path()), schema::latest(schema::MIGRATIONS));
        StateLock::acquire(home.path(), "run").unwrap();
    }
}

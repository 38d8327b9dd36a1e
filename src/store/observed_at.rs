//! When each object was last observed, and on which engine.
//!
//! A healthy object is observed hundreds of times a day and only that time changes in its status. So it is kept apart: an
//! observation costs one small write, and nobody waits for it to reach the disk.

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    Store,
    error::{Result, failed},
    seals::SealedTable,
    time,
};
use crate::api::Time;

/// Where an object was observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnginePlace {
    /// The engine's ID; `None` if it did not report one, or has none that lasts.
    pub id: Option<String>,
    /// Its address.
    pub endpoint: String,
}

impl EnginePlace {
    /// Whether both are the same place. The same ID is the same engine, whatever its address. Another ID at the same address
    /// is a reinstalled engine, which has replaced the one before. If an ID is not known, the address decides.
    #[must_use]
    pub fn is_same_place(&self, other: &Self) -> bool {
        self.endpoint == other.endpoint || self.id.is_some() && self.id == other.id
    }
}

impl Store {
    /// The engine of an object's recorded status; `None` before its first observation.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn engine_place(&self, object: &str) -> Result<Option<EnginePlace>> {
        let db = self.db();
        let mut query = db
            .prepare_cached("SELECT id, endpoint FROM engines WHERE object = ?1")
            .map_err(failed("read the engine of an object"))?;
        let place = |row: &rusqlite::Row<'_>| Ok(EnginePlace { id: row.get(0)?, endpoint: row.get(1)? });
        query.query_row([object], place).optional().map_err(failed("read the engine of an object"))
    }

    /// Keeps the engine of an object's status from now on; writes only if it changed.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn keep_engine_place(&self, object: &str, place: &EnginePlace) -> Result<()> {
        if self.engine_place(object)?.as_ref() == Some(place) {
            return Ok(());
        }
        let action = "record the engine of an object";
        self.write(action, |change| {
            let row = params![object, place.id, place.endpoint];
            let kept = change.execute("INSERT OR REPLACE INTO engines VALUES (?1, ?2, ?3)", row);
            kept.map_err(failed(action))?;
            self.seal_in(change, SealedTable::Engine, object)
        })
    }

    /// Keeps when an object was last observed; a time that is already kept costs no write. A failed write is only logged:
    /// the observation then seems older than it was.
    pub(super) fn keep_look(&self, object: &str, at: Time) -> Result<()> {
        let known = last_look(&self.db(), object).map_err(failed("read the time of a look"))?;
        if known == Some(time::stamp(at)) {
            return Ok(());
        }
        let Some(cache) = self.cache_to_write() else { return Ok(()) };
        if let Err(error) = keep_look_in(&cache, object, at) {
            tracing::warn!(object, %error, "the time of a look could not be kept");
        }
        Ok(())
    }
}

pub(super) fn keep_look_in(db: &Connection, object: &str, at: Time) -> rusqlite::Result<()> {
    let row = params![object, time::stamp(at)];
    db.prepare_cached("INSERT OR REPLACE INTO looks VALUES (?1, ?2)")?.execute(row).map(drop)
}

/// When an object was last observed, as stored; `None` before its first observation.
fn last_look(db: &Connection, object: &str) -> rusqlite::Result<Option<String>> {
    let mut query = db.prepare_cached("SELECT at FROM looks WHERE object = ?1")?;
    query.query_row([object], |row| row.get(0)).optional()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    fn place(id: Option<&str>, endpoint: &str) -> EnginePlace {
        EnginePlace { id: id.map(str::to_owned), endpoint: endpoint.to_owned() }
    }

    #[test]
    fn an_engine_is_identified_by_its_id_and_without_one_by_its_address() {
        let here = place(Some("A"), "unix:///run/docker.sock");
        for (other, same, why) in [
            (place(Some("A"), "tcp://127.0.0.1:2375"), true, "the same engine by another address"),
            (place(Some("B"), "unix:///run/docker.sock"), true, "installed anew"),
            (place(Some("B"), "tcp://10.0.0.5:2375"), false, "another engine"),
            (place(None, "unix:///run/docker.sock"), true, "it does not say"),
            (place(None, "tcp://10.0.0.5:2375"), false, "another address, and it does not say"),
        ] {
            assert_eq!((here.is_same_place(&other), other.is_same_place(&here)), (same, same), "{why}");
        }
        let (podman, other) = (place(None, "unix:///a.sock"), place(None, "unix:///b.sock"));
        assert!(podman.is_same_place(&podman) && !podman.is_same_place(&other));
    }

    #[test]
    fn the_place_of_an_object_is_kept_across_restarts_and_written_where_it_changes() {
        let (home, store) = testing::store();
        assert_eq!(store.engine_place("shop").unwrap(), None);
        let place = place(Some("A"), "unix:///run/docker.sock");
        store.keep_engine_place("shop", &place).unwrap();
        drop(store);
        let reader = Store::open_read_only(home.path()).unwrap().unwrap();
        assert_eq!(reader.engine_place("shop").unwrap().as_ref(), Some(&place));
        // An unchanged value needs no write, even from a reader that may not write.
        reader.keep_engine_place("shop", &place).unwrap();
    }

    #[test]
    fn a_look_at_what_is_as_it_was_is_kept_and_changes_nothing_else() {
        let (home, store) = testing::store();
        let mut object = testing::object();
        object.status.observed_at = Some(testing::start());
        assert!(store.save_object(&object).unwrap());
        let recorded = store.recorded_at().unwrap();
        for minute in 1..=288 {
            object.status.observed_at = Some(testing::start() + chrono::TimeDelta::minutes(5 * minute));
            assert!(!store.save_object(&object).unwrap(), "a day of looks is no change of the status");
        }
        assert_eq!(store.object("ai-backoffice").unwrap().as_ref(), Some(&object));
        assert_eq!(store.objects().unwrap(), [object.clone()]);
        assert_eq!(store.recorded_at().unwrap(), recorded);
        drop(store);
        let store = Store::open(home.path(), "test".into()).unwrap();
        assert_eq!(store.object("ai-backoffice").unwrap(), Some(object));
        assert!(store.records(&crate::store::RecordFilter::default()).unwrap().is_empty());
    }
}

//! The host's cache. Losing it costs time, or leaves unsaid what was known: a failure is logged, nothing more.

use std::sync::PoisonError;

use rusqlite::{Connection, OptionalExtension, params};

use super::Store;
use crate::api::Cache;

/// How many entries a space keeps. An entry is about 100 bytes; a host has tens of images and modules.
const PER_SPACE: i64 = 4096;

/// An entry that is used is marked so at most this often: a write for each look would cost more than it saves.
const MARK_SECONDS: i64 = 3600;

impl Cache for Store {
    fn get(&self, space: &str, key: &str) -> Option<String> {
        let found = match &self.cache {
            Some(cache) => {
                let may_mark = self.held.as_ref().is_none_or(|held| !held.is_overwritten());
                let now = may_mark.then(|| self.second());
                get(&cache.lock().unwrap_or_else(PoisonError::into_inner), space, key, now)
            }
            None => get(&self.db(), space, key, None),
        };
        found.unwrap_or_else(|error| {
            tracing::warn!(space, %error, "failed to read the cache");
            None
        })
    }

    fn put(&self, space: &str, key: &str, value: &str) {
        let Some(cache) = self.cache_to_write() else {
            return;
        };
        if let Err(error) = put(&cache, space, key, value, self.second()) {
            tracing::warn!(space, %error, "failed to write the cache");
        }
    }
}

impl Store {
    fn second(&self) -> i64 {
        (self.clock)().timestamp()
    }
}

/// The value; marked as used at `now`, where it may be.
fn get(db: &Connection, space: &str, key: &str, now: Option<i64>) -> rusqlite::Result<Option<String>> {
    let found: Option<(String, i64)> = db
        .prepare_cached("SELECT value, used_at FROM cache WHERE space = ?1 AND key = ?2")?
        .query_row([space, key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((value, used_at)) = found else {
        return Ok(None);
    };
    if let Some(now) = now.filter(|now| now - used_at > MARK_SECONDS) {
        db.prepare_cached("UPDATE cache SET used_at = ?3 WHERE space = ?1 AND key = ?2")?
            .execute(params![space, key, now])?;
    }
    Ok(Some(value))
}

fn put(db: &Connection, space: &str, key: &str, value: &str, now: i64) -> rusqlite::Result<()> {
    let change = db.unchecked_transaction()?;
    change
        .prepare_cached("INSERT OR REPLACE INTO cache VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![space, key, value, now])?;
    let entries: i64 = change
        .prepare_cached("SELECT count(*) FROM cache WHERE space = ?1")?
        .query_row([space], |row| row.get(0))?;
    if entries > PER_SPACE {
        change
            .prepare_cached(
                "DELETE FROM cache WHERE rowid IN
                 (SELECT rowid FROM cache WHERE space = ?1 ORDER BY used_at, rowid LIMIT ?2)",
            )?
            .execute(params![space, entries - PER_SPACE])?;
    }
    change.commit()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    fn count(store: &Store, space: &str) -> i64 {
        store
            .db()
            .query_row("SELECT count(*) FROM cache WHERE space = ?1", [space], |row| row.get(0))
            .unwrap()
    }

    #[test]
    fn remembers_by_space_and_key_across_restarts() {
        let (home, store) = testing::store();
        store.put("module", "a", "1");
        store.put("module", "a", "2");
        store.put("config", "a", "3");
        drop(store);
        let store = Store::open(home.path(), "test".into()).unwrap();
        assert_eq!(store.get("module", "a").as_deref(), Some("2"));
        assert_eq!(store.get("config", "a").as_deref(), Some("3"));
        assert_eq!(store.get("module", "b"), None);
    }

    #[test]
    fn a_full_space_drops_what_was_not_used_for_longest_and_no_other_space() {
        let (_home, store) = testing::store();
        {
            let db = store.cache.as_ref().unwrap().lock().unwrap();
            put(&db, "config", "x", "v", 0).unwrap();
            db.execute_batch("BEGIN").unwrap();
            for n in 0..PER_SPACE {
                let row = params!["module", n.to_string(), n];
                db.execute("INSERT INTO cache VALUES (?1, ?2, 'v', ?3)", row).unwrap();
            }
            db.execute_batch("COMMIT").unwrap();
            assert!(get(&db, "module", "0", Some(MARK_SECONDS * 2)).unwrap().is_some());
            for key in ["new", "newer"] {
                put(&db, "module", key, "v", MARK_SECONDS * 2).unwrap();
            }
        }
        assert_eq!((count(&store, "module"), count(&store, "config")), (PER_SPACE, 1));
        for (key, kept) in [("0", true), ("1", false), ("2", false), ("3", true), ("newer", true)] {
            assert_eq!(store.get("module", key).is_some(), kept, "{key}");
        }
    }

    #[test]
    fn a_reader_reads_it_and_writes_nothing() {
        let (home, store) = testing::store();
        store.put("module", "a", "1");
        let reader = Store::open_read_only(home.path()).unwrap().unwrap();
        reader.put("module", "b", "2");
        assert_eq!(reader.get("module", "a").as_deref(), Some("1"));
        assert_eq!(count(&store, "module"), 1);
    }
}

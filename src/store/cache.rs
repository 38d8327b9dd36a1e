//! The host's cache. Losing it costs time, or leaves out something that was known: a failure is only logged.
//!
//! The entry of an image decides whether a module counts as in it. So every entry carries a seal under the folder's key. An
//! entry that somebody else wrote, or for which this user has no key, counts as missing.

use std::sync::PoisonError;

use rusqlite::{Connection, OptionalExtension, params};

use serde_json::json;

use super::{
    DigestKey, Store,
    error::{Result, failed},
};
use crate::api::Cache;

/// How many entries a space keeps. An entry is about 100 bytes; a host has tens of images and modules.
const PER_SPACE: i64 = 4096;

/// A use is recorded at most this often: a write for each observation would cost more than it saves.
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
        let found = found.unwrap_or_else(|error| {
            tracing::warn!(space, %error, "failed to read the cache");
            None
        });
        let (digest_key, text) = (self.key.as_ref()?, found?);
        let value = unsealed(digest_key, space, key, &text);
        if value.is_none() {
            tracing::error!(
                space,
                "an entry of the cache was altered, and not by undrift: it is looked up anew"
            );
        }
        value.map(str::to_owned)
    }

    fn put(&self, space: &str, key: &str, value: &str) {
        let (Some(cache), Some(digest_key)) = (self.cache_to_write(), &self.key) else {
            return;
        };
        let sealed = sealed(digest_key, space, key, value);
        if let Err(error) = put(&cache, space, key, &sealed, self.second()) {
            tracing::warn!(space, %error, "failed to write the cache");
        }
    }
}

impl Store {
    fn second(&self) -> i64 {
        (self.clock)().timestamp()
    }
}

/// An entry as stored: its seal, a space, and its value.
fn sealed(digest_key: &DigestKey, space: &str, key: &str, value: &str) -> String {
    format!("{} {value}", seal(digest_key, space, key, value))
}

/// The value of an entry, if its seal is valid.
fn unsealed<'a>(digest_key: &DigestKey, space: &str, key: &str, text: &'a str) -> Option<&'a str> {
    let (found, value) = text.split_once(' ')?;
    (found == seal(digest_key, space, key, value)).then_some(value)
}

fn seal(digest_key: &DigestKey, space: &str, key: &str, value: &str) -> String {
    digest_key.digest("an entry of the cache", json!([space, key, value]).to_string().as_bytes())
}

/// Seals the entries that were written before seals existed.
pub(super) fn seal_cache_in(change: &Connection, digest_key: &DigestKey) -> Result<()> {
    for Entry { space, key, text } in entries_in(change)? {
        let row = params![space, key, sealed(digest_key, &space, &key, &text)];
        change
            .prepare_cached("UPDATE cache SET value = ?3 WHERE space = ?1 AND key = ?2")
            .and_then(|mut update| update.execute(row))
            .map_err(failed("seal the cache"))?;
    }
    Ok(())
}

/// The entries that undrift did not write, by space and key.
pub(super) fn altered_in(db: &Connection, digest_key: &DigestKey) -> Result<Vec<(String, String)>> {
    let entries = entries_in(db)?.into_iter();
    let altered =
        entries.filter(|Entry { space, key, text }| unsealed(digest_key, space, key, text).is_none());
    Ok(altered.map(|entry| (entry.space, entry.key)).collect())
}

/// Forgets an entry.
pub(super) fn forget_in(change: &Connection, space: &str, key: &str) -> Result<()> {
    let forgotten = change.execute("DELETE FROM cache WHERE space = ?1 AND key = ?2", [space, key]);
    forgotten.map(drop).map_err(failed("forget an entry of the cache"))
}

struct Entry {
    space: String,
    key: String,
    text: String,
}

fn entries_in(db: &Connection) -> Result<Vec<Entry>> {
    let action = "read the cache";
    let mut query = db.prepare("SELECT space, key, value FROM cache").map_err(failed(action))?;
    let rows =
        query.query_map([], |row| Ok(Entry { space: row.get(0)?, key: row.get(1)?, text: row.get(2)? }));
    rows.map_err(failed(action))?.collect::<rusqlite::Result<_>>().map_err(failed(action))
}

/// The value; marked as used at `now`, if given.
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
    fn values_are_kept_by_space_and_key_across_restarts() {
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
            assert!(get(&db, "module", "0", Some(MARK_SECONDS * 2)).unwrap().is_some(), "it is used");
            for key in ["new", "newer"] {
                put(&db, "module", key, "v", MARK_SECONDS * 2).unwrap();
            }
        }
        assert_eq!((count(&store, "module"), count(&store, "config")), (PER_SPACE, 1));
        let db = store.db();
        for (key, kept) in [("0", true), ("1", false), ("2", false), ("3", true), ("newer", true)] {
            assert_eq!(get(&db, "module", key, None).unwrap().is_some(), kept, "{key}");
        }
    }

    #[test]
    fn what_somebody_else_has_written_is_as_good_as_none() {
        let (home, store) = testing::store();
        for alter in [
            "UPDATE cache SET value = replace(value, 'missing', 'present')",
            "UPDATE cache SET value = 'present'",
            "UPDATE cache SET value = (SELECT value FROM cache WHERE key = 'b') WHERE key = 'a'",
            "UPDATE cache SET space = 'other' WHERE key = 'b'; UPDATE cache SET space = 'module' WHERE key = 'a'",
        ] {
            store.put("module", "a", "missing 1");
            store.put("module", "b", "present 2");
            store.put("module", "c", "present 3");
            assert_eq!(store.get("module", "a").as_deref(), Some("missing 1"));
            testing::raw(home.path()).execute_batch(alter).unwrap();
            let altered = altered_in(&store.db(), store.digest_key().unwrap()).unwrap();
            for (space, key) in &altered {
                assert_eq!(store.get(space, key), None, "{alter}");
            }
            assert!(!altered.is_empty(), "{alter}");
            assert!(matches!(store.verify().unwrap(), crate::store::Verification::Differs { .. }), "{alter}");
            store.agree_with_trail_in_all(testing::start()).unwrap();
            assert!(store.verify().unwrap().is_whole(), "{alter}");
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

//! The source of an object's last verified state.
//!
//! Each object has a row from its first generation on, which the trail records: a missing row was removed. The verified
//! environment is then unknown, and that is kept until another one is noted.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{
    DigestKey, Store,
    error::{Result, failed, unreadable},
    seals::{SealedTable, is_sealed_in},
};
use crate::api::ResolvedFrom;

/// What is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifiedFrom {
    /// Nothing was verified yet, or another version wrote it.
    Nothing,
    /// It was resolved from this.
    Resolved(ResolvedFrom),
    /// Somebody else wrote it.
    Altered,
}

/// The content of a row before anything was verified, and after somebody else wrote to it.
const NOTHING: &str = "null";
const ALTERED: &str = "\"altered\"";

impl Store {
    /// The key of the folder's digests; `None` if there is none, or this user may not read it.
    #[must_use]
    pub const fn digest_key(&self) -> Option<&DigestKey> {
        self.key.as_ref()
    }

    /// The source of the object's last verified state.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn verified_from(&self, object: &str) -> Result<VerifiedFrom> {
        let db = self.db();
        let Some(text) = digests_in(&db, object)? else { return Ok(VerifiedFrom::Nothing) };
        let sealed = self.key.as_ref().map(|key| is_sealed_in(&db, key, SealedTable::VerifiedFrom, object));
        if text == ALTERED || sealed.transpose()?.is_some_and(|sealed| sealed != Some(true)) {
            return Ok(VerifiedFrom::Altered);
        }
        let from: Option<ResolvedFrom> = serde_json::from_str(&text).unwrap_or_default();
        Ok(from.map_or(VerifiedFrom::Nothing, VerifiedFrom::Resolved))
    }

    /// Notes what a verified state was resolved from; writes nothing if that is known.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn save_verified_from(&self, object: &str, from: &ResolvedFrom) -> Result<()> {
        if matches!(self.verified_from(object)?, VerifiedFrom::Resolved(known) if known == *from) {
            return Ok(());
        }
        let digests = serde_json::to_string(from).map_err(unreadable("digests"))?;
        self.write("note what was verified", |change| {
            save_in(change, object, &digests)?;
            self.seal_in(change, SealedTable::VerifiedFrom, object)
        })
    }

    /// The row of a new object.
    pub(super) fn begin_verified_from_in(&self, change: &Transaction<'_>, object: &str) -> Result<()> {
        if digests_in(change, object)?.is_some() {
            return Ok(());
        }
        save_in(change, object, NOTHING)?;
        self.seal_in(change, SealedTable::VerifiedFrom, object)
    }
}

/// Notes that somebody else wrote what an object was verified from. The row is yet to be sealed.
pub(super) fn note_alteration_in(change: &Transaction<'_>, object: &str) -> Result<()> {
    save_in(change, object, ALTERED)
}

/// Whether the object has a row.
pub(super) fn is_known_in(db: &Connection, object: &str) -> Result<bool> {
    Ok(digests_in(db, object)?.is_some())
}

fn digests_in(db: &Connection, object: &str) -> Result<Option<String>> {
    db.query_row("SELECT digests FROM verified_from WHERE object = ?1", [object], |row| row.get(0))
        .optional()
        .map_err(failed("read what was verified"))
}

fn save_in(change: &Transaction<'_>, object: &str, digests: &str) -> Result<()> {
    change
        .execute("INSERT OR REPLACE INTO verified_from VALUES (?1, ?2)", params![object, digests])
        .map(drop)
        .map_err(failed("note what was verified"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    fn from(model: &str) -> ResolvedFrom {
        ResolvedFrom::new([].into(), [].into(), model.to_owned())
    }

    #[test]
    fn is_kept_per_object_across_restarts_and_an_unreadable_value_is_none() {
        let (home, store) = testing::store();
        store.generation("shop", "v1:sha256:a").unwrap();
        assert_eq!(store.verified_from("shop").unwrap(), VerifiedFrom::Nothing);
        for (object, model) in [("shop", "1"), ("shop", "2"), ("other", "3")] {
            store.save_verified_from(object, &from(model)).unwrap();
        }
        drop(store);
        let store = Store::open(home.path(), "test".into()).unwrap();
        assert_eq!(store.verified_from("shop").unwrap(), VerifiedFrom::Resolved(from("2")));
        store
            .write("write it as another version", |change| {
                save_in(change, "shop", "[]")?;
                store.seal_in(change, SealedTable::VerifiedFrom, "shop")
            })
            .unwrap();
        assert_eq!(store.verified_from("shop").unwrap(), VerifiedFrom::Nothing);
    }

    #[test]
    fn what_somebody_else_has_written_is_no_environment_that_was_verified() {
        let (home, store) = testing::store();
        store.save_verified_from("shop", &from("1")).unwrap();
        testing::tamper(home.path(), "UPDATE verified_from SET digests = 'null'");
        assert_eq!(store.verified_from("shop").unwrap(), VerifiedFrom::Altered);
        store.save_verified_from("shop", &from("1")).unwrap();
        assert_eq!(store.verified_from("shop").unwrap(), VerifiedFrom::Resolved(from("1")));
    }
}

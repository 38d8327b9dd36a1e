//! What the last verified state of an object was resolved from.

use rusqlite::{OptionalExtension, params};

use super::{
    DigestKey, Store,
    error::{Result, failed, unreadable},
};
use crate::api::ResolvedFrom;

impl Store {
    /// The key of the folder's digests; `None` where there is none, or this user may not read it.
    #[must_use]
    pub const fn digest_key(&self) -> Option<&DigestKey> {
        self.key.as_ref()
    }

    /// What the last verified state of the object was resolved from. What another version has written counts as none.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn verified_from(&self, object: &str) -> Result<Option<ResolvedFrom>> {
        let text: Option<String> = self
            .db()
            .query_row("SELECT digests FROM verified_from WHERE object = ?1", [object], |row| row.get(0))
            .optional()
            .map_err(failed("read what was verified"))?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Notes what a state that is verified was resolved from; nothing is written where that is known.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn save_verified_from(&self, object: &str, from: &ResolvedFrom) -> Result<()> {
        if self.verified_from(object)?.as_ref() == Some(from) {
            return Ok(());
        }
        let digests = serde_json::to_string(from).map_err(unreadable("digests"))?;
        self.write("note what was verified", |change| {
            change
                .execute("INSERT OR REPLACE INTO verified_from VALUES (?1, ?2)", params![object, digests])
                .map_err(failed("note what was verified"))?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    #[test]
    fn is_kept_per_object_across_restarts_and_what_is_not_understood_is_none() {
        let (home, store) = testing::store();
        let from = |model: &str| ResolvedFrom::new([].into(), [].into(), model.to_owned());
        assert_eq!(store.verified_from("shop").unwrap(), None);
        store.save_verified_from("shop", &from("1")).unwrap();
        store.save_verified_from("shop", &from("2")).unwrap();
        store.save_verified_from("other", &from("3")).unwrap();
        drop(store);
        let store = Store::open(home.path(), "test".into()).unwrap();
        assert_eq!(store.verified_from("shop").unwrap(), Some(from("2")));
        store.db().execute("UPDATE verified_from SET digests = '[]'", []).unwrap();
        assert_eq!(store.verified_from("shop").unwrap(), None);
    }
}

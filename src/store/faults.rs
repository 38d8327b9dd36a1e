//! The faults of manifests whose last valid spec is still in effect.
//!
//! Kept apart from the status: the fault is known when the manifest is read, and the status is written at the end of a
//! reconcile, which may be a build of half an hour away.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, params};

use super::{
    Store,
    error::{Result, failed},
    seals::SealedTable,
    time,
};
use crate::api::Time;

/// A manifest on disk that is not in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestFault {
    /// Since when.
    pub since: Time,
    /// The fault, in one line with its place.
    pub fault: String,
}

impl Store {
    /// Keeps the fault of an object's manifest, or that it has none; writes only if that is new.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn keep_manifest_fault(&self, object: &str, fault: Option<&str>) -> Result<()> {
        let action = "record a manifest that is not valid";
        let select = "SELECT fault FROM manifest_faults WHERE object = ?1";
        let known: Option<String> =
            self.db().query_row(select, [object], |row| row.get(0)).optional().map_err(failed(action))?;
        if known.as_deref() == fault {
            return Ok(());
        }
        let now = time::stamp((self.clock)());
        self.write(action, |change| {
            let written = match fault {
                None => change.execute("DELETE FROM manifest_faults WHERE object = ?1", [object]),
                Some(fault) => change.execute(
                    "INSERT INTO manifest_faults VALUES (?1, ?2, ?3)
                     ON CONFLICT (object) DO UPDATE SET fault = excluded.fault",
                    params![object, now, fault],
                ),
            };
            written.map_err(failed(action))?;
            self.seal_in(change, SealedTable::ManifestFault, object)
        })
    }

    /// The manifests that are not in effect, by object.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn manifest_faults(&self) -> Result<BTreeMap<String, ManifestFault>> {
        let action = "read the manifests that are not valid";
        let db = self.db();
        let mut query =
            db.prepare("SELECT object, since, fault FROM manifest_faults").map_err(failed(action))?;
        let rows = query.query_map([], |row| {
            let since = time::read(&row.get::<_, String>(1)?)?;
            Ok((row.get(0)?, ManifestFault { since, fault: row.get(2)? }))
        });
        rows.map_err(failed(action))?.collect::<rusqlite::Result<_>>().map_err(failed(action))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    #[test]
    fn a_fault_is_kept_from_its_first_sight_until_it_is_gone() {
        let (home, store) = testing::store();
        store.keep_manifest_fault("shop", None).unwrap();
        store.keep_manifest_fault("shop", Some("shop.yaml:3:1: one")).unwrap();
        let since = store.manifest_faults().unwrap()["shop"].since;
        store.keep_manifest_fault("shop", Some("shop.yaml:3:1: two")).unwrap();
        let reader = Store::open_read_only(home.path()).unwrap().unwrap();
        let fault = ManifestFault { since, fault: "shop.yaml:3:1: two".into() };
        assert_eq!(reader.manifest_faults().unwrap(), BTreeMap::from([("shop".to_owned(), fault)]));
        store.keep_manifest_fault("shop", None).unwrap();
        assert!(reader.manifest_faults().unwrap().is_empty());
    }
}

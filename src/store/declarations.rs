//! The last valid declaration of each object that a daemon manages: it survives a restart while its manifest is invalid.

use rusqlite::{OptionalExtension, params};

use super::{
    RecordFilter, Store,
    error::{Result, StoreError, failed},
    seals::{SealedTable, is_sealed_in},
};
use crate::api::{AuditKind, Desired, ManifestChange, RecordReader};

impl Store {
    /// Keeps the declaration of an object; writes only if it is new.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn keep_declaration(&self, desired: &Desired) -> Result<()> {
        let action = "record a declaration";
        let (object, declared) = (desired.name(), serde_json::json!(desired).to_string());
        let select = "SELECT declared FROM declarations WHERE object = ?1";
        let known: Option<String> =
            self.db().query_row(select, [object], |row| row.get(0)).optional().map_err(failed(action))?;
        if known.as_ref() == Some(&declared) {
            return Ok(());
        }
        self.write(action, |change| {
            let written = change.execute(
                "INSERT INTO declarations VALUES (?1, ?2)
                 ON CONFLICT (object) DO UPDATE SET declared = excluded.declared",
                params![object, declared],
            );
            written.map_err(failed(action))?;
            self.seal_in(change, SealedTable::Declaration, object)
        })
    }

    /// Forgets the declaration of an object that is no longer managed.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn forget_declaration(&self, object: &str) -> Result<()> {
        let action = "forget a declaration";
        self.write(action, |change| {
            let written = change.execute("DELETE FROM declarations WHERE object = ?1", [object]);
            written.map_err(failed(action))?;
            self.seal_in(change, SealedTable::Declaration, object)
        })
    }

    /// The kept declarations, by object name. One that somebody else wrote, that cannot be read, or whose spec is not the last one in the trail, is
    /// skipped with a line in the log: undrift acts on nothing that the trail does not record.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn declarations(&self) -> Result<Vec<Desired>> {
        let action = "read the declarations";
        let rows: Vec<(String, String)> = {
            let db = self.db();
            let mut query =
                db.prepare("SELECT object, declared FROM declarations ORDER BY 1").map_err(failed(action))?;
            let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed(action))?;
            rows.collect::<rusqlite::Result<_>>().map_err(failed(action))?
        };
        let mut declared = Vec::new();
        for (object, text) in rows {
            if self.is_declaration_altered(&object)? {
                tracing::error!(
                    object,
                    "what it was declared as last was altered, and not by undrift: it counts as missing"
                );
                continue;
            }
            match serde_json::from_str::<Desired>(&text) {
                Err(error) => tracing::warn!(object, %error, "what it was declared as last cannot be read"),
                Ok(desired) => match self.recorded_digest(&object) {
                    Err(StoreError::NotUnderstood(error)) => {
                        tracing::warn!(object, %error, "what it was declared as last cannot be compared");
                    }
                    Err(error) => return Err(error),
                    Ok(Some(digest)) if digest == desired.spec_digest => declared.push(desired),
                    Ok(_) => {
                        tracing::warn!(object, "what it was declared as last is not what the trail names");
                    }
                },
            }
        }
        Ok(declared)
    }

    /// Whether somebody else wrote the row; false if this user may not read the key.
    fn is_declaration_altered(&self, object: &str) -> Result<bool> {
        let Some(key) = &self.key else { return Ok(false) };
        Ok(is_sealed_in(&self.db(), key, SealedTable::Declaration, object)? == Some(false))
    }

    /// The digest of the object's last spec in the trail.
    fn recorded_digest(&self, object: &str) -> Result<Option<String>> {
        let filter = RecordFilter { object: Some(object.to_owned()), ..RecordFilter::default() };
        let records = self.records(&filter)?;
        let mut changes =
            records.iter().rev().filter(|record| record.kind == AuditKind::ManifestChanged.as_str());
        let spec = changes.find_map(|record| match RecordReader::new(record).manifest_change() {
            Ok(ManifestChange::Spec { spec_digest, .. }) => Some(Ok(spec_digest)),
            Ok(ManifestChange::Removed { .. } | ManifestChange::Restored { .. }) => None,
            Err(error) => Some(Err(error)),
        });
        Ok(spec.transpose()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{store::testing, testing::fixtures};

    #[test]
    fn what_was_declared_last_is_kept_until_it_is_forgotten() {
        let (home, store) = testing::store();
        let mut desired = fixtures::desired();
        store.generation(desired.name(), &desired.spec_digest).unwrap();
        desired.superseded_by = Some("a.yaml:1:1: not valid".into());
        store.keep_declaration(&desired).unwrap();
        desired.superseded_by = None;
        let reader = Store::open_read_only(home.path()).unwrap().unwrap();
        assert_eq!(reader.declarations().unwrap(), [desired.clone()], "a fault is of its moment");
        store.forget_declaration(desired.name()).unwrap();
        assert_eq!(reader.declarations().unwrap(), []);
    }

    #[test]
    fn one_that_the_trail_does_not_name_or_that_cannot_be_read_is_left_out() {
        let (home, store) = testing::store();
        let desired = fixtures::desired();
        store.keep_declaration(&desired).unwrap();
        assert_eq!(store.declarations().unwrap(), [], "the trail knows no spec of it");
        store.generation(desired.name(), &desired.spec_digest).unwrap();
        assert_eq!(store.declarations().unwrap().len(), 1);
        testing::raw(home.path()).execute_batch("UPDATE declarations SET declared = '{}'").unwrap();
        assert_eq!(store.declarations().unwrap(), []);
    }
}

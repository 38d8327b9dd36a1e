//! Objects: the generation of their declaration, and their last status.

use std::{collections::BTreeMap, ops::ControlFlow};

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;

use super::{
    RecordFilter, Store,
    error::{Result, failed, unreadable},
    observed_at::keep_look_in,
    reader::Order,
    seals::{SealedTable, if_sealed},
    time,
};
use crate::api::{AuditKind, ManifestChange, NewRecord, Object, RecordReader, Time};

/// The generation of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation {
    /// From 1; rises when the spec changes in meaning.
    pub number: i64,
    /// Whether the number is new: at the first sight of the object, and at each change of its spec.
    pub changed: bool,
}

impl Store {
    /// The digest of the spec that held for an object at this record; `None` if none is recorded.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn spec_digest_before(&self, object: &str, seq: u64) -> Result<Option<String>> {
        let filter = RecordFilter { object: Some(object.to_owned()), ..RecordFilter::default() };
        let mut found = None;
        self.read_as(&filter, &[AuditKind::ManifestChanged], Order::NewestFirst, |stored| {
            let record = stored.into_record();
            let change = RecordReader::new(&record).manifest_change().ok().filter(|_| record.seq <= seq);
            if let Some(ManifestChange::Spec { spec_digest, .. }) = change {
                found = Some(spec_digest);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// The generation of an object whose spec has this digest (`v1:sha256:…`); remembers it. A digest made by another rule
    /// (another `v1`) does not indicate a change: the generation stays, the new digest is kept.
    ///
    /// A new number and its `ManifestChanged` record are one transaction: a crash leaves both or neither, and a generation
    /// without its record would never get one.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn generation(&self, object: &str, spec_digest: &str) -> Result<Generation> {
        let action = "write the generation";
        self.write(action, |change| {
            let (generation, known) = next(change, object, spec_digest)?;
            if !known {
                change
                    .execute(
                        "INSERT INTO generations VALUES (?1, ?2, ?3)
                         ON CONFLICT (object) DO UPDATE SET number = excluded.number, digest = excluded.digest",
                        params![object, generation.number, spec_digest],
                    )
                    .map_err(failed(action))?;
            }
            if generation.changed {
                let spec_digest = spec_digest.to_owned();
                let spec = ManifestChange::Spec { generation: generation.number, spec_digest };
                self.append_in(change, &NewRecord::manifest_changed(object, &spec))?;
            }
            if generation.changed && generation.number == 1 {
                self.begin_verified_from_in(change, object)?;
            }
            Ok(generation)
        })
    }

    /// The result of [`generation`](Self::generation), without writing.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn peek_generation(&self, object: &str, spec_digest: &str) -> Result<i64> {
        Ok(next(&self.db(), object, spec_digest)?.0.number)
    }

    /// The generation of an object's spec; `None` if it has none yet.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn recorded_generation(&self, object: &str) -> Result<Option<i64>> {
        let db = self.db();
        let found =
            db.query_row("SELECT number FROM generations WHERE object = ?1", [object], |row| row.get(0));
        found.optional().map_err(failed("read the generation"))
    }

    /// Records the object with its status; returns whether it was written. It is not written if it equals the record apart
    /// from `lastTransitionTime`s and the time of the observation. That time is kept in any case.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn save_object(&self, object: &Object) -> Result<bool> {
        let action = "record the status";
        let name = &object.declared.metadata.name;
        let looked = object.status.observed_at;
        let value = without_look(serde_json::to_value(object).map_err(unreadable("status"))?);
        let is_new = self.write(action, |change| {
            let recorded: Option<String> = change
                .query_row("SELECT object FROM objects WHERE name = ?1", [name], |row| row.get(0))
                .optional()
                .map_err(failed(action))?;
            // A status that no longer parses as JSON differs from everything.
            let recorded = recorded.and_then(|text| serde_json::from_str(&text).ok());
            if recorded.is_some_and(|recorded| timeless(recorded) == timeless(value.clone())) {
                return Ok(false);
            }
            change
                .execute(
                    "INSERT OR REPLACE INTO objects VALUES (?1, ?2, ?3)",
                    params![name, time::stamp((self.clock)()), value.to_string()],
                )
                .map_err(failed(action))?;
            self.seal_in(change, SealedTable::Status, name)?;
            looked.map(|at| keep_look_in(change, name, at)).transpose().map_err(failed(action))?;
            Ok(true)
        })?;
        if let Some(at) = looked.filter(|_| !is_new) {
            self.keep_look(name, at)?;
        }
        Ok(is_new)
    }

    /// The object as last recorded. A row that somebody else wrote counts as missing.
    ///
    /// # Errors
    /// SQLite's error, or [`StoreError::Unreadable`](super::StoreError::Unreadable).
    pub fn object(&self, name: &str) -> Result<Option<Object>> {
        let action = "read the status";
        let db = self.db();
        // Read the row and its seal in one transaction: another process may write both.
        let moment = db.unchecked_transaction().map_err(failed(action))?;
        let select = format!("{RECORDED} WHERE name = ?1");
        let found = moment.query_row(&select, [name], recorded).optional().map_err(failed(action))?;
        let found = if_sealed(&moment, self.key.as_ref(), SealedTable::Status, name, found)?;
        found.map(read).transpose()
    }

    /// All objects as last recorded, by name.
    ///
    /// # Errors
    /// As [`object`](Self::object).
    pub fn objects(&self) -> Result<Vec<Object>> {
        let action = "read the status";
        let db = self.db();
        let mut query = db.prepare(&format!("{RECORDED} ORDER BY name")).map_err(failed(action))?;
        let rows = query.query_map([], recorded).map_err(failed(action))?;
        rows.map(|row| read(row.map_err(failed(action))?)).collect()
    }

    /// When the recorded status of each object last changed, by the object's name.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn recorded_at(&self) -> Result<BTreeMap<String, Time>> {
        let action = "read the status";
        let db = self.db();
        let mut query = db.prepare("SELECT name, recorded_at FROM objects").map_err(failed(action))?;
        let rows = query
            .query_map([], |row| Ok((row.get(0)?, time::read(&row.get::<_, String>(1)?)?)))
            .map_err(failed(action))?;
        rows.collect::<rusqlite::Result<_>>().map_err(failed(action))
    }
}

/// An object as recorded, with the time of its last observation.
const RECORDED: &str = "SELECT objects.object, looks.at FROM objects LEFT JOIN looks ON looks.object = name";

fn recorded(row: &Row<'_>) -> rusqlite::Result<(String, Option<Time>)> {
    Ok((row.get(0)?, time::read_option(row.get::<_, Option<String>>(1)?.as_deref())?))
}

fn read((text, looked): (String, Option<Time>)) -> Result<Object> {
    let mut object: Object = serde_json::from_str(&text).map_err(unreadable("status"))?;
    object.status.observed_at = looked;
    Ok(object)
}

/// The time of an observation is kept apart: it changes with each observation.
fn without_look(mut object: Value) -> Value {
    if let Some(status) = object["status"].as_object_mut() {
        status.remove("observedAt");
    }
    object
}

/// The generation of this digest, and whether the digest is the remembered one.
fn next(db: &Connection, object: &str, digest: &str) -> Result<(Generation, bool)> {
    let stored: Option<(i64, String)> = db
        .query_row("SELECT number, digest FROM generations WHERE object = ?1", [object], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()
        .map_err(failed("read the generation"))?;
    Ok(match stored {
        None => (Generation { number: 1, changed: true }, false),
        Some((number, known)) if known == digest => (Generation { number, changed: false }, true),
        Some((number, known)) if rule(&known) != rule(digest) => {
            (Generation { number, changed: false }, false)
        }
        Some((number, _)) => (Generation { number: number + 1, changed: true }, false),
    })
}

/// The rule by which a digest was made: its first part.
fn rule(digest: &str) -> Option<&str> {
    digest.split(':').next()
}

/// The status without the times at which conditions changed: they follow from the rest. Other times (a container's start,
/// the next attempt) are news.
fn timeless(mut value: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.remove("lastTransitionTime");
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    strip(&mut value);
    value
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::json;

    use super::*;
    use crate::store::{RecordFilter, testing};

    #[test]
    fn the_generation_rises_with_the_meaning_and_survives_a_restart() {
        let (home, store) = testing::store();
        let first = Generation { number: 1, changed: true };
        let same = Generation { number: 1, changed: false };
        assert_eq!(store.peek_generation("shop", "v1:sha256:a").unwrap(), 1);
        assert_eq!(store.generation("shop", "v1:sha256:a").unwrap(), first);
        assert_eq!(store.generation("shop", "v1:sha256:a").unwrap(), same);
        assert_eq!(store.generation("bank", "v1:sha256:a").unwrap(), first);
        assert_eq!(store.peek_generation("shop", "v1:sha256:b").unwrap(), 2);
        drop(store);
        let store = Store::open(home.path(), "test".into()).unwrap();
        assert_eq!(store.generation("shop", "v1:sha256:a").unwrap(), same);
        let second = Generation { number: 2, changed: true };
        assert_eq!(store.generation("shop", "v1:sha256:b").unwrap(), second);
        // Back to what it was is a change too.
        assert_eq!(store.generation("shop", "v1:sha256:a").unwrap().number, 3);
    }

    #[test]
    fn another_rule_for_digests_is_not_a_change_of_the_spec() {
        let (_home, store) = testing::store();
        store.generation("shop", "v1:sha256:a").unwrap();
        assert_eq!(store.peek_generation("shop", "v2:sha256:b").unwrap(), 1);
        let kept = Generation { number: 1, changed: false };
        assert_eq!(store.generation("shop", "v2:sha256:b").unwrap(), kept);
        // The new digest is remembered: the next change is seen.
        assert_eq!(store.generation("shop", "v2:sha256:c").unwrap().number, 2);
    }

    #[test]
    fn each_new_generation_is_recorded_once_in_the_trail() {
        let (_home, store) = testing::store();
        for digest in ["v1:sha256:a", "v1:sha256:a", "v1:sha256:b", "v2:sha256:c"] {
            store.generation("shop", digest).unwrap();
        }
        let records = store.records(&RecordFilter::default()).unwrap();
        let records: Vec<_> =
            records.iter().map(|r| (r.kind.as_str(), r.object.as_deref(), &r.evidence)).collect();
        let (first, second) = (
            json!({ "generation": 1, "specDigest": "v1:sha256:a" }),
            json!({ "generation": 2, "specDigest": "v1:sha256:b" }),
        );
        let kind = "ManifestChanged";
        assert_eq!(records, [(kind, Some("shop"), &first), (kind, Some("shop"), &second)]);
    }

    #[test]
    fn a_generation_whose_record_cannot_be_written_is_not_stored() {
        let (home, store) = testing::store();
        store.generation("shop", "v1:sha256:a").unwrap();
        // As in a crash, the full disk stops the change between the two writes.
        let full =
            "CREATE TRIGGER full BEFORE INSERT ON trail BEGIN SELECT RAISE(FAIL, 'the disk is full'); END";
        testing::raw(home.path()).execute_batch(full).unwrap();
        store.generation("shop", "v1:sha256:b").unwrap_err();
        testing::raw(home.path()).execute_batch("DROP TRIGGER full").unwrap();
        let second = Generation { number: 2, changed: true };
        assert_eq!(store.generation("shop", "v1:sha256:b").unwrap(), second, "it is new still");
        assert_eq!(store.records(&RecordFilter::default()).unwrap().len(), 2, "and is told");
        assert!(store.verify().unwrap().is_whole());
    }

    #[test]
    fn a_status_is_written_only_where_more_than_times_differ() {
        let (_home, store) = testing::store();
        let mut object = crate::store::testing::object();
        assert!(store.save_object(&object).unwrap());
        assert_eq!(store.object("ai-backoffice").unwrap().as_ref(), Some(&object));
        let since = store.recorded_at().unwrap()["ai-backoffice"];

        let known = object.clone();
        object.status.conditions[0].last_transition_time += TimeDelta::hours(1);
        assert!(!store.save_object(&object).unwrap());
        assert_eq!(store.objects().unwrap(), [known]);
        assert_eq!(store.recorded_at().unwrap()["ai-backoffice"], since);

        object.status.conditions[0].message = "another".into();
        assert!(store.save_object(&object).unwrap());
        assert_eq!(store.objects().unwrap(), [object]);
        assert!(store.recorded_at().unwrap()["ai-backoffice"] > since);
    }

    #[test]
    fn objects_come_by_name() {
        let (_home, store) = testing::store();
        for name in ["shop", "bank", "mail"] {
            let mut object = crate::store::testing::object();
            object.declared.metadata.name = name.into();
            store.save_object(&object).unwrap();
        }
        let names: Vec<_> =
            store.objects().unwrap().into_iter().map(|object| object.declared.metadata.name).collect();
        assert_eq!(names, ["bank", "mail", "shop"]);
        assert_eq!(store.object("none").unwrap(), None);
    }
}

//! The public keys that signed the trail's checkpoints, so that these can be verified after the folder's key was replaced, and
//! by users who may not read it.
//!
//! The table proves nothing: who writes the database can add a key. It cannot make the true key accept another trail, and `audit
//! verify` names every key but the first.

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::{
    Store,
    contradiction::Contradiction,
    error::{Result, failed},
    steps::signed,
    trail::number,
    tree::origin_in,
};
use crate::tlog::{key::VerifierKey, note::SignedNote};

/// A public key that is on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedKey {
    /// How many records the first checkpoint covers that it signed.
    pub since: u64,
    /// The key.
    pub key: VerifierKey,
}

const READ: &str = "read the keys of the checkpoints";

impl Store {
    /// The public keys on record, in the order in which they were in use.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn recorded_keys(&self) -> Result<Vec<RecordedKey>> {
        keys_in(&self.db()).map_err(failed(READ))
    }

    /// Records the folder's key in a state of schema 10, which kept none: from the first checkpoint on that it has signed.
    pub(super) fn record_key_of_older_in(&self, change: &Transaction<'_>) -> Result<()> {
        let Some(key) = self.verifiers_in(change)?.into_iter().next() else { return Ok(()) };
        let checkpoints = super::checkpoints::checkpoints_in(change).map_err(failed(READ))?;
        let first = checkpoints
            .into_iter()
            .find(|(_, note)| note.parse::<SignedNote>().is_ok_and(|note| note.verify(&key).is_ok()));
        first.map_or(Ok(()), |(size, _)| record_key_in(change, size, &key)).map_err(failed(READ))
    }
}

/// The keys on record of this trail, oldest first. One that cannot be read, or is of another trail, verifies nothing.
pub(super) fn keys_in(db: &Connection) -> rusqlite::Result<Vec<RecordedKey>> {
    let Some(origin) = origin_in(db)? else { return Ok(Vec::new()) };
    let mut query = db.prepare_cached("SELECT since, key FROM checkpoint_keys ORDER BY since")?;
    let rows = query.query_map([], |row| Ok((number(row.get(0)?), row.get::<_, String>(1)?)))?;
    let rows: Vec<(u64, String)> = rows.collect::<rusqlite::Result<_>>()?;
    let keys =
        rows.into_iter().filter_map(|(since, key)| Some(RecordedKey { since, key: key.parse().ok()? }));
    Ok(keys.filter(|recorded| recorded.key.name().as_str() == origin).collect())
}

/// The last key on record.
pub(super) fn last_key_in(db: &Connection) -> rusqlite::Result<Option<VerifierKey>> {
    let mut query = db.prepare_cached("SELECT key FROM checkpoint_keys ORDER BY since DESC LIMIT 1")?;
    let key: Option<String> = query.query_row([], |row| row.get(0)).optional()?;
    Ok(key.and_then(|key| key.parse().ok()))
}

/// The keys on record that signed no checkpoint from where they are said to be in use, and an origin that is missing.
pub(super) fn contradictions_in(db: &Connection) -> rusqlite::Result<Vec<Contradiction>> {
    let select =
        "SELECT since, checkpoint_keys.key, note FROM checkpoint_keys LEFT JOIN checkpoints ON size = since";
    let mut query = db.prepare_cached(select)?;
    let rows = query.query_map([], |row| {
        Ok((number(row.get(0)?), row.get::<_, String>(1)?, row.get::<_, Option<String>>(2)?))
    })?;
    let mut found = Vec::new();
    for row in rows {
        let (since, key, note) = row?;
        let note = note.and_then(|note| note.parse::<SignedNote>().ok());
        let is_its =
            key.parse::<VerifierKey>().is_ok_and(|key| note.is_some_and(|note| note.verify(&key).is_ok()));
        let row = format!("the checkpoint of {since} records");
        let contradiction =
            Contradiction { table: "checkpoint_keys", row, field: "the key", shown: key, recorded: None };
        found.extend((!is_its).then_some(contradiction));
    }
    let checkpoints: u64 =
        db.query_row("SELECT count(*) FROM checkpoints", [], |row| row.get(0).map(number))?;
    if checkpoints > 0 && origin_in(db)?.is_none() {
        let (row, shown) = ("the trail".to_owned(), "none".to_owned());
        let field = "the origin";
        found.push(Contradiction { table: "trail_origin", row, field, shown, recorded: None });
    }
    Ok(found)
}

/// Records the key that signs the checkpoint of this size, if the last one was another.
pub(super) fn record_key_in(change: &Transaction<'_>, size: u64, key: &VerifierKey) -> rusqlite::Result<()> {
    if last_key_in(change)?.as_ref() == Some(key) {
        return Ok(());
    }
    let insert = "INSERT INTO checkpoint_keys VALUES (?1, ?2)";
    change.execute(insert, params![signed(size), key.to_string()]).map(drop)
}

#[cfg(test)]
#[path = "checkpoint_keys_tests.rs"]
mod tests;

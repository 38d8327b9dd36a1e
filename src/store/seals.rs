//! Seals: what decisions rest on and no record tells is bound to the key of the state folder.
//!
//! A seal is an HMAC-SHA-256 over all that a row holds, written in the transaction that writes the row. Who may write the database
//! and may not read the key can make none. A row without its seal counts as not there: see [`agreement`](super::agreement).
//! An older row that is put back together with its own seal is not found by that.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    DigestKey, Store,
    error::{Result, failed},
};

const ACTION: &str = "seal a row of the state";

/// A table whose rows are sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SealedTable {
    /// The recorded statuses: which containers were verified.
    Status,
    /// The incidents: what one that is over found, and would be rolled back to.
    Incident,
    /// What is known of images: what undrift built each from.
    Image,
    /// What the last verified state was resolved from.
    VerifiedFrom,
    /// The engine that an object was seen on.
    Engine,
}

/// What a table is read by.
struct TableShape {
    table: &'static str,
    key: &'static str,
    columns: &'static str,
    /// The rows that decisions about the object `?1` may rest on; all where that is null.
    which: &'static str,
}

/// A row that is not as undrift wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unsealed {
    pub(super) of: SealedTable,
    /// By which the row is found in its table.
    pub(super) key: String,
    /// Whether it is its seal alone that is left.
    pub(super) gone: bool,
}

impl SealedTable {
    const ALL: [Self; 5] = [Self::Status, Self::Incident, Self::Image, Self::VerifiedFrom, Self::Engine];

    const fn shape(self) -> TableShape {
        let (table, key, columns, which) = match self {
            Self::Status => ("objects", "name", "recorded_at, object", "?1 IS NULL OR name = ?1"),
            Self::Incident => (
                "incidents",
                "id",
                "object, opened_at, closed_at, outcome, drift, before, after, occurrences, since, since_seq, earlier",
                // The last two, of which one may be open, and whatever else somebody has opened.
                "?1 IS NULL OR object = ?1 AND closed_at IS NULL OR incidents.rowid IN
                 (SELECT rowid FROM incidents WHERE object = ?1 ORDER BY rowid DESC LIMIT 2)",
            ),
            Self::Image => (
                "images",
                "id",
                "reference, source_digest, built_by_undrift, last_good_at",
                "?1 IS NULL OR 1",
            ),
            Self::VerifiedFrom => ("verified_from", "object", "digests", "?1 IS NULL OR object = ?1"),
            Self::Engine => ("engines", "object", "id, endpoint", "?1 IS NULL OR object = ?1"),
        };
        TableShape { table, key, columns, which }
    }
}

impl Store {
    /// Seals a row as it stands now; one that is gone has no seal any more.
    pub(super) fn seal_in(&self, change: &Connection, of: SealedTable, key: &str) -> Result<()> {
        seal_in(change, self.key.as_ref(), of, key)
    }
}

#[cfg(test)]
impl Store {
    /// Seals what a test has written past the store.
    pub(crate) fn seal_all(&self) {
        self.write(ACTION, |change| seal_all_in(change, self.key.as_ref().unwrap())).unwrap();
    }
}

/// [`Store::seal_in`], under this key. Without one, which no store that writes lacks, nothing is sealed.
pub(super) fn seal_in(
    change: &Connection,
    digest_key: Option<&DigestKey>,
    of: SealedTable,
    key: &str,
) -> Result<()> {
    let Some(digest_key) = digest_key else { return Ok(()) };
    let TableShape { table, .. } = of.shape();
    match content_in(change, of, key)? {
        Some(content) => change.execute(
            "INSERT OR REPLACE INTO seals VALUES (?1, ?2, ?3)",
            params![table, key, seal(digest_key, table, &content)],
        ),
        None => {
            change.execute("DELETE FROM seals WHERE table_name = ?1 AND row_key = ?2", params![table, key])
        }
    }
    .map(drop)
    .map_err(failed(ACTION))
}

/// Seals all rows as they stand: those that were written before there were seals.
pub(super) fn seal_all_in(change: &Connection, digest_key: &DigestKey) -> Result<()> {
    for of in SealedTable::ALL {
        let TableShape { table, key, .. } = of.shape();
        let keys: Vec<String> = {
            let mut query = change.prepare(&format!("SELECT {key} FROM {table}")).map_err(failed(ACTION))?;
            let rows = query.query_map([], |row| row.get(0)).map_err(failed(ACTION))?;
            rows.collect::<rusqlite::Result<_>>().map_err(failed(ACTION))?
        };
        keys.iter().try_for_each(|key| seal_in(change, Some(digest_key), of, key))?;
    }
    Ok(())
}

/// Whether the row is there and as undrift wrote it; `None` where it is not there.
pub(super) fn is_sealed_in(
    db: &Connection,
    digest_key: &DigestKey,
    of: SealedTable,
    key: &str,
) -> Result<Option<bool>> {
    let TableShape { table, .. } = of.shape();
    let Some(content) = content_in(db, of, key)? else { return Ok(None) };
    let select = "SELECT seal FROM seals WHERE table_name = ?1 AND row_key = ?2";
    let found: Option<String> =
        db.query_row(select, params![table, key], |row| row.get(0)).optional().map_err(failed(ACTION))?;
    Ok(Some(found.as_deref() == Some(seal(digest_key, table, &content).as_str())))
}

/// What was read of a row, where undrift wrote that. Decisions rest on a moment after the one in which the rows were held against
/// their seals, and what somebody writes in between must not be sealed with what is written next.
pub(super) fn if_sealed<T>(
    db: &Connection,
    digest_key: Option<&DigestKey>,
    of: SealedTable,
    key: &str,
    found: Option<T>,
) -> Result<Option<T>> {
    match (found, digest_key) {
        (Some(found), Some(digest_key)) => {
            Ok((is_sealed_in(db, digest_key, of, key)? == Some(true)).then_some(found))
        }
        // A reader who may not read the key has nothing to tell it by.
        (found, _) => Ok(found),
    }
}

/// The rows that are not as undrift wrote them: of those that decisions about this object may rest on, or of all. A row that is
/// gone is missed by its seal, and only where all are asked for.
pub(super) fn unsealed_in(
    db: &Connection,
    digest_key: &DigestKey,
    object: Option<&str>,
) -> Result<Vec<Unsealed>> {
    let mut found = Vec::new();
    for of in SealedTable::ALL {
        found.extend(altered_in(db, digest_key, of, object)?);
        if object.is_none() {
            found.extend(gone_in(db, of)?);
        }
    }
    Ok(found)
}

fn altered_in(
    db: &Connection,
    digest_key: &DigestKey,
    of: SealedTable,
    object: Option<&str>,
) -> Result<Vec<Unsealed>> {
    let TableShape { table, key, columns, which } = of.shape();
    let select = format!(
        "SELECT {key}, json_array({key}, {columns}), seal
         FROM {table} LEFT JOIN seals ON table_name = '{table}' AND row_key = {key} WHERE {which}"
    );
    let mut query = db.prepare_cached(&select).map_err(failed(ACTION))?;
    let rows = query
        .query_map([object], |row| {
            let (key, content): (String, String) = (row.get(0)?, row.get(1)?);
            let found: Option<String> = row.get(2)?;
            let is_whole = found.as_deref() == Some(seal(digest_key, table, &content).as_str());
            Ok((!is_whole).then_some(Unsealed { of, key, gone: false }))
        })
        .map_err(failed(ACTION))?;
    rows.filter_map(Result::transpose).collect::<rusqlite::Result<_>>().map_err(failed(ACTION))
}

fn gone_in(db: &Connection, of: SealedTable) -> Result<Vec<Unsealed>> {
    let TableShape { table, key, .. } = of.shape();
    let select = format!(
        "SELECT row_key FROM seals WHERE table_name = '{table}'
         AND NOT EXISTS (SELECT 1 FROM {table} WHERE {key} = row_key) ORDER BY row_key"
    );
    let mut query = db.prepare_cached(&select).map_err(failed(ACTION))?;
    let rows = query.query_map([], |row| Ok(Unsealed { of, key: row.get(0)?, gone: true }));
    rows.map_err(failed(ACTION))?.collect::<rusqlite::Result<_>>().map_err(failed(ACTION))
}

fn content_in(db: &Connection, of: SealedTable, key: &str) -> Result<Option<String>> {
    let TableShape { table, key: by, columns, .. } = of.shape();
    let select = format!("SELECT json_array({by}, {columns}) FROM {table} WHERE {by} = ?1");
    let mut query = db.prepare_cached(&select).map_err(failed(ACTION))?;
    query.query_row([key], |row| row.get(0)).optional().map_err(failed(ACTION))
}

fn seal(digest_key: &DigestKey, table: &str, content: &str) -> String {
    digest_key.digest(&format!("a row of {table}"), content.as_bytes())
}

#[cfg(test)]
#[path = "seals_tests.rs"]
mod tests;

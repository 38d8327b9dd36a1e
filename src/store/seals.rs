//! Seals: rows that decisions rest on and no record covers are bound to the key of the state folder.
//!
//! A seal is an HMAC-SHA-256 over the whole row, written in the transaction that writes the row. A user who may write the
//! database but not read the key cannot make one. A row without its seal counts as missing: see [`agreement`](super::agreement).
//! Seals do not detect an older row that is restored together with its own seal.

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
    /// The incidents: what a closed one found, and would be rolled back to.
    Incident,
    /// The knowledge of images: what undrift built each from.
    Image,
    /// The source of the last verified state.
    VerifiedFrom,
    /// The engine that an object was seen on.
    Engine,
    /// The stored sum of the trail.
    Ledger,
    /// The last valid declarations: what a daemon acts on beside a manifest that is not valid.
    Declaration,
    /// What is wrong with manifests.
    ManifestFault,
}

/// How a table is read.
struct TableShape {
    table: &'static str,
    key: &'static str,
    columns: &'static str,
    /// The rows that decisions about the object `?1` may rest on.
    which: &'static str,
}

/// Which rows to compare with their seals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows<'o> {
    /// All of them.
    All,
    /// Those that decisions may rest on: of incidents the last two of each object, and the open ones.
    OfDecisions,
    /// Those that decisions about this object may rest on.
    Of(&'o str),
}

/// The incidents that decisions may rest on. The names of the objects are looked up one after the other: a year has a hundred
/// thousand incidents of a few of them.
const LAST_INCIDENTS: &str = "?1 IS NULL AND incidents.rowid IN (
    WITH RECURSIVE named (name) AS (
        SELECT min(object) FROM incidents
        UNION ALL SELECT (SELECT min(object) FROM incidents WHERE object > name) FROM named WHERE name IS NOT NULL)
    SELECT rowid FROM incidents WHERE closed_at IS NULL
    UNION ALL SELECT last.rowid FROM named JOIN incidents AS last ON last.rowid IN
        (SELECT rowid FROM incidents WHERE object = name ORDER BY rowid DESC LIMIT 2))";

/// A row that differs from what undrift wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unsealed {
    pub(super) of: SealedTable,
    /// The key of the row in its table.
    pub(super) key: String,
    /// Whether only its seal is left.
    pub(super) gone: bool,
}

impl SealedTable {
    const ALL: [Self; 8] = [
        Self::Status,
        Self::Incident,
        Self::Image,
        Self::VerifiedFrom,
        Self::Engine,
        Self::Ledger,
        Self::Declaration,
        Self::ManifestFault,
    ];

    const fn shape(self) -> TableShape {
        let (table, key, columns, which) = match self {
            Self::Status => ("objects", "name", "recorded_at, object", "name = ?1"),
            Self::Incident => (
                "incidents",
                "id",
                // Packed evidence counts in the place of `before`, which is empty then.
                "object, opened_at, closed_at, outcome, drift, iif(evidence IS NULL, before, hex(evidence) || ' ' || before), after,
                 occurrences, since, since_seq, earlier",
                // The last two, of which one may be open, and any others that somebody has opened.
                "incidents.rowid IN
                 (SELECT rowid FROM incidents WHERE object = ?1 AND closed_at IS NULL UNION ALL SELECT * FROM
                  (SELECT rowid FROM incidents WHERE object = ?1 ORDER BY rowid DESC LIMIT 2))",
            ),
            Self::Image => (
                "images",
                "id",
                "reference, source_digest, built_by_undrift, last_good_at",
                "?1 IS NOT NULL",
            ),
            Self::VerifiedFrom => ("verified_from", "object", "digests", "object = ?1"),
            Self::Engine => ("engines", "object", "id, endpoint", "object = ?1"),
            // It is checked where it is read.
            Self::Ledger => ("ledgers", "id", "seq, hash, ledger", "?1 IS NULL"),
            Self::Declaration => ("declarations", "object", "declared", "object = ?1"),
            Self::ManifestFault => ("manifest_faults", "object", "since, fault", "object = ?1"),
        };
        TableShape { table, key, columns, which }
    }
}

impl Store {
    /// Seals a row as it is now; removes the seal of a row that is gone.
    pub(super) fn seal_in(&self, change: &Connection, of: SealedTable, key: &str) -> Result<()> {
        seal_in(change, self.key.as_ref(), of, key)
    }
}

#[cfg(test)]
impl Store {
    /// Seals what a test wrote behind the store's back.
    pub(crate) fn seal_all(&self) {
        self.write(ACTION, |change| seal_all_in(change, self.key.as_ref().unwrap())).unwrap();
    }
}

/// [`Store::seal_in`], under this key. Seals nothing without one, which every store that writes has.
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

/// Seals all rows as they are: those written before seals existed.
pub(super) fn seal_all_in(change: &Connection, digest_key: &DigestKey) -> Result<()> {
    seal_tables_in(change, digest_key, &SealedTable::ALL)
}

/// Seals the rows of these tables as they are.
pub(super) fn seal_tables_in(
    change: &Connection,
    digest_key: &DigestKey,
    tables: &[SealedTable],
) -> Result<()> {
    for of in tables.iter().copied() {
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

/// Whether the row exists and is as undrift wrote it; `None` if it does not exist.
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

/// The row that was read, if undrift wrote it. Decisions rest on a moment after the rows were compared with their seals, and the
/// next write must not seal what somebody wrote in between.
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
        // A reader that may not read the key has nothing to check it with.
        (found, _) => Ok(found),
    }
}

/// The rows that differ from what undrift wrote. Its seal reveals a missing row, but not if only those of one object are
/// requested.
pub(super) fn unsealed_in(db: &Connection, digest_key: &DigestKey, rows: Rows<'_>) -> Result<Vec<Unsealed>> {
    let mut found = Vec::new();
    for of in SealedTable::ALL {
        found.extend(altered_in(db, digest_key, of, rows)?);
        if !matches!(rows, Rows::Of(_)) {
            found.extend(gone_in(db, of)?);
        }
    }
    Ok(found)
}

fn altered_in(
    db: &Connection,
    digest_key: &DigestKey,
    of: SealedTable,
    rows: Rows<'_>,
) -> Result<Vec<Unsealed>> {
    let TableShape { table, key, columns, which } = of.shape();
    let (which, object) = match rows {
        Rows::Of(object) => (which, Some(object)),
        Rows::OfDecisions if of == SealedTable::Incident => (LAST_INCIDENTS, None),
        Rows::All | Rows::OfDecisions => ("?1 IS NULL", None),
    };
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

//! Whether the file itself is intact: its pages, its indexes, and the values in its tables.

use rusqlite::{Connection, ErrorCode};
use serde::de::IgnoredAny;

use super::{
    error::{Result, failed},
    incident_evidence::EvidenceTexts,
};
use crate::api::{Attempt, Object};

/// How many faults to report: one is enough to act on, and a thoroughly damaged file has thousands.
const MOST: usize = 10;

/// The faults of the file, each as a sentence; empty if it is intact.
///
/// SQLite reads every page and compares every index with its table. It cannot know whether a text is one that undrift
/// writes, so this checks that as well.
pub(super) fn faults(db: &Connection) -> Result<Vec<String>> {
    let found = match pages(db) {
        Err(error) if is_damage(&error) => vec![error.to_string()],
        found => found.map_err(failed("check the state's file"))?,
    };
    let found: Vec<String> =
        found.iter().map(|fault| format!("the file state.db is damaged: {fault}")).collect();
    if found.is_empty() { unreadable(db) } else { Ok(found) }
}

fn pages(db: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut query = db.prepare(&format!("PRAGMA integrity_check({MOST})"))?;
    let found: Vec<String> = query.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    // One message may have several lines.
    let lines = found.iter().flat_map(|fault| fault.lines()).filter(|line| *line != "ok");
    Ok(lines.map(str::to_owned).take(MOST).collect())
}

/// Whether SQLite finds the file corrupt.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// A column of JSON: the name of a row, how to read it, and how to validate a text.
type Column = (&'static str, &'static str, fn(&str) -> bool);

const COLUMNS: [Column; 5] = [
    ("the status of", "SELECT name, object FROM objects", is::<Object>),
    ("an attempt of", "SELECT object, attempt FROM attempts", is::<Attempt>),
    ("the drift of incident", "SELECT id, drift FROM incidents", is::<IgnoredAny>),
    (
        "the evidence from before incident",
        "SELECT id, before FROM incidents WHERE evidence IS NULL",
        is::<IgnoredAny>,
    ),
    (
        "the evidence from after incident",
        "SELECT id, after FROM incidents WHERE after IS NOT NULL",
        is::<IgnoredAny>,
    ),
];

fn is<T: serde::de::DeserializeOwned>(text: &str) -> bool {
    serde_json::from_str::<T>(text).is_ok()
}

/// The incidents whose packed evidence cannot be read.
fn unreadable_evidence(db: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut query = db.prepare("SELECT id, evidence FROM incidents WHERE evidence IS NOT NULL")?;
    let mut rows = query.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        if row.get_ref(1)?.as_blob().map_or(true, |packed| EvidenceTexts::unpack(packed).is_err()) {
            found.push(format!("the evidence of incident {} cannot be read", row.get::<_, String>(0)?));
        }
    }
    Ok(found)
}

fn unreadable(db: &Connection) -> Result<Vec<String>> {
    let action = "read the state's tables";
    let mut found = Vec::new();
    for (what, select, is_readable) in COLUMNS {
        let mut query = db.prepare(select).map_err(failed(action))?;
        let rows = query.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)));
        for row in rows.map_err(failed(action))? {
            let (name, text) = row.map_err(failed(action))?;
            if !is_readable(&text) {
                found.push(format!("{what} {name} cannot be read"));
            }
        }
    }
    found.extend(unreadable_evidence(db).map_err(failed(action))?);
    found.truncate(MOST);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::unix::fs::FileExt as _};

    use crate::store::{Store, Verification, testing};

    const PAGE: u64 = 4096;

    /// A state whose tables each have a row, all of it in the file, and the first page of this table.
    fn at_rest(table: &str) -> (tempfile::TempDir, u64) {
        let (home, store) = testing::store();
        store.save_object(&testing::object()).unwrap();
        store.generation("ai-backoffice", "v1:sha256:a").unwrap();
        store.suspend("ai-backoffice", None, "a migration").unwrap();
        drop(store);
        let db = testing::raw(home.path());
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        let select = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
        let page: i64 = db.query_row(select, [table], |row| row.get(0)).unwrap();
        (home, u64::try_from(page).unwrap())
    }

    fn found(home: &std::path::Path) -> Vec<String> {
        match Store::open_read_only(home).unwrap().unwrap().verify().unwrap() {
            Verification::Differs { what, records: 2, .. } => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_damaged_page_of_any_table_or_index_is_found() {
        for table in ["objects", "suspensions", "attempts", "images", "looks", "trail_object", "cache"] {
            for bytes in [[0_u8; 64], [0xff; 64]] {
                let (home, page) = at_rest(table);
                let file = File::options().write(true).open(home.path().join("state.db")).unwrap();
                file.write_all_at(&bytes, (page - 1) * PAGE).unwrap();
                let found = found(home.path());
                assert!(found[0].contains("state.db is damaged"), "{table}: {found:?}");
            }
        }
    }

    #[test]
    fn a_text_that_is_no_status_is_found() {
        let (home, _) = at_rest("objects");
        testing::raw(home.path()).execute("UPDATE objects SET object = '{}'", []).unwrap();
        assert_eq!(found(home.path()), ["the status of ai-backoffice cannot be read"]);
    }
}

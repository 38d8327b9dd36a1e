//! Attempts: they persist the budget, so that a restart forgets neither backoff nor giving up.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{
    Store,
    error::{Result, failed, unreadable},
};
use crate::api::{Attempt, NewRecord};

/// The attempts at this object's drifts, read within a larger transaction or alone.
pub(super) fn attempts_in(db: &Connection, object: &str) -> Result<Vec<Attempt>> {
    let action = "read the attempts";
    let mut query = db
        .prepare_cached(
            "SELECT attempt FROM attempts WHERE object = ?1
             ORDER BY service, layer, reason, source_digest",
        )
        .map_err(failed(action))?;
    let rows = query.query_map([object], |row| row.get::<_, String>(0)).map_err(failed(action))?;
    rows.map(|text| serde_json::from_str(&text.map_err(failed(action))?).map_err(unreadable("attempt")))
        .collect()
}

/// Those of them that can be parsed.
pub(super) fn readable_attempts_in(db: &Connection, object: &str) -> Result<Vec<Attempt>> {
    let action = "read the attempts";
    let mut query =
        db.prepare_cached("SELECT attempt FROM attempts WHERE object = ?1").map_err(failed(action))?;
    let mut rows = query.query([object]).map_err(failed(action))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(failed(action))? {
        let text: String = row.get(0).map_err(failed(action))?;
        found.extend(serde_json::from_str::<Attempt>(&text).ok());
    }
    Ok(found)
}

/// A row of the table, with its key.
pub(super) struct StoredAttempt {
    pub(super) object: String,
    pub(super) service: String,
    /// `None` if it cannot be parsed.
    pub(super) attempt: Option<Attempt>,
    /// Whether the key is that of the attempt.
    pub(super) is_of_its_row: bool,
}

/// All rows.
pub(super) fn attempts_as_stored_in(db: &Connection) -> Result<Vec<StoredAttempt>> {
    let action = "read the attempts";
    let select = "SELECT object, service, layer, reason, source_digest, attempt FROM attempts ORDER BY 1, 2";
    let mut query = db.prepare_cached(select).map_err(failed(action))?;
    let rows = query.query_map([], |row| {
        let columns: [String; 5] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?];
        let attempt: Option<Attempt> = serde_json::from_str(&row.get::<_, String>(5)?).ok();
        let is_of_its_row = attempt.as_ref().is_some_and(|attempt| key(attempt) == columns);
        let [object, service, ..] = columns;
        Ok(StoredAttempt { object, service, attempt, is_of_its_row })
    });
    rows.map_err(failed(action))?.collect::<rusqlite::Result<_>>().map_err(failed(action))
}

/// [`save_attempt`](Store::save_attempt), as part of a larger transaction.
pub(super) fn save_attempt_in(change: &Transaction<'_>, attempt: &Attempt) -> Result<()> {
    let (text, [object, service, layer, reason, source]) = (text(attempt)?, key(attempt));
    change
        .execute(
            "INSERT OR REPLACE INTO attempts VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            [object, service, layer, reason, source, &text],
        )
        .map(drop)
        .map_err(failed("record an attempt"))
}

/// [`update_attempt`](Store::update_attempt), as part of a larger transaction.
pub(super) fn update_attempt_in(change: &Transaction<'_>, attempt: &Attempt) -> Result<()> {
    let (text, [object, service, layer, reason, source]) = (text(attempt)?, key(attempt));
    change
        .execute(
            "UPDATE attempts SET attempt = ?6 WHERE object = ?1 AND service = ?2 AND layer = ?3
             AND reason = ?4 AND source_digest = ?5",
            [object, service, layer, reason, source, &text],
        )
        .map(drop)
        .map_err(failed("record an attempt"))
}

fn text(attempt: &Attempt) -> Result<String> {
    serde_json::to_string(attempt).map_err(unreadable("attempt"))
}

/// The columns that identify a row.
fn key(attempt: &Attempt) -> [&str; 5] {
    [
        &attempt.object,
        &attempt.service,
        attempt.layer.as_str(),
        attempt.reason.as_str(),
        attempt.source_digest.as_deref().unwrap_or_default(),
    ]
}

impl Store {
    /// The attempts at this object's drifts.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn attempts(&self, object: &str) -> Result<Vec<Attempt>> {
        attempts_in(&self.db(), object)
    }

    /// Records the attempts at one drift; replaces those of the same drift and source.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn save_attempt(&self, attempt: &Attempt) -> Result<()> {
        self.write("record an attempt", |change| save_attempt_in(change, attempt))
    }

    /// Appends a record together with the state of the attempts that it covers; see
    /// [`update_attempt`](Self::update_attempt).
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn append_with(&self, record: &NewRecord, rows: &[Attempt]) -> Result<()> {
        self.write("record an attempt", |change| {
            rows.iter().try_for_each(|row| update_attempt_in(change, row))?;
            self.append_in(change, record).map(drop)
        })
    }

    /// Updates attempts that are already recorded. An attempt that was forgotten meanwhile, because a person ran `retry`,
    /// stays forgotten; an unchanged one is not written.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn update_attempt(&self, attempt: &Attempt) -> Result<()> {
        let recorded: Option<String> = self
            .db()
            .query_row(
                "SELECT attempt FROM attempts WHERE object = ?1 AND service = ?2 AND layer = ?3 AND reason = ?4
                 AND source_digest = ?5",
                key(attempt),
                |row| row.get(0),
            )
            .optional()
            .map_err(failed("record an attempt"))?;
        let text = text(attempt)?;
        if recorded.is_none_or(|recorded| recorded == text) {
            return Ok(());
        }
        self.write("record an attempt", |change| update_attempt_in(change, attempt))
    }

    /// Forgets these attempts in one transaction; leaves others as they are.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn forget_attempts(&self, rows: &[&Attempt]) -> Result<()> {
        let action = "forget attempts";
        self.write(action, |change| {
            for row in rows {
                change
                    .execute(
                        "DELETE FROM attempts WHERE object = ?1 AND service = ?2 AND layer = ?3 AND reason = ?4
                         AND source_digest = ?5",
                        key(row),
                    )
                    .map_err(failed(action))?;
            }
            Ok(())
        })
    }

    /// Forgets the attempts at the drifts of this service, or of the whole object.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn clear_attempts(&self, object: &str, service: Option<&str>) -> Result<()> {
        self.write("clear the attempts", |change| {
            change
                .execute(
                    "DELETE FROM attempts WHERE object = ?1 AND (?2 IS NULL OR service = ?2)",
                    params![object, service],
                )
                .map(drop)
                .map_err(failed("clear the attempts"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    fn attempt(service: &str, source: Option<&str>, attempts: u32) -> Attempt {
        let (service, source_digest) = (service.into(), source.map(Into::into));
        Attempt { service, source_digest, next_at: Some(testing::start()), ..testing::attempt(attempts) }
    }

    #[test]
    fn attempts_are_counted_by_drift_and_source_and_survive_a_restart() {
        let (home, store) = testing::store();
        for one in [attempt("api", None, 1), attempt("api", None, 2), attempt("api", Some("sha256:a"), 1)] {
            store.save_attempt(&one).unwrap();
        }
        drop(store);
        let store = Store::open(home.path(), "test".into()).unwrap();
        let expected = [attempt("api", None, 2), attempt("api", Some("sha256:a"), 1)];
        assert_eq!(store.attempts("shop").unwrap(), expected);
        assert_eq!(store.attempts("bank").unwrap(), []);
    }

    #[test]
    fn single_rows_are_forgotten_and_no_other() {
        let (_home, store) = testing::store();
        let [old, new] = [attempt("api", Some("sha256:a"), 1), attempt("api", Some("sha256:b"), 1)];
        for one in [&old, &new, &attempt("api", None, 1)] {
            store.save_attempt(one).unwrap();
        }
        store.forget_attempts(&[&old, &attempt("api", None, 9)]).unwrap();
        assert_eq!(store.attempts("shop").unwrap(), [new]);
    }

    #[test]
    fn a_service_or_the_whole_object_is_forgotten() {
        let (_home, store) = testing::store();
        for service in ["api", "db", "web"] {
            store.save_attempt(&attempt(service, None, 1)).unwrap();
        }
        store.clear_attempts("shop", Some("db")).unwrap();
        assert_eq!(store.attempts("shop").unwrap(), [attempt("api", None, 1), attempt("web", None, 1)]);
        store.clear_attempts("bank", None).unwrap();
        assert_eq!(store.attempts("shop").unwrap().len(), 2);
        store.clear_attempts("shop", None).unwrap();
        assert_eq!(store.attempts("shop").unwrap(), []);
    }
}

//! Attempts: the memory of the budget, so that neither backoff nor giving up is forgotten at a restart.

use rusqlite::{OptionalExtension, params};

use super::{
    Store,
    error::{Result, failed, unreadable},
};
use crate::api::Attempt;

impl Store {
    /// The attempts at the drifts of this object.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn attempts(&self, object: &str) -> Result<Vec<Attempt>> {
        let action = "read the attempts";
        let db = self.db();
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

    /// Records the attempts at one drift; the ones of the same drift and source are replaced.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn save_attempt(&self, attempt: &Attempt) -> Result<()> {
        let text = serde_json::to_string(attempt).map_err(unreadable("attempt"))?;
        let row = params![
            attempt.object,
            attempt.service,
            attempt.layer.as_str(),
            attempt.reason.as_str(),
            attempt.source_digest.as_deref().unwrap_or_default(),
            text,
        ];
        self.write("record an attempt", |change| {
            change
                .execute("INSERT OR REPLACE INTO attempts VALUES (?1, ?2, ?3, ?4, ?5, ?6)", row)
                .map(drop)
                .map_err(failed("record an attempt"))
        })
    }

    /// Records how attempts stand that are recorded already. One that was forgotten meanwhile, because a person wants
    /// the object tried anew, stays forgotten; one that stands as it did is not written.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn update_attempt(&self, attempt: &Attempt) -> Result<()> {
        let action = "record an attempt";
        let text = serde_json::to_string(attempt).map_err(unreadable("attempt"))?;
        let key = params![
            attempt.object,
            attempt.service,
            attempt.layer.as_str(),
            attempt.reason.as_str(),
            attempt.source_digest.as_deref().unwrap_or_default(),
        ];
        let recorded: Option<String> = self
            .db()
            .query_row(
                "SELECT attempt FROM attempts WHERE object = ?1 AND service = ?2 AND layer = ?3 AND reason = ?4
                 AND source_digest = ?5",
                key,
                |row| row.get(0),
            )
            .optional()
            .map_err(failed(action))?;
        if recorded.is_none_or(|recorded| recorded == text) {
            return Ok(());
        }
        let row = params![
            text,
            attempt.object,
            attempt.service,
            attempt.layer.as_str(),
            attempt.reason.as_str(),
            attempt.source_digest.as_deref().unwrap_or_default(),
        ];
        self.write(action, |change| {
            change
                .execute(
                    "UPDATE attempts SET attempt = ?1 WHERE object = ?2 AND service = ?3 AND layer = ?4
                     AND reason = ?5 AND source_digest = ?6",
                    row,
                )
                .map(drop)
                .map_err(failed(action))
        })
    }

    /// Forgets these, all at once; others are left as they are.
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
                        params![
                            row.object,
                            row.service,
                            row.layer.as_str(),
                            row.reason.as_str(),
                            row.source_digest.as_deref().unwrap_or_default(),
                        ],
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
    use crate::{
        api::{Layer, Reason},
        store::testing,
    };

    fn attempt(service: &str, source: Option<&str>, attempts: u32) -> Attempt {
        Attempt {
            object: "shop".into(),
            service: service.into(),
            layer: Layer::Artifact,
            reason: Reason::ModuleMissing,
            source_digest: source.map(Into::into),
            generation: 1,
            attempts,
            tried: vec![],
            pending: None,
            last_at: testing::start(),
            next_at: Some(testing::start()),
            gave_up: None,
            healed: false,
        }
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

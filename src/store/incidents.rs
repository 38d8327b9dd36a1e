//! Incidents: at most one is open for each object.

use rusqlite::{Params, Row, named_params, params};
use serde_json::Value;
use ulid::Ulid;

use super::{
    Store,
    error::{Result, StoreError, failed, unreadable},
    time::{read, read_option, stamp},
};
use crate::api::{Incident, IncidentOutcome, NewRecord, Time};

impl Store {
    /// Opens an incident of this object, with a new ULID. Where one is open already, that one is given, as it is:
    /// an object has one at most.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    #[expect(
        clippy::needless_pass_by_value,
        reason = "evidence is made for the store, and is its own from then on"
    )]
    pub fn open_incident(&self, object: &str, at: Time, drift: Value, before: Value) -> Result<Incident> {
        let action = "open an incident";
        self.write(action, |change| {
            change
                .execute(
                    "INSERT INTO incidents (id, object, opened_at, drift, before)
                     VALUES (:id, :object, :at, :drift, :before) ON CONFLICT (object) WHERE closed_at IS NULL
                     DO NOTHING",
                    named_params! {
                        ":id": Ulid::from_datetime(at.into()).to_string(),
                        ":object": object,
                        ":at": stamp(at),
                        ":drift": drift.to_string(),
                        ":before": before.to_string(),
                    },
                )
                .map_err(failed(action))?;
            let select = format!("{SELECT} WHERE object = ?1 AND closed_at IS NULL");
            parse(change.query_row(&select, [object], read_row).map_err(failed(action))?)
        })
    }

    /// Closes an incident, with the evidence that closed it. One that is closed stays as it is.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn close_incident(
        &self,
        id: &str,
        at: Time,
        outcome: IncidentOutcome,
        after: Option<Value>,
    ) -> Result<()> {
        self.write_incident(
            "UPDATE incidents SET closed_at = ?2, outcome = ?3, after = ?4
             WHERE id = ?1 AND closed_at IS NULL",
            params![id, stamp(at), outcome.to_string(), after.map(|after| after.to_string())],
        )
    }

    /// Closes an incident together with the record that tells of it: a kill can leave neither without the other. Where
    /// the incident is closed already nothing is written.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    #[expect(
        clippy::needless_pass_by_value,
        reason = "evidence is made for the store, and is its own from then on"
    )]
    pub fn end_incident(
        &self,
        id: &str,
        at: Time,
        outcome: IncidentOutcome,
        after: Option<Value>,
        record: &NewRecord,
    ) -> Result<()> {
        let action = "end an incident";
        self.write(action, |change| {
            let row = params![id, stamp(at), outcome.to_string(), after.as_ref().map(Value::to_string)];
            let sql = "UPDATE incidents SET closed_at = ?2, outcome = ?3, after = ?4
                       WHERE id = ?1 AND closed_at IS NULL";
            if change.execute(sql, row).map_err(failed(action))? == 1 {
                self.append_in(change, record)?;
            }
            Ok(())
        })
    }

    /// Replaces the evidence from before the first step.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    #[expect(
        clippy::needless_pass_by_value,
        reason = "evidence is made for the store, and is its own from then on"
    )]
    pub fn set_incident_before(&self, id: &str, before: Value) -> Result<()> {
        let before = before.to_string();
        self.write_incident("UPDATE incidents SET before = ?2 WHERE id = ?1", params![id, before])
    }

    /// The object's open incident.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn current_incident(&self, object: &str) -> Result<Option<Incident>> {
        Ok(self.select_incidents("WHERE object = ?1 AND closed_at IS NULL", [object])?.pop())
    }

    /// The object's latest incident, open or closed.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn last_incident(&self, object: &str) -> Result<Option<Incident>> {
        // By the order in which they were opened: a clock that is set back shows an older time for a later one.
        let latest = "WHERE object = ?1 ORDER BY rowid DESC LIMIT 1";
        Ok(self.select_incidents(latest, [object])?.pop())
    }

    /// The object's incident that was opened last of those that are closed, if it was closed after that time.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn incident_closed_since(&self, object: &str, since: Time) -> Result<Option<Incident>> {
        let latest = "WHERE object = ?1 AND closed_at > ?2 ORDER BY rowid DESC LIMIT 1";
        Ok(self.select_incidents(latest, [object, &stamp(since)])?.pop())
    }

    /// The incident of this ID, or of this beginning of one, in any case.
    ///
    /// # Errors
    /// [`StoreError::AmbiguousIncident`] where several begin so; what SQLite says.
    pub fn incident(&self, prefix: &str) -> Result<Option<Incident>> {
        let id = prefix.to_ascii_uppercase();
        let mut found = self.select_incidents("WHERE substr(id, 1, length(?1)) = ?1 AND ?1 <> ''", [&id])?;
        match found.len() {
            0 | 1 => Ok(found.pop()),
            count => Err(StoreError::AmbiguousIncident { prefix: prefix.into(), count }),
        }
    }

    /// The incidents of this object, or of all, newest first.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn incidents(&self, object: Option<&str>) -> Result<Vec<Incident>> {
        self.select_incidents("WHERE ?1 IS NULL OR object = ?1 ORDER BY opened_at DESC, id DESC", [object])
    }

    fn write_incident(&self, sql: &str, params: impl Params) -> Result<()> {
        self.write("write an incident", |change| {
            change.execute(sql, params).map(drop).map_err(failed("write an incident"))
        })
    }

    fn select_incidents(&self, which: &str, params: impl Params) -> Result<Vec<Incident>> {
        let action = "read the incidents";
        let db = self.db();
        let mut query = db.prepare_cached(&format!("{SELECT} {which}")).map_err(failed(action))?;
        let rows = query.query_map(params, read_row).map_err(failed(action))?;
        rows.map(|row| parse(row.map_err(failed(action))?)).collect()
    }
}

const SELECT: &str = "SELECT id, object, opened_at, closed_at, outcome, drift, before, after FROM incidents";

/// An incident whose JSON is still text.
struct Stored {
    id: String,
    object: String,
    opened_at: Time,
    closed_at: Option<Time>,
    outcome: Option<String>,
    drift: String,
    before: String,
    after: Option<String>,
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored {
        id: row.get(0)?,
        object: row.get(1)?,
        opened_at: read(&row.get::<_, String>(2)?)?,
        closed_at: read_option(row.get::<_, Option<String>>(3)?.as_deref())?,
        outcome: row.get(4)?,
        drift: row.get(5)?,
        before: row.get(6)?,
        after: row.get(7)?,
    })
}

fn parse(stored: Stored) -> Result<Incident> {
    let json = |text: &str| serde_json::from_str(text).map_err(unreadable("incident"));
    let outcome = stored.outcome.map(|word| serde_json::from_value(Value::String(word)));
    Ok(Incident {
        id: stored.id,
        object: stored.object,
        opened_at: stored.opened_at,
        closed_at: stored.closed_at,
        outcome: outcome.transpose().map_err(unreadable("incident's outcome"))?,
        drift: json(&stored.drift)?,
        before: json(&stored.before)?,
        after: stored.after.as_deref().map(json).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::json;

    use super::*;
    use crate::store::testing;

    #[test]
    fn an_object_has_one_open_incident() {
        let (home, store) = testing::store();
        let at = testing::start();
        let first = store.open_incident("shop", at, json!({"api": 1}), json!({"n": 1})).unwrap();
        let again =
            store.open_incident("shop", at + TimeDelta::hours(1), json!({"web": 1}), json!({})).unwrap();
        assert_eq!(again, first);
        let other = store.open_incident("bank", at, json!({}), json!({})).unwrap();
        assert_ne!(other.id, first.id);
        assert_eq!(store.current_incident("shop").unwrap(), Some(first.clone()));
        // The index holds it too, whatever the code does.
        testing::raw(home.path())
            .execute("UPDATE incidents SET object = 'shop'", [])
            .expect_err("two open incidents of one object");

        let end = at + TimeDelta::minutes(2);
        let after = Some(json!({"n": 2}));
        store.close_incident(&first.id, end, IncidentOutcome::Reconciled, after.clone()).unwrap();
        store.close_incident(&first.id, end, IncidentOutcome::Stalled, None).unwrap();
        assert_eq!(store.current_incident("shop").unwrap(), None);
        let closed =
            Incident { closed_at: Some(end), outcome: Some(IncidentOutcome::Reconciled), after, ..first };
        assert_eq!(store.last_incident("shop").unwrap(), Some(closed));
    }

    #[test]
    fn incidents_are_found_by_a_beginning_that_no_other_has() {
        let (_home, store) = testing::store();
        let at = testing::start();
        let old = store.open_incident("shop", at, json!({}), json!({})).unwrap();
        let new = store.open_incident("bank", at + TimeDelta::days(400), json!({}), json!({})).unwrap();
        assert_eq!(store.incident(&old.id).unwrap(), Some(old.clone()));
        assert_eq!(store.incident(&new.id[..8].to_lowercase()).unwrap(), Some(new.clone()));
        assert_eq!(store.incident("8").unwrap(), None);
        assert_eq!(store.incident("").unwrap(), None);
        assert!(matches!(store.incident("01"), Err(StoreError::AmbiguousIncident { count: 2, .. })));
        assert_eq!(store.incidents(None).unwrap(), [new, old.clone()]);
        assert_eq!(store.incidents(Some("shop")).unwrap(), [old]);
    }

    #[test]
    fn the_baseline_can_be_replaced() {
        let (_home, store) = testing::store();
        let incident = store.open_incident("shop", testing::start(), json!({}), json!({"n": 1})).unwrap();
        store.set_incident_before(&incident.id, json!({"n": 2})).unwrap();
        assert_eq!(store.current_incident("shop").unwrap().unwrap().before, json!({"n": 2}));
    }
}

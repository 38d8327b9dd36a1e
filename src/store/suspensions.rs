//! A person's instructions about an object: leave it alone for a while, or retry it.
//!
//! Each is one transaction with its record of the trail, so that neither exists without the other. They take no lock: a
//! person's instruction must arrive while a step is running. The record of a suspension is authoritative: queries use the
//! table, and [`agree_with_trail`](Store::agree_with_trail) compares it with the trail before anything is done.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::{
    Store,
    error::{Result, failed},
    recent_steps::forget_recent_steps_of_in,
    seals::SealedTable,
    time::{read, read_option, stamp},
};
use crate::api::{NewRecord, Suspension, Time};

impl Store {
    /// A person's instructions about an object, recorded under their name.
    #[must_use]
    pub const fn by<'a>(&'a self, actor: &'a str) -> Instructions<'a> {
        Instructions { store: self, actor }
    }

    /// As [`Instructions::suspend`], by whoever has the state open.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn suspend(&self, object: &str, until: Option<Time>, reason: &str) -> Result<Suspension> {
        self.by(&self.actor).suspend(object, until, reason)
    }

    /// As [`Instructions::resume`], by whoever has the state open.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn resume(&self, object: &str) -> Result<Option<Suspension>> {
        self.by(&self.actor).resume(object)
    }

    /// As [`Instructions::retry`], by whoever has the state open.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn retry(&self, object: &str) -> Result<usize> {
        self.by(&self.actor).retry(object)
    }

    /// The suspension that holds at this time. Ends an expired one, and records that it ended by itself.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn settle_suspension(&self, object: &str, now: Time) -> Result<Option<Suspension>> {
        let found = self.suspension(object)?;
        if !found.as_ref().is_some_and(|found| found.has_passed(now)) {
            return Ok(found);
        }
        self.write("end a suspension", |change| {
            // Read again: a person may have suspended it again since.
            match select(change, object)? {
                Some(found) if found.has_passed(now) => {
                    self.end_in(change, object, &found, None)?;
                    Ok(None)
                }
                found => Ok(found),
            }
        })
    }

    /// The recorded suspension of an object, expired or not.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn suspension(&self, object: &str) -> Result<Option<Suspension>> {
        select(&self.db(), object)
    }

    /// `actor` is the person who ended it; `None` if it expired.
    fn end_in(
        &self,
        change: &Transaction<'_>,
        object: &str,
        ended: &Suspension,
        actor: Option<&str>,
    ) -> Result<()> {
        change
            .execute("DELETE FROM suspensions WHERE object = ?1", [object])
            .map_err(failed("end a suspension"))?;
        self.append_in(change, &NewRecord::resumed(object, &ended.ended(actor))).map(drop)
    }
}

/// One person's instructions about an object.
#[derive(Debug, Clone, Copy)]
pub struct Instructions<'a> {
    store: &'a Store,
    actor: &'a str,
}

impl<'a> Instructions<'a> {
    /// The state that records them.
    #[must_use]
    pub const fn store(self) -> &'a Store {
        self.store
    }

    /// Suspends an object from now on, until then or until a person resumes it. Replaces an existing suspension and its
    /// reason.
    ///
    /// # Errors
    /// As [`append`](Store::append).
    pub fn suspend(self, object: &str, until: Option<Time>, reason: &str) -> Result<Suspension> {
        let suspension = Suspension {
            since: (self.store.clock)(),
            until,
            reason: reason.to_owned(),
            actor: self.actor.to_owned(),
        };
        self.store.write("suspend an object", |change| {
            save_suspension_in(change, object, &suspension)?;
            self.store.append_in(change, &NewRecord::suspended(object, &suspension))
        })?;
        Ok(suspension)
    }

    /// Ends the suspension of an object and returns it; `None` if there was none, and then nothing is recorded.
    ///
    /// # Errors
    /// As [`append`](Store::append).
    pub fn resume(self, object: &str) -> Result<Option<Suspension>> {
        self.store.write("resume an object", |change| {
            let found = select(change, object)?;
            if let Some(found) = &found {
                self.store.end_in(change, object, found, Some(self.actor))?;
            }
            Ok(found)
        })
    }

    /// Gives an object a new budget and ends its waits: forgets its attempts, its steps of the last hour and its engine, and
    /// records that. Returns how many drifts had attempts.
    ///
    /// # Errors
    /// As [`append`](Store::append).
    pub fn retry(self, object: &str) -> Result<usize> {
        let action = "forget the attempts";
        self.store.write(action, |change| {
            let forgotten =
                change.execute("DELETE FROM attempts WHERE object = ?1", [object]).map_err(failed(action))?;
            forget_recent_steps_of_in(change, object)?;
            // If it has moved to another engine, that one is right from now on.
            change.execute("DELETE FROM engines WHERE object = ?1", [object]).map_err(failed(action))?;
            self.store.seal_in(change, SealedTable::Engine, object)?;
            self.store.append_in(change, &NewRecord::retried(object, self.actor, forgotten))?;
            Ok(forgotten)
        })
    }
}

fn select(db: &Connection, object: &str) -> Result<Option<Suspension>> {
    db.query_row("SELECT since, until, reason, actor FROM suspensions WHERE object = ?1", [object], row)
        .optional()
        .map_err(failed("read the suspension"))
}

/// Records a suspension in the table only, not in the trail.
pub(super) fn save_suspension_in(
    change: &Transaction<'_>,
    object: &str,
    suspension: &Suspension,
) -> Result<()> {
    let Suspension { since, until, reason, actor } = suspension;
    let row = params![object, stamp(*since), until.map(stamp), reason, actor];
    change
        .execute("INSERT OR REPLACE INTO suspensions VALUES (?1, ?2, ?3, ?4, ?5)", row)
        .map(drop)
        .map_err(failed("record a suspension"))
}

/// The suspensions in the table, by object; `None` for one that cannot be parsed.
pub(super) fn suspensions_in(db: &Connection) -> Result<BTreeMap<String, Option<Suspension>>> {
    let action = "read the suspensions";
    let mut query = db
        .prepare_cached("SELECT since, until, reason, actor, object FROM suspensions")
        .map_err(failed(action))?;
    let rows = query.query_map([], |columns| Ok((columns.get(4)?, row(columns).ok())));
    rows.map_err(failed(action))?.collect::<rusqlite::Result<_>>().map_err(failed(action))
}

fn row(row: &Row<'_>) -> rusqlite::Result<Suspension> {
    Ok(Suspension {
        since: read(&row.get::<_, String>(0)?)?,
        until: read_option(row.get::<_, Option<String>>(1)?.as_deref())?,
        reason: row.get(2)?,
        actor: row.get(3)?,
    })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::store::{RecordFilter, testing};

    fn kinds(store: &Store) -> Vec<String> {
        store.records(&RecordFilter::default()).unwrap().into_iter().map(|record| record.kind).collect()
    }

    #[test]
    fn a_suspension_holds_until_it_is_ended_and_survives_a_restart() {
        let (home, store) = testing::store();
        let made = store.suspend("shop", None, "a migration").unwrap();
        assert_eq!(made.reason, "a migration");
        drop(store);
        let store = Store::open(home.path(), "another".into()).unwrap();
        let far = testing::start() + TimeDelta::days(1000);
        assert_eq!(store.settle_suspension("shop", far).unwrap(), Some(made.clone()));
        assert_eq!(store.settle_suspension("bank", far).unwrap(), None);
        assert_eq!(store.resume("shop").unwrap(), Some(made));
        assert_eq!(store.suspension("shop").unwrap(), None);
        assert_eq!(store.resume("shop").unwrap(), None, "and nothing is recorded of that");
        assert_eq!(kinds(&store), ["Suspended", "Resumed"]);
    }

    #[test]
    fn a_suspension_that_has_passed_is_ended_once_and_recorded_as_passed() {
        let (_home, store) = testing::store();
        let until = testing::start() + TimeDelta::hours(2);
        store.suspend("shop", Some(until), "a migration").unwrap();
        let before = until - TimeDelta::seconds(1);
        assert!(store.settle_suspension("shop", before).unwrap().is_some());
        assert_eq!(store.settle_suspension("shop", until).unwrap(), None);
        assert_eq!(store.settle_suspension("shop", until).unwrap(), None);
        let records = store.records(&RecordFilter::default()).unwrap();
        assert_eq!(kinds(&store), ["Suspended", "Resumed"]);
        assert_eq!(records[1].evidence["passed"], true);
        assert_eq!(records[1].evidence["reason"], "a migration");
        assert!(store.verify().unwrap().is_whole());
    }

    #[test]
    fn the_latest_suspension_counts() {
        let (_home, store) = testing::store();
        let until = testing::start() + TimeDelta::hours(2);
        store.suspend("shop", Some(until), "one").unwrap();
        store.suspend("shop", None, "two").unwrap();
        assert_eq!(store.settle_suspension("shop", until).unwrap().unwrap().reason, "two");
    }
}

//! The steps of the last hour, which the rate counts.
//!
//! They have their own table, rather than a query of the trail, for three reasons:
//!
//! - It is keyed by the Compose project. Otherwise a renamed manifest, or a second object of the same project, would start
//!   with a rate of its own.
//! - A record of the trail is never changed. A step that lies in the future because the clock was set back is re-dated here;
//!   otherwise undrift would wait until the clock has caught up.
//! - The trail may be pruned one day; the rate must not depend on how much of it is kept.
//!
//! A row is written in the transaction of the step's intent, without which no step is taken, so that no kill and no full disk
//! can leave an uncounted step. Only a step that never began is removed again. The intent's record lists the steps to count,
//! so that an altered table can be detected.

use chrono::TimeDelta;
use rusqlite::{Connection, Row, Transaction, params};

use super::{
    Store,
    error::{Result, failed, unreadable},
    steps::signed,
    time,
    trail::number,
};
use crate::api::{RecentStep, Time};

/// For how long a step is counted: the rate is per hour.
const KEPT_FOR: TimeDelta = TimeDelta::hours(1);

impl Store {
    /// The steps of the last hour for the services of a Compose project, oldest first.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn recent_steps(&self, project: &str, now: Time) -> Result<Vec<RecentStep>> {
        let action = "read the steps of the last hour";
        let db = self.db();
        let mut query = db
            .prepare_cached(
                "SELECT project, service, object, generation, kind, at, beyond FROM recent_steps
                 WHERE project = ?1 AND at > ?2 ORDER BY at, intent",
            )
            .map_err(failed(action))?;
        let since = time::stamp(kept_since(now));
        let rows = query.query_map([project, &since], read).map_err(failed(action))?;
        rows.map(|row| parse(row.map_err(failed(action))?)).collect()
    }

    /// Re-dates steps in the future to now: the clock was set back since, and their age is unknown. An hour later they are
    /// forgotten, whatever the clock does.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn settle_recent_steps(&self, now: Time) -> Result<()> {
        let action = "date the steps of the last hour";
        self.ledger().date(now);
        let now = time::stamp(now);
        let lie_ahead: bool = self
            .db()
            .query_row("SELECT EXISTS (SELECT 1 FROM recent_steps WHERE at > ?1)", [&now], |row| row.get(0))
            .map_err(failed(action))?;
        if !lie_ahead {
            return Ok(());
        }
        self.write(action, |change| {
            let dated = change.execute("UPDATE recent_steps SET at = ?1 WHERE at > ?1", [&now]);
            dated.map(drop).map_err(failed(action))
        })
    }
}

/// Steps begun at this time or before are no longer counted.
pub(super) fn kept_since(now: Time) -> Time {
    now - KEPT_FOR
}

/// Records the steps that an intent begins, and forgets those older than an hour.
pub(super) fn save_recent_steps_in(
    change: &Transaction<'_>,
    intent: u64,
    steps: &[RecentStep],
) -> Result<()> {
    for step in steps {
        let since = time::stamp(kept_since(step.at));
        change
            .execute("DELETE FROM recent_steps WHERE at <= ?1", [since])
            .map_err(failed("forget the steps of before the last hour"))?;
        save_recent_step_in(change, intent, step)?;
    }
    Ok(())
}

/// Records one of them; replaces its earlier record.
pub(super) fn save_recent_step_in(change: &Transaction<'_>, intent: u64, step: &RecentStep) -> Result<()> {
    let beyond = step.beyond.map(|beyond| json(&beyond)).transpose()?;
    let row = params![
        signed(intent),
        step.project,
        step.service,
        step.object,
        step.generation,
        json(&step.kind)?,
        time::stamp(step.at),
        beyond,
    ];
    change
        .execute("INSERT OR REPLACE INTO recent_steps VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)", row)
        .map(drop)
        .map_err(failed("record a step of the last hour"))
}

/// The steps taken for an object, with the numbers of their intents. Skips rows that cannot be parsed.
pub(super) fn recent_steps_in(db: &Connection, object: &str) -> Result<Vec<(u64, RecentStep)>> {
    let action = "read the steps of the last hour";
    let mut query = db
        .prepare_cached(
            "SELECT project, service, object, generation, kind, at, beyond, intent FROM recent_steps WHERE object = ?1",
        )
        .map_err(failed(action))?;
    let mut rows = query.query([object]).map_err(failed(action))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(failed(action))? {
        let intent = number(row.get(7).map_err(failed(action))?);
        let step = read(row).ok().and_then(|columns| parse(columns).ok());
        found.extend(step.map(|step| (intent, step)));
    }
    Ok(found)
}

/// All rows, with their intents; `None` for one that cannot be parsed.
pub(super) fn all_recent_steps_in(db: &Connection) -> Result<Vec<(u64, Option<RecentStep>)>> {
    let action = "read the steps of the last hour";
    let select = "SELECT project, service, object, generation, kind, at, beyond, intent FROM recent_steps ORDER BY intent";
    let mut query = db.prepare_cached(select).map_err(failed(action))?;
    let rows = query.query_map([], |row| {
        let step = read(row).ok().and_then(|columns| parse(columns).ok());
        Ok((number(row.get(7)?), step))
    });
    rows.map_err(failed(action))?.collect::<rusqlite::Result<_>>().map_err(failed(action))
}

/// A step that never began has cost nothing.
pub(super) fn forget_recent_steps_in(change: &Transaction<'_>, intent: u64) -> Result<()> {
    let forgotten = change.execute("DELETE FROM recent_steps WHERE intent = ?1", [signed(intent)]);
    forgotten.map(drop).map_err(failed("forget a step that was not begun"))
}

/// A person wants undrift to retry the object at once.
pub(super) fn forget_recent_steps_of_in(change: &Connection, object: &str) -> Result<()> {
    let forgotten = change.execute("DELETE FROM recent_steps WHERE object = ?1", [object]);
    forgotten.map(drop).map_err(failed("forget the steps of the last hour"))
}

fn json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(unreadable("step of the last hour"))
}

type Columns = (String, String, String, i64, String, Time, Option<String>);

fn read(row: &Row<'_>) -> rusqlite::Result<Columns> {
    let at: String = row.get(5)?;
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, time::read(&at)?, row.get(6)?))
}

fn parse((project, service, object, generation, kind, at, beyond): Columns) -> Result<RecentStep> {
    let what = "step of the last hour";
    Ok(RecentStep {
        project,
        service,
        object,
        generation,
        kind: serde_json::from_str(&kind).map_err(unreadable(what))?,
        at,
        beyond: beyond.map(|text| serde_json::from_str(&text).map_err(unreadable(what))).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::{AuditKind, BeyondRate, NewRecord, Step, StepKind, StepOutcome},
        store::{NewIntent, testing},
    };

    fn recent(project: &str, at: Time) -> RecentStep {
        RecentStep {
            project: project.into(),
            service: "api".into(),
            object: "shop".into(),
            generation: 3,
            kind: StepKind::Up,
            at,
            beyond: Some(BeyondRate::Down),
        }
    }

    fn intend(store: &Store, step: &RecentStep) -> u64 {
        let record = NewRecord { object: Some("shop".into()), ..NewRecord::of(AuditKind::StepIntended) };
        let services = ["api".to_owned()];
        store
            .intend_with(NewIntent {
                record: &record,
                step: Step::Restart,
                services: &services,
                begun: &[],
                recent: std::slice::from_ref(step),
                before: None,
            })
            .unwrap()
    }

    fn minutes(n: i64) -> Time {
        testing::start() + TimeDelta::minutes(n)
    }

    #[test]
    fn steps_are_of_their_project_survive_a_restart_and_count_for_an_hour() {
        let (home, store) = testing::store();
        for (project, at) in [("p", 0), ("q", 1), ("p", 30)] {
            intend(&store, &recent(project, minutes(at)));
        }
        drop(store);
        let store = Store::open(home.path(), "test".into()).unwrap();
        let both = [recent("p", minutes(0)), recent("p", minutes(30))];
        assert_eq!(store.recent_steps("p", minutes(59)).unwrap(), both);
        assert_eq!(store.recent_steps("p", minutes(60)).unwrap(), both[1..]);
        assert_eq!(store.recent_steps("none", minutes(59)).unwrap(), []);
    }

    #[test]
    fn only_a_step_that_was_not_begun_is_not_counted() {
        let (_home, store) = testing::store();
        for outcome in ["Failed", "NotBegun"] {
            let intent = intend(&store, &recent("p", minutes(0)));
            let end = NewRecord { outcome: Some(outcome.into()), ..NewRecord::of(AuditKind::StepFinished) };
            store.finish(intent, &end).unwrap();
        }
        assert_eq!(StepOutcome::NotBegun.as_str(), "NotBegun");
        intend(&store, &recent("p", minutes(1)));
        store.close_interrupted().unwrap();
        let counted = [recent("p", minutes(0)), recent("p", minutes(1))];
        assert_eq!(store.recent_steps("p", minutes(2)).unwrap(), counted);
    }

    #[test]
    fn what_lies_ahead_since_a_clock_was_set_back_is_dated_anew_and_waited_for_an_hour_at_most() {
        let (_home, store) = testing::store();
        intend(&store, &recent("p", minutes(500)));
        intend(&store, &recent("p", minutes(0)));
        store.settle_recent_steps(minutes(10)).unwrap();
        let dated = [recent("p", minutes(0)), recent("p", minutes(10))];
        assert_eq!(store.recent_steps("p", minutes(11)).unwrap(), dated[..]);
        store.settle_recent_steps(minutes(69)).unwrap();
        assert_eq!(store.recent_steps("p", minutes(69)).unwrap(), dated[1..]);
        assert_eq!(store.recent_steps("p", minutes(70)).unwrap(), []);
    }

    #[test]
    fn a_person_who_says_retry_ends_the_wait() {
        let (_home, store) = testing::store();
        intend(&store, &recent("p", minutes(0)));
        store.retry("bank").unwrap();
        assert_eq!(store.recent_steps("p", minutes(1)).unwrap().len(), 1);
        store.retry("shop").unwrap();
        assert_eq!(store.recent_steps("p", minutes(1)).unwrap(), []);
    }
}

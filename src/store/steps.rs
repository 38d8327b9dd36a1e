//! The intent before a step, and what a kill leaves of it. Its outcome is in `outcomes`.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Store,
    attempts::{attempts_in, save_attempt_in, update_attempt_in},
    error::{Result, failed, unreadable},
    incidents::incident_before_in,
    ledger::before_digest,
    recent_steps::save_recent_steps_in,
    time,
    trail::number,
};
use crate::api::{Attempt, AuditKind, NewRecord, RecentStep, Step, StepOutcome, Time};

/// An intended step without a recorded outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenIntent {
    /// The number of the `StepIntended` record.
    pub seq: u64,
    /// The object.
    pub object: Option<String>,
    /// The incident.
    pub incident: Option<String>,
    /// The step.
    pub step: Step,
    /// Its services.
    pub services: Vec<String>,
    /// When the intent was written.
    pub time: Time,
}

/// The values written before a step begins.
#[derive(Debug, Clone)]
pub struct NewIntent<'a> {
    /// Its record.
    pub record: &'a NewRecord,
    /// The step.
    pub step: Step,
    /// Its services.
    pub services: &'a [String],
    /// The attempts that it begins.
    pub begun: &'a [Attempt],
    /// The steps that the rate counts.
    pub recent: &'a [RecentStep],
    /// The incident's new evidence from before the first step; `None` if it stays.
    pub before: Option<Value>,
}

impl Store {
    /// Records that a step is about to run, and opens it; returns the number of the record, for [`finish`](Self::finish). If
    /// this fails, the step must not run.
    ///
    /// The record becomes a `StepIntended` of this step; its evidence gets `services`, and `noCache`, `forceRecreate` or
    /// `noRecreate` if the step has them. It also lists everything else that later decisions use, so that the trail can prove
    /// it: `attempts`, `recentSteps`, and the digest of the incident's evidence from before (`beforeDigest`).
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn intend(&self, record: &NewRecord, step: Step, services: &[String]) -> Result<u64> {
        self.intend_with(NewIntent { record, step, services, begun: &[], recent: &[], before: None })
    }

    /// The same, with the attempts that the step begins, the steps that the rate counts, and the evidence from before the
    /// incident's first step: a kill, or a full disk, can leave none of them without the others.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn intend_with(&self, intent: NewIntent<'_>) -> Result<u64> {
        let NewIntent { record, step, services, begun, recent, before } = intent;
        let intended = NewRecord::step_intended(step, services).with(record.evidence.clone());
        let intended = listing(listing(intended, "attempts", begun), "recentSteps", recent);
        let NewRecord { kind, step: kind_of_step, evidence, .. } = intended;
        let mut record = NewRecord { kind, step: kind_of_step, evidence, ..record.clone() };
        self.write("record the intent of a step", |change| {
            match (record.incident.as_deref(), before.as_ref()) {
                (Some(id), Some(before)) => self.renew_incident_before_in(change, id, before)?,
                (Some(id), None) => self.require_sealed_in(change, id)?,
                (None, _) => {}
            }
            if let Some(before) =
                record.incident.as_deref().map(|id| incident_before_in(change, id)).transpose()?.flatten()
            {
                record.evidence["beforeDigest"] = json!(before_digest(&before));
            }
            let appended = self.append_record_in(change, &record)?;
            let (seq, services) = (appended.seq, services.to_vec());
            let (object, incident) = (appended.object, appended.incident);
            let time = appended.time.parse().unwrap_or_else(|_| (self.clock)());
            save_open_step_in(change, &OpenIntent { seq, object, incident, step, services, time })?;
            begun.iter().try_for_each(|row| save_attempt_in(change, row))?;
            save_recent_steps_in(change, seq, recent)?;
            Ok(seq)
        })
    }

    /// The steps without an outcome, oldest first.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn open_intents(&self) -> Result<Vec<OpenIntent>> {
        let db = self.db();
        let mut query =
            db.prepare(&format!("{SELECT_OPEN} ORDER BY intent")).map_err(failed("read the open steps"))?;
        let rows = query.query_map([], read_open).map_err(failed("read the open steps"))?;
        rows.map(|row| parse_open(row.map_err(failed("read the open steps"))?)).collect()
    }

    /// Closes every step without an outcome as `StepInterrupted`, and releases the attempts that it began; returns the
    /// closed ones. A step whose outcome is known, and could not be written, is closed with that outcome instead, and not
    /// returned. Only for the start, and under the [`StateLock`](super::StateLock): it would also close a step of a living
    /// process.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn close_interrupted(&self) -> Result<Vec<OpenIntent>> {
        self.close_where(|_| true)
    }

    /// The same for the steps of one object, when none of them can be running.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn close_interrupted_of(&self, object: &str) -> Result<Vec<OpenIntent>> {
        self.close_where(|intent| intent.object.as_deref() == Some(object))
    }

    fn close_where(&self, which: impl Fn(&OpenIntent) -> bool) -> Result<Vec<OpenIntent>> {
        let mut closed = Vec::new();
        for intent in self.open_intents()?.into_iter().filter(which) {
            if !self.write_kept_of(intent.seq)? {
                self.close_as_interrupted(&intent)?;
                closed.push(intent);
            }
        }
        Ok(closed)
    }

    /// The attempts in the same transaction: one that stays pending would count as a failed step.
    fn close_as_interrupted(&self, intent: &OpenIntent) -> Result<()> {
        let record = NewRecord {
            outcome: Some(StepOutcome::Interrupted.as_str().into()),
            ..NewRecord::of(AuditKind::StepInterrupted)
        };
        self.write("close an interrupted step", |change| {
            self.close_in(change, intent, AuditKind::StepInterrupted, record)?;
            let rows = attempts_in(change, intent.object.as_deref().unwrap_or_default())?.into_iter();
            let begun = rows.filter(|row| row.pending.is_some() && intent.services.contains(&row.service));
            begun
                .map(|row| Attempt { pending: None, ..row })
                .try_for_each(|row| update_attempt_in(change, &row))
        })
    }

    pub(super) fn close_in(
        &self,
        change: &Transaction<'_>,
        open: &OpenIntent,
        kind: AuditKind,
        record: NewRecord,
    ) -> Result<u64> {
        let record = record.with(json!({ "intent": open.seq, "services": open.services }));
        let record = NewRecord {
            kind,
            object: record.object.or_else(|| open.object.clone()),
            incident: record.incident.or_else(|| open.incident.clone()),
            step: Some(open.step.kind()),
            ..record
        };
        let seq = self.append_in(change, &record)?;
        change
            .execute("DELETE FROM open_steps WHERE intent = ?1", [signed(open.seq)])
            .map_err(failed("close a step"))?;
        Ok(seq)
    }
}

/// Opens a step whose intent is recorded; replaces its row in the table.
pub(super) fn save_open_step_in(change: &Transaction<'_>, open: &OpenIntent) -> Result<()> {
    let step = serde_json::to_string(&open.step).map_err(unreadable("step"))?;
    let (services, time) = (json!(open.services).to_string(), time::stamp(open.time));
    let row = params![signed(open.seq), step, services, open.object, open.incident, time];
    change
        .execute("INSERT OR REPLACE INTO open_steps VALUES (?1, ?2, ?3, ?4, ?5, ?6)", row)
        .map(drop)
        .map_err(failed("record the intent of a step"))
}

/// A row of the table of open steps as found: its intent, its object, and the step, if it can be parsed.
pub(super) type FoundOpen = (u64, Option<String>, Option<OpenIntent>);

/// The rows of the table of open steps, whether they can be parsed or not.
pub(super) fn found_open_steps_in(db: &Connection) -> Result<Vec<FoundOpen>> {
    let action = "read the open steps";
    let mut query = db.prepare_cached(&format!("{SELECT_OPEN} ORDER BY intent")).map_err(failed(action))?;
    let rows = query.query_map([], |row| {
        let open = read_open(row).ok().and_then(|row| parse_open(row).ok());
        Ok((number(row.get(0)?), row.get(1)?, open))
    });
    rows.map_err(failed(action))?.collect::<rusqlite::Result<_>>().map_err(failed(action))
}

/// The record with these rows listed in its evidence, if there are any.
pub(super) fn listing<T: serde::Serialize>(record: NewRecord, key: &str, rows: &[T]) -> NewRecord {
    if rows.is_empty() { record } else { record.with(json!({ key: rows })) }
}

const SELECT_OPEN: &str = "SELECT intent, object, incident, step, services, time FROM open_steps";

type OpenRow = (i64, Option<String>, Option<String>, String, String, Time);

fn read_open(row: &Row<'_>) -> rusqlite::Result<OpenRow> {
    let at: String = row.get(5)?;
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, time::read(&at)?))
}

fn parse_open((seq, object, incident, step, services, time): OpenRow) -> Result<OpenIntent> {
    Ok(OpenIntent {
        seq: number(seq),
        object,
        incident,
        step: serde_json::from_str(&step).map_err(unreadable("step"))?,
        services: serde_json::from_str(&services).map_err(unreadable("step's services"))?,
        time,
    })
}

pub(super) fn open_step(change: &Transaction<'_>, intent: u64) -> Result<Option<OpenIntent>> {
    change
        .query_row(&format!("{SELECT_OPEN} WHERE intent = ?1"), [signed(intent)], read_open)
        .optional()
        .map_err(failed("read the open steps"))?
        .map(parse_open)
        .transpose()
}

/// A record's number for SQLite. One that is too large does not exist.
pub(super) fn signed(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::StepKind,
        store::{RecordFilter, testing},
    };

    fn build() -> NewRecord {
        NewRecord {
            object: Some("shop".into()),
            incident: Some("01J".into()),
            evidence: json!({"reason": "module missing"}),
            ..NewRecord::of(AuditKind::StepIntended)
        }
    }

    fn services() -> Vec<String> {
        vec!["api".into(), "web".into()]
    }

    #[test]
    fn an_intent_is_open_until_its_outcome_is_written() {
        let (_home, store) = testing::store();
        let step = Step::Build { no_cache: true };
        let intent = store.intend(&build(), step, &services()).unwrap();
        let open = store.open_intents().unwrap();
        assert_eq!(open.len(), 1);
        assert_eq!((open[0].seq, open[0].step, &open[0].services), (intent, step, &services()));
        assert_eq!((open[0].object.as_deref(), open[0].incident.as_deref()), (Some("shop"), Some("01J")));

        let outcome = NewRecord { outcome: Some("Failed".into()), ..NewRecord::of(AuditKind::StepFinished) };
        store.finish(intent, &outcome).unwrap();
        assert_eq!(store.open_intents().unwrap(), []);
        let records =
            store.records(&RecordFilter { service: Some("web".into()), ..RecordFilter::default() }).unwrap();
        assert_eq!(
            records.iter().map(|record| record.kind.as_str()).collect::<Vec<_>>(),
            ["StepIntended", "StepFinished"]
        );
        assert_eq!(
            records[0].evidence,
            json!({"reason": "module missing", "services": ["api", "web"], "noCache": true})
        );
        assert_eq!(records[1].evidence, json!({"intent": intent, "services": ["api", "web"]}));
        assert_eq!(records[1].object.as_deref(), Some("shop"));
        assert_eq!(records[1].incident.as_deref(), Some("01J"));
        assert_eq!(records[1].step.as_deref(), Some("Build"));
    }

    #[test]
    fn a_step_that_an_earlier_version_left_open_is_still_open() {
        let (home, store) = testing::store();
        let recent = crate::api::RecentStep {
            project: "p".into(),
            service: "api".into(),
            object: "shop".into(),
            generation: 1,
            kind: StepKind::Build,
            at: testing::start(),
            beyond: None,
        };
        let (record, services, recent) = (build(), services(), [recent]);
        let intent = NewIntent {
            record: &record,
            step: Step::Build { no_cache: true },
            services: &services,
            begun: &[],
            recent: &recent,
            before: None,
        };
        store.intend_with(intent).unwrap();
        let open = store.open_intents().unwrap();
        drop(store);
        testing::as_schema_8(home.path());
        let store = Store::open(home.path(), "test".into()).unwrap();
        assert_eq!(store.open_intents().unwrap(), open);
        assert_eq!(store.recent_steps("p", testing::start()).unwrap(), recent);
        assert!(store.verify().unwrap().is_whole());
    }

    #[test]
    fn an_interrupted_step_is_closed_and_recorded_once() {
        let (_home, store) = testing::store();
        store.intend(&build(), Step::Up { force_recreate: false }, &services()).unwrap();
        store.intend(&build(), Step::Restart, &services()).unwrap();
        let closed = store.close_interrupted().unwrap();
        assert_eq!(
            closed.iter().map(|intent| intent.step.kind()).collect::<Vec<_>>(),
            [StepKind::Up, StepKind::Restart]
        );
        assert_eq!(store.close_interrupted().unwrap(), []);
        let last = store.records(&RecordFilter::default()).unwrap().pop().unwrap();
        assert_eq!((last.kind.as_str(), last.outcome.as_deref()), ("StepInterrupted", Some("Interrupted")));
        assert_eq!(last.evidence["intent"], 2);
        assert!(store.verify().unwrap().is_whole());
    }
}

//! Whether the table of incidents shows what the records say, along the walk of `audit verify`.
//!
//! Memory holds the last incident of each object: only that one may recur, so an incident is compared with its row when the next
//! one of its object begins, or at the trail's end.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::{
    contradiction::Contradiction,
    ledger::Check,
    recorded_incident::{Mark, RecordedIncident},
    segment::Segment,
    trail::{StoredRecord, number},
};
use crate::api::AuditKind;

/// How many contradictions to report: one is enough to act on, and a thoroughly altered table has thousands.
const MOST: usize = 10;

/// The check of all incidents along a walk.
pub(super) struct IncidentCheck<'d> {
    db: &'d Connection,
    /// The last incident of each object.
    last: BTreeMap<String, RecordedIncident>,
    /// How many rows the records account for.
    rows: u64,
    found: Vec<Contradiction>,
    /// How many there are more.
    more: usize,
    /// By object, the record with which an earlier incident began: the last one that is over and came once.
    over: BTreeMap<String, Mark>,
    /// What keeps the rows from being read.
    error: Option<rusqlite::Error>,
}

impl<'d> IncidentCheck<'d> {
    pub(super) const fn of(db: &'d Connection) -> Self {
        Self {
            db,
            last: BTreeMap::new(),
            rows: 0,
            found: Vec::new(),
            more: 0,
            over: BTreeMap::new(),
            error: None,
        }
    }

    /// What differs, each as a sentence without its full stop.
    pub(super) fn differences(mut self) -> rusqlite::Result<Vec<String>> {
        for (_, incident) in std::mem::take(&mut self.last) {
            self.compare(&incident);
        }
        if let Some(error) = self.error {
            return Err(error);
        }
        let mut what: Vec<String> = self.found.iter().map(ToString::to_string).collect();
        if self.more > 0 {
            what.push(format!("the table incidents contradicts the records {} times more", self.more));
        }
        let count = "SELECT count(*) FROM incidents";
        if self.db.query_row(count, [], |row| Ok(number(row.get(0)?)))? > self.rows {
            what.extend(unrecorded(self.db)?);
        }
        Ok(what)
    }

    fn compare(&mut self, incident: &RecordedIncident) {
        match incident.compare(self.db) {
            Ok((has_row, found)) => {
                self.rows += u64::from(has_row);
                let room = MOST - self.found.len();
                self.more += found.len().saturating_sub(room);
                self.found.extend(found.into_iter().take(room));
            }
            Err(error) => {
                self.error.get_or_insert(error);
            }
        }
    }

    /// The last incident of an object.
    pub(super) fn last(&self, object: &str) -> Option<&RecordedIncident> {
        self.last.get(object)
    }

    /// The record with which the last incident of an object began that is over and came once.
    pub(super) fn last_over(&self, object: &str) -> Option<&Mark> {
        self.last(object).and_then(RecordedIncident::over_since).or_else(|| self.over.get(object))
    }

    /// The incident of a record that begins or ends an occurrence of it.
    fn entered(&mut self, id: &str, object: &str, stored: &StoredRecord) -> &mut RecordedIncident {
        if self.last.get(object).is_some_and(|last| last.id != id)
            && let Some(over) = self.last.remove(object)
        {
            if let Some(began) = over.over_since() {
                self.over.insert(object.to_owned(), began.clone());
            }
            self.compare(&over);
        }
        self.last.entry(object.to_owned()).or_insert_with(|| RecordedIncident::new(id, object, stored))
    }
}

impl Check for IncidentCheck<'_> {
    fn record(&mut self, stored: &StoredRecord) -> Option<&'static str> {
        let record = &stored.record;
        let (Some(id), Some(object)) = (&record.incident, &record.object) else { return None };
        match AuditKind::named(&record.kind) {
            Some(AuditKind::DriftDetected) => self.entered(id, object, stored).drifts(stored),
            Some(AuditKind::Reconciled | AuditKind::Stalled) => self.entered(id, object, stored).ends(stored),
            _ => {}
        }
        if let Some(last) = self.last.get_mut(object).filter(|last| last.id == *id) {
            last.heed(stored);
        }
        None
    }

    fn segment(&mut self, _: &Segment) -> rusqlite::Result<()> {
        Ok(())
    }
}

/// The rows of which no record says anything: by the indexes, which are compared with the records as well.
fn unrecorded(db: &Connection) -> rusqlite::Result<Vec<String>> {
    let select = "SELECT id, object FROM incidents
        WHERE NOT EXISTS (SELECT 1 FROM trail WHERE incident = id)
          AND NOT EXISTS (SELECT 1 FROM segment_index WHERE field = 'incident' AND value = id)
        ORDER BY rowid LIMIT ?1";
    let mut query = db.prepare(select)?;
    let rows = query.query_map([i64::try_from(MOST).unwrap_or(i64::MAX)], |row| {
        let (id, object): (String, String) = (row.get(0)?, row.get(1)?);
        Ok(format!("the table incidents has the incident {id} of {object}, and no record is of it"))
    })?;
    rows.collect()
}

//! The one place that reads records of the trail, in segments and in the table alike.
//!
//! The index of the segments leads to those in which an object, an incident or a kind has records, so a look-up unpacks few of
//! them. Memory holds one segment at a time. The index lies beside the trail: who acts does not trust it (see
//! [`Ledger`](super::ledger::Ledger)), and `audit verify` compares it with the records.

use std::{collections::BTreeSet, ops::ControlFlow};

use rusqlite::{Connection, OptionalExtension as _, ToSql, params_from_iter};

use super::{
    RecordFilter,
    segment::{RECORDS, Segment, segments_in},
    steps::signed,
    time::stamp,
    trail::{StoredRecord, number},
};
use crate::api::AuditKind;

/// Which records to read, and how.
pub(super) struct Query<'q> {
    /// Which; `service` and `limit` are the caller's.
    pub(super) filter: &'q RecordFilter,
    /// Of these kinds; of any if there is none.
    pub(super) kinds: &'q [AuditKind],
    pub(super) order: Order,
    /// Which segments have some, from whom the reader trusts more than their index.
    pub(super) segments: Option<BTreeSet<u64>>,
    /// Whether the indexes of the table count.
    pub(super) is_table_indexed: bool,
}

/// In which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    OldestFirst,
    NewestFirst,
}

impl<'q> Query<'q> {
    pub(super) const fn of(filter: &'q RecordFilter) -> Self {
        let (order, is_table_indexed) = (Order::OldestFirst, true);
        Self { filter, kinds: &[], order, segments: None, is_table_indexed }
    }

    /// Calls `each` with every record that matches, in order, until it breaks off.
    pub(super) fn read(
        &self,
        db: &Connection,
        mut each: impl FnMut(StoredRecord) -> ControlFlow<()>,
    ) -> rusqlite::Result<()> {
        let is_over = match self.order {
            Order::OldestFirst => self.read_segments(db, &mut each)?.is_break(),
            Order::NewestFirst => self.read_table(db, &mut each)?.is_break(),
        };
        match self.order {
            _ if is_over => Ok(()),
            Order::OldestFirst => self.read_table(db, &mut each).map(drop),
            Order::NewestFirst => self.read_segments(db, &mut each).map(drop),
        }
    }

    /// The same of the table alone.
    pub(super) fn read_rows(
        &self,
        db: &Connection,
        mut each: impl FnMut(StoredRecord) -> ControlFlow<()>,
    ) -> rusqlite::Result<()> {
        self.read_table(db, &mut each).map(drop)
    }

    fn read_segments(
        &self,
        db: &Connection,
        each: &mut dyn FnMut(StoredRecord) -> ControlFlow<()>,
    ) -> rusqlite::Result<ControlFlow<()>> {
        let is_newest_first = self.order == Order::NewestFirst;
        let mut numbers = self.candidates(db)?;
        if is_newest_first {
            numbers.reverse();
        }
        let needles = self.needles();
        for number in numbers {
            let Some(segment) = Segment::of(db, number)? else { continue };
            let lines = segment.lines()?.filter(|line| needles.iter().all(|needle| line.contains(needle)));
            let mut take = |line: &str| -> rusqlite::Result<ControlFlow<()>> {
                let stored = segment.record(line)?;
                Ok(if self.matches(&stored) { each(stored) } else { ControlFlow::Continue(()) })
            };
            let ended = if is_newest_first {
                first_break(lines.rev(), &mut take)
            } else {
                first_break(lines, &mut take)
            };
            if ended?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The segments that may have a record that matches, in order.
    fn candidates(&self, db: &Connection) -> rusqlite::Result<Vec<u64>> {
        let segments = segments_in(db)?;
        let after = self.filter.after.unwrap_or(0);
        let (first, mut found) = (after / RECORDS, self.indexed(db)?);
        if self.filter.since.is_some() || self.filter.until.is_some() {
            let in_time = self.in_time(db)?;
            found = Some(found.map_or_else(|| in_time.clone(), |found| &found & &in_time));
        }
        Ok(match found {
            Some(found) => found.into_iter().filter(|number| (first..segments).contains(number)).collect(),
            None => (first..segments).collect(),
        })
    }

    /// The segments that the index names for the rarest field of the filter; `None` if the filter has no such field.
    fn indexed(&self, db: &Connection) -> rusqlite::Result<Option<BTreeSet<u64>>> {
        if let Some(known) = &self.segments {
            return Ok(Some(known.clone()));
        }
        let RecordFilter { incident, object, .. } = self.filter;
        let (field, values) = match (incident, object) {
            (Some(incident), _) => ("incident", vec![incident.as_str()]),
            (None, Some(object)) => ("object", vec![object.as_str()]),
            (None, None) if !self.kinds.is_empty() => {
                ("kind", self.kinds.iter().map(|kind| kind.as_str()).collect())
            }
            (None, None) => return Ok(None),
        };
        let mut query =
            db.prepare_cached("SELECT segment FROM segment_index WHERE field = ?1 AND value = ?2")?;
        let mut found = BTreeSet::new();
        for value in values {
            for segment in query.query_map([field, value], |row| Ok(number(row.get(0)?)))? {
                found.insert(segment?);
            }
        }
        Ok(Some(found))
    }

    /// The segments with a time in the asked span. Every segment has its own: a clock that was set back hides nothing.
    fn in_time(&self, db: &Connection) -> rusqlite::Result<BTreeSet<u64>> {
        let mut query = db.prepare_cached(
            "SELECT number FROM segments WHERE max_time >= ?1 AND (?2 IS NULL OR min_time <= ?2)",
        )?;
        let (since, until) = (self.filter.since.map(stamp).unwrap_or_default(), self.filter.until.map(stamp));
        let found = query.query_map((since, until), |row| Ok(number(row.get(0)?)))?;
        found.collect()
    }

    /// What the line of a record that matches has in it: it is cheaper to search a line than to parse it.
    fn needles(&self) -> Vec<String> {
        let fields = [&self.filter.object, &self.filter.incident, &self.filter.service];
        let text = |value: &String| serde_json::Value::from(value.as_str()).to_string();
        fields.into_iter().flatten().map(text).collect()
    }

    fn matches(&self, stored: &StoredRecord) -> bool {
        let (record, filter) = (&stored.record, self.filter);
        let is = |asked: &Option<String>, found: &Option<String>| asked.is_none() || asked == found;
        is(&filter.object, &record.object)
            && is(&filter.incident, &record.incident)
            && filter.after.is_none_or(|after| record.seq > after)
            && filter.since.is_none_or(|since| record.time >= stamp(since))
            && filter.until.is_none_or(|until| record.time <= stamp(until))
            && (self.kinds.is_empty() || self.kinds.iter().any(|kind| kind.as_str() == record.kind))
    }

    fn read_table(
        &self,
        db: &Connection,
        each: &mut dyn FnMut(StoredRecord) -> ControlFlow<()>,
    ) -> rusqlite::Result<ControlFlow<()>> {
        let filter = self.filter;
        // The text contains only the clauses in use: `:x IS NULL OR column = :x` would keep SQLite from its indexes.
        let mut clauses: Vec<String> = Vec::new();
        let mut values: Vec<Box<dyn ToSql>> = Vec::new();
        let texts = [
            ("object = ", filter.object.clone()),
            ("incident = ", filter.incident.clone()),
            ("time >= ", filter.since.map(stamp)),
            ("time <= ", filter.until.map(stamp)),
        ];
        for (clause, value) in texts.into_iter().filter_map(|(clause, value)| Some((clause, value?))) {
            values.push(Box::new(value));
            clauses.push(format!("{clause}?{}", values.len()));
        }
        if let Some(after) = filter.after {
            values.push(Box::new(signed(after)));
            clauses.push(format!("seq > ?{}", values.len()));
        }
        if !self.kinds.is_empty() {
            let first = values.len() + 1;
            values.extend(self.kinds.iter().map(|kind| Box::new(kind.as_str()) as Box<dyn ToSql>));
            let marks: Vec<String> = (first..=values.len()).map(|mark| format!("?{mark}")).collect();
            clauses.push(format!("kind IN ({})", marks.join(", ")));
        }
        let indexed = if self.is_table_indexed { "" } else { "NOT INDEXED" };
        let which =
            if clauses.is_empty() { String::new() } else { format!("WHERE {}", clauses.join(" AND ")) };
        let order = if self.order == Order::NewestFirst { "DESC" } else { "" };
        let mut query =
            db.prepare_cached(&format!("SELECT * FROM trail {indexed} {which} ORDER BY seq {order}"))?;
        let mut rows = query.query(params_from_iter(values.iter()))?;
        while let Some(row) = rows.next()? {
            if each(StoredRecord::read(row)?).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

fn first_break<'l>(
    lines: impl Iterator<Item = &'l str>,
    take: &mut dyn FnMut(&str) -> rusqlite::Result<ControlFlow<()>>,
) -> rusqlite::Result<ControlFlow<()>> {
    for line in lines {
        if take(line)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Whether this database has segments: one of an earlier version, which is open for reading, has none.
pub(super) fn has_segments(db: &Connection) -> rusqlite::Result<bool> {
    let select = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'segments'";
    Ok(db.query_row(select, [], |_| Ok(())).optional()?.is_some())
}

/// How many records of an incident the table has by its index.
pub(super) fn count_in_table(db: &Connection, incident: &str) -> rusqlite::Result<u64> {
    let mut query = db.prepare_cached("SELECT count(*) FROM trail WHERE incident = ?1")?;
    query.query_row([incident], |row| Ok(number(row.get(0)?)))
}

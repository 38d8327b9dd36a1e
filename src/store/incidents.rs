//! Incidents: each object has at most one open.

use rusqlite::{Connection, OptionalExtension as _, Params, Row, Transaction, params};
use serde_json::Value;
use ulid::Ulid;

use super::{
    Store,
    error::{Result, StoreError, failed, unreadable},
    incident_evidence::{EvidenceTexts, evidence_in, read_evidence},
    recorded_incident::listed_of,
    seals::{SealedTable, if_sealed, is_sealed_in},
    time::{read, read_option, stamp},
    trail::number,
};
use crate::api::{Earlier, Incident, IncidentOutcome, NewRecord, Time};

impl Store {
    /// Opens an incident of this object, with a new ULID. If one is already open, returns that one unchanged: an object has at
    /// most one. If `again` is the object's last incident, reopens it.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn open_incident(&self, new: NewIncident<'_>, again: Option<&str>) -> Result<Incident> {
        self.open_incident_with(new, again, &[])
    }

    /// The same with the records of its first drifts, in one transaction: a kill can leave neither without the other. If one is
    /// already open, the records are not written.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn open_incident_with(
        &self,
        new: NewIncident<'_>,
        again: Option<&str>,
        drifts: &[NewRecord],
    ) -> Result<Incident> {
        let action = "open an incident";
        self.write(action, |change| {
            let select = format!("{SELECT} WHERE object = ?1 ORDER BY rowid DESC LIMIT 1");
            let last =
                change.query_row(&select, [new.object], read_row).optional().map_err(failed(action))?;
            match last.map(parse).transpose()? {
                Some(open) if open.closed_at.is_none() => {
                    self.require_sealed_in(change, &open.id)?;
                    return Ok(open);
                }
                Some(last) if again == Some(last.id.as_str()) => {
                    self.require_sealed_in(change, &last.id)?;
                    new.again(change, &last)?;
                }
                _ => new.insert(change)?,
            }
            let opened = parse(change.query_row(&select, [new.object], read_row).map_err(failed(action))?)?;
            self.seal_in(change, SealedTable::Incident, &opened.id)?;
            for drift in drifts {
                let (object, incident) = (Some(new.object.to_owned()), Some(opened.id.clone()));
                self.append_in(change, &NewRecord { object, incident, ..drift.clone() })?;
            }
            Ok(opened)
        })
    }

    /// Closes an incident, with the evidence that closed it. A closed incident stays as it is.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    #[expect(
        clippy::needless_pass_by_value,
        reason = "evidence is made for the store, and is its own from then on"
    )]
    pub fn close_incident(
        &self,
        id: &str,
        at: Time,
        outcome: IncidentOutcome,
        after: Option<Value>,
    ) -> Result<()> {
        self.write("write an incident", |change| {
            close_in(change, id, at, outcome, after.as_ref())?;
            self.seal_in(change, SealedTable::Incident, id)
        })
    }

    /// Closes an incident together with its record: a kill can leave neither without the other. Writes nothing if the
    /// incident is already closed.
    ///
    /// The evidence of the record gets `closedAt`, `since` and `rowDigest`, so that the trail can prove the row: see
    /// `recorded_incident`.
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
            self.require_sealed_in(change, id)?;
            if close_in(change, id, at, outcome, after.as_ref())? {
                self.seal_in(change, SealedTable::Incident, id)?;
                let listed = listed_of(change, id).map_err(failed(action))?;
                self.append_in(change, &record.clone().with(listed.unwrap_or_default()))?;
            }
            Ok(())
        })
    }

    /// Replaces the evidence from before the first step, as part of a larger transaction.
    pub(super) fn renew_incident_before_in(
        &self,
        change: &Transaction<'_>,
        id: &str,
        before: &Value,
    ) -> Result<()> {
        let sql = "UPDATE incidents SET before = ?2 WHERE id = ?1";
        change
            .execute(sql, params![id, before.to_string()])
            .map_err(failed("renew the evidence from before"))?;
        self.seal_in(change, SealedTable::Incident, id)
    }

    /// Refuses an incident that somebody else wrote since the reconcile that continues it began: the next write would seal that.
    /// A missing incident belongs to nobody.
    pub(super) fn require_sealed_in(&self, change: &Connection, id: &str) -> Result<()> {
        let sealed = self.key.as_ref().map(|key| is_sealed_in(change, key, SealedTable::Incident, id));
        match sealed.transpose()?.flatten() {
            Some(false) => Err(StoreError::Altered(id.to_owned())),
            _ => Ok(()),
        }
    }

    /// The object's open incident. Decisions rest on this function and the next two, so they return none that somebody else
    /// wrote.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn current_incident(&self, object: &str) -> Result<Option<Incident>> {
        self.select_sealed("WHERE object = ?1 AND closed_at IS NULL", [object])
    }

    /// The object's latest incident, open or closed.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn last_incident(&self, object: &str) -> Result<Option<Incident>> {
        // In the order in which they were opened: if the clock was set back, a later incident has an earlier time.
        let latest = "WHERE object = ?1 ORDER BY rowid DESC LIMIT 1";
        self.select_sealed(latest, [object])
    }

    /// The object's most recently opened closed incident, if it was closed after that time.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn incident_closed_since(&self, object: &str, since: Time) -> Result<Option<Incident>> {
        let latest = "WHERE object = ?1 AND closed_at IS NOT NULL ORDER BY rowid DESC LIMIT 1";
        let found = self.select_sealed(latest, [object])?;
        Ok(found.filter(|incident| incident.closed_at.is_some_and(|closed_at| closed_at > since)))
    }

    /// The incident with this ID, or with this prefix of one, in upper or lower case.
    ///
    /// # Errors
    /// [`StoreError::AmbiguousIncident`] if several have the prefix; SQLite's error.
    pub fn incident(&self, prefix: &str) -> Result<Option<Incident>> {
        let id = prefix.to_ascii_uppercase();
        // No character of an ID comes after these of ASCII: a range of the key, and no scan.
        let range = "WHERE id >= ?1 AND id < ?1 || '~' AND ?1 <> ''";
        let mut found = self.select_incidents(&format!("{range} LIMIT 2"), [&id])?;
        if found.len() < 2 {
            return Ok(found.pop());
        }
        let count = format!("SELECT count(*) FROM incidents {range}");
        let count: i64 = self.db().query_row(&count, [&id], |row| row.get(0)).map_err(failed(READ))?;
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        Err(StoreError::AmbiguousIncident { prefix: prefix.into(), count })
    }

    /// The incidents of this object, or of all, newest first: of two with the same time, the one that was opened later.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn incidents(&self, object: Option<&str>) -> Result<Vec<Incident>> {
        self.incidents_before(object, None, usize::MAX)
    }

    /// How many incidents this object has, or all have; at most `most`, for the number of a year's takes time.
    ///
    /// # Errors
    /// SQLite's error.
    pub fn count_incidents(&self, object: Option<&str>, most: usize) -> Result<usize> {
        let of_it = if object.is_some() { "object = ?1" } else { "?1 IS NULL" };
        // Of an index alone: the rows are large.
        let select = format!(
            "SELECT count(*) FROM (SELECT 1 FROM incidents INDEXED BY incidents_of_object WHERE {of_it} LIMIT ?2)"
        );
        let row = params![object, i64::try_from(most).unwrap_or(i64::MAX)];
        let count: i64 = self.db().query_row(&select, row, |row| row.get(0)).map_err(failed(READ))?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// At most `limit` incidents of this object, or of all, that come after the one of this ID in the order of
    /// [`incidents`](Self::incidents).
    ///
    /// # Errors
    /// SQLite's error.
    pub fn incidents_before(
        &self,
        object: Option<&str>,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Incident>> {
        // The text contains only the clauses in use, or SQLite would use no index.
        let clauses = [
            object.map(|_| "object = ?1"),
            before.map(|_| "(opened_at, rowid) < (SELECT opened_at, rowid FROM incidents WHERE id = ?2)"),
            Some("(?1 IS NULL OR ?2 IS NULL OR 1)"),
        ];
        let clauses: Vec<&str> = clauses.into_iter().flatten().collect();
        let which = format!("WHERE {} ORDER BY opened_at DESC, rowid DESC LIMIT ?3", clauses.join(" AND "));
        self.select_incidents(&which, params![object, before, i64::try_from(limit).unwrap_or(i64::MAX)])
    }

    fn select_sealed(&self, which: &str, params: impl Params) -> Result<Option<Incident>> {
        let db = self.db();
        // Read the row and its seal in one transaction: another process may write both.
        let moment = db.unchecked_transaction().map_err(failed(READ))?;
        let Some(found) = select_incidents_in(&moment, which, params)?.pop() else { return Ok(None) };
        let id = found.id.clone();
        if_sealed(&moment, self.key.as_ref(), SealedTable::Incident, &id, Some(found))
    }

    fn select_incidents(&self, which: &str, params: impl Params) -> Result<Vec<Incident>> {
        select_incidents_in(&self.db(), which, params)
    }
}

const READ: &str = "read the incidents";

fn select_incidents_in(db: &Connection, which: &str, params: impl Params) -> Result<Vec<Incident>> {
    let mut query = db.prepare_cached(&format!("{SELECT} {which}")).map_err(failed(READ))?;
    let rows = query.query_map(params, read_row).map_err(failed(READ))?;
    rows.map(|row| parse(row.map_err(failed(READ))?)).collect()
}

/// The evidence from before the first step of an incident, as part of a larger transaction.
pub(super) fn incident_before_in(change: &Transaction<'_>, id: &str) -> Result<Option<Value>> {
    let found = evidence_in(change, id).map_err(failed("read the evidence from before"))?;
    let text = found.transpose().map_err(unreadable("incident"))?;
    text.map(|text| serde_json::from_str(&text.before).map_err(unreadable("incident"))).transpose()
}

/// Closes an incident that is open, and packs its evidence; returns whether it was open.
fn close_in(
    change: &Transaction<'_>,
    id: &str,
    at: Time,
    outcome: IncidentOutcome,
    after: Option<&Value>,
) -> Result<bool> {
    let action = "close an incident";
    let after = after.map(Value::to_string);
    let texts = evidence_in(change, id).map_err(failed(action))?.and_then(serde_json::Result::ok);
    let packed = texts.and_then(|texts| EvidenceTexts { after: after.clone(), ..texts }.pack());
    let row = params![id, stamp(at), outcome.to_string(), after, packed];
    let sql = "UPDATE incidents SET closed_at = ?2, outcome = ?3, evidence = ?5,
                   before = iif(?5 IS NULL, before, ''), after = iif(?5 IS NULL, ?4, NULL),
                   earlier = iif(?5 IS NULL, earlier, NULL)
               WHERE id = ?1 AND closed_at IS NULL";
    Ok(change.execute(sql, row).map_err(failed(action))? == 1)
}

/// The values that an incident opens with.
#[derive(Debug, Clone, Copy)]
pub struct NewIncident<'a> {
    /// The object.
    pub object: &'a str,
    /// Now.
    pub at: Time,
    /// The drift of each service, `service → {layer, reason, message}`.
    pub drift: &'a Value,
    /// All evidence from before the first step.
    pub before: &'a Value,
}

impl NewIncident<'_> {
    fn insert(&self, change: &Transaction<'_>) -> Result<()> {
        let sql = "INSERT INTO incidents (id, object, opened_at, drift, before) VALUES (?1, ?2, ?3, ?4, ?5)";
        let id = Ulid::from_datetime(self.at.into()).to_string();
        let row = params![id, self.object, stamp(self.at), self.drift.to_string(), self.before.to_string()];
        change.execute(sql, row).map(drop).map_err(failed("open an incident"))
    }

    fn again(&self, change: &Transaction<'_>, last: &Incident) -> Result<()> {
        let earlier = last.closed_at.zip(last.outcome).map(|(closed_at, outcome)| Earlier {
            began: last.latest(),
            closed_at,
            outcome,
            before: last.before.clone(),
        });
        let earlier = serde_json::to_string(&earlier).map_err(unreadable("incident"))?;
        let sql = "UPDATE incidents SET closed_at = NULL, outcome = NULL, after = NULL, drift = ?2, before = ?3, since = ?4,
                       evidence = NULL, since_seq = (SELECT seq FROM head), earlier = ?5, occurrences = occurrences + 1
                   WHERE id = ?1";
        let row = params![last.id, self.drift.to_string(), self.before.to_string(), stamp(self.at), earlier];
        change.execute(sql, row).map(drop).map_err(failed("open an incident again"))
    }
}

const SELECT: &str =
    "SELECT id, object, opened_at, closed_at, outcome, drift, occurrences, coalesce(since, opened_at),
                             since_seq, before, after, earlier, evidence FROM incidents";

/// An incident whose JSON is still text.
struct StoredIncident {
    id: String,
    object: String,
    opened_at: Time,
    closed_at: Option<Time>,
    outcome: Option<String>,
    drift: String,
    occurrences: u32,
    since: Time,
    since_seq: u64,
    evidence: serde_json::Result<EvidenceTexts>,
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<StoredIncident> {
    Ok(StoredIncident {
        id: row.get(0)?,
        object: row.get(1)?,
        opened_at: read(&row.get::<_, String>(2)?)?,
        closed_at: read_option(row.get::<_, Option<String>>(3)?.as_deref())?,
        outcome: row.get(4)?,
        drift: row.get(5)?,
        occurrences: row.get(6)?,
        since: read(&row.get::<_, String>(7)?)?,
        since_seq: number(row.get(8)?),
        evidence: read_evidence(row, 9)?,
    })
}

fn parse(stored: StoredIncident) -> Result<Incident> {
    let outcome = stored.outcome.map(|word| serde_json::from_value(Value::String(word)));
    let evidence = stored.evidence.and_then(|texts| texts.parse()).map_err(unreadable("incident"))?;
    Ok(Incident {
        id: stored.id,
        object: stored.object,
        opened_at: stored.opened_at,
        closed_at: stored.closed_at,
        outcome: outcome.transpose().map_err(unreadable("incident's outcome"))?,
        drift: serde_json::from_str(&stored.drift).map_err(unreadable("incident"))?,
        before: evidence.before,
        after: evidence.after,
        occurrences: stored.occurrences,
        since: stored.since,
        since_seq: stored.since_seq,
        earlier: evidence.earlier,
    })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::json;

    use super::*;
    use crate::{
        api::{AuditKind, Step},
        store::{NewIntent, testing},
    };

    fn opened(store: &Store, object: &str, at: Time, drift: &Value, before: &Value) -> Incident {
        testing::incident(store, object, at, drift, before)
    }

    fn opened_again(store: &Store, id: &str, at: Time, drift: &Value, before: &Value) -> Incident {
        let new = NewIncident { object: "shop", at, drift, before };
        store.open_incident(new, Some(id)).unwrap()
    }

    fn died(service: &str) -> Value {
        json!({ service: { "layer": "container", "reason": "NotRunning", "message": "it has died" } })
    }

    #[test]
    fn what_is_opened_again_counts_and_keeps_how_it_was_before() {
        let (_home, store) = testing::store();
        let (at, mut seqs) = (testing::start(), Vec::new());
        let id = opened(&store, "shop", at, &died("api"), &json!({ "minute": 0 })).id;
        for minute in 0..12 {
            let at = at + TimeDelta::minutes(minute);
            let before = json!({ "minute": minute });
            // The first time it is already open.
            let open = opened_again(&store, &id, at, &died("api"), &before);
            assert_eq!((&open.id, open.closed_at, open.outcome, &open.before), (&id, None, None, &before));
            assert_eq!((open.occurrences, open.since), (u32::try_from(minute).unwrap() + 1, at));
            assert_eq!(open.opened_at, testing::start(), "when it was seen first");
            let earlier = open.earlier.map(|earlier| (earlier.began.since, earlier.before, earlier.outcome));
            let last = (minute > 0).then(|| {
                (at - TimeDelta::minutes(1), json!({ "minute": minute - 1 }), outcome_of(minute - 1))
            });
            assert_eq!(earlier, last);
            store.append(&NewRecord::of(AuditKind::DriftDetected)).unwrap();
            let end = at + TimeDelta::seconds(5);
            store.close_incident(&id, end, outcome_of(minute), None).unwrap();
            seqs.push(open.since_seq);
        }
        assert!(seqs.windows(2).all(|two| two[0] < two[1]), "{seqs:?}");
        assert_eq!(store.incidents(Some("shop")).unwrap().len(), 1);
    }

    fn outcome_of(minute: i64) -> IncidentOutcome {
        if minute % 2 == 0 { IncidentOutcome::Reconciled } else { IncidentOutcome::Stalled }
    }

    #[test]
    fn none_but_the_last_one_is_opened_again() {
        let (_home, store) = testing::store();
        let at = testing::start();
        let first = opened(&store, "shop", at, &died("api"), &json!({}));
        store.close_incident(&first.id, at, IncidentOutcome::Stalled, None).unwrap();
        let second = opened(&store, "shop", at, &died("web"), &json!({}));
        assert_ne!(second.id, first.id);
        store.close_incident(&second.id, at, IncidentOutcome::Stalled, None).unwrap();
        let third = opened_again(&store, &first.id, at, &died("api"), &json!({}));
        assert!(![&first.id, &second.id].contains(&&third.id), "it would be open beside a later one");
        assert_eq!(third.occurrences, 1);
    }

    #[test]
    fn an_occurrence_of_which_no_outcome_is_kept_was_reconciled() {
        let (home, store) = testing::store();
        let at = testing::start();
        let first = opened(&store, "shop", at, &died("api"), &json!({}));
        store.close_incident(&first.id, at, IncidentOutcome::Reconciled, None).unwrap();
        opened_again(&store, &first.id, at, &died("api"), &json!({}));
        let older = "UPDATE incidents SET earlier = json_remove(earlier, '$.outcome')";
        testing::raw(home.path()).execute(older, []).unwrap();
        store.seal_all();
        let earlier = store.current_incident("shop").unwrap().unwrap().earlier.unwrap();
        assert_eq!(earlier.outcome, IncidentOutcome::Reconciled);
    }

    #[test]
    fn an_object_has_one_open_incident() {
        let (home, store) = testing::store();
        let at = testing::start();
        let open = |object, at, drift, before| opened(&store, object, at, &drift, &before);
        let first = open("shop", at, json!({"api": 1}), json!({"n": 1}));
        assert_eq!(open("shop", at + TimeDelta::hours(1), json!({"web": 1}), json!({})), first);
        let other = open("bank", at, json!({}), json!({}));
        assert_ne!(other.id, first.id);
        assert_eq!(store.current_incident("shop").unwrap(), Some(first.clone()));
        // The index enforces it too, whatever the code does.
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
        let old = opened(&store, "shop", at, &json!({}), &json!({}));
        let new = opened(&store, "bank", at + TimeDelta::days(400), &json!({}), &json!({}));
        assert_eq!(store.incident(&old.id).unwrap(), Some(old.clone()));
        assert_eq!(store.incident(&new.id[..8].to_lowercase()).unwrap(), Some(new.clone()));
        assert_eq!(store.incident("8").unwrap(), None);
        assert_eq!(store.incident("").unwrap(), None);
        assert!(matches!(store.incident("01"), Err(StoreError::AmbiguousIncident { count: 2, .. })));
        assert_eq!(store.incidents(None).unwrap(), [new, old.clone()]);
        assert_eq!(store.incidents(Some("shop")).unwrap(), [old]);
    }

    #[test]
    fn incidents_of_one_moment_are_listed_in_the_order_in_which_they_were_opened() {
        let (_home, store) = testing::store();
        let open = |n| opened(&store, &format!("object-{n}"), testing::start(), &json!({}), &json!({}));
        let mut newest_first: Vec<Incident> = (0..20).map(open).collect();
        newest_first.reverse();
        assert_eq!(store.incidents(None).unwrap(), newest_first);
        let (mut paged, mut before) = (Vec::new(), None);
        loop {
            let page = store.incidents_before(None, before.as_deref(), 3).unwrap();
            let Some(last) = page.last() else { break };
            before = Some(last.id.clone());
            paged.extend(page);
        }
        assert_eq!(paged, newest_first, "no page leaves one out or repeats one");
    }

    #[test]
    fn the_baseline_is_replaced_with_an_intent_or_not_at_all() {
        let (home, store) = testing::store();
        let incident = opened(&store, "shop", testing::start(), &json!({}), &json!({"n": 1}));
        let record = NewRecord { incident: Some(incident.id), ..NewRecord::of(AuditKind::StepIntended) };
        let intend = || {
            store.intend_with(NewIntent {
                record: &record,
                step: Step::Restart,
                services: &["api".to_owned()],
                begun: &[],
                recent: &[],
                before: Some(json!({"n": 2})),
            })
        };
        let full =
            "CREATE TRIGGER full BEFORE INSERT ON trail BEGIN SELECT RAISE(FAIL, 'the disk is full'); END";
        testing::raw(home.path()).execute_batch(full).unwrap();
        intend().unwrap_err();
        let before = || store.current_incident("shop").unwrap().unwrap().before;
        assert_eq!(before(), json!({"n": 1}), "it is the one that an earlier intent may name");
        testing::raw(home.path()).execute_batch("DROP TRIGGER full").unwrap();
        intend().unwrap();
        assert_eq!(before(), json!({"n": 2}));
    }
}

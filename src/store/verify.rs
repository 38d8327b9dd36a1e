//! Whether the trail is intact, and the tables beside it agree with it.

use rusqlite::{Connection, OptionalExtension as _};

use super::{
    Store, StoreError,
    agreement::differences,
    canonical::canonical,
    chain::NOT_CANONICAL,
    derived::{Walked, contradictions},
    error::{Result, failed},
    incident_check::IncidentCheck,
    integrity,
    ledger::Ledger,
    seals::Rows,
    segment_check::SegmentCheck,
    trail::{StoredRecord, number},
    trail_marks::TrailMarks,
    tree_check::{KeptCheckpoint, TreeCheck},
};

/// Whether the state is intact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verification {
    /// Every record is there, unaltered, in order, and nothing beside them contradicts them.
    Whole {
        /// How many.
        records: u64,
        /// The hash of the last one; 64 zeros if there is none. Kept elsewhere, it proves later that nothing up to it was
        /// rewritten.
        head: String,
    },
    /// The records are damaged.
    Broken {
        /// The number of the first bad record; for a missing one, the number that it would have.
        seq: u64,
        /// The fault, as a sentence fragment.
        what: String,
    },
    /// The records are intact, but what is kept beside them is damaged or contradicts them.
    Differs {
        /// How many records.
        records: u64,
        /// The hash of the last one.
        head: String,
        /// The differences, each as a sentence without its full stop.
        what: Vec<String>,
    },
}

impl Verification {
    /// Whether the state is intact.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        matches!(self, Self::Whole { .. })
    }
}

impl Store {
    /// Walks the chain from the first record to the last, one record in memory at a time. Then it checks the pages and indexes
    /// of the file, and compares the tables that decisions rest on with the records.
    ///
    /// It finds a field that was altered, a record that was removed, inserted or moved, an end that was cut off, an index that
    /// hides a record, a suspension, an attempt or an open step that differs from its record, and a row of another table that
    /// undrift did not write, if this user may read the folder's key. It cannot find that someone rewrote the trail from some
    /// record on, with all hashes and the head: only a head that was kept elsewhere can.
    ///
    /// # Errors
    /// SQLite's error, for instance if the records themselves cannot be read.
    pub fn verify(&self) -> Result<Verification> {
        self.verify_against(&[])
    }

    /// The same, and whether the trail still has what these checkpoints were signed over: they find a rewrite from any record on,
    /// by whoever had the database and not them.
    ///
    /// # Errors
    /// As [`verify`](Self::verify); [`StoreError::Incomparable`] if nothing else is found.
    pub fn verify_against(&self, kept: &[KeptCheckpoint]) -> Result<Verification> {
        let action = "walk the audit trail";
        let now = (self.clock)();
        let db = self.db();
        // One transaction: the head, the records and the tables are of the same moment.
        let moment = db.unchecked_transaction().map_err(failed(action))?;
        let (keys, unusable) = match self.verifiers_in(&moment) {
            Err(StoreError::Unsigned(why)) => {
                (Vec::new(), Some(format!("no checkpoint can be compared: {why}")))
            }
            keys => (keys?, None),
        };
        let tree = TreeCheck::of(&moment, keys, kept).map_err(failed(action))?;
        let (mut ledger, mut check) = (
            Ledger::default(),
            ((SegmentCheck::of(&moment), tree), (IncidentCheck::of(&moment), TrailMarks::default())),
        );
        ledger.walk(&moment, &mut check).map_err(failed(action))?;
        let ((segments, tree), (incidents, marks)) = check;
        let found = of_chain(&moment, &ledger).map_err(failed(action))?;
        let Verification::Whole { records, head } = found else { return Ok(found) };
        let (mut what, mut incomparable) = (integrity::faults(&moment)?, None);
        if what.is_empty() {
            what.extend(segments.differences().map_err(failed(action))?);
            what.extend(unusable);
            incomparable = tree.incomparable().map(str::to_owned);
            what.extend(tree.differences());
            let differs = differences(&moment, self.key.as_ref(), &ledger, Rows::All, now)?;
            what.extend(differs.iter().map(ToString::to_string));
            let derived =
                contradictions(&moment, Walked { ledger: &ledger, incidents: &incidents, marks: &marks })?;
            what.extend(derived.iter().map(ToString::to_string));
            what.extend(incidents.differences().map_err(failed(action))?);
        }
        // Otherwise the answer is known without it.
        if let Some(name) = incomparable.filter(|_| what.is_empty()) {
            return Err(StoreError::Incomparable(name));
        }
        Ok(if what.is_empty() {
            Verification::Whole { records, head }
        } else {
            Verification::Differs { records, head, what }
        })
    }
}

/// The fault of a record whose evidence has another text than undrift writes.
pub(super) fn not_canonical(stored: &StoredRecord) -> Option<&'static str> {
    let evidence = serde_json::from_str(&stored.evidence).ok();
    let is_canonical = evidence.is_some_and(|evidence| canonical(&evidence) == stored.evidence);
    (!is_canonical).then_some(NOT_CANONICAL)
}

/// The result of a walk, with the end of the chain compared with the head that was written with it.
fn of_chain(db: &Connection, ledger: &Ledger) -> rusqlite::Result<Verification> {
    let broken = |seq, what: String| Ok(Verification::Broken { seq, what });
    if let Some(bad) = &ledger.broken {
        return broken(bad.seq, bad.what.clone());
    }
    let head: Option<(i64, String)> =
        db.query_row("SELECT seq, hash FROM head", [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (records, last) = (ledger.chain.records, ledger.chain.head.clone());
    match head {
        None => broken(records + 1, "cannot be excluded: the head of the trail is missing".into()),
        Some((seq, _)) if number(seq) > records => {
            broken(records + 1, format!("is missing: the trail once had {seq} records"))
        }
        Some((seq, _)) if number(seq) < records => {
            broken(number(seq) + 1, "is beyond the trail's end: it was not written by undrift".into())
        }
        Some((_, hash)) if hash != last => {
            broken(records.max(1), "is not the one that was written last: its hash is not the head's".into())
        }
        Some(_) => Ok(Verification::Whole { records, head: last }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tempfile::TempDir;

    use super::*;
    use crate::{
        api::{AuditKind, NewRecord},
        store::{GENESIS, RecordFilter, record_hash, testing},
    };

    fn trail_of(n: u64) -> (TempDir, Store) {
        let (home, store) = testing::store();
        for record in 0..n {
            let evidence = json!({"n": record, "text": "as it was"});
            let object = Some("shop".into());
            store.append(&NewRecord { object, evidence, ..NewRecord::of(AuditKind::Verified) }).unwrap();
        }
        (home, store)
    }

    fn broken_after(sql: &str) -> (u64, String) {
        let (home, store) = trail_of(5);
        testing::tamper(home.path(), sql);
        match store.verify().unwrap() {
            Verification::Broken { seq, what } => (seq, what),
            other => panic!("not found: {sql}: {other:?}"),
        }
    }

    #[test]
    fn an_untouched_trail_is_whole() {
        for records in [0, 1, 5] {
            let (_home, store) = trail_of(records);
            let head = store.records(&RecordFilter::default()).unwrap().pop().map(|record| record.hash);
            let head = head.unwrap_or_else(|| GENESIS.into());
            assert_eq!(store.verify().unwrap(), Verification::Whole { records, head });
        }
    }

    #[test]
    fn an_altered_field_is_found_whichever_it_is() {
        for column in [
            "time",
            "object",
            "service",
            "incident",
            "actor",
            "kind",
            "step",
            "outcome",
            "evidence",
            "hash",
            "prev_hash",
        ] {
            let (seq, what) = broken_after(&format!("UPDATE trail SET {column} = '1' WHERE seq = 3"));
            assert_eq!(seq, 3, "{column}");
            assert!(what.contains("was altered"), "{column}: {what}");
        }
        let (seq, _) = broken_after("UPDATE trail SET object = NULL WHERE seq = 3");
        assert_eq!(seq, 3);
    }

    #[test]
    fn evidence_that_only_looks_different_is_found() {
        let sql = "UPDATE trail SET evidence = replace(evidence, ',', ', ') WHERE seq = 2";
        assert_eq!(broken_after(sql), (2, "was altered: its evidence is not in canonical form".into()));
    }

    #[test]
    fn a_removed_record_is_found() {
        assert_eq!(broken_after("DELETE FROM trail WHERE seq = 1"), (1, "is missing".into()));
        assert_eq!(broken_after("DELETE FROM trail WHERE seq = 3"), (3, "is missing".into()));
        let renumbered = "DELETE FROM trail WHERE seq = 3; UPDATE trail SET seq = seq - 1 WHERE seq > 3;
                          UPDATE head SET seq = 4";
        assert_eq!(broken_after(renumbered).0, 3);
    }

    #[test]
    fn a_record_that_was_rewritten_with_its_own_hash_is_found_at_the_next() {
        let (home, store) = trail_of(5);
        let mut record = store.records(&RecordFilter::default()).unwrap().remove(2);
        record.actor = "nobody".into();
        let hash = record_hash(&record);
        testing::tamper(
            home.path(),
            &format!("UPDATE trail SET actor = 'nobody', hash = '{hash}' WHERE seq = 3"),
        );
        let Verification::Broken { seq, what } = store.verify().unwrap() else { panic!("not found") };
        assert_eq!((seq, what.contains("does not follow")), (4, true), "{what}");
    }

    #[test]
    fn reordered_records_are_found() {
        let sql = "UPDATE trail SET seq = -2 WHERE seq = 2; UPDATE trail SET seq = 2 WHERE seq = 3;
                   UPDATE trail SET seq = 3 WHERE seq = -2";
        assert_eq!(broken_after(sql).0, 2);
    }

    #[test]
    fn an_end_that_was_cut_off_is_found() {
        let expected = (4, "is missing: the trail once had 5 records".into());
        assert_eq!(broken_after("DELETE FROM trail WHERE seq > 3"), expected);
        assert_eq!(broken_after("DELETE FROM trail").0, 1);
        assert_eq!(broken_after("DELETE FROM trail; DELETE FROM head").0, 1);
        // With the head set back as well its number can be guessed; its hash still reveals it.
        assert_eq!(broken_after("DELETE FROM trail WHERE seq > 3; UPDATE head SET seq = 3").0, 3);
    }

    #[test]
    fn an_inserted_record_is_found() {
        let copy = |seq: &str| {
            format!(
                "INSERT INTO trail SELECT {seq}, time, object, service, incident, actor, kind, step, outcome,
                 evidence, prev_hash, hash FROM trail WHERE seq = 5"
            )
        };
        assert_eq!(broken_after(&copy("0")).0, 0);
        assert_eq!(broken_after(&copy("-7")).0, 0);
        assert_eq!(broken_after(&copy("6")).0, 6);
        assert_eq!(broken_after(&copy("9")).0, 6);
        let middle = format!(
            "UPDATE trail SET seq = -seq WHERE seq > 2; UPDATE trail SET seq = 1 - seq WHERE seq < 0; {}",
            copy("3").replace("seq = 5", "seq = 6")
        );
        assert_eq!(broken_after(&middle).0, 3);
    }

    #[test]
    fn a_record_that_follows_well_but_beyond_the_head_is_found() {
        let (home, store) = trail_of(2);
        let mut record = store.records(&RecordFilter::default()).unwrap().remove(1);
        (record.seq, record.prev_hash) = (3, record.hash.clone());
        let hash = record_hash(&record);
        testing::tamper(
            home.path(),
            &format!(
                "INSERT INTO trail SELECT 3, time, object, service, incident, actor, kind, step, outcome, evidence,
                 hash, '{hash}' FROM trail WHERE seq = 2"
            ),
        );
        let Verification::Broken { seq, what } = store.verify().unwrap() else { panic!("not found") };
        assert_eq!((seq, what.contains("beyond the trail's end")), (3, true), "{what}");
    }
}

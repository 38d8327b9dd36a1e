//! Whether the tables that decisions rest on agree with the trail, and the repair if they do not: the trail wins.
//!
//! | table | what the trail records of it |
//! | --- | --- |
//! | `suspensions` | all: `Suspended` and `Resumed` |
//! | `open_steps` | all: a `StepIntended` without its end |
//! | `recent_steps` | all: the intents list the steps that the rate counts |
//! | `generations` | all: `ManifestChanged` |
//! | `attempts` | their state at each intent, each outcome and each end: a row with fewer attempts was altered |
//! | `incidents` | which one is open, and the digest of its evidence from before at each intent |
//! | `verified_from` | which objects have a row |
//!
//! Rows that no record covers are sealed: see [`seals`](super::seals). A row without its seal counts as missing.
//!
//! A row that holds undrift back further than the trail does is left alone, except for a suspension or an open step:
//! attempts are judged between two records, and kept for longer than a record covers them.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension as _};

use super::{
    DigestKey, Store,
    attempts::readable_attempts_in,
    cache,
    difference::{AlteredIncident, Difference, NO_EVIDENCE, is_of_digest},
    error::{Result, failed},
    ledger::Ledger,
    object_ledger::{ObjectLedger, OpenIncidentLedger, RecordedGeneration},
    recent_steps::{kept_since, recent_steps_in},
    seals::{Rows, SealedTable, Unsealed, is_sealed_in, unsealed_in},
    steps::{OpenIntent, found_open_steps_in},
    suspensions::suspensions_in,
    time::stamp,
    trail::number,
    verified_from::is_known_in,
};
use crate::api::{Attempt, RecentStep, Suspension, Time};

const ACTION: &str = "hold the state against the trail";

impl Store {
    /// Compares the tables that decisions about this object rest on with the trail, and repairs and logs every difference.
    /// Call it before a decision that is acted on: from then on the tables can be queried.
    ///
    /// The first call of a process walks the trail from its last stored sum; each later one continues where the last one ended.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn agree_with_trail(&self, object: &str, now: Time) -> Result<()> {
        self.agree(Some(object), now)
    }

    /// The same for all objects, for a process that starts.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn agree_with_trail_in_all(&self, now: Time) -> Result<()> {
        self.agree(None, now)
    }

    /// Whether another database lies in the place of the one that this process holds: a record is missing that it has read.
    const fn is_another(&self, ledger: &Ledger) -> bool {
        self.held.is_some() && ledger.is_cut
    }

    fn agree(&self, object: Option<&str>, now: Time) -> Result<()> {
        let (mut ledger, key) = (self.ledger(), self.key.as_ref());
        let differs = {
            let db = self.db();
            // One transaction: the records and the tables are of the same moment.
            let moment = db.unchecked_transaction().map_err(failed(ACTION))?;
            if !ledger.has_begun() {
                ledger.resume(&moment, key)?;
            }
            follow(&mut ledger, &moment)?;
            // Nothing of another database counts.
            !self.is_another(&ledger) && !to_repair(&moment, key, &ledger, object, now)?.is_empty()
        };
        ledger.forget_before(kept_since(now));
        if differs {
            self.write(ACTION, |change| {
                // Read again: the last read may have fallen in the middle of a change.
                follow(&mut ledger, change)?;
                if self.is_another(&ledger) {
                    return Ok(());
                }
                for difference in to_repair(change, key, &ledger, object, now)? {
                    if difference.repair(change, key, now)? {
                        tracing::error!(what = %difference, "the state was altered, and not by undrift: the trail counts");
                    }
                }
                Ok(())
            })?;
        }
        match &self.held {
            Some(held) if self.is_another(&ledger) => return Err(self.condemn(held)),
            _ => {}
        }
        self.store_ledger(&mut ledger);
        Ok(())
    }
}

/// Continues to the trail's end, and logs once if the trail is broken or cannot be parsed.
pub(super) fn follow(ledger: &mut Ledger, db: &Connection) -> Result<()> {
    let (was_broken, was_unreadable) = (ledger.broken.is_some(), ledger.unreadable.is_some());
    ledger.follow(db).map_err(failed(ACTION))?;
    if let Some(bad) = ledger.broken.as_ref().filter(|_| !was_broken) {
        tracing::error!(
            record = bad.seq,
            what = bad.what,
            "the audit trail is broken: `undrift audit verify`"
        );
    }
    if let Some(error) = ledger.unreadable.as_ref().filter(|_| !was_unreadable) {
        tracing::error!(%error, "a record that cannot be parsed lifts no restriction");
    }
    Ok(())
}

/// The differences to repair. A trail that is broken or cannot be parsed may not lift any restriction.
fn to_repair(
    db: &Connection,
    key: Option<&DigestKey>,
    ledger: &Ledger,
    object: Option<&str>,
    now: Time,
) -> Result<Vec<Difference>> {
    let rows = object.map_or(Rows::OfDecisions, Rows::Of);
    let found = differences(db, key, ledger, rows, now)?;
    if ledger.is_reliable() {
        return Ok(found);
    }
    Ok(found.into_iter().filter(Difference::holds_back).collect())
}

/// The differences between the tables and the trail, or what undrift wrote, in these rows.
pub(super) fn differences(
    db: &Connection,
    key: Option<&DigestKey>,
    ledger: &Ledger,
    rows: Rows<'_>,
    now: Time,
) -> Result<Vec<Difference>> {
    let object = match rows {
        Rows::Of(object) => Some(object),
        Rows::All | Rows::OfDecisions => None,
    };
    let is_asked = |name: &str| object.is_none_or(|object| object == name);
    let mut found = suspensions(db, ledger)?;
    found
        .retain(|difference| matches!(difference, Difference::Suspension { object, .. } if is_asked(object)));
    found.extend(open_steps(db, ledger, object)?);
    if let Some(key) = key {
        // Closed incidents first: an object has at most one open incident.
        found.extend(unsealed(db, key, ledger, rows)?);
        if object.is_none() {
            let altered = cache::altered_in(db, key)?;
            found.extend((!altered.is_empty()).then_some(Difference::Cached(altered)));
        }
    }
    for (name, recorded) in ledger.objects.iter().filter(|(name, _)| is_asked(name)) {
        found.extend(recent_steps(db, ledger, name, now)?);
        found.extend(of_object(db, key, name, recorded)?);
    }
    Ok(found)
}

/// Rows that undrift did not write, except the incidents that the trail has open: the trail itself covers these.
fn unsealed(db: &Connection, key: &DigestKey, ledger: &Ledger, rows: Rows<'_>) -> Result<Vec<Difference>> {
    let is_open = |id: &str| {
        let mut open = ledger.objects.values().filter_map(|recorded| recorded.incident.as_ref());
        open.any(|open| open.id == id)
    };
    let rows = unsealed_in(db, key, rows)?.into_iter();
    let told_apart = |row: &Unsealed| match row.of {
        SealedTable::Incident => is_open(&row.key),
        SealedTable::VerifiedFrom => row.gone && ledger.objects.contains_key(&row.key),
        _ => false,
    };
    Ok(rows.filter(|row| !told_apart(row)).map(Difference::Unsealed).collect())
}

fn of_object(
    db: &Connection,
    key: Option<&DigestKey>,
    name: &str,
    recorded: &ObjectLedger,
) -> Result<Vec<Difference>> {
    let mut found = Vec::new();
    if let Some((seq, generation)) = &recorded.generation {
        found.extend(generations(db, name, *seq, generation)?);
        if !is_known_in(db, name)? {
            found.push(Difference::VerifiedFrom { object: name.to_owned(), seq: *seq });
        }
    }
    let rows = readable_attempts_in(db, name)?;
    // An attempt that never began does not count, and may be forgotten without a record.
    let matters = |recorded: &Attempt| recorded.attempts > 0 || recorded.gave_up.is_some();
    let counts_less = |recorded: &Attempt| match rows.iter().find(|row| row.is_of_the_same(recorded)) {
        Some(row) => counts_for_less(row, recorded),
        None => matters(recorded),
    };
    let less = recorded.attempts.iter().filter(|(_, recorded)| counts_less(recorded));
    found.extend(less.map(|(seq, recorded)| Difference::Attempt { seq: *seq, recorded: recorded.clone() }));
    if let Some(open) = &recorded.incident {
        let (object, recorded) = (name.to_owned(), open.clone());
        let what = altered_incident(db, key, name, open)?;
        found.extend(what.map(|what| Difference::Incident { object, recorded, what }));
    }
    Ok(found)
}

/// Whether a row would allow more attempts than its record does.
fn counts_for_less(row: &Attempt, recorded: &Attempt) -> bool {
    row.generation != recorded.generation
        || row.attempts < recorded.attempts
        || row.last_at < recorded.last_at
        || row.next_at < recorded.next_at
        || recorded.gave_up.is_some() && row.gave_up.is_none()
        || recorded.tried.iter().any(|step| !row.tried.contains(step))
}

fn suspensions(db: &Connection, ledger: &Ledger) -> Result<Vec<Difference>> {
    let stored = suspensions_in(db)?;
    let recorded =
        |object: &String| ledger.objects.get(object).and_then(|recorded| recorded.suspended.as_ref());
    let suspended =
        ledger.objects.iter().filter(|(_, recorded)| recorded.suspended.is_some()).map(|(object, _)| object);
    let objects: BTreeSet<&String> = stored.keys().chain(suspended).collect();
    // The row is written a moment before the record, and carries that moment.
    let is_same = |stored: &Suspension, recorded: &Suspension| {
        stored.until.map(stamp) == recorded.until.map(stamp)
            && (&stored.reason, &stored.actor) == (&recorded.reason, &recorded.actor)
    };
    let differs = objects.into_iter().filter(|object| match (stored.get(*object), recorded(object)) {
        (Some(Some(stored)), Some((_, recorded))) => !is_same(stored, recorded),
        _ => true,
    });
    Ok(differs
        .map(|object| Difference::Suspension { object: object.clone(), recorded: recorded(object).cloned() })
        .collect())
}

fn open_steps(db: &Connection, ledger: &Ledger, object: Option<&str>) -> Result<Vec<Difference>> {
    let stored = found_open_steps_in(db)?;
    let is_asked = |of: &Option<String>| object.is_none() || of.as_deref() == object;
    let is_stored =
        |recorded: &OpenIntent| stored.iter().any(|(_, _, found)| found.as_ref() == Some(recorded));
    let recorded = ledger.open.values().filter(|recorded| is_asked(&recorded.object));
    let lacking = recorded
        .filter(|recorded| !is_stored(recorded))
        .map(|recorded| (recorded.seq, Some(recorded.clone())));
    let of_none = stored.iter().filter(|(seq, of, _)| is_asked(of) && !ledger.open.contains_key(seq));
    let of_none = of_none.map(|(seq, ..)| (*seq, None));
    Ok(lacking.chain(of_none).map(|(intent, recorded)| Difference::OpenStep { intent, recorded }).collect())
}

fn recent_steps(db: &Connection, ledger: &Ledger, object: &str, now: Time) -> Result<Vec<Difference>> {
    let stored = recent_steps_in(db, object)?;
    // A later date counts for longer. A step dated in the future was re-dated by the first reader to see it.
    let is_same = |stored: &RecentStep, recorded: &RecentStep| {
        let is_dated = recorded.at > now || stamp(stored.at) >= stamp(recorded.at);
        let undated = |step: &RecentStep| RecentStep { at: now, ..step.clone() };
        is_dated && undated(stored) == undated(recorded)
    };
    let counts = |intent: u64, recorded: &RecentStep| {
        stored.iter().any(|(of, stored)| *of == intent && is_same(stored, recorded))
    };
    let recorded =
        ledger.counted.iter().flat_map(|(intent, counted)| counted.steps.iter().map(|step| (*intent, step)));
    let recorded = recorded.filter(|(_, step)| step.object == object && step.at > kept_since(now));
    let lacking = recorded.filter(|(intent, step)| !counts(*intent, step));
    Ok(lacking
        .map(|(intent, recorded)| Difference::RecentStep { intent, recorded: recorded.clone() })
        .collect())
}

fn generations(
    db: &Connection,
    name: &str,
    seq: u64,
    recorded: &RecordedGeneration,
) -> Result<Option<Difference>> {
    let select = "SELECT number, digest FROM generations WHERE object = ?1";
    let stored: Option<(i64, String)> = db
        .query_row(select, [name], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
        .map_err(failed(ACTION))?;
    // A digest made by another rule replaces the recorded one, and does not indicate a change.
    let rule = |digest: &str| digest.split(':').next().map(str::to_owned);
    let is_same = stored.is_some_and(|(number, digest)| {
        number == recorded.number && (digest == recorded.digest || rule(&digest) != rule(&recorded.digest))
    });
    let (object, digest) = (name.to_owned(), recorded.digest.clone());
    Ok((!is_same).then_some(Difference::Generation { object, seq, number: recorded.number, digest }))
}

fn altered_incident(
    db: &Connection,
    key: Option<&DigestKey>,
    name: &str,
    recorded: &OpenIncidentLedger,
) -> Result<Option<AlteredIncident>> {
    let select =
        "SELECT before, since_seq FROM incidents WHERE id = ?1 AND object = ?2 AND closed_at IS NULL";
    let stored: Option<(String, i64)> = db
        .query_row(select, [&recorded.id, name], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
        .map_err(failed(ACTION))?;
    let Some((before, since)) = stored else { return Ok(Some(AlteredIncident::Ended)) };
    let is_sealed =
        key.map(|key| is_sealed_in(db, key, SealedTable::Incident, &recorded.id)).transpose()?.flatten();
    // An incident reopened since has other evidence, and one that was repaired has none.
    let is_put_right = before == NO_EVIDENCE && is_sealed == Some(true);
    let asked = recorded.before.as_ref().filter(|(seq, _)| number(since) < *seq && !is_put_right);
    if let Some((seq, digest)) = asked
        && !is_of_digest(&before, digest)
    {
        return Ok(Some(AlteredIncident::Before(*seq)));
    }
    Ok((is_sealed == Some(false)).then_some(AlteredIncident::Unsealed))
}

#[cfg(test)]
#[path = "agreement_tests.rs"]
mod tests;

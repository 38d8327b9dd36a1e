//! Whether the tables that decisions rest on say what the trail says, and what is done where they do not: the trail counts.
//!
//! | table | what the trail says of it |
//! | --- | --- |
//! | `suspensions` | all: `Suspended` and `Resumed` |
//! | `open_steps` | all: a `StepIntended` without its end |
//! | `recent_steps` | all: the intents list what the rate is to count |
//! | `generations` | all: `ManifestChanged` |
//! | `attempts` | what they were at each intent, each outcome and each end: what says less was altered |
//! | `incidents` | which one is open, and the digest of its evidence from before at each intent |
//!
//! A row that holds undrift back further than the trail says is left alone, but for a suspension and a step that is open:
//! attempts are judged between two records, and kept for longer than one tells of them.

use std::{collections::BTreeSet, fmt};

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use serde_json::{Value, json};

use super::{
    Store,
    attempts::{readable_attempts_in, save_attempt_in},
    error::{Result, failed},
    ledger::{Generation, Ledger, TellsOf, Told, before_digest},
    recent_steps::{kept_since, recent_steps_in, save_recent_step_in},
    steps::{OpenIntent, found_open_steps_in, save_open_step_in, signed},
    suspensions::{save_suspension_in, suspensions_in},
    time::stamp,
    trail::number,
};
use crate::api::{Attempt, RecentStep, Suspension, Time};

const ACTION: &str = "hold the state against the trail";

/// A table that does not say what the trail says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Difference {
    /// The trail suspends the object, or does not.
    Suspension { object: String, told: Option<(u64, Suspension)> },
    /// The trail has a step open, or has not.
    OpenStep { intent: u64, told: Option<OpenIntent> },
    /// A step of the last hour is not counted as it was recorded.
    RecentStep { intent: u64, told: RecentStep },
    /// What was tried counts for less than was recorded.
    Attempt { seq: u64, told: Attempt },
    /// The generation of a spec is another.
    Generation { object: String, seq: u64, number: i64, digest: String },
    /// The incident that is open is closed, or gone.
    Incident { object: String, began: u64, id: String, opened_at: Time, drift: Value },
    /// The evidence from before the first step of an incident is another.
    Before { seq: u64, id: String },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Suspension { object, told: Some((seq, _)) } => {
                write!(
                    f,
                    "{object} is suspended by record {seq}, and the table of suspensions says otherwise"
                )
            }
            Self::Suspension { object, told: None } => {
                write!(f, "the table of suspensions says that {object} is suspended, and no record does")
            }
            Self::OpenStep { intent, told: Some(_) } => {
                write!(
                    f,
                    "the step of record {intent} has no end, and the table of open steps says otherwise"
                )
            }
            Self::OpenStep { intent, told: None } => {
                write!(f, "the table of open steps has record {intent}, which is of no step that is open")
            }
            Self::RecentStep { intent, told } => write!(
                f,
                "the step of record {intent} for {} is to be counted, and the table of the last hour's steps says otherwise",
                told.service
            ),
            Self::Attempt { seq, told } => write!(
                f,
                "what was tried for {} of {} counts for less in the table of attempts than in record {seq}",
                told.service, told.object
            ),
            Self::Generation { object, seq, number, .. } => write!(
                f,
                "{object} has the generation {number} by record {seq}, and the table of generations says otherwise"
            ),
            Self::Incident { object, began, id, .. } => write!(
                f,
                "the incident {id} of {object}, of record {began}, is open, and the table of incidents says otherwise"
            ),
            Self::Before { seq, id } => write!(
                f,
                "the evidence from before the incident {id} is another in the table of incidents than record {seq} says"
            ),
        }
    }
}

impl Store {
    /// Holds what decisions about this object rest on against the trail, and puts right what differs, loudly. To be called
    /// before a decision that is acted on: from then on the tables may be asked.
    ///
    /// The first call of a process walks along the whole trail, each later one from where the last one ended.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn agree_with_trail(&self, object: &str, now: Time) -> Result<()> {
        self.agree(Some(object), now)
    }

    /// The same for all objects, for who begins.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn agree_with_trail_in_all(&self, now: Time) -> Result<()> {
        self.agree(None, now)
    }

    fn agree(&self, object: Option<&str>, now: Time) -> Result<()> {
        let mut ledger = self.ledger();
        let differs = {
            let db = self.db();
            // One transaction: the records and the tables are of the same moment.
            let moment = db.unchecked_transaction().map_err(failed(ACTION))?;
            follow(&mut ledger, &moment)?;
            !to_put_right(&moment, &ledger, object, now)?.is_empty()
        };
        ledger.forget_before(kept_since(now));
        if !differs {
            return Ok(());
        }
        self.write(ACTION, |change| {
            // Read again: it may have been in the middle of a change.
            follow(&mut ledger, change)?;
            for difference in to_put_right(change, &ledger, object, now)? {
                if difference.put_right(change)? {
                    tracing::error!(what = %difference, "the state was altered, and not by undrift: the trail counts");
                }
            }
            Ok(())
        })
    }
}

/// Goes on to the trail's end, and says it once where that is broken.
pub(super) fn follow(ledger: &mut Ledger, db: &Connection) -> Result<()> {
    let was_broken = ledger.broken.is_some();
    ledger.follow(db, |_| None).map_err(failed(ACTION))?;
    if let Some(bad) = ledger.broken.as_ref().filter(|_| !was_broken) {
        tracing::error!(
            record = bad.seq,
            what = bad.what,
            "the audit trail is broken: `undrift audit verify`"
        );
    }
    Ok(())
}

/// What is put right. The word of a trail that is broken sets nothing free: what is missing in it may be a suspension.
fn to_put_right(
    db: &Connection,
    ledger: &Ledger,
    object: Option<&str>,
    now: Time,
) -> Result<Vec<Difference>> {
    let found = differences(db, ledger, object, now)?;
    if ledger.broken.is_none() {
        return Ok(found);
    }
    let mut holds_back = Vec::new();
    for difference in found {
        if difference.holds_back() && difference.has_its_record(db)? {
            holds_back.push(difference);
        }
    }
    Ok(holds_back)
}

/// Where the tables say otherwise than the trail, of this object, or of all.
pub(super) fn differences(
    db: &Connection,
    ledger: &Ledger,
    object: Option<&str>,
    now: Time,
) -> Result<Vec<Difference>> {
    let is_asked = |name: &str| object.is_none_or(|object| object == name);
    let mut found = suspensions(db, ledger)?;
    found
        .retain(|difference| matches!(difference, Difference::Suspension { object, .. } if is_asked(object)));
    found.extend(open_steps(db, ledger, object)?);
    for (name, told) in ledger.objects.iter().filter(|(name, _)| is_asked(name)) {
        found.extend(recent_steps(db, ledger, name, now)?);
        found.extend(of_object(db, name, told)?);
    }
    Ok(found)
}

fn of_object(db: &Connection, name: &str, told: &Told) -> Result<Vec<Difference>> {
    let mut found = Vec::new();
    if let Some((seq, generation)) = &told.generation {
        found.extend(generations(db, name, *seq, generation)?);
    }
    let rows = readable_attempts_in(db, name)?;
    // One that never began is of no account, and may be forgotten without a record.
    let matters = |told: &Attempt| told.attempts > 0 || told.gave_up.is_some();
    let says_less = |told: &Attempt| match rows.iter().find(|row| row.is_of_the_same(told)) {
        Some(row) => counts_for_less(row, told),
        None => matters(told),
    };
    let less = told.attempts.iter().filter(|(_, told)| says_less(told));
    found.extend(less.map(|(seq, told)| Difference::Attempt { seq: *seq, told: told.clone() }));
    if let Some(open) = &told.incident {
        found.extend(incident(db, name, open)?);
    }
    Ok(found)
}

/// Whether a row would let more be tried than what was recorded of it.
fn counts_for_less(row: &Attempt, told: &Attempt) -> bool {
    row.generation != told.generation
        || row.attempts < told.attempts
        || row.last_at < told.last_at
        || row.next_at < told.next_at
        || told.gave_up.is_some() && row.gave_up.is_none()
        || told.tried.iter().any(|step| !row.tried.contains(step))
}

fn suspensions(db: &Connection, ledger: &Ledger) -> Result<Vec<Difference>> {
    let stored = suspensions_in(db)?;
    let told = |object: &String| ledger.objects.get(object).and_then(|told| told.suspended.as_ref());
    let suspended =
        ledger.objects.iter().filter(|(_, told)| told.suspended.is_some()).map(|(object, _)| object);
    let objects: BTreeSet<&String> = stored.keys().chain(suspended).collect();
    // The row is written a moment before the record, and bears that moment.
    let is_same = |stored: &Suspension, told: &Suspension| {
        stored.until.map(stamp) == told.until.map(stamp)
            && (&stored.reason, &stored.actor) == (&told.reason, &told.actor)
    };
    let differs = objects.into_iter().filter(|object| match (stored.get(*object), told(object)) {
        (Some(Some(stored)), Some((_, told))) => !is_same(stored, told),
        _ => true,
    });
    Ok(differs
        .map(|object| Difference::Suspension { object: object.clone(), told: told(object).cloned() })
        .collect())
}

fn open_steps(db: &Connection, ledger: &Ledger, object: Option<&str>) -> Result<Vec<Difference>> {
    let stored = found_open_steps_in(db)?;
    let is_asked = |of: &Option<String>| object.is_none() || of.as_deref() == object;
    let is_stored = |told: &OpenIntent| stored.iter().any(|(_, _, found)| found.as_ref() == Some(told));
    let told = ledger.open.values().filter(|told| is_asked(&told.object));
    let lacking = told.filter(|told| !is_stored(told)).map(|told| (told.seq, Some(told.clone())));
    let of_none = stored.iter().filter(|(seq, of, _)| is_asked(of) && !ledger.open.contains_key(seq));
    let of_none = of_none.map(|(seq, ..)| (*seq, None));
    Ok(lacking.chain(of_none).map(|(intent, told)| Difference::OpenStep { intent, told }).collect())
}

fn recent_steps(db: &Connection, ledger: &Ledger, object: &str, now: Time) -> Result<Vec<Difference>> {
    let stored = recent_steps_in(db, object)?;
    // A later date counts for longer. What the clock shows as lying ahead was dated by whoever looked at it first.
    let is_same = |stored: &RecentStep, told: &RecentStep| {
        let is_dated = told.at > now || stamp(stored.at) >= stamp(told.at);
        let undated = |step: &RecentStep| RecentStep { at: now, ..step.clone() };
        is_dated && undated(stored) == undated(told)
    };
    let counts = |intent: u64, told: &RecentStep| {
        stored.iter().any(|(of, stored)| *of == intent && is_same(stored, told))
    };
    let told =
        ledger.counted.iter().flat_map(|(intent, counted)| counted.steps.iter().map(|step| (*intent, step)));
    let told = told.filter(|(_, step)| step.object == object && step.at > kept_since(now));
    let lacking = told.filter(|(intent, step)| !counts(*intent, step));
    Ok(lacking.map(|(intent, told)| Difference::RecentStep { intent, told: told.clone() }).collect())
}

fn generations(db: &Connection, name: &str, seq: u64, told: &Generation) -> Result<Option<Difference>> {
    let select = "SELECT number, digest FROM generations WHERE object = ?1";
    let stored: Option<(i64, String)> = db
        .query_row(select, [name], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
        .map_err(failed(ACTION))?;
    // A digest by another rule takes the place of the one that was recorded, and says nothing of a change.
    let rule = |digest: &str| digest.split(':').next().map(str::to_owned);
    let is_same = stored.is_some_and(|(number, digest)| {
        number == told.number && (digest == told.digest || rule(&digest) != rule(&told.digest))
    });
    let (object, digest) = (name.to_owned(), told.digest.clone());
    Ok((!is_same).then_some(Difference::Generation { object, seq, number: told.number, digest }))
}

fn incident(db: &Connection, name: &str, told: &TellsOf) -> Result<Option<Difference>> {
    let select =
        "SELECT before, since_seq FROM incidents WHERE id = ?1 AND object = ?2 AND closed_at IS NULL";
    let stored: Option<(String, i64)> = db
        .query_row(select, [&told.id, name], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
        .map_err(failed(ACTION))?;
    let id = told.id.clone();
    let Some((before, since)) = stored else {
        let (object, drift) = (name.to_owned(), json!(told.drift));
        let (began, opened_at) = (told.began, told.opened_at);
        return Ok(Some(Difference::Incident { object, began, id, opened_at, drift }));
    };
    // One that has been opened again since has other evidence.
    let asked = told.before.as_ref().filter(|(seq, _)| number(since) < *seq);
    let is_same =
        |digest: &String| serde_json::from_str(&before).is_ok_and(|before| before_digest(&before) == *digest);
    let differs = asked.filter(|(_, digest)| !is_same(digest));
    Ok(differs.map(|(seq, _)| Difference::Before { seq: *seq, id }))
}

impl Difference {
    /// Whether to put it right takes nothing away that holds undrift back.
    const fn holds_back(&self) -> bool {
        !matches!(self, Self::Suspension { told: None, .. } | Self::OpenStep { told: None, .. })
    }

    /// Whether the record is there still that a row of it must name.
    fn has_its_record(&self, db: &Connection) -> Result<bool> {
        let (Self::OpenStep { intent, .. } | Self::RecentStep { intent, .. }) = self else { return Ok(true) };
        let select = "SELECT EXISTS (SELECT 1 FROM trail WHERE seq = ?1)";
        db.query_row(select, [signed(*intent)], |row| row.get(0)).map_err(failed(ACTION))
    }

    /// Writes what the trail says; whether that was another than before.
    fn put_right(&self, change: &Transaction<'_>) -> Result<bool> {
        let execute = |sql: &str, params: &[&dyn rusqlite::ToSql]| {
            change.execute(sql, params).map(|rows| rows > 0).map_err(failed(ACTION))
        };
        match self {
            Self::Suspension { object, told: Some((_, told)) } => {
                save_suspension_in(change, object, told).map(|()| true)
            }
            Self::Suspension { object, told: None } => {
                execute("DELETE FROM suspensions WHERE object = ?1", params![object])
            }
            Self::OpenStep { told: Some(told), .. } => save_open_step_in(change, told).map(|()| true),
            Self::OpenStep { intent, told: None } => {
                execute("DELETE FROM open_steps WHERE intent = ?1", params![signed(*intent)])
            }
            Self::RecentStep { intent, told } => save_recent_step_in(change, *intent, told).map(|()| true),
            Self::Attempt { told, .. } => save_attempt_in(change, told).map(|()| true),
            Self::Generation { object, number, digest, .. } => execute(
                "INSERT OR REPLACE INTO generations VALUES (?1, ?2, ?3)",
                params![object, number, digest],
            ),
            Self::Incident { object, id, opened_at, drift, .. } => {
                let (at, drift) = (stamp(*opened_at), drift.to_string());
                execute(REOPEN, params![id, object, at, drift])
            }
            // What it was nobody knows any more, and nothing is rolled back to what a stranger wrote.
            Self::Before { id, .. } => {
                execute("UPDATE incidents SET before = '{}' WHERE id = ?1 AND before <> '{}'", params![id])
            }
        }
    }
}

/// Where another incident of the object is open, that one goes on in its place.
const REOPEN: &str =
    "INSERT INTO incidents (id, object, opened_at, drift, before) SELECT ?1, ?2, ?3, ?4, '{}'
    WHERE NOT EXISTS (SELECT 1 FROM incidents WHERE object = ?2 AND closed_at IS NULL AND id <> ?1)
    ON CONFLICT (id) DO UPDATE SET object = ?2, closed_at = NULL, outcome = NULL, after = NULL";

#[cfg(test)]
#[path = "agreement_tests.rs"]
mod tests;

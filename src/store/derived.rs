//! Where tables show something else than the records say, though no decision rests on it: `audit verify` names it, and nothing
//! repairs it.
//!
//! [`agreement`](super::agreement) compares what decisions rest on, and in one direction: a row that holds undrift back further
//! than the trail does is left alone there. A person reads the tables as well, so here both directions count.

use rusqlite::Connection;

use super::{
    attempts::attempts_as_stored_in,
    checkpoint_keys,
    contradiction::Contradiction,
    error::{Result, failed},
    incident_check::IncidentCheck,
    ledger::Ledger,
    recent_steps::all_recent_steps_in,
    status_check,
    suspensions::suspensions_in,
    time::stamp,
    trail_marks::TrailMarks,
};
use crate::api::{RecentStep, Time};

const ACTION: &str = "hold the tables against the records";

/// How far apart the moment of a suspension and of its record may be: a write waits this long for another process.
const MOST_APART: chrono::TimeDelta = chrono::TimeDelta::seconds(60);

/// What a walk of all records gave.
#[derive(Clone, Copy)]
pub(super) struct Walked<'w> {
    pub(super) ledger: &'w Ledger,
    pub(super) incidents: &'w IncidentCheck<'w>,
    pub(super) marks: &'w TrailMarks,
}

/// Where the tables beside that of incidents contradict the records.
pub(super) fn contradictions(db: &Connection, walked: Walked<'_>) -> Result<Vec<Contradiction>> {
    let mut found = generations(db, walked.ledger)?;
    found.extend(suspensions(db, walked)?);
    found.extend(recent_steps(db, walked)?);
    found.extend(attempts(db, walked.ledger)?);
    found.extend(status_check::contradictions(db, walked)?);
    found.extend(checkpoint_keys::contradictions_in(db).map_err(failed(ACTION))?);
    Ok(found)
}

/// The generations of objects of which no record has one.
fn generations(db: &Connection, ledger: &Ledger) -> Result<Vec<Contradiction>> {
    let select = "SELECT object, number FROM generations ORDER BY object";
    let rows: Vec<(String, i64)> = {
        let mut query = db.prepare(select).map_err(failed(ACTION))?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed(ACTION))?;
        rows.collect::<rusqlite::Result<_>>().map_err(failed(ACTION))?
    };
    let is_recorded = |object: &str| ledger.objects.get(object).is_some_and(|of| of.generation.is_some());
    let unknown = rows.into_iter().filter(|(object, _)| !is_recorded(object));
    Ok(unknown
        .map(|(row, number)| Contradiction {
            table: "generations",
            row,
            field: "number",
            shown: number.to_string(),
            recorded: None,
        })
        .collect())
}

/// The moments of suspensions. The rest of a row is compared before decisions.
fn suspensions(db: &Connection, walked: Walked<'_>) -> Result<Vec<Contradiction>> {
    let rows = suspensions_in(db)?.into_iter();
    let known = rows.filter_map(|(object, shown)| {
        let (seq, recorded) = walked.ledger.objects.get(&object)?.suspended.as_ref()?;
        Some((object, shown?.since, recorded.since, *seq))
    });
    let is_apart = |shown: Time, recorded: Time| (shown - recorded).abs() > MOST_APART;
    let apart = known.filter(|(_, shown, recorded, seq)| {
        is_apart(*shown, *recorded) && walked.marks.is_steady_since(*seq)
    });
    Ok(apart
        .map(|(row, shown, recorded, seq)| Contradiction {
            table: "suspensions",
            row,
            field: "since",
            shown: stamp(shown),
            recorded: Some((stamp(recorded), seq)),
        })
        .collect())
}

/// The steps of the last hour that no record lists, or lists as earlier. A clock that was set back dates them anew.
fn recent_steps(db: &Connection, walked: Walked<'_>) -> Result<Vec<Contradiction>> {
    let recorded = |intent: u64, shown: &RecentStep| {
        let steps =
            walked.ledger.counted.get(&intent).map(|counted| counted.steps.as_slice()).unwrap_or_default();
        steps.iter().any(|step| {
            stamp(shown.at) <= stamp(step.at) && RecentStep { at: step.at, ..shown.clone() } == *step
        })
    };
    let rows = all_recent_steps_in(db)?.into_iter();
    let unknown = rows.filter(|(intent, shown)| {
        let is_listed = |shown: &RecentStep| {
            recorded(*intent, shown) || !walked.marks.lists_steps_after(&stamp(shown.at))
        };
        walked.marks.is_steady_since(*intent) && !shown.as_ref().is_some_and(is_listed)
    });
    Ok(unknown
        .map(|(intent, shown)| Contradiction {
            table: "recent_steps",
            row: format!("the step of record {intent}"),
            field: "the step",
            shown: shown.map_or_else(
                || "that cannot be read".to_owned(),
                |step| format!("{} of {} at {}", step.kind.as_str(), step.service, stamp(step.at)),
            ),
            recorded: None,
        })
        .collect())
}

/// The attempts that count for more than was recorded, or are not of the drift that their row is of.
fn attempts(db: &Connection, ledger: &Ledger) -> Result<Vec<Contradiction>> {
    let mut found = Vec::new();
    for stored in attempts_as_stored_in(db)? {
        let Some(shown) = &stored.attempt else { continue };
        let row = format!("{} of {}", stored.service, stored.object);
        if !stored.is_of_its_row {
            let (shown, recorded) = (format!("{} of {}", shown.service, shown.object), None);
            found.push(Contradiction { table: "attempts", row, field: "the drift", shown, recorded });
            continue;
        }
        let rows = ledger.objects.get(&stored.object).map(|of| of.attempts.as_slice()).unwrap_or_default();
        let Some((seq, recorded)) = rows.iter().find(|(_, recorded)| recorded.is_of_the_same(shown)) else {
            continue;
        };
        let contradiction = |field, shown: String, recorded: String| Contradiction {
            table: "attempts",
            row: row.clone(),
            field,
            shown,
            recorded: Some((recorded, *seq)),
        };
        if shown.attempts > recorded.attempts {
            let (shown, recorded) = (shown.attempts.to_string(), recorded.attempts.to_string());
            found.push(contradiction("attempts", shown, recorded));
        }
        if shown.last_at > recorded.last_at {
            found.push(contradiction("lastAt", stamp(shown.last_at), stamp(recorded.last_at)));
        }
    }
    Ok(found)
}

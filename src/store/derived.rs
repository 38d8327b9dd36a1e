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
    error::{Result, failed, unreadable},
    incident_check::IncidentCheck,
    ledger::Ledger,
    object_ledger::ObjectLedger,
    recent_steps::all_recent_steps_in,
    suspensions::suspensions_in,
    time::stamp,
};
use crate::api::{Condition, ConditionStatus, ConditionType, Object, ObjectStatus, RecentStep, Time};

const ACTION: &str = "hold the tables against the records";

/// How far apart the moment of a suspension and of its record may be: a write waits this long for another process.
const MOST_APART: chrono::TimeDelta = chrono::TimeDelta::seconds(60);

/// Where the tables beside that of incidents contradict the records, which were walked to their end.
pub(super) fn contradictions(
    db: &Connection,
    ledger: &Ledger,
    incidents: &IncidentCheck<'_>,
) -> Result<Vec<Contradiction>> {
    let mut found = generations(db, ledger)?;
    found.extend(suspensions(db, ledger, incidents)?);
    found.extend(recent_steps(db, ledger, incidents)?);
    found.extend(attempts(db, ledger)?);
    found.extend(statuses(db, ledger, incidents)?);
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
fn suspensions(
    db: &Connection,
    ledger: &Ledger,
    incidents: &IncidentCheck<'_>,
) -> Result<Vec<Contradiction>> {
    let rows = suspensions_in(db)?.into_iter();
    let known = rows.filter_map(|(object, shown)| {
        let (seq, recorded) = ledger.objects.get(&object)?.suspended.as_ref()?;
        Some((object, shown?.since, recorded.since, *seq))
    });
    let is_apart = |shown: Time, recorded: Time| (shown - recorded).abs() > MOST_APART;
    let apart = known
        .filter(|(_, shown, recorded, seq)| is_apart(*shown, *recorded) && incidents.is_steady_since(*seq));
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
fn recent_steps(
    db: &Connection,
    ledger: &Ledger,
    incidents: &IncidentCheck<'_>,
) -> Result<Vec<Contradiction>> {
    let recorded = |intent: u64, shown: &RecentStep| {
        let steps = ledger.counted.get(&intent).map(|counted| counted.steps.as_slice()).unwrap_or_default();
        steps.iter().any(|step| {
            stamp(shown.at) <= stamp(step.at) && RecentStep { at: step.at, ..shown.clone() } == *step
        })
    };
    let rows = all_recent_steps_in(db)?.into_iter();
    let unknown = rows.filter(|(intent, shown)| {
        let is_listed =
            |shown: &RecentStep| recorded(*intent, shown) || !incidents.lists_steps_after(&stamp(shown.at));
        incidents.is_steady_since(*intent) && !shown.as_ref().is_some_and(is_listed)
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

fn statuses(db: &Connection, ledger: &Ledger, incidents: &IncidentCheck<'_>) -> Result<Vec<Contradiction>> {
    let mut query =
        db.prepare("SELECT name, recorded_at, object FROM objects ORDER BY name").map_err(failed(ACTION))?;
    let mut rows = query.query([]).map_err(failed(ACTION))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(failed(ACTION))? {
        let text: String = row.get(2).map_err(failed(ACTION))?;
        let row = StatusRow {
            name: row.get(0).map_err(failed(ACTION))?,
            recorded_at: row.get(1).map_err(failed(ACTION))?,
            object: serde_json::from_str(&text).map_err(unreadable("status"))?,
        };
        found.extend(row.compare(ledger.objects.get(&row.name), incidents));
    }
    Ok(found)
}

/// A row of the table of statuses.
struct StatusRow {
    name: String,
    recorded_at: String,
    object: Object,
}

impl StatusRow {
    fn compare(&self, recorded: Option<&ObjectLedger>, incidents: &IncidentCheck<'_>) -> Vec<Contradiction> {
        let status = &self.object.status;
        let declared = &self.object.declared.metadata.name;
        if *declared != self.name {
            return vec![self.contradiction("metadata.name", declared.clone(), None)];
        }
        let Some(recorded) = recorded else {
            return vec![self.contradiction("a status", "of its own".to_owned(), None)];
        };
        let found = [
            self.generation(recorded),
            self.incident(recorded, incidents),
            self.age(incidents),
            self.verified(status, incidents),
        ];
        found.into_iter().flatten().collect()
    }

    fn contradiction(
        &self,
        field: &'static str,
        shown: String,
        recorded: Option<(String, u64)>,
    ) -> Contradiction {
        Contradiction { table: "objects", row: self.name.clone(), field, shown, recorded }
    }

    fn generation(&self, recorded: &ObjectLedger) -> Option<Contradiction> {
        let (seq, generation) = recorded.generation.as_ref()?;
        let shown = self.object.status.observed_generation;
        let recorded = || Some((format!("{} at most", generation.number), *seq));
        (shown > generation.number)
            .then(|| self.contradiction("status.observedGeneration", shown.to_string(), recorded()))
    }

    /// The incident is one of the last two: one opens, and the status is recorded after that.
    fn incident(&self, recorded: &ObjectLedger, incidents: &IncidentCheck<'_>) -> Option<Contradiction> {
        let shown = self.object.status.incident.as_ref()?;
        let is_known = recorded.places.iter().any(|places| places.id == *shown);
        let last = incidents.last(&self.name).map(|last| (last.id.clone(), last.last()));
        (!is_known).then(|| self.contradiction("status.incident", shown.clone(), last))
    }

    /// A status is recorded in each incident: an older one was put back.
    fn age(&self, incidents: &IncidentCheck<'_>) -> Option<Contradiction> {
        let began = incidents.last_over(&self.name)?;
        let recorded = || Some((format!("after {}", began.time), began.seq));
        (self.recorded_at < began.time)
            .then(|| self.contradiction("recorded_at", self.recorded_at.clone(), recorded()))
    }

    /// Nothing is shown as verified that drifted in the open incident and was not verified since.
    fn verified(&self, status: &ObjectStatus, incidents: &IncidentCheck<'_>) -> Option<Contradiction> {
        let open = incidents.last(&self.name).filter(|last| last.is_open())?;
        let mut unverified = open.unverified.iter().filter(|(service, drift)| {
            // A status from before the drift may be the last one: the next one is on its way.
            self.recorded_at > drift.time && status.service(service).is_some()
        });
        let (service, drift) = unverified.find(|(service, _)| {
            let of_service = status.service(service).map(|service| service.conditions.as_slice());
            holds(&status.conditions, ConditionType::Ready)
                || of_service.is_some_and(|conditions| holds(conditions, ConditionType::Reconciled))
        })?;
        let recorded = Some((format!("drifted, and not verified since, in {}", open.id), drift.seq));
        Some(self.contradiction("a condition", format!("True of {service}"), recorded))
    }
}

fn holds(conditions: &[Condition], kind: ConditionType) -> bool {
    conditions.iter().any(|condition| condition.kind == kind && condition.status == ConditionStatus::True)
}

//! How a table differs from the trail, or from what undrift wrote, in words, and how the difference is repaired.

use std::{fmt, ops::ControlFlow};

use rusqlite::{Connection, Transaction, params};
use serde_json::json;

use super::{
    DigestKey, RecordFilter,
    attempts::save_attempt_in,
    cache::forget_in,
    error::{Result, failed},
    incident_evidence::evidence_in,
    ledger::before_digest,
    object_ledger::OpenIncidentLedger,
    reader::Query,
    recent_steps::save_recent_step_in,
    seals::{SealedTable, Unsealed, seal_in},
    steps::{OpenIntent, save_open_step_in, signed},
    suspensions::save_suspension_in,
    time::stamp,
    verified_from::note_alteration_in,
};
use crate::api::{Attempt, AuditKind, AuditRecord, RecentStep, Suspension, Time};

const ACTION: &str = "put the state right";

/// The evidence from before an incident whose real evidence is lost.
pub(super) const NO_EVIDENCE: &str = "{}";

/// A table that differs from the trail.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Difference {
    /// The trail suspends the object, or does not, and the table differs.
    Suspension { object: String, recorded: Option<(u64, Suspension)> },
    /// The trail has the step open, or does not, and the table differs.
    OpenStep { intent: u64, recorded: Option<OpenIntent> },
    /// A step of the last hour is not counted as recorded.
    RecentStep { intent: u64, recorded: RecentStep },
    /// An attempt counts for less than was recorded.
    Attempt { seq: u64, recorded: Attempt },
    /// The generation of a spec differs.
    Generation { object: String, seq: u64, number: i64, digest: String },
    /// The open incident is closed, gone, or another.
    Incident { object: String, recorded: OpenIncidentLedger, what: AlteredIncident },
    /// The row for what an object was verified from is gone, although the trail knows the object.
    VerifiedFrom { object: String, seq: u64 },
    /// undrift did not write a row of another table.
    Unsealed(Unsealed),
    /// undrift did not write these cache entries, by space and key.
    Cached(Vec<(String, String)>),
}

/// How an open incident was altered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AlteredIncident {
    /// It is closed or gone.
    Ended,
    /// Its evidence from before the first step does not match the intent of this number.
    Before(u64),
    /// undrift did not write it.
    Unsealed,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Suspension { object, recorded: Some((seq, _)) } => {
                write!(
                    f,
                    "{object} is suspended by record {seq}, and the table of suspensions contradicts it"
                )
            }
            Self::Suspension { object, recorded: None } => {
                write!(f, "the table of suspensions has {object} as suspended, and no record has")
            }
            Self::OpenStep { intent, recorded: Some(_) } => {
                write!(
                    f,
                    "the step of record {intent} has no end, and the table of open steps contradicts it"
                )
            }
            Self::OpenStep { intent, recorded: None } => {
                write!(f, "the table of open steps has record {intent}, which is of no step that is open")
            }
            Self::RecentStep { intent, recorded } => write!(
                f,
                "the step of record {intent} for {} is to be counted, and the table of the last hour's steps contradicts it",
                recorded.service
            ),
            Self::Attempt { seq, recorded } => write!(
                f,
                "what was tried for {} of {} counts for less in the table of attempts than in record {seq}",
                recorded.service, recorded.object
            ),
            Self::Generation { object, seq, number, .. } => write!(
                f,
                "{object} has the generation {number} by record {seq}, and the table of generations contradicts it"
            ),
            Self::Incident { object, recorded, what } => write_incident(f, object, recorded, *what),
            Self::VerifiedFrom { object, seq } => write!(
                f,
                "what {object}, of record {seq}, was verified from is gone, and undrift did not remove it"
            ),
            Self::Unsealed(row) => write!(f, "{row}"),
            Self::Cached(entries) => {
                write!(f, "entries of the cache are not as undrift wrote them: {}", entries.len())
            }
        }
    }
}

fn write_incident(
    f: &mut fmt::Formatter<'_>,
    object: &str,
    OpenIncidentLedger { id, began, .. }: &OpenIncidentLedger,
    what: AlteredIncident,
) -> fmt::Result {
    match what {
        AlteredIncident::Ended => write!(
            f,
            "the incident {id} of {object}, of record {began}, is open, and the table of incidents contradicts it"
        ),
        AlteredIncident::Before(seq) => write!(
            f,
            "the evidence from before the incident {id} is another in the table of incidents than in record {seq}"
        ),
        AlteredIncident::Unsealed => {
            write!(f, "the incident {id} of {object} is not in the table of incidents as undrift wrote it")
        }
    }
}

impl Difference {
    /// Whether the repair lifts no restriction on undrift.
    pub(super) const fn holds_back(&self) -> bool {
        !matches!(self, Self::Suspension { recorded: None, .. } | Self::OpenStep { recorded: None, .. })
    }

    /// Writes what the trail records, or deletes the row if it records nothing; returns whether that changed anything.
    pub(super) fn repair(
        &self,
        change: &Transaction<'_>,
        key: Option<&DigestKey>,
        now: Time,
    ) -> Result<bool> {
        let execute = |sql: &str, params: &[&dyn rusqlite::ToSql]| {
            change.execute(sql, params).map(|rows| rows > 0).map_err(failed(ACTION))
        };
        match self {
            Self::Suspension { object, recorded: Some((_, recorded)) } => {
                save_suspension_in(change, object, recorded).map(|()| true)
            }
            Self::Suspension { object, recorded: None } => {
                execute("DELETE FROM suspensions WHERE object = ?1", params![object])
            }
            Self::OpenStep { recorded: Some(recorded), .. } => {
                save_open_step_in(change, recorded).map(|()| true)
            }
            Self::OpenStep { intent, recorded: None } => {
                execute("DELETE FROM open_steps WHERE intent = ?1", params![signed(*intent)])
            }
            Self::RecentStep { intent, recorded } => {
                save_recent_step_in(change, *intent, recorded).map(|()| true)
            }
            Self::Attempt { recorded, .. } => save_attempt_in(change, recorded).map(|()| true),
            Self::Generation { object, number, digest, .. } => execute(
                "INSERT OR REPLACE INTO generations VALUES (?1, ?2, ?3)",
                params![object, number, digest],
            ),
            Self::Incident { object, recorded, .. } => {
                let is_there = repair_incident(change, object, recorded)?;
                seal_in(change, key, SealedTable::Incident, &recorded.id).map(|()| is_there)
            }
            Self::VerifiedFrom { object, .. } => {
                note_alteration_in(change, object)?;
                seal_in(change, key, SealedTable::VerifiedFrom, object).map(|()| true)
            }
            Self::Unsealed(row) => {
                row.take_back(change, now)?;
                seal_in(change, key, row.of, &row.key).map(|()| true)
            }
            Self::Cached(entries) => {
                entries.iter().try_for_each(|(space, key)| forget_in(change, space, key)).map(|()| true)
            }
        }
    }
}

/// Reopens the incident from what the trail records. Keeps its evidence from before only if an intent names it: any other is
/// lost, and undrift rolls nothing back to what a stranger wrote. If another incident of the object is open, that one continues
/// instead.
fn repair_incident(change: &Transaction<'_>, object: &str, recorded: &OpenIncidentLedger) -> Result<bool> {
    let stored = evidence_in(change, &recorded.id).map_err(failed(ACTION))?;
    let stored = stored.and_then(|texts| Some(texts.ok()?.before));
    let named = recorded.before.as_ref().map(|(_, digest)| digest);
    let before = stored.filter(|before| named.is_some_and(|digest| is_of_digest(before, digest)));
    let told = IncidentOutline::of(change, &recorded.id)?;
    let repair = "INSERT INTO incidents (id, object, opened_at, drift, before, since, since_seq, occurrences)
            SELECT ?1, ?2, coalesce(?7, ?3), ?4, ?5, ?3, ?6, 1 + ?8
            WHERE NOT EXISTS (SELECT 1 FROM incidents WHERE object = ?2 AND closed_at IS NULL AND id <> ?1)
        ON CONFLICT (id) DO UPDATE SET object = ?2, opened_at = excluded.opened_at, closed_at = NULL, outcome = NULL,
            drift = ?4, before = ?5, after = NULL, since = ?3, since_seq = ?6, earlier = NULL, evidence = NULL,
            occurrences = excluded.occurrences";
    let row = params![
        recorded.id,
        object,
        stamp(recorded.opened_at),
        json!(recorded.drift).to_string(),
        before.as_deref().unwrap_or(NO_EVIDENCE),
        signed(recorded.began.saturating_sub(1)),
        told.began,
        told.ends,
    ];
    change.execute(repair, row).map(|rows| rows > 0).map_err(failed(ACTION))
}

impl Unsealed {
    /// Discards what somebody else wrote: the row counts as missing. Of a closed incident only its end is left, which the trail
    /// records.
    fn take_back(&self, change: &Transaction<'_>, now: Time) -> Result<()> {
        let sql = match self.of {
            SealedTable::VerifiedFrom => return note_alteration_in(change, &self.key),
            SealedTable::Status => "DELETE FROM objects WHERE name = ?1 AND ?2 IS NOT NULL",
            SealedTable::Image => "DELETE FROM images WHERE id = ?1 AND ?2 IS NOT NULL",
            SealedTable::Engine => "DELETE FROM engines WHERE object = ?1 AND ?2 IS NOT NULL",
            SealedTable::Declaration => "DELETE FROM declarations WHERE object = ?1 AND ?2 IS NOT NULL",
            SealedTable::ManifestFault => "DELETE FROM manifest_faults WHERE object = ?1 AND ?2 IS NOT NULL",
            SealedTable::Ledger => "DELETE FROM ledgers WHERE id = ?1 AND ?2 IS NOT NULL",
            SealedTable::Incident => return self.take_back_incident(change, now),
        };
        change.execute(sql, params![self.key, stamp(now)]).map(drop).map_err(failed(ACTION))
    }

    fn take_back_incident(&self, change: &Transaction<'_>, now: Time) -> Result<()> {
        let IncidentOutline { object, began, end, ends } = IncidentOutline::of(change, &self.key)?;
        if object.is_none() {
            // No record is of it: undrift never opened it.
            let remove = "DELETE FROM incidents WHERE id = ?1";
            return change.execute(remove, [&self.key]).map(drop).map_err(failed(ACTION));
        }
        let (closed_at, outcome) = end.unzip();
        let row = params![self.key, stamp(now), object, began, closed_at, outcome, ends];
        change.execute(if self.gone { PUT_BACK } else { END }, row).map(drop).map_err(failed(ACTION))
    }
}

/// A closed incident, as far as the trail records it.
const END: &str = "
    UPDATE incidents SET object = coalesce(?3, object), opened_at = coalesce(?4, ?2), closed_at = coalesce(?5, ?2),
        outcome = coalesce(?6, 'Stalled'), occurrences = max(1, ?7),
        drift = '{}', before = '{}', after = NULL, since = NULL, since_seq = 0, earlier = NULL, evidence = NULL
    WHERE id = ?1";

/// The same, where its row is gone. It takes the place of its row among those of earlier and later incidents: the order of the
/// rows is that in which they were opened, and IDs sort in the same way. Where that place is taken, it stays gone.
const PUT_BACK: &str = "
    INSERT INTO incidents (rowid, id, object, opened_at, closed_at, outcome, drift, before, occurrences)
    SELECT place, ?1, ?3, coalesce(?4, ?2), coalesce(?5, ?2), coalesce(?6, 'Stalled'), '{}', '{}', max(1, ?7)
    FROM (SELECT 1 + coalesce((SELECT max(rowid) FROM incidents WHERE id < ?1), 0) AS place)
    WHERE NOT EXISTS (SELECT 1 FROM incidents WHERE rowid = place OR id = ?1)";

/// What the records say of an incident as a whole.
#[derive(Default)]
struct IncidentOutline {
    object: Option<String>,
    /// The earliest time of its records.
    began: Option<String>,
    /// The time and the kind of its last end, and how many it has.
    end: Option<(String, String)>,
    ends: u32,
}

impl IncidentOutline {
    fn of(db: &Connection, id: &str) -> Result<Self> {
        let filter = RecordFilter { incident: Some(id.to_owned()), ..RecordFilter::default() };
        let mut outline = Self::default();
        let read = Query::of(&filter).read(db, |stored| {
            outline.add(stored.record);
            ControlFlow::Continue(())
        });
        read.map_err(failed(ACTION)).map(|()| outline)
    }

    fn add(&mut self, record: AuditRecord) {
        self.object = self.object.take().or(record.object);
        if [AuditKind::Reconciled, AuditKind::Stalled].iter().any(|kind| kind.as_str() == record.kind) {
            self.end = Some((record.time.clone(), record.kind));
            self.ends += 1;
        }
        self.began = Some(self.began.take().map_or(record.time.clone(), |began| began.min(record.time)));
    }
}

impl fmt::Display for Unsealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match self.of {
            SealedTable::Status => write!(f, "the recorded status of {key}")?,
            SealedTable::Incident => write!(f, "the incident {key} in the table of incidents")?,
            SealedTable::Image => write!(f, "what is known of the image {key}")?,
            SealedTable::VerifiedFrom => write!(f, "what {key} was verified from")?,
            SealedTable::Engine => write!(f, "the engine that {key} was seen on")?,
            SealedTable::Declaration => write!(f, "what {key} was declared as last")?,
            SealedTable::ManifestFault => write!(f, "what is wrong with the manifest of {key}")?,
            SealedTable::Ledger => f.write_str("the stored sum of the trail")?,
        }
        f.write_str(if self.gone {
            " is gone, and undrift did not remove it"
        } else {
            " is not as undrift wrote it"
        })
    }
}

/// Whether evidence from before matches this digest.
pub(super) fn is_of_digest(before: &str, digest: &str) -> bool {
    serde_json::from_str(before).is_ok_and(|before| before_digest(&before) == digest)
}

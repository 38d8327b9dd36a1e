//! Whether a recorded status can be one that undrift observed, by the records of its object.

use rusqlite::Connection;

use super::{
    contradiction::Contradiction,
    derived::Walked,
    error::{Result, failed, unreadable},
    incident_check::IncidentCheck,
    object_ledger::ObjectLedger,
};
use crate::api::Object;

const ACTION: &str = "hold the statuses against the records";

/// Where the recorded statuses contradict the records.
pub(super) fn contradictions(db: &Connection, walked: Walked<'_>) -> Result<Vec<Contradiction>> {
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
        found.extend(row.compare(walked));
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
    fn compare(&self, walked: Walked<'_>) -> Vec<Contradiction> {
        let declared = &self.object.declared.metadata.name;
        if *declared != self.name {
            return vec![self.contradiction("metadata.name", declared.clone(), None)];
        }
        // An object that could not be observed yet has a status and no record.
        let Some(recorded) = walked.ledger.objects.get(&self.name) else { return Vec::new() };
        let found = [self.generation(recorded), self.incident(recorded, walked.incidents), self.age(walked)];
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
    fn age(&self, walked: Walked<'_>) -> Option<Contradiction> {
        let began = walked.incidents.last_over(&self.name)?;
        let is_comparable = walked.marks.is_steady_since(began.seq);
        let recorded = || Some((format!("after {}", began.time), began.seq));
        (is_comparable && self.recorded_at < began.time)
            .then(|| self.contradiction("recorded_at", self.recorded_at.clone(), recorded()))
    }
}

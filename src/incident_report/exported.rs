//! An incident with its records, as it is exported.

use super::{ExportFormat, IncidentReport};
use crate::{
    api::{AuditRecord, Incident, Time},
    store::{RecordFilter, Store, StoreError},
};

/// An incident with its records and the report on it.
pub(crate) struct ExportedIncident {
    pub(crate) incident: Incident,
    pub(crate) records: Vec<AuditRecord>,
    report: IncidentReport,
}

impl ExportedIncident {
    /// The incident with this ID, or a unique beginning of one; `None` if none is recorded.
    ///
    /// # Errors
    /// If the state cannot be read, or several incidents begin so.
    pub(crate) fn read(store: &Store, id: &str, now: Time) -> Result<Option<Self>, StoreError> {
        let Some(incident) = store.incident(id)? else { return Ok(None) };
        let filter = RecordFilter { incident: Some(incident.id.clone()), ..RecordFilter::default() };
        let records = store.records(&filter)?;
        let report = IncidentReport::new(&incident, &records, None, now);
        Ok(Some(Self { incident, records, report }))
    }

    /// The document in a format.
    ///
    /// # Errors
    /// Only if the template itself is at fault.
    pub(crate) fn render(&self, format: ExportFormat) -> askama::Result<String> {
        self.report.render(format, &self.incident, &self.records)
    }
}

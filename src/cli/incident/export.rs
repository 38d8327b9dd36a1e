//! `undrift incident export`: an incident as a document for people who were not there, to standard output or to a file.

use std::{
    io::{self, Write},
    path::Path,
};

use super::super::{Failure, recorded::VerbError};
use crate::{
    api::{AuditRecord, Incident, Time},
    incident_report::{ExportFormat, IncidentReport},
    store::{RecordFilter, Store},
};

/// An incident with its records and the report on it.
pub(in crate::cli) struct Exported {
    incident: Incident,
    records: Vec<AuditRecord>,
    report: IncidentReport,
}

impl Exported {
    /// The incident with this ID, or a unique beginning of one.
    pub(in crate::cli) fn read(store: Option<&Store>, id: &str, now: Time) -> Result<Self, Failure> {
        let missing = || VerbError::NoSuchIncident(id.to_owned());
        let store = store.ok_or_else(missing)?;
        let incident = store.incident(id)?.ok_or_else(missing)?;
        let filter = RecordFilter { incident: Some(incident.id.clone()), ..RecordFilter::default() };
        let records = store.records(&filter)?;
        let report = IncidentReport::new(&incident, &records, None, now);
        Ok(Self { incident, records, report })
    }

    /// The document in a format.
    pub(in crate::cli) fn render(&self, format: ExportFormat) -> Result<String, Failure> {
        self.report
            .render(format, &self.incident, &self.records)
            .map_err(|error| Failure::Refused(error.to_string()))
    }
}

/// Writes a new file, whole or not at all. With `force` it replaces one.
pub(in crate::cli) fn write_file(path: &Path, content: &[u8], force: bool) -> Result<(), Failure> {
    let failed = |error: &io::Error| {
        let hint = match error.kind() {
            io::ErrorKind::AlreadyExists => ": --force replaces it",
            _ => "",
        };
        Failure::Refused(format!("cannot write {}: {error}{hint}", path.display()))
    };
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| failed(&error))?;
    file.write_all(content).and_then(|()| file.as_file().sync_all()).map_err(|error| failed(&error))?;
    let kept = if force { file.persist(path) } else { file.persist_noclobber(path) };
    kept.map(drop).map_err(|error| failed(&error.error))
}

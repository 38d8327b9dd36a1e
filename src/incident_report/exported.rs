//! An incident with its records, as it is exported.

use super::{ExportFormat, IncidentReport, statement::verification};
use crate::{
    api::{AuditRecord, Incident, Time},
    store::{RecordFilter, Store, StoreError},
    tlog::statement::StatementError,
};

/// Why an incident cannot be exported.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    /// The state cannot be read, or several incidents begin so.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A template is at fault.
    #[error("the document cannot be written: {0}")]
    Template(#[from] askama::Error),
    /// The statement cannot be signed.
    #[error(transparent)]
    Statement(#[from] StatementError),
}

/// An incident with its records and the report on it.
pub(crate) struct ExportedIncident {
    incident: Incident,
    records: Vec<AuditRecord>,
    report: IncidentReport,
}

/// A file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BundleFile {
    /// Its name in the bundle's folder.
    pub(crate) name: String,
    /// Its content.
    pub(crate) content: String,
}

impl ExportedIncident {
    /// The incident with this ID, or a unique beginning of one; `None` if none is recorded.
    pub(crate) fn read(store: &Store, id: &str, now: Time) -> Result<Option<Self>, ExportError> {
        let Some(incident) = store.incident(id)? else { return Ok(None) };
        let filter = RecordFilter { incident: Some(incident.id.clone()), ..RecordFilter::default() };
        let records = store.records(&filter)?;
        let checkpoint = store.checkpoint_over(last_seq(&records))?;
        let report = IncidentReport::new(&incident, &records, checkpoint, now);
        Ok(Some(Self { incident, records, report }))
    }

    /// The document in a format.
    pub(crate) fn render(&self, format: ExportFormat) -> Result<String, ExportError> {
        Ok(self.report.render(format, &self.incident, &self.records)?)
    }

    /// All that a stranger needs to verify the incident without undrift: the document in each format, each record in the bytes
    /// that were hashed, with its proof, the checkpoint, the public key, and the signed statement of what was verified.
    pub(crate) fn bundle(&self, store: &Store) -> Result<Vec<BundleFile>, ExportError> {
        // What is signed here is what undrift wrote.
        store.require_unaltered(&self.incident.id)?;
        let file = |name: &str, content: String| BundleFile { name: name.to_owned(), content };
        let mut files = vec![
            file("incident.html", self.render(ExportFormat::Html)?),
            file("incident.md", self.render(ExportFormat::Md)?),
            file("incident.json", self.render(ExportFormat::Json)?),
        ];
        for record in store.proven(self.records.iter().map(|record| record.seq))? {
            files.push(file(&format!("record-{}.json", record.seq), record.form));
            files.push(file(&format!("record-{}.tlog-proof", record.seq), record.proof.to_string()));
        }
        files.extend(self.report.checkpoint.clone().map(|note| file("checkpoint", note)));
        if let Some(key) = store.checkpoint_key()? {
            files.push(file("key.note", format!("{key}\n")));
            files.push(file("key.pem", key.to_pem()));
        }
        files.extend(self.statement(store)?.map(|text| file("verified.intoto.json", text)));
        Ok(files)
    }

    /// The signed statement of what was verified, in its envelope.
    fn statement(&self, store: &Store) -> Result<Option<String>, ExportError> {
        let (Some(key), Some(digest)) =
            (store.signing_key()?, store.spec_digest_before(&self.incident.object, last_seq(&self.records))?)
        else {
            return Ok(None);
        };
        let Some(verification) = verification(&self.incident, &self.records, &digest) else {
            return Ok(None);
        };
        Ok(Some(verification.sign(&key)?.to_json().map_err(StatementError::Envelope)?))
    }
}

fn last_seq(records: &[AuditRecord]) -> u64 {
    records.last().map_or(0, |record| record.seq)
}

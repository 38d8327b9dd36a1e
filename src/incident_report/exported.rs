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

/// The files of a bundle.
#[derive(Debug)]
pub(crate) struct Bundle {
    /// Those that could be made.
    pub(crate) files: Vec<BundleFile>,
    /// Those that could not, for want of the key: their names.
    pub(crate) missing: Vec<&'static str>,
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
    pub(crate) fn bundle(&self, store: &Store) -> Result<Bundle, ExportError> {
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
        let key = store.newest_checkpoints_key()?;
        if let Some(key) = &key {
            files.push(file("key.note", format!("{key}\n")));
            files.push(file("key.pem", key.to_pem()));
        }
        let mut missing = Vec::new();
        if key.is_none() {
            missing.push("key.note and key.pem");
        }
        match self.statement(store)? {
            Statement::Signed(text) => files.push(file("verified.intoto.json", text)),
            Statement::Unsigned => missing.push("verified.intoto.json"),
            Statement::None => {}
        }
        Ok(Bundle { files, missing })
    }

    /// The statement of what was verified, in its envelope.
    fn statement(&self, store: &Store) -> Result<Statement, ExportError> {
        let digest = store.spec_digest_before(&self.incident.object, last_seq(&self.records))?;
        let verified = digest.and_then(|digest| verification(&self.incident, &self.records, &digest));
        let Some(verified) = verified else { return Ok(Statement::None) };
        let Some(key) = store.signing_key()? else { return Ok(Statement::Unsigned) };
        let signed = verified.sign(&key)?.to_json().map_err(StatementError::Envelope)?;
        Ok(Statement::Signed(signed))
    }
}

/// The statement of a bundle.
enum Statement {
    /// In its envelope.
    Signed(String),
    /// Something was verified, and the key that signed the newest checkpoint is not at hand.
    Unsigned,
    /// Nothing was verified.
    None,
}

fn last_seq(records: &[AuditRecord]) -> u64 {
    records.last().map_or(0, |record| record.seq)
}

//! `undrift audit export`: the records as lines of JSON, for a program that collects them, and `undrift backup`.

use std::{io::Write, path::Path};

use clap::ValueEnum;
use serde::Serialize;

use super::{
    Failure,
    recorded::VerbError,
    recorded::View,
    safe::{document, document_line},
};
use crate::{
    api::{API_VERSION, AuditRecord},
    manifest::count,
    store::{RecordFilter, Store},
};

/// The form of an exported line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LineFormat {
    /// A record as `audit list -o json` has it
    Jsonl,
    /// An event of the `CloudEvents` specification in its JSON format, with the record as its data
    Cloudevents,
}

/// A record as an event of `CloudEvents` 1.0 in structured JSON (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>).
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
struct CloudEvent<'r> {
    specversion: &'static str,
    /// The record's hash: the same event has the same ID, however often it is exported.
    id: &'r str,
    /// The trail: `undrift/HOST/ID`.
    source: &'r str,
    r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'r str>,
    time: &'r str,
    /// The extension of this name, which sorts as text does.
    sequence: String,
    datacontenttype: &'static str,
    data: &'r AuditRecord,
}

impl<'r> CloudEvent<'r> {
    fn of(record: &'r AuditRecord, source: &'r str) -> Self {
        Self {
            specversion: "1.0",
            id: &record.hash,
            source,
            r#type: format!("dev.undrift.record.{}", record.kind.to_lowercase()),
            subject: record.object.as_deref(),
            time: &record.time,
            // As many digits as the largest number has.
            sequence: format!("{:020}", record.seq),
            datacontenttype: "application/json",
            data: record,
        }
    }
}

/// Prints the records after this one, a line each, in the memory of one page.
///
/// # Errors
/// If the state cannot be read, or the trail ends before that record.
pub(super) fn export(
    store: Option<&Store>,
    after: u64,
    format: LineFormat,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let last = store.map(Store::last_seq).transpose()?.unwrap_or_default();
    if after > last {
        return Err(Failure::Refused(format!(
            "this trail has {}, so that whoever has read {after} has read another one: begin with `--after 0`",
            count(usize::try_from(last).unwrap_or(usize::MAX), "record")
        )));
    }
    let Some(store) = store else { return Ok(()) };
    let origin = store.origin()?;
    // Before the first checkpoint the trail has no name.
    let source = origin.as_deref().unwrap_or("undrift");
    let filter = RecordFilter { after: Some(after), ..RecordFilter::default() };
    store.each_page(&filter, |page| {
        for record in &page {
            match format {
                LineFormat::Jsonl => document_line(out, record)?,
                LineFormat::Cloudevents => document_line(out, &CloudEvent::of(record, source))?,
            }
        }
        Ok::<_, VerbError>(())
    })?;
    Ok(())
}

/// Copies the state into a file, and prints what the copy holds.
///
/// # Errors
/// If there is no state yet, or it cannot be copied.
pub(super) fn backup(
    store: Option<&Store>,
    path: &Path,
    view: &View,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let store = store.ok_or_else(|| Failure::Refused("there is no state yet to copy".into()))?;
    let made = store.backup(path)?;
    if view.json {
        return Ok(document(
            out,
            &serde_json::json!({
                "apiVersion": API_VERSION, "kind": "Backup", "file": path,
                "records": made.records, "head": made.head, "bytes": made.bytes,
            }),
        )?);
    }
    let records = count(usize::try_from(made.records).unwrap_or(usize::MAX), "record");
    Ok(writeln!(out, "{}: {records}, head {}, {} bytes", path.display(), made.head, made.bytes)?)
}

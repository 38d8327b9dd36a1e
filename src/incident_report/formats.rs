//! The formats of a report: a page that needs nothing else, Markdown, and JSON.

use askama::Template;
use serde_json::{Value, json};

use super::{IncidentReport, TimelineEntry};
use crate::{
    api::{API_VERSION, AuditRecord, Incident, IncidentOutcome, Layer, Time},
    documents,
    event_words::arrow,
    plain::clean,
    times::{CLOCK_SET_BACK, moment, span},
};

/// The format of an exported incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ExportFormat {
    /// One page for a browser or a printer, without script.
    Html,
    /// Markdown, for a ticket or a wiki.
    Md,
    /// JSON, with the records as they are.
    Json,
}

impl ExportFormat {
    /// The media type (IANA).
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Md => "text/markdown; charset=utf-8",
            Self::Json => "application/json",
        }
    }
}

#[derive(Template)]
#[template(path = "incident.html")]
struct Page<'a> {
    report: &'a IncidentReport,
}

#[derive(Template)]
#[template(path = "incident.md", escape = "none")]
struct Markdown<'a> {
    report: &'a IncidentReport,
}

impl IncidentReport {
    /// The report in a format. `incident` and `records` are what it was made of: JSON has them, too.
    pub(crate) fn render(
        &self,
        format: ExportFormat,
        incident: &Incident,
        records: &[AuditRecord],
    ) -> askama::Result<String> {
        Ok(match format {
            ExportFormat::Html => Page { report: self }.render()?,
            ExportFormat::Md => Markdown { report: self }.render()?,
            ExportFormat::Json => format!("{:#}\n", self.document(incident, records)),
        })
    }

    /// The document of `incident show -o json`, with the report.
    fn document(&self, incident: &Incident, records: &[AuditRecord]) -> Value {
        let mut document = documents::incident(incident, records);
        document["report"] = json!(self);
        document["apiVersion"] = json!(API_VERSION);
        document
    }

    /// The outcome in a word; a rollback is no success.
    fn outcome_in_words(&self) -> &'static str {
        match self.outcome {
            None => "open",
            Some(outcome) => outcome.as_str(),
        }
    }

    /// The word that a style sheet knows the outcome by.
    const fn outcome_class(&self) -> &'static str {
        match self.outcome {
            None => "unknown",
            Some(IncidentOutcome::Reconciled) => "ok",
            Some(IncidentOutcome::Stalled) => "broken",
        }
    }

    fn since(&self) -> String {
        moment(self.impact.since)
    }

    fn until(&self) -> String {
        self.impact.until.map_or_else(|| "still open".to_owned(), moment)
    }

    fn took(&self) -> String {
        milliseconds(self.impact.milliseconds)
    }

    fn written(&self) -> String {
        moment(self.written_at)
    }

    /// The transitions, in words; those that changed come first.
    fn arrows(&self) -> Vec<(String, String, bool)> {
        let all = self.transitions.iter().map(|of| {
            let with = if of.with_credentials { " with credentials" } else { "" };
            let what = plain(&format!("{}: {}{with}", of.service, of.route));
            (arrow(of.transition), what, of.transition.before != of.transition.after)
        });
        let mut all: Vec<_> = all.collect();
        all.sort_by_key(|(_, _, changed)| !changed);
        all
    }
}

impl TimelineEntry {
    fn offset(&self) -> String {
        self.offset_milliseconds
            .map_or_else(|| CLOCK_SET_BACK.to_owned(), |ms| format!("+{}", milliseconds(Some(ms))))
    }
}

const LAYERS: [Layer; 5] = Layer::ALL;

fn milliseconds(ms: Option<i64>) -> String {
    let passed = ms.and_then(chrono::TimeDelta::try_milliseconds);
    passed.map_or_else(|| CLOCK_SET_BACK.to_owned(), span)
}

/// A time of the trail for a person; unchanged if it is not one.
fn at(time: &str) -> String {
    time.parse::<Time>().map_or_else(|_| plain(time), moment)
}

/// Text of a command or a file without what moves a cursor or turns the direction of writing, on one line.
fn plain(text: &str) -> String {
    clean(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A line of output as it stands.
fn line(text: &str) -> String {
    clean(text).into_owned()
}

/// What is no markup within a line, though it may be at its beginning, where no text of a record stands.
const PLAIN_IN_A_LINE: &str = ".,:;/%?\"'-()=";

/// Text within a line of Markdown: nothing in it is markup.
fn md(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            c if c.is_ascii_punctuation() && !PLAIN_IN_A_LINE.contains(c) => {
                escaped.push('\\');
                escaped.push(c);
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// A fence for a block of code: longer than any run of backticks in it.
pub(super) fn fence(lines: &[String]) -> String {
    let runs = lines.iter().flat_map(|line| line.split(|c| c != '`').map(str::len));
    "`".repeat(runs.max().unwrap_or(0).max(2) + 1)
}

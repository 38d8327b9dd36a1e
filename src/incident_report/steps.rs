//! The steps of an incident, each with its reason, its end, and the end of its output.

use std::collections::BTreeMap;

use serde::Serialize;

use super::reason_of;
use crate::{
    api::{AuditKind, AuditRecord, RecordReader},
    event_words::{details, last_lines, step_in_words},
};

/// A step from its intent to its end.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReportedStep {
    /// What was done, in words.
    pub(crate) words: String,
    /// Why.
    pub(crate) reason: String,
    /// When it was intended, as the trail has it.
    pub(crate) intended_at: String,
    /// The number of the record of its intent.
    pub(crate) intent: u64,
    /// The number of the record of its end; null if the trail has none.
    pub(crate) end: Option<u64>,
    /// How it ended; null if that is not recorded.
    pub(crate) outcome: Option<String>,
    /// How long it took.
    pub(crate) milliseconds: Option<i64>,
    /// The exit code of its command.
    pub(crate) exit_code: Option<i64>,
    /// The command.
    pub(crate) command: Vec<String>,
    /// The end of what the command printed.
    pub(crate) output: Vec<String>,
    /// The last words of the containers that it was about to replace.
    pub(crate) last_words: Vec<String>,
}

impl ReportedStep {
    /// The blocks of lines that are shown as they stand, without empty ones.
    pub(super) fn blocks(&self) -> Vec<&[String]> {
        let all = [self.last_words.as_slice(), self.output.as_slice()];
        all.into_iter().filter(|lines| !lines.is_empty()).collect()
    }
}

/// The steps of these records, oldest first.
pub(super) fn steps(records: &[AuditRecord]) -> Vec<ReportedStep> {
    let intents = records.iter().filter(|record| record.kind == AuditKind::StepIntended.as_str());
    let ends = ends(records);
    intents.map(|intent| step(intent, ends.get(&intent.seq).copied())).collect()
}

/// The ends of steps, by the intent that each names.
fn ends(records: &[AuditRecord]) -> BTreeMap<u64, &AuditRecord> {
    let kinds = [AuditKind::StepFinished, AuditKind::StepInterrupted].map(AuditKind::as_str);
    let ends = records.iter().filter(|record| kinds.contains(&record.kind.as_str()));
    ends.filter_map(|record| Some((RecordReader::new(record).intent().ok()??, record))).collect()
}

fn step(intent: &AuditRecord, end: Option<&AuditRecord>) -> ReportedStep {
    let read = RecordReader::new(intent);
    let words = read.step().and_then(|step| Ok(step_in_words(step, &read.services()?)));
    let ended = end.map(RecordReader::new);
    let command_end = ended.and_then(RecordReader::command_end);
    let output = ended.map(RecordReader::output).unwrap_or_default();
    ReportedStep {
        words: words.unwrap_or_else(|error| error.to_string()),
        reason: reason_of(intent).unwrap_or_default(),
        intended_at: intent.time.clone(),
        intent: intent.seq,
        end: end.map(|end| end.seq),
        outcome: end.and_then(|end| end.outcome.clone()),
        milliseconds: command_end.map(|(took, _)| took),
        exit_code: command_end.and_then(|(_, code)| code),
        command: ended.map(RecordReader::command).unwrap_or_default(),
        output: last_lines(&output).into_iter().map(str::to_owned).collect(),
        last_words: details(intent),
    }
}

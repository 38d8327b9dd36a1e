//! What happened, in plain words: an event of the trail, and a step.

use chrono::TimeDelta;
use serde_json::Value;

use crate::{
    api::{
        Anchored, AuditKind, AuditRecord, EndedSuspension, Event, GitState, HealedBy, ManifestChange,
        RecordReader, RecordedEvent, Step, StepKind, StepOutcome, StopCause, Suspension, Transition,
        VerifiedBy,
    },
    manifest::count,
    times::{moment, span},
};

/// How many of the last lines of a failed command are shown: the reason stands there.
const LINES: usize = 12;

/// How many they may be where BuildKit's summary is longer. It begins with what the failed `RUN` printed; from Compose 2.37 on
/// an excerpt of the Dockerfile follows.
const LINES_OF_SUMMARY: usize = 30;

/// The last lines of what a failed command printed, from BuildKit's summary on where there is one: `------`, ` > [api 2/2] RUN
/// …:`, what that has printed.
pub(crate) fn last_lines(output: &str) -> Vec<&str> {
    let lines: Vec<&str> = output.lines().collect();
    let is_summary = |pair: &[&str]| pair[0].starts_with("------") && pair[1].starts_with(" > ");
    let summary = lines.windows(2).rposition(is_summary).unwrap_or(lines.len());
    let from = summary.clamp(lines.len().saturating_sub(LINES_OF_SUMMARY), lines.len().saturating_sub(LINES));
    lines[from..].to_vec()
}

pub(crate) const fn outcome_in_words(outcome: StepOutcome) -> &'static str {
    match outcome {
        StepOutcome::Succeeded => "succeeded",
        StepOutcome::Failed => "failed",
        StepOutcome::TimedOut => "timed out",
        StepOutcome::Cancelled => "was cancelled",
        StepOutcome::Interrupted => "was interrupted",
        StepOutcome::NotBegun => "was not begun",
    }
}

/// The service or services that a record is about.
pub(crate) fn services_of(record: &AuditRecord) -> String {
    if let Some(service) = &record.service {
        return service.clone();
    }
    RecordReader::new(record).services().unwrap_or_default().join(", ")
}

/// The git states of the source in the records, each once for as long as it lasted: `1a2b3c4d5e6f, with changes that are not
/// committed → 6f5e4d3c2b1a`; `None` if no record has one.
pub(crate) fn git_of(records: &[AuditRecord]) -> Option<String> {
    let mut work_trees: Vec<String> =
        records.iter().filter_map(|record| RecordReader::new(record).git()).map(git_in_words).collect();
    work_trees.dedup();
    (!work_trees.is_empty()).then(|| work_trees.join(" → "))
}

fn git_in_words(GitState { revision, dirty }: GitState) -> String {
    let revision = revision.as_deref().map(|revision| revision.get(..12).unwrap_or(revision));
    let changes = if dirty { ", with changes that are not committed" } else { "" };
    format!("{}{changes}", revision.unwrap_or("before the first commit"))
}

/// The evidence of a record in a few words: its event, if that is all it has; how a command ended; its `layer`, `reason` and
/// `message`; or the beginning of the evidence itself, if none of that can be read.
pub(crate) fn summary(record: &AuditRecord) -> String {
    if let Some(words) = RecordedEvent::try_from(record).ok().and_then(|recorded| in_words(&recorded.event)) {
        return words;
    }
    let read = RecordReader::new(record);
    if let Some((ms, code)) = read.command_end() {
        let took = span(TimeDelta::milliseconds(ms));
        return code.map_or_else(|| format!("after {took}"), |code| format!("exit {code} after {took}"));
    }
    if let Some(by) = read.verified_by() {
        return verification(by);
    }
    if let Some(by) = read.healed_by() {
        return healed(by);
    }
    let words: Vec<String> = [read.layer(), read.reason()].into_iter().flatten().collect();
    match (read.message(), words.is_empty()) {
        (None, _) if record.kind == AuditKind::StepIntended.as_str() => {
            let attempt = read.attempt().map(|attempt| format!("attempt {attempt}: "));
            cut(&format!("{}{}", attempt.unwrap_or_default(), words.join(" ")))
        }
        (Some(message), true) => message,
        (Some(message), false) => format!("{}: {message}", words.join(" ")),
        (None, false) => words.join(" "),
        (None, true) => shortened(&read.rest()),
    }
}

/// An event whose record has nothing more to show.
fn in_words(event: &Event) -> Option<String> {
    Some(match event {
        Event::RolledBack { to, .. } if to.is_empty() => "the previous images run again".to_owned(),
        Event::RolledBack { to, .. } => {
            let each =
                to.iter().map(|(service, image)| format!("{service} runs image {} again", short(image)));
            cut(&each.collect::<Vec<_>>().join(", "))
        }
        Event::Suspended(Suspension { reason, until, .. }) if !reason.is_empty() => {
            until.map_or_else(|| reason.clone(), |until| format!("until {}: {reason}", moment(until)))
        }
        Event::Resumed(EndedSuspension { reason, resumed_by: None, .. }) => {
            format!("its time passed: {reason}")
        }
        Event::Resumed(EndedSuspension { reason, .. }) if !reason.is_empty() => reason.clone(),
        Event::Retried { forgotten: 0 } => "a new budget".to_owned(),
        Event::Retried { forgotten } => {
            format!("a new budget; the attempts at {} are history", count(*forgotten, "drift"))
        }
        Event::ManifestChanged(change) => changed(change),
        Event::Started { version, objects } if !version.is_empty() => {
            cut(&format!("undrift {version} with {}: {}", count(objects.len(), "object"), objects.join(", ")))
        }
        Event::Stopped { cause: Some(StopCause::Signal(signal)) } => format!("by {signal}"),
        Event::Stopped { cause: Some(StopCause::Fault(why)) } => why.clone(),
        Event::Anchored(Anchored { anchor, size, .. }) if !anchor.is_empty() => {
            format!("{anchor} has the checkpoint of {size} records")
        }
        Event::AnchorFailed { anchor, message, .. } if !anchor.is_empty() => format!("{anchor}: {message}"),
        _ => return None,
    })
}

fn changed(change: &ManifestChange) -> String {
    match change {
        ManifestChange::Spec { generation: 1, .. } => "generation 1: the first spec".to_owned(),
        ManifestChange::Spec { generation, .. } => format!("generation {generation}: another spec"),
        ManifestChange::Removed { why } if why.is_empty() => "no longer managed".to_owned(),
        ManifestChange::Removed { why } => format!("no longer managed: {why}"),
        ManifestChange::Restored { manifest } => format!("managed again: {manifest} declares it"),
    }
}

/// Who healed an incident. Steps of undrift that somebody else's repair made needless healed nothing.
fn healed(by: HealedBy) -> String {
    let steps = by.is_undrift.then(|| format!(" in {}", count(by.steps, "step")));
    format!("healed by {}{}", by.name(), steps.unwrap_or_default())
}

/// The basis of a `Verified` record.
fn verification(by: VerifiedBy) -> String {
    let held = span(TimeDelta::milliseconds(by.held_ms));
    let how = if by.changed_by_repair { "started anew by the repair" } else { "running as before" };
    format!("as declared in {} looks over {held}, {how}", by.looks)
}

fn shortened(evidence: &Value) -> String {
    match evidence {
        Value::Null => String::new(),
        Value::Object(fields) if fields.is_empty() => String::new(),
        evidence => cut(&evidence.to_string()),
    }
}

/// Enough to recognise it; `-o json` prints it whole.
fn cut(text: &str) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => {
            // Between two words, if one ends nearby.
            let whole = text[..end].rfind(' ').filter(|space| end - space < LONGEST / 4);
            whole.map_or_else(|| format!("{}…", &text[..end]), |space| format!("{} …", &text[..space]))
        }
        None => text.to_owned(),
    }
}

/// How many of the last lines of a container to show.
const TAIL: usize = 12;

/// The summary of a record, without what the incident's drift already states.
pub(crate) fn in_incident(record: &AuditRecord) -> String {
    if record.kind == AuditKind::DriftDetected.as_str() {
        let read = RecordReader::new(record);
        return match (read.layer(), read.reason()) {
            (Some(layer), Some(reason)) => format!("{layer} {reason}"),
            _ => read.drift().err().as_ref().map(ToString::to_string).unwrap_or_default(),
        };
    }
    summary(record)
}

/// The last output of the containers that a step was about to replace, if they had failed, or were rolled back.
fn last_words(record: &AuditRecord) -> Vec<String> {
    let is_rollback = record.step == Some(StepKind::Rollback.to_string());
    let shown =
        RecordReader::new(record).last_words().into_iter().filter(|words| is_rollback || words.has_failed());
    let lines = shown.flat_map(|words| {
        let head = format!("{} {}", words.container, words.in_words());
        let unknown = words.output_unknown.map(|why| format!("what it printed is not known: {why}"));
        let from = words.output.len().saturating_sub(TAIL);
        [head].into_iter().chain(unknown).chain(words.output.into_iter().skip(from))
    });
    lines.collect()
}

/// The command and the last lines of its output.
fn tail(record: &AuditRecord) -> Vec<String> {
    let read = RecordReader::new(record);
    let (command, output) = (read.command(), read.output());
    let lines = last_lines(&output);
    let command = (!command.is_empty()).then(|| format!("$ {}", command.join(" ")));
    command.into_iter().chain(lines.into_iter().map(str::to_owned)).collect()
}

/// `404 → 401`; `none` if the baseline was no answer.
pub(crate) fn arrow(transition: Transition) -> String {
    let word = |status: Option<u16>| status.map_or_else(|| "none".to_owned(), |status| status.to_string());
    format!("{} → {}", word(transition.before), word(transition.after))
}

/// What a record shows below its line: the end of what a failed command printed, or the last words of the containers that a
/// step replaced.
pub(crate) fn details(record: &AuditRecord) -> Vec<String> {
    let outcome = record.outcome.as_deref().unwrap_or_default();
    let failed = record.step.is_some() && !outcome.is_empty() && outcome != StepOutcome::Succeeded.as_str();
    if failed { tail(record) } else { last_words(record) }
}

/// A step in words: the command itself has options that mean nothing to a person, and the trail holds it.
pub(crate) fn step_in_words(step: Step, services: &[String]) -> String {
    let services = services.join(", ");
    match step {
        Step::Build { no_cache: false } => format!("build {services}"),
        Step::Build { no_cache: true } => format!("build {services} without the cache"),
        Step::Up { force_recreate: false } => format!("bring up {services}"),
        Step::Up { force_recreate: true } => format!("recreate {services}"),
        Step::Start => format!("start what is down of {services}, as it ran before"),
        Step::Restart => format!("restart {services}"),
        Step::Reload => format!("send {services} the signal to reload"),
        Step::Rollback => format!("put the previous image of {services} back and bring it up"),
    }
}

/// An image or container ID is identified by its first characters, as in docker's own lists.
const ID: usize = 12;

/// The prefix of an ID, without the name of its digest.
pub(crate) fn short(id: &str) -> &str {
    let id = id.strip_prefix("sha256:").unwrap_or(id);
    id.get(..ID).unwrap_or(id)
}

#[cfg(test)]
mod tests;

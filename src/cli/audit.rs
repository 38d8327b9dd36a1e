//! `undrift audit list` and `undrift audit verify`: the trail, and the check that it is intact.

use std::io::{self, Write};

use serde_json::json;

use super::{
    event_text::{kind_paint, outcome_paint},
    recorded::{VerbError, View, write_json},
    safe::DocumentList,
    style::{Cell, Paint, cell, clean, heading, table},
};
use crate::{
    api::{API_VERSION, AuditRecord, Time},
    decide::trail_rules::{Breach, RuleCheck},
    event_words::{services_of, summary},
    store::{GENESIS, KeptCheckpoint, RecordFilter, RecordedKey, Store, Verification},
    times::{moment, moment_of},
};

/// Prints the records that match the filter, oldest first; `store` is `None` if there is no state yet.
///
/// # Errors
/// If the state cannot be read.
pub fn list(
    store: Option<&Store>,
    filter: &RecordFilter,
    view: &View,
    out: &mut dyn Write,
) -> Result<(), VerbError> {
    if view.json {
        return list_json(store, filter, out);
    }
    // One more shows whether there are older ones.
    let limit = filter.limit.unwrap_or(NEWEST);
    let asked = RecordFilter { limit: Some(limit.saturating_add(1)), ..filter.clone() };
    let mut records = store.map(|store| store.newest_records(&asked)).transpose()?.unwrap_or_default();
    if records.is_empty() {
        return Ok(writeln!(out, "no records")?);
    }
    if records.len() > limit {
        records.remove(0);
        let is_all = RecordFilter { limit: None, ..filter.clone() } == RecordFilter::default();
        let how_many = match records.first().filter(|_| is_all) {
            Some(first) => format!("{} older records", first.seq.saturating_sub(1)),
            None => "older records, too".to_owned(),
        };
        writeln!(out, "{how_many}: `--limit N` for more of them, `-o json` for all")?;
    }
    let rows: Vec<_> = std::iter::once(headings()).chain(records.iter().map(row)).collect();
    Ok(table(out, view.style, 0, &rows)?)
}

/// How many of the newest records are printed as text.
const NEWEST: usize = 200;

/// All of them, or the newest of them if their number is limited; in the memory of one page.
fn list_json(store: Option<&Store>, filter: &RecordFilter, out: &mut dyn Write) -> Result<(), VerbError> {
    let mut list = DocumentList::begin(out, "AuditList")?;
    match store {
        Some(store) if filter.limit.is_some() => {
            store.newest_records(filter)?.iter().try_for_each(|record| list.item(record))?;
        }
        Some(store) => store.each_page(filter, |page| {
            page.iter().try_for_each(|record| list.item(record)).map_err(VerbError::from)
        })?,
        None => {}
    }
    Ok(list.end()?)
}

/// The first row of the list.
pub(super) fn headings() -> Vec<Cell> {
    heading(&["SEQ", "TIME", "OBJECT", "SERVICE", "KIND", "STEP", "OUTCOME", "ACTOR", "EVIDENCE"])
}

/// A record as a row of it.
pub(super) fn row(record: &AuditRecord) -> Vec<Cell> {
    let or_dash = |text: &str| if text.is_empty() { cell("–", Paint::Dim) } else { text.into() };
    vec![
        record.seq.to_string().into(),
        moment_of(record).into(),
        or_dash(record.object.as_deref().unwrap_or_default()),
        or_dash(&services_of(record)),
        cell(record.kind.as_str(), kind_paint(record)),
        or_dash(record.step.as_deref().unwrap_or_default()),
        match record.outcome.as_deref().unwrap_or_default() {
            "" => or_dash(""),
            outcome => cell(outcome, outcome_paint(outcome)),
        },
        cell(record.actor.as_str(), Paint::Dim),
        summary(record).into(),
    ]
}

/// The result of checking a trail.
#[derive(Debug)]
pub struct TrailReport {
    /// Of its chain, and of the tables beside it.
    chain: Verification,
    /// Why records are missing that the chain does not cover: a running undrift writes them elsewhere, or the trail itself is
    /// gone.
    missing: Option<String>,
    /// When it began in place of an earlier one that was missing. The trail records that itself, so it is intact.
    begun_anew: Option<Time>,
    /// The records that break a rule of undrift's own; `None` if not requested.
    breaches: Option<Vec<Breach>>,
    /// The keys that signed its checkpoints. More than one is no damage, and worth a look.
    keys: Vec<RecordedKey>,
}

impl TrailReport {
    /// Whether it is the trail, and intact.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.missing.is_none() && self.chain.is_whole() && self.breaches.as_ref().is_none_or(Vec::is_empty)
    }
}

/// Verifies that the trail is intact, or finds the first damaged record, or the table beside it that differs. Without a state
/// there is no record, and nothing is broken. `missing` is why some records are not in it. With `deep` it also finds the records
/// that break a [rule](crate::decide::trail_rules). It compares the trail with the checkpoints that were `kept` elsewhere.
///
/// # Errors
/// If the state cannot be read.
pub fn verify(
    store: Option<&Store>,
    missing: Option<String>,
    deep: bool,
    kept: &[KeptCheckpoint],
) -> Result<TrailReport, VerbError> {
    let chain = store.map(|store| store.verify_against(kept)).transpose()?;
    let chain = chain.unwrap_or_else(|| without_records(kept));
    let begun_anew = store.map(Store::begun_anew).transpose()?.flatten();
    let breaches = store.filter(|_| deep).map(broken_rules).transpose()?.or_else(|| deep.then(Vec::new));
    let keys = store.map(Store::recorded_keys).transpose()?.unwrap_or_default();
    Ok(TrailReport { chain, missing, begun_anew, breaches, keys })
}

/// The result where there is no trail: whole, unless a checkpoint is of one.
fn without_records(kept: &[KeptCheckpoint]) -> Verification {
    let (records, head) = (0, GENESIS.to_owned());
    if kept.is_empty() {
        return Verification::Whole { records, head };
    }
    let what = kept.iter().map(|kept| format!("{}: there is no trail here", kept.name));
    Verification::Differs { records, head, what: what.collect() }
}

fn broken_rules(store: &Store) -> Result<Vec<Breach>, VerbError> {
    let mut rules = RuleCheck::default();
    store.each_page(&RecordFilter::default(), |page| {
        for record in &page {
            rules.take(record);
        }
        Ok::<_, VerbError>(())
    })?;
    Ok(rules.into_breaches())
}

/// Prints the result of [`verify`]. The check is complete before anything is printed: a reader that closes the pipe does not
/// affect the verdict.
///
/// # Errors
/// The error of `out`.
pub fn print_verification(report: &TrailReport, view: &View, out: &mut dyn Write) -> io::Result<()> {
    if view.json {
        return write_json(out, &verification_json(report));
    }
    if let Some(missing) = &report.missing {
        writeln!(out, "{}: {}", view.style.red("missing"), clean(missing))?;
    }
    if let Some(at) = report.begun_anew {
        let word = view.style.yellow("begun anew");
        writeln!(out, "{word}: an earlier trail is missing; this one begins at {}", moment(at))?;
    }
    for RecordedKey { since, key } in report.keys.iter().skip(1) {
        let word = view.style.yellow("another key");
        writeln!(
            out,
            "{word}: {} signs the checkpoints of {since} records and more",
            clean(&key.to_string())
        )?;
    }
    for Breach { seq, problem } in report.breaches.iter().flatten() {
        writeln!(out, "{}: record {seq}: {}", view.style.red("against the rules"), clean(problem))?;
    }
    match &report.chain {
        Verification::Whole { records, head } => {
            let whole = view.style.green("whole");
            writeln!(out, "{whole}: {records} records, head {head}")
        }
        Verification::Broken { seq, what } => {
            writeln!(out, "{}: record {seq} {what}", view.style.red("broken"))
        }
        Verification::Differs { records, what, .. } => {
            writeln!(
                out,
                "{}: the chain of {records} records is whole, and contradicted:",
                view.style.red("broken")
            )?;
            what.iter().try_for_each(|what| writeln!(out, "  {}", clean(what)))
        }
    }
}

fn verification_json(report: &TrailReport) -> serde_json::Value {
    let none: &[String] = &[];
    let (records, head, first_bad, differs) = match &report.chain {
        Verification::Whole { records, head } => (*records, json!(head), json!(null), none),
        Verification::Broken { seq, what } => {
            (seq.saturating_sub(1), json!(null), json!({ "seq": seq, "problem": what }), none)
        }
        Verification::Differs { records, head, what } => (*records, json!(head), json!(null), &what[..]),
    };
    let mut document = json!({
        "apiVersion": API_VERSION,
        "kind": "AuditVerification",
        "whole": report.is_whole(),
        // For a broken trail: the records before the first bad one, which are intact.
        "records": records,
        "head": head,
        "firstBad": first_bad,
        // What is damaged beside intact records, or differs from them.
        "differs": differs,
        "missing": report.missing,
        "begunAnew": report.begun_anew,
        // The keys of the checkpoints, each with the number of records of the first one that it signed.
        "keys": report.keys.iter().map(|RecordedKey { since, key }| {
            json!({ "since": since, "key": key.to_string() })
        }).collect::<Vec<_>>(),
    });
    if let Some(breaches) = &report.breaches {
        document["breaches"] = json!(breaches);
    }
    document
}

#[cfg(test)]
mod tests;

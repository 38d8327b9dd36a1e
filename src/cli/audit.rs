//! `undrift audit list` and `undrift audit verify`: the trail, and the check that it is whole.

use std::io::{self, Write};

use serde_json::json;

use super::{
    recorded::{VerbError, View, moment, moment_of, print_json, services_of, summary, write_json},
    style::{Cell, Paint, cell, clean, heading, table},
};
use crate::{
    api::{API_VERSION, AuditRecord, Time},
    decide::trail_rules::{Breach, breaches},
    documents,
    store::{GENESIS, RecordFilter, Store, Verification},
};

/// Prints the records that the filter takes, oldest first; `store` is `None` where there is no state yet.
///
/// # Errors
/// Where the state cannot be read.
pub fn list(
    store: Option<&Store>,
    filter: &RecordFilter,
    view: &View,
    out: &mut dyn Write,
) -> Result<(), VerbError> {
    let records = store.map(|store| store.records(filter)).transpose()?.unwrap_or_default();
    if view.json {
        return print_json(out, &documents::record_list(&records));
    }
    if records.is_empty() {
        return Ok(writeln!(out, "no records")?);
    }
    let names = ["SEQ", "TIME", "OBJECT", "SERVICE", "KIND", "STEP", "OUTCOME", "ACTOR", "EVIDENCE"];
    let rows: Vec<_> = std::iter::once(heading(&names)).chain(records.iter().map(row)).collect();
    Ok(table(out, view.style, 0, &rows)?)
}

fn row(record: &AuditRecord) -> Vec<Cell> {
    let or_dash = |text: &str| if text.is_empty() { cell("–", Paint::Dim) } else { text.into() };
    vec![
        record.seq.to_string().into(),
        moment_of(record).into(),
        or_dash(record.object.as_deref().unwrap_or_default()),
        or_dash(&services_of(record)),
        cell(record.kind.as_str(), kind_paint(&record.kind)),
        or_dash(record.step.as_deref().unwrap_or_default()),
        match record.outcome.as_deref() {
            Some("Succeeded") => cell("Succeeded", Paint::Green),
            Some(outcome @ ("Failed" | "TimedOut" | "Interrupted")) => cell(outcome, Paint::Red),
            outcome => or_dash(outcome.unwrap_or_default()),
        },
        cell(record.actor.as_str(), Paint::Dim),
        summary(record).into(),
    ]
}

/// The colour of a kind: what broke, what was mended, what gave up.
pub(super) fn kind_paint(kind: &str) -> Paint {
    match kind {
        "DriftDetected" | "StepInterrupted" | "RolledBack" => Paint::Yellow,
        "Reconciled" | "Verified" => Paint::Green,
        "Stalled" | "TrailLost" => Paint::Red,
        _ => Paint::Plain,
    }
}

/// What is found of a trail.
#[derive(Debug)]
pub struct TrailReport {
    /// Of its chain, and of what is kept beside it.
    chain: Verification,
    /// Why records are missing that the chain knows nothing of: an undrift that runs writes them elsewhere, or the trail itself
    /// is gone.
    missing: Option<String>,
    /// When it began in place of an earlier one that was missing. It says so itself, so it is whole.
    begun_anew: Option<Time>,
    /// The records that break a rule of undrift's own; `None` where nobody asked for them.
    breaches: Option<Vec<Breach>>,
}

impl TrailReport {
    /// Whether it is the trail, and whole.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.missing.is_none() && self.chain.is_whole() && self.breaches.as_ref().is_none_or(Vec::is_empty)
    }
}

/// Shows that the trail is whole, or finds the first record that is not, or what is kept beside it and says otherwise. Without
/// a state there is no record, and nothing is broken. `missing` is why there are records that are not in it. With `deep` it also
/// finds the records that break a [rule](crate::decide::trail_rules).
///
/// # Errors
/// Where the state cannot be read.
pub fn verify(store: Option<&Store>, missing: Option<String>, deep: bool) -> Result<TrailReport, VerbError> {
    let empty = Verification::Whole { records: 0, head: GENESIS.into() };
    let chain = store.map(Store::verify).transpose()?.unwrap_or(empty);
    let begun_anew = store.map(Store::begun_anew).transpose()?.flatten();
    let records = store.filter(|_| deep).map(|store| store.records(&RecordFilter::default())).transpose()?;
    let breaches = deep.then(|| breaches(records.iter().flatten()));
    Ok(TrailReport { chain, missing, begun_anew, breaches })
}

/// Prints what [`verify`] has found. It is found before anything is printed: a reader that goes away takes nothing of
/// the verdict with it.
///
/// # Errors
/// What `out` says.
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
                "{}: the {records} records are whole, and what is kept beside them is not:",
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
        // Of a broken trail: the records before the first bad one, which are whole.
        "records": records,
        "head": head,
        "firstBad": first_bad,
        // What is damaged beside whole records, or says otherwise than they do.
        "differs": differs,
        "missing": report.missing,
        "begunAnew": report.begun_anew,
    });
    if let Some(breaches) = &report.breaches {
        document["breaches"] = json!(breaches);
    }
    document
}

#[cfg(test)]
mod tests;

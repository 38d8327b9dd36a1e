//! `undrift incident list` and `undrift incident show`: each failure, its repair, and whether that was verified.

pub(super) mod export;

use std::io::{self, Write};

use serde::Deserialize as _;

use super::{
    event_text::kind_paint,
    recorded::{VerbError, View, print_json},
    safe::DocumentList,
    style::{Cell, Paint, Style, cell, clean, heading, table},
};
use crate::{
    api::{
        AuditRecord, Drift, Incident, IncidentOutcome, ModulePresence, ObjectStatus, ServiceStatus,
        StepOutcome, Time, Transition,
    },
    documents,
    event_words::{arrow, details, git_of, in_incident, services_of},
    store::{RecordFilter, Store},
    times::{CLOCK_SET_BACK, between, elapsed, moment, span},
};

/// Prints the incidents, newest first; `store` is `None` if there is no state yet.
///
/// # Errors
/// If the state cannot be read.
pub fn list(
    store: Option<&Store>,
    limit: Option<usize>,
    view: &View,
    out: &mut dyn Write,
) -> Result<(), VerbError> {
    if view.json {
        return list_json(store, limit.unwrap_or(usize::MAX), out);
    }
    let limit = limit.unwrap_or(NEWEST);
    let incidents = store.map(|store| store.incidents_before(None, None, limit)).transpose()?;
    let incidents = incidents.unwrap_or_default();
    if incidents.is_empty() {
        return Ok(writeln!(out, "no incidents")?);
    }
    let names = ["INCIDENT", "OBJECT", "OPENED", "TOOK", "OUTCOME", "DRIFT"];
    let rows: Vec<_> =
        std::iter::once(heading(&names)).chain(incidents.iter().map(|one| row(one, view.now))).collect();
    table(out, view.style, 0, &rows)?;
    let more = store.map(|store| more_incidents(store, None, incidents.len())).transpose()?.flatten();
    match more {
        None => Ok(()),
        Some(more) => {
            Ok(writeln!(out, "{more} older incidents: `--limit N` for more of them, `-o json` for all")?)
        }
    }
}

/// How many incidents there are beyond those that were printed, in words; not counted beyond a thousand, which takes time.
pub(super) fn more_incidents(
    store: &Store,
    object: Option<&str>,
    printed: usize,
) -> Result<Option<String>, VerbError> {
    const MOST: usize = 1_000;
    Ok(match store.count_incidents(object, printed + MOST)?.saturating_sub(printed) {
        0 => None,
        MOST => Some(format!("{MOST} or more")),
        more => Some(more.to_string()),
    })
}

/// How many of the newest incidents are printed as text.
const NEWEST: usize = 50;

/// How many incidents are read at a time: memory holds no more.
const PAGE: usize = 100;

fn list_json(store: Option<&Store>, limit: usize, out: &mut dyn Write) -> Result<(), VerbError> {
    let mut document = DocumentList::begin(out, "IncidentList")?;
    let (mut left, mut last) = (limit, None::<String>);
    while let Some(store) = store.filter(|_| left > 0) {
        let page = store.incidents_before(None, last.as_deref(), PAGE.min(left))?;
        let Some(oldest) = page.last() else { break };
        last = Some(oldest.id.clone());
        left -= page.len();
        page.iter().try_for_each(|incident| document.item(incident))?;
    }
    Ok(document.end()?)
}

fn row(incident: &Incident, now: Time) -> Vec<Cell> {
    vec![
        incident.id.as_str().into(),
        incident.object.as_str().into(),
        moment(incident.opened_at).into(),
        between(incident.opened_at, incident.closed_at.unwrap_or(now)).into(),
        outcome_cell(incident),
        drifts_in_words(incident).into(),
    ]
}

/// The failures, and how often they recurred.
pub(super) fn drifts_in_words(incident: &Incident) -> String {
    let what = drifts(incident).into_iter().map(|(service, drift)| match drift {
        Ok(drift) => format!("{service} {} {}", drift.layer, drift.reason),
        Err(_) => format!("{service} (not understood)"),
    });
    let what = what.collect::<Vec<_>>().join(", ");
    match incident.occurrences {
        1 => what,
        times => format!("{what} ({times} times)"),
    }
}

/// How the incident ended, in colour.
pub(super) fn outcome_cell(incident: &Incident) -> Cell {
    match incident.outcome {
        None => cell("open", Paint::Yellow),
        Some(outcome @ IncidentOutcome::Reconciled) => cell(outcome.as_str(), Paint::Green),
        Some(outcome @ IncidentOutcome::Stalled) => cell(outcome.as_str(), Paint::Red),
    }
}

/// The drift of each service when the incident opened; the error of one that cannot be understood.
fn drifts(incident: &Incident) -> Vec<(String, serde_json::Result<Drift>)> {
    let services = incident.drift.as_object().into_iter().flatten();
    services.map(|(name, drift)| (name.clone(), Drift::deserialize(drift))).collect()
}

/// Prints one incident as a timeline with its evidence. `id` may be a prefix of an ID.
///
/// # Errors
/// [`VerbError::NoSuchIncident`], or if the state cannot be read.
pub fn show(store: Option<&Store>, id: &str, view: &View, out: &mut dyn Write) -> Result<(), VerbError> {
    let missing = || VerbError::NoSuchIncident(id.to_owned());
    let store = store.ok_or_else(missing)?;
    let incident = store.incident(id)?.ok_or_else(missing)?;
    let filter = RecordFilter { incident: Some(incident.id.clone()), ..RecordFilter::default() };
    let timeline = store.records(&filter)?;
    if view.json {
        return print_json(out, &documents::incident(&incident, &timeline));
    }
    let style = view.style;
    print_head(out, view, &incident, git_of(&timeline))?;
    print_drift(out, style, &incident)?;
    writeln!(out, "\n{}", style.bold("Timeline"))?;
    print_timeline(out, style, 2, incident.opened_at, &timeline)?;
    Ok(print_transitions(out, style, &incident)?)
}

fn print_head(out: &mut dyn Write, view: &View, incident: &Incident, git: Option<String>) -> io::Result<()> {
    let style = view.style;
    writeln!(out, "{}", style.bold(&format!("Incident {}", incident.id)))?;
    let took = between(incident.since, incident.closed_at.unwrap_or(view.now));
    let (label, took) = match incident.outcome {
        None => ("open for", took),
        Some(IncidentOutcome::Reconciled) => ("time to repair", took),
        Some(IncidentOutcome::Stalled) => ("gave up after", took),
    };
    let mut rows: Vec<Vec<Cell>> = vec![
        vec![cell("object", Paint::Dim), incident.object.as_str().into()],
        vec![cell("outcome", Paint::Dim), outcome_cell(incident)],
        vec![cell("opened", Paint::Dim), moment(incident.opened_at).into()],
    ];
    if incident.occurrences > 1 {
        let times = format!("{}, the latest since {}", incident.occurrences, moment(incident.since));
        rows.push(vec![cell("occurrences", Paint::Dim), times.into()]);
    }
    if let Some(closed) = incident.closed_at {
        rows.push(vec![cell("closed", Paint::Dim), moment(closed).into()]);
    }
    rows.push(vec![cell(label, Paint::Dim), took.into()]);
    rows.extend(git.map(|git| vec![cell("git", Paint::Dim), git.into()]));
    table(out, style, 2, &rows)
}

/// The drift of each service, and what was observed of it then.
fn print_drift(out: &mut dyn Write, style: Style, incident: &Incident) -> io::Result<()> {
    let drifts = drifts(incident);
    writeln!(out, "\n{}", style.bold("Drift"))?;
    let mut rows = vec![heading(&["SERVICE", "LAYER", "REASON", "MESSAGE"])];
    rows.extend(drifts.iter().map(|(service, drift)| {
        let [layer, reason, message] = match drift {
            Ok(Drift { layer, reason, message }) => {
                [layer.as_str(), reason.as_str(), message].map(str::to_owned)
            }
            Err(error) => ["–".to_owned(), "–".to_owned(), not_understood(incident, error)],
        };
        vec![service.as_str().into(), layer.into(), cell(reason, Paint::Red), message.into()]
    }));
    table(out, style, 2, &rows)?;
    print_before(out, style, incident, |name| drifts.iter().any(|(service, _)| service == name))
}

/// The modules and routes of the services that drifted, before the first step.
fn print_before(
    out: &mut dyn Write,
    style: Style,
    incident: &Incident,
    has_drifted: impl Fn(&str) -> bool,
) -> io::Result<()> {
    writeln!(out, "\n{}", style.bold("Before the first step"))?;
    let before = match ObjectStatus::deserialize(&incident.before) {
        Ok(before) => before,
        Err(error) => return unreadable(out, style, incident, &error),
    };
    let services = before.services.iter().filter(|service| has_drifted(&service.name));
    let rows: Vec<Vec<Cell>> = services.flat_map(evidence_before).collect();
    table(out, style, 2, &rows)
}

/// A line per module and per route.
fn evidence_before(service: &ServiceStatus) -> Vec<Vec<Cell>> {
    let row = |what: String, seen: String| vec![service.name.as_str().into(), what.into(), seen.into()];
    let answer =
        |status: Option<u16>| status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    let modules = service.modules.iter().map(|module| {
        let words =
            [("source", module.source), ("artifact", module.artifact), ("container", module.container)];
        let seen: Vec<String> =
            words.iter().map(|(place, seen)| format!("{place} {}", presence(*seen))).collect();
        row(format!("module {}", module.name), seen.join(", "))
    });
    let routes = service.routes.iter().map(|route| {
        let with = route.auth.as_ref().map(|auth| format!(", with credentials {}", answer(auth.observed)));
        let control = route.control.map(|control| format!(", control {control}")).unwrap_or_default();
        let seen = format!("{}{}{control}", answer(route.observed), with.unwrap_or_default());
        row(format!("route {}", route.name), seen)
    });
    modules.chain(routes).collect()
}

const fn presence(presence: ModulePresence) -> &'static str {
    match presence {
        ModulePresence::Present => "present",
        ModulePresence::Missing => "missing",
        ModulePresence::Unknown => "unknown",
        ModulePresence::Undeclared => "undeclared",
    }
}

/// Each record with the time since the incident opened, if the clock allows; for a failed command, the end of its output, and
/// likewise for a container that had failed and was about to be replaced.
pub(super) fn print_timeline(
    out: &mut dyn Write,
    style: Style,
    indent: usize,
    opened_at: Time,
    records: &[AuditRecord],
) -> io::Result<()> {
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    let mut tails: Vec<Vec<String>> = Vec::new();
    for record in records {
        let offset = record.time.parse::<Time>().map(|time| {
            elapsed(opened_at, time)
                .map_or_else(|| CLOCK_SET_BACK.to_owned(), |passed| format!("+{}", span(passed)))
        });
        let outcome = record.outcome.as_deref().unwrap_or_default();
        let succeeded = outcome == StepOutcome::Succeeded.as_str();
        rows.push(vec![
            cell(offset.unwrap_or_else(|_| "?".into()), Paint::Dim),
            cell(record.kind.as_str(), kind_paint(record)),
            record.step.as_deref().unwrap_or_default().into(),
            services_of(record).into(),
            cell(outcome, if succeeded { Paint::Green } else { Paint::Red }),
            in_incident(record).into(),
        ]);
        tails.push(details(record));
    }
    // The table is laid out as one, so that its columns align; then the tails are inserted between its lines.
    let mut lines = Vec::new();
    table(&mut lines, style, indent, &rows)?;
    for (line, tail) in String::from_utf8_lossy(&lines).lines().zip(tails) {
        writeln!(out, "{line}")?;
        for line in tail {
            writeln!(out, "{}{} {}", " ".repeat(indent + 4), style.dim("│"), clean(&line))?;
        }
    }
    Ok(())
}

/// The answer of each route before and after.
fn print_transitions(out: &mut dyn Write, style: Style, incident: &Incident) -> io::Result<()> {
    let after = match incident.after.as_ref().map(ObjectStatus::deserialize) {
        None => return Ok(()),
        Some(Ok(after)) => after,
        Some(Err(error)) => {
            writeln!(out, "\n{}", style.bold("Transition"))?;
            return unreadable(out, style, incident, &error);
        }
    };
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for service in &after.services {
        for route in &service.routes {
            let mut push = |what: &str, transition: Option<Transition>| {
                let Some(transition) = transition else { return };
                rows.push(vec![
                    service.name.as_str().into(),
                    format!("{}{what}", route.name).into(),
                    cell(arrow(transition), Paint::Green),
                ]);
            };
            push("", route.transition);
            push(" with credentials", route.auth.as_ref().and_then(|auth| auth.transition));
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}", style.bold("Transition"))?;
    table(out, style, 2, &rows)
}

/// A line in the place of evidence that cannot be understood.
fn unreadable(
    out: &mut dyn Write,
    style: Style,
    incident: &Incident,
    error: &serde_json::Error,
) -> io::Result<()> {
    writeln!(out, "  {}", style.red(&clean(&not_understood(incident, error))))
}

fn not_understood(incident: &Incident, error: &serde_json::Error) -> String {
    format!("cannot be understood ({error}); `undrift incident show {} -o json` shows it", incident.id)
}

#[cfg(test)]
pub(crate) mod tests;

//! `undrift describe`: the whole of one object, as the first page of a post-mortem.

use std::io::{self, Write};

use super::{
    incident::{drifts_in_words, more_incidents, outcome_cell, print_timeline},
    recorded::{VerbError, View, no_such_object, print_json},
    revision::revisions,
    standing_text::doubt_in_words,
    style::{Cell, Paint, Style, cell, heading, table},
};
use crate::{
    api::{
        Condition, ConditionStatus, ConditionType, Incident, ModulePresence, Object, RouteStatus, Sameness,
        ServiceStatus, short_revision,
    },
    event_words::{arrow, git_of, short},
    standing::{Standing, Watcher, standings},
    store::{RecordFilter, Store},
    times::{age, ago, between, moment},
};

/// How many incidents are printed.
const INCIDENTS: usize = 3;

/// Prints the record of one object; `store` is `None` if there is no state yet. `watcher` is whether a daemon manages it.
///
/// # Errors
/// [`VerbError::NoSuchObject`], or if the state cannot be read.
pub fn describe(
    store: Option<&Store>,
    name: &str,
    watcher: Watcher,
    view: &View,
    out: &mut dyn Write,
) -> Result<(), VerbError> {
    let Some(store) = store else {
        return Err(no_such_object(name, std::iter::empty()));
    };
    let mut recorded = standings(store, watcher, view.now)?;
    let Some(at) = recorded.iter().position(|standing| standing.name() == name) else {
        return Err(no_such_object(name, recorded.iter().map(Standing::name)));
    };
    let standing = recorded.swap_remove(at);
    if view.json {
        return print_json(out, &standing.object);
    }
    let style = view.style;
    let changed = store.recorded_at()?.get(name).map(|at| format!("{} ago", age(*at, view.now)));
    print_object(out, view, &standing, &changed.unwrap_or_default())?;
    for service in &standing.object.status.services {
        print_service(out, style, service, as_of(&standing, view).as_deref())?;
    }
    print_plan(out, style, &standing.object)?;
    print_incidents(out, view, store, name)
}

/// The age of the shown status, if it may be outdated.
fn as_of(standing: &Standing, view: &View) -> Option<String> {
    standing.doubt?;
    Some(match standing.object.status.observed_at {
        Some(at) => format!(", as of {} ago", ago(view.now - at)),
        None => ", as of a time that is not recorded".into(),
    })
}

fn print_object(out: &mut dyn Write, view: &View, standing: &Standing, changed: &str) -> io::Result<()> {
    let (style, object) = (view.style, &standing.object);
    let declared = &object.declared;
    writeln!(out, "{} {}", declared.kind, style.bold(&declared.metadata.name))?;
    let status = &object.status;
    let fact = |name: &str, value: String| vec![cell(name, Paint::Dim), value.into()];
    let warning = |name: &str, value: String| vec![cell(name, Paint::Dim), cell(value, Paint::Yellow)];
    let looked = status.observed_at.map(|at| format!("{} ({} ago)", moment(at), age(at, view.now)));
    let mut rows = vec![
        fact("directory", declared.spec.project.directory.clone()),
        fact("generation", status.observed_generation.to_string()),
        fact("last look", looked.unwrap_or_else(|| "none is recorded".into())),
    ];
    rows.extend(standing.doubt.map(|doubt| warning("in doubt", doubt_in_words(standing, doubt))));
    rows.push(fact("status changed", changed.to_owned()));
    rows.extend(status.engine.as_ref().map(|engine| fact("engine", engine.clone())));
    rows.extend(status.suspension.as_ref().map(|suspension| warning("suspended", suspension.in_words())));
    rows.extend(
        standing.fault.as_ref().map(|fault| warning("manifest", format!("not in effect: {}", fault.fault))),
    );
    if status.attempts > 0 {
        rows.push(fact("attempts", format!("{} of {}", status.attempts, declared.spec.reconcile.attempts)));
    }
    if let Some(next) = status.next_attempt_time {
        rows.push(fact("next attempt", moment(next)));
    }
    table(out, style, 2, &rows)?;
    writeln!(out)?;
    table(out, style, 2, &conditions(&status.conditions))
}

fn conditions(conditions: &[Condition]) -> Vec<Vec<Cell>> {
    let rows = conditions.iter().map(|condition| {
        let kind = condition.kind.as_str();
        // For these two `True` is the bad news.
        let turned = matches!(condition.kind, ConditionType::Stalled | ConditionType::Reconciling);
        let (word, paint) = match condition.status {
            ConditionStatus::True => ("True", if turned { Paint::Yellow } else { Paint::Green }),
            ConditionStatus::False => ("False", if turned { Paint::Plain } else { Paint::Red }),
            ConditionStatus::Unknown => ("Unknown", Paint::Yellow),
        };
        vec![
            kind.into(),
            cell(word, paint),
            condition.reason.as_str().into(),
            cell(moment(condition.last_transition_time), Paint::Dim),
            condition.message.as_str().into(),
        ]
    });
    std::iter::once(heading(&["CONDITION", "STATUS", "REASON", "SINCE", "MESSAGE"])).chain(rows).collect()
}

fn print_service(
    out: &mut dyn Write,
    style: Style,
    service: &ServiceStatus,
    as_of: Option<&str>,
) -> io::Result<()> {
    write!(out, "\nService {}: ", style.bold(&service.name))?;
    let age = style.yellow(as_of.unwrap_or_default());
    match &service.drift {
        Some(drift) => {
            let what = style.red(&format!("{} {}", drift.layer, drift.reason));
            writeln!(out, "{what}, {}{age}", super::style::clean(&drift.message))?;
        }
        None if service.conditions.iter().any(|c| c.status == ConditionStatus::Unknown) => {
            writeln!(out, "{}{age}", style.yellow("not all is known"))?;
        }
        None if as_of.is_some() => writeln!(out, "{}{age}", style.yellow("as declared"))?,
        None => writeln!(out, "{}", style.green("as declared"))?,
    }
    table(out, style, 2, &conditions(&service.conditions))?;
    let tables = [
        image_table(service),
        container_table(service),
        module_table(service),
        route_table(service),
        revision_table(service),
        note_table(service),
    ];
    for rows in tables.iter().filter(|rows| !rows.is_empty()) {
        writeln!(out)?;
        table(out, style, 2, rows)?;
    }
    Ok(())
}

fn container_table(service: &ServiceStatus) -> Vec<Vec<Cell>> {
    let rows = service.containers.iter().map(|container| {
        vec![
            container.name.as_str().into(),
            short(&container.id).into(),
            container.state.as_str().into(),
            short(&container.image_id).into(),
            container.started_at.map_or("–".into(), moment).into(),
            container.restart_count.to_string().into(),
        ]
    });
    headed(&["CONTAINER", "ID", "STATE", "IMAGE", "STARTED", "RESTARTS"], rows)
}

fn image_table(service: &ServiceStatus) -> Vec<Vec<Cell>> {
    let rows = service.image.iter().map(|image| {
        let id = image.id.as_deref().map_or("nothing behind it", short);
        vec![image.reference.as_str().into(), id.into()]
    });
    headed(&["IMAGE", "ID"], rows)
}

fn note_table(service: &ServiceStatus) -> Vec<Vec<Cell>> {
    let rows = service
        .notes
        .iter()
        .map(|note| vec![cell(note.reason.as_str(), Paint::Yellow), note.message.as_str().into()]);
    headed(&["NOTE", "MESSAGE"], rows)
}

/// Where each module of the service is and is not; empty if it declares none.
fn module_table(service: &ServiceStatus) -> Vec<Vec<Cell>> {
    let place = |presence| match presence {
        ModulePresence::Present => cell("present", Paint::Green),
        ModulePresence::Missing => cell("missing", Paint::Red),
        ModulePresence::Unknown => cell("unknown", Paint::Yellow),
        ModulePresence::Undeclared => cell("–", Paint::Dim),
    };
    let content = |content| match content {
        Sameness::Same => cell("same", Paint::Green),
        Sameness::Differs => cell("differs", Paint::Red),
        Sameness::Unknown => cell("unknown", Paint::Yellow),
    };
    let rows = service.modules.iter().flat_map(|module| {
        let name = module.name.as_str().into();
        let places = vec![name, place(module.source), place(module.artifact), place(module.container)];
        let compared = module
            .content
            .map(|of| vec!["  content".into(), " ".into(), content(of.artifact), content(of.container)]);
        std::iter::once(places).chain(compared)
    });
    headed(&["MODULE", "SOURCE", "ARTIFACT", "CONTAINER"], rows)
}

/// The revision that the service must carry, and those that it does; empty if it declares none.
fn revision_table(service: &ServiceStatus) -> Vec<Vec<Cell>> {
    let rows = service.revision.iter().map(|revision| {
        let image: Vec<_> = revision.image.iter().cloned().map(Some).collect();
        let expected = revision.expected.as_deref().map_or("–", short_revision);
        let found = [&image[..], &revision.containers, &revision.routes];
        let found = found.map(|found| revisions(revision.expected.as_deref(), found));
        std::iter::once(expected.into()).chain(found).collect()
    });
    headed(&["REVISION", "IMAGE", "CONTAINER", "ROUTE"], rows)
}

/// The answers of each route of the service; those with credentials in a row of their own.
fn route_table(service: &ServiceStatus) -> Vec<Vec<Cell>> {
    let names = ["ROUTE", "EXPECTED", "OBSERVED", "CONTROL", "TRANSITION", "URL"];
    headed(&names, service.routes.iter().flat_map(route_rows))
}

/// The rows below their heading; empty if there are none.
fn headed(names: &[&str], rows: impl Iterator<Item = Vec<Cell>>) -> Vec<Vec<Cell>> {
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() { rows } else { std::iter::once(heading(names)).chain(rows).collect() }
}

fn route_rows(route: &RouteStatus) -> Vec<Vec<Cell>> {
    let number = |status: Option<u16>| status.map_or("–".into(), |status| status.to_string());
    let numbers = |all: &[u16]| all.iter().map(u16::to_string).collect::<Vec<_>>().join(" ");
    let seen = |expected: &[u16], observed: Option<u16>| match observed {
        Some(status) if expected.contains(&status) => cell(status.to_string(), Paint::Green),
        Some(status) => cell(status.to_string(), Paint::Red),
        None => cell("–", Paint::Yellow),
    };
    let mut rows = vec![vec![
        route.name.as_str().into(),
        numbers(&route.expected).into(),
        seen(&route.expected, route.observed),
        number(route.control).into(),
        route.transition.map_or("–".into(), arrow).into(),
        route.url.as_deref().unwrap_or("–").into(),
    ]];
    rows.extend(route.auth.as_ref().map(|auth| {
        vec![
            "  with credentials".into(),
            numbers(&auth.expected).into(),
            seen(&auth.expected, auth.observed),
            number(auth.control).into(),
            auth.transition.map_or("–".into(), arrow).into(),
        ]
    }));
    rows
}

fn print_plan(out: &mut dyn Write, style: Style, object: &Object) -> io::Result<()> {
    if object.status.plan.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}", style.bold("Plan"))?;
    let rows = object.status.plan.iter().map(|planned| {
        vec![
            planned.step.kind().to_string().into(),
            planned.services.join(", ").into(),
            planned.reason.as_str().into(),
        ]
    });
    table(out, style, 2, &rows.collect::<Vec<_>>())
}

/// The latest incidents, each with its steps.
fn print_incidents(out: &mut dyn Write, view: &View, store: &Store, object: &str) -> Result<(), VerbError> {
    let incidents = store.incidents_before(Some(object), None, INCIDENTS)?;
    writeln!(out, "\n{}", view.style.bold("Incidents"))?;
    if incidents.is_empty() {
        return Ok(writeln!(out, "  none")?);
    }
    for incident in &incidents {
        table(out, view.style, 2, &[incident_row(incident, view)])?;
        let filter = RecordFilter { incident: Some(incident.id.clone()), ..RecordFilter::default() };
        let mut steps = store.records(&filter)?;
        if let Some(git) = git_of(&steps) {
            table(out, view.style, 4, &[vec![cell("git", Paint::Dim), git.into()]])?;
        }
        // Each step and its outcome; the whole story is `incident show`.
        steps.retain(|record| record.outcome.is_some());
        print_timeline(out, view.style, 4, incident.opened_at, &steps)?;
    }
    match more_incidents(store, Some(object), incidents.len())? {
        None => Ok(()),
        Some(more) => Ok(writeln!(out, "  {more} more: `undrift incident list`")?),
    }
}

fn incident_row(incident: &Incident, view: &View) -> Vec<Cell> {
    vec![
        incident.id.as_str().into(),
        moment(incident.opened_at).into(),
        between(incident.opened_at, incident.closed_at.unwrap_or(view.now)).into(),
        outcome_cell(incident),
        drifts_in_words(incident).into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::ObjectStatus,
        cli::incident::tests::{repaired, settled},
        store::testing,
    };

    fn answer(store: Option<&Store>, name: &str, json: bool) -> Result<String, VerbError> {
        let now = testing::start() + chrono::TimeDelta::minutes(3);
        let view = View { json, style: Style::default(), now };
        let mut out = Vec::new();
        describe(store, name, Watcher::Runs, &view, &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn an_object_reads_like_a_post_mortems_first_page() {
        let (_home, store, incident) = repaired();
        let text = answer(Some(&store), "ai-backoffice", false).unwrap();
        insta::assert_snapshot!(settled(&text, &incident));
    }

    #[test]
    fn the_json_is_the_object() {
        let (_home, store, _) = repaired();
        let json: Object =
            serde_json::from_str(&answer(Some(&store), "ai-backoffice", true).unwrap()).unwrap();
        assert!(json.status.observed_at.is_some());
        let never = ObjectStatus { observed_at: None, ..json.status.clone() };
        assert_eq!(Object { status: never, ..json }, testing::object());
    }

    #[test]
    fn an_unknown_name_is_an_error_with_the_nearest() {
        let (_home, store, _) = repaired();
        let error = answer(Some(&store), "ai-backofice", false).unwrap_err();
        assert!(error.to_string().ends_with("did you mean ai-backoffice?"), "{error}");
        assert!(matches!(answer(None, "x", true), Err(VerbError::NoSuchObject { nearest: None, .. })));
    }
}

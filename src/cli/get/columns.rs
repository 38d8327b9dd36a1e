//! The columns of `undrift get`.

use super::super::{
    revision::revisions,
    style::{Cell, Paint, cell, heading},
};
use crate::{
    api::{Condition, ConditionStatus, ConditionType, Layer, ServiceStatus, StandingReason, Time},
    event_words::short,
    standing::Standing,
    times::age,
};

/// Follows each mark that may be outdated; the lines below the rows explain why.
const DOUBT: &str = "*";

/// Which columns there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Columns {
    /// Those that fit on most screens.
    #[default]
    Usual,
    /// All.
    Wide,
}

/// A column: its name, which tables have it, and its cell.
struct Column(&'static str, Width, fn(&Standing, &ServiceStatus, Time) -> Cell);

/// Which tables have a column.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Width {
    Usual,
    Wide,
    /// All of them; a new value alone is no news.
    Age,
    /// The wide one; likewise.
    WideAge,
}

/// The columns, in order.
static COLUMNS: &[Column] = &[
    Column("OBJECT", Width::Usual, |standing, _, _| standing.name().into()),
    Column("SERVICE", Width::Usual, |_, service, _| service.name.as_str().into()),
    Column("SOURCE", Width::Usual, |standing, service, _| layer(standing, service, Layer::Source)),
    Column("ARTIFACT", Width::Usual, |standing, service, _| layer(standing, service, Layer::Artifact)),
    Column("CONTAINER", Width::Usual, |standing, service, _| layer(standing, service, Layer::Container)),
    Column("ROUTE", Width::Usual, |standing, service, _| layer(standing, service, Layer::Route)),
    Column("AUTH", Width::Usual, |standing, service, _| layer(standing, service, Layer::Auth)),
    Column("READY", Width::Usual, |standing, service, _| marked(standing, ready(service))),
    Column("REASON", Width::Usual, |standing, service, _| reason(standing, service).into()),
    Column("AGE", Width::Age, |standing, _, now| {
        let looked = standing.object.status.observed_at;
        cell(looked.map_or_else(|| "?".into(), |at| age(at, now)), Paint::Dim)
    }),
    Column("SINCE", Width::WideAge, |_, service, now| since(service, now)),
    Column("CONTAINERS", Width::Wide, |_, service, _| running(service)),
    Column("STARTED", Width::WideAge, |_, service, now| started(service, now)),
    Column("REVISION", Width::Wide, |_, service, _| live_revision(service)),
    Column("IMAGE", Width::Wide, |_, service, _| {
        or_dash(service.image.as_ref().map(|image| image.reference.as_str()))
    }),
    Column("IMAGE ID", Width::Wide, |_, service, _| {
        or_dash(service.image.as_ref().and_then(|image| image.id.as_deref()).map(short))
    }),
];

/// The table at one moment.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Table {
    pub(in crate::cli) columns: Columns,
    pub(in crate::cli) now: Time,
}

impl Table {
    /// The first row.
    pub(in crate::cli) fn heading(self) -> Vec<Cell> {
        let names: Vec<&str> = self.shown().map(|Column(name, ..)| *name).collect();
        heading(&names)
    }

    /// The row of a service.
    pub(in crate::cli) fn row(self, standing: &Standing, service: &ServiceStatus) -> Vec<Cell> {
        self.shown().map(|Column(_, _, cell)| cell(standing, service, self.now)).collect()
    }

    /// The same without what only time changes.
    pub(in crate::cli) fn lasting(self, standing: &Standing, service: &ServiceStatus) -> Vec<Cell> {
        let lasting = self.shown().filter(|Column(_, width, _)| matches!(width, Width::Usual | Width::Wide));
        lasting.map(|Column(_, _, cell)| cell(standing, service, self.now)).collect()
    }

    fn shown(self) -> impl Iterator<Item = &'static Column> {
        COLUMNS.iter().filter(move |Column(_, width, _)| {
            self.columns == Columns::Wide || matches!(width, Width::Usual | Width::Age)
        })
    }
}

fn layer(standing: &Standing, service: &ServiceStatus, layer: Layer) -> Cell {
    layer_mark(service, layer).map_or_else(|| or_dash(None), |mark| marked(standing, mark))
}

fn or_dash(text: Option<&str>) -> Cell {
    text.map_or_else(|| cell("–", Paint::Dim), Cell::from)
}

/// For how long the service has been so, or not.
fn since(service: &ServiceStatus, now: Time) -> Cell {
    let reconciled = service.conditions.iter().find(|c| c.kind == ConditionType::Reconciled);
    or_dash(reconciled.map(|reconciled| age(reconciled.last_transition_time, now)).as_deref())
}

/// How many of its containers run, of how many.
fn running(service: &ServiceStatus) -> Cell {
    let running = service.containers.iter().filter(|container| container.state == "running").count();
    format!("{running}/{}", service.containers.len()).into()
}

/// The revision that runs: what its routes answer, or its containers carry.
fn live_revision(service: &ServiceStatus) -> Cell {
    let Some(revision) = &service.revision else { return or_dash(None) };
    let found = if revision.routes.is_empty() { &revision.containers } else { &revision.routes };
    revisions(revision.expected.as_deref(), found)
}

/// The age of its last start of a container.
fn started(service: &ServiceStatus, now: Time) -> Cell {
    let last = service.containers.iter().filter_map(|container| container.started_at).max();
    or_dash(last.map(|last| age(last, now)).as_deref())
}

/// A value that may be outdated is neither green nor unmarked.
fn marked(standing: &Standing, (text, paint): (&str, Paint)) -> Cell {
    match standing.doubt {
        None => cell(text, paint),
        Some(_) => cell(format!("{text}{DOUBT}"), Paint::Yellow),
    }
}

/// A layer's mark; `None` if the spec declares nothing for it.
fn layer_mark(service: &ServiceStatus, layer: Layer) -> Option<(&'static str, Paint)> {
    let condition = service.conditions.iter().find(|condition| condition.kind == layer.condition())?;
    Some(match condition.status {
        ConditionStatus::True => ("✓", Paint::Green),
        ConditionStatus::False => ("✗", Paint::Red),
        ConditionStatus::Unknown => ("?", Paint::Yellow),
    })
}

/// Whether the service is as declared. `Unknown` is not `True`, and not drift.
pub(super) fn ready(service: &ServiceStatus) -> (&'static str, Paint) {
    let unknown = service.conditions.iter().any(|condition| condition.status == ConditionStatus::Unknown);
    if service.drift.is_some() {
        ("False", Paint::Red)
    } else if unknown {
        ("Unknown", Paint::Yellow)
    } else {
        ("True", Paint::Green)
    }
}

/// Why the service is not as declared, and what else applies to it: in parentheses if both are shown.
fn reason(standing: &Standing, service: &ServiceStatus) -> String {
    let object = &standing.object;
    let unknown = |condition: &&Condition| condition.status == ConditionStatus::Unknown;
    let why = match &service.drift {
        Some(drift) => Some(drift.reason.to_string()),
        None => service.conditions.iter().find(unknown).map(|condition| condition.reason.to_string()),
    };
    let has = |kind, is: fn(&Condition) -> bool| {
        object.status.conditions.iter().any(|condition| condition.kind == kind && is(condition))
    };
    let is_suspended =
        has(ConditionType::Reconciling, |condition| condition.reason.is(StandingReason::Suspended));
    let is_paced =
        has(ConditionType::Reconciling, |condition| condition.reason.is(StandingReason::RateExceeded));
    let is_stalled = has(ConditionType::Stalled, |condition| condition.status == ConditionStatus::True);
    let drifts = service.drift.is_some();
    let holds = if is_suspended {
        Some(if why.is_some() { "suspended" } else { StandingReason::Suspended.as_str() })
    } else if is_paced && drifts {
        Some(StandingReason::RateExceeded.as_str())
    } else {
        (is_stalled && drifts).then_some("stalled")
    };
    let invalid = standing
        .fault
        .as_ref()
        .map(|_| StandingReason::ManifestInvalid.as_str())
        .filter(|invalid| why.as_deref() != Some(*invalid));
    let mut words = why.into_iter().chain(holds.map(str::to_owned)).chain(invalid.map(str::to_owned));
    let first = words.next().unwrap_or_default();
    let rest: Vec<String> = words.collect();
    if rest.is_empty() { first } else { format!("{first} ({})", rest.join(", ")) }
}

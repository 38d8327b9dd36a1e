//! `undrift get`: the last recorded status, a row per service.

use std::io::Write;

use super::{
    recorded::{VerbError, View, no_such_object, print_json},
    standing_text::remarks,
    style::{Cell, Paint, cell, heading, table},
};
use crate::{
    api::{
        Condition, ConditionStatus, ConditionType, Layer, ObjectList, ServiceStatus, StandingReason, Time,
    },
    standing::{Standing, Watcher, standings},
    store::Store,
    times::age,
};

/// Printed if the state is empty: the daemon's belongs to root, and a user without `sudo` has another one.
const NOTHING: &str = "nothing is recorded yet: `undrift apply` records what it reconciles; each user has a state \
                       of their own, `sudo undrift get` shows root's";

/// The same if a running undrift records elsewhere: see [`Watcher::Displaced`].
const NOTHING_HERE: &str = "nothing is recorded here";

/// Follows each mark that may be outdated; the lines below the rows explain why.
const DOUBT: &str = "*";

/// Prints the record of these objects, or of all; `store` is `None` if there is no state yet. Marks values that may be
/// outdated: `watcher` is whether a daemon manages them.
///
/// # Errors
/// [`VerbError::NoSuchObject`] for a name without a record; then nothing is printed.
pub fn get(
    store: Option<&Store>,
    names: &[String],
    watcher: Watcher,
    view: &View,
    out: &mut dyn Write,
) -> Result<(), VerbError> {
    let recorded = store.map(|store| standings(store, watcher, view.now)).transpose()?;
    let mut recorded = recorded.unwrap_or_default();
    if let Some(name) = names.iter().find(|name| !recorded.iter().any(|standing| standing.name() == *name)) {
        return Err(no_such_object(name, recorded.iter().map(Standing::name)));
    }
    recorded.retain(|standing| names.is_empty() || names.iter().any(|name| name == standing.name()));
    if view.json {
        let objects = recorded.into_iter().map(|standing| standing.object).collect();
        return print_json(out, &ObjectList::new(objects));
    }
    if recorded.is_empty() {
        let nothing = if watcher == Watcher::Displaced { NOTHING_HERE } else { NOTHING };
        return Ok(writeln!(out, "{nothing}")?);
    }
    table(out, view.style, 0, &rows(&recorded, view.now))?;
    let remarks: Vec<String> = recorded.iter().flat_map(remarks).collect();
    if !remarks.is_empty() {
        writeln!(out)?;
    }
    for remark in remarks {
        writeln!(out, "{}", view.style.yellow(&remark))?;
    }
    Ok(())
}

fn rows(recorded: &[Standing], now: Time) -> Vec<Vec<Cell>> {
    let mut rows = vec![heading(&[
        "OBJECT",
        "SERVICE",
        "SOURCE",
        "ARTIFACT",
        "CONTAINER",
        "ROUTE",
        "AUTH",
        "READY",
        "REASON",
        "AGE",
    ])];
    for standing in recorded {
        let age = standing.object.status.observed_at.map_or_else(|| "?".into(), |at| age(at, now));
        for service in &standing.object.status.services {
            let mut row: Vec<Cell> = vec![standing.name().into(), service.name.as_str().into()];
            let marked = |(text, paint)| marked(standing, text, paint);
            row.extend(Layer::ALL.into_iter().map(|layer| match layer_mark(service, layer) {
                Some(mark) => marked(mark),
                None => cell("–", Paint::Dim),
            }));
            row.push(marked(ready(service)));
            row.push(reason(standing, service).into());
            row.push(cell(age.as_str(), Paint::Dim));
            rows.push(row);
        }
    }
    rows
}

/// A value that may be outdated is neither green nor unmarked.
fn marked(standing: &Standing, text: &str, paint: Paint) -> Cell {
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
fn ready(service: &ServiceStatus) -> (&'static str, Paint) {
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

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{api::Object, cli::style::Style, store::testing};

    fn view(json: bool) -> View {
        View { json, style: Style::default(), now: testing::start() + chrono::TimeDelta::hours(2) }
    }

    fn answer(store: Option<&Store>, names: &[&str], json: bool) -> Result<String, VerbError> {
        answer_beside(Watcher::Runs, store, names, json)
    }

    fn answer_beside(
        watcher: Watcher,
        store: Option<&Store>,
        names: &[&str],
        json: bool,
    ) -> Result<String, VerbError> {
        let mut out = Vec::new();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        get(store, &names, watcher, &view(json), &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    /// An object that was observed so long before it is shown.
    fn object(minutes: i64) -> Object {
        let mut object = testing::object();
        object.status.observed_at = Some(view(false).now - chrono::TimeDelta::minutes(minutes));
        object
    }

    #[test]
    fn a_row_per_service() {
        let (_home, store) = testing::store();
        store.save_object(&object(2)).unwrap();
        let mut stalled = object(3);
        stalled.declared.metadata.name = "shop".into();
        stalled.status.conditions[2].status = ConditionStatus::True;
        stalled.status.services[1].conditions[0].status = ConditionStatus::Unknown;
        stalled.status.services[1].conditions[0].reason = "EngineUnavailable".into();
        store.save_object(&stalled).unwrap();
        insta::assert_snapshot!(answer(Some(&store), &[], false).unwrap());
        assert!(!answer(Some(&store), &["shop"], false).unwrap().contains("ai-backoffice "));
    }

    #[test]
    fn what_may_no_longer_be_so_is_marked_and_the_lines_below_say_why() {
        let (_home, store) = testing::store();
        store.save_object(&object(2)).unwrap();
        let mut late = object(11);
        late.declared.metadata.name = "late".into();
        store.save_object(&late).unwrap();
        let mut never = testing::object();
        never.declared.metadata.name = "never".into();
        store.save_object(&never).unwrap();
        let mut other = object(2);
        other.declared.metadata.name = "other".into();
        other.status.services[0].drift = None;
        store.save_object(&other).unwrap();
        store.suspend("other", None, "a migration").unwrap();
        store.keep_manifest_fault("other", Some("other.yaml:3:1: not a status")).unwrap();
        insta::assert_snapshot!(answer(Some(&store), &[], false).unwrap());
        let dead = answer_beside(Watcher::Absent, Some(&store), &[], false).unwrap();
        for mark in ["✓", "True"] {
            let marks = dead.matches(mark).count();
            assert!(marks > 0 && marks == dead.matches(&format!("{mark}*")).count(), "{dead}");
        }
        assert!(
            dead.contains("* ai-backoffice: as it was 2m ago, at the last look: no daemon runs"),
            "{dead}"
        );
    }

    #[test]
    fn the_json_is_the_list_of_recorded_objects() {
        let (_home, store) = testing::store();
        store.save_object(&object(2)).unwrap();
        let json: serde_json::Value =
            serde_json::from_str(&answer(Some(&store), &[], true).unwrap()).unwrap();
        assert_eq!((&json["apiVersion"], &json["kind"]), (&"undrift.dev/v1alpha1".into(), &"List".into()));
        let object = &json["items"][0];
        assert_eq!(object["status"]["observedAt"], "2026-03-01T11:58:00Z");
        assert_eq!(
            (&object["status"]["engine"], &object["status"]["suspension"]),
            (&Value::Null, &Value::Null)
        );
        assert_eq!(object["metadata"]["name"], "ai-backoffice");
        assert_eq!(object["status"]["services"][0]["drift"]["layer"], "artifact");
        assert_eq!(object["status"]["plan"][0]["step"], "Build");
    }

    #[test]
    fn without_a_state_there_is_nothing_and_no_such_object() {
        let text = answer(None, &[], false).unwrap();
        assert!(text.starts_with("nothing is recorded yet") && text.contains("`sudo undrift get`"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&answer(None, &[], true).unwrap()).unwrap();
        assert_eq!(json["items"], serde_json::json!([]));
        assert!(matches!(answer(None, &["shop"], true), Err(VerbError::NoSuchObject { .. })));
    }

    #[test]
    fn an_unknown_name_prints_nothing_but_the_nearest_one() {
        let (_home, store) = testing::store();
        store.save_object(&testing::object()).unwrap();
        let error = answer(Some(&store), &["ai-backoffice", "ai-backofice"], false).unwrap_err();
        assert_eq!(error.to_string(), "no object ai-backofice is recorded; did you mean ai-backoffice?");
    }
}

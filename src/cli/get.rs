//! `undrift get`: the last recorded status, a row per service.

use std::{collections::BTreeMap, io::Write};

use super::{
    recorded::{VerbError, View, age, no_such_object, print_json},
    style::{Cell, Paint, cell, heading, table},
};
use crate::{
    api::{ConditionStatus, ConditionType, Layer, Object, ObjectList, ServiceStatus, Time},
    decide::RATE_EXCEEDED,
    store::Store,
};

/// Said where the state is empty: the daemon's is root's, and who asks without `sudo` has another one.
const NOTHING: &str = "nothing is recorded yet: `undrift apply` records what it reconciles; each user has a state \
                       of their own, `sudo undrift get` shows root's";

/// Prints what is recorded of these objects, or of all; `store` is `None` where there is no state yet.
///
/// # Errors
/// [`VerbError::NoSuchObject`] for a name that is not recorded; then nothing is printed.
pub fn get(
    store: Option<&Store>,
    names: &[String],
    view: &View,
    out: &mut dyn Write,
) -> Result<(), VerbError> {
    let mut objects = store.map(Store::objects).transpose()?.unwrap_or_default();
    let known = |name: &&str| objects.iter().any(|object| object.declared.metadata.name == **name);
    if let Some(name) = names.iter().map(String::as_str).find(|name| !known(name)) {
        let recorded = objects.iter().map(|object| object.declared.metadata.name.as_str());
        return Err(no_such_object(name, recorded));
    }
    objects.retain(|object| names.is_empty() || names.contains(&object.declared.metadata.name));
    if view.json {
        return print_json(out, &ObjectList::new(objects));
    }
    if objects.is_empty() {
        return Ok(writeln!(out, "{NOTHING}")?);
    }
    let recorded_at = store.map(Store::recorded_at).transpose()?.unwrap_or_default();
    Ok(table(out, view.style, 0, &rows(&objects, &recorded_at, view.now))?)
}

fn rows(objects: &[Object], recorded_at: &BTreeMap<String, Time>, now: Time) -> Vec<Vec<Cell>> {
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
    for object in objects {
        let name = &object.declared.metadata.name;
        let age = recorded_at.get(name).map(|at| age(*at, now)).unwrap_or_default();
        for service in &object.status.services {
            let mut row: Vec<Cell> = vec![name.as_str().into(), service.name.as_str().into()];
            row.extend(Layer::ALL.into_iter().map(|layer| layer_cell(service, layer)));
            row.push(ready(service));
            row.push(reason(object, service).into());
            row.push(cell(age.as_str(), Paint::Dim));
            rows.push(row);
        }
    }
    rows
}

/// A layer's mark; a dash where the spec declares nothing for it.
fn layer_cell(service: &ServiceStatus, layer: Layer) -> Cell {
    let condition = service.conditions.iter().find(|condition| condition.kind == layer.condition());
    match condition.map(|condition| condition.status) {
        None => cell("–", Paint::Dim),
        Some(ConditionStatus::True) => cell("✓", Paint::Green),
        Some(ConditionStatus::False) => cell("✗", Paint::Red),
        Some(ConditionStatus::Unknown) => cell("?", Paint::Yellow),
    }
}

/// Whether the service is as declared. `Unknown` is not `True`, and not drift.
fn ready(service: &ServiceStatus) -> Cell {
    let unknown = service.conditions.iter().any(|condition| condition.status == ConditionStatus::Unknown);
    if service.drift.is_some() {
        cell("False", Paint::Red)
    } else if unknown {
        cell("Unknown", Paint::Yellow)
    } else {
        cell("True", Paint::Green)
    }
}

/// Why the service is not as declared, and why nothing is done about it.
fn reason(object: &Object, service: &ServiceStatus) -> String {
    let unknown = |condition: &&crate::api::Condition| condition.status == ConditionStatus::Unknown;
    let why = match &service.drift {
        Some(drift) => Some(drift.reason.to_string()),
        None => service.conditions.iter().find(unknown).map(|condition| condition.reason.clone()),
    };
    let has = |kind, is: fn(&crate::api::Condition) -> bool| {
        object.status.conditions.iter().any(|condition| condition.kind == kind && is(condition))
    };
    if has(ConditionType::Reconciling, |condition| condition.reason == "Suspended") {
        return why.map_or_else(|| "Suspended".into(), |why| format!("{why} (suspended)"));
    }
    if has(ConditionType::Reconciling, |condition| condition.reason == RATE_EXCEEDED)
        && service.drift.is_some()
    {
        return format!("{} (RateExceeded)", why.unwrap_or_default());
    }
    let stalled = has(ConditionType::Stalled, |condition| condition.status == ConditionStatus::True);
    let note = if stalled && service.drift.is_some() { " (stalled)" } else { "" };
    format!("{}{note}", why.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::style::Style, store::testing};

    fn view(json: bool) -> View {
        View { json, style: Style::default(), now: testing::start() + chrono::TimeDelta::hours(2) }
    }

    fn answer(store: Option<&Store>, names: &[&str], json: bool) -> Result<String, VerbError> {
        let mut out = Vec::new();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        get(store, &names, &view(json), &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_row_per_service() {
        let (_home, store) = testing::store();
        store.save_object(&testing::object()).unwrap();
        let mut stalled = testing::object();
        stalled.declared.metadata.name = "shop".into();
        stalled.status.conditions[2].status = ConditionStatus::True;
        stalled.status.services[1].conditions[0].status = ConditionStatus::Unknown;
        stalled.status.services[1].conditions[0].reason = "EngineUnavailable".into();
        store.save_object(&stalled).unwrap();
        insta::assert_snapshot!(answer(Some(&store), &[], false).unwrap());
        assert!(!answer(Some(&store), &["shop"], false).unwrap().contains("ai-backoffice "));
    }

    #[test]
    fn the_json_is_the_list_of_recorded_objects() {
        let (_home, store) = testing::store();
        store.save_object(&testing::object()).unwrap();
        let json: serde_json::Value =
            serde_json::from_str(&answer(Some(&store), &[], true).unwrap()).unwrap();
        assert_eq!((&json["apiVersion"], &json["kind"]), (&"undrift.dev/v1alpha1".into(), &"List".into()));
        let object = &json["items"][0];
        assert_eq!(object["metadata"]["name"], "ai-backoffice");
        assert_eq!(object["status"]["services"][0]["drift"]["layer"], "artifact");
        assert_eq!(object["status"]["plan"][0]["step"], "Build");
    }

    #[test]
    fn without_a_state_there_is_nothing_and_no_such_object() {
        let said = answer(None, &[], false).unwrap();
        assert!(said.starts_with("nothing is recorded yet") && said.contains("`sudo undrift get`"), "{said}");
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

//! `undrift get`: the last recorded status, a row per service.

mod columns;

use std::io::{self, Write};

pub use columns::Columns;
pub(super) use columns::Table;

use super::{
    recorded::{VerbError, View, no_such_object, print_json},
    standing_text::remarks,
    style::{Style, table},
};
use crate::{
    api::{ObjectList, Time},
    standing::{Standing, Watcher, standings},
    store::Store,
};

/// Printed if the state is empty: the daemon's belongs to root, and a user without `sudo` has another one.
pub(super) const NOTHING: &str = "nothing is recorded yet: `undrift apply` records what it reconciles; each user has a state \
                       of their own, `sudo undrift get` shows root's";

/// The same if a running undrift records elsewhere: see [`Watcher::Displaced`].
const NOTHING_HERE: &str = "nothing is recorded here";

/// Prints the record of these objects, or of all; `store` is `None` if there is no state yet. Marks values that may be
/// outdated: `watcher` is whether a daemon manages them.
///
/// # Errors
/// [`VerbError::NoSuchObject`] for a name without a record; then nothing is printed.
pub fn get(
    store: Option<&Store>,
    names: &[String],
    watcher: Watcher,
    columns: Columns,
    view: &View,
    out: &mut dyn Write,
) -> Result<(), VerbError> {
    let recorded = recorded(store, names, watcher, view.now)?;
    if view.json {
        let objects = recorded.into_iter().map(|standing| standing.object).collect();
        return print_json(out, &ObjectList::new(objects));
    }
    if recorded.is_empty() {
        let nothing = if watcher == Watcher::Displaced { NOTHING_HERE } else { NOTHING };
        return Ok(writeln!(out, "{nothing}")?);
    }
    let shown = Table { columns, now: view.now };
    let services = recorded
        .iter()
        .flat_map(|standing| standing.object.status.services.iter().map(move |service| (standing, service)));
    let rows = services.map(|(standing, service)| shown.row(standing, service));
    table(out, view.style, 0, &std::iter::once(shown.heading()).chain(rows).collect::<Vec<_>>())?;
    let remarks: Vec<String> = recorded.iter().flat_map(remarks).collect();
    if !remarks.is_empty() {
        writeln!(out)?;
    }
    Ok(print_remarks(out, view.style, &remarks)?)
}

/// The record of these objects, or of all, by name.
///
/// # Errors
/// [`VerbError::NoSuchObject`] for a name without a record.
pub(super) fn recorded(
    store: Option<&Store>,
    names: &[String],
    watcher: Watcher,
    now: Time,
) -> Result<Vec<Standing>, VerbError> {
    let recorded = store.map(|store| standings(store, watcher, now)).transpose()?;
    let mut recorded = recorded.unwrap_or_default();
    if let Some(name) = names.iter().find(|name| !recorded.iter().any(|standing| standing.name() == *name)) {
        return Err(no_such_object(name, recorded.iter().map(Standing::name)));
    }
    recorded.retain(|standing| names.is_empty() || names.iter().any(|name| name == standing.name()));
    Ok(recorded)
}

/// Prints the lines below the rows.
pub(super) fn print_remarks(out: &mut dyn Write, style: Style, remarks: &[String]) -> io::Result<()> {
    remarks.iter().try_for_each(|remark| writeln!(out, "{}", style.yellow(remark)))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{columns::ready, *};
    use crate::{
        api::{ConditionStatus, ConditionType, Object},
        store::testing,
    };

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
        get(store, &names, watcher, Columns::Usual, &view(json), &mut out)
            .map(|()| String::from_utf8(out).unwrap())
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
    fn an_outdated_status_is_marked_and_the_lines_below_give_the_reason() {
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
    fn the_wide_table_has_the_image_and_the_containers_too() {
        let (_home, store) = testing::store();
        let mut object = object(2);
        object.status.services[0].containers.clear();
        store.save_object(&object).unwrap();
        let mut out = Vec::new();
        get(Some(&store), &[], Watcher::Runs, Columns::Wide, &view(false), &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap());
    }

    #[test]
    fn a_service_that_restarts_often_is_said_below_the_rows_and_is_ready_all_the_same() {
        let (_home, store) = testing::store();
        let mut object = object(2);
        let service = &mut object.status.services[1];
        let mut stable = service.conditions[0].clone();
        (stable.kind, stable.status) = (ConditionType::Stable, ConditionStatus::False);
        (stable.reason, stable.message) = ("RestartsOften".into(), "restarted 7 times within 24h".into());
        let before = ready(service);
        service.conditions.push(stable);
        assert_eq!(ready(service), before);
        store.save_object(&object).unwrap();
        let text = answer(Some(&store), &[], false).unwrap();
        assert!(
            text.ends_with("\n\nai-backoffice: dashboard: RestartsOften: restarted 7 times within 24h\n"),
            "{text}"
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

//! `undrift get --watch`: the table, then each row whose content changes.

use std::{collections::BTreeMap, io, path::Path};

use serde_json::Value;

use super::{
    Failure,
    args::{Format, GetFormat},
    changes,
    context::Context,
    get::{self, Columns, Table},
    machine::Machine,
    recorded::View,
    safe,
    standing_text::remarks,
    style,
};
use crate::standing::{Standing, Watcher};

/// Goes on showing the record of these objects, or of all, until it is interrupted or nobody reads it any more.
pub(super) fn run(
    context: &mut Context<'_>,
    machine: &impl Machine,
    names: &[String],
    format: GetFormat,
) -> Result<u8, Failure> {
    let dir = context.state_dir()?;
    // Where the running undrift records elsewhere, that is said beside what is shown.
    if context.shown()?.is_none() && names.is_empty() {
        context.complain(get::NOTHING);
    }
    let json = format.format() == Format::Json;
    let mut shown = Shown { columns: format.columns(), ..Shown::default() };
    let ended =
        changes::until(machine, dir.clone(), || shown.print(context, &dir, names, json).map(|()| None::<()>));
    machine.block_on(ended)??;
    Ok(0)
}

/// What was printed last.
#[derive(Debug, Default)]
struct Shown {
    columns: Columns,
    widths: style::Columns,
    has_begun: bool,
    /// The row of each service, by object and service, without what only time changes.
    rows: BTreeMap<(String, String), Vec<style::Cell>>,
    /// Each object as JSON, by its name.
    objects: BTreeMap<String, Value>,
}

impl Shown {
    fn print(
        &mut self,
        context: &mut Context<'_>,
        dir: &Path,
        names: &[String],
        json: bool,
    ) -> Result<(), Failure> {
        let store = context.recorded()?;
        let now = (context.clock)();
        let recorded = get::recorded(store.as_ref(), names, Watcher::of(dir), now)?;
        let view = View { json, style: context.style, now };
        if json {
            self.documents(&recorded, &mut context.out)
        } else {
            self.table(&recorded, &view, &mut context.out)
        }?;
        context.out.flush()?;
        Ok(())
    }

    /// A document for each object that is another one than before.
    fn documents(&mut self, recorded: &[Standing], out: &mut dyn io::Write) -> io::Result<()> {
        for standing in recorded {
            let mut object = serde_json::to_value(&standing.object)?;
            object["status"]["observedAt"].take();
            if self.objects.get(standing.name()) != Some(&object) {
                safe::document_line(out, &standing.object)?;
                self.objects.insert(standing.name().to_owned(), object);
            }
        }
        Ok(())
    }

    /// The heading at the first time, each row that is another one than before, and what is to be said of its object.
    fn table(&mut self, recorded: &[Standing], view: &View, out: &mut dyn io::Write) -> io::Result<()> {
        let table = Table { columns: self.columns, now: view.now };
        let mut rows = Vec::new();
        if !recorded.is_empty() && !std::mem::replace(&mut self.has_begun, true) {
            rows.push(table.heading());
        }
        let mut below = Vec::new();
        for standing in recorded {
            let before = rows.len();
            for service in &standing.object.status.services {
                let key = (standing.name().to_owned(), service.name.clone());
                let lasting = table.lasting(standing, service);
                if self.rows.get(&key) != Some(&lasting) {
                    rows.push(table.row(standing, service));
                    self.rows.insert(key, lasting);
                }
            }
            if rows.len() > before {
                below.extend(remarks(standing));
            }
        }
        self.widths.print(out, view.style, 0, &rows)?;
        get::print_remarks(out, view.style, &below)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{
        api::{ConditionStatus, Time},
        cli::style::Style,
        store::testing,
    };

    /// An object as it is observed at this minute.
    fn standing(minute: i64) -> Standing {
        let mut object = testing::object();
        object.status.observed_at = Some(now(minute));
        Standing { object, fault: None, doubt: None }
    }

    fn now(minute: i64) -> Time {
        testing::start() + TimeDelta::minutes(minute)
    }

    fn printed(shown: &mut Shown, standing: &Standing, json: bool, minute: i64) -> String {
        let mut out = Vec::new();
        let view = View { json, style: Style::default(), now: now(minute) };
        let recorded = std::slice::from_ref(standing);
        if json { shown.documents(recorded, &mut out) } else { shown.table(recorded, &view, &mut out) }
            .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_row_is_printed_again_where_its_content_changes_and_not_because_time_passes() {
        let mut shown = Shown::default();
        let first = printed(&mut shown, &standing(0), false, 0);
        assert!(first.starts_with("OBJECT") && first.lines().count() == 3, "{first}");
        assert_eq!(printed(&mut shown, &standing(5), false, 7), "");
        let mut repaired = standing(9);
        repaired.object.status.services[0].drift = None;
        let row = printed(&mut shown, &repaired, false, 9);
        assert!(row.starts_with("ai-backoffice  api") && row.lines().count() == 1, "{row}");
        let column = |text: &str| text.lines().next().unwrap().find("api").or(Some(15));
        assert_eq!(column(&row), Some(15), "in the columns of before");
        assert_eq!(printed(&mut shown, &repaired, false, 10), "");
    }

    #[test]
    fn with_json_each_object_that_changes_is_a_document_of_one_line() {
        let mut shown = Shown::default();
        let first = printed(&mut shown, &standing(0), true, 0);
        assert_eq!(first.lines().count(), 1);
        let object: Value = serde_json::from_str(&first).unwrap();
        assert_eq!(object["metadata"]["name"], "ai-backoffice");
        assert_eq!(printed(&mut shown, &standing(5), true, 5), "", "only the time of the look is another");
        let mut stalled = standing(9);
        stalled.object.status.conditions[2].status = ConditionStatus::True;
        assert_eq!(printed(&mut shown, &stalled, true, 9).lines().count(), 1);
    }
}

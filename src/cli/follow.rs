//! `undrift audit list --follow`: the records, then each further one as it is written.

use std::io::Write;

use super::{Failure, audit, changes, context::Context, machine::Machine, safe, style::Columns};
use crate::{api::AuditRecord, store::RecordFilter};

/// Lists the records that match, and goes on until it is interrupted or nobody reads it any more. Each record is printed once:
/// they are read by their number, whoever writes them.
pub(super) fn run(
    context: &mut Context<'_>,
    machine: &impl Machine,
    filter: RecordFilter,
    json: bool,
) -> Result<u8, Failure> {
    let dir = context.state_dir()?;
    // Where the running undrift records elsewhere, that is said beside what is shown.
    drop(context.shown()?);
    let mut follower = Follower { filter, json, columns: Columns::default(), has_begun: false };
    let ended = changes::until(machine, dir, || follower.print(context).map(|()| None::<()>));
    machine.block_on(ended)??;
    Ok(0)
}

/// The position in the trail: `filter.after`.
struct Follower {
    filter: RecordFilter,
    json: bool,
    columns: Columns,
    has_begun: bool,
}

impl Follower {
    fn print(&mut self, context: &mut Context<'_>) -> Result<(), Failure> {
        let Some(store) = context.recorded()? else { return Ok(()) };
        let last = store.last_seq()?;
        // The trail is another one: an earlier one was lost, or a backup has its place.
        if self.filter.after.is_some_and(|after| after > last) {
            self.filter.after = None;
        }
        let filter = self.filter.clone();
        store.each_page(&filter, |page| self.print_page(context, &page))?;
        // None of those up to there matches that was not printed.
        self.filter.after = self.filter.after.max(Some(last));
        Ok(context.out.flush()?)
    }

    fn print_page(&mut self, context: &mut Context<'_>, records: &[AuditRecord]) -> Result<(), Failure> {
        if self.json {
            records.iter().try_for_each(|record| safe::document_line(&mut context.out, record))?;
        } else {
            let mut rows: Vec<_> = records.iter().map(audit::row).collect();
            if !std::mem::replace(&mut self.has_begun, true) {
                rows.insert(0, audit::headings());
            }
            self.columns.print(&mut context.out, context.style, 0, &rows)?;
        }
        self.filter.after = records.last().map(|record| record.seq);
        Ok(())
    }
}

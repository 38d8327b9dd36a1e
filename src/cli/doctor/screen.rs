//! The layout of a diagnosis: a line per check, and an indented one for its help.

use std::io::{self, Write};

use super::{Check, DoctorReport, Status};
use crate::cli::style::{Paint, Style, clean};

/// Prints the diagnosis.
pub(super) fn write(out: &mut dyn Write, style: Style, report: &DoctorReport) -> io::Result<()> {
    let width = report.checks.iter().map(|check| check.name.len()).max().unwrap_or_default();
    for check in &report.checks {
        let (mark, paint) = mark(check.status);
        let name = format!("{:width$}", check.name);
        writeln!(out, "{} {}  {}", style.paint(paint, mark), style.bold(&name), clean(&check.found))?;
        if let Some(help) = &check.help {
            writeln!(out, "  {} {}", style.dim("→"), clean(help))?;
        }
    }
    writeln!(out, "\n{}", summary(style, &report.checks))?;
    out.flush()
}

const fn mark(status: Status) -> (&'static str, Paint) {
    match status {
        Status::Ok => ("✓", Paint::Green),
        Status::Warning => ("!", Paint::Yellow),
        Status::Failed => ("✗", Paint::Red),
        Status::Unknown => ("?", Paint::Yellow),
    }
}

fn summary(style: Style, checks: &[Check]) -> String {
    let counts = [
        (Status::Failed, "failed"),
        (Status::Warning, "to be warned of"),
        (Status::Unknown, "unknown"),
        (Status::Ok, "ok"),
    ];
    let words = counts.into_iter().filter_map(|(status, word)| {
        let count = checks.iter().filter(|check| check.status == status).count();
        (count > 0).then(|| style.paint(mark(status).1, &format!("{count} {word}")))
    });
    words.collect::<Vec<_>>().join(", ")
}

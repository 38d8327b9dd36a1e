//! `undrift doctor`: examines what undrift depends on. A line per check, and an indented one for its help.

use std::io::{self, Write};

use super::{
    Context, Failure,
    args::{Format, Manifests},
    context,
    style::{Paint, Style, clean},
};
use crate::doctor::{self, Check, DoctorReport, Status};

/// Examines everything at once, and prints it. Exit code 1 if something failed; a warning alone does not count.
pub(super) fn run(
    context: &mut Context<'_>,
    manifests: &Manifests<false>,
    format: Format,
) -> Result<u8, Failure> {
    let runtime = context::runtime()?;
    let dir = context.named_state_dir().map_err(|failure| failure.to_string());
    let report = runtime.block_on(doctor::examine(dir, &manifests.files));
    let exit = u8::from(!report.ok);
    let printed = match format {
        Format::Json => context.json(&report),
        Format::Text => write(&mut context.out, context.style, &report),
    };
    context::outcome(printed, exit)
}

fn write(out: &mut dyn Write, style: Style, report: &DoctorReport) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_per_check_and_one_for_its_help() {
        let mut out = Vec::new();
        write(&mut out, Style::default(), &doctor::testing::report()).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap());
    }
}

//! The command line: one file per verb, and how things look on a terminal and as JSON.
//!
//! Answers go to standard output; logs, progress and complaints go to standard error, always.

mod apply;
mod args;
mod audit;
mod check;
mod context;
mod describe;
mod get;
mod incident;
mod ladder;
mod narrator;
pub mod schema;
mod style;
pub mod validate;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Verb};
use context::{Context, Failure};

/// Exit code of an error: bad input, no engine, a state folder that fails.
const ERROR: u8 = 2;

/// Parses, dispatches, and says how it ended.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { ERROR } else { 0 });
        }
    };
    let mut context = Context::new(&cli.global);
    if let Err(error) = context::start_logging(&cli.global) {
        context.fail(&error, None);
        return ExitCode::from(ERROR);
    }
    ExitCode::from(match dispatch(&mut context, &cli.verb) {
        Ok(code) => code,
        // A reader that has seen enough, such as `head`, is no error of ours.
        Err(failure) if failure.is_broken_pipe() => 0,
        Err(failure) => {
            context.fail(&failure, output_of(&cli.verb));
            ERROR
        }
    })
}

fn dispatch(context: &mut Context<'_>, verb: &Verb) -> Result<u8, Failure> {
    match verb {
        Verb::Validate(manifests) => {
            Ok(validate::validate(&context::sources(manifests), &mut context.out, &mut context.err))
        }
        Verb::Schema => Ok(schema::schema(&mut context.out)),
        Verb::Check(objects) => check::run(context, objects, false),
        Verb::Plan(objects) => check::run(context, objects, true),
        Verb::Apply(objects) => apply::run(context, objects),
        Verb::Get { names, output } => get::run(context, (names, output.output)),
        Verb::Describe { name, output } => describe::run(context, (name, output.output)),
        Verb::Audit { verb } => audit::run(context, verb),
        Verb::Incident { verb } => incident::run(context, verb),
    }
}

/// The output format of a verb that has one, so that its failure can be printed in it.
fn output_of(verb: &Verb) -> Option<args::Format> {
    use args::{AuditVerb, IncidentVerb};
    match verb {
        Verb::Validate(_) | Verb::Schema => None,
        Verb::Check(objects) | Verb::Plan(objects) | Verb::Apply(objects) => Some(objects.output.output),
        Verb::Get { output, .. }
        | Verb::Describe { output, .. }
        | Verb::Audit { verb: AuditVerb::List { output, .. } | AuditVerb::Verify(output) }
        | Verb::Incident { verb: IncidentVerb::List(output) | IncidentVerb::Show { output, .. } } => {
            Some(output.output)
        }
    }
}

//! The command line: one file per verb, and how things look on a terminal and as JSON.
//!
//! Answers go to standard output; logs, progress and complaints go to standard error, always.

mod apply;
mod args;
pub mod audit;
mod build_check;
mod cache;
mod changes;
mod check;
mod checkpoints;
mod completions;
mod context;
pub mod describe;
mod doctor;
mod event_text;
mod failure;
mod files;
mod follow;
pub mod get;
pub mod incident;
mod ladder;
mod machine;
mod maintenance;
mod one_line;
mod progress;
pub mod recorded;
mod revision;
mod run;
mod safe;
pub mod schema;
mod standing_text;
pub mod style;
mod trail_export;
#[cfg(test)]
mod transcripts;
mod usage;
pub mod validate;
mod wait;
mod watch;

use std::{env, io::Write, num::NonZeroUsize, process::ExitCode};

use clap::Parser;

use args::{AuditVerb, Cli, IncidentVerb, LogFormat, Verb};
use context::{Context, Failure};
use incident::export::export;
use machine::{LocalMachine, Machine};

use crate::{
    manifest::ManifestSource,
    store::{Displaced, KeptCheckpoint, LostTrail, RecordFilter},
};

/// Exit code of an error: bad input, no engine, a state folder that fails.
const ERROR: u8 = 2;

/// Parses, dispatches, and says how it ended.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            usage::print(&error, &env::args_os().collect::<Vec<_>>());
            return ExitCode::from(if error.use_stderr() { ERROR } else { 0 });
        }
    };
    let machine = LocalMachine;
    let mut context = Context::new(&cli.global, &machine);
    if let Err(error) = context::start_logging(&cli.global, default_log(&cli.verb, cli.global.log_format)) {
        context.fail(&error, output_of(&cli.verb));
        return ExitCode::from(ERROR);
    }
    ExitCode::from(run_verb(&mut context, &machine, &cli.verb))
}

/// Runs a verb, says why where it fails, and gives the exit code.
fn run_verb(context: &mut Context<'_>, machine: &impl Machine, verb: &Verb) -> u8 {
    match dispatch(context, machine, verb) {
        Ok(code) => code,
        // A reader that has seen enough, such as `head`, is no error of ours. Where a verb has a verdict besides
        // 0, the verb itself keeps it: see `context::outcome`.
        Err(failure) if failure.is_broken_pipe() => 0,
        Err(failure) => {
            context.fail(&failure, output_of(verb));
            ERROR
        }
    }
}

/// A daemon that heals without a word would be found out by its trail alone. What the libraries log is for those who ask for
/// it: undrift reports what their failures mean, once.
const fn default_log(verb: &Verb, format: LogFormat) -> &'static str {
    match (verb, format) {
        (Verb::Run(_), _) => "undrift=info",
        // A person reads of each stall and rollback in the lines of progress.
        (Verb::Apply(_), LogFormat::Text) => "undrift=warn,undrift::reconcile::journal=error",
        _ => "undrift=warn",
    }
}

fn dispatch(context: &mut Context<'_>, machine: &impl Machine, verb: &Verb) -> Result<u8, Failure> {
    match verb {
        Verb::Validate(manifests) => {
            let sources = ManifestSource::all(&manifests.files);
            Ok(validate::validate(&sources, &mut context.out, &mut context.err)?)
        }
        Verb::Schema => context::outcome(schema::schema(&mut context.out), 0),
        Verb::Check(options) => check::run(context, machine, options),
        Verb::Plan(objects) => check::plan(context, machine, objects),
        Verb::Apply(options) => apply::run(context, machine, &options.objects, options.environment()),
        Verb::Run(options) => run::run(context, options),
        Verb::Suspend { name, duration, reason } => {
            maintenance::suspend(context, machine, name, *duration, reason)
        }
        Verb::Resume { name } => maintenance::resume(context, machine, name),
        Verb::Retry { name } => maintenance::retry(context, machine, name),
        Verb::Get { names, watch: true, output } => watch::run(context, machine, names, *output),
        Verb::Get { names, watch: false, output } => {
            let (store, view) = (context.shown()?, context.view(output.format()));
            let watcher = context.watcher()?;
            get::get(store.as_ref(), names, watcher, output.columns(), &view, &mut context.out)?;
            finished(context)
        }
        Verb::Wait(options) => wait::run(context, machine, options),
        Verb::Describe { name, output } => {
            let (store, view) = (context.shown()?, context.view(output.output));
            describe::describe(store.as_ref(), name, context.watcher()?, &view, &mut context.out)?;
            finished(context)
        }
        Verb::Audit { verb } => audit_verb(context, machine, verb),
        Verb::Incident { verb } => incident_verb(context, verb),
        Verb::Backup { file, output } => {
            let (store, view) = (context.shown()?, context.view(output.output));
            trail_export::backup(store.as_ref(), file, &view, &mut context.out)?;
            finished(context)
        }
        Verb::Doctor { manifests, output } => doctor::run(context, manifests, output.output),
        Verb::Completions { shell } => {
            context::outcome(completions::completions(*shell, &mut context.out), 0)
        }
    }
}

fn audit_verb(context: &mut Context<'_>, machine: &impl Machine, verb: &AuditVerb) -> Result<u8, Failure> {
    match verb {
        AuditVerb::List { object, service, incident, since, until, limit, follow, output } => {
            let view = context.view(output.output);
            let when = |text: &Option<String>| {
                let parse = |text: &String| recorded::parse_when(text, view.now);
                text.as_ref().map(parse).transpose().map_err(|error| Failure::Usage(error.to_string()))
            };
            let filter = RecordFilter {
                object: object.clone(),
                service: service.clone(),
                incident: incident.clone(),
                after: None,
                since: when(since)?,
                until: when(until)?,
                limit: limit.map(NonZeroUsize::get),
            };
            if *follow {
                return follow::run(context, machine, filter, view.json);
            }
            audit::list(context.shown()?.as_ref(), &filter, &view, &mut context.out)?;
            finished(context)
        }
        AuditVerb::Export { after, format } => {
            trail_export::export(context.shown()?.as_ref(), *after, *format, &mut context.out)?;
            finished(context)
        }
        AuditVerb::Checkpoint => {
            checkpoints::print_newest(context.shown()?.as_ref(), &mut context.out)?;
            finished(context)
        }
        AuditVerb::Key { format } => {
            checkpoints::print_key(context.shown()?.as_ref(), *format, &mut context.out)?;
            finished(context)
        }
        AuditVerb::Verify { deep, checkpoint, output } => {
            let view = context.view(output.output);
            let kept = checkpoints::read_kept(context, checkpoint)?;
            let report = verify(context, *deep, &kept)?;
            let printed = audit::print_verification(&report, &view, &mut context.out);
            let printed = printed.and_then(|()| context.out.flush());
            context::outcome(printed, u8::from(!report.is_whole()))
        }
    }
}

fn verify(context: &Context<'_>, deep: bool, kept: &[KeptCheckpoint]) -> Result<audit::TrailReport, Failure> {
    let dir = context.state_dir()?;
    let displaced = Displaced::of(&dir);
    let elsewhere = displaced.as_ref().map(|it| format!("{it}; what it records is not in this trail"));
    let missing = elsewhere.or_else(|| LostTrail::of(&dir).map(|lost| lost.to_string()));
    let report = context.recorded().and_then(|store| Ok(audit::verify(store.as_ref(), missing, deep, kept)?));
    match displaced {
        // The one explains the other: a log that is not the database's, for instance.
        Some(displaced) if report.is_err() => Err(Failure::Displaced(displaced)),
        _ => report,
    }
}

fn incident_verb(context: &mut Context<'_>, verb: &IncidentVerb) -> Result<u8, Failure> {
    let store = context.shown()?;
    match verb {
        IncidentVerb::List { limit, output } => {
            let view = context.view(output.output);
            incident::list(store.as_ref(), limit.map(NonZeroUsize::get), &view, &mut context.out)?;
        }
        IncidentVerb::Show { incident, output } => {
            let view = context.view(output.output);
            incident::show(store.as_ref(), incident, &view, &mut context.out)?;
        }
        IncidentVerb::Export(options) => export(context, store.as_ref(), options)?,
    }
    finished(context)
}

fn finished(context: &mut Context<'_>) -> Result<u8, Failure> {
    context.out.flush()?;
    Ok(0)
}

/// The output format of a verb that has one, so that its failure can be printed in it.
fn output_of(verb: &Verb) -> Option<args::Format> {
    match verb {
        Verb::Validate(_)
        | Verb::Schema
        | Verb::Completions { .. }
        | Verb::Run(_)
        | Verb::Suspend { .. }
        | Verb::Resume { .. }
        | Verb::Retry { .. }
        | Verb::Incident { verb: IncidentVerb::Export(_) }
        | Verb::Audit { verb: AuditVerb::Checkpoint | AuditVerb::Key { .. } | AuditVerb::Export { .. } } => {
            None
        }
        Verb::Check(options) => Some(options.objects.output.output),
        Verb::Plan(objects) => Some(objects.output.output),
        Verb::Apply(options) => Some(options.objects.output.output),
        Verb::Get { output, .. } => Some(output.format()),
        Verb::Wait(options) => Some(options.output.output),
        Verb::Describe { output, .. }
        | Verb::Backup { output, .. }
        | Verb::Doctor { output, .. }
        | Verb::Audit { verb: AuditVerb::List { output, .. } | AuditVerb::Verify { output, .. } }
        | Verb::Incident { verb: IncidentVerb::List { output, .. } | IncidentVerb::Show { output, .. } } => {
            Some(output.output)
        }
    }
}

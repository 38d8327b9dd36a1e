//! `suspend`, `resume`, `retry`: a person's word about one object.
//!
//! Each is written into the state, whether a daemon runs or not; one that runs is told, so that it looks at once.

use std::io::Write as _;

use super::{Context, Failure, machine::Machine, recorded, style::clean};
use crate::{
    api::Duration,
    daemon::{self, AskError, ReconcileRequest},
    standing::Watcher,
    store::{Displaced, Store},
};

/// Takes no step for an object, for a while or until it is resumed.
pub(super) fn suspend(
    context: &mut Context<'_>,
    machine: &impl Machine,
    name: &str,
    duration: Option<Duration>,
    reason: &str,
) -> Result<u8, Failure> {
    if reason.trim().is_empty() {
        return Err(Failure::Usage("--reason is empty: say why, for whoever reads the trail".into()));
    }
    let store = known(context, name, "suspend")?;
    let until = duration.map(|duration| (context.clock)() + duration.delta());
    let suspension = store.suspend(name, until, reason)?;
    check_displaced(context)?;
    writeln!(context.out, "{name} is suspended: {}", clean(&suspension.in_words()))?;
    finish(context, machine, name)
}

/// Ends a suspension.
pub(super) fn resume(context: &mut Context<'_>, machine: &impl Machine, name: &str) -> Result<u8, Failure> {
    let store = known(context, name, "resume")?;
    let ended = store.resume(name)?;
    check_displaced(context)?;
    match ended {
        Some(ended) => {
            writeln!(context.out, "{name} is resumed; it was suspended: {}", clean(&ended.in_words()))?;
        }
        None => writeln!(context.out, "{name} was not suspended by anyone's word")?,
    }
    if store
        .objects()?
        .iter()
        .any(|object| object.declared.metadata.name == name && object.declared.spec.reconcile.suspend)
    {
        writeln!(context.out, "its manifest suspends it: spec.reconcile.suspend is true; edit it there")?;
    }
    finish(context, machine, name)
}

/// Gives an object a new budget.
pub(super) fn retry(context: &mut Context<'_>, machine: &impl Machine, name: &str) -> Result<u8, Failure> {
    let forgotten = known(context, name, "retry")?.retry(name)?;
    check_displaced(context)?;
    writeln!(
        context.out,
        "{name} has a new budget; the attempts at {} are history",
        crate::manifest::count(forgotten, "drift")
    )?;
    finish(context, machine, name)
}

/// The state for writing, if the object is in it: a typing error must not suspend nothing.
fn known(context: &Context<'_>, name: &str, verb: &str) -> Result<Store, Failure> {
    let dir = context.state_dir()?;
    check_displaced(context)?;
    let recorded = context.recorded()?;
    let objects = recorded.map(|store| store.objects()).transpose()?.unwrap_or_default();
    if objects.iter().any(|object| object.declared.metadata.name == name) {
        return Ok(Store::open_with_clock(&dir, context.actor(verb), std::sync::Arc::clone(&context.clock))?);
    }
    let known: Vec<String> = objects.into_iter().map(|object| object.declared.metadata.name).collect();
    Err(recorded::no_such_object(name, known.iter().map(String::as_str)).into())
}

/// Whether an undrift that runs goes by what is in the folder: one that has other files open does not. Asked before anything
/// is written, and again before it is called done.
fn check_displaced(context: &Context<'_>) -> Result<(), Failure> {
    Displaced::of(&context.state_dir()?).map_or(Ok(()), |displaced| Err(Failure::Displaced(displaced)))
}

/// What a daemon made of it.
#[derive(Debug, PartialEq, Eq)]
enum Notified {
    /// None runs.
    NoDaemon,
    /// It looks now.
    Delivered,
    /// One runs, and does not look now; why.
    Undelivered(String),
}

/// Tells a daemon that something was written.
fn notify_daemon(context: &Context<'_>, machine: &impl Machine, name: &str) -> Result<Notified, Failure> {
    let dir = context.state_dir()?;
    // What comes of it nobody waits for.
    let request = ReconcileRequest { skip_reload: true, ..ReconcileRequest::default() };
    let asked = machine.block_on(daemon::reconcile(&dir, name, &request))?;
    Ok(match asked {
        Ok(None) if Watcher::of(&dir) == Watcher::Runs => {
            Notified::Undelivered("its socket is not there".into())
        }
        Ok(None) => Notified::NoDaemon,
        Ok(Some(_)) => Notified::Delivered,
        Err(AskError::Refused(why)) => Notified::Undelivered(why),
        Err(AskError::Io(error)) => Notified::Undelivered(error.to_string()),
    })
}

/// What was said stands, whether a daemon hears it at once or not.
fn finish(context: &mut Context<'_>, machine: &impl Machine, name: &str) -> Result<u8, Failure> {
    context.out.flush()?;
    match notify_daemon(context, machine, name)? {
        Notified::Delivered => {}
        Notified::NoDaemon => {
            writeln!(context.out, "no daemon runs on this state: the next `apply` or `run` goes by it")?;
        }
        Notified::Undelivered(why) => context.complain(&format!(
            "it is written, and the running undrift does not look at once ({why}): it goes by it at its next look"
        )),
    }
    context.out.flush()?;
    Ok(0)
}

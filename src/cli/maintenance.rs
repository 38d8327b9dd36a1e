//! `suspend`, `resume`, `retry`: a person's word about one object.
//!
//! Each is written into the state, whether a daemon runs or not; one that runs is told, so that it looks at once.

use std::io::Write as _;

use super::{Context, Failure, context, recorded, standing::Watcher, style::clean};
use crate::{
    api::Duration,
    daemon::{self, Reply, What},
    reconcile::now,
    store::{Displaced, Store},
};

/// Takes no step for an object, for a while or until it is resumed.
pub(super) fn suspend(
    context: &mut Context<'_>,
    name: &str,
    duration: Option<Duration>,
    reason: &str,
) -> Result<u8, Failure> {
    if reason.trim().is_empty() {
        return Err(Failure::Usage("--reason is empty: say why, for whoever reads the trail".into()));
    }
    let store = known(context, name, "suspend")?;
    let until = duration.map(|duration| now() + duration.delta());
    let suspension = store.suspend(name, until, reason)?;
    is_heard(context)?;
    writeln!(context.out, "{name} is suspended: {}", clean(&suspension.in_words()))?;
    finish(context, name)
}

/// Ends a suspension.
pub(super) fn resume(context: &mut Context<'_>, name: &str) -> Result<u8, Failure> {
    let store = known(context, name, "resume")?;
    let ended = store.resume(name)?;
    is_heard(context)?;
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
    finish(context, name)
}

/// Gives an object a new budget.
pub(super) fn retry(context: &mut Context<'_>, name: &str) -> Result<u8, Failure> {
    let forgotten = known(context, name, "retry")?.retry(name)?;
    is_heard(context)?;
    writeln!(
        context.out,
        "{name} has a new budget; the attempts at {} are history",
        crate::manifest::count(forgotten, "drift")
    )?;
    finish(context, name)
}

/// The state for writing, if the object is in it: a typing error must not suspend nothing.
fn known(context: &Context<'_>, name: &str, verb: &str) -> Result<Store, Failure> {
    let dir = context.state_dir()?;
    is_heard(context)?;
    let recorded = context.recorded()?;
    let objects = recorded.map(|store| store.objects()).transpose()?.unwrap_or_default();
    if objects.iter().any(|object| object.declared.metadata.name == name) {
        return Ok(Store::open(&dir, context::actor(verb))?);
    }
    let known: Vec<String> = objects.into_iter().map(|object| object.declared.metadata.name).collect();
    Err(recorded::no_such_object(name, known.iter().map(String::as_str)).into())
}

/// Whether an undrift that runs goes by what is in the folder: one that has other files open does not. Asked before anything
/// is written, and again before it is called done.
fn is_heard(context: &Context<'_>) -> Result<(), Failure> {
    Displaced::of(&context.state_dir()?).map_or(Ok(()), |displaced| Err(Failure::Displaced(displaced)))
}

/// What a daemon made of it.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// None runs.
    Nobody,
    /// It looks now.
    Heard,
    /// One runs, and does not look now; why.
    Unheard(String),
}

/// Tells a daemon that something was written.
fn tell(context: &Context<'_>, name: &str) -> Result<Told, Failure> {
    let dir = context.state_dir()?;
    let (replies, mut heard) = tokio::sync::mpsc::channel(4);
    let asked = context::runtime()?.block_on(daemon::ask(&dir, What::Look(name.into()), replies));
    Ok(match (asked, heard.try_recv()) {
        (Ok(None), _) if Watcher::of(&dir) == Watcher::Runs => {
            Told::Unheard("its socket is not there".into())
        }
        (Ok(None), _) => Told::Nobody,
        (_, Ok(Reply::Refused(why))) => Told::Unheard(why),
        (_, Ok(_)) => Told::Heard,
        (Ok(Some(())), Err(_)) => Told::Unheard("it said nothing".into()),
        (Err(error), Err(_)) => Told::Unheard(error.to_string()),
    })
}

/// What was said stands, whether a daemon hears it at once or not.
fn finish(context: &mut Context<'_>, name: &str) -> Result<u8, Failure> {
    context.out.flush()?;
    match tell(context, name)? {
        Told::Heard => {}
        Told::Nobody => {
            writeln!(context.out, "no daemon runs on this state: the next `apply` or `run` goes by it")?;
        }
        Told::Unheard(why) => context.complain(&format!(
            "it is written, and the running undrift does not look at once ({why}): it goes by it at its next look"
        )),
    }
    context.out.flush()?;
    Ok(0)
}

//! `check` and `plan`: one look, shown as the ladder; `plan` adds the steps. Nothing is changed, except that `check --build`
//! remembers what it found.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    sync::Arc,
};

use super::{
    Context, Failure,
    args::{CheckArgs, Format, ObjectArgs},
    build_check::{BuildChecks, not_remembered},
    context::{self, Loaded},
    ladder,
    machine::Machine,
    progress::ProgressPrinter,
};
use crate::{
    api::{Desired, Note, NoteReason, Object, ObjectList, Time},
    reconcile::{self, Assessment, ReconcileError},
    store::Store,
};

/// Looks at the named objects and prints what was seen.
pub(super) fn run(
    context: &mut Context<'_>,
    machine: &impl Machine,
    options: &CheckArgs,
) -> Result<u8, Failure> {
    let with = if options.build { Extra::Builds } else { Extra::Nothing };
    look(context, machine, &options.objects, with)
}

/// The same with the steps that `apply` would take.
pub(super) fn plan(
    context: &mut Context<'_>,
    machine: &impl Machine,
    objects: &ObjectArgs,
) -> Result<u8, Failure> {
    look(context, machine, objects, Extra::Plan)
}

/// What comes to a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extra {
    Nothing,
    Plan,
    Builds,
}

fn look(
    context: &mut Context<'_>,
    machine: &impl Machine,
    objects: &ObjectArgs,
    with: Extra,
) -> Result<u8, Failure> {
    let loaded = context::load(&objects.manifests, &objects.names)?;
    let (store, unusable) = context.store_for_looking()?;
    let store = store.map(Arc::new);
    if let Some(why) = &unusable {
        context.complain(&without_state(why));
    }
    let progress = (with == Extra::Builds)
        .then(|| ProgressPrinter::new(machine.stderr(), machine.stopwatch(), loaded.named.len() > 1));
    let dir = context.named_state_dir()?;
    let looks = machine.block_on(async {
        let mut builds = progress.map(|progress| BuildChecks::new(&dir, store.as_deref(), progress));
        let looks = look_at_all(machine, store.as_ref(), &loaded, builds.as_mut()).await?;
        Ok::<_, Failure>((looks, builds.is_some_and(|builds| builds.is_forgotten())))
    })??;
    let (looks, is_forgotten) = looks;
    if is_forgotten {
        context.complain(&not_remembered(store.as_deref(), &dir));
    }
    // One that can be opened may be damaged further in.
    let damaged = store.as_ref().and_then(|store| damage(store, &looks));
    if let Some(why) = &damaged {
        context.complain(&without_state(why));
    }
    let exit = looks.iter().map(|(_, looked)| exit_code(looked)).max().unwrap_or(0);
    for (desired, looked) in &looks {
        if let Err(error) = looked {
            context.complain_of(desired.name(), error);
        }
    }
    let printed = match objects.output.output {
        Format::Json => {
            let why = unusable.or(damaged);
            let now = (context.clock)();
            context.json(&ObjectList::new(seen(store.as_deref(), looks, why.as_deref(), now)))
        }
        Format::Text => print(context, &looks, with == Extra::Plan),
    };
    context::outcome(printed, exit)
}

/// The objects as they were seen; with a note for each service where that was without the state.
fn seen(
    store: Option<&Store>,
    looks: Vec<CheckedObject<'_>>,
    why_without: Option<&str>,
    now: Time,
) -> Vec<Object> {
    let note =
        why_without.map(|why| Note { reason: NoteReason::StateUnavailable, message: without_state(why) });
    let objects = looks.into_iter().map(|(desired, looked)| match looked {
        Ok(looked) => looked.object,
        Err(error) => reconcile::unseen(store, desired, &error, now),
    });
    let noted = objects.map(|mut object| {
        for service in &mut object.status.services {
            service.notes.extend(note.clone());
        }
        object
    });
    noted.collect()
}

/// That the look goes without what is recorded, and what that means.
fn without_state(why: &str) -> String {
    format!(
        "looking without the state: {why}; suspensions, open incidents and what was tried before are not known here, nor what \
         images were built from"
    )
}

/// What kept the state from being read, where that came out in the middle of a look.
fn damage(store: &Store, looks: &[CheckedObject<'_>]) -> Option<String> {
    let found = looks.iter().find_map(|(_, looked)| looked.as_ref().ok()?.without_state.as_ref());
    found.map(|error| store.in_full(error))
}

fn print(context: &mut Context<'_>, looks: &[CheckedObject<'_>], with_plan: bool) -> io::Result<()> {
    let seen = looks.iter().filter_map(|(desired, looked)| Some((*desired, looked.as_ref().ok()?)));
    for (index, (desired, looked)) in seen.enumerate() {
        if index > 0 {
            writeln!(context.out)?;
        }
        ladder::write(&mut context.out, context.style, desired, looked)?;
        if with_plan {
            ladder::write_plan(&mut context.out, context.style, looked)?;
        }
    }
    context.out.flush()
}

type CheckedObject<'a> = (&'a Desired, Result<Assessment, ReconcileError>);

async fn look_at_all<'a>(
    machine: &impl Machine,
    store: Option<&Arc<Store>>,
    loaded: &'a Loaded,
    builds: Option<&mut BuildChecks<'_>>,
) -> Result<Vec<CheckedObject<'a>>, Failure> {
    let (host, clock) = (machine.host_for_looking(store)?, machine.clock());
    let mut taken = reconcile::taken(&host, &loaded.all).await;
    let mut checked = BTreeMap::new();
    if let Some(builds) = builds {
        let all = loaded.named.iter().filter(|desired| !taken.contains_key(desired.name()));
        let made = builds.check(machine, &host, all.collect()).await;
        if made.is_err() {
            machine.settle(&host).await;
        }
        checked = made?;
    }
    let looks = loaded.named.iter().map(|desired| {
        let (host, clock, taken) = (&host, &clock, taken.remove(desired.name()));
        let checked = checked.remove(desired.name()).unwrap_or_else(|| Ok(Vec::new()));
        async move {
            let looked = match (taken, checked) {
                (Some(error), _) => Err(error.into()),
                (None, Err(error)) => Err(error),
                (None, Ok(checked)) => {
                    reconcile::look(host, store.map(AsRef::as_ref), desired, &checked, clock).await
                }
            };
            (desired, looked)
        }
    });
    let looks = futures_util::future::join_all(looks).await;
    machine.settle(&host).await;
    Ok(looks)
}

fn exit_code(looked: &Result<Assessment, ReconcileError>) -> u8 {
    match looked {
        Err(_) => 2,
        Ok(looked) => u8::from(!looked.decision.as_declared()),
    }
}

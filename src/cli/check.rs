//! `check` and `plan`: one look, shown as the ladder; `plan` adds the steps. Nothing is changed.

use std::{
    io::{self, Write},
    sync::Arc,
};

use super::{
    Context, Failure,
    args::Format,
    cache,
    context::{self, Loaded},
    ladder,
};
use crate::{
    api::{Desired, ObjectList},
    host::{LOOK_LIMIT, LocalHost},
    reconcile::{self, Looked, ReconcileError},
    store::Store,
};

/// Looks at the named objects and prints what was seen.
pub(super) fn run(
    context: &mut Context<'_>,
    objects: &super::args::Objects,
    with_plan: bool,
) -> Result<u8, Failure> {
    let loaded = context::load(&objects.manifests, &objects.names)?;
    let store = context.store_for_looking()?.map(Arc::new);
    let runtime = context::runtime()?;
    let looks = runtime.block_on(look_at_all(store.as_ref(), &loaded))?;
    let exit = looks.iter().map(|(_, looked)| exit_code(looked)).max().unwrap_or(0);
    for (desired, looked) in &looks {
        if let Err(error) = looked {
            context.complain_of(desired.name(), error);
        }
    }
    let printed = match objects.output.output {
        Format::Json => {
            let items = looks.into_iter().map(|(desired, looked)| match looked {
                Ok(looked) => looked.object,
                Err(error) => reconcile::unseen(store.as_deref(), desired, &error),
            });
            context.json(&ObjectList::new(items.collect()))
        }
        Format::Text => print(context, &looks, with_plan),
    };
    context::outcome(printed, exit)
}

fn print(context: &mut Context<'_>, looks: &[Look<'_>], with_plan: bool) -> io::Result<()> {
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

type Look<'a> = (&'a Desired, Result<Looked, ReconcileError>);

async fn look_at_all<'a>(store: Option<&Arc<Store>>, loaded: &'a Loaded) -> Result<Vec<Look<'a>>, Failure> {
    let (cache, key) = cache::of_look(store);
    let host = LocalHost::connect(cache, None)?.with_digests(key).with_look_limit(LOOK_LIMIT);
    let mut taken = reconcile::taken(&host, &loaded.all).await;
    let looks = loaded.named.iter().map(|desired| {
        let (host, taken) = (&host, taken.remove(desired.name()));
        async move {
            let looked = match taken {
                Some(error) => Err(error.into()),
                None => reconcile::look(host, store.map(AsRef::as_ref), desired).await,
            };
            (desired, looked)
        }
    });
    let looks = futures_util::future::join_all(looks).await;
    host.settle(context::SETTLE_LIMIT).await;
    Ok(looks)
}

fn exit_code(looked: &Result<Looked, ReconcileError>) -> u8 {
    match looked {
        Err(_) => 2,
        Ok(looked) => u8::from(!looked.decision.as_declared()),
    }
}

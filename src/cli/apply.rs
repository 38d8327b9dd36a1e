//! `apply`: reconciles once, with progress for whoever waits.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use tokio_util::sync::CancellationToken;

use super::{Context, Failure, args::Format, context, incident::arrow, narrator::Narrator, style::clean};
use crate::{
    api::{Desired, ObjectList, ObjectStatus, Transition},
    host::{Cache, LocalHost},
    reconcile::{Applied, Progress, Reconciler, close_interrupted, now},
    store::{StateLock, StepLock, Store},
};

/// Reconciles the named objects.
pub(super) fn run(context: &mut Context<'_>, objects: &super::args::Objects) -> Result<u8, Failure> {
    let desired = context::load(&objects.manifests, &objects.names)?;
    let dir = context.state_dir()?;
    let store = Arc::new(Store::open(&dir, context::actor("apply"))?);
    let _lock = StateLock::acquire(&dir, "apply")?;
    let steps = Arc::new(StepLock::open(&dir)?);
    let runtime = context::runtime()?;
    let narrator = Mutex::new(Narrator::new(context::progress_style(), desired.len() > 1));
    let tell = |desired: &Desired, progress: Progress<'_>| {
        narrator.lock().unwrap_or_else(PoisonError::into_inner).tell(desired.name(), &progress);
    };
    let applied = runtime.block_on(async {
        wait_for_orphan(context, &steps).await?;
        let _while_at_work = steps.acquire()?;
        for told in close_interrupted(&store)? {
            context.complain(&told);
        }
        let cache = Arc::clone(&store) as Arc<dyn Cache>;
        let host = LocalHost::connect(cache, Some(context::inheritable(&steps)))?;
        let applied = apply_all(&host, &store, &desired, &tell).await;
        host.settle(context::SETTLE_LIMIT).await;
        Ok::<_, Failure>(applied)
    })?;
    narrator.lock().unwrap_or_else(PoisonError::into_inner).end();
    for (desired, applied) in desired.iter().zip(&applied) {
        if let Some(error) = &applied.error {
            context.complain(&format!("{}: {error}", desired.name()));
        }
    }
    let exit = applied.iter().map(exit_code).max().unwrap_or(0);
    let printed = if objects.output.output == Format::Json {
        let items = applied.into_iter().map(|applied| applied.object).collect();
        context.json(&ObjectList::new(items))
    } else {
        summary(context, &desired, &applied)
    };
    context::outcome(printed, exit)
}

async fn apply_all(
    host: &LocalHost,
    store: &Store,
    desired: &[Desired],
    tell: &(dyn Fn(&Desired, Progress<'_>) + Send + Sync),
) -> Vec<Applied> {
    let cancel = CancellationToken::new();
    let builds = tokio::sync::Semaphore::new(1);
    let reconciler = Reconciler {
        host,
        store,
        stop: &cancel,
        cancel: &cancel,
        progress: tell,
        clock: &now,
        builds: &builds,
    };
    let all = apply_by_project(&reconciler, desired);
    tokio::pin!(all);
    tokio::select! {
        applied = &mut all => return applied,
        () = context::interrupted() => cancel.cancel(),
    }
    // A running step gets its end and its outcome in the trail.
    all.await
}

/// Projects side by side; objects of one project directory one after the other, because two `up` at once can leave
/// a project without containers.
async fn apply_by_project(reconciler: &Reconciler<'_, LocalHost>, desired: &[Desired]) -> Vec<Applied> {
    let mut by_directory: BTreeMap<&Path, Vec<usize>> = BTreeMap::new();
    for (index, desired) in desired.iter().enumerate() {
        by_directory.entry(&desired.directory).or_default().push(index);
    }
    let projects = by_directory.into_values().map(async |indexes| {
        let mut applied = Vec::new();
        for index in indexes {
            applied.push((index, reconciler.apply(&desired[index]).await));
        }
        applied
    });
    let mut applied: Vec<_> = futures_util::future::join_all(projects).await.into_iter().flatten().collect();
    applied.sort_by_key(|(index, _)| *index);
    applied.into_iter().map(|(_, applied)| applied).collect()
}

/// An undrift that was killed may have left its Compose command at work. Two `up` at once can leave a host
/// without containers: the orphan comes first.
async fn wait_for_orphan(context: &mut Context<'_>, steps: &StepLock) -> Result<(), Failure> {
    if steps.is_held_elsewhere()? {
        context.complain(
            "an earlier undrift was killed while its Compose command still works; waiting for its end",
        );
        let began = Instant::now();
        steps.wait_free(context::ORPHAN_LIMIT).await?;
        tracing::info!(ms = began.elapsed().as_millis(), "the orphaned command has ended");
    }
    Ok(())
}

fn exit_code(applied: &Applied) -> u8 {
    match (&applied.error, applied.reconciled) {
        (Some(_), _) => 2,
        (None, reconciled) => u8::from(!reconciled),
    }
}

fn summary(context: &mut Context<'_>, desired: &[Desired], applied: &[Applied]) -> io::Result<()> {
    for (desired, applied) in desired.iter().zip(applied) {
        let name = context.style.bold(desired.name());
        if applied.error.is_some() {
            continue;
        }
        let status = &applied.object.status;
        let incident =
            status.incident.as_ref().map(|id| format!("  (undrift incident show {id})")).unwrap_or_default();
        let words = if applied.reconciled {
            context.style.green("reconciled")
        } else {
            context.style.red("not reconciled")
        };
        writeln!(context.out, "{name}  {words}{}", context.style.dim(&incident))?;
        for (service, route, transition) in transitions(status).filter(|_| applied.acted) {
            writeln!(
                context.out,
                "  {}: route {}  {}",
                clean(service),
                clean(route),
                context.style.green(&arrow(transition))
            )?;
        }
        for service in &status.services {
            if let Some(drift) = &service.drift {
                let words =
                    format!("{}: {} layer, {}: {}", service.name, drift.layer, drift.reason, drift.message);
                writeln!(context.out, "  {}", clean(&words))?;
            }
        }
        let stalled = status.conditions.iter().find(|c| c.kind == crate::api::ConditionType::Stalled);
        if let Some(stalled) = stalled.filter(|c| c.status == crate::api::ConditionStatus::True) {
            writeln!(context.out, "  {}: {}", stalled.reason, clean(&stalled.message))?;
        }
    }
    context.out.flush()
}

/// The routes whose answer the last repair has changed.
fn transitions(status: &ObjectStatus) -> impl Iterator<Item = (&str, &str, Transition)> {
    status.services.iter().flat_map(|service| {
        let routes = service.routes.iter();
        routes.filter_map(|route| Some((service.name.as_str(), route.name.as_str(), route.transition?)))
    })
}

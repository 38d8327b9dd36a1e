//! `apply`: reconciles once, with progress for whoever waits.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio_util::sync::CancellationToken;

use super::{
    Context, Failure,
    args::Format,
    context::{self, Loaded},
    machine::Machine,
    progress::ProgressPrinter,
    style::clean,
};
use crate::{
    api::{
        Desired, IncidentOutcome, NoteReason, ObjectList, ObjectStatus, Reason, StandingReason, Transition,
    },
    daemon::{self, AskError, ObjectOutcome, ReconcileRequest, Replies, Reply},
    event_words::arrow,
    host::{Host, HostError},
    manifest,
    reconcile::{self, Applied, EnvironmentTrust, EventSink, ReconcileError, Reconciler, close_interrupted},
    store::{LockError, StateLock, StepLock, Store},
};

/// Reconciles the named objects: here, or by the daemon that holds the state folder.
pub(super) fn run(
    context: &mut Context<'_>,
    machine: &impl Machine,
    objects: &super::args::ObjectArgs,
    environment: EnvironmentTrust,
) -> Result<u8, Failure> {
    let loaded = context::load(&objects.manifests, &objects.names)?;
    for what in manifest::exposed(&loaded.named) {
        context.complain(&format!("somebody else could change what is declared: {what}"));
    }
    let dir = context.state_dir()?;
    let printer = ProgressPrinter::new(machine.stderr(), machine.stopwatch(), loaded.named.len() > 1);
    let printer = Arc::new(Mutex::new(printer));
    let outcomes = match StateLock::acquire(&dir, "apply") {
        Ok(lock) => {
            machine.block_on(here(context, machine, &dir, &lock, (&loaded, environment), &printer))?
        }
        Err(held @ LockError::Held { .. }) => {
            let asked = machine.block_on(by_daemon(machine, &dir, &loaded.named, &printer))??;
            asked.ok_or_else(|| held.into())
        }
        Err(error) => Err(error.into()),
    }?;
    locked(&printer).end();
    report(context, &loaded.named, outcomes, objects.output.output)
}

/// Nothing is half done where a thread panicked with it.
fn locked(printer: &Mutex<ProgressPrinter>) -> MutexGuard<'_, ProgressPrinter> {
    printer.lock().unwrap_or_else(PoisonError::into_inner)
}

fn report(
    context: &mut Context<'_>,
    desired: &[Desired],
    outcomes: Vec<ObjectOutcome>,
    format: Format,
) -> Result<u8, Failure> {
    for outcome in &outcomes {
        if let Some(error) = &outcome.error {
            context.complain(&format!("{}: {error}", outcome.object.declared.metadata.name));
        }
    }
    let exit = outcomes.iter().map(exit_code).max().unwrap_or(0);
    let printed = if format == Format::Json {
        context.json(&ObjectList::new(outcomes.into_iter().map(|outcome| outcome.object).collect()))
    } else {
        summary(context, desired, &outcomes)
    };
    context::outcome(printed, exit)
}

/// Reconciles in this process, which holds the state folder's lock.
async fn here(
    context: &mut Context<'_>,
    machine: &impl Machine,
    dir: &Path,
    lock: &StateLock,
    (loaded, environment): (&Loaded, EnvironmentTrust),
    printer: &Arc<Mutex<ProgressPrinter>>,
) -> Result<Vec<ObjectOutcome>, Failure> {
    let steps = Arc::new(StepLock::open(dir)?);
    let (actor, clock) = (context.actor("apply"), Arc::clone(&context.clock));
    let store = Arc::new(Store::open_locked_with_clock(dir, actor, lock, clock)?);
    context::wait_for_orphan(context, &steps).await?;
    let _while_at_work = steps.acquire()?;
    for closed in close_interrupted(&store)? {
        context.complain(&closed);
    }
    let host = Arc::new(machine.host_for_steps(&store, &steps)?);
    let printer = Arc::clone(printer);
    let events: EventSink = Arc::new(move |object, event| locked(&printer).print(object, &event));
    let cancel = CancellationToken::new();
    let applied = apply_all(machine, (&host, &store), (loaded, environment), events, &cancel).await;
    if cancel.is_cancelled() {
        context.complain("interrupted: no further step is taken");
    }
    machine.settle(&host).await;
    let outcome = |Applied { object, reconciled, acted, error }| ObjectOutcome {
        object,
        reconciled,
        acted,
        error: error.map(|error: ReconcileError| reconcile::in_full(&store, &error)),
    };
    Ok(applied.into_iter().map(outcome).collect())
}

const ENDED: &str = "the running undrift ended before its answer was complete";

/// How many objects the daemon is asked for at once: each has a connection of its own, of which it accepts 128.
const AT_ONCE: usize = 32;

/// Has the daemon reconcile now, and shows what it reports; `None` where no daemon answers.
async fn by_daemon(
    machine: &impl Machine,
    dir: &Path,
    desired: &[Desired],
    printer: &Mutex<ProgressPrinter>,
) -> Result<Option<Vec<ObjectOutcome>>, Failure> {
    let ask = async {
        // All or none: nothing is done for one of them where another is refused.
        let has_checked = desired.len() > 1;
        if has_checked {
            let checked = stream::iter(desired).map(|desired| request(dir, desired, true));
            let checked: Vec<_> = checked.buffer_unordered(AT_ONCE).try_collect().await?;
            if checked.iter().any(Option::is_none) {
                return Ok(None);
            }
        }
        // In whichever order they end: one that takes long holds up no other.
        let outcomes =
            stream::iter(desired.iter().enumerate()).map(async |(index, desired)| {
                match request(dir, desired, false).await? {
                    Some(replies) => Ok(Some((index, outcome(replies, printer).await?))),
                    None if has_checked => Err(Failure::Refused(ENDED.into())),
                    None => Ok(None),
                }
            });
        let outcomes: Vec<Option<(usize, ObjectOutcome)>> =
            outcomes.buffer_unordered(AT_ONCE).try_collect().await?;
        let outcomes: Option<BTreeMap<usize, ObjectOutcome>> = outcomes.into_iter().collect();
        Ok(outcomes.map(|outcomes| outcomes.into_values().collect()))
    };
    tokio::select! {
        outcomes = ask => outcomes,
        () = machine.interrupted() => {
            Err(Failure::Refused("interrupted: the running undrift goes on by itself".into()))
        }
    }
}

/// Has the daemon reconcile one object, or only say whether it would.
async fn request(dir: &Path, desired: &Desired, dry_run: bool) -> Result<Option<Replies>, Failure> {
    let request = ReconcileRequest { dry_run, ..ReconcileRequest::of(desired) };
    daemon::reconcile(dir, desired.name(), &request).await.map_err(|error| match error {
        AskError::Refused(why) => Failure::Refused(why),
        AskError::Io(error) => error.into(),
    })
}

/// Shows what is reported of one object until its outcome.
async fn outcome(mut replies: Replies, printer: &Mutex<ProgressPrinter>) -> Result<ObjectOutcome, Failure> {
    loop {
        match replies.next().await? {
            Some(Reply::Event(reported)) => locked(printer).print(&reported.object, &reported.event),
            Some(Reply::Result(outcome)) => return Ok(*outcome),
            None => return Err(Failure::Refused(ENDED.into())),
        }
    }
}

async fn apply_all<M: Machine>(
    machine: &M,
    (host, store): (&Arc<M::Host>, &Arc<Store>),
    (loaded, environment): (&Loaded, EnvironmentTrust),
    events: EventSink,
    cancel: &CancellationToken,
) -> Vec<Applied> {
    let reconciler = Reconciler {
        host: Arc::clone(host),
        store: Arc::clone(store),
        stop: cancel.clone(),
        cancel: cancel.clone(),
        events,
        clock: machine.clock(),
        is_current: Arc::new(|_| true),
        environment,
        active_projects: Arc::default(),
        builds: Arc::new(tokio::sync::Semaphore::new(1)),
    };
    let all = async {
        let taken = reconcile::taken(&**host, &loaded.all).await;
        apply_by_project(&reconciler, &loaded.named, taken).await
    };
    tokio::pin!(all);
    tokio::select! {
        applied = &mut all => return applied,
        () = machine.interrupted() => cancel.cancel(),
    }
    // A running step gets its end and its outcome in the trail.
    all.await
}

/// Projects side by side; objects of one project directory one after the other, because two `up` at once can leave
/// a project without containers.
async fn apply_by_project(
    reconciler: &Reconciler<impl Host>,
    desired: &[Desired],
    mut taken: BTreeMap<String, HostError>,
) -> Vec<Applied> {
    let mut applied = Vec::new();
    let mut by_directory: BTreeMap<&Path, Vec<usize>> = BTreeMap::new();
    for (index, desired) in desired.iter().enumerate() {
        if let Some(error) = taken.remove(desired.name()) {
            applied.push((index, reconciler.refuse(desired, error)));
            continue;
        }
        by_directory.entry(&desired.directory).or_default().push(index);
    }
    let projects = by_directory.into_values().map(async |indexes| {
        let mut applied = Vec::new();
        for index in indexes {
            applied.push((index, reconciler.apply(&desired[index]).await));
        }
        applied
    });
    applied.extend(futures_util::future::join_all(projects).await.into_iter().flatten());
    applied.sort_by_key(|(index, _)| *index);
    applied.into_iter().map(|(_, applied)| applied).collect()
}

fn exit_code(applied: &ObjectOutcome) -> u8 {
    match (&applied.error, applied.reconciled) {
        (Some(_), _) => 2,
        (None, reconciled) => u8::from(!reconciled),
    }
}

fn summary(context: &mut Context<'_>, desired: &[Desired], outcomes: &[ObjectOutcome]) -> io::Result<()> {
    // Without it one remark is missing, and no outcome.
    let store = context.recorded().ok().flatten();
    for (desired, applied) in desired.iter().zip(outcomes) {
        let name = context.style.bold(desired.name());
        if applied.error.is_some() {
            continue;
        }
        let status = &applied.object.status;
        let incident = status.incident.as_ref().map(|id| pointer(store.as_ref(), id, applied.reconciled));
        let words = if applied.reconciled {
            context.style.green("reconciled")
        } else {
            context.style.red("not reconciled")
        };
        writeln!(context.out, "{name}  {words}{}", context.style.dim(&incident.unwrap_or_default()))?;
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
        if let Some(words) = held_back(status).filter(|_| !applied.reconciled) {
            writeln!(context.out, "  no step was taken: {}", clean(&words))?;
        }
        if let Some(words) = rate_exceeded(status).filter(|_| !applied.reconciled) {
            writeln!(context.out, "  waits: {}", clean(&words))?;
        }
        let stalled = status.conditions.iter().find(|c| c.kind == crate::api::ConditionType::Stalled);
        if let Some(stalled) = stalled.filter(|c| c.status == crate::api::ConditionStatus::True) {
            writeln!(context.out, "  {}: {}", stalled.reason, clean(&stalled.message))?;
        }
    }
    context.out.flush()
}

/// Where the story of the last incident is. One that undrift gave up stays so, even if the object is reconciled by now: no step of
/// undrift has healed it.
fn pointer(store: Option<&Store>, id: &str, is_reconciled: bool) -> String {
    let incident = store.filter(|_| is_reconciled).and_then(|store| store.incident(id).ok().flatten());
    let has_stalled = incident.is_some_and(|incident| incident.outcome == Some(IncidentOutcome::Stalled));
    let before = if has_stalled { "after a stall: " } else { "" };
    format!("  ({before}undrift incident show {id})")
}

/// Why undrift takes no step for the object, where it must not.
fn held_back(status: &ObjectStatus) -> Option<String> {
    let mut conditions = status.conditions.iter();
    let reconciling = conditions.find(|c| c.kind == crate::api::ConditionType::Reconciling)?;
    match reconciling.reason {
        Reason::Standing(StandingReason::Suspended) => Some(format!("suspended: {}", reconciling.message)),
        Reason::Standing(StandingReason::ObserveOnly) | Reason::Note(NoteReason::EnvironmentDiffers) => {
            Some(reconciling.message.clone())
        }
        _ => None,
    }
}

/// What the next step waits for, where that is the rate.
fn rate_exceeded(status: &ObjectStatus) -> Option<String> {
    let reconciling = status.conditions.iter().find(|c| c.reason.is(StandingReason::RateExceeded))?;
    Some(format!("{}: {}", reconciling.reason, reconciling.message))
}

/// The routes whose answer the last repair has changed.
fn transitions(status: &ObjectStatus) -> impl Iterator<Item = (&str, &str, Transition)> {
    status.services.iter().flat_map(|service| {
        let routes = service.routes.iter();
        let changed = |transition: &Transition| transition.before != transition.after;
        routes.filter_map(move |route| {
            Some((service.name.as_str(), route.name.as_str(), route.transition.filter(changed)?))
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        api::Suspension,
        decide::{self, History, Inputs, StatusInputs},
        store::testing,
        testing::fixtures::{at, desired, desired_with, incident},
    };

    #[test]
    fn no_repair_is_claimed_of_an_incident_that_was_given_up() {
        let (_home, store) = testing::store();
        for (outcome, before) in
            [(IncidentOutcome::Reconciled, ""), (IncidentOutcome::Stalled, "after a stall: ")]
        {
            let id = testing::incident(&store, "shop", at(0), &json!({}), &json!({})).id;
            let plain = format!("  (undrift incident show {id})");
            assert_eq!(pointer(Some(&store), &id, true), plain, "it is open");
            store.close_incident(&id, at(60), outcome, None).unwrap();
            assert_eq!(pointer(Some(&store), &id, true), format!("  ({before}undrift incident show {id})"));
            assert_eq!(pointer(Some(&store), &id, false), plain, "its reason is printed below");
            assert_eq!(pointer(None, &id, true), plain);
        }
    }

    /// What is said of the incident's host where this is declared, and this is suspended.
    fn held_back_reason(desired: &Desired, suspended: Option<Suspension>) -> Option<String> {
        let (observed, history) = (incident(), History { suspended, ..History::default() });
        let inputs = Inputs { desired, observed: &observed, history: &history, now: at(1), jitter_seed: 7 };
        let decision = decide::decide(inputs);
        let status = decide::status(StatusInputs {
            desired,
            generation: 1,
            observed: &observed,
            decision: &decision,
            suspended: history.suspended.as_ref(),
            previous: None,
            verified: &[],
            transitions: &BTreeMap::new(),
            incident: None,
            reconciling: true,
            now: at(1),
        });
        held_back(&status)
    }

    #[test]
    fn apply_reports_why_no_step_was_taken() {
        assert_eq!(held_back_reason(&desired(), None), None);
        let observe = desired_with(&json!({ "mode": "observe" }));
        assert_eq!(held_back_reason(&observe, None).as_deref(), Some("spec.reconcile.mode is observe"));
        let suspension = Suspension {
            since: at(0),
            until: None,
            reason: "moving the database".into(),
            actor: "ops".into(),
        };
        let words = "suspended: moving the database (ops, until it is resumed)";
        assert_eq!(held_back_reason(&desired(), Some(suspension)).as_deref(), Some(words));
    }
}

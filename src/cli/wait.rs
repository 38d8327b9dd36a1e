//! `undrift wait`: returns once all these objects are in a state, by what a running daemon records.

use std::{io, io::Write as _};

use tokio::time::timeout;

use super::{
    Failure,
    args::{Awaited, Format, WaitArgs},
    changes,
    context::{self, Context},
    get,
    machine::Machine,
    standing_text::doubt_in_words,
    style::clean,
};
use crate::{
    api::{Condition, ConditionStatus, ConditionType, ObjectList, StandingReason},
    standing::{Standing, Watcher},
};

/// Waits until all of them are in the state, at most as long as the person wants to.
pub(super) fn run(
    context: &mut Context<'_>,
    machine: &impl Machine,
    options: &WaitArgs,
) -> Result<u8, Failure> {
    let dir = context.state_dir()?;
    // Where the running undrift records elsewhere, that is said at once.
    drop(context.shown()?);
    let mut last = Vec::new();
    let came = machine.block_on(async {
        let read = || {
            last = look(context, options)?;
            Ok(last.iter().all(|object| object.missing.is_none()).then_some(()))
        };
        timeout(options.timeout.get(), changes::until(machine, dir, read)).await
    })?;
    let ended = match came {
        Ok(Ok(Some(()))) => None,
        Ok(Ok(None)) => Some("interrupted".to_owned()),
        Err(_) => Some(format!("not {} within {}", word(options.awaited), options.timeout)),
        Ok(Err(failure)) => return Err(failure),
    };
    if let Some(ended) = &ended {
        for object in &last {
            if let Some(missing) = &object.missing {
                context.complain(&clean(&format!("{}: {ended}: {missing}", object.standing.name())));
            }
        }
    }
    context::outcome(print(context, options, last), u8::from(ended.is_some()))
}

/// An object, and what keeps it from being in the awaited state.
struct AwaitedObject {
    standing: Standing,
    missing: Option<String>,
}

fn look(context: &Context<'_>, options: &WaitArgs) -> Result<Vec<AwaitedObject>, Failure> {
    let store = context.recorded()?;
    let (watcher, now) = (context.watcher()?, (context.clock)());
    let recorded = get::recorded(store.as_ref(), &options.names, watcher, now)?;
    let objects = recorded.into_iter().map(|standing| {
        let generation =
            store.as_ref().map(|store| store.recorded_generation(standing.name())).transpose()?;
        let missing = missing(&standing, watcher, generation.flatten(), options.awaited);
        Ok(AwaitedObject { standing, missing })
    });
    objects.collect()
}

fn print(context: &mut Context<'_>, options: &WaitArgs, objects: Vec<AwaitedObject>) -> io::Result<()> {
    if options.output.output == Format::Json {
        return context
            .json(&ObjectList::new(objects.into_iter().map(|object| object.standing.object).collect()));
    }
    for object in objects.iter().filter(|object| object.missing.is_none()) {
        writeln!(context.out, "{}  {}", context.style.bold(object.standing.name()), word(options.awaited))?;
    }
    context.out.flush()
}

const fn word(awaited: Awaited) -> &'static str {
    match awaited {
        Awaited::Reconciled => "reconciled",
        Awaited::Drifted => "drifted",
        Awaited::Stalled => "stalled",
    }
}

/// What keeps an object from being in the awaited state, in words; `None` if it is. `generation` is that of its spec.
fn missing(
    standing: &Standing,
    watcher: Watcher,
    generation: Option<i64>,
    awaited: Awaited,
) -> Option<String> {
    let status = &standing.object.status;
    let condition = |kind| status.conditions.iter().find(|condition| condition.kind == kind);
    let is = |kind, wanted| condition(kind).is_some_and(|condition: &Condition| condition.status == wanted);
    let ready = condition(ConditionType::Ready);
    if let Some(why) = discounted(standing, watcher, generation) {
        let recorded = ready.map(|ready| format!("; recorded: {}", in_words(ready)));
        return Some(format!("{why}{}", recorded.unwrap_or_default()));
    }
    let is_managed = ready.is_some_and(|ready| !ready.reason.is(StandingReason::NotManaged));
    if !is_managed || status.observed_at.is_none() {
        return Some(ready.map_or_else(|| "nothing was observed yet".into(), in_words));
    }
    let is_stalled = is(ConditionType::Stalled, ConditionStatus::True);
    let came = match awaited {
        Awaited::Drifted => is(ConditionType::Ready, ConditionStatus::False),
        Awaited::Stalled => is_stalled,
        // What is as declared because of a rollback is no success.
        Awaited::Reconciled => {
            is(ConditionType::Ready, ConditionStatus::True) && !is_stalled && unverified(standing).is_none()
        }
    };
    if came {
        return None;
    }
    let stalled = condition(ConditionType::Stalled).filter(|_| is_stalled);
    let why =
        stalled.or_else(|| unverified(standing).filter(|_| is(ConditionType::Ready, ConditionStatus::True)));
    why.or(ready).map(in_words)
}

/// Why the recorded status does not count, in words.
fn discounted(standing: &Standing, watcher: Watcher, generation: Option<i64>) -> Option<String> {
    let observed = standing.object.status.observed_generation;
    if let Some(doubt) = standing.doubt {
        Some(doubt_in_words(standing, doubt))
    } else if watcher != Watcher::Runs {
        Some("it cannot be determined whether a daemon runs on this state".into())
    } else if let Some(fault) = &standing.fault {
        Some(format!("{}: {}", StandingReason::ManifestInvalid, fault.fault))
    } else {
        let newer = generation.filter(|generation| *generation > observed)?;
        Some(format!("the status is of generation {observed}, and the spec is of generation {newer}"))
    }
}

/// The condition of the first service that is not verified as it is.
fn unverified(standing: &Standing) -> Option<&Condition> {
    let services = standing.object.status.services.iter();
    let mut reconciled =
        services.flat_map(|service| &service.conditions).filter(|c| c.kind == ConditionType::Reconciled);
    reconciled.find(|condition| condition.status != ConditionStatus::True)
}

/// A condition in a line.
fn in_words(condition: &Condition) -> String {
    let Condition { kind, status, reason, message, .. } = condition;
    let status = match status {
        ConditionStatus::True => "True",
        ConditionStatus::False => "False",
        ConditionStatus::Unknown => "Unknown",
    };
    let message = if message.is_empty() { String::new() } else { format!(": {message}") };
    format!("{kind} is {status}, {reason}{message}")
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{
        standing::Doubt,
        store::{ManifestFault, testing},
    };

    /// An object that a daemon has just found as declared and verified, at generation 1.
    fn reconciled() -> Standing {
        let mut object = testing::object();
        object.status.observed_at = Some(testing::start());
        object.status.observed_generation = 1;
        set(&mut object.status.conditions, ConditionType::Ready, ConditionStatus::True);
        set(&mut object.status.conditions, ConditionType::Stalled, ConditionStatus::False);
        for service in &mut object.status.services {
            set(&mut service.conditions, ConditionType::Reconciled, ConditionStatus::True);
        }
        Standing { object, fault: None, doubt: None }
    }

    fn set(conditions: &mut [Condition], kind: ConditionType, status: ConditionStatus) {
        conditions.iter_mut().find(|condition| condition.kind == kind).unwrap().status = status;
    }

    fn changed(change: impl Fn(&mut Standing)) -> Standing {
        let mut standing = reconciled();
        change(&mut standing);
        standing
    }

    fn states_of(standing: &Standing, watcher: Watcher, generation: i64) -> Vec<Awaited> {
        let all = [Awaited::Reconciled, Awaited::Drifted, Awaited::Stalled];
        all.into_iter().filter(|it| missing(standing, watcher, Some(generation), *it).is_none()).collect()
    }

    #[test]
    fn each_state_is_that_of_its_conditions() {
        let states = |change: fn(&mut Standing)| states_of(&changed(change), Watcher::Runs, 1);
        assert_eq!(states(|_| ()), [Awaited::Reconciled]);
        let drifted: fn(&mut Standing) =
            |it| set(&mut it.object.status.conditions, ConditionType::Ready, ConditionStatus::False);
        assert_eq!(states(drifted), [Awaited::Drifted]);
        let rolled_back: fn(&mut Standing) =
            |it| set(&mut it.object.status.conditions, ConditionType::Stalled, ConditionStatus::True);
        assert_eq!(states(rolled_back), [Awaited::Stalled], "as declared only because of a rollback");
        let unverified: fn(&mut Standing) = |it| {
            set(
                &mut it.object.status.services[0].conditions,
                ConditionType::Reconciled,
                ConditionStatus::Unknown,
            );
        };
        assert_eq!(states(unverified), []);
        let unknown: fn(&mut Standing) =
            |it| set(&mut it.object.status.conditions, ConditionType::Ready, ConditionStatus::Unknown);
        assert_eq!(states(unknown), []);
    }

    #[test]
    fn a_status_that_may_be_outdated_satisfies_nothing_and_it_is_said_why() {
        let none: [Awaited; 0] = [];
        let age = TimeDelta::minutes(11);
        let late = changed(|it| it.doubt = Some(Doubt::Late { age }));
        let unwatched = changed(|it| it.doubt = Some(Doubt::Unwatched { age }));
        let fault = ManifestFault { since: testing::start(), fault: "shop.yaml:3:1: no".into() };
        let invalid = changed(|it| it.fault = Some(fault.clone()));
        let never = changed(|it| it.object.status.observed_at = None);
        let left = changed(|it| it.object.status.conditions[0].reason = StandingReason::NotManaged.into());
        for (standing, watcher, generation, words) in [
            (&late, Watcher::Runs, 1, "older than twice the interval"),
            (&unwatched, Watcher::Absent, 1, "no daemon runs on this state"),
            (&reconciled(), Watcher::NotKnown, 1, "cannot be determined"),
            (&reconciled(), Watcher::Runs, 2, "of generation 1, and the spec is of generation 2"),
            (&invalid, Watcher::Runs, 1, "ManifestInvalid: shop.yaml:3:1: no"),
            (&never, Watcher::Runs, 1, "Ready is True"),
            (&left, Watcher::Runs, 1, "NotWatched"),
        ] {
            assert_eq!(states_of(standing, watcher, generation), none, "{words}");
            let said = missing(standing, watcher, Some(generation), Awaited::Reconciled).unwrap();
            assert!(said.contains(words), "{said}");
        }
    }
}

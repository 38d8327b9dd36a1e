//! What holds in every state of every model, and what must be found in some state of it.

use stateright::Property;

use super::{At, Bounds, Faults, FilePolicy, MOST_STEPS, MOST_TURNS, ModelState, World};
use crate::api::{StallReason, Step};

/// The properties of every model.
pub(super) fn of_every_model() -> Vec<Property<Bounds>> {
    vec![
        Property::always("reconciled is only said where it is so", |_, state: &ModelState| {
            state.verdict() != Some(true) || state.undrift.is_as_declared(&state.world)
        }),
        Property::always("no step without an intent", |_, state: &ModelState| {
            state.world.log.len() <= state.undrift.kept.intents
        }),
        Property::always("no intent without an outcome", |_, state: &ModelState| {
            state.undrift.lost == 0 && (state.verdict().is_none() || state.undrift.kept.intent.is_none())
        }),
        Property::always("within the budget", |_, state: &ModelState| state.steps <= MOST_STEPS),
        Property::always("it comes to rest", |_, state: &ModelState| state.reconciles <= MOST_TURNS),
        Property::always("what is as declared is left alone", |_, state: &ModelState| {
            state.undrift.needless == 0
        }),
        Property::always("what was given up and lasts is one incident", |_, state: &ModelState| {
            state.undrift.split == 0
        }),
        // Another source, or another configuration, is another chance.
        Property::always("nothing is tried after a rollback", |_, state: &ModelState| {
            let mut since = state.world.log.iter().skip_while(|step| **step != Step::Rollback);
            state.deeds > 0 || since.all(|step| *step == Step::Rollback)
        }),
        // The next observation finds what was repaired a moment before it was given up.
        Property::always("without faults it converges", |_, state: &ModelState| {
            let repairable = state.world.faults == Faults::default() && state.world.module_in_source;
            let given_up = state.verdict() == Some(false) && state.resynced;
            // Within an incident another commit takes the budget over, and an interrupted build spends it.
            let is_spent = state.world.revision.is_some()
                && state.kills > 0
                && is_stalled(state, StallReason::BudgetSpent);
            !repairable || state.undrift.was_rolled_back() || is_spent || !given_up
        }),
    ]
}

/// What must be found in some state of every model. It is asked last: a counterexample ends the search before all is found.
pub(super) fn found_in_every_model() -> [Property<Bounds>; 2] {
    [
        Property::sometimes("it reconciles", |_, state: &ModelState| state.verdict() == Some(true)),
        Property::sometimes("it gives up", |_, state: &ModelState| state.verdict() == Some(false)),
    ]
}

/// Those of a service with a revision.
pub(super) fn of_revisions() -> Vec<Property<Bounds>> {
    vec![
        // An interrupted build may have ended well, and a source that changed within an incident gets a chance of its own after it.
        Property::always("a build that left the revision as it was is the last", |_, state: &ModelState| {
            let more = usize::from(state.world.source != World::running(None, None).source);
            state.undrift.repeated_builds <= state.undrift.kept.interrupted + more
        }),
        Property::always("what no build carries ends stalled", |_, state: &ModelState| {
            !state.world.faults.build_forgets_revision
                || state.verdict() != Some(false)
                || is_stalled(state, StallReason::RepairsExhausted)
                // An interrupted build spends the budget, and so do other commits within one incident.
                || (state.kills + state.deeds > 0 && is_stalled(state, StallReason::BudgetSpent))
        }),
        // Otherwise commits that come faster than a build takes would never run at all. A source that changed during its build is
        // built once more: nobody knows which version the build read.
        // A build for the source may be followed by one for the revision, which has no attempt yet.
        Property::always(
            "what was built is brought up before the next build but one",
            |_, state: &ModelState| {
                let builds = |step: &Step| matches!(step, Step::Build { .. });
                state.world.faults != Faults::default()
                    || state.healed
                    || state.kills > 0
                    || state.world.source != World::running(None, None).source
                    || !state.world.log.windows(3).any(|pair| pair.iter().all(builds))
            },
        ),
        Property::always(
            "what is undone each time is given up after three repairs",
            |_, state: &ModelState| {
                let recreated = |step: &&Step| **step == Step::Up { force_recreate: true };
                !state.world.faults.rewrites_itself
                    || state.deeds > 0
                    || state.kills > 0
                    || state.world.log.iter().filter(recreated).count() <= 3
            },
        ),
        Property::sometimes("another revision is expected while a build runs", |_, state: &ModelState| {
            state.undrift.builds_an_earlier_revision(&state.world)
        }),
    ]
}

/// Those of a service with a mounted file.
pub(super) fn of_mounted_files() -> Vec<Property<Bounds>> {
    vec![
        Property::always("what is only reported has no step", |_, state: &ModelState| {
            let is_of_files = |step: &Step| matches!(step, Step::Restart | Step::Reload);
            state.undrift.files != FilePolicy::Report || !state.world.log.iter().any(is_of_files)
        }),
        Property::always("a signal that helps nothing ends stalled", |_, state: &ModelState| {
            !state.world.faults.reload_is_noop
                || state.verdict() != Some(false)
                || is_stalled(state, StallReason::BudgetSpent)
        }),
        Property::always("a file that another one has replaced is not signalled", |_, state: &ModelState| {
            !matches!(&state.undrift.at, At::Stepped(begun, _) if begun.is_of(Step::Reload))
                || state.world.has_read_its_file()
                || state.deeds > 0
                || state.world.faults.reload_is_noop
        }),
        Property::sometimes("it reloads", |_, state: &ModelState| state.world.log.contains(&Step::Reload)),
        Property::sometimes("it restarts", |_, state: &ModelState| state.world.log.contains(&Step::Restart)),
    ]
}

fn is_stalled(state: &ModelState, reason: StallReason) -> bool {
    state.undrift.stalled.as_ref().is_some_and(|stalled| stalled.is(reason))
}

//! Every order in which undrift, a person and a kill can act, up to a number of persons' actions and kills.
//!
//! The tests of the loop try some orders on the real glue and the real store; this tries all of them, on `decide` itself and
//! on the fake host's world. Its own part is in `undrift`: the glue, without a disk.

mod undrift;

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::OnceLock,
};

use serde_json::json;
use stateright::{Checker, HasDiscoveries, Model, Property};

use self::undrift::{At, Undrift};
use super::fake::{Faults, Hand, World};
use crate::{
    api::{Desired, Step},
    testing::fixtures::desired_with,
};

/// Longer than any run without a person's action: more steps, or more reconciles, are an endless loop.
const MOST_STEPS: usize = 12;
const MOST_TURNS: usize = 120;

const HANDS: [Hand; 7] =
    [Hand::Stop, Hand::Remove, Hand::Untag, Hand::Configure, Hand::Edit, Hand::LoseModule, Hand::GainModule];

fn policy() -> &'static Desired {
    static POLICY: OnceLock<Desired> = OnceLock::new();
    POLICY.get_or_init(|| {
        desired_with(&json!({
            "verify": { "timeout": "1s", "stableFor": "400ms" },
            "backoff": { "initial": "10s", "max": "10m" },
            "attempts": 3,
        }))
    })
}

/// The bounds of a model, and the faults that it begins with.
struct Bounds {
    faults: Vec<Faults>,
    deeds: usize,
    kills: usize,
}

#[derive(Debug, Clone, PartialEq)]
struct ModelState {
    world: World,
    undrift: Undrift,
    deeds: usize,
    kills: usize,
    /// Steps and reconciles since a person's last action.
    steps: usize,
    reconciles: usize,
    /// Whether it has observed again since.
    resynced: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ModelAction {
    /// undrift does the next thing.
    Advance,
    Kill,
    Hand(Hand),
    /// The faults stop, and a person runs `undrift retry`.
    Heal,
    /// A person copies another file over one in the container that was verified.
    Copy,
    /// Time passes, and the service rewrites its own files: nobody's deed, and as often as it is repaired.
    Rewrite,
    /// Time passes, and it observes again what it has given up.
    Resync,
}

impl ModelState {
    fn new(faults: Faults) -> Self {
        let mut world = World::incident();
        world.faults = faults;
        Self { world, undrift: Undrift::new(), deeds: 0, kills: 0, steps: 0, reconciles: 0, resynced: false }
    }

    /// Whether it rests, and reports *reconciled*.
    const fn verdict(&self) -> Option<bool> {
        match self.undrift.at {
            At::Resting(reconciled) => Some(reconciled),
            _ => None,
        }
    }

    fn a_deed(&mut self) {
        self.deeds += 1;
        (self.steps, self.reconciles, self.resynced) = (0, 0, false);
        self.undrift.wake();
    }
}

/// Two states that print alike are equal: the types of `decide` have no hash of their own.
impl Hash for ModelState {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut text = DefaultHasher::new();
        format!("{self:?}").hash(&mut text);
        state.write_u64(text.finish());
    }
}

impl Model for Bounds {
    type State = ModelState;
    type Action = ModelAction;

    fn init_states(&self) -> Vec<ModelState> {
        self.faults.iter().copied().map(ModelState::new).collect()
    }

    fn actions(&self, state: &ModelState, actions: &mut Vec<ModelAction>) {
        if state.verdict().is_none() {
            actions.push(ModelAction::Advance);
            actions.extend((state.kills < self.kills).then_some(ModelAction::Kill));
        }
        actions.extend((state.verdict() == Some(false) && !state.resynced).then_some(ModelAction::Resync));
        let rewrites = state.world.faults.rewrites_itself && state.verdict() == Some(true);
        actions.extend(rewrites.then_some(ModelAction::Rewrite));
        if state.deeds < self.deeds {
            // In a container that is not verified yet undrift takes it for what the container does at each start.
            actions.extend((state.verdict() == Some(true)).then_some(ModelAction::Copy));
            actions.extend(HANDS.map(ModelAction::Hand));
            actions.extend((state.world.faults != Faults::default()).then_some(ModelAction::Heal));
        }
    }

    fn next_state(&self, last: &ModelState, action: ModelAction) -> Option<ModelState> {
        let mut next = last.clone();
        match action {
            ModelAction::Advance => {
                next.undrift.advance(&mut next.world);
                next.steps += next.world.log.len() - last.world.log.len();
                next.reconciles += 1;
            }
            ModelAction::Resync => {
                next.undrift.wait();
                next.undrift.wake();
                next.resynced = true;
            }
            ModelAction::Kill => {
                next.undrift.crash();
                next.kills += 1;
            }
            ModelAction::Hand(hand) => {
                next.world.by_hand(hand);
                next.a_deed();
            }
            ModelAction::Copy => {
                next.world.rewrite();
                next.a_deed();
            }
            ModelAction::Rewrite => {
                next.world.rewrite();
                next.undrift.wait();
                next.undrift.wake();
            }
            ModelAction::Heal => {
                next.world.faults = Faults::default();
                next.undrift.retry();
                next.a_deed();
            }
        }
        Some(next)
    }

    /// A run that never comes to rest is found, but not followed for ever.
    fn within_boundary(&self, state: &ModelState) -> bool {
        state.steps <= MOST_STEPS + 1 && state.reconciles <= MOST_TURNS + 1
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("reconciled is only said where it is so", |_, state: &ModelState| {
                state.verdict() != Some(true) || state.world.is_as_declared()
            }),
            Property::always("no step without an intent", |_, state: &ModelState| {
                state.world.log.len() <= state.undrift.kept.intents
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
                !repairable || state.undrift.was_rolled_back() || !given_up
            }),
            Property::sometimes("it reconciles", |_, state: &ModelState| state.verdict() == Some(true)),
            Property::sometimes("it gives up", |_, state: &ModelState| state.verdict() == Some(false)),
        ]
    }
}

fn check(bounds: Bounds) {
    let began = std::time::Instant::now();
    let checker = bounds.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    println!(
        "{} states in {:?}, depth {}",
        checker.unique_state_count(),
        began.elapsed(),
        checker.max_depth()
    );
    checker.assert_properties();
}

#[test]
fn whatever_two_deeds_come_and_whenever() {
    check(Bounds { faults: vec![Faults::default()], deeds: 2, kills: 0 });
}

#[test]
fn wherever_it_is_killed_and_whatever_else_is_done() {
    check(Bounds { faults: vec![Faults::default()], deeds: 1, kills: 1 });
}

/// One fault at a time, from the beginning.
fn each_fault() -> Vec<Faults> {
    let none = Faults::default();
    vec![
        Faults { build_fails: true, ..none },
        Faults { build_forgets: true, ..none },
        Faults { up_is_noop: true, ..none },
        Faults { new_crashes: true, ..none },
        Faults { route_lost: true, ..none },
        Faults { warms_up: true, ..none },
        Faults { rewrites_itself: true, ..none },
    ]
}

#[test]
fn whatever_fails_and_whenever_that_ends() {
    check(Bounds { faults: each_fault(), deeds: 1, kills: 0 });
}

#[test]
fn whatever_fails_and_wherever_it_is_killed() {
    // The fake's containers do not start by the clock, so after a kill nobody knows that a server is young.
    let faults = each_fault().into_iter().filter(|faults| !faults.warms_up);
    check(Bounds { faults: faults.chain([Faults::default()]).collect(), deeds: 0, kills: 1 });
}

//! Every order in which undrift, a person and a kill can act, up to a number of persons' actions and kills.
//!
//! The tests of the loop try some orders on the real glue and the real store; this tries all of them, on `decide` itself and
//! on the fake host's world. Its own part is in `undrift`: the glue, without a disk.

mod declared;
mod properties;
mod undrift;

use std::hash::{DefaultHasher, Hash, Hasher};

use stateright::{Checker, HasDiscoveries, Model, Property};

use self::{
    declared::FilePolicy,
    undrift::{At, Undrift},
};
use super::fake::{Faults, Hand, HostFile, World};

/// Longer than any run without a person's action: more steps, or more reconciles, are an endless loop.
const MOST_STEPS: usize = 12;
const MOST_TURNS: usize = 120;

const HANDS: &[Hand] =
    &[Hand::Stop, Hand::Remove, Hand::Untag, Hand::Configure, Hand::Edit, Hand::LoseModule, Hand::GainModule];

/// The bounds of a model, what a person may do in it, and what it begins with.
struct Bounds {
    begins: Vec<ModelState>,
    hands: &'static [Hand],
    deeds: usize,
    kills: usize,
    properties: fn() -> Vec<Property<Bounds>>,
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
    /// Whether its attempts were forgotten, with the faults that they met.
    healed: bool,
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
    fn new(files: FilePolicy, world: World) -> Self {
        let undrift = Undrift::new(files);
        Self { world, undrift, deeds: 0, kills: 0, steps: 0, reconciles: 0, resynced: false, healed: false }
    }

    /// The incident, with this fault.
    fn incident(faults: Faults) -> Self {
        Self::new(FilePolicy::Restart, World { faults, ..World::incident() })
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
        self.begins.clone()
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
            actions.extend(self.hands.iter().copied().map(ModelAction::Hand));
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
                next.healed = true;
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
        let always = properties::of_every_model().into_iter().chain((self.properties)());
        always.chain(properties::found_in_every_model()).collect()
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

/// The incident with one fault at a time, in every order of so many deeds and kills.
fn check_incident(faults: impl IntoIterator<Item = Faults>, deeds: usize, kills: usize) {
    let begins = faults.into_iter().map(ModelState::incident).collect();
    check(Bounds { begins, hands: HANDS, deeds, kills, properties: Vec::new });
}

#[test]
fn whatever_two_deeds_come_and_whenever() {
    check_incident([Faults::default()], 2, 0);
}

#[test]
fn wherever_it_is_killed_and_whatever_else_is_done() {
    check_incident([Faults::default()], 1, 1);
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
    check_incident(each_fault(), 1, 0);
}

#[test]
fn whatever_fails_and_wherever_it_is_killed() {
    // The fake's containers do not start by the clock, so after a kill nobody knows that a server is young.
    let faults = each_fault().into_iter().filter(|faults| !faults.warms_up);
    check_incident(faults.chain([Faults::default()]), 0, 1);
}

/// A commit has come that no image carries yet, and the builds carry it, or do not, or the service undoes each repair.
fn check_revisions(hands: &'static [Hand], deeds: usize, kills: usize) {
    let none = Faults::default();
    let begin = |faults| {
        let mut world = World { faults, ..World::running(Some(1), None) };
        world.by_hand(Hand::Commit);
        ModelState::new(FilePolicy::Restart, world)
    };
    let faults =
        [none, Faults { build_forgets_revision: true, ..none }, Faults { rewrites_itself: true, ..none }];
    let begins = faults.map(begin).into();
    check(Bounds { begins, hands, deeds, kills, properties: properties::of_revisions });
}

#[test]
fn whatever_commit_comes_and_whenever() {
    check_revisions(&[Hand::Commit, Hand::Edit, Hand::Stop, Hand::Remove], 1, 0);
}

#[test]
fn whatever_commit_comes_and_wherever_it_is_killed() {
    check_revisions(&[Hand::Commit], 1, 1);
}

/// A mounted file has changed, in whichever way, and the object declares in each way what that means.
fn check_mounted_files(deeds: usize, kills: usize) {
    let deaf = Faults { reload_is_noop: true, ..Faults::default() };
    let begin = |(files, faults, hand)| {
        let mut world = World { faults, ..World::running(None, Some(HostFile::FIRST)) };
        world.by_hand(hand);
        ModelState::new(files, world)
    };
    let none = Faults::default();
    let ways = [
        (FilePolicy::Report, none, Hand::Write),
        (FilePolicy::Restart, none, Hand::Write),
        (FilePolicy::Reload, none, Hand::Write),
        (FilePolicy::Reload, none, Hand::Replace),
        (FilePolicy::Reload, deaf, Hand::Write),
    ];
    let hands = &[Hand::Write, Hand::Replace, Hand::Stop];
    let begins = ways.map(begin).into();
    check(Bounds { begins, hands, deeds, kills, properties: properties::of_mounted_files });
}

#[test]
fn whatever_is_written_into_a_mounted_file_and_whenever() {
    check_mounted_files(2, 0);
}

#[test]
fn whatever_is_written_into_a_mounted_file_and_wherever_it_is_killed() {
    check_mounted_files(1, 1);
}

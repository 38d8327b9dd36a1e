//! Whether someone is taking the project down right now: the first half of `docker compose down && docker compose up`.
//!
//! Compose 2.26 stops and removes dependents first (measured): while a slow container has its grace period to stop, others
//! are gone already. The list of containers does not distinguish that from containers that died; the engine's events do:
//!
//! | events | meaning | at most for |
//! | --- | --- | --- |
//! | the signal that stops it, or KILL, to a container that still runs | it is being stopped | its grace period and [`SPARE`], at least [`UP_LASTS_FOR`] |
//! | `stop`, and then `destroy` | it was removed on purpose, and an `up` may follow | [`REMOVED_FOR`], also from the end of those that were being stopped then; until one with its name is started |
//!
//! A container that died, that was stopped and left there, or that was removed by force (which emits no `stop`) is none of
//! these, and drift at once; nor is one that got any other signal, as a server does that should reload its files or dump its
//! threads. The engine keeps its last 256 events only, of all kinds: what was seen once is remembered. If the engine reports
//! none, as behind a proxy that refuses it, there are no signs.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ContainerRow, OwnSteps,
    compose_up::{SPARE, UP_LASTS_FOR, WAITS_AT_MOST, distance},
};

/// How long an `up` may take to begin after the containers are gone: `down` removes networks meanwhile.
const REMOVED_FOR: i64 = 5;

/// The engine's events of a container. Times are in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContainerEvent {
    pub(crate) at: i64,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) what: ContainerEventKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContainerEventKind {
    /// By this number.
    Signalled(u8),
    Ended,
    Started,
    Stopped,
    Destroyed,
}

/// The signal that no process survives.
pub(crate) const KILL: u8 = 9;

/// How one container is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stop {
    /// The signal that asks it to end. Events give signals by number.
    pub(crate) signal: u8,
    /// Seconds until it is killed.
    pub(crate) grace: i64,
}

/// The signs of a project's containers, besides the list of them. Times are in seconds since 1970.
#[derive(Debug)]
pub(crate) struct DownSight<'a> {
    pub(crate) now: i64,
    pub(crate) own: &'a OwnSteps,
    /// How the containers that were signalled and still exist are stopped, by ID.
    pub(crate) stops: &'a BTreeMap<String, Stop>,
}

/// The containers that somebody asked to end: from the events, and remembered from before.
pub(crate) fn signalled<'a>(
    events: &'a [ContainerEvent],
    remembered: &'a BTreeMap<String, i64>,
) -> BTreeSet<&'a String> {
    let told = events.iter().filter(|event| matches!(event.what, ContainerEventKind::Signalled(_)));
    told.map(|event| &event.id).chain(remembered.keys()).collect()
}

/// The sign that someone takes the project down, in words. `stopping` is remembered from before: since when each container
/// is being stopped. It returns in the form to remember.
pub(crate) fn sign(
    rows: &[ContainerRow],
    mut events: Vec<ContainerEvent>,
    stopping: &mut BTreeMap<String, i64>,
    sight: &DownSight<'_>,
) -> Option<String> {
    let DownSight { now, own, stops } = *sight;
    let mut signs = Signs { stopping: std::mem::take(stopping), ..Signs::default() };
    events.retain(|event| may_count(event, stops));
    signs.take(&events);
    let running = |id: &String| rows.iter().any(|row| row.id == *id && row.is_running());
    signs.stopping.retain(|id, since| running(id) && distance(now, *since) < WAITS_AT_MOST);
    stopping.clone_from(&signs.stopping);
    let is_given_time = |(id, since): &(&String, &i64)| {
        let grace = stops.get(*id).map_or(0, |stop| stop.grace);
        distance(now, **since) < grace.saturating_add(SPARE).max(UP_LASTS_FOR)
    };
    let being_stopped = signs.stopping.iter().find(is_given_time).map(|(id, _)| {
        let name = rows.iter().find(|row| row.id == *id).map_or("", |row| row.name.as_str());
        format!("{name} is being stopped")
    });
    let what = being_stopped.or_else(|| signs.removed_now(now, own))?;
    Some(format!("{what}: another Compose command may be at work"))
}

/// The conclusions from a series of events.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Signs {
    /// Since when each of these containers is being stopped, by ID: from the last signal on, because a container that
    /// survived an earlier one gets its time again.
    stopping: BTreeMap<String, i64>,
    /// From each signal to the end: those that it ended.
    ended: Vec<(i64, i64)>,
    /// Name and time of those that were stopped and removed, and that no `up` has brought back since.
    removed: Vec<(String, i64)>,
}

impl Signs {
    fn take(&mut self, events: &[ContainerEvent]) {
        let (mut signalled, mut stopped) = (BTreeMap::<_, Vec<_>>::new(), BTreeSet::new());
        for ContainerEvent { at, id, name, what } in events {
            match what {
                ContainerEventKind::Signalled(_) => {
                    signalled.entry(id).or_default().push(*at);
                    self.stopping.insert(id.clone(), *at);
                }
                ContainerEventKind::Ended | ContainerEventKind::Started => {
                    let signals = signalled.remove(id).unwrap_or_default();
                    self.ended.extend(signals.into_iter().map(|since| (since, *at)));
                    self.stopping.remove(id);
                    if *what == ContainerEventKind::Started {
                        self.removed.retain(|(removed, _)| removed != name);
                    }
                }
                ContainerEventKind::Stopped => drop(stopped.insert(id)),
                ContainerEventKind::Destroyed if stopped.contains(id) => {
                    self.removed.push((name.clone(), *at));
                }
                ContainerEventKind::Destroyed => {}
            }
        }
    }

    /// Until when the person who removed a container then was active: until the end of those that were being stopped.
    fn went_on_until(&self, at: i64, own: &OwnSteps) -> i64 {
        let foreign = self.ended.iter().filter(|(since, _)| !own.covers(*since));
        let beside = foreign.filter(|(since, _)| distance(*since, at) < REMOVED_FOR);
        beside.map(|(_, until)| *until).fold(at, i64::max)
    }

    fn removed_now(&self, now: i64, own: &OwnSteps) -> Option<String> {
        let is_fresh = |at: i64| !own.covers(at) && distance(now, self.went_on_until(at, own)) < REMOVED_FOR;
        let (name, at) = self.removed.iter().rfind(|(_, at)| is_fresh(*at))?;
        Some(format!("{name} was stopped and removed {} s ago", distance(now, *at)))
    }
}

/// Whether this is no signal, or one that stops the container that got it. The stop signal of a container that is already
/// gone is unknown: any signal may have been it.
fn may_count(event: &ContainerEvent, stops: &BTreeMap<String, Stop>) -> bool {
    match event.what {
        ContainerEventKind::Signalled(signal) => {
            signal == KILL || stops.get(&event.id).is_none_or(|stop| stop.signal == signal)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMED: ContainerEventKind = ContainerEventKind::Signalled(15);

    fn after(events: &[(i64, &str, ContainerEventKind)]) -> Signs {
        let mut signs = Signs::default();
        let events = events.iter().map(|(at, id, what)| ContainerEvent {
            at: *at,
            id: (*id).into(),
            name: format!("p-{id}-1"),
            what: *what,
        });
        signs.take(&events.collect::<Vec<_>>());
        signs
    }

    #[test]
    fn what_was_signalled_and_has_not_ended_is_being_stopped() {
        use ContainerEventKind::{Ended, Started};
        let stopping = |events: &[_]| after(events).stopping;
        let last = [("db".to_owned(), 700)].into();
        assert_eq!(stopping(&[(1, "db", TERMED), (700, "db", TERMED)]), last, "a `down` after one in vain");
        assert_eq!(stopping(&[(1, "db", TERMED), (2, "db", Ended)]), BTreeMap::new());
        assert_eq!(stopping(&[(1, "db", TERMED), (2, "db", Started)]), BTreeMap::new());
    }

    #[test]
    fn only_the_signal_that_stops_a_container_counts_and_the_one_that_none_survives() {
        let stops = BTreeMap::from([("apache".to_owned(), Stop { signal: 28, grace: 10 })]);
        let counts = |id: &str, what| {
            may_count(&ContainerEvent { at: 1, id: id.into(), name: String::new(), what }, &stops)
        };
        assert!(
            counts("apache", ContainerEventKind::Signalled(28))
                && counts("apache", ContainerEventKind::Signalled(9))
        );
        assert!(!counts("apache", TERMED) && !counts("apache", ContainerEventKind::Signalled(3)));
        assert!(counts("gone", TERMED) && counts("apache", ContainerEventKind::Ended));
    }

    #[test]
    fn what_was_stopped_and_then_removed_was_removed_on_purpose() {
        use ContainerEventKind::{Destroyed, Ended, Stopped};
        let now = |events: &[_], own| after(events).removed_now(12, &OwnSteps(own)).is_some();
        let down = [(10, "a", TERMED), (10, "a", Ended), (10, "a", Stopped), (11, "a", Destroyed)];
        assert!(now(&down, vec![]));
        assert!(!now(&down, vec![9..=11]), "by undrift's own step");
        assert!(after(&down).removed_now(16, &OwnSteps::default()).is_none(), "a while ago");
        assert!(after(&down).removed_now(6, &OwnSteps::default()).is_none(), "or dated in the future");
        assert!(!now(&[(11, "a", TERMED), (11, "a", Ended), (11, "a", Destroyed)], vec![]), "by force");
        assert!(!now(&down[..3], vec![]), "it is still there");
    }

    #[test]
    fn what_was_brought_back_since_is_not_being_taken_down() {
        use ContainerEventKind::{Destroyed, Ended, Started, Stopped};
        let recreated = [(9, "a", TERMED), (10, "a", Ended), (10, "a", Stopped), (11, "a", Destroyed)];
        let at = |rest: &[_], own: &[_]| {
            let events = [&recreated[..], rest].concat();
            after(&events).removed_now(14, &OwnSteps(own.to_vec())).is_some()
        };
        assert!(at(&[], &[]));
        assert!(!at(&[(11, "a", Started)], &[]), "an `up` has brought it back");
        assert!(!at(&[(11, "a", Started), (13, "a", Ended)], &[]), "what dies then is drift");
        assert!(at(&[(11, "b", Started)], &[]), "another one tells nothing of it");
    }

    #[test]
    fn a_step_of_undrifts_own_does_not_prolong_what_someone_else_did_before() {
        use ContainerEventKind::{Destroyed, Ended, Stopped};
        let events = [(10, "a", TERMED), (10, "a", Ended), (10, "a", Stopped), (11, "a", Destroyed)];
        let step = [(14, "b", TERMED), (15, "b", Ended), (15, "b", Stopped), (15, "b", Destroyed)];
        let signs = after(&[&events[..], &step].concat());
        assert!(signs.removed_now(17, &OwnSteps::default()).is_some());
        assert!(signs.removed_now(17, &OwnSteps(vec![14..=15])).is_none());
    }

    #[test]
    fn between_the_end_and_the_removal_of_a_slow_one_somebody_is_at_work() {
        use ContainerEventKind::{Destroyed, Ended, Stopped};
        // The engine emits the stop event some time after the end.
        let fast = [(10, "a", TERMED), (10, "a", Ended), (10, "a", Stopped), (11, "a", Destroyed)];
        let slow = [(11, "db", TERMED), (40, "db", TERMED), (41, "db", Ended)];
        let at = |events: &[_], now| after(events).removed_now(now, &OwnSteps::default()).is_some();
        assert!(at(&[&fast[..], &slow].concat(), 41) && at(&[&fast[..], &slow].concat(), 45));
        assert!(!at(&[&fast[..], &slow].concat(), 46), "and no longer");
        assert!(!at(&slow, 41), "what only ended is drift");
    }

    #[test]
    fn a_signalled_container_counts_as_stopping_for_its_grace_period() {
        let rows = [ContainerRow {
            id: "db".into(),
            name: "p-db-1".into(),
            state: Some(crate::api::ContainerState::Running),
            ..ContainerRow::default()
        }];
        let (own, stops) =
            (OwnSteps::default(), BTreeMap::from([("db".to_owned(), Stop { signal: 15, grace: 60 })]));
        let event = |what| vec![ContainerEvent { at: 100, id: "db".into(), name: "p-db-1".into(), what }];
        let mut stopping = BTreeMap::new();
        let mut at = |now, events: Vec<ContainerEvent>| {
            let sign = sign(&rows, events, &mut stopping, &DownSight { now, own: &own, stops: &stops });
            (sign, stopping.get("db").copied())
        };
        let (said, since) = at(101, event(TERMED));
        assert_eq!(said.as_deref(), Some("p-db-1 is being stopped: another Compose command may be at work"));
        assert_eq!(since, Some(100));
        assert!(at(164, Vec::new()).0.is_some(), "the engine has forgotten the event, and undrift has not");
        assert_eq!(at(165, Vec::new()), (None, Some(100)), "it has had its time and some to spare");
        assert_eq!(at(166, event(ContainerEventKind::Ended)), (None, None));
    }
}

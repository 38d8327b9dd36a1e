//! Whether someone takes the project down right now: the first half of `docker compose down && docker compose up`.
//!
//! Compose 2.26 stops and removes what depends first (measured): while a slow container has its grace period to stop,
//! others are gone already. The list of containers does not tell that from containers that died; the engine's events do:
//!
//! | what was told | what it means | at most for |
//! | --- | --- | --- |
//! | the signal that stops it, or KILL, to a container that still runs | it is being stopped | its grace period and [`SPARE`], at least [`UP_LASTS_FOR`] |
//! | `stop`, and then `destroy` | it was removed on purpose, and an `up` may follow | [`REMOVED_FOR`], also from the end of those that were being stopped then; until one of its name is started |
//!
//! A container that died, that was stopped and left there, or that was removed by force (no `stop` is told then) is none
//! of these, and drift at once; nor is one that got any other signal, as a server does that is to read its files anew or to
//! show its threads. The engine keeps its last 256 events only, of all kinds: what was seen once is remembered. Where the
//! engine does not tell, as behind a proxy that refuses it, there are no signs.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::PoisonError,
    time::Duration,
};

use bollard::{models::EventMessage, query_parameters::EventsOptionsBuilder};
use futures_util::{StreamExt as _, TryStreamExt as _, future::try_join_all};

use super::{
    Engine, EngineError,
    compose_up::{SPARE, UP_LASTS_FOR, WAITS_AT_MOST, distance},
    containers::{ContainerRow, PROJECT},
    own_activity::OwnSteps,
    stop::{KILL, Stop},
};
use crate::api::Time;

/// How long an `up` may take to begin after the containers are gone: `down` removes networks meanwhile.
const REMOVED_FOR: i64 = 5;

/// How long the engine may take to tell. Where its clock is behind this one it waits for the end of the time asked for.
const EVENTS_WITHIN: Duration = Duration::from_secs(1);

/// What the engine told of a container. Times are in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ContainerEvent {
    at: i64,
    id: String,
    name: String,
    what: ContainerEventKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ContainerEventKind {
    /// By this number.
    Signalled(u8),
    Ended,
    Started,
    Stopped,
    Destroyed,
}

/// What follows from a series of events.
#[derive(Debug, Default, PartialEq, Eq)]
struct Signs {
    /// Since when each of these containers has been being stopped, by ID: from the last signal on, for one that did not
    /// end of an earlier one is given its time anew.
    stopping: BTreeMap<String, i64>,
    /// From each signal to the end: those that ended of one.
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

    /// Until when whoever removed a container then was seen at work: until the end of those that were being stopped.
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

/// Whether this is no signal, or one that stops the container that got it. How one is stopped that is gone already is not
/// known any more: any signal may have been it.
fn may_count(event: &ContainerEvent, stops: &BTreeMap<String, Stop>) -> bool {
    match event.what {
        ContainerEventKind::Signalled(signal) => {
            signal == KILL || stops.get(&event.id).is_none_or(|stop| stop.signal == signal)
        }
        _ => true,
    }
}

fn container_event(event: EventMessage) -> Option<ContainerEvent> {
    let actor = event.actor?;
    let attributes = actor.attributes.unwrap_or_default();
    let what = match event.action.as_deref()? {
        "kill" => ContainerEventKind::Signalled(attributes.get("signal")?.parse().ok()?),
        "die" => ContainerEventKind::Ended,
        "start" => ContainerEventKind::Started,
        "stop" => ContainerEventKind::Stopped,
        "destroy" => ContainerEventKind::Destroyed,
        _ => return None,
    };
    Some(ContainerEvent { at: event.time?, id: actor.id?, name: attributes.get("name").cloned()?, what })
}

impl Engine {
    /// The sign that someone takes the project down, one of whose containers these are. To be asked for where a
    /// container is missing or does not run: a project that runs is not being taken down.
    pub(in crate::host::engine) async fn sign_of_compose_down(
        &self,
        project: &str,
        rows: &[ContainerRow],
    ) -> Result<Option<String>, EngineError> {
        let at = chrono::Utc::now();
        let now = at.timestamp();
        let mut signs = Signs { stopping: self.remembered_stopping(project), ..Signs::default() };
        let mut events = self.events_of(project, at).await;
        let signalled = events.iter().filter(|event| matches!(event.what, ContainerEventKind::Signalled(_)));
        let signalled: BTreeSet<&String> =
            signalled.map(|event| &event.id).chain(signs.stopping.keys()).collect();
        let stops = rows.iter().filter(|row| signalled.contains(&row.id)).map(|row| self.stop_of(&row.id));
        let stops: BTreeMap<String, Stop> = try_join_all(stops).await?.into_iter().flatten().collect();
        events.retain(|event| may_count(event, &stops));
        signs.take(&events);
        let running = |id: &String| rows.iter().any(|row| row.id == *id && row.is_running());
        signs.stopping.retain(|id, since| running(id) && distance(now, *since) < WAITS_AT_MOST);
        self.remember_stopping(project, &signs.stopping);
        for (id, since) in &signs.stopping {
            let grace = stops.get(id).map_or(0, |stop| stop.grace);
            let limit = grace.saturating_add(SPARE).max(UP_LASTS_FOR);
            let name = rows.iter().find(|row| row.id == *id).map_or("", |row| row.name.as_str());
            if distance(now, *since) < limit {
                return Ok(Some(format!("{name} is being stopped: another Compose command may be at work")));
            }
        }
        let removed = signs.removed_now(now, &self.own_steps_on(project));
        Ok(removed.map(|removed| format!("{removed}: another Compose command may be at work")))
    }

    /// What the engine still knows of the project's containers, the oldest first; nothing where it does not tell.
    async fn events_of(&self, project: &str, now: Time) -> Vec<ContainerEvent> {
        let filters = HashMap::from([
            ("type".to_owned(), vec!["container".to_owned()]),
            ("label".to_owned(), vec![format!("{PROJECT}={project}")]),
            ("event".to_owned(), ["kill", "die", "start", "stop", "destroy"].map(str::to_owned).to_vec()),
        ]);
        let options = EventsOptionsBuilder::default()
            .since(&(now.timestamp() - WAITS_AT_MOST).to_string())
            .until(&format!("{}.{:09}", now.timestamp(), now.timestamp_subsec_nanos()))
            .filters(&filters)
            .build();
        let events = self
            .call_aside(async |docker| {
                let enough = tokio::time::sleep(EVENTS_WITHIN);
                docker.events(Some(options)).take_until(enough).try_collect::<Vec<_>>().await
            })
            .await;
        match events {
            Ok(events) => events.into_iter().filter_map(container_event).collect(),
            Err(error) => {
                tracing::debug!(project, %error, "the engine does not tell what it did lately");
                Vec::new()
            }
        }
    }

    fn remembered_stopping(&self, project: &str) -> BTreeMap<String, i64> {
        let all = self.stopping.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(project).cloned().unwrap_or_default()
    }

    fn remember_stopping(&self, project: &str, stopping: &BTreeMap<String, i64>) {
        let mut all = self.stopping.lock().unwrap_or_else(PoisonError::into_inner);
        if stopping.is_empty() {
            all.remove(project);
        } else {
            all.insert(project.to_owned(), stopping.clone());
        }
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
        // The engine tells of the stop some time after the end.
        let fast = [(10, "a", TERMED), (10, "a", Ended), (10, "a", Stopped), (11, "a", Destroyed)];
        let slow = [(11, "db", TERMED), (40, "db", TERMED), (41, "db", Ended)];
        let at = |events: &[_], now| after(events).removed_now(now, &OwnSteps::default()).is_some();
        assert!(at(&[&fast[..], &slow].concat(), 41) && at(&[&fast[..], &slow].concat(), 45));
        assert!(!at(&[&fast[..], &slow].concat(), 46), "and no longer");
        assert!(!at(&slow, 41), "what only ended is drift");
    }
}

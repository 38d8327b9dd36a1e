//! Whether someone takes the project down right now: the first half of `docker compose down && docker compose up`.
//!
//! Compose 2.26 stops and removes what depends first (measured): while a slow container has its grace period to stop,
//! others are gone already. The list of containers does not tell that from containers that died; the engine's events do:
//!
//! | what was told | what it means | at most for |
//! | --- | --- | --- |
//! | a signal that ends a process, to a container that still runs | it is being stopped | its grace period and [`SPARE`], at least [`AT_WORK_FOR`] |
//! | `stop`, and then `destroy` | it was removed on purpose, and an `up` may follow | [`REMOVED_FOR`] |
//!
//! A container that died, that was stopped and left there, or that was removed by force (no `stop` is told then) is none
//! of these, and drift at once. The engine keeps its last 256 events only, of all kinds: what was seen once is remembered.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::RangeInclusive,
    sync::PoisonError,
    time::Duration,
};

use bollard::{models::EventMessage, query_parameters::EventsOptionsBuilder};
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::{
    Engine, EngineError,
    at_work::{AT_WORK_FOR, SPARE, WAITS_AT_MOST, distance},
    containers::{PROJECT, Row},
};
use crate::api::Time;

/// How long an `up` may take to begin after the containers are gone: `down` removes networks meanwhile.
const REMOVED_FOR: i64 = 5;

/// How long the engine may take to tell. Where its clock is behind this one it waits for the end of the time asked for.
const TELLS_WITHIN: Duration = Duration::from_secs(1);

/// The signals by which a container is stopped: INT, QUIT, KILL, TERM. Others make a server read its files anew.
const ENDING: [&str; 4] = ["2", "3", "9", "15"];

/// What the engine told of a container. Times are in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    at: i64,
    id: String,
    name: String,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Signalled,
    Ended,
    Started,
    Stopped,
    Destroyed,
}

/// What follows from a series of events.
#[derive(Debug, Default, PartialEq, Eq)]
struct Signs {
    /// Since when each of these containers has been being stopped, by ID.
    stopping: BTreeMap<String, i64>,
    /// Name and time of those that were stopped and removed.
    removed: Vec<(String, i64)>,
}

impl Signs {
    fn take(&mut self, told: &[Told]) {
        let mut stopped = BTreeSet::new();
        for Told { at, id, name, what } in told {
            match what {
                What::Signalled => drop(self.stopping.entry(id.clone()).or_insert(*at)),
                What::Ended | What::Started => drop(self.stopping.remove(id)),
                What::Stopped => drop(stopped.insert(id)),
                What::Destroyed if stopped.contains(id) => self.removed.push((name.clone(), *at)),
                What::Destroyed => {}
            }
        }
    }

    fn removed_now(&self, now: i64, own: Option<&RangeInclusive<i64>>) -> Option<String> {
        let is_fresh = |at: i64| distance(now, at) < REMOVED_FOR && !own.is_some_and(|own| own.contains(&at));
        let (name, at) = self.removed.iter().rfind(|(_, at)| is_fresh(*at))?;
        Some(format!("{name} was stopped and removed {} s ago", distance(now, *at)))
    }
}

fn told(event: EventMessage) -> Option<Told> {
    let actor = event.actor?;
    let attributes = actor.attributes.unwrap_or_default();
    let what = match event.action.as_deref()? {
        "kill" if attributes.get("signal").is_some_and(|signal| ENDING.contains(&signal.as_str())) => {
            What::Signalled
        }
        "die" => What::Ended,
        "start" => What::Started,
        "stop" => What::Stopped,
        "destroy" => What::Destroyed,
        _ => return None,
    };
    Some(Told { at: event.time?, id: actor.id?, name: attributes.get("name").cloned()?, what })
}

impl Engine {
    /// The sign that someone takes the project down, one of whose containers these are. To be asked for where a
    /// container is missing or does not run: a project that runs is not being taken down.
    pub(super) async fn taken_down(
        &self,
        project: &str,
        rows: &[Row],
    ) -> Result<Option<String>, EngineError> {
        let at = chrono::Utc::now();
        let now = at.timestamp();
        let mut signs = Signs { stopping: self.remembered_stopping(project), removed: Vec::new() };
        signs.take(&self.told_of(project, at).await?);
        let running = |id: &String| rows.iter().any(|row| row.id == *id && row.is_running());
        signs.stopping.retain(|id, since| running(id) && distance(now, *since) < WAITS_AT_MOST);
        self.remember_stopping(project, &signs.stopping);
        for (id, since) in &signs.stopping {
            let limit = (self.stop_grace(id).await? + SPARE).max(AT_WORK_FOR);
            let name = rows.iter().find(|row| row.id == *id).map_or("", |row| row.name.as_str());
            if distance(now, *since) < limit {
                return Ok(Some(format!("{name} is being stopped: another Compose command may be at work")));
            }
        }
        let removed = signs.removed_now(now, self.own_step(project).as_ref());
        Ok(removed.map(|removed| format!("{removed}: another Compose command may be at work")))
    }

    /// What the engine still knows of the project's containers, the oldest first.
    async fn told_of(&self, project: &str, now: Time) -> Result<Vec<Told>, EngineError> {
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
            .call(async |docker| {
                let enough = tokio::time::sleep(TELLS_WITHIN);
                docker.events(Some(options)).take_until(enough).try_collect::<Vec<_>>().await
            })
            .await?;
        Ok(events.into_iter().filter_map(told).collect())
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

    fn after(told: &[(i64, &str, What)]) -> Signs {
        let mut signs = Signs::default();
        let told = told.iter().map(|(at, id, what)| Told {
            at: *at,
            id: (*id).into(),
            name: format!("p-{id}-1"),
            what: *what,
        });
        signs.take(&told.collect::<Vec<_>>());
        signs
    }

    #[test]
    fn what_was_signalled_and_has_not_ended_is_being_stopped() {
        use What::{Ended, Signalled, Started};
        let stopping = |told: &[_]| after(told).stopping;
        assert_eq!(stopping(&[(1, "db", Signalled), (7, "db", Signalled)]), [("db".to_owned(), 1)].into());
        assert_eq!(stopping(&[(1, "db", Signalled), (2, "db", Ended)]), BTreeMap::new());
        assert_eq!(stopping(&[(1, "db", Signalled), (2, "db", Started)]), BTreeMap::new());
    }

    #[test]
    fn what_was_stopped_and_then_removed_was_removed_on_purpose() {
        use What::{Destroyed, Ended, Signalled, Stopped};
        let now = |told: &[_], own| after(told).removed_now(12, own).is_some();
        let down = [(10, "a", Signalled), (10, "a", Ended), (10, "a", Stopped), (11, "a", Destroyed)];
        assert!(now(&down, None));
        assert!(!now(&down, Some(&(9..=11))), "by undrift's own step");
        assert!(after(&down).removed_now(16, None).is_none(), "a while ago");
        assert!(after(&down).removed_now(6, None).is_none(), "or dated in the future");
        assert!(!now(&[(11, "a", Signalled), (11, "a", Ended), (11, "a", Destroyed)], None), "by force");
        assert!(!now(&down[..3], None), "it is still there");
    }
}

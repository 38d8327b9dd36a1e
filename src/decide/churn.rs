//! Whether a service restarts often: one that dies each half hour looks healthy at every observation.
//!
//! A restart is a further start of the same container: by the engine's restart policy, by a person, by whatever else. The engine
//! counts only the former, and begins anew at a start by hand (measured with 20.10: `docker restart` and `docker start` set
//! `RestartCount` to 0, and both change `StartedAt`). So undrift compares both with the observation before. A new container
//! is no restart, and neither is a start by a step of undrift's own.
//!
//! Only what is certain counts. A restart between two observations is dated at the earlier one, except the last, whose time the
//! engine knows.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::api::{Churn, ContainerObservation, RecentStep, StepKind, Time};

/// The most restarts of one replica that are kept: as many as `reconcile.churn.restarts` may be.
const MOST: usize = 1_000;

/// How much older an entry may become before it is kept anew although nothing has happened.
const FRESH: TimeDelta = TimeDelta::minutes(10);

/// The restarts of a service's replicas, by Compose's container number: a replica keeps its restarts when it is recreated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartLog(BTreeMap<u32, ReplicaLog>);

/// The restarts of one replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReplicaLog {
    /// Its container's ID when it was last observed.
    container: String,
    /// When that was.
    seen: Time,
    /// The engine's count then.
    count: i64,
    /// Its last start then.
    started: Option<Time>,
    /// Whether it was between two starts, which the count already had and the start did not.
    restarting: bool,
    /// Its restarts, oldest first.
    restarts: Vec<Time>,
    /// Until when restarts may have gone unseen; `None` if none have.
    unseen_until: Option<Time>,
}

/// Whether the containers of a service restart often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stability {
    /// No container does; the most restarts of one.
    Stable(usize),
    /// A container does, in words.
    RestartsOften(String),
}

impl RestartLog {
    /// Notes the containers of an observation. `own` are undrift's steps of the last hour on the service's project.
    pub fn note(&mut self, seen: &[ContainerObservation], own: &[RecentStep], within: TimeDelta, now: Time) {
        for container in seen {
            let before = self.0.remove(&container.number);
            let known = before.as_ref().filter(|before| before.container == container.id);
            let noted = match known {
                Some(before) => before.followed_by(container, own, within, now),
                None => ReplicaLog::first(container, before.as_ref(), within, now),
            };
            self.0.insert(container.number, noted);
        }
        self.0.retain(|number, log| {
            log.forget(within, now);
            !log.restarts.is_empty() || seen.iter().any(|container| container.number == *number)
        });
    }

    /// Whether it is worth keeping: it differs from what was kept before in more than the time of the observation, or that
    /// has become old.
    #[must_use]
    pub fn differs(&self, kept: &Self) -> bool {
        self.0.len() != kept.0.len()
            || self.0.iter().any(|(number, log)| kept.0.get(number).is_none_or(|kept| log.differs(kept)))
    }

    /// Whether these containers restart often; `None` if that is not known, or there are none.
    #[must_use]
    pub fn stability(&self, seen: &[ContainerObservation], churn: Churn, now: Time) -> Option<Stability> {
        let log_of = |container: &&ContainerObservation| self.0.get(&container.number);
        let worst = seen.iter().max_by_key(|container| log_of(container).map(|log| log.restarts.len()))?;
        let most = log_of(&worst).map_or(0, |log| log.restarts.len());
        if most >= usize::try_from(churn.restarts).unwrap_or(usize::MAX) {
            let last = log_of(&worst).and_then(|log| log.restarts.last());
            let last = last.map(|at| format!(", the last time at {}", at.format("%Y-%m-%d %H:%M:%SZ")));
            return Some(Stability::RestartsOften(format!(
                "{} was restarted {} within {}{}; undrift only reports that",
                worst.name,
                times(most),
                churn.within,
                last.unwrap_or_default()
            )));
        }
        let is_known =
            |log: &ReplicaLog| log.unseen_until.is_none_or(|until| now - until >= churn.within.delta());
        seen.iter()
            .all(|container| log_of(&container).is_some_and(is_known))
            .then_some(Stability::Stable(most))
    }
}

impl ReplicaLog {
    /// A container at its first observation; `before` is the one whose place it has taken. Its restarts are those since its
    /// creation: a container that is older than `within` may have had them at any time.
    fn first(container: &ContainerObservation, before: Option<&Self>, within: TimeDelta, now: Time) -> Self {
        let created = container.created_at.unwrap_or(now);
        let is_whole = now - created <= within || container.restart_count == 0 && started_once(container);
        let mut log = Self {
            container: container.id.clone(),
            seen: created,
            count: 0,
            started: None,
            restarting: false,
            restarts: before.map(|before| before.restarts.clone()).unwrap_or_default(),
            unseen_until: if is_whole { before.and_then(|before| before.unseen_until) } else { Some(now) },
        };
        log.add(container, container.restart_count, now);
        log.at(container, now)
    }

    /// The same container at the next observation.
    fn followed_by(
        &self,
        container: &ContainerObservation,
        own: &[RecentStep],
        within: TimeDelta,
        now: Time,
    ) -> Self {
        let mut log = self.clone();
        let has_started = container.started_at != self.started;
        let is_reset = container.restart_count < self.count;
        let by_engine = if is_reset { container.restart_count } else { container.restart_count - self.count };
        let by_hand = has_started && (is_reset || by_engine == 0 && !self.restarting);
        let is_own = || own.iter().any(|step| step.kind != StepKind::Build && step.at >= self.seen);
        let restarts = by_engine + i64::from(by_hand && !is_own());
        log.add(container, restarts, now);
        if restarts > 0 && now - self.seen > within {
            log.unseen_until = Some(now);
        }
        log.at(container, now)
    }

    /// Adds so many restarts since the observation before.
    fn add(&mut self, container: &ContainerObservation, restarts: i64, now: Time) {
        let earlier = usize::try_from(restarts - 1);
        let Ok(earlier) = earlier else { return };
        self.restarts.extend(std::iter::repeat_n(self.seen, earlier.min(MOST)));
        let started = container.started_at.filter(|started| Some(*started) != self.started);
        self.restarts.push(started.unwrap_or(self.seen).clamp(self.seen.min(now), now));
    }

    /// As of this observation.
    fn at(self, container: &ContainerObservation, now: Time) -> Self {
        Self {
            seen: now,
            count: container.restart_count,
            started: container.started_at,
            restarting: container.restarting,
            ..self
        }
    }

    /// Forgets what is older than `within`. A time that lies ahead, because the clock was set back, is of now.
    fn forget(&mut self, within: TimeDelta, now: Time) {
        self.restarts.iter_mut().for_each(|at| *at = (*at).min(now));
        self.restarts.retain(|at| now - *at < within);
        let surplus = self.restarts.len().saturating_sub(MOST);
        self.restarts.drain(..surplus);
    }

    fn differs(&self, kept: &Self) -> bool {
        let of_now = Self { seen: self.seen, ..kept.clone() };
        *self != of_now || (self.seen - kept.seen).abs() >= FRESH
    }
}

/// Whether a container was never started again since it was created: Compose starts it at once.
fn started_once(container: &ContainerObservation) -> bool {
    const AT_ONCE: TimeDelta = TimeDelta::minutes(1);
    let (created, started) = (container.created_at, container.started_at);
    created.zip(started).is_some_and(|(created, started)| started - created < AT_ONCE)
}

/// How often.
pub(super) fn times(count: usize) -> String {
    if count == 1 { "once".into() } else { format!("{count} times") }
}

#[cfg(test)]
mod tests;

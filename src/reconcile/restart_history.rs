//! How often the engine has recently restarted each container.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use crate::{
    api::{ContainerObservation, ProjectObservation, Time},
    decide,
};

/// For how long a death counts.
const COUNTED_FOR: TimeDelta = TimeDelta::minutes(10);

/// The restart counts of each container, by ID, at the times when they were first seen; oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RestartHistory(BTreeMap<String, Vec<(Time, i64)>>);

impl RestartHistory {
    /// Notes an observation. Forgets containers that are gone.
    pub(crate) fn note(&mut self, observed: &ProjectObservation, now: Time) {
        let containers = || observed.services.iter().filter_map(|s| s.containers.known()).flatten();
        let all_known = observed.services.iter().all(|s| s.containers.known().is_some());
        self.0.retain(|id, _| !all_known || containers().any(|c| c.id == *id));
        for container in containers() {
            let counts = self.0.entry(container.id.clone()).or_insert_with(|| vec![first(container, now)]);
            note(counts, container.restart_count, now);
        }
    }

    /// The count of each container [`COUNTED_FOR`] ago, or when it was first seen.
    pub(crate) fn counts_before(&self) -> BTreeMap<String, i64> {
        let before = |(id, counts): (&String, &Vec<(Time, i64)>)| Some((id.clone(), counts.first()?.1));
        self.0.iter().filter_map(before).collect()
    }
}

/// At a first observation the times of the deaths so far are unknown. If the last one was just now they count.
fn first(container: &ContainerObservation, now: Time) -> (Time, i64) {
    (now, if decide::within_start_grace(container, now) { 0 } else { container.restart_count })
}

fn note(counts: &mut Vec<(Time, i64)>, count: i64, now: Time) {
    // A start by hand resets the engine's count.
    counts.retain(|(_, before)| *before <= count);
    if counts.last().is_none_or(|(_, last)| *last != count) {
        counts.push((now, count));
    }
    // The count at the beginning is the last one from before it.
    let old = counts.iter().take_while(|(at, _)| (now - *at).abs() >= COUNTED_FOR).count();
    counts.drain(..old.saturating_sub(1));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fixtures::{at, container_mut, healthy};

    /// The count of `api` after observations at these times with these counts, as often as it died since.
    fn restarts(looks: &[(i64, i64)]) -> i64 {
        let (mut restarts, mut seen) = (RestartHistory::default(), healthy());
        for (second, count) in looks {
            container_mut(&mut seen.services[0]).restart_count = *count;
            restarts.note(&seen, at(*second));
        }
        let container = container_mut(&mut seen.services[0]);
        container.restart_count - restarts.counts_before()[&container.id]
    }

    #[test]
    fn deaths_of_the_last_ten_minutes_count() {
        assert_eq!(restarts(&[(0, 7)]), 0, "those from before the first look are long ago");
        assert_eq!(restarts(&[(0, 7), (60, 8), (120, 9)]), 2);
        assert_eq!(restarts(&[(0, 7), (60, 8), (700, 9)]), 1, "one each quarter of an hour is no loop");
        assert_eq!(restarts(&[(0, 7), (60, 9), (661, 9)]), 0);
        assert_eq!(restarts(&[(0, 7), (60, 9), (61, 0), (62, 1)]), 1, "it was started by hand");
    }

    #[test]
    fn at_a_first_look_just_after_a_death_all_of_them_count() {
        let (mut restarts, mut seen) = (RestartHistory::default(), healthy());
        let container = container_mut(&mut seen.services[0]);
        (container.restart_count, container.started_at) = (7, Some(at(0)));
        let id = container.id.clone();
        restarts.note(&seen, at(1));
        assert_eq!(restarts.counts_before()[&id], 0);
    }

    #[test]
    fn a_container_that_is_gone_is_forgotten() {
        let (mut restarts, mut seen) = (RestartHistory::default(), healthy());
        restarts.note(&seen, at(0));
        assert_eq!(restarts.counts_before().len(), 2);
        seen.services[0].containers = crate::api::Fact::unknown("no answer");
        restarts.note(&seen, at(1));
        assert_eq!(restarts.counts_before().len(), 2, "what is not known is not gone");
        seen.services[0].containers = crate::api::Fact::Known(vec![]);
        restarts.note(&seen, at(2));
        assert_eq!(restarts.counts_before().len(), 1);
    }
}

//! Whether someone else's `docker compose up` is running on a project right now.
//!
//! Compose 2.26 is visible in these phases (measured), and each looks the same if Compose was killed in it; only time
//! distinguishes them:
//!
//! | phase | visible sign | at most for |
//! | --- | --- | --- |
//! | a fresh project | its network, and no container yet | [`CREATES_FOR`] |
//! | created, not started | a container that never ran | [`UP_LASTS_FOR`] |
//! | a recreate waits for the old one to stop | the same, with the label of the one that it replaces | that one's grace period and [`SPARE`] |
//! | an `up` waits for a dependency | the same, beside a container whose health check has not passed yet | [`WAITS_AT_MOST`] |
//! | the old one is removed | a container in `removing` | [`UP_LASTS_FOR`] from when it was first seen so |
//!
//! Two containers that both ran under one number are no sign: Compose starts the new one when the old one is gone.

use std::collections::BTreeMap;

use super::{ContainerRow, OwnSteps};
use crate::api::ContainerObservation;

/// How long a container that was created and not started may belong to a running `up`: Compose creates the new one, gives
/// the old one the usual 10 s to stop, then starts the new one. Two `up` at once left no container in 21 of 32 tries.
pub(crate) const UP_LASTS_FOR: i64 = 15;

/// The time that Compose needs besides the grace period of the container that it replaces.
pub(crate) const SPARE: i64 = 5;

/// How long Compose takes from a network to the first container in it; it pulls and builds images before.
const CREATES_FOR: i64 = 5;

/// After this a container that was created and not started is a leftover, whatever other signs there are: a dependency may
/// never become healthy, and a grace period may be a day.
pub(crate) const WAITS_AT_MOST: i64 = 600;

/// The signs besides the list of containers. Times are in seconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sight {
    pub(crate) now: i64,
    /// When steps of this process ran on this project: anything created then is not external activity.
    pub(crate) own: OwnSteps,
    /// How long the container that another replaces may take to stop, by the ID of the new one.
    pub(crate) grace: BTreeMap<String, i64>,
    /// Since when each of the containers in `removing` has been in that state.
    pub(crate) removing_since: BTreeMap<String, i64>,
    /// Checked only if the project has no container: name and time of its youngest network.
    pub(crate) network: Option<(String, i64)>,
}

impl Sight {
    fn is_foreign(&self, created: i64) -> bool {
        !self.own.covers(created)
    }
}

/// The distance between two times. A clock that was set back, or that of an engine elsewhere, dates events in the future:
/// their age is their distance from now, or undrift would wait until the clock has caught up.
pub(crate) const fn distance(now: i64, then: i64) -> i64 {
    now.saturating_sub(then).saturating_abs()
}

/// The sign that someone else is active, in words.
pub(crate) fn sign(rows: &[ContainerRow], sight: &Sight) -> Option<String> {
    let what = rows.iter().find_map(|row| of_container(row, rows, sight)).or_else(|| of_network(sight))?;
    Some(format!("{what}: another Compose command may be at work"))
}

fn of_container(row: &ContainerRow, rows: &[ContainerRow], sight: &Sight) -> Option<String> {
    if row.is_removing() {
        let since = sight.removing_since.get(&row.id).copied().unwrap_or(sight.now);
        return (distance(sight.now, since) < UP_LASTS_FOR).then(|| format!("{} is being removed", row.name));
    }
    if !row.never_started() || !sight.is_foreign(row.created) {
        return None;
    }
    let age = distance(sight.now, row.created);
    let dependency = rows.iter().find(|other| other.health_starting);
    let limit = match dependency {
        Some(_) => WAITS_AT_MOST,
        None => sight.grace.get(&row.id).map_or(UP_LASTS_FOR, |grace| (grace + SPARE).min(WAITS_AT_MOST)),
    };
    (age < limit.max(UP_LASTS_FOR)).then(|| {
        let beside = dependency.filter(|_| age >= UP_LASTS_FOR);
        let beside =
            beside.map(|other| format!(", while the health check of {} has not passed yet", other.name));
        format!("{} was created {age} s ago and is not started{}", row.name, beside.unwrap_or_default())
    })
}

fn of_network(sight: &Sight) -> Option<String> {
    let (name, created) = sight.network.as_ref().filter(|(_, created)| sight.is_foreign(*created))?;
    let age = distance(sight.now, *created);
    (age < CREATES_FOR)
        .then(|| format!("the network {name} was created {age} s ago and has no container yet"))
}

/// Whether each of these services has as many running containers as it should have. With one of two gone a `down` may be
/// running.
pub(crate) fn all_run(services: &BTreeMap<&str, u32>, rows: &[ContainerRow]) -> bool {
    services.iter().all(|(service, wanted)| {
        let running = rows.iter().filter(|row| row.service == *service && row.is_running()).count();
        usize::try_from(*wanted).is_ok_and(|wanted| running >= wanted)
    })
}

/// Notes in the list which containers are being removed according to their details. The list of engine 28 reports such a one
/// as `exited` and then `dead`, and at the very end its details are `dead`, too (measured with 28.5.2); the list of 20.10
/// reports it itself.
pub(crate) fn mark_removals<'a>(
    rows: &mut [ContainerRow],
    details: impl Iterator<Item = &'a ContainerObservation>,
) {
    let goes = |c: &&ContainerObservation| c.state.is_being_removed();
    for container in details.filter(goes) {
        let row = rows.iter_mut().find(|row| row.id == container.id);
        row.into_iter().for_each(ContainerRow::set_removing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api::ContainerState, interference::OwnSteps};

    fn created(id: &str, at: i64) -> ContainerRow {
        ContainerRow {
            id: id.into(),
            name: format!("p-{id}-1"),
            created: at,
            state: Some(ContainerState::Created),
            ..ContainerRow::default()
        }
    }

    fn running(id: &str) -> ContainerRow {
        ContainerRow { state: Some(ContainerState::Running), ..created(id, 1) }
    }

    fn at(now: i64) -> Sight {
        Sight { now, ..Sight::default() }
    }

    #[test]
    fn a_removal_is_read_from_the_details_where_the_list_does_not_show_it() {
        for state in [ContainerState::Removing, ContainerState::Dead] {
            let mut rows =
                vec![ContainerRow { state: Some(ContainerState::Exited), ..created("a", 1) }, running("b")];
            let details = |state| ContainerObservation {
                id: "a".into(),
                state,
                ..crate::testing::fixtures::container("a")
            };
            mark_removals(&mut rows, [details(ContainerState::Exited)].iter());
            assert!(!rows[0].is_removing() && rows[0].has_ended(), "it only ended");
            mark_removals(&mut rows, [details(state)].iter());
            assert!(rows[0].is_removing() && rows[1].is_running());
            assert!(sign(&rows, &at(1_002)).is_some_and(|why| why.contains("p-a-1 is being removed")));
        }
        assert!(ContainerRow { state: Some(ContainerState::Dead), ..created("a", 1) }.is_removing());
    }

    #[test]
    fn a_container_that_was_just_created_may_be_someone_elses_work() {
        let rows = [running("a"), created("b", 1_000)];
        assert!(sign(&rows, &at(1_002)).is_some_and(|why| why.contains("p-b-1")));
        assert_eq!(sign(&rows, &at(1_015)), None, "and after a while it is what a killed one left behind");
        assert_eq!(sign(&rows[..1], &at(1_002)), None);
        let after_own = |own| Sight { own: OwnSteps(vec![own]), ..at(1_002) };
        assert_eq!(sign(&rows, &after_own(999..=1_001)), None, "what our own step left is no one's work");
        assert!(sign(&rows, &after_own(900..=999)).is_some());
    }

    #[test]
    fn what_is_dated_in_the_future_is_not_waited_for_until_then() {
        let network = |created| Sight { network: Some(("p_default".into(), created)), ..at(1_000) };
        let removing = [ContainerRow { state: Some(ContainerState::Removing), ..running("a") }];
        let since = |since| Sight { removing_since: [("a".to_owned(), since)].into(), ..at(1_000) };
        for (ahead, waits) in [(2, true), (3_600, false)] {
            let rows = [running("a"), created("b", 1_000 + ahead)];
            assert_eq!(sign(&rows, &at(1_000)).is_some(), waits, "a container, {ahead} s ahead");
            assert_eq!(sign(&[], &network(1_000 + ahead)).is_some(), waits, "a network, {ahead} s ahead");
            assert_eq!(sign(&removing, &since(1_000 + ahead)).is_some(), waits, "a removal, {ahead} s ahead");
        }
    }

    #[test]
    fn a_replacement_waits_as_long_as_the_old_one_may_take_to_stop() {
        let rows = [running("a"), created("b", 1_000)];
        let sight = |now, grace| Sight { grace: [("b".to_owned(), grace)].into(), ..at(now) };
        assert!(sign(&rows, &sight(1_060, 60)).is_some());
        assert_eq!(sign(&rows, &sight(1_065, 60)), None);
        assert!(sign(&rows, &sight(1_014, 1)).is_some(), "never less than any other one");
        assert_eq!(sign(&rows, &sight(1_600, 86_400)), None, "and not for a day");
    }

    #[test]
    fn a_dependency_that_is_not_healthy_yet_keeps_an_up_waiting() {
        let mut rows = [running("db"), created("api", 1_000)];
        rows[0].health_starting = true;
        assert!(sign(&rows, &at(1_090)).is_some_and(|why| why.contains("p-db-1")));
        assert_eq!(
            sign(&rows, &at(1_600)),
            None,
            "a dependency that never becomes healthy is waited for in vain"
        );
        rows[0].health_starting = false;
        assert_eq!(sign(&rows, &at(1_090)), None);
    }

    #[test]
    fn a_container_that_goes_is_waited_for_but_not_for_ever() {
        let rows = [ContainerRow { state: Some(ContainerState::Removing), ..running("a") }];
        let since = |since, now| Sight { removing_since: [("a".to_owned(), since)].into(), ..at(now) };
        assert!(sign(&rows, &since(1_000, 1_001)).is_some_and(|why| why.contains("is being removed")));
        assert_eq!(sign(&rows, &since(1_000, 1_015)), None);
    }

    #[test]
    fn a_fresh_network_without_a_container_is_the_beginning_of_an_up() {
        let sight = |now| Sight { network: Some(("p_default".into(), 1_000)), ..at(now) };
        assert!(sign(&[], &sight(1_001)).is_some_and(|why| why.contains("p_default")));
        assert_eq!(sign(&[], &sight(1_005)), None);
        assert_eq!(sign(&[], &Sight { own: OwnSteps(vec![1_000..=1_000]), ..sight(1_001) }), None);
    }

    #[test]
    fn a_service_runs_where_as_many_of_it_run_as_it_is_to_have() {
        let of = |service: &str, row| ContainerRow { service: service.into(), ..row };
        let rows = [of("a", running("a1")), of("a", running("a2")), of("b", running("b1"))];
        let wanted = |a, b| BTreeMap::from([("a", a), ("b", b)]);
        assert!(all_run(&wanted(2, 1), &rows) && all_run(&wanted(1, 0), &rows));
        assert!(!all_run(&wanted(2, 2), &rows));
        assert!(!all_run(&wanted(2, 1), &rows[1..]), "one is gone");
        let exited = ContainerRow { state: Some(ContainerState::Exited), ..rows[0].clone() };
        assert!(!all_run(&wanted(2, 1), &[&[exited], &rows[1..]].concat()), "one has exited");
    }
}

//! Whether someone else is rolling a service out right now: they start one more replica by hand, and remove the old one once
//! the new one works.
//!
//! `docker compose up --no-recreate --scale web=2` and the removal that follows are two commands, with a wait between them
//! in which no other sign shows that somebody is active. An `up` in that wait removes the new replica: Compose 2.26 keeps
//! the outdated ones, which it recreates, and of current ones those with the lowest numbers, even if they do not run
//! (measured). So more replicas than declared, of which one is young, mean external activity.

use std::{collections::BTreeMap, time::Duration};

use super::compose_up::distance;

/// The relevant facts about a replica.
pub(crate) struct Replica<'a> {
    pub(crate) service: &'a str,
    pub(crate) name: &'a str,
    /// When it was created, in seconds since 1970.
    pub(crate) created: i64,
}

/// The sign that someone else is rolling out one of these services, in words.
pub(crate) fn sign(
    wanted: &BTreeMap<&str, u32>,
    replicas: &[Replica<'_>],
    young_for: Duration,
    now: i64,
    is_foreign: impl Fn(i64) -> bool,
) -> Option<String> {
    let young_for = i64::try_from(young_for.as_secs()).unwrap_or(i64::MAX);
    wanted.iter().find_map(|(service, wanted)| {
        let of_service = || replicas.iter().filter(|replica| replica.service == *service);
        let count = of_service().count();
        let is_surplus = usize::try_from(*wanted).is_ok_and(|wanted| count > wanted);
        let young = of_service().find(|replica| {
            is_surplus && is_foreign(replica.created) && distance(now, replica.created) < young_for
        })?;
        let age = distance(now, young.created);
        Some(format!(
            "{service} has {count} replicas where {wanted} are declared, and {} was created {age} s ago: somebody may be \
             rolling it out",
            young.name
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(120);

    fn replica(name: &str, created: i64) -> Replica<'_> {
        Replica { service: "till", name, created }
    }

    fn found(wanted: u32, replicas: &[Replica<'_>]) -> Option<String> {
        sign(&BTreeMap::from([("till", wanted)]), replicas, TIMEOUT, 1_000, |created| created != 950)
    }

    #[test]
    fn more_replicas_than_declared_of_which_one_is_young_are_somebodys_work() {
        let old = || replica("till-1", 1);
        assert!(found(1, &[old(), replica("till-2", 900)]).is_some_and(|why| why.contains("till-2")));
        assert_eq!(found(2, &[old(), replica("till-2", 900)]), None, "as many as declared");
        assert_eq!(found(1, &[old(), replica("till-2", 880)]), None, "it has had its time");
        assert_eq!(found(1, &[replica("till-1", 999)]), None);
        assert_eq!(found(1, &[old(), replica("till-2", 950)]), None, "what undrift itself made");
        assert!(found(0, &[replica("till-1", 900)]).is_some());
        let of_another = Replica { service: "web", ..replica("web-1", 999) };
        assert_eq!(found(1, &[old(), of_another]), None);
    }

    #[test]
    fn a_replica_that_a_clock_has_put_far_ahead_is_not_young_until_then() {
        assert!(found(0, &[replica("till-1", 1_060)]).is_some());
        assert_eq!(found(0, &[replica("till-1", 9_000)]), None);
    }
}

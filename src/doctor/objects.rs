//! The objects of the state: whether a daemon observes them, the age of the last observation, and what blocks it.

use std::path::PathBuf;

use super::{Check, in_time};
use crate::{
    api::{AuditKind, AuditRecord, Time},
    manifest::count,
    standing::{Doubt, Standing, Watcher, standings},
    store::{Store, StoreError},
    times::{ago, moment_of},
};

/// The findings; `None` if there is no state to read, or it could not be read in time.
pub(super) type RecordedObjects = Option<Recorded>;

/// The recorded objects.
#[derive(Debug)]
pub(super) struct Recorded {
    watcher: Watcher,
    /// When a daemon was last started, or ended properly.
    last: Option<AuditRecord>,
    standings: Vec<Standing>,
    now: Time,
}

/// Reads them.
pub(super) async fn read(dir: Result<PathBuf, String>, now: Time) -> RecordedObjects {
    let dir = dir.ok()?;
    let look = move || -> Result<RecordedObjects, StoreError> {
        let Some(store) = Store::open_read_only(&dir)? else { return Ok(None) };
        let watcher = Watcher::of(&dir);
        let last = store.latest_of(&[AuditKind::Started, AuditKind::Stopped])?;
        Ok(Some(Recorded { watcher, last, standings: standings(&store, watcher, now)?, now }))
    };
    // Checks of their own report an unreadable state.
    in_time(look).await?.ok()?
}

/// Judges them. If nothing is recorded there is nothing to report.
pub(super) fn judge(objects: &RecordedObjects) -> Vec<Check> {
    let Some(recorded) = objects.as_ref().filter(|recorded| !recorded.standings.is_empty()) else {
        return Vec::new();
    };
    vec![daemon(recorded), looks(recorded), manifests(recorded), suspensions(recorded)]
}

/// How to start a daemon.
const START: &str = "sudo systemctl start undrift, or undrift run -f MANIFESTS";

fn daemon(recorded: &Recorded) -> Check {
    let name = "DaemonRuns";
    match (recorded.watcher, &recorded.last) {
        (Watcher::Runs, _) => Check::ok(name, "a daemon runs on this state"),
        (Watcher::Displaced, _) => Check::failed(
            name,
            "the one that runs has other files open than those in the state folder, and takes no step",
            "put them back, or restart it: sudo systemctl restart undrift",
        ),
        (Watcher::NotKnown, _) => Check::unknown(name, "whether one runs cannot be determined from here"),
        (Watcher::Absent, None) => {
            Check::ok(name, "none was ever started on this state: `apply` and `check` look when they are run")
        }
        (Watcher::Absent, Some(last)) if last.kind == AuditKind::Started.as_str() => Check::failed(
            name,
            format!(
                "the daemon that began at {} is gone without a record of its end: nothing observes the objects",
                moment_of(last)
            ),
            START,
        ),
        (Watcher::Absent, Some(last)) => Check::warning(
            name,
            format!("it was ended at {}: nothing observes the objects since", moment_of(last)),
            START,
        ),
    }
}

fn looks(recorded: &Recorded) -> Check {
    let name = "ObjectsLookedAt";
    let limit = |standing: &Standing| standing.object.declared.spec.reconcile.interval.delta() * 2;
    let late = recorded.standings.iter().filter_map(|standing| match standing.doubt? {
        Doubt::NeverLooked => Some(format!("{} has no recorded look", standing.name())),
        Doubt::Ahead { by } => {
            Some(format!("the last look at {} is {} ahead of this clock", standing.name(), ago(by)))
        }
        Doubt::Late { age } | Doubt::Unwatched { age } | Doubt::Displaced { age } => (age > limit(standing))
            .then(|| {
                let interval = standing.object.declared.spec.reconcile.interval;
                format!(
                    "the last look at {} was {} ago, with an interval of {interval}",
                    standing.name(),
                    ago(age)
                )
            }),
    });
    let late: Vec<String> = late.collect();
    if late.is_empty() {
        let oldest =
            recorded.standings.iter().filter_map(|standing| standing.object.status.observed_at).min();
        let age = oldest.map(|at| format!(", the longest ago {} ago", ago(recorded.now - at)));
        let objects = count(recorded.standings.len(), "object");
        return Check::ok(name, format!("{objects} looked at{}", age.unwrap_or_default()));
    }
    let found = late.join("; ");
    if recorded.watcher == Watcher::Runs {
        // A daemon that does not observe is broken, or has no engine.
        return Check::failed(name, found, "see the daemon's log: journalctl -u undrift -n 50");
    }
    Check::warning(name, found, "undrift check -f MANIFESTS looks now; a daemon keeps looking")
}

fn manifests(recorded: &Recorded) -> Check {
    let name = "ManifestsInEffect";
    let faults = recorded.standings.iter().filter_map(|standing| {
        let fault = standing.fault.as_ref()?;
        let age = ago(recorded.now - fault.since);
        let instead = if standing.is_held() {
            "nobody works on the object, for its manifest is not valid"
        } else {
            "an earlier manifest goes on in place of the one on disk"
        };
        Some(format!("{}: for {age} {instead}: {}", standing.name(), fault.fault))
    });
    let faults: Vec<String> = faults.collect();
    if faults.is_empty() {
        return Check::ok(name, "every watched manifest is the one on disk");
    }
    Check::failed(
        name,
        faults.join("; "),
        "undrift validate -f MANIFESTS shows it; an edit that mends it takes effect by itself",
    )
}

fn suspensions(recorded: &Recorded) -> Check {
    let name = "ObjectsNotSuspended";
    let mut found = Vec::new();
    let mut helps = Vec::new();
    for standing in &recorded.standings {
        let object = standing.name();
        if let Some(suspension) = &standing.object.status.suspension {
            found.push(format!("{object} is suspended: {}", suspension.in_words()));
            helps.push(format!("undrift resume {object}"));
        }
        if standing.object.declared.spec.reconcile.suspend {
            found.push(format!("{object} is suspended by its manifest"));
            helps.push(format!("set spec.reconcile.suspend of {object} to false"));
        }
    }
    if found.is_empty() {
        return Check::ok(name, "undrift may act on every object");
    }
    Check::warning(name, found.join("; "), helps.join("; "))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{
        api::NewRecord,
        doctor::Status,
        store::testing::{self, start},
    };

    /// A state with one object, last observed so long ago, and these records.
    async fn examined(
        minutes: i64,
        records: &[AuditKind],
        prepare: impl FnOnce(&Store),
    ) -> Vec<(&'static str, Status)> {
        let (home, store) = testing::store();
        let mut object = testing::object();
        let now = start() + TimeDelta::hours(1);
        object.status.observed_at = Some(now - TimeDelta::minutes(minutes));
        store.save_object(&object).unwrap();
        for kind in records {
            store.append(&NewRecord::of(*kind)).unwrap();
        }
        prepare(&store);
        let checks = judge(&read(Ok(home.path().to_owned()), now).await);
        checks
            .into_iter()
            .filter(|check| check.status != Status::Ok)
            .map(|check| (check.name, check.status))
            .collect()
    }

    #[tokio::test]
    async fn a_daemon_that_died_fails_the_check_and_one_that_ended_is_a_warning() {
        let started = [AuditKind::Started];
        assert_eq!(examined(1, &started, |_| {}).await, [("DaemonRuns", Status::Failed)]);
        let late = [("DaemonRuns", Status::Failed), ("ObjectsLookedAt", Status::Warning)];
        assert_eq!(examined(11, &started, |_| {}).await, late);
        let ended = [AuditKind::Started, AuditKind::Stopped];
        assert_eq!(examined(1, &ended, |_| {}).await, [("DaemonRuns", Status::Warning)]);
        assert_eq!(examined(1, &[], |_| {}).await, [], "it never was to look by itself");
    }

    #[tokio::test]
    async fn what_keeps_undrift_from_an_object_is_found() {
        let suspended = |store: &Store| drop(store.suspend("ai-backoffice", None, "a migration").unwrap());
        assert_eq!(examined(1, &[], suspended).await, [("ObjectsNotSuspended", Status::Warning)]);
        let invalid =
            |store: &Store| store.keep_manifest_fault("ai-backoffice", Some("a.yaml:1:1: no")).unwrap();
        assert_eq!(examined(1, &[], invalid).await, [("ManifestsInEffect", Status::Failed)]);
    }

    #[tokio::test]
    async fn a_state_without_objects_gives_no_checks() {
        let (home, store) = testing::store();
        store.append(&NewRecord::of(AuditKind::Started)).unwrap();
        assert!(judge(&read(Ok(home.path().to_owned()), start()).await).is_empty());
        assert!(judge(&read(Ok(home.path().join("none")), start()).await).is_empty());
        assert!(judge(&read(Err("no folder".into()), start()).await).is_empty());
    }
}

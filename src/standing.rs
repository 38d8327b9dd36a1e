//! The present standing of recorded objects: the age of the last observation, whether a daemon manages them, and later changes.
//!
//! A status describes the last observation. If a daemon dies, its status stays as green as a healthy one's, so the age is
//! shown with every status. This room judges; the words for it are those of the command line and of `doctor`.

use std::path::Path;

use chrono::TimeDelta;

use crate::{
    api::{ConditionStatus, ConditionType, Object, StandingReason, Time},
    daemon,
    reconcile::{CurrentObject, current_objects},
    store::{Displaced, LockState, ManifestFault, Store, StoreError},
};

/// Whether a daemon runs on a state folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watcher {
    /// It does.
    Runs,
    /// It does, but its open files are not those in the folder: the record there is not what it knows.
    Displaced,
    /// None does: undrift observes only when a person runs it.
    Absent,
    /// That cannot be determined.
    NotKnown,
}

impl Watcher {
    /// Determines it. The lock also reveals a daemon that hangs; the socket reveals one in another container, whose lock the
    /// kernel does not show here.
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        if Displaced::of(dir).is_some() {
            return Self::Displaced;
        }
        match LockState::of(dir) {
            LockState::Held(Some(holder)) if holder.verb == "run" => Self::Runs,
            _ if daemon::is_listening(dir) => Self::Runs,
            LockState::Held(Some(_)) | LockState::Free => Self::Absent,
            LockState::Held(None) | LockState::NotKnown(_) => Self::NotKnown,
        }
    }
}

/// A recorded object, with its present standing.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    /// The object, with the changes since the last observation.
    pub(crate) object: Object,
    /// The fault of its manifest on disk, if that one is not in effect.
    pub(crate) fault: Option<ManifestFault>,
    /// Why the shown status may be outdated; `None` if a daemon manages the object and has observed it recently.
    pub(crate) doubt: Option<Doubt>,
}

/// Why a status may be outdated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// No observation is recorded: the state is of an earlier version.
    NeverLooked,
    /// The last observation is older than twice the interval, though a daemon runs or may run.
    Late { age: TimeDelta },
    /// No daemon runs.
    Unwatched { age: TimeDelta },
    /// The last observation is in the future by this clock, which was set back since.
    Ahead { by: TimeDelta },
    /// The running daemon records elsewhere.
    Displaced { age: TimeDelta },
}

impl Standing {
    pub(crate) fn name(&self) -> &str {
        &self.object.declared.metadata.name
    }

    /// Whether undrift leaves the object alone while its manifest is invalid.
    pub(crate) fn is_held(&self) -> bool {
        let ready = self.object.status.conditions.iter().find(|c| c.kind == ConditionType::Ready);
        ready.is_some_and(|c| {
            c.status == ConditionStatus::Unknown && c.reason.is(StandingReason::ManifestInvalid)
        })
    }
}

/// The recorded objects with their present standing, by name.
///
/// # Errors
/// SQLite's error.
pub(crate) fn standings(store: &Store, watcher: Watcher, now: Time) -> Result<Vec<Standing>, StoreError> {
    let objects = current_objects(store, now)?.into_iter();
    Ok(objects.map(|current| standing(current, watcher, now)).collect())
}

fn standing(CurrentObject { object, fault }: CurrentObject, watcher: Watcher, now: Time) -> Standing {
    let doubt = doubt(&object, watcher, now);
    Standing { object, fault, doubt }
}

fn doubt(object: &Object, watcher: Watcher, now: Time) -> Option<Doubt> {
    let status = &object.status;
    let ready = status.conditions.iter().find(|condition| condition.kind == ConditionType::Ready);
    // The object is not managed, and nothing else is reported of it.
    if ready.is_some_and(|ready| ready.reason.is(StandingReason::NotManaged)) {
        return None;
    }
    let Some(at) = status.observed_at else {
        // An object that was never observed gets no verdict.
        let claims = ready.is_none_or(|ready| ready.status != ConditionStatus::Unknown);
        return claims.then_some(Doubt::NeverLooked);
    };
    let age = now - at;
    let limit = object.declared.spec.reconcile.interval.delta() * 2;
    if age < -limit {
        return Some(Doubt::Ahead { by: -age });
    }
    match watcher {
        Watcher::Absent => Some(Doubt::Unwatched { age }),
        Watcher::Displaced => Some(Doubt::Displaced { age }),
        Watcher::Runs | Watcher::NotKnown => (age > limit).then_some(Doubt::Late { age }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    fn looked(minutes_ago: i64) -> (Object, Time) {
        let (mut object, now) = (testing::object(), testing::start());
        object.status.observed_at = Some(now - TimeDelta::minutes(minutes_ago));
        (object, now)
    }

    #[test]
    fn a_look_is_late_after_twice_the_interval_and_in_doubt_without_a_daemon() {
        for (minutes, watcher, expected) in [
            (10, Watcher::Runs, None),
            (11, Watcher::Runs, Some(Doubt::Late { age: TimeDelta::minutes(11) })),
            (11, Watcher::NotKnown, Some(Doubt::Late { age: TimeDelta::minutes(11) })),
            (0, Watcher::Absent, Some(Doubt::Unwatched { age: TimeDelta::zero() })),
            (-10, Watcher::Runs, None),
            (-11, Watcher::Runs, Some(Doubt::Ahead { by: TimeDelta::minutes(11) })),
            (-11, Watcher::Absent, Some(Doubt::Ahead { by: TimeDelta::minutes(11) })),
            (0, Watcher::Displaced, Some(Doubt::Displaced { age: TimeDelta::zero() })),
        ] {
            let (object, now) = looked(minutes);
            assert_eq!(doubt(&object, watcher, now), expected, "{minutes} minutes, {watcher:?}");
        }
        let (mut object, now) = looked(0);
        object.status.observed_at = None;
        assert_eq!(doubt(&object, Watcher::Runs, now), Some(Doubt::NeverLooked));
        object.status.conditions[0].status = ConditionStatus::Unknown;
        assert_eq!(doubt(&object, Watcher::Absent, now), None, "nothing is claimed of it");
        object.status.conditions[0].status = ConditionStatus::True;
        object.status.conditions[0].reason = StandingReason::NotManaged.into();
        assert_eq!(doubt(&object, Watcher::Absent, now), None, "it says already that nobody looks");
    }

    #[test]
    fn whether_a_daemon_runs_is_read_from_the_lock() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(Watcher::of(home.path()), Watcher::Absent);
        for (verb, watcher) in [("apply", Watcher::Absent), ("run", Watcher::Runs)] {
            let lock = crate::store::StateLock::acquire(home.path(), verb).unwrap();
            assert_eq!(Watcher::of(home.path()), watcher, "{verb}");
            drop(lock);
        }
    }
}

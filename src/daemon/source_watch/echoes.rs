//! Changes that come with each observation: a service that is asked for a route writes its log, and where that lies in a build
//! context or is mounted by itself, the observation would cause the next one.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
    time::{Duration, SystemTime},
};

/// A path that changed during so many observations in a row is taken for one that they change.
const ENOUGH: u32 = 3;

/// The most paths that are kept of an object. A burst of more is no echo.
const MOST_PATHS: usize = 64;

/// Which changes of which objects come with their observations.
#[derive(Debug, Default)]
pub(super) struct Echoes(HashMap<String, ObjectEchoes>);

#[derive(Debug, Default)]
struct ObjectEchoes {
    /// The paths that changed since the last observation began, and when they did last.
    changed: BTreeMap<PathBuf, SystemTime>,
    /// During how many observations in a row a path has changed.
    in_a_row: BTreeMap<PathBuf, u32>,
    /// The paths that changed since the last trigger.
    pending: BTreeSet<PathBuf>,
    /// Since then something else happened, or more than is kept.
    has_other: bool,
}

impl Echoes {
    /// These paths of an object have changed.
    pub(super) fn note(&mut self, object: &str, paths: &[PathBuf], at: SystemTime) {
        let own = self.0.entry(object.to_owned()).or_default();
        for path in paths {
            let is_kept = |len: usize, has: bool| has || len < MOST_PATHS;
            if is_kept(own.changed.len(), own.changed.contains_key(path)) {
                own.changed.insert(path.clone(), at);
            }
            if is_kept(own.pending.len(), own.pending.contains(path)) {
                own.pending.insert(path.clone());
            } else {
                own.has_other = true;
            }
        }
    }

    /// Something of an object may have changed of which no path is known.
    pub(super) fn note_other(&mut self, object: &str) {
        self.0.entry(object.to_owned()).or_default().has_other = true;
    }

    /// An observation of the object that began then has ended.
    pub(super) fn observed(&mut self, object: &str, began: SystemTime) {
        let Some(own) = self.0.get_mut(object) else { return };
        // Those after it stay: the next observation may have begun before this one is reported.
        own.changed.retain(|_, at| *at >= began);
        let before = std::mem::take(&mut own.in_a_row);
        let count = |path: &PathBuf| before.get(path).copied().unwrap_or_default().saturating_add(1);
        own.in_a_row = own.changed.keys().map(|path| (path.clone(), count(path))).collect();
    }

    /// Takes what has changed since the last trigger. If all of it changes with each observation, returns how many times as long
    /// as otherwise the next one is to wait: each time twice as long.
    pub(super) fn take(&mut self, object: &str) -> Option<u32> {
        let own = self.0.get_mut(object)?;
        let (pending, has_other) = (std::mem::take(&mut own.pending), std::mem::take(&mut own.has_other));
        if has_other {
            return None;
        }
        let counts = pending.iter().map(|path| own.in_a_row.get(path).copied().unwrap_or_default());
        let beyond = counts.min()?.checked_sub(ENOUGH)?;
        Some(2_u32.saturating_pow(beyond.saturating_add(1)))
    }

    pub(super) fn forget(&mut self, object: &str) {
        self.0.remove(object);
    }
}

/// How long a trigger waits that is such a change alone.
pub(super) fn wait(times: u32, every: Duration, at_most: Duration) -> Duration {
    every.saturating_mul(times).min(at_most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(second)
    }

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    /// Observations of `shop` until this one, each with a change of the log in it.
    fn echoing(observations: u64) -> Echoes {
        let mut echoes = Echoes::default();
        for second in 1..=observations {
            echoes.note("shop", &paths(&["log"]), at(second));
            echoes.observed("shop", at(second));
        }
        echoes
    }

    #[test]
    fn what_changes_during_three_observations_in_a_row_waits_ever_longer() {
        let waits = (0..12).map(|observations| echoing(observations).take("shop"));
        let first = [None, None, None, Some(2), Some(4), Some(8), Some(16)];
        assert_eq!(waits.take(7).collect::<Vec<_>>(), first);
        let (every, most) = (Duration::from_secs(30), Duration::from_secs(300));
        assert_eq!([2, 8, 16].map(|times| wait(times, every, most).as_secs()), [60, 240, 300]);
        assert_eq!(wait(echoing(100).take("shop").unwrap(), every, most), most);
    }

    #[test]
    fn an_observation_that_is_reported_late_takes_nothing_from_the_next_one() {
        let mut echoes = echoing(1);
        for second in 2..=3 {
            echoes.note("shop", &paths(&["log"]), at(second));
            echoes.note("shop", &paths(&["log"]), at(second + 1));
            echoes.observed("shop", at(second));
        }
        assert!(echoes.take("shop").is_some());
    }

    #[test]
    fn any_other_change_is_no_echo() {
        let mut echoes = echoing(5);
        echoes.note("shop", &paths(&["log", "app.js"]), at(6));
        assert_eq!(echoes.take("shop"), None, "a file that somebody edits");
        echoes.note("shop", &paths(&["log"]), at(7));
        assert!(echoes.take("shop").is_some());
        echoes.note("shop", &paths(&["log"]), at(8));
        echoes.note_other("shop");
        assert_eq!(echoes.take("shop"), None, "something of which no path is known");
        assert_eq!(echoes.take("shop"), None, "nothing");
        let many: Vec<PathBuf> = (0..1000).map(|number| PathBuf::from(number.to_string())).collect();
        for second in 10..20 {
            echoes.note("shop", &many, at(second));
            echoes.observed("shop", at(second));
            assert_eq!(echoes.take("shop"), None, "more than is kept");
        }
        assert_eq!(echoing(5).take("bank"), None);
        let mut forgotten = echoing(5);
        forgotten.forget("shop");
        forgotten.note("shop", &paths(&["log"]), at(6));
        assert_eq!(forgotten.take("shop"), None);
    }

    #[test]
    fn an_observation_during_which_it_keeps_still_ends_it() {
        for (changed, began) in [(None, 7), (Some(6), 7)] {
            let mut echoes = echoing(5);
            echoes.take("shop");
            if let Some(changed) = changed {
                echoes.note("shop", &paths(&["log"]), at(changed));
            }
            echoes.observed("shop", at(began));
            echoes.note("shop", &paths(&["log"]), at(8));
            assert_eq!(echoes.take("shop"), None, "changed at {changed:?}");
        }
    }
}

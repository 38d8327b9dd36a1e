//! When steps of this process ran: anything created or removed on a Compose project then is not external activity.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    sync::{Mutex, PoisonError},
};

use super::compose_up::WAITS_AT_MOST;

/// The recent steps, in seconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OwnSteps(pub(crate) Vec<RangeInclusive<i64>>);

impl OwnSteps {
    /// Whether one of them ran at that time.
    pub(crate) fn covers(&self, at: i64) -> bool {
        self.0.iter().any(|ran| ran.contains(&at))
    }
}

/// The steps by project.
#[derive(Debug, Default)]
pub(crate) struct OwnActivity(Mutex<BTreeMap<String, OwnSteps>>);

impl OwnActivity {
    /// Forgets steps that ended too long ago to matter.
    pub(crate) fn note(&self, project: &str, ran: RangeInclusive<i64>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let OwnSteps(steps) = all.entry(project.to_owned()).or_default();
        steps.retain(|earlier| ran.end() - earlier.end() < WAITS_AT_MOST);
        steps.push(ran);
    }

    /// The steps on the project.
    pub(crate) fn on(&self, project: &str) -> OwnSteps {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(project).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_step_does_not_make_someone_elses_of_an_earlier_one() {
        let activity = OwnActivity::default();
        activity.note("p", 100..=105);
        activity.note("p", 110..=111);
        activity.note("q", 107..=107);
        let own = activity.on("p");
        let covered: Vec<i64> = (99..=112).filter(|at| own.covers(*at)).collect();
        assert_eq!(covered, [100, 101, 102, 103, 104, 105, 110, 111]);
        activity.note("p", 900..=901);
        assert_eq!(activity.on("p"), OwnSteps(vec![900..=901]), "what is long over is forgotten");
    }
}

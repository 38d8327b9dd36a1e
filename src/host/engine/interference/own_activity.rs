//! When steps of this process ran: what was created or removed on a Compose project then is nobody else's work.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    sync::{Mutex, PoisonError},
};

use super::{Engine, compose_up::WAITS_AT_MOST};

/// The steps of some time, in seconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::host::engine) struct OwnSteps(pub(in crate::host::engine) Vec<RangeInclusive<i64>>);

impl OwnSteps {
    /// Whether one of them ran at that time.
    pub(in crate::host::engine) fn covers(&self, at: i64) -> bool {
        self.0.iter().any(|ran| ran.contains(&at))
    }
}

/// The steps by project.
#[derive(Debug, Default)]
pub(in crate::host::engine) struct OwnActivity(Mutex<BTreeMap<String, OwnSteps>>);

impl OwnActivity {
    /// What ended so long ago that nothing is asked about it any more is forgotten.
    fn note(&self, project: &str, ran: RangeInclusive<i64>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let OwnSteps(steps) = all.entry(project.to_owned()).or_default();
        steps.retain(|earlier| ran.end() - earlier.end() < WAITS_AT_MOST);
        steps.push(ran);
    }
}

impl Engine {
    /// Says when a step of this process ran on a Compose project, in seconds since 1970: what was created there then
    /// is nobody else's work.
    pub fn note_own_step(&self, project: &str, ran: RangeInclusive<i64>) {
        self.own_activity.note(project, ran);
    }

    /// When steps of this process ran on the project lately.
    pub(in crate::host::engine) fn own_steps_on(&self, project: &str) -> OwnSteps {
        let all = self.own_activity.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(project).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::endpoint::Endpoint;

    #[test]
    fn a_later_step_does_not_make_someone_elses_of_an_earlier_one() {
        let engine = Engine::new(Endpoint::Unix("/none".into()));
        engine.note_own_step("p", 100..=105);
        engine.note_own_step("p", 110..=111);
        engine.note_own_step("q", 107..=107);
        let own = engine.own_steps_on("p");
        let covered: Vec<i64> = (99..=112).filter(|at| own.covers(*at)).collect();
        assert_eq!(covered, [100, 101, 102, 103, 104, 105, 110, 111]);
        engine.note_own_step("p", 900..=901);
        assert_eq!(engine.own_steps_on("p"), OwnSteps(vec![900..=901]), "what is long over is forgotten");
    }
}

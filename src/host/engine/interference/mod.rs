//! The requests to the engine that show whether somebody else works on a Compose project, and the removal of a killed command's
//! leftovers. [`interference`](crate::interference) judges the answers.

mod compose_down;
mod compose_up;
mod leftovers;

use std::ops::RangeInclusive;

use super::{Engine, EngineError, containers, request};
use crate::interference::OwnSteps;

impl Engine {
    /// Records when a step of this process ran on a Compose project, in seconds since 1970: containers created then are nobody
    /// else's work.
    pub fn note_own_step(&self, project: &str, ran: RangeInclusive<i64>) {
        self.own_activity.note(project, ran);
    }

    /// When steps of this process recently ran on the project.
    pub(in crate::host::engine) fn own_steps_on(&self, project: &str) -> OwnSteps {
        self.own_activity.on(project)
    }
}

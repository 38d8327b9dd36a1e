//! What is asked of the engine to see whether somebody else is at work on a Compose project, and what clears away what a killed
//! command has left there. What it means is judged in [`interference`](crate::interference).

mod compose_down;
mod compose_up;
mod leftovers;

use std::ops::RangeInclusive;

use super::{Engine, EngineError, containers, request};
use crate::interference::OwnSteps;

impl Engine {
    /// Says when a step of this process ran on a Compose project, in seconds since 1970: what was created there then
    /// is nobody else's work.
    pub fn note_own_step(&self, project: &str, ran: RangeInclusive<i64>) {
        self.own_activity.note(project, ran);
    }

    /// When steps of this process ran on the project lately.
    pub(in crate::host::engine) fn own_steps_on(&self, project: &str) -> OwnSteps {
        self.own_activity.on(project)
    }
}

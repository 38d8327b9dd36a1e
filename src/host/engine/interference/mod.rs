//! What somebody else does to a Compose project at the same time, and what a killed command has left there.

pub(super) mod compose_down;
pub(super) mod compose_up;
pub(super) mod leftovers;
pub(super) mod own_activity;

use super::{Engine, EngineError, containers, request, stop};

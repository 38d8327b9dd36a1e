//! What is worth saying of a service that is no drift.

use crate::api::{Note, ServiceObservation};

/// The notes on one service.
pub(super) const fn notes(_: &ServiceObservation) -> Vec<Note> {
    Vec::new()
}

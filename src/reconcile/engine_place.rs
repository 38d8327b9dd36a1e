//! A status belongs to an engine. Everything known of an object (its status, its incident, its attempts, its verifications) was
//! observed on one engine and means nothing on another: a caller whose `DOCKER_HOST` or docker context leads elsewhere is
//! refused before any step, and writes nothing into the record.
//!
//! The alternative was a status per engine. It would need incidents, attempts and rates per engine as well, or the trail of
//! one host would have steps on another; a state folder per engine provides all of that already.

use super::{ReconcileError, Reconciler};
use crate::{
    api::{Desired, ProjectObservation},
    host::{Host, HostError},
    store::{EnginePlace, Store},
};

impl<H: Host> Reconciler<H> {
    /// Refuses an engine other than the recorded one, and records the first.
    pub(super) fn stay_at_engine(
        &self,
        desired: &Desired,
        observed: &ProjectObservation,
    ) -> Result<(), ReconcileError> {
        let (name, here) = (desired.name(), place(&*self.host, observed));
        let Some(recorded) = self.store.engine_place(name)? else {
            return Ok(self.store.keep_engine_place(name, &here)?);
        };
        if !recorded.is_same_place(&here) {
            return Err(other_engine(name, &recorded, &here).into());
        }
        if let (Some(before), Some(now)) = (&recorded.id, &here.id)
            && before != now
        {
            tracing::warn!(
                object = name,
                before,
                now,
                "another engine has taken the place of the one before"
            );
        }
        // An engine that once does not report its ID counts as the recorded one.
        Ok(self.store.keep_engine_place(name, &EnginePlace { id: here.id.or(recorded.id), ..here })?)
    }
}

/// The observed engine.
pub(super) fn place(host: &impl Host, observed: &ProjectObservation) -> EnginePlace {
    EnginePlace { id: observed.engine.clone(), endpoint: host.endpoint() }
}

/// Whether the recorded status belongs to the engine at this address, so that a failure there concerns that object. If the
/// state cannot be read, nothing can be recorded either.
#[must_use]
pub fn is_record_of(store: &Store, name: &str, endpoint: &str) -> bool {
    !matches!(store.engine_place(name), Ok(Some(place)) if place.endpoint != endpoint)
}

fn other_engine(object: &str, recorded: &EnginePlace, here: &EnginePlace) -> HostError {
    HostError::OtherEngine { object: object.to_owned(), recorded: in_words(recorded), here: in_words(here) }
}

/// An engine for people.
pub(super) fn in_words(place: &EnginePlace) -> String {
    match &place.id {
        Some(id) => format!("{id} at {}", place.endpoint),
        None => format!("at {}", place.endpoint),
    }
}

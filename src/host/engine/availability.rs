//! Whether the engine has only just started.
//!
//! An engine answers before it has run its restart policies (20.10), and after a crash an `unless-stopped` container may stay
//! exited for good. For a short while after a start, a container that does not run is therefore no drift yet.
//!
//! No API reports when an engine started. Two signs do, and neither can claim a start that did not happen:
//!
//! - The engine recreates the default network `bridge` at each start, before it starts any container, and nobody else can
//!   remove or create it (measured here: 1.5 s after the process began). With `live-restore` and containers that lived on, it
//!   stays as old as it was, and so do they. The sign works over TCP and without root, but not for an engine that is configured
//!   to have no such network.
//! - This process saw the engine unavailable, and it is back. The cause may be a network that was cut, or an overloaded engine:
//!   then waiting costs a few seconds.

use std::sync::{Mutex, PoisonError};

use bollard::query_parameters::InspectNetworkOptions;
use chrono::TimeDelta;

use super::{Engine, EngineError, containers::time, request::EngineRequest};
use crate::{api::Time, interference::ContainerRow};

/// How long a started engine gets to start its containers.
const GRACE: TimeDelta = TimeDelta::seconds(10);

/// The engine's outages that this process has seen.
#[derive(Debug, Default)]
pub(super) struct EngineAvailability(Mutex<Outage>);

#[derive(Debug, Clone, Copy, Default)]
struct Outage {
    away: bool,
    back_at: Option<Time>,
}

impl EngineAvailability {
    /// Records whether the engine answered.
    pub(super) fn note(&self, answered: bool, now: Time) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if answered && seen.away {
            seen.back_at = Some(now);
        }
        seen.away = !answered;
    }

    fn back_at(&self) -> Option<Time> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).back_at
    }
}

/// Whether an engine that came up at one of these times may still be starting containers, in words.
fn sign(back_at: Option<Time>, bridge: Option<Time>, now: Time) -> Option<String> {
    // A clock of the engine's host that is ahead of this one must not make it wait forever.
    let fresh = |at: &Time| (now - *at).abs() < GRACE;
    let since = |at: Time| (now - at).num_seconds().max(0);
    let what = match (bridge.filter(fresh), back_at.filter(fresh)) {
        (Some(at), _) => format!("the engine started {} s ago", since(at)),
        (None, Some(at)) => format!("the engine was away and is back since {} s", since(at)),
        (None, None) => return None,
    };
    Some(format!("{what}: it may not have started all that it is to run"))
}

impl Engine {
    /// The sign that the engine has only just started. undrift asks for it only if a container ran once and does not run now,
    /// because a restart policy can repair nothing else: a host on which everything runs costs no request.
    pub(super) async fn just_started(&self, rows: &[ContainerRow]) -> Result<Option<String>, EngineError> {
        if rows.iter().all(|row| row.is_running() || row.never_started()) {
            return Ok(None);
        }
        let request = EngineRequest::get("networks/bridge");
        let bridge = self
            .ask(&request, async |docker| {
                docker.inspect_network("bridge", None::<InspectNetworkOptions>).await
            })
            .await;
        let bridge = match bridge {
            Ok(network) => time(&request.required("Created", network.created)?),
            Err(EngineError::NotFound(_)) => None,
            Err(error) => return Err(error),
        };
        Ok(sign(self.presence.back_at(), bridge, chrono::Utc::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Time {
        chrono::DateTime::from_timestamp(1_767_225_600 + seconds, 0).unwrap()
    }

    #[test]
    fn only_an_engine_that_was_away_is_back() {
        let presence = EngineAvailability::default();
        for (answered, second, back_at) in [
            (true, 0, None),
            (true, 1, None),
            (false, 2, None),
            (false, 3, None),
            (true, 4, Some(at(4))),
            (true, 5, Some(at(4))),
            (false, 6, Some(at(4))),
            (true, 7, Some(at(7))),
        ] {
            presence.note(answered, at(second));
            assert_eq!(presence.back_at(), back_at, "{second}");
        }
    }

    #[test]
    fn an_engine_is_given_a_short_while_from_either_sign() {
        let text = |back, bridge, now| sign(back, bridge, at(now)).unwrap_or_default();
        assert!(text(None, Some(at(0)), 3).starts_with("the engine started 3 s ago"));
        assert!(
            text(Some(at(0)), Some(at(-9_000)), 9).starts_with("the engine was away and is back since 9 s")
        );
        assert_eq!(text(Some(at(0)), Some(at(0)), 10), "");
        assert_eq!(text(None, None, 3), "");
        assert_eq!(text(None, Some(at(3_600)), 3), "", "a clock that goes ahead");
    }
}

//! Whether a drift continues the last incident: flapping is one incident with a count, however often it was repaired or given
//! up in between.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use crate::api::{Drift, DriftReason, Layer, Time};

/// An object's last, closed incident, reduced to what later incidents depend on.
#[derive(Debug, Clone, PartialEq)]
pub struct EndedIncident {
    /// Its ID.
    pub id: String,
    /// The services that drifted in it, or were not healthy at its end.
    pub services: BTreeMap<String, AfterIncident>,
}

/// The state of a service after an incident.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AfterIncident {
    /// Its drifts, at any time in the incident: see [`Drift::class`].
    pub drifted: BTreeSet<(Layer, DriftReason)>,
    /// The drift that it was given up with.
    pub given_up: Option<(Layer, DriftReason)>,
    /// When it was verified, at the end of the incident or later; `None` if it was not yet.
    pub well_since: Option<Time>,
}

impl EndedIncident {
    /// Whether the service was not healthy when the incident was given up, and has not been verified since.
    #[must_use]
    pub fn is_ill(&self, service: &str) -> bool {
        self.services.get(service).is_some_and(|after| after.well_since.is_none())
    }

    /// Whether all of these drifts were given up and have lasted since: nothing new is recorded.
    #[must_use]
    pub fn lasts(&self, drifts: &[(String, Drift)]) -> bool {
        drifts.iter().all(|(service, drift)| self.of(service).is_some_and(|after| after.lasts(drift)))
    }

    /// Whether the present drifts continue the incident: every new drift is one of the incident's, or there is no new one.
    /// `within` is how long a service must be healthy until its next failure is a new matter.
    #[must_use]
    pub fn recurs(&self, drifts: &[(String, Drift)], now: Time, within: TimeDelta) -> bool {
        let mut news = drifts
            .iter()
            .map(|(service, drift)| (self.of(service), drift))
            .filter(|(after, drift)| !after.is_some_and(|after| after.lasts(drift)))
            .peekable();
        news.peek().is_none()
            || news.any(|(after, drift)| after.is_some_and(|after| after.is_again(drift, now, within)))
    }

    fn of(&self, service: &str) -> Option<&AfterIncident> {
        self.services.get(service)
    }
}

impl AfterIncident {
    fn lasts(&self, drift: &Drift) -> bool {
        self.well_since.is_none() && self.given_up == Some(drift.class())
    }

    /// A service that was not verified since has never stopped drifting, however long ago it was given up: its next step may wait
    /// for a day. If the clock was set back, a verification in the future counts as just now.
    fn is_again(&self, drift: &Drift, now: Time, within: TimeDelta) -> bool {
        self.drifted.contains(&drift.class()) && self.well_since.is_none_or(|since| now - since < within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fixtures::at;

    fn drift(service: &str, layer: Layer, reason: DriftReason) -> (String, Drift) {
        (service.to_owned(), Drift { layer, reason, message: "in words".into() })
    }

    fn died(service: &str) -> (String, Drift) {
        drift(service, Layer::Container, DriftReason::NotRunning)
    }

    fn ended(service: &str, after: AfterIncident) -> EndedIncident {
        EndedIncident { id: "01J".into(), services: [(service.to_owned(), after)].into() }
    }

    const DEAD: (Layer, DriftReason) = (Layer::Container, DriftReason::NotRunning);

    fn within() -> TimeDelta {
        TimeDelta::minutes(10)
    }

    #[test]
    fn what_was_well_recurs_within_the_window_and_is_a_new_matter_after_it() {
        let after = AfterIncident { drifted: [DEAD].into(), given_up: None, well_since: Some(at(1000)) };
        let ended = ended("api", after);
        let route = drift("api", Layer::Route, DriftReason::Absent);
        let other = drift("api", Layer::Container, DriftReason::Missing);
        let unhealthy = drift("api", Layer::Container, DriftReason::Unhealthy);
        for (drifts, later, recurs) in [
            (vec![died("api")], 60, true),
            (vec![died("api")], 599, true),
            (vec![died("api")], -3600, true),
            (vec![died("api")], 600, false),
            (vec![died("web")], 60, false),
            (vec![route.clone()], 60, false),
            (vec![other], 60, true),
            (vec![unhealthy], 60, false),
            (vec![route, died("api")], 60, true),
        ] {
            assert_eq!(ended.recurs(&drifts, at(1000 + later), within()), recurs, "{drifts:?} {later}");
            assert!(!ended.lasts(&drifts) && !ended.is_ill("api"));
        }
    }

    #[test]
    fn what_was_given_up_and_never_verified_since_recurs_however_late_its_next_step_comes() {
        let after = AfterIncident {
            drifted: [(Layer::Artifact, DriftReason::ModuleMissing)].into(),
            given_up: Some(DEAD),
            well_since: None,
        };
        let ended = ended("api", after);
        let missing = drift("api", Layer::Artifact, DriftReason::ModuleMissing);
        for (drift, lasts) in [(died("api"), true), (missing, false)] {
            assert!(ended.recurs(std::slice::from_ref(&drift), at(1_000_000), within()), "{drift:?}");
            assert_eq!(ended.lasts(std::slice::from_ref(&drift)), lasts, "{drift:?}");
        }
        assert!(ended.is_ill("api") && !ended.is_ill("web"));
    }

    #[test]
    fn a_drift_beside_a_lasting_one_decides_whether_it_is_another_incident() {
        let ill = AfterIncident { drifted: [DEAD].into(), given_up: Some(DEAD), well_since: None };
        let well = AfterIncident { drifted: [DEAD].into(), given_up: None, well_since: Some(at(0)) };
        let ended = EndedIncident {
            id: "01J".into(),
            services: [("api".to_owned(), ill), ("web".to_owned(), well)].into(),
        };
        for (drifts, later, recurs) in [
            (vec![died("api")], 1_000_000, true),
            (vec![died("api"), died("web")], 60, true),
            (vec![died("api"), died("web")], 600, false),
            (vec![died("api"), died("db")], 60, false),
            (vec![died("web"), died("db")], 60, true),
        ] {
            assert_eq!(ended.recurs(&drifts, at(later), within()), recurs, "{drifts:?} {later}");
            assert_eq!(ended.lasts(&drifts), drifts.len() == 1, "{drifts:?}: the others are news");
        }
    }

    #[test]
    fn answers_for_which_nothing_but_waiting_is_done_are_one_trouble() {
        let refused = drift("api", Layer::Route, DriftReason::Unreachable);
        let after =
            AfterIncident { drifted: [refused.1.class()].into(), given_up: None, well_since: Some(at(0)) };
        let other = drift("api", Layer::Route, DriftReason::UnexpectedStatus);
        assert!(ended("api", after).recurs(&[other], at(60), within()));
    }
}

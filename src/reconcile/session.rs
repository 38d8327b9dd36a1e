//! The memory of one series of reconciles.

use std::collections::BTreeSet;

use super::restart_history::RestartHistory;
use crate::{
    api::{Drift, DriftReason, Layer, ProjectObservation, Time},
    decide::{Decision, Diagnosis, Identity, StabilityWindow, identities},
};

/// The memory of one series of reconciles. Losing it costs a little time, never correctness.
#[derive(Debug, Clone)]
pub struct Session {
    /// When the series began, or when it became quiet.
    pub(super) since: Time,
    /// How often each container has recently died.
    pub(super) restart_history: RestartHistory,
    /// The builds whose images were not observed yet.
    pub(super) builds: Vec<PendingBuild>,
    /// Messages that were reported already while waiting, so that each is reported once.
    pub(super) reported: BTreeSet<String>,
    /// The stability window of services that became as declared while others were verified.
    pub(super) stability: Option<StabilityWindow>,
    /// The fingerprint when there was nothing left to do.
    settled: Option<Vec<ServiceFingerprint>>,
    /// When the series began, whether it was quiet then or not.
    pub(super) begun: Time,
    /// Whether a first observation was made.
    has_looked: bool,
}

/// The fingerprint of a service: its drift, whether something of it is unknown, and its containers.
type ServiceFingerprint = (String, Option<(Layer, DriftReason)>, bool, Vec<Identity>);

/// A service's build that has just ended.
#[derive(Debug, Clone)]
pub(super) struct PendingBuild {
    pub(super) service: String,
    /// The build context's digest before the build began.
    pub(super) digest: String,
    /// The image that the reference named before.
    pub(super) image_before: Option<String>,
    /// Whether the command as a whole succeeded.
    pub(super) succeeded: bool,
}

impl Session {
    /// A series that begins now.
    #[must_use]
    pub fn new(now: Time) -> Self {
        Self {
            since: now,
            restart_history: RestartHistory::default(),
            builds: Vec::new(),
            reported: BTreeSet::new(),
            stability: None,
            settled: None,
            begun: now,
            has_looked: false,
        }
    }

    /// When the series began.
    #[cfg(test)]
    pub(crate) fn began(&self) -> Time {
        self.begun
    }

    /// The series that begins when this one is given up: only builds that were not observed yet carry over, or their source
    /// would remain unknown.
    #[must_use]
    pub fn restart(self, now: Time) -> Self {
        Self { builds: self.builds, ..Self::new(now) }
    }

    /// Notes an observation. undrift waits for conditions that may pass from the end of the first observation on, which may
    /// take longer than all others: the caches are still empty.
    pub(super) fn note(&mut self, observed: &ProjectObservation, now: Time) {
        if !std::mem::replace(&mut self.has_looked, true) {
            (self.since, self.begun) = (now, now);
        }
        self.restart_history.note(observed, now);
        self.note_quiet(observed, now);
    }

    /// Notes that nothing is left to do in this state.
    pub(super) fn settle(&mut self, observed: &ProjectObservation, decision: &Decision) {
        self.settled = Some(fingerprint(observed, decision));
    }

    /// Notes that undrift gave up verifying services that are as declared. The next observation starts another series, to
    /// verify whatever has become steady since.
    pub(super) fn give_up_verifying(&mut self) {
        self.settled = Some(Vec::new());
    }

    /// Begins a new series if the fingerprint differs from when there was nothing left to do: services that changed since
    /// get their time to become as declared, however long ago undrift began to observe. Unchanged services do not: otherwise
    /// each resync would watch a drift again that was given up.
    pub(super) fn reset_if_changed(
        &mut self,
        observed: &ProjectObservation,
        decision: &Decision,
        now: Time,
    ) -> bool {
        let changed =
            self.settled.as_ref().is_some_and(|settled| *settled != fingerprint(observed, decision));
        if changed {
            let (builds, restart_history) =
                (std::mem::take(&mut self.builds), std::mem::take(&mut self.restart_history));
            *self = Self { builds, restart_history, has_looked: true, ..Self::new(now) };
        }
        changed
    }

    /// During external activity, or while the engine is only just starting, the time that a repair may take does not run.
    fn note_quiet(&mut self, observed: &ProjectObservation, now: Time) {
        if observed.external_activity.is_some() {
            self.since = now;
        }
    }
}

fn fingerprint(observed: &ProjectObservation, decision: &Decision) -> Vec<ServiceFingerprint> {
    let of = |diagnosis: &Diagnosis| {
        let seen = observed.service(&diagnosis.service);
        let drift = diagnosis.drift.as_ref().map(Drift::class);
        let identities = seen.map(identities).unwrap_or_default();
        (diagnosis.service.clone(), drift, diagnosis.unknown.is_some(), identities)
    };
    decision.services.iter().map(of).collect()
}

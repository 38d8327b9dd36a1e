//! The verification: observations over the whole stability window, all of them as declared, with the same containers.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::{
    Action, ReconcileError, Reconciler, Session, journal::Journal, object, reconcile_once::ReconcileOutcome,
    snapshot::Snapshot, transitions::Transitions,
};
use crate::{
    api::{Attempt, Event},
    decide::{
        self, Candidate, LONGEST_PAUSE, Next, StabilityWindow, WindowVerdict, identities, unlike_before,
    },
    host::Host,
    store::ImageKnowledge,
};

impl<H: Host> Reconciler<H> {
    /// Observes for the stability window, and records what that verifies. `begun` is the part of a window that the previous
    /// reconcile left.
    pub(super) async fn verify(
        &self,
        first: Snapshot<'_>,
        services: &[String],
        begun: Option<StabilityWindow>,
        session: &mut Session,
    ) -> Result<ReconcileOutcome, ReconcileError> {
        let (desired, window) = (first.desired, first.desired.object.spec.reconcile.verify.stable_for.get());
        let mut stability = StabilityWindow::resume(begun, first.looked, window);
        let last = self.watch(first, services, &mut stability, session).await?;
        if !(self.is_current)(desired) {
            return Ok(Self::ended(&last, Action::Again));
        }
        let mut verified = last.still_verified();
        for (candidate, verdict) in stability.verdicts(window) {
            let service = &candidate.service;
            match verdict {
                WindowVerdict::Verified => {
                    self.record(&last, candidate)?;
                    verified.push(service.clone());
                }
                WindowVerdict::Failed(why) => {
                    tracing::info!(service, why, "not verified");
                    if session.reported.insert(format!("{service}: {why}")) {
                        self.emit(desired, Event::NotVerified { service: service.clone(), why: why.into() });
                    }
                }
            }
        }
        session.stability = stability.rest(window);
        let status = last.status(&verified, &Transitions::new());
        let object = object(desired, status);
        self.store.save_object(&object)?;
        let action = if self.stop.is_cancelled() { Action::Rest } else { Action::Again };
        Ok(ReconcileOutcome { object, reconciled: false, ..Self::ended(&last, action) })
    }

    /// Observes until the window of these services is over, one of them fails, or something else has priority: a step for
    /// another service, shutdown, another spec. Returns the last observation.
    ///
    /// A service that becomes as declared meanwhile is verified along with them, or each slow server would cost a whole
    /// further window; its failure ends nothing.
    async fn watch<'d>(
        &self,
        first: Snapshot<'d>,
        services: &[String],
        stability: &mut StabilityWindow,
        session: &mut Session,
    ) -> Result<Snapshot<'d>, ReconcileError> {
        let (desired, window) = (first.desired, first.desired.object.spec.reconcile.verify.stable_for.get());
        let journal = Journal { store: &self.store, object: desired.name() };
        let begins = |new: Vec<String>| {
            if !new.is_empty() {
                let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
                self.emit(desired, Event::Verifying { services: new, window_ms });
            }
        };
        let tolerance = desired.object.spec.reconcile.verify.timeout.get();
        stability.add(&first.observed, &first.decision.services, first.looked, tolerance);
        begins(stability.join(services, &first.observed, true, Instant::now()));
        let mut last = first;
        while !stability.is_over(window) {
            self.pause(stability.pause(window, Instant::now()).max(last.limited_for().min(LONGEST_PAUSE)))
                .await;
            if self.stop.is_cancelled() || !(self.is_current)(desired) {
                break;
            }
            last = Box::pin(self.snapshot(desired, session)).await?;
            // A drift within the window is recorded, even if it has passed by the next observation.
            journal.open_incident(&mut last, &self.events)?;
            // Its service must be verified again, even if the same containers were verified before.
            if last.decision.services.iter().any(|d| d.drift.is_some()) && (self.is_current)(desired) {
                self.save(&last, &Transitions::new())?;
            }
            stability.add(&last.observed, &last.decision.services, last.looked, tolerance);
            match &last.decision.next {
                Next::Verify(also) => begins(stability.join(also, &last.observed, false, Instant::now())),
                Next::Execute(_) => break,
                _ => {}
            }
        }
        Ok(last)
    }

    async fn pause(&self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.stop.cancelled() => {}
        }
    }

    fn record(&self, snapshot: &Snapshot<'_>, verified: &Candidate) -> Result<(), ReconcileError> {
        let service = verified.service.as_str();
        let Some(seen) = snapshot.observed.service(service) else { return Ok(()) };
        if let Some(Some(id)) = seen.artifact.image.known() {
            let known = self.store.image(id)?;
            self.store.save_image(&ImageKnowledge {
                id: id.clone(),
                reference: seen.artifact.reference.clone(),
                source_digest: known.as_ref().and_then(|image| image.source_digest.clone()),
                built_by_undrift: known.is_some_and(|image| image.built_by_undrift),
                last_good_at: Some((self.clock)()),
            })?;
        }
        let rows = self.store.attempts(snapshot.desired.name())?;
        let rows: Vec<Attempt> =
            decide::after_verification(snapshot.history.incident.as_ref(), service, &rows).collect();
        let containers: Vec<String> =
            identities(seen).into_iter().map(|identity| identity.container).collect();
        let incident = snapshot.history.incident.as_ref();
        let before = incident.and_then(|open| open.before.service(service));
        let mut evidence = json!({
            "looks": verified.looks,
            "heldMs": u64::try_from(StabilityWindow::held(verified).as_millis()).unwrap_or(u64::MAX),
            "containers": containers,
            "changedByRepair": before.is_some_and(|before| unlike_before(before, seen))
                && incident.is_some_and(|open| open.has_brought_up(service))
                || incident.is_some_and(|open| open.has_reloaded(service)),
        });
        let mut diagnoses = snapshot.decision.services.iter();
        let not_known = diagnoses.find(|d| d.service == service).and_then(|d| d.unverifiable.as_ref());
        if let Some(unknown) = not_known {
            evidence["notKnown"] = json!(unknown.message);
        }
        let journal = Journal { store: &self.store, object: snapshot.desired.name() };
        let image = seen.artifact.image.known().cloned().flatten();
        if journal.verified(snapshot, (service, image.as_ref()), evidence, &rows)? {
            self.emit(snapshot.desired, Event::Verified { service: service.to_owned(), image });
        }
        Ok(())
    }
}

//! The proof: looks over the whole stability window, all of them as declared, at the same containers.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::{
    Action, Progress, ReconcileError, Reconciler, Session, journal::Journal, object, scene::Scene,
    transitions::Transitions, turn::Turn,
};
use crate::{
    api::Attempt,
    decide::{Proof, identities, judge, unlike_before},
    host::Host,
    store::ImageKnowledge,
};

/// The looks within one window, besides the first. More would only load the host.
const LOOKS_PER_WINDOW: u32 = 6;

impl<H: Host> Reconciler<'_, H> {
    /// Looks on for the stability window. Ends at the first look that is not as declared.
    pub(super) async fn prove(
        &self,
        first: Scene<'_>,
        services: &[String],
        session: &mut Session,
    ) -> Result<Turn, ReconcileError> {
        let window = first.desired.object.spec.reconcile.verify.stable_for.get();
        let desired = first.desired;
        (self.progress)(desired, Progress::Proving { services, window });
        let began = Instant::now();
        let mut looks = vec![(first.observed.clone(), first.decision.services.clone())];
        let mut last = first;
        while (began.elapsed() < window || looks.len() < 3) && !self.stop.is_cancelled() {
            self.pause((window / LOOKS_PER_WINDOW).min(window.saturating_sub(began.elapsed()))).await;
            last = self.scene(desired, session).await?;
            looks.push((last.observed.clone(), last.decision.services.clone()));
            let held = |s: &String| last.decision.services.iter().any(|d| d.service == *s && d.as_declared());
            if !services.iter().all(held) {
                break;
            }
        }
        if !(self.is_current)(desired) {
            return Ok(Self::ended(&last, Action::Again));
        }
        // A drift within the window is told, also where it has passed by the next look.
        Journal { store: self.store, object: desired.name() }.open_incident(&mut last, self.progress)?;
        let mut proven = last.still_proven();
        for service in services {
            match judge(service, &looks) {
                Proof::Proven if began.elapsed() >= window => {
                    self.record(&last, service, looks.len(), began.elapsed())?;
                    proven.push(service.clone());
                }
                Proof::Proven => {}
                Proof::Unproven(why) => {
                    tracing::info!(service, why, "not proven");
                    if session.told.insert(format!("{service}: {why}")) {
                        (self.progress)(desired, Progress::NotProven { service, why: &why });
                    }
                }
            }
        }
        let status = last.status(&proven, &Transitions::new());
        let object = object(desired, status);
        self.store.save_object(&object)?;
        let action = if self.stop.is_cancelled() { Action::Rest } else { Action::Again };
        Ok(Turn { object, reconciled: false, ..Self::ended(&last, action) })
    }

    async fn pause(&self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.stop.cancelled() => {}
        }
    }

    fn record(
        &self,
        scene: &Scene<'_>,
        service: &str,
        looks: usize,
        held: Duration,
    ) -> Result<(), ReconcileError> {
        let Some(seen) = scene.observed.services.iter().find(|s| s.name == service) else { return Ok(()) };
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
        for row in self.store.attempts(scene.desired.name())? {
            if row.service == service && row.pending.is_some() {
                self.store.update_attempt(&Attempt { pending: None, healed: true, ..row })?;
            }
        }
        let containers: Vec<String> =
            identities(seen).into_iter().map(|identity| identity.container).collect();
        let incident = scene.history.incident.as_ref();
        let before = incident.and_then(|open| open.before.services.iter().find(|s| s.name == service));
        let evidence = json!({
            "looks": looks,
            "heldMs": u64::try_from(held.as_millis()).unwrap_or(u64::MAX),
            "containers": containers,
            "image": seen.artifact.image.known(),
            "changedByRepair": before.is_some_and(|before| unlike_before(before, seen)),
        });
        Journal { store: self.store, object: scene.desired.name() }.verified(scene, service, evidence)
    }
}

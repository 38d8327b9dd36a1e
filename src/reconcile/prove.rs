//! The proof: looks over the whole stability window, all of them as declared, at the same containers.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::{
    Action, Progress, ReconcileError, Reconciler, Session, journal::Journal, object, scene::Scene,
    transitions::Transitions, turn::Turn,
};
use crate::{
    api::{Desired, ProjectObservation},
    decide::{self, Diagnosis, LEAST_LOOKS, Next, Proof, identities, judge, unlike_before},
    host::Host,
    store::ImageKnowledge,
};

/// The looks within one window, besides the first. More would only load the host.
const LOOKS_PER_WINDOW: u32 = 6;

/// A service on the way to its proof.
struct Candidate {
    service: String,
    /// When it was first seen as declared.
    since: Instant,
    /// The look that saw it so.
    first_look: usize,
}

impl Candidate {
    fn is_through(&self, window: Duration, looks: usize) -> bool {
        self.since.elapsed() >= window && looks - self.first_look >= LEAST_LOOKS
    }
}

/// The looks of one window, oldest first, and what the last one was part of.
struct Watched<'a> {
    last: Scene<'a>,
    looks: Vec<(ProjectObservation, Vec<Diagnosis>)>,
    candidates: Vec<Candidate>,
}

impl<H: Host> Reconciler<'_, H> {
    /// Looks on for the stability window, and says what that proves.
    pub(super) async fn prove(
        &self,
        first: Scene<'_>,
        services: &[String],
        session: &mut Session,
    ) -> Result<Turn, ReconcileError> {
        let desired = first.desired;
        let Watched { mut last, looks, candidates } = self.watch(first, services, session).await?;
        if !(self.is_current)(desired) {
            return Ok(Self::ended(&last, Action::Again));
        }
        // A drift within the window is told, also where it has passed by the next look.
        Journal { store: self.store, object: desired.name() }.open_incident(&mut last, self.progress)?;
        let window = desired.object.spec.reconcile.verify.stable_for.get();
        let mut proven = last.still_proven();
        for candidate in &candidates {
            let service = &candidate.service;
            match judge(service, &looks[candidate.first_look..]) {
                Proof::Proven if candidate.since.elapsed() >= window => {
                    self.record(&last, candidate, looks.len())?;
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

    /// Looks on for the stability window. A service that becomes as declared meanwhile is proven along with the others, or each
    /// slow server would cost a window of its own. Ends at the first look at which one of them is not as declared.
    async fn watch<'d>(
        &self,
        first: Scene<'d>,
        services: &[String],
        session: &mut Session,
    ) -> Result<Watched<'d>, ReconcileError> {
        let window = first.desired.object.spec.reconcile.verify.stable_for.get();
        let desired = first.desired;
        let mut candidates = Vec::new();
        let mut looks = vec![(first.observed.clone(), first.decision.services.clone())];
        self.join(desired, &mut candidates, services, 0);
        let mut last = first;
        while !candidates.iter().all(|c| c.is_through(window, looks.len())) && !self.stop.is_cancelled() {
            self.pause(until_next_look(&candidates, window)).await;
            last = self.scene(desired, session).await?;
            looks.push((last.observed.clone(), last.decision.services.clone()));
            let held = |c: &Candidate| {
                last.decision.services.iter().any(|d| d.service == c.service && d.as_declared())
            };
            if !candidates.iter().all(held) {
                break;
            }
            if let Next::Prove(also) = &last.decision.next {
                self.join(desired, &mut candidates, also, looks.len() - 1);
            }
        }
        Ok(Watched { last, looks, candidates })
    }

    /// Has those services proven along that are not yet among the candidates, from this look on.
    fn join(&self, desired: &Desired, candidates: &mut Vec<Candidate>, services: &[String], look: usize) {
        let is_new = |service: &&String| candidates.iter().all(|c| c.service != **service);
        let new: Vec<String> = services.iter().filter(is_new).cloned().collect();
        if new.is_empty() {
            return;
        }
        let window = desired.object.spec.reconcile.verify.stable_for.get();
        (self.progress)(desired, Progress::Proving { services: &new, window });
        let since = Instant::now();
        candidates.extend(new.into_iter().map(|service| Candidate { service, since, first_look: look }));
    }

    async fn pause(&self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.stop.cancelled() => {}
        }
    }

    fn record(&self, scene: &Scene<'_>, proven: &Candidate, looks: usize) -> Result<(), ReconcileError> {
        let service = proven.service.as_str();
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
        let rows = self.store.attempts(scene.desired.name())?;
        for row in decide::after_proof(scene.history.incident.as_ref(), service, &rows) {
            self.store.update_attempt(&row)?;
        }
        let containers: Vec<String> =
            identities(seen).into_iter().map(|identity| identity.container).collect();
        let incident = scene.history.incident.as_ref();
        let before = incident.and_then(|open| open.before.services.iter().find(|s| s.name == service));
        let evidence = json!({
            "looks": looks - proven.first_look,
            "heldMs": u64::try_from(proven.since.elapsed().as_millis()).unwrap_or(u64::MAX),
            "containers": containers,
            "image": seen.artifact.image.known(),
            "changedByRepair": before.is_some_and(|before| unlike_before(before, seen)),
        });
        Journal { store: self.store, object: scene.desired.name() }.verified(scene, service, evidence)
    }
}

/// A part of the window, and no longer than until the next of them is through.
fn until_next_look(candidates: &[Candidate], window: Duration) -> Duration {
    let left = candidates.iter().map(|candidate| window.saturating_sub(candidate.since.elapsed()));
    left.filter(|left| !left.is_zero()).min().unwrap_or_default().min(window / LOOKS_PER_WINDOW)
}

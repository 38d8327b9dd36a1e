//! One step: whether it may be taken now, its intent, its outcome, and what a kill leaves of it.

use tokio::sync::{SemaphorePermit, TryAcquireError};

use super::{
    Action, ReconcileError, ReconcileOutcome, Reconciler, Session,
    active_projects::sharing,
    journal::{self, Journal},
    snapshot::Snapshot,
    transitions::Transitions,
};
use crate::{
    api::{CommandEnd, Desired, EndedStep, Event, LastWords, PlannedStep, Step, StepOutcome, StepReport},
    decide,
    host::{Host, StepRequest},
    store::{OpenIntent, Store},
};

/// The limit of one `up`, `restart` or rollback. It includes Compose's own wait for `depends_on` conditions.
const UP_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(600);

/// How many containers of one step get their exit recorded.
const MOST_CONTAINERS: usize = 20;

/// Why a build does not begin yet.
const AFTER_BUILD: &str = "another project is being built, one at a time";

impl<H: Host> Reconciler<H> {
    /// Takes a step, if it may be taken now.
    pub(super) async fn take(
        &self,
        snapshot: &Snapshot<'_>,
        step: &PlannedStep,
        session: &mut Session,
        journal: Journal<'_>,
    ) -> Result<ReconcileOutcome, ReconcileError> {
        self.report_observed(snapshot)?;
        let Some(_claim) = self.active_projects.claim(&snapshot.observed.project) else {
            return Ok(Self::ended(snapshot, Action::AfterStep));
        };
        let Ok(slot) = self.build_slot(step.step) else {
            if session.reported.insert(AFTER_BUILD.into()) {
                self.emit(snapshot.desired, Event::Waiting { until: None, why: AFTER_BUILD.into() });
            }
            return Ok(Self::ended(snapshot, Action::AfterBuild));
        };
        if self.is_wanted(snapshot.desired)? {
            self.execute(snapshot, step, slot, session, journal).await?;
        }
        Ok(Self::ended(snapshot, Action::Again))
    }

    /// The observation is recorded before anything that may take long.
    pub(super) fn report_observed(&self, snapshot: &Snapshot<'_>) -> Result<(), ReconcileError> {
        if (self.is_current)(snapshot.desired) {
            self.save(snapshot, &Transitions::new())?;
        }
        self.emit(snapshot.desired, Event::Observed);
        Ok(())
    }

    /// Whether a step that was decided on may still be taken: a person may have suspended the object since, or have asked
    /// undrift to end.
    fn is_wanted(&self, desired: &Desired) -> Result<bool, ReconcileError> {
        self.store.agree_with_trail(desired.name(), (self.clock)())?;
        let suspension = self.store.suspension(desired.name())?;
        let suspended = suspension.is_some_and(|suspension| !suspension.has_passed((self.clock)()));
        // Last, because the queries to the state take time.
        Ok(!suspended && (self.is_current)(desired) && !self.stop.is_cancelled())
    }

    /// The permit to build, if the step is a build. Without it nothing is done now: a decision from before a wait of minutes
    /// is not acted on, and the next reconcile observes again.
    fn build_slot(&self, step: Step) -> Result<Option<SemaphorePermit<'_>>, TryAcquireError> {
        if matches!(step, Step::Build { .. }) { self.builds.try_acquire().map(Some) } else { Ok(None) }
    }

    /// The state or exit of the containers that a step may replace: it is lost with them. It is part of the intent, because
    /// an undrift that is killed during the step writes nothing more.
    async fn last_words(&self, snapshot: &Snapshot<'_>, planned: &PlannedStep) -> Vec<LastWords> {
        if !matches!(planned.step, Step::Up { .. } | Step::Rollback) {
            return Vec::new();
        }
        let services = snapshot.observed.services.iter().filter(|seen| planned.services.contains(&seen.name));
        let containers = services.flat_map(|seen| {
            let ids = seen.containers.known().into_iter().flatten().map(|container| container.id.clone());
            ids.map(|id| (seen.name.clone(), id))
        });
        let containers: Vec<(String, String)> = containers.take(MOST_CONTAINERS).collect();
        if containers.is_empty() {
            Vec::new()
        } else {
            self.host.last_words(snapshot.desired, &containers).await
        }
    }

    /// Intent, step, outcome. If the intent cannot be written, the step does not run.
    async fn execute(
        &self,
        snapshot: &Snapshot<'_>,
        planned: &PlannedStep,
        slot: Option<SemaphorePermit<'_>>,
        session: &mut Session,
        journal: Journal<'_>,
    ) -> Result<(), ReconcileError> {
        let step = planned.step;
        let inputs = snapshot.inputs();
        let (rows, services) = (&snapshot.decision.attempts, &snapshot.decision.services);
        let begun = decide::begin_step(inputs, rows, services, step, &planned.services);
        let prepared = decide::begin_preparation(inputs, rows, services, step, &planned.on_behalf_of);
        let last_words = self.last_words(snapshot, planned).await;
        let intent = journal.intend(snapshot, planned, &[&begun[..], &prepared].concat(), &last_words)?;
        self.emit(snapshot.desired, Event::StepIntended { step, services: planned.services.clone() });
        let policy = &snapshot.desired.object.spec.reconcile;
        let request = StepRequest {
            step,
            services: &planned.services,
            rollback_to: &journal::images_of_before(snapshot, planned),
            examined: &snapshot.observed.examined(&planned.services),
            timeout: if matches!(step, Step::Build { .. }) { policy.build_timeout.get() } else { UP_TIMEOUT },
            cancel: &self.cancel,
            progress: &|line| self.emit(snapshot.desired, Event::Output { line: line.to_owned() }),
        };
        let report = sharing(slot, self.host.execute(snapshot.desired, request)).await;
        let succeeded = report.outcome == StepOutcome::Succeeded;
        if matches!(step, Step::Build { .. }) {
            session.builds.extend(journal::pending_builds(snapshot, &planned.services, succeeded));
        }
        let mut rows = if step == Step::Rollback && succeeded {
            decide::end_rollback(begun)
        } else {
            decide::end_step(begun, report.outcome, policy, (self.clock)(), snapshot.jitter_seed)
        };
        let (now, seed) = ((self.clock)(), snapshot.jitter_seed);
        rows.extend(decide::end_preparation(prepared, report.outcome, policy, now, seed));
        let ended = ended(planned, intent, &report);
        let recorded = journal.finish(snapshot, planned, (intent, &ended), &report, rows);
        // Emitted even if it could not be recorded: nothing else would report why the step failed.
        self.emit(snapshot.desired, Event::StepEnded(ended));
        if recorded.is_ok() && step == Step::Rollback && succeeded {
            let (services, to) = (planned.services.clone(), journal::images_of_before(snapshot, planned));
            self.emit(snapshot.desired, Event::RolledBack { services, to });
        }
        recorded
    }
}

/// The end of the step with that intent.
fn ended(planned: &PlannedStep, intent: u64, report: &StepReport) -> EndedStep {
    let took = chrono::TimeDelta::milliseconds(i64::try_from(report.duration_ms).unwrap_or(i64::MAX));
    EndedStep {
        intent: Some(intent),
        kind: planned.step.kind(),
        services: planned.services.clone(),
        outcome: report.outcome,
        at: report.started_at + took,
        command: Some(CommandEnd {
            exit_code: report.exit_code,
            duration_ms: report.duration_ms,
            output: report.output.clone(),
        }),
    }
}

/// Closes what a killed undrift left open: intents without outcome, and the attempts that they began. Call it once, under
/// the lock, before the first reconcile.
///
/// # Errors
/// If the state folder fails.
pub fn close_interrupted(store: &Store) -> Result<Vec<String>, ReconcileError> {
    store.agree_with_trail_in_all(super::now())?;
    Ok(store.close_interrupted()?.iter().map(in_words).collect())
}

pub(super) fn in_words(closed: &OpenIntent) -> String {
    format!(
        "{}: the {} of {} that began at {} was interrupted; its record is closed",
        closed.object.as_deref().unwrap_or_default(),
        closed.step.kind(),
        closed.services.join(", "),
        closed.time
    )
}

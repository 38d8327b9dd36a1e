//! The end of jobs: an `up` of a job succeeds only when the containers that it started have succeeded.

use std::time::Duration;

use super::{LocalHost, StepRequest, compose::Resolved};
use crate::{
    api::{ContainerObservation, ContainerState, Step, StepOutcome},
    host::process::Finished,
};

impl LocalHost {
    /// Waits for the jobs among a step's services, once its command has succeeded; without any there is no wait.
    ///
    /// Compose waits for them only if it also brings up the waiting service, and has replaced that one's container by then: a
    /// job that fails would leave nothing that runs.
    pub(super) async fn await_jobs(
        &self,
        resolved: &Resolved,
        request: &StepRequest<'_>,
        finished: Finished,
    ) -> Finished {
        let is_job = |service: &&String| resolved.model.ties(service).is_awaited;
        let jobs: Vec<&str> = request.services.iter().filter(is_job).map(String::as_str).collect();
        let is_up = matches!(request.step, Step::Up { .. });
        if !is_up || jobs.is_empty() || finished.outcome != StepOutcome::Succeeded {
            return finished;
        }
        let left = request.timeout.saturating_sub(finished.duration);
        let (outcome, why) = tokio::select! {
            ended = self.jobs_end(&resolved.model.name, &jobs) => match ended {
                Ok(()) => return finished,
                Err(why) => (StepOutcome::Failed, why),
            },
            () = request.cancel.cancelled() => (StepOutcome::Cancelled, left_running(&jobs)),
            () = tokio::time::sleep(left) => (StepOutcome::TimedOut, left_running(&jobs)),
        };
        let output = [finished.output.as_str(), &why].join("\n").trim_start().to_owned();
        Finished { outcome, output, duration: Duration::ZERO, ..finished }
    }

    /// The error is the reason why they did not succeed, in words.
    async fn jobs_end(&self, project: &str, jobs: &[&str]) -> Result<(), String> {
        let services = jobs.iter().map(|job| (*job, 0)).collect();
        loop {
            let found = self.engine.project_containers(project, &services).await;
            let found = found.map_err(|error| format!("cannot see whether the jobs have ended: {error}"))?;
            let of = |job: &str| {
                let own = found.containers.iter().filter(move |container| container.service == job);
                own.map(|container| &container.seen).collect::<Vec<_>>()
            };
            let all: Vec<_> = jobs.iter().map(|job| (*job, of(job))).collect();
            let Some(open) = all.iter().flat_map(|(_, own)| own).find(|seen| is_open(seen)) else {
                return all.iter().try_for_each(|(job, own)| has_ended_well(job, own));
            };
            let waited = self.engine.wait_for_end(&open.id, state_of(open)).await;
            waited.map_err(|error| format!("cannot wait for {}: {error}", open.name))?;
        }
    }
}

fn is_open(seen: &ContainerObservation) -> bool {
    !matches!(state_of(seen), ContainerState::Exited | ContainerState::Dead | ContainerState::Created)
}

const fn state_of(seen: &ContainerObservation) -> ContainerState {
    if seen.restarting { ContainerState::Restarting } else { seen.state }
}

/// Its output is not included: it may hold secrets, and the engine keeps it.
fn has_ended_well(job: &str, containers: &[&ContainerObservation]) -> Result<(), String> {
    let Some(bad) = containers.iter().find(|seen| seen.exit_code != Some(0)) else {
        return if containers.is_empty() { Err(format!("the job {job} has no container")) } else { Ok(()) };
    };
    let end = match bad.exit_code {
        Some(code) => format!("ended with code {code}"),
        None => "was not started".to_owned(),
    };
    Err(format!(
        "the job {job} {end}: nothing that waits for it is brought up (`docker compose logs {job}` shows its output)"
    ))
}

fn left_running(jobs: &[&str]) -> String {
    format!("was no longer waited for: {} (it runs on)", jobs.join(", "))
}

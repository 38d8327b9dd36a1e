//! The steps that must precede a step, and those that must accompany it, in the order of the Compose files.
//!
//! A service is brought up without its dependencies, so that no other service is touched. Two orders of the files still
//! apply: a job whose end it waits for runs first, if the job's image or configuration is new, and services that restart
//! with it are restarted after it.

mod jobs;
mod restarts;

use std::collections::BTreeMap;

use self::jobs::JobOrder;
use super::{Diagnosis, Inputs, RepairOption};
use crate::api::{ContainerObservation, Fact, ServiceObservation, Ties};

/// From this position in its own order on, a restart comes when all else is done.
pub(super) const RESTARTS_LAST: usize = 2;

/// The position of a service's steps among those of others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepOrder {
    /// When it is brought up.
    pub phase: UpPhase,
    /// How many steps of others precede its first.
    pub after: usize,
    /// The services whose repair it prepares.
    pub on_behalf_of: Vec<String>,
}

/// When a service is brought up among others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum UpPhase {
    /// It waits for no service, and none waits for it.
    #[default]
    Anybody,
    /// A job that others wait for, by the length of the chain of jobs that it waits for itself.
    Job(usize),
    /// It waits for a job.
    Waits,
}

/// A service for the purpose of ordering, named in the spec or not.
#[derive(Clone, Copy)]
struct OrderedService<'a> {
    ties: &'a Ties,
    buildable: bool,
    replicas: u32,
    reference: &'a str,
    image: &'a Fact<Option<String>>,
    containers: &'a Fact<Vec<ContainerObservation>>,
    runs_undrift: bool,
}

impl<'a> OrderedService<'a> {
    fn of(inputs: Inputs<'a>, service: &str) -> Option<Self> {
        let named = inputs.observed.service(service);
        let related = || inputs.observed.related.iter().find(|seen| seen.name == service);
        named.map(Self::from).or_else(|| {
            related().map(|seen| Self {
                ties: &seen.ties,
                buildable: seen.buildable,
                replicas: seen.replicas,
                reference: &seen.reference,
                image: &seen.image,
                containers: &seen.containers,
                runs_undrift: seen.runs_undrift,
            })
        })
    }

    fn all(inputs: Inputs<'a>) -> impl Iterator<Item = (&'a str, Self)> {
        let named = inputs.observed.services.iter().map(|seen| seen.name.as_str());
        let all = named.chain(inputs.observed.related.iter().map(|seen| seen.name.as_str()));
        all.filter_map(move |name| Some((name, Self::of(inputs, name)?)))
    }
}

impl<'a> From<&'a ServiceObservation> for OrderedService<'a> {
    fn from(seen: &'a ServiceObservation) -> Self {
        Self {
            ties: &seen.ties,
            buildable: seen.buildable,
            replicas: seen.replicas,
            reference: &seen.artifact.reference,
            image: &seen.artifact.image,
            containers: &seen.containers,
            runs_undrift: seen.runs_undrift,
        }
    }
}

/// The repair options with their positions, plus those that must precede or accompany them.
pub(super) fn ordered(
    inputs: Inputs<'_>,
    services: &[Diagnosis],
    repair_options: Vec<RepairOption>,
) -> Vec<RepairOption> {
    let mut ordered = JobOrder { inputs, services, repair_options, jobs: BTreeMap::new() };
    ordered.leave_finished_jobs();
    for at in 0..ordered.repair_options.len() {
        ordered.put_jobs_before(at);
    }
    ordered.set_phases();
    let JobOrder { mut repair_options, jobs, .. } = ordered;
    repair_options.extend(jobs.into_values());
    let restarts = restarts::restarts(inputs, &repair_options);
    repair_options.extend(restarts);
    repair_options
}

fn phase(inputs: Inputs<'_>, service: &str) -> UpPhase {
    let Some(seen) = OrderedService::of(inputs, service) else { return UpPhase::Anybody };
    if seen.ties.is_awaited {
        return UpPhase::Job(depth(inputs, service, &mut Vec::new()));
    }
    if seen.ties.waits_for.is_empty() { UpPhase::Anybody } else { UpPhase::Waits }
}

/// The length of the chain of jobs before this one.
fn depth(inputs: Inputs<'_>, job: &str, path: &mut Vec<String>) -> usize {
    let Some(seen) = OrderedService::of(inputs, job).filter(|_| !path.iter().any(|p| p == job)) else {
        return 0;
    };
    path.push(job.to_owned());
    let before = seen.ties.waits_for.iter().map(|before| 1 + depth(inputs, before, path)).max().unwrap_or(0);
    path.pop();
    before
}

#[cfg(test)]
mod tests;

//! What must come before a step, and what must come along with it, as the Compose files order it.
//!
//! A service is brought up without what it depends on, so that no other service is touched. Two orders of the files are
//! kept all the same: a job whose end it waits for is run first, where the job's image or configuration is new, and who
//! restarts with it is restarted after it.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::{
    Diagnosis, Inputs, LayerVerdict, OpenIncident, Prospect, Repair,
    checks::has_ended_well,
    repair::{BUILD, UP, wait},
};
use crate::{
    api::{
        ContainerObservation, ContainerState, Fact, Layer, ServiceObservation, Step, StepKind, StepOutcome,
        Ties, Time,
    },
    host::reference,
};

/// From this place in its own order on, a restart comes when all else is done.
pub(super) const RESTARTS_LAST: usize = 2;

/// How much earlier than the end of a step, by undrift's clock, the engine's may have dated what the step has started.
const CLOCKS: TimeDelta = TimeDelta::seconds(5);

/// The place of a service's steps among those of others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    /// When it is brought up.
    pub turn: Turn,
    /// How many steps of others come before its first.
    pub after: usize,
    /// The services whose repair it prepares.
    pub on_behalf_of: Vec<String>,
}

/// When a service is brought up among others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// It waits for nobody, and nobody waits for it.
    #[default]
    Anybody,
    /// A job that others wait for, by how many jobs it waits for itself, one behind the other.
    Job(usize),
    /// It waits for a job.
    Waits,
}

/// A service as far as its order is concerned, named in the spec or not.
#[derive(Clone, Copy)]
struct Seen<'a> {
    ties: &'a Ties,
    buildable: bool,
    replicas: u32,
    reference: &'a str,
    image: &'a Fact<Option<String>>,
    containers: &'a Fact<Vec<ContainerObservation>>,
    runs_undrift: bool,
}

impl<'a> Seen<'a> {
    fn of(inputs: Inputs<'a>, service: &str) -> Option<Self> {
        let named = inputs.observed.services.iter().find(|seen| seen.name == service);
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

impl<'a> From<&'a ServiceObservation> for Seen<'a> {
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

/// The prospects with their places, and those of what must come first or along.
pub(super) fn ordered(inputs: Inputs<'_>, services: &[Diagnosis], prospects: Vec<Prospect>) -> Vec<Prospect> {
    let mut ordered = Ordered { inputs, services, prospects, jobs: BTreeMap::new() };
    ordered.leave_finished_jobs();
    for at in 0..ordered.prospects.len() {
        ordered.put_jobs_before(at);
    }
    ordered.set_turns();
    let Ordered { mut prospects, jobs, .. } = ordered;
    prospects.extend(jobs.into_values());
    let restarts = restarts(inputs, &prospects);
    prospects.extend(restarts);
    prospects
}

struct Ordered<'a> {
    inputs: Inputs<'a>,
    services: &'a [Diagnosis],
    prospects: Vec<Prospect>,
    /// What is run for others, by job.
    jobs: BTreeMap<String, Prospect>,
}

/// Whether a job must be run before who waits for it.
enum Due {
    No,
    /// It must, for this reason.
    Run(String),
    /// That cannot be told yet.
    NotKnown(String),
}

impl Ordered<'_> {
    /// A job that has ended well is built where its image lacks something, and is not run for that alone.
    fn leave_finished_jobs(&mut self) {
        for prospect in &mut self.prospects {
            let is_awaited =
                Seen::of(self.inputs, &prospect.service).is_some_and(|seen| seen.ties.is_awaited);
            let diagnosis = self.services.iter().find(|d| d.service == prospect.service);
            let is_done =
                diagnosis.is_some_and(|d| matches!(d.layer(Layer::Container), LayerVerdict::AsDeclared(_)));
            if let Repair::Steps(steps, _) = &mut prospect.repair
                && is_awaited
                && is_done
                && steps.first().is_some_and(|step| step.kind() == StepKind::Build)
            {
                steps.truncate(1);
            }
        }
    }

    /// Has the jobs that a service waits for run before it is brought up, where that is due.
    fn put_jobs_before(&mut self, at: usize) {
        let Prospect { service, repair: Repair::Steps(steps, not_before), .. } = &self.prospects[at] else {
            return;
        };
        let (service, steps, not_before) = (service.clone(), steps.clone(), *not_before);
        let Some(seen) = Seen::of(self.inputs, &service) else { return };
        if !steps.iter().any(|step| step.kind() == StepKind::Up) || only_starts(&steps, seen) {
            return;
        }
        let build = steps.iter().copied().find(|step| step.kind() == StepKind::Build);
        let waiter = Waiter { service: service.clone(), reference: seen.reference, build, not_before };
        let mut path = vec![service];
        self.run_first(at, &waiter, seen.ties, &mut path);
    }

    fn run_first(&mut self, at: usize, waiter: &Waiter<'_>, ties: &Ties, path: &mut Vec<String>) {
        for job in &ties.waits_for {
            // Compose refuses circles; they must not hang this.
            if path.contains(job) {
                continue;
            }
            let Some(seen) = Seen::of(self.inputs, job).filter(|seen| seen.ties.is_awaited) else { continue };
            match due(seen, waiter, job) {
                Due::No => {}
                Due::NotKnown(why) => {
                    let message = format!("it waits for the job {job}: {why}");
                    self.prospects[at].repair = wait(self.inputs, "Unknown", message);
                }
                Due::Run(why) => {
                    path.push(job.clone());
                    self.run_first(at, waiter, seen.ties, path);
                    path.pop();
                    self.run(at, waiter, job, seen, why);
                }
            }
        }
    }

    /// Has a job run, by its own repair where it has one.
    fn run(&mut self, at: usize, waiter: &Waiter<'_>, job: &str, seen: Seen<'_>, why: String) {
        let own = self.prospects.iter_mut().find(|prospect| prospect.service == job);
        let own_repair = own.map(|own| (&mut own.repair, &mut own.order));
        let builds = match own_repair {
            Some((Repair::Steps(steps, own_at), _)) => {
                let not_before = (*own_at).max(waiter.not_before);
                if !steps.iter().any(|step| step.kind() == StepKind::Up) {
                    steps.push(UP);
                }
                let builds = steps.iter().any(|step| step.kind() == StepKind::Build);
                if let Repair::Steps(_, waits_until) = &mut self.prospects[at].repair {
                    *waits_until = not_before;
                }
                builds
            }
            Some((Repair::Wait { until, reason, message }, _)) => {
                let message = format!("it waits for the job {job}: {message}");
                let repair = Repair::Wait { until: *until, reason: reason.clone(), message };
                self.prospects[at].repair = repair;
                return;
            }
            Some((Repair::Stalled { reason, message }, _)) => {
                let message =
                    format!("it waits for the job {job}, for which nothing more is tried: {message}");
                self.prospects[at].repair = Repair::Stalled { reason: reason.clone(), message };
                return;
            }
            Some((Repair::Nothing, _)) | None => self.run_for(waiter, job, seen, why),
        };
        if builds && waiter.build.is_none() {
            self.prospects[at].order.after = 1;
        }
    }

    /// Has a job run on behalf of who waits for it; whether it is built for that.
    fn run_for(&mut self, waiter: &Waiter<'_>, job: &str, seen: Seen<'_>, why: String) -> bool {
        let own_image = reference::full(seen.reference) != reference::full(waiter.reference);
        let missing = *seen.image == Fact::Known(None);
        let build =
            waiter.build.filter(|_| own_image).or(missing.then_some(BUILD)).filter(|_| seen.buildable);
        let steps: Vec<Step> = build.into_iter().chain([UP]).collect();
        let after = usize::from(build.is_none() && waiter.build.is_some());
        let mut entry = self.jobs.remove(job).unwrap_or_else(|| Prospect {
            service: job.to_owned(),
            why,
            repair: Repair::Steps(steps.clone(), waiter.not_before),
            alone: false,
            rate_exceeded: None,
            order: Order { turn: Turn::Anybody, after, on_behalf_of: Vec::new() },
        });
        if let Repair::Steps(known, at) = &mut entry.repair {
            if steps.len() > known.len() {
                *known = steps;
            }
            // `None` is at once.
            *at = (*at).zip(waiter.not_before).map(|(a, b)| a.min(b));
        }
        entry.order.after = entry.order.after.max(after);
        if !entry.order.on_behalf_of.contains(&waiter.service) {
            entry.order.on_behalf_of.push(waiter.service.clone());
        }
        self.jobs.insert(job.to_owned(), entry);
        build.is_some()
    }

    fn set_turns(&mut self) {
        let inputs = self.inputs;
        for prospect in self.prospects.iter_mut().chain(self.jobs.values_mut()) {
            prospect.order.turn = turn(inputs, &prospect.service);
        }
    }
}

/// Who waits for a job.
struct Waiter<'a> {
    service: String,
    reference: &'a str,
    /// The build that comes before its `up`.
    build: Option<Step>,
    not_before: Option<Time>,
}

/// Whether an `up` does no more than start containers that have run already, as they are.
fn only_starts(steps: &[Step], seen: Seen<'_>) -> bool {
    let Some(containers) = seen.containers.known() else { return false };
    let there = u32::try_from(containers.len()).unwrap_or(u32::MAX) >= seen.replicas;
    let as_it_was = |c: &ContainerObservation| {
        c.state != ContainerState::Created
            && c.config_changed == Fact::Known(false)
            && seen.image.known().and_then(Option::as_ref).is_none_or(|image| *image == c.image_id)
    };
    steps == [Step::Start] || steps == [UP] && there && containers.iter().all(as_it_was)
}

fn due(seen: Seen<'_>, waiter: &Waiter<'_>, job: &str) -> Due {
    let containers = match seen.containers {
        Fact::Known(containers) => containers,
        Fact::Unknown(why) => return Due::NotKnown(why.clone()),
    };
    let runs = |c: &ContainerObservation| {
        c.restarting
            || !matches!(c.state, ContainerState::Exited | ContainerState::Dead | ContainerState::Created)
    };
    if containers.iter().any(runs) {
        // Whoever has started it, and of whatever image: half a migration is worse than a late one.
        return Due::NotKnown("it runs right now".into());
    }
    if waiter.build.is_some() && (seen.buildable || same_image(seen, waiter)) {
        return Due::Run(format!("{} waits for {job}, whose image is built", waiter.service));
    }
    let run = |why: &str| Due::Run(format!("{} waits for {job}, {why}", waiter.service));
    if u32::try_from(containers.len()).unwrap_or(u32::MAX) < seen.replicas {
        return run("which has no container");
    }
    if let Some(bad) = containers.iter().find(|c| !has_ended_well(c)) {
        return match bad.exit_code {
            Some(code) => run(&format!("which ended with code {code}")),
            None => run("which was never started"),
        };
    }
    match seen.image {
        Fact::Unknown(why) => return Due::NotKnown(why.clone()),
        Fact::Known(image) if containers.iter().any(|c| image.as_ref() != Some(&c.image_id)) => {
            return run("whose image is new");
        }
        Fact::Known(_) => {}
    }
    let changed = containers.iter().map(|c| &c.config_changed);
    for changed in changed {
        match changed {
            Fact::Known(true) => return run("whose configuration is new"),
            Fact::Unknown(why) => return Due::NotKnown(why.clone()),
            Fact::Known(false) => {}
        }
    }
    Due::No
}

fn same_image(seen: Seen<'_>, waiter: &Waiter<'_>) -> bool {
    reference::full(seen.reference) == reference::full(waiter.reference)
}

fn turn(inputs: Inputs<'_>, service: &str) -> Turn {
    let Some(seen) = Seen::of(inputs, service) else { return Turn::Anybody };
    if seen.ties.is_awaited {
        return Turn::Job(depth(inputs, service, &mut Vec::new()));
    }
    if seen.ties.waits_for.is_empty() { Turn::Anybody } else { Turn::Waits }
}

/// How many jobs come before this one, one behind the other.
fn depth(inputs: Inputs<'_>, job: &str, path: &mut Vec<String>) -> usize {
    let Some(seen) = Seen::of(inputs, job).filter(|_| !path.iter().any(|p| p == job)) else { return 0 };
    path.push(job.to_owned());
    let before = seen.ties.waits_for.iter().map(|before| 1 + depth(inputs, before, path)).max().unwrap_or(0);
    path.pop();
    before
}

/// The restarts of services that restart with another: those that are due because undrift has replaced or restarted that
/// one, and those that will be when the plan has.
fn restarts(inputs: Inputs<'_>, prospects: &[Prospect]) -> Vec<Prospect> {
    let mut found = Vec::new();
    for (name, seen) in Seen::all(inputs) {
        let is_repaired = prospects
            .iter()
            .any(|p| p.service == name && !matches!(p.repair, Repair::Nothing | Repair::Wait { .. }));
        if is_repaired || seen.runs_undrift || started(seen).is_none() {
            continue;
        }
        for with in &seen.ties.restarts_with {
            let (at, after) = if is_due(inputs, name, seen, with) {
                (None, 0)
            } else if let Some(at) = replacing(prospects, with) {
                (*at, RESTARTS_LAST)
            } else {
                continue;
            };
            let done =
                if after == 0 { "undrift has replaced or restarted" } else { "is to be brought up anew" };
            found.push(Prospect {
                service: name.to_owned(),
                why: format!("it restarts with {with} (`restart: true`), which {done}"),
                repair: Repair::Steps(vec![Step::Restart], at),
                alone: false,
                rate_exceeded: None,
                order: Order { after, ..Order::default() },
            });
            break;
        }
    }
    found
}

/// What of the plan replaces or restarts a service, if anything does: not before when.
fn replacing<'a>(prospects: &'a [Prospect], service: &str) -> Option<&'a Option<Time>> {
    prospects.iter().filter(|prospect| prospect.service == service).find_map(|prospect| {
        match &prospect.repair {
            Repair::Steps(steps, at)
                if steps.iter().any(|step| step.kind() != StepKind::Build && *step != Step::Start) =>
            {
                Some(at)
            }
            _ => None,
        }
    })
}

/// The earliest start of its containers, where all of them run.
fn started(seen: Seen<'_>) -> Option<Time> {
    let containers = seen.containers.known()?;
    let start = |c: &ContainerObservation| c.started_at.filter(|_| c.state == ContainerState::Running);
    containers.iter().map(start).collect::<Option<Vec<_>>>()?.into_iter().min()
}

/// Whether undrift has replaced or restarted `with` since this service was started. Not where it has only started what was
/// down, and not where someone else has: Compose would not restart it then either.
fn is_due(inputs: Inputs<'_>, name: &str, seen: Seen<'_>, with: &str) -> bool {
    let Some(incident) = &inputs.history.incident else { return false };
    let Some(other) = Seen::of(inputs, with) else { return false };
    let newest = other.containers.known().into_iter().flatten().filter_map(|c| c.started_at).max();
    let Some(newest) = newest.filter(|newest| started(seen).is_some_and(|started| *newest > started)) else {
        return false;
    };
    let replaced = is_replaced(incident, with, other);
    let mut steps = incident.steps.iter().filter(|done| done.services.iter().any(|s| s == with));
    let ours = steps.rfind(|done| match done.step.kind() {
        StepKind::Restart => true,
        StepKind::Up | StepKind::Rollback => replaced,
        StepKind::Build => false,
    });
    let is_ours = ours.is_some_and(|done| newest <= done.at + CLOCKS);
    // One that was cut off is made up for; one that failed is not tried for ever.
    let settled = incident.steps.iter().filter(|done| done.services.iter().any(|s| s == name)).any(|done| {
        done.at >= newest && !matches!(done.outcome, StepOutcome::Interrupted | StepOutcome::Cancelled)
    });
    is_ours && !settled
}

/// Whether the service consists of other containers than when the incident opened, of which there were some.
fn is_replaced(incident: &OpenIncident, service: &str, now: Seen<'_>) -> bool {
    let before = incident.before.services.iter().find(|status| status.name == service);
    before.is_some_and(|before| {
        let now = now.containers.known().into_iter().flatten();
        !before.containers.is_empty()
            && now.into_iter().any(|c| before.containers.iter().all(|then| then.id != c.id))
    })
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;

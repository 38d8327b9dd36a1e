//! The jobs that a service waits for: which must run before it, and by which repair.

use std::collections::BTreeMap;

use super::{OrderedService, StepOrder, UpPhase, phase};
use crate::{
    api::{
        ContainerObservation, ContainerState, Fact, Layer, Reason, StallReason, Step, StepKind, Ties, Time,
    },
    decide::{
        Diagnosis, Inputs, LayerVerdict, Repair, RepairOption,
        checks::has_ended_well,
        escalation::{BUILD, UP},
        repair::wait,
    },
    reference,
};

pub(super) struct JobOrder<'a> {
    pub(super) inputs: Inputs<'a>,
    pub(super) services: &'a [Diagnosis],
    pub(super) repair_options: Vec<RepairOption>,
    /// The jobs to run for others, by job.
    pub(super) jobs: BTreeMap<String, RepairOption>,
}

/// Whether a job must run before the service that waits for it.
enum Due {
    No,
    /// It must, for this reason.
    Run(String),
    /// It is already running, since then.
    Runs(Option<Time>),
    /// That is not known yet.
    NotKnown(String),
}

impl JobOrder<'_> {
    /// A job that has ended well is built if its image lacks something, but not run for that alone.
    pub(super) fn leave_finished_jobs(&mut self) {
        for option in &mut self.repair_options {
            let is_awaited =
                OrderedService::of(self.inputs, &option.service).is_some_and(|seen| seen.ties.is_awaited);
            let diagnosis = self.services.iter().find(|d| d.service == option.service);
            let is_done =
                diagnosis.is_some_and(|d| matches!(d.layer(Layer::Container), LayerVerdict::AsDeclared(_)));
            if let Repair::Steps(steps, _) = &mut option.repair
                && is_awaited
                && is_done
                && steps.first().is_some_and(|step| step.kind() == StepKind::Build)
            {
                steps.truncate(1);
            }
        }
    }

    /// Runs the jobs that a service waits for before the service is brought up, if that is due.
    pub(super) fn put_jobs_before(&mut self, at: usize) {
        let RepairOption { service, repair: Repair::Steps(steps, not_before), .. } = &self.repair_options[at]
        else {
            return;
        };
        let (service, steps, not_before) = (service.clone(), steps.clone(), *not_before);
        let Some(seen) = OrderedService::of(self.inputs, &service) else { return };
        if !steps.iter().any(|step| step.kind() == StepKind::Up) || only_starts(&steps, seen) {
            return;
        }
        let build = steps.iter().copied().find(|step| step.kind() == StepKind::Build);
        let dependent = Dependent { service: service.clone(), reference: seen.reference, build, not_before };
        let mut path = vec![service];
        self.run_first(at, &dependent, seen.ties, &mut path);
    }

    fn run_first(&mut self, at: usize, dependent: &Dependent<'_>, ties: &Ties, path: &mut Vec<String>) {
        for job in &ties.waits_for {
            // Compose refuses cycles; they must not hang this.
            if path.contains(job) {
                continue;
            }
            let Some(seen) = OrderedService::of(self.inputs, job).filter(|seen| seen.ties.is_awaited) else {
                continue;
            };
            match due(seen, dependent, job) {
                Due::No => {}
                Due::Runs(since) => self.repair_options[at].repair = await_end(self.inputs, job, since),
                Due::NotKnown(why) => {
                    let message = format!("it waits for the job {job}: {why}");
                    let option = &mut self.repair_options[at];
                    option.repair = wait(self.inputs, &option.service, StallReason::Unknown, message);
                }
                Due::Run(why) => {
                    path.push(job.clone());
                    self.run_first(at, dependent, seen.ties, path);
                    path.pop();
                    self.run(at, dependent, job, seen, why);
                }
            }
        }
    }

    /// Runs a job, by its own repair if it has one.
    fn run(
        &mut self,
        at: usize,
        dependent: &Dependent<'_>,
        job: &str,
        seen: OrderedService<'_>,
        why: String,
    ) {
        let own = self.repair_options.iter_mut().find(|option| option.service == job);
        let own_repair = own.map(|own| (&mut own.repair, &mut own.order));
        let builds = match own_repair {
            Some((Repair::Steps(steps, own_at), _)) => {
                let not_before = (*own_at).max(dependent.not_before);
                if !steps.iter().any(|step| step.kind() == StepKind::Up) {
                    steps.push(UP);
                }
                let builds = steps.iter().any(|step| step.kind() == StepKind::Build);
                if let Repair::Steps(_, waits_until) = &mut self.repair_options[at].repair {
                    *waits_until = not_before;
                }
                builds
            }
            Some((Repair::Wait { until, reason, message }, _)) => {
                let message = format!("it waits for the job {job}: {message}");
                let repair = Repair::Wait { until: *until, reason: reason.clone(), message };
                self.repair_options[at].repair = repair;
                return;
            }
            Some((Repair::Stalled { reason, message }, _)) => {
                let message =
                    format!("it waits for the job {job}, for which nothing more is tried: {message}");
                self.repair_options[at].repair = Repair::Stalled { reason: reason.clone(), message };
                return;
            }
            Some((Repair::Nothing, _)) | None => self.run_for(dependent, job, seen, why),
        };
        if builds && dependent.build.is_none() {
            self.repair_options[at].order.after = 1;
        }
    }

    /// Runs a job on behalf of the service that waits for it; returns whether it is built for that.
    fn run_for(
        &mut self,
        dependent: &Dependent<'_>,
        job: &str,
        seen: OrderedService<'_>,
        why: String,
    ) -> bool {
        let own_image = reference::full(seen.reference) != reference::full(dependent.reference);
        let missing = *seen.image == Fact::Known(None);
        let build =
            dependent.build.filter(|_| own_image).or(missing.then_some(BUILD)).filter(|_| seen.buildable);
        let steps: Vec<Step> = build.into_iter().chain([UP]).collect();
        let after = usize::from(build.is_none() && dependent.build.is_some());
        let mut entry = self.jobs.remove(job).unwrap_or_else(|| RepairOption {
            service: job.to_owned(),
            why,
            repair: Repair::Steps(steps.clone(), dependent.not_before),
            build_separately: false,
            backs_off: None,
            rate_exceeded: None,
            started_again_at: None,
            order: StepOrder { phase: UpPhase::Anybody, after, on_behalf_of: Vec::new() },
        });
        if let Repair::Steps(known, at) = &mut entry.repair {
            if steps.len() > known.len() {
                *known = steps;
            }
            // `None` is at once.
            *at = (*at).zip(dependent.not_before).map(|(a, b)| a.min(b));
        }
        entry.order.after = entry.order.after.max(after);
        if !entry.order.on_behalf_of.contains(&dependent.service) {
            entry.order.on_behalf_of.push(dependent.service.clone());
        }
        self.jobs.insert(job.to_owned(), entry);
        build.is_some()
    }

    pub(super) fn set_phases(&mut self) {
        let inputs = self.inputs;
        for option in self.repair_options.iter_mut().chain(self.jobs.values_mut()) {
            option.order.phase = phase(inputs, &option.service);
        }
    }
}

/// Waits for a job that is already running. How long it may take has nothing to do with how soon a service must be verified:
/// a migration may take its half hour. It gets as long as a build, from its own start on, and its end is news.
fn await_end(inputs: Inputs<'_>, job: &str, since: Option<Time>) -> Repair {
    let since = since.filter(|since| *since <= inputs.now).unwrap_or(inputs.now);
    let limit = inputs.desired.object.spec.reconcile.build_timeout;
    let until = since + limit.delta();
    let reason = Reason::from(StallReason::Unknown);
    let message = format!(
        "it waits for the job {job}, which has been running since {}, and is not brought up before its end",
        since.format("%H:%M:%S UTC")
    );
    if inputs.now < until {
        return Repair::Wait { until, reason, message };
    }
    Repair::Stalled { reason, message: format!("{message}; that is longer than {limit} (`buildTimeout`)") }
}

/// A service that waits for a job.
struct Dependent<'a> {
    service: String,
    reference: &'a str,
    /// The build that comes before its `up`.
    build: Option<Step>,
    not_before: Option<Time>,
}

/// Whether an `up` only starts existing containers as they are.
fn only_starts(steps: &[Step], seen: OrderedService<'_>) -> bool {
    let Some(containers) = seen.containers.known() else { return false };
    let there = u32::try_from(containers.len()).unwrap_or(u32::MAX) >= seen.replicas;
    let as_it_was = |c: &ContainerObservation| {
        c.state != ContainerState::Created
            && c.config_changed == Fact::Known(false)
            && seen.image.known().and_then(Option::as_ref).is_none_or(|image| *image == c.image_id)
    };
    steps == [Step::Start] || steps == [UP] && there && containers.iter().all(as_it_was)
}

fn due(seen: OrderedService<'_>, dependent: &Dependent<'_>, job: &str) -> Due {
    let containers = match seen.containers {
        Fact::Known(containers) => containers,
        Fact::Unknown(why) => return Due::NotKnown(why.clone()),
    };
    let runs = |c: &ContainerObservation| {
        c.restarting
            || !matches!(c.state, ContainerState::Exited | ContainerState::Dead | ContainerState::Created)
    };
    if let Some(open) = containers.iter().find(|c| runs(c)) {
        // Whoever started it, and from whatever image: half a migration is worse than a late one.
        let is_at_work = open.state == ContainerState::Running && !open.restarting && open.restart_count == 0;
        // A job that is paused, or that dies and is restarted, makes no progress.
        return if is_at_work {
            Due::Runs(open.started_at)
        } else {
            Due::NotKnown("it has not ended".into())
        };
    }
    if dependent.build.is_some() && (seen.buildable || same_image(seen, dependent)) {
        return Due::Run(format!("{} waits for {job}, whose image is built", dependent.service));
    }
    let run = |why: &str| Due::Run(format!("{} waits for {job}, {why}", dependent.service));
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

fn same_image(seen: OrderedService<'_>, dependent: &Dependent<'_>) -> bool {
    reference::full(seen.reference) == reference::full(dependent.reference)
}

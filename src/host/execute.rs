//! One step: what must be done before the command, and the command.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    time::Instant,
};

use super::{
    LocalHost, StepReport, StepRequest,
    compose::{
        self, Environment, Resolved,
        argv::{self, Pull},
        command::{self, Finished, GRACE, Invocation},
    },
    engine::{EngineError, keep_reference},
    examined::Examined,
    observe::reference,
};
use crate::api::{ContainerState, Desired, Step, StepOutcome};

/// Says whether the docker CLI and Compose build by BuildKit; a person's own choice holds.
const BUILDKIT: &str = "DOCKER_BUILDKIT";

/// A step that is made ready: the command (none where it must not run), and what was done for it already.
#[derive(Default)]
struct Ready {
    /// The project as Compose resolves it; `None` where it refused to.
    resolved: Option<Resolved>,
    /// Commands that come before it, each only after the one before has succeeded.
    first: Vec<Vec<String>>,
    argv: Vec<String>,
    examined: Examined,
    notes: Vec<String>,
}

/// Why a command must not run.
struct Hindrance(StepOutcome, String);

impl From<String> for Hindrance {
    fn from(why: String) -> Self {
        Self(StepOutcome::Failed, why)
    }
}

impl LocalHost {
    /// See [`Host::execute`](super::Host::execute).
    pub(super) async fn step(&self, desired: &Desired, request: StepRequest<'_>) -> StepReport {
        let started_at = chrono::Utc::now();
        let began = Instant::now();
        let mut ready = Ready::default();
        let made = tokio::select! {
            made = self.make_ready(desired, &request, &mut ready) => made,
            () = request.cancel.cancelled() => {
                Err(Hindrance(StepOutcome::Cancelled, "cancelled before the command began".to_owned()))
            }
        };
        let ended = match made {
            Ok(()) => self.run(desired, &request, &ready).await,
            Err(hindrance) => Err(hindrance),
        };
        let (outcome, exit_code, output) = match ended {
            Ok(finished) => (finished.outcome, finished.exit_code, finished.output),
            Err(Hindrance(outcome, why)) => (outcome, None, why),
        };
        StepReport {
            outcome,
            exit_code,
            command: ready.argv,
            output,
            notes: ready.notes,
            started_at,
            duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Everything before the command. The error is why the command must not run.
    async fn make_ready(
        &self,
        desired: &Desired,
        request: &StepRequest<'_>,
        ready: &mut Ready,
    ) -> Result<(), Hindrance> {
        let resolved = compose::resolve(desired, self.engine.endpoint(), &*self.cache).await;
        let resolved = resolved.map_err(|error| error.to_string())?;
        let resolved = ready.resolved.insert(resolved);
        let (services, notes) = (request.services, &mut ready.notes);
        self.spare_itself(resolved, services).await?;
        self.spare_another_directory(desired, resolved, services).await?;
        if let Step::Build { no_cache } = request.step {
            self.keep_images(resolved, request, notes).await?;
            let mut stages = self.build_stages(desired, resolved, services, notes).await;
            ready.argv = argv::build(desired, &stages.pop().unwrap_or_default(), no_cache);
            ready.first = stages.iter().map(|stage| argv::build(desired, stage, no_cache)).collect();
            return Ok(());
        }
        // It was quiet when the decision was made; since then routes were asked, and dry runs were made.
        self.hold_for_others(desired, resolved).await?;
        let argv = match request.step {
            Step::Restart => {
                self.settle_networks(resolved, notes).await?;
                argv::restart(desired, services)
            }
            Step::Start => {
                self.clear_the_way(resolved, services, notes).await?;
                if self.all_exist(resolved, services).await? {
                    argv::start(desired, services)
                } else {
                    argv::up_as_it_is(desired, services)
                }
            }
            step => {
                self.clear_the_way(resolved, services, notes).await?;
                let force = matches!(step, Step::Rollback | Step::Up { force_recreate: true });
                let pull = self.pull(resolved, services).await?;
                compose::up_command(desired, self.engine.endpoint(), resolved, services, force, pull).await
            }
        };
        // That took a dry run, which may be seconds.
        self.hold_for_others(desired, resolved).await?;
        if request.step == Step::Rollback {
            // Last of all: an image that is put back and not started would be started as if it were no rollback.
            self.put_back(resolved, request, notes).await?;
        }
        ready.examined = self.images_before_up(resolved, request).await?;
        ready.argv = argv;
        Ok(())
    }

    async fn run(
        &self,
        desired: &Desired,
        request: &StepRequest<'_>,
        ready: &Ready,
    ) -> Result<Finished, Hindrance> {
        let env = self.environment(desired, request.step).await?;
        let hold: Option<OwnedFd> = self.step_lock.as_ref().and_then(|lock| lock());
        let invocation = Invocation {
            argv: &ready.argv,
            directory: &desired.directory,
            env: &env,
            limit: request.timeout,
            grace: GRACE,
            cancel: request.cancel,
            progress: request.progress,
            hold: hold.as_ref().map(OwnedFd::as_fd),
            keep_stdout: false,
        };
        let began = chrono::Utc::now().timestamp();
        let finished = match (run_in_order(&ready.first, invocation).await, &ready.resolved) {
            (Ok(finished), Some(resolved)) => {
                let finished = self.await_jobs(resolved, request, finished).await;
                Ok(self.compare_images(resolved, &ready.examined, finished).await)
            }
            (finished, _) => finished,
        };
        // A build makes no container, and takes minutes: what appears meanwhile is someone else's.
        if !matches!(request.step, Step::Build { .. }) {
            let project = ready.resolved.as_ref().map_or("", |resolved| &resolved.model.name);
            self.engine.note_own_step(project, began..=chrono::Utc::now().timestamp());
        }
        finished.map_err(|error| {
            format!("cannot start {}: {error}", ready.argv.first().map_or("", String::as_str)).into()
        })
    }

    /// What is built one after the other, with the services that were asked for last. Where the order is not known they are built
    /// alone, and it is said: a build of an old base image is seen by the look into the new image.
    async fn build_stages(
        &self,
        desired: &Desired,
        resolved: &Resolved,
        services: &[String],
        notes: &mut Vec<String>,
    ) -> Vec<Vec<String>> {
        let once = resolved.model.builds_once(services);
        match compose::build_order(desired, self.engine.endpoint(), &once).await {
            Ok(stages) => {
                let first = stages.iter().rev().skip(1).rev().flatten();
                let first: Vec<&str> = first.map(String::as_str).collect();
                if !first.is_empty() {
                    notes.push(format!("built first, for others are made of it: {}", first.join(", ")));
                }
                stages
            }
            Err(why) => {
                notes.push(format!(
                    "what the images are made of is not known, and only they are built: {why}"
                ));
                vec![once]
            }
        }
    }

    /// Podman has no BuildKit: without the variable buildx would start one in a container, whose image it has to pull.
    async fn environment(&self, desired: &Desired, step: Step) -> Result<Environment, String> {
        let env = Environment::of_this_process().for_docker(self.engine.endpoint(), &desired.directory);
        if !matches!(step, Step::Build { .. }) || env.get(BUILDKIT).is_some() {
            return Ok(env);
        }
        let podman = self.engine.is_podman().await;
        let podman = podman.map_err(|error| format!("cannot see which engine it is: {error}"))?;
        Ok(if podman { env.with(BUILDKIT, "0") } else { env })
    }

    /// Whether the `up` of these services may fetch images: only where every one that the engine lacks comes from
    /// elsewhere. What was examined is what comes up.
    async fn pull(&self, resolved: &Resolved, services: &[String]) -> Result<Pull, String> {
        let mut pull = Pull::Never;
        for (image, may_be_fetched) in resolved.model.images(services) {
            let found = self.engine.image_id(image).await;
            match found.map_err(|error| format!("cannot see whether {image} is on the engine: {error}"))? {
                Some(_) => {}
                None if may_be_fetched => pull = Pull::Missing,
                None => return Ok(Pull::Never),
            }
        }
        Ok(pull)
    }

    /// Two `up` at once can leave a service without a container.
    async fn hold_for_others(&self, desired: &Desired, resolved: &Resolved) -> Result<(), Hindrance> {
        // As a look does it: what a look does not see here would be tried again at once, and so for ever.
        let services = desired.services().iter().map(|service| service.name.as_str());
        let wanted = resolved.model.replicas(services.clone());
        let to_run = resolved.model.to_run(services);
        let (project, young_for) = (&resolved.model.name, desired.object.spec.reconcile.verify.timeout.get());
        let found = match self.engine.someone_at_work(project, &to_run).await {
            Ok(None) => self.engine.roll_out_at_work(project, &wanted, young_for).await,
            found => found,
        };
        match found {
            Ok(None) => Ok(()),
            Ok(Some(why)) => Err(Hindrance(StepOutcome::NotBegun, why)),
            Err(error) => Err(format!("cannot see whether someone else is at work: {error}").into()),
        }
    }

    /// No step is decided for a service that undrift itself runs in; this holds whatever was decided.
    async fn spare_itself(&self, resolved: &Resolved, services: &[String]) -> Result<(), String> {
        let own = self.engine.own_services(&resolved.model.name).await;
        let own = own.map_err(|error| format!("cannot see whether undrift itself is concerned: {error}"))?;
        match services.iter().find(|service| own.contains(*service)) {
            Some(service) => {
                Err(format!("undrift itself runs in a container of {service} and never touches itself"))
            }
            None => Ok(()),
        }
    }

    /// No step is decided for a service that another directory's project has; one may have come up there since the look. It
    /// is as if somebody were at work: nothing was begun, and the next look says what is so.
    async fn spare_another_directory(
        &self,
        desired: &Desired,
        resolved: &Resolved,
        services: &[String],
    ) -> Result<(), Hindrance> {
        if desired.object.spec.project.take_over {
            return Ok(());
        }
        let origins = self.engine.origins(&resolved.model.name).await;
        let origins = origins.map_err(|error| format!("cannot see who made the containers: {error}"))?;
        let ownership = compose::ownership(desired, &*self.cache, &origins).await;
        let others = services.iter().find_map(|service| {
            ownership.of(service, 1).known().cloned().flatten().map(|directory| (service, directory))
        });
        others.map_or(Ok(()), |(service, directory)| {
            let why = format!("the project in {directory} has the service {service}");
            Err(Hindrance(StepOutcome::NotBegun, why))
        })
    }

    /// A killed recreate makes the next `up` fail half of the time, and two networks of one name make it fail always.
    async fn clear_the_way(
        &self,
        resolved: &Resolved,
        services: &[String],
        notes: &mut Vec<String>,
    ) -> Result<(), String> {
        let removed = self.engine.remove_leftovers(&resolved.model.name, services).await;
        notes.extend(removed.map_err(|error| format!("cannot look for leftovers: {error}"))?);
        self.settle_networks(resolved, notes).await
    }

    /// Whether each of these services has as many containers as it is to have, running or not.
    async fn all_exist(&self, resolved: &Resolved, services: &[String]) -> Result<bool, String> {
        let wanted = resolved.model.replicas(services.iter().map(String::as_str));
        let found = self.engine.project_containers(&resolved.model.name, &wanted).await;
        let found = found.map_err(|error| format!("cannot see which containers there are: {error}"))?;
        Ok(wanted.iter().all(|(service, wanted)| {
            let own = found.containers.iter().filter(|container| container.service == *service).count();
            usize::try_from(*wanted).is_ok_and(|wanted| own >= wanted)
        }))
    }

    async fn settle_networks(&self, resolved: &Resolved, notes: &mut Vec<String>) -> Result<(), String> {
        let removed = self.engine.remove_doubled_networks(&resolved.model.name).await;
        notes.extend(removed.map_err(|error| format!("cannot look for doubled networks: {error}"))?);
        Ok(())
    }

    /// Gives the image that a rollback would put back a tag of undrift's own, or else the one that each service runs now:
    /// the build takes its reference away, and an image without any is anybody's to prune.
    async fn keep_images(
        &self,
        resolved: &Resolved,
        request: &StepRequest<'_>,
        notes: &mut Vec<String>,
    ) -> Result<(), String> {
        let wanted = resolved.model.replicas(request.services.iter().map(String::as_str));
        let found = self.engine.project_containers(&resolved.model.name, &wanted).await;
        let found = found.map_err(|error| format!("cannot see which images run now: {error}"))?;
        for service in request.services {
            let mut own = found.containers.iter().filter(|container| container.service == *service);
            let runs = own.clone().find(|container| container.seen.state == ContainerState::Running);
            let runs = runs.or_else(|| own.next()).map(|container| container.seen.image_id.as_str());
            let before = request.rollback_to.get(service).map(String::as_str);
            let kept = self.keep_image(resolved, service, before, runs).await;
            notes.extend(kept.map_err(|error| format!("cannot keep the image of {service}: {error}"))?);
        }
        Ok(())
    }

    /// `before` is what ran when the incident opened: a second build in it must not take the tag away from that.
    async fn keep_image(
        &self,
        resolved: &Resolved,
        service: &str,
        before: Option<&str>,
        runs: Option<&str>,
    ) -> Result<Option<String>, EngineError> {
        let keep = keep_reference(&resolved.model.name, service);
        let kept = self.engine.image_id(&keep).await?;
        if kept.is_some() && kept.as_deref() == before {
            return Ok(None);
        }
        let before = match before {
            Some(before) => self.engine.image_id(before).await?,
            None => None,
        };
        let image = match before.or_else(|| runs.map(str::to_owned)) {
            Some(image) => Some(image),
            // Without a container the reference may already point to what failed: an older tag is better.
            None if kept.is_some() => None,
            None => self.engine.image_id(&reference(resolved, service)).await?,
        };
        let Some(image) = image else { return Ok(None) };
        match self.engine.tag(&image, &keep).await {
            Ok(()) => Ok(Some(format!("kept {image} as {keep}"))),
            Err(EngineError::NotFound(_)) => {
                Ok(Some(format!("could not keep {image} of {service}: it was removed")))
            }
            Err(error) => Err(error),
        }
    }

    /// Points the services' references at the images of before. All are looked at first: half a rollback is worse than
    /// none.
    async fn put_back(
        &self,
        resolved: &Resolved,
        request: &StepRequest<'_>,
        notes: &mut Vec<String>,
    ) -> Result<(), String> {
        let mut images = Vec::new();
        for service in request.services {
            let image = request.rollback_to.get(service);
            let image = image.ok_or_else(|| format!("there is no image to put {service} back to"))?;
            match self.engine.image_id(image).await {
                Ok(Some(_)) => {}
                Ok(None) => return Err(format!("the image {image}, to put {service} back to, is gone")),
                Err(error) => return Err(error.to_string()),
            }
            let reference = reference(resolved, service);
            self.spare_other_projects(resolved, &reference).await?;
            images.push((reference, image));
        }
        for (reference, image) in images {
            let tagged = self.engine.tag(image, &reference).await;
            tagged.map_err(|error| format!("cannot point {reference} at {image}: {error}"))?;
            notes.push(format!("pointed {reference} back at {image}"));
        }
        // No job is run with the image of before: nobody has said that it takes back what the newer one did.
        for service in request.services {
            let jobs = resolved.model.ties(service).waits_for;
            if !jobs.is_empty() {
                notes.push(format!("what {} did for {service} is not taken back", jobs.join(", ")));
            }
        }
        Ok(())
    }

    /// A reference is the whole host's: what a rollback puts behind it would be what the others are made of next.
    async fn spare_other_projects(&self, resolved: &Resolved, reference: &str) -> Result<(), String> {
        let others = self.engine.other_users(reference, &resolved.model.name).await;
        let others = others.map_err(|error| format!("cannot see who else uses {reference}: {error}"))?;
        if others.is_empty() {
            return Ok(());
        }
        let others: Vec<String> = others.into_iter().collect();
        Err(format!(
            "{reference} is also what {} runs, so it is not put back: a person must do it",
            others.join(", ")
        ))
    }
}

/// Runs these commands and then the invocation's own, within its time limit together. One that does not succeed is the last.
async fn run_in_order(first: &[Vec<String>], last: Invocation<'_>) -> std::io::Result<Finished> {
    let began = Instant::now();
    for argv in first {
        let limit = last.limit.saturating_sub(began.elapsed());
        let finished = command::run(Invocation { argv, limit, ..last }).await?;
        if finished.outcome != StepOutcome::Succeeded {
            let output =
                format!("{}, which comes first, did not succeed:\n{}", argv.join(" "), finished.output);
            return Ok(Finished { output, ..finished });
        }
    }
    command::run(Invocation { limit: last.limit.saturating_sub(began.elapsed()), ..last }).await
}

//! One step: what must be done before the command, and the command.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    time::Instant,
};

use super::{
    LocalHost, StepReport, StepRequest,
    compose::{
        self, Environment, Resolved, argv,
        command::{self, Finished, GRACE, Invocation},
    },
    engine::{EngineError, keep_reference},
    observe::reference,
};
use crate::api::{ContainerState, Desired, Step, StepOutcome};

/// A step that is made ready: the command (none where it must not run), and what was done for it already.
#[derive(Default)]
struct Ready {
    /// The Compose project; empty where Compose did not even tell its name.
    project: String,
    argv: Vec<String>,
    notes: Vec<String>,
}

impl LocalHost {
    /// See [`Host::execute`](super::Host::execute).
    pub(super) async fn step(&self, desired: &Desired, request: StepRequest<'_>) -> StepReport {
        let started_at = chrono::Utc::now();
        let began = Instant::now();
        let mut ready = Ready::default();
        let made = tokio::select! {
            made = self.make_ready(desired, &request, &mut ready) => made.map_err(|why| (StepOutcome::Failed, why)),
            () = request.cancel.cancelled() => {
                Err((StepOutcome::Cancelled, "cancelled before the command began".to_owned()))
            }
        };
        let ended = match made {
            Ok(()) => self.run(desired, &request, &ready.argv).await,
            Err(ended) => Err(ended),
        };
        self.engine.note_own_step(&ready.project, started_at.timestamp()..=chrono::Utc::now().timestamp());
        let (outcome, exit_code, output) = match ended {
            Ok(finished) => (finished.outcome, finished.exit_code, finished.output),
            Err((outcome, why)) => (outcome, None, why),
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
    ) -> Result<(), String> {
        let resolved = compose::resolve(desired, self.engine.endpoint(), &*self.cache).await;
        let resolved = resolved.map_err(|error| error.to_string())?;
        ready.project.clone_from(&resolved.model.name);
        self.spare_itself(&resolved, request.services).await?;
        let services = request.services;
        let up = async |force| {
            compose::up_command(desired, self.engine.endpoint(), &resolved, services, force).await
        };
        ready.argv = match request.step {
            Step::Build { no_cache } => {
                self.keep_images(&resolved, services, &mut ready.notes).await?;
                argv::build(desired, services, no_cache)
            }
            Step::Up { force_recreate } => {
                self.clear_the_way(&resolved, services, &mut ready.notes).await?;
                up(force_recreate).await
            }
            Step::Restart => {
                self.settle_networks(&resolved, &mut ready.notes).await?;
                argv::restart(desired, services)
            }
            Step::Rollback => {
                self.put_back(&resolved, request, &mut ready.notes).await?;
                self.clear_the_way(&resolved, services, &mut ready.notes).await?;
                up(true).await
            }
        };
        Ok(())
    }

    async fn run(
        &self,
        desired: &Desired,
        request: &StepRequest<'_>,
        argv: &[String],
    ) -> Result<Finished, (StepOutcome, String)> {
        let env = Environment::of_this_process().for_docker(self.engine.endpoint(), &desired.directory);
        let hold: Option<OwnedFd> = self.step_lock.as_ref().and_then(|lock| lock());
        let invocation = Invocation {
            argv,
            directory: &desired.directory,
            env: &env,
            limit: request.timeout,
            grace: GRACE,
            cancel: request.cancel,
            progress: request.progress,
            hold: hold.as_ref().map(OwnedFd::as_fd),
            keep_stdout: false,
        };
        command::run(invocation).await.map_err(|error| {
            (
                StepOutcome::Failed,
                format!("cannot start {}: {error}", argv.first().map_or("", String::as_str)),
            )
        })
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

    async fn settle_networks(&self, resolved: &Resolved, notes: &mut Vec<String>) -> Result<(), String> {
        let removed = self.engine.remove_doubled_networks(&resolved.model.name).await;
        notes.extend(removed.map_err(|error| format!("cannot look for doubled networks: {error}"))?);
        Ok(())
    }

    /// Gives the image that each service runs now a tag of undrift's own: the build takes its reference away,
    /// and an image without any is anybody's to prune.
    async fn keep_images(
        &self,
        resolved: &Resolved,
        services: &[String],
        notes: &mut Vec<String>,
    ) -> Result<(), String> {
        let names = services.iter().map(String::as_str).collect();
        let found = self.engine.project_containers(&resolved.model.name, &names).await;
        let found = found.map_err(|error| format!("cannot see which images run now: {error}"))?;
        for service in services {
            let mut own = found.containers.iter().filter(|container| container.service == *service);
            let runs = own.clone().find(|container| container.seen.state == ContainerState::Running);
            let image = runs.or_else(|| own.next()).map(|container| container.seen.image_id.clone());
            let kept = self.keep_image(resolved, service, image).await;
            notes.extend(kept.map_err(|error| format!("cannot keep the image of {service}: {error}"))?);
        }
        Ok(())
    }

    async fn keep_image(
        &self,
        resolved: &Resolved,
        service: &str,
        image: Option<String>,
    ) -> Result<Option<String>, EngineError> {
        let keep = keep_reference(&resolved.model.name, service);
        let image = match image {
            Some(image) => Some(image),
            // Without a container the reference may already point to what failed: an older tag is better.
            None if self.engine.image_id(&keep).await?.is_some() => None,
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

    /// Points the services' references at the images of before. All images are looked for first: half a rollback
    /// is worse than none.
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
                Ok(Some(_)) => images.push((service, image)),
                Ok(None) => return Err(format!("the image {image}, to put {service} back to, is gone")),
                Err(error) => return Err(error.to_string()),
            }
        }
        for (service, image) in images {
            let reference = reference(resolved, service);
            let tagged = self.engine.tag(image, &reference).await;
            tagged.map_err(|error| format!("cannot point {reference} at {image}: {error}"))?;
            notes.push(format!("pointed {reference} back at {image}"));
        }
        Ok(())
    }
}

//! One step: its preparation, and the command.

mod kept_images;
mod preconditions;

use std::{
    os::fd::{AsFd as _, OwnedFd},
    time::Instant,
};

use super::{
    LocalHost, StepReport, StepRequest,
    compose::{self, BuildModel, Resolved, argv},
    examined::Examined,
    mounted::Reloaded,
    redact::Redactor,
    sources,
};
use crate::{
    api::{Desired, Step, StepOutcome, UnknownVariable},
    host::process::{Environment, Finished, GRACE, Invocation, command},
};

/// Decides whether the docker CLI and Compose build with BuildKit; a user's own choice wins.
const BUILDKIT: &str = "DOCKER_BUILDKIT";

/// A prepared step: the command (none if it must not run), and the actions already taken for it.
#[derive(Default)]
struct Ready {
    /// The project as Compose resolves it; `None` if it refused to.
    resolved: Option<Resolved>,
    /// Commands that come before it, each only after the one before has succeeded.
    first: Vec<Vec<String>>,
    argv: Vec<String>,
    examined: Examined,
    reloaded: Reloaded,
    notes: Vec<String>,
    /// The secrets to hide in all output.
    known: Redactor,
}

/// Why a command must not run.
pub(super) struct Blocked(pub(super) StepOutcome, pub(super) String);

impl From<String> for Blocked {
    fn from(why: String) -> Self {
        Self(StepOutcome::Failed, why)
    }
}

impl LocalHost {
    /// See [`Host::execute`](super::Host::execute).
    pub(super) async fn step(
        &self,
        desired: &Desired,
        unknown: &[UnknownVariable],
        request: StepRequest<'_>,
    ) -> StepReport {
        let started_at = chrono::Utc::now();
        let began = Instant::now();
        let mut ready = Ready::default();
        let made = tokio::select! {
            made = self.make_ready(desired, unknown, &request, &mut ready) => made,
            () = request.cancel.cancelled() => {
                Err(Blocked(StepOutcome::Cancelled, "cancelled before the command began".to_owned()))
            }
        };
        let ended = match made {
            Ok(()) => self.run(desired, &request, &ready).await,
            Err(blocked) => Err(blocked),
        };
        let known = &ready.known;
        let (outcome, exit_code, output) = match ended {
            Ok(finished) => (finished.outcome, finished.exit_code, known.text(&finished.output)),
            Err(Blocked(outcome, why)) => (outcome, None, known.message(&why)),
        };
        StepReport {
            outcome,
            exit_code,
            command: ready.argv.iter().map(|word| known.own(word)).collect(),
            output,
            notes: ready.notes.iter().map(|note| known.message(note)).collect(),
            started_at,
            duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Everything before the command. The error gives the reason why the command must not run.
    async fn make_ready(
        &self,
        desired: &Desired,
        unknown: &[UnknownVariable],
        request: &StepRequest<'_>,
        ready: &mut Ready,
    ) -> Result<(), Blocked> {
        ready.known = self.known_secrets(desired).await;
        let resolved = compose::resolve(desired, self.engine.endpoint(), self.memory()).await;
        let resolved = resolved.map_err(|error| match unknown.first() {
            // It may be missing for that alone.
            Some(variable) => Blocked(StepOutcome::NotBegun, variable.message.clone()),
            None => error.to_string().into(),
        })?;
        self.refuse_unknown_variable(desired, &resolved, unknown, request).await?;
        let (made, known) = tokio::join!(
            self.prepare(desired, request, &resolved, ready),
            self.all_secrets(desired, &resolved),
        );
        ready.known = known;
        ready.resolved = Some(resolved);
        made
    }

    /// The same, once the project is resolved.
    async fn prepare(
        &self,
        desired: &Desired,
        request: &StepRequest<'_>,
        resolved: &Resolved,
        ready: &mut Ready,
    ) -> Result<(), Blocked> {
        let services = request.services;
        self.refuse_own_container(resolved, services).await?;
        self.refuse_another_directory(desired, resolved, services).await?;
        if let Step::Build { no_cache } = request.step {
            wait_for_git(resolved.builds.with_bases(services)).await?;
            self.keep_images(resolved, request, &mut ready.notes).await?;
            let mut stages = build_stages(resolved, services, &mut ready.notes);
            ready.argv = argv::build(desired, &stages.pop().unwrap_or_default(), no_cache);
            ready.first = stages.iter().map(|stage| argv::build(desired, stage, no_cache)).collect();
            return Ok(());
        }
        // The project was quiet at the decision; since then undrift has probed routes and made dry runs.
        self.hold_for_others(desired, resolved).await?;
        let argv = self.command_of(desired, request, resolved, ready).await?;
        // That took a dry run, which may be seconds.
        self.hold_for_others(desired, resolved).await?;
        if request.step == Step::Rollback {
            // Last of all: if an image is restored and not started, a later start would use it as if there had been no
            // rollback.
            self.restore_images(resolved, request, &mut ready.notes).await?;
        }
        ready.examined = self.images_before_up(resolved, request).await?;
        ready.argv = argv;
        Ok(())
    }

    /// The command of a step that is no build, once nothing is in its way. Commands that come before it are in `ready`.
    async fn command_of(
        &self,
        desired: &Desired,
        request: &StepRequest<'_>,
        resolved: &Resolved,
        ready: &mut Ready,
    ) -> Result<Vec<String>, Blocked> {
        let (services, notes) = (request.services, &mut ready.notes);
        Ok(match request.step {
            Step::Restart => {
                self.settle_networks(resolved, notes).await?;
                argv::restart(desired, services)
            }
            Step::Reload => {
                ready.reloaded = self.prepare_reload(desired, resolved, services).await?;
                ready.first = std::mem::take(&mut ready.reloaded.commands);
                ready.first.pop().unwrap_or_default()
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
        })
    }

    async fn run(
        &self,
        desired: &Desired,
        request: &StepRequest<'_>,
        ready: &Ready,
    ) -> Result<Finished, Blocked> {
        let env = self.environment(desired, request.step).await?;
        let hold: Option<OwnedFd> = self.step_lock.as_ref().and_then(|lock| lock());
        if let Some(why) = ready.known.withheld() {
            (request.progress)(why);
        }
        let progress = |line: &str| {
            if ready.known.withheld().is_none() {
                (request.progress)(&ready.known.line(line));
            }
        };
        let invocation = Invocation {
            argv: &ready.argv,
            directory: &desired.directory,
            env: &env,
            limit: request.timeout,
            grace: GRACE,
            cancel: request.cancel,
            progress: &progress,
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
        if matches!(&finished, Ok(finished) if finished.outcome == StepOutcome::Succeeded) {
            self.remember_reload(&ready.reloaded);
        }
        // A build creates no container, and takes minutes: new containers meanwhile are someone else's.
        if !matches!(request.step, Step::Build { .. }) {
            let project = ready.resolved.as_ref().map_or("", |resolved| &resolved.model.name);
            self.engine.note_own_step(project, began..=chrono::Utc::now().timestamp());
        }
        finished.map_err(|error| {
            format!("cannot start {}: {error}", ready.argv.first().map_or("", String::as_str)).into()
        })
    }

    async fn environment(&self, desired: &Desired, step: Step) -> Result<Environment, String> {
        if matches!(step, Step::Build { .. }) {
            return self.build_environment(desired).await;
        }
        Ok(Environment::of_this_process().for_project(self.engine.endpoint(), desired))
    }

    /// Podman has no BuildKit: without the variable, buildx would start one in a container, whose image it has to pull.
    pub(super) async fn build_environment(&self, desired: &Desired) -> Result<Environment, String> {
        let env = Environment::of_this_process().for_project(self.engine.endpoint(), desired);
        if env.get(BUILDKIT).is_some() {
            return Ok(env);
        }
        let podman = self.engine.is_podman().await;
        let podman = podman.map_err(|error| format!("cannot see which engine it is: {error}"))?;
        Ok(if podman { env.with(BUILDKIT, "0") } else { env })
    }
}

/// A build begins while no git is at work on its files. It was so at the decision; this is the last moment before the build.
pub(super) async fn wait_for_git(builds: Vec<BuildModel>) -> Result<(), Blocked> {
    for build in builds {
        let lock = sources::git_lock(&build).await;
        if let Some(lock) = lock.filter(|lock| lock.waited_for_until(chrono::Utc::now()).is_some()) {
            return Err(Blocked(StepOutcome::NotBegun, lock.in_words()));
        }
    }
    Ok(())
}

/// The builds in order, with the requested services last. If a profile that may build an earlier base cannot be resolved, a
/// note reports that: the look into the new image detects a build on an old base.
fn build_stages(resolved: &Resolved, services: &[String], notes: &mut Vec<String>) -> Vec<Vec<String>> {
    let stages = resolved.builds.stages(&resolved.model.builds_once(services));
    let first = stages.iter().rev().skip(1).rev().flatten();
    let first: Vec<&str> = first.map(String::as_str).collect();
    if !first.is_empty() {
        notes.push(format!("built first, for others are made of it: {}", first.join(", ")));
    }
    let flaw = resolved.builds.flaw();
    notes.extend(flaw.map(|why| format!("what profiles that are not enabled build is not known: {why}")));
    stages
}

/// Runs these commands and then the invocation's own, within one common time limit. It stops after one that does not succeed.
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

//! The Compose projects of a scenario: a host in memory for each, with what a person sees of a real one besides.
//!
//! A step takes its time, a build prints why it failed, and somebody else may be at work.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    api::{
        ContainerState, Desired, EachQuery, Expansion, Fact, GitState, LastWords, ProjectObservation, Step,
        StepOutcome, StepReport, Time,
    },
    host::{BuildCheckRequest, CheckedBuild, Host, HostError, StepRequest, compose::argv},
    testing::fake::{FakeContainer, FakeHost, Image, VirtualClock, World},
};

/// What somebody else will do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stranger {
    /// From then on they are seen to be at work.
    pub(super) from: Time,
    /// Then it is done.
    pub(super) until: Time,
    /// The image that they bring up: the newest when they began.
    pub(super) image: Option<Image>,
    /// What has changed by it.
    pub(super) change: fn(&mut World, Option<Image>),
}

/// One project, and who is at work on it.
struct Project {
    host: FakeHost,
    stranger: Mutex<Option<Stranger>>,
    /// What a build prints that fails.
    build_error: Mutex<&'static str>,
    /// When each container was started, by its ID and the number of the start.
    starts: Mutex<BTreeMap<(u32, i64), Time>>,
}

/// All of them, on one engine.
#[derive(Clone)]
pub(super) struct Projects {
    by_name: Arc<BTreeMap<&'static str, Project>>,
    clock: VirtualClock,
}

impl fmt::Debug for Projects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Projects").finish_non_exhaustive()
    }
}

impl Projects {
    /// Two projects, each built and started from a source that has no module yet.
    pub(super) fn new(clock: &VirtualClock) -> Self {
        // One engine never has two images of one ID.
        let project = |(name, next)| {
            let mut world = World { next, newest_good: next, ..World::new() };
            world.compose_up_build();
            let host = FakeHost { clock: clock.clone(), ..FakeHost::new(world) };
            let (stranger, build_error, starts) = (Mutex::default(), Mutex::default(), Mutex::default());
            (name, Project { host, stranger, build_error, starts })
        };
        Self {
            by_name: Arc::new([("backoffice", 1), ("shop", 1001)].map(project).into()),
            clock: clock.clone(),
        }
    }

    fn project(&self, name: &str) -> &Project {
        &self.by_name[name]
    }

    /// Whether there is a project of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// The host of a project.
    pub(super) fn host(&self, name: &str) -> &FakeHost {
        &self.project(name).host
    }

    /// Has somebody else at work on a project, now or later.
    pub(super) fn invite(&self, name: &str, stranger: Stranger) {
        let project = self.project(name);
        // No undrift runs while a story goes on: the image is that of their begin.
        let image = project.host.world(|world| world.image);
        *lock(&project.stranger) = Some(Stranger { image, ..stranger });
    }

    /// Has the builds of a project print this where they fail.
    pub(super) fn print_of_failed_builds(&self, name: &str, output: &'static str) {
        *lock(&self.project(name).build_error) = output;
    }

    /// Returns when undrift is killed.
    pub(super) async fn killed(&self) {
        let all = self.by_name.values().map(|project| Box::pin(project.host.killed.notified()));
        futures_util::future::select_all(all).await;
    }
}

impl Project {
    /// What shows that somebody else is at work; what has ended by now has had its effect.
    fn external_activity(&self, name: &str, now: Time) -> Option<String> {
        let mut stranger = lock(&self.stranger);
        let at_work = (*stranger).filter(|stranger| stranger.from <= now)?;
        if at_work.until <= now {
            *stranger = None;
            self.host.world(|world| (at_work.change)(world, at_work.image));
            return None;
        }
        let age = (now - at_work.from).num_seconds();
        Some(format!(
            "{name}-api-1 was created {age} s ago and is not started: another Compose command may be at work"
        ))
    }

    /// When a container was started: when that was seen first.
    fn started_at(&self, container: FakeContainer, now: Time) -> Time {
        let mut starts = lock(&self.starts);
        *starts.entry((container.id, container.starts)).or_insert(now)
    }

    /// When a container was created: Compose starts it at once.
    fn created_at(&self, container: FakeContainer) -> Option<Time> {
        lock(&self.starts).iter().filter(|((id, _), _)| *id == container.id).map(|(_, at)| *at).min()
    }

    /// Notes the start of what runs now.
    fn note_start(&self, now: Time) {
        if let Some(container) = self.host.world(|world| world.container) {
            self.started_at(container, now);
        }
    }
}

/// Nothing is half done where a test has failed with it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long a step takes.
const fn takes(step: Step) -> Duration {
    Duration::from_secs(match step {
        Step::Build { .. } => 42,
        Step::Up { .. } | Step::Start => 3,
        Step::Restart | Step::Reload => 2,
        Step::Rollback => 4,
    })
}

/// The command of a step, as undrift gives it to Compose.
fn command(desired: &Desired, step: Step, services: &[String]) -> Vec<String> {
    let up = |force_recreate| {
        let options = argv::UpOptions { force_recreate, no_deps: false, pull: argv::Pull::Never };
        argv::up(desired, services, options)
    };
    match step {
        Step::Build { no_cache } => argv::build(desired, services, no_cache),
        Step::Up { force_recreate } => up(force_recreate),
        Step::Start => argv::start(desired, services),
        Step::Restart => argv::restart(desired, services),
        Step::Reload => argv::signal("HUP", services),
        Step::Rollback => up(true),
    }
}

/// The fake shows every project as `backoffice`.
fn rename(seen: &mut ProjectObservation, name: &str) {
    name.clone_into(&mut seen.project);
    let rename = |text: &mut String| *text = text.replace("backoffice", name);
    for service in &mut seen.services {
        rename(&mut service.artifact.reference);
        if let Fact::Known(containers) = &mut service.containers {
            for container in containers {
                rename(&mut container.name);
            }
        }
        let answers = service.routes.iter_mut().flat_map(|route| &mut route.answers);
        answers.filter_map(|answer| answer.container.as_mut()).for_each(rename);
    }
}

impl Host for Projects {
    async fn observe(&self, desired: &Desired) -> Result<ProjectObservation, HostError> {
        let (project, now) = (self.project(desired.name()), self.clock.now());
        let activity = project.external_activity(desired.name(), now);
        let container = project.host.world(|world| world.container);
        let mut seen = project.host.observe(desired).await.map_err(|_| HostError::EngineUnavailable {
            endpoint: self.endpoint(),
            cause: "No such file or directory (os error 2)".into(),
        })?;
        seen.at = now;
        seen.external_activity = activity.or(seen.external_activity);
        if let (Some(container), Fact::Known(shown)) = (container, &mut seen.services[0].containers) {
            shown[0].started_at = Some(project.started_at(container, now));
            shown[0].created_at = project.created_at(container);
        }
        rename(&mut seen, desired.name());
        Ok(seen)
    }

    async fn entries(
        &self,
        desired: &Desired,
        queries: BTreeSet<EachQuery>,
    ) -> BTreeMap<EachQuery, Expansion> {
        self.project(desired.name()).host.entries(desired, queries).await
    }

    async fn project(&self, desired: &Desired) -> Result<String, HostError> {
        self.host(desired.name()).project(desired).await
    }

    fn endpoint(&self) -> String {
        "unix:///run/docker.sock".into()
    }

    async fn git(&self, desired: &Desired) -> Fact<Option<GitState>> {
        self.host(desired.name()).git(desired).await
    }

    async fn last_words(&self, desired: &Desired, containers: &[(String, String)]) -> Vec<LastWords> {
        let project = self.project(desired.name());
        let Some((container, crashes)) =
            project.host.world(|world| Some((world.container?, world.crashes())))
        else {
            return Vec::new();
        };
        let words = |(service, id): &(String, String)| LastWords {
            service: service.clone(),
            container: format!("{}-{service}-1", desired.name()),
            id: id.clone(),
            image_id: String::new(),
            state: if crashes { ContainerState::Restarting } else { ContainerState::Running },
            exit_code: crashes.then_some(1),
            signal: None,
            oom_killed: false,
            error: None,
            restart_count: container.crashes,
            started_at: None,
            finished_at: None,
            output: crashes.then(|| "Error: Cannot find module './mailer'".to_owned()).into_iter().collect(),
            output_unknown: None,
        };
        containers.iter().filter(|(service, _)| service == "api").map(words).collect()
    }

    async fn execute(&self, desired: &Desired, request: StepRequest<'_>) -> StepReport {
        let (project, started_at) = (self.project(desired.name()), self.clock.now());
        let (step, services) = (request.step, request.services);
        let passed = || u64::try_from((self.clock.now() - started_at).num_milliseconds()).unwrap();
        let report = |outcome, output: &str| StepReport {
            outcome,
            exit_code: None,
            command: Vec::new(),
            output: output.to_owned(),
            notes: Vec::new(),
            started_at,
            duration_ms: 0,
        };
        let activity = project.external_activity(desired.name(), started_at);
        if let Some(why) = activity.filter(|_| !matches!(step, Step::Build { .. })) {
            return report(StepOutcome::NotBegun, &why);
        }
        tokio::select! {
            () = tokio::time::sleep(takes(step)) => {}
            () = request.cancel.cancelled() => {
                let command = command(desired, step, services);
                return StepReport { command, duration_ms: passed(), ..report(StepOutcome::Cancelled, "") };
            }
        }
        let done = project.host.execute(desired, request).await;
        project.note_start(self.clock.now());
        let has_failed = matches!(step, Step::Build { .. }) && done.outcome == StepOutcome::Failed;
        let output = if has_failed { *lock(&project.build_error) } else { "" };
        StepReport {
            exit_code: done.exit_code,
            command: command(desired, step, services),
            duration_ms: passed(),
            ..report(done.outcome, output)
        }
    }

    async fn check_builds(
        &self,
        desired: &Desired,
        request: BuildCheckRequest<'_>,
    ) -> Result<Vec<CheckedBuild>, HostError> {
        self.host(desired.name()).check_builds(desired, request).await
    }

    async fn keep_verified(&self, project: &str, images: &BTreeMap<String, String>) {
        self.host(project).keep_verified(project, images).await;
    }

    async fn gone_images(&self, images: &BTreeSet<String>) -> BTreeSet<String> {
        let is_gone = |image: &&String| {
            self.by_name.values().all(|project| project.host.world(|world| world.is_gone(image)))
        };
        images.iter().filter(is_gone).cloned().collect()
    }

    async fn prune(&self, _: &[String]) -> Vec<String> {
        Vec::new()
    }
}

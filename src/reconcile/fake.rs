//! A host in memory: images, containers and routes that behave as Compose's do, and faults to order.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::{sync::Notify, time::Instant};

use crate::{
    api::{
        ContainerState, Desired, Fact, GitState, Presence, ProjectObservation, ServiceObservation, Step,
        StepOutcome, Time,
    },
    fixtures::{answer_mut, at, container, container_mut, git, healthy, status},
    host::{Host, HostError, StepReport, StepRequest},
};

/// What is behind a reference: built from which version of the source, with the module or without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) id: u32,
    pub(crate) source: u32,
    pub(crate) module: bool,
}

/// What runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Container {
    pub(crate) id: u32,
    pub(crate) image: Image,
    pub(crate) running: bool,
    pub(crate) starts: i64,
    pub(crate) crashes: i64,
    pub(crate) looks: usize,
}

/// The whole host. `api` is the service with a module and a route; `dashboard` only has to run.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) source: u32,
    pub(crate) module_in_source: bool,
    pub(crate) image: Option<Image>,
    pub(crate) container: Option<Container>,
    pub(crate) next: u32,
    pub(crate) faults: Faults,
    pub(crate) log: Vec<Step>,
    pub(crate) engine_away: bool,
    pub(crate) away_for: u32,
    /// For how many looks the engine is still starting what it is to run.
    pub(crate) starting_for: u32,
    /// Whether it then has started the container by itself.
    pub(crate) starts_it: bool,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fault that may be ordered by itself")]
pub(crate) struct Faults {
    /// A build exits with an error.
    pub(crate) build_fails: bool,
    /// A build ends well, without the module.
    pub(crate) build_forgets: bool,
    /// `up` ends well and changes nothing.
    pub(crate) up_is_noop: bool,
    /// A new container crashes a moment after each look.
    pub(crate) new_crashes: bool,
    /// A new container answers 404, 502, 404 before it answers as it should.
    pub(crate) warms_up: bool,
    /// The engine does not answer for a few looks after each step.
    pub(crate) engine_hiccups: bool,
    /// The server does not know the route although the module is there.
    pub(crate) route_lost: bool,
}

/// Where undrift is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kill {
    /// Before the n-th step has any effect.
    Before(usize),
    /// After it had its effect, and before undrift hears of it.
    After(usize),
}

/// Time that passes only where it is waited for: tokio's, from one run to the next.
#[derive(Debug, Clone)]
pub(crate) struct VirtualClock(Arc<Mutex<(Time, Option<Instant>)>>);

impl VirtualClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new((at(1_000_000), None))))
    }

    pub(crate) fn now(&self) -> Time {
        let (base, began) = *self.0.lock().unwrap();
        base + began.map(|began| began.elapsed()).unwrap_or_default()
    }

    /// Runs on, in a paused runtime.
    pub(crate) fn begin(&self) {
        self.0.lock().unwrap().1 = Some(Instant::now());
    }

    /// Stands still until the next run.
    pub(crate) fn end(&self) {
        let now = self.now();
        *self.0.lock().unwrap() = (now, None);
    }
}

pub(crate) struct FakeHost {
    pub(crate) clock: VirtualClock,
    pub(crate) world: Mutex<World>,
    pub(crate) kill: Option<Kill>,
    pub(crate) killed: Notify,
}

impl World {
    /// The incident: version 2 of the source has the module, image and container are of version 1.
    pub(crate) fn incident() -> Self {
        let image = Image { id: 1, source: 1, module: false };
        Self {
            source: 2,
            module_in_source: true,
            image: Some(image),
            container: Some(Container { id: 1, image, running: true, starts: 1, crashes: 0, looks: 0 }),
            next: 2,
            faults: Faults::default(),
            log: Vec::new(),
            engine_away: false,
            away_for: 0,
            starting_for: 0,
            starts_it: false,
        }
    }

    /// Whether `api` really is as declared: the judge of every test.
    pub(crate) fn is_as_declared(&self) -> bool {
        let (Some(image), Some(container)) = (self.image, self.container) else { return false };
        self.module_in_source
            && image.module
            && container.running
            && container.image == image
            && !self.faults.route_lost
            && !(self.faults.new_crashes && image.id > 1)
    }

    fn take(&mut self, step: Step) -> StepOutcome {
        self.log.push(step);
        self.away_for = if self.faults.engine_hiccups { 3 } else { 0 };
        match step {
            Step::Build { .. } if self.faults.build_fails => return StepOutcome::Failed,
            Step::Build { no_cache } => self.build(no_cache),
            Step::Up { force_recreate } if !self.faults.up_is_noop => self.up(force_recreate),
            Step::Up { .. } => {}
            Step::Restart => {
                if let Some(container) = &mut self.container {
                    container.running = true;
                    container.starts += 1;
                    container.crashes = 0;
                }
            }
            Step::Rollback => {
                self.image = Some(Image { id: 1, source: 1, module: false });
                self.up(true);
            }
        }
        StepOutcome::Succeeded
    }

    fn build(&mut self, no_cache: bool) {
        let module = self.module_in_source && !self.faults.build_forgets;
        let cached =
            self.image.filter(|image| image.source == self.source && image.module == module && !no_cache);
        let id = cached.map_or(self.next, |image| image.id);
        self.next = self.next.max(id + 1);
        self.image = Some(Image { id, source: self.source, module });
    }

    fn up(&mut self, force: bool) {
        let Some(image) = self.image else { return };
        match &mut self.container {
            Some(container) if container.image == image && !force => {
                container.starts += i64::from(!container.running);
                container.running = true;
            }
            _ => {
                self.container =
                    Some(Container { id: self.next, image, running: true, starts: 1, crashes: 0, looks: 0 });
                self.next += 1;
            }
        }
    }

    fn observe(&mut self) -> ProjectObservation {
        let mut seen = healthy();
        seen.changing = (self.starting_for > 0).then(|| "the engine has only just started".to_owned());
        self.starting_for = self.starting_for.saturating_sub(1);
        if self.starting_for == 0 && std::mem::take(&mut self.starts_it) {
            self.container.iter_mut().for_each(|container| container.running = true);
        }
        let presence = |there| Fact::Known(if there { Presence::Present } else { Presence::Missing });
        let api = &mut seen.services[0];
        api.source.digest = Fact::Known(Some(format!("sha256:source-{}", self.source)));
        api.source.modules[0] = Some(presence(self.module_in_source));
        api.artifact.built_from = None;
        api.artifact.image = Fact::Known(self.image.map(|image| image_id(image.id)));
        api.artifact.modules[0].presence = presence(self.image.is_some_and(|image| image.module));
        match self.container {
            None => {
                api.containers = Fact::Known(vec![]);
                api.routes[0].answers.clear();
            }
            Some(found) => show(api, found, self.faults),
        }
        if let Some(container) = &mut self.container {
            container.looks += 1;
        }
        if let Some(container) = self.container.as_mut().filter(|c| self.faults.new_crashes && c.image.id > 1)
        {
            container.crashes += 1;
        }
        seen
    }
}

fn show(api: &mut ServiceObservation, found: Container, faults: Faults) {
    let shown = container_mut(api);
    *shown = crate::api::ContainerObservation {
        id: format!("container-{}", found.id),
        image_id: image_id(found.image.id),
        state: if found.running { ContainerState::Running } else { ContainerState::Exited },
        restart_count: found.crashes,
        started_at: Some(at(found.starts + 100 * i64::from(found.id))),
        modules: shown.modules.clone(),
        ..container("api")
    };
    shown.modules[0].presence =
        Fact::Known(if found.image.module { Presence::Present } else { Presence::Missing });
    let there = found.image.module && !faults.route_lost;
    let warming = [404, 502, 404].get(found.looks).filter(|_| faults.warms_up && found.image.id > 1);
    answer_mut(api).plain = status(*warming.unwrap_or(if there { &401 } else { &404 }));
    answer_mut(api).auth = Some(status(if there { 200 } else { 404 }));
    if !found.running {
        api.routes[0].answers.clear();
    }
}

fn image_id(id: u32) -> String {
    format!("sha256:{id:064x}")
}

impl FakeHost {
    pub(crate) fn new(world: World) -> Self {
        Self { clock: VirtualClock::new(), world: Mutex::new(world), kill: None, killed: Notify::new() }
    }

    pub(crate) fn world<T>(&self, f: impl FnOnce(&mut World) -> T) -> T {
        f(&mut self.world.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Host for FakeHost {
    async fn observe(&self, _: &Desired) -> Result<ProjectObservation, HostError> {
        self.world(|world| {
            if world.engine_away || world.away_for > 0 {
                world.away_for = world.away_for.saturating_sub(1);
                return Err(HostError::EngineUnavailable { endpoint: "fake".into(), cause: "away".into() });
            }
            Ok(world.observe())
        })
    }

    async fn git(&self, _: &Desired) -> Fact<Option<GitState>> {
        Fact::Known(Some(git()))
    }

    async fn prune(&self, _: &[String]) -> Vec<String> {
        Vec::new()
    }

    async fn execute(&self, _: &Desired, request: StepRequest<'_>) -> StepReport {
        let number = self.world(|world| world.log.len()) + 1;
        if self.kill == Some(Kill::Before(number)) {
            self.killed.notify_one();
            std::future::pending::<()>().await;
        }
        let outcome = self.world(|world| world.take(request.step));
        if self.kill == Some(Kill::After(number)) {
            self.killed.notify_one();
            std::future::pending::<()>().await;
        }
        StepReport {
            outcome,
            exit_code: Some(i32::from(outcome != StepOutcome::Succeeded)),
            command: vec!["fake".into(), format!("{:?}", request.step)],
            output: String::new(),
            notes: vec![],
            started_at: self.clock.now(),
            duration_ms: 0,
        }
    }
}

//! What a host in memory consists of: images, containers and routes that behave as Compose's do, and faults to order.
//!
//! The same operations on the real engine show the same: `conformance` holds this against it.

use std::collections::BTreeMap;

use crate::{
    api::{
        ContainerState, ContentComparison, ContentObservation, Fact, Presence, ProjectObservation,
        ServiceObservation, Step, StepOutcome,
    },
    testing::fixtures::{answer_mut, at, container, container_mut, healthy, status},
};

/// What is behind a reference: built from which version of the source, with the module or without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Image {
    pub(crate) id: u32,
    pub(crate) source: u32,
    pub(crate) module: bool,
}

/// What runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FakeContainer {
    pub(crate) id: u32,
    pub(crate) image: Image,
    pub(crate) config: u32,
    pub(crate) running: bool,
    pub(crate) starts: i64,
    pub(crate) crashes: i64,
    pub(crate) looks: usize,
    /// Whether a file of the module has other bytes than in the image.
    pub(crate) rewritten: bool,
}

impl FakeContainer {
    /// One that was started just now.
    pub(crate) const fn new(id: u32, image: Image, config: u32) -> Self {
        Self { id, image, config, running: true, starts: 1, crashes: 0, looks: 0, rewritten: false }
    }
}

/// The whole host. `api` is the service with a module and a route; `dashboard` only has to run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) source: u32,
    pub(crate) module_in_source: bool,
    /// The version of the Compose files.
    pub(crate) config: u32,
    /// All that was ever built: the cache of builds, and what a rollback finds.
    pub(crate) images: Vec<Image>,
    /// What is behind the reference.
    pub(crate) image: Option<Image>,
    /// What undrift keeps by a tag of its own, by service.
    pub(crate) kept: BTreeMap<String, String>,
    pub(crate) container: Option<FakeContainer>,
    pub(crate) next: u32,
    pub(crate) faults: Faults,
    pub(crate) log: Vec<Step>,
    pub(crate) engine_away: bool,
    pub(crate) away_for: u32,
    /// Before how many steps someone else turns out to be at work.
    pub(crate) busy_for: usize,
    /// For how many looks the engine is still starting what it is to run.
    pub(crate) starting_for: u32,
    /// Whether it then has started the container by itself.
    pub(crate) starts_it: bool,
    /// How `dashboard` ended, if it has. No step starts it.
    pub(crate) dashboard_exit: Option<i64>,
    /// The newest image that runs whatever else goes wrong.
    pub(crate) newest_good: u32,
    /// The newest image whose server knows the route, where newer ones do not.
    pub(crate) newest_with_route: Option<u32>,
}

/// What a person, or another program, does to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Hand {
    /// Kills the container.
    Stop,
    /// Removes it, running or not.
    Remove,
    /// Takes the name from the image, which stays under another.
    Untag,
    /// Changes the Compose files.
    Configure,
    /// Changes the source.
    Edit,
    LoseModule,
    GainModule,
    /// Changes the source so that no build of it ends well.
    Break,
    Fix,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
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
    /// Each container rewrites a file of its module some time after it was verified; see [`World::rewrite`].
    pub(crate) rewrites_itself: bool,
}

impl World {
    /// Version 1 of the source, without the module. Nothing is built.
    pub(crate) fn new() -> Self {
        Self {
            source: 1,
            module_in_source: false,
            config: 1,
            images: Vec::new(),
            image: None,
            kept: BTreeMap::new(),
            container: None,
            next: 1,
            faults: Faults::default(),
            log: Vec::new(),
            engine_away: false,
            away_for: 0,
            busy_for: 0,
            starting_for: 0,
            starts_it: false,
            dashboard_exit: None,
            newest_good: 1,
            newest_with_route: None,
        }
    }

    /// The incident: version 2 of the source has the module, image and container are of version 1.
    pub(crate) fn incident() -> Self {
        let mut world = Self::new();
        world.build(false);
        world.up(false);
        world.by_hand(Hand::GainModule);
        world
    }

    /// A person, or another program, at the host.
    pub(crate) fn by_hand(&mut self, hand: Hand) {
        match hand {
            Hand::Stop => self.container.iter_mut().for_each(|container| container.running = false),
            Hand::Remove => self.container = None,
            Hand::Untag => self.image = None,
            Hand::Configure => self.config += 1,
            Hand::Edit => self.source += 1,
            Hand::LoseModule => (self.module_in_source, self.source) = (false, self.source + 1),
            Hand::GainModule => (self.module_in_source, self.source) = (true, self.source + 1),
            Hand::Break => (self.faults.build_fails, self.source) = (true, self.source + 1),
            Hand::Fix => (self.faults.build_fails, self.source) = (false, self.source + 1),
        }
    }

    /// A file of the module changes in the container: by its service, or by a person's `docker cp`.
    pub(crate) fn rewrite(&mut self) {
        self.container.iter_mut().for_each(|container| container.rewritten = true);
    }

    /// A person's `docker compose up -d --force-recreate` with this image, which was the newest when it began.
    pub(crate) fn force_recreate(&mut self, image: Option<Image>) {
        let newest = std::mem::replace(&mut self.image, image);
        self.up(true);
        self.image = newest;
    }

    /// A person's `docker compose up -d --build`.
    pub(crate) fn compose_up_build(&mut self) {
        self.build(false);
        self.up(false);
    }

    /// Changes the source so that every new image crashes.
    pub(crate) fn begin_crashing(&mut self) {
        self.newest_good = self.image.map_or(self.newest_good, |image| image.id);
        self.faults.new_crashes = true;
        self.by_hand(Hand::Edit);
    }

    /// Changes the source so that the server of every new image does not know the route.
    pub(crate) fn begin_forgetting_the_route(&mut self) {
        self.newest_with_route = self.image.map(|image| image.id);
        self.by_hand(Hand::Edit);
    }

    /// Changes the source so that new images run, and know the route.
    pub(crate) fn mend_source(&mut self) {
        (self.faults.new_crashes, self.newest_with_route) = (false, None);
        self.by_hand(Hand::Edit);
    }

    /// Whether servers of this image do not know the route, though the module is there.
    fn loses_route(&self, image: Image) -> bool {
        self.faults.route_lost || self.newest_with_route.is_some_and(|newest| image.id > newest)
    }

    /// Whether what runs is of an image that crashes.
    pub(crate) fn crashes(&self) -> bool {
        self.faults.new_crashes && self.container.is_some_and(|found| found.image.id > self.newest_good)
    }

    /// Removes every image but the one behind the reference.
    pub(crate) fn forget_all_but_current(&mut self) {
        self.images.retain(|image| Some(*image) == self.image);
    }

    /// The engine restarts; it starts the container again after a few looks, or never.
    pub(crate) fn restart_engine(&mut self, starts_it: bool) {
        self.by_hand(Hand::Stop);
        (self.starting_for, self.starts_it) = (3, starts_it);
    }

    /// Whether `api` really is as declared: the judge of every test. Deaths that are over are history.
    pub(crate) fn is_as_declared(&self) -> bool {
        let (Some(image), Some(container)) = (self.image, self.container) else { return false };
        self.module_in_source
            && image.module
            && container.running
            && container.image == image
            && container.config == self.config
            && !container.rewritten
            && !self.loses_route(image)
            && !(self.faults.new_crashes && image.id > self.newest_good)
    }

    /// `old` is the image that a rollback puts back.
    pub(crate) fn take(&mut self, step: Step, old: Option<&String>) -> StepOutcome {
        if self.busy_for > 0 {
            self.busy_for -= 1;
            return StepOutcome::NotBegun;
        }
        self.log.push(step);
        self.away_for = if self.faults.engine_hiccups { 3 } else { 0 };
        let done = match step {
            Step::Build { no_cache } => self.build(no_cache),
            Step::Up { .. } | Step::Start if self.faults.up_is_noop => true,
            Step::Up { force_recreate } => self.up(force_recreate),
            Step::Start => self.start(),
            Step::Restart => self.restart(),
            Step::Reload => true,
            Step::Rollback => self.roll_back(old),
        };
        if done { StepOutcome::Succeeded } else { StepOutcome::Failed }
    }

    fn build(&mut self, no_cache: bool) -> bool {
        if self.faults.build_fails {
            return false;
        }
        let module = self.module_in_source && !self.faults.build_forgets;
        let mut built = self.images.iter().rev();
        let cached = built.find(|image| image.source == self.source && image.module == module && !no_cache);
        let image = cached.copied().unwrap_or(Image { id: self.next, source: self.source, module });
        if image.id == self.next {
            self.images.push(image);
            self.next += 1;
        }
        self.image = Some(image);
        true
    }

    /// Of the images of one source the next build takes this one from the cache.
    pub(crate) fn prefer(&mut self, id: Option<&String>) {
        if let Some(at) = self.images.iter().position(|image| Some(&image_id(image.id)) == id) {
            let image = self.images.remove(at);
            self.images.push(image);
        }
    }

    fn up(&mut self, force: bool) -> bool {
        let Some(image) = self.image else { return false };
        let config = self.config;
        match &mut self.container {
            Some(container) if (container.image, container.config) == (image, config) && !force => {
                container.starts += i64::from(!container.running);
                container.running = true;
            }
            _ => {
                let id = self.next;
                self.container = Some(FakeContainer::new(id, image, config));
                self.next += 1;
            }
        }
        true
    }

    /// What exists stays what it is.
    fn start(&mut self) -> bool {
        let Some(container) = &mut self.container else { return self.up(false) };
        container.starts += i64::from(!container.running);
        container.running = true;
        true
    }

    /// Something restarts the container of `api`.
    pub(crate) fn restart_by_hand(&mut self) {
        self.restart();
    }

    fn restart(&mut self) -> bool {
        if let Some(container) = &mut self.container {
            container.running = true;
            container.starts += 1;
            container.crashes = 0;
        }
        true
    }

    pub(crate) fn is_gone(&self, image: &str) -> bool {
        self.images.iter().all(|known| image_id(known.id) != image)
    }

    fn roll_back(&mut self, old: Option<&String>) -> bool {
        let Some(old) = self.images.iter().find(|image| Some(&image_id(image.id)) == old) else {
            return false;
        };
        self.image = Some(*old);
        self.up(true)
    }

    pub(crate) fn observe(&mut self) -> ProjectObservation {
        let mut seen = healthy();
        seen.external_activity =
            (self.starting_for > 0).then(|| "the engine has only just started".to_owned());
        self.starting_for = self.starting_for.saturating_sub(1);
        if self.starting_for == 0 && std::mem::take(&mut self.starts_it) {
            self.container.iter_mut().for_each(|container| container.running = true);
        }
        let presence = |there| Fact::Known(if there { Presence::Present } else { Presence::Missing });
        let api = &mut seen.services[0];
        api.config_hash = Some(config_hash(self.config));
        api.source.digest = Fact::Known(Some(format!("sha256:source-{}", self.source)));
        api.source.modules[0] = Some(presence(self.module_in_source));
        api.artifact.built_from = None;
        api.artifact.image = Fact::Known(self.image.map(|image| image_id(image.id)));
        api.artifact.is_kept = self.kept.get("api") == self.image.map(|image| image_id(image.id)).as_ref();
        api.artifact.modules[0].presence = match self.image {
            Some(image) => presence(image.module),
            None => Fact::unknown("there is no image"),
        };
        match self.container {
            None => {
                api.containers = Fact::Known(vec![]);
                api.routes[0].answers.clear();
            }
            Some(found) => self.show(api, found),
        }
        if self.dashboard_exit.is_some() {
            let dashboard = container_mut(&mut seen.services[1]);
            (dashboard.state, dashboard.exit_code) = (ContainerState::Exited, self.dashboard_exit);
        }
        if let Some(container) = &mut self.container {
            container.looks += 1;
        }
        if self.crashes() {
            self.container.iter_mut().for_each(|container| container.crashes += 1);
        }
        seen
    }

    fn show(&self, api: &mut ServiceObservation, found: FakeContainer) {
        let (config, faults) = (self.config, self.faults);
        let shown = container_mut(api);
        *shown = crate::api::ContainerObservation {
            id: format!("container-{}", found.id),
            image_id: image_id(found.image.id),
            state: if found.running { ContainerState::Running } else { ContainerState::Exited },
            exit_code: (!found.running).then_some(137),
            restart_count: found.crashes,
            config_hash: Some(config_hash(found.config)),
            config_changed: Fact::Known(found.config != config),
            started_at: Some(at(found.starts + 100 * i64::from(found.id))),
            modules: shown.modules.clone(),
            ..container("api")
        };
        shown.modules[0].presence =
            Fact::Known(if found.image.module { Presence::Present } else { Presence::Missing });
        let is_rewritten = found.rewritten && found.image.module;
        shown.modules[0].content = is_rewritten.then(|| {
            let named = vec!["index".to_owned()];
            ContentObservation::Compared(ContentComparison {
                differing: 1,
                named,
                ..ContentComparison::default()
            })
        });
        let there = found.image.module && !self.loses_route(found.image);
        let warming =
            [404, 502, 404].get(found.looks).filter(|_| faults.warms_up && found.image.id > self.newest_good);
        answer_mut(api).plain = status(*warming.unwrap_or(if there { &401 } else { &404 }));
        answer_mut(api).auth = Some(status(if there { 200 } else { 404 }));
        if !found.running {
            api.routes[0].answers.clear();
        }
    }
}

fn config_hash(version: u32) -> String {
    format!("config-{version}")
}

fn image_id(id: u32) -> String {
    // A person is shown the first twelve digits.
    format!("sha256:{id:012x}{:052}", 0)
}

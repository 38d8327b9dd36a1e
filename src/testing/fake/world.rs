//! What a host in memory consists of: images, containers and routes that behave as Compose's do, and faults to order.
//!
//! The same operations on the real engine show the same: `conformance` holds this against it.

mod look;

use std::collections::BTreeMap;

use crate::api::{Step, StepOutcome};

/// What is behind a reference: built from which version of the source, with the module or without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Image {
    pub(crate) id: u32,
    pub(crate) source: u32,
    pub(crate) module: bool,
    /// The revision that it carries.
    pub(crate) revision: Option<u32>,
}

/// A file of the host that `api` mounts: which file it is, and the version of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct HostFile {
    inode: u32,
    bytes: u32,
}

impl HostFile {
    pub(crate) const FIRST: Self = Self { inode: 1, bytes: 1 };
}

/// A file in a container that has other bytes than in its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Rewritten {
    /// One of the module.
    Module,
    /// The one with the revision.
    Revision,
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
    pub(crate) rewritten: Option<Rewritten>,
    /// The mounted file as its process has read it.
    pub(crate) file: Option<HostFile>,
}

impl FakeContainer {
    /// One that was started just now.
    pub(crate) const fn new(id: u32, image: Image, config: u32) -> Self {
        Self {
            id,
            image,
            config,
            running: true,
            starts: 1,
            crashes: 0,
            looks: 0,
            rewritten: None,
            file: None,
        }
    }

    /// Starts it if it does not run: its process reads this file.
    fn start(&mut self, file: Option<HostFile>) {
        if !self.running {
            (self.running, self.file) = (true, file);
            self.starts += 1;
        }
    }
}

/// The whole host. `api` is the service with a module and a route; `dashboard` only has to run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) source: u32,
    pub(crate) module_in_source: bool,
    /// The version of the Compose files.
    pub(crate) config: u32,
    /// The revision that `api` must carry; `None` if it is not looked at.
    pub(crate) revision: Option<u32>,
    /// The file that `api` mounts, if it mounts one.
    pub(crate) file: Option<HostFile>,
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
    /// Commits something that is not in the build context: another revision is expected.
    Commit,
    /// Writes the mounted file.
    Write,
    /// Replaces it by another one, as an editor does.
    Replace,
}

impl Hand {
    /// Whether it changes the build context.
    pub(crate) const fn changes_source(self) -> bool {
        matches!(self, Self::Edit | Self::LoseModule | Self::GainModule | Self::Break | Self::Fix)
    }
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
    /// Each container rewrites a file some time after it was verified; see [`World::rewrite`].
    pub(crate) rewrites_itself: bool,
    /// A build ends well, and its image carries no revision.
    pub(crate) build_forgets_revision: bool,
    /// A signal ends well, and the mounted file counts as changed all the same.
    pub(crate) reload_is_noop: bool,
}

impl World {
    /// Version 1 of the source, without the module. Nothing is built.
    pub(crate) fn new() -> Self {
        Self {
            source: 1,
            module_in_source: false,
            config: 1,
            revision: None,
            file: None,
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
        world.compose_up_build();
        world.by_hand(Hand::GainModule);
        world
    }

    /// Everything runs, with the module, with this revision, and with this mounted file.
    pub(crate) fn running(revision: Option<u32>, file: Option<HostFile>) -> Self {
        let mut world = Self { module_in_source: true, revision, file, ..Self::new() };
        world.compose_up_build();
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
            Hand::Commit => self.revision.iter_mut().for_each(|revision| *revision += 1),
            Hand::Write => self.file.iter_mut().for_each(|file| file.bytes += 1),
            Hand::Replace => {
                let replaced =
                    |file: &mut HostFile| (file.inode, file.bytes) = (file.inode + 1, file.bytes + 1);
                self.file.iter_mut().for_each(replaced);
            }
        }
    }

    /// A file changes in the container, by its service or by a person's `docker cp`: the one with the revision where one is
    /// declared, or else one of the module.
    pub(crate) fn rewrite(&mut self) {
        let rewritten = if self.revision.is_some() { Rewritten::Revision } else { Rewritten::Module };
        self.container.iter_mut().for_each(|container| container.rewritten = Some(rewritten));
    }

    /// A person's `docker compose up -d --force-recreate` with this image, which was the newest when it began.
    pub(crate) fn force_recreate(&mut self, image: Option<Image>) {
        let newest = std::mem::replace(&mut self.image, image);
        self.up(true);
        self.image = newest;
    }

    /// A person's `docker compose up -d --build`.
    pub(crate) fn compose_up_build(&mut self) {
        self.build(false, self.revision);
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

    /// Whether `api` really is as declared, but for what it mounts: the judge of every test. Deaths that are over are history.
    pub(crate) fn is_as_declared(&self) -> bool {
        let (Some(image), Some(container)) = (self.image, self.container) else { return false };
        self.module_in_source
            && image.module
            && container.running
            && container.image == image
            && container.config == self.config
            && container.rewritten.is_none()
            && self.revision.is_none_or(|expected| image.revision == Some(expected))
            && !self.loses_route(image)
            && !(self.faults.new_crashes && image.id > self.newest_good)
    }

    /// Whether what runs has read the bytes of the mounted file as they are now.
    pub(crate) fn has_read_its_file(&self) -> bool {
        let read = self.container.filter(|container| container.running).and_then(|container| container.file);
        read.map(|file| file.bytes) == self.file.map(|file| file.bytes)
    }

    /// `old` is the image that a rollback puts back.
    pub(crate) fn take(&mut self, step: Step, old: Option<&String>) -> StepOutcome {
        self.take_given(step, old, self.revision)
    }

    /// The same if this is the revision that the command was given: another one may be expected since.
    pub(crate) fn take_given(
        &mut self,
        step: Step,
        old: Option<&String>,
        revision: Option<u32>,
    ) -> StepOutcome {
        if self.busy_for > 0 {
            self.busy_for -= 1;
            return StepOutcome::NotBegun;
        }
        if step == Step::Reload && !self.is_reloadable() {
            return StepOutcome::NotBegun;
        }
        self.log.push(step);
        self.away_for = if self.faults.engine_hiccups { 3 } else { 0 };
        let done = match step {
            Step::Build { no_cache } => self.build(no_cache, revision),
            Step::Up { .. } | Step::Start if self.faults.up_is_noop => true,
            Step::Up { force_recreate } => self.up(force_recreate),
            Step::Start => self.start(),
            Step::Restart => self.restart(),
            Step::Reload => self.reload(),
            Step::Rollback => self.roll_back(old),
        };
        if done { StepOutcome::Succeeded } else { StepOutcome::Failed }
    }

    fn build(&mut self, no_cache: bool, revision: Option<u32>) -> bool {
        if self.faults.build_fails {
            return false;
        }
        let module = self.module_in_source && !self.faults.build_forgets;
        let revision = revision.filter(|_| !self.faults.build_forgets_revision);
        let new = Image { id: self.next, source: self.source, module, revision };
        let mut built = self.images.iter().rev();
        let cached = built.find(|image| Image { id: new.id, ..**image } == new && !no_cache);
        let image = cached.copied().unwrap_or(new);
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
                container.start(self.file);
            }
            _ => {
                let new = FakeContainer::new(self.next, image, config);
                self.container = Some(FakeContainer { file: self.file, ..new });
                self.next += 1;
            }
        }
        true
    }

    /// What exists stays what it is.
    fn start(&mut self) -> bool {
        let Some(container) = &mut self.container else { return self.up(false) };
        container.start(self.file);
        true
    }

    /// Something restarts the container of `api`.
    pub(crate) fn restart_by_hand(&mut self) {
        self.restart();
    }

    fn restart(&mut self) -> bool {
        if let Some(container) = &mut self.container {
            container.running = false;
            container.start(self.file);
            container.crashes = 0;
        }
        true
    }

    /// Whether a signal would make a process read its mounted file anew: another one in its place is not in the container.
    fn is_reloadable(&self) -> bool {
        let read = self.container.filter(|container| container.running).and_then(|container| container.file);
        let both = read.zip(self.file);
        both.is_some_and(|(read, now)| read.inode == now.inode && read.bytes != now.bytes)
    }

    fn reload(&mut self) -> bool {
        if !self.faults.reload_is_noop {
            self.container.iter_mut().for_each(|container| container.file = self.file);
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
}

fn image_id(id: u32) -> String {
    // A person is shown the first twelve digits.
    format!("sha256:{id:012x}{:052}", 0)
}

//! The content of all modules in one observation.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::SetOnce;

use super::{
    ImageListings, NoListing, Scope,
    folder::{self, FolderListing},
    memory::Kept,
    mounted::Mounted,
};
use crate::{
    api::{
        ContainerObservation, Content, ContentComparison, ContentObservation, Desired, Fact, Health,
        ModuleInContainer, ModuleObservation, ModuleSpec, Presence, ServiceSpec, Time,
    },
    files,
    host::{
        LocalHost,
        compose::Resolved,
        engine::{Container, ContentQuestion, ImageModule, ImageQuestion},
        sources::Sources,
    },
};

/// How long after its start the files of a container are read at every look: entrypoints that edit a configuration or collect
/// files take seconds.
const SETTLED_AFTER: chrono::TimeDelta = chrono::TimeDelta::seconds(60);

/// What is compared in one observation, service by service.
pub(in crate::host) struct ModuleContents {
    /// The object.
    object: String,
    /// How long the listing of a container holds: shorter than any time between two resyncs.
    within: Duration,
    /// In the order of the spec, with their names.
    services: Vec<(String, Vec<Option<ModuleContent>>)>,
}

/// The scope of a module, or why there is none.
type ScopeRead = Result<Arc<Scope>, NoListing>;

/// The same of one service.
#[derive(Clone, Copy)]
pub(in crate::host) struct ServiceContents<'a> {
    all: &'a ModuleContents,
    modules: &'a [Option<ModuleContent>],
}

impl<'a> ServiceContents<'a> {
    /// What is compared of the module at this place of the spec; `None` if its content is not.
    fn module(self, index: usize) -> Option<&'a ModuleContent> {
        self.modules.get(index).and_then(Option::as_ref)
    }
}

/// What is compared of one module, and the source's side of it, which comes later than the scope.
pub(in crate::host) struct ModuleContent {
    scope: ScopeRead,
    source: SetOnce<Kept>,
}

impl ModuleContents {
    /// The modules of a service.
    pub(in crate::host) fn of(&self, service: usize) -> ServiceContents<'_> {
        let modules = self.services.get(service).map(|(_, modules)| modules.as_slice()).unwrap_or_default();
        ServiceContents { all: self, modules }
    }
}

impl ModuleContent {
    /// Which files are read of an image.
    pub(in crate::host) fn scope(&self) -> Option<Arc<Scope>> {
        self.scope.as_ref().ok().cloned()
    }

    /// How what was found compares with the source, without what lies under these mounts.
    async fn compare(&self, found: &Kept, except: &[String]) -> ContentObservation {
        match (self.source.wait().await, found) {
            (Err(none), _) | (_, Err(none)) => none.clone().into(),
            (Ok(source), Ok(found)) => ContentObservation::Compared(source.compare(found, except)),
        }
    }

    /// How the module in an image compares with the source; `None` if it is not there.
    pub(in crate::host) async fn in_image(&self, found: &ImageModule) -> Option<ContentObservation> {
        match (&self.scope, &found.content) {
            (Err(none), _) if found.presence == Fact::Known(Presence::Present) => Some(none.clone().into()),
            (Ok(_), Some(found)) => Some(self.compare(found, &[]).await),
            _ => None,
        }
    }
}

impl LocalHost {
    /// What is compared of each module. Without a module whose content is declared this makes no access.
    pub(in crate::host) async fn module_contents(
        &self,
        desired: &Desired,
        resolved: &Resolved,
    ) -> ModuleContents {
        let is_same = |module: &ModuleSpec| module.content == Content::Same;
        // A resync comes after nine tenths of the interval at the earliest.
        let within = desired.object.spec.reconcile.interval.get() / 10 * 9;
        let all = |services| ModuleContents { object: desired.name().to_owned(), within, services };
        if !desired.services().iter().flat_map(|service| &service.modules).any(is_same) {
            return all(Vec::new());
        }
        let directory = desired.directory.clone();
        let services: Vec<_> = desired
            .services()
            .iter()
            .map(|service| (service.modules.clone(), resolved.builds.build(&service.name).cloned()))
            .collect();
        let declared = services.clone();
        let read = files::looked(move || -> Vec<Vec<Option<ScopeRead>>> {
            let of = |module: &ModuleSpec, build: Option<&_>| {
                is_same(module).then(|| Scope::read(&directory, module, build)).flatten()
            };
            let of = |(modules, build): &(Vec<ModuleSpec>, Option<_>)| {
                let scopes = modules.iter().map(|module| of(module, build.as_ref()));
                scopes.map(|scope| scope.map(|scope| scope.map(Arc::new))).collect()
            };
            services.iter().map(of).collect()
        });
        let scopes = read.await.unwrap_or_else(|hangs| {
            let none = |module: &ModuleSpec| is_same(module).then(|| Err(hangs.clone().into()));
            declared.iter().map(|(modules, _)| modules.iter().map(none).collect()).collect()
        });
        let content = |scope| ModuleContent { scope, source: SetOnce::new() };
        let names = desired.services().iter().map(|service| service.name.clone());
        let services =
            scopes.into_iter().map(|modules| modules.into_iter().map(|scope| scope.map(content)).collect());
        all(names.zip(services).collect())
    }

    /// Reads the source of each module. Everybody who compares waits for that. `sources` are the builds as of now: what has not
    /// changed there is not listed again.
    pub(in crate::host) async fn read_sources(&self, contents: &ModuleContents, sources: &Sources<'_>) {
        for (service, modules) in &contents.services {
            for content in modules.iter().flatten() {
                let source = match &content.scope {
                    Err(none) => Err(none.clone()),
                    Ok(scope) => {
                        let settled = sources.settled(service).filter(|_| scope.is_in_context());
                        self.settled_source(scope, settled).await
                    }
                };
                // It is set once: here.
                let _ = content.source.set(source);
            }
        }
    }

    /// The source as of this state of its context, or as it is now if that is not known.
    async fn settled_source(&self, scope: &Arc<Scope>, settled: Option<&str>) -> Kept {
        let Some(settled) = settled else { return self.read_source(scope).await };
        let key = format!("{}\n{}", scope.source.display(), scope.key());
        if let Some(known) = self.content_memory.source(&key, settled) {
            return known;
        }
        // The state is from before the listing: a change between the two makes another one.
        let kept = self.read_source(scope).await;
        self.content_memory.put_source(&key, settled, &kept);
        kept
    }

    async fn read_source(&self, scope: &Arc<Scope>) -> Kept {
        let (listings, scope) = (self.image_listings(), Arc::clone(scope));
        let read = files::looked(move || {
            let key = scope.source.display().to_string();
            listings.load_source(&key);
            let FolderListing { listing, settled, has_news } = folder::list(&scope.source, &scope)?;
            if has_news {
                listings.save_source(&key, &settled);
            }
            Ok(Arc::new(listing))
        });
        read.await?
    }

    /// What listings of images are remembered by.
    pub(in crate::host) fn image_listings(&self) -> ImageListings {
        ImageListings {
            memory: Arc::clone(&self.content_memory),
            cache: Arc::clone(&self.cache),
            digests: Arc::clone(&self.digests),
        }
    }

    /// The module at this place of the spec in a container; with its content, if that is compared.
    pub(in crate::host) async fn module_in_container(
        &self,
        container: &Container,
        (index, module): (usize, &ModuleSpec),
        contents: ServiceContents<'_>,
    ) -> ModuleInContainer {
        let (found, end) = self.engine.module_at_end(container, &module.path, module.kind).await;
        let Some(content) = contents.module(index) else { return found };
        let scope = match &content.scope {
            Ok(scope) => scope,
            Err(none) => return with_content(found, Some(none.clone().into())),
        };
        let Some(end) = end else { return self.under_a_bind(container, module, content, found).await };
        if found.presence != Fact::Known(Presence::Present) {
            return found;
        }
        let except = mounts_below(container, &end);
        let listing = self.container_listing(container, (&module.path, &end), scope, contents.all).await;
        let compared = content.compare(&listing, &except).await;
        with_content(found, Some(compared))
    }

    /// The files of a container at a path, whose links end at `end`. An earlier listing of the same container holds for a while,
    /// if nobody touched it.
    async fn container_listing(
        &self,
        container: &Container,
        (path, end): (&str, &str),
        scope: &Arc<Scope>,
        all: &ModuleContents,
    ) -> Kept {
        let seen = &container.seen;
        // Watched before it is read: a change meanwhile counts.
        let touched = self.engine.content_watch.watch(&seen.id, container.health_command.as_deref());
        let key = format!("{}\n{}\n{:?}\n{end}\n{}", all.object, seen.id, seen.started_at, scope.key());
        let is_settled = is_settled(seen, chrono::Utc::now());
        if is_settled && let Some(known) = self.content_memory.container(&key, touched, all.within) {
            return known;
        }
        let now = Instant::now();
        let place = format!("{path} in {}", seen.name);
        let kept = self.engine.listing(&seen.id, end, Arc::clone(scope), &place).await.map(Arc::new);
        if is_settled && !matches!(kept, Err(NoListing::Unknown(_))) {
            let image = self.content_memory.image(&ImageListings::key(&seen.image_id, path, scope));
            self.content_memory.put_container(&key, &kept, image.as_ref(), (touched, now));
        }
        kept
    }

    /// A module that a bind mount covers: what is there on this host, if the process sees that.
    async fn under_a_bind(
        &self,
        container: &Container,
        module: &ModuleSpec,
        content: &ModuleContent,
        found: ModuleInContainer,
    ) -> ModuleInContainer {
        let (Some(cover), Ok(scope)) = (&found.covered_by, &content.scope) else { return found };
        let mounted = Mounted::of(container, &module.path, cover).filter(|_| self.engine.is_on_this_host());
        let Some(mounted) = mounted else { return found };
        let (kind, of) = (module.kind, Arc::clone(scope));
        let looked = files::looked(move || mounted.look(kind, &of)).await;
        let Ok(Some(seen)) = looked else { return found };
        let compared = match seen.listing.map(|listing| listing.map(Arc::new)) {
            _ if seen.presence != Presence::Present => None,
            // The source itself.
            None => Some(ContentObservation::Compared(ContentComparison::default())),
            Some(listing) => Some(content.compare(&listing, &[]).await),
        };
        with_content(ModuleInContainer { presence: Fact::Known(seen.presence), ..found }, compared)
    }

    /// The modules of a service in its image.
    pub(in crate::host) async fn modules_in_image(
        &self,
        image: &str,
        service: &ServiceSpec,
        contents: ServiceContents<'_>,
    ) -> Vec<ModuleObservation> {
        let owner = format!("{}\n{}", contents.all.object, service.name);
        let of_service = |scope| ContentQuestion { scope, owner: owner.clone() };
        let question = |(index, module): (usize, &ModuleSpec)| ImageQuestion {
            path: module.path.clone(),
            kind: module.kind,
            content: contents.module(index).and_then(ModuleContent::scope).map(of_service),
        };
        let questions = service.modules.iter().enumerate().map(question).collect();
        let found = self.engine.look_into_image(image, questions, &self.image_listings()).await;
        let mut modules = Vec::with_capacity(found.len());
        for (index, found) in found.into_iter().enumerate() {
            let content = match contents.module(index) {
                None => None,
                Some(content) => content.in_image(&found).await,
            };
            modules.push(ModuleObservation { presence: found.presence, content });
        }
        modules
    }
}

/// Whether a container's program has most likely written what it writes at its start. Before that its files are read at every
/// look, so that a verification sees what they become.
fn is_settled(seen: &ContainerObservation, now: Time) -> bool {
    let is_old = seen.started_at.is_some_and(|started| now - started >= SETTLED_AFTER);
    is_old && seen.health != Some(Health::Starting)
}

fn with_content(found: ModuleInContainer, content: Option<ContentObservation>) -> ModuleInContainer {
    ModuleInContainer { content, ..found }
}

/// The mounts of a container below a path, relative to it: what they hold is not of the image.
fn mounts_below(container: &Container, path: &str) -> Vec<String> {
    let below = |destination: &str| {
        let rest = destination.trim_end_matches('/').strip_prefix(path.trim_end_matches('/'))?;
        rest.strip_prefix('/').map(str::to_owned)
    };
    container.mounts.iter().filter_map(|mount| below(&mount.destination)).collect()
}

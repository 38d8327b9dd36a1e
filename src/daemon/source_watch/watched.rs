//! The objects, and what is done when.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{task::JoinSet, time::Instant};

use super::{
    Hits, POLL_SHARE, Polled,
    identity::{Identity, SharedParts, concerned_mounts},
    kernel::{Kernel, NotWatched, Watching},
    object_watch::{ObjectWatch, Polling, RootWatch},
    requests::Request,
    roots::{Root, Scan, roots},
    scan,
};
use crate::api::{SourcePaths, Time};

/// The kernel's clock for files advances in ticks of at most 10 ms: a change this shortly before a look may look older.
const TICK: Duration = Duration::from_millis(100);

/// How often a root is looked at while its folders change all the time. After that it is polled until it holds still.
const MOST_SCANS: usize = 5;

/// All objects whose sources are watched.
pub(super) struct Watched {
    hits: Arc<Hits>,
    kernel: Kernel,
    apart: Vec<PathBuf>,
    poll: Duration,
    objects: BTreeMap<String, ObjectWatch>,
}

/// A polled root, by object and number.
pub(super) type PolledRoot = (String, usize, Root);

impl Watched {
    pub(super) fn new(hits: Arc<Hits>, kernel: Kernel, apart: Vec<PathBuf>, poll: Duration) -> Self {
        Self { hits, kernel, apart, poll, objects: BTreeMap::new() }
    }

    /// Does what a reconcile asks for.
    pub(super) async fn apply(self, object: String, request: Request) -> Self {
        match request {
            Request::Watch(began, paths) => self.blocking(move |all| all.watch(&object, began, paths)).await,
            Request::Forget => self.blocking(move |all| all.forget(&object)).await,
        }
    }

    /// Watches the folders of an object anew if they may be others now.
    pub(super) async fn follow(self, object: String) -> Self {
        if !self.hits.moved().remove(&object) {
            return self;
        }
        self.blocking(move |all| {
            all.settle(&object);
        })
        .await
    }

    /// Every object may have changed.
    pub(super) fn suspect_all(&self) {
        tracing::warn!("more happened in the sources than the kernel reports: every object is looked at");
        self.hits.moved().extend(self.objects.keys().cloned());
        self.objects.keys().for_each(|object| self.hits.suspect(object));
    }

    /// Work that reads files, or asks the kernel.
    async fn blocking(mut self, work: impl FnOnce(&mut Self) + Send + 'static) -> Self {
        let done = tokio::task::spawn_blocking(move || {
            work(&mut self);
            self
        });
        match done.await {
            Ok(watched) => watched,
            // It panicked, or the runtime is ending: without a watch the resync is left.
            Err(error) => {
                tracing::error!(%error, "the sources are no longer watched");
                std::future::pending().await
            }
        }
    }

    fn watch(&mut self, object: &str, began: Time, paths: SourcePaths) {
        self.hits.echoes().observed(object, SystemTime::from(began));
        if self.objects.get(object).is_some_and(|known| known.paths == paths) {
            self.recheck(object);
            return;
        }
        let roots = roots(&paths).into_iter().map(RootWatch::new).collect();
        self.objects.insert(object.to_owned(), ObjectWatch { paths, roots });
        let newest = self.settle(object);
        if newest.is_some_and(|newest| newest + TICK >= SystemTime::from(began)) {
            // The look may have missed it.
            self.hits.suspect(object);
        }
    }

    /// Watches the folders of each object anew that are others now without an event, as where a folder far above was moved.
    pub(super) async fn recheck_all(self) -> Self {
        self.blocking(|all| {
            let objects: Vec<String> = all.objects.keys().cloned().collect();
            for object in &objects {
                all.recheck(object);
            }
        })
        .await
    }

    fn recheck(&mut self, object: &str) {
        if self.is_elsewhere(object) {
            tracing::debug!(object, "other folders are at the paths of its source now");
            self.settle(object);
            // The look may have seen what was there before.
            self.hits.suspect(object);
        }
    }

    /// Whether something else is at the paths of an object than was watched there. Below a watched folder events report that.
    fn is_elsewhere(&self, object: &str) -> bool {
        let Some(whole) = self.objects.get(object) else { return false };
        let mounts = self.kernel.mounts();
        let lies_on = |root: &RootWatch| concerned_mounts(&mounts, &root.root.paths(), &root.folders);
        if whole.roots.iter().any(|root| lies_on(root) != root.mounts) {
            return true;
        }
        let tops = whole.roots.iter().flat_map(RootWatch::tops).cloned().collect();
        // Of what does not answer nothing is known.
        let tops = Identity::of_all(tops).unwrap_or_default();
        let watched = self.kernel.folders();
        tops.iter().any(|(folder, now)| watched.get(folder).is_some_and(|known| known != now))
    }

    /// The same for a test that has no runtime: the paths are taken for others each time.
    #[cfg(test)]
    pub(super) fn watch_now(&mut self, object: &str, paths: SourcePaths) {
        if self.objects.contains_key(object) {
            self.settle(object);
        } else {
            self.watch(object, Time::MAX_UTC, paths);
        }
    }

    fn forget(&mut self, object: &str) {
        self.objects.remove(object);
        self.hits.echoes().forget(object);
        self.hits.table().set(object, []);
        self.drop_unwanted();
    }

    /// Finds the folders of an object, and watches them; returns when the youngest part of its sources was last changed.
    fn settle(&mut self, object: &str) -> Option<SystemTime> {
        let mut whole = self.objects.remove(object)?;
        let mut newest = None;
        for at in 0..whole.roots.len() {
            newest = newest.max(self.settle_root(object, &mut whole, at));
        }
        self.drop_unwanted();
        let folders: usize = whole.roots.iter().map(|root| root.folders.len()).sum();
        let polled = whole.roots.iter().filter(|root| root.polled.is_some()).count();
        tracing::debug!(
            object,
            folders,
            polled,
            of_all = self.kernel.folders().len(),
            "its source is watched"
        );
        self.objects.insert(object.to_owned(), whole);
        newest
    }

    fn settle_root(&mut self, object: &str, whole: &mut ObjectWatch, at: usize) -> Option<SystemTime> {
        let mounts = self.kernel.mounts();
        whole.roots[at].found(BTreeMap::new(), &mounts);
        let mut newest = None;
        let mut why =
            if whole.roots[at].root.is_shared(&mounts) { NotWatched::Shared } else { NotWatched::NotWhole };
        let scans = if matches!(why, NotWatched::Shared) { 0 } else { MOST_SCANS };
        for _ in 0..scans {
            let found = scan(&whole.roots[at].root, &self.apart).unwrap_or_default();
            newest = found.newest;
            // In this order: an event in between must find its object, and a folder in between a further scan.
            let shared = whole.roots[at].found(found.folders, &mounts);
            self.hits.table().set(object, whole.folders());
            match self.watch_folders(&whole.roots[at], &shared) {
                Ok(watching) if !watching.is_new && found.is_whole => {
                    let twice = watching.has_twice.then_some(NotWatched::Twice);
                    let in_part = shared.is_any.then_some(NotWatched::Shared).or(twice);
                    whole.roots[at].poll_in_part(object, in_part, self.poll);
                    return newest;
                }
                Ok(_) => {}
                Err(error) => {
                    why = error;
                    break;
                }
            }
        }
        if !matches!(why, NotWatched::NotWhole) {
            whole.roots[at].found(BTreeMap::new(), &mounts);
            self.hits.table().set(object, whole.folders());
        }
        whole.roots[at].poll_because(object, &why, self.poll);
        newest
    }

    /// Watches the folders of a root, and none of the shared ones.
    fn watch_folders(&mut self, root: &RootWatch, shared: &SharedParts) -> Result<Watching, NotWatched> {
        // What was there before it was mounted, which nobody sees now.
        self.kernel.unwatch_all(&shared.folders);
        let own: Vec<_> =
            root.folders.keys().filter(|path| !shared.folders.contains(*path)).cloned().collect();
        let unknown = || own.iter().map(|path| (path.clone(), None)).collect();
        let own = Identity::of_all(own.clone()).unwrap_or_else(|_| unknown());
        self.kernel.watch(&own, || self.hits.handler())
    }

    fn drop_unwanted(&mut self) {
        // Not with the table held: the kernel's thread waits for it, and is itself waited for.
        let unwanted = self.hits.table().unwanted(self.kernel.folders().keys());
        self.kernel.unwatch_all(&unwanted);
    }

    /// When the next poll is due.
    pub(super) fn next_poll(&self) -> Option<Instant> {
        self.polling().filter_map(|(_, polling)| polling.next).min()
    }

    fn polling(&self) -> impl Iterator<Item = (&RootWatch, &Polling)> {
        let roots = self.objects.values().flat_map(|object| &object.roots);
        roots.filter_map(|root| Some((root, root.polled.as_ref()?)))
    }

    /// Starts the polls that are due.
    pub(super) fn start_polls(&mut self, polls: &mut JoinSet<Polled>) {
        let now = Instant::now();
        for (object, watch) in &mut self.objects {
            for (at, root) in watch.roots.iter_mut().enumerate() {
                let Some(polling) = &mut root.polled else { continue };
                if polling.next.is_some_and(|next| next <= now) {
                    polling.next = None;
                    let (polled, apart) = ((object.clone(), at, root.root.clone()), self.apart.clone());
                    polls.spawn_blocking(move || {
                        let found = scan(&polled.2, &apart);
                        (polled, found, now.elapsed())
                    });
                }
            }
        }
    }

    /// Compares how a polled root looks.
    pub(super) fn finish_poll(
        &mut self,
        (object, at, root): &PolledRoot,
        found: Option<&Scan>,
        took: Duration,
    ) {
        let watch = self.objects.get_mut(object).and_then(|watch| watch.roots.get_mut(*at));
        let Some(polling) = watch.filter(|watch| watch.root == *root).and_then(|watch| watch.polled.as_mut())
        else {
            return;
        };
        polling.next = Some(Instant::now() + self.poll.max(took * POLL_SHARE));
        // Of what does not answer nothing is known: it looks as before.
        let Some(found) = found else { return };
        if polling.stamp.replace(found.stamp) != Some(found.stamp) {
            self.hits.suspect(object);
        }
    }
}

//! The present declarations: every object's last valid manifest.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::fs::{Mode, OFlags, fstat, open};

use crate::{
    api::Desired,
    files,
    manifest::{self, ManifestError, ManifestSource},
};

/// The objects that a daemon manages.
///
/// # Guarantees
/// An invalid edit removes nothing: the object continues with its last valid spec, and the fault is in its status. An object is
/// deregistered only if its manifest is gone from a folder, or the object is gone from a manifest without a fault. A query for
/// the declarations never waits for manifests to be read.
#[derive(Debug)]
pub(super) struct ManagedObjects {
    sources: Vec<ManifestSource>,
    load: Load,
    registry: Mutex<Registry>,
    /// Only the reading of manifests locks this, for as long as it takes.
    read_before: Mutex<ReadBefore>,
}

/// The declarations, and what is yet to be recorded of them.
#[derive(Debug, Default)]
struct Registry {
    managed: BTreeMap<String, Arc<Desired>>,
    pending: BTreeMap<String, Pending>,
    /// The faults of the last read, a line each.
    faults: Vec<String>,
}

/// What the trail does not record yet of an object.
#[derive(Debug)]
enum Pending {
    /// It is newly declared.
    Registration,
    /// It is no longer declared; as it was.
    Removal(Arc<Desired>),
    /// It is recorded, and a manifest that has not been valid since the start may declare it.
    Undecided,
}

/// What one read of the manifests leaves for the next.
#[derive(Debug, Default)]
struct ReadBefore {
    stdin: bool,
    /// Each folder, as it was when its declarations were there.
    folders: BTreeMap<PathBuf, Noted>,
}

/// How manifests are read.
type Load = fn(&[ManifestSource]) -> (Vec<Desired>, Vec<ManifestError>);

/// The manifest name for standard input.
const STDIN: &str = "<stdin>";

/// The changes from reading the manifests again.
#[derive(Debug, Default)]
pub(super) struct Reloaded {
    /// Objects that are new, or whose declaration changed.
    pub(super) changed: Vec<Arc<Desired>>,
    /// Objects that are no longer declared, as they were.
    pub(super) removed: Vec<Arc<Desired>>,
    /// The faults of the manifests.
    pub(super) errors: Vec<ManifestError>,
    /// Those faults that the last read did not have, a line each.
    pub(super) new_faults: Vec<String>,
}

impl ManagedObjects {
    pub(super) fn new(sources: Vec<ManifestSource>) -> Self {
        Self {
            sources,
            load: manifest::load_partly,
            registry: Mutex::default(),
            read_before: Mutex::default(),
        }
    }

    /// Begins with the declarations from before a restart: an object goes on if its manifest is invalid now. Skips
    /// declarations from a manifest that is not read now, from standard input, or that do not match their digest.
    pub(super) fn resume(self, declared: Vec<Desired>) -> Self {
        let paths = || {
            self.sources.iter().filter_map(|source| match source {
                ManifestSource::Path(path) => Some(path.as_path()),
                ManifestSource::Stdin => None,
            })
        };
        let resumed = declared.into_iter().filter(manifest::is_of_its_digest).filter_map(|desired| {
            let manifest = paths().find_map(|path| as_named_by(path, &desired))?;
            Some(Desired { manifest: manifest.to_string_lossy().into_owned(), ..desired })
        });
        let resumed: Vec<Desired> = resumed.collect();
        let resumed = resumed.into_iter().map(|desired| (desired.name().to_owned(), Arc::new(desired)));
        self.registry().managed.extend(resumed);
        self
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<Desired>> {
        self.registry().managed.get(name).cloned()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.registry().managed.keys().cloned().collect()
    }

    pub(super) fn all(&self) -> Vec<Arc<Desired>> {
        self.registry().managed.values().cloned().collect()
    }

    /// Reads the manifests. That takes as long as their file systems take, and blocks. One read at a time: of two at once
    /// either could finish last.
    pub(super) fn reload(&self) -> Reloaded {
        let before = self.registry().managed.clone();
        let mut read_before = lock(&self.read_before);
        let (loaded, errors) = (self.load)(&self.readable(&mut read_before));
        let moved = self.moved(&mut read_before.folders, &before, &loaded);
        let next = merged(&before, loaded, &errors, &moved);
        let differs =
            |name: &str, desired: &Arc<Desired>| before.get(name).is_none_or(|before| before != desired);
        let changed = next.iter().filter(|(name, desired)| differs(name, desired));
        let changed: Vec<_> = changed.map(|(_, desired)| Arc::clone(desired)).collect();
        for what in manifest::exposed(changed.iter().map(AsRef::as_ref)) {
            tracing::warn!(what, "somebody else could change what is declared");
        }
        let gone = before.iter().filter(|(name, _)| !next.contains_key(*name));
        let removed: Vec<_> = gone.map(|(_, desired)| Arc::clone(desired)).collect();
        let moved = moved.into_iter().map(|moved| moved.fault);
        let faults: Vec<String> = errors.iter().map(ManifestError::in_a_line).chain(moved).collect();
        let mut registry = self.registry();
        let Registry { managed, pending, faults: known } = &mut *registry;
        pending.retain(|name, what| !matches!(what, Pending::Removal(_)) || !next.contains_key(name));
        let removals =
            removed.iter().map(|desired| (desired.name().to_owned(), Pending::Removal(Arc::clone(desired))));
        pending.extend(removals);
        *managed = next;
        let new_faults = faults.iter().filter(|fault| !known.contains(fault)).cloned().collect();
        *known = faults;
        Reloaded { changed, removed, errors, new_faults }
    }

    /// The folders that are on another file system than before, and have lost all their declarations: an unmounted one shows
    /// the folder below, which is usually empty. If some of them are still there, the folder was only remounted, and the
    /// missing ones were removed.
    fn moved(
        &self,
        noted: &mut BTreeMap<PathBuf, Noted>,
        before: &BTreeMap<String, Arc<Desired>>,
        loaded: &[Desired],
    ) -> Vec<Moved> {
        let mut moved = Vec::new();
        for source in &self.sources {
            let ManifestSource::Path(folder) = source else { continue };
            let Ok(device) = device(folder) else { continue };
            let in_it = |desired: &&Desired| Path::new(&desired.manifest).starts_with(folder);
            let was_declared = before.values().map(AsRef::as_ref).filter(in_it);
            let declared = was_declared.clone().chain(loaded.iter().filter(in_it));
            let declared = declared.map(|desired| desired.name().to_owned()).collect();
            let is_there = |name: &String| loaded.iter().any(|now| now.name() == *name);
            match noted.get(folder) {
                Some(noted)
                    if noted.device != device
                        && was_declared.clone().next().is_some()
                        && !noted.declared.iter().any(is_there) =>
                {
                    let fault = format!(
                        "{}: this folder is on another file system than before, and all manifests are gone from it: \
                         mount it, or restart undrift if it is right so",
                        folder.display()
                    );
                    moved.push(Moved { folder: folder.clone(), fault });
                }
                _ => drop(noted.insert(folder.clone(), Noted { device, declared })),
            }
        }
        moved
    }

    /// Standard input can be read once; its objects stay.
    fn readable(&self, before: &mut ReadBefore) -> Vec<ManifestSource> {
        let again = std::mem::replace(&mut before.stdin, true);
        self.sources.iter().filter(|source| !(again && **source == ManifestSource::Stdin)).cloned().collect()
    }

    /// Whether the last read had faults.
    pub(super) fn has_faults(&self) -> bool {
        !self.registry().faults.is_empty()
    }

    /// The faults of the last read, in one line; `None` if there were none.
    pub(super) fn faults(&self) -> Option<String> {
        let registry = self.registry();
        let first = registry.faults.first()?;
        Some(match registry.faults.len() - 1 {
            0 => first.clone(),
            more => format!("{first} (and {more} more)"),
        })
    }

    /// A recorded object that no valid manifest declares, while some are invalid: it may be in one of those.
    pub(super) fn add_undecided(&self, name: &str) {
        self.registry().pending.insert(name.to_owned(), Pending::Undecided);
    }

    /// The undecided ones that turned out to be undeclared.
    pub(super) fn undeclared(&self) -> BTreeSet<String> {
        let mut registry = self.registry();
        let Registry { managed, pending, faults } = &mut *registry;
        pending.retain(|name, what| !matches!(what, Pending::Undecided) || !managed.contains_key(name));
        if !faults.is_empty() {
            return BTreeSet::new();
        }
        let undecided = pending.iter().filter(|(_, what)| matches!(what, Pending::Undecided));
        undecided.map(|(name, _)| name.clone()).collect()
    }

    /// The trail records that this object is undeclared.
    pub(super) fn confirm_undeclared(&self, name: &str) {
        self.registry().settle(name, |what| matches!(what, Pending::Undecided));
    }

    /// An object that is no longer declared, as it was, until [that is recorded](Self::confirm_removal).
    pub(super) fn pending_removal(&self, name: &str) -> Option<Arc<Desired>> {
        match self.registry().pending.get(name) {
            Some(Pending::Removal(desired)) => Some(Arc::clone(desired)),
            _ => None,
        }
    }

    /// The trail records that this is no longer declared. An object removed meanwhile under the same name is yet to be recorded.
    pub(super) fn confirm_removal(&self, desired: &Arc<Desired>) {
        let is_it =
            |what: &Pending| matches!(what, Pending::Removal(removed) if Arc::ptr_eq(removed, desired));
        self.registry().settle(desired.name(), is_it);
    }

    /// Nothing is [being removed](Self::pending_removal) any more: whether those are declared is not known.
    pub(super) fn drop_pending_removals(&self) {
        self.registry().pending.retain(|_, what| !matches!(what, Pending::Removal(_)));
    }

    /// Those that are [being removed](Self::pending_removal).
    pub(super) fn pending_removals(&self) -> Vec<String> {
        let registry = self.registry();
        let removals = registry.pending.iter().filter(|(_, what)| matches!(what, Pending::Removal(_)));
        removals.map(|(name, _)| name.clone()).collect()
    }

    /// An object was newly declared, which must be recorded before its next reconcile.
    pub(super) fn add_pending_registration(&self, name: &str) {
        self.registry().pending.insert(name.to_owned(), Pending::Registration);
    }

    /// Whether that is still to be recorded.
    pub(super) fn is_pending_registration(&self, name: &str) -> bool {
        matches!(self.registry().pending.get(name), Some(Pending::Registration))
    }

    /// The trail records it.
    pub(super) fn confirm_registration(&self, name: &str) {
        self.registry().settle(name, |what| matches!(what, Pending::Registration));
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        lock(&self.registry)
    }
}

impl Registry {
    /// Nothing of this kind is pending any more.
    fn settle(&mut self, name: &str, is_it: impl FnOnce(&Pending) -> bool) {
        if self.pending.get(name).is_some_and(is_it) {
            self.pending.remove(name);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name of a previously read manifest under the path that is given now, if it is that file or in that folder. The path
/// may be written differently than then, and a relative one is another file in another working directory.
fn as_named_by(given: &Path, desired: &Desired) -> Option<PathBuf> {
    let file = Path::new(&desired.manifest).file_name().filter(|_| desired.manifest != STDIN)?;
    let whole = |path: &Path| files::canonicalize(path).or_else(|_| std::path::absolute(path)).ok();
    // The file may be gone, so folders are compared.
    let folder = whole(&desired.manifest_directory)?;
    let now = std::path::absolute(given).ok()?;
    let is_there = |path: &Path| whole(path).is_some_and(|path| path == folder);
    if now.file_name() == Some(file) && now.parent().is_some_and(is_there) {
        return Some(given.to_owned());
    }
    is_there(given).then(|| given.join(file))
}

/// The device that a folder is on. Opens the folder, rather than only calling `stat`, because that triggers an automount.
/// Does not open anything else, because a pipe without a writer would block.
fn device(folder: &Path) -> io::Result<u64> {
    files::within_limit(folder, |folder| {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(fstat(open(folder, flags, Mode::empty())?)?.st_dev)
    })
}

/// A folder, as it was when its declarations were there.
#[derive(Debug)]
struct Noted {
    device: u64,
    /// The objects. Those found below a mount point do not count.
    declared: BTreeSet<String>,
}

/// See [`ManagedObjects::moved`].
struct Moved {
    folder: PathBuf,
    fault: String,
}

fn merged(
    managed: &BTreeMap<String, Arc<Desired>>,
    loaded: Vec<Desired>,
    errors: &[ManifestError],
    moved: &[Moved],
) -> BTreeMap<String, Arc<Desired>> {
    let mut next: BTreeMap<String, Arc<Desired>> = BTreeMap::new();
    for desired in loaded {
        let before = managed.get(desired.name()).map(|before| before.manifest.as_str());
        let taken = next.get(desired.name());
        // Of objects that share a name the first one stays.
        if taken.is_none_or(|_| before == Some(desired.manifest.as_str())) {
            next.insert(desired.name().to_owned(), Arc::new(desired));
        }
    }
    for (name, before) in managed {
        if before.manifest == STDIN {
            next.entry(name.clone()).or_insert_with(|| Arc::clone(before));
        }
        let is_declared = next.contains_key(name);
        let moved =
            moved.iter().find(|moved| !is_declared && Path::new(&before.manifest).starts_with(&moved.folder));
        let fault = errors.iter().find(|error| concerns(error, before)).map(ManifestError::in_a_line);
        if let Some(fault) = moved.map(|moved| moved.fault.clone()).or(fault) {
            let goes_on = next.get(name).is_none_or(|other| other.manifest != before.manifest);
            if goes_on {
                let superseded_by = Some(fault);
                next.insert(name.clone(), Arc::new(Desired { superseded_by, ..before.as_ref().clone() }));
            }
        }
    }
    next
}

/// Whether a fault may be why an object is no longer declared: it is in the object's manifest, or concerns the folder that
/// it was found in. An unreadable folder has not lost its manifests; a readable folder without manifests is reported as a
/// fault too, and has lost them.
fn concerns(error: &ManifestError, desired: &Desired) -> bool {
    let (at_fault, manifest) = (Path::new(&error.file), Path::new(&desired.manifest));
    let was_removed =
        || manifest != at_fault && files::names_in(at_fault, 0).is_ok() && files::is_absent(manifest);
    manifest.starts_with(at_fault) && !was_removed()
}

#[cfg(test)]
mod tests;

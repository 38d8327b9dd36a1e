//! What is declared at the moment: every object's last manifest that was valid.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    api::Desired,
    manifest::{self, ManifestError, Source},
};

/// The objects that a daemon watches.
///
/// # Guarantees
/// An edit that is not valid takes nothing away: the object goes on as it was last declared, and says so. Only a
/// manifest that is gone from a folder, or an object that is gone from a manifest without a fault, ends the watch.
#[derive(Debug)]
pub(super) struct Objects {
    sources: Vec<Source>,
    stdin_is_read: AtomicBool,
    watched: Mutex<BTreeMap<String, Arc<Desired>>>,
    /// What was wrong the last time, a line each.
    faults: Mutex<Vec<String>>,
    /// Objects that are no longer declared, and of which nobody has said so yet.
    removed: Mutex<BTreeMap<String, Arc<Desired>>>,
}

/// The manifest of what came from standard input.
const STDIN: &str = "<stdin>";

/// What reading the manifests again has changed.
#[derive(Debug, Default)]
pub(super) struct Reloaded {
    /// Objects that are new, or declared otherwise than before.
    pub(super) changed: Vec<Arc<Desired>>,
    /// Objects that are no longer declared, as they were.
    pub(super) removed: Vec<Arc<Desired>>,
    /// What is wrong with the manifests.
    pub(super) errors: Vec<ManifestError>,
    /// Of that, what was not wrong the last time, a line each.
    pub(super) news: Vec<String>,
}

impl Objects {
    pub(super) fn new(sources: Vec<Source>) -> Self {
        Self {
            sources,
            stdin_is_read: AtomicBool::new(false),
            watched: Mutex::default(),
            faults: Mutex::default(),
            removed: Mutex::default(),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<Desired>> {
        self.watched().get(name).cloned()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.watched().keys().cloned().collect()
    }

    /// Reads the manifests. It is some milliseconds of reading files.
    pub(super) fn reload(&self) -> Reloaded {
        // Held throughout: of two reloads at once the later one has the last word.
        let mut watched = self.watched();
        let sources = self.readable();
        let (loaded, errors) = manifest::load_partly(&sources);
        let next = merged(&watched, loaded, &errors);
        let differs =
            |name: &str, desired: &Arc<Desired>| watched.get(name).is_none_or(|before| before != desired);
        let changed = next.iter().filter(|(name, desired)| differs(name, desired));
        let changed = changed.map(|(_, desired)| Arc::clone(desired)).collect();
        let gone = watched.iter().filter(|(name, _)| !next.contains_key(*name));
        let removed: Vec<_> = gone.map(|(_, desired)| Arc::clone(desired)).collect();
        let mut unsaid = self.unsaid();
        unsaid.retain(|name, _| !next.contains_key(name));
        unsaid.extend(removed.iter().map(|desired| (desired.name().to_owned(), Arc::clone(desired))));
        *watched = next;
        let faults: Vec<String> = errors.iter().map(ManifestError::in_a_line).collect();
        let mut known = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let news = faults.iter().filter(|fault| !known.contains(fault)).cloned().collect();
        *known = faults;
        Reloaded { changed, removed, errors, news }
    }

    /// Standard input can be read once; what came from it stays.
    fn readable(&self) -> Vec<Source> {
        let again = self.stdin_is_read.swap(true, Ordering::Relaxed);
        self.sources.iter().filter(|source| !(again && **source == Source::Stdin)).cloned().collect()
    }

    /// Whether something was wrong the last time.
    pub(super) fn has_faults(&self) -> bool {
        !self.faults.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// An object that is no longer declared, as it was: once.
    pub(super) fn take_removed(&self, name: &str) -> Option<Arc<Desired>> {
        self.unsaid().remove(name)
    }

    /// Those that [`take_removed`](Self::take_removed) would give.
    pub(super) fn removed(&self) -> Vec<String> {
        self.unsaid().keys().cloned().collect()
    }

    fn unsaid(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Desired>>> {
        self.removed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watched(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Desired>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn merged(
    watched: &BTreeMap<String, Arc<Desired>>,
    loaded: Vec<Desired>,
    errors: &[ManifestError],
) -> BTreeMap<String, Arc<Desired>> {
    let mut next: BTreeMap<String, Arc<Desired>> = BTreeMap::new();
    for desired in loaded {
        let before = watched.get(desired.name()).map(|before| before.manifest.as_str());
        let taken = next.get(desired.name());
        // Of objects that share a name the one goes on that was there first.
        if taken.is_none_or(|_| before == Some(desired.manifest.as_str())) {
            next.insert(desired.name().to_owned(), Arc::new(desired));
        }
    }
    for (name, before) in watched {
        if before.manifest == STDIN {
            next.entry(name.clone()).or_insert_with(|| Arc::clone(before));
        }
        if let Some(fault) = errors.iter().find(|error| concerns(error, before)) {
            let goes_on = next.get(name).is_none_or(|other| other.manifest != before.manifest);
            if goes_on {
                let outlived = Some(fault.in_a_line());
                next.insert(name.clone(), Arc::new(Desired { outlived, ..before.as_ref().clone() }));
            }
        }
    }
    next
}

/// Whether a fault may be why an object is not declared any more: it is in the object's manifest, or of the folder
/// that it was found in. A folder that cannot be read has not lost its manifests; one that can be read and has none left
/// is said to be at fault too, and has lost them.
fn concerns(error: &ManifestError, desired: &Desired) -> bool {
    let (at_fault, manifest) = (Path::new(&error.file), Path::new(&desired.manifest));
    let was_removed =
        || manifest != at_fault && at_fault.read_dir().is_ok() && matches!(manifest.try_exists(), Ok(false));
    manifest.starts_with(at_fault) && !was_removed()
}

#[cfg(test)]
mod tests;

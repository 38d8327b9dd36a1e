//! Which objects an event of the kernel concerns.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
};

use notify::{
    Event, EventKind,
    event::{CreateKind, ModifyKind, RemoveKind},
};

use super::roots::Interest;
use crate::files::kernel_watch;

/// The watched folders, and what counts in each for which object.
#[derive(Debug, Default)]
pub(super) struct Table(HashMap<PathBuf, BTreeMap<String, Interest>>);

/// The objects that an event concerns.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Concerned {
    /// Those to observe.
    pub(super) objects: BTreeSet<String>,
    /// Those of them whose folders may be others now.
    pub(super) moved: BTreeSet<String>,
}

impl Table {
    /// Replaces the folders of an object.
    pub(super) fn set<'a>(
        &mut self,
        object: &str,
        folders: impl IntoIterator<Item = (&'a PathBuf, &'a Interest)>,
    ) {
        self.0.values_mut().for_each(|objects| drop(objects.remove(object)));
        for (folder, interest) in folders {
            // Not by `entry`, which would copy each path.
            if let Some(objects) = self.0.get_mut(folder) {
                objects.entry(object.to_owned()).or_default().add(interest);
            } else {
                self.0.insert(folder.clone(), BTreeMap::from([(object.to_owned(), interest.clone())]));
            }
        }
        self.0.retain(|_, objects| !objects.is_empty());
    }

    /// Those of these folders that concern no object.
    pub(super) fn unwanted<'a>(&self, folders: impl Iterator<Item = &'a PathBuf>) -> Vec<PathBuf> {
        folders.filter(|folder| !self.0.contains_key(*folder)).cloned().collect()
    }

    /// The objects that an event concerns; none if it is a mere read.
    pub(super) fn concerned(&self, event: &Event) -> Concerned {
        let mut concerned = Concerned::default();
        if kernel_watch::only_reads(event.kind) {
            return concerned;
        }
        for path in &event.paths {
            self.add_in_folder(path, event.kind, &mut concerned);
            self.add_of_folder(path, event.kind, &mut concerned);
        }
        concerned
    }

    /// For those that watch the folder that the path lies in.
    fn add_in_folder(&self, path: &Path, kind: EventKind, concerned: &mut Concerned) {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return };
        for (object, interest) in self.0.get(folder).into_iter().flatten() {
            let is_named = interest.names(name);
            if is_named || interest.has(name) {
                concerned.objects.insert(object.clone());
                if is_named || may_move_folders(kind) {
                    concerned.moved.insert(object.clone());
                }
            }
        }
    }

    /// For those that watch the path itself, if it is a folder that was removed or moved.
    fn add_of_folder(&self, path: &Path, kind: EventKind, concerned: &mut Concerned) {
        if !matches!(kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))) {
            return;
        }
        for object in self.0.get(path).into_iter().flatten().map(|(object, _)| object) {
            concerned.objects.insert(object.clone());
            concerned.moved.insert(object.clone());
        }
    }
}

/// Whether a folder may have come or gone. The kernel's watcher does not report what was renamed.
const fn may_move_folders(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::Create(CreateKind::Folder)
            | EventKind::Remove(RemoveKind::Folder | RemoveKind::Other)
            | EventKind::Modify(ModifyKind::Name(_))
    )
}

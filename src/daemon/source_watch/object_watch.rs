//! How the parts of one object are watched or polled.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use tokio::time::Instant;

use super::{
    identity::{SharedParts, concerned_mounts},
    kernel::NotWatched,
    roots::{Interest, Root},
};
use crate::{api::SourcePaths, files::mounts::Mount};

/// The parts of an object.
pub(super) struct ObjectWatch {
    pub(super) paths: SourcePaths,
    pub(super) roots: Vec<RootWatch>,
}

/// A part, and how it is watched.
pub(super) struct RootWatch {
    pub(super) root: Root,
    pub(super) folders: BTreeMap<PathBuf, Interest>,
    /// The mounts that it lay on when its folders were found.
    pub(super) mounts: Vec<Mount>,
    pub(super) polled: Option<Polling>,
}

/// A root that the kernel does not wake for.
pub(super) struct Polling {
    /// How it looked; `None` before the first poll.
    pub(super) stamp: Option<u64>,
    /// `None` while it is polled.
    pub(super) next: Option<Instant>,
}

impl ObjectWatch {
    pub(super) fn folders(&self) -> impl Iterator<Item = (&PathBuf, &Interest)> {
        self.roots.iter().flat_map(|root| &root.folders)
    }
}

impl RootWatch {
    pub(super) const fn new(root: Root) -> Self {
        Self { root, folders: BTreeMap::new(), mounts: vec![], polled: None }
    }

    /// Takes the folders in which its changes show; returns the parts of which the kernel reports none.
    pub(super) fn found(&mut self, folders: BTreeMap<PathBuf, Interest>, mounts: &[Mount]) -> SharedParts {
        self.mounts = concerned_mounts(mounts, &self.root.paths(), &folders);
        self.folders = folders;
        SharedParts::of(mounts, &self.folders)
    }

    /// The folders above which it watches none.
    pub(super) fn tops(&self) -> impl Iterator<Item = &PathBuf> {
        let is_top =
            |folder: &&PathBuf| folder.parent().is_none_or(|above| !self.folders.contains_key(above));
        self.folders.keys().filter(is_top)
    }

    /// It is watched. If there is a reason, the kernel reports not all of it, so that it is polled, too.
    pub(super) fn poll_in_part(&mut self, object: &str, why: Option<NotWatched>, every: Duration) {
        match why {
            None => self.polled = None,
            Some(why) => self.poll_because(object, &why, every),
        }
    }

    pub(super) fn poll_because(&mut self, object: &str, why: &NotWatched, every: Duration) {
        if self.polled.is_some() {
            return;
        }
        // Soon: what changed since the look is to be seen, too.
        self.polled = Some(Polling { stamp: None, next: Some(Instant::now()) });
        let (root, s) = (self.root.in_words(), every.as_secs());
        let help = why.help();
        tracing::warn!(object, root, error = %why, help, "the source cannot be watched; looking at it every {s} s instead");
    }
}

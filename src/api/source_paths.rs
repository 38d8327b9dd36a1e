//! The paths of this host that an observation rests on, for a watch of them.

use std::{collections::BTreeSet, path::PathBuf};

/// The paths that an observation of one object reads. A change at one of them is a reason to observe again, and no more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourcePaths {
    /// The build contexts that are folders of this host, also those of the images that others are based on; and the sources of
    /// modules whose content is compared, where they lie in none of these.
    pub contexts: BTreeSet<WatchedContext>,
    /// What counts by itself, and not by what is below it: Compose files, env files, Dockerfiles, the sources of modules, the
    /// file of an expected revision. They need not exist.
    pub files: BTreeSet<PathBuf>,
    /// The folders whose entries an `each` lists. They need not exist.
    pub listed: BTreeSet<PathBuf>,
    /// What services mount from this host. Of these only single files count: a folder is data.
    pub mounted: BTreeSet<PathBuf>,
    /// Folders of git work trees, whose checked-out commit counts.
    pub work_trees: BTreeSet<PathBuf>,
}

/// A build context.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WatchedContext {
    /// The folder.
    pub folder: PathBuf,
    /// The Dockerfile, which may have an ignore file of its own; `None` if it is inline.
    pub dockerfile: Option<PathBuf>,
}

//! What is watched of an object, and how it looks now.

use std::{
    collections::{BTreeMap, BTreeSet, hash_map::DefaultHasher},
    ffi::{OsStr, OsString},
    hash::{Hash as _, Hasher as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::{
    api::{SourcePaths, WatchedContext},
    files::{
        self, Listed,
        mounts::{self, Mount},
    },
    host::source::{self, ContextFolder},
};

/// A part of an object's sources that is watched or polled as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Root {
    /// A build context, with all that its ignore file lets Docker see.
    Context(WatchedContext),
    /// Files and folders that count by themselves; of `listed` the entries count, too, and of `mounted` only regular files.
    Files { files: BTreeSet<PathBuf>, listed: BTreeSet<PathBuf>, mounted: BTreeSet<PathBuf> },
    /// The commit that is checked out in the work tree of this folder.
    GitHead(PathBuf),
}

/// How a root looks.
#[derive(Debug, Clone, Default)]
pub(super) struct Scan {
    /// The folders in which a change shows, by path without links.
    pub(super) folders: BTreeMap<PathBuf, Interest>,
    /// What tells two states apart.
    pub(super) stamp: u64,
    /// When the youngest part was last changed.
    pub(super) newest: Option<SystemTime>,
    /// Whether all of it could be read.
    pub(super) is_whole: bool,
}

/// What counts in a folder.
#[derive(Debug, Clone, Default)]
pub(super) struct Interest {
    /// The entries of these names.
    names: BTreeSet<OsString>,
    /// All entries: the folder is listed.
    is_listed: bool,
    /// All entries that builds see.
    contexts: Vec<ContextFolder>,
}

impl Interest {
    /// Whether a change of the entry of this name counts for itself, as a link on the way does.
    pub(super) fn names(&self, name: &OsStr) -> bool {
        self.names.contains(name)
    }

    /// Whether a change of the entry of this name counts for a build, or in a list.
    pub(super) fn has(&self, name: &OsStr) -> bool {
        self.is_listed || self.contexts.iter().any(|folder| folder.counts(name))
    }

    /// Whether a change of the entry of this name counts at all.
    pub(super) fn counts(&self, name: &OsStr) -> bool {
        self.names(name) || self.has(name)
    }

    /// Only the entries of these names.
    #[cfg(test)]
    pub(super) fn named<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        Self { names: names.map(OsString::from).collect(), ..Self::default() }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.names.extend(other.names.iter().cloned());
        self.is_listed |= other.is_listed;
        self.contexts.extend(other.contexts.iter().cloned());
    }
}

/// The roots of an object.
pub(super) fn roots(paths: &SourcePaths) -> Vec<Root> {
    let SourcePaths { contexts, files, listed, mounted, work_trees } = paths;
    let contexts = contexts.iter().cloned().map(Root::Context);
    let heads = work_trees.iter().cloned().map(Root::GitHead);
    // An ignore file may come into being.
    let ignore = paths.contexts.iter().flat_map(|context| {
        let WatchedContext { folder, dockerfile } = context;
        source::ignore_files(folder, dockerfile.as_deref())
    });
    let folders = paths.contexts.iter().map(|context| context.folder.clone());
    let files = files.iter().cloned().chain(ignore).chain(folders).collect();
    let files = Root::Files { files, listed: listed.clone(), mounted: mounted.clone() };
    [files].into_iter().chain(contexts).chain(heads).collect()
}

impl Root {
    /// For the log.
    pub(super) fn in_words(&self) -> String {
        match self {
            Self::Context(context) => context.folder.display().to_string(),
            Self::Files { .. } => "single files".to_owned(),
            Self::GitHead(folder) => format!("the git head of {}", folder.display()),
        }
    }

    /// Its paths, as they are declared.
    pub(super) fn paths(&self) -> impl Iterator<Item = &PathBuf> + Clone {
        let none = const { &BTreeSet::new() };
        let (one, [files, listed, mounted]) = match self {
            Self::Context(context) => (Some(&context.folder), [none; 3]),
            Self::Files { files, listed, mounted } => (None, [files, listed, mounted]),
            Self::GitHead(folder) => (Some(folder), [none; 3]),
        };
        one.into_iter().chain(files).chain(listed).chain(mounted)
    }

    /// Whether its own path is on a file system that other hosts write, too, whose changes the kernel does not know of.
    /// Accesses no file: one there may hang.
    pub(super) fn is_shared(&self, all: &[Mount]) -> bool {
        self.paths().any(|path| mounts::find(all, path).is_some_and(Mount::is_shared))
    }

    /// Looks at it, and not into the folders `apart`. Reads files: call it within a look.
    pub(super) fn scan(&self, apart: &[PathBuf]) -> Scan {
        match self {
            Self::Context(context) => of_context(context, apart),
            Self::Files { files, listed, mounted } => {
                let is_folder = |path: &&PathBuf| files::metadata(path).is_ok_and(|found| !found.is_file());
                let mounted = mounted.iter().filter(|path| !is_folder(path));
                let mut scan = of_files(files.iter().chain(listed).chain(mounted));
                for folder in listed {
                    scan.add_listed(folder);
                }
                scan
            }
            Self::GitHead(folder) => of_files(source::head_files(folder).iter()),
        }
    }
}

impl Scan {
    /// Adds the entries of a folder, by name and kind.
    fn add_listed(&mut self, folder: &Path) {
        let Ok(folder) = files::canonicalize(folder) else { return };
        let mut entries = files::list(&folder).unwrap_or_default();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let mut hash = DefaultHasher::new();
        self.stamp.hash(&mut hash);
        for Listed { name, meta, target } in &entries {
            (name, meta.mode(), target).hash(&mut hash);
        }
        self.stamp = hash.finish();
        let own = files::metadata(&folder).ok();
        let changed = own.and_then(|own| source::changed_at(own.ctime(), own.ctime_nsec()));
        self.newest = self.newest.max(changed);
        self.folders.entry(folder).or_default().is_listed = true;
    }
}

fn of_context(context: &WatchedContext, apart: &[PathBuf]) -> Scan {
    let found = source::context_folders(context, apart);
    let folders = found.folders.into_iter();
    let folders =
        folders.map(|(path, folder)| (path, Interest { contexts: vec![folder], ..Interest::default() }));
    Scan { folders: folders.collect(), stamp: found.stamp, newest: found.newest, is_whole: found.is_whole }
}

fn of_files<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> Scan {
    let mut scan = Scan { is_whole: true, ..Scan::default() };
    let mut hash = DefaultHasher::new();
    for path in paths {
        files::trace(path, |folder, name| {
            let interest = scan.folders.entry(folder.to_path_buf()).or_default();
            interest.names.insert(name.to_owned());
        });
        let found = files::metadata(path).ok();
        found.as_ref().map(|found| source::stamp(path, found)).hash(&mut hash);
        // A folder counts only by being there.
        let changed = found.filter(|found| !found.is_dir());
        let changed = changed.and_then(|found| source::changed_at(found.ctime(), found.ctime_nsec()));
        scan.newest = scan.newest.max(changed);
    }
    scan.stamp = hash.finish();
    scan
}

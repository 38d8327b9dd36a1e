//! The folders of a build context that Docker would look into, for a watch of them.

use std::{
    collections::hash_map::DefaultHasher,
    ffi::OsStr,
    hash::{Hash as _, Hasher as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    digest::ignore_file,
    dockerignore::{Dockerignore, Matched},
    walk::DEEPEST,
};
use crate::{
    api::WatchedContext,
    files::{self, Listed},
};

/// Git's own folder. It changes with each command, whatever the files do; its head is watched apart.
const GIT: &str = ".git";

/// A build context as it is now, without the content of its files.
#[derive(Debug, Clone, Default)]
pub struct ContextFolders {
    /// The folders, by absolute path without links.
    pub folders: Vec<(PathBuf, ContextFolder)>,
    /// What tells two states of it apart: names, kinds, sizes, times.
    pub stamp: u64,
    /// When the youngest of its entries was last changed.
    pub newest: Option<SystemTime>,
    /// Whether all of it could be read.
    pub is_whole: bool,
}

/// One folder of a build context.
#[derive(Debug, Clone)]
pub struct ContextFolder {
    ignore: Arc<Dockerignore>,
    /// Its path in the context; empty for the context itself.
    path: String,
    matched: Matched,
}

impl ContextFolder {
    /// Whether a change of the entry of this name may change what Docker would send.
    #[must_use]
    pub fn counts(&self, name: &OsStr) -> bool {
        let path = self.path_of(name);
        let (excluded, _) = self.ignore.excludes(&path, &self.matched);
        name != GIT && (!excluded || self.ignore.could_include_below(&path))
    }

    fn path_of(&self, name: &OsStr) -> String {
        let name = name.to_string_lossy();
        if self.path.is_empty() { name.into_owned() } else { format!("{}/{name}", self.path) }
    }

    fn below(&self, name: &OsStr) -> Self {
        let path = self.path_of(name);
        let (_, matched) = self.ignore.excludes(&path, &self.matched);
        Self { ignore: Arc::clone(&self.ignore), path, matched }
    }
}

/// Looks through a context, as far as its ignore file lets Docker look, and not into `apart`. A context that is not there, or
/// whose ignore file is not valid, has no folders: no build of it can work.
///
/// Reads folders: call it within a look.
#[must_use]
pub fn context_folders(context: &WatchedContext, apart: &[PathBuf]) -> ContextFolders {
    let mut found = ContextFolders { is_whole: true, ..ContextFolders::default() };
    let Ok(root) = files::canonicalize(&context.folder) else { return found };
    let Ok((_, ignore)) = ignore_file(&root, context.dockerfile.as_deref()) else { return found };
    let own = files::metadata(&root).ok();
    if own.as_ref().is_some_and(|own| !own.is_dir()) {
        // A single file, which counts by itself.
        return found;
    }
    found.newest = own.and_then(|own| changed_at(own.ctime(), own.ctime_nsec()));
    let top = ContextFolder { ignore: Arc::new(ignore), path: String::new(), matched: Matched::new() };
    let mut open = vec![(root, top, 0)];
    let mut stamps = Vec::new();
    while let Some((path, folder, depth)) = open.pop() {
        if depth > DEEPEST || apart.contains(&path) {
            continue;
        }
        let listed = files::list(&path);
        found.is_whole &= listed.is_ok();
        for Listed { name, meta, .. } in listed.unwrap_or_default() {
            if !folder.counts(&name) {
                continue;
            }
            found.newest = found.newest.max(changed_at(meta.ctime(), meta.ctime_nsec()));
            if meta.is_dir() {
                open.push((path.join(&name), folder.below(&name), depth + 1));
            }
            stamps.push(stamp(&path.join(&name), &meta));
        }
        found.folders.push((path, folder));
    }
    stamps.sort_unstable();
    let mut hash = DefaultHasher::new();
    stamps.hash(&mut hash);
    found.stamp = hash.finish();
    found
}

/// Of a folder only that it is there: its own times change with whatever is ignored in it.
#[must_use]
pub fn stamp(path: &Path, meta: &std::fs::Metadata) -> u64 {
    let mut hash = DefaultHasher::new();
    (path, meta.dev(), meta.ino(), meta.mode()).hash(&mut hash);
    if !meta.is_dir() {
        (meta.size(), meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()).hash(&mut hash);
    }
    hash.finish()
}

/// A time of the kernel.
#[must_use]
pub fn changed_at(seconds: i64, nanoseconds: i64) -> Option<SystemTime> {
    let (seconds, nanoseconds) = (u64::try_from(seconds).ok()?, u32::try_from(nanoseconds).ok()?);
    SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn tree(ignore: &str) -> (tempfile::TempDir, WatchedContext) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for path in
            ["src/deep/a", "node_modules/x/y", "docs/keep/a", "docs/out/a", ".git/objects/00/a", "a.log"]
        {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), "1").unwrap();
        }
        fs::write(root.join(".dockerignore"), ignore).unwrap();
        (folder, WatchedContext { folder: root, dockerfile: None })
    }

    fn folders(context: &WatchedContext) -> Vec<String> {
        let found = context_folders(context, &[]).folders.into_iter();
        let below = |path: PathBuf| path.strip_prefix(&context.folder).unwrap().display().to_string();
        let mut all: Vec<String> = found.map(|(path, _)| below(path)).collect();
        all.sort();
        all
    }

    #[test]
    fn ignored_folders_are_left_out_and_so_is_gits_own() {
        let (_folder, context) = tree("node_modules\n*.log\ndocs\n!docs/keep\n");
        assert_eq!(folders(&context), ["", "docs", "docs/keep", "src", "src/deep"]);
        let (_folder, context) = tree("");
        let all = ["", "docs", "docs/keep", "docs/out", "node_modules", "node_modules/x", "src", "src/deep"];
        assert_eq!(folders(&context), all);
        let own = [context.folder.join("src")];
        assert_eq!(context_folders(&context, &own).folders.len(), all.len() - 2, "undrift's own folder");
    }

    #[test]
    fn what_is_ignored_does_not_count_and_what_may_come_back_does() {
        let (_folder, context) = tree("node_modules\n*.log\ndocs\n!docs/keep\n");
        let found = context_folders(&context, &[]).folders;
        let of =
            |path: &str| found.iter().find(|(at, _)| *at == context.folder.join(path)).unwrap().1.clone();
        let (top, docs) = (of(""), of("docs"));
        let counts =
            |folder: &ContextFolder, names: [&str; 4]| names.map(|name| folder.counts(OsStr::new(name)));
        assert_eq!(counts(&top, ["src", "new", "docs", "b.txt"]), [true; 4]);
        assert_eq!(counts(&top, ["node_modules", "b.log", ".git", "x.log"]), [false; 4]);
        assert!(docs.counts(OsStr::new("keep")) && !docs.counts(OsStr::new("out")));
    }

    #[test]
    fn a_stamp_tells_states_apart_by_what_is_not_ignored() {
        let (_folder, context) = tree("node_modules\n*.log\n");
        let stamp = || context_folders(&context, &[]).stamp;
        let first = stamp();
        fs::write(context.folder.join("b.log"), "").unwrap();
        fs::write(context.folder.join("node_modules/new"), "").unwrap();
        assert_eq!(stamp(), first);
        fs::write(context.folder.join("src/deep/a"), "22").unwrap();
        let second = stamp();
        assert_ne!(second, first);
        fs::remove_dir_all(context.folder.join("src/deep")).unwrap();
        assert_ne!(stamp(), second);
    }
}

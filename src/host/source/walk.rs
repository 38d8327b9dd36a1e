//! The files of a build context that Docker would send to the builder.

use std::{
    ffi::{OsStr, OsString},
    fs::Metadata,
    io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use super::dockerignore::Dockerignore;
use crate::files::{self, Listed};

/// The maximum depth of folders; the kernel rejects deeper paths as too long.
pub(super) const DEEPEST: usize = 2048;

/// One entry of a build context.
#[derive(Debug)]
pub(super) struct ContextEntry {
    /// Relative to the context, with slashes.
    pub(super) path: OsString,
    /// Its kind.
    pub(super) kind: EntryKind,
    /// Size, times and inode, to detect later changes.
    pub(super) meta: Metadata,
}

/// The kind of an entry. Sockets, pipes and devices are left out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    Folder,
    File { executable: bool },
    Link { target: PathBuf },
}

/// A path that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {source}", path.display())]
pub struct Unreadable {
    /// The path.
    pub path: PathBuf,
    /// The cause.
    #[source]
    pub source: io::Error,
}

impl Unreadable {
    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { path, source }
    }
}

impl From<(PathBuf, io::Error)> for Unreadable {
    fn from((path, source): (PathBuf, io::Error)) -> Self {
        Self { path, source }
    }
}

/// Lists a context, sorted by path as bytes. Links are not followed.
pub(super) fn walk(root: &Path, ignore: &Dockerignore) -> Result<Vec<ContextEntry>, Unreadable> {
    let mut walker = Walker { root, ignore, found: Vec::new() };
    walker.folder(OsStr::new(""), &[], 0)?;
    walker.found.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(walker.found)
}

struct Walker<'a> {
    root: &'a Path,
    ignore: &'a Dockerignore,
    found: Vec<ContextEntry>,
}

impl Walker<'_> {
    fn folder(&mut self, folder: &OsStr, parent: &[bool], depth: usize) -> Result<(), Unreadable> {
        let path = self.root.join(folder);
        if depth > DEEPEST {
            return Err(Unreadable { path, source: io::ErrorKind::InvalidFilename.into() });
        }
        for Listed { name, meta, target } in files::list(&path).map_err(Unreadable::from)? {
            let mut relative = folder.to_owned();
            if !relative.is_empty() {
                relative.push("/");
            }
            relative.push(name);
            self.entry(relative, meta, target, (parent, depth))?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        path: OsString,
        meta: Metadata,
        target: Option<PathBuf>,
        (parent, depth): (&[bool], usize),
    ) -> Result<(), Unreadable> {
        let text = path.to_string_lossy();
        let (excluded, matched) = self.ignore.excludes(&text, parent);
        let kind = if meta.is_dir() {
            let before = self.found.len();
            if !excluded || self.ignore.could_include_below(&text) {
                self.folder(&path, &matched, depth + 1)?;
            }
            // An excluded folder is included if an entry in it is.
            if excluded && self.found.len() == before {
                return Ok(());
            }
            EntryKind::Folder
        } else if excluded {
            return Ok(());
        } else if let Some(target) = target {
            EntryKind::Link { target }
        } else if meta.is_file() {
            // The owner's bit alone: the others depend on the umask of the user who checked the files out.
            EntryKind::File { executable: meta.mode() & 0o100 != 0 }
        } else {
            return Ok(());
        };
        self.found.push(ContextEntry { path, kind, meta });
        Ok(())
    }
}

impl ContextEntry {
    /// The path's bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        self.path.as_bytes()
    }
}

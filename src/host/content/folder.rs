//! The listing of a folder of this host, or of a single file. Links are not followed.
//!
//! Sockets, pipes and devices are left out: a build sends none.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::{
    Listing, NoListing, Scope,
    listing::{Count, Entry, EntryPath, FileDigest},
    scope::Judge,
};
use crate::{
    files::{self, Listed},
    host::source::{Stamp, digest_of_file},
};

/// A folder, as of now.
pub(super) struct FolderListing {
    pub(super) listing: Listing,
    /// The digest of each file whose bytes need not be read again while its stamp is the same.
    pub(super) settled: Vec<(Stamp, FileDigest)>,
    /// Whether one of these was not known before.
    pub(super) has_news: bool,
}

/// Lists what is at a path without links. Call it within a [`files::look`].
pub(super) fn list(root: &Path, scope: &Scope) -> Result<FolderListing, NoListing> {
    let mut walk = Walk {
        root,
        place: root.display().to_string(),
        judge: scope.judge()?,
        count: Count::default(),
        found: Vec::new(),
    };
    walk.run()?;
    read(root, walk.found)
}

/// An entry whose bytes were not read yet.
struct Found {
    path: EntryPath,
    listed: Listed,
}

struct Walk<'a> {
    root: &'a Path,
    place: String,
    judge: Judge<'a>,
    count: Count,
    found: Vec<Found>,
}

impl Walk<'_> {
    fn run(&mut self) -> Result<(), NoListing> {
        let meta = files::symlink_metadata(self.root).map_err(|error| cannot_read(self.root, &error))?;
        let name = self.root.file_name().map(OsStr::to_owned).unwrap_or_default();
        let is_folder = meta.is_dir();
        self.entry(EntryPath::default(), Listed { name, meta, target: None })?;
        let mut folders = if is_folder { vec![PathBuf::new()] } else { Vec::new() };
        while let Some(folder) = folders.pop() {
            let all = files::list(&self.root.join(&folder));
            for listed in all.map_err(|(path, error)| cannot_read(&path, &error))? {
                let path = folder.join(&listed.name);
                let is_folder = listed.meta.is_dir();
                self.entry(path.as_os_str().as_bytes().into(), listed)?;
                if is_folder && !self.judge.leaves_out_below(&path.to_string_lossy()) {
                    folders.push(path);
                }
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: EntryPath, listed: Listed) -> Result<(), NoListing> {
        let meta = &listed.meta;
        let is_sent = meta.is_dir() || meta.is_file() || listed.target.is_some();
        if !is_sent || self.judge.leaves_out(&String::from_utf8_lossy(&path)) {
            return Ok(());
        }
        self.count.add(meta.is_dir(), if meta.is_file() { meta.len() } else { 0 }, &self.place)?;
        self.found.push(Found { path, listed });
        Ok(())
    }
}

/// Reads the files, after all are counted: what is too large is not read at all.
fn read(root: &Path, found: Vec<Found>) -> Result<FolderListing, NoListing> {
    let mut entries = Vec::with_capacity(found.len());
    let (mut settled, mut has_news) = (Vec::new(), false);
    for Found { path, listed } in found {
        let entry = if listed.meta.is_dir() {
            Entry::Folder
        } else if let Some(target) = listed.target {
            Entry::Link(target.as_os_str().as_bytes().into())
        } else {
            let at = at(root, &path);
            let read = digest_of_file(&at, &listed.meta).map_err(|error| cannot_read(&at, &error))?;
            if read.is_settled {
                settled.push((read.stamp, read.digest));
                has_news |= read.is_fresh;
            }
            Entry::File(read.digest)
        };
        entries.push((path, entry));
    }
    Ok(FolderListing { listing: Listing::of(entries), settled, has_news })
}

fn at(root: &Path, path: &[u8]) -> PathBuf {
    if path.is_empty() { root.to_owned() } else { root.join(OsStr::from_bytes(path)) }
}

fn cannot_read(path: &Path, error: &std::io::Error) -> NoListing {
    NoListing::Unknown(format!("cannot read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::{fs::symlink, net::UnixListener},
    };

    use sha2::{Digest as _, Sha256};

    use super::{super::scope::tests::scope, *};
    use crate::api::MOST_BYTES;

    fn listed(root: &Path, ignore: &[&str]) -> Result<Vec<(String, Entry)>, NoListing> {
        let (root, scope) = (root.canonicalize().unwrap(), scope("", Some("out\n"), ignore));
        let listed = files::look(move || list(&root, &scope)).unwrap()?;
        let entries = listed.listing.entries().iter();
        Ok(entries.map(|(path, entry)| (String::from_utf8_lossy(path).into_owned(), entry.clone())).collect())
    }

    fn file(text: &str) -> Entry {
        Entry::File(Sha256::digest(text).into())
    }

    #[test]
    fn folders_files_and_links_are_listed_and_what_no_build_sends_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("module");
        fs::create_dir_all(root.join("empty")).unwrap();
        fs::create_dir_all(root.join("out")).unwrap();
        fs::write(root.join("a"), "1").unwrap();
        fs::write(root.join("out/b"), "1").unwrap();
        fs::write(root.join("c.bak"), "1").unwrap();
        symlink("/etc/passwd", root.join("link")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, root.join("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
            .unwrap();
        let _socket = UnixListener::bind(root.join("socket")).unwrap();
        let expected = [
            ("", Entry::Folder),
            ("a", file("1")),
            ("empty", Entry::Folder),
            ("link", Entry::Link(b"/etc/passwd"[..].into())),
        ];
        let expected = expected.map(|(path, entry)| (path.to_owned(), entry));
        assert_eq!(listed(&root, &["*.bak"]).unwrap(), expected);
        assert_eq!(
            listed(&root.join("a"), &[]).unwrap(),
            [(String::new(), file("1"))],
            "a module may be a file"
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_and_one_that_is_too_large_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().canonicalize().unwrap().join("gone");
        let (at, of) = (missing.clone(), scope("", None, &[]));
        let gone = files::look(move || list(&at, &of).map(drop)).unwrap().unwrap_err();
        assert!(
            matches!(&gone, NoListing::Unknown(why) if why.contains(missing.to_str().unwrap())),
            "{gone:?}"
        );
        let large = fs::File::create(folder.path().join("large")).unwrap();
        large.set_len(MOST_BYTES + 1).unwrap();
        assert!(matches!(listed(folder.path(), &[]), Err(NoListing::TooLarge(_))));
        large.set_len(0).unwrap();
        assert_eq!(listed(folder.path(), &[]).unwrap()[1].1, file(""));
    }
}

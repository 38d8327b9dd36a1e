//! The checked-out commit of a work tree, read from git's own files: without a process, whoever owns the repository, and without
//! anything that the repository configures.
//!
//! Only the reftable format has no text files; git itself is asked then.

use std::{
    fs::Metadata,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::files::{self, LARGEST_TEXT};

/// The largest of git's files with one line.
const ONE_LINE: u64 = 64 * 1024;

/// How many references may lead to each other. git follows as many.
const SYMBOLIC: usize = 5;

/// The work tree of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkTree {
    /// The folder with its `HEAD` and index.
    pub(super) own: PathBuf,
    /// The folder that all work trees of the repository share; usually the same.
    pub(super) common: PathBuf,
}

/// The checked-out commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// This one, in hexadecimal digits.
    Commit(String),
    /// There is no commit yet.
    Unborn,
    /// The repository keeps its references in the reftable format.
    Reftable,
}

impl WorkTree {
    /// The work tree that a directory is in; `None` if it is in none.
    ///
    /// # Errors
    /// If a file that leads to it cannot be read.
    pub fn of(directory: &Path) -> io::Result<Option<Self>> {
        let directory = files::canonicalize(directory)?;
        for folder in directory.ancestors() {
            let mark = folder.join(".git");
            match files::metadata(&mark) {
                Ok(found) if found.is_dir() && files::exists(&mark.join("HEAD")) => {
                    return Self::at(mark).map(Some);
                }
                Ok(found) if found.is_file() => return Self::at(named_in(&mark, folder)?).map(Some),
                Ok(_) => {}
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// A work tree beside the main one has the name of the common folder in a file.
    fn at(own: PathBuf) -> io::Result<Self> {
        let common = match text(&own.join("commondir"))? {
            Some(path) => own.join(path.trim()),
            None => own.clone(),
        };
        Ok(Self { own, common })
    }

    /// The checked-out commit.
    ///
    /// # Errors
    /// If git's files cannot be read, or are not what git writes.
    pub fn head(&self) -> io::Result<Head> {
        if files::is_dir(&self.common.join("reftable")) {
            return Ok(Head::Reftable);
        }
        let mut at = self.own.join("HEAD");
        for _ in 0..SYMBOLIC {
            let Some(line) = text(&at)? else { return Ok(Head::Unborn) };
            let line = line.trim();
            if is_commit(line) {
                return Ok(Head::Commit(line.to_owned()));
            }
            let name = line.strip_prefix("ref:").map(str::trim).filter(|name| is_reference(name));
            let Some(name) = name else {
                return Err(io::Error::other(format!("{} holds no reference", at.display())));
            };
            let loose = self.loose(name);
            if text(&loose)?.is_none() {
                return Ok(self.packed(name)?.map_or(Head::Unborn, Head::Commit));
            }
            at = loose;
        }
        Err(io::Error::other("too many references lead to each other"))
    }

    /// The file of a reference. Some belong to one work tree alone.
    pub(super) fn loose(&self, name: &str) -> PathBuf {
        let of_one = ["refs/bisect/", "refs/worktree/", "refs/rewritten/"];
        let is_own = of_one.iter().any(|prefix| name.starts_with(prefix));
        if is_own { self.own.join(name) } else { self.common.join(name) }
    }

    fn packed(&self, name: &str) -> io::Result<Option<String>> {
        let all = match files::read_to_string(&self.common.join("packed-refs"), LARGEST_TEXT) {
            Ok(all) => all,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let of = |line: &str| line.split_once(' ').filter(|(_, of)| *of == name).map(|(id, _)| id.to_owned());
        Ok(all.lines().find_map(of).filter(|id| is_commit(id)))
    }

    /// Whether the history ends at this commit only because the clone is shallow: its changes are then those of all before it.
    ///
    /// # Errors
    /// If git's files cannot be read.
    pub fn is_cut_off_at(&self, commit: &str) -> io::Result<bool> {
        let shallow = match files::read_to_string(&self.common.join("shallow"), LARGEST_TEXT) {
            Ok(shallow) => shallow,
            Err(error) if is_absent(&error) => return Ok(false),
            Err(error) => return Err(error),
        };
        Ok(shallow.lines().any(|line| line.trim() == commit))
    }

    /// What changes with the index, and with each reference of a reftable: times and sizes, no content.
    #[must_use]
    pub fn state(&self) -> String {
        let index = self.own.join("index");
        let tables = [&self.own, &self.common].map(|folder| folder.join("reftable/tables.list"));
        let marks =
            [&index, &tables[0], &tables[1]].map(|path| files::metadata(path).map(|meta| mark(&meta)));
        marks.map(|mark| mark.unwrap_or_else(|_| "none".into())).join(" ")
    }
}

fn mark(meta: &Metadata) -> String {
    let (modified, changed) = ((meta.mtime(), meta.mtime_nsec()), (meta.ctime(), meta.ctime_nsec()));
    format!("{}:{modified:?}:{changed:?}:{}", meta.len(), meta.ino())
}

/// The folder that a `.git` file names.
fn named_in(mark: &Path, folder: &Path) -> io::Result<PathBuf> {
    let line = text(mark)?.unwrap_or_default();
    let Some(path) = line.trim().strip_prefix("gitdir:") else {
        return Err(io::Error::other(format!("{} names no repository", mark.display())));
    };
    Ok(folder.join(path.trim()))
}

/// The text of one of git's small files; `None` if it does not exist.
fn text(path: &Path) -> io::Result<Option<String>> {
    match files::read_to_string(path, ONE_LINE) {
        Ok(text) => Ok(Some(text)),
        Err(error) if is_absent(&error) || error.kind() == io::ErrorKind::IsADirectory => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Whether a text is the ID of an object, by SHA-1 or SHA-256.
pub(super) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a name stays below the repository's folder.
pub(super) fn is_reference(name: &str) -> bool {
    name.starts_with("refs/") && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{super::git::tests::git, *};

    fn head(directory: &Path) -> Head {
        WorkTree::of(directory).unwrap().expect("a work tree").head().unwrap()
    }

    fn committed(root: &Path, text: &str) -> Head {
        fs::write(root.join("file"), text).unwrap();
        git(root, &["add", "."]);
        git(root, &["commit", "-qm", text]);
        Head::Commit(git(root, &["rev-parse", "HEAD"]).trim().to_owned())
    }

    #[test]
    fn the_commit_is_the_one_that_git_names_however_the_repository_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = &folder.path().join("main");
        fs::create_dir_all(root.join("app")).unwrap();
        assert_eq!(WorkTree::of(root).unwrap(), None);
        git(root, &["init", "-q"]);
        assert_eq!(head(&root.join("app")), Head::Unborn);
        let first = committed(root, "one");
        assert_eq!(head(&root.join("app")), first, "a loose reference");
        git(root, &["pack-refs", "--all"]);
        assert_eq!(head(root), first, "a packed one");
        let second = committed(root, "two");
        assert_eq!(head(root), second, "a loose one before the packed one");
        git(root, &["checkout", "-q", "--detach", "HEAD~1"]);
        assert_eq!(head(root), first, "detached");
        git(root, &["worktree", "add", "-q", "-b", "other", "../beside", "HEAD"]);
        let beside = &folder.path().join("beside");
        assert_eq!(head(beside), first, "a work tree beside it");
        let third = committed(beside, "three");
        assert_eq!((head(beside), head(root)), (third, first));
        let url = format!("file://{}", root.display());
        git(folder.path(), &["clone", "-q", "--depth", "1", "--branch", "other", &url, "shallow"]);
        let shallow = &folder.path().join("shallow");
        let Head::Commit(commit) = head(shallow) else { panic!("no commit") };
        assert!(WorkTree::of(shallow).unwrap().unwrap().is_cut_off_at(&commit).unwrap());
        assert!(!WorkTree::of(beside).unwrap().unwrap().is_cut_off_at(&commit).unwrap());
    }

    #[test]
    fn references_of_the_reftable_format_are_left_to_git() {
        let folder = tempfile::tempdir().unwrap();
        git(folder.path(), &["init", "-q", "--ref-format=reftable"]);
        assert_eq!(head(folder.path()), Head::Reftable);
    }

    #[test]
    fn files_that_git_did_not_write_lead_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("main");
        fs::create_dir_all(root.join(".git")).unwrap();
        assert_eq!(WorkTree::of(&root).unwrap(), None, "an empty .git is no repository");
        fs::write(folder.path().join("secret"), "0".repeat(40)).unwrap();
        for wrong in ["hunter2", "ref: ../secret", "ref: refs/../../secret", "ref: /etc/passwd", ""] {
            fs::write(root.join(".git/HEAD"), wrong).unwrap();
            let error = WorkTree::of(&root).unwrap().unwrap().head().unwrap_err().to_string();
            assert!(!error.contains("hunter2") && error.contains("holds no reference"), "{error}");
        }
        fs::write(root.join(".git/HEAD"), "ref: refs/heads/a").unwrap();
        fs::create_dir_all(root.join(".git/refs/heads")).unwrap();
        fs::write(root.join(".git/refs/heads/a"), "ref: refs/heads/a").unwrap();
        assert!(WorkTree::of(&root).unwrap().unwrap().head().is_err(), "a circle");
        fs::remove_dir_all(root.join(".git")).unwrap();
        fs::write(root.join(".git"), "hunter2").unwrap();
        assert!(WorkTree::of(&root).unwrap_err().to_string().contains("names no repository"));
    }

    #[test]
    fn the_state_changes_with_the_index() {
        let folder = tempfile::tempdir().unwrap();
        git(folder.path(), &["init", "-q"]);
        committed(folder.path(), "one");
        let state = || WorkTree::of(folder.path()).unwrap().unwrap().state();
        let before = state();
        assert_eq!(state(), before);
        fs::write(folder.path().join("new"), "").unwrap();
        git(folder.path(), &["add", "new"]);
        assert_ne!(state(), before);
    }
}

//! The git work tree that a folder is in: what names its commit, and the lock of a git that changes it. Read from git's files
//! (`gitrepository-layout(5)`), without a process.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::head::{WorkTree, is_reference};
use crate::{
    api::{GitLock, Time},
    files::{self, LARGEST_TEXT},
};

/// The files that name the commit that is checked out there; empty outside a work tree. They need not exist: a branch may be
/// in `packed-refs`, or in a reftable.
///
/// Reads files: call it within a look.
#[must_use]
pub fn head_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(Some(tree)) = WorkTree::of(folder) else { return Vec::new() };
    let head = tree.own.join("HEAD");
    let branch = files::read_to_string(&head, LARGEST_TEXT).unwrap_or_default();
    let branch = branch.trim().strip_prefix("ref:").map(str::trim).filter(|name| is_reference(name));
    // A repository of reftables has a HEAD that names no branch, and no refs: all of it is in the tables.
    let tables = BTreeSet::from([tree.own.join("reftable"), tree.common.join("reftable")]);
    let tables = tables.into_iter().filter(|tables| files::is_dir(tables));
    let tables: Vec<PathBuf> = tables.map(|tables| tables.join("tables.list")).collect();
    let packed = tables.is_empty().then(|| tree.common.join("packed-refs"));
    let branch = branch.filter(|_| tables.is_empty()).map(|name| tree.loose(name));
    [head].into_iter().chain(packed).chain(branch).chain(tables).collect()
}

/// The lock of a git that changes the work tree that a folder is in.
///
/// Reads files: call it within a look.
#[must_use]
pub fn git_lock(folder: &Path) -> Option<GitLock> {
    let path = WorkTree::of(folder).ok()??.own.join("index.lock");
    let made = files::symlink_metadata(&path).ok()?.modified().ok()?;
    Some(GitLock { path: path.display().to_string(), since: Time::from(made) })
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::*;

    fn git(directory: &Path, arguments: &[&str]) {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]);
        let output = command.current_dir(directory).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn repository() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap().join("main");
        fs::create_dir_all(root.join("app/src")).unwrap();
        git(&root, &["init", "-q", "-b", "release/1"]);
        git(&root, &["commit", "-qm", "one", "--allow-empty"]);
        (folder, root)
    }

    fn below(at: &Path, found: &[PathBuf]) -> Vec<String> {
        found.iter().map(|path| path.strip_prefix(at).unwrap().display().to_string()).collect()
    }

    #[test]
    fn the_files_that_name_the_commit_are_found_from_any_folder_of_a_work_tree() {
        let (folder, root) = repository();
        let expected = ["HEAD", "packed-refs", "refs/heads/release/1"];
        for at in [root.clone(), root.join("app/src")] {
            assert_eq!(below(&root.join(".git"), &head_files(&at)), expected);
        }
        git(&root, &["checkout", "-q", "--detach"]);
        assert_eq!(below(&root.join(".git"), &head_files(&root)), expected[..2], "no branch");
        let outside = folder.path().join("beside/.git");
        fs::create_dir_all(&outside).unwrap();
        assert!(head_files(&folder.path().join("beside")).is_empty(), "an empty .git is no repository");
    }

    #[test]
    fn a_further_work_tree_has_a_head_and_a_lock_of_its_own() {
        let (folder, root) = repository();
        git(&root, &["worktree", "add", "-q", "-b", "other", "../other"]);
        let other = folder.path().canonicalize().unwrap().join("other");
        let expected = ["worktrees/other/HEAD", "packed-refs", "refs/heads/other"];
        let found: Vec<PathBuf> = head_files(&other).iter().map(|path| normal(path)).collect();
        assert_eq!(below(&root.join(".git"), &found), expected);
        assert_eq!(git_lock(&other), None);
        fs::write(root.join(".git/index.lock"), "").unwrap();
        assert_eq!(git_lock(&other), None, "that of another work tree");
        let lock = git_lock(&root.join("app/src")).unwrap();
        assert_eq!(lock.path, root.join(".git/index.lock").display().to_string());
        fs::write(root.join(".git/worktrees/other/index.lock"), "").unwrap();
        assert!(git_lock(&other).unwrap().path.ends_with("/worktrees/other/index.lock"));
    }

    #[test]
    fn of_reftables_the_list_counts() {
        let (_folder, root) = repository();
        // As `git init --ref-format=reftable` makes it, which not every git here can.
        fs::create_dir(root.join(".git/reftable")).unwrap();
        fs::write(root.join(".git/HEAD"), "ref: refs/heads/.invalid\n").unwrap();
        assert_eq!(below(&root.join(".git"), &head_files(&root)), ["HEAD", "reftable/tables.list"]);
    }

    fn normal(path: &Path) -> PathBuf {
        let parent = path.parent().and_then(|parent| parent.canonicalize().ok());
        parent.map_or_else(|| path.to_owned(), |parent| parent.join(path.file_name().unwrap()))
    }
}

//! Changes that alter a digest, and changes that do not.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    sync::Mutex,
};

use filetime_free::set_old;
use tempfile::TempDir;

use super::*;
use crate::host::NoCache;

/// Sets a path's modification time without another dependency.
mod filetime_free {
    use std::{
        fs::File,
        path::Path,
        time::{Duration, UNIX_EPOCH},
    };

    pub(super) fn set_old(path: &Path) {
        File::open(path).unwrap().set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000)).unwrap();
    }
}

struct Tree(TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        for (path, text) in [
            ("Dockerfile", "FROM scratch\nCOPY . /\n"),
            (".dockerignore", "ignored\n*.log\n!keep.log\nDockerfile\n.dockerignore\n"),
            ("src/a.txt", "a"),
            ("src/b.txt", "b"),
            ("ignored/x", "x"),
            ("keep.log", "k"),
            ("no.log", "n"),
        ] {
            tree.write(path, text);
        }
        symlink("src/a.txt", tree.path("link")).unwrap();
        tree
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn build(&self) -> BuildModel {
        BuildModel {
            context: self.0.path().to_str().unwrap().into(),
            dockerfile: Some("Dockerfile".into()),
            additional_contexts: BTreeMap::new(),
            settings: BuildSettings::Open("s".into()),
        }
    }

    fn digest(&self) -> String {
        digest(&self.build()).unwrap()
    }

    fn changed_by(change: impl FnOnce(&Self)) -> bool {
        let tree = Self::new();
        let before = tree.digest();
        change(&tree);
        tree.digest() != before
    }
}

fn digest(build: &BuildModel) -> Result<String, DigestError> {
    BuildSource::read(build)?.digest(None).map(|(state, _)| state.digest)
}

#[test]
fn lists_what_docker_would_send() {
    let files = context_files(&Tree::new().build()).unwrap();
    let files: Vec<&str> = files.iter().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(files, ["keep.log", "link", "src", "src/a.txt", "src/b.txt"]);
}

#[test]
fn what_a_build_could_see_changes_it() {
    assert!(Tree::changed_by(|t| t.write("src/a.txt", "A")), "content");
    assert!(Tree::changed_by(|t| t.write("src/c.txt", "")), "a new file");
    assert!(Tree::changed_by(|t| fs::remove_file(t.path("src/b.txt")).unwrap()), "a file less");
    assert!(Tree::changed_by(|t| fs::rename(t.path("src/b.txt"), t.path("src/d.txt")).unwrap()), "a name");
    assert!(Tree::changed_by(|t| fs::create_dir(t.path("empty")).unwrap()), "an empty folder");
    assert!(Tree::changed_by(|t| t.write("keep.log", "K")), "an exception");
    assert!(Tree::changed_by(|t| t.write("Dockerfile", "FROM scratch\n")), "the Dockerfile, though ignored");
    assert!(Tree::changed_by(|t| t.write(".dockerignore", "nothing\n")), "the ignore file, though ignored");
    assert!(Tree::changed_by(|t| t.write("Dockerfile.dockerignore", "src\n")), "the Dockerfile's own");
    assert!(
        Tree::changed_by(|t| {
            fs::remove_file(t.path("link")).unwrap();
            symlink("src/b.txt", t.path("link")).unwrap();
        }),
        "a link's target"
    );
    assert!(
        Tree::changed_by(|t| {
            fs::set_permissions(t.path("src/a.txt"), fs::Permissions::from_mode(0o744)).unwrap();
        }),
        "the executable bit"
    );
}

#[test]
fn what_no_build_sees_does_not_change_it() {
    assert!(!Tree::changed_by(|t| t.write("ignored/y", "y")), "an ignored file");
    assert!(!Tree::changed_by(|t| t.write("no.log", "N")), "an ignored pattern");
    assert!(!Tree::changed_by(|t| set_old(&t.path("src/a.txt"))), "a time");
    assert!(
        !Tree::changed_by(|t| {
            fs::set_permissions(t.path("src/a.txt"), fs::Permissions::from_mode(0o600)).unwrap();
        }),
        "bits that the umask decides"
    );
    let socket = |t: &Tree| drop(std::os::unix::net::UnixListener::bind(t.path("socket")).unwrap());
    assert!(!Tree::changed_by(socket), "a socket");
    // A link is not followed: its target outside does not count.
    let outside = tempfile::tempdir().unwrap();
    let tree = Tree::new();
    symlink(outside.path(), tree.path("out")).unwrap();
    let before = tree.digest();
    fs::write(outside.path().join("file"), "x").unwrap();
    assert_eq!(tree.digest(), before);
}

#[test]
fn settings_and_additional_contexts_count() {
    let tree = Tree::new();
    let extra = tempfile::tempdir().unwrap();
    let mut build = tree.build();
    let mut seen = vec![tree.digest()];
    build.settings = BuildSettings::Open("other".into());
    seen.push(digest(&build).unwrap());
    build.additional_contexts.insert("base".into(), "docker-image://x:1".into());
    seen.push(digest(&build).unwrap());
    build.additional_contexts.insert("extra".into(), extra.path().to_str().unwrap().into());
    seen.push(digest(&build).unwrap());
    fs::write(extra.path().join("file"), "x").unwrap();
    seen.push(digest(&build).unwrap());
    let different: std::collections::BTreeSet<_> = seen.iter().collect();
    assert_eq!(different.len(), seen.len());
}

#[test]
fn what_cannot_be_read_is_an_error_and_not_a_digest() {
    let tree = Tree::new();
    let mut build = tree.build();
    build.dockerfile = Some("Dockerfile.gone".into());
    assert!(digest(&build).unwrap_err().to_string().contains("Dockerfile.gone"));
    tree.write(".dockerignore", "[");
    assert!(matches!(digest(&tree.build()), Err(DigestError::BadIgnoreFile { .. })));
    build.context = "/nonexistent/undrift".into();
    assert!(matches!(digest(&build), Err(DigestError::Unreadable(_))));
}

#[derive(Default)]
struct DigestCache(Mutex<HashMap<String, String>>);

impl Cache for DigestCache {
    fn get(&self, space: &str, key: &str) -> Option<String> {
        self.0.lock().unwrap().get(&format!("{space}/{key}")).cloned()
    }

    fn put(&self, space: &str, key: &str, value: &str) {
        self.0.lock().unwrap().insert(format!("{space}/{key}"), value.into());
    }
}

#[tokio::test]
async fn a_remote_context_has_no_digest() {
    let mut build = Tree::new().build();
    for context in ["https://github.com/a/b.git#main", "git@github.com:a/b.git", "oci-layout://x"] {
        build.context = context.into();
        assert_eq!(context_digest(&build, &NoCache).await.unwrap(), None, "{context}");
    }
}

#[tokio::test]
async fn young_files_are_not_cached() {
    let tree = Tree::new();
    let cache = DigestCache::default();
    let first = context_digest(&tree.build(), &cache).await.unwrap();
    assert!(cache.0.lock().unwrap().is_empty(), "a file could change again within its own time stamp");
    assert_eq!(context_digest(&tree.build(), &cache).await.unwrap(), first);
}

#[test]
fn a_cached_digest_holds_only_while_no_file_was_touched() {
    let tree = Tree::new();
    let source = BuildSource::read(&tree.build()).unwrap();
    let known = format!("{} sha256:remembered", source.stats().unwrap().0);
    assert_eq!(source.digest(Some(&known)).unwrap().0.digest, "sha256:remembered");
    tree.write("src/a.txt", "other");
    let (touched, _) = BuildSource::read(&tree.build()).unwrap().digest(Some(&known)).unwrap();
    assert_eq!(touched.digest, tree.digest());
    assert_eq!(touched.settled, None, "young");
}

#[tokio::test]
async fn a_digest_cached_by_another_version_is_not_used() {
    let (tree, cache) = (Tree::new(), DigestCache::default());
    let of_before =
        format!("{} v0:sha256:remembered", BuildSource::read(&tree.build()).unwrap().stats().unwrap().0);
    let build = tree.build();
    for form in [format!("{build:?}"), format!("v0 {build:?}")] {
        cache.put(SPACE, &hex::encode(Sha256::digest(form)), &of_before);
    }
    let digest = context_digest(&build, &cache).await.unwrap().unwrap();
    assert_eq!(digest, tree.digest());
    assert!(digest.starts_with("v1:sha256:"), "it says by which rule it was made: {digest}");
}

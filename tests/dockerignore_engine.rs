//! The ignore rules against the real engine: for each `.dockerignore`, the files that a build copies are the
//! files that the digest counts.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Output},
};

use undrift::host::{compose::BuildModel, source::context_files};

/// The tree that every ignore file is laid over. A path that ends in a slash is an empty folder.
const TREE: [&str; 19] = [
    "a.txt",
    "b.md",
    "README.md",
    "README-secret.md",
    ".hidden",
    "#hash",
    "src/main.rs",
    "src/lib.md",
    "src/deep/er/x.log",
    "src/deep/keep.log",
    "docs/README.md",
    "docs/x.md",
    "docs/sub/README.md",
    "node_modules/p/index.js",
    "src/node_modules/q/index.js",
    "foobar/file",
    "foo/file",
    "empty/",
    "Dockerfile",
];

/// Ignore files, each with a rule that is easy to get wrong.
const TABLE: [&str; 26] = [
    "",
    "*.md\n!README*.md\nREADME-secret.md\n",
    "*\n!src\n",
    "*\n!src/deep/keep.log\n",
    "docs\n!docs/README.md\n",
    "!docs\ndocs/x.md\n",
    "docs/x.md\n!docs\n",
    "**/node_modules\n",
    "node_modules\n",
    "**/*.log\n!**/keep.log\n",
    "/a.txt\n./b.md\nsrc/../.hidden\n",
    "# comment\n #hash\n\\#hash\n  b.md  \n",
    "src/**\n",
    "src/**/x.log\n",
    "foo**\n",
    "**bar\n",
    "**\n!a.txt\n",
    "?.txt\n[bR]*.md\n",
    "[^a-c]*\n",
    "src/*/keep.log\n",
    "src/*\n!src/main.rs\n",
    "Dockerfile\n.dockerignore\n",
    "empty\n",
    ".*\n",
    "docs/\nfoo/\n",
    "*/*\n!*/README.md\n",
];

fn docker(arguments: &[&str]) -> Output {
    let output = Command::new("docker").args(arguments).env("DOCKER_BUILDKIT", "1").output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "docker {arguments:?}: {error}");
    output
}

fn make_tree(root: &Path) {
    for path in TREE {
        let whole = root.join(path);
        if path.ends_with('/') {
            fs::create_dir_all(&whole).unwrap();
        } else {
            fs::create_dir_all(whole.parent().unwrap()).unwrap();
            fs::write(&whole, path).unwrap();
        }
    }
    symlink("../nowhere", root.join("src/link.md")).unwrap();
    fs::write(root.join("Dockerfile"), "FROM scratch\nCOPY . /ctx/\n").unwrap();
}

/// The files below `/ctx` in an image, without a leading slash; folders without a trailing one.
fn files_of(image: &str) -> BTreeSet<String> {
    let id = String::from_utf8(docker(&["create", image, "none"]).stdout).unwrap();
    let tar = tempfile::NamedTempFile::new().unwrap();
    docker(&["export", "-o", tar.path().to_str().unwrap(), id.trim()]);
    docker(&["rm", id.trim()]);
    let listed = Command::new("tar").args(["-tf", tar.path().to_str().unwrap()]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let below = listed.lines().filter_map(|line| line.strip_prefix("ctx/"));
    below.map(|path| path.trim_end_matches('/').to_owned()).filter(|path| !path.is_empty()).collect()
}

fn compare(root: &Path, image: &Image, what: &str) {
    // Without the cache: this engine's calls a copy of changed files cached now and then.
    let build = ["build", "-q", "--no-cache", "--label", &image.label(), "-t", &image.0];
    docker(&[&build[..], &[root.to_str().unwrap()]].concat());
    let build = BuildModel {
        context: root.to_str().unwrap().into(),
        dockerfile: Some("Dockerfile".into()),
        additional_contexts: BTreeMap::new(),
        settings: undrift::host::compose::BuildSettings::default(),
    };
    let ours = context_files(&build).unwrap();
    let ours: BTreeSet<String> = ours.iter().map(|path| path.to_str().unwrap().to_owned()).collect();
    assert_eq!(ours, files_of(&image.0), "{what:?}");
}

/// A reference for all builds of a test. When it goes, so do they, also those that have lost it to a later one, and the
/// containers of a look that failed.
struct Image(String);

impl Image {
    fn label(&self) -> String {
        format!("dev.undrift.test={}", self.0)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let filter = format!("label={}", self.label());
        for (list, remove) in [(["ps", "-aq"], "rm"), (["images", "-q"], "rmi")] {
            // What fails here is no failure: the test's own result counts.
            let Ok(listed) = Command::new("docker").args(list).args(["--filter", &filter]).output() else {
                return;
            };
            let ids = String::from_utf8_lossy(&listed.stdout).into_owned();
            let _ = Command::new("docker").args([remove, "-f"]).args(ids.lines()).output();
        }
    }
}

#[test]
fn counts_the_files_that_the_engine_copies() {
    let image = Image(format!("undrift-ignore-{}:1", std::process::id()));
    let folder = tempfile::tempdir().unwrap();
    make_tree(folder.path());
    for text in TABLE {
        fs::write(folder.path().join(".dockerignore"), text).unwrap();
        compare(folder.path(), &image, text);
    }
}

#[test]
fn the_dockerfiles_own_ignore_file_comes_first() {
    let image = Image(format!("undrift-ignore-own-{}:1", std::process::id()));
    let folder = tempfile::tempdir().unwrap();
    make_tree(folder.path());
    fs::write(folder.path().join(".dockerignore"), "src\n").unwrap();
    fs::write(folder.path().join("Dockerfile.dockerignore"), "docs\n").unwrap();
    compare(folder.path(), &image, "Dockerfile.dockerignore");
}

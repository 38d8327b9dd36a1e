//! Everything that Compose reads to resolve a project, so that its answer can be cached until one of these changes.
//!
//! The rule is to include too much rather than too little, and to give up (no inputs, so nothing is cached) on everything that
//! undrift cannot follow: remote includes, paths with variables in them.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    api::Desired,
    files::{self, LARGEST_TEXT},
    host::{KeyedDigest, docker_config, process::Environment},
};

mod finder;

use finder::Finder;

/// The version of the fingerprint's format and of the rules that find inputs.
const VERSION: &str = "undrift-compose-v10";

/// The names that Compose looks for, in its order; the first that exists is the project's file.
const MAIN_FILES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];

/// The names of the file that Compose merges over it.
const OVERRIDE_FILES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// Variables that steer Compose or the docker CLI, whatever the files contain.
const PREFIXES: [&str; 2] = [STEERS_COMPOSE, "DOCKER_"];

/// The prefix of variables that steer Compose itself.
const STEERS_COMPOSE: &str = "COMPOSE_";

/// Variables that locate the programs, whatever the files use.
const TO_FIND_PROGRAMS: [&str; 2] = ["PATH", HOME];

/// The variable that Compose substitutes for a `~`.
const HOME: &str = "HOME";

/// The inputs of Compose. Names only: contents and values go into the fingerprint. It is only ever stored sealed, because the
/// words that may be variables include passwords.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ComposeInputs {
    /// Files by content, including those that could exist and do not.
    files: BTreeSet<PathBuf>,
    /// Environment variables that the files use. These names may be shown.
    variables: BTreeSet<String>,
    /// Other words that Compose may take for a variable.
    words: BTreeSet<String>,
    /// The docker CLI and the Compose plugin, at every place where they could be, by the identity of the build.
    programs: BTreeSet<PathBuf>,
    /// Whether a service may belong to a profile.
    profiles: bool,
}

impl ComposeInputs {
    /// The same with the contents of more files.
    pub(super) fn with(mut self, files: impl IntoIterator<Item = PathBuf>) -> Self {
        self.files.extend(files);
        self
    }

    /// The files that Compose reads, also those that could exist and do not.
    pub(super) const fn files(&self) -> &BTreeSet<PathBuf> {
        &self.files
    }

    /// Whether a service may belong to a profile.
    pub(super) const fn have_profiles(&self) -> bool {
        self.profiles
    }

    /// Whether the files use this variable, or may do so.
    pub(super) fn use_variable(&self, name: &str) -> bool {
        self.variables.contains(name) || self.words.contains(name)
    }

    /// Finds the inputs of a project; `None` if not all of them can be known.
    ///
    /// # Errors
    /// If Compose would block forever on one of them, or read gigabytes: do not ask it then.
    pub(super) fn find(desired: &Desired, env: &Environment) -> io::Result<Option<Self>> {
        let mut finder = Finder::new(desired);
        let found = finder.project(desired, env).and(finder.programs(env));
        finder.trap.map_or(Ok(found.map(|()| finder.inputs)), Err)
    }

    /// The first file of the project on which Compose would block forever, or of which it would read gigabytes.
    pub(super) fn trap(desired: &Desired, env: &Environment) -> Option<io::Error> {
        let mut finder = Finder::new(desired);
        let _ = finder.project(desired, env);
        finder.trap
    }

    /// The files that Compose reads, as far as they are known, even if Compose refuses the project.
    pub(super) fn known_files(desired: &Desired, env: &Environment) -> BTreeSet<PathBuf> {
        let mut finder = Finder::new(desired);
        // An unparsable part yields no files; the files that were found belong to the project.
        let _ = finder.project(desired, env);
        finder.inputs.files
    }

    /// The files that the project names, or that Compose would look for, whose symbolic links form a loop.
    pub(super) fn circles(desired: &Desired, env: &Environment) -> BTreeSet<PathBuf> {
        let mut finder = Finder::new(desired);
        let _ = finder.project(desired, env);
        finder.circles
    }

    /// The files that Compose would choose by default, in its order; `None` if that is not known.
    pub(super) fn main_files(desired: &Desired, env: &Environment) -> Option<Vec<PathBuf>> {
        Finder::new(desired).main_files(desired, env)
    }

    /// One digest over all of it; `None` if something cannot be read.
    pub(super) fn fingerprint(&self, desired: &Desired, env: &Environment) -> Option<String> {
        let mut hash = FingerprintHasher(Sha256::new());
        hash.field(VERSION.as_bytes());
        hash.field(desired.directory.as_os_str().as_bytes());
        // If a link in the path now leads elsewhere, it is another project.
        hash.field(files::canonicalize(&desired.directory).ok()?.as_os_str().as_bytes());
        hash.field(&serde_json::to_vec(&desired.object.spec.project).ok()?);
        for path in &self.files {
            hash.field(path.as_os_str().as_bytes());
            match files::read(path, LARGEST_TEXT) {
                Ok(content) => hash.field(&Sha256::digest(content)),
                Err(error) if is_absent(&error) => hash.field(b"absent"),
                Err(_) => return None,
            }
        }
        for name in self.variables.union(&self.words).map(String::as_str).chain(TO_FIND_PROGRAMS) {
            hash.variable(OsStr::new(name), env.get(name));
        }
        for (name, value) in env.iter() {
            if name.to_str().is_some_and(|name| PREFIXES.iter().any(|prefix| name.starts_with(prefix))) {
                hash.variable(name, Some(value));
            }
        }
        hash.field(self.programs().as_bytes());
        Some(hex::encode(hash.0.finalize()))
    }

    /// One digest that identifies these programs.
    pub(super) fn programs(&self) -> String {
        let mut hash = FingerprintHasher(Sha256::new());
        for path in &self.programs {
            hash.field(path.as_os_str().as_bytes());
            hash.field(identity(path).as_bytes());
        }
        hex::encode(hash.0.finalize())
    }

    /// Each file and program by path, and each variable that the files use or that steers Compose, by name: digests. `None` if
    /// something cannot be read.
    pub(super) fn digests(&self, env: &Environment, digest: &KeyedDigest) -> Option<Digests> {
        let mut files = BTreeMap::new();
        for path in &self.files {
            let name = path.to_string_lossy().into_owned();
            let content = match files::read(path, LARGEST_TEXT) {
                Ok(content) => digest(&name, &content),
                Err(error) if is_absent(&error) => "absent".to_owned(),
                Err(_) => return None,
            };
            files.insert(name, content);
        }
        // Another Compose also makes another project of the same files. The docker CLI's settings hold credentials that are
        // renewed, and contribute nothing to the project.
        let makes_it = |path: &&PathBuf| path.file_name() != Some(OsStr::new(docker_config::SETTINGS));
        let programs = self.programs.iter().filter(makes_it).map(|path| {
            let name = path.to_string_lossy().into_owned();
            let identity = digest(&name, identity(path).as_bytes());
            (name, identity)
        });
        files.extend(programs);
        let value = |name: &str| env.get(name).map(|value| digest(name, value.as_bytes()));
        let steering = env.iter().filter_map(|(name, _)| name.to_str());
        let steering = steering.filter(|name| name.starts_with(STEERS_COMPOSE));
        // A word that is set in the environment is the name of a variable, whatever else it may be.
        let set = self.words.iter().map(String::as_str).filter(|name| env.get(name).is_some());
        let names = self.variables.iter().map(String::as_str).chain(set).chain(steering).chain([HOME]);
        let variables = names.map(|name| (name.to_owned(), value(name))).collect();
        Some((files, variables))
    }
}

/// Files and programs by path, and variables by name.
type Digests = (BTreeMap<String, String>, BTreeMap<String, Option<String>>);

/// The identity of a program's build, without reading the program. A copy of another build may have the same size and time, but
/// not the same inode or the same time of last change.
fn identity(program: &Path) -> String {
    files::metadata(program).map_or_else(
        |_| "absent".to_owned(),
        |meta| {
            let (modified, changed) = ((meta.mtime(), meta.mtime_nsec()), (meta.ctime(), meta.ctime_nsec()));
            format!("{} {modified:?} {changed:?} {} {}", meta.len(), meta.dev(), meta.ino())
        },
    )
}

/// A hash over fields, each with its length, so that no two lists of fields look alike.
struct FingerprintHasher(Sha256);

impl FingerprintHasher {
    fn field(&mut self, bytes: &[u8]) {
        self.0.update(bytes.len().to_le_bytes());
        self.0.update(bytes);
    }

    fn variable(&mut self, name: &OsStr, value: Option<&OsStr>) {
        self.field(name.as_bytes());
        self.field(if value.is_some() { b"set" } else { b"unset" });
        self.field(value.unwrap_or_default().as_bytes());
    }
}

/// The files that Compose would choose in this folder if none are named: empty if there is none.
pub(super) fn main_files_in(folder: &Path) -> Vec<PathBuf> {
    let there =
        |names: &[&str; 4]| names.iter().map(|name| folder.join(name)).find(|path| files::exists(path));
    let Some(main) = there(&MAIN_FILES) else { return Vec::new() };
    [main].into_iter().chain(there(&OVERRIDE_FILES)).collect()
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
#[path = "inputs_tests.rs"]
mod tests;

//! Everything that Compose reads to resolve a project, so that its answer can be remembered until one of these
//! changes.
//!
//! The rule is to include too much rather than too little, and to give up (no inputs, so nothing is remembered)
//! on everything that is not understood: remote includes, paths with variables in them.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    env::Environment,
    scan::{self, Reference},
};
use crate::{
    api::Desired,
    files::{self, LARGEST_TEXT},
    host::KeyedDigest,
};

/// The version of the fingerprint's form and of the rules by which inputs are found.
const VERSION: &str = "undrift-compose-v8";

/// The names that Compose looks for, in its order; the first that exists is the project's file.
const MAIN_FILES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];

/// The names of the file that Compose lays over it.
const OVERRIDE_FILES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// Where the docker CLI looks for plugins, besides the folder of its configuration.
const PLUGIN_FOLDERS: [&str; 4] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];

/// Variables that steer Compose or the docker CLI, whatever the files say.
const PREFIXES: [&str; 2] = [STEERS_COMPOSE, "DOCKER_"];

/// Variables that steer Compose itself begin so.
const STEERS_COMPOSE: &str = "COMPOSE_";

/// Variables that say where the programs are, whatever the files use.
const TO_FIND_PROGRAMS: [&str; 2] = ["PATH", "HOME"];

/// The most files that a project is followed through: more is not remembered.
const MOST_FILES: usize = 200;

/// What Compose reads. Names only: contents and values go into the fingerprint. Kept sealed, and no otherwise: among the words
/// that may be variables there are passwords.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Inputs {
    /// Files by content; those that could exist and do not are in it too.
    files: BTreeSet<PathBuf>,
    /// Environment variables that the files use. These names may be told.
    variables: BTreeSet<String>,
    /// Other words that Compose may take for one.
    words: BTreeSet<String>,
    /// The docker CLI and the Compose plugin, at every place where they could be: by what tells one build from another.
    programs: BTreeSet<PathBuf>,
    /// Whether a service may belong to a profile.
    profiles: bool,
}

impl Inputs {
    /// The same with the contents of more files.
    pub(super) fn with(mut self, files: impl IntoIterator<Item = PathBuf>) -> Self {
        self.files.extend(files);
        self
    }

    /// Whether a service may belong to a profile.
    pub(super) const fn have_profiles(&self) -> bool {
        self.profiles
    }

    /// Whether the files use this variable, or may do so.
    pub(super) fn use_variable(&self, name: &str) -> bool {
        self.variables.contains(name) || self.words.contains(name)
    }

    /// Finds the inputs of a project; `None` where not all of them can be known.
    ///
    /// # Errors
    /// Where Compose would wait without end at one of them: it is not to be asked.
    pub(super) fn find(desired: &Desired, env: &Environment) -> io::Result<Option<Self>> {
        let mut finder = Finder::new(desired);
        let found = finder.project(desired, env).and_then(|()| finder.programs(env));
        finder.trap.map_or(Ok(found.map(|()| finder.inputs)), Err)
    }

    /// The files that Compose reads, as far as that is known: also of a project that it refuses.
    pub(super) fn known_files(desired: &Desired, env: &Environment) -> BTreeSet<PathBuf> {
        let mut finder = Finder::new(desired);
        // What is not understood ends the search; what was found until then is of the project.
        let _ = finder.project(desired, env);
        finder.inputs.files
    }

    /// The files that Compose would take by itself, in its order; `None` where that is not known.
    pub(super) fn main_files(desired: &Desired, env: &Environment) -> Option<Vec<PathBuf>> {
        Finder::new(desired).main_files(desired, env)
    }

    /// One digest over all of it; `None` where something cannot be read.
    pub(super) fn fingerprint(&self, desired: &Desired, env: &Environment) -> Option<String> {
        let mut hash = Fields(Sha256::new());
        hash.field(VERSION.as_bytes());
        hash.field(desired.directory.as_os_str().as_bytes());
        // A link in the path that leads elsewhere now is another project.
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

    /// What tells these programs from all others, in a word.
    pub(super) fn programs(&self) -> String {
        let mut hash = Fields(Sha256::new());
        for path in &self.programs {
            hash.field(path.as_os_str().as_bytes());
            hash.field(identity(path).as_bytes());
        }
        hex::encode(hash.0.finalize())
    }

    /// Each file and program by path, and each variable that the files use or that steers Compose, by name: digests. `None`
    /// where something cannot be read.
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
        // Another Compose, too, makes another project of the same files.
        let programs = self.programs.iter().map(|path| {
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
        let names = self.variables.iter().map(String::as_str).chain(set).chain(steering);
        let variables = names.map(|name| (name.to_owned(), value(name))).collect();
        Some((files, variables))
    }
}

/// Files and programs by path, and variables by name.
type Digests = (BTreeMap<String, String>, BTreeMap<String, Option<String>>);

/// What tells one build of a program from another without reading it. A copy of another build may have its size and its time,
/// and has neither its place on the disk nor the time of its last change there.
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
struct Fields(Sha256);

impl Fields {
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

/// The files that Compose would take in this folder where none are named: empty where there is none.
pub(super) fn main_files_in(folder: &Path) -> Vec<PathBuf> {
    let there =
        |names: &[&str; 4]| names.iter().map(|name| folder.join(name)).find(|path| files::exists(path));
    let Some(main) = there(&MAIN_FILES) else { return Vec::new() };
    [main].into_iter().chain(there(&OVERRIDE_FILES)).collect()
}

struct Finder {
    inputs: Inputs,
    /// The folder that the relative paths of the main files start at.
    base: PathBuf,
    /// The first file at which Compose would wait without end.
    trap: Option<io::Error>,
}

impl Finder {
    fn new(desired: &Desired) -> Self {
        Self { inputs: Inputs::default(), base: desired.directory.clone(), trap: None }
    }

    /// Whether something is there.
    fn exists(&mut self, path: &Path) -> bool {
        match files::metadata(path) {
            Ok(_) => true,
            Err(error) => {
                self.note(error);
                false
            }
        }
    }

    fn note(&mut self, error: io::Error) {
        if files::is_trap(&error) {
            self.trap.get_or_insert(error);
        }
    }

    fn project(&mut self, desired: &Desired, env: &Environment) -> Option<()> {
        let files = self.main_files(desired, env)?;
        files.first()?.parent()?.clone_into(&mut self.base);
        self.env_file(&self.base.join(".env"))?;
        files.iter().try_for_each(|file| self.compose_file(file))
    }

    fn main_files(&mut self, desired: &Desired, env: &Environment) -> Option<Vec<PathBuf>> {
        let directory = &desired.directory;
        let spec = &desired.object.spec.project;
        let mut assigned = BTreeMap::new();
        for file in spec.env_files.iter().map(String::as_str).chain([".env"]) {
            assigned.extend(self.env_file(&directory.join(plain(file)?))?);
        }
        let variable = |name: &str| {
            let own = env.get(name).map(|value| value.to_str().map(str::to_owned));
            own.map_or_else(|| Some(assigned.get(name).cloned()), |value| value.map(Some))
        };
        // Rare, and each changes by which rules all else is found.
        if variable("COMPOSE_ENV_FILES")?.is_some() || variable("COMPOSE_PATH_SEPARATOR")?.is_some() {
            return None;
        }
        match (spec.files.is_empty(), variable("COMPOSE_FILE")?) {
            (false, _) => joined(directory, spec.files.iter().map(String::as_str)),
            (true, Some(list)) if !list.is_empty() => joined(directory, list.split(':')),
            (true, _) => self.looked_up(directory),
        }
    }

    /// The files that Compose finds by itself. The rest of the names count as absent: they may appear.
    fn looked_up(&mut self, directory: &Path) -> Option<Vec<PathBuf>> {
        let all: Vec<PathBuf> =
            MAIN_FILES.iter().chain(&OVERRIDE_FILES).map(|name| directory.join(name)).collect();
        self.inputs.files.extend(all.iter().cloned());
        // Without a file here Compose goes on in the parent folders.
        all[..MAIN_FILES.len()].iter().any(|path| self.exists(path)).then_some(())?;
        Some(all.into_iter().filter(|path| self.exists(path)).collect())
    }

    /// A Compose file, and what it refers to.
    fn compose_file(&mut self, path: &Path) -> Option<()> {
        let mut open = vec![path.to_owned()];
        let mut seen = BTreeSet::new();
        while let Some(path) = open.pop() {
            if !seen.insert(path.clone()) {
                continue;
            }
            let text = self.read(&path)?;
            let found = scan::compose_file(&text)?;
            self.inputs.variables.extend(found.variables.named);
            self.inputs.words.extend(found.variables.words);
            self.inputs.profiles |= found.profiles;
            let own = path.parent()?.to_owned();
            let bases = [own.clone(), self.base.clone()].into_iter();
            let bases: BTreeSet<PathBuf> =
                bases.chain(joined(&own, found.directories.iter().map(String::as_str))?).collect();
            for base in &bases {
                self.env_file(&base.join(".env"))?;
                for (reference, target) in &found.references {
                    let target = base.join(plain(target)?);
                    match reference {
                        Reference::EnvFile => self.env_file(&target).map(drop)?,
                        Reference::Compose => {
                            self.env_file(&target.parent()?.join(".env"))?;
                            open.push(target);
                        }
                    }
                }
            }
            // What is in no folder of this host comes from another one (`github.com/…` is no path for Compose), or is to come.
            let mut is_here = |target: &str| bases.iter().any(|base| self.exists(&base.join(target)));
            let mut included = found.references.iter().filter(|(kind, _)| *kind == Reference::Compose);
            if !included.all(|(_, target)| is_here(target)) {
                return None;
            }
        }
        Some(())
    }

    /// An env file; gives what it assigns.
    fn env_file(&mut self, path: &Path) -> Option<BTreeMap<String, String>> {
        let text = self.read(path)?;
        let found = scan::env_file(&text)?;
        self.inputs.variables.extend(found.variables.named);
        self.inputs.words.extend(found.variables.words);
        Some(found.assigned)
    }

    /// A file's text; empty where there is no such file, which refers to nothing either.
    fn read(&mut self, path: &Path) -> Option<String> {
        self.inputs.files.insert(path.to_owned());
        match files::read_to_string(path, LARGEST_TEXT) {
            Ok(text) if self.inputs.files.len() <= MOST_FILES => Some(text),
            Ok(_) => None,
            Err(error) if is_absent(&error) => Some(String::new()),
            Err(error) => {
                self.note(error);
                None
            }
        }
    }

    fn programs(&mut self, env: &Environment) -> Option<()> {
        for folder in std::env::split_paths(env.get("PATH")?) {
            let program = folder.join("docker");
            let found = self.exists(&program) && files::metadata(&program).is_ok_and(|found| found.is_file());
            self.inputs.programs.insert(program);
            if found {
                break;
            }
        }
        let home = env.get("HOME").map(|home| Path::new(home).join(".docker"));
        let config = env.get("DOCKER_CONFIG").map(PathBuf::from).or(home);
        let mut folders: Vec<PathBuf> = PLUGIN_FOLDERS.iter().map(PathBuf::from).collect();
        if let Some(config) = config {
            folders.push(config.join("cli-plugins"));
            folders.extend(extra_plugin_folders(&config));
            // By its time: it holds credentials, and names more plugin folders.
            self.inputs.programs.insert(config.join("config.json"));
        }
        self.inputs.programs.extend(folders.into_iter().map(|folder| folder.join("docker-compose")));
        Some(())
    }
}

/// The plugin folders that the docker CLI's configuration names. One that cannot be read names none.
fn extra_plugin_folders(config: &Path) -> Vec<PathBuf> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Config {
        #[serde(default)]
        cli_plugins_extra_dirs: Vec<PathBuf>,
    }
    let text = files::read_to_string(&config.join("config.json"), LARGEST_TEXT).unwrap_or_default();
    serde_json::from_str::<Config>(&text).map(|config| config.cli_plugins_extra_dirs).unwrap_or_default()
}

/// A path that means what it says: no variable, no URL, no home, not standard input.
fn plain(path: &str) -> Option<&str> {
    let odd = path.is_empty() || path == "-" || path.starts_with('~') || path.contains(['$', ':']);
    (!odd).then_some(path)
}

fn joined<'a>(base: &Path, paths: impl Iterator<Item = &'a str>) -> Option<Vec<PathBuf>> {
    paths.map(|path| plain(path).map(|path| base.join(path))).collect()
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
#[path = "inputs_tests.rs"]
mod tests;

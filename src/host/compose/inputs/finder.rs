//! How undrift finds Compose's inputs: from the project's main files on, through everything that they name.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    super::{
        interpolation,
        scan::{self, Reference},
    },
    ComposeInputs, MAIN_FILES, OVERRIDE_FILES, is_absent,
};
use crate::{
    api::Desired,
    files::{self, LARGEST_TEXT},
    host::{docker_config, process::Environment},
};

/// The folders in which the docker CLI looks for plugins, besides that of its configuration.
const PLUGIN_FOLDERS: [&str; 4] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];

/// The most files of a project that undrift follows; with more, nothing is cached.
const MOST_FILES: usize = 200;

pub(super) struct Finder {
    pub(super) inputs: ComposeInputs,
    /// The base folder of relative paths in the main files.
    base: PathBuf,
    /// The variables that Compose substitutes, as far as they are known.
    variables: BTreeMap<String, String>,
    /// The first file on which Compose would block forever, or of which it would read gigabytes.
    pub(super) trap: Option<io::Error>,
    /// Paths that cannot be followed, because their symbolic links form a loop.
    pub(super) circles: BTreeSet<PathBuf>,
}

impl Finder {
    pub(super) fn new(desired: &Desired) -> Self {
        let base = desired.directory.clone();
        Self {
            inputs: ComposeInputs::default(),
            base,
            variables: BTreeMap::new(),
            trap: None,
            circles: BTreeSet::new(),
        }
    }

    /// Whether something is there.
    fn exists(&mut self, path: &Path) -> bool {
        match files::metadata(path) {
            Ok(_) => true,
            Err(error) => {
                self.note(path, error);
                false
            }
        }
    }

    fn note(&mut self, path: &Path, error: io::Error) {
        if files::is_trap(&error) {
            self.trap.get_or_insert(error);
        } else if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
            self.circles.insert(path.to_owned());
        }
    }

    /// Follows the whole project; `None` if not all of it can be followed. It continues all the same: a trap may come later.
    pub(super) fn project(&mut self, desired: &Desired, env: &Environment) -> Option<()> {
        let files = self.main_files(desired, env)?;
        files.first()?.parent()?.clone_into(&mut self.base);
        let beside = self.env_file(&self.base.join(".env")).map(drop);
        every(beside, files.iter().map(|file| self.compose_file(file)))
    }

    pub(super) fn main_files(&mut self, desired: &Desired, env: &Environment) -> Option<Vec<PathBuf>> {
        let directory = &desired.directory;
        let spec = &desired.object.spec.project;
        let mut assigned = BTreeMap::new();
        let env_files = spec.env_files.iter().map(String::as_str).chain([".env"]);
        let understood = env_files.map(|file| {
            assigned.extend(self.env_file(&directory.join(plain(file)?))?);
            Some(())
        });
        every(Some(()), understood)?;
        self.variables = assigned.clone();
        self.variables.extend(env.texts());
        let variable = |name: &str| {
            let own = env.get(name).map(|value| value.to_str().map(str::to_owned));
            own.map_or_else(|| Some(assigned.get(name).cloned()), |value| value.map(Some))
        };
        // Rare, and each changes the rules that find everything else.
        if variable("COMPOSE_ENV_FILES")?.is_some() || variable("COMPOSE_PATH_SEPARATOR")?.is_some() {
            return None;
        }
        match (spec.files.is_empty(), variable("COMPOSE_FILE")?) {
            (false, _) => joined(directory, spec.files.iter().map(String::as_str)),
            (true, Some(list)) if !list.is_empty() => joined(directory, list.split(':')),
            (true, _) => self.looked_up(directory),
        }
    }

    /// The files that Compose finds by default. The other names count as absent: they may appear.
    fn looked_up(&mut self, directory: &Path) -> Option<Vec<PathBuf>> {
        let all: Vec<PathBuf> =
            MAIN_FILES.iter().chain(&OVERRIDE_FILES).map(|name| directory.join(name)).collect();
        self.inputs.files.extend(all.iter().cloned());
        // Without a file here, Compose continues in the parent folders.
        all[..MAIN_FILES.len()].iter().any(|path| self.exists(path)).then_some(())?;
        Some(all.into_iter().filter(|path| self.exists(path)).collect())
    }

    /// A Compose file, and the files that it refers to.
    fn compose_file(&mut self, path: &Path) -> Option<()> {
        let (mut open, mut seen) = (vec![path.to_owned()], BTreeSet::new());
        let mut is_understood = Some(());
        while let Some(path) = open.pop() {
            if self.inputs.files.len() > MOST_FILES {
                return None;
            }
            if seen.insert(path.clone()) {
                is_understood = is_understood.and(self.single_file(&path, &mut open));
            }
        }
        is_understood
    }

    /// A Compose file alone; the files that it refers to are added to `open`.
    fn single_file(&mut self, path: &Path, open: &mut Vec<PathBuf>) -> Option<()> {
        let text = self.read(path)?;
        let found = scan::compose_file(&text)?;
        self.inputs.variables.extend(found.variables.named);
        self.inputs.words.extend(found.variables.words);
        self.inputs.profiles |= found.profiles;
        let own = path.parent()?.to_owned();
        let directories = joined(&own, found.directories.iter().map(String::as_str));
        let mut is_understood = directories.is_some().then_some(());
        let bases: BTreeSet<PathBuf> =
            [own, self.base.clone()].into_iter().chain(directories.unwrap_or_default()).collect();
        for base in &bases {
            is_understood = is_understood.and(self.env_file(&base.join(".env")).map(drop));
            let references = found.references.iter();
            is_understood =
                every(is_understood, references.map(|(kind, target)| self.follow(*kind, base, target, open)));
        }
        // A path in no folder of this host is remote (`github.com/…` is no path for Compose), or does not exist yet.
        let included = found.references.iter().filter(|(kind, _)| *kind == Reference::Compose);
        let is_here = |(_, target): &(Reference, String)| {
            bases.iter().any(|base| self.exists(&base.join(target))).then_some(())
        };
        every(is_understood, included.map(is_here))
    }

    /// The files that a Compose file refers to, from one of the base folders of its path.
    fn follow(&mut self, kind: Reference, base: &Path, target: &str, open: &mut Vec<PathBuf>) -> Option<()> {
        let Some(target) = plain(target) else {
            self.look_where_filled_in(base, target);
            return None;
        };
        let target = base.join(target);
        match kind {
            Reference::EnvFile => self.env_file(&target).map(drop),
            Reference::Compose => {
                let beside = self.env_file(&target.parent()?.join(".env")).map(drop);
                open.push(target);
                beside
            }
        }
    }

    /// Inspects the file whose path has variables in it. Compose substitutes them by rules of its own, so undrift does not know
    /// which file it reads; but it finds a pipe, on which Compose would block, if the rules are simple.
    fn look_where_filled_in(&mut self, base: &Path, target: &str) {
        let filled = interpolation::filled_in(target, &self.variables);
        if let Some(path) = filled.as_deref().and_then(plain)
            && let Err(error) = files::is_readable(&base.join(path), LARGEST_TEXT)
        {
            self.note(&base.join(path), error);
        }
    }

    /// An env file; returns its assignments.
    fn env_file(&mut self, path: &Path) -> Option<BTreeMap<String, String>> {
        let text = self.read(path)?;
        let found = scan::env_file(&text)?;
        self.inputs.variables.extend(found.variables.named);
        self.inputs.words.extend(found.variables.words);
        Some(found.assigned)
    }

    /// A file's text; empty if there is no such file, which refers to nothing either.
    fn read(&mut self, path: &Path) -> Option<String> {
        self.inputs.files.insert(path.to_owned());
        if self.inputs.files.len() > MOST_FILES {
            return None;
        }
        match files::read_to_string(path, LARGEST_TEXT) {
            Ok(text) => Some(text),
            Err(error) if is_absent(&error) => Some(String::new()),
            Err(error) => {
                self.note(path, error);
                None
            }
        }
    }

    pub(super) fn programs(&mut self, env: &Environment) -> Option<()> {
        for folder in std::env::split_paths(env.get("PATH")?) {
            let program = folder.join("docker");
            let found = self.exists(&program) && files::metadata(&program).is_ok_and(|found| found.is_file());
            self.inputs.programs.insert(program);
            if found {
                break;
            }
        }
        let config = docker_config::folder(&|name| env.get(name).map(OsStr::to_owned));
        let mut folders: Vec<PathBuf> = PLUGIN_FOLDERS.iter().map(PathBuf::from).collect();
        if let Some(config) = config {
            folders.push(config.join("cli-plugins"));
            folders.extend(extra_plugin_folders(&config));
            // By its time: it holds credentials, and names more plugin folders.
            self.inputs.programs.insert(config.join(docker_config::SETTINGS));
        }
        self.inputs.programs.extend(folders.into_iter().map(|folder| folder.join("docker-compose")));
        Some(())
    }
}

/// Whether all of them are; it evaluates each one, whatever the ones before it returned.
fn every(first: Option<()>, rest: impl Iterator<Item = Option<()>>) -> Option<()> {
    rest.fold(first, Option::and)
}

/// The plugin folders that the docker CLI's configuration names. An unreadable one names none.
fn extra_plugin_folders(config: &Path) -> Vec<PathBuf> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Config {
        #[serde(default)]
        cli_plugins_extra_dirs: Vec<PathBuf>,
    }
    let text = docker_config::settings(config).ok().flatten().unwrap_or_default();
    let config: Option<Config> = docker_config::parsed(&text).unwrap_or_default();
    config.map(|config| config.cli_plugins_extra_dirs).unwrap_or_default()
}

/// A literal path: no variable, no URL, no home, not standard input.
fn plain(path: &str) -> Option<&str> {
    let odd = path.is_empty() || path == "-" || path.starts_with('~') || path.contains(['$', ':']);
    (!odd).then_some(path)
}

fn joined<'a>(base: &Path, paths: impl Iterator<Item = &'a str>) -> Option<Vec<PathBuf>> {
    paths.map(|path| plain(path).map(|path| base.join(path))).collect()
}

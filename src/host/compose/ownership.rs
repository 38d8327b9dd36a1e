//! The owner of containers: the declared Compose project, or one of the same name in another directory.
//!
//! Compose treats two directories of one name as one project (docker/compose#2120): an `up` in either replaces the containers
//! of the other. The only trace of the directory is two labels on each container; volumes and networks have none.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
};

use super::{inputs, scan};
use crate::{
    api::{Desired, Fact},
    files::{self, LARGEST_TEXT},
    host::{Cache, process::Environment},
    interference::Origin,
};

/// The cache's space: by the declared directory, the targets it has led to so far.
const SPACE: &str = "project-directory";

/// How many targets of one directory undrift remembers, the latest. No deployment is known that keeps more releases than that.
const MOST_PLACES: usize = 100;

/// By service, the directory of another project that created its containers.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ownership {
    by_service: BTreeMap<String, Fact<Option<String>>>,
    /// For a service without any container.
    of_absent: Option<Fact<Option<String>>>,
}

impl Ownership {
    /// The directory of the other project that has the service. For a service without containers (`wanted` are to be created),
    /// the one that has the whole project.
    #[must_use]
    pub fn of(&self, service: &str, wanted: u32) -> Fact<Option<String>> {
        let absent = if wanted > 0 { self.of_absent.as_ref() } else { None };
        self.by_service.get(service).or(absent).cloned().unwrap_or(Fact::Known(None))
    }

    fn judge(containers: impl IntoIterator<Item = (String, Maker)>) -> Self {
        let mut ownership = Self::default();
        let mut makers = Vec::new();
        for (service, maker) in containers {
            let known = ownership.by_service.entry(service).or_insert(Fact::Known(None));
            *known = first_elsewhere(known.clone(), maker.fact());
            makers.push(maker);
        }
        // A project with a single container of our own is no stranger's: the service never came up, or was removed.
        if !makers.is_empty() && makers.iter().all(|maker| !matches!(maker, Maker::NotElsewhere)) {
            ownership.of_absent = makers.iter().map(Maker::fact).reduce(first_elsewhere);
        }
        ownership
    }
}

/// Containers known to be another's come first, then unknown ones.
fn first_elsewhere(a: Fact<Option<String>>, b: Fact<Option<String>>) -> Fact<Option<String>> {
    match (&a, &b) {
        (Fact::Known(Some(_)), _) => a,
        (_, Fact::Known(Some(_))) => b,
        (Fact::Unknown(_), _) => a,
        _ => b,
    }
}

/// The creator of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Maker {
    /// The declared project, or one that no longer exists.
    NotElsewhere,
    /// The project in this directory.
    Elsewhere(String),
    /// Unknown: its label cannot be followed.
    Unknown(String),
}

impl Maker {
    fn fact(&self) -> Fact<Option<String>> {
        match self {
            Self::NotElsewhere => Fact::Known(None),
            Self::Elsewhere(directory) => Fact::Known(Some(directory.clone())),
            Self::Unknown(why) => Fact::unknown(why),
        }
    }
}

/// Determines the owner of a project's containers from their origins.
pub async fn ownership(desired: &Desired, cache: &dyn Cache, origins: &[Origin]) -> Ownership {
    let whose = desired.clone();
    let find = move || ProjectLocation::find(&whose, &Environment::of_this_process());
    // If the declared project is unknown, a label names its directory only if it matches letter by letter.
    let declared = files::looked(find).await.unwrap_or_else(|_| ProjectLocation::as_written(desired));
    let declared = declared.remembering(&desired.directory, cache);
    let mut judged = Vec::new();
    for origin in origins {
        let maker = if declared.is_plainly(origin) {
            Maker::NotElsewhere
        } else {
            followed(declared.clone(), origin.clone()).await
        };
        judged.push((origin.service.clone(), maker));
    }
    Ownership::judge(judged)
}

/// The directory may lie on a file system that is away, and is not ours.
async fn followed(declared: ProjectLocation, origin: Origin) -> Maker {
    let late = format!("the directory {} that it was made in does not answer", directory_of(&origin));
    files::looked(move || declared.maker(&origin)).await.unwrap_or(Maker::Unknown(late))
}

fn directory_of(origin: &Origin) -> &str {
    origin.working_dir.as_deref().unwrap_or_default()
}

/// The location of the declared project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct ProjectLocation {
    /// The directories as written.
    directories: BTreeSet<PathBuf>,
    /// The targets of these directories now and in the past.
    led_to: BTreeSet<PathBuf>,
    /// The Compose files, without included ones, links resolved.
    files: BTreeSet<PathBuf>,
}

impl ProjectLocation {
    /// The part that is known without file access.
    fn as_written(desired: &Desired) -> Self {
        Self { directories: BTreeSet::from([desired.directory.clone()]), ..Self::default() }
    }

    fn find(desired: &Desired, env: &Environment) -> Self {
        let files = main_files(desired, env);
        // Compose's project directory is that of its first file.
        let of_files = files.first().and_then(|file| file.parent()).map(Path::to_owned);
        let directories: BTreeSet<PathBuf> =
            [desired.directory.clone()].into_iter().chain(of_files).collect();
        let real = |paths: &mut dyn Iterator<Item = &PathBuf>| -> BTreeSet<PathBuf> {
            paths.filter_map(|path| files::canonicalize(path).ok()).collect()
        };
        Self { led_to: real(&mut directories.iter()), files: real(&mut files.iter()), directories }
    }

    /// Adds the past targets of the directory. A link that is switched from release to release is one project.
    fn remembering(mut self, directory: &Path, cache: &dyn Cache) -> Self {
        // A path that is not UTF-8 cannot be a label's either.
        let Some(key) = directory.to_str() else { return self };
        let known = cache.get(SPACE, key).and_then(|text| serde_json::from_str(&text).ok());
        let known: Vec<PathBuf> = known.unwrap_or_default();
        let new: Vec<PathBuf> = self.led_to.iter().filter(|path| !known.contains(path)).cloned().collect();
        if !new.is_empty() {
            let places: Vec<&PathBuf> = known.iter().chain(&new).collect();
            let kept = &places[places.len().saturating_sub(MOST_PLACES)..];
            if let Ok(text) = serde_json::to_string(kept) {
                cache.put(SPACE, key, &text);
            }
        }
        self.led_to.extend(known);
        self
    }

    /// Whether the label names the declared directory letter by letter, or no label names a directory on this host:
    /// `docker run` writes none, and Compose on another system writes `C:\shop`.
    fn is_plainly(&self, origin: &Origin) -> bool {
        let Some(directory) = &origin.working_dir else { return true };
        let directory = Path::new(directory);
        !directory.is_absolute() || self.directories.contains(directory) || self.led_to.contains(directory)
    }

    fn maker(&self, origin: &Origin) -> Maker {
        let directory = directory_of(origin);
        match files::canonicalize(Path::new(directory)) {
            Ok(real) if self.led_to.contains(&real) => return Maker::NotElsewhere,
            Ok(real) if files::is_dir(&real) => {}
            Ok(_) => return Maker::NotElsewhere,
            Err(error) if is_gone(&error) => return Maker::NotElsewhere,
            Err(error) => {
                return Maker::Unknown(format!("the directory {directory} that it was made in: {error}"));
            }
        }
        let config_files = origin.config_files.iter();
        let files: Vec<io::Result<PathBuf>> =
            config_files.map(|file| files::canonicalize(Path::new(file))).collect();
        // `--project-directory` moves the directory and leaves the files where they are.
        let are_ours = files.iter().flatten().any(|file| self.files.contains(file));
        // A project that moved into a new folder leaves its old one behind, without a Compose file.
        let are_gone = !files.is_empty() && files.iter().all(|file| file.as_ref().is_err_and(is_gone));
        if are_ours || are_gone { Maker::NotElsewhere } else { Maker::Elsewhere(directory.to_owned()) }
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename
    )
}

/// The Compose files of the declared project, as Compose finds them: those of the spec, else of `COMPOSE_FILE`, else of the
/// nearest parent folder that has one.
fn main_files(desired: &Desired, env: &Environment) -> Vec<PathBuf> {
    let (directory, spec) = (&desired.directory, &desired.object.spec.project);
    if !spec.files.is_empty() {
        return spec.files.iter().map(|file| directory.join(file)).collect();
    }
    let env_files = spec.env_files.iter().map(String::as_str).chain([".env"]);
    let assigned = || env_files.map(|file| directory.join(file)).find_map(|file| compose_file_of(&file));
    let own = env.get("COMPOSE_FILE").and_then(OsStr::to_str).map(str::to_owned);
    if let Some(list) = own.or_else(assigned).filter(|list| !list.is_empty()) {
        return list.split(':').map(|file| directory.join(file)).collect();
    }
    directory.ancestors().map(inputs::main_files_in).find(|files| !files.is_empty()).unwrap_or_default()
}

fn compose_file_of(env_file: &Path) -> Option<String> {
    scan::env_file(&files::read_to_string(env_file, LARGEST_TEXT).ok()?)?.assigned.remove("COMPOSE_FILE")
}

#[cfg(test)]
#[path = "ownership_tests.rs"]
mod tests;

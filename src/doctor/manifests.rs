//! The manifests of `-f`, and how many folders this user may watch.

use std::{collections::BTreeSet, ffi::OsString, fs, sync::Arc, time::Duration};

use super::{FILES_LIMIT, within};
use crate::{
    api::{Desired, Obstacle},
    files,
    host::{Host as _, HostError, LocalHost, NoCache},
    manifest::{self, ManifestError, ManifestSource},
    reconcile,
};

/// How long reading manifests may take. One that hangs takes 5 s, and each of the others beside it on the same file system
/// another one: this is enough for two such file systems, and each file is named.
const MANIFESTS_LIMIT: Duration = Duration::from_secs(30);

/// How long observing a project may take: routes that nothing exposes are probed, and have a limit of their own.
const OBSTACLES_LIMIT: Duration = Duration::from_secs(20);

/// How many errors to show, and how many files that hang.
const SHOWN: usize = 5;

const INOTIFY: &str = "/proc/sys/fs/inotify";

mod judge;

pub(super) use judge::judge;

/// The findings; empty if no `-f` was given.
#[derive(Debug)]
pub(super) struct ManifestFindings {
    /// As given.
    pub(super) files: Vec<OsString>,
    /// If they could not be read in time, the files that hang.
    pub(super) loaded: Result<ManifestLoad, Vec<String>>,
    /// The objects with a service that another one has, with the message for each; `None` if that is not known.
    pub(super) taken: Option<Vec<String>>,
    /// The faults of the objects' Compose projects, as every observation would report them, each with its help; `None` if
    /// that is not known.
    pub(super) refused: Option<ProjectFindings<(String, Option<String>)>>,
    /// The routes whose credentials cross the network in plain HTTP, each with its place; `None` if the manifests could not be
    /// read in time.
    pub(super) exposed: Option<Vec<String>>,
    /// What somebody else could change of the manifests and of the files of passwords; `None` if the manifests could not be
    /// read in time.
    pub(super) changeable: Option<BTreeSet<String>>,
    /// What keeps services from being repaired or verified, each with its place; `None` if that is not known.
    pub(super) obstacles: Option<ProjectFindings<(String, Obstacle)>>,
    pub(super) watches: Option<u64>,
    pub(super) instances: Option<u64>,
}

/// The findings of an observation of each project.
#[derive(Debug)]
pub(super) struct ProjectFindings<T> {
    pub(super) found: Vec<T>,
    /// The objects that could not be observed in time, each with that time.
    pub(super) late: Vec<String>,
}

impl<T> Default for ProjectFindings<T> {
    fn default() -> Self {
        Self { found: Vec::new(), late: Vec::new() }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum ManifestLoad {
    /// This many objects.
    Objects(usize),
    /// Nothing is wrong except that this folder holds no manifest.
    EmptyFolder(String),
    Errors {
        count: usize,
        /// The first ones, each with its place.
        first: Vec<String>,
    },
}

impl Default for ManifestFindings {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            loaded: Ok(ManifestLoad::Objects(0)),
            taken: None,
            refused: None,
            exposed: None,
            changeable: None,
            obstacles: None,
            watches: None,
            instances: None,
        }
    }
}

/// Loads the manifests as every verb does, and reads the limits.
pub(super) async fn read(files: &[OsString]) -> ManifestFindings {
    if files.is_empty() {
        return ManifestFindings::default();
    }
    let sources = ManifestSource::all(files);
    let (loaded, exposed, changeable, taken, refused, obstacles) =
        match within(MANIFESTS_LIMIT, move || load(&sources)).await {
            Some((loaded, objects)) => {
                let changeable = manifest::exposed(&objects);
                let (taken, refused, obstacles) =
                    tokio::join!(taken(&objects), refused(&objects), obstacles(&objects));
                (Ok(loaded), Some(exposed(&objects)), Some(changeable), taken, refused, obstacles)
            }
            None => (Err(hanging()), None, None, None, None, None),
        };
    let limit = |name: &str| fs::read_to_string(format!("{INOTIFY}/{name}")).ok()?.trim().parse().ok();
    ManifestFindings {
        files: files.to_vec(),
        loaded,
        exposed,
        changeable,
        taken,
        refused,
        obstacles,
        watches: limit("max_user_watches"),
        instances: limit("max_user_instances"),
    }
}

/// The files that undrift is blocked on right now.
fn hanging() -> Vec<String> {
    files::hanging().into_iter().take(SHOWN).map(|path| path.display().to_string()).collect()
}

/// The routes whose credentials others may read in transit.
fn exposed(objects: &[Desired]) -> Vec<String> {
    let mut found = Vec::new();
    for desired in objects {
        for service in desired.services() {
            let routes = service.routes.iter().filter(|route| route.exposes_credentials());
            found.extend(routes.map(|route| {
                format!("{}, service {}: route {}", desired.name(), service.name, route.display_name())
            }));
        }
    }
    found
}

/// Has Compose resolve the projects' names, if that matters.
async fn taken(objects: &[Desired]) -> Option<Vec<String>> {
    if !objects.iter().any(|one| objects.iter().any(|other| reconcile::share_a_service(one, other))) {
        return Some(Vec::new());
    }
    let host = LocalHost::connect(Arc::new(NoCache), None).ok()?;
    let taken = tokio::time::timeout(FILES_LIMIT, reconcile::taken(&host, objects)).await.ok()?;
    Some(taken.into_values().map(|error| error.to_string()).collect())
}

/// The refusals of Compose and of undrift: two builds of one reference, services that do not exist.
async fn refused(objects: &[Desired]) -> Option<ProjectFindings<(String, Option<String>)>> {
    let host = &LocalHost::connect(Arc::new(NoCache), None).ok()?;
    let (answers, late) = each(objects, FILES_LIMIT, async |desired| host.project(desired).await).await;
    let mut found = Vec::new();
    for (desired, answer) in answers {
        match answer {
            Ok(_) => {}
            Err(error @ HostError::FileHangs(_)) => {
                let next = "mount anew what it is on, or bring the server that it is mounted from back";
                found.push((format!("{}: {error}", desired.name()), Some(next.to_owned())));
            }
            // Checks of their own report a missing Compose or engine.
            Err(error) if error.is_transient() || matches!(error, HostError::ComposeMissing(_)) => {
                return None;
            }
            Err(error) => found.push((format!("{}: {error}", desired.name()), error.next())),
        }
    }
    Some(ProjectFindings { found, late })
}

/// Queries each project, all at once; reports those that did not answer in time.
async fn each<'a, T>(
    objects: &'a [Desired],
    limit: Duration,
    ask: impl AsyncFn(&'a Desired) -> T,
) -> (Vec<(&'a Desired, T)>, Vec<String>) {
    let all = objects.iter().map(|desired| tokio::time::timeout(limit, ask(desired)));
    let all = futures_util::future::join_all(all).await;
    let (mut answers, mut late) = (Vec::new(), Vec::new());
    for (desired, answer) in objects.iter().zip(all) {
        match answer {
            Ok(answer) => answers.push((desired, answer)),
            Err(_) => late.push(format!("{}: not looked at within {} s", desired.name(), limit.as_secs())),
        }
    }
    (answers, late)
}

/// The obstacles that an observation would find to a repair or its verification. Nothing is known of a refused project.
async fn obstacles(objects: &[Desired]) -> Option<ProjectFindings<(String, Obstacle)>> {
    let host = &LocalHost::connect(Arc::new(NoCache), None).ok()?;
    let (answers, late) = each(objects, OBSTACLES_LIMIT, async |desired| host.foresee(desired).await).await;
    let mut found = Vec::new();
    for (desired, answer) in answers {
        match answer {
            Ok(obstacles) => found.extend(
                obstacles
                    .into_iter()
                    .map(|(service, obstacle)| (format!("{}, service {service}", desired.name()), obstacle)),
            ),
            Err(error) if error.is_transient() && !matches!(error, HostError::FileHangs(_)) => return None,
            Err(_) => {}
        }
    }
    Some(ProjectFindings { found, late })
}

/// A fault of one does not affect the others, which are examined.
fn load(sources: &[ManifestSource]) -> (ManifestLoad, Vec<Desired>) {
    let (objects, errors) = manifest::load_partly(sources);
    if errors.is_empty() {
        return (ManifestLoad::Objects(objects.len()), objects);
    }
    (faulty(&errors), objects)
}

fn faulty(errors: &[ManifestError]) -> ManifestLoad {
    if errors.iter().all(|error| error.message == manifest::NO_MANIFESTS) {
        let folders: Vec<&str> = errors.iter().map(|error| error.file.as_str()).collect();
        return ManifestLoad::EmptyFolder(folders.join(", "));
    }
    let in_words = |error: &ManifestError| match error.line {
        0 => format!("{}: {}", error.file, error.message),
        line => format!("{}:{line}:{}: {}", error.file, error.column, error.message),
    };
    ManifestLoad::Errors { count: errors.len(), first: errors.iter().take(SHOWN).map(in_words).collect() }
}

//! The manifests of `-f`, and how many folders this user may watch.

use std::{collections::BTreeSet, ffi::OsString, fs, sync::Arc, time::Duration};

use super::{Check, FILES_LIMIT, within};
use crate::{
    api::{Desired, NoteReason, Obstacle},
    cli::context,
    files,
    host::{Host as _, HostError, LocalHost, NoCache},
    manifest::{self, ManifestError},
    reconcile,
};

/// The kernel's former default; a lower limit was chosen, or is that of a very small machine.
const FEW_WATCHES: u64 = 8192;

/// The kernel's default is 128, which all programs of a user share.
const FEW_INSTANCES: u64 = 64;

/// How long reading manifests may take. One that hangs takes 5 s, and each of the others beside it on the same file system
/// another one: this is enough for two such file systems, and each file is named.
const MANIFESTS_LIMIT: Duration = Duration::from_secs(30);

/// How long observing a project may take: routes that nothing exposes are probed, and have a limit of their own.
const OBSTACLES_LIMIT: Duration = Duration::from_secs(20);

/// How many errors to show, and how many files that hang.
const SHOWN: usize = 5;

/// For users without a manifest: `validate` would only repeat this.
const HOW_TO_WRITE: &str = "undrift schema prints its fields for an editor, docs/manifest.md explains them";

const INOTIFY: &str = "/proc/sys/fs/inotify";

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

impl<T> ProjectFindings<T> {
    /// Not all projects were observed.
    fn unknown(&self, name: &'static str) -> Option<Check> {
        (!self.late.is_empty()).then(|| Check::unknown(name, self.late.join("; ")))
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
    let sources = context::sources(files);
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
fn load(sources: &[manifest::ManifestSource]) -> (ManifestLoad, Vec<Desired>) {
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

/// Judges them. Without `-f` there is nothing to report.
pub(super) fn judge(manifests: &ManifestFindings) -> Vec<Check> {
    if manifests.files.is_empty() {
        return Vec::new();
    }
    let mut checks = vec![valid(manifests), accepted(manifests), declared_once(manifests)];
    checks.extend([protected(manifests), unchangeable(manifests)]);
    checks.extend(unobstructed(manifests));
    checks.push(watches(manifests));
    checks
}

/// The check for each kind of obstacle, and whether undrift works in spite of it.
const OBSTACLES: [(&str, &[NoteReason], &str); 4] = [
    (
        "CredentialsReadable",
        &[NoteReason::CredentialsUnreadable],
        "every password and token can be read here",
    ),
    (
        "RoutesReachable",
        &[NoteReason::NotReachable, NoteReason::PortNotExposed],
        "every route by port can be asked",
    ),
    ("BuildsPossible", &[NoteReason::BuildFilesMissing], "every build context and Dockerfile is there"),
    ("PortsFree", &[NoteReason::PortTaken], "nobody else has a port that a service is to publish"),
];

fn unobstructed(manifests: &ManifestFindings) -> impl Iterator<Item = Check> {
    OBSTACLES.into_iter().map(|(name, kinds, fine)| {
        let Some(all) = &manifests.obstacles else {
            return Check::unknown(name, "the projects could not be looked at in time");
        };
        let found = all.found.iter().filter(|(_, obstacle)| kinds.contains(&obstacle.reason));
        let found: Vec<_> = found.collect();
        if found.is_empty() {
            return all.unknown(name).unwrap_or_else(|| Check::ok(name, fine));
        }
        let mut helps: Vec<&str> = found.iter().map(|(_, obstacle)| obstacle.next.as_str()).collect();
        helps.dedup();
        let what = found.iter().map(|(place, obstacle)| format!("{place}: {}", obstacle.message));
        let what = what.collect::<Vec<_>>().join("; ");
        // A server may listen at a port that nothing exposes, once it runs; and the owner of a port may go away.
        let may_pass = found.iter().all(|(_, obstacle)| {
            matches!(obstacle.reason, NoteReason::PortNotExposed | NoteReason::PortTaken)
        });
        let check = if may_pass { Check::warning } else { Check::failed };
        check(name, what, helps.join("; "))
    })
}

fn protected(manifests: &ManifestFindings) -> Check {
    let name = "CredentialsProtected";
    match manifests.exposed.as_deref() {
        None => Check::unknown(name, "the manifests could not be read in time"),
        Some([]) => Check::ok(name, "no credentials cross the network in plain HTTP"),
        Some(exposed) => Check::warning(
            name,
            format!("credentials cross the network in plain HTTP: {}", exposed.join("; ")),
            "use https in `url`, or declare `auth.allowPlainHttp: true` where that network is trusted",
        ),
    }
}

fn unchangeable(manifests: &ManifestFindings) -> Check {
    let name = "ManifestsProtected";
    let Some(changeable) = &manifests.changeable else {
        return Check::unknown(name, "the manifests could not be read in time");
    };
    if changeable.is_empty() {
        return Check::ok(name, "only their owners, and perhaps a group, can change manifests and passwords");
    }
    let what: Vec<&str> = changeable.iter().map(String::as_str).collect();
    Check::warning(
        name,
        format!("somebody else could change what is declared: {}", what.join("; ")),
        "chmod o-w, or chown, what is named: who writes a manifest has the engine run what they want",
    )
}

fn accepted(manifests: &ManifestFindings) -> Check {
    let name = "ComposeProjectsAccepted";
    let Some(looked) = &manifests.refused else {
        return Check::unknown(name, "the Compose projects could not be read");
    };
    match &looked.found[..] {
        [] => {
            looked.unknown(name).unwrap_or_else(|| Check::ok(name, "Compose and undrift take every project"))
        }
        refused => {
            let what: Vec<&str> = refused.iter().map(|(what, _)| what.as_str()).collect();
            let helps: Vec<&str> = refused.iter().filter_map(|(_, next)| next.as_deref()).collect();
            let until = "until then nothing is known of these objects, and no step is taken";
            Check::failed(name, what.join("; "), format!("{}; {until}", helps.join("; ")))
        }
    }
}

fn declared_once(manifests: &ManifestFindings) -> Check {
    let name = "ServicesDeclaredOnce";
    match manifests.taken.as_deref() {
        None => Check::unknown(name, "the names of the Compose projects could not be read in time"),
        Some([]) => Check::ok(name, "no two objects declare one service"),
        Some(taken) => Check::failed(
            name,
            taken.join("; "),
            "declare all of a service in one object: until then the one that is declared first goes on",
        ),
    }
}

fn valid(manifests: &ManifestFindings) -> Check {
    let name = "ManifestsValid";
    let named = manifests.files.iter().map(|file| format!(" -f {}", quoted(&file.to_string_lossy())));
    let validate = format!("undrift validate{}", named.collect::<String>());
    match &manifests.loaded {
        Err(hanging) => Check::unknown(name, late(hanging)).with_help(validate),
        Ok(ManifestLoad::Objects(0)) => Check::failed(
            name,
            "there is no object in what -f names",
            format!("write a manifest: {HOW_TO_WRITE}"),
        ),
        Ok(ManifestLoad::EmptyFolder(folder)) => Check::failed(
            name,
            format!("{folder}: {}", manifest::NO_MANIFESTS),
            format!("write one into it: {HOW_TO_WRITE}"),
        ),
        Ok(ManifestLoad::Objects(count)) => Check::ok(name, manifest::count(*count, "object")),
        Ok(ManifestLoad::Errors { count, first }) => Check::failed(name, errors(*count, first), validate),
    }
}

fn errors(count: usize, first: &[String]) -> String {
    let shown = first.join("; ");
    match count.checked_sub(first.len()) {
        _ if count == 1 => shown,
        None | Some(0) => format!("{}: {shown}", manifest::count(count, "error")),
        Some(more) => format!("{}: {shown}; and {more} more", manifest::count(count, "error")),
    }
}

/// The manifests could not be read in time, with the files that hang.
fn late(hanging: &[String]) -> String {
    let seconds = MANIFESTS_LIMIT.as_secs();
    match hanging {
        [] => format!("they could not be read within {seconds} s"),
        files => format!("they could not be read within {seconds} s; these files hang: {}", files.join(", ")),
    }
}

fn watches(manifests: &ManifestFindings) -> Check {
    let name = "WatchLimit";
    let (Some(watches), Some(instances)) = (manifests.watches, manifests.instances) else {
        return Check::unknown(name, format!("{INOTIFY} cannot be read"));
    };
    let found = format!("{watches} files or folders, by {instances} watchers");
    let raise = |limit: &str, to: u64| format!("sudo sysctl fs.inotify.{limit}={to}");
    let helps: Vec<String> = [
        (watches < FEW_WATCHES).then(|| raise("max_user_watches", 65_536)),
        (instances < FEW_INSTANCES).then(|| raise("max_user_instances", 128)),
    ]
    .into_iter()
    .flatten()
    .collect();
    if helps.is_empty() {
        return Check::ok(name, found);
    }
    let help = format!("{} (to stay: the same in a file of /etc/sysctl.d)", helps.join(" && "));
    Check::warning(name, format!("a user may watch very few: {found}"), help)
}

/// The word quoted for a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
#[path = "manifests_tests.rs"]
mod tests;

//! The manifests of `-f`, and how many folders this user may watch.

use std::{collections::BTreeSet, ffi::OsString, fs, sync::Arc, time::Duration};

use super::{Check, FILES_LIMIT, in_time};
use crate::{
    api::{Desired, NoteReason, Obstacle},
    cli::context,
    host::{Host as _, HostError, LocalHost, NoCache},
    manifest, reconcile,
};

/// The kernel's own default of old; a limit below it was chosen, or is that of a very small machine.
const FEW_WATCHES: u64 = 8192;

/// The kernel's default is 128, which all programs of a user share.
const FEW_INSTANCES: u64 = 64;

/// The longest that projects are looked at: routes that nothing exposes are asked, and have a limit of their own.
const OBSTACLES_LIMIT: Duration = Duration::from_secs(20);

/// For who has no manifest yet: `validate` could only say so again.
const HOW_TO_WRITE: &str = "undrift schema prints its fields for an editor, docs/manifest.md explains them";

const INOTIFY: &str = "/proc/sys/fs/inotify";

/// What was found; nothing of it where no `-f` was given.
#[derive(Debug, Default)]
pub(super) struct Manifests {
    /// As they were named.
    pub(super) files: Vec<OsString>,
    /// `None` where they could not be read in time.
    pub(super) loaded: Option<Loaded>,
    /// The objects with a service that another one has, with what is said of each; `None` where that is not known.
    pub(super) taken: Option<Vec<String>>,
    /// What is wrong with the Compose projects of the objects, as every look would say it, each with what to do about it;
    /// `None` where that is not known.
    pub(super) refused: Option<Vec<(String, Option<String>)>>,
    /// The routes whose credentials cross the network in plain HTTP, each with its place; `None` where the manifests could not be
    /// read in time.
    pub(super) exposed: Option<Vec<String>>,
    /// What somebody else could change of the manifests and of the files of passwords; `None` where the manifests could not be
    /// read in time.
    pub(super) changeable: Option<BTreeSet<String>>,
    /// What keeps services from being repaired or verified, each with its place; `None` where that is not known.
    pub(super) obstacles: Option<Vec<(String, Obstacle)>>,
    pub(super) watches: Option<u64>,
    pub(super) instances: Option<u64>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Loaded {
    /// So many objects.
    Objects(usize),
    /// Nothing is wrong but that this folder holds no manifest.
    EmptyFolder(String),
    Errors {
        count: usize,
        /// The first error: where it is, and what.
        first: String,
    },
}

/// Loads the manifests as every verb does, and reads the limits.
pub(super) async fn read(files: &[OsString]) -> Manifests {
    if files.is_empty() {
        return Manifests::default();
    }
    let sources = context::sources(files);
    let (loaded, exposed, changeable, taken, refused, obstacles) = match in_time(move || load(&sources)).await
    {
        Some((loaded, objects)) => {
            let changeable = manifest::exposed(&objects);
            let (taken, refused, obstacles) =
                tokio::join!(taken(&objects), refused(&objects), obstacles(&objects));
            (Some(loaded), Some(exposed(&objects)), Some(changeable), taken, refused, obstacles)
        }
        None => (None, None, None, None, None, None),
    };
    let limit = |name: &str| fs::read_to_string(format!("{INOTIFY}/{name}")).ok()?.trim().parse().ok();
    Manifests {
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

/// The routes whose credentials others may read on their way.
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

/// Compose is asked for the projects' names, where that matters.
async fn taken(objects: &[Desired]) -> Option<Vec<String>> {
    if !objects.iter().any(|one| objects.iter().any(|other| reconcile::share_a_service(one, other))) {
        return Some(Vec::new());
    }
    let host = LocalHost::connect(Arc::new(NoCache), None).ok()?;
    let taken = tokio::time::timeout(FILES_LIMIT, reconcile::taken(&host, objects)).await.ok()?;
    Some(taken.into_values().map(|error| error.to_string()).collect())
}

/// What Compose refuses, and what undrift does: two builds of one reference, services that are not there.
async fn refused(objects: &[Desired]) -> Option<Vec<(String, Option<String>)>> {
    let host = &LocalHost::connect(Arc::new(NoCache), None).ok()?;
    let each = objects.iter().map(async |desired| (desired, host.project(desired).await));
    let all = tokio::time::timeout(FILES_LIMIT, futures_util::future::join_all(each)).await.ok()?;
    let mut refused = Vec::new();
    for (desired, answer) in all {
        match answer {
            Ok(_) => {}
            // That there is no Compose, or no engine, is told by checks of their own.
            Err(error) if error.is_transient() || matches!(error, HostError::ComposeMissing(_)) => {
                return None;
            }
            Err(error) => refused.push((format!("{}: {error}", desired.name()), error.next())),
        }
    }
    Some(refused)
}

/// What a look would find in the way of a repair or of its verification. Of a project that is refused nothing is known.
async fn obstacles(objects: &[Desired]) -> Option<Vec<(String, Obstacle)>> {
    let host = &LocalHost::connect(Arc::new(NoCache), None).ok()?;
    let each = objects.iter().map(async |desired| (desired, host.foresee(desired).await));
    let all = tokio::time::timeout(OBSTACLES_LIMIT, futures_util::future::join_all(each)).await.ok()?;
    let mut found = Vec::new();
    for (desired, answer) in all {
        match answer {
            Ok(obstacles) => found.extend(
                obstacles
                    .into_iter()
                    .map(|(service, obstacle)| (format!("{}, service {service}", desired.name()), obstacle)),
            ),
            Err(error) if error.is_transient() => return None,
            Err(_) => {}
        }
    }
    Some(found)
}

fn load(sources: &[manifest::Source]) -> (Loaded, Vec<Desired>) {
    let errors = match manifest::load(sources) {
        Ok(objects) => return (Loaded::Objects(objects.len()), objects),
        Err(errors) => errors,
    };
    (faulty(&errors), Vec::new())
}

fn faulty(errors: &manifest::ManifestErrors) -> Loaded {
    match errors {
        errors if errors.iter().all(|error| error.message == manifest::NO_MANIFESTS) => {
            let folders: Vec<&str> = errors.iter().map(|error| error.file.as_str()).collect();
            Loaded::EmptyFolder(folders.join(", "))
        }
        errors => {
            let first = errors.iter().next().map(|error| match error.line {
                0 => format!("{}: {}", error.file, error.message),
                line => format!("{}:{line}:{}: {}", error.file, error.column, error.message),
            });
            Loaded::Errors { count: errors.iter().count(), first: first.unwrap_or_default() }
        }
    }
}

/// Judges them. Without `-f` there is nothing to say.
pub(super) fn judge(manifests: &Manifests) -> Vec<Check> {
    if manifests.files.is_empty() {
        return Vec::new();
    }
    let mut checks = vec![valid(manifests), accepted(manifests), declared_once(manifests)];
    checks.extend([protected(manifests), unchangeable(manifests)]);
    checks.extend(unobstructed(manifests));
    checks.push(watches(manifests));
    checks
}

/// What each kind of obstacle is examined as, and whether undrift works in spite of it.
const OBSTACLES: [(&str, &[NoteReason], &str); 3] = [
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
];

fn unobstructed(manifests: &Manifests) -> impl Iterator<Item = Check> {
    OBSTACLES.into_iter().map(|(name, kinds, fine)| {
        let Some(all) = &manifests.obstacles else {
            return Check::unknown(name, "the projects could not be looked at in time");
        };
        let found: Vec<_> = all.iter().filter(|(_, obstacle)| kinds.contains(&obstacle.reason)).collect();
        if found.is_empty() {
            return Check::ok(name, fine);
        }
        let mut mends: Vec<&str> = found.iter().map(|(_, obstacle)| obstacle.next.as_str()).collect();
        mends.dedup();
        let what = found.iter().map(|(place, obstacle)| format!("{place}: {}", obstacle.message));
        let what = what.collect::<Vec<_>>().join("; ");
        // A server may listen at a port that nothing exposes, once it runs.
        let may_pass = found.iter().all(|(_, obstacle)| obstacle.reason == NoteReason::PortNotExposed);
        let check = if may_pass { Check::warning } else { Check::failed };
        check(name, what, mends.join("; "))
    })
}

fn protected(manifests: &Manifests) -> Check {
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

fn unchangeable(manifests: &Manifests) -> Check {
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

fn accepted(manifests: &Manifests) -> Check {
    let name = "ComposeProjectsAccepted";
    match manifests.refused.as_deref() {
        None => Check::unknown(name, "the Compose projects could not be read in time"),
        Some([]) => Check::ok(name, "Compose and undrift take every project"),
        Some(refused) => {
            let what: Vec<&str> = refused.iter().map(|(what, _)| what.as_str()).collect();
            let mends: Vec<&str> = refused.iter().filter_map(|(_, next)| next.as_deref()).collect();
            let until = "until then nothing is known of these objects, and no step is taken";
            Check::failed(name, what.join("; "), format!("{}; {until}", mends.join("; ")))
        }
    }
}

fn declared_once(manifests: &Manifests) -> Check {
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

fn valid(manifests: &Manifests) -> Check {
    let name = "ManifestsValid";
    let named = manifests.files.iter().map(|file| format!(" -f {}", quoted(&file.to_string_lossy())));
    let validate = format!("undrift validate{}", named.collect::<String>());
    match &manifests.loaded {
        None => Check::unknown(name, "they could not be read in time").with_mend(validate),
        Some(Loaded::Objects(0)) => Check::failed(
            name,
            "there is no object in what -f names",
            format!("write a manifest: {HOW_TO_WRITE}"),
        ),
        Some(Loaded::EmptyFolder(folder)) => Check::failed(
            name,
            format!("{folder}: {}", manifest::NO_MANIFESTS),
            format!("write one into it: {HOW_TO_WRITE}"),
        ),
        Some(Loaded::Objects(count)) => Check::ok(name, manifest::count(*count, "object")),
        Some(Loaded::Errors { count: 1, first }) => Check::failed(name, first.clone(), validate),
        Some(Loaded::Errors { count, first }) => {
            Check::failed(name, format!("{}; the first: {first}", manifest::count(*count, "error")), validate)
        }
    }
}

fn watches(manifests: &Manifests) -> Check {
    let name = "WatchLimit";
    let (Some(watches), Some(instances)) = (manifests.watches, manifests.instances) else {
        return Check::unknown(name, format!("{INOTIFY} cannot be read"));
    };
    let found = format!("{watches} files or folders, by {instances} watchers");
    let raise = |limit: &str, to: u64| format!("sudo sysctl fs.inotify.{limit}={to}");
    let mends: Vec<String> = [
        (watches < FEW_WATCHES).then(|| raise("max_user_watches", 65_536)),
        (instances < FEW_INSTANCES).then(|| raise("max_user_instances", 128)),
    ]
    .into_iter()
    .flatten()
    .collect();
    if mends.is_empty() {
        return Check::ok(name, found);
    }
    let mend = format!("{} (to stay: the same in a file of /etc/sysctl.d)", mends.join(" && "));
    Check::warning(name, format!("a user may watch very few: {found}"), mend)
}

/// The word as a shell takes it.
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

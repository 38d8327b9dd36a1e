//! The conclusions from the findings on the manifests.

use super::{INOTIFY, MANIFESTS_LIMIT, ManifestFindings, ManifestLoad, ProjectFindings};
use crate::{api::NoteReason, doctor::Check, manifest};

/// The kernel's former default; a lower limit was chosen, or is that of a very small machine.
const FEW_WATCHES: u64 = 8192;

/// The kernel's default is 128, which all programs of a user share.
const FEW_INSTANCES: u64 = 64;

/// For users without a manifest: `validate` would only repeat this.
const HOW_TO_WRITE: &str = "undrift schema prints its fields for an editor, docs/manifest.md explains them";

/// Judges them. Without `-f` there is nothing to report.
pub(in crate::doctor) fn judge(manifests: &ManifestFindings) -> Vec<Check> {
    if manifests.files.is_empty() {
        return Vec::new();
    }
    let mut checks = vec![valid(manifests), accepted(manifests), declared_once(manifests)];
    checks.extend([protected(manifests), unchangeable(manifests)]);
    checks.extend(unobstructed(manifests));
    checks.push(watches(manifests));
    checks
}

impl<T> ProjectFindings<T> {
    /// Not all projects were observed.
    fn unknown(&self, name: &'static str) -> Option<Check> {
        (!self.late.is_empty()).then(|| Check::unknown(name, self.late.join("; ")))
    }
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
#[path = "judge_tests.rs"]
mod tests;

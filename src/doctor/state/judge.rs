//! The conclusions from the findings on the state folder.

use std::{io, path::Path};

use super::{Content, FILES_LIMIT, Keeping, StateFindings, StateFolder};
use crate::{
    doctor::Check,
    store::{LockState, StoreError, Verification},
    times::moment,
};

/// Below this the trail has no space for a bad day.
const LITTLE: u64 = 100 * 1_000_000;

/// The help if the folder belongs to another user.
const AS_OWNER: &str = "ask as the user who owns it: sudo undrift doctor, or sudo -u NAME undrift doctor";

/// Judges it.
pub(in crate::doctor) fn judge(state: &StateFindings) -> Vec<Check> {
    let dir = match &state.dir {
        Ok(dir) => dir.display().to_string(),
        Err(why) => {
            return vec![Check::failed(
                "StateWritable",
                why.clone(),
                "export UNDRIFT_STATE_DIR=/var/lib/undrift",
            )];
        }
    };
    let folder = state.folder.as_ref();
    let late = format!("{dir} did not answer within {} s", FILES_LIMIT.as_secs());
    let mut checks = match folder {
        None => vec![Check::failed(
            "StateWritable",
            late.clone(),
            format!("see what it is on: findmnt --target {dir}"),
        )],
        Some(folder) => vec![
            writable(&dir, folder),
            private(&dir, folder),
            file_system(&dir, folder),
            space(folder),
            lock(folder),
        ],
    };
    checks.extend(match &state.content {
        None => vec![
            Check::unknown(
                "TrailWhole",
                format!("to prove it takes longer than {} s", FILES_LIMIT.as_secs()),
            )
            .with_help("undrift audit verify"),
        ],
        Some(content) => vec![schema(&dir, content), trail(content)],
    });
    checks
}

fn writable(dir: &str, folder: &StateFolder) -> Check {
    let name = "StateWritable";
    match &folder.unwritable {
        // Taking it over would end the other user's work there.
        Some(why) if folder.is_anothers => {
            Check::failed(name, why.clone(), format!("{AS_OWNER}, or choose another: --state-dir DIR"))
        }
        Some(why) => Check::failed(
            name,
            why.clone(),
            format!("sudo install -d -m 700 -o \"$USER\" {dir}, or choose another: --state-dir DIR"),
        ),
        None if folder.exists => Check::ok(name, dir),
        None => Check::ok(name, format!("{dir} does not exist yet; the first apply will make it")),
    }
}

fn private(dir: &str, folder: &StateFolder) -> Check {
    let name = "StatePrivate";
    let is_written = folder.open.iter().any(|(_, mode)| mode & 0o022 != 0);
    if let Some(exposed) = folder.exposed.as_ref().filter(|_| !is_written) {
        let help = "chown or chmod what is named (setfacl -b takes a list away) so that it is yours or root's alone; rm what is a link; or choose another: \
                    --state-dir DIR";
        return Check::failed(name, exposed.clone(), help);
    }
    let Some((path, mode)) = folder.open.first() else {
        return Check::ok(
            name,
            if folder.exists { "for its owner only" } else { "it will be for its owner only" },
        );
    };
    let help = format!("chmod 700 {dir} && chmod 600 {dir}/state.db* {dir}/*lock");
    let (path, others) = (path.display(), folder.open.len() - 1);
    let others = if others > 0 { format!(", and {others} more") } else { String::new() };
    // It contains the output of builds; anyone who can write it can forge the trail.
    if is_written {
        return Check::failed(name, format!("others can write it: {path} has mode {mode:03o}{others}"), help);
    }
    Check::warning(name, format!("others can read it: {path} has mode {mode:03o}{others}"), help)
}

fn file_system(dir: &str, folder: &StateFolder) -> Check {
    let name = "StateFileSystem";
    let Some((kind, keeping)) = &folder.mount else {
        return Check::unknown(name, format!("the mounts do not show what {} is on", folder.tried.display()));
    };
    let local = "keep the state on a disk of this host: --state-dir DIR";
    match keeping {
        Keeping::Safe => Check::ok(name, kind.clone()),
        Keeping::LosesLocks => Check::failed(
            name,
            format!(
                "{dir} is on {kind}, which may lose locks: two undrifts could act at once, and SQLite break"
            ),
            local,
        ),
        Keeping::EndsAtReboot => {
            Check::warning(name, format!("{dir} is on {kind}: the trail does not survive a reboot"), local)
        }
        Keeping::EndsWithContainer => Check::warning(
            name,
            format!("{dir} is on {kind}: in a container the trail ends with it"),
            format!("mount a volume there: docker run --volume undrift:{dir} …"),
        ),
        Keeping::NotKnown => {
            Check::unknown(name, format!("whether {kind} keeps locks is not known here")).with_help(local)
        }
    }
}

fn space(folder: &StateFolder) -> Check {
    let name = "StateSpace";
    let Some(free) = folder.free else { return Check::unknown(name, "the file system does not report it") };
    let found = format!("{} MB free", free / 1_000_000);
    if free < LITTLE {
        let help = format!("df -h {}; old images take most: docker image prune", folder.tried.display());
        return Check::warning(name, format!("only {found}; without room no step is taken"), help);
    }
    Check::ok(name, found)
}

/// For information: a running undrift is no fault, unless it runs elsewhere.
fn lock(folder: &StateFolder) -> Check {
    let name = "StateLock";
    if let Some(displaced) = &folder.displaced {
        let help = "put back what was moved or replaced, or restart undrift: sudo systemctl restart undrift";
        return Check::failed(name, format!("{displaced}; no step is taken"), help);
    }
    match &folder.lock {
        LockState::Free => Check::ok(name, "nobody holds it"),
        LockState::Held(Some(holder)) => Check::ok(name, format!("held by {holder}")),
        LockState::Held(None) => Check::ok(name, "held by another undrift"),
        LockState::NotKnown(why) => Check::unknown(name, why.clone()),
    }
}

fn schema(dir: &str, content: &Content) -> Check {
    let name = "StateSchema";
    match content {
        Content::Nothing | Content::Lost(_) => Check::ok(name, "nothing is recorded yet"),
        Content::Read { .. } => Check::ok(name, "as this undrift writes it"),
        Content::Unreadable(StoreError::OlderSchema { found, known }) => {
            Check::ok(name, format!("version {found}; the next apply brings it to {known}"))
        }
        Content::Unreadable(StoreError::NewerSchema { found, known }) => Check::failed(
            name,
            format!(
                "the state in {dir} has schema version {found}, and this undrift supports {known} at most"
            ),
            "install the undrift that wrote it, or a newer one; undrift --version prints which this is",
        ),
        Content::Unreadable(error @ StoreError::Folder { source, .. })
            if source.kind() == io::ErrorKind::PermissionDenied =>
        {
            Check::unknown(name, error.to_string()).with_help(AS_OWNER)
        }
        Content::Unreadable(error) => Check::failed(
            name,
            error.in_full(Path::new(dir)),
            "move the folder away and keep it for a post-mortem; undrift begins a new one",
        ),
    }
}

fn trail(content: &Content) -> Check {
    let name = "TrailWhole";
    match content {
        Content::Nothing => Check::ok(name, "nothing is recorded yet"),
        Content::Lost(lost) => Check::failed(
            name,
            lost.to_string(),
            "stop undrift and put the backup there; to begin anew on purpose, move the whole folder aside",
        ),
        Content::Unreadable(_) => Check::unknown(name, "it cannot be read"),
        Content::Read {
            begun_anew: Ok(Some(at)),
            verification: Ok(Verification::Whole { records, .. }),
            ..
        } => {
            let records = crate::manifest::count(usize::try_from(*records).unwrap_or(usize::MAX), "record");
            Check::warning(
                name,
                format!("{records} since {}, where an earlier trail was missing", moment(*at)),
                "find out what became of it: undrift audit list; a folder that is moved aside begins without this",
            )
        }
        Content::Read { verification: Ok(Verification::Whole { records, .. }), .. } => {
            Check::ok(name, crate::manifest::count(usize::try_from(*records).unwrap_or(usize::MAX), "record"))
        }
        Content::Read { verification: Ok(Verification::Broken { seq, what }), .. } => {
            Check::failed(name, format!("record {seq} {what}"), "undrift audit verify")
        }
        Content::Read { verification: Ok(Verification::Differs { what, .. }), .. } => Check::failed(
            name,
            what.join("; "),
            "undrift audit verify; docs/running.md describes what to do then",
        ),
        Content::Read { verification: Err(error), .. } => {
            Check::failed(name, error.to_string(), "undrift audit verify")
        }
    }
}

//! Remarks on a service that are no drift.

use super::obstacles;
use crate::api::{
    ContainerObservation, Expansion, GitLock, LONGEST_NAME, Note, NoteReason, Obstacle, ServiceObservation,
    Time, VolumeObservation,
};

/// The notes on one service.
pub(super) fn notes(now: Time, seen: &ServiceObservation) -> Vec<Note> {
    let obstacles = obstacles::certain(now, seen).map(obstacle);
    let volumes = seen.volumes.iter().filter(|volume| !volume.differences.is_empty());
    let upgraded = seen.containers.known().into_iter().flatten().find(|container| container.only_upgraded);
    let lock = seen.source.git_lock.iter().filter(|lock| lock.waited_for_until(now).is_none());
    let ignored = seen.source.expansions.iter().filter_map(entry_ignored);
    obstacles
        .chain(volumes.map(volume_changed))
        .chain(upgraded.map(compose_upgraded))
        .chain(ignored)
        .chain(lock.map(git_lock_stale))
        .collect()
}

/// Names that a path, a status or a log must not hold are not expanded, and their module or route is not looked for.
fn entry_ignored(expansion: &Expansion) -> Option<Note> {
    let names: Vec<String> = expansion.ignored.iter().map(|name| format!("`{name}`")).collect();
    (!names.is_empty()).then(|| Note {
        reason: NoteReason::EntryIgnored,
        message: format!(
            "`each: {}` does not expand {}: a name has at most {LONGEST_NAME} bytes of UTF-8, without control characters",
            expansion.each,
            names.join(", ")
        ),
    })
}

fn obstacle(obstacle: &Obstacle) -> Note {
    Note { reason: obstacle.reason, message: obstacle.in_words() }
}

fn git_lock_stale(lock: &GitLock) -> Note {
    Note {
        reason: NoteReason::GitLockStale,
        message: format!(
            "{} is there since {}: a git was probably killed while it changed the work tree, and builds no longer wait for it; \
             next: git status, then rm {}",
            lock.path,
            lock.since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            lock.path
        ),
    }
}

fn compose_upgraded(container: &ContainerObservation) -> Note {
    let version = container.made_by.as_deref().unwrap_or("another version");
    Note {
        reason: NoteReason::ComposeUpgraded,
        message: format!(
            "{} was made from this configuration by Compose {version}; the Compose of now would make it otherwise, and any \
             `up` of it would recreate it",
            container.name
        ),
    }
}

/// undrift never touches a volume: recreating it would lose its data.
fn volume_changed(volume: &VolumeObservation) -> Note {
    let (name, what) = (&volume.name, volume.differences.join(", "));
    Note {
        reason: NoteReason::VolumeChanged,
        message: format!(
            "the volume {name} was made from another definition ({what}) than the Compose files have now; it stays as it is, \
             for only a new one would follow them"
        ),
    }
}

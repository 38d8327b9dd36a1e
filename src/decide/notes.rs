//! What is worth saying of a service that is no drift.

use crate::api::{Note, NoteReason, ServiceObservation, VolumeObservation};

/// The notes on one service.
pub(super) fn notes(seen: &ServiceObservation) -> Vec<Note> {
    let volumes = seen.volumes.iter().filter(|volume| !volume.differences.is_empty());
    volumes.map(volume_changed).collect()
}

/// undrift never touches a volume: making it anew would lose what it holds.
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

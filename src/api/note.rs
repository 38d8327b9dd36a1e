//! Remarks on a service that are no drift.

use serde::{Deserialize, Serialize};

use super::names::names;

/// A remark on a service. It changes no condition and no exit code, and no step follows from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Its kind.
    pub reason: NoteReason,
    /// The observation, in a sentence or two for a person.
    pub message: String,
}

names! {
    /// The subject of a note. The names are a contract: scripts match on them.
    NoteReason {
        /// A mounted file or folder differs from what the container was started with.
        MountChanged,
        /// Only this version of Compose would create the container differently.
        ComposeUpgraded,
        /// The caller's environment is not the one of the last verified state.
        EnvironmentDiffers,
        /// A volume's definition in the Compose files differs from the volume.
        VolumeChanged,
        /// An entry of a folder was not expanded into a module or a route.
        EntryIgnored,
        /// A container has files in a module that are not in its source.
        ContentAdded,
        /// A path that cannot exist answers as the route does.
        ControlAmbiguous,
        /// The password or token of a route cannot be read.
        CredentialsUnreadable,
        /// Nothing exposes the port of a route, and no server answers there.
        PortNotExposed,
        /// No container of the service can be probed for a route.
        NotReachable,
        /// The build context or the Dockerfile does not exist.
        BuildFilesMissing,
        /// A git that has ended left its lock behind, so that whether the files are whole is not known.
        GitLockStale,
        /// A port of the host that the service should publish is in use.
        PortTaken,
        /// The credentials of a route cross the network in plain HTTP.
        PlainHttp,
        /// The work tree has changes that are not committed, so that the expected revision does not describe them.
        WorkTreeDirty,
        /// The observation went without the recorded state: it cannot be read.
        StateUnavailable,
    }
}

#[cfg(test)]
mod tests {
    use crate::api::ServiceStatus;

    #[test]
    fn a_status_from_before_there_were_notes_has_none() {
        let row = serde_json::json!({"name": "api", "drift": null, "conditions": [], "containers": [], "image": null,
            "modules": [], "routes": []});
        let status: ServiceStatus = serde_json::from_value(row).unwrap();
        assert!(status.notes.is_empty());
    }
}

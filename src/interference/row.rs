//! A container's entry in the list of containers.

use crate::api::ContainerState;

/// A container of a project as listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ContainerRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) service: String,
    /// `None` if the list does not have it.
    pub(crate) state: Option<ContainerState>,
    /// Compose's hash of the configuration that it was created from.
    pub(crate) config_hash: Option<String>,
    /// When it was created, in seconds since 1970.
    pub(crate) created: i64,
    pub(crate) replaces: Option<String>,
    /// Whether its health check has given no verdict yet.
    pub(crate) health_starting: bool,
    pub(crate) origin: Origin,
}

/// Where a container was created, by Compose's labels. Compose writes them when it creates the container, leaves them out of
/// the config hash, and never changes them (measured with 2.26.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The service.
    pub service: String,
    /// The container's name.
    pub container: String,
    /// The project directory as the caller wrote it, links and all; `None` without the label.
    pub working_dir: Option<String>,
    /// The Compose files, usually absolute.
    pub config_files: Vec<String>,
}

impl ContainerRow {
    pub(crate) fn never_started(&self) -> bool {
        self.state == Some(ContainerState::Created)
    }

    pub(crate) fn is_running(&self) -> bool {
        self.state == Some(ContainerState::Running)
    }

    /// Whether it has run, and no longer does.
    pub(crate) fn has_ended(&self) -> bool {
        self.state == Some(ContainerState::Exited)
    }

    /// Its details show that it is being removed.
    pub(crate) fn set_removing(&mut self) {
        self.state = Some(ContainerState::Removing);
    }

    /// Whether the engine is about to remove it, or has tried to: `dead` means that.
    pub(crate) fn is_removing(&self) -> bool {
        matches!(self.state, Some(ContainerState::Removing | ContainerState::Dead))
    }
}

//! What the list of containers says of one.

use crate::api::ContainerState;

/// A container of a project as the list shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ContainerRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) service: String,
    /// `None` where nothing is said of it.
    pub(crate) state: Option<ContainerState>,
    /// Compose's hash of the configuration that it was made of.
    pub(crate) config_hash: Option<String>,
    /// When it was created, in seconds since 1970.
    pub(crate) created: i64,
    pub(crate) replaces: Option<String>,
    /// Whether its health check has given no verdict yet.
    pub(crate) health_starting: bool,
    pub(crate) origin: Origin,
}

/// Where a container was made, as Compose's labels say it. Compose writes them when it creates the container, leaves them out
/// of the config hash, and never changes them (measured with 2.26.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The service.
    pub service: String,
    /// The container's name.
    pub container: String,
    /// The project directory as the caller wrote it, links and all; `None` without the label.
    pub working_dir: Option<String>,
    /// The Compose files, absolute as a rule.
    pub config_files: Vec<String>,
}

impl ContainerRow {
    pub(crate) fn never_started(&self) -> bool {
        self.state == Some(ContainerState::Created)
    }

    pub(crate) fn is_running(&self) -> bool {
        self.state == Some(ContainerState::Running)
    }

    /// Whether it has run, and does no more.
    pub(crate) fn has_ended(&self) -> bool {
        self.state == Some(ContainerState::Exited)
    }

    /// Its details say that it is being removed.
    pub(crate) fn set_removing(&mut self) {
        self.state = Some(ContainerState::Removing);
    }

    /// Whether the engine is about to remove it, or has tried to: that is what `dead` means.
    pub(crate) fn is_removing(&self) -> bool {
        matches!(self.state, Some(ContainerState::Removing | ContainerState::Dead))
    }
}

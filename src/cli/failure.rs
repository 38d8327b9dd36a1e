//! Why a verb failed, and the resulting exit code.

use std::io;

use super::recorded::VerbError;
pub(super) use crate::causes::with_causes;
use crate::{
    api::{ErrorReason, NoteReason, Reason, StandingReason},
    daemon::DaemonError,
    host::HostError,
    incident_report::ExportError,
    manifest::ManifestErrors,
    reconcile::ReconcileError,
    store::{Displaced, LockError, StoreError},
};

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{0}")]
    Manifest(#[from] ManifestErrors),
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Verb(#[from] VerbError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("no object is named {name}; {}", hint(known))]
    NoSuchObject { name: String, known: Vec<String> },
    #[error("no state folder: set --state-dir, XDG_STATE_HOME or HOME")]
    NoStateDir,
    #[error("{0}; put it back, or restart undrift, for it does not go by what is written here")]
    Displaced(Displaced),
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    #[error("{0}")]
    Refused(String),
}

impl Failure {
    pub(super) fn is_broken_pipe(&self) -> bool {
        let (Self::Io(error) | Self::Verb(VerbError::Write(error))) = self else { return false };
        error.kind() == io::ErrorKind::BrokenPipe
    }

    /// The fault of the state, if that is the cause.
    pub(super) const fn of_state(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error)
            | Self::Export(ExportError::Store(error))
            | Self::Verb(VerbError::Store(error))
            | Self::Lock(LockError::Folder(error))
            | Self::Reconcile(ReconcileError::Store(error))
            | Self::Daemon(
                DaemonError::Store(error) | DaemonError::Reconcile(ReconcileError::Store(error)),
            ) => Some(error),
            _ => None,
        }
    }

    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::Manifest(_) => StandingReason::ManifestInvalid.into(),
            Self::Host(error) | Self::Reconcile(ReconcileError::Host(error)) => error.reason().into(),
            Self::Lock(LockError::Held { .. } | LockError::Displaced { .. }) => {
                ErrorReason::StateLocked.into()
            }
            Self::Displaced(_)
            | Self::Store(_)
            | Self::Export(ExportError::Store(_))
            | Self::Reconcile(ReconcileError::Store(_))
            | Self::Lock(_)
            | Self::Verb(VerbError::Store(_)) => NoteReason::StateUnavailable.into(),
            Self::Verb(VerbError::Write(_)) | Self::Io(_) | Self::Export(_) => {
                ErrorReason::InputOutput.into()
            }
            Self::Verb(VerbError::NoSuchObject { .. }) | Self::NoSuchObject { .. } => {
                ErrorReason::NoSuchObject.into()
            }
            Self::Verb(VerbError::NoSuchIncident(_)) => ErrorReason::NoSuchIncident.into(),
            Self::NoStateDir | Self::Usage(_) => ErrorReason::Usage.into(),
            Self::Daemon(_) => ErrorReason::DaemonFailed.into(),
            Self::Refused(_) => ErrorReason::Refused.into(),
        }
    }
}

fn hint(known: &[String]) -> String {
    if known.is_empty() { "there are none".into() } else { format!("there are: {}", known.join(", ")) }
}

/// The exit code of a verb whose answer was printed. A reader that closes the pipe early, such as `head`, does not affect
/// the verb's result.
pub(super) fn outcome(printed: io::Result<()>, exit: u8) -> Result<u8, Failure> {
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(exit),
    }
}

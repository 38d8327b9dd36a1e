//! What the process in a container sees where a bind mount covers a module.
//!
//! The engine shows the host's path of the mount as it is now. The process sees what was mounted when the container started: if
//! the folder was replaced since, it sees the old one. The two are told apart by device and inode.

use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{Listing, NoListing, Scope, folder};
use crate::{
    api::{ModuleType, MountCover, Presence},
    files,
    host::engine::Container,
};

/// What is at a module's path under a bind mount.
pub(super) struct MountedModule {
    pub(super) presence: Presence,
    /// Its files; `None` if they are those of the source itself.
    pub(super) listing: Option<Result<Listing, NoListing>>,
}

/// The mount over a module, as this host has it.
pub(super) struct Mounted {
    /// The path on the host.
    host: PathBuf,
    /// The same as the process has it, while it runs.
    process: Option<PathBuf>,
}

impl Mounted {
    /// The module's path under the mount that covers it; `None` if that is no bind mount.
    pub(super) fn of(container: &Container, path: &str, cover: &MountCover) -> Option<Self> {
        if cover.kind != "bind" {
            return None;
        }
        let below = Path::new(path).strip_prefix(&cover.destination).ok()?;
        let joined =
            |base: &Path| if below.as_os_str().is_empty() { base.to_owned() } else { base.join(below) };
        let process = container.pid.map(|pid| PathBuf::from(format!("/proc/{pid}/root{path}")));
        Some(Self { host: joined(Path::new(&cover.source)), process })
    }

    /// Looks at it; `None` if it is not known whether the process sees it. Call it within a [`files::look`].
    pub(super) fn look(&self, kind: ModuleType, scope: &Scope) -> Option<MountedModule> {
        let at = files::canonicalize(&self.host).ok()?;
        let meta = files::metadata(&at).ok()?;
        if let Some(process) = &self.process {
            // Only compared with the host's: a link in the container that leads elsewhere gives another file.
            let seen = files::metadata(process).ok()?;
            if (seen.dev(), seen.ino()) != (meta.dev(), meta.ino()) {
                return None;
            }
        }
        let fits = match kind {
            ModuleType::Any => true,
            ModuleType::File => meta.is_file(),
            ModuleType::Directory => meta.is_dir(),
        };
        if !fits {
            return Some(MountedModule { presence: Presence::WrongType, listing: None });
        }
        let listing = (at != scope.source).then(|| folder::list(&at, scope).map(|listed| listed.listing));
        Some(MountedModule { presence: Presence::Present, listing })
    }
}

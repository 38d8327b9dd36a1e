//! Whether a path exists in a container, by the engine's archive-stat call.
//!
//! The call works on running, paused, stopped and created containers, and on images without a shell. It resolves
//! links above the last part of the path itself, but not the last part (`lstat`), for which it names the link's end.

use bollard::query_parameters::{ContainerArchiveInfoOptionsBuilder, DownloadFromContainerOptionsBuilder};
use futures_util::{StreamExt as _, future::join_all};

use super::{Container, Engine, EngineError, cover, request::EngineRequest};
use crate::api::{Fact, ModuleInContainer, ModuleType, MountCover, Presence};

/// How many links are followed. The engine names a link's very end at once, so usually one.
const LINKS: usize = 8;

/// Docker's message for a missing path.
const NO_FILE: &str = "Could not find the file ";

/// Go's `os.FileMode` bits, which the engine sends: <https://pkg.go.dev/io/fs#FileMode>.
mod mode {
    pub(super) const DIR: u32 = 1 << 31;
    pub(super) const SYMLINK: u32 = 1 << 27;
    const DEVICE: u32 = 1 << 26;
    const NAMED_PIPE: u32 = 1 << 25;
    const SOCKET: u32 = 1 << 24;
    const CHAR_DEVICE: u32 = 1 << 21;
    const IRREGULAR: u32 = 1 << 19;
    /// No bit of these: a regular file.
    pub(super) const TYPE: u32 = DIR | SYMLINK | DEVICE | NAMED_PIPE | SOCKET | CHAR_DEVICE | IRREGULAR;
}

/// The result of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stat {
    /// Something that is not a link, of this mode.
    Found(u32),
    /// A link that ends at this path.
    Link(String),
    /// Nothing, or a file is in the place of a folder.
    Absent,
    /// Links that lead to each other; on Podman also a dangling one.
    Loop,
}

/// The entry at a path, and its location after all links.
pub(super) struct PathLookup {
    pub(super) presence: Fact<Presence>,
    pub(super) end: String,
}

impl Engine {
    /// One module in one container, with the mount that covers it.
    pub async fn module_in_container(
        &self,
        container: &Container,
        path: &str,
        kind: ModuleType,
    ) -> ModuleInContainer {
        self.module_at_end(container, path, kind).await.0
    }

    /// The same with the path at which all links end; `None` if the engine's view of it is not that of the process.
    pub(in crate::host) async fn module_at_end(
        &self,
        container: &Container,
        path: &str,
        kind: ModuleType,
    ) -> (ModuleInContainer, Option<String>) {
        let found = |presence, covered_by| ModuleInContainer { presence, covered_by, content: None };
        let path = cover::clean(path);
        let mut covered_by = cover::find(&container.mounts, &path).cloned();
        if covered_by.is_none() && !container.mounts.is_empty() {
            match self.without_links_above(&container.seen.id, &path).await {
                Ok(real) => covered_by = cover::find(&container.mounts, &real).cloned(),
                Err(error) => {
                    return (found(Fact::unknown(error.to_string()), covered_by), None);
                }
            }
        }
        if let Some(reason) = covered_by.as_ref().and_then(hides) {
            return (found(Fact::unknown(reason), covered_by), None);
        }
        let look = self.look(&container.seen.id, &path, kind).await;
        let at_end = cover::find(&container.mounts, &look.end);
        if let Some(reason) = at_end.and_then(hides) {
            return (found(Fact::unknown(reason), at_end.cloned()), None);
        }
        let covered_by = at_end.cloned().or(covered_by);
        (found(look.presence, covered_by), Some(look.end))
    }

    /// One path in one container, whatever is mounted there; links are followed inside the container.
    pub(super) async fn look(&self, container: &str, path: &str, kind: ModuleType) -> PathLookup {
        let mut end = cover::clean(path);
        for followed in 0..=LINKS {
            let presence = match self.stat(container, &end).await {
                Err(error) => Fact::unknown(error.to_string()),
                Ok(Stat::Found(found)) => Fact::Known(judge(found, kind)),
                Ok(Stat::Absent) if followed == 0 => Fact::Known(Presence::Missing),
                Ok(Stat::Absent | Stat::Loop) => Fact::Known(Presence::WrongType),
                Ok(Stat::Link(target)) => {
                    end = target;
                    continue;
                }
            };
            return PathLookup { presence, end };
        }
        PathLookup { presence: Fact::Known(Presence::WrongType), end }
    }

    /// The path with the links above its last part resolved. Only containers with mounts need it: a link may lead into one.
    async fn without_links_above(&self, container: &str, path: &str) -> Result<String, EngineError> {
        let above: Vec<&str> = cover::ancestors(path).collect();
        let stats = join_all(above.iter().map(|folder| self.stat(container, folder))).await;
        for (folder, stat) in above.into_iter().zip(stats) {
            if let Stat::Link(target) = stat? {
                return Ok(cover::clean(&format!("{target}{}", &path[folder.len()..])));
            }
        }
        Ok(path.to_owned())
    }

    async fn stat(&self, container: &str, path: &str) -> Result<Stat, EngineError> {
        match self.archive_info(container, path).await {
            Ok((mode, Some(target))) if mode & mode::SYMLINK != 0 => Ok(Stat::Link(absolute(path, &target))),
            Ok((mode, _)) => Ok(Stat::Found(mode)),
            // The answer to HEAD has no message, so further requests distinguish a missing path from a missing container, and
            // from a server in between that knows neither.
            Err(EngineError::NotFound(_)) => match self.archive_info(container, "/").await {
                Ok(_) if !self.is_podman().await? => self.why_refused(container, path).await,
                Ok(_) if self.is_dangling(container, path).await? => Ok(Stat::Loop),
                Ok(_) => Ok(Stat::Absent),
                Err(EngineError::NotFound(_)) => {
                    Err(EngineError::NotFound("the container is gone".to_owned()))
                }
                Err(error) => Err(error),
            },
            Err(EngineError::Refused { status: 500.., .. }) => self.why_refused(container, path).await,
            Err(error) => Err(error),
        }
    }

    async fn archive_info(&self, container: &str, path: &str) -> Result<(u32, Option<String>), EngineError> {
        let options = ContainerArchiveInfoOptionsBuilder::default().path(path).build();
        let request = EngineRequest::head(format_args!("containers/{container}/archive"));
        let stat = self
            .ask(&request, async |docker| docker.get_container_archive_info(container, Some(options)).await)
            .await?;
        Ok((stat.file_mode, Some(stat.link_target).filter(|target| !target.is_empty())))
    }

    /// Requests the archive itself, whose refusal has a message; measured on engine 20.10.24. The messages for missing files
    /// are in moby's `daemon/errors.go`, the same on 28.
    async fn why_refused(&self, container: &str, path: &str) -> Result<Stat, EngineError> {
        let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
        let container = container.to_owned();
        let answer = self
            .call(async |docker| {
                let mut archive = std::pin::pin!(docker.download_from_container(&container, Some(options)));
                archive.next().await.transpose()
            })
            .await;
        match answer {
            Err(EngineError::NotFound(message)) if message.starts_with(NO_FILE) => Ok(Stat::Absent),
            Err(EngineError::Refused { message, .. }) if message.contains("not a directory") => {
                Ok(Stat::Absent)
            }
            Err(EngineError::Refused { message, .. })
                if message.contains("too many links") || message.contains("too many levels") =>
            {
                Ok(Stat::Loop)
            }
            Err(error) => Err(error),
            Ok(_) => Err(EngineError::Malformed("it has the path, but no words for what it is".into())),
        }
    }
}

/// Why a mount makes the engine's view of a path useless, if it does.
fn hides(mount: &MountCover) -> Option<&'static str> {
    match mount.kind.as_str() {
        "volume" => None,
        "tmpfs" => {
            Some("a tmpfs covers it; the engine shows what lies under it, which the process does not see")
        }
        "bind" => {
            Some("a bind mount covers it; the engine shows the host's path, which the process may not see")
        }
        _ => Some("a mount of an unknown kind covers it"),
    }
}

/// A link's target as a path from the root.
fn absolute(link: &str, target: &str) -> String {
    if target.starts_with('/') {
        return cover::clean(target);
    }
    cover::clean(&format!("{link}/../{target}"))
}

/// Whether the entry found has the declared type.
const fn judge(found: u32, kind: ModuleType) -> Presence {
    let counts = match kind {
        ModuleType::Any => true,
        ModuleType::Directory => found & mode::DIR != 0,
        ModuleType::File => found & mode::TYPE == 0,
    };
    if counts { Presence::Present } else { Presence::WrongType }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_as_the_engine_sends_them() {
        // As measured: a directory 0755, a file 0644, and Go's word for a socket 0777.
        let (directory, file, socket) = (2_147_484_141, 420, (1 << 24) | 0o777);
        for (found, kind, presence) in [
            (directory, ModuleType::Directory, Presence::Present),
            (directory, ModuleType::File, Presence::WrongType),
            (directory, ModuleType::Any, Presence::Present),
            (file, ModuleType::File, Presence::Present),
            (file, ModuleType::Directory, Presence::WrongType),
            (socket, ModuleType::File, Presence::WrongType),
            (socket, ModuleType::Any, Presence::Present),
        ] {
            assert_eq!(judge(found, kind), presence, "{found:o} as {kind:?}");
        }
    }

    #[test]
    fn link_ends_are_absolute() {
        assert_eq!(absolute("/app/link", "/app/real"), "/app/real");
        assert_eq!(absolute("/app/link", "real"), "/app/real");
        assert_eq!(absolute("/app/link", "../../../etc"), "/etc");
    }
}

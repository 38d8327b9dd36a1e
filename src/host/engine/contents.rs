//! Whether a container was created with the configs and secrets that the Compose files have now.
//!
//! Compose (2.26.1, 5.6.1) copies inline ones and those from the environment into the container as a tar archive, whose times
//! are whole seconds, and never touches them again. A write inside the container leaves a fraction of a second. So a time
//! without one is the copy itself; any other file is the container's own affair, for example if its entry point fills in a
//! template.

use bollard::query_parameters::{ContainerArchiveInfoOptionsBuilder, DownloadFromContainerOptionsBuilder};
use futures_util::StreamExt as _;

use super::{Container, Engine, EngineError, cover, request::EngineRequest};
use crate::{
    api::{CopiedContent, Fact},
    host::compose::{DeclaredContent, secret_digest},
};

/// A block of a tar archive.
const BLOCK: usize = 512;

/// The position of the size and the type in a member's header: POSIX.1-1988, ustar.
const SIZE: std::ops::Range<usize> = 124..136;
const KIND: usize = 156;

impl Engine {
    /// One config or secret in one container, by its digest. Its content is not passed on.
    pub async fn content_in_container(
        &self,
        container: &Container,
        declared: &DeclaredContent,
    ) -> CopiedContent {
        let target = cover::clean(&declared.target);
        let differs = match cover::find(&container.mounts, &target) {
            // The process does not read a file under a mount, and its original content is unknown.
            Some(_) => Ok(false),
            None => self.differs(&container.seen.id, &target, declared).await,
        };
        CopiedContent { name: declared.name.clone(), target, differs: Fact::from(differs) }
    }

    async fn differs(
        &self,
        container: &str,
        target: &str,
        declared: &DeclaredContent,
    ) -> Result<bool, EngineError> {
        let options = ContainerArchiveInfoOptionsBuilder::default().path(target).build();
        let request = EngineRequest::head(format_args!("containers/{container}/archive"));
        let stat = self
            .ask(&request, async |docker| docker.get_container_archive_info(container, Some(options)).await)
            .await;
        let stat = match stat {
            Ok(stat) => stat,
            // Removed inside the container, which is its own affair, or a folder above it is now a file.
            Err(EngineError::NotFound(_) | EngineError::Refused { status: 500.., .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        let modified = request.required("mtime", stat.modification_time)?;
        if !stat.link_target.is_empty() || !is_whole_second(&modified) {
            return Ok(false);
        }
        if usize::try_from(stat.size).ok() != Some(declared.size) {
            return Ok(true);
        }
        let content = self.file(container, target, declared.size).await?;
        Ok(content.is_some_and(|content| secret_digest(&declared.name, &content) != declared.digest))
    }

    /// The content of a file of this size; `None` if the size has changed.
    pub(super) async fn file(
        &self,
        container: &str,
        path: &str,
        size: usize,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
        // The headers of one member, and the end of the archive.
        let longest = size + 16 * BLOCK;
        let archive = self.call(async |docker| {
            let mut chunks = std::pin::pin!(docker.download_from_container(container, Some(options)));
            let mut archive = Vec::new();
            while let Some(chunk) = chunks.next().await {
                archive.extend_from_slice(&chunk?);
                if archive.len() > longest {
                    break;
                }
            }
            Ok(archive)
        });
        match archive.await {
            Ok(archive) => {
                Ok(only_file(&archive).filter(|content| content.len() == size).map(<[u8]>::to_vec))
            }
            Err(EngineError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether a time in the engine's spelling has no fraction of a second.
fn is_whole_second(time: &str) -> bool {
    chrono::DateTime::parse_from_rfc3339(time).is_ok_and(|time| time.timestamp_subsec_nanos() == 0)
}

/// The first regular file of a tar archive; headers that only extend the next one are skipped.
fn only_file(mut archive: &[u8]) -> Option<&[u8]> {
    loop {
        let (header, rest) = archive.split_at_checked(BLOCK)?;
        let size = std::str::from_utf8(&header[SIZE]).ok()?;
        let size = usize::from_str_radix(size.trim_matches(['\0', ' ']), 8).ok()?;
        if matches!(header[KIND], b'0' | 0) {
            return rest.get(..size);
        }
        archive = rest.get(size.next_multiple_of(BLOCK)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(kind: u8, content: &[u8]) -> Vec<u8> {
        let mut block = vec![0; BLOCK];
        block[SIZE].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
        block[KIND] = kind;
        block.extend_from_slice(content);
        block.resize(block.len().next_multiple_of(BLOCK), 0);
        block
    }

    #[test]
    fn the_file_of_an_archive_is_found_behind_what_extends_its_header() {
        let archive = [member(b'x', b"20 path=a\n"), member(b'0', b"hello"), vec![0; 2 * BLOCK]].concat();
        assert_eq!(only_file(&archive), Some(&b"hello"[..]));
        assert_eq!(only_file(&archive[..archive.len() - 3 * BLOCK]), None, "cut off");
        assert_eq!(only_file(&member(b'5', b"")), None, "a folder has no content");
        assert_eq!(only_file(b""), None);
    }

    #[test]
    fn who_writes_in_a_container_leaves_a_fraction_of_a_second() {
        assert!(is_whole_second("2026-11-29T07:44:47Z"));
        assert!(!is_whole_second("2026-11-29T07:44:47.824341907Z"));
        assert!(!is_whole_second("yesterday"));
    }
}

//! The files below a path of a container, from the engine's archive of it.
//!
//! The archive is read, and not what the engine lists as changes of a container: with a storage driver that has no list of its
//! own (fuse-overlayfs, vfs) the engine walks the whole image for that, and compares only sizes and times.

use std::{sync::Arc, time::Duration};

use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use futures_util::StreamExt as _;
use tokio::{sync::mpsc, time::Instant};

use super::{Engine, EngineError};
use crate::host::content::{self, Listing, NoListing, PieceReader, Scope};

/// How long an archive may take.
const ARCHIVE_LIMIT: Duration = Duration::from_secs(120);

/// How many archives are read at once: each costs the engine a thread and the disk its time.
pub(super) const ARCHIVES: usize = 2;

/// How many pieces of an archive wait to be read.
const PIECES: usize = 4;

impl Engine {
    /// The entries at a path of a container that are compared. The path has no link in it. `place` names it in errors.
    ///
    /// # Errors
    /// If there is more than is compared, or the engine does not send all of it.
    pub(in crate::host) async fn listing(
        &self,
        container: &str,
        path: &str,
        scope: Arc<Scope>,
        place: &str,
    ) -> Result<Listing, NoListing> {
        let read = self.read_archive(container, path, scope, place);
        let late =
            || Err(NoListing::Unknown(format!("the archive of {place} took longer than {ARCHIVE_LIMIT:?}")));
        tokio::time::timeout(ARCHIVE_LIMIT, read).await.unwrap_or_else(|_| late())
    }

    async fn read_archive(
        &self,
        container: &str,
        path: &str,
        scope: Arc<Scope>,
        place: &str,
    ) -> Result<Listing, NoListing> {
        let unknown = |error: EngineError| NoListing::Unknown(error.to_string());
        let _one_of_few = self.archives.acquire().await;
        let docker = self.docker().await.map_err(unknown)?;
        let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
        let began = Instant::now();
        let (sender, pieces) = mpsc::channel(PIECES);
        let shown = place.to_owned();
        // It ends with the sender, which this future holds.
        let reader =
            tokio::task::spawn_blocking(move || content::read(PieceReader::new(pieces), &scope, &shown));
        let mut archive = std::pin::pin!(docker.download_from_container(container, Some(options)));
        let mut bytes = 0;
        loop {
            let piece = match tokio::time::timeout(self.limit(), archive.next()).await {
                Ok(None) => break,
                Ok(Some(piece)) => piece.map_err(EngineError::from),
                Err(_) => Err(EngineError::TimedOut(self.limit())),
            };
            if let Ok(piece) = &piece {
                bytes += piece.len();
            }
            let is_error = piece.is_err();
            // The reader has read enough.
            if sender.send(piece.map_err(|error| error.to_string())).await.is_err() || is_error {
                break;
            }
        }
        drop(sender);
        let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(container, path, bytes, ms, "read an archive");
        reader.await.unwrap_or_else(|_| Err(NoListing::Unknown("the reading of an archive broke off".into())))
    }
}

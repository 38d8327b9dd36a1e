//! Anchors: places outside of the state folder that keep the signed checkpoints of the trail, so that a rewrite is found by
//! whoever looks there, also if somebody with all rights on this host made it.
//!
//! | file | holds |
//! | --- | --- |
//! | `target` | how an anchor is written on the command line |
//! | `journal` | systemd's journal |
//! | `web` | a server |
//!
//! A delivery is one attempt; when to try again is its caller's business. No error and no name of an anchor has more of a URL
//! than its scheme, host and port: a path or a query may be a token.

mod journal;
mod target;
mod web;

use std::{fmt, io, path::PathBuf};

use reqwest::Url;

use crate::{files, store::StoredCheckpoint, tlog::collected::separator};

/// A place that keeps checkpoints.
#[derive(Clone)]
pub(crate) struct Anchor {
    name: String,
    target: Target,
}

#[derive(Clone)]
enum Target {
    /// A file that only grows.
    File(PathBuf),
    /// The socket of the journal.
    Journal(PathBuf),
    /// A server that gets a POST.
    Web(Url),
}

/// Why a checkpoint was not delivered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeliveryError {
    /// The file cannot be appended to.
    #[error("cannot append to it: {0}")]
    File(#[source] io::Error),
    /// The journal does not take it.
    #[error("the journal does not take it: {0}")]
    Journal(#[source] io::Error),
    /// The server did not accept it.
    #[error("{0}")]
    Web(String),
}

impl Anchor {
    /// The name in the trail and in the log, which has no secret: `file:PATH`, `journal`, or `SCHEME://HOST[:PORT]`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Delivers a checkpoint once. It takes a minute at most.
    ///
    /// # Errors
    /// [`DeliveryError`]. The anchor may have the checkpoint all the same.
    pub(crate) async fn deliver(&self, checkpoint: &StoredCheckpoint) -> Result<(), DeliveryError> {
        match &self.target {
            Target::File(path) => append(path.clone(), checkpoint.note.to_string()).await,
            Target::Journal(socket) => {
                journal::send(socket, checkpoint).await.map_err(DeliveryError::Journal)
            }
            Target::Web(url) => {
                web::post(url.clone(), checkpoint.note.to_string()).await.map_err(DeliveryError::Web)
            }
        }
    }
}

async fn append(path: PathBuf, note: String) -> Result<(), DeliveryError> {
    let content = move |last| [separator(last), &note].concat().into_bytes();
    let appended = files::looked(move || files::append(&path, content)).await;
    appended.unwrap_or_else(|hangs| Err(hangs.into())).map_err(DeliveryError::File)
}

/// The name alone.
impl fmt::Debug for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Anchor").field(&self.name).finish()
    }
}

#[cfg(test)]
mod tests;

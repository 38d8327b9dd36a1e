//! How an anchor is written: `file:PATH`, `journal`, or a URL.

use std::path::{Path, PathBuf};

use reqwest::Url;

use super::{Anchor, Target, journal};
use crate::api::is_this_host;

/// Why a text is no anchor. None of it is repeated: it may be a URL with a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AnchorError {
    /// It is none of the three forms.
    #[error(
        "an anchor is file:PATH, journal, or a URL that begins with https:// (http:// on this host alone)"
    )]
    Form,
    /// A service has no folder to begin at.
    #[error("the path of an anchor's file is absolute, and {} is not", .0.display())]
    Relative(PathBuf),
    /// Who listens in between would read the token, or send an answer of their own.
    #[error("the anchor {0} needs https://: only a server on this host is asked over http://")]
    PlainHttp(String),
    /// Such a password is readable in more places than a token in the path.
    #[error("the anchor {0} has a user name or a password in its URL, which undrift does not send")]
    Credentials(String),
    /// The trail could not tell them apart.
    #[error("two anchors are {0}; the trail names a server by scheme, host and port alone")]
    Twice(String),
}

impl Anchor {
    /// The anchors of these texts.
    ///
    /// # Errors
    /// The first [`AnchorError`].
    pub(crate) fn all<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Vec<Self>, AnchorError> {
        let mut anchors: Vec<Self> = Vec::new();
        for text in texts {
            let anchor = Self::parse(text)?;
            if anchors.iter().any(|other| other.name == anchor.name) {
                return Err(AnchorError::Twice(anchor.name));
            }
            anchors.push(anchor);
        }
        Ok(anchors)
    }

    fn parse(text: &str) -> Result<Self, AnchorError> {
        if text == "journal" {
            return Ok(Self { name: text.to_owned(), target: Target::Journal(journal::SOCKET.into()) });
        }
        if let Some(path) = text.strip_prefix("file:") {
            let path = Path::new(path).to_owned();
            if !path.is_absolute() {
                return Err(AnchorError::Relative(path));
            }
            return Ok(Self { name: text.to_owned(), target: Target::File(path) });
        }
        let url: Url = text.parse().map_err(|_| AnchorError::Form)?;
        let host = url.host_str().filter(|_| ["http", "https"].contains(&url.scheme()));
        let host = host.ok_or(AnchorError::Form)?;
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let name = format!("{}://{host}{port}", url.scheme());
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AnchorError::Credentials(name));
        }
        if url.scheme() == "http" && !is_this_host(host) {
            return Err(AnchorError::PlainHttp(name));
        }
        Ok(Self { name, target: Target::Web(url) })
    }
}

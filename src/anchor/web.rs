//! A server that gets each checkpoint as the body of a POST.

use std::time::Duration;

use reqwest::{StatusCode, Url, header::CONTENT_TYPE};

use crate::host::probe::{client_for, without_answer};

/// How long a server may take for its answer.
const LIMIT: Duration = Duration::from_secs(30);

/// The content type of a signed note.
const TEXT: &str = "text/plain; charset=utf-8";

/// Posts a note; in words why it was not accepted. Only a status of 2xx accepts it, and no redirect is followed: who can redirect
/// could name any place of this host.
pub(super) async fn post(url: Url, note: String) -> Result<(), String> {
    let of = url.clone();
    // The first client of a process reads the host's root certificates.
    let client = tokio::task::spawn_blocking(move || client_for(&of)).await;
    let client = client.map_err(|_| "the HTTP client cannot be built".to_owned())??;
    let request = client.post(url).header(CONTENT_TYPE, TEXT).body(note).timeout(LIMIT);
    let answer = request.send().await.map_err(|error| without_answer(&error, LIMIT))?;
    let status = answer.status();
    if status.is_success() { Ok(()) } else { Err(refused(status)) }
}

fn refused(status: StatusCode) -> String {
    let status_code = status.as_u16();
    if status.is_redirection() {
        format!("it redirects ({status_code}), which undrift does not follow")
    } else {
        format!("it answers {status_code}")
    }
}

//! The command line's side of the control socket.

use std::{io, path::Path, time::Duration};

use http_body_util::{BodyExt as _, BodyStream, Full};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1,
    header,
};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio_util::{io::StreamReader, task::AbortOnDropHandle};

use super::{
    protocol::{ObjectOutcome, ReconcileRequest, Reply, ReportedEvent},
    socket::{FILE, connect, connect_former, is_nobody},
};

/// How long the daemon may take to begin its answer. A daemon that is stopped or stuck still accepts connections; a healthy
/// one reads the manifests again before it answers, which may take ten seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// The longest line to read. An object with all its evidence is far shorter.
const LONGEST_LINE: u64 = 16 * 1024 * 1024;

/// The message to a person whose daemon is older than this.
const FORMER: &str = "the running undrift is of an earlier version, which this one cannot ask: restart it, or use the undrift \
                      that runs";

/// Why the request to the daemon failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// It refused, with this reason.
    #[error("{0}")]
    Refused(String),
    /// The connection broke, or nothing came.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The events of a reconcile in the daemon, and its result.
pub(crate) struct Replies {
    lines: Box<dyn AsyncBufRead + Send + Unpin>,
    _connection: AbortOnDropHandle<()>,
}

impl std::fmt::Debug for Replies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replies").finish_non_exhaustive()
    }
}

impl Replies {
    /// The next event, or the result; `None` if the daemon ended before that. Skips events that only a later version knows.
    ///
    /// # Errors
    /// If the connection breaks.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Reply>> {
        while let Some(line) = read_line(&mut self.lines).await? {
            let value: Value = serde_json::from_slice(&line)?;
            if value["kind"] == "Result" {
                return Ok(Some(Reply::Result(Box::new(ObjectOutcome::deserialize(value)?))));
            }
            match ReportedEvent::deserialize(value) {
                Ok(event) => return Ok(Some(Reply::Event(event))),
                Err(error) => tracing::debug!(%error, "an event that this undrift does not know"),
            }
        }
        Ok(None)
    }
}

/// Has the daemon that holds this state folder reconcile an object; `None` if there is none, or it belongs to a stranger.
///
/// # Errors
/// If it refuses, or the connection breaks.
pub(crate) async fn reconcile(
    dir: &Path,
    object: &str,
    request: &ReconcileRequest,
) -> Result<Option<Replies>, AskError> {
    let stream = match connect(dir).await {
        Ok(stream) => stream,
        Err(error) if is_nobody(&error) => {
            return if is_former(dir).await { Err(AskError::Refused(FORMER.into())) } else { Ok(None) };
        }
        Err(error) => return Err(error.into()),
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let connection = AbortOnDropHandle::new(tokio::spawn(async move { drop(connection.await) }));
    let body = serde_json::to_vec(request).map_err(io::Error::from)?;
    let request = Request::post(format!("/api/v1/objects/{object}/reconcile"))
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(io::Error::other)?;
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, sender.send_request(request)).await;
    let answer = answer.map_err(io::Error::from)?.map_err(io::Error::other)?;
    if answer.status() != StatusCode::OK {
        return Err(refusal(answer).await);
    }
    let stream = BodyStream::new(answer.into_body().map_err(io::Error::other));
    let chunks =
        futures_util::TryStreamExt::try_filter_map(stream, |frame| async { Ok(frame.into_data().ok()) });
    Ok(Some(Replies { lines: Box::new(StreamReader::new(Box::pin(chunks))), _connection: connection }))
}

/// Whether a daemon of an earlier version runs. A daemon of this version answers at the former socket with its own version.
async fn is_former(dir: &Path) -> bool {
    let ask = async {
        let mut stream = BufReader::new(connect_former(dir).await?);
        // No version of this line protocol had this number, so the daemon does nothing about it.
        stream.write_all(b"{\"version\":0,\"what\":{\"look\":\"\"}}\n").await?;
        read_line(&mut stream).await
    };
    match tokio::time::timeout(ANSWER_TIMEOUT, ask).await {
        Ok(Ok(Some(answer))) => !String::from_utf8_lossy(&answer).contains(FILE),
        // It is stuck, whichever version it is.
        Err(_) => true,
        Ok(_) => false,
    }
}

/// Why the daemon refuses, in its own words. A daemon that does not know the path is of another version.
async fn refusal(answer: Response<Incoming>) -> AskError {
    let status = answer.status();
    let server = answer.headers().get(header::SERVER).and_then(|name| name.to_str().ok());
    let version = server.and_then(|name| name.strip_prefix("undrift/"));
    let version =
        version.map_or_else(|| "another version".to_owned(), |version| format!("version {version}"));
    let body = answer.into_body().collect();
    let body = match tokio::time::timeout(ANSWER_TIMEOUT, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) => return io::Error::other(error).into(),
        Err(late) => return io::Error::from(late).into(),
    };
    let error: Value = serde_json::from_slice(&body).unwrap_or_default();
    AskError::Refused(match error["message"].as_str() {
        Some(message) if error["reason"] != "NoSuchPath" => message.to_owned(),
        _ => format!(
            "the running undrift is {version} and answers {status}: restart it, or use the undrift that runs"
        ),
    })
}

async fn read_line(lines: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    lines.take(LONGEST_LINE).read_until(b'\n', &mut line).await?;
    match line.last() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_endless_line_is_not_read_to_its_end() {
        let mut endless = tokio::io::BufReader::new(tokio::io::repeat(b'x'));
        assert!(read_line(&mut endless).await.is_err());
        let mut cut_off: &[u8] = b"{\"kind\":\"Res";
        assert!(read_line(&mut cut_off).await.is_err());
    }
}

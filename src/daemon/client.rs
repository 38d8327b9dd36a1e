//! The command line's side of the control socket.

use std::{io, path::Path, time::Duration};

use http_body_util::{BodyExt as _, BodyStream, Full};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::{self, HeaderValue},
};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::UnixStream,
};
use tokio_util::{io::StreamReader, task::AbortOnDropHandle};

use super::{
    protocol::{ObjectOutcome, ReconcileRequest, Reply, ReportedEvent},
    socket::{FILE, connect, connect_former, is_nobody},
};
use crate::{
    api::{ErrorReason, Reason},
    store::running_version,
};

/// How long the daemon may take to begin its answer. A daemon that is stopped or stuck still accepts connections; a healthy
/// one reads the manifests again before it answers, which may take ten seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// The longest line to read. An object with all its evidence is far shorter.
const LONGEST_LINE: u64 = 16 * 1024 * 1024;

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

/// The version of the running undrift, if that is known.
#[derive(Debug)]
struct RunningVersion(Option<String>);

impl RunningVersion {
    /// As the answer names it; otherwise as the daemon recorded it at its start.
    async fn of(dir: &Path, answer: &Response<Incoming>) -> Self {
        let server = answer.headers().get(header::SERVER).and_then(|name| name.to_str().ok());
        match server.and_then(|name| name.strip_prefix("undrift/")) {
            Some(version) => Self(Some(version.to_owned())),
            None => Self::recorded(dir).await,
        }
    }

    /// As the daemon recorded it at its start.
    async fn recorded(dir: &Path) -> Self {
        let dir = dir.to_owned();
        let read = tokio::task::spawn_blocking(move || running_version(&dir));
        Self(read.await.unwrap_or_default())
    }

    fn is_this(&self) -> bool {
        self.0.as_deref() == Some(env!("CARGO_PKG_VERSION"))
    }

    /// The message to a person whose request the daemon does not understand, or whose answer is not understood here.
    fn refusal(&self, unknown: &str, what: &str) -> String {
        let version = self.0.as_ref().map(|version| format!("version {version}"));
        let version = version.as_deref().unwrap_or(unknown);
        format!("the running undrift is {version}{what}: restart it, or use the undrift that runs")
    }
}

/// What the running undrift is if its version is not known.
const ANOTHER: &str = "another version";

/// The events of a reconcile in the daemon, and its result.
pub(crate) struct Replies {
    lines: Box<dyn AsyncBufRead + Send + Unpin>,
    version: RunningVersion,
    connection: AbortOnDropHandle<()>,
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
    /// If the connection breaks, or the answer is not one that this version understands.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Reply>> {
        while let Some(line) = read_line(&mut self.lines).await? {
            let value: Value = serde_json::from_slice(&line).map_err(|error| self.unreadable(&error))?;
            if value["kind"] == "Result" {
                let outcome = ObjectOutcome::deserialize(value).map_err(|error| self.unreadable(&error))?;
                return Ok(Some(Reply::Result(Box::new(outcome))));
            }
            match ReportedEvent::deserialize(value) {
                Ok(event) => return Ok(Some(Reply::Event(event))),
                Err(error) => tracing::debug!(%error, "an event that is unknown to this version"),
            }
        }
        Ok(None)
    }

    fn unreadable(&self, error: &serde_json::Error) -> io::Error {
        let what = format!(", and its answer cannot be read ({error})");
        io::Error::new(io::ErrorKind::InvalidData, self.version.refusal(ANOTHER, &what))
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
            return if is_former(dir).await { Err(former(dir).await) } else { Ok(None) };
        }
        Err(error) => return Err(error.into()),
    };
    let body = serde_json::to_vec(request).map_err(io::Error::from)?;
    let request = Request::post(format!("/api/v1/objects/{object}/reconcile"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(io::Error::other)?;
    send(dir, stream, request).await.map(Some)
}

/// The events of a running daemon, as they come.
pub(crate) struct Events {
    lines: Lines<Box<dyn AsyncBufRead + Send + Unpin>>,
    _connection: AbortOnDropHandle<()>,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Events {
    /// Waits for the next event after which the recorded state may be another; false at the end, such as that of the daemon.
    /// Nothing is lost if it is cancelled.
    pub(crate) async fn next(&mut self) -> bool {
        loop {
            match self.lines.next_line().await {
                // The output of a command changes nothing that is recorded.
                Ok(Some(line)) if line.starts_with("event: ") && line != "event: output" => return true,
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return false,
            }
        }
    }
}

/// Follows the events of the daemon that holds this state folder, from now on.
///
/// # Errors
/// If there is none, or it does not answer.
pub(crate) async fn follow(dir: &Path) -> Result<Events, AskError> {
    follow_at(dir, connect(dir).await?).await
}

/// The same on a connection.
pub(super) async fn follow_at(dir: &Path, stream: UnixStream) -> Result<Events, AskError> {
    let request = Request::get("/api/v1/events").body(Full::default()).map_err(io::Error::other)?;
    let Replies { lines, connection, .. } = send(dir, stream, request).await?;
    Ok(Events { lines: lines.lines(), _connection: connection })
}

/// Sends a request, and waits for the beginning of its answer.
async fn send(
    dir: &Path,
    stream: UnixStream,
    mut request: Request<Full<Bytes>>,
) -> Result<Replies, AskError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let connection = AbortOnDropHandle::new(tokio::spawn(async move { drop(connection.await) }));
    request.headers_mut().insert(header::HOST, HeaderValue::from_static("localhost"));
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, sender.send_request(request)).await;
    let answer = match answer.map_err(io::Error::from)? {
        Ok(answer) => answer,
        Err(error) if error.is_parse() => return Err(another_protocol(dir).await),
        Err(error) => return Err(io::Error::other(error).into()),
    };
    let version = RunningVersion::of(dir, &answer).await;
    if answer.status() != StatusCode::OK {
        return Err(refusal(answer, &version).await);
    }
    let stream = BodyStream::new(answer.into_body().map_err(io::Error::other));
    let chunks =
        futures_util::TryStreamExt::try_filter_map(stream, |frame| async { Ok(frame.into_data().ok()) });
    let lines = Box::new(StreamReader::new(Box::pin(chunks)));
    Ok(Replies { lines, version, connection })
}

/// The daemon is older than this.
async fn former(dir: &Path) -> AskError {
    let version = RunningVersion::recorded(dir).await;
    AskError::Refused(version.refusal("of an earlier version", ", which this one cannot ask"))
}

/// The answer at the socket is not HTTP.
async fn another_protocol(dir: &Path) -> AskError {
    let version = RunningVersion::recorded(dir).await;
    AskError::Refused(version.refusal(ANOTHER, ", which this one does not understand"))
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

/// Why the daemon refuses, in its own words. A daemon that does not know the path, or what the request says, is of another
/// version.
async fn refusal(answer: Response<Incoming>, version: &RunningVersion) -> AskError {
    let status = answer.status();
    let body = answer.into_body().collect();
    let body = match tokio::time::timeout(ANSWER_TIMEOUT, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) => return io::Error::other(error).into(),
        Err(late) => return io::Error::from(late).into(),
    };
    let error: Value = serde_json::from_slice(&body).unwrap_or_default();
    let reason = Reason::named(error["reason"].as_str().unwrap_or_default());
    let message = error["message"].as_str().filter(|_| !reason.is(ErrorReason::NoSuchPath));
    AskError::Refused(match message {
        Some(message) if version.is_this() || !reason.is(ErrorReason::Usage) => message.to_owned(),
        Some(message) => version.refusal(ANOTHER, &format!(" and answers {status} ({message})")),
        None => version.refusal(ANOTHER, &format!(" and answers {status}")),
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
    use serde_json::json;
    use tokio::net::UnixListener;

    use super::*;
    use crate::{api::NewRecord, store::testing};

    const THIS: &str = env!("CARGO_PKG_VERSION");

    fn http(status: &str, server: &str, body: &Value) -> String {
        let body = format!("{body}\n");
        format!("HTTP/1.1 {status}\r\n{server}Content-Length: {}\r\n\r\n{body}", body.len())
    }

    /// What is said where a daemon that recorded version 0.0.9 at its start answers this.
    async fn said_of(answer: &str) -> String {
        let (home, store) = testing::store();
        store.append(&NewRecord::started("0.0.9", &[])).unwrap();
        let daemon = UnixListener::bind(home.path().join(FILE)).unwrap();
        let serve = async {
            let (mut stream, _) = daemon.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"}") {
                request.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        let request = ReconcileRequest::default();
        match tokio::join!(reconcile(home.path(), "shop", &request), serve).0 {
            Ok(replies) => replies.unwrap().next().await.unwrap_err().to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[tokio::test]
    async fn a_daemon_that_is_not_understood_is_named_with_its_version() {
        let no_path = json!({ "reason": "NoSuchPath", "message": "nothing is there" });
        let usage = json!({ "reason": "Usage", "message": "the body: unknown field" });
        let result = json!({ "kind": "Result", "verdict": "well" });
        for (answer, version, what) in [
            (http("404 Not Found", "Server: undrift/9.1.0\r\n", &no_path), "9.1.0", " and answers 404"),
            (http("404 Not Found", "", &no_path), "0.0.9", " and answers 404"),
            (
                http("400 Bad Request", "Server: undrift/9.1.0\r\n", &usage),
                "9.1.0",
                " and answers 400 Bad Request (the body: unknown field)",
            ),
            (
                http("200 OK", "Server: undrift/9.1.0\r\n", &result),
                "9.1.0",
                ", and its answer cannot be read",
            ),
            ("{\"refused\":\"speak another protocol\"}\n".to_owned(), "0.0.9", ", which this one does not"),
        ] {
            let said = said_of(&answer).await;
            let expected = format!("the running undrift is version {version}{what}");
            assert!(said.starts_with(&expected), "{answer}: {said}");
            assert!(said.ends_with(": restart it, or use the undrift that runs"), "{said}");
        }
    }

    #[tokio::test]
    async fn a_daemon_that_is_understood_refuses_in_its_own_words() {
        let differs = json!({ "reason": "SpecDiffers", "message": "it differs" });
        let usage = json!({ "reason": "Usage", "message": "the name is odd" });
        let of = |server: &str| format!("Server: undrift/{server}\r\n");
        for (answer, expected) in [
            (http("409 Conflict", &of("9.1.0"), &differs), "it differs"),
            (http("400 Bad Request", &of(THIS), &usage), "the name is odd"),
        ] {
            assert_eq!(said_of(&answer).await, expected);
        }
    }

    #[tokio::test]
    async fn an_endless_line_is_not_read_to_its_end() {
        let mut endless = tokio::io::BufReader::new(tokio::io::repeat(b'x'));
        assert!(read_line(&mut endless).await.is_err());
        let mut cut_off: &[u8] = b"{\"kind\":\"Res";
        assert!(read_line(&mut cut_off).await.is_err());
    }
}

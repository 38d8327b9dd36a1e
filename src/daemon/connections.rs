//! Connections at the control socket: accepting them, and their end.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
};
use tokio_util::task::TaskTracker;

use super::{
    http,
    reconciler::DaemonContext,
    socket::{Connection, ControlSocket, MOST},
};
use crate::{api::ErrorReason, documents, host::Host};

/// The answer to a command line of an earlier version.
const FORMER: &str = concat!(
    "the running undrift (version ",
    env!("CARGO_PKG_VERSION"),
    ") speaks HTTP at control.sock, and this older command line does not: use the undrift that runs, or restart it from this one"
);

/// How long a rejected connection may take to send its request.
const REFUSAL: Duration = Duration::from_secs(1);

/// The most to read of an earlier version's request, in bytes.
const FORMER_REQUEST: u64 = 64 * 1024;

impl<H: Host + 'static> DaemonContext<H> {
    /// Accepts connections until this is dropped. Once undrift is ending, it refuses their requests.
    pub(super) async fn accept_connections(
        self: &Arc<Self>,
        socket: &ControlSocket,
        connections: &TaskTracker,
    ) -> Infallible {
        loop {
            match socket.next().await {
                Ok(connection) => self.accept(connection, socket, connections),
                Err(error) => {
                    // Too many open files, for instance: that may pass.
                    tracing::warn!(%error, "no connection can be accepted at the control socket");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    /// Closes the socket. The pending connections get the answer that undrift is ending.
    pub(super) fn reject_pending(self: &Arc<Self>, socket: ControlSocket, connections: &TaskTracker) {
        while let Some(Ok(connection)) = socket.next().now_or_never() {
            self.accept(connection, &socket, connections);
        }
        drop(socket);
    }

    fn accept(self: &Arc<Self>, connection: Connection, socket: &ControlSocket, connections: &TaskTracker) {
        let Some(slot) = socket.slot() else {
            tracing::warn!(most = MOST, "too many connections at the control socket: one is refused");
            connections.spawn(tokio::time::timeout(REFUSAL, refuse(connection)));
            return;
        };
        let shared = Arc::clone(self);
        connections.spawn(async move {
            match connection {
                Connection::Http(stream) => http::serve(&shared, stream).await,
                Connection::Former(stream) => {
                    let answered = tokio::select! {
                        answered = tokio::time::timeout(http::REQUEST_TIMEOUT, answer_former(stream)) => answered,
                        () = shared.stop.cancelled() => return,
                    };
                    if let Err(error) = answered.unwrap_or_else(|late| Err(late.into())) {
                        tracing::debug!(%error, "a request of an earlier version ended early");
                    }
                }
            }
            drop(slot);
        });
    }
}

/// Answers a connection over the limit, once its request is there: earlier, the client would get a broken pipe.
async fn refuse(connection: Connection) -> io::Result<()> {
    let stream = match connection {
        Connection::Http(stream) => stream,
        Connection::Former(stream) => return answer_former(stream).await,
    };
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    while (&mut stream).take(FORMER_REQUEST).read_until(b'\n', &mut line).await? > 2 {
        line.clear();
    }
    let message = format!("{MOST} connections are open already: try again later");
    let body = documents::error(&ErrorReason::TooManyConnections.into(), &message).to_string();
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\nServer: undrift/{}\r\nContent-Type: application/json\r\nConnection: close\r\n",
        env!("CARGO_PKG_VERSION")
    );
    stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).await?;
    stream.flush().await
}

/// Refuses a request of an earlier version in that version's format.
async fn answer_former(stream: UnixStream) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    (&mut stream).take(FORMER_REQUEST).read_until(b'\n', &mut Vec::new()).await?;
    let mut line = serde_json::to_vec(&serde_json::json!({ "refused": FORMER }))?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    stream.flush().await
}

#[cfg(test)]
mod tests;

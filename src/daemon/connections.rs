//! Connections at the control socket: one request each, answered with what comes of it.

use std::{convert::Infallible, io, path::Path, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _, stream};
use tokio::{
    io::{AsyncReadExt as _, AsyncWrite, BufReader},
    net::UnixStream,
};
use tokio_util::task::TaskTracker;

use super::{
    protocol::{ControlCommand, ControlRequest, Reply, RequestedObject, VERSION},
    reconciler::DaemonContext,
    socket::{ControlSocket, READ_TIMEOUT, read_request, write_first_reply, write_reply},
};
use crate::host::Host;

/// How long a request may take to arrive once undrift is to end. A person's arrives whole.
const LAST_READ_TIMEOUT: Duration = Duration::from_millis(500);

/// The answer to every request once undrift is to end.
const ENDING: &str = "the running undrift is about to end";

impl<H: Host + 'static> DaemonContext<H> {
    /// Accepts connections until this is dropped. Once undrift was asked to end, it refuses their requests.
    pub(super) async fn accept_connections(
        self: &Arc<Self>,
        socket: &ControlSocket,
        connections: &TaskTracker,
    ) -> Infallible {
        loop {
            match socket.next().await {
                Ok(stream) => self.accept(stream, connections),
                Err(error) => {
                    // Too many open files, for instance: that may pass.
                    tracing::warn!(%error, "nobody can be let in at the socket");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    /// Closes the socket. The connections that wait to be accepted are told that undrift ends.
    pub(super) fn reject_pending(self: &Arc<Self>, socket: ControlSocket, connections: &TaskTracker) {
        while let Some(Ok(stream)) = socket.next().now_or_never() {
            self.accept(stream, connections);
        }
        drop(socket);
    }

    fn accept(self: &Arc<Self>, stream: UnixStream, connections: &TaskTracker) {
        let shared = Arc::clone(self);
        connections.spawn(async move {
            if let Err(error) = shared.serve(BufReader::new(stream)).await {
                tracing::debug!(%error, "a request at the socket ended early");
            }
        });
    }

    async fn serve(self: &Arc<Self>, mut stream: BufReader<UnixStream>) -> io::Result<()> {
        let request = tokio::select! {
            request = read_request(&mut stream) => Some(request?),
            () = self.last_read() => None,
        };
        let wanted = match request {
            Some(request) => self.check_request(&request).await.map(|()| request.what),
            None => Err(ENDING.into()),
        };
        match wanted {
            Err(why) => write_first_reply(&mut stream, &Reply::Refused(why)).await,
            Ok(ControlCommand::Look(object)) => {
                self.sessions.refresh(&object);
                self.queue.add(&object);
                write_first_reply(&mut stream, &Reply::Accepted).await
            }
            Ok(ControlCommand::Reconcile { objects, colour }) => {
                self.reconcile_for(stream, &objects, colour).await
            }
        }
    }

    /// Over a moment after undrift was asked to end.
    async fn last_read(&self) {
        self.stop.cancelled().await;
        tokio::time::sleep(LAST_READ_TIMEOUT).await;
    }

    async fn check_request(self: &Arc<Self>, request: &ControlRequest) -> Result<(), String> {
        if request.version != VERSION {
            return Err("the running undrift is of another version: restart it".into());
        }
        if self.stop.is_cancelled() {
            return Err(ENDING.into());
        }
        self.state_checked().await?;
        if let ControlCommand::Reconcile { objects, .. } = &request.what {
            // What the person has just saved may not have been noticed yet. Where the manifests cannot be read at the
            // moment, what holds is what was read last.
            tokio::select! {
                _ = tokio::time::timeout(READ_TIMEOUT, self.reload()) => {}
                () = self.stop.cancelled() => return Err(ENDING.into()),
            }
            objects.iter().try_for_each(|asked| self.check_same_object(asked))?;
        }
        Ok(())
    }

    fn check_same_object(&self, asked: &RequestedObject) -> Result<(), String> {
        let name = &asked.name;
        match self.objects.get(name) {
            None => {
                Err(format!("the running undrift does not watch {name}: it was started with other manifests"))
            }
            Some(managed) if managed.spec_digest != asked.spec_digest => Err(format!(
                "the running undrift watches {name} as declared in {}, which differs from what was given here{}",
                managed.manifest,
                other_directory(&managed.directory, asked.directory.as_deref())
            )),
            Some(_) => Ok(()),
        }
    }

    /// Has the loop look at these objects now, and passes on what it says until all have settled, or the person
    /// leaves.
    async fn reconcile_for(
        &self,
        stream: BufReader<UnixStream>,
        objects: &[RequestedObject],
        colour: bool,
    ) -> io::Result<()> {
        let waiting = objects.iter().map(|asked| {
            // First of all: a reconcile that begins right now, and is an answer therefore, is to look afresh.
            self.sessions.refresh(&asked.name);
            let replies = self.subscribers.subscribe(&asked.name, colour);
            Box::pin(stream::unfold(
                replies,
                |mut replies| async move { Some((replies.recv().await?, replies)) },
            ))
        });
        let mut replies = stream::select_all(waiting);
        let (mut from, mut to) = tokio::io::split(stream);
        write_first_reply(&mut to, &Reply::Accepted).await?;
        self.queue.add_all(objects.iter().map(|asked| asked.name.clone()));
        let mut buffer = [0];
        tokio::select! {
            passed = pass_on(&mut replies, &mut to) => passed,
            // One who asked while undrift began to end would be waited for otherwise.
            () = self.stop.cancelled() => Ok(()),
            // Nothing more is said by the person but goodbye.
            _ = from.read(&mut buffer) => Ok(()),
        }
    }
}

/// That the project directories differ, in words. They may be one folder: through a link Compose may give the project
/// another name, so it is not the same object, and a person who compares the manifests finds no difference.
fn other_directory(managed: &Path, asked: Option<&str>) -> String {
    let managed = managed.to_string_lossy();
    let asked = asked.filter(|asked| *asked != managed);
    asked
        .map(|asked| format!(": there the project directory is {managed}, here it is {asked}"))
        .unwrap_or_default()
}

/// Passes on each reply, as slowly as it is read: what comes meanwhile waits, lines are lost where they are too many, and
/// the outcome never is.
async fn pass_on(
    replies: &mut (impl stream::Stream<Item = Reply> + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    while let Some(reply) = replies.next().await {
        write_reply(to, &reply).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;

//! Persons at the socket: they ask, the loop works, they are told.

use std::{convert::Infallible, io, path::Path, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _, stream};
use tokio::{
    io::{AsyncReadExt as _, AsyncWrite, BufReader},
    net::UnixStream,
};
use tokio_util::task::TaskTracker;

use super::{
    protocol::{Asked, Reply, Request, VERSION, What},
    reconciler::Shared,
    socket::{Door, PATIENCE, answer, hear, say},
};
use crate::host::Host;

/// How long a request may take to arrive once undrift is to end. A person's arrives whole.
const LAST_PATIENCE: Duration = Duration::from_millis(500);

/// What everybody hears who asks once undrift is to end.
const ENDING: &str = "the running undrift is about to end";

impl<H: Host + 'static> Shared<H> {
    /// Lets persons in, and once undrift was asked to end turns them away with a word, until this is dropped.
    pub(super) async fn receive(self: &Arc<Self>, door: &Door, visits: &TaskTracker) -> Infallible {
        loop {
            match door.next().await {
                Ok(stream) => self.let_in(stream, visits),
                Err(error) => {
                    // Too many open files, for instance: that may pass.
                    tracing::warn!(%error, "nobody can be let in at the socket");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    /// Closes the door. Those who stand before it hear that undrift ends.
    pub(super) fn turn_away(self: &Arc<Self>, door: Door, visits: &TaskTracker) {
        while let Some(Ok(stream)) = door.next().now_or_never() {
            self.let_in(stream, visits);
        }
        drop(door);
    }

    fn let_in(self: &Arc<Self>, stream: UnixStream, visits: &TaskTracker) {
        let shared = Arc::clone(self);
        visits.spawn(async move {
            if let Err(error) = shared.serve(BufReader::new(stream)).await {
                tracing::debug!(%error, "a request at the socket ended early");
            }
        });
    }

    async fn serve(self: &Arc<Self>, mut stream: BufReader<UnixStream>) -> io::Result<()> {
        let heard = tokio::select! {
            heard = hear(&mut stream) => Some(heard?),
            () = self.last_patience() => None,
        };
        let wanted = match heard {
            Some(request) => self.may(&request).await.map(|()| request.what),
            None => Err(ENDING.into()),
        };
        match wanted {
            Err(why) => answer(&mut stream, &Reply::Refused(why)).await,
            Ok(What::Look(object)) => {
                self.memory.refresh(&object);
                self.keys.name(&object);
                answer(&mut stream, &Reply::Accepted).await
            }
            Ok(What::Reconcile { objects, colour }) => self.reconcile_for(stream, &objects, colour).await,
        }
    }

    /// Over a moment after undrift was asked to end.
    async fn last_patience(&self) {
        self.stop.cancelled().await;
        tokio::time::sleep(LAST_PATIENCE).await;
    }

    async fn may(self: &Arc<Self>, request: &Request) -> Result<(), String> {
        if request.version != VERSION {
            return Err("the running undrift is of another version: restart it".into());
        }
        if self.stop.is_cancelled() {
            return Err(ENDING.into());
        }
        self.state_checked().await?;
        if let What::Reconcile { objects, .. } = &request.what {
            // What the person has just saved may not have been noticed yet. Where the manifests cannot be read at the
            // moment, what holds is what was read last.
            tokio::select! {
                _ = tokio::time::timeout(PATIENCE, self.reload()) => {}
                () = self.stop.cancelled() => return Err(ENDING.into()),
            }
            objects.iter().try_for_each(|asked| self.is_the_same(asked))?;
        }
        Ok(())
    }

    fn is_the_same(&self, asked: &Asked) -> Result<(), String> {
        let name = &asked.name;
        match self.objects.get(name) {
            None => {
                Err(format!("the running undrift does not watch {name}: it was started with other manifests"))
            }
            Some(watched) if watched.spec_digest != asked.spec_digest => Err(format!(
                "the running undrift watches {name} as declared in {}, which differs from what was given here{}",
                watched.manifest,
                other_directory(&watched.directory, asked.directory.as_deref())
            )),
            Some(_) => Ok(()),
        }
    }

    /// Has the loop look at these objects now, and passes on what it says until all have settled, or the person
    /// leaves.
    async fn reconcile_for(
        &self,
        stream: BufReader<UnixStream>,
        objects: &[Asked],
        colour: bool,
    ) -> io::Result<()> {
        let waiting = objects.iter().map(|asked| {
            // First of all: a turn that begins right now, and is an answer therefore, is to look afresh.
            self.memory.refresh(&asked.name);
            let replies = self.waiters.wait_for(&asked.name, colour);
            Box::pin(stream::unfold(
                replies,
                |mut replies| async move { Some((replies.recv().await?, replies)) },
            ))
        });
        let mut replies = stream::select_all(waiting);
        let (mut from, mut to) = tokio::io::split(stream);
        answer(&mut to, &Reply::Accepted).await?;
        self.keys.name_all(objects.iter().map(|asked| asked.name.clone()));
        let mut unsaid = [0];
        tokio::select! {
            passed = pass_on(&mut replies, &mut to) => passed,
            // One who asked while undrift began to end would be waited for otherwise.
            () = self.stop.cancelled() => Ok(()),
            // Nothing more is said by the person but goodbye.
            _ = from.read(&mut unsaid) => Ok(()),
        }
    }
}

/// That the project directories differ, in words. They may be one folder: through a link Compose may give the project
/// another name, so it is not the same object, and a person who compares the manifests finds no difference.
fn other_directory(watched: &Path, asked: Option<&str>) -> String {
    let watched = watched.to_string_lossy();
    let asked = asked.filter(|asked| *asked != watched);
    asked
        .map(|asked| format!(": there the project directory is {watched}, here it is {asked}"))
        .unwrap_or_default()
}

/// Passes on each reply, as slowly as it is read: what comes meanwhile waits, lines are lost where they are too many, and
/// the outcome never is.
async fn pass_on(
    replies: &mut (impl stream::Stream<Item = Reply> + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    while let Some(reply) = replies.next().await {
        say(to, &reply).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;

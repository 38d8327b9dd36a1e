//! Persons at the socket: they ask, the loop works, they are told.

use std::{io, sync::Arc};

use futures_util::{StreamExt as _, stream};
use tokio::{
    io::{AsyncReadExt as _, BufReader},
    net::UnixStream,
};
use tokio_util::task::TaskTracker;

use super::{
    protocol::{Asked, Reply, Request, VERSION, What},
    reconciler::Shared,
    socket::{Door, answer, hear},
};
use crate::host::Host;

impl<H: Host + 'static> Shared<H> {
    /// Lets persons in until undrift is asked to end.
    pub(super) async fn receive(self: &Arc<Self>, door: &Door, visits: &TaskTracker) {
        loop {
            let visitor = tokio::select! {
                visitor = door.next() => visitor,
                () = self.stop.cancelled() => return,
            };
            match visitor {
                Ok(stream) => {
                    let shared = Arc::clone(self);
                    visits.spawn(async move {
                        if let Err(error) = shared.serve(BufReader::new(stream)).await {
                            tracing::debug!(%error, "a request at the socket ended early");
                        }
                    });
                }
                Err(error) => {
                    // Too many open files, for instance: that may pass.
                    tracing::warn!(%error, "nobody can be let in at the socket");
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn serve(&self, mut stream: BufReader<UnixStream>) -> io::Result<()> {
        let request = hear(&mut stream).await?;
        if let Err(refused) = self.may(&request) {
            return answer(&mut stream, &Reply::Refused(refused)).await;
        }
        match request.what {
            What::Look(object) => {
                self.memory.refresh(&object);
                self.keys.name(&object);
                answer(&mut stream, &Reply::Accepted).await
            }
            What::Reconcile { objects, colour } => self.reconcile_for(stream, &objects, colour).await,
        }
    }

    fn may(&self, request: &Request) -> Result<(), String> {
        if request.version != VERSION {
            return Err("the running undrift is of another version: restart it".into());
        }
        if self.stop.is_cancelled() {
            return Err("the running undrift is about to end".into());
        }
        if let What::Reconcile { objects, .. } = &request.what {
            // What the person has just saved may not have been noticed yet.
            self.reload();
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
                "the running undrift watches {name} as declared in {}, which differs from what was given here",
                watched.manifest
            )),
            Some(_) => Ok(()),
        }
    }

    /// Has the loop look at these objects now, and passes on what it says until all have settled, or the person
    /// leaves.
    async fn reconcile_for(
        &self,
        mut stream: BufReader<UnixStream>,
        objects: &[Asked],
        colour: bool,
    ) -> io::Result<()> {
        let waiting = objects.iter().map(|asked| {
            let replies = self.waiters.wait_for(&asked.name, colour);
            Box::pin(stream::unfold(
                replies,
                |mut replies| async move { Some((replies.recv().await?, replies)) },
            ))
        });
        let mut replies = stream::select_all(waiting);
        answer(&mut stream, &Reply::Accepted).await?;
        for asked in objects {
            self.memory.refresh(&asked.name);
            self.keys.name(&asked.name);
        }
        let mut unsaid = [0];
        loop {
            let reply = tokio::select! {
                reply = replies.next() => reply,
                // One who asked while undrift began to end would be waited for otherwise.
                () = self.stop.cancelled() => return Ok(()),
                // Nothing more is said by the person but goodbye.
                _ = stream.read(&mut unsaid) => return Ok(()),
            };
            match reply {
                Some(reply) => answer(&mut stream, &reply).await?,
                None => return Ok(()),
            }
        }
    }
}

//! Asking Compose without letting it change anything: whatever it is asked while looking, it reaches the engine through a
//! [`Gate`].
//!
//! `config` and `version` ask the engine for nothing (measured with 2.26.1 and 5.6.1). But what is run is the docker CLI and
//! whatever stands in the plugin's place, and a wrapper may do more. What the answer is of is files, so that a refusal
//! takes nothing away from it; a dry run, whose answer is of the engine, is not believed then (`dry_run`).

use std::io;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{argv, resolve::QueryTimeout};
use crate::{
    api::Desired,
    host::{
        endpoint::Endpoint,
        gate::{Gate, Tally},
        process::{Environment, Finished, Invocation, command},
    },
};

/// How many questions to Compose are open at once. Each is a process that keeps a processor busy while it starts, and ten
/// projects that are seen for the first time would be twenty of them.
static TURNS: Semaphore = Semaphore::const_new(4);

/// Whom to ask, and what they may see.
#[derive(Clone, Copy)]
pub(super) struct Questions<'a> {
    pub(super) desired: &'a Desired,
    pub(super) endpoint: &'a Endpoint,
    /// What a step's Compose would get.
    pub(super) env: &'a Environment,
    /// Whether the files name the engine's address, [`ENGINE`](super::env::ENGINE), or may do so.
    pub(super) name_engine: bool,
}

impl Questions<'_> {
    /// Asks something whose answer is of files alone.
    ///
    /// # Errors
    /// Where the gate cannot be opened or the docker CLI cannot be started.
    pub(super) async fn ask(self, argv: &[String], timeout: QueryTimeout) -> io::Result<Finished> {
        let passage = Passage::open(self.endpoint)?;
        if self.name_engine {
            // The gate in that variable's place would be another answer.
            return passage.beside(self.desired, self.env, argv, timeout).await;
        }
        passage.within(self.desired, self.env, argv, timeout).await
    }
}

/// A gate whose tally is told when it closes, also where nobody waits for the answer any more.
pub(super) struct Passage(pub(super) Gate);

impl Passage {
    /// # Errors
    /// Where the gate cannot be opened.
    pub(super) fn open(endpoint: &Endpoint) -> io::Result<Self> {
        let gate = Gate::open(endpoint).map_err(|error| {
            io::Error::other(format!("the gate for a look's Compose cannot be opened: {error}"))
        })?;
        Ok(Self(gate))
    }

    /// Runs a command that sees no other engine than the gate, and neither does what it starts.
    pub(super) async fn within(
        &self,
        desired: &Desired,
        env: &Environment,
        argv: &[String],
        timeout: QueryTimeout,
    ) -> io::Result<Finished> {
        let env = env.clone().for_look(&self.0, &desired.directory);
        run(desired, &env, argv, timeout).await
    }

    /// Runs a command that is given the gate beside its environment, in which the engine's address stays as it is: for files
    /// that name it. What a wrapper starts by itself may read that.
    pub(super) async fn beside(
        &self,
        desired: &Desired,
        env: &Environment,
        argv: &[String],
        timeout: QueryTimeout,
    ) -> io::Result<Finished> {
        let argv = argv::at(argv, &self.0.endpoint().docker_host());
        run(desired, &env.clone().without_tls(), &argv, timeout).await
    }

    /// What has come to the gate.
    pub(super) fn tally(&self) -> Tally {
        self.0.tally()
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        let Tally { passed, refused, first } = self.0.tally();
        tracing::debug!(passed, refused, "a question to Compose has gone through the gate");
        if let Some(first) = first.first() {
            tracing::warn!(refused, first = %first, "a look was kept from changing the host");
        }
    }
}

async fn run(
    desired: &Desired,
    env: &Environment,
    argv: &[String],
    timeout: QueryTimeout,
) -> io::Result<Finished> {
    let _turn = TURNS.acquire().await;
    command::run(Invocation {
        argv,
        directory: &desired.directory,
        env,
        limit: timeout.limit,
        grace: timeout.grace,
        cancel: &CancellationToken::new(),
        progress: &|_| {},
        hold: None,
        keep_stdout: true,
    })
    .await
}

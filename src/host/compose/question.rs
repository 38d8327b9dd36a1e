//! Asks Compose without letting it change anything: during an observation, Compose reaches the engine only through a [`Gate`].
//!
//! `config` and `version` ask the engine for nothing (measured with 2.26.1 and 5.6.1). But undrift runs the docker CLI and
//! whatever is in the plugin's place, and a wrapper may do more. Their answer depends on files alone, so a refused request does
//! not affect it; a dry run's answer depends on the engine, and is then discarded (`dry_run`).

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
/// projects that are observed for the first time would start twenty of them.
static TURNS: Semaphore = Semaphore::const_new(4);

/// The Compose to ask, and the environment it may see.
#[derive(Clone, Copy)]
pub(super) struct Questions<'a> {
    pub(super) desired: &'a Desired,
    pub(super) endpoint: &'a Endpoint,
    /// The environment that a step's Compose would get.
    pub(super) env: &'a Environment,
    /// Whether the files name the engine's address, [`ENGINE`](super::env::ENGINE), or may do so.
    pub(super) name_engine: bool,
}

impl Questions<'_> {
    /// Asks a question whose answer depends on files alone.
    ///
    /// # Errors
    /// If the gate cannot be opened or the docker CLI cannot be started.
    pub(super) async fn ask(self, argv: &[String], timeout: QueryTimeout) -> io::Result<Finished> {
        let passage = Passage::open(self.endpoint)?;
        if self.name_engine {
            // With the gate in that variable's place, the answer would differ.
            return passage.beside(self.desired, self.env, argv, timeout).await;
        }
        passage.within(self.desired, self.env, argv, timeout).await
    }
}

/// A gate that logs its tally when it closes, even if the caller no longer waits for the answer.
pub(super) struct Passage(pub(super) Gate);

impl Passage {
    /// # Errors
    /// If the gate cannot be opened.
    pub(super) fn open(endpoint: &Endpoint) -> io::Result<Self> {
        let gate = Gate::open(endpoint).map_err(|error| {
            io::Error::other(format!("the gate for a look's Compose cannot be opened: {error}"))
        })?;
        Ok(Self(gate))
    }

    /// Runs a command that sees no other engine than the gate, and neither do its children.
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

    /// Runs a command with the gate in addition to its environment, in which the engine's address stays as it is: for files
    /// that name it. A wrapper's own children may read that address.
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

    /// The requests that have reached the gate.
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
